"""A bench that is made safe, in the journal: what two notice of one end is told once."""

from __future__ import annotations

from pathlib import Path

import pytest

from heliograph.control.owner.journal import Journal, events_of
from heliograph.control.owner.publishing import Topics
from heliograph.control.owner.safe_events import TOGETHER_S, SafeEvents, in_short, together
from heliograph.instruments.roles import SafeReport

OWNER, WATCHDOG = "the controller, ana@lab1 (process 4711), is gone", "the controller (process 4711) is gone"
BOTH = f"{OWNER}: it left the owner and the watchdog without a word"
SAFE = [SafeReport("laser", "CONFIRMED"), SafeReport("voa_a", "SENT")]
HOW = "made safe: laser CONFIRMED, voa_a SENT"


class Bench:
    """The journal of a bench, and a clock."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.now = folder, 0.0
        self.journal = Journal(folder)
        self.topics = Topics(self.journal.keep)
        self.box = self.topics.subscribe(["event"])
        self.safe = SafeEvents(self.topics, self.journal, clock=lambda: self.now)

    def texts(self) -> list[str]:
        written = [event for path in self.folder.glob("*.jsonl") for event in events_of(path)]
        assert tuple(written) == self.journal.since(0)
        return [event.text for event in written]


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


@pytest.mark.parametrize("causes", [(OWNER, WATCHDOG), (WATCHDOG, OWNER)])
def test_what_owner_and_watchdog_notice_of_one_end_is_one_event(bench, causes):
    for cause in causes:
        bench.safe.tell("warning", cause, SAFE)
        bench.now += 0.5
    assert bench.texts() == [f"{BOTH}; {HOW}"]
    heard = [message.body for message in bench.box.take()]
    assert [event.number for event in heard] == [1, 1]
    assert heard[-1].text == f"{BOTH}; {HOW}"
    bench.safe.tell("warning", OWNER, SAFE)
    assert bench.texts()[1:] == [f"{OWNER}; {HOW}"]


def test_an_event_that_was_acknowledged_in_between_stays_so(bench):
    bench.safe.tell("warning", OWNER, SAFE)
    bench.journal.acknowledge(1)
    bench.safe.tell("warning", WATCHDOG, SAFE)
    assert [(event.text, event.acknowledged) for event in bench.journal.since(0)] == [(f"{BOTH}; {HOW}", True)]


def test_what_is_not_the_same_is_told_each_time(bench):
    bench.safe.tell("warning", OWNER, SAFE)
    bench.safe.tell("warning", WATCHDOG, [SafeReport("laser", "FAILED", "no answer"), SAFE[1]])
    assert bench.texts() == [f"{OWNER}; {HOW}", f"{WATCHDOG}; made safe: laser FAILED, voa_a SENT"]
    bench.safe.tell("warning", OWNER, SAFE)
    bench.now = TOGETHER_S + 1.0
    bench.safe.tell("warning", WATCHDOG, SAFE)
    assert len(bench.texts()) == 4


def test_where_the_first_event_is_at_hand_no_more_the_second_is_one_of_its_own(bench):
    bench.safe.tell("warning", OWNER, SAFE)
    bench.journal._events.clear()
    bench.safe.tell("warning", WATCHDOG, SAFE)
    assert [event.text for event in bench.journal.since(0)] == [f"{WATCHDOG}; {HOW}"]
    assert [message.body.number for message in bench.box.take()] == [1, 2]


@pytest.mark.parametrize(
    "other", [OWNER, "", "the controller (process 471) is gone", "the controller (process 4711) has been silent for 2 s", "asked for by process 4711"]
)
def test_other_causes_are_two(other):
    assert together(OWNER, other) == together(other, OWNER) == ""


def test_of_many_instruments_those_are_named_that_are_not_confirmed():
    many = [SafeReport(f"voa_{k}", "CONFIRMED") for k in range(12)]
    assert in_short(many) == "all 12 CONFIRMED"
    assert in_short([*many, SafeReport("laser", "FAILED", "no answer")]) == "laser FAILED, the other 12 CONFIRMED"
    assert in_short([]) == ""
