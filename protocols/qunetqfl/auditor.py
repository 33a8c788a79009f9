"""A test auditor: the only object that ever sees plain updates, and only in tests and in the demo."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..aggregation.variants import Quantised
from .roster import Roster
from .server import Outcome


class Auditor:
    """Adds the clients' plain updates apart, quantised and unmasked, and compares with the masked sum word for word."""

    def __init__(self) -> None:
        self._updates: dict[int, dict[str, NDArray[np.float64]]] = {}

    def note(self, round_: int, client: str, x: NDArray[np.float64]) -> None:
        """Take a client's weighted, clipped update: float64 (d,). Plugged in as `Client(audit=auditor.note)`."""
        self._updates.setdefault(round_, {})[client] = x.copy()

    def unmasked_total(self, roster: Roster) -> NDArray[np.unsignedinteger]:
        """Return the sum of the unmasked words of a round: unsigned (d,). Raises `KeyError` where a client's update was not seen."""
        variant = Quantised(roster.alpha, roster.q)
        updates = self._updates[roster.round]
        return np.asarray(variant.total([variant.upload(updates[name]) for name in roster.clients]))

    def agrees(self, outcome: Outcome) -> bool:
        """Say whether the sum of a completed round equals the unmasked one in every word; the round's updates are forgotten."""
        expected = self.unmasked_total(outcome.roster)
        del self._updates[outcome.roster.round]
        return outcome.total is not None and outcome.total.dtype == expected.dtype and bool(np.array_equal(outcome.total, expected))
