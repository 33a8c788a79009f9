"""Arming while somebody makes the bench safe: nothing that was under way may follow, and no state is overwritten."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from heliograph.core.errors import ArmRefused, DeviceFault, InterlockOpen, Tripped
from heliograph.instruments.guard import safe
from heliograph.instruments.guard.permits import BenchState
from heliograph.instruments.waveform_sources import KeysightSource
from heliograph.mocks.truth import truth

from .guarded_bench import Bench


def dark(bench: Bench) -> bool:
    now = truth(bench.world)
    return not now["emission"] and max(now["bias_a"]) == 0.0 and not now["enabled"]


def in_another_thread(act: Callable[[], object]) -> None:
    thread = threading.Thread(target=act)
    thread.start()
    thread.join()


def when(bench: Bench, done: Callable[[str, str], bool], act: Callable[[], object]) -> None:
    """Do something once, in another thread, right after the command that fits was sent and read back."""
    note, once = bench.arbiter.done, threading.Event()

    def watched(name: str, quantity: str, value: float) -> None:
        note(name, quantity, value)
        if not once.is_set() and done(name, quantity):
            once.set()
            in_another_thread(act)

    bench.arbiter.done = watched  # type: ignore[method-assign]


MOMENTS: list[Callable[[str, str], bool]] = [
    lambda name, _: name == "voa_in",
    lambda _, quantity: quantity == "enabled",
    lambda _, quantity: quantity == "bias:1",
    lambda _, quantity: quantity == "power_w",
    lambda _, quantity: quantity == "emission",
]


@pytest.mark.parametrize("moment", MOMENTS, ids=["attenuators", "enabled", "bias", "power", "emission"])
def test_arming_ends_where_the_bench_is_made_safe(moment):
    bench = Bench()
    when(bench, moment, bench.arbiter.secure)

    with pytest.raises((ArmRefused, InterlockOpen), match="made safe"):
        bench.arbiter.arm()

    assert dark(bench)
    assert bench.arbiter.state is BenchState.SAFE
    bench.arbiter.arm()
    assert truth(bench.world)["emission"]


@pytest.mark.parametrize("moment", MOMENTS, ids=["attenuators", "enabled", "bias", "power", "emission"])
def test_arming_does_not_undo_a_trip(moment):
    bench = Bench()
    when(bench, moment, lambda: bench.arbiter.trip("somebody pulled the handle"))

    with pytest.raises((ArmRefused, InterlockOpen, Tripped)):
        bench.arbiter.arm()

    assert dark(bench)
    assert bench.arbiter.state is BenchState.TRIPPED
    with pytest.raises(Tripped, match="pulled the handle"):
        bench["laser"].emission = True


@pytest.mark.parametrize(("act", "state"), [("secure", BenchState.SAFE), ("trip", BenchState.TRIPPED)])
def test_the_last_look_of_arming_is_no_gap(act, state):
    bench = Bench()
    look = bench.arbiter.look

    def looked() -> None:
        look()
        in_another_thread(lambda: bench.arbiter.trip("late") if act == "trip" else bench.arbiter.secure())

    bench.arbiter.look = looked  # type: ignore[method-assign]

    with pytest.raises((ArmRefused, Tripped)):
        bench.arbiter.arm()

    assert bench.arbiter.state is state
    assert dark(bench)


def test_at_any_moment_of_arming_the_bench_stays_safe():
    for delay_s in (0.0, 0.01, 0.03, 0.1, 0.2):
        bench = Bench()
        for one in bench.instruments.values():
            one.share()
        asked = bench.arbiter.generation
        other = threading.Thread(target=lambda wait=delay_s, arbiter=bench.arbiter: (time.sleep(wait), arbiter.secure()))
        other.start()
        try:
            # Whichever thread comes first.
            bench.arbiter.arm(since=asked)
        except (ArmRefused, InterlockOpen, DeviceFault):
            # A bias that was parked between its setting and its read-back is a fault to who set it.
            assert bench.arbiter.state is BenchState.SAFE
        other.join()
        assert bench.arbiter.state is BenchState.SAFE
        assert dark(bench)


def test_light_is_refused_while_the_bench_is_being_made_safe(monkeypatch):
    """It would shine at an instrument that was made dark before, and the bench would be called safe."""
    bench, inside, goes_on = Bench(), threading.Event(), threading.Event()
    to_safe = KeysightSource.to_safe

    def held(one):
        if not inside.is_set():
            inside.set()
            goes_on.wait(20.0)
        return to_safe(one)

    monkeypatch.setattr(safe, "DEADLINE_S", 30.0)
    monkeypatch.setattr(KeysightSource, "to_safe", held)
    other = threading.Thread(target=bench.arbiter.secure)
    other.start()
    assert inside.wait(20.0)

    for act in (lambda: setattr(bench["laser"], "emission", True), lambda: bench["snspd"].set_bias(1, 18e-6)):
        with pytest.raises(InterlockOpen, match="being made safe"):
            act()
    with pytest.raises(ArmRefused, match="made safe"):
        bench.arbiter.arm()

    goes_on.set()
    other.join()
    assert bench.arbiter.state is BenchState.SAFE
    assert dark(bench)
    bench.arbiter.arm()
    assert truth(bench.world)["emission"]
