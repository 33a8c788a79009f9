"""What error correction gives away, counted from its messages and from nothing else."""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

from ..core.errors import ReconciliationError

_HEADER = struct.Struct("<2sBBIIH")
_ITEM = struct.Struct("<II")


class ParityTally:
    """Counts the parities of every frame in Alice's replies. Both parties keep one; an observer of the line gets the same numbers.

    per_frame: int64 (frames,), parities disclosed so far.
    """

    def __init__(self, frames: int) -> None:
        self.per_frame: NDArray[np.int64] = np.zeros(frames, np.int64)

    @property
    def total(self) -> int:
        """Return the parities disclosed so far, of all frames."""
        return int(self.per_frame.sum())

    def count(self, reply: bytes) -> None:
        """Add a reply, sent once. Raises ReconciliationError if it is not one."""
        try:
            *_, items = _HEADER.unpack_from(reply)
            at = _HEADER.size
            for _ in range(items):
                frame, count = _ITEM.unpack_from(reply, at)
                self.per_frame[frame] += count
                at += _ITEM.size + (count + 7) // 8
        except (struct.error, IndexError) as error:
            raise ReconciliationError("the parities of a reply cannot be counted", where="error correction") from error
        if at != len(reply):
            raise ReconciliationError("a reply does not end with its last parity", where="error correction")
