"""The cards: what they show of an instrument, what they ask of the owner, and what they refuse to send."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QLineEdit

from heliograph.core.errors import InterlockOpen, WrongIdentity
from heliograph.gui import hold, quantity, theme
from heliograph.gui.card_rows import request
from heliograph.gui.cards import Cards
from heliograph.instruments.roles import SafeReport

from . import payloads
from .finding import clipped, control, focused, press, typed
from .finding import hold as hold_down


@pytest.fixture
def cards(qtbot, desk, monkeypatch):
    monkeypatch.setattr(hold, "HOLD_MS", 60)
    made = Cards(desk)
    qtbot.addWidget(made)
    made.resize(900, 700)
    made.show()
    made.show_instruments(payloads.station_state().instruments, 0.2)
    QApplication.processEvents()
    return made


def test_a_card_says_state_identity_and_age(cards):
    assert control(cards, "laser: safe").isVisible()
    assert control(cards, "laser, identity: NKT Koheras BASIK serial 42").isVisible()
    assert control(cards, "voa_in, age: read 0.3 s ago").isVisible()
    assert control(cards, "snspd, age: never read").isVisible()


def test_values_that_were_not_read_lately_are_marked_as_old(cards):
    now = payloads.station_state().instruments
    late = tuple(replace(one, age_s=55.0) if one.name == "laser" else one for one in now)

    cards.show_instruments(late, 0.2)

    assert control(cards, "laser, age: read 55 s ago, stale").isVisible()
    assert control(cards, "laser Power, measured: 9.90 mW, stale").isVisible()
    assert control(cards, "voa_a Attenuation, measured: 24.0 dB, stale").isVisible(), "it is lost"
    assert control(cards, "voa_in Attenuation, measured: 24.0 dB").isVisible()

    cards.show_instruments(now, 0.2)

    assert control(cards, "laser Power, measured: 9.90 mW").isVisible()


def test_if_no_instrument_is_read_any_more_all_values_are_marked_by_their_own_age(cards):
    now = tuple(replace(one, age_s=5.0) if one.read_t else one for one in payloads.station_state().instruments)

    cards.show_instruments(now, 0.2)

    for name in ("laser Power, measured: 9.90 mW, stale", "voa_in Attenuation, measured: 24.0 dB, stale"):
        assert control(cards, name).isVisible()
    assert control(cards, "laser, age: read 5.2 s ago, stale").isVisible()

    cards.show_instruments(tuple(replace(one, age_s=1.0) for one in now), 0.2)
    assert control(cards, "laser Power, measured: 9.90 mW").isVisible()


@pytest.mark.parametrize("stepped_s", [-3600.0, 3600.0])
def test_an_age_is_that_of_the_owners_monotonic_clock_whatever_the_time_is_set_to(cards, stepped_s):
    now = tuple(replace(one, read_t=payloads.NOW + stepped_s) if one.name == "laser" else one for one in payloads.station_state().instruments)

    cards.show_instruments(tuple(replace(one, age_s=30.0) if one.name == "laser" else one for one in now), 0.0)
    assert control(cards, "laser, age: read 30 s ago, stale").isVisible()
    cards.show_instruments(now, 0.2)
    assert control(cards, "laser, age: read 0.2 s ago").isVisible()


def test_ages_grow_while_nothing_is_told_of_instruments(cards, desk, monkeypatch):
    now = time.monotonic()
    desk.inject("station", payloads.station_state())
    monkeypatch.setattr(time, "monotonic", lambda: now + 75.0)

    desk.ticked.emit()

    assert control(cards, "laser, age: read 1 min 15 s ago, stale").isVisible()
    assert control(cards, "snspd, age: never read").isVisible()


def test_an_instrument_that_is_lost_stays_marked_when_the_owner_is_heard_again(cards):
    value = control(cards, "voa_a Attenuation, measured: 24.0 dB, stale")
    value.set_stale(False)

    cards.show_instruments(payloads.station_state().instruments, 0.2)

    assert value.accessibleName().endswith(", stale")


def test_an_instrument_is_released_for_service_and_taken_back_with_its_card(qtbot, cards, desk):
    desk.answers.replies["release_instrument"] = [SafeReport("voa_in", "FAILED", "no answer")]
    press(qtbot, cards, "Release voa_in for service")
    assert desk.answers.of("release_instrument") == [{"name": "voa_in"}]
    assert "voa_in could not be made safe: no answer" in desk.notices[0], "it is let go all the same"

    away: dict[str, Any] = {"state": "released", "why": "it is released for service", "quantities": (), "read_t": 0.0}
    now = tuple(replace(one, **away) if one.name == "voa_in" else one for one in payloads.station_state().instruments)
    cards.show_instruments(now, 0.2)
    card = cards.grid.cards["voa_in"]
    assert control(cards, "voa_in: released").isVisible()
    assert control(cards, "voa_in, age: let go, not read").isVisible()
    assert [one.accessibleName() for one in card.buttons if one.isVisible()] == ["Take voa_in back from service"]
    button = control(cards, "Take voa_in back from service")
    button.setFocus()
    desk.answers.replies["take_back"] = WrongIdentity("another one answers", where="voa_in", remedy="Check which device is connected.")
    qtbot.keyClick(button, Qt.Key.Key_Space)
    assert desk.answers.of("take_back") == [{"name": "voa_in"}]
    assert "another one answers" in desk.notices[-1]
    assert card.doing.isHidden()

    cards.show_instruments(payloads.station_state().instruments, 0.2)
    assert control(cards, "Home voa_in").isVisible()


def test_nothing_is_released_from_a_bench_that_is_lit_or_by_a_window_that_looks_on(cards, desk):
    instruments = payloads.station_state().instruments
    desk.inject("safety", payloads.safety(state="ARMED"))
    cards.show_instruments(instruments, 0.2)
    button = control(cards, "Release laser for service")
    assert not button.isEnabled()
    assert button.accessibleDescription() == "Not now: the bench is armed; make it safe first"

    desk.inject("safety", payloads.safety(state="SAFE"))
    desk.set_control(False, "ana controls the bench")
    cards.show_instruments(instruments, 0.2)
    assert button.accessibleDescription() == "Not now: ana controls the bench"
    desk.set_control(True)
    cards.show_instruments(instruments, 0.2)
    assert button.isEnabled()


def test_an_act_that_takes_a_while_stands_on_the_card_and_what_has_no_motor_is_not_homed(qtbot, cards, desk, monkeypatch):
    asked = []
    monkeypatch.setattr(desk, "ask", lambda topic, body=None, **how: asked.append((topic, body, how)))
    press(qtbot, cards, "Home voa_in")
    assert control(cards, "voa_in, act: pending, Home").isVisible()
    topic, body, how = asked[0]
    assert (topic, body["member"]) == ("call", "home")
    how["then"](None)
    assert cards.grid.cards["voa_in"].doing.isHidden()

    cards.show_instruments(tuple(replace(one, can_home=False) for one in payloads.station_state().instruments), 0.2)
    assert "Home" not in [one.text() for one in cards.grid.cards["voa_in"].buttons if one.isVisible()]


def test_an_attenuator_is_not_opened_far_at_once_while_the_bench_is_armed(qtbot, cards, desk):
    desk.inject("safety", payloads.safety(state="ARMED"))

    typed(qtbot, cards, "voa_in Attenuation, wanted", "2 dB")

    assert desk.answers.of("set") == []
    complaint = cards.grid.cards["voa_in"].rows["Attenuation"].complaint
    assert complaint.isVisible()
    assert "it reads 24.0 dB, and one step opens by 1 dB at most. Use row 5 of Arming." in complaint.text()

    typed(qtbot, cards, "voa_in Attenuation, wanted", "23.0 dB")
    typed(qtbot, cards, "voa_in Attenuation, wanted", "60 dB")

    assert [body["value"] for body in desk.answers.of("set")] == [23.0, 60.0], "a small step, and any way to less light"
    typed(qtbot, cards, "voa_a Attenuation, wanted", "23.5 dB")
    assert len(desk.answers.of("set")) == 2, "what voa_a reads is old"


def test_a_bench_that_is_safe_has_its_attenuators_set_at_once(qtbot, cards, desk):
    desk.inject("safety", payloads.safety(state="SAFE"))

    typed(qtbot, cards, "voa_in Attenuation, wanted", "2 dB")

    assert [body["value"] for body in desk.answers.of("set")] == [2.0]


def test_a_lost_instrument_says_why_and_since_when(cards):
    card = cards.grid.cards["voa_a"]

    assert control(cards, "voa_a: lost").isVisible()
    assert card.error.isVisible()
    assert "no answer in 0.5 s. Check its cable." in card.error.text()
    assert card.error.text()[2] == ":", "a time comes first"


def test_the_last_error_stays_with_its_time_muted_when_it_is_over(cards):
    card = cards.grid.cards["voa_a"]
    error = card.error.text()
    now = payloads.station_state().instruments

    cards.show_instruments([replace(one, state="safe", why="", error_t=0.0) for one in now], 0.2)

    assert card.error.text() == f"Over, last error: {error}"
    assert card.error.palette().windowText().color().name().upper() == theme.current().muted.upper()
    assert cards.grid.cards["voa_in"].error.isHidden(), "it had none"
    cards.show_instruments(now, 0.2)
    assert card.error.text() == error
    assert card.error.palette().windowText().color().name().upper() == theme.current().failure.upper()


def test_a_set_point_is_sent_with_its_unit_and_shown_as_pending(qtbot, cards, desk):
    typed(qtbot, cards, "voa_in Attenuation, wanted", "12.5 dB")

    assert desk.answers.of("set") == [{"name": "voa_in", "member": "attenuation_db", "value": 12.5}]
    assert control(cards, "voa_in Attenuation: pending").isVisible()


def test_pending_ends_when_the_device_reads_back_what_was_wanted(qtbot, cards, desk):
    typed(qtbot, cards, "voa_in Attenuation, wanted", "12.5 dB")
    now = payloads.quantity(wanted=12.5, accepted=12.5, measured=12.49)
    first, second, *rest = payloads.station_state().instruments

    cards.show_instruments((first, replace(second, quantities=(now,)), *rest), 0.1)

    assert not cards.grid.cards["voa_in"].rows["Attenuation"].pending
    assert control(cards, "voa_in Attenuation, measured: 12.5 dB").isVisible()


def test_pending_ends_after_two_seconds_with_what_is_read(qtbot, cards, monkeypatch):
    monkeypatch.setattr(quantity, "PENDING_S", 0.0)
    typed(qtbot, cards, "voa_in Attenuation, wanted", "12.5 dB")

    cards.show_instruments(payloads.station_state().instruments, 0.1)

    assert control(cards, "voa_in Attenuation: suspect, reads 24.0 dB").isVisible()


@pytest.mark.parametrize(
    ("text", "told"), [("61 dB", "limit 60 dB (station)"), ("12", "unit missing"), ("1,5 dB", "has a comma: use a point"), ("12 mW", "mW")]
)
def test_what_is_out_of_range_or_no_quantity_is_not_sent(qtbot, cards, desk, text, told):
    field = typed(qtbot, cards, "voa_in Attenuation, wanted", text)

    assert desk.answers.of("set") == []
    assert field.text() == text, "what was typed stays there"
    assert told in field.accessibleDescription()


def test_a_refusal_of_the_owner_is_told_under_the_field(qtbot, cards, desk):
    desk.answers.replies["set"] = InterlockOpen("10 mW on biased detectors need 85 dB", where="voa_in", remedy="Attenuate more. Nothing was sent.")

    typed(qtbot, cards, "voa_in Attenuation, wanted", "1 dB")

    row = cards.grid.cards["voa_in"].rows["Attenuation"]
    assert row.complaint.isVisible()
    assert row.complaint.text() == "10 mW on biased detectors need 85 dB. Attenuate more. Nothing was sent."
    assert not row.pending
    assert clipped(cards.grid.cards["voa_in"]) == []


def test_light_is_switched_on_by_holding_only_and_off_by_a_press(qtbot, cards, desk):
    press(qtbot, cards, "laser, Emission: switch on")
    assert desk.answers.of("set") == []

    hold_down(qtbot, cards, "laser, Emission: switch on")
    press(qtbot, cards, "laser, Emission: switch off")

    assert [body["value"] for body in desk.answers.of("set")] == [True, False]


def test_an_instrument_is_made_safe_with_one_press_also_from_a_window_that_only_looks_on(qtbot, cards, desk):
    desk.set_control(False, "process 7 controls the bench")

    press(qtbot, cards, "Make laser safe")

    assert desk.answers.of("call") == [{"name": "laser", "member": "to_safe", "args": [], "kwargs": {}}]
    assert not control(cards, "laser Power, wanted").isEnabled()
    assert control(cards, "laser Power, wanted").toolTip() == "process 7 controls the bench"


def test_a_device_that_could_not_be_made_safe_is_told(qtbot, cards, desk):
    desk.answers.replies["call"] = SafeReport("laser", "FAILED", "no answer")

    press(qtbot, cards, "Make laser safe")

    assert "laser could not be made safe: no answer" in desk.notices[0]


def test_paddles_are_homed_where_the_role_has_that(qtbot, cards, desk):
    paddles = payloads.instrument_state(
        name="mpc", role="PolarisationController", quantities=(payloads.quantity(label="Paddle 1", unit="deg", member="move:0"),)
    )
    cards.show_instruments((paddles,), 0.1)

    press(qtbot, cards, "Home mpc")

    assert desk.answers.of("call")[0]["member"] == "home"


def test_an_attenuator_that_lost_its_position_is_homed(qtbot, cards, desk):
    press(qtbot, cards, "Home voa_a")

    assert desk.answers.of("call") == [{"name": "voa_a", "member": "home", "args": [], "kwargs": {}}]


def test_a_member_with_numbers_is_a_call():
    assert request("snspd", "set_bias:2", 18e-6) == ("call", {"name": "snspd", "member": "set_bias", "args": [2, 18e-6], "kwargs": {}})
    assert request("laser", "emission", True) == ("set", {"name": "laser", "member": "emission", "value": True})


def test_limits_of_the_station_stand_beside_the_label(cards):
    assert cards.grid.cards["voa_in"].rows["Attenuation"].label.text() == "Attenuation, 0.8 dB to 60 dB"


def test_a_new_station_has_new_cards_and_a_known_one_keeps_what_is_being_typed(qtbot, cards):
    field = control(cards, "voa_in Attenuation, wanted", QLineEdit)
    field.setFocus()
    field.selectAll()
    qtbot.keyClicks(field, "13")

    cards.show_instruments(payloads.station_state().instruments, 0.1)
    assert control(cards, "voa_in Attenuation, wanted", QLineEdit).text() == "13"

    cards.show_instruments((payloads.laser_state(),), 0.1)
    assert list(cards.grid.cards) == ["laser"]


def test_going_to_a_card_marks_it_and_leads_to_its_first_field(cards):
    assert cards.go_to("snspd")

    assert focused().accessibleName() == "snspd Bias 1, wanted"
    assert [card.name for card in cards.grid.cards.values() if card.marked] == ["snspd"]
    assert not cards.go_to("nobody")


@pytest.mark.parametrize("width", [420, 900, 1500])
def test_cards_lie_beside_each_other_without_covering_or_cutting_anything(cards, width):
    cards.resize(width, 700)
    QApplication.processEvents()

    places = [card.geometry() for card in cards.grid.cards.values()]

    assert all(not one.intersects(other) for at, one in enumerate(places) for other in places[at + 1 :])
    assert len({place.x() for place in places}) == {420: 1, 900: 2, 1500: 4}[width]
    assert clipped(cards) == []


@pytest.mark.parametrize("size", [1.5, 2.0])
def test_large_text_is_not_cut(qtbot, desk, size):
    before, font = QApplication.font(), QApplication.font()
    font.setPointSizeF(font.pointSizeF() * size)
    QApplication.setFont(font)
    try:
        made = Cards(desk)
        qtbot.addWidget(made)
        made.resize(1400, 900)
        made.show()
        made.show_instruments(payloads.station_state().instruments, 0.2)
        QApplication.processEvents()

        assert clipped(made) == []
    finally:
        QApplication.setFont(before)


def test_an_error_is_red_in_the_theme_of_now(cards):
    assert cards.grid.cards["voa_a"].error.palette().windowText().color().name().upper() == theme.current().failure.upper()


def test_a_window_understands_the_safe_report_of_a_device_without_knowing_the_drivers():
    report = {"object": "heliograph.instruments.roles:SafeReport", "fields": {"name": "x", "state": "SENT"}}
    program = f"from heliograph.control.link import unpacked; print(unpacked({report}, []).state)"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)

    assert done.stdout.strip() == "SENT"
