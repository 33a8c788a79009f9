"""What needs light is offered with what has to be done first, and a way there."""

from __future__ import annotations

from dataclasses import replace

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QCheckBox

from heliograph.control.topics import ParameterForm
from heliograph.gui.figures.start import StartPanel

from .. import payloads
from ..finding import control

LIGHT = ParameterForm("light", "Light", "boolean", "", "True")
COUNTS = payloads.procedure_form(parameters=(LIGHT,), needs_armed=True, needs_armed_if="light")
THEIRS = replace(COUNTS, name="Heat", title="Heat a crystal", parameters=(), needs_armed=False, needs_armed_if="", foreign="package acme 0.1")


@pytest.fixture
def panel(qtbot, desk):
    desk.answers.replies["procedures"] = (COUNTS, THEIRS)
    made = StartPanel(desk, lambda _form: True, lambda _row: True)
    qtbot.addWidget(made)
    made.resize(300, 600)
    made.show()
    made.reread()
    QApplication.processEvents()
    return made


def says(panel, state):
    panel.desk.inject("safety", payloads.safety(state=state))
    return panel.unarmed.text() if panel.unarmed.isVisible() else ""


def test_beside_start_stands_that_the_bench_has_to_be_armed_and_a_button_leads_there(qtbot, panel, desk):
    wanted = []
    desk.page_wanted.connect(lambda *told: wanted.append(told))

    assert says(panel, "ARMED") == ""
    assert panel.to_arming.isHidden()
    assert says(panel, "SAFE") == "The bench is safe: arm it first. Until then it waits in the queue."
    assert says(panel, "TRIPPED").startswith("The bench has tripped: reset and arm it first.")
    assert panel.start.isEnabled(), "it waits in the queue"
    button = control(panel, "Go to arming")
    button.setFocus()
    qtbot.keyClick(button, Qt.Key.Key_Space)
    assert wanted == [("bench", "arming")]


def test_on_an_armed_bench_whose_laser_was_switched_off_it_says_so(panel, desk):
    def with_laser(on):
        quantities = tuple(replace(one, measured=on) if one.member == "emission" else one for one in payloads.laser_state().quantities)
        desk.inject("station", payloads.station_state(instruments=(payloads.laser_state(quantities=quantities), payloads.detector_state())))
        return says(panel, "ARMED")

    assert with_laser(on=True) == ""
    assert with_laser(on=False) == "The laser is off: switch it on first. Until then it waits in the queue."
    assert says(panel, "SAFE").startswith("The bench is safe")
    desk.inject("station", payloads.station_state(instruments=(payloads.detector_state(),)))
    assert says(panel, "ARMED") == ""


def test_what_needs_no_light_is_told_nothing(panel):
    assert says(panel, "SAFE")
    control(panel, "Light", QCheckBox).setChecked(False)
    assert says(panel, "SAFE") == ""
    panel.choose("Heat")
    assert says(panel, "SAFE") == ""
    assert panel.chooser.about.text() == "Heat a crystal. It is a procedure of package acme 0.1."
