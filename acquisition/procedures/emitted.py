"""What a procedure emits as scalars, row by row, as a table of its run file: `DATA_COLUMNS` such as "Voltage (V)" become columns with units."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from math import nan
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pint import PintError

from ...core.errors import ConfigError, ParameterError
from ..run_writer import RunLayout

_UNIT = re.compile(r"(.*\S)\s*\(([^\s()]+(?:\([^\s()]*\)[^\s()]*)*)\)\s*\Z", re.DOTALL)
_REMEDY = "Emit one number for each of DATA_COLUMNS."
Rows = dict[str, NDArray[np.float64]]


class Emitted:
    """The table of one procedure.

    procedure: its name, which the table gets, as far as a table may have it.  columns: its `DATA_COLUMNS`.  table: name of the table.
    Raises ConfigError for columns that cannot be told apart.
    """

    def __init__(self, procedure: str, columns: Sequence[str]) -> None:
        self._where = procedure
        self.table = re.sub(r"\W", "_", procedure, flags=re.ASCII)
        if not re.match(r"[A-Za-z]", self.table):
            self.table = f"table_{self.table.lstrip('_')}"
        self.columns = self._named([str(column) for column in columns])

    def _named(self, columns: list[str]) -> dict[str, tuple[str, str]]:
        """Return name and unit by column as emitted; where two have one name, the unit goes with it."""
        parts = [(match[1], match[2]) if (match := _UNIT.match(column)) else (column.strip(), "") for column in columns]
        names = [name for name, _ in parts]
        told = [(_clean(f"{name} {unit}" if names.count(name) > 1 else name), unit) for name, unit in parts]
        self._refuse_alike(columns, [name for name, _ in told])
        return dict(zip(columns, told, strict=True))

    def _refuse_alike(self, columns: list[str], names: list[str]) -> None:
        """Raise ConfigError for columns whose names a run file cannot have, or has already."""
        where, remedy = f"{self._where}.DATA_COLUMNS", "Give each a name of its own."
        dots = [repr(column) for column, name in zip(columns, names, strict=True) if not name.strip(". ")]
        if dots:
            raise ConfigError(f"{', '.join(dots)}: nothing, or dots alone, is no name of a column in a run file", where=where, remedy=remedy)
        alike = next((name for name in names if names.count(name) > 1), None)
        if alike is not None:
            same = ", ".join(repr(column) for column, name in zip(columns, names, strict=True) if name == alike)
            what = f"the columns {same} cannot be told apart: in a run file, where `/` becomes `_`, they have the same name {alike!r}"
            raise ConfigError(what, where=where, remedy=remedy)

    def layout(self) -> RunLayout:
        """Return what the run file is to hold."""
        return RunLayout(tables={self.table: dict(self.columns.values())} if self.columns else {})

    def row(self, record: Any) -> Rows:
        """Return a record of scalars by column as a row, NaN where it has none. Raises ParameterError for other columns, or what is no number."""
        given = self._known(record)
        return {name: np.array([_number(given.get(column), unit, f"{self._where}, {column!r}")]) for column, (name, unit) in self.columns.items()}

    def rows(self, record: Any) -> Rows:
        """Return a record of sequences of one length by column as rows. Raises ParameterError."""
        given = self._known(record)
        lengths = {column: len(values) if hasattr(values, "__len__") and not isinstance(values, str | bytes) else -1 for column, values in given.items()}
        if -1 in lengths.values() or len(set(lengths.values())) > 1:
            raise ParameterError("a batch of results is sequences of one length", where=self._where, remedy="Emit one of each of DATA_COLUMNS.")
        missing = [None] * next(iter(lengths.values()), 0)
        return {
            name: np.array([_number(value, unit, f"{self._where}, {column!r}") for value in given.get(column, missing)], float)
            for column, (name, unit) in self.columns.items()
        }

    def last(self, rows: Rows) -> dict[str, float]:
        """Return the last row as it is shown, by column as emitted."""
        return {column: float(rows[name][-1]) for column, (name, _) in self.columns.items()}

    def _known(self, record: Any) -> Mapping[Any, Any]:
        if not isinstance(record, Mapping):
            raise ParameterError(f"results are emitted by column, not as {type(record).__name__}", where=self._where, remedy=_REMEDY)
        others = [column for column in record if column not in self.columns]
        if others:
            there = ", ".join(map(repr, self.columns)) or "none"
            raise ParameterError(f"{others[0]!r} is emitted and is no column", where=self._where, remedy=f"DATA_COLUMNS has {there}.")
        return record


def _clean(name: str) -> str:
    """Return a name as HDF5 takes it."""
    return re.sub(r"[/\0]", "_", name)


def _number(value: Any, unit: str, where: str) -> float:
    """Return a scalar as a float; a Pint quantity in the unit of its column, NaN for None."""
    if value is None:
        return nan
    try:
        plain = value.m_as(unit or "dimensionless") if hasattr(value, "m_as") else value
        if isinstance(plain, int | float | Decimal) or (np.ndim(plain) == 0 and np.asarray(plain).dtype.kind in "biuf"):
            return float(plain)
    except (PintError, OverflowError, TypeError, ValueError) as error:
        raise ParameterError(f"{value!r} is no number in {unit or 'its column, which has no unit'}", where=where, remedy=_REMEDY) from error
    raise ParameterError(f"{_kind(plain)} is no number", where=where, remedy=_REMEDY + " Sequences of scalars are emitted as 'batch results'.")


def _kind(value: Any) -> str:
    return f"the text {value!r:.60}" if isinstance(value, str | bytes) else f"a {type(value).__name__}"
