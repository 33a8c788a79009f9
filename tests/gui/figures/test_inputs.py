"""Bias, thresholds and delays beside the rates: what is shown, what is asked of the owner, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
from PySide6.QtWidgets import QApplication, QLineEdit

from heliograph.control.topics import InstrumentState, Quantity
from heliograph.core.errors import ParameterError
from heliograph.gui.figures.inputs import Inputs

from .. import payloads
from ..finding import clipped, control, typed


def detector() -> InstrumentState:
    quantities = (
        Quantity("Switched on", "", True, True, True, "enabled"),
        Quantity("Bias 1", "A", 18e-6, 18e-6, 18e-6, "set_bias:1", 0.0, 25e-6),
        Quantity("Threshold 1", "V", 0.1, None, None, "set_threshold_v:1", -0.5, 0.5),
        Quantity("Temperature 1", "degC", 2.5),
    )
    return replace(payloads.detector_state(), quantities=quantities, state="armed", read_t=payloads.NOW - 0.5, age_s=0.5)


def tagger() -> InstrumentState:
    quantities = (
        Quantity("Clock", "", "external"),
        Quantity("Threshold D1", "V", -0.4, -0.4, -0.4, "set_threshold_v:1", -2.0, 2.0),
        Quantity("Delay D1", "s", 4e-9, 4e-9, 4e-9, "set_delay_s:1", 0.0, 1e-3),
    )
    return payloads.instrument_state(name="tagger", role="TagSource", quantities=quantities, read_t=payloads.NOW - 5.0, age_s=5.0)


@pytest.fixture
def inputs(qtbot, desk):
    made = Inputs(desk)
    qtbot.addWidget(made)
    made.resize(290, 500)
    made.show()
    made.show_station(payloads.station_state(instruments=(payloads.laser_state(), detector(), tagger()), t=payloads.NOW), 0.2)
    QApplication.processEvents()
    return made


def test_each_input_shows_what_is_wanted_accepted_and_measured_and_how_old_that_is(inputs):
    assert list(inputs.groups) == ["snspd", "tagger"]
    assert control(inputs, "snspd, age: read 0.7 s ago").isVisible()
    assert control(inputs, "snspd Threshold 1, measured: 100 mV").isVisible()
    assert control(inputs, "tagger, age: read 5.2 s ago, stale").isVisible()
    assert control(inputs, "tagger Delay D1, accepted: 4.00 ns, stale").isVisible()
    assert inputs.groups["snspd"].rows["Threshold 1"].label.text() == "Threshold 1, -500 mV to 500 mV"
    assert set(inputs.groups["tagger"].rows) == {"Threshold D1", "Delay D1"}
    assert clipped(inputs) == []


def test_while_nothing_is_told_of_instruments_every_input_grows_old_though_counts_come(inputs, desk):
    desk.inject("station", payloads.station_state())
    desk._came["station"] -= 3.0
    desk.inject("counts", payloads.count_rates())

    desk.ticked.emit()

    assert control(inputs, "snspd, age: read 3.5 s ago, stale").isVisible()
    assert control(inputs, "snspd Threshold 1, measured: 100 mV, stale").isVisible()


def test_what_is_typed_is_asked_of_the_owner_within_the_limits(qtbot, inputs, desk):
    typed(qtbot, inputs, "tagger Delay D1, wanted", "2.5 ns")
    typed(qtbot, inputs, "snspd Threshold 1, wanted", "120 mV")
    typed(qtbot, inputs, "snspd Bias 1, wanted", "17 uA")
    typed(qtbot, inputs, "snspd Threshold 1, wanted", "0.6 V")

    asked = [(body["name"], body["member"], body["args"]) for body in desk.answers.of("call")]
    assert asked == [("tagger", "set_delay_s", [1, 2.5e-9]), ("snspd", "set_threshold_v", [1, 0.12]), ("snspd", "set_bias", [1, pytest.approx(17e-6)])]
    assert inputs.groups["tagger"].rows["Delay D1"].pending
    assert inputs.groups["snspd"].rows["Threshold 1"].complaint.text() == "limit 500 mV (station)"


def test_a_refusal_stands_below_its_field(qtbot, inputs, desk):
    desk.answers.replies["call"] = ParameterError("a recording is in progress", where="tagger", remedy="End it first.")
    typed(qtbot, inputs, "tagger Delay D1, wanted", "2.5 ns")
    row = inputs.groups["tagger"].rows["Delay D1"]
    assert row.complaint.isVisible()
    assert row.complaint.text() == "a recording is in progress. End it first."
    assert not row.pending


def test_nothing_can_be_typed_where_another_one_controls_or_while_a_run_is_replayed(inputs, desk):
    field = control(inputs, "tagger Delay D1, wanted", QLineEdit)
    desk.set_control(False, "ana controls the bench")
    assert (field.isEnabled(), field.toolTip()) == (False, "ana controls the bench")
    desk.set_control(True)
    assert field.isEnabled()
    desk.set_replaying("20260920T150000Z-fringe-3f2a")
    assert not field.isEnabled()
    assert "press Back to live" in field.toolTip()
