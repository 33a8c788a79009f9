"""Arming: it only asks, stops at the first refusal, and leaves the safe button focused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PySide6.QtWidgets import QApplication, QPushButton, QVBoxLayout, QWidget

from heliograph.core.errors import ArmRefused, InterlockOpen, Tripped
from heliograph.gui import arming_rows, hold
from heliograph.gui.arming import Arming
from heliograph.instruments.roles import Counts

from . import payloads
from .finding import clipped, control, focused, press
from .finding import hold as hold_down


def attenuator(name="voa_in", db=60.0, **changes):
    return payloads.instrument_state(name=name, quantities=(payloads.quantity(measured=db, **changes),))


def station(db=60.0, power_w=0.0, biased=False, lit=False):
    """A bench as it reads back: one attenuation, the power at its meter, whether detectors are biased and light is on."""
    quantities = (
        payloads.quantity(label="Power", unit="W", member="power_setpoint_w", measured=0.01 if lit else 0.0, low=0.0, high=0.015, operate=0.01),
        payloads.quantity(label="Emission", unit="", member="emission", measured=lit, low=None, high=None),
    )
    bias = payloads.quantity(label="Bias 1", unit="A", member="set_bias:1", measured=18e-6 if biased else 0.0, low=0.0, high=25e-6, operate=18e-6)
    enabled = payloads.quantity(label="Enabled", unit="", member="enabled", measured=biased, low=None, high=None)
    rate = payloads.quantity(label="Rate 1", unit="Hz", member="", measured=50.0, low=None, high=3e6)
    return payloads.station_state(
        instruments=(
            payloads.laser_state(quantities=quantities),
            attenuator(db=db),
            payloads.instrument_state(name="meter", role="PowerMeter", quantities=(payloads.quantity(label="Power", unit="W", measured=power_w, member=""),)),
            payloads.detector_state(quantities=(bias, enabled, rate), state="armed" if biased else "safe"),
        ),
        interlocks=(payloads.interlock(name="power meter dark", holds=power_w < 1e-8),),
    )


@pytest.fixture
def window(qtbot, desk, monkeypatch):
    """A window with the safe button and the wizard."""
    monkeypatch.setattr(hold, "HOLD_MS", 40)
    desk.answers.replies["status"] = {"made_safe": 3}
    made = QWidget()
    inside = QVBoxLayout(made)
    safe = QPushButton("SAFE")
    safe.setAccessibleName("Make safe")
    inside.addWidget(safe)
    made.wizard = Arming(desk)  # type: ignore[attr-defined]
    inside.addWidget(made.wizard)  # type: ignore[attr-defined]
    qtbot.addWidget(made)
    made.resize(520, 640)
    made.show()
    made.wizard.show_safety(payloads.safety())  # type: ignore[attr-defined]
    made.wizard.show_station(station())  # type: ignore[attr-defined]
    QApplication.processEvents()
    return made


def words_of(window):
    return [step.badge.word for step in window.wizard.steps]


def sent(desk):
    """Return what changed something: no reading, no status."""
    return [(topic, body) for topic, body in desk.answers.asked if topic not in ("status", "get")]


def test_a_press_does_not_arm_and_a_hold_does(qtbot, window, desk):
    press(qtbot, window, "Arm")
    assert desk.answers.of("arm") == []

    hold_down(qtbot, window, "Arm")

    assert desk.answers.of("arm") == [{}]
    assert words_of(window) == ["done", "done", "idle", "idle", "idle"], "nothing is done before it reads back"
    window.wizard.show_station(station(biased=True, lit=True))
    assert words_of(window) == ["done", "done", "done", "done", "idle"]


def test_while_the_owner_arms_the_rows_follow_what_reads_back(window, desk, monkeypatch):
    monkeypatch.setattr(desk, "ask", lambda *_args, **_named: None)
    window.wizard._arm()

    window.wizard.show_station(station(db=31.0))
    assert words_of(window) == ["running", "idle", "idle", "idle", "idle"]

    window.wizard.show_station(station(db=60.0))
    assert words_of(window) == ["done", "done", "running", "idle", "idle"]

    window.wizard.show_station(station(biased=True))
    assert words_of(window) == ["done", "done", "done", "running", "idle"]
    assert not control(window, "Arm").isEnabled()


@pytest.mark.parametrize(
    ("error", "row"),
    [
        (ArmRefused("58 dB reads back, not the maximum of 60 dB", where="voa_in", remedy="Home it; is it stuck?"), 0),
        (ArmRefused("1.4 µW are measured although everything is off", where="meter", remedy="Look for stray light."), 1),
        (InterlockOpen("the interlock loop is open", where="laser", remedy="Close it."), 3),
    ],
)
def test_a_refusal_names_the_rule_marks_its_row_and_leaves_the_safe_button_focused(qtbot, window, desk, error, row):
    desk.answers.replies["arm"] = error

    hold_down(qtbot, window, "Arm")

    assert window.wizard.refusal.text() == f"Refused by {type(error).__name__}: {error}"
    assert window.wizard.refusal.isVisible()
    assert words_of(window)[row] == "failed"
    assert focused().accessibleName() == "Make safe"
    assert control(window, "Arm").isEnabled(), "it may be tried again"


def test_the_rows_can_be_started_one_by_one(qtbot, window, desk):
    for name, start in (("Start: Attenuators at maximum", press), ("Start: Power meter as expected", press)):
        start(qtbot, window, name)
    for name in ("Start: Detector bias", "Start: Emission"):
        hold_down(qtbot, window, name)

    assert [(body["name"], body["member"], body.get("value", body.get("args"))) for _, body in sent(desk)] == [
        ("voa_in", "attenuation_db", 60.0),
        ("snspd", "enabled", True),
        ("snspd", "set_bias", [1, 18e-6]),
        ("laser", "power_setpoint_w", 0.01),
        ("laser", "emission", True),
    ]
    assert desk.answers.of("get") == [{"name": "meter", "member": "power_w"}]
    window.wizard.show_station(station(biased=True, lit=True))
    assert words_of(window)[:4] == ["done"] * 4


@pytest.mark.parametrize("name", ["Start: Detector bias", "Start: Emission", "Start: Attenuation down"])
def test_rows_that_bring_light_or_bias_need_a_deliberate_act(qtbot, window, desk, name):
    press(qtbot, window, name)

    assert sent(desk) == []


def test_a_refusal_stops_a_row_before_its_next_request(qtbot, window, desk):
    desk.answers.replies["set"] = Tripped("the bench has tripped", where="snspd", remedy="Find the cause, then reset the bench.")

    hold_down(qtbot, window, "Start: Detector bias")

    assert len(sent(desk)) == 1, "the bias was never asked for"
    assert words_of(window)[2] == "failed"
    assert "Refused by Tripped" in window.wizard.refusal.text()


def test_nothing_of_a_row_follows_the_way_down(qtbot, window, desk):
    times = iter((3, 4))
    desk.answers.replies["status"] = lambda _body: {"made_safe": next(times)}

    hold_down(qtbot, window, "Start: Detector bias")

    assert [body["member"] for _, body in sent(desk)] == ["enabled"], "somebody made the bench safe after the first request"
    assert "made safe since this row was started" in window.wizard.refusal.text()


def test_a_station_without_a_bias_for_normal_work_is_told_what_to_add(qtbot, window, desk):
    now = station()
    *others, detector = now.instruments
    unknown = replace(detector, quantities=(replace(detector.quantities[0], operate=None),))
    window.wizard.show_station(replace(now, instruments=(*others, unknown)))

    hold_down(qtbot, window, "Start: Detector bias")

    assert sent(desk) == []
    assert "names no bias for normal work" in window.wizard.refusal.text()


def lower_to(window, text):
    control(window, "Lower to, wanted").setText(text)


def test_attenuation_goes_down_in_steps_of_one_decibel_and_counts_after_each(qtbot, window, desk):
    window.wizard.show_station(station(db=12.5, biased=True, lit=True))
    desk.answers.replies["call"] = Counts(0, np.array([120, 80]), 0.1)
    lower_to(window, "10 dB")

    hold_down(qtbot, window, "Start: Attenuation down")

    assert [body["value"] for body in desk.answers.of("set")] == [11.5, 10.5, 10.0]
    assert [body["member"] for body in desk.answers.of("call")] == ["counts"] * 3
    assert "snspd 1 1.20 kHz of 3.00 MHz" in window.wizard.steps[4].told.text()
    assert words_of(window)[4] == "done"


def test_a_step_that_is_refused_is_the_last(qtbot, window, desk):
    window.wizard.show_station(station(db=12.5, biased=True, lit=True))
    desk.answers.replies["call"] = Counts(0, np.array([120, 80]), 0.1)
    answers = iter((None, InterlockOpen("10 mW need 85 dB", where="voa_in", remedy="Attenuate more.")))

    def answer(_body):
        error = next(answers)
        if error is not None:
            raise error

    desk.answers.replies["set"] = answer
    lower_to(window, "10 dB")

    hold_down(qtbot, window, "Start: Attenuation down")

    assert len(desk.answers.of("set")) == 2
    assert words_of(window)[4] == "failed"
    assert focused().accessibleName() == "Make safe"


@pytest.mark.parametrize("text", ["", "70 dB", "ten"])
def test_without_a_target_within_the_limits_nothing_is_lowered(qtbot, window, desk, text):
    lower_to(window, text)

    hold_down(qtbot, window, "Start: Attenuation down")

    assert sent(desk) == []
    assert window.wizard.refusal.isVisible()


def test_the_rates_of_a_run_stand_beside_their_limits(window):
    window.wizard.show_counts(payloads.count_rates())

    assert "D1 82.0 kHz of 2.00 MHz, D2 1.25 kHz of 2.00 MHz" in window.wizard.steps[4].told.text()


def test_after_a_trip_the_cause_is_shown_and_only_a_reset_is_offered(qtbot, window, desk):
    window.wizard.show_safety(payloads.safety(state="TRIPPED", cause="voa_a: an attenuator that does not answer counts as open"))

    assert "Cause: voa_a: an attenuator that does not answer" in window.wizard.cause.text()
    assert "laser CONFIRMED, voa_in SENT moving" in window.wizard.cause.text()
    assert not control(window, "Arm").isEnabled()
    assert not control(window, "Start: Emission").isEnabled()

    hold_down(qtbot, window, "Reset after the trip")

    assert desk.answers.of("reset") == [{}]


def test_a_reset_that_is_refused_says_what_is_not_safe(qtbot, window, desk):
    window.wizard.show_safety(payloads.safety(state="TRIPPED", cause="voa_a"))
    desk.answers.replies["reset"] = Tripped("not confirmed safe: voa_a FAILED", remedy="Repair that first.")

    hold_down(qtbot, window, "Reset after the trip")

    assert "not confirmed safe: voa_a FAILED. Repair that first." in window.wizard.refusal.text()


def test_a_window_that_only_looks_on_can_start_nothing(window, desk):
    desk.set_control(False, "control held by op@lab")

    assert not control(window, "Arm").isEnabled()
    assert control(window, "Arm").toolTip() == "control held by op@lab"
    assert not any(step.button.isEnabled() for step in window.wizard.steps)


def test_the_rows_begin_anew_when_the_bench_was_made_safe(qtbot, window):
    hold_down(qtbot, window, "Arm")
    window.wizard.show_safety(payloads.safety(state="ARMED"))

    window.wizard.show_safety(payloads.safety(state="SAFE", cause="asked for"))

    assert words_of(window) == ["idle"] * 5


def test_every_row_shows_its_state_and_what_reads_back(window):
    window.wizard.show_station(station(db=60.0, power_w=2.5e-9, biased=True, lit=True))

    assert control(window, "1 Attenuators at maximum: idle").isVisible()
    told = [step.told.text() for step in window.wizard.steps]
    assert told[0] == "voa_in 60.0 dB"
    assert told[1] == "meter -56.0 dBm (2.50 nW)"
    assert told[2] == "snspd bias 1: 18.0 µA"
    assert told[3] == "laser on, 10.0 dBm (10.0 mW)"
    assert clipped(window) == []


def test_a_row_is_done_only_while_that_reads_back(qtbot, window):
    press(qtbot, window, "Start: Attenuators at maximum")
    assert words_of(window)[0] == "done"

    window.wizard.show_station(station(db=0.8))

    assert words_of(window)[0] == "idle"
    assert window.wizard.steps[0].told.text() == "voa_in 0.800 dB"


def test_an_old_reading_is_marked_and_no_row_is_done_by_it(qtbot, window):
    now = station(biased=True, lit=True)
    window.wizard.show_safety(payloads.safety(state="ARMED"))
    late = tuple(replace(one, age_s=55.0) if one.name == "meter" else one for one in now.instruments)
    hold_down(qtbot, window, "Start: Detector bias")

    window.wizard.show_station(replace(now, instruments=late))

    assert window.wizard.steps[1].told.text() == "meter dark, meter stale 55 s"
    assert control(window, "Power meter as expected, read back: meter dark, meter stale 55 s, stale").isVisible()
    assert words_of(window)[1] == "idle"


def test_what_is_open_stands_where_the_bench_is_armed(window):
    assert window.wizard.cause.text() == "Made safe: laser CONFIRMED, voa_in SENT moving, snspd CONFIRMED"
    window.wizard.show_safety(payloads.safety(reports=()))
    assert window.wizard.cause.text() == "No cause stands against arming."

    window.wizard.show_station(station(power_w=1e-6))

    assert window.wizard.cause.text().startswith("Open: power meter dark, ")


def test_a_row_is_found_by_the_instrument_an_error_names():
    now = station()

    assert arming_rows.row_of("snspd", now) == 2
    assert arming_rows.row_of("/data/lab/station.toml", now) is None
