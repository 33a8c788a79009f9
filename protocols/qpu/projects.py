"""A project folder: settings, ledger, job files and records of everything that was run. All files are private to their owner."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...core.errors import QpuConfigError, StorageError
from .ledger import FILE as LEDGER_FILE
from .ledger import JobLedger
from .records import Record, read_record, store, write_record
from .samples import Registers
from .settings import Settings, load_settings

JOB_FORMAT = "heliograph-qpu-job/1"


@dataclass(frozen=True, slots=True)
class SentWork:
    """What must be known of a work to read its samples later, in another process.

    layout: what the back-end needs to put the provider's columns in order.
    """

    qasm3: str
    hash: str
    params: dict[str, float]
    cregs: Registers
    layout: dict[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as the job file has them."""
        return {"qasm3": self.qasm3, "hash": self.hash, "params": self.params, "cregs": [list(one) for one in self.cregs], "layout": self.layout}


@dataclass(frozen=True, slots=True)
class Part:
    """One job at the provider: some works, for each the same number of shots."""

    works: tuple[int, ...]
    shots: int


@dataclass(frozen=True, slots=True)
class JobFile:
    """What a job is, written before its intent. Works of several parts get their samples in the order of the parts."""

    backend: str
    shots: int
    seed: int | None
    works: tuple[SentWork, ...]
    parts: tuple[Part, ...]

    def text(self) -> str:
        """Return the file's content."""
        parts = [{"works": list(part.works), "shots": part.shots} for part in self.parts]
        plain = {"format": JOB_FORMAT, "backend": self.backend, "shots": self.shots, "seed": self.seed, "parts": parts}
        return json.dumps({**plain, "works": [work.as_dict() for work in self.works]}, sort_keys=True)


class Project:
    """The folder of one project. Raises StorageError if it cannot be made, QpuConfigError if its settings are wrong."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self.records = self.folder / "records"
        self.files = self.folder / "jobs"
        try:
            for one in (self.folder, self.records, self.files):
                one.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"the project folder cannot be made ({error.strerror})", where=str(self.folder), remedy="Choose a folder of yours.") from error
        if not os.access(self.folder, os.W_OK):
            raise StorageError("the project folder cannot be written", where=str(self.folder), remedy="Choose a folder of yours.")
        self.ledger = JobLedger(self.folder / LEDGER_FILE)
        self.settings: Settings = load_settings(self.folder)

    def write_job(self, uuid: str, job: JobFile) -> None:
        """Write what a job is."""
        store(self.files / f"{uuid}.json", job.text())

    def read_job(self, uuid: str) -> JobFile:
        """Read what a job is. Raises QpuConfigError naming the file."""
        path = self.files / f"{uuid}.json"
        try:
            raw = json.loads(path.read_text())
            if raw["format"] != JOB_FORMAT:
                raise ValueError(f"format {raw['format']!r}")
            works = tuple(
                SentWork(one["qasm3"], one["hash"], one["params"], tuple((name, size) for name, size in one["cregs"]), one["layout"]) for one in raw["works"]
            )
            return JobFile(raw["backend"], raw["shots"], raw["seed"], works, tuple(Part(tuple(part["works"]), part["shots"]) for part in raw["parts"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise QpuConfigError(f"the job file cannot be read ({error})", where=str(path), remedy="Restore the project folder.") from error

    def record_path(self, uuid: str, work: int) -> Path:
        """Return where the samples of a work are recorded."""
        return self.records / f"{uuid}-{work}.json"

    def write_record(self, uuid: str, work: int, record: Record) -> None:
        """Record the samples of a work."""
        write_record(self.record_path(uuid, work), record)

    def read_record(self, uuid: str, work: int, sha256: str | None) -> Record:
        """Read the samples of a work. Raises QpuConfigError if they are not those that the ledger knows; `sha256` None believes the file."""
        path = self.record_path(uuid, work)
        record = read_record(path)
        if sha256 is not None and record.sha256 != sha256:
            raise QpuConfigError("the recording is not the one that the ledger knows", where=str(path), remedy="Restore it from where it was made.")
        return record

    def write_calibration(self, uuid: str, calibration: dict[str, Any]) -> str:
        """Write the device's calibration beside the records of a job and return its SHA-256."""
        text = json.dumps(calibration, sort_keys=True, default=str)
        store(self.records / f"{uuid}.calibration.json", text)
        return hashlib.sha256(text.encode()).hexdigest()
