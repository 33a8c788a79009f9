"""What a demo made, for `--json` and for its report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...core.statement import SecurityStatement
from ..parties.node import PairKey

if TYPE_CHECKING:
    from ...acquisition.calibration import Fringe
    from ...acquisition.procedures.count_rates import Rates
    from ...instruments.roles import WireCount
    from ...protocols.qunetqfl.result import LearningResult


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What a demo made. rates, fringes, pairs by user or pair; wire: bytes per instrument; runs: run files in the order they were made."""

    folder: Path
    seed: int
    rates: Rates
    fringes: Mapping[str, Fringe]
    pairs: Mapping[str, PairKey]
    learning: LearningResult
    wire: Mapping[str, WireCount]
    runs: Sequence[Path]
    wall_seconds: float

    @property
    def statement(self) -> SecurityStatement:
        """Return what is claimed of the whole: that of the learning, which rests on all keys."""
        return self.learning.statement

    def as_dict(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        learned = self.learning.as_dict()
        return {
            "folder": self.folder,
            "seed": self.seed,
            "rates": asdict(self.rates),
            "fringes": {user: {"v_pi_v": fringe.v_pi_v, "visibility": fringe.visibility} for user, fringe in self.fringes.items()},
            "pairs": {name: key.as_dict() for name, key in self.pairs.items()},
            **{name: learned[name] for name in ("task", "clients", "rounds", "aborted", "key", "final_accuracy", "final_loss", "unmasked_equal")},
            "wire": {name: {"sent": count.sent, "received": count.received} for name, count in self.wire.items()},
            "runs": list(self.runs),
            "report": self.folder / "report.html",
            "wall_seconds": self.wall_seconds,
        }
