"""A run file fed once more, in the order in which it was written, to the figures that saw the run."""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ...acquisition.runs import Run
from ...core.errors import HeliographError, RunFileError
from ...instruments.roles import Counts
from .figures import Figures

SEEK_WINDOW_S = 2.0
"""How far before a time that is sought tags are folded again: millions of tags a second are read in a fraction of a second."""
Told = Callable[[str, Any], None]
_Item = tuple[float, int, int]
"""Time in the run (s), kind (place in `_FEEDS`), number of its kind."""
_FEEDS = ("tags", "counts", "announced", "table")
"""What is fed, in the order in which procedures write what belongs together."""
_MALFORMED = (KeyError, IndexError, TypeError, ValueError, OSError, RuntimeError, ArithmeticError, AttributeError, MemoryError)


@contextmanager
def read_strictly(path: Path) -> Iterator[None]:
    """Turn whatever a damaged or hostile run file leads to into RunFileError."""
    try:
        yield
    except HeliographError:
        raise
    except _MALFORMED as error:
        raise RunFileError(f"the run file is damaged ({type(error).__name__})", where=str(path), remedy="Restore it from a copy, or acquire again.") from error


class Playback:
    """A run file that is gone through. Use it as a context manager; it may be used in one thread only.

    publish: hears topic and payload, source `replay`.  duration_s: of the run's data.  t_s: how far it is.
    Raises RunFileError for a file that is damaged, at any time.
    """

    def __init__(self, path: Path, publish: Told) -> None:
        self.path, self._publish = path, publish
        self._run = Run.open(path)
        try:
            with read_strictly(path):
                self._prepare()
        except BaseException:
            self._run.close()
            raise

    def _prepare(self) -> None:
        run = self._run
        self.run_id, self.opening, self.complete = run.run_id, run.opening, run.complete
        layout = self.opening.layout
        self._tagger = next(iter(layout.tags), "")
        self._rows: NDArray[Any] = run.batch_rows(self._tagger) if self._tagger else np.empty(0)
        self._gaps: NDArray[Any] = run.gap_rows(self._tagger) if self._tagger else np.empty(0)
        self._counter = next(iter(layout.counts), "")
        self._counts = {name: run[f"{self._counter}/{name}"] for name in ("t_ns", "counts", "period_s")} if self._counter else {}
        self._tables = {name: {column: run[f"{name}/{column}"] for column in units} for name, units in layout.tables.items()}
        self._metas = run.announced().meta if layout.announcement else []
        self._items = self._timeline()
        self._times = [item[0] for item in self._items]
        self.t_s, self._place = 0.0, 0
        self._figures = Figures(self.opening, self._publish, source="replay")

    def _timeline(self) -> list[_Item]:
        """Return everything the run wrote, in order."""
        ends = self._rows["t_end"].astype(float) * 1e-12 if self._tagger else np.empty(0)
        periods = np.cumsum(self._counts["period_s"]) if self._counts else np.empty(0)
        if self._counts and not ((self._counts["period_s"] > 0) & np.isfinite(periods)).all():
            raise ValueError("a period is not finite and above 0")
        self.duration_s = max(float(ends.max(initial=0.0)), float(periods.max(initial=0.0)))
        if not np.isfinite(self.duration_s):
            raise ValueError("a time is not finite")
        streams = [self._listed(0, ends), self._listed(1, periods), self._listed(2, self._spread(len(self._metas), ends))]
        self._table_rows: list[tuple[str, int]] = []
        for name, table in self._tables.items():
            times = self._table_times(table, ends, periods)
            first = len(self._table_rows)
            self._table_rows += [(name, row) for row in range(times.size)]
            streams.append([(float(t), 3, first + row) for row, t in enumerate(times)])
        return list(heapq.merge(*streams))

    @staticmethod
    def _listed(kind: int, times: NDArray[np.float64]) -> list[_Item]:
        ordered = np.maximum.accumulate(times) if times.size else times
        return [(float(t), kind, number) for number, t in enumerate(ordered)]

    def _spread(self, n: int, times: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return times for n things, one with each of some others where they are as many, or one more that came last; else evenly."""
        if times.size in (n, n - 1):
            return np.append(times, self.duration_s)[:n]
        return self.duration_s * np.arange(1, n + 1) / max(n, 1)

    def _table_times(self, table: dict[str, NDArray[Any]], ends: NDArray[np.float64], periods: NDArray[np.float64]) -> NDArray[np.float64]:
        n = min((values.size for values in table.values()), default=0)
        if ends.size and "time" in table and np.isfinite(table["time"]).all():
            return np.maximum.accumulate(np.clip(table["time"][:n], 0.0, self.duration_s))
        return self._spread(n, periods if periods.size else ends)

    # Going through

    def advance(self, to_s: float) -> None:
        """Feed everything up to a time of the run."""
        with read_strictly(self.path):
            while self._place < len(self._items) and self._items[self._place][0] <= to_s:
                _, kind, number = self._items[self._place]
                self._place += 1
                self._feed(kind, number)
        self.t_s = min(max(to_s, self.t_s), self.duration_s)

    def _feed(self, kind: int, number: int) -> None:
        match _FEEDS[kind]:
            case "tags":
                self._figures.tags(self._tagger, self._run.batch(self._rows[number], self._after(number), self._gaps, self._tagger))
            case "counts":
                row = {name: values[number] for name, values in self._counts.items()}
                self._figures.counts(self._counter, Counts(int(row["t_ns"]), np.asarray(row["counts"]), float(row["period_s"])))
            case "announced":
                self._figures.announced(self._metas[number])
            case _:
                name, row_number = self._table_rows[number]
                self._figures.table(name, {column: values[row_number : row_number + 1] for column, values in self._tables[name].items()})

    def _after(self, number: int) -> Any:
        return self._rows[number + 1] if number + 1 < len(self._rows) else None

    @property
    def over(self) -> bool:
        """Say whether everything was fed."""
        return self._place >= len(self._items)

    def finish(self) -> None:
        """Feed what is left and publish the last state, as the run did when it was closed."""
        self.advance(self.duration_s)
        with read_strictly(self.path):
            stop = self._run.stop
            why = str(stop.get("error", {}).get("message", "")) if self.complete else "the run was cut off"
            self._figures.closed(str(stop["reason"]), self._run.summary, why)

    def seek(self, t_s: float) -> None:
        """Go to a time of the run, forwards or back: tags are folded again from a few seconds before, everything else is as it was then."""
        target = min(max(t_s, 0.0), self.duration_s)
        with read_strictly(self.path):
            self._figures = Figures(self.opening, self._publish, source="replay", gates=self._figures.gates, quiet=True)
            self._place, self.t_s = bisect_right(self._times, target), target
            skipped = self._rows["t_end"] * 1e-12 < target - SEEK_WINDOW_S if self._tagger else np.empty(0, bool)
            if skipped.any():
                self._skip(skipped)
            ends = dict.fromkeys(self._tables, 0)
            for _, kind, number in self._items[: self._place]:
                if kind == len(_FEEDS) - 1:
                    ends[self._table_rows[number][0]] += 1
                elif kind != 0 or not skipped[number]:
                    self._feed(kind, number)
            for name, end in ends.items():
                self._figures.table(name, {column: values[:end] for column, values in self._tables[name].items()})
            self._figures.publish_all()

    def _skip(self, skipped: NDArray[np.bool_]) -> None:
        after = self._after(int(np.flatnonzero(skipped).max()))
        before = self._gaps if after is None else self._gaps[self._gaps["t0"] < after["t_begin"]]
        self._figures.skipped(int(self._rows["n"][skipped].sum()), len(before), int(np.maximum(before["missed"], 0).sum()))

    def close(self) -> None:
        """Close the file."""
        self._run.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        self.close()
