"""`recorded:<folder>`: what was once measured, again; the default wherever tests use what came from a device."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...core.errors import QpuConfigError
from .circuits import ReadWork
from .engine import Plan
from .interface import Limits
from .local import LocalProvider
from .records import Record, read_record


class RecordedBackend(LocalProvider):
    """Replays record files by circuit hash and shots, those of one circuit in the order in which they were made; seeds are ignored.

    folder: of record files, or a project's.  Raises QpuConfigError naming the file if one is damaged or was altered.
    """

    def __init__(self, folder: Path | str, **common: Any) -> None:
        self._folder = Path(folder)
        self._records = _read(self._folder)
        self._next: dict[tuple[str, int], int] = {}
        self._unordered: set[str] = set()
        self.simulated = any(record.simulated for records in self._records.values() for record in records)
        super().__init__(f"recorded:{folder}", Limits(dynamic=True, expr_conditions=True, reset=True, seedable=True), **common)

    def translate(self, work: ReadWork, seed: int | None) -> tuple[Any, dict[str, Any]]:
        """Return the hash."""
        return work.hash, {}

    def send(self, plan: Plan, index: int, uuid: str, tags: Sequence[str]) -> str:
        """Take the next recording of every work. Raises QpuConfigError, and takes none, where there is none left."""
        before = dict(self._next)
        try:
            found = [self._take(name, plan.shots) for name in plan.payloads]
        except QpuConfigError:
            self._next = before
            raise
        if any(record.cregs != work.cregs for record, work in zip(found, plan.works, strict=True)):
            raise QpuConfigError("a recording has other classical registers", where=str(self._folder), remedy="Record it again.")
        name = self.keep([record.bits for record in found])
        if not all(record.ordered for record in found):
            self._unordered.add(name)
        return name

    def ordered(self, provider_id: str) -> bool:
        """Return whether the recordings were."""
        return provider_id not in self._unordered

    def _take(self, name: str, shots: int) -> Record:
        records = self._records.get((name, shots), [])
        place = self._next.get((name, shots), 0)
        if place >= len(records):
            what = "recording exhausted" if records else f"there is no recording of this circuit with {shots} shots"
            raise QpuConfigError(what, where=f"{self._folder}, circuit {name[:12]}", remedy="Record it on a device or simulator first.")
        self._next[name, shots] = place + 1
        return records[place]


def record_files(folder: Path) -> list[Path]:
    """Return the record files of a folder or of a project's folder."""
    place = folder / "records" if (folder / "records").is_dir() else folder
    if not place.is_dir():
        raise QpuConfigError("there is no such folder", where=str(folder), remedy="Name a folder of recordings.")
    return sorted(path for path in place.glob("*.json") if not path.name.endswith(".calibration.json"))


def _read(folder: Path) -> dict[tuple[str, int], list[Record]]:
    found: dict[tuple[str, int], list[Record]] = {}
    for record in sorted((read_record(path) for path in record_files(folder)), key=lambda one: one.created):
        found.setdefault((record.hash, record.shots), []).append(record)
    return found
