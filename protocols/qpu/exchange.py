"""Jobs for clouds whose SDK is not here: circuits go out as OpenQASM, results come in as a file, and both are in the ledger like any other job.

heliograph qpu run bell.qasm --backend outside:quafu --shots 1000
heliograph qpu export JOB --qasm2
heliograph qpu import RESULT.json
"""

from __future__ import annotations

import hashlib
import json
import uuid as uuids
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ...core.errors import QpuConfigError, QpuUnsupported
from .circuits import ReadWork, circuit_hash
from .engine import Bits, Plan, ProviderBackend
from .interface import JobStatus, Limits
from .ledger import JobHistory
from .projects import JobFile, Part, Project, SentWork
from .qasm import parse_qasm
from .records import DAMAGED, Record, packed, parse_record, store, write_record
from .records import FORMAT as RECORD_FORMAT
from .samples import Samples

RESULT_FORMAT = "heliograph-qpu-result/1"
ORDERS = ("c0-first", "c0-last")
Language = Literal["qasm2", "qasm3"]
LANGUAGES: tuple[Language, ...] = ("qasm3", "qasm2")


class OutsideBackend(ProviderBackend):
    """A quantum processor that somebody else speaks to. Its jobs wait until their result is imported. label: how the ledger names it."""

    simulated = False

    def __init__(self, label: str, **common: Any) -> None:
        limits = Limits(dynamic=True, reset=True)
        super().__init__(f"outside:{label}", limits, **common)
        if self.project is None:
            raise QpuConfigError("jobs for others need a project folder", where=self.name, remedy="Name one.")
        self._home = self.project

    @property
    def immediate(self) -> bool:
        """Return False: somebody has to run it."""
        return False

    def translate(self, work: ReadWork, seed: int | None) -> tuple[Any, dict[str, Any]]:
        """Nothing is translated before the export."""
        return None, {}

    def send(self, plan: Plan, index: int, uuid: str, tags: Sequence[str]) -> str:
        """Only name it."""
        return _name(uuid)

    def search(self, uuid: str, since_ns: int) -> dict[int, str]:
        """Return the name, which follows from the job's."""
        return {0: _name(uuid)}

    def state(self, provider_id: str) -> tuple[JobStatus, str]:
        """Return DONE when the result of every work was imported, which the ledger tells and the file shows."""
        history = self._home.ledger.job(provider_id.removeprefix("outside-"))
        return (JobStatus.QUEUED if _waiting(self._home, history, self._home.read_job(history.uuid)) else JobStatus.DONE), ""

    def fetch(self, provider_id: str, file: JobFile, part: Part) -> list[Bits]:
        """Return what was imported."""
        return [bits for bits, _ in self._imported(provider_id, file)]

    def ordered(self, provider_id: str) -> bool:
        """Return whether every result told the order of its shots."""
        return all(ordered for _, ordered in self._imported(provider_id, self._home.read_job(provider_id.removeprefix("outside-"))))

    def _imported(self, provider_id: str, file: JobFile) -> list[tuple[Bits, bool]]:
        history = self._home.ledger.job(provider_id.removeprefix("outside-"))
        if waiting := _waiting(self._home, history, file):
            where, remedy = f"job {history.uuid}, work {waiting[0]}", "Import the result again that was taken in first."
            raise QpuConfigError("what was imported is not what the ledger knows", where=where, remedy=remedy)
        return [bits_of(json.loads(_inbox(self._home, history.uuid, work).read_text()), file, work, history.uuid) for work in range(len(file.works))]


def export_job(project: Project, uuid: str, folder: Path, language: Language) -> list[Path]:
    """Write the circuits of a job, parameters bound, and the result file that is to be filled in; return what was written.

    Raises QpuUnsupported where a circuit cannot be written in that language, StorageError if the folder cannot be written.
    """
    uuid = project.ledger.job(uuid).uuid
    file = project.read_job(uuid)
    texts = [_text(work, language, f"job {uuid}, work {number}") for number, work in enumerate(file.works)]
    written = []
    for number, text in enumerate(texts):
        written.append(folder / f"{uuid}-{number}.qasm")
        store(written[-1], text)
    form = {"format": RESULT_FORMAT, "job": uuid, "bit_order": "", "results": [{"work": number, "bitstrings": []} for number in range(len(texts))]}
    written.append(folder / f"{uuid}.result.json")
    store(written[-1], json.dumps(form, indent=1))
    return written


@dataclass(frozen=True, slots=True)
class Imported:
    """What was taken in.

    name: of the job, or the new one of a record that belongs to none.  works: how many.  in_ledger: whether it is of a job of the project.
    """

    name: str
    works: int
    in_ledger: bool


def import_result(project: Project, path: Path, job: str | None = None) -> Imported:
    """Take in a filled result file, or a record file; where it is of a job of this project, the ledger tells that it was completed by hand.

    job: of which a record is the result; otherwise its file's name tells, and a record of no job here is only kept to be replayed.  Raises QpuConfigError if
    the file does not fit the job.
    """
    try:
        raw = json.loads(path.read_text())
        kind = raw["format"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise QpuConfigError(
            f"the result cannot be read ({error})", where=str(path), remedy=f"Give a file of format {RESULT_FORMAT} or {RECORD_FORMAT}."
        ) from error
    if kind == RECORD_FORMAT:
        return _take_record(project, raw, path, job)
    if kind != RESULT_FORMAT:
        raise QpuConfigError(f"the format {kind!r} is unknown", where=str(path), remedy=f"Give {RESULT_FORMAT} or {RECORD_FORMAT}.")
    return _take_result(project, raw, path, job)


def _take_record(project: Project, raw: Mapping[str, Any], path: Path, job: str | None) -> Imported:
    try:
        record = parse_record(raw)
    except DAMAGED as error:
        raise QpuConfigError(f"the recording is damaged or was altered ({error})", where=str(path), remedy="Restore it from where it was made.") from error
    named = job or path.name.partition("-")[0]
    if job is None and named not in project.ledger.jobs():
        name = uuids.uuid4().hex
        write_record(project.record_path(name, 0), record)
        return Imported(name, 1, in_ledger=False)
    history = project.ledger.job(named)
    if known := [work for work, digest in history.sha256.items() if (digest, history.intent["circuits"][work]) == (record.sha256, record.hash)]:
        return _restored(project, history.uuid, known[0], record)
    file = _awaited(project, history)
    if record.simulated:
        raise QpuConfigError("the record was simulated", where=f"{path}, job {history.uuid}", remedy="Jobs for others take what a device measured.")
    works = [work for work in _waiting(project, history, file) if _is_of(record, file, work)]
    if not works:
        what = "the record is of none of the job's works that still wait: circuit, shots or registers differ"
        raise QpuConfigError(what, where=f"{path}, job {history.uuid}", remedy="Run what was exported, with as many shots.")
    counts = Samples(record.bits, record.cregs, {}).counts()
    told = {"bitstrings": ["".join(map(str, row)) for row in record.bits.tolist()]} if record.ordered else {"counts": counts}
    origin = {"made_with": record.backend, "made_as": list(record.provider_ids)}
    return _taken(project, history, file, {works[0]: {**told, "bit_order": ORDERS[0]}}, **origin)


def _restored(project: Project, uuid: str, work: int, record: Record) -> Imported:
    """Put a record back that the ledger knows already, where it is not there any more."""
    try:
        project.read_record(uuid, work, record.sha256)
    except QpuConfigError:
        project.write_record(uuid, work, record)
    return Imported(uuid, 1, in_ledger=True)


def _is_of(record: Record, file: JobFile, work: int) -> bool:
    """Return whether a record is of a work, as it is in the ledger or as it was exported."""
    sent = file.works[work]
    if (record.shots, record.cregs) != (file.shots, sent.cregs):
        return False
    hashes = {sent.hash}
    for language in LANGUAGES:
        with suppress(QpuUnsupported):
            hashes.add(circuit_hash(parse_qasm(_text(sent, language, ""), "")))
    return record.hash in hashes


def _awaited(project: Project, history: JobHistory) -> JobFile:
    """Return what a job is that waits for a result from elsewhere. Raises QpuConfigError where it does not."""
    if not str(history.intent["backend"]).startswith("outside:"):
        raise QpuConfigError(f"the job ran on {history.intent['backend']}", where=f"job {history.uuid}", remedy="Import results of jobs for outside:.. only.")
    if history.recorded:
        raise QpuConfigError("the job has its result already", where=f"job {history.uuid}", remedy="Submit another one.")
    return project.read_job(history.uuid)


def _taken(project: Project, history: JobHistory, file: JobFile, results: Mapping[int, Mapping[str, Any]], **origin: Any) -> Imported:
    """Keep results that fit; when no work is missing any more, the job is done."""
    digests = {work: _digest(one, file, work, history.uuid) for work, one in results.items()}
    for work, digest in digests.items():
        if history.imported.get(work, digest) != digest:
            raise QpuConfigError("another result was taken in before", where=f"job {history.uuid}, work {work}", remedy="Submit another job for it.")
    # The ledger comes first: a result that is cut off behind it still waits, and can be imported again.
    if new := {str(work): digest for work, digest in digests.items() if work not in history.imported}:
        project.ledger.append("imported", uuid=history.uuid, sha256=new, **origin)
    for work, one in results.items():
        inbox = _inbox(project, history.uuid, work)
        inbox.parent.mkdir(mode=0o700, exist_ok=True)
        store(inbox, json.dumps(one))
    job = OutsideBackend(file.backend.removeprefix("outside:"), project=project).resume(history.uuid)
    if job.status().final:
        job.result()
    return Imported(history.uuid, len(results), in_ledger=True)


def _waiting(project: Project, history: JobHistory, file: JobFile) -> list[int]:
    """Return the works of which there is no result that the ledger knows."""
    return [work for work in range(len(file.works)) if not _is_here(project, history, file, work)]


def _is_here(project: Project, history: JobHistory, file: JobFile, work: int) -> bool:
    inbox = _inbox(project, history.uuid, work)
    if work not in history.imported or not inbox.exists():
        return False
    try:
        return _digest(json.loads(inbox.read_text()), file, work, history.uuid) == history.imported[work]
    except (OSError, ValueError, RecursionError, QpuConfigError):
        return False


def _digest(raw: Mapping[str, Any], file: JobFile, work: int, uuid: str) -> str:
    return hashlib.sha256(packed(bits_of(raw, file, work, uuid)[0])).hexdigest()


def _take_result(project: Project, raw: Mapping[str, Any], path: Path, job: str | None) -> Imported:
    try:
        named, results = str(raw["job"]), {_work_of(one): {**one, "bit_order": raw["bit_order"]} for one in raw["results"]}
        if len(results) != len(raw["results"]):
            raise ValueError("a work comes twice")
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise QpuConfigError(f"a field is missing or wrong ({error})", where=str(path), remedy="Fill in the file that was exported.") from error
    history = project.ledger.job(named)
    if job is not None and project.ledger.job(job).uuid != history.uuid:
        raise QpuConfigError("the result is of another job", where=f"{path}, job {history.uuid}", remedy="Leave --job out.")
    return _taken(project, history, _awaited(project, history), results)


def _work_of(raw: Mapping[str, Any]) -> int:
    if type(raw["work"]) is not int:
        raise TypeError(f"work {raw['work']!r}")
    return int(raw["work"])


def bits_of(raw: Mapping[str, Any], file: JobFile, work: int, uuid: str) -> tuple[Bits, bool]:
    """Return the samples that a result file tells of one work, and whether they stand in the order of the shots.

    Raises QpuConfigError unless it says the order of the bits and has as many shots and bits as the job.
    """
    where = f"job {uuid}, work {work}"
    if not 0 <= work < len(file.works):
        raise QpuConfigError(f"the job has {len(file.works)} works", where=where, remedy="Count from 0.")
    if raw.get("bit_order") not in ORDERS:
        raise QpuConfigError("nobody knows which end of the bit strings is classical bit 0", where=where, remedy=f"Set bit_order to {' or '.join(ORDERS)}.")
    clbits = sum(size for _, size in file.works[work].cregs)
    texts = _strings(raw, file.shots)
    if len(texts) != file.shots or any(not isinstance(text, str) or len(text) != clbits or set(text) - {"0", "1"} for text in texts):
        raise QpuConfigError(
            f"the result does not hold {file.shots} strings of {clbits} bits", where=where, remedy="Give one string of 0 and 1 a shot, or counts."
        )
    bits: NDArray[np.uint8] = np.array([[int(bit) for bit in text] for text in texts], np.uint8).reshape(file.shots, clbits)
    return (bits if raw["bit_order"] == "c0-first" else np.ascontiguousarray(bits[:, ::-1])), raw.get("counts") is None


def _strings(raw: Mapping[str, Any], shots: int) -> list[Any]:
    """Return a string a shot, none where what was told is no such thing: counts are added up before they are written out."""
    counts = raw.get("counts")
    if counts is None:
        told = raw.get("bitstrings")
        return told if isinstance(told, list) else []
    if not isinstance(counts, Mapping) or any(type(n) is not int or n < 0 for n in counts.values()) or sum(counts.values()) != shots:
        return []
    return [text for text, n in counts.items() for _ in range(n)]


def _text(work: SentWork, language: Language, where: str) -> str:
    from qiskit import qasm2, qasm3
    from qiskit.qasm2 import QASM2Error

    circuit = parse_qasm(work.qasm3, where)
    values = {one: work.params[one.name] for one in circuit.parameters}
    bound = circuit.assign_parameters(values) if values else circuit
    try:
        return str(qasm2.dumps(bound) if language == "qasm2" else qasm3.dumps(bound))
    except QASM2Error as error:
        raise QpuUnsupported(f"a circuit that OpenQASM 2 has no words for ({error})", where=where, remedy="Export it as --qasm3.") from error


def _inbox(project: Project, uuid: str, work: int) -> Path:
    return project.folder / "imported" / f"{uuid}-{work}.json"


def _name(uuid: str) -> str:
    return f"outside-{uuid}"
