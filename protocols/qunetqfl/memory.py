"""What a client must not forget: which uploads it sent, and its optimizer's moments."""

from __future__ import annotations

import re
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from ...core.errors import DataError, RoundAborted, StorageError
from ...core.files import write_private
from ...core.ledger import Ledger, records
from ..learning.trainer import OptimizerState

_STATE_FILE = re.compile(r"optimizer-(\d+)-(\d+)\.npz")


def write_npz(path: Path, arrays: dict[str, Any]) -> None:
    """Write arrays to a file of mode 0600 so that it is there whole or not at all. Raises `StorageError` where it cannot be written."""
    packed = BytesIO()
    np.savez(packed, **arrays)
    try:
        write_private(path, packed.getvalue())
    except OSError as error:
        raise StorageError(f"the file cannot be written ({error.strerror})", where=str(path), remedy="Free some disk space.") from error


def _read_state(file: Path) -> OptimizerState:
    try:
        with file.open("rb") as raw, np.load(raw, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"these are no moments ({error})", where=str(file), remedy="Remove the file: the optimizer then starts anew.") from error


class Memory:
    """One client's own record, in a folder or, without one, in this object.

    folder: created if needed; holds `uploads.jsonl` (session, run, round and SHA-256 of every upload, on disk before it is sent) and the moments after the
    last rounds as `optimizer-<run>-<round>.npz`.  Raises `StorageError` where the folder cannot be used, `LedgerCorrupt` where the record was altered,
    `DataError` where moments cannot be read.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._ledger: Ledger | None = None
        self._states: dict[tuple[int, int], OptimizerState] = {}
        self.last: tuple[int, int] = (0, -1)
        """Run and round of the last upload or roster."""
        self.session = 0
        """Largest session of any upload."""
        if folder is not None:
            self._open(folder)

    def _open(self, folder: Path) -> None:
        try:
            # Moments are as private as the update that the mask hides.
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"the folder cannot be made ({error.strerror})", where=str(folder)) from error
        for file in folder.glob("optimizer-*.npz"):
            if (found := _STATE_FILE.fullmatch(file.name)) is not None:
                self._states[int(found[1]), int(found[2])] = _read_state(file)
        path = folder / "uploads.jsonl"
        self._ledger = Ledger(path)
        for record in records(path):
            self.last = max(self.last, (int(record["run"]), int(record["round"])))
            self.session = max(self.session, int(record["session"]))

    def begin(self, run: int, round_: int) -> None:
        """Note that a round was taken up. Raises `RoundAborted` unless it is later than every round before."""
        if (run, round_) <= self.last:
            raise RoundAborted("the round is not later than the last one", where=f"run {run}, round {round_}", remedy="Use a new round number.")
        self.last = (run, round_)

    def remember_upload(self, session: int, run: int, round_: int, sha256: str) -> None:
        """Record an upload's hash, durably, before it is sent."""
        self.session = max(self.session, session)
        if self._ledger is not None:
            self._ledger.append("upload", session=session, run=run, round=round_, sha256=sha256)

    def state_after(self, run: int, previous: int) -> OptimizerState:
        """Return the moments after the last completed round of a run, empty for none; those of rounds that never counted are dropped."""
        for run_round in [key for key in self._states if key[0] != run or key[1] > previous]:
            self._forget(run_round)
        return self._states[max(self._states)] if self._states else {}

    def keep_state(self, run: int, round_: int, state: OptimizerState) -> None:
        """Keep moments until it is known whether their round counts; of the earlier ones only the latest stays."""
        if self._folder is not None:
            write_npz(self._path(self._folder, run, round_), dict(state))
        self._states[run, round_] = state
        for old in sorted(self._states)[:-2]:
            self._forget(old)

    def _forget(self, run_round: tuple[int, int]) -> None:
        del self._states[run_round]
        if self._folder is not None:
            self._path(self._folder, *run_round).unlink(missing_ok=True)

    @staticmethod
    def _path(folder: Path, run: int, round_: int) -> Path:
        return folder / f"optimizer-{run}-{round_}.npz"

    def close(self) -> None:
        """Give the record's file back."""
        if self._ledger is not None:
            self._ledger.close()
