"""The attenuation that light on biased detectors needs, and what of it is verified."""

from __future__ import annotations

from datetime import date
from itertools import pairwise
from math import inf
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.core.errors import ConfigError
from heliograph.instruments.guard import ramp
from heliograph.instruments.guard.interlocks import AttenuatorNow, DetectorNow, LaserNow, Reading, applied, forbidden, is_way_down, needed_db, verified
from heliograph.instruments.guard.latches import RateLimit, rate_limits
from heliograph.instruments.station import Station, default_text

TODAY = date(2026, 11, 20)
WAVELENGTH_M = 1550.12e-9


def station(*changes: tuple[str, str]) -> Station:
    text = default_text().decode()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return Station.parse(text.encode(), Path("lab.toml"), today=TODAY)


def bench(
    *, power_w: float = 10e-3, emission: bool = True, bias_a: float = 18e-6, line_db: float | None = 60.0, arms_db: tuple[float, ...] = (60.0,) * 3
) -> dict[str, Reading]:
    arms = zip(("voa_a", "voa_b", "voa_c"), arms_db, strict=True)
    return {
        "laser": LaserNow(emission, power_w, WAVELENGTH_M, True),
        "voa_in": AttenuatorNow(line_db),
        **{name: AttenuatorNow(loss_db) for name, loss_db in arms},
        "snspd": DetectorNow({1: bias_a, 2: bias_a}, 0.0, True, 0.05e-6),
    }


def test_the_attenuation_that_a_laser_needs() -> None:
    assert needed_db(15e-3, WAVELENGTH_M, 1.0, 8e5) == pytest.approx(111.65, abs=0.005)
    assert needed_db(0.0, WAVELENGTH_M, 1.0, 8e5) == -inf


@given(st.floats(1e-9, 1.0), st.floats(1.0, 1e12))
def test_ten_times_the_power_or_a_tenth_of_the_rate_need_ten_decibels_more(power_w: float, rate_hz: float) -> None:
    need = needed_db(power_w, WAVELENGTH_M, 0.7, rate_hz)

    assert needed_db(10 * power_w, WAVELENGTH_M, 0.7, rate_hz) == pytest.approx(need + 10.0)
    assert needed_db(power_w, WAVELENGTH_M, 0.7, rate_hz / 10) == pytest.approx(need + 10.0)


def test_of_the_arms_the_clearest_counts() -> None:
    found = verified(station(), bench(line_db=33.61, arms_db=(1.0, 2.0, 60.0)), TODAY)

    assert found.total_db == pytest.approx(60.0 + 33.61 + 1.0)
    assert found.parts == "voa_in 33.61 dB, att_fixed 60.00 dB, voa_a 1.00 dB"


def test_an_attenuator_that_does_not_tell_counts_as_open() -> None:
    assert verified(station(), bench(line_db=None), TODAY).total_db == pytest.approx(120.0)
    assert verified(station(), {name: one for name, one in bench().items() if name != "voa_b"}, TODAY).total_db == pytest.approx(120.0)


@pytest.mark.parametrize(("day", "counts"), [(date(2026, 10, 31), False), (date(2026, 11, 1), True), (date(2036, 10, 29), True), (date(2036, 10, 30), False)])
def test_a_fixed_loss_counts_while_its_date_is_valid(day: date, counts: bool) -> None:
    found = verified(station(), bench(), day)

    assert found.total_db == (180.0 if counts else 120.0)
    assert ("att_fixed" in found.parts) is counts


def test_normal_work_of_every_pair_of_the_default_bench_is_allowed() -> None:
    for line_db, arms_db in ((33.61, (1.0, 1.0, 60.0)), (36.6, (4.0, 60.0, 1.0)), (36.6, (60.0, 4.0, 1.0))):
        assert forbidden(station(), bench(line_db=line_db, arms_db=arms_db), TODAY) == ""


def test_a_step_too_far_is_told_with_its_numbers() -> None:
    told = forbidden(station(), bench(line_db=20.0, arms_db=(1.0, 60.0, 60.0)), TODAY)

    assert told.startswith("10 mW on biased detectors need 93.02 dB of verified attenuation for 30 MHz, there are 81.00 dB (")


@pytest.mark.parametrize("change", [{"emission": False}, {"bias_a": 0.0}, {"bias_a": 0.04e-6}, {"power_w": 0.0}])
def test_without_light_or_without_bias_nothing_is_forbidden(change: dict[str, Any]) -> None:
    assert forbidden(station(), bench(line_db=0.8, arms_db=(0.8,) * 3, **change), TODAY) == ""


def test_a_station_without_a_limit_has_no_light_on_its_detectors() -> None:
    bare = station((', rate = "3 MHz", flux = "30 MHz"', ""))

    assert "limits.flux" in forbidden(bare, bench(), TODAY)
    assert rate_limits(bare) == {}


def test_the_count_rate_stands_in_for_the_photon_rate() -> None:
    strict = station((', flux = "30 MHz"', ""))

    assert "for 3 MHz" in forbidden(strict, bench(line_db=33.61, arms_db=(1.0, 1.0, 60.0)), TODAY)


def test_a_command_is_judged_by_what_it_leads_to() -> None:
    now = bench()
    assert applied(now["laser"], "power_w", 1.0) == LaserNow(True, 1.0, WAVELENGTH_M, True)
    assert applied(now["voa_in"], "attenuation_db", 3.0) == AttenuatorNow(3.0)
    changed = applied(now["snspd"], "bias:2", 1e-6)
    assert isinstance(changed, DetectorNow)
    assert changed.biases == {1: 18e-6, 2: 1e-6}


@pytest.mark.parametrize(
    ("name", "quantity", "value", "down"),
    [
        ("laser", "emission", 0.0, True),
        ("laser", "emission", 1.0, False),
        ("laser", "power_w", 9e-3, True),
        ("laser", "power_w", 11e-3, False),
        ("voa_in", "attenuation_db", 60.0, True),
        ("voa_in", "attenuation_db", 59.9, False),
        ("snspd", "bias:1", 17e-6, True),
        ("snspd", "bias:1", 19e-6, False),
        ("snspd", "bias:3", 1e-6, False),
        ("snspd", "enabled", 0.0, True),
    ],
)
def test_the_way_down_is_known(name: str, quantity: str, value: float, down: bool) -> None:
    assert is_way_down(bench()[name], quantity, value) is down


def test_an_attenuator_whose_position_nobody_knows_has_no_way_down() -> None:
    assert not is_way_down(AttenuatorNow(None), "attenuation_db", 60.0)


@given(st.floats(0.8, 60.0), st.floats(0.8, 60.0))
def test_attenuation_goes_in_steps_of_a_decibel_at_most(start: float, target: float) -> None:
    path = [start, *ramp.levels("attenuation_db", start, target)]

    assert path[-1] == target
    assert max(abs(b - a) for a, b in pairwise(path)) <= 1.0 + 1e-6
    assert len(path) <= abs(target - start) + 2


@given(st.floats(0.0, 15e-3), st.floats(1e-6, 15e-3))
def test_power_goes_in_steps_of_a_decibel_at_most_from_far_below_where_it_goes(start: float, target: float) -> None:
    path = ramp.levels("power_w", start, target)

    assert path[-1] == target
    if start < target:
        assert path[0] <= max(start, 1e-4 * target) * 10**0.1 * (1 + 1e-9)
        assert all(b <= a * 10**0.1 * (1 + 1e-9) for a, b in pairwise(path))


@given(st.floats(0.0, 18e-6), st.floats(1e-6, 18e-6))
def test_a_bias_goes_in_tenths_of_the_one_for_normal_work(start: float, target: float) -> None:
    path = [start, *ramp.levels("bias:1", start, target, 18e-6)]

    assert path[-1] == target
    assert max(abs(b - a) for a, b in pairwise(path)) <= 1.8e-6 * (1 + 1e-6)


def test_limits_come_from_the_stations_rule_or_are_a_share_of_the_highest_rate() -> None:
    assert rate_limits(station()) == {"snspd": RateLimit(2.4e6), "tagger": RateLimit(2.4e6)}


def test_a_rule_of_the_station_replaces_the_share() -> None:
    row = 'safety.interlock = [{ rule = "count_rate", on = "snspd", limit = "800 kHz", window = "0.2 s", action = "trip" }]\n'
    own = station(("\n[sim]\n", f"\n{row}[sim]\n"))

    assert rate_limits(own) == {"snspd": RateLimit(8e5, 0.2), "tagger": RateLimit(8e5, 0.2)}


def test_a_rule_on_what_does_not_count_is_refused() -> None:
    row = 'safety.interlock = [{ rule = "count_rate", on = "laser", limit = "800 kHz" }]\n'

    with pytest.raises(ConfigError, match="'laser', which counts nothing"):
        station(("\n[sim]\n", f"\n{row}[sim]\n"))


def test_a_short_look_allows_for_the_spread_of_its_counts() -> None:
    limit = RateLimit(1e4, 0.1)

    assert limit.exceeded(1.01e4, 0.1)
    assert not limit.exceeded(1.4e4, 0.01)
    assert limit.exceeded(1.6e4, 0.01)
