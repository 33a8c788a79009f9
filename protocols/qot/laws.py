"""The joint law of the four bits of a state: what Alice and Bob hold after measuring, as 16 probabilities.

A code is 8 b1 + 4 b0 + 2 s + t, where b1 and b0 are Alice's bits, s and t Bob's; without noise t is the bit that s names.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...core.errors import ParameterError

Law = NDArray[np.float64]
"""float64 (16,), sum 1."""
Codes = NDArray[np.uint8]
"""uint8 (N,), each 0..15."""
IDEAL_CODES = (0, 2, 5, 6, 8, 11, 13, 15)
PAPER_DEVICE_ERROR = 0.179
"""Error of one transfer on the device of the paper."""
_SANTIAGO = (
    *(0.116805, 0.009682, 0.119087, 0.009357, 0.011209, 0.113224, 0.113541, 0.011267),
    *(0.111671, 0.012662, 0.012349, 0.114030, 0.010239, 0.112077, 0.010019, 0.112781),
)
_CODE = np.arange(16)
_B1, _B0, _S, _T = (_CODE >> shift & 1 for shift in (3, 2, 1, 0))
WRONG: NDArray[np.bool_] = np.where(_S == 1, _B1, _B0) != _T
"""bool (16,): codes in which t is not the bit that s names."""


def checked(law: ArrayLike) -> Law:
    """Return a law as float64 (16,). Raises ParameterError unless it is one."""
    found = np.asarray(law, np.float64)
    if found.shape != (16,) or not np.isfinite(found).all() or found.min() < 0 or abs(found.sum() - 1.0) > 1e-9:
        raise ParameterError("a joint law has 16 probabilities with sum 1", where="law", remedy="Normalise the measured frequencies.")
    return found


def ideal() -> Law:
    """Return the law of the noiseless state: 1/8 on each of `IDEAL_CODES`."""
    return np.where(WRONG, 0.0, 1.0 / 8.0)


def iid(error: float) -> Law:
    """Return the law in which t is flipped with probability `error`, whatever the other bits are."""
    if not 0.0 <= error < 0.5:
        raise ParameterError(f"{error!r} is no error rate below 1/2", where="error")
    return np.where(WRONG, error / 8.0, (1.0 - error) / 8.0)


def preset(name: str) -> Law:
    """Return a law by name: `ideal`, `paper_sim`, `paper_device`, or `santiago`, the calibrated noise of a five-qubit device at the `paper` circuit."""
    if name not in PRESETS:
        raise ParameterError(f"no law is called {name!r}", where="preset", remedy=f"Choose one of {', '.join(PRESETS)}.")
    return PRESETS[name].copy()


PRESETS: Mapping[str, Law] = {
    "ideal": ideal(),
    "paper_sim": iid(0.005),
    "paper_device": iid(PAPER_DEVICE_ERROR),
    # Printed to six digits, so the sum is off by a few millionths.
    "santiago": np.array(_SANTIAGO) / sum(_SANTIAGO),
}


def error_rate(law: ArrayLike) -> float:
    """Return the probability that t is not the bit that s names: all that a decoder of the derandomised mode needs to know."""
    return float(checked(law)[WRONG].sum())


def error_by_input(law: ArrayLike) -> NDArray[np.float64]:
    """Return the error given b1, b0 and s, float64 (2, 2, 2): on real noise it depends on them, which biases the index mode."""
    table = checked(law).reshape(2, 2, 2, 2)
    wrong = np.where(WRONG.reshape(2, 2, 2, 2), table, 0.0).sum(axis=3)
    return np.asarray(wrong / table.sum(axis=3))


def law_of(codes: ArrayLike) -> Law:
    """Return the frequencies of codes as a law. Raises ParameterError if there are none, or one is no code."""
    found = np.asarray(codes)
    if found.size == 0 or found.min() < 0 or found.max() > 15:
        raise ParameterError("codes from 0 to 15 are needed, at least one", where="codes")
    return np.bincount(found.ravel(), minlength=16) / found.size


def halves(codes: Codes) -> tuple[Codes, Codes]:
    """Return what each party holds of the states: Alice's 2 b1 + b0, Bob's 2 s + t."""
    return codes >> np.uint8(2), codes & np.uint8(3)
