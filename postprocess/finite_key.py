"""How many secret bits a block is worth: the finite-key length of four-phase MDI-QKD.

The light is untrusted and has no random phase, so secrecy rests on the overlap of the states sent in the two bases, seen through the gain: Delta. From it and
the Y errors follows a bound on the phase errors of the X bits. Source: arXiv:2501.12709, eqs. (13)-(14); the concentration bounds are Azuma's and Kato's
(arXiv:2002.04357), each applied twice: Y errors counted -> expected, and phase errors expected -> occurred.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from math import acos, asin, cos, exp, floor, isfinite, log, log2, pi, sin, sqrt
from numbers import Integral
from typing import Literal, Protocol

from ..core.errors import ParameterError

Bound = Literal["azuma", "kato"]
_SMALL_MU = 1e-3
"""Below it three terms of 1 - F_u are exact to 1e-14."""


def _whole(value: object, where: str, least: int = 0) -> None:
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise ParameterError(f"{value!r} is not a whole number of at least {least}", where=where, remedy="Give a count.")


def _inside(value: float, where: str, least: float = 0.0, most: float = 1.0) -> None:
    if not least < value < most:
        raise ParameterError(f"{value!r} is not between {least:g} and {most:g}", where=where, remedy="Give a number strictly between the two.")


@dataclass(frozen=True, slots=True)
class BlockCounts:
    """What was counted in a block.

    n_sent: pulses sent, those lost included.  n_events: slots in which exactly one detector clicked, any bases.  n_x, n_y: those with both users in X (in Y).
    m_y: bit errors among the latter.  Raises ParameterError naming the field that cannot be.
    """

    n_sent: int
    n_events: int
    n_x: int
    n_y: int
    m_y: int

    def __post_init__(self) -> None:
        for field in fields(self):
            _whole(getattr(self, field.name), field.name, least=int(field.name == "n_sent"))
        for field_name, value, most, limit in (
            ("n_events", self.n_events, self.n_sent, "pulses sent"),
            ("n_x", self.n_x + self.n_y, self.n_events, "events (with n_y)"),
            ("m_y", self.m_y, self.n_y, "Y events"),
        ):
            if value > most:
                raise ParameterError(f"{value} exceeds the {most} {limit}", where=field_name, remedy="Check the counts against each other.")


class Counted(Protocol):
    """Counts of a block, as they were found (`BlockCounts`) or as they are expected (`parameters.ExpectedCounts`, not whole)."""

    @property
    def n_sent(self) -> float:
        """Pulses sent."""

    @property
    def n_events(self) -> float:
        """Effective events."""

    @property
    def n_x(self) -> float:
        """Events with both users in X."""

    @property
    def n_y(self) -> float:
        """Events with both users in Y."""

    @property
    def m_y(self) -> float:
        """Bit errors among the latter."""


@dataclass(frozen=True, slots=True)
class Epsilons:
    """Failure probabilities accepted for one block: error correction, privacy amplification, and each concentration bound. Each lies in (0, 1)."""

    correction: float = 1e-10
    amplification: float = 1e-10
    concentration: float = 1e-10

    def __post_init__(self) -> None:
        for field in fields(self):
            _inside(getattr(self, field.name), field.name)

    @property
    def total(self) -> float:
        """Return correctness plus secrecy in the form `union` of the paper: eps_EC + eps_PA + 2 eps_c."""
        return self.correction + self.amplification + 2 * self.concentration

    @property
    def smooth(self) -> float:
        """Return correctness plus secrecy in the conservative form `smooth`: eps_EC + eps_PA + 2 sqrt(2 eps_c)."""
        return self.correction + self.amplification + 2 * sqrt(2 * self.concentration)


@dataclass(frozen=True, slots=True)
class KatoParameters:
    """The free parameter `a` of Kato's inequality for the Y errors (first) and for the phase errors (second), fixed before the data are seen.

    regression_only: they were fitted to the counts they are used on; the length then proves nothing.
    """

    first: float
    second: float
    regression_only: bool = False

    def __post_init__(self) -> None:
        for field_name, value in (("first", self.first), ("second", self.second)):
            if not isfinite(value) or value < 0:
                raise ParameterError(f"{value!r} is not a finite number of at least 0", where=f"kato.{field_name}", remedy="Use kato_parameters().")


@dataclass(frozen=True, slots=True)
class KeyLength:
    """Length of the final key and how it came about.

    bits: whole bits, 0 where nothing is left.  unclipped: before rounding and before clipping at 0.  delta: basis dependence of the source seen through the
    gain.  m_y_upper, e_y: bound on the expected Y errors, and its rate.  phase_error: bound on the phase error rate of the X bits.  reason: why bits is 0, else
    empty.  epsilon: total failure probability, form `union`.  terms: what is added up to `unclipped`, in bits.  regression_only: see KatoParameters.
    """

    bits: int
    unclipped: float
    delta: float
    m_y_upper: float
    e_y: float
    phase_error: float
    reason: str
    epsilon: float
    terms: dict[str, float]
    bound: Bound
    regression_only: bool = False


def binary_entropy(p: float) -> float:
    """Return h(p) in bits, for p in [0, 1]."""
    if not 0.0 <= p <= 1.0:
        raise ParameterError(f"{p!r} is no probability", where="p", remedy="Give a number from 0 to 1.")
    return 0.0 if p in (0.0, 1.0) else -p * log2(p) - (1 - p) * log2(1 - p)


def state_overlap(mu: float) -> float:
    """Return F_u, the overlap of what one user sends in X and in Y with mean photon number mu.  F_u = exp(-mu)(cos mu + sin mu)."""
    _inside(mu, "mu", most=pi)
    return exp(-mu) * (cos(mu) + sin(mu))


def basis_dependence(mu: tuple[float, float], gain: float) -> float:
    """Return Delta = (1 - F_a F_b) / (2 Q) for the photon numbers of both users and the gain Q in (0, 1]."""
    a, b = (_missing_overlap(photons) for photons in mu)
    return (a + b - a * b) / (2.0 * gain)


def _missing_overlap(mu: float) -> float:
    """Return 1 - F_u.  F_u itself is 1 in double precision where mu is small, and Delta would be too small by as much."""
    overlap = state_overlap(mu)
    return mu * mu * (1.0 - mu * (2.0 / 3.0 - mu / 6.0)) if mu < _SMALL_MU else 1.0 - overlap


def phase_error_bound(e_y: float, delta: float) -> float:
    """Return the largest phase error rate that the Y error rate and the basis dependence allow.

    e_y: upper bound on the Y error rate.  delta: see `basis_dependence`.  1/2 where nothing can be proven.
    Solves 1 - 2 delta <= sqrt(e_y e_p) + sqrt((1 - e_y)(1 - e_p)) for e_p.  Source: arXiv:2501.12709, eqs. (13)-(14).
    """
    if e_y >= 0.5 or delta >= 0.5:
        return 0.5
    angle = asin(sqrt(e_y)) + acos(1.0 - 2.0 * delta)
    return 0.5 if angle >= pi / 4 else sin(angle) ** 2


def azuma_upper(observed: float, n: float, eps: float) -> float:
    """Return the bound on sum or expectation of n Bernoulli variables given the other, failing with probability eps.  x + sqrt(n ln(1/eps) / 2)."""
    return observed + sqrt(-n * log(eps) / 2.0)


def kato_upper_expected(observed: float, n: float, eps: float, a: float) -> float:
    """Return the bound on the expected sum given the observed one, for any real a fixed beforehand.  Source: arXiv:2002.04357."""
    w = sqrt(n)
    b = sqrt(a * a - log(eps) / 2.0 * (1.0 + 4.0 * a / (3.0 * w)) ** 2)
    return observed + (b + a * (2.0 * observed / n - 1.0)) * w


def kato_upper_observed(expected: float, n: float, eps: float, a: float) -> float:
    """Return the bound on the sum that occurs given the expected one, for a in [0, sqrt(n)/2) fixed beforehand; n where a lies outside.

    Source: arXiv:2002.04357, solved for the sum.
    """
    w = sqrt(n)
    if not 0.0 <= a < w / 2.0:
        return float(n)
    b = sqrt(a * a - log(eps) / 2.0 * (1.0 - 4.0 * a / (3.0 * w)) ** 2)
    return (expected + (b - a) * w) / (1.0 - 2.0 * a / w)


def _best_first(m: float, n: float, eps: float) -> float:
    q, w = log(eps), sqrt(n)
    spread = 9.0 * m * (n - m) - 2.0 * n * q
    top = 72.0 * w * m * (n - m) * q - 16.0 * n * w * q * q + 9.0 * sqrt(2.0) * (n - 2.0 * m) * sqrt(-n * n * q * spread)
    return 3.0 * top / (4.0 * (9.0 * n - 8.0 * q) * spread)


def _minimum(function: Callable[[float], float], low: float, high: float) -> float:
    """Golden-section search for the minimum of a function with a single one."""
    shrink = (sqrt(5.0) - 1.0) / 2.0
    for _ in range(120):
        left, right = high - shrink * (high - low), low + shrink * (high - low)
        low, high = (low, right) if function(left) <= function(right) else (left, high)
    return (low + high) / 2.0


def kato_parameters(expected: Counted, mu: tuple[float, float], epsilons: Epsilons | None = None, *, regression_only: bool = False) -> KatoParameters:
    """Return the parameters of Kato's bounds that are best for the counts one expects.

    expected: from the bench model or the previous block, never from the block they will be used on - unless `regression_only` says that the result proves
    nothing and serves comparison.  mu: mean photon numbers of both users.  Any value is valid; counts guessed 30 % off cost less than 0.06 % of the key.
    Without X or Y events to expect both are 0, which is Azuma's bound.
    """
    if not expected.n_x or not expected.n_y:
        return KatoParameters(0.0, 0.0, regression_only)
    eps = (epsilons or Epsilons()).concentration
    first = max(0.0, _best_first(expected.m_y, expected.n_y, eps))
    e_y = min(1.0, kato_upper_expected(expected.m_y, expected.n_y, eps, first) / expected.n_y)
    mean = expected.n_x * phase_error_bound(e_y, basis_dependence(mu, expected.n_events / expected.n_sent))
    n_x = expected.n_x
    second = _minimum(lambda a: kato_upper_observed(mean, n_x, eps, a), 0.0, sqrt(n_x) / 2.0 * (1.0 - 1e-9))
    return KatoParameters(first, second, regression_only)


def _errors(counts: Counted, delta: float, bound: Bound, eps: float, kato: KatoParameters | None) -> tuple[float, float, float]:
    """Return M_y, e_y and the bound m_p on the phase errors of the X set."""
    if bound == "kato":
        if kato is None:
            raise ParameterError("Kato's bound needs parameters fixed before the data", where="kato", remedy="Give kato_parameters(expected counts, mu).")
        m_y = kato_upper_expected(counts.m_y, counts.n_y, eps, kato.first)
        e_y = min(1.0, m_y / counts.n_y)
        return m_y, e_y, kato_upper_observed(counts.n_x * phase_error_bound(e_y, delta), counts.n_x, eps, kato.second)
    m_y = azuma_upper(counts.m_y, counts.n_y, eps)
    e_y = min(1.0, m_y / counts.n_y)
    return m_y, e_y, azuma_upper(counts.n_x * phase_error_bound(e_y, delta), counts.n_x, eps)


def _reason(counts: BlockCounts, delta: float, e_y: float, phase_error: float) -> str:
    cases = (
        (counts.n_events == 0, "no event was announced, the gain is 0"),
        (counts.n_x == 0, "there is no X event"),
        (counts.n_y == 0, "there is no Y event to estimate phase errors from"),
        (delta >= 0.5, "the gain is too low for this intensity (delta >= 1/2)"),
        (e_y >= 0.5, "the Y error rate may be 1/2"),
        (phase_error >= 0.5, "the phase error rate may be 1/2"),
    )
    return next((text for holds, text in cases if holds), "leakage and finite-size terms use up all X bits")


def _check(counts: BlockCounts, mu: tuple[float, float], leak_bits: int, verify_bits: int, kept: int, bound: Bound) -> None:
    for field_name, value in (("leak_bits", leak_bits), ("verify_bits", verify_bits), ("n_x_surviving", kept)):
        _whole(value, field_name)
    if kept > counts.n_x:
        raise ParameterError(f"{kept} bits cannot survive of {counts.n_x}", where="n_x_surviving", remedy="Count the surviving X bits again.")
    if bound not in ("azuma", "kato"):
        raise ParameterError(f"{bound!r} is no bound", where="bound", remedy="Use azuma or kato.")
    for user, photons in zip("ab", mu, strict=True):
        _inside(photons, f"mu_{user}", most=pi)


def _secret(
    counts: Counted,
    mu: tuple[float, float],
    leak_bits: float,
    bound: Bound,
    epsilons: Epsilons,
    verify_bits: int,
    kept: float,
    kato: KatoParameters | None,
) -> tuple[float, float, float, float, dict[str, float]]:
    """Return Delta, M_y, e_y, the bound on the phase error rate, and the terms of the length."""
    delta, m_y, e_y, phase_error = 0.5, float(counts.n_y), 0.5, 0.5
    if counts.n_events:
        delta = basis_dependence(mu, counts.n_events / counts.n_sent)
    if counts.n_y and kept:
        m_y, e_y, m_p = _errors(counts, delta, bound, epsilons.concentration, kato)
        phase_error = min(0.5, m_p / kept) if delta < 0.5 and e_y < 0.5 else 0.5
    # log2(2 / eps) and log2(1 / (4 eps^2)) without the quotients, which overflow for eps below 1e-154.
    terms = {
        "x_bits": float(kept),
        "phase_errors": -kept * binary_entropy(phase_error),
        "leak": -float(leak_bits),
        "verification": -max(1.0 - log2(epsilons.correction), float(verify_bits)),
        "amplification": 2.0 + 2.0 * log2(epsilons.amplification),
    }
    return delta, m_y, e_y, phase_error, terms


def expected_length(
    counts: Counted,
    mu: tuple[float, float],
    leak_bits: float,
    *,
    bound: Bound = "azuma",
    epsilons: Epsilons | None = None,
    verify_bits: int = 64,
    kato: KatoParameters | None = None,
) -> float:
    """Return the length (bits) of the key of a block that counts what is expected: not rounded, and negative where there is none.

    For planning, since it is smooth in whatever the expectation depends on; the arguments are those of `key_length`, which makes a key of what was counted.
    """
    *_, terms = _secret(counts, mu, leak_bits, bound, epsilons or Epsilons(), verify_bits, counts.n_x, kato)
    return sum(terms.values())


def key_length(
    counts: BlockCounts,
    mu: tuple[float, float],
    leak_bits: int,
    *,
    bound: Bound = "azuma",
    epsilons: Epsilons | None = None,
    verify_bits: int = 64,
    n_x_surviving: int | None = None,
    kato: KatoParameters | None = None,
) -> KeyLength:
    """Return the length of the final key of a block.

    mu: mean photon number per pulse leaving each user (use the guaranteed maximum).  leak_bits: parity bits disclosed by error correction.  verify_bits: bits
    disclosed by the verification tags.  n_x_surviving: X bits left after frames were dropped (default all); the phase errors of the full set are held against
    them, for dropped frames are no random sample.  kato: needed for bound `kato`.
    Impossible values raise ParameterError naming the field; a block that yields nothing has bits 0 and a reason.
    """
    epsilons = epsilons or Epsilons()
    kept = counts.n_x if n_x_surviving is None else n_x_surviving
    _check(counts, mu, leak_bits, verify_bits, kept, bound)
    delta, m_y, e_y, phase_error, terms = _secret(counts, mu, leak_bits, bound, epsilons, verify_bits, kept, kato)
    unclipped = sum(terms.values())
    bits = max(0, floor(unclipped))
    reason = "" if bits else _reason(counts, delta, e_y, phase_error)
    regression_only = bound == "kato" and kato is not None and kato.regression_only
    return KeyLength(bits, unclipped, delta, m_y, e_y, phase_error, reason, epsilons.total, terms, bound, regression_only)
