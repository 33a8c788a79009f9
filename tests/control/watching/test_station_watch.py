"""How the bench stands, as a window is told: instruments, interlocks, light on its way, calibrations."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from heliograph.acquisition.calibration_plans import plans
from heliograph.acquisition.calibrations import Calibration, Calibrations, Measured, Standing
from heliograph.control.owner.publishing import Topics
from heliograph.control.topics import EVENT, InstrumentState, Interlock, Quantity, StationState
from heliograph.control.watching import calibration_states, station_watch
from heliograph.control.watching.calibration_states import CalibrationStates, order
from heliograph.control.watching.instrument_states import Seen, instrument_state
from heliograph.control.watching.interlock_rows import Guards, interlock_rows
from heliograph.control.watching.optical_path import elements
from heliograph.control.watching.station_watch import StationWatch
from heliograph.core.errors import CalibrationError, InterlockOpen, LimitError, Timeout
from heliograph.instruments.connect import Instruments, connect
from heliograph.instruments.station import Station, default_text
from heliograph.mocks.lab import Lab

from ..owned import wait_for

TODAY = date(2026, 11, 20)
GUARDS = Guards(watchdog=42, begun=True)


@pytest.fixture(scope="module")
def instruments(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instruments]:
    station = Station.parse(default_text(), tmp_path_factory.mktemp("watch") / "station.toml")
    with Lab(station.plain()).in_thread() as resources, connect(station, resources.__getitem__, home=True) as opened:
        opened.share()
        yield opened


@pytest.fixture(autouse=True)
def _time_to_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every look wait until all is read: on a busy computer that takes longer than a round may."""
    monkeypatch.setattr(station_watch, "_ROUND_S", 20.0)


@pytest.fixture
def watch(instruments) -> Iterator[StationWatch]:
    made = StationWatch(instruments, Calibrations.of(instruments.station), Topics(), lambda: GUARDS)
    yield made
    made.close()
    instruments.make_safe()


@pytest.fixture
def lit(instruments) -> None:
    instruments.arm()


def of(state: StationState, name: str) -> InstrumentState:
    return next(one for one in state.instruments if one.name == name)


def quantity(state: StationState, name: str, label: str) -> Quantity:
    return next(one for one in of(state, name).quantities if one.label == label)


def interlock(state: StationState, name: str) -> Interlock:
    return next(one for one in state.interlocks if one.name == name)


def test_a_dark_bench_is_safe_and_says_what_could_be_set(watch):
    state = watch.look()

    assert (state.name, state.mode, state.pairs) == ("demo-lab", "SIMULATED", ("A-B", "A-C", "B-C"))
    assert {one.state for one in state.instruments} == {"safe"}
    laser = of(state, "laser")
    assert (laser.identity, laser.simulated, laser.address) == ("NKT Photonics 0x33, K2611001", True, "ASRL/dev/ttyUSB0::INSTR")
    assert laser.read_t == pytest.approx(time.time(), abs=10.0)
    assert laser.read_t <= state.t <= time.time()
    assert {one.name for one in state.instruments if one.can_home} == {"voa_in", "voa_a", "voa_b", "voa_c"}
    power = quantity(state, "laser", "Power")
    assert (power.member, power.unit, power.low, power.high, power.operate, power.wanted) == ("power_setpoint_w", "W", 0.0, 15e-3, 10e-3, None)
    attenuation = quantity(state, "voa_in", "Attenuation")
    assert (attenuation.measured, attenuation.low, attenuation.high) == (60.0, 0.8, 60.0)
    assert quantity(state, "snspd", "Bias 1").member == "set_bias:1"
    assert quantity(state, "awg_im", "Output 2").member == "output:2"
    assert {one.power_w for one in state.elements if one.kind not in ("modulator", "tagger", "generator")} == {0.0}


def test_wanted_accepted_and_measured_are_told_apart(watch, instruments, lit):
    instruments["laser"].power_setpoint_w = 4e-3
    instruments["voa_a"].attenuation_db = 12.5
    state = watch.look()
    power = quantity(state, "laser", "Power")
    assert (power.wanted, power.accepted, power.measured) == pytest.approx((4e-3, 4e-3, 4e-3), rel=0.01)
    attenuation = quantity(state, "voa_a", "Attenuation")
    assert attenuation.wanted == attenuation.accepted == 12.5
    assert attenuation.measured == pytest.approx(12.5, abs=0.05)
    assert quantity(state, "laser", "Emission").measured is quantity(state, "laser", "Emission").wanted is True
    assert [of(state, name).state for name in ("laser", "snspd", "voa_a", "voa_b")] == ["armed", "armed", "armed", "safe"]

    for refused in (lambda: setattr(instruments["laser"], "power_setpoint_w", 16e-3), lambda: setattr(instruments["voa_in"], "attenuation_db", 0.1)):
        with pytest.raises((LimitError, InterlockOpen)):
            refused()
    assert quantity(watch.look(), "laser", "Power").wanted == pytest.approx(4e-3)
    instruments.make_safe()
    assert quantity(watch.look(), "laser", "Power").wanted is None


def test_thresholds_and_delays_can_be_set_within_their_limits(watch, instruments):
    state = watch.look()
    level, delay, trigger = quantity(state, "tagger", "Threshold D1"), quantity(state, "tagger", "Delay sync"), quantity(state, "snspd", "Threshold 2")
    assert (level.member, level.measured, level.low, level.high) == ("set_threshold_v:1", -0.4, -2.0, 2.0)
    assert (delay.member, delay.unit, delay.measured, delay.low, delay.high) == ("set_delay_s:3", "s", 0.0, 0.0, 1e-3)
    assert (trigger.member, trigger.low, trigger.high) == ("set_threshold_v:2", None, None)

    instruments["tagger"].set_delay_s(3, 5e-9)
    delay = quantity(watch.look(), "tagger", "Delay sync")
    assert (delay.wanted, delay.accepted, delay.measured) == pytest.approx((5e-9, 5e-9, 5e-9))
    instruments["tagger"].set_delay_s(3, 0.0)


def test_a_released_instrument_says_so_and_opens_the_interlocks_that_depend_on_it(watch, instruments):
    watch.look()
    instruments.release("voa_in")
    instruments.release("meter")
    state = watch.look()

    away = of(state, "voa_in")
    assert (away.state, away.quantities, away.read_t, away.identity[:9]) == ("released", (), 0.0, "OZ Optics")
    assert away.error_t == pytest.approx(time.time(), abs=5.0)
    answering, dark, light = (interlock(state, name) for name in ("Instruments answer", "Dark at meter", "Light on detectors"))
    assert (answering.holds, answering.cause, answering.clear) == (False, "voa_in, meter are released for service", "Take it back, on its card.")
    assert (dark.holds, dark.cause) == (False, "it is released for service, so nobody knows")
    assert "there are 120.00 dB (voa_in 0.00 dB, att_fixed 60.00 dB" in light.cause
    assert next(one for one in state.elements if one.name == "voa_in").loss_db is None

    for name in ("voa_in", "meter"):
        instruments.take_back(name)
    assert of(watch.look(), "voa_in").state == "safe"
    assert interlock(watch.look(), "Instruments answer").holds


def test_the_light_is_followed_from_the_laser_to_the_detectors(watch, instruments, lit):
    instruments["voa_a"].attenuation_db = 1.0
    found = {one.name: one for one in watch.look().elements}

    feeds = {name: one.feeds for name, one in found.items()}
    assert (feeds["laser"], feeds["im1"], feeds["im2"], feeds["tap"]) == (("im1",), ("im2",), ("tap",), ("meter", "att_fixed"))
    assert (feeds["voa_in"], feeds["circ"], feeds["bs"], feeds["loop"]) == (("circ",), ("bs", "D1"), ("loop", "D2", "circ"), ("A", "B", "C"))
    assert (feeds["D1"], feeds["awg_im"], feeds["awg_b"], feeds["A"]) == (("tagger",), ("im1", "im2"), ("B",), ("loop",))
    assert found["laser"].power_w == pytest.approx(10e-3, rel=0.01)
    assert found["im1"].power_w is None
    # The modulators are dark: what the meter sees is what leaves them.
    through_w = float(instruments["meter"].power_w) / 0.01
    assert found["tap"].power_w == pytest.approx(through_w, rel=0.2)
    assert found["voa_in"].power_w == pytest.approx(through_w * 1e-12, rel=0.2)
    assert found["A"].power_w == pytest.approx(through_w * 1e-12 / 2 * 10**-0.38, rel=0.2)
    assert found["A"].loss_db == pytest.approx(3.8, abs=0.05)
    assert found["D1"].power_w == found["D2"].power_w == pytest.approx(found["A"].power_w / 2, rel=0.01)


def test_where_no_meter_looks_modulators_count_as_open(instruments):
    seen = {name: Seen({"emission": True, "power_w": 1e-3, "attenuation_db": 10.0}) for name in instruments}
    seen["meter"] = Seen(lost=True)
    found = {one.name: one for one in elements(instruments.station, seen)}
    assert found["tap"].power_w == pytest.approx(1e-3)
    assert found["voa_in"].power_w == pytest.approx(1e-10)
    unread = {one.name: one for one in elements(instruments.station, {})}
    assert {one.power_w for one in unread.values()} == {None}


def test_interlocks_say_what_was_read_and_how_to_clear_what_is_open(watch, instruments, lit):
    state = watch.look()
    assert all(one.holds and not one.clear for one in state.interlocks)
    light = interlock(state, "Light on detectors")
    assert "10 mW on biased detectors need 93.02 dB" in light.cause
    assert "there are 180.00 dB" in light.cause
    assert interlock(state, "Watchdog").cause == "process 42 watches"


def test_a_laser_that_is_to_give_nothing_needs_no_attenuation_and_no_infinite_number_says_so(instruments):
    seen = with_(read(instruments), "laser", power_setpoint_w=0.0, power_w=0.0)
    light = rows(instruments, seen)["Light on detectors"]

    assert light.holds
    assert "no light is asked for" in light.cause
    assert "inf" not in light.cause


def rows(instruments: Instruments, seen: dict[str, Seen], guards: Guards = GUARDS, today: date = TODAY) -> dict[str, Interlock]:
    return {one.name: one for one in interlock_rows(instruments, seen, guards, today, 5.0, {})}


def read(instruments: Instruments) -> dict[str, Seen]:
    return {name: Seen({**one.snapshot(), **({"interlock_closed": True} if name == "laser" else {})}) for name, one in instruments.items()}


def with_(seen: dict[str, Seen], name: str, **values: Any) -> dict[str, Seen]:
    return {**seen, name: replace(seen[name], values={**seen[name].values, **values})}


def test_each_interlock_opens_for_its_own_cause(instruments):
    seen = read(instruments)
    assert all(row.holds for row in rows(instruments, seen).values())
    bright = with_(with_(with_(seen, "voa_in", attenuation_db=1.0), "laser", emission=True, power_setpoint_w=10e-3), "snspd", enabled=True)
    opened = {
        "Light on detectors": rows(instruments, with_(bright, "voa_a", attenuation_db=1.0)),
        "Fixed loss": rows(instruments, seen, today=TODAY + timedelta(days=4000)),
        "Instruments answer": rows(instruments, {**seen, "tagger": replace(seen["tagger"], lost=True, error="no reply within 1 s")}),
        "Interlock loop of laser": rows(instruments, with_(seen, "laser", interlock_closed=False)),
        "Dark at meter": rows(instruments, with_(seen, "meter", power_w=1e-6)),
        "Watchdog": rows(instruments, seen, Guards(watchdog=None, begun=True)),
        "Not tripped": rows(instruments, seen, Guards("voa_a: it is gone", 42, begun=True)),
    }
    for name, found in opened.items():
        assert [row.name for row in found.values() if not row.holds] == [name]
        assert found[name].clear
    assert "no reply within 1 s" in opened["Instruments answer"]["Instruments answer"].cause
    assert "1 µW" in opened["Dark at meter"]["Dark at meter"].cause
    assert opened["Not tripped"]["Not tripped"].cause == "voa_a: it is gone"
    # An attenuator that does not answer counts as open.
    lost = {**bright, "voa_in": replace(bright["voa_in"], lost=True, error="gone"), "voa_a": replace(bright["voa_a"], lost=True, error="gone")}
    assert {row.name for row in rows(instruments, lost).values() if not row.holds} == {"Instruments answer", "Light on detectors"}


def test_no_answer_that_makes_sense_is_no_answer(instruments):
    seen = read(instruments)
    unplugged = rows(instruments, {**seen, "tagger": replace(seen["tagger"], error="DEVI:SYNC?: '' is no answer")})["Instruments answer"]
    assert (unplugged.holds, unplugged.cause) == (False, "tagger gives no good answer: DEVI:SYNC?: '' is no answer")
    # What was read before is nothing to go by.
    hung = rows(instruments, {**seen, "meter": replace(seen["meter"], error="no reply", lost=True)})
    assert {row.name for row in hung.values() if not row.holds} == {"Instruments answer", "Dark at meter"}
    bright = with_(with_(with_(seen, "voa_in", attenuation_db=1.0), "laser", emission=True, power_setpoint_w=10e-3), "snspd", enabled=True)
    garbled = {**bright, "voa_in": replace(bright["voa_in"], error="garbled"), "voa_a": replace(bright["voa_a"], error="garbled")}
    assert not rows(instruments, garbled)["Light on detectors"].holds


def test_an_instrument_that_was_not_read_yet_is_not_said_to_answer(instruments):
    seen = {**read(instruments), "tagger": Seen()}
    row = rows(instruments, seen)["Instruments answer"]
    assert (row.holds, row.cause) == (True, f"{len(seen) - 1} of {len(seen)} instruments answer, the others were not read yet")


def test_since_when_an_interlock_is_as_it_is(instruments):
    seen = read(instruments)
    before = {one.name: one for one in interlock_rows(instruments, seen, GUARDS, TODAY, 5.0, {})}
    after = {one.name: one for one in interlock_rows(instruments, with_(seen, "meter", power_w=1e-6), GUARDS, TODAY, 9.0, before)}
    assert (after["Dark at meter"].since, after["Fixed loss"].since) == (9.0, 5.0)


def test_the_age_of_a_reading_is_that_of_the_monotonic_clock_whatever_the_time_is_set_to(watch, instruments, monkeypatch):
    watch.look()
    clock, seen = time.time, watch._seen["laser"]
    watch._seen["laser"] = replace(seen, read_at=seen.read_at - 30.0)
    monkeypatch.setattr(watch, "_is_due", lambda *_: False)
    for stepped_s in (-3600.0, 3600.0):
        monkeypatch.setattr(time, "time", lambda by=stepped_s: clock() + by)
        assert 30.0 < (of(watch.look(), "laser").age_s or 0.0) < 60.0
    assert instrument_state("laser", instruments.station.instruments["laser"], "", "", Seen()).age_s is None


def test_a_lost_instrument_is_told_so_with_its_last_values_and_asked_less_often(watch, instruments, monkeypatch):
    good = watch.look()
    asked: list[float] = []
    box = watch._topics.subscribe(["event"])

    def silent(_self: Any) -> Any:
        asked.append(time.monotonic())
        raise Timeout("no reply within 1 s", where="voa_b")

    with monkeypatch.context() as patch:
        patch.setattr(type(instruments["voa_b"]), "snapshot", silent)
        state = watch.look()
        times = len(asked)
        assert (of(state, "voa_b").state, of(state, "voa_b").why) == ("lost", "no reply within 1 s")
        assert of(state, "voa_b").quantities == of(good, "voa_b").quantities
        assert not interlock(state, "Instruments answer").holds
        watch.look()
        assert len(asked) == times

    def answers() -> bool:
        watch._tried.update(dict.fromkeys(("voa_in", "voa_a", "voa_b", "voa_c"), 0.0))
        return of(watch.look(), "voa_b").state == "safe"

    # On a busy computer the simulated one may be late, too.
    wait_for(answers)
    told = [message.body.text for message in box.take() if message.body.source == "voa_b"]
    assert (told[0], told[-1]) == ("voa_b lost: no reply within 1 s", "voa_b answers again")


def test_an_instrument_that_misses_one_question_is_asked_again_and_not_said_to_be_lost(watch, instruments, monkeypatch):
    watch.look()
    box = watch._topics.subscribe(["event"])
    voa, missed = type(instruments["voa_b"]), set[str]()
    read = voa.snapshot

    def late(one: Any) -> Any:
        if one.name not in missed:
            missed.add(one.name)
            raise Timeout("no complete reply in time", where=one.name)
        return read(one)

    monkeypatch.setattr(voa, "snapshot", late)
    state = watch.look()
    for thread in watch._reading.values():
        thread.join(20)

    assert missed == {"voa_in", "voa_a", "voa_b", "voa_c"}
    assert interlock(state, "Instruments answer").holds
    assert not any(seen.error for seen in watch._seen.values())
    assert not box.take()


def test_a_driver_that_is_broken_is_shown_and_hides_no_other(watch, instruments, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(type(instruments["meter"]), "snapshot", lambda _self: 1 / 0)
        state = watch.look()
    assert (of(state, "meter").state, of(state, "meter").why) == ("fault", "ZeroDivisionError: division by zero")
    assert of(state, "laser").state == "safe"


def test_an_instrument_that_somebody_speaks_with_is_left_alone(watch, instruments):
    first = of(watch.look(), "laser").read_t
    held, let_go = threading.Event(), threading.Event()
    turn = object.__getattribute__(instruments["laser"]._driver, "_turn")

    def speak() -> None:
        with turn:
            held.set()
            let_go.wait(20)

    speaking = threading.Thread(target=speak)
    speaking.start()
    assert held.wait(20)
    begun = time.monotonic()
    state = watch.look()
    assert time.monotonic() - begun < 10.0, "it is not waited for"
    assert of(state, "laser").read_t == first
    assert of(state, "voa_in").read_t > first
    let_go.set()
    speaking.join()
    assert of(watch.look(), "laser").read_t > first


def test_one_that_hangs_keeps_the_others_waiting_no_longer_than_a_moment(watch, instruments, monkeypatch):
    monkeypatch.setattr(station_watch, "_ROUND_S", 0.4)
    go_on = threading.Event()
    before = watch.look()
    with monkeypatch.context() as patch:
        patch.setattr(type(instruments["meter"]), "snapshot", lambda _self: {"waited": go_on.wait(20)})
        begun = time.monotonic()
        watch.look()
        assert time.monotonic() - begun < 10.0
        wait_for(lambda: of(watch.look(), "voa_in").read_t > of(before, "voa_in").read_t)
        assert of(watch.look(), "meter").read_t == of(before, "meter").read_t
        go_on.set()


def test_nothing_is_read_while_nobody_looks(instruments, monkeypatch):
    monkeypatch.setattr(station_watch, "PERIOD_S", 0.25)
    topics = Topics()
    one = StationWatch(instruments, Calibrations.of(instruments.station), topics, lambda: GUARDS)
    one.start()
    time.sleep(0.3)
    assert topics.latest("station") is None
    topics.subscribe(["station"])
    wait_for(lambda: topics.latest("station") is not None)
    one.close()
    assert not one._thread.is_alive()


@pytest.mark.parametrize(
    ("role", "values", "labels"),
    [
        ("BiasController", {"mode": "AUTO", "bias_v": 1.0, "tap_w": 1e-6, "stable": True}, ["Bias", "Mode", "Stable", "Power at its tap"]),
        ("PolarisationController", {"angle_0_deg": 10.0, "angle_1_deg": None, "velocity_percent": 50}, ["Paddle 0", "Paddle 1"]),
        ("PhotonDetector", {"enabled": True, "bias_1_a": 1e-6, "threshold_1_v": 0.1}, ["Switched on", "Bias 1", "Threshold 1"]),
        ("TagSource", {"clock": "external", "threshold_v": -0.4}, ["Clock", "Threshold, all inputs"]),
        ("PhotonDetector", {"enabled": True, "bias_1_v": 30.0, "temperature_1_degc": -40.0}, ["Switched on", "Bias 1", "Temperature 1"]),
    ],
)
def test_every_role_has_its_quantities(instruments, role, values, labels):
    entry = next(iter(instruments.station.instruments.values()))
    other = entry.model_copy(update={"wire": entry.wire.model_copy(update={"role": role})})
    found = instrument_state("one", other, "", "", Seen(values, safe=False, moving=True))
    assert [one.label for one in found.quantities] == labels
    assert found.state == "moving"
    assert instrument_state("one", other, "", "", Seen(values, error="smoke")).state == "fault"


def test_calibrations_are_told_as_they_stand_and_looked_at_again_when_their_folder_changes(instruments):
    store = Calibrations.of(instruments.station)
    states = CalibrationStates(instruments.station, store)
    found = {one.name: one for one in states.look()}
    assert {one.state for one in found.values()} == {"missing"}
    assert order(states.look())[:2] == ("im1-bias", "im2-bias")
    assert found["im1-extinction"].needs == ("im1-bias",)
    store.folder.mkdir(parents=True, exist_ok=True)
    store.path("im1-bias").write_text("no record")

    found = {one.name: one for one in states.look()}

    assert (found["im1-bias"].state, found["im2-bias"].state) == ("suspect", "missing")
    assert "the record cannot be read" in found["im1-bias"].text
    store.path("im1-bias").unlink()


@pytest.mark.parametrize(("state", "text"), [("valid", "v_pi_v 3.900 ± 0.020 V, visibility 0.9860 ± 0.0020 1"), ("expired", "it is too old")])
def test_the_visibility_of_a_user_is_told_as_it_was_measured_last(instruments, state, text):
    taken = datetime(2026, 1, 2, tzinfo=UTC)
    values = {"v_pi_v": Measured(3.9, 0.02, "V"), "visibility": Measured(0.986, 0.002, "1")}
    plan = next(one for one in plans(instruments.station).values() if one.procedure == "PhaseScan")
    record = Calibration("s", plan.name.split("-")[0], "fringe", values, taken, 1.0, "run", "run.h5", "", simulated=True)
    error = CalibrationError("it is too old", where=plan.name) if state == "expired" else None

    found = calibration_states._state(Standing(plan.name, state, record, error), plan)

    assert (found.user, found.visibility, found.visibility_sigma) == (plan.parameters["user"], 0.986, 0.002)
    assert (found.text, found.taken, found.needs) == (text, taken.timestamp(), plan.needs)
    missing = calibration_states._state(Standing(plan.name, "missing", None, error), plan)
    assert (missing.user, missing.visibility, missing.state) == (plan.parameters["user"], None, "missing")


def test_what_a_calibration_needs_comes_before_it(instruments):
    names = list(plans(instruments.station))
    for one in plans(instruments.station).values():
        assert all(names.index(need) < names.index(one.name) for need in one.needs)


def test_a_watch_that_stumbles_says_so_once_and_goes_on(watch, monkeypatch):
    looks: list[int] = []

    def look() -> None:
        looks.append(1)
        raise ZeroDivisionError

    monkeypatch.setattr(watch, "look", look)
    monkeypatch.setattr(station_watch, "_SPACE_S", 0.01)
    monkeypatch.setattr(station_watch, "PERIOD_S", 0.02)
    box = watch._topics.subscribe(["station", EVENT])
    watch.start()
    wait_for(lambda: len(looks) > 3)
    events = [message.body for message in box.take()]
    assert [(event.severity, "ZeroDivisionError" in event.text) for event in events] == [("error", True)]


def test_an_instrument_that_is_let_go_while_it_is_read_is_not_said_to_be_at_fault(watch, instruments, monkeypatch):
    watch.look()
    box = watch._topics.subscribe(["event"])
    voa = instruments["voa_b"]
    read = type(voa).snapshot

    def let_go_meanwhile(one: Any) -> Any:
        if one is voa and not instruments["voa_b"].released:
            instruments.release("voa_b")
        return read(one)

    monkeypatch.setattr(type(voa), "snapshot", let_go_meanwhile)
    watch.look()
    try:
        watch._reading["voa_b"].join(20)
        assert instruments["voa_b"].released
        assert [message.body.text for message in box.take() if message.body.source == "voa_b"] == []
        assert "voa_b" not in watch._seen
    finally:
        instruments.take_back("voa_b")
