"""Writes a run file while the run goes on: every whole batch is on disk within half a second and can be read meanwhile.

All groups exist before the first datum; then the file is switched to single-writer-multiple-reader. A killed writer leaves a file that is complete to its last
flush (`Run.open` reads it, `salvage` makes an ordinary file of it). A full disk is found before HDF5 meets it.
"""

from __future__ import annotations

import json
import os
import secrets
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

import h5py
import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..core.errors import HeliographError, ParameterError, StorageError
from ._room import MARGIN, Room, storage_error
from ._run_schema import BATCH, EVENT, GAP, SCHEMA, SEVERITIES, RunLayout, chunk_bytes, create, digest, environment, plain, short
from .onlookers import Onlookers, Opening
from .timetags import SlotTiming

if TYPE_CHECKING:
    from ..instruments.roles import Counts, TagBatch
    from ..instruments.station import Station
    from .calibrations import Calibration

__all__ = ["RunLayout", "RunWriter"]

Reason = Literal["done", "aborted", "failed", "crash"]
_FLUSH_S = 0.5
_SIMULATED = ("light comes from simulated instruments",)


class RunWriter:
    """An open run file. Use it as a context manager, or call `close` exactly when the run ends.

    Left by an exception it closes with reason `failed`, by KeyboardInterrupt with `aborted`, otherwise with `done`.
    opening: what is known before the first datum.  onlookers: hear all that is written, once it is.
    """

    def __init__(self, file: h5py.File, path: Path, opening: Opening, room: Room, clock_ns: Callable[[], int]) -> None:
        self.path, self.run_id, self.opening = path, opening.run_id, opening
        self.onlookers = Onlookers()
        self.summary: dict[str, Any] = {}
        self._file: h5py.File | None = file
        self._room, self._clock_ns = room, clock_ns
        self._flushed = time.monotonic()
        # HDF5 takes a whole chunk where one datum begins it.
        self._spare = MARGIN + chunk_bytes(file)

    @classmethod
    def create(
        cls,
        folder: Path,
        procedure: str,
        parameters: Mapping[str, Any],
        station: Station,
        instruments_snapshot: Mapping[str, Mapping[str, Any]],
        *,
        layout: RunLayout,
        seed: int | None = None,
        simulated: bool | None = None,
        reasons: Sequence[str] = _SIMULATED,
        calibrations: Sequence[Calibration] = (),
        operator: str = "",
        purpose: str = "",
        foreign: str = "",
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> RunWriter:
        """Create `<time>-<6 hex>-p0.h5` in a folder, with everything known before the run.

        layout: what the procedure will write.  seed: of the procedure's own draws, if any.  simulated: as the station says unless given; reasons: why.
        calibrations: records that the run uses in place of the station's values.  foreign: where a procedure comes from that may use instruments of its own.
        Raises StorageError if the folder cannot be written, ParameterError for parameters that a run file does not hold.
        """
        now = datetime.fromtimestamp(clock_ns() / 1e9, UTC)
        run_id = f"{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"
        simulated = station.simulated if simulated is None else simulated
        start = {
            "procedure": procedure,
            "parameters": plain(parameters, "parameters"),
            "time": now.isoformat(),
            "operator": operator,
            "purpose": purpose,
            "seed": seed,
            "station_name": station.info.name,
            "station_sha256": station.sha256,
            "simulated": simulated,
            "reasons": list(reasons) if simulated else [],
            "calibrations": {one.name: {"taken": one.taken.isoformat(), "sha256": one.sha256} for one in calibrations},
            "timing": asdict(SlotTiming.of(station)) if layout.tags else None,
            **({"foreign": foreign} if foreign else {}),
        }
        path = Path(folder) / f"{run_id}-p0.h5"
        snapshot = {name: plain(values, name) for name, values in instruments_snapshot.items()}
        return cls._begin(path, run_id, start, station.public_text(), snapshot, layout, clock_ns)

    @classmethod
    def create_imported(
        cls, folder: Path, procedure: str, parameters: Mapping[str, Any], imported: Mapping[str, Any], *, begun_ns: int, layout: RunLayout, foreign: str
    ) -> RunWriter:
        """Create the file of a run that was measured elsewhere and is known from another file: it has no station and no instruments.

        imported: of that file, `file` (its name) and `sha256` at least.  begun_ns: when the run began, Unix time.  foreign: which procedure the file names.
        The run is never taken for real: `simulated` is True, for readers that know two kinds only, while `Run.origin` is `imported`.
        Raises StorageError and ParameterError as `create` does.
        """
        begun = datetime.fromtimestamp(begun_ns / 1e9, UTC)
        run_id = f"{begun:%Y%m%dT%H%M%SZ}-{imported['sha256'][:6]}"
        start = {
            "procedure": procedure,
            "parameters": plain(parameters, "parameters"),
            "time": begun.isoformat(),
            "operator": "",
            "purpose": f"imported from {imported['file']}",
            "seed": None,
            "station_name": "",
            "station_sha256": "",
            "simulated": True,
            "reasons": [f"it comes from {imported['file']}, SHA-256 {imported['sha256']}, and was measured elsewhere"],
            "calibrations": {},
            "timing": None,
            "foreign": foreign,
            "imported": plain(imported, "imported"),
        }
        return cls._begin(Path(folder) / f"{run_id}-p0.h5", run_id, start, b"", {}, layout, time.time_ns)

    @classmethod
    def _begin(
        cls, path: Path, run_id: str, start: dict[str, Any], station_text: bytes, snapshot: dict[str, Any], layout: RunLayout, clock_ns: Callable[[], int]
    ) -> RunWriter:
        # Under another name until it says what it is: whoever is killed on the way leaves no run file that nobody can read.
        fresh = path.with_suffix(".new")
        room, file = _new_file(fresh, path)
        with ExitStack() as undo:
            for undone in (partial(fresh.unlink, missing_ok=True), file.close, room.close):
                undo.callback(undone)
            file.attrs.update({"schema": SCHEMA, "run_id": run_id, "part": 0, "simulated": start["simulated"], "start": json.dumps(start, sort_keys=True)})
            for name, raw in (("station", station_text), ("instruments", json.dumps(snapshot).encode()), ("environment", json.dumps(environment()).encode())):
                file.create_dataset(f"snapshot/{name}", data=np.frombuffer(raw, np.uint8))
            create(file, layout)
            file.flush()
            file.swmr_mode = True
            room.mark_written()
            fresh.rename(path)
            undo.pop_all()
        return cls(file, path, Opening(run_id, start, layout, station_text), room, clock_ns)

    def tags(self, source: str, batch: TagBatch) -> None:
        """Append a batch, its gaps, and its row with a check sum."""
        times, channels = np.ascontiguousarray(batch.t_ps, "<i8"), np.ascontiguousarray(batch.ch, np.uint8)
        gaps = np.array([(gap.t0_ps, gap.t1_ps, short(gap.reason, 16), -1 if gap.missed is None else gap.missed) for gap in batch.gaps], GAP)
        checksum = zlib.crc32(channels.tobytes(), zlib.crc32(times.tobytes()))
        first = self._stream(f"tags/{source}/t").shape[0]
        row = np.array([(batch.seq, batch.t_begin_ps, batch.t_end_ps, first, times.size, checksum)], BATCH)
        self._append(f"tags/{source}", {"t": times, "ch": channels, "gaps": gaps, "batches": row})
        self.onlookers.tell("tags", source, batch)

    def counts(self, detector: str, counts: Counts) -> None:
        """Append the counts of one period."""
        self._append(f"counts/{detector}", {"t_ns": [counts.t_ns], "counts": np.asarray(counts.n)[None, :], "period_s": [counts.period_s]})
        self.onlookers.tell("counts", detector, counts)

    def scalar(self, name: str, unit: str, t_ns: int, value: float) -> None:
        """Append a value of a quantity. Raises ParameterError if its unit is not the declared one."""
        declared = self._stream(f"scalars/{name}/v").attrs["unit"]
        if unit != declared:
            raise ParameterError(f"unit {unit!r}, {declared!r} was declared", where=name)
        self._append(f"scalars/{name}", {"t_ns": [t_ns], "v": [value]})

    def table(self, name: str, columns: Mapping[str, ArrayLike]) -> None:
        """Append rows to a table: all its columns, of one length."""
        rows = {column: np.atleast_1d(np.asarray(values, float)) for column, values in columns.items()}
        declared = set(self._group(f"tables/{name}"))
        if set(rows) != declared or len({values.size for values in rows.values()}) != 1:
            raise ParameterError(f"columns {sorted(rows)} of one length are expected to be {sorted(declared)}", where=f"table {name}")
        self._append(f"tables/{name}", rows)
        self.onlookers.tell("table", name, rows)

    def event(self, severity: Literal["info", "warning", "error"], source: str, text: str) -> None:
        """Append something that happened, for people."""
        row = np.array([(self._clock_ns(), SEVERITIES.index(severity), short(source, 32), short(text, 200))], EVENT)
        self._append("", {"events": row})

    def announcement(self, encoded: bytes, meta: Mapping[str, Any]) -> None:
        """Append a part of the announcement, which ends where an event ends; meta: a few numbers that go with it.

        Parts are written while the run goes on, so that nobody holds the whole.
        """
        text = json.dumps({**plain(meta, "announcement"), "n_bytes": len(encoded)}, sort_keys=True).encode()
        if len(text) > 400:
            raise ParameterError(f"{len(text)} bytes of meta data, 400 fit", where="announcement")
        self._append("announcement", {"bytes": np.frombuffer(encoded, np.uint8), "meta": [text]})
        self.onlookers.tell("announced", meta)

    def close(self, reason: Reason = "done", summary: Mapping[str, Any] | None = None, *, error: BaseException | None = None) -> Path:
        """Write why the run stopped, its summary and its digest, and close the file; return its path. A second call does nothing.

        Raises StorageError if even that cannot be written; what was flushed is kept.
        """
        if self._file is None:
            return self.path
        file, self._file = self._file, None
        try:
            self._room.reserve(file.id.get_filesize(), MARGIN // 2)
            file.close()
            self._finish(reason, {**self.summary, **(summary or {})}, error)
        except (OSError, RuntimeError) as failure:
            raise self._failed(failure) from failure
        finally:
            self._room.close()
            self._tell_closed(reason, {**self.summary, **(summary or {})}, error)
        return self.path

    def _tell_closed(self, reason: Reason, summary: Mapping[str, Any], error: BaseException | None) -> None:
        if self.onlookers:
            self.onlookers.tell("closed", reason, summary, "" if error is None else _message(error))

    def _finish(self, reason: Reason, summary: Mapping[str, Any], error: BaseException | None) -> None:
        stop: dict[str, Any] = {"reason": reason, "time": datetime.fromtimestamp(self._clock_ns() / 1e9, UTC).isoformat(), "summary": plain(summary, "summary")}
        if error is not None:
            stop["error"] = {"type": type(error).__name__, "message": _message(error)}
        # Without HDF5's lock, which any reader of the running file would stand in the way of: one owner writes, and the mark of the room shows it.
        with h5py.File(self.path, "r", locking=False) as file:
            batches = {source: file[f"tags/{source}/batches"][()] for source in file.get("tags", ())}
            stop["tags"] = {source: int(rows["n"].sum()) for source, rows in batches.items()}
            stop["gaps"] = {source: int(file[f"tags/{source}/gaps"].shape[0]) for source in batches}
            found = digest(file)
        # Nobody can read the file from here to its end, so everything that takes time was done before.
        with h5py.File(self.path, "r+", locking=False) as file:
            file.attrs["stop"], file.attrs["digest"] = json.dumps(stop, sort_keys=True), found
        _sync(self.path)

    def flush(self) -> None:
        """Bring everything appended so far onto disk."""
        file = self._open()
        self._reserve(0)
        try:
            file.flush()
        except (OSError, RuntimeError) as error:
            raise self._failed(error) from error
        self._flushed = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is None:
            self.close("done")
            return
        with suppress(StorageError):
            self.close("failed" if isinstance(error, Exception) else "aborted", error=error)

    def _append(self, group: str, columns: Mapping[str, Any]) -> None:
        rows = {name: np.asarray(values) for name, values in columns.items()}
        self._reserve(sum(values.nbytes for values in rows.values()))
        try:
            for name, values in rows.items():
                _extend(self._stream(f"{group}/{name}"), values)
        except (OSError, RuntimeError) as error:
            raise self._failed(error) from error
        if time.monotonic() - self._flushed > _FLUSH_S or group.startswith("tags/"):
            self.flush()

    def _reserve(self, more: int) -> None:
        self._room.reserve(self._open().id.get_filesize(), more + self._spare)

    def _open(self) -> h5py.File:
        if self._file is None:
            raise ParameterError("the run file is closed", where=str(self.path))
        return self._file

    def _group(self, name: str) -> h5py.Group:
        file = self._open()
        if name not in file:
            raise ParameterError(f"{name!r} was not declared in the run's layout", where=str(self.path))
        return file[name]

    def _stream(self, name: str) -> h5py.Dataset:
        return self._group(name.lstrip("/"))

    def _failed(self, error: OSError | RuntimeError) -> StorageError:
        if isinstance(error, OSError):
            return storage_error(error, self.path)
        return StorageError(f"the run file cannot be written ({str(error).splitlines()[0]})", where=str(self.path), remedy="Data to the last flush are kept.")


def _new_file(fresh: Path, path: Path) -> tuple[Room, h5py.File]:
    """Create the file that will be called `path`."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh.touch(mode=0o644, exist_ok=False)
    except OSError as error:
        raise storage_error(error, path) from error
    room = Room(fresh, path)
    try:
        room.reserve(0, 2 * MARGIN)
        file = h5py.File(fresh, "w", libver="latest")
        room.reserve(0, 2 * MARGIN)
    except (OSError, StorageError) as error:
        room.close()
        fresh.unlink()
        raise error if isinstance(error, StorageError) else storage_error(error, path) from error
    return room, file


def _message(error: BaseException) -> str:
    return error.message if isinstance(error, HeliographError) else str(error)[:200]


def _extend(stream: h5py.Dataset, values: NDArray[Any]) -> None:
    if values.shape[0]:
        n = stream.shape[0]
        stream.resize(n + values.shape[0], axis=0)
        stream[n:] = values


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
