"""A cap is changed on purpose: by its unit, with a reason, held; what is shown as accepted is what the owner told last."""

from __future__ import annotations

from dataclasses import replace

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLineEdit, QPushButton

from heliograph.control.topics import QpuLimit
from heliograph.core.errors import HeliographError, LimitError, ParameterError, QpuConfigError
from heliograph.gui import hold
from heliograph.gui.badges import Badge
from heliograph.gui.figures import qpu_cap
from heliograph.gui.figures.costs import standing
from heliograph.gui.figures.qpu import QpuTable
from heliograph.gui.figures.qpu_cap import parsed
from heliograph.gui.words import THIN

from .. import payloads
from ..finding import control
from ..finding import hold as hold_down

LIMITS = payloads.QPU_LIMITS


@pytest.fixture
def panel(qtbot, desk, monkeypatch):
    monkeypatch.setattr(hold, "HOLD_MS", 40)
    made = QpuTable(desk)
    qtbot.addWidget(made)
    made.resize(900, 300)
    made.show_jobs(payloads.qpu_jobs())
    made.show()
    return made


def typed(qtbot, panel, cap="40 USD", why="a second layer"):
    for name, text in (("New cap", cap), ("Reason of the change", why)):
        field = control(panel, name, QLineEdit)
        field.setFocus()
        field.clear()
        qtbot.keyClicks(field, text)
    return control(panel, "Change the cap", QPushButton)


def with_cap(usd):
    return payloads.qpu_jobs(cap=usd, limits=(replace(LIMITS[0], cap=usd), *LIMITS[1:]))


def test_a_cap_that_is_held_is_pending_until_the_owner_tells_of_it(qtbot, panel, desk):
    typed(qtbot, panel)
    hold_down(qtbot, panel, "Change the cap", 90)

    (asked,) = desk.answers.of("qpu_cap")
    assert (asked["project"], asked["limit"], asked["most"], asked["was"], asked["why"]) == ("demo", "usd", 40.0, 20.0, "a second layer")
    assert asked["operator"]
    assert control(panel, "Cap: pending, 40.00 USD wanted, 20.00 USD accepted", Badge)
    assert panel.spent.text() == "2.50 USD, cap 20.00 USD"
    assert not control(panel, "Change the cap", QPushButton).isEnabled()
    panel.show_jobs(payloads.qpu_jobs(spent=2.6))
    assert control(panel, "Cap: pending, 40.00 USD wanted, 20.00 USD accepted", Badge)

    panel.show_jobs(with_cap(40.0))

    assert control(panel, "Cap: good, 40.00 USD accepted", Badge)
    assert panel.spent.text() == "2.50 USD, cap 40.00 USD"
    assert control(panel, "New cap", QLineEdit).text() == control(panel, "Reason of the change", QLineEdit).text() == ""


def test_enter_and_a_short_press_change_nothing(qtbot, panel, desk):
    button = typed(qtbot, panel)
    qtbot.keyClick(control(panel, "New cap", QLineEdit), Qt.Key.Key_Return)
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    qtbot.wait(60)
    assert desk.answers.of("qpu_cap") == []


def test_what_the_owner_refuses_is_said_and_the_cap_stands_as_it_was(qtbot, panel, desk):
    desk.answers.replies["qpu_cap"] = QpuConfigError("the cap is 25 USD now, not 20 USD", where="qpu.toml", remedy="It was left alone.")
    typed(qtbot, panel)
    hold_down(qtbot, panel, "Change the cap", 90)

    assert not panel.change.state.isVisible()
    assert "the cap is 25 USD now, not 20 USD" in panel.change.told.text()
    assert panel.change.told.isVisible()
    assert control(panel, "New cap", QLineEdit).text() == "40 USD"
    assert panel.spent.text() == "2.50 USD, cap 20.00 USD"
    assert control(panel, "Change the cap", QPushButton).isEnabled()


def test_a_change_that_nobody_tells_of_is_asked_for(qtbot, panel, desk, monkeypatch):
    monkeypatch.setattr(qpu_cap, "_READ_BACK_S", -1.0)
    typed(qtbot, panel)
    desk.ticked.emit()
    assert desk.answers.of("reread") == []
    hold_down(qtbot, panel, "Change the cap", 90)
    desk.ticked.emit()
    assert len(desk.answers.of("reread")) == 1


def test_a_change_that_somebody_else_overtook_is_over_once_it_was_asked_for(qtbot, panel, desk, monkeypatch):
    monkeypatch.setattr(qpu_cap, "_READ_BACK_S", -1.0)
    typed(qtbot, panel)
    hold_down(qtbot, panel, "Change the cap", 90)
    panel.show_jobs(with_cap(60.0))
    assert control(panel, "Cap: pending, 40.00 USD wanted, 20.00 USD accepted", Badge)
    desk.ticked.emit()

    panel.show_jobs(with_cap(60.0))

    assert "the cap is 60.00 USD by now" in panel.change.told.text()
    assert control(panel, "Change the cap", QPushButton).isEnabled()
    desk.ticked.emit()
    assert len(desk.answers.of("reread")) == 1


def test_a_change_that_nobody_tells_of_is_not_asked_for_for_ever(qtbot, panel, desk, monkeypatch):
    monkeypatch.setattr(qpu_cap, "_READ_BACK_S", -1.0)
    typed(qtbot, panel)
    hold_down(qtbot, panel, "Change the cap", 90)
    for _ in range(20):
        desk.ticked.emit()

    assert len(desk.answers.of("reread")) == 5
    assert "the cap is 20.00 USD by now" in panel.change.told.text()
    assert control(panel, "Change the cap", QPushButton).isEnabled()


def test_a_change_does_not_wait_for_a_project_that_is_told_of_no_more(qtbot, panel, desk, monkeypatch):
    monkeypatch.setattr(qpu_cap, "_READ_BACK_S", -1.0)
    typed(qtbot, panel)
    hold_down(qtbot, panel, "Change the cap", 90)

    panel.show_jobs(payloads.qpu_jobs(project="another"))

    assert control(panel, "Change the cap", QPushButton).isEnabled()
    assert not panel.change.state.isVisible()
    desk.ticked.emit()
    assert desk.answers.of("reread") == []


@pytest.mark.parametrize(
    ("cap", "why", "says"),
    [
        ("", "x", "no cap is typed"),
        ("40 USD", "  ", "no reason is typed"),
        ("40", "x", "unit missing: USD, s, shots, jobs"),
        ("1 USD", "x", "2.50 USD are spent or reserved already"),
        ("20 USD", "x", "the cap is 20.00 USD already"),
    ],
)
def test_what_cannot_be_asked_for_says_why(qtbot, panel, cap, why, says):
    button = typed(qtbot, panel, cap, why)
    assert not button.isEnabled()
    assert says in button.accessibleDescription()


@pytest.mark.parametrize(
    ("limit", "text", "told"),
    [
        (QpuLimit("usd", "USD", 12.3512, 5.0), "12.35 USD", "12.3512 USD"),
        (QpuLimit("usd", "USD", 0.1 + 0.2, 5.0), "0.29 USD", "0.30 USD"),
        (QpuLimit("qpu_seconds", "s", 1_234_567.5, 5.0), "1 s", f"1{THIN}234{THIN}567.5 s"),
    ],
)
def test_what_is_told_as_spent_is_enough_as_a_cap(limit, text, told):
    with pytest.raises(LimitError) as caught:
        parsed(text, (limit,))
    assert caught.value.message == f"{told} are spent or reserved already"
    assert parsed(told.replace(THIN, ""), (limit,))[0] is limit


def test_what_is_wrong_with_a_cap_is_said_beside_it_once_it_is_typed(qtbot, panel):
    typed(qtbot, panel, "40 EUR")
    assert panel.change.told.text() == "'EUR' is not one of USD, s, shots, jobs. Type it as in 20 USD."
    typed(qtbot, panel, "40 USD")
    assert not panel.change.told.isVisible()


def test_without_control_or_a_project_no_cap_is_changed(qtbot, panel, desk):
    button = typed(qtbot, panel)
    desk.set_control(False, "control is held by ana@lab1")
    assert "control is held by ana@lab1" in button.accessibleDescription()
    desk.set_control(True)
    panel.show_jobs(payloads.qpu_jobs(limits=()))
    assert "no project is known" in button.accessibleDescription()
    assert panel.caps.text() == "-"


@pytest.mark.parametrize(
    ("text", "limit", "value"),
    [
        ("40 USD", "usd", 40.0),
        ("40USD", "usd", 40.0),
        ("40 $", "usd", 40.0),
        (" 2.75 usd ", "usd", 2.75),
        ("1e3 USD", "usd", 1000.0),
        ("600 s", "qpu_seconds", 600.0),
        ("9 jobs", "jobs", 9.0),
        ("1e6 shots", "shots", 1e6),
    ],
)
def test_the_unit_says_which_cap_is_meant(text, limit, value):
    found, most = parsed(text, LIMITS)
    assert (found.name, most) == (limit, value)


@pytest.mark.parametrize("text", ["1,5 USD", "-5 USD", "nan USD", "1e400 USD", "9.5 jobs", "USD", "40 mUSD", "0x10 USD", "4 0 USD"])
def test_what_is_no_cap_is_never_one(text):
    with pytest.raises(HeliographError):
        parsed(text, LIMITS)


def test_without_limits_nothing_is_a_cap():
    with pytest.raises(ParameterError):
        parsed("40 USD", ())


def test_caps_are_told_in_one_line():
    told = standing((QpuLimit("qpu_seconds", "s", 60.5, 200.0), QpuLimit("shots", "shots", 8192.0, 100_000.0), QpuLimit("jobs", "jobs", 2.0, None)))
    assert told == "time on devices 60.5 s of 200 s, 8\u2009192 of 100\u2009000 shots, 2 of 0 jobs"
