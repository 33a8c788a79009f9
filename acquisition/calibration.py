"""What scans measure: half-wave voltage and visibility from an interference fringe."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from math import pi

import numpy as np
from numpy.typing import ArrayLike

from ..core.errors import CalibrationError, ParameterError
from ..core.physics import Floats, dead_time_rate

LEAST_VISIBILITY = 0.3
_LEAST_POINTS = 8
_LEAST_COUNTS = 1000


@dataclass(frozen=True, slots=True)
class Fringe:
    """A fitted fringe: rate_k(U) = mean_k (1 +- visibility cos(pi gain (U - offset) / v_pi)), + at D1 and - at D2; U in volts at the generator.

    v_pi_v: at the modulator, behind a driver of `gain`.  visibility: 1 for perfect interference.  offset_v: generator volts of the bright fringe of D1.
    *_sigma: standard deviations, enlarged where the fit is worse than counting statistics allow.  mean_hz: (D1, D2), dead time and dark counts taken out.
    chi2: per degree of freedom.  dead_time_s, dark_hz: what was taken out.
    """

    v_pi_v: float
    v_pi_sigma_v: float
    visibility: float
    visibility_sigma: float
    offset_v: float
    offset_sigma_v: float
    mean_hz: tuple[float, float]
    gain: float
    chi2: float
    dead_time_s: float = 0.0
    dark_hz: tuple[float, float] = (0.0, 0.0)

    def rates_hz(self, drive_v: ArrayLike) -> tuple[Floats, Floats]:
        """Return the rates that the counters of D1 and D2 show at generator voltages, by the fit."""
        bare = _rates(np.asarray(drive_v, float), *self.mean_hz, self.visibility, self.v_pi_v / self.gain, self.offset_v)
        d1, d2 = (dead_time_rate(rate + dark, self.dead_time_s) for rate, dark in zip(bare, self.dark_hz, strict=True))
        return d1, d2


def fit_fringe(
    drive_v: ArrayLike, counts: ArrayLike, period_s: float, *, gain: float = 1.0, dead_time_s: float = 0.0, dark_hz: tuple[float, float] = (0.0, 0.0)
) -> Fringe:
    """Return the fringe through the counts of a phase scan, by weighted least squares on both detectors at once.

    drive_v: float (n,), generator volts.  counts: int (n, 2), D1 and D2 in each period of period_s.  gain: of the driver between generator and modulator.
    Raises CalibrationError if there is too little light, or no fringe of more than half a period in the scanned range.
    """
    volts, n = np.asarray(drive_v, float), np.asarray(counts, float)
    if n.shape != (volts.size, 2) or volts.size < _LEAST_POINTS or period_s <= 0.0:
        raise ParameterError(f"{volts.size} voltages and counts of shape {n.shape}; at least {_LEAST_POINTS} points of two detectors are needed", where="scan")
    if n.sum() < _LEAST_COUNTS:
        raise CalibrationError(f"{int(n.sum())} counts in the whole scan are too few", where="phase scan", remedy="Check laser, attenuators and detectors.")
    raw = n / period_s
    live = 1.0 / (1.0 - raw * dead_time_s)
    rates = raw * live - np.asarray(dark_hz)
    sigma = np.sqrt(np.maximum(n, 1.0)) / period_s * live**2
    return replace(_fit(volts, rates, sigma, gain), dead_time_s=dead_time_s, dark_hz=(float(dark_hz[0]), float(dark_hz[1])))


def _fit(volts: Floats, rates: Floats, sigma: Floats, gain: float) -> Fringe:
    from scipy.optimize import OptimizeWarning, curve_fit

    def both(u: Floats, *values: float) -> Floats:
        return np.concatenate(_rates(u, *values))

    flat, weights = rates.T.ravel(), sigma.T.ravel()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", OptimizeWarning)
            best, covariance = curve_fit(both, volts, flat, p0=_first_guess(volts, rates), sigma=weights, absolute_sigma=True, maxfev=4000)
    except (RuntimeError, OptimizeWarning) as error:
        raise CalibrationError("no fringe fits the scan", where="phase scan", remedy="Scan over more than two half-wave voltages.") from error
    chi2 = float(np.sum(((both(volts, *best) - flat) / weights) ** 2) / (flat.size - best.size))
    spread = np.sqrt(np.diag(covariance) * max(chi2, 1.0))
    mean_1, mean_2, visibility, half_wave, offset = (float(value) for value in best)
    if not visibility > LEAST_VISIBILITY or not spread[3] < 0.1 * half_wave or 2.0 * half_wave > 1.5 * np.ptp(volts):
        raise CalibrationError(
            f"no usable fringe: visibility {visibility:.2f}, half-wave voltage {half_wave:.2f} +- {spread[3]:.2f} V at the generator",
            where="phase scan",
            remedy="Check that the arms are equal and the user's modulator is driven.",
        )
    offset = (offset + half_wave) % (2.0 * half_wave) - half_wave
    return Fringe(half_wave * gain, float(spread[3]) * gain, visibility, float(spread[2]), offset, float(spread[4]), (mean_1, mean_2), gain, chi2)


def _rates(volts: Floats, mean_1: float, mean_2: float, visibility: float, half_wave: float, offset: float) -> tuple[Floats, Floats]:
    swing = visibility * np.cos(pi * (volts - offset) / half_wave)
    return mean_1 * (1.0 + swing), mean_2 * (1.0 - swing)


def _first_guess(volts: Floats, rates: Floats) -> tuple[float, float, float, float, float]:
    """Return start values: the period whose sine and cosine explain most of the contrast between the detectors."""
    means = rates.mean(axis=0)
    contrast = rates[:, 0] / max(means[0], 1e-9) - rates[:, 1] / max(means[1], 1e-9)
    best = (np.inf, 1.0, 0.0, 0.0)
    for half_wave in np.ptp(volts) * np.geomspace(0.08, 1.0, 80):
        angle = pi * volts / half_wave
        basis = np.stack((np.cos(angle), np.sin(angle), np.ones_like(angle)), axis=1)
        weights, *_ = np.linalg.lstsq(basis, contrast, rcond=None)
        left = float(np.sum((basis @ weights - contrast) ** 2))
        if left < best[0]:
            best = (left, half_wave, float(weights[0]), float(weights[1]))
    _, half_wave, cosine, sine = best
    return float(means[0]), float(means[1]), min(float(np.hypot(cosine, sine)) / 2.0, 1.0), float(half_wave), float(np.arctan2(sine, cosine) * half_wave / pi)
