"""Every driver meets every fault: an error of the right class, in time, and the next query gets its own answer.

The drivers are the real ones on real transports; the faults stand between the simulated device and its port. The cells are in `fault_cells`.
"""

from __future__ import annotations

import re
import runpy
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from heliograph.core.errors import Disconnected, HeliographError, InstrumentError, Timeout
from heliograph.instruments import catalogue
from heliograph.instruments.connect import Instruments
from heliograph.instruments.guard.safe import make_safe
from heliograph.instruments.links import VisaLink
from heliograph.instruments.role_adapter import RoleAdapter
from heliograph.instruments.socket_links import TcpLink, ZmqLink
from heliograph.instruments.station import Station, default_text
from heliograph.mocks.fault_kinds import KINDS
from heliograph.mocks.fault_links import Armed
from heliograph.mocks.lab import Lab
from heliograph.mocks.simulators import SIMULATORS

from . import fault_cells as cells
from .fault_subjects import SUBJECTS, Subject

SPARE_S = 1.0
"""What a call may take beyond its budget: the second that the architecture leaves for finding the place again."""


class Rig:
    """One lab with every device of a station, and adapters opened on it one at a time."""

    def __init__(self, lab: Lab, text: str, timeout: str | None) -> None:
        self.lab = lab
        self.station = Station.parse(_with_timeouts(text, timeout).encode(), Path("matrix.toml"))

    def open(self, name: str) -> Any:
        return catalogue.open_instrument(name, self.station.instruments[name], self.lab.resources[name], station="matrix.toml")


def _with_timeouts(text: str, timeout: str | None) -> str:
    if timeout is None:
        return text
    text = re.sub(r"^(\w+\.rules = \{) ", rf'\1 timeout = "{timeout}", ', text, flags=re.MULTILINE)
    return re.sub(r"^(\w+)\.rules\.simulated = true$", rf'\1.rules.simulated = true\n\1.rules.timeout = "{timeout}"', text, flags=re.MULTILINE)


@pytest.fixture(scope="module")
def rigs() -> Iterator[Callable[[str, str | None], Rig]]:
    """Give a rig of a station file, whose lab is started once."""
    with ExitStack() as stack:
        labs: dict[str, tuple[Lab, str]] = {}

        def rig(station: str, timeout: str | None = f"{cells.TIMEOUT_S} s") -> Rig:
            if station not in labs:
                text = (Path(__file__).parents[1] / station).read_text() if station else default_text().decode()
                labs[station] = Lab(Station.parse(text.encode(), Path("matrix.toml")).plain()), text
                stack.enter_context(labs[station][0].in_thread())
            labs[station][0].heal()
            return Rig(*labs[station], timeout)

        yield rig


@pytest.fixture
def rig(rigs: Any) -> Rig:
    return rigs("")


def outcome(call: Callable[[], float], right: float) -> tuple[set[str], float]:
    """Return what a call gave, `right`, its wrong value or the classes of its error, and how long it took."""
    begin = time.monotonic()
    try:
        value = call()
        given = {"right"} if value == pytest.approx(right) else {f"wrong: {value}"}
    except HeliographError as error:
        given = {kind.__name__ for kind in type(error).__mro__ if issubclass(kind, HeliographError)} if error.where else {"an error without a place"}
    return given, time.monotonic() - begin


def check(subject: Subject, adapter: Any, rig: Rig, given: set[str], took_s: float, allowed: cells.Cell, timeout_s: float = cells.TIMEOUT_S) -> None:
    """Compare an outcome with its cell; then the next queries must answer themselves, and a device that can do harm must still become safe."""
    struck(rig)
    assert given & set(allowed), f"{given} came, {allowed} is due"
    assert took_s <= subject.budget_s * timeout_s + SPARE_S
    assert subject.second(adapter) == pytest.approx(subject.answers[1])
    assert subject.first(adapter) == pytest.approx(subject.answers[0])
    check_safe(subject, adapter, rig)


def struck(rig: Rig) -> None:
    """What is right without a fault shows nothing: look whether it struck, then heal."""
    assert rig.lab.struck >= 1, "no fault struck"
    rig.lab.heal()


def in_time(subject: Subject, call: Callable[[], object], allowed: cells.Cell) -> None:
    """A call that must fail as its cell says, within the budget of a query."""
    given, took_s = outcome(lambda: float(call() is None), 2.0)
    assert given & set(allowed), f"{given} came, {allowed} is due"
    assert took_s <= subject.budget_s * cells.TIMEOUT_S + SPARE_S


def check_safe(subject: Subject, adapter: RoleAdapter, rig: Rig) -> None:
    if subject.dark is not None:
        assert not subject.dark(rig.lab.world)
        assert [report.state for report in make_safe([adapter])] == ["CONFIRMED"]
        assert subject.dark(rig.lab.world)


def run_query(subject: Subject, adapter: Any, rig: Rig, row: cells.Row, allowed: cells.Cell) -> None:
    rig.lab.inject(row.kind, subject.wire, **row.settings)
    given, took_s = outcome(lambda: subject.first(adapter), subject.answers[0])
    check(subject, adapter, rig, given, took_s, allowed)


def run_errors(subject: Subject, adapter: Any, rig: Rig, row: cells.Row, allowed: cells.Cell) -> None:
    rig.lab.inject(row.kind, subject.wire, **row.settings)
    given, took_s = outcome(lambda: float(bool(adapter.driver.check_errors())), 0.0)
    check(subject, adapter, rig, given, took_s, allowed)


def run_block(subject: Subject, adapter: Any, rig: Rig, row: cells.Row, allowed: cells.Cell) -> None:
    """A generator is sent a block; all others send their replies."""
    if subject.name != "awg_im":
        run_query(subject, adapter, rig, row, allowed)
        return
    rig.lab.inject(row.kind, subject.wire, on=":DATA1", **row.settings)
    before = rig.lab.world.drive("awg_im:1")
    given, took_s = outcome(lambda: float(adapter.load(1, np.linspace(-1.0, 1.0, 50_000), 1e9).n), 50_000.0)
    assert len(rig.lab.world.drive("awg_im:1").volts) == len(before.volts)
    check(subject, adapter, rig, given, took_s, allowed)


def run_identity(subject: Subject, adapter: Any, rig: Rig, row: cells.Row, allowed: cells.Cell) -> None:
    """Opened as a station opens it: the port is closed again, and the right device is let in afterwards."""
    adapter.close()
    rig.lab.inject(row.kind, subject.wire, **row.settings)
    instruments = Instruments(rig.station)
    in_time(subject, lambda: instruments.add(subject.name, rig.lab.resources[subject.name]), allowed)
    assert len(instruments) == 0
    instruments.close()
    struck(rig)
    again = Instruments(rig.station)
    again.add(subject.name, rig.lab.resources[subject.name])
    try:
        assert subject.first(again[subject.name]) == pytest.approx(subject.answers[0])
        check_safe(subject, again[subject.name], rig)
    finally:
        again.close()


def run_changed(subject: Subject, adapter: Any, rig: Rig, row: cells.Row, allowed: cells.Cell) -> None:
    adapter.check_identity()
    rig.lab.inject("timeout" if isinstance(adapter.driver.adapter, ZmqLink) else "disconnect", subject.wire, times=1)
    with pytest.raises((Disconnected, Timeout)):
        subject.first(adapter)
    rig.lab.inject(row.kind, subject.wire, **row.settings)
    for _ in range(2):
        given, took_s = outcome(lambda: subject.first(adapter), subject.answers[0])
        assert given & set(allowed), given
    check(subject, adapter, rig, given, took_s, allowed)


def run_restart(subject: Subject, adapter: Any, rig: Rig, row: cells.Row, allowed: cells.Cell) -> None:
    """Settings are read from the device again, not remembered; what the device no longer knows is an error."""
    rig.lab.inject(row.kind, subject.wire, **row.settings)
    given, took_s = outcome(lambda: subject.first(adapter), subject.restarted or 0.0)
    if "Timeout" in given:
        assert took_s <= subject.budget_s * cells.TIMEOUT_S + SPARE_S
        given, took_s = outcome(lambda: subject.first(adapter), subject.restarted or 0.0)
    if "NotHomed" in allowed:
        assert adapter.to_safe().state == "FAILED"
        adapter.home()
    subject.prepare(adapter)
    check(subject, adapter, rig, given, took_s, allowed)


def run_second(subject: Subject, adapter: Any, rig: Rig, row: cells.Row, allowed: cells.Cell) -> None:
    adapter.close()
    first, second = Instruments(rig.station), Instruments(rig.station)
    first.add(subject.name, rig.lab.resources[subject.name])
    try:
        in_time(subject, lambda: second.add(subject.name, rig.lab.resources[subject.name]), allowed)
        assert len(second) == 0
        assert subject.second(first[subject.name]) == pytest.approx(subject.answers[1])
        assert subject.first(first[subject.name]) == pytest.approx(subject.answers[0])
        check_safe(subject, first[subject.name], rig)
    finally:
        second.close()
        first.close()


RUN = {
    "query": run_query,
    "errors": run_errors,
    "block": run_block,
    "identity": run_identity,
    "changed": run_changed,
    "restart": run_restart,
    "second": run_second,
}
COLUMNS = {driver: column for driver, column in {**cells.FULL, **cells.SHORT}.items() if driver in SUBJECTS}
TESTED = [(driver, row) for driver, column in COLUMNS.items() for row, cell in column.items() if not isinstance(cell, str)]


def run_cell(rig: Rig, driver: str, row: str) -> None:
    """Run one cell of the matrix."""
    subject, column = SUBJECTS[driver], {**cells.FULL, **cells.SHORT}[driver]
    adapter = rig.open(subject.name)
    try:
        subject.prepare(adapter)
        RUN[cells.ROWS[row].test](subject, adapter, rig, cells.ROWS[row], column[row])
    finally:
        adapter.close()


@pytest.fixture(autouse=True)
def _locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELIOGRAPH_RUNTIME_DIR", str(tmp_path))


@pytest.mark.parametrize(("driver", "row"), TESTED)
def test_a_fault_is_one_typed_error_in_time_and_the_next_query_is_right(rigs: Any, driver: str, row: str) -> None:
    run_cell(rigs(SUBJECTS[driver].station), driver, row)


def test_no_cell_is_empty_without_a_reason() -> None:
    for column in cells.FULL.values():
        assert list(column) == list(cells.ROWS)
    assert all(set(cells.SHORT_ROWS) <= set(column) for column in cells.SHORT.values())
    assert all(cell for column in (*cells.FULL.values(), *cells.SHORT.values()) for cell in column.values())


def test_every_fault_of_devices_and_light_names_the_test_that_shows_what_comes_of_it() -> None:
    root = Path(__file__).parents[2]
    assert list(cells.WORLD) == [name for name, kind in KINDS.items() if kind.layer != "reply"]
    assert [name for name, (_, file, test) in cells.WORLD.items() if f"def {test}(" not in (root / file).read_text()] == []


def test_every_driver_with_a_simulator_is_in_the_matrix() -> None:
    # The vendor's library is no simulator; its faults are in `test_fault_matrix_sdk`.
    assert {*cells.FULL, *cells.SHORT} == {*catalogue.DRIVERS} == {*SUBJECTS, "SwabianTagger"}
    assert set(SUBJECTS) == set(SIMULATORS)


@pytest.mark.parametrize("row", [row for driver, row in TESTED if driver == "KoherasBasik" and row != "second"])
def test_a_fault_that_does_not_strike_fails_its_cell(rig: Rig, monkeypatch: pytest.MonkeyPatch, row: str) -> None:
    monkeypatch.setattr(Armed, "strikes", lambda _armed, _asked: False)

    with pytest.raises((AssertionError, pytest.fail.Exception)):
        run_cell(rig, "KoherasBasik", row)


@pytest.mark.parametrize(("driver", "row"), [("OzDD100", "stale"), ("Keysight81160A", "stale"), ("Keysight81160A", "glued"), ("OzDD100", "glued")])
def test_a_driver_that_does_not_find_its_place_again_fails_its_cell(rig: Rig, monkeypatch: pytest.MonkeyPatch, driver: str, row: str) -> None:
    monkeypatch.setattr(VisaLink, "_resynchronise", lambda self: setattr(self, "_owed", False))
    monkeypatch.setattr(VisaLink, "discard", lambda self: b"")

    with pytest.raises((AssertionError, InstrumentError)):
        run_cell(rig, driver, row)


def test_a_socket_that_is_kept_after_silence_fails_its_cell(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ZmqLink, "_reopen", lambda self: None)

    with pytest.raises((AssertionError, InstrumentError)):
        run_cell(rig, "ID900", "stale")


def test_a_stream_that_is_not_begun_anew_fails_its_cell(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TcpLink, "renew", lambda self: None)

    with pytest.raises((AssertionError, InstrumentError)):
        run_cell(rig, "WebSQ", "disconnect")


@pytest.mark.parametrize(("kind", "allowed"), cells.COUNTS.items())
def test_a_counts_port_that_fails_gives_no_counts_but_true_ones(rig: Rig, kind: str, allowed: tuple[str, ...]) -> None:
    subject = SUBJECTS["WebSQ"]
    snspd = rig.open(subject.name)
    try:
        subject.prepare(snspd)
        rig.lab.inject(kind, subject.name, port="counts")
        given, took_s = outcome(lambda: float(snspd.counts(0.01).n.sum() < 10), 1.0)
        # Counts of a simulated bench may take ten timeouts.
        assert took_s < 10 * cells.TIMEOUT_S + SPARE_S
        check(subject, snspd, rig, given, 0.0, allowed)
        assert snspd.counts(0.01).n.sum() < 10
    finally:
        snspd.close()


def recorded(tagger: Any) -> float:
    """Return the sync edges of 0.2 s, a hundred thousand a second: the light is off."""
    return float(sum(int((batch.ch == 3).sum()) for batch in tagger.record(0.2)))


@pytest.mark.parametrize(("kind", "allowed"), cells.SERVICE.items())
def test_a_data_link_that_fails_ends_the_recording_and_the_next_is_whole(rig: Rig, kind: str, allowed: tuple[str, ...]) -> None:
    tagger = rig.open("tagger")
    try:
        tagger.configure(3, -0.4, "FALLING", 0, True)
        rig.lab.inject(kind, "tagger", port="datalink", times=1 if kind == "stale" else cells.PERSISTENT)
        given, took_s = outcome(lambda: recorded(tagger), 20_000.0)
        struck(rig)
        assert given & set(allowed), given
        assert took_s < 1.0 + SPARE_S
        assert tagger.is_safe()
        assert recorded(tagger) == 20_000.0
    finally:
        tagger.close()


@pytest.mark.parametrize(("kind", "allowed"), cells.STREAM.items())
def test_a_stream_that_is_damaged_gives_no_tags_but_whole_ones(rig: Rig, kind: str, allowed: tuple[str, ...]) -> None:
    tagger = rig.open("tagger")
    try:
        for channel in (1, 2, 3):
            tagger.configure(channel, -0.4, "FALLING", 0, True)
        rig.lab.inject(kind, "tagger", port="stream", at=3)
        batches: list[Any] = []
        given, took_s = outcome(lambda: float(bool([batches.append(batch) for batch in tagger.record(0.4)])), 1.0)
        assert given & set(allowed), given
        assert took_s < 2.5 + SPARE_S
        assert all(len(batch.t_ps) == len(batch.ch) and np.all(np.diff(batch.t_ps) >= 0) for batch in batches)
        struck(rig)
        again = list(tagger.record(0.4))
        # Nothing but the sync, a hundred thousand edges a second.
        assert sum(int((batch.ch == 3).sum()) for batch in again) == 40_000
    finally:
        tagger.close()


def test_labels_that_come_late_are_not_taken_for_fresh_ones(rig: Rig) -> None:
    snspd = rig.open("snspd")
    snspd.driver.biases_ua = [5.0, 6.0]
    rig.lab.inject("trickle", "snspd", times=1)
    assert snspd.identify().serial == "SQ-2611"
    struck(rig)

    other = rig.open("snspd")
    other.driver.biases_ua = [7.0, 8.0]

    assert snspd.bias(1) == pytest.approx(7e-6)
    snspd.close()
    other.close()


def test_the_page_of_the_matrix_is_up_to_date() -> None:
    root = Path(__file__).parents[2]

    made = runpy.run_path(str(root / "docs" / "fault_matrix_page.py"))["page"]()

    assert made == (root / "docs" / "reference" / "fault-matrix.md").read_text(), "run `python docs/fault_matrix_page.py`"


@pytest.mark.slow
@pytest.mark.parametrize("driver", list(SUBJECTS))
def test_with_the_timeouts_of_production_a_lost_reply_ends_in_time(rigs: Any, driver: str) -> None:
    rig, subject = rigs(SUBJECTS[driver].station, None), SUBJECTS[driver]
    adapter = rig.open(subject.name)
    try:
        subject.prepare(adapter)
        rig.lab.inject("timeout", subject.wire, times=cells.PERSISTENT)
        given, took_s = outcome(lambda: subject.first(adapter), subject.answers[0])
        struck(rig)
        assert "Timeout" in given
        # Ruling of the architecture: its own budget, retries included, and a second to find the place again.
        assert took_s <= subject.budget_s + 1.0 + SPARE_S
        assert subject.second(adapter) == pytest.approx(subject.answers[1])
    finally:
        adapter.close()


def test_a_wire_that_loses_one_reply_of_fifty_gives_no_wrong_answer(rig: Rig) -> None:
    """A laser asks again; a generator says so. Neither ever takes an answer for that to another question."""
    for driver, errors in (("KoherasBasik", ()), ("Keysight81160A", (Timeout,))):
        subject = SUBJECTS[driver]
        adapter = rig.open(subject.name)
        try:
            subject.prepare(adapter)
            rig.lab.inject("timeout", subject.wire, rate=0.02)
            lost = 0
            for number in range(1500):
                if number >= 60 and rig.lab.struck >= 3:
                    break
                ask, right = ((subject.first, subject.answers[0]), (subject.second, subject.answers[1]))[number % 2]
                try:
                    assert ask(adapter) == pytest.approx(right)
                except errors:
                    lost += 1
            assert lost <= rig.lab.struck
            assert rig.lab.struck >= 3
        finally:
            rig.lab.heal()
            adapter.close()
