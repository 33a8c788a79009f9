"""How long a run still takes."""

from __future__ import annotations

from math import isfinite

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.acquisition.procedures.count_rates import CountRates
from heliograph.acquisition.procedures.phase_scan import PhaseScan
from heliograph.control.queueing.estimates import Estimate, declared_s, remaining_s, told_s
from heliograph.postprocess.procedures.key_exchange import KeyExchange


def test_a_quarter_in_a_minute_leaves_three():
    assert remaining_s(None, 60.0, 0.25) == 180.0


@pytest.mark.parametrize(("elapsed_s", "progress"), [(1.9, 0.5), (60.0, 0.019), (60.0, 0.0)])
def test_too_early_nobody_knows(elapsed_s, progress):
    assert remaining_s(None, elapsed_s, progress) is None


def test_what_is_declared_counts_until_progress_tells():
    assert remaining_s(100.0, 0.4, 0.25) == 99.6
    assert remaining_s(100.0, 60.0, 0.019) == 40.0
    assert remaining_s(50.0, 60.0, 0.0) is None
    assert remaining_s(50.0, 60.0, 0.25) == 180.0


def test_a_simulated_run_is_estimated_by_the_clock_of_the_wall():
    one = Estimate(120.0)
    for tick in range(1, 31):
        # Two minutes of the bench's clock, at sixteen times its pace.
        one.tick(0.1 * tick, 0.1 * tick / 7.5)

    assert one.left_s == pytest.approx(4.5, rel=0.05)


class Estimating(CountRates):
    """Says how long it takes, as a user's procedure for PyMeasure does."""

    def get_estimates(self) -> float:
        return 42


def test_procedures_declare_by_pymeasures_estimate_or_by_their_parameters():
    assert declared_s(CountRates(duration_s=7)) == 7.0
    assert declared_s(KeyExchange(seconds=11)) == 11.0
    assert declared_s(PhaseScan(points=20, period_s=0.5)) == 10.0
    assert declared_s(Estimating()) == 42.0


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        (42, 42.0),
        ([("Number of lines", "7"), ("Duration", "90 s"), ("Duration of all", "1 h")], 90.0),
        ([("Duration", "soon"), ("Total duration", "1.5 min")], 90.0),
        ({"Duration": 12}, 12.0),
        ({"Duration": "0:01:30"}, 90.0),
        ([("Duration", "1 day, 0:00:01.5")], 86401.5),
        ([("Duration", "90")], None),
        ([("Measurement finished at", "2026-11-20 12:00:00")], None),
        ([("Duration", float("nan")), "Duration", ("Duration",)], None),
        (-1, None),
        (True, None),
        (float("inf"), None),
        ("90 s", None),
        (None, None),
        ([], None),
    ],
)
def test_what_a_procedure_of_pymeasure_tells_of_its_duration_is_understood(told, seconds):
    assert told_s(told) == seconds


def test_an_estimate_takes_in_a_fifth_of_what_is_new_at_a_tick():
    one = Estimate()
    one.tick(60.0, 0.25)
    assert one.left_s == 180.0
    one.tick(61.0, 0.5)
    assert one.left_s == pytest.approx(179.0 + 0.2 * (61.0 - 179.0))


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 1)), max_size=30), st.none() | st.floats(0, 1e5))
def test_an_estimate_is_never_negative_nor_endless(steps, declared):
    one, elapsed_s = Estimate(declared), 0.0
    for more_s, progress in steps:
        elapsed_s += more_s
        one.tick(elapsed_s, progress)
        assert one.left_s is None or (one.left_s >= 0.0 and isfinite(one.left_s))
