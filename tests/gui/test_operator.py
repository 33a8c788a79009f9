"""A day of an operator: keys and mouse on controls that are found by what they are called, with a simulated bench behind the window."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtWidgets import QAbstractItemView, QApplication, QDockWidget

from heliograph.gui import access

from .operating import opened, simulated, stores_of
from .rehearsal import Day


@pytest.fixture
def day(qapp: QApplication, tmp_path: Path) -> Iterator[Day]:
    """An operator in front of a window without a bench."""
    with opened(tmp_path, qapp) as made:
        yield made


def gauge(day: Day) -> str:
    return next(text for text in access.texts(day.window.strip) if text.startswith("Key store:"))


def held(day: Day, pair: str) -> int:
    """Return what both parties of a pair can still spend."""
    return sum(one.spendable for one in day.desk.latest("stores").stores if one.pair == pair)


def results(day: Day) -> list[str]:
    """Return what the page says that the scan has found."""
    return access.texts(day.person.find("Result of the scan"))


def run_id(day: Day, job: int) -> str:
    path = next(row.path for row in day.desk.latest("queue").rows if row.job == job)
    return Path(path).name.rsplit("-p", 1)[0]


def test_from_the_welcome_page_to_key_learning_safe_and_an_old_run(day: Day, tmp_path: Path) -> None:
    person, desk = day.person, day.desk
    stores_of(tmp_path / "demo" / "store", ("A-C", "B-C"))

    # The demo is started; its light goes on by a deliberate act only.
    day.begin(tmp_path / "demo")
    assert "SIMULATED" in day.window.windowTitle()
    day.put_first_steps_away()
    day.arm()

    # A fringe.
    scan = day.scan(9)
    person.until(lambda: any("Half-wave voltage" in text for text in day.window.page.texts()), "the result on the page")  # type: ignore[union-attr]
    found, live = dict(desk.latest("scan").result), results(day)
    assert found["v_pi_v"] == pytest.approx(5.0, abs=0.1)
    assert found["visibility"] > 0.95

    # Key: the gauge of the pair rises.
    assert day.delivered("A-B") == 0
    day.exchange("A-B", 1.0)
    assert day.spendable("A-B") > 0
    person.until(lambda: "key A-B" in gauge(day), "the gauge in the strip")
    # While a worker tells, only its own parties' stores are told.
    person.until(lambda: len(desk.latest("stores").stores) == 6, "the stores of every pair")
    before = {pair: held(day, pair) for pair in ("A-B", "A-C", "B-C")}

    # Learning: the gauges fall by what the masks used.
    day.learn(2)
    learnt = day.learning
    assert learnt is not None
    assert set(learnt.key_bits) == set(before)
    for pair, bits in learnt.key_bits.items():
        assert bits.sum() > 0
        person.until(lambda pair=pair, bits=bits: held(day, pair) <= before[pair] - bits.sum(), f"the gauge of {pair} to fall", 10.0)  # type: ignore[misc]
    assert any(f"{learnt.round} of {learnt.rounds}" in text for text in day.window.page.texts())  # type: ignore[union-attr]

    # Safe in the middle of a run.
    job = day.start("acquire", "Count rates", Duration="60")
    person.until(lambda: (now := desk.latest("counts")) is not None and now.t_s > 0.5 and (desk.age_s("counts") or 9) < 1, "light")
    person.click("Make safe")
    assert day.wait_ended(job) == "aborted"
    person.until(lambda: day.state == "SAFE", "the safe bench", 5.0)
    person.until(lambda: set(day.window.safe_panel.states().values()) == {"confirmed"}, "every device", 5.0)

    # The fringe of before, out of its file.
    day.go("runs")
    wanted = run_id(day, scan)
    person.until(lambda: any(wanted in text for text in access.texts(person.find("Runs", QAbstractItemView))), "the run in the list")
    person.row("Runs", wanted)
    person.until(lambda: any("Half-wave voltage" in text for text in day.window.page.texts()), "what it found")  # type: ignore[union-attr]

    # Replayed, it comes to the same texts on the page that showed it live, marked as a replay.
    person.click("Play the run")
    person.until(lambda: (now := desk.latest("replay")) is not None and now.over, "the end of the replay", 60.0)
    person.click("Show on Acquire")
    person.until(lambda: results(day) == live, "the texts of before")
    assert any("replay" in text.lower() for text in access.texts(person.find("Recording", QDockWidget)))


UNPLUGGED = """
[[fault]]
kind = "disconnect"
instrument = "tagger"
on = "REC:PLAY"
times = 1

[[fault]]
kind = "disconnect"
instrument = "tagger"
on = "REC:STAGe?"
at = 3
times = 3
"""


@pytest.mark.slow
def test_a_tagger_that_is_unplugged_is_told_and_the_next_run_makes_key_again(qapp: QApplication, tmp_path: Path) -> None:
    script = tmp_path / "unplugged.toml"
    script.write_text(UNPLUGGED)
    with simulated(tmp_path / "bench", None, str(script)) as (station, _), opened(tmp_path, qapp) as day:
        person = day.person
        day.window.opening.open(station)
        day.wait_open()
        day.put_first_steps_away()
        told: set[str] = set()
        day.desk.hear("station", lambda now: told.update(one.state for one in now.instruments if one.name == "tagger"))
        day.arm()

        job = day.start("key", "Key exchange", Pair="A-B", Light="1")
        assert day.wait_ended(job) == "failed"
        person.until(lambda: any(f"job {job}: tagger" in text for text in access.texts(person.find("New run"))), "the reason")
        person.until(lambda: "fault" in told or "lost" in told, "the tagger's state")
        assert "no answer" in " ".join(event.text for event in day.desk.events)

        # The queue is held until somebody says that it may go on.
        day.go("queue")
        person.until(lambda: person.sees("Go on with the queue"), "the held queue")
        person.click("Go on with the queue")
        person.until(lambda: not day.desk.latest("queue").held, "the queue to go on")
        if day.state != "ARMED":
            day.arm()
        day.exchange("A-B", 1.0)
        assert day.spendable("A-B") > 0
