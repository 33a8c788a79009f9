import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.core.errors import ConfigError
from heliograph.core.units import parse, show


@pytest.mark.parametrize(
    ("text", "dimension", "value"),
    [
        ("10 mW", "W", 0.01),
        ("0 mW", "W", 0.0),
        ("-3 dBm", "W", 10 ** (-0.3) * 1e-3),
        ("0dBm", "W", 1e-3),
        ("2.2e-13 W", "W", 2.2e-13),
        ("1550.12 nm", "m", 1550.12e-9),
        ("1000.5 m", "m", 1000.5),
        ("6 km", "m", 6000.0),
        ("100 MHz", "Hz", 1e8),
        ("50 Hz", "Hz", 50.0),
        ("10 ns", "s", 1e-8),
        ("100 ps", "s", 1e-10),
        ("-1.5 V", "V", -1.5),
        ("+5 V", "V", 5.0),
        (".5 V", "V", 0.5),
        ("18 uA", "A", 18e-6),
        ("18 µA", "A", 18e-6),
        ("18 μA", "A", 18e-6),
        ("180 deg", "rad", math.pi),
        ("60 dB", "dB", 60.0),
        ("25 degC", "degC", 25.0),
        ("-40 °C", "degC", -40.0),
        ("1 min", "s", 60.0),
    ],
)
def test_a_quantity_becomes_its_si_value(text, dimension, value):
    assert parse(text, dimension) == pytest.approx(value, rel=1e-12, abs=0)


@pytest.mark.parametrize(
    "text",
    ["1,5 mW", "1.5", "", "mW", "nan W", "inf W", "NaN mW", "1e999 W", "1_000 W", "1 .5 W", "9e9999 dBm", "١ W", "--1 W", "0x10 W", "1 W 2", "1.5 mW\n2"],
)
def test_what_is_no_finite_number_with_a_unit_is_refused(text):
    with pytest.raises(ConfigError) as caught:
        parse(text, "W", where="laser.limits")

    assert caught.value.where == "laser.limits"
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("text", "dimension"),
    [
        ("10 mV", "W"),
        ("10 dB", "W"),
        ("10 dBm", "V"),
        ("3 dBm", "dB"),
        ("5 W", "dB"),
        ("20 K", "degC"),
        ("5 parsnips", "W"),
        ("5 W/m", "W"),
        ("5 W*W", "W"),
        ("1 MHz", "s"),
        ("3 m^", "m"),
    ],
)
def test_a_wrong_dimension_is_refused(text, dimension):
    with pytest.raises(ConfigError):
        parse(text, dimension)


@pytest.mark.parametrize("value", [10, 1.5, True, None, ["1 W"]])
def test_a_bare_number_is_refused(value):
    with pytest.raises(ConfigError):
        parse(value, "W")


@given(st.floats(min_value=1e-14, max_value=1e13), st.sampled_from(["W", "V", "Hz", "s", "m"]))
def test_what_is_shown_reads_back(value, unit):
    assert parse(show(value, unit, digits=15), unit) == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(0.01235, "W", "12.35 mW"), (2.1785e-13, "W", "217.8 fW"), (0.0, "V", "0 V"), (-1.5, "V", "-1.5 V"), (1e8, "Hz", "100 MHz"), (12.34, "dB", "12.34 dB")],
)
def test_people_see_an_engineering_prefix(value, unit, text):
    assert show(value, unit) == text
