"""The compiled twin of `_autocorrelation_numpy`: one pass over the tags, each looking ahead as far as the longest lag."""

from __future__ import annotations

import numba
import numpy as np
from numba import types
from numpy.typing import NDArray

_SIGNATURE = types.int64[::1](types.Array(types.int64, 1, "C", readonly=True), types.int64, types.int64)


@numba.njit(_SIGNATURE, cache=True)
def pair_histogram(t_ps: NDArray[np.int64], bin_ps: int, bins: int) -> NDArray[np.int64]:
    """Return how many pairs of tags are k bins apart, int64 (bins,)."""
    found = np.zeros(bins, np.int64)
    reach = bin_ps * bins
    for first in range(t_ps.size):
        begin = t_ps[first]
        for second in range(first + 1, t_ps.size):
            lag = t_ps[second] - begin
            if lag >= reach:
                break
            found[lag // bin_ps] += 1
    return found
