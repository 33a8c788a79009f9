"""Where a run can go on after a crash: one npz, replaced whole after every round."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.errors import ConfigError, DataError, DataMissing
from .books import Books
from .memory import write_npz


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """State after a completed round.

    run, round: their numbers.  theta: float64 (d,).  rng_root: seed of the run.  provenance: `real` or `simulated`.
    subject: task, clients, aggregation and the like, compared on resuming.
    """

    run: int
    round: int
    theta: NDArray[np.float64]
    roster_sha256: str
    rng_root: int
    aggregation: str
    provenance: str
    subject: dict[str, Any]
    books: Books

    def save(self, path: Path) -> None:
        """Replace the file at once. Raises `StorageError` where it cannot be written; the old file then stays."""
        write_npz(
            path,
            {
                "theta": np.asarray(self.theta, dtype="<f8"),
                "run": np.array(str(self.run)),
                "round": np.int64(self.round),
                "roster_sha256": np.array(self.roster_sha256),
                "rng_root": np.array(str(self.rng_root)),
                "aggregation": np.array(self.aggregation),
                "provenance": np.array(self.provenance),
                "subject": np.array(json.dumps(self.subject, sort_keys=True)),
                "metrics": np.array(json.dumps(self.books.as_dict())),
            },
        )

    @classmethod
    def load(cls, path: Path) -> Checkpoint:
        """Read a checkpoint. Raises `DataMissing` where there is none and `DataError` where it is not one."""
        if not path.is_file():
            raise DataMissing("there is no checkpoint to resume from", where=str(path), remedy="Start the run without resuming.")
        try:
            with np.load(path, allow_pickle=False) as file:
                return cls(
                    run=int(str(file["run"])),
                    round=int(file["round"]),
                    theta=np.array(file["theta"], dtype=np.float64),
                    roster_sha256=str(file["roster_sha256"]),
                    rng_root=int(str(file["rng_root"])),
                    aggregation=str(file["aggregation"]),
                    provenance=str(file["provenance"]),
                    subject=json.loads(str(file["subject"])),
                    books=Books.of(json.loads(str(file["metrics"]))),
                )
        except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise DataError(f"this is not a checkpoint ({error})", where=str(path), remedy="Move it away and start anew.") from error

    def check_subject(self, subject: dict[str, Any], path: Path) -> None:
        """Raise `ConfigError` unless the checkpoint belongs to the same task, clients and settings."""
        if changed := [name for name, value in subject.items() if self.subject.get(name) != value]:
            raise ConfigError(f"the checkpoint is of another run: {', '.join(changed)} differ", where=str(path), remedy="Resume with the same settings.")
