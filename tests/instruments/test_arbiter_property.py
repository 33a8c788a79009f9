"""No sequence of commands, whatever fails meanwhile, lets light on biased detectors that is not attenuated enough: read from the world, never from a report."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from heliograph.core.errors import InstrumentError, InterlockError, InterlockOpen, LimitError
from heliograph.instruments.guard import arbiter as arbiter_module
from heliograph.instruments.guard import ramp, readings, safe
from heliograph.instruments.guard.arbiter import Arbiter
from heliograph.instruments.guard.interlocks import AttenuatorNow
from heliograph.instruments.guard.permits import BenchState, Permit
from heliograph.instruments.wire.mbx import BiasMode
from heliograph.mocks.truth import truth

from .guarded_bench import VOAS, AvalancheBench, Bench


@contextmanager
def refused() -> Iterator[None]:
    """Commands may be refused; what counts is what the world does."""
    with suppress(InterlockError, InstrumentError, LimitError):
        yield


class Commands(RuleBasedStateMachine):
    """Every public command, in any order."""

    bench_type: ClassVar[type[Bench]] = Bench

    @initialize(attenuation_db=st.sampled_from([0.8, 5.0, 60.0]))
    def switched_on(self, attenuation_db: float) -> None:
        """In the dark attenuators may stand open; what comes then matters most."""
        self.bench = self.bench_type()
        for name in VOAS:
            self.bench[name].attenuation_db = attenuation_db

    @rule(on=st.booleans())
    def emission(self, on: bool) -> None:
        with refused():
            self.bench["laser"].emission = on

    # What harms only together comes often enough to meet.

    @rule()
    def light(self) -> None:
        with refused():
            self.bench["laser"].emission = True

    @rule(first=st.sampled_from([1, 2]))
    def full_bias(self, first: int) -> None:
        for ch in (first, 3 - first):
            with refused():
                self.bench[self.bench.detector].set_bias(ch, self.bench[self.bench.detector].operate_bias)

    @rule(attenuation_db=st.sampled_from([0.8, 5.0]))
    def open_up(self, attenuation_db: float) -> None:
        for name in self.bench.attenuators:
            with refused():
                self.bench[name].attenuation_db = attenuation_db

    @rule(power_w=st.sampled_from([0.0, 1e-6, 1e-3, 10e-3, 15e-3, 16e-3]))
    def power(self, power_w: float) -> None:
        with refused():
            self.bench["laser"].power_setpoint_w = power_w

    @rule(name=st.sampled_from(VOAS), attenuation_db=st.sampled_from([0.8, 5.0, 20.0, 33.6, 60.0]))
    def attenuation(self, name: str, attenuation_db: float) -> None:
        with refused():
            self.bench[name].attenuation_db = attenuation_db

    @rule(ch=st.sampled_from([1, 2]), bias_a=st.sampled_from([0.0, 5e-6, 18e-6, 25e-6]))
    def bias(self, ch: int, bias_a: float) -> None:
        with refused():
            self.bench[self.bench.detector].set_bias(ch, bias_a)

    @rule(on=st.booleans())
    def enabled(self, on: bool) -> None:
        with refused():
            self.bench[self.bench.detector].enabled = on

    @rule(ch=st.sampled_from([1, 2]), on=st.booleans())
    def modulator(self, ch: int, on: bool) -> None:
        with refused():
            self.bench["awg_im"].output(ch, on)

    @rule()
    def arm(self) -> None:
        with refused():
            self.bench.arbiter.arm()

    @rule(name=st.sampled_from(VOAS))
    def home(self, name: str) -> None:
        with refused():
            self.bench[name].home()

    @rule()
    def make_safe(self) -> None:
        self.bench.arbiter.secure()

    @rule()
    def reset(self) -> None:
        with refused():
            self.bench.arbiter.reset()

    @rule()
    def count(self) -> None:
        with refused():
            self.bench[self.bench.detector].counts(0.01)

    @invariant()
    def detectors_never_see_unattenuated_light(self) -> None:
        if hasattr(self, "bench"):
            assert not self.bench.world.violations, self.bench.world.violations[0]


class CommandsAndFaults(Commands):
    """And everything that may fail meanwhile."""

    @rule(name=st.sampled_from([*VOAS, "laser", "snspd", "awg_im"]), cut=st.booleans())
    def cable(self, name: str, cut: bool) -> None:
        self.bench.wires[name].cut = cut

    @rule(name=st.sampled_from(VOAS))
    def power_cycle(self, name: str) -> None:
        self.bench.voas[name].answer("RST")

    @rule()
    def blackout(self) -> None:
        self.bench.world.set_laser(power_w=0.0, emission=False)

    @rule(rate_hz=st.sampled_from([0.0, 1e5, 1e7]))
    def rates(self, rate_hz: float) -> None:
        with refused():
            self.bench.arbiter.observe_rates(self.bench.detector, {1: rate_hz}, 0.1)

    @rule()
    def look(self) -> None:
        with refused():
            self.bench.arbiter.look()


class LineCommands(Commands):
    """The same on a bench of avalanche diodes, with bias controllers, an attenuator in one of them, a power meter, and waveforms that are loaded."""

    bench_type: ClassVar[type[Bench]] = AvalancheBench

    @rule(ch=st.sampled_from([1, 2]), bias_v=st.sampled_from([40.0, 57.5, 60.0]))
    def bias(self, ch: int, bias_v: float) -> None:
        with refused():
            self.bench["spd"].set_bias(ch, bias_v)

    @rule(attenuation_db=st.sampled_from([0.5, 5.0, 20.0]))
    def integrated_attenuation(self, attenuation_db: float) -> None:
        with refused():
            self.bench["voa_mbx"].attenuation_db = attenuation_db

    @rule(name=st.sampled_from(["mbx_1", "mbx_2"]), held=st.sampled_from([-8.0, 5.0, 9.0, BiasMode.OFF, BiasMode.PEAK, BiasMode.NULL]))
    def modulator_bias(self, name: str, held: float | BiasMode) -> None:
        with refused():
            setattr(self.bench[name], "mode" if isinstance(held, BiasMode) else "bias_v", held)

    @rule(ch=st.sampled_from([1, 2]), volts=st.sampled_from([0.0, 2.5, 6.0]))
    def waveform(self, ch: int, volts: float) -> None:
        with refused():
            self.bench["awg_im"].load(ch, np.linspace(-volts, volts, 10), 1e9)

    @rule(wavelength_m=st.sampled_from([1310e-9, 1550e-9, 3e-6]))
    def meter(self, wavelength_m: float) -> None:
        with refused():
            self.bench["meter"].wavelength_m = wavelength_m
            assert self.bench["meter"].power_w >= -1e-9


class LineCommandsAndFaults(LineCommands, CommandsAndFaults):
    """And what may fail of these."""

    @rule(name=st.sampled_from(["spd", "second", "mbx_1", "mbx_2", "meter"]), cut=st.booleans())
    def more_cables(self, name: str, cut: bool) -> None:
        self.bench.wires[name].cut = cut

    @rule(name=st.sampled_from(["voa_in", "laser", "awg_im"]), cut=st.booleans())
    def cable(self, name: str, cut: bool) -> None:
        self.bench.wires[name].cut = cut

    @rule(number=st.sampled_from([0, 1]))
    def power_cycle_of_a_diode(self, number: int) -> None:
        self.bench.spds[number].power_cycle()

    @rule(name=st.sampled_from(["mbx_1", "mbx_2"]))
    def power_cycle_of_a_bias_controller(self, name: str) -> None:
        self.bench.units[name].power_cycle()


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ramp, "BIAS_PAUSE_S", 0.0)
    monkeypatch.setattr(safe, "DEADLINE_S", 0.05)


def tried(machine: type[RuleBasedStateMachine], examples: int, steps: int) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(max_examples=examples, stateful_step_count=steps, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)),
    )


def test_no_sequence_of_commands_lets_unattenuated_light_on_biased_detectors() -> None:
    tried(Commands, 10, 40)


def test_nor_does_any_sequence_in_which_things_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    # A fault that comes between a reading and the next command is noticed by the next reading; here every command reads afresh.
    monkeypatch.setattr(arbiter_module, "FRESH_S", 0.0)
    tried(CommandsAndFaults, 10, 35)


@pytest.mark.slow
def test_nor_does_any_on_a_bench_of_avalanche_diodes_and_bias_controllers() -> None:
    tried(LineCommands, 12, 40)


@pytest.mark.slow
def test_nor_does_any_of_these_in_which_things_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arbiter_module, "FRESH_S", 0.0)
    tried(LineCommandsAndFaults, 10, 35)


@pytest.mark.slow
@pytest.mark.parametrize("machine", [CommandsAndFaults, LineCommandsAndFaults])
def test_nor_does_any_of_many(monkeypatch: pytest.MonkeyPatch, machine: type[Commands]) -> None:
    monkeypatch.setattr(arbiter_module, "FRESH_S", 0.0)
    tried(machine, 500, 60)


@pytest.mark.parametrize("machine", [Commands, LineCommands])
def test_without_the_permit_a_sequence_is_found(monkeypatch: pytest.MonkeyPatch, machine: type[Commands]) -> None:
    monkeypatch.setattr(Arbiter, "permit", lambda *_: Permit())
    with pytest.raises(AssertionError, match="dB are needed"):
        tried(machine, 200, 40)


def test_an_attenuator_that_is_believed_unread_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readings, "_attenuator", lambda _one: AttenuatorNow(60.0))
    with pytest.raises(AssertionError, match="dB are needed"):
        tried(Commands, 200, 40)


def test_the_bench_of_this_test_does_arm_and_is_lit() -> None:
    bench = Bench()
    bench.arbiter.arm()

    now = truth(bench.world)

    assert bench.arbiter.state is BenchState.ARMED
    assert now["emission"]
    assert now["enabled"]
    assert min(now["bias_a"]) == pytest.approx(18e-6)
    bench["voa_a"].attenuation_db = bench["voa_b"].attenuation_db = 1.0
    bench["voa_in"].attenuation_db = 33.61
    assert bench.world._attenuation_db["voa_in"] == pytest.approx(33.61)
    assert not bench.world.violations


def test_so_does_the_bench_of_avalanche_diodes() -> None:
    bench = AvalancheBench()
    bench.arbiter.arm()

    assert bench.arbiter.state is BenchState.ARMED
    assert truth(bench.world)["emission"]
    assert [bench.world.diode(k).bias_v for k in range(2)] == pytest.approx([60.0, 60.0])
    assert bench.world._attenuation_db["voa_mbx"] == pytest.approx(20.0, rel=3e-3)
    bench["voa_a"].attenuation_db = bench["voa_b"].attenuation_db = 1.0
    bench["voa_in"].attenuation_db = 15.0
    with pytest.raises(InterlockOpen, match="76"):
        bench["voa_mbx"].attenuation_db = 0.5
    assert bench.world._attenuation_db["voa_mbx"] > 19.9
    bench["voa_in"].attenuation_db = 33.61
    bench["voa_mbx"].attenuation_db = 0.5
    assert bench.world._attenuation_db["voa_mbx"] == pytest.approx(0.5, abs=0.01)
    assert not bench.world.violations


def test_an_integrated_attenuator_that_is_believed_unread_is_found_too(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = AvalancheBench()
    bench["laser"].power_setpoint_w = 10e-3
    bench["laser"].emission = True
    for name, attenuation_db in (("voa_in", 12.0), ("voa_a", 1.0), ("voa_mbx", 0.5)):
        bench[name].attenuation_db = attenuation_db
    with pytest.raises(InterlockOpen, match="voa_mbx 0.50 dB"):
        bench["spd"].set_bias(1, 60.0)
    assert not bench.world.violations

    monkeypatch.setattr(readings, "_attenuator", lambda one: AttenuatorNow(20.0 if one.name == "voa_mbx" else one.measured_db))
    monkeypatch.setattr(arbiter_module, "FRESH_S", 0.0)
    bench["spd"].set_bias(1, 60.0)

    assert "dB are needed" in bench.world.violations[0]
