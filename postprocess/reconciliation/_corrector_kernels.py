"""Compiled parts of Bob's side: trees of known parities, queues of odd leaves, searches, and the items of a request.

All arrays begin with the slot, the place of a frame in flight. Tree nodes are one byte (SPLIT, ODD, QUEUED); the node of log-size s over position x of a frame
of n bits is number (n + x) >> s.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._compiled import compiled
from ._kernels import SIZE_MASK, START_SHIFT, Planes, Tables, bit_at, get_u32, parity, permute, position_of, put_u32
from ._room import room
from .messages import DONE, FAILED, HEADER_BYTES, ITEM_BYTES, PASS, REPLY_ITEM_BYTES, ROOTS, STEP, Shapes

Ints = NDArray[np.int64]
Nodes = NDArray[np.int32]
Bytes = NDArray[np.uint8]

FRAME, STAGE, LAST, ACTIVE, RUN, FOUND, DIFFS, ROUNDS, SEARCHES, FLIPS, GEOMETRY, CHOICE, ASKED, QUEUES = range(14)
"""Columns of a slot's cursor: LAST is the newest pass, ACTIVE the one being searched; RUN, FOUND, DIFFS and, for every pass from QUEUES on, what is
queued are lengths of lists. CHOICE names the first block size, SEARCHES counts those asked for."""
SPLIT, ODD, QUEUED = 1, 2, 4
ROOT_BYTES = 4
BAD_LENGTH, BAD_HEAD, BAD_PADDING = 1, 2, 3


class Slots(NamedTuple):
    """The frames in flight.

    cursors (slots, columns), planes (slots, passes, W), trees (slots, passes, 2n), queues (slots, passes, n); runs, founds, diffs (slots, n).
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
        """Return places for `slots` frames of up to n bits."""
        return cls(
            np.zeros((slots, QUEUES + passes), np.int64),
            room((slots, passes, n // 64), np.uint64),
            room((slots, passes, 2 * n), np.uint8),
            room((slots, passes, n), np.int32),
            room((slots, n), np.int32),
            room((slots, n), np.int32),
            room((slots, n), np.uint8),
        )


@compiled
def _push(cursor: Ints, tree: Bytes, queue: Nodes, index: int, start: int, log_size: int, n: int) -> None:
    # Leaves of a pass are disjoint and none is queued twice, so that n entries are room enough.
    heap = (n + start) >> log_size
    if tree[index, heap] & QUEUED == 0:
        tree[index, heap] |= QUEUED
        queue[index, cursor[QUEUES + index]] = (start << START_SHIFT) | log_size
        cursor[QUEUES + index] += 1


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
        # Halves are written when their node is split, so that nothing of an earlier frame is ever read.
        tree[index, (n >> log_k) + block] = ODD * diff
        if diff:
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
        bit = bit_at(tables, cursor[ACTIVE], found[i])
        for index in range(cursor[LAST] + 1):
            position = position_of(tables, index, bit)
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
def _lowest_queued(cursor: Ints) -> int:
    """Return the pass with the smallest blocks, which is the lowest one, that has queued leaves, or -1."""
    for index in range(cursor[LAST] + 1):
        if cursor[QUEUES + index]:
            return index
    return -1


@compiled
def _take_leaves(cursor: Ints, tree: Bytes, queue: Nodes, run: Nodes, found: Nodes, n: int) -> None:
    """Move the queued odd leaves of the active pass to the searches; drop its even ones."""
    index = cursor[ACTIVE]
    for i in range(cursor[QUEUES + index]):
        node = queue[index, i]
        start, log_size = node >> START_SHIFT, node & SIZE_MASK
        heap = (n + start) >> log_size
        tree[index, heap] &= ~QUEUED & 255
        if tree[index, heap] & ODD == 0:
            continue
        if log_size:
            run[cursor[RUN]] = node
            cursor[RUN] += 1
        else:
            found[cursor[FOUND]] = start
            cursor[FOUND] += 1
    cursor[QUEUES + index] = 0


@compiled
def _settle(cursor: Ints, planes: Planes, tree: Bytes, queue: Nodes, run: Nodes, found: Nodes, log_k: Ints, tables: Tables, n: int) -> None:
    """Go on until something must be asked, or the frame is done."""
    cursor[STAGE] = STEP
    while cursor[RUN] == 0 and cursor[STAGE] != FAILED:
        if cursor[FOUND]:
            _flip(cursor, planes, tree, queue, found, log_k, tables, n)
            continue
        lowest = _lowest_queued(cursor)
        if lowest >= 0:
            cursor[ACTIVE], cursor[STAGE] = lowest, ROOTS
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
def advance(reply: Bytes, at: int, slot: int, slots: Slots, shapes: Shapes) -> None:
    """Take the parities that begin at byte `at` and bring one slot to its next question."""
    cursor, planes, tree, queue, run, found = (
        slots.cursors[slot],
        slots.planes[slot],
        slots.trees[slot],
        slots.queues[slot],
        slots.runs[slot],
        slots.founds[slot],
    )
    geometry = cursor[GEOMETRY]
    n, log_k = shapes.sizes[geometry], shapes.log_k[cursor[CHOICE], geometry]
    if cursor[STAGE] == PASS:
        _take_blocks(reply, at, cursor, planes[cursor[LAST]], tree, queue, log_k[cursor[LAST]], n)
    else:
        _halve(reply, at, cursor, planes[cursor[ACTIVE]], tree, run, found, slots.diffs[slot], n)
    _settle(cursor, planes, tree, queue, run, found, log_k, shapes.tables[geometry], n)


@compiled
def digest(reply: Bytes, offsets: Ints, slots: Slots, shapes: Shapes) -> int:
    """Take a checked reply and bring every slot to its next question; return how many frames are done, or -1 where parities contradict each other.

    offsets: where each slot's parities begin in the reply.
    """
    done = 0
    for slot in range(slots.cursors.shape[0]):
        if slots.cursors[slot, STAGE] < DONE:
            advance(reply, offsets[slot], slot, slots, shapes)
            if slots.cursors[slot, STAGE] == FAILED:
                return -1
            done += int(slots.cursors[slot, STAGE] == DONE)
    return done


@compiled
def mismatch(reply: Bytes, at: int, heads: Ints) -> int:
    """Compare a reply, whose items begin at byte `at`, with the frames and numbers of parities expected; return 0 or what is wrong."""
    end = at
    for item in range(heads.shape[0]):
        end += REPLY_ITEM_BYTES + int(heads[item, 1] + 7) // 8
    if end != reply.size:
        return BAD_LENGTH
    for item in range(heads.shape[0]):
        if get_u32(reply, at) != heads[item, 0] or get_u32(reply, at + 4) != heads[item, 1]:
            return BAD_HEAD
        at += REPLY_ITEM_BYTES + int(heads[item, 1] + 7) // 8
        rest = heads[item, 1] & 7
        if rest and reply[at - 1] >> rest:
            return BAD_PADDING
    return 0


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
def ask(cursor: Ints, shapes: Shapes) -> None:
    """Note in ASKED how many parities the next question asks for, and count the round."""
    cursor[ASKED] = cursor[RUN]
    if cursor[STAGE] == PASS:
        geometry = cursor[GEOMETRY]
        cursor[ASKED] = (shapes.sizes[geometry] >> shapes.log_k[cursor[CHOICE], geometry, cursor[LAST]]) - min(cursor[LAST], 1)
    elif cursor[STAGE] == ROOTS:
        cursor[SEARCHES] += cursor[RUN]
    cursor[ROUNDS] += 1


@compiled
def items_room(cursors: Ints) -> int:
    """Return how many bytes the items of all slots can take."""
    total = 0
    for slot in range(cursors.shape[0]):
        total += ITEM_BYTES + ROOT_BYTES * max(cursors[slot, RUN], cursors[slot, DIFFS])
    return total


@compiled
def _put_item(out: Bytes, at: int, frame: int, kind: int, index: int, count: int) -> int:
    put_u32(out, at, frame)
    out[at + 4], out[at + 5] = kind, index
    put_u32(out, at + 6, count)
    return at + ITEM_BYTES


@compiled
def write_items(out: Bytes, at: int, finished: Ints, slots: Slots, shapes: Shapes, heads: Ints, offsets: Ints) -> tuple[int, int]:
    """Write an item for every finished frame and every working slot into `out` (zeros) from `at` on; return how many they are and where they end.

    heads, offsets: filled with what the reply must look like, frame and number of parities of every item, and where the parities of every slot begin.
    """
    items, reply_at = 0, HEADER_BYTES + REPLY_ITEM_BYTES
    for frame in finished:
        at = _put_item(out, at, frame, DONE, 0, 0)
        heads[items, 0], heads[items, 1] = frame, 0
        items, reply_at = items + 1, reply_at + REPLY_ITEM_BYTES
    for slot in range(slots.cursors.shape[0]):
        cursor = slots.cursors[slot]
        kind = cursor[STAGE]
        if kind >= DONE:
            continue
        ask(cursor, shapes)
        index, count = (cursor[LAST], 0) if kind == PASS else (cursor[ACTIVE], cursor[RUN] if kind == ROOTS else cursor[DIFFS])
        at = _put_item(out, at, cursor[FRAME], kind, index, count)
        if kind != PASS:
            at = _put_payload(out, at, cursor, slots.runs[slot], slots.diffs[slot], shapes.log_k[cursor[CHOICE], cursor[GEOMETRY]])
        heads[items, 0], heads[items, 1], offsets[slot] = cursor[FRAME], cursor[ASKED], reply_at
        items, reply_at = items + 1, reply_at + REPLY_ITEM_BYTES + int(cursor[ASKED] + 7) // 8
    return items, at
