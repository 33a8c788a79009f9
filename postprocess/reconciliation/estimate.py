"""The error rate by which a frame's block sizes are chosen, followed through a block by what both parties know."""

from __future__ import annotations

import numpy as np

from .schedule import FIRST_EXPONENTS, CascadeParameters, FrameLayout, first_exponent

LAG = 128
"""A frame learns from the frames that are at least so many places before it: both parties have long finished them, however many are in flight."""


class RateEstimate:
    """Error rates from the searches of finished frames; each search finds one wrong bit, and Alice has answered all of them.

    The rate of a frame depends on the errors in the key and on nothing else, neither on the number of frames in flight nor on the order in which they finish.
    """

    def __init__(self, params: CascadeParameters, layout: FrameLayout) -> None:
        self._q_est = params.q_est
        self._frame_bits = params.frame_bits
        self._found = np.full(layout.frames, -1, np.int64)
        self._known = 0

    def finish(self, frame: int, found: int) -> None:
        """Take note of a finished frame and the wrong bits found in it."""
        self._found[frame] = found
        while self._known < self._found.size and self._found[self._known] >= 0:
            self._known += 1

    def rate(self, frame: int) -> float | None:
        """Return the error rate to expect in a frame: the given one for the first frames, then the mean over up to LAG frames that lie LAG and more before.

        None: some of those are not finished, the frame must wait.
        """
        if frame < LAG:
            return self._q_est
        if frame - LAG >= self._known:
            return None
        return float(self._found[max(0, frame - 2 * LAG + 1) : frame - LAG + 1].mean() / self._frame_bits)

    def choice(self, frame: int) -> int:
        """Return which of the first block sizes a frame takes, as index into FIRST_EXPONENTS, or -1 where it must wait."""
        rate = self.rate(frame)
        return -1 if rate is None else FIRST_EXPONENTS.index(first_exponent(rate))
