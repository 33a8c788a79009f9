"""Rows of a table that grows without end, kept as their envelope in bounded memory."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class ThinnedRows:
    """At most `most` rows of a table that grows; every row while there are no more than that.

    Then rows stand in blocks of one length, a power of two that grows with the table, and of each block stay the rows where a column but the first (the
    abscissa) is smallest or largest, and row 0: so the envelope of every column is exact, to the length of a block, which is 4 n (columns - 1)/most rows at
    most. What stays depends on the rows only, not on the pieces in which they came. A value that is no number stands only for a block that holds no other, by
    its first and its last row, so that a gap stays. Memory is at most 2 most rows; adding a row costs a constant time. Source: peak decimation, as in
    oscilloscopes, with blocks that are merged two by two.
    """

    def __init__(self, columns: int, most: int) -> None:
        self._columns, self._most = columns, most
        self._drawn = range(min(1, columns - 1), columns)
        self._blocks = max(1, (most - 1) // (2 * len(self._drawn)))
        self._rows: NDArray[np.float64] = np.empty((0, columns))
        self._numbers: NDArray[np.int64] = np.empty(0, np.int64)
        self._waiting: list[NDArray[np.float64]] = []
        self._n_waiting = 0
        self.n = 0

    def add(self, rows: NDArray[np.float64]) -> None:
        """Append rows, float (n, columns)."""
        for first in range(0, len(rows), self._most):
            piece = rows[first : first + self._most]
            self._waiting.append(piece)
            self._n_waiting += len(piece)
            if self._n_waiting >= self._most:
                self._thin()

    def rows(self) -> NDArray[np.float64]:
        """Return what stays, float (at most `most`, columns), in order."""
        self._thin()
        return self._rows

    def _thin(self) -> None:
        if not self._waiting:
            return
        rows, numbers = np.concatenate((self._rows, *self._waiting)), np.concatenate((self._numbers, np.arange(self.n, self.n + self._n_waiting)))
        self.n += self._n_waiting
        self._waiting, self._n_waiting = [], 0
        if self.n > self._most:
            length = 1 << (-(-self.n // self._blocks) - 1).bit_length()
            stays = _peaks(rows[:, self._drawn], numbers // length)
            stays[0] = True
            rows, numbers = rows[stays], numbers[stays]
        self._rows, self._numbers = rows, numbers


def _peaks(values: NDArray[np.float64], block: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which rows are, in some column, the first smallest or the first largest of their block. block: int64 (n,), in order."""
    begins = np.flatnonzero(np.diff(block, prepend=block[0] - 1))
    lengths = np.diff(begins, append=block.size)
    stays = np.zeros(block.size, bool)
    for column in values.T:
        for sign in (1.0, -1.0):
            signed = sign * column
            least = np.fmin.reduceat(signed, begins)
            found = np.flatnonzero(signed == np.repeat(least, lengths))
            stays[found[np.diff(block[found], prepend=block[0] - 1) > 0]] = True
        empty = np.isnan(np.fmin.reduceat(column, begins))
        stays[begins[empty]] = stays[begins[empty] + lengths[empty] - 1] = True
    return stays
