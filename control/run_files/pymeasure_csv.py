"""CSV files that PyMeasure wrote, read as data only: nothing in them is imported or evaluated.

PyMeasure's own `Results` is not asked, and docs/decisions/0016-csv-files-of-pymeasure-are-read-here.md says why. What it writes: lines of a head that begin
with `#`, a line with the names of the columns, a line for each row.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ...core.errors import DataError

LONGEST_LINE = 1 << 20
MOST_HEAD_LINES, MOST_COLUMNS = 1000, 1000
MOST_TEXT = 4096
# As JSON, where a byte takes five at most, it fits into the room that a run file keeps for its end.
MOST_HEAD = 1 << 16
_ROWS, _BYTES = 50_000, 16 << 20
_PROCEDURE = re.compile(r"#Procedure:\s*<(.{1,500})>\s*\Z")
_ESCAPED = re.compile(r"\\(?:(\\)|x([0-9a-f]{2})|u([0-9a-f]{4})|U(00[01][0-9a-f]{5}))")
_WORDS = {"": math.nan, "None": math.nan, "True": 1.0, "False": 0.0}
_ANOTHER_PROGRAM = "It seems that another program saved the file: save it with commas between columns, decimal points, and without quotes."


@dataclass(slots=True)
class Head:
    """What stands above the rows. All of it can be printed.

    procedure: the class that the file names, with its module; only a text.  parameters, metadata: by their names, as text with their units.
    columns: names as PyMeasure has them, such as `Voltage (V)`.  line: number of the line in which they stand.
    """

    procedure: str
    parameters: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    columns: list[str] = field(default_factory=list)
    line: int = 0

    @property
    def name(self) -> str:
        """Return the name of the class alone; `PyMeasure` where it is no name of a class."""
        name = self.procedure.rpartition(".")[2]
        return name if name.isidentifier() and name.isascii() else "PyMeasure"


class PyMeasureCsv:
    """A CSV file of PyMeasure, open to be read once; a context manager.

    head: what stands above the rows.  size (bytes), changed (Unix time, s): of the file.  bytes_read: how far it is.  comments, cut_off: once all is read,
    how many lines between them were comments, and whether the last one has no end and was left out: its writer was killed, and its last number may lack digits.
    Raises DataError with the line, here and while rows are read, where the file is not what PyMeasure writes or a cell is no number; without one where the disk
    does not give it.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.bytes_read, self.comments, self.cut_off = path, 0, 0, False
        self._number, self._ended, self._hash = 0, True, hashlib.sha256()
        self._file = opened(path)
        try:
            with reading(path):
                about = os.fstat(self._file.fileno())
            self.size, self.changed = about.st_size, about.st_mtime
            self._lines = self._read()
            self.head = self._head()
        except BaseException:
            self._file.close()
            raise

    @property
    def sha256(self) -> str:
        """Return the hash of all that was read so far, hex."""
        return self._hash.hexdigest()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        self._file.close()

    def _read(self) -> Iterator[str]:
        """Yield the lines without their ends."""
        with reading(self.path):
            while raw := self._file.readline(LONGEST_LINE):
                self._number += 1
                self._hash.update(raw)
                self.bytes_read += len(raw)
                self._ended = raw.endswith(b"\n")
                if len(raw) == LONGEST_LINE and not self._ended:
                    raise self._wrong("the line is longer than 1 MiB")
                try:
                    yield raw.decode("utf-8-sig" if self._number == 1 else "utf-8").rstrip("\r\n")
                except UnicodeDecodeError as error:
                    raise self._wrong("this is no text in UTF-8", "If it is a CSV file that PyMeasure wrote, save it as UTF-8 in a copy.") from error

    def _wrong(self, what: str, remedy: str = "Give a CSV file as PyMeasure wrote it.", *, line: int | None = None) -> DataError:
        return DataError(what, where=f"{self.path}, line {line or self._number}", remedy=remedy)

    # The head

    def _head(self) -> Head:
        first = next(self._lines, None)
        if first is None:
            raise DataError("the file is empty", where=str(self.path), remedy="Leave it out: its procedure was ended before it began.")
        named = _PROCEDURE.match(first)
        if named is None:
            raise self._wrong("this is no file of PyMeasure: it does not begin with `#Procedure: <...>`")
        head, section = Head(printable(named[1])), ""
        for line in self._lines:
            if self.bytes_read > MOST_HEAD:
                raise self._wrong(f"the head, with the names of the columns, is longer than {MOST_HEAD >> 10} KiB", "Shorten it in a copy of the file.")
            if not line.startswith("#"):
                head.columns, head.line = self._columns(line), self._number
                return head
            if self._number > MOST_HEAD_LINES:
                raise self._wrong(f"the head has more than {MOST_HEAD_LINES:,} lines")
            if line in ("#Parameters:", "#Metadata:", "#Data:"):
                section = line
            else:
                self._note(head.parameters if section == "#Parameters:" else head.metadata, line[1:])
        raise self._wrong("the file ends before the names of the columns", "Leave it out: its procedure was ended before it began.")

    def _note(self, section: dict[str, str], line: str) -> None:
        """Keep a line of the head; one that is no entry, such as a comment of a person, goes by its number."""
        name, colon, value = line.removeprefix("\t").partition(": ")
        if not (line.startswith("\t") and (colon or name.endswith(":"))):
            name, value = f"line {self._number}", line
        name, value = printable(name if colon else name.removesuffix(":")), printable(_unescaped(value))
        if len(value) > MOST_TEXT or len(name) > MOST_TEXT:
            raise self._wrong(f"the entry has more than {MOST_TEXT:,} characters")
        section[name if name not in section else f"{name} (line {self._number})"] = value

    def _columns(self, line: str) -> list[str]:
        columns = [printable(name).strip() for name in line.split(",")]
        if not self._ended or not line.strip():
            raise self._wrong("there are no columns" if self._ended else "the file ends within the names of the columns")
        if '"' in line or (len(columns) == 1 and (";" in line or "\t" in line)):
            raise self._wrong(f"the columns are not written as PyMeasure does: {line!r:.80}", _ANOTHER_PROGRAM)
        if len(columns) > MOST_COLUMNS:
            raise self._wrong(f"there are {len(columns):,} columns, {MOST_COLUMNS:,} at most can be read")
        if all(_is_number(name) for name in columns):
            raise self._wrong("there are numbers in place of the names of the columns", "Write the names of the columns into this line.")
        if "" in columns or len(set(columns)) < len(columns):
            raise self._wrong("two columns have one name, or one has none", "Give each a name of its own.")
        return columns

    # The rows

    def rows(self) -> Iterator[NDArray[np.float64]]:
        """Yield the rows in pieces, float (n, columns); NaN for `nan`, `None` and empty cells, 1 and 0 for `True` and `False`.

        A piece is of 50,000 rows and some 16 MiB of text at most.
        """
        waiting: dict[int, str] = {}
        begun = self.bytes_read
        for line in self._lines:
            if not self._ended:
                self.cut_off = True
            elif line.startswith("#"):
                self.comments += 1
            elif line.strip():
                waiting[self._number] = line
            if len(waiting) == _ROWS or self.bytes_read - begun > _BYTES:
                if waiting:
                    yield self._values(waiting)
                waiting, begun = {}, self.bytes_read
        if waiting:
            yield self._values(waiting)

    def _values(self, lines: dict[int, str]) -> NDArray[np.float64]:
        try:
            values = np.loadtxt(list(lines.values()), delimiter=",", comments=None, ndmin=2)
        except ValueError:
            return self._one_by_one(lines)
        return values if values.shape[1] == len(self.head.columns) else self._one_by_one(lines)

    def _one_by_one(self, lines: dict[int, str]) -> NDArray[np.float64]:
        """Return rows that are not all of plain numbers, or say which is not as it should be."""
        values = np.empty((len(lines), len(self.head.columns)))
        for row, (number, line) in enumerate(lines.items()):
            cells = line.split(",")
            if len(cells) != len(self.head.columns):
                what = f"the row has {len(cells)} values, there are {len(self.head.columns)} columns"
                raise self._wrong(what, f"Correct the row in a copy. {_ANOTHER_PROGRAM}", line=number)
            for k, cell in enumerate(cells):
                values[row, k] = self._value(cell.strip(), k, number)
        return values

    def _value(self, cell: str, column: int, line: int) -> float:
        if cell in _WORDS:
            return _WORDS[cell]
        if not _is_number(cell):
            remedy = "Run files hold numbers: correct the row, or take the column out, in a copy of the file."
            raise self._wrong(f"{cell!r:.60} in the column {self.head.columns[column]!r} is no number", remedy, line=line)
        return float(cell)


def opened(path: Path) -> BufferedReader:
    """Open a file to read its bytes. Raises DataError."""
    with reading(path):
        if path.exists() and not path.is_file():
            raise DataError("this is no ordinary file", where=str(path), remedy="Name a CSV file that PyMeasure wrote.")
        return path.open("rb")


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Say of which file it is that it cannot be read. Raises DataError."""
    try:
        yield
    except OSError as error:
        raise DataError(f"the file cannot be read ({error.strerror})", where=str(path), remedy="Check its name, its permissions and its disk.") from error


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    # Python's own ways of writing numbers are no numbers in a file.
    return text.isascii() and "_" not in text


def printable(text: str) -> str:
    r"""Return a text that does nothing to a terminal: white space becomes plain, and what cannot be printed is escaped, such as `\x1b`."""
    return "".join(one if one.isprintable() else " " if one.isspace() else one.encode("unicode_escape").decode() for one in text)


def _unescaped(text: str) -> str:
    """Return a text as it was before PyMeasure escaped what is not ASCII, and backslashes. What cannot be printed, such as a new line, stays escaped."""
    return _ESCAPED.sub(_character, text)


def _character(found: re.Match[str]) -> str:
    number = int(found[2] or found[3] or found[4] or "5c", 16)
    return chr(number) if number <= 0x10FFFF and chr(number).isprintable() else found[0]
