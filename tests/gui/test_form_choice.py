"""A procedure chosen and its form: what was typed is kept, what is edited is not."""

from __future__ import annotations

import pytest

from heliograph.gui.form_choice import FormChoice

from . import payloads


@pytest.fixture
def chooser(qtbot):
    one = FormChoice("Nothing is offered.", proposed=lambda name: {"points": "5"} if name == "PhaseScan" else {})
    qtbot.addWidget(one)
    return one


def offer(chooser: FormChoice, *names: str) -> None:
    chooser.take(payloads.procedure_form(name=name) for name in names)


def typed(chooser: FormChoice) -> str:
    assert chooser.form is not None
    return chooser.form.texts()["points"]


def turn(chooser: FormChoice, name: str) -> None:
    chooser.choice.setCurrentIndex(chooser.choice.findData(name))


def test_nothing_offered_is_said(chooser):
    offer(chooser, "PhaseScan")
    chooser.take(())
    assert (chooser.form, chooser.chosen, chooser.about.text()) == (None, None, "Nothing is offered.")


def test_what_was_typed_is_there_when_a_procedure_is_chosen_again(chooser):
    offer(chooser, "PhaseScan", "BiasScan")
    assert (chooser.chosen.name, typed(chooser)) == ("PhaseScan", "5")
    chooser.fill("PhaseScan", {"points": "7"})
    turn(chooser, "BiasScan")
    turn(chooser, "PhaseScan")
    assert typed(chooser) == "7"

    offer(chooser, "BiasScan", "PhaseScan", "CountRates")
    assert (chooser.chosen.name, typed(chooser)) == ("PhaseScan", "7")


def test_what_is_edited_is_kept_for_nobody_and_leaves_what_was_typed(chooser):
    offer(chooser, "PhaseScan", "BiasScan")
    chooser.fill("PhaseScan", {"points": "7"})

    chooser.edit("PhaseScan", {"points": "99"})
    assert typed(chooser) == "99"
    offer(chooser, "BiasScan", "PhaseScan", "CountRates")
    assert typed(chooser) == "99"
    chooser.leave()

    assert typed(chooser) == "7"


def test_a_form_that_is_filled_from_elsewhere_takes_nothing_from_the_one_before(chooser):
    offer(chooser, "PhaseScan", "BiasScan")
    chooser.fill("PhaseScan", {"points": "7"})
    chooser.fill("BiasScan", {"points": "8"})
    assert (chooser.chosen.name, typed(chooser)) == ("BiasScan", "8")
    turn(chooser, "PhaseScan")
    assert typed(chooser) == "7"


def test_other_choices_of_another_form_leave_what_is_being_typed_alone(chooser):
    offer(chooser, "PhaseScan", "BiasScan")
    before = chooser.form
    pair = payloads.parameter_form(name="pair", kind="choice", choices=("A-C",))

    chooser.take((payloads.procedure_form(name="PhaseScan"), payloads.procedure_form(name="BiasScan", parameters=(pair,))))
    assert chooser.form is before

    turn(chooser, "BiasScan")
    assert chooser.form.procedure.parameters == (pair,)


def test_what_is_proposed_and_cannot_be_chosen_is_left_out(qtbot):
    one = FormChoice("Nothing is offered.", proposed=lambda _name: {"pair": "A-Z", "points": "5"})
    qtbot.addWidget(one)
    offer(one, "PhaseScan")

    assert one.form is not None
    assert one.form.check()
    assert one.form.texts()["pair"] == "A-B"
    assert one.form.texts()["points"] == "5"
