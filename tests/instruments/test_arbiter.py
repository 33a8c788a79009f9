"""What the arbiter permits, what makes it trip, and how one gets out of that again: with real adapters and drivers on simulated devices."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from datetime import date
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from heliograph.core.errors import ArmRefused, Disconnected, InstrumentError, InterlockOpen, LimitError, Tripped
from heliograph.instruments.attenuators import OzAttenuator
from heliograph.instruments.guard import arming, ramp, readings, safe
from heliograph.instruments.guard.arbiter import Arbiter, Event
from heliograph.instruments.guard.permits import BenchState
from heliograph.instruments.roles import SafeReport, TagBatch
from heliograph.instruments.wire.interbus import Status
from heliograph.mocks.devices import basik
from heliograph.mocks.faults import Fault
from heliograph.mocks.truth import truth

from .guarded_bench import STATION, Bench

CHANNELS = {"D1": 1, "D2": 2, "sync": 3}


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr(safe, "DEADLINE_S", 0.8)
    return Bench()


@pytest.fixture
def lit(bench: Bench) -> Bench:
    """Armed, and as bright as pair A-B is."""
    bench.arbiter.arm()
    bench["voa_a"].attenuation_db = bench["voa_b"].attenuation_db = 1.0
    bench["voa_in"].attenuation_db = 33.61
    return bench


def dark(bench: Bench) -> bool:
    now = truth(bench.world)
    return not now["emission"] and max(now["bias_a"]) == 0.0 and not now["enabled"]


def batch(*times_ps: tuple[int, Any], seconds: float = 0.2) -> TagBatch:
    """Tags by channel."""
    t_ps = np.concatenate([np.asarray(times, np.int64) for _, times in times_ps])
    ch = np.concatenate([np.full(len(times), channel, np.uint8) for channel, times in times_ps])
    order = np.argsort(t_ps, kind="stable")
    return TagBatch(0, t_ps[order], ch[order], 0, round(seconds * 1e12))


def honest(rate_hz: float, seed: int, seconds: float = 0.2) -> np.ndarray:
    """Clicks of a detector with its dead time."""
    gaps = 30_000 + np.random.default_rng(seed).exponential(1e12 / rate_hz, round(rate_hz * seconds)).astype(np.int64)
    times = np.cumsum(gaps)
    return times[times < seconds * 1e12]


# Permits


def test_the_states_of_a_bench(bench: Bench) -> None:
    states: list[BenchState] = []
    bench.arbiter.subscribe(lambda event: states.append(event.state) if event.kind == "state" else None)

    bench.arbiter.arm()
    bench.arbiter.secure()
    bench.arbiter.arm()
    bench.arbiter.trip("somebody pulled the handle")
    bench.arbiter.reset()

    assert states == [BenchState.ARMING, BenchState.ARMED, BenchState.SAFE, BenchState.ARMING, BenchState.ARMED, BenchState.TRIPPED, BenchState.SAFE]


def test_without_light_is_a_bench_whose_laser_was_not_switched_on_and_without_a_laser_one_that_is_not_armed(bench: Bench) -> None:
    without = replace(bench.station, instruments={name: one for name, one in bench.station.instruments.items() if one.wire.role != "Laser"})
    alone = Arbiter(without, {"snspd": bench["snspd"]})
    assert (bench.arbiter.unlit, alone.unlit) == ("the bench is safe", "the bench is safe")
    for arbiter in (bench.arbiter, alone):
        arbiter.permit("snspd", "bias:1", 10e-6)
        assert arbiter.state is BenchState.ARMED
    assert (bench.arbiter.unlit, alone.unlit) == ("the laser is off", "")
    bench.arbiter.arm()
    assert bench.arbiter.unlit == ""


def test_light_on_biased_detectors_needs_attenuation_and_nothing_is_sent_without(bench: Bench) -> None:
    for name in ("voa_in", "voa_a"):
        bench[name].attenuation_db = 5.0
    bench["laser"].power_setpoint_w = 10e-3
    bench["snspd"].set_bias(1, 18e-6)
    bench.wires["laser"].sent.clear()

    with pytest.raises(InterlockOpen, match=r"10 mW on biased detectors need 93\.02 dB .* there are 70\.00 dB") as caught:
        bench["laser"].emission = True

    assert caught.value.where == "laser"
    assert not truth(bench.world)["emission"]
    assert not [piece for piece in bench.wires["laser"].sent if b"\x05\x30" in piece]
    assert bench.arbiter.state is BenchState.ARMED


def test_less_attenuation_on_lit_detectors_is_refused_before_the_motor_moves(lit: Bench) -> None:
    before = lit.voas["voa_in"]._attenuation_db

    with pytest.raises(InterlockOpen, match="voa_in"):
        lit["voa_in"].attenuation_db = 20.0

    assert lit.voas["voa_in"]._attenuation_db == before
    assert lit.arbiter.state is BenchState.ARMED


def test_more_power_and_more_bias_are_judged_too(bench: Bench) -> None:
    for name in ("voa_in", "voa_a"):
        bench[name].attenuation_db = 5.0
    bench["laser"].power_setpoint_w = 15e-3
    bench["laser"].emission = True

    with pytest.raises(InterlockOpen):
        bench["snspd"].set_bias(2, 18e-6)
    bench["laser"].power_setpoint_w = 1e-5
    bench["snspd"].set_bias(2, 18e-6)
    with pytest.raises(InterlockOpen, match="15 mW"):
        bench["laser"].power_setpoint_w = 15e-3

    assert bench.world.laser.power_w == pytest.approx(1e-5)


def test_more_light_comes_in_steps_of_a_decibel_with_a_look_at_the_counts_after_each(lit: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    lit["voa_in"].attenuation_db = 45.0
    story: list[Any] = []
    move, count = lit.voas["voa_in"]._move, type(lit["snspd"]).counts
    monkeypatch.setattr(lit.voas["voa_in"], "_move", lambda db: (story.append(db), move(db)))
    monkeypatch.setattr(type(lit["snspd"]), "counts", lambda one, period_s: (story.append("counts"), count(one, period_s))[1])

    lit["voa_in"].attenuation_db = 35.0
    assert story[1::2] == ["counts"] * 10
    assert story[::2] == pytest.approx(list(range(44, 34, -1)))

    story.clear()
    lit["voa_in"].attenuation_db = 60.0
    assert story == [60.0]


def test_a_bias_goes_up_by_tenths_and_rests_on_each_and_goes_down_at_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ramp, "BIAS_PAUSE_S", 0.02)
    biases: list[tuple[float, float]] = []
    turn = bench.world.set_bias
    monkeypatch.setattr(bench.world, "set_bias", lambda k, bias_a: (biases.append((time.monotonic(), bias_a)) if k == 1 else None, turn(k, bias_a)))

    bench["snspd"].set_bias(2, 18e-6)

    steps = [bias_a for _, bias_a in biases]
    times = [at for at, _ in biases]
    assert steps == pytest.approx([1.8e-6 * k for k in range(1, 11)])
    assert min(b - a for a, b in pairwise(times)) >= 0.02
    biases.clear()
    bench["snspd"].set_bias(2, 0.0)
    assert [bias_a for _, bias_a in biases] == [0.0]


def test_what_is_no_number_or_no_quantity_cannot_be_judged(bench: Bench) -> None:
    for quantity, value in (("power_w", float("nan")), ("attenuation_db", float("inf")), ("colour", 1.0)):
        with pytest.raises(LimitError):
            bench.arbiter.permit("laser", quantity, value)


def test_a_fixed_loss_that_expires_while_the_light_is_on_trips(lit: Bench) -> None:
    lit.arbiter._today = lambda: date(2040, 1, 1)

    with pytest.raises(Tripped, match=r"there are 34\.61 dB"):
        lit.arbiter.look()

    assert dark(lit)


# The order of switching on


def test_arming_refuses_an_attenuator_that_is_not_at_its_maximum(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    move = bench.voas["voa_b"]._move
    monkeypatch.setattr(bench.voas["voa_b"], "_move", lambda db: move(min(db, 40.0)))

    monkeypatch.setattr(OzAttenuator, "settled", True)

    with pytest.raises(ArmRefused, match=r"voa_b: 40\.0 dB reads back, not the maximum of 60\.00 dB"):
        bench.arbiter.arm()

    assert bench.arbiter.state is BenchState.SAFE
    assert dark(bench)


class Meter:
    """A power meter that sees some light."""

    name, role, safe_step = "pm", "PowerMeter", 6

    def __init__(self, power_w: float) -> None:
        self.power_w = power_w


@pytest.mark.parametrize(("power_w", "refused"), [(1e-9, False), (1e-6, True)])
def test_arming_wants_the_power_meter_dark(bench: Bench, power_w: float, refused: bool) -> None:
    present: Any = [*bench.instruments.values(), Meter(power_w)]

    if refused:
        with pytest.raises(ArmRefused, match="1 µW are measured although everything is off"):
            arming.arm(present)
        assert dark(bench)
    else:
        arming.arm(present)
        assert truth(bench.world)["emission"]


def test_an_open_interlock_loop_refuses_light(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    value = basik.Basik._value
    monkeypatch.setattr(basik.Basik, "_value", lambda one, register: value(one, register) if register.name != "STATUS" else 2.0)

    with pytest.raises(InterlockOpen, match="interlock loop is open"):
        bench["laser"].emission = True

    assert not truth(bench.world)["emission"]


# Trips


def test_a_rate_above_the_limit_trips_and_only_a_reset_leads_on(lit: Bench) -> None:
    alarms: list[Event] = []
    lit.arbiter.subscribe(lambda event: alarms.append(event) if event.kind == "alarm" else None)

    with pytest.raises(Tripped, match=r"snspd: channel 2: 2\.5 MHz is above the limit of 2\.4 MHz; the bench was made safe"):
        lit.arbiter.observe_rates("snspd", {1: 1e3, 2: 2.5e6}, 0.1)

    assert dark(lit)
    assert [alarm.name for alarm in alarms] == ["snspd"]
    assert "2.5 MHz" in lit.arbiter.cause
    for again in (lit.arbiter.arm, lambda: setattr(lit["laser"], "emission", True), lambda: lit["snspd"].set_bias(1, 1e-6)):
        with pytest.raises(Tripped, match="has tripped"):
            again()
    lit["voa_in"].attenuation_db = 60.0
    lit.arbiter.reset()
    assert lit.arbiter.cause == ""
    lit.arbiter.arm()
    assert lit.arbiter.state is BenchState.ARMED


def test_too_much_light_is_noticed_on_the_way_and_ends_it(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The world is brighter than anybody was told: a fixed loss that is not there."""
    monkeypatch.setattr(type(bench.world), "emitted_w", lambda world, *_: 1e6 * world.laser.power_w if world.laser.emission else 0.0)
    bench["laser"].power_setpoint_w = 10e-3
    for ch in (1, 2):
        bench["snspd"].set_bias(ch, 18e-6)
    bench["snspd"].enabled = True
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(bench["laser"]), "power_w", property(lambda one: one.power_setpoint_w))
        bench["laser"].emission = True
        bench["voa_in"].attenuation_db = 60.0
        with pytest.raises(Tripped, match="above the limit"):
            bench["voa_a"].attenuation_db = bench["voa_b"].attenuation_db = 1.0
            bench["voa_in"].attenuation_db = 33.61

    assert dark(bench)
    assert bench.world._attenuation_db["voa_in"] == 60.0


def test_an_attenuator_that_is_lost_counts_as_open(lit: Bench) -> None:
    lit.wires["voa_in"].cut = True

    with pytest.raises(Disconnected):
        lit["voa_in"].measured_db  # noqa: B018

    assert lit.arbiter.state is BenchState.TRIPPED
    assert "counts as open" in lit.arbiter.cause
    assert dark(lit)
    with pytest.raises(Tripped, match="voa_in FAILED"):
        lit.arbiter.reset()
    lit.wires["voa_in"].cut = False
    lit.arbiter.reset()
    assert str(lit.arbiter.state) == "SAFE"


@pytest.mark.parametrize(
    ("name", "told"), [("laser", "the laser does not answer"), ("awg_im", "counts as open"), ("snspd", "count as biased"), ("voa_c", "counts as open")]
)
def test_a_look_finds_what_is_lost(lit: Bench, name: str, told: str) -> None:
    lit.wires[name].cut = True

    with pytest.raises(Tripped, match=told):
        lit.arbiter.look()

    reached = truth(lit.world)
    assert name == "laser" or not reached["emission"]
    assert name == "snspd" or max(reached["bias_a"]) == 0.0
    assert {db for voa, db in reached["attenuation_db"].items() if voa != name} == {60.0}


def test_a_hiccup_is_no_loss(lit: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    feed, answers = lit.wires["voa_in"]._link.feed, [lambda _data: []]
    monkeypatch.setattr(lit.wires["voa_in"], "_link", type("Once", (), {"feed": lambda _self, data: (answers.pop() if answers else feed)(data)})())

    with pytest.raises(InstrumentError):
        lit["voa_in"].measured_db  # noqa: B018

    assert lit.arbiter.state is BenchState.ARMED


@pytest.mark.parametrize(
    ("happens", "told"),
    [
        (lambda bench: bench.voas["voa_a"].answer("RST"), "as after a power cycle"),
        (lambda bench: bench.voas["voa_in"]._move(30.0), r"voa_in: 30\.00 dB read back, 33\.61 dB were set"),
        (lambda bench: bench.world.set_laser(emission=False), "the light went out by itself"),
        (lambda bench: bench.world.suffer(Fault("interlock-open")), "the interlock loop is open"),
        (lambda bench: bench.snspd.answer({"command": "SetAllBiasCurrents", "label": "BiasCurrent", "value": [0.0, 0.0]}), "bias of detector 1 went away"),
    ],
)
def test_lost_settings_trip(lit: Bench, happens: Any, told: str) -> None:
    lit.arbiter.look()
    happens(lit)

    with pytest.raises(Tripped, match=told):
        lit.arbiter.look()

    assert dark(lit)


def test_a_loop_that_opens_trips_even_if_the_laser_says_that_it_shines_on(lit: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    value = basik.Basik._value
    bits = float(Status.EMISSION | Status.INTERLOCK_OFF)
    monkeypatch.setattr(basik.Basik, "_value", lambda one, register: bits if register.name == "STATUS" else value(one, register))

    with pytest.raises(Tripped, match="laser: the interlock loop is open"):
        lit.arbiter.look()

    assert dark(lit)


def test_after_a_power_cycle_an_attenuator_is_homed_in_the_dark_and_then_the_bench_is_reset(lit: Bench) -> None:
    with pytest.raises(InterlockOpen, match="voa_in"):
        lit["voa_in"].home()
    lit.voas["voa_in"].answer("RST")
    with pytest.raises(Tripped, match="as after a power cycle"):
        lit.arbiter.look()
    with pytest.raises(Tripped, match="Home it"):
        lit.arbiter.reset()

    lit["voa_in"].home()
    lit.arbiter.reset()

    assert lit.arbiter.state is BenchState.SAFE
    assert lit.world._attenuation_db["voa_in"] == 60.0


def test_a_modulator_that_goes_off_by_itself_trips(lit: Bench) -> None:
    lit["awg_im"].output(1, True)
    lit.arbiter.look()
    lit["awg_im"].driver.channel(1).output = False

    with pytest.raises(Tripped, match="output 1 went off by itself"):
        lit.arbiter.look()


def test_a_laser_that_does_not_stop_keeps_the_alarm_on(lit: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(basik.Basik, "_switch", lambda _one, _value: None)

    reports = {report.name: report.state for report in lit.arbiter.secure()}

    assert reports["laser"] != "CONFIRMED"
    assert lit.arbiter.state is BenchState.TRIPPED
    assert "not confirmed dark" in lit.arbiter.cause
    assert set(truth(lit.world)["attenuation_db"].values()) == {60.0}
    assert max(truth(lit.world)["bias_a"]) == 0.0


def test_a_bench_with_a_detector_that_could_not_be_parked_is_armed_only_after_a_reset(lit: Bench) -> None:
    lit.wires["snspd"].cut = True

    assert [report.name for report in lit.arbiter.secure() if report.state == "FAILED"] == ["snspd"]

    assert lit.arbiter.state is BenchState.TRIPPED
    assert lit.arbiter.cause.startswith("not confirmed safe: snspd FAILED")
    with pytest.raises(Tripped, match="snspd FAILED"):
        lit.arbiter.reset()
    lit.wires["snspd"].cut = False
    with pytest.raises(Tripped, match="snspd FAILED"):
        lit.arbiter.arm()
    lit.arbiter.reset()
    assert {report.state for report in lit.arbiter.reports} == {"CONFIRMED"}
    lit.arbiter.arm()
    assert str(lit.arbiter.state) == "ARMED"


@pytest.mark.parametrize(
    ("name", "role", "state", "endangers"),
    [
        ("laser", "Laser", "SENT", True),
        ("voa_in", "Attenuator", "SENT", False),
        ("voa_in", "Attenuator", "FAILED", True),
        ("awg_im", "WaveformSource", "FAILED", True),
        ("awg_a", "WaveformSource", "FAILED", False),
        ("meter", "PowerMeter", "FAILED", False),
        ("tagger", "TagSource", "FAILED", False),
    ],
)
def test_only_what_light_or_bias_depend_on_keeps_a_bench_that_was_made_safe_from_being_armed(name: str, role: str, state: Any, endangers: bool) -> None:
    one: Any = SimpleNamespace(name=name, role=role)
    assert readings.endangers(STATION, one, SafeReport(name, state)) is endangers


def test_who_is_on_the_way_stops_when_the_bench_is_made_safe(lit: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    lit["voa_in"].attenuation_db = 60.0
    done = lit.arbiter.done
    steps: list[float] = []

    def secured_at_the_third_step(name: str, quantity: str, value: float) -> None:
        done(name, quantity, value)
        steps.append(value)
        if len(steps) == 3:
            stop = threading.Thread(target=lit.arbiter.secure)
            stop.start()
            stop.join()

    monkeypatch.setattr(lit.arbiter, "done", secured_at_the_third_step)

    with pytest.raises((InterlockOpen, InstrumentError)):
        lit["voa_in"].attenuation_db = 34.0

    assert len(steps) == 3
    assert lit.arbiter.state is BenchState.SAFE
    assert dark(lit)
    assert lit.world._attenuation_db["voa_in"] == 60.0


def test_a_listener_that_fails_does_not_keep_the_bench_from_becoming_safe(lit: Bench) -> None:
    def fails(_event: Event) -> None:
        raise ValueError("no")

    lit.arbiter.subscribe(fails)

    lit.arbiter.trip("by hand")

    assert dark(lit)


# Latched detectors


def test_a_latched_detector_is_biased_anew(lit: Bench) -> None:
    lit.world.set_bias(0, 30e-6)
    lit.world.set_bias(0, 18e-6)
    assert lit.world.is_latched(0)
    told: list[str] = []
    lit.arbiter.subscribe(lambda event: told.append(event.text))

    counts = [int(lit["snspd"].counts(0.1).n[0]) for _ in range(6)]

    assert counts[0] == counts[3] == 0
    assert sum(counts[4:]) > 0
    assert told == ["D1 gives no counts and is biased anew, try 1 of 3"]
    assert not lit.world.is_latched(0)
    assert lit.world._nanowires[0].bias_a == pytest.approx(18e-6)


def test_a_detector_that_stays_silent_trips_after_three_tries(lit: Bench) -> None:
    lit.world.unplug(0)

    with pytest.raises(Tripped, match="D1 gives no counts at its bias, though it was biased anew 3 times"):
        for _ in range(100):
            lit["snspd"].counts(0.1)

    assert dark(lit)


def test_a_look_finds_a_latched_detector_by_its_voltage(lit: Bench) -> None:
    lit.world.set_bias(1, 30e-6)
    lit.world.set_bias(1, 18e-6)
    assert lit["snspd"].latched(2)
    told: list[str] = []
    lit.arbiter.subscribe(lambda event: told.append(event.text))
    lit.arbiter._silences.of("snspd", 2).clicks = False

    lit.arbiter.look()

    assert told == ["D2 is normal-conducting and is biased anew, try 1 of 3"]
    assert not lit["snspd"].latched(2)


# Signs of blinding


def test_a_detector_that_clicks_although_it_is_normal_conducting_is_a_sign(lit: Bench) -> None:
    lit.world.suffer(Fault("blinding", amount=1e-6))
    lit.arbiter.observe_rates("snspd", {1: 1e3, 2: 1e3}, 0.1)

    lit.arbiter.look()

    assert lit.arbiter.signs[0] == "snspd: D1 clicks although it is normal-conducting, as under bright light"
    assert lit.arbiter.state is BenchState.ARMED


def test_honest_clicks_are_no_sign(lit: Bench) -> None:
    lit.arbiter.observe_tags("tagger", CHANNELS, batch((1, honest(1e6, 1)), (2, honest(1e6, 2)), (3, np.arange(10) * 10**10)))

    assert lit.arbiter.signs == ()


def test_a_distance_that_jitter_and_a_coarse_tagger_shorten_is_no_sign(lit: Bench) -> None:
    clicks = honest(1e5, 1)

    lit.arbiter.observe_tags("tagger", CHANNELS, batch((1, np.sort(np.concatenate([clicks, clicks[:40] + 27_500]))), (2, honest(1e5, 2))))

    assert lit.arbiter.signs == ()


def test_clicks_within_the_dead_time_are_a_sign(lit: Bench) -> None:
    clicks = honest(1e5, 1)
    told: list[Event] = []
    lit.arbiter.subscribe(told.append)

    lit.arbiter.observe_tags("tagger", CHANNELS, batch((1, np.sort(np.concatenate([clicks, clicks[:40] + 12_000]))), (2, honest(1e5, 2))))

    assert [event.kind for event in told] == ["insecure"]
    assert lit.arbiter.signs[0].startswith("tagger: D1: 40 of ")
    assert lit.arbiter.state is BenchState.ARMED


def test_double_clicks_that_are_no_accident_are_a_sign(lit: Bench) -> None:
    clicks = honest(1e5, 1)

    lit.arbiter.observe_tags("tagger", CHANNELS, batch((1, clicks), (2, np.sort(np.concatenate([honest(1e5, 2), clicks[::50] + 700])))))

    assert "double clicks" in lit.arbiter.signs[0]


def test_a_bias_current_above_what_was_set_is_a_sign(lit: Bench) -> None:
    lit.snspd.answer({"command": "SetAllBiasCurrents", "label": "BiasCurrent", "value": [18.0, 21.0]})

    lit.arbiter.look()

    assert "detector 2 carries 2.1e-05" in lit.arbiter.signs[0]


def test_a_burst_in_one_window_of_a_batch_trips(lit: Bench) -> None:
    burst = np.arange(250_000) * 400_000 // 10 * 10

    with pytest.raises(Tripped, match=r"D1: 2\.5 MHz"):
        lit.arbiter.observe_tags("tagger", CHANNELS, batch((1, burst[burst < 10**11]), (2, honest(1e4, 1))))


def test_an_empty_interval_tells_nothing(lit: Bench) -> None:
    lit.arbiter.observe_tags("tagger", CHANNELS, batch((1, []), (2, []), seconds=0.0))

    assert lit.arbiter.state is BenchState.ARMED
