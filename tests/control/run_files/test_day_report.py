"""A day is reported whatever stands in one of the files that it is told from."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import pytest

from heliograph.control.owner.journal import Journal
from heliograph.control.run_files import day_report
from heliograph.control.topics import Event

ALARM = Event(0.0, "error", "bench", "voa_in was lost")


def line(**changed: Any) -> str:
    return json.dumps({**asdict(ALARM), "t": time.time(), "number": 7, **changed})


def test_an_alarm_that_was_acknowledged_stands_once(tmp_path):
    journal = Journal(tmp_path / "journal", "demo")
    for text in ("one", "two"):
        journal.keep(Event(time.time(), "error", "bench", text))
    journal.acknowledge(1)

    text = day_report.report(tmp_path, tmp_path / "store")

    assert text.count("| error | bench | one |") == 1
    assert text.count("| error | bench | two |") == 1


@pytest.mark.parametrize("t", ["Infinity", "-Infinity", "NaN", "1e400", "1e300", "-1", "99999999999999", '"now"', "[]"])
def test_a_time_that_is_none_spoils_nothing(tmp_path, t):
    (tmp_path / "journal").mkdir()
    told = line(t=0).replace('"t": 0', f'"t": {t}')
    assert t in told
    (tmp_path / "journal" / f"{datetime.now(UTC):%Y-%m-%d}.demo.jsonl").write_text("\n".join([told, line(number=8), line(number=1e300), line(number=9)]))

    assert day_report.report(tmp_path, tmp_path / "store").count("voa_in was lost") == 2


def test_a_journal_that_cannot_be_read_spoils_nothing(tmp_path):
    journal = tmp_path / "journal"
    (journal / "2026-11-19.demo.jsonl").mkdir(parents=True)
    (journal / "2026-11-20.demo.jsonl").write_text(line())
    assert "voa_in was lost" in day_report.report(tmp_path, tmp_path / "store")


def test_of_several_stations_each_alarm_says_whose_it_is(tmp_path):
    for station in ("north", "south"):
        Journal(tmp_path / "journal", station).keep(Event(time.time(), "error", "bench", f"lost in the {station}"))
    text = day_report.report(tmp_path, tmp_path / "store")
    assert "| error | north: bench | lost in the north |" in text
    assert "| error | south: bench | lost in the south |" in text


def test_a_store_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "store" / "A").mkdir(parents=True)
    (tmp_path / "store" / "A" / "A-B.sqlite").write_text("no store")
    text = day_report.report(tmp_path, tmp_path / "store")
    _, _, rest = text.partition("## Key spent\n\n")
    assert rest.startswith("A's store of A-B cannot be read (file is not a database): what it handed out is not in this table.\n\nNone in the others.")


def test_key_ledgers_that_are_damaged_leave_the_rest_of_the_day(tmp_path):
    Journal(tmp_path / "journal", "demo").keep(Event(time.time(), "error", "bench", "one"))
    (tmp_path / "store" / "A").mkdir(parents=True)
    (tmp_path / "store" / "A" / "distillation.jsonl").write_text('{"torn": 1}\n')
    text = day_report.report(tmp_path, tmp_path / "store")
    assert "## Key made\n\nThis cannot be told: " in text
    assert "| error | bench | one |" in text


def test_rounds_are_summed_and_a_key_of_two_parties_counts_once(tmp_path, monkeypatch):
    rounds = [day_report.Spent(time.time(), "A-B", party, f"qunetqfl run 7f3a round {k} masks", 576) for k in range(23) for party in "AB"]
    odd = [day_report.Spent(time.time(), "A-C", "A", "test", 256), day_report.Spent(time.time(), "A-C", "C", "test", 512)]
    monkeypatch.setattr(day_report, "spent", lambda _store, _unread: [*rounds, *odd])

    _, _, rest = day_report.report(tmp_path, tmp_path / "store").partition("## Key spent\n\n")
    table = [line.partition(" | ")[2] for line in rest.partition("\n\n")[0].splitlines()[2:]]

    assert table == ["A-B | A, B | qunetqfl run 7f3a rounds 0 to 22 masks | 13,248 |", "A-C | A | test | 256 |", "A-C | C | test | 512 |"]
    assert "Together: A-B 13,248 bits, A-C 512 bits." in rest
