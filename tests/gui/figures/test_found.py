"""Results in words: each value with its uncertainty and unit."""

from __future__ import annotations

import pytest

from heliograph.control.topics import Scalar
from heliograph.gui.figures.found import Found, found, text

FRINGE: dict[str, Scalar] = {
    "chi2": 1.8, "v_pi_v": 5.006038, "v_pi_sigma_v": 0.0038, "visibility": 0.99276, "visibility_sigma": 0.0004, "mean_hz.1": 259_000.0, "gain": 2.0,
    "calibration.kind": "fringe",
}  # fmt: skip


def told(result):
    return {one.label: text(one) for one in found(result)}


def test_a_fringe_reads_as_in_a_paper():
    assert told(FRINGE) == {"Half-wave voltage": "5.006(4) V", "Visibility": "0.9928(4)", "Reduced chi²": "1.80", "Mean, D1": "259 kHz", "Gain": "2.00"}


def test_counts_have_all_their_digits_and_error_rates_are_shares():
    exchange: dict[str, Scalar] = {"preamble.n_x": 113_524, "preamble.e_x": 0.00753, "dark_hz.1": 50.0, "points": 8}

    shown = told(exchange)

    assert shown == {"Events X before": "113\u2009524", "QBER X before": "0.753 %", "Dark, D1": "50.0 Hz", "Points": "8"}


def test_what_has_an_uncertainty_comes_first():
    assert [one.label for one in found(FRINGE)][:2] == ["Half-wave voltage", "Visibility"]


@pytest.mark.parametrize(
    "one, words",
    [
        (Found("x", 1.4736e-9, "s", 2e-12), "1.474(2) ns"),
        (Found("x", 0.0, "V", 0.001), "0(1) mV"),
        (Found("x", -23.456, "dB", 0.05), "-23.46(5) dB"),
        (Found("x", 485_884.0, "Hz", 697.0), "485.9(7) kHz"),
        (Found("x", True, ""), "on"),
        (Found("x", None, "V"), "-"),
        (Found("x", "A", ""), "A"),
    ],
)
def test_values_and_their_uncertainty_share_one_prefix(one, words):
    assert text(one) == words
