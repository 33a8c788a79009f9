"""The eavesdropper's arithmetic against the same thing done pulse by pulse."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.mocks.optics.attacks import blinds, missed, resent_phases, resent_visibility

PULSES = 200_000


@given(fraction=st.sampled_from([0.0, 0.25, 0.5, 1.0]), alice=st.integers(0, 3), bob=st.integers(0, 3), seed=st.integers(0, 2**32))
def test_intercepting_pulse_by_pulse_leaves_the_interference_that_the_formula_says(fraction, alice, bob, seed):
    generator = np.random.default_rng(seed)
    sent = np.full(PULSES, alice * np.pi / 2.0)
    measured = generator.random(PULSES) < fraction
    arriving = np.where(measured, resent_phases(sent, generator), sent)

    interference = np.cos(arriving - bob * np.pi / 2.0).mean()

    assert interference == pytest.approx(resent_visibility(fraction) * np.cos((alice - bob) * np.pi / 2.0), abs=6.0 / np.sqrt(PULSES))


def test_a_whole_interception_makes_a_quarter_of_the_bits_wrong():
    assert (1.0 - resent_visibility(1.0)) / 2.0 == 0.25
    assert resent_visibility(0.0) == 1.0


def test_weak_light_does_not_blind_and_bright_light_does():
    assert not blinds(1e-9)
    assert blinds(1e-6)


def test_clicks_are_missed_at_random_and_stay_in_order():
    times = np.arange(100_000, dtype=np.int64)
    kept = missed(times, 0.1, np.random.default_rng(1))
    assert kept.size == pytest.approx(90_000, abs=600)
    assert np.all(np.diff(kept) > 0)
    assert missed(times, 0.0, np.random.default_rng(1)) is times
