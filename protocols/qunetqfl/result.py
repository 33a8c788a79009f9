"""What a learning run returns, and what it claims."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.statement import Provenance, SecurityStatement, combined
from .roster import theta_hash


@dataclass(frozen=True, slots=True)
class RoundRecord:
    """One completed round.

    accuracy, loss: of the shared model on the test set.  key_bits_spent: d q bits masked, summed over the pairs.  key_bits_burned: tails of the chunks
    that were opened, summed over the pairs.  upload_bytes: of all clients.  unmasked_equal: whether the sum equals the unmasked one word for word, None
    where no auditor was present.
    """

    round: int
    accuracy: float
    loss: float
    key_bits_spent: int
    key_bits_burned: int
    upload_bytes: int
    unmasked_equal: bool | None


@dataclass(frozen=True, slots=True)
class RoundNews:
    """What there is to tell of a completed round where all clients live in this process.

    clients: those that took part.  learned: loss and accuracy of each on its own samples, NaN where unknown; such figures never leave a client otherwise.
    samples: of every client there is.  key_bits: used up by pair, chunk tails included.
    """

    record: RoundRecord
    clients: tuple[str, ...]
    learned: dict[str, tuple[float, float]]
    samples: dict[str, int]
    key_bits: dict[str, int]


@dataclass(frozen=True, slots=True)
class AbortedRound:
    """A round that was given up. key_bits_burned: all key that had been fetched for it, summed over the pairs."""

    round: int
    reason: str
    key_bits_burned: int


@dataclass(frozen=True, slots=True)
class PairAccount:
    """Key of one pair over a run, bits.

    planned: d q times the rounds asked for.  spent: masked.  burned: chunk tails, and key of aborted rounds and of those that a process did not live to end.
    """

    pair: str
    planned: int
    spent: int
    burned: int


@dataclass(frozen=True, slots=True)
class LearningResult:
    """A federated learning run.

    theta: final parameters, float64 (d,).  saving: part of the upload and key saved against 32-bit words.
    """

    task: str
    clients: tuple[str, ...]
    aggregation: str
    rounds: tuple[RoundRecord, ...]
    aborted: tuple[AbortedRound, ...]
    pairs: tuple[PairAccount, ...]
    final_accuracy: float
    final_loss: float
    saving: float
    theta: NDArray[np.float64]
    statement: SecurityStatement

    @property
    def unmasked_equal(self) -> bool | None:
        """Return whether every round's sum equalled the unmasked one; None where no auditor was present in some round."""
        checks = [record.unmasked_equal for record in self.rounds]
        if False in checks:
            return False
        return None if not checks or None in checks else True

    @property
    def upload_bytes(self) -> int:
        """Return the bytes of all uploads."""
        return sum(record.upload_bytes for record in self.rounds)

    def as_dict(self) -> dict[str, Any]:
        """Return what `--json` prints, JSON values only; `security` and `simulated` come from the statement."""
        return {
            "task": self.task,
            "clients": list(self.clients),
            "aggregation": self.aggregation,
            "rounds": [asdict(record) for record in self.rounds],
            "aborted": [asdict(record) for record in self.aborted],
            "key": {account.pair: {"planned": account.planned, "spent": account.spent, "burned": account.burned} for account in self.pairs},
            "final_accuracy": self.final_accuracy,
            "final_loss": self.final_loss,
            "unmasked_equal": self.unmasked_equal,
            "upload_bytes": self.upload_bytes,
            "saving": self.saving,
            "parameters_sha256": theta_hash(self.theta),
            "simulated": self.statement.provenance.simulated,
            "security": self.statement.as_dict(),
        }


def learning_statement(aggregation: str, keys: Iterable[SecurityStatement], *, audited: bool) -> SecurityStatement:
    """Return what a run claims: the claims of masking, the assumptions of its keys, their epsilons added.

    keys: statements of the key blocks the masks came from; without any, the provenance is `simulated` because nobody vouches for them.
    """
    if aggregation != "pairwise":
        claims = ("none: every client's update is sent in clear",)
        return SecurityStatement(claims, ("everyone may read the uploads",), 0.0, 0, Provenance(True, (f"aggregation {aggregation} hides nothing",)))
    parts = list(keys)
    if not parts:
        parts.append(SecurityStatement((), (), 0.0, 0, Provenance(True, ("nobody stated where the keys come from",))))
    own = SecurityStatement((), _ASSUMPTIONS + (_AUDITED if audited else ()), 0.0, 0, Provenance(False))
    return combined([*parts, own], _CLAIMS)


_CLAIMS = (
    "of each round the server and every eavesdropper learn the quantised sum of the updates and nothing else about single updates",
    "the same holds against the server together with up to K-2 of the K clients, for the sum of the others",
    "each word of key masked one entry of one round, once",
)
_ASSUMPTIONS = (
    "server and clients are honest but curious: poisoned updates and a false sum are not detected",
    "the global model, the sums, sample counts, rosters and timing are public; what can be inferred from them is not protected",
    "the server together with K-1 clients learns the remaining update",
    "READY and KEYIDS pass through the server without authentication",
    "keys at rest are protected by AES, hence computationally",
)
_AUDITED = ("a test auditor in this process saw the plain updates to compare the sums",)
