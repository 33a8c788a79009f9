"""A key exchange that pauses by itself while the light is bad, and whose slots are never shifted by that."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from heliograph.acquisition.announcements import decode_chunks
from heliograph.acquisition.events import Events
from heliograph.acquisition.procedures.count_rates import CountRates
from heliograph.acquisition.runs import Run
from heliograph.acquisition.sent import load_sent
from heliograph.control.bench import Bench
from heliograph.control.parties.node import network
from heliograph.core.entropy import SimRandom
from heliograph.core.errors import DeviceFault, Overflow
from heliograph.instruments.connect import connect
from heliograph.instruments.station import Station, default_text
from heliograph.mocks.devices.id900_recorder import Recorder
from heliograph.mocks.faults import Fault
from heliograph.mocks.lab import Lab
from heliograph.postprocess.procedures.key_exchange import KeyExchange, pattern_path

POWER = '{ metric = "power", on = "laser", below = "9 mW", for = "0.2 s", resume_above = "9.5 mW", resume_for = "0.4 s" }'
QBER = '{ metric = "qber", above = 0.05, for = "0.4 s", resume_below = 0.03, resume_for = "0.4 s" }'


@dataclass
class Ruled:
    """A bench with suspend rules, its world, and what happened to it on the way."""

    bench: Bench
    lab: Lab
    folder: Path
    rows: list[dict[str, float]] = field(default_factory=list)

    def exchange(self, happens: Callable[[dict[str, float]], None] = lambda _: None, **parameters: Any) -> Run:
        def told(topic: str, record: Any) -> None:
            if topic == "results":
                self.rows.append(record)
                happens(record)

        return self.bench.run(KeyExchange(store=self.folder / "store", source=SimRandom(1), pair="A-B", **parameters), progress=told)

    def suffer(self, kind: str, amount: float, for_s: float) -> None:
        """Let something go wrong now and be well again after a time."""
        now_s = self.lab.world.clock_ps * 1e-12
        self.lab.inject(Fault(kind, amount=amount))
        self.lab.inject(Fault(kind, amount=-amount, after_s=now_s + for_s))


@contextmanager
def ruled(folder: Path, *rules: str) -> Iterator[Ruled]:
    text = default_text() + f"\n[safety]\nsuspend = [{', '.join(rules)}]\n".encode()
    station = Station.parse(text, folder / "station.toml")
    lab = Lab(station.plain())
    with lab.in_thread() as resources, connect(station, resources.__getitem__, home=True) as instruments, pytest.MonkeyPatch.context() as patch:
        bench = Bench(station, instruments, folder / "runs")
        in_step(instruments["tagger"], patch)
        bench.arm()
        yield Ruled(bench, lab, folder)


def in_step(tagger: Any, patch: pytest.MonkeyPatch) -> None:
    """Let the lab be one piece of a recording ahead of the run at most: what happens "now" would else come at a time that depends on who of them is slower."""
    room = Recorder.has_room

    def has_room(recorder: Recorder) -> bool:
        made, read = recorder._recording, tagger._recording
        return room(recorder) and (made is None or read is None or made.index <= read._next)

    patch.setattr(Recorder, "has_room", has_room)


def at(moment_s: float, what: Callable[[], None]) -> Callable[[dict[str, float]], None]:
    """Return what does something once, when so much light has been received."""
    done: list[bool] = []

    def look(record: dict[str, float]) -> None:
        if record["Time (s)"] >= moment_s and not done:
            done.append(True)
            what()

    return look


def told(run: Run) -> list[str]:
    return [text for _, _, source, text in run.events if source == "suspend"]


def sent_pulses(run: Run, folder: Path) -> set[int]:
    return {load_sent(pattern_path(folder / "store", user, run.run_id)).pulses for user in "AB"}


def error_rates(run: Run, folder: Path) -> list[float]:
    """Return the X error rate of what was announced before, between and behind the pauses; with one slot off, half of all bits would differ."""
    patterns = [load_sent(pattern_path(folder / "store", user, run.run_id)).pattern for user in "AB"]
    encoded, meta = run.announcement()
    events = Events.joined(decode_chunks(encoded, 0, meta[-1]["n_slots"]))
    at_x = np.logical_and(*(one.basis[events.slot % len(one)] == 0 for one in patterns))
    wrong = (patterns[0].bit[events.slot % 10_000] ^ patterns[1].bit[events.slot % 10_000] ^ events.detector)[at_x]
    edges = [gap.t1_ps // 10_000 for batch in run.batches() for gap in batch.gaps if gap.reason == "suspended"]
    return [float(part.mean()) for part in np.split(wrong, np.searchsorted(events.slot[at_x], edges)) if part.size]


@pytest.fixture(scope="module")
def one_bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ruled]:
    with ruled(tmp_path_factory.mktemp("watched"), POWER) as bench:
        yield bench


@pytest.fixture
def watched(one_bench: Ruled) -> Ruled:
    """A bench that is well and armed, however the last test left it."""
    one_bench.lab.heal()
    if one_bench.bench.instruments.arbiter.state != "ARMED":
        one_bench.bench.reset()
        one_bench.bench.arm()
    return one_bench


def test_a_laser_that_drifts_pauses_a_run_which_goes_on_when_it_is_well_again(watched):
    with watched.exchange(at(0.4, lambda: watched.suffer("laser-drift", -2.0, 1.5)), seconds=1.2) as run:
        why, on = told(run)
        assert why.startswith("suspended: power laser 6.3")
        assert on.startswith("goes on: power laser 10 mW")
        (lasted,) = run["pauses/lasted"]
        assert 1.0 < lasted < 2.5
        (gap,) = [gap for batch in run.batches() for gap in batch.gaps if gap.reason == "suspended"]
        assert gap.t0_ps * 1e-12 == pytest.approx(float(run["pauses/begin"][0]), abs=0.21)
        assert 0.2 < (gap.t1_ps - gap.t0_ps) * 1e-12 < 0.201
        assert not ((run["tagger/t"] >= gap.t0_ps) & (run["tagger/t"] < gap.t1_ps)).any()
        # What was under way counts as sent, the rest of the pause does not.
        slots = run.announced().meta[-1]["n_slots"]
        assert 120_000_000 <= slots < 141_000_000
        assert all(abs(pulses - slots) < 200 for pulses in sent_pulses(run, watched.folder))
        assert run.summary["selection"]["slots_lost"] >= 20_000_000
        assert [rate < 0.012 for rate in error_rates(run, watched.folder)] == [True, True]


def test_counts_of_a_pause_are_no_part_of_a_count_rate(watched):
    rows: list[Any] = []

    def seen(topic: str, record: Any) -> None:
        if topic == "results":
            rows.append(record)
            if len(rows) == 3:
                watched.suffer("laser-drift", -2.0, 1.0)

    with watched.bench.run(CountRates(duration_s=1.0, period_s=0.1), progress=seen) as run:
        assert [text.partition(":")[0] for text in told(run)] == ["suspended", "goes on"]
        assert run.summary["duration_s"] == pytest.approx(1.0)
        # Three counts fall between the drift and the pause: what is tolerated `for` a time is measured.
        assert run.summary["d1_hz"] == pytest.approx(run.summary["d1_expected_hz"], rel=0.12)
        assert run["snspd/counts"].shape[0] == 10
        assert 0.6 < run["pauses/lasted"][0] < 2.0
    assert np.ptp([row["D1 (1/s)"] for row in rows[5:]]) < 0.05 * rows[-1]["D1 (1/s)"]


@pytest.mark.parametrize("paused", [True, False])
def test_light_whose_loss_nobody_can_place_is_not_kept_however_early_it_ends(watched, monkeypatch, paused):
    stamps, overflow, dropped = Recorder._stamps, [False], [0]

    def short(recorder: Recorder, recording: Any, channel: int, begin: int) -> Any:
        found = stamps(recorder, recording, channel, begin)
        if not overflow[0] or channel == 3:
            return found
        recorder.lost[channel] = recorder.lost.get(channel, 0) + found.size // 2
        dropped[0] += found.size // 2
        return found[: found.size // 2]

    monkeypatch.setattr(Recorder, "_stamps", short)
    store = watched.folder / f"lost-{paused}"
    procedure = KeyExchange(store=store, source=SimRandom(1), pair="A-B", seconds=5.0)
    if not paused:
        monkeypatch.setattr(procedure, "should_stop", lambda: overflow[0])

    def seen(topic: str, record: Any) -> None:
        if topic == "results" and record["Time (s)"] >= 0.4 and not overflow[0]:
            overflow[0] = True
            if paused:
                watched.suffer("laser-drift", -2.0, 1.5)

    with pytest.raises(Overflow, match="events are lost"):
        watched.bench.run(procedure, progress=seen)

    with Run.open(max(watched.bench.folder.glob("*.h5"), key=lambda path: path.stat().st_mtime_ns)) as run:
        assert run.stop["reason"] == "failed"
        assert [gap.missed for batch in run.batches() for gap in batch.gaps if gap.reason == "device-error"] == [dropped[0]]
    assert not list(store.glob("*/patterns/*"))
    overflow[0] = False
    assert len(list(watched.bench["tagger"].record(0.2))) == 1


def test_a_run_gives_up_when_nothing_gets_better(watched):
    done: list[bool] = []

    def darker(batches: Any) -> list[Any]:
        if not done:
            done.append(True)
            watched.suffer("laser-drift", -2.0, 2.5)
        return list(batches)

    procedure = KeyExchange(store=watched.folder / "unlit", source=SimRandom(1), pair="A-B", seconds=0.4, patience_s=0.5)
    record = procedure._preambles_again
    procedure._preambles_again = lambda: darker(record())  # type: ignore[method-assign]
    with pytest.raises(DeviceFault, match="before any light was kept"):
        watched.bench.run(procedure, progress=lambda *_: None)

    with Run.open(max(watched.bench.folder.glob("*.h5"), key=lambda path: path.stat().st_mtime_ns)) as run:
        assert run.stop["reason"] == "failed"
        assert [text.partition(" ")[0] for text in told(run)] == ["suspended:", "given"]
    assert not list((watched.folder / "unlit").glob("*/patterns/*"))


@pytest.mark.slow
def test_errors_of_the_preambles_pause_a_run_and_end_the_pause(tmp_path):
    with ruled(tmp_path, QBER) as bench, bench.exchange(at(0.6, lambda: bench.suffer("polarisation-jump", 1.2, 2.0)), seconds=3.0, check_s=0.6) as run:
        why, on = told(run)
        assert "qber 0." in why
        assert on.startswith("goes on")
        assert sum(gap.reason == "suspended" for batch in run.batches() for gap in batch.gaps) == 4
        assert run["pauses/lasted"].max() > 0.8
        with network(tmp_path / "store", "AB") as keys:
            key = keys.distil(run)
        assert key.qber_x < 0.012
        assert key.key_bits > 0


@pytest.mark.slow
def test_a_run_that_gives_up_keeps_the_light_it_had(tmp_path):
    with ruled(tmp_path, POWER) as bench, bench.exchange(at(1.0, lambda: bench.suffer("laser-drift", -2.0, 1e4)), seconds=5.0, patience_s=1.0) as run:
        assert told(run)[-1].startswith("given up after")
        assert 100_000_000 < run.announced().meta[-1]["n_slots"] < 200_000_000
        assert max(error_rates(run, tmp_path)[:1]) < 0.012


@pytest.mark.slow
def test_a_run_that_was_paused_gives_key(tmp_path):
    with ruled(tmp_path, POWER) as bench, bench.exchange(at(0.4, lambda: bench.suffer("laser-drift", -2.0, 1.5)), seconds=2.0) as run:
        with network(tmp_path / "store", "AB") as keys:
            key = keys.distil(run)
        assert key.key_bits > 0
        assert key.n_events == len(Events.joined(decode_chunks(run.announcement()[0], 0, run.announced().meta[-1]["n_slots"])))
