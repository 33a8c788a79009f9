"""Both parties in one compiled call: what the messages would carry goes through a buffer that nobody else sees."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._compiled import compiled
from ._corrector_kernels import ACTIVE, ASKED, CHOICE, GEOMETRY, LAST, RUN, STAGE, Slots, advance, ask
from ._kernels import SIZE_MASK, START_SHIFT, Planes, parity, permute
from .messages import DONE, PASS, Shapes

Ints = NDArray[np.int64]
Bytes = NDArray[np.uint8]


@compiled
def _answer(cursor: Ints, planes: Planes, run: NDArray[np.int32], reply: Bytes, shapes: Shapes) -> None:
    """Write Alice's parities for the question that the cursor stands at."""
    reply[: (cursor[ASKED] + 7) >> 3] = 0
    geometry = cursor[GEOMETRY]
    if cursor[STAGE] == PASS:
        index = cursor[LAST]
        plane, log_k = planes[index], shapes.log_k[cursor[CHOICE], geometry, index]
        if index:
            permute(planes[0], plane, shapes.tables[geometry, index], shapes.sizes[geometry] >> 6)
        for block in range(cursor[ASKED]):
            reply[block >> 3] |= parity(plane, block << log_k, log_k) << (block & 7)
    else:
        plane = planes[cursor[ACTIVE]]
        for i in range(cursor[RUN]):
            reply[i >> 3] |= parity(plane, run[i] >> START_SHIFT, (run[i] & SIZE_MASK) - 1) << (i & 7)


@compiled
def correct(alice: Planes, reply: Bytes, slots: Slots, shapes: Shapes) -> int:
    """Correct the frame in the only slot, whose cursor stands at the first pass; return the parities disclosed.

    alice: her planes (passes, W), the first one filled.  reply: room for the parities of one question, n / 8 bytes.
    """
    cursor, disclosed = slots.cursors[0], 0
    while cursor[STAGE] < DONE:
        ask(cursor, shapes)
        disclosed += cursor[ASKED]
        _answer(cursor, alice, slots.runs[0], reply, shapes)
        advance(reply, 0, 0, slots, shapes)
    return disclosed
