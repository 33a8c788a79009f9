from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heliograph.control.topics import ParameterForm, ProcedureForm
from heliograph.core.errors import HeliographError, ParameterError
from heliograph.gui import access, words
from heliograph.gui.forms import Form
from heliograph.gui.number_input import NumberInput, shown

SECONDS = {"": Decimal(1), "s": Decimal(1), "ms": Decimal("1e-3"), "us": Decimal("1e-6"), "ns": Decimal("1e-9"), "min": Decimal(60), "h": Decimal(3600)}
TEXTS = st.text(st.sampled_from("0123456789.,+-eE nuµmshWmin"), max_size=10) | st.text(max_size=6)
HERE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=120)


def asked(*parameters: ParameterForm) -> ProcedureForm:
    return ProcedureForm("CountRates", "Count rates.", "Count.", "bench", parameters)


DURATION = ParameterForm("duration_s", "Duration", "float", "s", "1.0", 0.01, 1e5)
POINTS = ParameterForm("points", "Points", "integer", "", "25", 8, 1000)
MU = ParameterForm("intensity", "Photons per pulse", "float", "", "0.0085", 1e-6, 0.5)


@pytest.fixture
def form(qtbot: Any, appearance: str) -> Form:
    made = Form(asked(DURATION, POINTS, MU))
    qtbot.addWidget(made)
    made.show()
    return made


def number(form: Form, name: str) -> NumberInput:
    field = form.field(name)
    assert isinstance(field, NumberInput)
    return field


def type_over(qtbot: Any, field: NumberInput, text: str) -> None:
    field.setFocus()
    field.selectAll()
    qtbot.keyClicks(field, text)


REFUSED = [
    *(("duration_s", text) for text in ("1,5", "10 mW", "1e400", "", "nan", "inf", "-1", "1 s s", "0x10", "1_000", "1 000", "1 sec", "1.5.2", "100001", "2 d")),
    *(("points", text) for text in ("25.5", "1001", "7", "9" * 20, "1e400", "1e9999999999999999999", "1e-2", "", "ten", "2 5", "1,000", "25 s")),
    *(("intensity", text) for text in ("0.6", "0,02", "1e-7", "1e-400", "0.01 mW", "5 %")),
]


@pytest.mark.parametrize("name, text", REFUSED)
def test_what_is_no_value_of_a_field_stays_there_marked_and_does_not_leave_the_form(form: Form, qtbot: Any, name: str, text: str) -> None:
    field = number(form, name)
    type_over(qtbot, field, text or "\b")

    assert not form.check()

    assert field.text() == text
    assert field.problem
    assert field.accessibleDescription() == f"Not taken: {field.problem}"
    assert field.problem in access.texts(form)
    assert field.hasFocus()
    with pytest.raises(HeliographError):
        form.texts()


TAKEN = [
    *(("duration_s", *pair) for pair in (("10", "10.0"), ("5 ms", None), ("50 ms", "0.05"), ("1 min", "60.0"), (" 1.5 h ", "5400.0"), ("1e2", "100.0"))),
    *(("points", *pair) for pair in (("25", "25"), ("1e2", "100"), ("25.0", "25"), ("+30", "30"))),
    *(("intensity", *pair) for pair in (("0.02", "0.02"), ("2e-2", "0.02"), (".5", "0.5"))),
]


@pytest.mark.parametrize("name, text, value", TAKEN)
def test_what_is_typed_is_what_is_queued(form: Form, qtbot: Any, name: str, text: str, value: str | None) -> None:
    type_over(qtbot, number(form, name), text)

    assert form.check() is (value is not None)
    if value is not None:
        assert form.texts()[name] == value


def test_a_limit_is_told_with_its_source_and_goes_when_something_else_is_typed(form: Form, qtbot: Any) -> None:
    field = number(form, "duration_s")
    type_over(qtbot, field, "2e5")
    form.check()
    told = f"limit 100{words.THIN}000 s (Count rates)"
    assert told in access.texts(form)

    type_over(qtbot, field, "2")

    assert told not in access.texts(form)
    assert field.accessibleDescription() == f"0.01 to 100{words.THIN}000 s (duration_s)"


def test_leaving_a_field_says_at_once_what_is_wrong_with_it(form: Form, qtbot: Any) -> None:
    type_over(qtbot, number(form, "points"), "25.5")

    number(form, "duration_s").setFocus()

    assert "'25.5' is no whole number" in access.texts(form)


def said(text: str, units: dict[str, Decimal]) -> Decimal | None:
    """Return what a text says, None for nothing: a number, then nothing or a unit."""
    text = text.strip().replace("µ", "u").replace("μ", "u")
    for unit in sorted(units, key=len, reverse=True):
        if text.endswith(unit):
            try:
                value = Decimal(text.removesuffix(unit).strip()) * units[unit]
            except InvalidOperation:
                continue
            return value if value.is_finite() else None
    return None


@given(TEXTS)
@HERE
def test_no_text_leads_to_a_duration_that_it_does_not_say(form: Form, text: str) -> None:
    field = number(form, "duration_s")
    field.setText(text)

    if form.check():
        value, meant = Decimal(form.texts()["duration_s"]), said(field.text(), SECONDS)
        assert meant is not None
        assert abs(value - meant) <= Decimal("1e-12") * abs(meant)
        assert 0.01 <= value <= 100_000


@given(TEXTS)
@HERE
def test_no_text_leads_to_a_count_that_it_does_not_say(form: Form, text: str) -> None:
    field = number(form, "points")
    field.setText(text)

    if form.check():
        assert Decimal(form.texts()["points"]) == said(field.text(), {"": Decimal(1)})


@given(st.floats(1e-6, 0.5))
@HERE
def test_what_a_job_has_stands_in_its_form_to_the_last_digit(form: Form, value: float) -> None:
    form.set_texts({"intensity": repr(value)})

    assert form.texts()["intensity"] == repr(value)


def test_a_value_is_shown_without_digits_that_say_nothing() -> None:
    assert [shown(text) for text in ("5.0", "1e-06", "25", "0.0085", "2.0e+16", "hello", "")] == ["5", "1e-6", "25", "0.0085", "2e16", "hello", ""]


def test_what_is_half_typed_is_kept_as_it_is(form: Form, qtbot: Any) -> None:
    type_over(qtbot, number(form, "points"), "25.5")

    again = Form(form.procedure, form.drafts())
    qtbot.addWidget(again)

    assert number(again, "points").text() == "25.5"
    assert not again.check()


def test_a_choice_that_is_not_offered_is_told_until_another_one_is_made(qtbot: Any, appearance: str) -> None:
    form = Form(asked(ParameterForm("pair", "Pair", "choice", "", "A-B", choices=("A-B", "B-C"))), {"pair": "A-Z"})
    qtbot.addWidget(form)
    form.show()

    assert not form.check()
    assert form.drafts() == {"pair": "A-Z"}
    assert any("'A-Z'" in text for text in access.texts(form))

    form.field("pair").activated.emit(0)  # type: ignore[attr-defined]

    assert form.check()
    assert form.texts() == {"pair": "A-B"}


def test_a_refusal_of_the_bench_stands_under_the_field_that_it_names(form: Form) -> None:
    assert form.refuse(ParameterError("too long for the light", where="CountRates, duration_s = '7200'"))
    assert "too long for the light" in access.texts(form)
    assert not form.refuse(ParameterError("the disk is full", where="CountRates"))


@pytest.mark.parametrize(
    "error",
    [
        ParameterError("there is no power meter 'laser'", where="BiasScan", remedy="There are pm."),
        ParameterError("no meter is there", where="BiasScan"),
        ParameterError("too much is asked for", where="voa_in", remedy="Choose another meter."),
    ],
)
def test_a_refusal_that_names_what_stands_in_a_field_stands_under_it(qtbot: Any, appearance: str, error: ParameterError) -> None:
    form = Form(asked(ParameterForm("meter", "Power meter", "text", "", ""), ParameterForm("note", "Note", "text", "", "")), {"meter": "laser"})
    qtbot.addWidget(form)
    form.show()

    assert form.refuse(error)

    assert form.field("meter").accessibleDescription() == f"Not taken: {error.message}"
    assert form.field("note").accessibleDescription() == "note"


def test_arrows_step_the_digit_at_the_cursor(form: Form, qtbot: Any) -> None:
    from PySide6.QtCore import Qt

    field = number(form, "points")
    field.setCursorPosition(1)
    qtbot.keyClick(field, Qt.Key.Key_Up)

    assert form.texts()["points"] == "35"
