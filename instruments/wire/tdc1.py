r"""Commands and binary words of the S-Fifteen TDC1 time-to-digital converter.

Text as in `wire.s_fifteen`; the driver ends every line with ``\r\n``. What it sends:

=================================================  ===================================================================================
text                                               meaning
=================================================  ===================================================================================
``*idn?``                                          who answers; the text holds ``TDC1``
``NEG -0.5``, ``POS 0.5``, ``level?``              threshold of all four inputs (V), and the edge that crosses it
``time 100``, ``time?``                            integration time (ms, up to 65535; 0 endless); the answer is a signed 16-bit number
``singles;counts?``                                counts of the four inputs, one line, after the integration time
``pairs;counts?``                                  the same, and the coincidences 1-3, 1-4, 2-3, 2-4
``INPKT;NEG -0.5;time 0;timestamp;counts?;``       stream words until the time is over, or ``abort``
``abort``                                          end whatever runs
``mode?``                                          0 singles, 1 pairs, 3 timestamp
``REFCLK 1``, ``REFCLK?``                          clock: 0 chosen by the device, 1 external, 2 internal
=================================================  ===================================================================================

A word is a little-endian uint32. Bits 31..5: time in units of 2 ns, which rolls over every 0.268435456 s. Bits 3..0: inputs that saw an edge (several bits are
several tags at one time). Bit 4: a housekeeping word, which tells the time and is no tag. Words come in order of time, so a time that is smaller by more than
2**24 units is a roll-over; one that is smaller by less is an error of the device.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...core.errors import NotMonotonic

COMMAND_END = "\r\n"
INPUTS = (1, 2, 3, 4)
TICK_PS = 2000
ROLL_OVER = 1 << 27
ROLL_OVER_S = ROLL_OVER * TICK_PS * 1e-12
HOUSEKEEPING = 0x10
MAX_TIME_MS = 65_535
SINGLES, PAIRS, TIMESTAMP = 0, 1, 3
CLOCK_AUTO, CLOCK_EXTERNAL, CLOCK_INTERNAL = 0, 1, 2
_JUMP = 1 << 24
_WORD = 4


def level_command(volts: float) -> str:
    """Return the command that sets the threshold: a negative one finds falling edges, a positive one rising edges."""
    return f"{'NEG' if volts < 0 else 'POS'} {volts:g}"


def stream_command(level_v: float, time_ms: int) -> str:
    """Return the command that starts a stream of words.  time_ms: 1 to 65535, 0 for an endless one."""
    return f"INPKT;{level_command(level_v)};time {time_ms};timestamp;counts?;"


def unsigned_time(value: int) -> int:
    """Return the integration time (ms) told as a signed 16-bit number."""
    return value + 65_536 if value < 0 else value


def encode_words(ticks: ArrayLike, inputs: ArrayLike) -> bytes:
    """Return words as the device sends them.  ticks: int (n,), time in 2 ns, rolled over here.  inputs: int (n,), bits 3..0, and `HOUSEKEEPING`."""
    times, low = np.asarray(ticks, np.int64) % ROLL_OVER, np.asarray(inputs, np.int64)
    return bytes((times << 5 | low).astype("<u4").tobytes())


class WordDecoder:
    """Turns a byte stream into times and inputs; feed it any pieces. The first word lies in the first turn of the counter."""

    def __init__(self) -> None:
        self._rest = b""
        self._turns = 0
        self._last = 0

    @property
    def time_ps(self) -> int:
        """Return the time of the last word; 0 before the first."""
        return (self._turns * ROLL_OVER + self._last) * TICK_PS

    def feed(self, piece: bytes) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
        """Return the times (ps, int64 (n,)) and inputs (bits 3..0, uint8 (n,); 0 for a housekeeping word) of the words that a piece completes.

        Raises NotMonotonic for a time that goes back by less than a roll-over; the piece is lost then.
        """
        data = self._rest + piece
        end = len(data) - len(data) % _WORD
        self._rest = data[end:]
        words = np.frombuffer(data[:end], "<u4")
        if words.size == 0:
            return np.empty(0, np.int64), np.empty(0, np.uint8)
        ticks = (words >> 5).astype(np.int64)
        steps = np.diff(ticks, prepend=self._last)
        if np.any((steps < 0) & (steps >= -_JUMP)):
            raise NotMonotonic(f"a time goes back by {-int(steps[(steps < 0) & (steps >= -_JUMP)][0]) * TICK_PS / 1000:g} ns", remedy="Measure again.")
        turns = self._turns + np.cumsum(steps < 0)
        self._turns, self._last = int(turns[-1]), int(ticks[-1])
        inputs = np.where(words & HOUSEKEEPING, 0, words & 0xF).astype(np.uint8)
        return (turns * ROLL_OVER + ticks) * TICK_PS, inputs


def tags(t_ps: NDArray[np.int64], inputs: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Return one tag for each bit: times int64 (m,), input numbers uint8 (m,), inputs of one word in ascending order."""
    word, bit = np.nonzero(inputs[:, None] & np.array([1, 2, 4, 8], np.uint8))
    return t_ps[word], (bit + 1).astype(np.uint8)
