"""What a result claims: its provenance, and its security statement."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Provenance:
    """Whether light, randomness and channel were real.

    simulated: True unless everything was real.  reasons: why it is simulated, empty for real.  Source: ruling 9 of the architecture.
    """

    simulated: bool
    reasons: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """Return `real` or `simulated`, the word kept in stores and files."""
        return "simulated" if self.simulated else "real"

    @classmethod
    def of(cls, *, hardware: bool, pattern_mode: str, true_randomness: bool, authenticated: bool) -> Provenance:
        """Judge by the four conditions under which key is real."""
        reasons = [
            reason
            for holds, reason in (
                (hardware, "light comes from simulated instruments"),
                (pattern_mode == "qrng", "the pattern repeats (demo pattern)"),
                (true_randomness, "pattern bits come from a seeded generator, which sends the same bits again for the same seed"),
                (authenticated, "the classical channel is not authenticated"),
            )
            if not holds
        ]
        return cls(bool(reasons), tuple(reasons))

    def joined(self, other: Provenance) -> Provenance:
        """Return the provenance of something made from both: simulated if either is."""
        return Provenance(self.simulated or other.simulated, tuple(dict.fromkeys(self.reasons + other.reasons)))


@dataclass(frozen=True, slots=True)
class SecurityStatement:
    """What is proven about a result, under which assumptions, and what leaked.

    epsilon: probability that the claims fail, summed over their parts; 0 where nothing probabilistic is claimed.  leaked_bits: bits disclosed
    on public channels and already subtracted.
    """

    claims: tuple[str, ...]
    assumptions: tuple[str, ...]
    epsilon: float
    leaked_bits: int
    provenance: Provenance

    def as_dict(self) -> dict[str, object]:
        """Return what `--json` prints under `security`."""
        return {
            "claims": list(self.claims),
            "assumptions": list(self.assumptions),
            "epsilon": self.epsilon,
            "leaked_bits": self.leaked_bits,
            "simulated": self.provenance.simulated,
            "provenance": list(self.provenance.reasons),
        }


def combined(statements: Iterable[SecurityStatement], claims: tuple[str, ...] = ()) -> SecurityStatement:
    """Compose statements: assumptions united, epsilons and leaks added, simulated if any is.

    claims: said of the whole; without it the claims of the parts are united.
    """
    parts = list(statements)
    provenance = Provenance(False)
    for part in parts:
        provenance = provenance.joined(part.provenance)
    return SecurityStatement(
        claims or tuple(dict.fromkeys(claim for part in parts for claim in part.claims)),
        tuple(dict.fromkeys(assumption for part in parts for assumption in part.assumptions)),
        sum(part.epsilon for part in parts),
        sum(part.leaked_bits for part in parts),
        provenance,
    )
