"""The books of a run: completed and aborted rounds, and what every pair spent and burned."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from itertools import combinations
from typing import Any

from ...postprocess.keystore.source import pair_name
from .client import KeyUse
from .result import AbortedRound, PairAccount, RoundRecord
from .server import Outcome


@dataclass(slots=True)
class Books:
    """Filled by the driver, kept in the checkpoint. spent, burned: bits by pair name."""

    rounds: list[RoundRecord] = field(default_factory=list)
    aborted: list[AbortedRound] = field(default_factory=list)
    spent: dict[str, int] = field(default_factory=dict)
    burned: dict[str, int] = field(default_factory=dict)

    def enter(self, outcome: Outcome, uses: Iterable[KeyUse]) -> tuple[int, int]:
        """Enter the key of one round and return (spent, burned) summed over the pairs, bits. Key of an aborted round is burned, all of it."""
        masked = outcome.roster.d * outcome.roster.q if outcome.total is not None else 0
        spent = burned = 0
        for use in uses:
            self.spent[use.pair] = self.spent.get(use.pair, 0) + masked
            self.burned[use.pair] = self.burned.get(use.pair, 0) + use.fetched_bits - masked
            spent += masked
            burned += use.fetched_bits - masked
        return spent, burned

    def enter_lost(self, lost: Mapping[int, Mapping[str, int]]) -> None:
        """Enter rounds that a process took key for and did not live to enter: it is burned.  lost: bits by pair and round."""
        for round_, bits in sorted(lost.items()):
            for pair, taken in bits.items():
                self.burned[pair] = self.burned.get(pair, 0) + taken
            self.aborted.append(AbortedRound(round_, "the process ended before the round was entered", sum(bits.values())))

    def accounts(self, clients: Iterable[str], planned: int) -> tuple[PairAccount, ...]:
        """Return one account a pair. planned: bits a pair needs for the whole run."""
        names = [pair_name(*pair) for pair in combinations(clients, 2)]
        return tuple(PairAccount(name, planned, self.spent.get(name, 0), self.burned.get(name, 0)) for name in names)

    def as_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)

    @classmethod
    def of(cls, values: dict[str, Any]) -> Books:
        """Return the books of `as_dict`. Raises KeyError or TypeError where a field is missing or unknown."""
        return cls(
            [RoundRecord(**record) for record in values["rounds"]],
            [AbortedRound(**record) for record in values["aborted"]],
            {str(pair): int(bits) for pair, bits in values["spent"].items()},
            {str(pair): int(bits) for pair, bits in values["burned"].items()},
        )
