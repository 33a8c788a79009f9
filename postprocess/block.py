"""What two parties agree on before a block is distilled, what they count on the way, and what they may claim of the result."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from math import isfinite
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ..core.errors import NoKeyError, ParameterError
from ..core.statement import Provenance, SecurityStatement
from .finite_key import BlockCounts, Epsilons, KatoParameters, KeyLength
from .reconciliation.schedule import frame_sizes

LeakRule = Literal["alice_parities", "both_directions"]
Y_ERROR_LIMIT = 0.11
"""Y error rate above which a block is given up before correction: no key survives it, and a wrong pattern file gives one half."""
HASH_BITS = 64


@dataclass(frozen=True, slots=True)
class BlockSettings:
    """Everything that both parties must hold equal before their data meet; compared in the first message.

    pair: such as "A-B", the Alice role first.  block: its number on this link.  n_sent: pulses sent, lost slots included.
    mu: upper bounds on the mean photon numbers leaving the two users.  q_est: expected X error rate, None for the Y error rate of this block.
    frame_bits: of error correction, a power of two.  p_x: share of X slots in each pattern.
    kato: the free parameters of that bound, fixed from expected counts before data are seen; needed for `kato`.
    y_error_limit, dropped_limit: error rate and fraction of frames above which the block is given up.  leak_rule: which parities are subtracted.
    hardware, pattern_mode, pattern_randomness: what provenance is judged by.  configuration: SHA-256 (hex) of the public station text.
    session: of the envelope, chosen by Alice, larger than any before on the link.
    Raises ParameterError naming the field.
    """

    pair: str
    block: int
    n_sent: int
    mu: tuple[float, float]
    bound: Literal["azuma", "kato"] = "kato"
    kato: KatoParameters | None = None
    epsilons: Epsilons = field(default_factory=Epsilons)
    q_est: float | None = None
    schedule: Literal["opt7"] = "opt7"
    frame_bits: int = 2**17
    p_x: float = 0.9
    first_slot: int = 0
    y_error_limit: float = Y_ERROR_LIMIT
    dropped_limit: float = 0.1
    leak_rule: LeakRule = "alice_parities"
    pattern_mode: Literal["demo", "qrng"] = "demo"
    pattern_randomness: Literal["os", "qrng", "simulated"] = "simulated"
    hardware: bool = False
    configuration: str = ""
    session: int = 0

    def __post_init__(self) -> None:
        for name, holds in (
            ("pair", len(set(self.pair.split("-"))) == self.pair.count("-") + 1 == 2 and all(self.pair.split("-"))),
            ("block", 0 <= self.block < 2**32),
            ("n_sent", isinstance(self.n_sent, int) and 0 < self.n_sent < 2**53),
            ("first_slot", isinstance(self.first_slot, int) and 0 <= self.first_slot < 2**53),
            ("mu", len(self.mu) == 2 and all(isfinite(mu) and 0 < mu < 1 for mu in self.mu)),
            *((name, getattr(self, name) in allowed) for name, allowed in _CHOICES.items()),
            ("frame_bits", self.frame_bits in frame_sizes()),
            ("kato", self.bound == "azuma" or (self.kato is not None and not self.kato.regression_only)),
            ("q_est", self.q_est is None or 0 <= self.q_est < 0.5),
            ("p_x", 0 < self.p_x < 1),
            ("y_error_limit", 0 < self.y_error_limit <= 0.5),
            ("dropped_limit", 0 <= self.dropped_limit < 1),
            ("session", 0 <= self.session < 2**64),
        ):
            if not holds:
                raise ParameterError(f"{getattr(self, name)!r} cannot be", where=f"block settings, {name}")

    @property
    def link(self) -> str:
        """Return pair and block for messages to people."""
        return f"pair {self.pair}, block {self.block}"

    def agreed(self) -> dict[str, Any]:
        """Return all fields but the session in the form in which they are compared: integers, strings, and reals as `float.hex()`."""
        return {item.name: _plain(getattr(self, item.name)) for item in fields(self) if item.name != "session"}


_CHOICES: dict[str, tuple[str, ...]] = {
    "bound": ("azuma", "kato"),
    "schedule": ("opt7",),
    "leak_rule": get_args(LeakRule),
    "pattern_mode": ("demo", "qrng"),
    "pattern_randomness": ("os", "qrng", "simulated"),
}


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value.hex()
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Epsilons | KatoParameters):
        return {item.name: _plain(getattr(value, item.name)) for item in fields(value)}
    return value


@dataclass(frozen=True, slots=True, eq=False)
class Distilled:
    """One party's result of one block: a final key and everything it was paid with.

    key: packed LSB first, uint8 (ceil(bits/8),), padding zero.  counts: of the whole block.  n_x_surviving: X bits in frames that passed verification.
    qber_x: corrected over surviving X bits.  qber_y: of the disclosed Y bits.  leak_bits: subtracted parities, of surviving frames.
    disclosed: every bit that was said in public, by class; those of `key_length` are subtracted, the others are no key bits.  f_ec: Alice's parities over
    n_x h(E_x), None where there was no error.
    forgery: probability at most that a forged tag was accepted, summed over all tags; None where tags prove nothing.
    """

    key: NDArray[np.uint8] = field(repr=False)
    bits: int
    counts: BlockCounts
    n_x_surviving: int
    qber_x: float
    qber_y: float
    leak_bits: int
    disclosed: dict[str, int]
    f_ec: float | None
    length: KeyLength
    forgery: float | None
    statement: SecurityStatement


def no_key(settings: BlockSettings, length: KeyLength, *, when: str) -> NoKeyError:
    """Return the error for a key length that is not positive, with every term of the formula. when: what was known at that moment."""
    terms = ", ".join(f"{name} {value:+,.1f}" for name, value in length.terms.items())
    bounds = f"delta {length.delta:.6g}, e_y {length.e_y:.6g}, phase error {length.phase_error:.6g}"
    reason = length.reason or "leakage and finite-size terms use up all X bits"
    return NoKeyError(
        f"no key {when}: {reason}; l = {length.unclipped:,.1f} = {terms} (bits; {bounds})",
        where=settings.link,
        remedy="Collect light for longer, or lower the error rates.",
    )


_LEAK_TEXT = {
    "alice_parities": (
        "leak rule alice_parities: only the parities sent by the reference party are subtracted. Error correction also reveals where the errors were; "
        "that this costs nothing is plausible for a bit/phase-error argument but not proven for this protocol (arXiv:2307.00576)"
    ),
    "both_directions": "leak rule both_directions: the parities of both parties are subtracted",
}


def security_statement(settings: BlockSettings, length: KeyLength, *, leaked_bits: int, provenance: Provenance, forgery: float | None) -> SecurityStatement:
    """Return what may be claimed of a block's key.

    leaked_bits: disclosed and subtracted.  forgery: probability that a forged round tag was accepted, None where tags prove nothing.
    Secrecy is claimed for real data only; for all other data the length is what the formula gives for these counts, and nothing more.
    """
    eps = settings.epsilons
    equal = f"both keys are equal, except with probability {eps.correction:.1e} (hash of {HASH_BITS} bits over the corrected block)"
    if provenance.simulated:
        claims = (equal, "no secrecy is claimed (demonstration data); the length is what the finite-key formula gives for these counts")
    else:
        claims = (equal, f"{length.bits:,} bits are {length.epsilon:.1e}-secret from a site that owns laser, fibre and detectors")
    return SecurityStatement(claims, _assumptions(settings, provenance, forgery), length.epsilon + (forgery or 0.0), leaked_bits, provenance)


def _assumptions(settings: BlockSettings, provenance: Provenance, forgery: float | None) -> tuple[str, ...]:
    eps = settings.epsilons
    form = (
        f"epsilon form union: correction {eps.correction:.1e}, amplification {eps.amplification:.1e}, two {settings.bound} bounds at {eps.concentration:.1e} "
        f"each (the more careful form smooth gives {eps.smooth:.1e}); composition factors of the original proof (arXiv:2204.08323) are not confirmed"
    )
    mu = " and ".join(f"{mu:.4g}" for mu in settings.mu)
    source = (
        f"the users send ideal coherent states of four phases with at most {mu} photons per pulse. Light and phase reference "
        "come from the untrusted site, so this needs a power monitor, filter, isolator and time gate at each user, which this chain does not check"
    )
    limits = (
        "key length from observed counts with acceptance limits fixed before the block "
        f"(Y error rate {settings.y_error_limit:.3g}, dropped frames {settings.dropped_limit:.3g}); no variable-length proof"
    )
    fresh = "basis and bit of every slot are drawn freshly and independently and stay secret"
    met = () if forgery is None else (f"the classical channel is authenticated by one-time tags; a forgery succeeds with probability at most {forgery:.1e}",)
    return (form, _LEAK_TEXT[settings.leak_rule], source, limits, fresh, *met, *(f"not met: {reason}" for reason in provenance.reasons))
