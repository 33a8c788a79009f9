"""Where states come from, each of them once: the cursor moves on, durably, before a state is handed out."""

from __future__ import annotations

import fcntl
import os
import struct
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...core.entropy import RandomSource
from ...core.errors import ParameterError, StatesExhausted, StorageError
from ...core.files import write_private
from .laws import Codes, checked

_FRACTION_BITS = 28
_ONE = 1 << _FRACTION_BITS
_CURSOR = struct.Struct("<8sQ")
_MAGIC = b"HGQOTC1\0"


class StateSource(Protocol):
    """Gives states in order; what was given is never given again."""

    def require(self, n: int) -> None:
        """Raise StatesExhausted unless n more states can be had. None is used."""
        ...

    def next(self, n: int) -> Codes:
        """Return the next n codes. Raises StatesExhausted, and then none was used."""
        ...


@dataclass(frozen=True, slots=True)
class AliasTable:
    """A law prepared for drawing one code from one 32-bit word.

    threshold: uint32 (16,), below which a column keeps its own code.  other: uint8 (16,), the code it gives otherwise.
    Source: A. J. Walker, ACM Trans. Math. Softw. 3, 253 (1977).
    """

    threshold: NDArray[np.uint32]
    other: Codes

    @classmethod
    def of(cls, law: ArrayLike) -> Self:
        """Return the table of a law; every probability is met within 2^-32."""
        share = 16.0 * checked(law)
        threshold, other = np.full(16, _ONE, np.uint32), np.arange(16, dtype=np.uint8)
        small, large = [k for k in range(16) if share[k] < 1.0], [k for k in range(16) if share[k] >= 1.0]
        while small and large:
            poor, rich = small.pop(), large.pop()
            threshold[poor], other[poor] = round(float(share[poor]) * _ONE), rich
            share[rich] -= 1.0 - share[poor]
            (small if share[rich] < 1.0 else large).append(rich)
        return cls(threshold, other)

    def draw(self, words: NDArray[np.uint32]) -> Codes:
        """Return one code for each word, uint32 (N,): four bits name a column, the others choose within it."""
        column = words >> np.uint32(_FRACTION_BITS)
        keeps = (words & np.uint32(_ONE - 1)) < self.threshold[column]
        return np.where(keeps, column, self.other[column]).astype(np.uint8)


class Cursor:
    """How many states have been used, kept in a file that is written before they are handed out. One cursor at a time has the file, until `close`.

    path: made when it is missing; None keeps the count in memory, for simulations.  Raises StorageError if the file cannot be written or another cursor has it,
    ParameterError if it is not one of these.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self.used = 0
        self._release: weakref.finalize[..., Cursor] | None = None
        if path is None:
            return
        # The count is replaced whole, so its own file would be another one after every step: the lock is a file beside it, which stays.
        self._release = weakref.finalize(self, os.close, _locked(path.with_name(f".{path.name}.lock"), path))
        try:
            self.used = self._read(path)
        except BaseException:
            self.close()
            raise

    @staticmethod
    def _read(path: Path) -> int:
        if path.exists():
            raw = path.read_bytes()
            if len(raw) != _CURSOR.size or not raw.startswith(_MAGIC):
                raise ParameterError("this is no cursor of states", where=str(path), remedy="Prepare new states; which of the old ones were used is not known.")
            return int(_CURSOR.unpack(raw)[1])
        return 0

    def close(self) -> None:
        """Leave the file to others; no state can be had through this cursor afterwards."""
        if self._release is not None:
            self._release()

    def burn(self, n: int) -> int:
        """Count n states as used and return the number of the first. What a crash follows is lost, never given again. Raises StorageError."""
        first = self.used
        if self._release is not None and not self._release.alive:
            raise StorageError("the cursor is closed; no state was used", where=str(self._path))
        if self._path is not None:
            try:
                write_private(self._path, _CURSOR.pack(_MAGIC, first + n))
            except OSError as error:
                raise StorageError(f"the cursor was not written ({error.strerror}); no state was used", where=str(self._path)) from error
        self.used = first + n
        return first


def _locked(lock: Path, path: Path) -> int:
    """Return a descriptor that holds the lock of a cursor until it is closed. Raises StorageError."""
    descriptor = -1
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise StorageError("another run has these states; no state was used", where=str(path), remedy="Wait for its end, or prepare others.") from error
    except OSError as error:
        if descriptor >= 0:
            os.close(descriptor)
        raise StorageError(f"the cursor was not locked ({error.strerror}); no state was used", where=str(path)) from error
    return descriptor


class DrawnStates:
    """States drawn from a law, which is exact for every protocol that only measures (tier `joint`).

    source: of the words, in the hands of whoever prepares states.  limit: number of states there are, None for no end.
    """

    def __init__(self, law: ArrayLike, source: RandomSource, *, cursor: Cursor | None = None, limit: int | None = None) -> None:
        self._table = AliasTable.of(law)
        self._source = source
        self._limit = limit
        self.cursor = cursor or Cursor()

    def require(self, n: int) -> None:
        """Raise StatesExhausted unless n more states can be had. None is used."""
        if n < 0:
            raise ParameterError(f"{n} states cannot be taken", where="n")
        left = None if self._limit is None else self._limit - self.cursor.used
        if left is not None and n > left:
            raise StatesExhausted(n, left)

    def next(self, n: int) -> Codes:
        """Return the next n codes. Raises StatesExhausted, and then none was used."""
        self.require(n)
        self.cursor.burn(n)
        return self._table.draw(np.frombuffer(self._source.take(4 * n), "<u4"))


class MeasuredStates:
    """States that were measured, in the order of the shots (tier `circuit`).

    codes: uint8 (N,).  ordered: whether they stand in the order of the shots, as `Samples.ordered` says.  Raises ParameterError for anything else: counts have
    lost the order, halves that were sorted tell each other, and neither makes a stream.
    """

    def __init__(self, codes: Codes, *, ordered: bool = True, cursor: Cursor | None = None) -> None:
        if not ordered:
            raise ParameterError("the samples have lost the order of the shots", where="codes", remedy="Use a back-end that returns every shot.")
        if codes.ndim != 1 or codes.dtype != np.uint8 or (codes.size and int(codes.max()) > 15):
            raise ParameterError("codes from 0 to 15 are needed, uint8 (N,), in the order of the shots", where="codes")
        self._codes = codes
        self.cursor = cursor or Cursor()

    def require(self, n: int) -> None:
        """Raise StatesExhausted unless n more states can be had. None is used."""
        if n < 0:
            raise ParameterError(f"{n} states cannot be taken", where="n")
        left = self._codes.size - self.cursor.used
        if n > left:
            raise StatesExhausted(n, left)

    def next(self, n: int) -> Codes:
        """Return the next n codes. Raises StatesExhausted, and then none was used."""
        self.require(n)
        first = self.cursor.burn(n)
        return self._codes[first : first + n]
