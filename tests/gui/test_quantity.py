from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QApplication

from heliograph.control.topics import Quantity
from heliograph.core.errors import HeliographError, LimitError, ParameterError
from heliograph.gui import quantity, words
from heliograph.gui.quantity import QuantityField, parse, step


@pytest.mark.parametrize("text, value", [("10 mW", 0.01), ("-30 dBm", 1e-6), ("1 uW", 1e-6), ("1 µW", 1e-6), (" 2.5e-3 W ", 2.5e-3), ("3mW", 3e-3)])
def test_powers_are_read(text: str, value: float) -> None:
    assert parse(text, "W") == pytest.approx(value)


def test_the_two_ways_to_write_a_microampere_are_one() -> None:
    assert parse("1 uA", "A") == parse("1 µA", "A") == parse("1 μA", "A")


@pytest.mark.parametrize("text", ["10", "1,5 mW", "nan W", "1e400 W", "1e-400 mW", "1e-320 fW", "inf W", "10 mV", "ten mW", "", "10 mW mW", "0x10 mW", "1e3"])
def test_what_is_no_power_is_refused(text: str) -> None:
    with pytest.raises(ParameterError):
        parse(text, "W")


def test_a_refusal_says_what_would_be_taken() -> None:
    with pytest.raises(ParameterError, match="unit missing: mW, uW, dBm"):
        parse("10", "W")
    with pytest.raises(ParameterError, match="'1,5 mW' has a comma: use a point"):
        parse("1,5 mW", "W")
    with pytest.raises(LimitError, match=r"^limit 15 mW \(station\)"):
        parse("16 mW", "W", high=0.015)
    with pytest.raises(LimitError, match=r"^least 0\.8 dB \(station\)"):
        parse("0.5 dB", "dB", low=0.8)


@pytest.mark.parametrize(
    "text, unit, high, told", [("19 uA", "A", 18.96e-6, "18.96 µA"), ("12.35 mW", "W", 12.345e-3, "12.345 mW"), ("10 dBm", "W", 9.96e-3, "10.0 dBm (9.96 mW)")]
)
def test_a_limit_is_told_with_all_its_digits(text: str, unit: str, high: float, told: str) -> None:
    with pytest.raises(LimitError, match=f"^limit {re.escape(told)} "):
        parse(text, unit, high=high)


@given(st.floats(1e-15, 1e12), st.sampled_from(["A", "dB"]))
def test_a_limit_that_is_told_is_taken(limit: float, unit: str) -> None:
    told = words.in_full(limit, unit).replace(words.THIN, "")

    assert parse(told, unit, low=limit, high=limit) == limit


@given(st.text(st.sampled_from("0123456789.,+-eE munpkWdBmnaif "), max_size=12))
def test_nothing_that_is_accepted_lies_outside_its_limits(text: str) -> None:
    try:
        value = parse(text, "W", low=0.0, high=0.015)
    except HeliographError:
        return

    assert 0.0 <= value <= 0.015


@given(st.floats(1e-9, 1e3))
def test_what_is_put_into_a_field_reads_back(value: float) -> None:
    assert parse(quantity.typed(value, "W"), "W") == pytest.approx(value, rel=1e-5)


@pytest.mark.parametrize(
    "text, cursor, up, changed", [("12.3 mW", 4, True, "12.4 mW"), ("12.3 mW", 1, True, "22.3 mW"), ("9 mW", 1, True, "10 mW"), ("0.5 dB", 3, False, "0.4 dB")]
)
def test_arrows_step_the_digit_at_the_cursor(text: str, cursor: int, up: bool, changed: str) -> None:
    assert step(text, cursor, up)[0] == changed


@pytest.fixture
def field(qtbot: Any, appearance: str) -> QuantityField:
    made = QuantityField("Laser &power", "W", low=0.0, high=0.015)
    qtbot.addWidget(made)
    made.show()
    return made


def type_in(qtbot: Any, field: QuantityField, text: str) -> None:
    field.edit.clear()
    qtbot.keyClicks(field.edit, text)
    qtbot.keyClick(field.edit, Qt.Key.Key_Return)


def test_what_is_typed_is_pending_until_the_device_agrees(field: QuantityField, qtbot: Any) -> None:
    with qtbot.waitSignal(field.asked) as asked:
        type_in(qtbot, field, "10 mW")
    assert asked.args == [0.01]
    pending = [field.pending]
    for measured in (0.002, 0.01):
        field.show_quantity(Quantity("Laser power", "W", measured, 0.01, 0.01))
        pending.append(field.pending)

    assert pending == [True, True, False]
    assert field.measured.accessibleName() == "Laser power, measured: 10.0 mW"


def test_a_device_that_does_not_follow_is_told_after_two_seconds(field: QuantityField, qtbot: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("heliograph.gui.quantity.time.monotonic", lambda: now[0])
    type_in(qtbot, field, "10 mW")

    field.show_quantity(Quantity("Laser power", "W", 0.002, 0.01, 0.01))
    now[0] += 2.1
    # Nothing more comes.
    quantity.settle_pending()

    assert not field.pending
    assert "reads 2.00 mW" in field.state.accessibleName()
    field.show_quantity(Quantity("Laser power", "W", 0.01, 0.01, 0.01))
    assert not field.state.isVisible()


def test_a_refused_text_stays_is_described_and_not_sent(field: QuantityField, qtbot: Any) -> None:
    sent: list[float] = []
    field.asked.connect(sent.append)

    type_in(qtbot, field, "16 mW")

    assert (field.edit.text(), sent) == ("16 mW", [])
    assert field.edit.accessibleDescription() == "Not sent: limit 15 mW (station)"
    assert field.complaint.isVisible()
    field.show_quantity(Quantity("Laser power", "W", 0.002, 0.002, 0.002))
    assert field.edit.text() == "16 mW"


def test_the_wheel_changes_nothing(field: QuantityField, qtbot: Any) -> None:
    field.edit.setText("10 mW")
    at = QPointF(field.edit.rect().center())
    turned = QWheelEvent(at, at, QPoint(0, 120), QPoint(0, 120), Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False)

    QApplication.sendEvent(field.edit, turned)

    assert field.edit.text() == "10 mW"


def test_a_value_of_the_owner_is_not_written_over_what_is_being_typed(field: QuantityField, qtbot: Any) -> None:
    field.activateWindow()
    field.edit.setFocus()
    qtbot.waitUntil(field.edit.hasFocus)
    qtbot.keyClicks(field.edit, "7")

    field.show_quantity(Quantity("Laser power", "W", 0.002, 0.002, 0.002))
    assert field.edit.text() == "7"
    field.edit.clearFocus()
    field.show_quantity(Quantity("Laser power", "W", 0.002, 0.002, 0.002))

    assert field.edit.text() == "2 mW"
