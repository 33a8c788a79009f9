"""Run files as people and programs read them: arrays with units, tables, plots, provenance; and what is left of a run that was killed."""

from __future__ import annotations

import contextlib
import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import fields
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import h5py
import numpy as np
from numpy.typing import NDArray

from ..core.errors import HeliographError, RunFileError, StorageError
from ..core.files import beside
from ..core.statement import Provenance
from ._room import being_written, storage_error
from ._run_opening import opened, patiently
from ._run_schema import SCHEMA, digest
from .calibration import Fringe
from .onlookers import Opening
from .run_writer import RunLayout, RunWriter
from .timetags import SlotTiming

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from ..instruments.roles import TagBatch

__all__ = ["AnnouncedParts", "Run", "RunLayout", "RunWriter", "salvage"]

_KINDS = ("tables", "counts", "scalars", "tags")
_NOT_ARRAYS = ("batches", "gaps", "meta")
_BATCHES_SHOWN = 5


class AnnouncedParts:
    """The announcement of an open run file: iterating reads its parts, as often as asked.

    meta: what was written with each part, and its length `n_bytes`.
    """

    def __init__(self, group: h5py.Group) -> None:
        self.meta: list[dict[str, Any]] = [json.loads(text) for text in group["meta"][()]]
        self._bytes = group["bytes"]

    def __iter__(self) -> Iterator[bytes]:
        first = 0
        for part in self.meta:
            yield self._bytes[first : first + part["n_bytes"]].tobytes()
            first += part["n_bytes"]


class Run(Mapping[str, NDArray[Any]]):
    """One run file, open for reading: a mapping from names such as `snspd/counts` or `fringe/drive` to NumPy arrays.

    units: unit of each array by the same name.  start, stop: the documents written at begin and end; `stop["reason"]` is `crash` for a run that was killed.
    instruments, environment: settings read back before the run, and versions.  run_id, part, simulated: as in the file; an imported run counts as simulated
    for whoever asks whether it is real, see `origin`.
    """

    def __init__(self, file: h5py.File, path: Path) -> None:
        self._file, self.path = file, path
        self.run_id, self.part = str(file.attrs["run_id"]), int(file.attrs["part"])
        self.start: dict[str, Any] = json.loads(file.attrs["start"])
        # The attribute of this name serves other readers; the start document is covered by the digest.
        self.simulated = bool(self.start["simulated"])
        self.complete = "stop" in file.attrs
        self.stop: dict[str, Any] = json.loads(file.attrs["stop"]) if self.complete else {"reason": "crash", "summary": {}}
        self.instruments: dict[str, dict[str, Any]] = json.loads(bytes(file["snapshot/instruments"][()]))
        self.environment: dict[str, Any] = json.loads(bytes(file["snapshot/environment"][()]))
        self._places = {f"{name}/{column}": f"{kind}/{name}/{column}" for kind, name, column in _columns(file)}
        self.units = {name: _unit(file[place]) for name, place in self._places.items()}
        self._rows = {name: self._length(name) for name in {place.rpartition("/")[0] for place in self._places.values()}}

    @classmethod
    def open(cls, path: str | Path) -> Run:
        """Open a run file, also one whose writer still runs, is just writing its end, or was killed.

        Raises RunFileError if there is none, if it is of another kind, or damaged; RunFileHeld if its writer does not come to the end.
        """
        return patiently(cls._open, Path(path))

    @classmethod
    def _open(cls, path: Path) -> Run:
        file = opened(path)
        try:
            if file.attrs.get("schema") != SCHEMA:
                raise RunFileError("this is no run file", where=str(path), remedy="Give the .h5 file of a Heliograph run.")
            run = cls(file, path)
            if run.complete and file.attrs.get("digest") != digest(file):
                raise RunFileError("the run file was altered: its digest does not fit", where=str(path), remedy="Restore it from a copy.")
        except (KeyError, IndexError, TypeError, ValueError, AttributeError, OSError, RuntimeError, RecursionError, MemoryError) as error:
            file.close()
            raise RunFileError("the run file is damaged", where=str(path), remedy="Restore it from a copy, or acquire again.") from error
        except HeliographError:
            file.close()
            raise
        return run

    def __getitem__(self, name: str) -> NDArray[Any]:
        place = self._places[name]
        try:
            values: NDArray[Any] = self._file[place][: self._rows[place.rpartition("/")[0]]]
        except (OSError, MemoryError) as error:
            raise RunFileError(f"{name} cannot be read", where=str(self.path), remedy="The file is damaged: restore it from a copy.") from error
        return values

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __repr__(self) -> str:
        return f"<Run {self.procedure} {self.run_id}, {self.stop['reason']}, {self.origin}, {len(self)} arrays>"

    @property
    def procedure(self) -> str:
        """Return the name of the procedure that made the run."""
        return str(self.start["procedure"])

    @property
    def parameters(self) -> dict[str, Any]:
        """Return the procedure's parameters."""
        return dict(self.start["parameters"])

    @property
    def summary(self) -> dict[str, Any]:
        """Return the results the procedure left at the end."""
        return dict(self.stop.get("summary", {}))

    @property
    def station_text(self) -> bytes:
        """Return the station file as it was, without what only a simulation reads."""
        return bytes(self._file["snapshot/station"][()])

    @property
    def provenance(self) -> Provenance:
        """Return whether the data are real, and why not."""
        return Provenance(self.simulated, tuple(self.start["reasons"]))

    @property
    def origin(self) -> str:
        """Return in a word where the data come from: `real`, `simulated`, or `imported` from a file of another program."""
        return "imported" if "imported" in self.start else self.provenance.label

    @property
    def events(self) -> list[tuple[int, str, str, str]]:
        """Return what happened: time (ns), severity, source, text."""
        return [
            (int(row["t_ns"]), ("info", "warning", "error")[row["severity"]], row["source"].decode(), row["text"].decode()) for row in self._file["events"][()]
        ]

    def batches(self, source: str = "tagger") -> Iterator[TagBatch]:
        """Yield the tag batches of a source as they were taken, gaps included; in a run that was killed, those whose check sum holds."""
        group = self._group("tags", source)
        gaps, rows = group["gaps"][()], intact_batches(group, strict=self.complete, where=str(self.path))
        for row, after in zip(rows, [*rows[1:], None], strict=False):
            yield _batch(group, row, _until(gaps, after))

    def batch_rows(self, source: str = "tagger") -> NDArray[Any]:
        """Return one row a batch of a tag source: `seq`, `t_begin`, `t_end` (ps), `first`, `n`, `crc32`; of a killed run those that are whole."""
        group = self._group("tags", source)
        rows: NDArray[Any] = group["batches"][()]
        return rows if self.complete else np.array(intact_batches(group, strict=False, where=str(self.path)), rows.dtype)

    def gap_rows(self, source: str = "tagger") -> NDArray[Any]:
        """Return one row a gap of a tag source: `t0`, `t1` (ps), `reason`, `missed`, -1 where nobody counted."""
        rows: NDArray[Any] = self._group("tags", source)["gaps"][()]
        return rows

    def batch(self, row: Any, after: Any, gaps: NDArray[Any], source: str = "tagger") -> TagBatch:
        """Return the batch of one of `batch_rows`; after: the row behind it, None for the last.  gaps: `gap_rows`.

        Raises RunFileError if its data do not carry their check sum.
        """
        group, (first, n) = self._group("tags", source), (int(row["first"]), int(row["n"]))
        if not 0 <= first <= first + n <= min(group["t"].shape[0], group["ch"].shape[0]) or _checksum(group, slice(first, first + n)) != row["crc32"]:
            raise RunFileError(f"batch {int(row['seq'])} is damaged", where=str(self.path), remedy="Restore the file from a copy.")
        return _batch(group, row, _until(gaps, after))

    @property
    def layout(self) -> RunLayout:
        """Return the streams of the run. Columns of a table stand as they were declared, in files of earlier versions by name."""
        file = self._file
        tables = {}
        for name, group in file.get("tables", {}).items():
            declared = json.loads(group.attrs.get("columns", "[]"))
            tables[name] = {column: _unit(group[column]) for column in (declared if sorted(declared) == sorted(group) else sorted(group, key=_drives_first))}
        return RunLayout(
            tags={name: {str(key): int(number) for key, number in json.loads(group.attrs["map"]).items()} for name, group in file.get("tags", {}).items()},
            counts={name: int(group["counts"].shape[1]) for name, group in file.get("counts", {}).items()},
            scalars={name: str(group.attrs["unit"]) for name, group in file.get("scalars", {}).items()},
            tables=tables,
            announcement="announcement" in file,
        )

    @property
    def opening(self) -> Opening:
        """Return what was known of the run before its first datum."""
        return Opening(self.run_id, self.start, self.layout, self.station_text)

    def rows(self, name: str, first: int, end: int) -> NDArray[Any]:
        """Return some rows of an array, for arrays that are not to be held as a whole."""
        place = self._places[name]
        values: NDArray[Any] = self._file[place][first : min(end, self._rows[place.rpartition("/")[0]])]
        return values

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of an array without reading it."""
        place = self._places[name]
        return self._rows[place.rpartition("/")[0]], *self._file[place].shape[1:]

    def announcement(self) -> tuple[bytes, list[dict[str, Any]]]:
        """Return the announcement's bytes and the meta data of its parts. Raises RunFileError if the run holds none."""
        announced = self.announced()
        return b"".join(announced), announced.meta

    def announced(self) -> AnnouncedParts:
        """Return the announcement part by part, for runs whose announcement is not to be held. Raises RunFileError if the run holds none."""
        announced = AnnouncedParts(self._group("announcement", ""))
        if not all(isinstance(part, dict) and type(part.get("n_bytes")) is int and part["n_bytes"] >= 0 for part in announced.meta):
            raise RunFileError("what belongs to the announcement is malformed", where=str(self.path), remedy="Acquire another run.")
        return announced

    def timing(self, source: str = "tagger") -> SlotTiming:
        """Return the slot timing under which a tag source recorded. Raises RunFileError if the run holds no such source or did not keep it."""
        kept = self.start.get("timing")
        self._group("tags", source)
        if kept is None:
            raise RunFileError("the run did not keep its slot timing", where=str(self.path), remedy="Build it from the station file: `SlotTiming.of`.")
        return SlotTiming(**kept)

    def to_pandas(self, name: str | None = None) -> pd.DataFrame:
        """Return one table, count record, scalar or tag source as a DataFrame; without a name the run's first of these.

        Columns carry their units, as in `drive (V)`. Raises RunFileError if the run has nothing of that name.
        """
        import pandas as pd

        groups = list(dict.fromkeys(key.rpartition("/")[0] for key in self))
        name = name if name is not None else next(iter(groups), "")
        if name not in groups:
            raise RunFileError(f"the run has no {name!r}", where=str(self.path), remedy=f"It has {', '.join(groups) or 'no arrays'}.")
        columns: dict[str, NDArray[Any]] = {}
        for key in (key for key in self if key.rpartition("/")[0] == name):
            values, unit, column = self[key], self.units[key], key.rpartition("/")[2]
            label = f"{column} ({unit})" if unit not in ("", "1") else column
            columns |= {label: values} if values.ndim == 1 else {f"{label} {i + 1}": values[:, i] for i in range(values.shape[1])}
        return pd.DataFrame(columns)

    def plot(self) -> Figure:
        """Return the figure that shows this kind of run: fringe or another calibration, arrivals in the slot, count rates, or a foreign table.

        Raises RunFileError if the run holds nothing that can be drawn.
        """
        from .calibration_plots import FIGURES
        from .plots import count_rate_figure, fringe_figure, table_figure

        title = f"{self.procedure} {self.run_id}" + ("" if self.origin == "real" else f" ({self.origin})")
        if "foreign" in self.start and any(values.size for values in self.values()):
            ((table, units),) = self.layout.tables.items()
            return table_figure({column: (self[f"{table}/{column}"], unit) for column, unit in units.items()}, title=title)
        if "fringe/drive" in self and self["fringe/drive"].size:
            return fringe_figure(self["fringe/drive"], np.stack((self["fringe/d1"], self["fringe/d2"]), axis=1), _kept_fringe(self.summary), title=title)
        kind = next((name.partition("/")[0] for name in self if name.partition("/")[0] in FIGURES and self[name].size), None)
        if kind is not None:
            found = {name.rpartition("/")[2]: self[name] for name in self if name.startswith(f"{kind}/")}
            return FIGURES[kind](found, self.summary, title)
        tagged = [name.removesuffix("/t") for name in self if name.endswith("/t")]
        if tagged and self[f"{tagged[0]}/t"].size:
            return self._arrivals(tagged[0], title)
        counted = [name.removesuffix("/counts") for name in self if name.endswith("/counts")]
        if counted and self[f"{counted[0]}/counts"].size:
            period = self[f"{counted[0]}/period_s"]
            return count_rate_figure(np.cumsum(period), self[f"{counted[0]}/counts"] / period[:, None], title=title)
        raise RunFileError("the run holds nothing to draw", where=str(self.path), remedy="It stopped before the first datum.")

    def _arrivals(self, source: str, title: str) -> Figure:
        from .alignment import arrival_histogram, find_phase
        from .plots import arrival_figure

        batches = list(islice((batch for batch in self.batches(source) if batch.t_ps.size), _BATCHES_SHOWN))
        timing = self.timing(source)
        return arrival_figure(arrival_histogram(batches, timing), timing.slot_ps, timing.gate_ps, find_phase(batches, timing).pair, title=title)

    def salvage(self) -> Path:
        """Copy what is whole of a killed run into an ordinary run file beside it; return its path."""
        return salvage(self.path)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        self.close()

    def _group(self, kind: str, name: str) -> h5py.Group:
        place = f"{kind}/{name}".rstrip("/")
        if place not in self._file:
            raise RunFileError(f"the run holds no {place}", where=str(self.path), remedy="It was made by another procedure.")
        return self._file[place]

    def _length(self, place: str) -> int:
        """Return how many rows of a group are whole: in a killed run its columns may differ in length."""
        group = self._file[place]
        if place.startswith("tags/"):
            rows = group["batches"][()] if self.complete else intact_batches(group, strict=False, where=str(self.path))
            return sum(int(row["n"]) for row in rows)
        return min((column.shape[0] for column in group.values()), default=0)


def documents(path: Path) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Return the start document of a run file and its stop document, None where there is none, without looking at anything else: for long lists of files.

    Raises RunFileError if there is no such file, or if it is of another kind; RunFileHeld if its writer does not come to the end.
    """
    return patiently(_documents, path)


def _documents(path: Path) -> tuple[dict[str, Any], dict[str, Any] | None]:
    try:
        with opened(path) as file:
            if file.attrs.get("schema") != SCHEMA:
                raise RunFileError("this is no run file", where=str(path), remedy="Give the .h5 file of a Heliograph run.")
            start, stop = json.loads(file.attrs["start"]), json.loads(file.attrs["stop"]) if "stop" in file.attrs else None
            if not isinstance(start, dict) or not isinstance(stop, dict | None):
                raise TypeError("a document is no object")
            return {**start, "run_id": str(file.attrs["run_id"])}, stop
    except (KeyError, TypeError, ValueError, OSError, RuntimeError, RecursionError, MemoryError) as error:
        raise RunFileError("the run file is damaged", where=str(path), remedy="Restore it from a copy, or acquire again.") from error


def _until(gaps: NDArray[Any], after: Any) -> NDArray[Any]:
    """Return the gaps before the next batch: one may come with a batch and lie behind its end."""
    return gaps if after is None else gaps[gaps["t0"] < after["t_begin"]]


def _batch(group: h5py.Group, row: Any, gaps: NDArray[Any]) -> TagBatch:
    from ..instruments.roles import Gap, TagBatch

    part, begin, end = slice(int(row["first"]), int(row["first"] + row["n"])), int(row["t_begin"]), int(row["t_end"])
    inside = gaps[gaps["t0"] >= begin]
    found = tuple(Gap(int(gap["t0"]), int(gap["t1"]), gap["reason"].decode(), None if gap["missed"] < 0 else int(gap["missed"])) for gap in inside)
    return TagBatch(int(row["seq"]), group["t"][part], group["ch"][part], begin, end, found)


def _drives_first(column: str) -> tuple[bool, str]:
    """Order columns by name, but what was set before what was measured."""
    return column not in ("drive", "time", "begin", "set", "lag", "angle"), column


def intact_batches(group: h5py.Group, *, strict: bool, where: str) -> list[Any]:
    """Return the batch rows of a tag source whose data carry their check sum, up to the first that does not.

    strict: raise RunFileError instead of stopping there.
    """
    rows, whole = group["batches"][()], []
    for row in rows:
        part = slice(int(row["first"]), int(row["first"] + row["n"]))
        if part.stop > min(group["t"].shape[0], group["ch"].shape[0]) or _checksum(group, part) != row["crc32"]:
            if strict:
                raise RunFileError(f"batch {int(row['seq'])} is damaged", where=where, remedy="Restore the file from a copy.")
            break
        whole.append(row)
    return whole


def _checksum(group: h5py.Group, part: slice) -> int | None:
    """Return the check sum of a batch, None where it cannot be read: in a file that was cut short."""
    with contextlib.suppress(OSError):
        return zlib.crc32(group["ch"][part].tobytes(), zlib.crc32(group["t"][part].tobytes()))
    return None


def salvage(path: Path) -> Path:
    """Copy what is whole of a run that was killed into `<name>.salvaged.h5`, closed with reason `crash`; return that path.

    The run file itself is left as it is, and so is an earlier copy unless this one is whole.  Raises RunFileError if it cannot be read, goes on, or was closed
    in order; StorageError if the copy cannot be written.
    """
    # Asked before: a run that ends meanwhile is complete once it is opened.
    goes_on = being_written(Path(path))
    with Run.open(path) as run:
        if run.complete:
            raise RunFileError("the run was closed in order", where=str(path), remedy="It is whole: there is nothing to salvage.")
        if goes_on:
            raise RunFileError("the run goes on; its file is whole", where=str(path), remedy="Read it as it is, or salvage it once its writer has ended.")
        target = run.path.with_name(f"{run.path.stem}.salvaged.h5")
        try:
            with beside(target) as fresh, h5py.File(fresh, "w") as copy:
                _copy(run, copy)
        except (OSError, RuntimeError) as error:
            raise storage_error(error, target) if isinstance(error, OSError) else StorageError(str(error), where=str(target)) from error
    return target


def _copy(run: Run, copy: h5py.File) -> None:
    source = run._file  # noqa: SLF001  the reader's own file, in the reader's own module
    for name in ("schema", "run_id", "part", "simulated", "start"):
        copy.attrs[name] = source.attrs[name]
    for name in ("snapshot", "events", "announcement"):
        if name in source:
            source.copy(name, copy)
    kept: dict[str, int] = {}
    for name, place in run._places.items():  # noqa: SLF001
        dataset = copy.create_dataset(place, data=run[name])
        dataset.attrs["unit"] = run.units[name]
    for place in {place.rpartition("/")[0] for place in run._places.values()}:  # noqa: SLF001
        copy[place].attrs.update(source[place].attrs)
    for name in source.get("tags", ()):
        rows = intact_batches(source[f"tags/{name}"], strict=False, where=str(run.path))
        end = int(rows[-1]["t_end"]) if rows else 0
        gaps = source[f"tags/{name}/gaps"][()]
        copy.create_dataset(f"tags/{name}/batches", data=np.array(rows, source[f"tags/{name}/batches"].dtype))
        copy.create_dataset(f"tags/{name}/gaps", data=gaps[gaps["t0"] < end])
        kept[name] = int(sum(row["n"] for row in rows))
    copy.attrs["stop"] = json.dumps({"reason": "crash", "summary": {}, "tags": kept}, sort_keys=True)
    copy.attrs["digest"] = digest(copy)


def _columns(file: h5py.File) -> Iterator[tuple[str, str, str]]:
    for kind in _KINDS:
        for name, group in file.get(kind, {}).items():
            yield from ((kind, name, column) for column in group if kind == "tables" or column not in _NOT_ARRAYS)


def _kept_fringe(summary: dict[str, Any]) -> Fringe | None:
    if "v_pi_v" not in summary:
        return None
    names = {one.name for one in fields(Fringe)}
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in summary.items() if name in names}
    return Fringe(**values)


def _unit(dataset: h5py.Dataset) -> str:
    return str(dataset.attrs.get("unit", ""))
