"""No sequence of commands, whatever fails meanwhile, lets light on biased detectors that is not attenuated enough: read from the world, never from a report."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from heliograph.core.errors import InstrumentError, InterlockError, LimitError
from heliograph.instruments.guard import arbiter as arbiter_module
from heliograph.instruments.guard import ramp, readings, safe
from heliograph.instruments.guard.arbiter import Arbiter
from heliograph.instruments.guard.interlocks import AttenuatorNow
from heliograph.instruments.guard.permits import BenchState, Permit
from heliograph.mocks.truth import truth

from .guarded_bench import VOAS, Bench


@contextmanager
def refused() -> Iterator[None]:
    """Commands may be refused; what counts is what the world does."""
    with suppress(InterlockError, InstrumentError, LimitError):
        yield


class Commands(RuleBasedStateMachine):
    """Every public command, in any order."""

    bench_type: ClassVar[type[Bench]] = Bench

    @initialize()
    def switched_on(self) -> None:
        self.bench = self.bench_type()

    @rule(on=st.booleans())
    def emission(self, on: bool) -> None:
        with refused():
            self.bench["laser"].emission = on

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
            self.bench["snspd"].set_bias(ch, bias_a)

    @rule(on=st.booleans())
    def enabled(self, on: bool) -> None:
        with refused():
            self.bench["snspd"].enabled = on

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
            self.bench["snspd"].counts(0.01)

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
            self.bench.arbiter.observe_rates("snspd", {1: rate_hz}, 0.1)

    @rule()
    def look(self) -> None:
        with refused():
            self.bench.arbiter.look()


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
    tried(Commands, 15, 40)


def test_nor_does_any_sequence_in_which_things_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    # A fault that comes between a reading and the next command is noticed by the next reading; here every command reads afresh.
    monkeypatch.setattr(arbiter_module, "FRESH_S", 0.0)
    tried(CommandsAndFaults, 15, 35)


@pytest.mark.slow
def test_nor_does_any_of_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arbiter_module, "FRESH_S", 0.0)
    tried(CommandsAndFaults, 500, 60)


def test_without_the_permit_a_sequence_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Arbiter, "permit", lambda *_: Permit())
    with pytest.raises(AssertionError, match="dB are needed"):
        tried(Commands, 200, 40)


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
