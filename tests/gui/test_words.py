from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.gui import words


def test_numbers_are_said_as_the_specification_says_them() -> None:
    assert words.percent(0.01234) == "1.23 %"
    assert words.rate(228_732) == "228.7 kbit/s"
    assert words.power(2.1785e-13) == "-96.6 dBm (0.218 pW)"
    assert [words.power(watts) for watts in (0.0, 2.7e-27, -8.8e-12)] == ["dark"] * 3
    assert words.dbm(2.7e-27) == "dark"
    assert words.age(0.34) == "0.3 s"
    assert words.age(75) == "1 min 15 s, stale"
    assert words.safety("TRIPPED", "VOA A lost") == "Safety: tripped, cause VOA A lost"
    assert words.uncertain(1.234, 0.042, "%") == "1.23(4) %"


@pytest.mark.parametrize(
    "value, shown",
    [(0, "0"), (1234567, f"1{words.THIN}230{words.THIN}000"), (9.996, "10.0"), (0.00123, "0.00123"), (1.5e-9, "1.50e-9"), (-0.5, "-0.500"), (math.nan, "-")],
)
def test_three_digits_are_shown_and_thousands_set_apart(value: float, shown: str) -> None:
    assert words.number(value) == shown


@pytest.mark.parametrize("value, shown", [(999.96, "1.00 kHz"), (999.4, "999 Hz"), (0.0, "0 Hz"), (-2.5e6, "-2.50 MHz"), (math.inf, "-")])
def test_a_prefix_is_chosen_after_rounding(value: float, shown: str) -> None:
    assert words.scaled(value, "Hz") == shown


@given(st.floats(1e-11, 1e13))
def test_a_scaled_value_reads_back_within_its_digits(value: float) -> None:
    factors = {"T": 1e12, "G": 1e9, "M": 1e6, "k": 1e3, "": 1.0, "m": 1e-3, "µ": 1e-6, "n": 1e-9, "p": 1e-12}
    text, unit = words.scaled(value, "Hz").replace(words.THIN, "").split(" ")

    assert float(text) * factors[unit.removesuffix("Hz")] == pytest.approx(value, rel=5.1e-3)


@given(st.floats(0, 1e6))
def test_lengths_of_time_never_say_sixty(seconds: float) -> None:
    text = words.duration(seconds)

    assert " 60 s" not in f" {text}"
    assert "60 min" not in text


@pytest.mark.parametrize("name, said", [("PhaseScan", "Phase scan"), ("Sweep (CSV)", "Sweep (CSV)"), ("KeyExchange (CSV)", "Key exchange (CSV)"), ("", "")])
def test_names_of_procedures_are_said_with_the_capitals_that_are_theirs(name: str, said: str) -> None:
    assert words.spoken(name) == said


def test_values_of_any_kind_are_shown() -> None:
    assert [words.quantity(one, "W") for one in (True, False, None, "no link", 0.0099)] == ["on", "off", "-", "no link", "9.90 mW"]
    assert words.quantity(-3.0103, "dB") == "-3.01 dB"
    assert words.quantity(24.93, "degC") == "24.9 °C"
    assert words.power(0.0) == "dark"


def test_each_word_of_the_vocabulary_has_one_look_and_unknown_ones_are_drawn_as_unknown() -> None:
    needed = "safe arming armed tripped pending stale simulated replay suspended paused aborted failed done"

    assert set(needed.split()) <= set(words.VOCABULARY)
    assert words.look("SAFE") == words.VOCABULARY["safe"]
    assert words.look("no such word") == words.VOCABULARY["unknown"]
