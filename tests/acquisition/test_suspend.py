"""When a run pauses and when it goes on, by the rules alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.acquisition.suspend import Change, Suspender, source_of
from heliograph.core.errors import ConfigError
from heliograph.instruments.station import Station, default_text
from heliograph.instruments.station_models import Suspend

QBER = {"metric": "qber", "above": 0.05, "for": "2 s", "resume_below": 0.03, "resume_for": "10 s"}


def rule(**given: Any) -> Suspend:
    return Suspend.model_validate(given)


def fed(suspender: Suspender, key: str, values: list[tuple[float, float]]) -> list[Change]:
    return [change for t, value in values if (change := suspender.feed(t, {key: value})) is not None]


def test_a_run_pauses_after_a_while_above_and_goes_on_after_a_while_below():
    suspender = Suspender.of([rule(**QBER)])
    rising = [(float(t), 0.06 if t >= 3 else 0.01) for t in range(9)]
    falling = [(9.0 + t, 0.04 if t < 5 else 0.02) for t in range(20)]

    changes = fed(suspender, "qber", rising + falling)

    assert [(change.t_s, change.paused) for change in changes] == [(5.0, True), (24.0, False)]
    assert "qber 0.0600, suspended above 0.0500" in changes[0].why


def test_a_short_excursion_changes_nothing():
    suspender = Suspender.of([rule(**QBER)])

    assert fed(suspender, "qber", [(0.0, 0.01), (1.0, 0.2), (2.5, 0.2), (2.9, 0.01), (4.0, 0.2), (5.9, 0.2)]) == []
    assert suspender.pending


def test_between_the_two_limits_a_run_stays_as_it_is():
    suspender = Suspender.of([rule(metric="power", below="9 mW", resume_above="9.5 mW")])

    changes = fed(suspender, "power", [(0.0, 9.2e-3), (1.0, 8.9e-3), (2.0, 9.2e-3), (3.0, 9.6e-3), (4.0, 9.2e-3)])

    assert [(change.t_s, change.paused) for change in changes] == [(1.0, True), (3.0, False)]
    assert "power 8.9 mW, suspended below 9 mW" in changes[0].why


def test_all_rules_must_be_content_before_a_run_goes_on():
    suspender = Suspender.of([rule(metric="temperature", above="30 degC"), rule(metric="count_rate", above="1 MHz")])

    assert suspender.keys == {"temperature", "count_rate D1", "count_rate D2"}
    assert suspender.feed(0.0, {"temperature": 31.0, "count_rate D2": 2e6}) is not None
    assert suspender.feed(1.0, {"temperature": 25.0, "count_rate D1": 1e5, "count_rate D2": 2e6}) is None
    assert suspender.paused
    change = suspender.feed(2.0, {"temperature": 25.0, "count_rate D2": 1e5})
    assert change is not None
    assert not change.paused


def test_a_metric_nobody_looked_at_leaves_its_rule_alone():
    suspender = Suspender.of([rule(metric="power", above="1 mW"), rule(**QBER)])
    suspender.feed(0.0, {"power": 2e-3})

    assert suspender.feed(1.0, {"qber": 0.0}) is None
    assert suspender.paused


@given(st.lists(st.tuples(st.floats(0.0, 3.0), st.floats(0.0, 0.1)), max_size=60), st.floats(0.0, 5.0), st.floats(0.0, 5.0))
def test_a_run_never_pauses_below_its_limit_nor_goes_on_above_it(steps, hold, resume_hold):
    suspender = Suspender.of([rule(metric="qber_x", above=0.05, resume_below=0.03, **{"for": f"{hold:f} s", "resume_for": f"{resume_hold:f} s"})])
    t, changed = 0.0, 0.0
    for step, value in steps:
        t += step
        change = suspender.feed(t, {"qber_x": value})
        if change is not None:
            assert (value > 0.05) if change.paused else (value < 0.03)
            assert t - changed >= (hold if change.paused else resume_hold) - 1e-6
            changed = t


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"metric": "qber"}, "above or below"),
        ({"metric": "qber", "above": 0.05, "below": 0.01}, "above or below"),
        ({"metric": "qber", "above": 0.05, "resume_above": 0.01}, "resume_below"),
        ({"metric": "qber", "above": 0.05, "resume_below": 0.06}, "higher than above"),
        ({"metric": "power", "below": "1 mW", "resume_above": "0.5 mW"}, "lower than below"),
        ({"metric": "power", "above": 3}, "not a number with a unit"),
        ({"metric": "humidity", "above": 3}, "humidity|Input should be"),
        ({"metric": "qber", "above": 0.05, "for": "2"}, "not a number with a unit"),
        ({"metric": "qber", "above": 0.05, "when": "now"}, "unknown key"),
        ({"metric": "power", "on": "voa_in", "below": "9 mW"}, "nobody measures"),
        ({"metric": "temperature", "on": "lamp", "above": "30 degC"}, "nobody measures"),
        ({"metric": "count_rate", "on": "D3", "above": "1 MHz"}, "D3"),
        ({"metric": "qber", "on": "A-B", "above": 0.05}, "A-B"),
    ],
)
def test_rules_that_make_no_sense_are_refused_with_the_file(wrong, told):
    rows = ", ".join(f'{key} = "{value}"' if isinstance(value, str) else f"{key} = {value}" for key, value in wrong.items())
    text = default_text() + f"\n[safety]\nsuspend = [{{ {rows} }}]\n".encode()

    with pytest.raises(ConfigError, match=told) as caught:
        Station.parse(text, Path("lab.toml"))
    assert "safety" in caught.value.message + caught.value.where or "suspend rule" in caught.value.message


def test_a_rule_finds_the_instrument_that_measures_its_metric():
    station = Station.parse(default_text(), Path("lab.toml"))

    assert source_of(station, rule(metric="power", below="9 uW")) == "meter"
    assert source_of(station, rule(metric="power", on="laser", below="9 mW")) == "laser"
    assert source_of(station, rule(metric="temperature", above="30 degC")) == "laser"
    with pytest.raises(ConfigError, match="voa_in"):
        source_of(station, rule(metric="power", on="voa_in", below="9 mW"))
