from __future__ import annotations

import pytest

from heliograph.acquisition.procedures import table
from heliograph.acquisition.procedures.base import BenchProcedure
from heliograph.core.errors import ConfigError, ParameterError

POINTS = "[heliograph.procedures]\nWarmUp = acme_plans:WarmUp\nFive = acme_plans:FIVE\n"
PLANS = """
from pymeasure.experiment import FloatParameter, ListParameter

from heliograph.acquisition.procedures.base import BenchProcedure

class WarmUp(BenchProcedure):
    minutes = FloatParameter("Warm-up", units="min", default=30.0, minimum=1.0, maximum=600.0)
    mode = ListParameter("Mode", choices=["slow", "fast"], default="slow")

FIVE = 5
"""


@pytest.mark.parametrize("name", table.PROCEDURES)
def test_every_procedure_of_ours_is_there_and_can_be_made_without_anything(name):
    procedure = table.procedure(name)

    assert issubclass(procedure, BenchProcedure)
    assert procedure.__name__ == name
    assert all(one["label"] for one in table.parameters(name).values())
    assert isinstance(table.made(name, {}), procedure)


def test_texts_become_the_values_of_parameters():
    made = table.made("CountRates", {"duration_s": "0.5", "light": "false", "pair": "B-C"})

    assert made.parameter_values() == {"duration_s": 0.5, "light": False, "pair": "B-C", "period_s": 0.1, "phase_deg": 90.0}


@pytest.mark.parametrize(
    ("name", "text"), [("duration_s", "x"), ("duration_s", "-1"), ("duration_s", "nan"), ("period_s", "inf"), ("light", "no"), ("lamp", "1")]
)
def test_a_text_that_is_no_value_is_refused_by_name(name, text):
    with pytest.raises(ParameterError, match=name):
        table.made("CountRates", {name: text})


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("lamp", 1, "there is no parameter 'lamp'"),
        ("duration_s", "soon", "'soon' is not a finite number"),
        ("duration_s", 1e-6, "1e-06 is less than 0.01"),
        ("duration_s", "-1", "-1 is less than 0.01"),
        ("phase_deg", 200, "200 is more than 180"),
        ("light", "perhaps", "'perhaps' is not True or False"),
        ("duration_s", None, "None is not a finite number"),
        ("period_s", float("nan"), "nan is not a finite number"),
    ],
)
def test_a_value_that_is_refused_is_told_in_our_words(name, value, message):
    with pytest.raises(ParameterError) as caught:
        table.procedure("CountRates")(**{name: value})

    assert caught.value.message == message
    assert caught.value.where == f"CountRates, {name} = {value!r}"
    assert "duration_s" in caught.value.remedy or "Give a value" in caught.value.remedy


def test_an_unknown_procedure_is_refused_with_those_there_are():
    with pytest.raises(ParameterError, match=r"CountRates.*PhaseScan"):
        table.procedure("Dance")


def test_a_procedure_of_another_package_is_found_with_its_parameters(foreign):
    foreign("acme", {"acme_plans": PLANS}, POINTS)

    assert {"CountRates", "WarmUp"} <= set(table.names())
    assert table.parameters("WarmUp") == {
        "minutes": {"label": "Warm-up", "units": "min", "default": 30.0, "minimum": 1.0, "maximum": 600.0, "choices": None},
        "mode": {"label": "Mode", "units": None, "default": "slow", "minimum": None, "maximum": None, "choices": ["slow", "fast"]},
    }
    assert table.made("WarmUp", {"minutes": "2", "mode": "fast"}).parameter_values() == {"minutes": 2.0, "mode": "fast"}
    assert table.procedure("WarmUp").foreign == "package acme 0.1", "it is marked though it is one of the bench"


@pytest.mark.parametrize(("given", "needs"), [("True", True), ("'lit'", False), ("'no such parameter'", True)])
def test_a_procedure_of_another_package_says_whether_it_needs_an_armed_bench(foreign, given, needs):
    text = PLANS.replace("WarmUp(BenchProcedure):", f"WarmUp(Procedure):\n    NEEDS_ARMED = {given}\n    lit = BooleanParameter('Lit', default=False)")
    foreign("acme", {"acme_plans": text.replace("import FloatParameter", "import Procedure, BooleanParameter, FloatParameter")}, POINTS)
    assert table.made("WarmUp", {}).needs_armed is needs


def test_a_procedure_of_pymeasure_alone_becomes_one_of_the_bench_under_the_name_it_is_offered_by(foreign):
    text = PLANS.replace("class WarmUp(BenchProcedure)", "class Heat(Procedure)").replace("import FloatParameter", "import Procedure, FloatParameter")
    foreign("acme", {"acme_plans": text}, "[heliograph.procedures]\nWarmUp = acme_plans:Heat\n")

    found = table.procedure("WarmUp")

    assert issubclass(found, BenchProcedure)
    assert (found.__name__, found.foreign) == ("WarmUp", "package acme 0.1")
    assert table.procedure("WarmUp") is found
    assert table.made("WarmUp", {"minutes": "2"}).parameter_values() == {"minutes": 2.0, "mode": "slow"}


@pytest.mark.parametrize(
    ("name", "points", "said"),
    [
        ("Five", POINTS, "Five of acme 0.1 is 5, a class derived from Procedure is needed"),
        ("CountRates", POINTS.replace("Five", "CountRates"), "CountRates of acme 0.1 has the name of a procedure"),
        ("Learn", POINTS.replace("Five", "Learn"), "Learn of acme 0.1 has the name of a procedure"),
    ],
)
def test_one_that_cannot_be_used_is_refused_by_name(foreign, name, points, said):
    foreign("acme", {"acme_plans": PLANS}, points)

    with pytest.raises(ConfigError, match=said):
        table.procedure(name)
