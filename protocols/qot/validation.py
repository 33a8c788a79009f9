"""Before states are used: decoys show who listened on the way, states tested in Z the error rate, in X the purity; each can stop the batch.

Test positions follow from a seed to which both parties commit before either knows the other's half. In X the pure state passes always and a dephased one with
5/16: that tells a dealer who kept a copy where states come as written, and one who left out the twirl where they come twirled.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from math import ceil, log, nan, sqrt
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ...core.errors import FrameError, ParameterError, UnevenStates, ValidationAbort, WrongPurity
from .gates import Bits
from .laws import WRONG, Codes
from .preparation import DEPHASED_PASS, x_test

COMMITTED_BYTES = 32
_LABEL = b"heliograph-qot-val"
_SECOND_COIN = b"heliograph-qot-val-x"
CAUGHT = 0.25
"""Share of decoys that betray somebody who measures and sends on, whatever basis is chosen."""
BIAS_LIMIT = 0.05
"""How far from even a frequency may be unless something else is agreed; on the calibrated noise of Santiago none is off by more than 0.006."""
_FREQUENCIES = 2 * (3 + 8)
"""Chances of a false alarm in `unevenness`: three bits and eight values, each too often or too seldom."""


def commitment(secret: bytes) -> bytes:
    """Return what commits to 32 random bytes: their SHA-256."""
    if len(secret) != COMMITTED_BYTES:
        raise ParameterError(f"{COMMITTED_BYTES} bytes are committed to", where="commitment")
    return hashlib.sha256(secret).digest()


def common_seed(mine: bytes, theirs: bytes, committed: bytes) -> bytes:
    """Return the seed that neither party could choose. Raises FrameError if what was revealed is not what was committed to."""
    if len(theirs) != COMMITTED_BYTES or commitment(theirs) != committed:
        raise FrameError("what was revealed is not what was committed to", where="validation")
    return bytes(a ^ b for a, b in zip(mine, theirs, strict=True))


def sample(seed: bytes, n: int, share: float) -> NDArray[np.bool_]:
    """Return which of n states are tested in Z, bool (n,): position i if its 16 bits of SHAKE-256 lie below share * 65536."""
    return _coin(_LABEL + seed, n, share)


def sample_in_x(seed: bytes, n: int, share: float) -> NDArray[np.bool_]:
    """Return for which of n states a second coin of the same seed falls, bool (n,); those that are not tested in Z are tested in X."""
    return _coin(_SECOND_COIN + seed, n, share)


def _coin(label: bytes, n: int, share: float) -> NDArray[np.bool_]:
    if not 0.0 < share < 1.0:
        raise ParameterError(f"{share!r} is no share of the states", where="share")
    drawn = np.frombuffer(hashlib.shake_256(label).digest(2 * n), "<u2")
    return np.asarray(drawn < round(share * 65536))


def margin(delta: float, k: int) -> float:
    """Return sqrt(ln(1/delta) / (2 k)), by which k tested states may exceed a rate by chance (Hoeffding), except with probability delta."""
    return sqrt(log(1.0 / delta) / (2.0 * k))


@dataclass(frozen=True, slots=True)
class Tested:
    """What tested states showed.

    error: share with a wrong t.  states: how many were tested in Z.  cells_p: p-value of equal frequencies of (b1, b0, s).  x_pass: share that passed the X
    test.  x_states: how many were tested in X.
    """

    error: float
    states: int
    cells_p: float
    x_pass: float = nan
    x_states: int = 0


def unevenness(codes: Codes) -> float:
    """Return how far the frequencies of b1, b0 and s, and of their eight values together, are from even at most.  codes: uint8 (k,)."""
    cells = np.bincount(codes >> 1, minlength=8).reshape(2, 2, 2) / codes.size
    singles = (abs(float(np.take(cells, 1, axis=axis).sum()) - 0.5) for axis in range(3))
    return max(float(np.abs(cells - 0.125).max()), *singles)


def judge(alice: Codes, bob: Codes, *, error_limit: float, delta: float = 1e-6, bias_limit: float = BIAS_LIMIT) -> Tested:
    """Judge the announced halves of the tested states.

    alice, bob: uint8 (k,), what each announced.  error_limit: error rate that is agreed to be harmless.  delta: probability of a false alarm, of errors and of
    unevenness each.  bias_limit: how far from even a frequency may be, agreed as well because no device is exactly even.
    Raises ValidationAbort if there are too many errors, UnevenStates if states are not evenly spread, ParameterError if none were tested.
    """
    if alice.size == 0 or alice.size != bob.size:
        raise ParameterError("no states were tested, or not the same ones", where="validation")
    from scipy.stats import chi2

    codes = (alice << 2 | bob).astype(np.uint8)
    found, threshold = float(WRONG[codes].mean()), error_limit + margin(delta, codes.size)
    cells = np.bincount(codes >> 1, minlength=8)
    expected = codes.size / 8.0
    p = float(chi2.sf(((cells - expected) ** 2 / expected).sum(), 7))
    if found > threshold:
        raise ValidationAbort(found, threshold)
    bias, most = unevenness(codes), bias_limit + margin(delta / _FREQUENCIES, codes.size)
    if bias > most:
        raise UnevenStates(bias, most)
    return Tested(found, codes.size, p)


@dataclass(frozen=True, slots=True)
class PurityRule:
    """What states must show in X.  expected: share that passes.  twirled: whether a larger share is as wrong as a smaller one."""

    expected: float
    twirled: bool

    @classmethod
    def of(cls, *, twirled: bool, calibrated: float | None = None) -> Self:
        """Return the rule of a mode: exactly 5/16 for twirled states, at least the calibrated share for coherent ones.

        Raises ParameterError if there is no calibration, or one that cannot be told from a dephased state.
        """
        if twirled:
            return cls(DEPHASED_PASS, twirled=True)
        if calibrated is None or not DEPHASED_PASS < calibrated <= 1.0:
            raise ParameterError(f"{calibrated!r} is no share of coherent states that pass", where="X test", remedy="Calibrate it: 1 without noise.")
        return cls(calibrated, twirled=False)

    def check(self, alice: Codes, bob: Codes, delta: float = 1e-6) -> float:
        """Return the share that passes.

        alice, bob: uint8 (k,), what each announced of the states that both measured in X.  delta: probability of a false alarm (Hoeffding).
        Raises WrongPurity; ParameterError if so few were tested that nothing could fail.
        """
        if alice.size == 0 or alice.size != bob.size:
            raise ParameterError("no states were tested in X, or not the same ones", where="validation")
        off = margin(delta / 2 if self.twirled else delta, alice.size)
        low, high = self.expected - off, self.expected + off if self.twirled else 1.0
        if high >= 1.0 if self.twirled else low <= DEPHASED_PASS:
            raise ParameterError(f"{alice.size} states tell nothing in X", where="validation", remedy="Test more of them.")
        found = float(x_test(alice, bob).mean())
        if not low <= found <= high:
            raise WrongPurity(found, low if found < low else high)
        return found


@dataclass(frozen=True, slots=True)
class DecoyRule:
    """How decoys on a channel are judged.  decoys: how many.  threshold: share of mismatches above which the batch is dropped."""

    decoys: int
    threshold: float

    @classmethod
    def of(cls, channel_error: float, delta: float) -> DecoyRule:
        """Return the rule by which false alarm and miss each happen with probability delta at most (Hoeffding). Without noise any mismatch ends it."""
        if not 0.0 <= channel_error < CAUGHT or not 0.0 < delta < 1.0:
            raise ParameterError(f"a channel error of {channel_error!r} hides an eavesdropper", where="decoys", remedy="It must lie below 1/4.")
        if channel_error == 0.0:
            return cls(ceil(log(delta) / log(1.0 - CAUGHT)), 0.0)
        gap = (CAUGHT - channel_error) / 2.0
        return cls(ceil(log(1.0 / delta) / (2.0 * gap**2)), (channel_error + CAUGHT) / 2.0)

    def check(self, prepared: Bits, received: Bits) -> float:
        """Return the share of mismatches; raises ValidationAbort above the threshold."""
        found = float((prepared != received).mean()) if prepared.size else 0.0
        if found > self.threshold:
            raise ValidationAbort(found, self.threshold, where="decoys")
        return found
