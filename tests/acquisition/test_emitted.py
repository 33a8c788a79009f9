"""Rows of scalars that a procedure emits, as a table of its run file."""

from __future__ import annotations

from decimal import Decimal
from math import isnan
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymeasure.units import ureg

from heliograph.acquisition._run_schema import create
from heliograph.acquisition.procedures.emitted import Emitted
from heliograph.core.errors import ConfigError, HeliographError, ParameterError

COLUMNS = ["Step", "Voltage (V)", "Current (mA)"]


def test_columns_have_a_name_and_a_unit():
    found = Emitted("Sweep", ["Step", "Voltage (V)", "Rate (1/s)", "Ratio A/B", "Density (g/(cm*s))", "Field (T) set"])

    assert list(found.columns.values()) == [
        ("Step", ""),
        ("Voltage", "V"),
        ("Rate", "1/s"),
        ("Ratio A_B", ""),
        ("Density", "g/(cm*s)"),
        ("Field (T) set", ""),
    ]
    assert found.layout().tables == {"Sweep": dict(found.columns.values())}


def test_two_columns_of_one_name_are_told_apart_by_their_units():
    assert list(Emitted("Sweep", ["I (A)", "I (mA)"]).columns.values()) == [("I A", "A"), ("I mA", "mA")]


@pytest.mark.parametrize("columns", [["V (V)", "V (V)"], ["T", "A/B", "A_B"]])
def test_columns_that_cannot_be_told_apart_are_refused(columns):
    with pytest.raises(ConfigError, match=f"the columns {columns[-2]!r}, {columns[-1]!r} cannot be told apart".replace("(", r"\(").replace(")", r"\)")):
        Emitted("Sweep", columns)


@pytest.mark.parametrize("columns", [[""], ["."], [" . "], ["a/b (V)", ".. (V)"]])
def test_columns_without_a_name_are_refused(columns):
    with pytest.raises(ConfigError, match=f"^Sweep.DATA_COLUMNS: {columns[-1]!r}: nothing, or dots alone".replace("(", r"\(").replace(")", r"\)")):
        Emitted("Sweep", columns)


@pytest.mark.parametrize(("name", "table"), [("Sweep", "Sweep"), ("my sweep-2", "my_sweep_2"), ("_Sweep", "table_Sweep"), ("Überlauf", "table_berlauf")])
def test_a_table_has_the_name_of_its_procedure_as_far_as_it_may(name, table):
    assert Emitted(name, COLUMNS).layout().tables.keys() == {table}


@pytest.mark.parametrize(
    ("value", "kept"),
    [(2, 2.0), (True, 1.0), (np.float32(0.5), 0.5), (np.array(3), 3.0), (Decimal("1.5"), 1.5), (ureg.Quantity(20, "mV"), 0.02), (float("inf"), float("inf"))],
)
def test_any_scalar_is_kept(value, kept):
    assert Emitted("Sweep", COLUMNS).row({"Voltage (V)": value})["Voltage"] == pytest.approx([kept])


@pytest.mark.parametrize("record", [{}, {"Voltage (V)": None}])
def test_what_is_missing_is_not_a_number(record):
    row = Emitted("Sweep", COLUMNS).row({"Step": 1, **record})

    assert row["Step"] == [1.0]
    assert isnan(row["Voltage"][0])


@pytest.mark.parametrize(
    ("record", "told"),
    [
        ({"Voltage (V)": [1.0]}, "a list is no number"),
        ({"Voltage (V)": np.zeros(1)}, "a ndarray is no number"),
        ({"Voltage (V)": 1j}, "a complex is no number"),
        ({"Voltage (V)": "1.0"}, "the text '1.0' is no number"),
        ({"Voltage (V)": 10**400}, "is no number in V"),
        ({"Voltage (V)": ureg.Quantity(1, "s")}, "is no number in V"),
        ({"Step": ureg.Quantity(1, "s")}, "which has no unit"),
        ({"Volts (V)": 1.0}, r"'Volts \(V\)' is emitted and is no column"),
        ([1.0, 2.0], "by column, not as list"),
    ],
)
def test_what_is_no_row_is_refused_with_the_column(record, told):
    with pytest.raises(ParameterError, match=told):
        Emitted("Sweep", COLUMNS).row(record)


def test_a_batch_is_many_rows():
    emitted = Emitted("Sweep", COLUMNS)
    rows = emitted.rows({"Step": [0, 1, 2], "Voltage (V)": np.array([0.5, 1.0, 1.5])})

    assert {name: list(values) for name, values in rows.items() if name != "Current"} == {"Step": [0, 1, 2], "Voltage": [0.5, 1.0, 1.5]}
    assert np.isnan(rows["Current"]).all()
    assert emitted.last(rows)["Voltage (V)"] == 1.5


@pytest.mark.parametrize("record", [{"Step": [1, 2], "Voltage (V)": [1]}, {"Step": 1}, {"Step": "12"}])
def test_a_batch_of_other_lengths_is_refused(record):
    with pytest.raises(ParameterError, match="sequences of one length"):
        Emitted("Sweep", COLUMNS).rows(record)


@given(name=st.text(max_size=8), columns=st.lists(st.text(max_size=8), max_size=4), data=st.data())
def test_any_columns_are_kept_whole_or_refused(name: str, columns: list[str], data: Any) -> None:
    try:
        emitted = Emitted(name, columns)
    except HeliographError:
        return
    values = {column: data.draw(st.floats(allow_nan=False)) for column in columns}

    assert {column: float(emitted.row(values)[kept][0]) for column, (kept, _) in emitted.columns.items()} == values
    with h5py.File("in memory", "w", driver="core", backing_store=False) as file:
        create(file, emitted.layout())
        assert {group: set(file["tables"][group]) for group in emitted.layout().tables} == {key: set(told) for key, told in emitted.layout().tables.items()}
