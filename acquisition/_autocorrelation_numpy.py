"""The plain form of the autocorrelation: neighbours of first order, of second order, and so on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def pair_histogram(t_ps: NDArray[np.int64], bin_ps: int, bins: int) -> NDArray[np.int64]:
    """Return how many pairs of tags are k bins apart, int64 (bins,)."""
    found = np.zeros(bins, np.int64)
    for order in range(1, t_ps.size):
        lags = (t_ps[order:] - t_ps[:-order]) // bin_ps
        near = lags < bins
        if not near.any():
            break
        found += np.bincount(lags[near], minlength=bins)
    return found
