"""What a whole bench makes of a fault that comes while it works: light off, or a run that ends with its reason and gives no key."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from heliograph.acquisition.runs import Run
from heliograph.control.bench import Bench, open_bench
from heliograph.control.parties.node import network
from heliograph.core.entropy import SimRandom
from heliograph.core.errors import AlignmentError, ClockLost, DeviceFault, InterlockOpen, NoKeyError, Overflow, Timeout, Tripped
from heliograph.instruments.connect import connect
from heliograph.instruments.guard.arbiter import FRESH_S
from heliograph.instruments.station import Station, default_text
from heliograph.mocks.faults import Fault
from heliograph.mocks.lab import Lab
from heliograph.mocks.world import World
from heliograph.postprocess.procedures.key_exchange import KeyExchange


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    monkeypatch.setenv("HELIOGRAPH_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr("heliograph.instruments.guard.safe.DEADLINE_S", 0.5)
    monkeypatch.setattr("heliograph.instruments.guard.ramp.BIAS_PAUSE_S", 0.0)

    @contextmanager
    def bench(*faults: Fault) -> Iterator[tuple[Bench, Lab]]:
        station = Station.parse(default_text(), tmp_path / "station.toml")
        lab = Lab(station.plain(), faults)
        with lab.in_thread() as resources, connect(station, resources.__getitem__, home=True) as instruments:
            made = Bench(station, instruments, tmp_path / "runs")
            made.arm()
            yield made, lab

    return bench


MIDDLE_S = 2.4
"""Bench time in the middle of the block of an exchange of a second, which begins after counting and aligning."""


def light_up(bench: Bench) -> None:
    """Let detected light through, as procedures do."""
    volts = np.zeros(10)
    volts[5] = 2.5
    for output in (1, 2):
        bench["awg_im"].load(output, volts, 1e9)
        bench["awg_im"].output(output, True)
    bench["voa_in"].attenuation_db = 33.61
    for name in ("voa_a", "voa_b"):
        bench[name].attenuation_db = 1.0


def is_dark(world: World) -> bool:
    return not world.laser.emission and not any(world.nanowire(k).bias_a for k in range(2))


def test_an_armed_bench_that_nobody_commands_is_watched_all_the_same(tmp_path):
    lab = Lab(Station.parse(default_text(), tmp_path / "station.toml").plain(), [])
    with lab.in_thread() as resources:
        text = default_text().decode().replace("simulated = true", "simulated = false")
        for name, addresses in resources.items():
            for key, address in addresses.items():
                text = re.sub(rf'(?m)^({name}\.wire = .*{key} = )"[^"]*"', rf'\g<1>"{address}"', text)
        (tmp_path / "station.toml").write_text(text)
        with open_bench(tmp_path / "station.toml") as bench:
            assert bench.instruments.arbiter.state == "ARMED"

            lab.inject("power-cycle", "laser", times=1)

            end = time.monotonic() + 15.0
            while not (bench.instruments.arbiter.state == "TRIPPED" and is_dark(lab.world)) and time.monotonic() < end:
                time.sleep(0.05)
            assert bench.instruments.arbiter.cause == "laser: the light went out by itself"
            assert is_dark(lab.world)


def test_light_that_does_not_stop_is_told_and_stopped_by_everything_else(opened):
    with pytest.raises(DeviceFault, match="laser FAILED"), opened() as (bench, lab):
        lab.inject("emission-stuck")

        reports = {report.name: report for report in bench.instruments.make_safe()}

        assert reports["laser"].state == "FAILED"
        assert {report.state for name, report in reports.items() if name != "laser"} == {"CONFIRMED"}
        assert lab.world.laser.emission
        assert all(lab.world.attenuation_db(name) == 60.0 for name in ("voa_in", "voa_a", "voa_b", "voa_c"))
        assert not any(lab.world.nanowire(k).bias_a for k in range(2))


def test_an_interlock_loop_that_opens_trips_the_bench(opened):
    with opened() as (bench, lab):
        arbiter = bench.instruments.arbiter
        assert lab.world.emitted_w() > 0.0
        lab.inject("interlock-open")
        assert lab.world.emitted_w() == 0.0

        with pytest.raises(Tripped, match="laser: the interlock loop is open"):
            arbiter.look()

        assert is_dark(lab.world)
        arbiter.reset()
        with pytest.raises(InterlockOpen, match="interlock loop is open"):
            bench["laser"].emission = True
        lab.heal()
        # A moment ago it was read as open.
        time.sleep(FRESH_S)
        bench["laser"].emission = True
        assert lab.world.emitted_w() > 0.0


def test_an_attenuator_that_no_longer_answers_counts_as_open_and_trips_the_bench(opened, monkeypatch):
    monkeypatch.setattr("heliograph.instruments.oz_optics.MOVING", 1.0)
    with pytest.raises(DeviceFault, match="voa_in FAILED"), opened() as (bench, lab):
        light_up(bench)
        lab.inject("timeout", "voa_in")

        with pytest.raises(Timeout):
            bench["voa_in"].measured_db  # noqa: B018

        assert bench.instruments.arbiter.state == "TRIPPED"
        assert "voa_in" in bench.instruments.arbiter.cause
        assert is_dark(lab.world)


def test_a_stuck_attenuator_is_told_when_it_is_moved(opened, monkeypatch):
    with opened() as (bench, lab):
        monkeypatch.setattr("heliograph.instruments.oz_optics.MOVING", 0.3)
        lab.inject("voa-stuck", "voa_in")
        with pytest.raises(DeviceFault, match="stuck"):
            bench["voa_in"].attenuation_db = 40.0


def test_a_nanowire_that_latches_is_biased_anew_and_counts_again(opened):
    with opened() as (bench, lab):
        light_up(bench)
        before = bench["snspd"].counts(0.1).n
        lab.inject("latch", "D1")

        silent, again = bench["snspd"].counts(0.5).n[0], bench["snspd"].counts(0.1).n[0]

        assert silent == 0
        assert again == pytest.approx(before[0], rel=0.05)
        assert not lab.world.is_latched(0)


def test_light_from_outside_trips_the_count_rate_latch(opened):
    with opened() as (bench, lab):
        light_up(bench)
        lab.inject("blinding", amount=2e-12)
        with pytest.raises(Tripped):
            bench["snspd"].counts(0.1)
        assert is_dark(lab.world)


@pytest.mark.parametrize(("name", "told"), [("laser", "light went out"), ("snspd", "went away")])
def test_a_device_that_was_switched_off_and_on_trips_the_bench(opened, name, told):
    with opened() as (bench, lab):
        lab.inject("power-cycle", name, times=1)
        with suppress(Timeout):
            bench[name].identify()
        with suppress(Tripped):
            bench.instruments.arbiter.look()

        assert bench.instruments.arbiter.state == "TRIPPED"
        assert told in bench.instruments.arbiter.cause
        assert is_dark(lab.world)


def test_a_reference_that_goes_away_ends_the_recording(opened):
    with opened() as (bench, lab):
        light_up(bench)
        batches = bench["tagger"].record(2.0)
        next(batches)
        lab.inject("clock-lost")
        with pytest.raises(ClockLost, match="EXT"):
            for _ in batches:
                pass
        assert bench["tagger"].is_safe()


def tagged(opened: Any, *faults: Fault) -> tuple[int, int]:
    """Return how many tags of the detectors arrive in a recording, and how many the gaps say are missing."""
    tags = missing = 0
    with opened(*faults) as (bench, _):
        light_up(bench)
        try:
            for batch in bench["tagger"].record(0.4):
                tags += int((batch.ch != 3).sum())
                missing += sum(gap.missed or 0 for gap in batch.gaps)
        except Overflow:
            pass
    return tags, missing


def test_the_gaps_of_an_overflow_hold_exactly_the_tags_that_are_missing(opened):
    whole, none = tagged(opened)
    kept, lost = tagged(opened, Fault("tagger-overflow"))
    assert none == 0
    assert lost > 1000
    assert kept + lost == whole


def test_a_recording_that_ends_early_says_what_the_tagger_lost(opened):
    with opened(Fault("tagger-overflow")) as (bench, _):
        light_up(bench)
        tagger = bench["tagger"]
        closed = tagger.record(2.0)
        next(closed)
        with pytest.raises(Overflow, match="events are lost"):
            closed.close()
        tagger.start()
        tagger.read(5.0)
        with pytest.raises(Overflow, match="events are lost"):
            tagger.stop()

        batches, gaps = tagger.record(2.0), []
        with pytest.raises(Overflow):
            for batch in batches:
                gaps += [gap for gap in batch.gaps if gap.reason == "device-error"]
                tagger.end()

        (gap,) = gaps
        assert (gap.t0_ps, gap.t1_ps) == (0, 200_000_040_000)
        assert gap.missed > 1000
        assert tagger.is_safe()


def exchange(bench: Bench, folder: Path) -> Run:
    return bench.run(KeyExchange(store=folder / "store", source=SimRandom(1), pair="A-B", seconds=1.0), progress=lambda *_: None)


@pytest.mark.parametrize("fault", [Fault("slip", "A"), Fault("polarisation-jump", amount=1.6), Fault("fibre-cut", "B")])
def test_light_that_goes_bad_in_the_middle_of_a_block_makes_no_key(opened, tmp_path, fault):
    with opened(replace(fault, after_s=MIDDLE_S)) as (bench, lab):
        run = exchange(bench, tmp_path)
        assert lab.world.clock_ps > MIDDLE_S * 1e12
    with run, network(tmp_path / "store", "AB") as keys:
        with pytest.raises(NoKeyError):
            keys.distil(run)
        assert keys.parties["A"].available_bits("B") == 0


def test_swapped_cables_are_found_by_the_pattern_before_the_block(opened, tmp_path):
    with opened(Fault("swapped-channels")) as (bench, _), pytest.raises(AlignmentError, match="swapped"):
        exchange(bench, tmp_path)
    assert not list((tmp_path / "store").glob("*/patterns/*"))
