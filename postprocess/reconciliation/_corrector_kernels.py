"""Compiled parts of Bob's side: trees of known parities, queues of odd leaves, searches, and the items of a request.

All arrays begin with the slot, the place of a frame in flight. Tree nodes are one byte (SPLIT, ODD, QUEUED); the node of log-size s over position x of a frame
of n bits is number (n + x) >> s. Queue entries are `pass << 22 | node`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._kernels import SIZE_MASK, START_SHIFT, Planes, Tables, bit_at, compiled, parity, permute, position_of, put_u32
from .messages import DONE, FAILED, ITEM_BYTES, PASS, ROOTS, STEP, Shapes

Ints = NDArray[np.int64]
Nodes = NDArray[np.int32]
Bytes = NDArray[np.uint8]

FRAME, STAGE, LAST, ACTIVE, RUN, FOUND, QUEUE, DIFFS, ROUNDS, FLIPS, GEOMETRY, ASKED = range(12)
"""Columns of a slot's cursor: LAST is the newest pass, ACTIVE the one being searched; RUN, FOUND, QUEUE, DIFFS are lengths of lists."""
CURSOR_COLUMNS = 12
SPLIT, ODD, QUEUED = 1, 2, 4
PASS_SHIFT = 22
NODE_MASK = (1 << PASS_SHIFT) - 1


class Slots(NamedTuple):
    """The frames in flight.

    cursors (slots, columns), planes (slots, passes, W), trees (slots, passes, 2n), queues (slots, 2n); runs, founds, diffs (slots, n).
    """

    cursors: Ints
    planes: Planes
    trees: Bytes
    queues: Nodes
    runs: Nodes
    founds: Nodes
    diffs: Bytes

    @classmethod
    def of(cls, slots: int, passes: int, n: int) -> Slots:
        """Return places for `slots` frames of up to n bits. Most pages are never touched, so never allocated."""
        return cls(
            np.zeros((slots, CURSOR_COLUMNS), np.int64),
            np.empty((slots, passes, n // 64), np.uint64),
            np.zeros((slots, passes, 2 * n), np.uint8),
            np.empty((slots, 2 * n), np.int32),
            np.empty((slots, n), np.int32),
            np.empty((slots, n), np.int32),
            np.empty((slots, n), np.uint8),
        )


@compiled
def _push(cursor: Ints, tree: Bytes, queue: Nodes, index: int, start: int, log_size: int, n: int) -> None:
    heap = (n + start) >> log_size
    if tree[index, heap] & QUEUED == 0:
        if cursor[QUEUE] == queue.size:
            cursor[STAGE] = FAILED
            return
        tree[index, heap] |= QUEUED
        queue[cursor[QUEUE]] = (index << PASS_SHIFT) | (start << START_SHIFT) | log_size
        cursor[QUEUE] += 1


@compiled
def _take_blocks(reply: Bytes, at: int, cursor: Ints, plane: Planes, tree: Bytes, queue: Nodes, log_k: int, n: int) -> None:
    """Learn the parities of all blocks of the newest pass."""
    index = cursor[LAST]
    total = 0
    for block in range(n >> log_k):
        # The last block of a later pass is not sent: all earlier leaves are even, so the total is, too.
        diff = total
        if index == 0 or block < (n >> log_k) - 1:
            diff = ((reply[at + (block >> 3)] >> (block & 7)) & 1) ^ parity(plane, block << log_k, log_k)
        total ^= diff
        if diff:
            tree[index, (n >> log_k) + block] = ODD
            _push(cursor, tree, queue, index, block << log_k, log_k, n)


@compiled
def _halve(reply: Bytes, at: int, cursor: Ints, plane: Planes, tree: Bytes, run: Nodes, found: Nodes, diffs: Bytes, n: int) -> None:
    """Learn the parities of the left halves of all running searches, and go down into the odd halves."""
    index = cursor[ACTIVE]
    count = cursor[RUN]
    cursor[DIFFS] = count
    cursor[RUN] = 0
    for i in range(count):
        start, log_half = run[i] >> START_SHIFT, (run[i] & SIZE_MASK) - 1
        diff = ((reply[at + (i >> 3)] >> (i & 7)) & 1) ^ parity(plane, start, log_half)
        diffs[i] = diff
        heap = (n + start) >> log_half
        tree[index, heap >> 1] |= SPLIT
        tree[index, heap] = ODD * diff
        tree[index, heap + 1] = ODD * (1 - diff)
        start += (1 - diff) << log_half
        if log_half == 0:
            found[cursor[FOUND]] = start
            cursor[FOUND] += 1
        else:
            run[cursor[RUN]] = (start << START_SHIFT) | log_half
            cursor[RUN] += 1


@compiled
def _flip(cursor: Ints, planes: Planes, tree: Bytes, queue: Nodes, found: Nodes, log_k: Ints, tables: Tables, n: int) -> None:
    """Flip the bits found, in every pass, and queue the known leaves that become odd."""
    for i in range(cursor[FOUND]):
        bit = found[i]
        if cursor[ACTIVE]:
            bit = bit_at(tables[cursor[ACTIVE]], bit)
        for index in range(cursor[LAST] + 1):
            position = position_of(tables[index], bit) if index else bit
            planes[index, position >> 6] ^= np.uint64(1) << np.uint64(position & 63)
            log_size = log_k[index]
            while log_size and tree[index, (n + position) >> log_size] & SPLIT:
                log_size -= 1
            heap = (n + position) >> log_size
            tree[index, heap] ^= ODD
            if tree[index, heap] & ODD:
                _push(cursor, tree, queue, index, (position >> log_size) << log_size, log_size, n)
    cursor[FLIPS] += cursor[FOUND]
    cursor[FOUND] = 0
    # Honest parities find every wrong bit once; contradicting ones could go on for ever.
    if cursor[FLIPS] > n:
        cursor[STAGE] = FAILED


@compiled
def _take_leaves(cursor: Ints, tree: Bytes, queue: Nodes, run: Nodes, found: Nodes, n: int) -> None:
    """Move the queued odd leaves of the pass with the smallest blocks, which is the lowest queued one, to the searches; drop its even ones."""
    lowest = queue[0] >> PASS_SHIFT
    for i in range(1, cursor[QUEUE]):
        lowest = min(lowest, queue[i] >> PASS_SHIFT)
    cursor[ACTIVE] = lowest
    kept = 0
    for i in range(cursor[QUEUE]):
        entry = queue[i]
        if entry >> PASS_SHIFT != lowest:
            queue[kept] = entry
            kept += 1
            continue
        node = entry & NODE_MASK
        start, log_size = node >> START_SHIFT, node & SIZE_MASK
        heap = (n + start) >> log_size
        tree[lowest, heap] &= ~QUEUED & 255
        if tree[lowest, heap] & ODD == 0:
            continue
        if log_size:
            run[cursor[RUN]] = node
            cursor[RUN] += 1
        else:
            found[cursor[FOUND]] = start
            cursor[FOUND] += 1
    cursor[QUEUE] = kept


@compiled
def _settle(cursor: Ints, planes: Planes, tree: Bytes, queue: Nodes, run: Nodes, found: Nodes, log_k: Ints, tables: Tables, n: int) -> None:
    """Go on until something must be asked, or the frame is done."""
    cursor[STAGE] = STEP
    while cursor[RUN] == 0 and cursor[STAGE] != FAILED:
        if cursor[FOUND]:
            _flip(cursor, planes, tree, queue, found, log_k, tables, n)
        elif cursor[QUEUE]:
            cursor[STAGE] = ROOTS
            _take_leaves(cursor, tree, queue, run, found, n)
        elif cursor[LAST] == log_k.size - 1:
            cursor[STAGE] = DONE
            break
        else:
            cursor[LAST] += 1
            cursor[STAGE] = PASS
            permute(planes[0], planes[cursor[LAST]], tables[cursor[LAST]], n >> 6)
            break


@compiled
def digest(reply: Bytes, offsets: Ints, slots: Slots, shapes: Shapes) -> None:
    """Take a checked reply and bring every slot to its next question. offsets: where each slot's parities begin in the reply."""
    for slot in range(slots.cursors.shape[0]):
        cursor, planes, tree, queue, run, found = (
            slots.cursors[slot],
            slots.planes[slot],
            slots.trees[slot],
            slots.queues[slot],
            slots.runs[slot],
            slots.founds[slot],
        )
        if cursor[STAGE] >= DONE:
            continue
        geometry = cursor[GEOMETRY]
        n, log_k = shapes.sizes[geometry], shapes.log_k[geometry]
        if cursor[STAGE] == PASS:
            _take_blocks(reply, offsets[slot], cursor, planes[cursor[LAST]], tree, queue, log_k[cursor[LAST]], n)
        else:
            _halve(reply, offsets[slot], cursor, planes[cursor[ACTIVE]], tree, run, found, slots.diffs[slot], n)
        if cursor[STAGE] != FAILED:
            _settle(cursor, planes, tree, queue, run, found, log_k, shapes.tables[geometry], n)


@compiled
def _put_leb128(out: Bytes, at: int, value: int) -> int:
    while value > 127:
        out[at] = (value & 127) | 128
        value >>= 7
        at += 1
    out[at] = value
    return at + 1


@compiled
def _put_payload(out: Bytes, at: int, cursor: Ints, run: Nodes, diffs: Bytes, log_k: Ints) -> int:
    if cursor[STAGE] == ROOTS:
        for i in range(cursor[RUN]):
            log_size = run[i] & SIZE_MASK
            at = _put_leb128(out, at, log_k[cursor[ACTIVE]] - log_size)
            at = _put_leb128(out, at, (run[i] >> START_SHIFT) >> log_size)
        return at
    for i in range(cursor[DIFFS]):
        out[at + (i >> 3)] |= diffs[i] << (i & 7)
    return at + int(cursor[DIFFS] + 7) // 8


@compiled
def write_items(out: Bytes, at: int, slots: Slots, shapes: Shapes) -> int:
    """Write one item for every working slot into `out` (zeros) from `at` on, note in ASKED how many parities it asks for; return where the items end."""
    for slot in range(slots.cursors.shape[0]):
        cursor = slots.cursors[slot]
        kind, log_k = cursor[STAGE], shapes.log_k[cursor[GEOMETRY]]
        if kind >= DONE:
            continue
        index, count = cursor[ACTIVE], 0
        cursor[ASKED] = cursor[RUN]
        if kind == PASS:
            index = cursor[LAST]
            cursor[ASKED] = (shapes.sizes[cursor[GEOMETRY]] >> log_k[index]) - min(index, 1)
        elif kind == ROOTS:
            count = cursor[RUN]
        else:
            count = cursor[DIFFS]
        cursor[ROUNDS] += 1
        put_u32(out, at, cursor[FRAME])
        out[at + 4], out[at + 5] = kind, index
        put_u32(out, at + 6, count)
        at += ITEM_BYTES
        if kind != PASS:
            at = _put_payload(out, at, cursor, slots.runs[slot], slots.diffs[slot], log_k)
    return at
