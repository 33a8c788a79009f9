"""Compiled parts of Alice's side: checking a whole request before anything changes, and answering it.

Alice keeps no tree, only the searches in progress. `states` has a row per frame, the other arrays begin with the slot, the place of a frame in flight.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._compiled import compiled
from ._kernels import SIZE_MASK, START_SHIFT, Planes, Tables, get_u32, parity, permute, put_u32
from ._room import room
from .messages import DONE, ITEM_BYTES, PASS, REPLY_ITEM_BYTES, ROOTS, STEP, Shapes

Ints = NDArray[np.int64]
Nodes = NDArray[np.int32]
Bytes = NDArray[np.uint8]

NEXT, ACTIVE, RUN, OPEN, SLOT, CHOICE, SEARCHES = range(7)
"""Columns of a frame's state: NEXT pass to start, pass being searched, running searches, how many of them go on, slot (-1: not begun, -2: done), which first
block size (-1: not known yet), searches so far."""
STATE_COLUMNS = 7
NOT_BEGUN, FINISHED = -1, -2
FRAME, KIND, INDEX, COUNT, PAYLOAD, REPLIES, FIRST_ROOT = range(7)
"""Columns of a parsed item: PAYLOAD is where its payload begins, REPLIES how many parities answer it, FIRST_ROOT where its nodes begin."""
ITEM_COLUMNS = 7
OK, TRUNCATED, NO_FRAME, TWICE, NO_KIND, NOT_NOW, BAD_COUNT, BAD_NODE, PADDING, TOO_MANY, TRAILING = range(11)


class Slots(NamedTuple):
    """The frames in flight: holders (slots,), the frame or -1; planes (slots, passes, W); runs (slots, n), the running searches. states: (frames, columns)."""

    states: Ints
    holders: Ints
    planes: Planes
    runs: Nodes

    @classmethod
    def of(cls, slots: int, frames: int, passes: int, n: int) -> Slots:
        """Return places for `slots` of `frames` frames of up to n bits."""
        states = np.zeros((frames, STATE_COLUMNS), np.int64)
        states[:, SLOT] = NOT_BEGUN
        states[:, CHOICE] = -1
        return cls(states, np.full(slots, -1, np.int64), room((slots, passes, n // 64), np.uint64), room((slots, n), np.int32))


@compiled
def _roots(message: Bytes, at: int, count: int, log_k: int, n: int, roots: Nodes, first: int) -> int:
    """Read `count` pairs of level and index as nodes; return where they end, or minus an error."""
    for i in range(count):
        level = index = 0
        for part in range(2):
            value = shift = 0
            while True:
                if at >= message.size:
                    return -TRUNCATED
                byte = int(message[at])
                at += 1
                value |= (byte & 127) << shift
                if byte < 128:
                    break
                shift += 7
                if shift > 21:
                    return -BAD_NODE
            if byte == 0 and shift:
                return -BAD_NODE
            level, index = (value, 0) if part == 0 else (level, value)
        if level >= log_k or index >= (n >> log_k) << level:
            return -BAD_NODE
        roots[first + i] = ((index << (log_k - level)) << START_SHIFT) | (log_k - level)
    return at


@compiled
def _step(message: Bytes, item: Ints, run: Nodes) -> int:
    """Check the payload of a STEP and count the searches that go on; return where it ends, or minus an error."""
    count = item[COUNT]
    end = int(item[PAYLOAD] + (count + 7) // 8)
    if end > message.size:
        return -TRUNCATED
    if count & 7 and message[end - 1] >> (count & 7):
        return -PADDING
    item[REPLIES] = 0
    for i in range(count):
        item[REPLIES] += (run[i] & SIZE_MASK) > 1
    return end


@compiled
def _fits(item: Ints, state: Ints, passes: int) -> int:
    """Say whether an item may come now in the life of its frame."""
    kind, index = item[KIND], item[INDEX]
    if kind > DONE:
        return NO_KIND
    due = state[SLOT] != FINISHED and (kind == STEP) == (state[SLOT] >= 0 and state[OPEN] > 0)
    if kind == PASS:
        due = due and index == state[NEXT] and index < passes and state[CHOICE] >= 0
    elif kind == ROOTS:
        due = due and index < state[NEXT]
    elif kind == STEP:
        due = due and index == state[ACTIVE]
    else:
        due = due and index == 0 and state[NEXT] == passes
    return OK if due else NOT_NOW


@compiled
def _counted(item: Ints, state: Ints, n: int) -> bool:
    """Say whether the count of an item fits its kind."""
    if item[KIND] == ROOTS:
        return bool(1 <= item[COUNT] <= n >> 1)
    return bool(item[COUNT] == (state[RUN] if item[KIND] == STEP else 0))


@compiled
def _payload(message: Bytes, item: Ints, runs: Nodes, state: Ints, log_k: int, n: int, roots: Nodes) -> int:
    """Check what follows an item's head and note how many parities answer it; return where it ends, or minus an error."""
    if item[KIND] == PASS:
        item[REPLIES] = (n >> log_k) - min(item[INDEX], 1)
    elif item[KIND] == STEP:
        return _step(message, item, runs[state[SLOT]])
    elif item[KIND] == ROOTS:
        # Two bytes a node at least: a count that the message cannot hold never reaches the list.
        if 2 * item[COUNT] > message.size - item[PAYLOAD]:
            return -TRUNCATED
        item[REPLIES] = item[COUNT]
        return _roots(message, item[PAYLOAD], item[COUNT], log_k, n, roots, item[FIRST_ROOT])
    return int(item[PAYLOAD])


@compiled
def parse(message: Bytes, at: int, slots: Slots, shapes: Shapes, items: Ints, roots: Nodes, seen: Bytes) -> int:
    """Read and check all items of a request without changing any state.

    items, roots (half as long as the message), seen (zeros, one a frame): filled here.  Return 0, or `item << 8 | error`.
    """
    free = 0
    for slot in range(slots.holders.size):
        free += int(slots.holders[slot] < 0)
    n_roots = 0
    for number in range(items.shape[0]):
        item = items[number]
        if at + ITEM_BYTES > message.size:
            return number << 8 | TRUNCATED
        frame = get_u32(message, at)
        item[FRAME], item[KIND], item[INDEX], item[COUNT] = frame, message[at + 4], message[at + 5], get_u32(message, at + 6)
        item[PAYLOAD], item[FIRST_ROOT], item[REPLIES] = at + ITEM_BYTES, n_roots, 0
        if frame >= slots.states.shape[0] or seen[frame]:
            return number << 8 | (NO_FRAME if frame >= slots.states.shape[0] else TWICE)
        seen[frame] = 1
        state, geometry = slots.states[frame], int(frame >= shapes.full)
        code, n = _fits(item, state, shapes.log_k.shape[2]), shapes.sizes[geometry]
        if code == OK and not _counted(item, state, n):
            code = BAD_COUNT
        free += int(item[KIND] == DONE) - int(item[KIND] == PASS and state[SLOT] == NOT_BEGUN)
        if code == OK and free < 0:
            code = TOO_MANY
        if code:
            return number << 8 | code
        at = _payload(message, item, slots.runs, state, shapes.log_k[state[CHOICE], geometry, item[INDEX]], n, roots)
        if at < 0:
            return number << 8 | -at
        n_roots += item[COUNT] if item[KIND] == ROOTS else 0
    return OK if at == message.size else items.shape[0] << 8 | TRAILING


@compiled
def measured(items: Ints) -> tuple[int, int, int]:
    """Return how many bytes the reply items to parsed items take, how many parities they disclose, and how many frames are reported done."""
    size = parities = done = 0
    for item in items:
        size += REPLY_ITEM_BYTES + int(item[REPLIES] + 7) // 8
        parities += item[REPLIES]
        done += int(item[KIND] == DONE)
    return size, parities, done


@compiled
def _begin_pass(item: Ints, state: Ints, key: Planes, first: int, planes: Planes, holders: Ints, tables: Tables, words: int) -> None:
    if state[SLOT] == NOT_BEGUN:
        slot = 0
        while holders[slot] >= 0:
            slot += 1
        holders[slot] = item[FRAME]
        state[SLOT] = slot
        for word in range(words):
            planes[slot, 0, word] = key[first + word]
    else:
        permute(planes[state[SLOT], 0], planes[state[SLOT], item[INDEX]], tables[item[INDEX]], words)
    state[NEXT] += 1


@compiled
def _descend(message: Bytes, item: Ints, state: Ints, run: Nodes, roots: Nodes) -> None:
    """Bring the list of running searches up to the request: new roots, or the halves that a STEP names."""
    if item[KIND] == ROOTS:
        state[ACTIVE], state[RUN] = item[INDEX], item[COUNT]
        state[SEARCHES] += item[COUNT]
        for i in range(item[COUNT]):
            run[i] = roots[item[FIRST_ROOT] + i]
    else:
        state[RUN] = 0
        for i in range(item[COUNT]):
            left = (message[item[PAYLOAD] + (i >> 3)] >> (i & 7)) & 1
            start, log_half = run[i] >> START_SHIFT, (run[i] & SIZE_MASK) - 1
            if log_half:
                run[state[RUN]] = ((start + ((1 - left) << log_half)) << START_SHIFT) | log_half
                state[RUN] += 1
    state[OPEN] = 0
    for i in range(state[RUN]):
        state[OPEN] += (run[i] & SIZE_MASK) > 1


@compiled
def answer(message: Bytes, items: Ints, roots: Nodes, reply: Bytes, at: int, key: Planes, slots: Slots, shapes: Shapes) -> None:
    """Do what the parsed items ask and write their reply items into `reply` (zeros) from `at` on."""
    for number in range(items.shape[0]):
        item, state = items[number], slots.states[items[number, FRAME]]
        geometry = int(item[FRAME] >= shapes.full)
        words = shapes.sizes[geometry] >> 6
        put_u32(reply, at, item[FRAME])
        put_u32(reply, at + 4, item[REPLIES])
        at += REPLY_ITEM_BYTES
        if item[KIND] == DONE:
            slots.holders[state[SLOT]] = -1
            state[SLOT] = FINISHED
        elif item[KIND] == PASS:
            first = item[FRAME] * (shapes.sizes[0] >> 6)
            _begin_pass(item, state, key, first, slots.planes, slots.holders, shapes.tables[geometry], words)
            plane, log_size = slots.planes[state[SLOT], item[INDEX]], shapes.log_k[state[CHOICE], geometry, item[INDEX]]
            for block in range(item[REPLIES]):
                reply[at + (block >> 3)] |= parity(plane, block << log_size, log_size) << (block & 7)
        else:
            run = slots.runs[state[SLOT]]
            _descend(message, item, state, run, roots)
            plane = slots.planes[state[SLOT], state[ACTIVE]]
            for i in range(state[RUN]):
                reply[at + (i >> 3)] |= parity(plane, run[i] >> START_SHIFT, (run[i] & SIZE_MASK) - 1) << (i & 7)
        at += (item[REPLIES] + 7) // 8
