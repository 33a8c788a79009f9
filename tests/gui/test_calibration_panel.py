"""Calibrations: what is good, stale, missing or suspect, and one button that queues the rest in order."""

from __future__ import annotations

import pytest
from PySide6.QtWidgets import QApplication

from heliograph.core.errors import BenchError
from heliograph.gui.calibration_panel import CalibrationPanel

from . import payloads
from .finding import clipped, control, press

CALIBRATIONS = (
    payloads.calibration_state(name="im1-bias", procedure="BiasScan"),
    payloads.calibration_state(name="pm_a-fringe", state="stale", text="older than 7 days", needs=("im1-bias",)),
    payloads.calibration_state(name="pm_a-delay", state="missing", text="never taken", taken=0.0, until=0.0),
    payloads.calibration_state(name="D1-response", state="suspect", text="its run file was changed"),
)


@pytest.fixture
def panel(qtbot, desk):
    made = CalibrationPanel(desk)
    qtbot.addWidget(made)
    made.resize(760, 300)
    made.show()
    made.show_station(payloads.station_state(calibrations=CALIBRATIONS, order=("pm_a-delay", "pm_a-fringe")), now=payloads.NOW)
    QApplication.processEvents()
    return made


def test_what_is_to_be_made_comes_first_in_order_each_with_its_state_value_and_age(panel):
    rows = panel.table.model_of_rows
    shown = [[rows.cell(row, column).text for column in range(6)] for row in range(rows.rowCount())]

    assert [row[1:3] for row in shown] == [["missing", "1"], ["stale", "2"], ["suspect", ""], ["good", ""]]
    assert shown[0][3:5] == ["never taken", "-"]
    assert shown[1][3] == "older than 7 days (after im1-bias)"
    assert shown[3][3:5] == ["V_pi 3.90(2) V, visibility 0.986(2)", "1 h 00 min"]
    assert {rows.cell(row, 1).word for row in range(4)} == {"suspect", "missing", "stale", "good"}, "a shape beside each word"


def test_one_press_queues_what_is_to_be_made(qtbot, panel, desk):
    press(qtbot, panel, "Queue missing and stale calibrations")

    assert desk.answers.of("calibrate") == [{}]
    assert "in this order: pm_a-delay, pm_a-fringe. Arm the bench: they need light." in desk.notices[0]


def test_a_bench_that_is_not_armed_is_told_to_be(panel):
    assert control(panel, "Calibrations to make: 2 to make, pm_a-delay first; arm the bench before").isVisible()

    panel.show_safety("ARMED")

    assert control(panel, "Calibrations to make: 2 to make, pm_a-delay first").isVisible()


def test_a_refusal_is_told_and_the_button_stays(qtbot, panel, desk):
    desk.answers.replies["calibrate"] = BenchError("the queue is closing", remedy="Wait.")

    press(qtbot, panel, "Queue missing and stale calibrations")

    assert desk.notices == ["the queue is closing. Wait."]
    assert panel.queue.isEnabled()


def test_there_is_nothing_to_queue_where_all_is_good_or_the_window_only_looks_on(panel, desk):
    desk.set_control(False, "control held by op@lab")
    assert not panel.queue.isEnabled()

    desk.set_control(True)
    panel.show_station(payloads.station_state(calibrations=CALIBRATIONS[:1], order=()), now=payloads.NOW)

    assert not panel.queue.isEnabled()
    assert control(panel, "Calibrations to make: All calibrations are good.").isVisible()
    assert clipped(panel) == []
