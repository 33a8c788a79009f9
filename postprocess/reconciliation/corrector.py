"""Bob's side of error correction: asks for parities, finds the bits that differ, flips them."""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

from ...core.errors import ReconciliationError
from .._packed import Packed, checked, packed_of, words_of
from .messages import DONE, FAILED, HEADER_BYTES, IDLE, ITEM_BYTES, PASS, REPLY, REPLY_ITEM_BYTES, REQUEST, Shapes, header, opened, refused
from .schedule import CascadeParameters, FrameLayout

_ROOT_BYTES = 4
_ONES = np.array([value.bit_count() for value in range(256)], np.uint8)


class Corrector:
    """Bob as a machine without sockets, clocks or threads: `start()` gives the first request, `feed(reply)` the next one, or None at the end.

    key_packed: his n_bits sifted X bits, packed LSB-first; not changed.  params: equal to those of the Reference.  Memory: about 32 bytes for every bit of the
    frames in flight, 4 MB a frame of 2^17 bits.  Raises ParameterError for a key that is not packed as said.
    """

    def __init__(self, key_packed: Packed, n_bits: int, params: CascadeParameters) -> None:
        from . import _corrector_kernels as kernels

        self._kernels = kernels
        self._params = params
        self._layout = FrameLayout.of(n_bits, params.frame_bits)
        self._shapes = Shapes.of(self._layout, params)
        self._words = words_of(checked(key_packed, n_bits, "key"), self._layout.total_bits // 64)
        self._original = self._words.copy()
        self._slots = kernels.Slots.of(min(params.in_flight, self._layout.frames), self._shapes.log_k.shape[1], int(self._shapes.sizes.max()))
        self._cursors = self._slots.cursors
        self._cursors[:, kernels.STAGE] = IDLE
        self._rounds = np.zeros(self._layout.frames, np.int64)
        self._round = self._disclosed = self._next_frame = 0
        self._heads: NDArray[np.int64] = np.zeros((0, 2), np.int64)
        self._offsets: NDArray[np.int64] = np.zeros(0, np.int64)
        self._failed = False
        self._fill()
        self._pending: bytes | None = self._composed([])

    def start(self) -> bytes:
        """Return the first request; asking again gives the same bytes. Raises ReconciliationError once a reply has been taken."""
        if self._round:
            raise ReconciliationError("error correction has begun already", where="error correction", remedy="Send `pending` again.")
        return self.pending

    @property
    def pending(self) -> bytes:
        """Return the request that waits for its reply, to be sent again where a message was lost; ReconciliationError where none waits."""
        if self._pending is None or self._failed:
            raise ReconciliationError("no request waits for a reply", where="error correction", remedy="Start the block again with a new seed.")
        return self._pending

    def feed(self, reply: bytes) -> bytes | None:
        """Take Alice's reply; return the next request, or None when all frames are corrected.

        Raises ReconciliationError for a reply that does not fit the pending request; nothing is changed then, and the right reply is still welcome. Parities
        that contradict each other end the block: every later call raises.
        """
        if self.finished or self._failed:
            raise ReconciliationError("no reply is expected", where="error correction", remedy="Start the block again with a new seed.")
        self._check(reply)
        self._round += 1
        self._disclosed += int(self._heads[:, 1].sum())
        self._kernels.digest(np.frombuffer(reply, np.uint8), self._offsets, self._slots, self._shapes)
        if (self._cursors[:, self._kernels.STAGE] == FAILED).any():
            self._failed = True
            raise ReconciliationError("the parities contradict each other", where="error correction", remedy="Drop the block, its bits must not be used.")
        finished = self._collect()
        self._fill()
        self._pending = self._composed(finished) if finished or self._working().any() else None
        return self._pending

    @property
    def finished(self) -> bool:
        """Return whether all frames are corrected and Alice has been told."""
        return self._pending is None

    @property
    def key(self) -> Packed:
        """Return the corrected key, packed; frames in progress are as they were."""
        return packed_of(self._words, self._layout.n_bits)

    @property
    def frames(self) -> int:
        """Return the number of frames."""
        return self._layout.frames

    @property
    def layout(self) -> FrameLayout:
        """Return how the key falls into frames."""
        return self._layout

    @property
    def corrected(self) -> NDArray[np.int64]:
        """Return the bits changed, int64 (frames,)."""
        changed = _ONES[(self._words ^ self._original).view(np.uint8)]
        return np.add.reduceat(changed, np.arange(self.frames) * (self._params.frame_bits // 8), dtype=np.int64)

    @property
    def rounds(self) -> NDArray[np.int64]:
        """Return the round trips taken by every frame, int64 (frames,), DONE not counted."""
        return self._rounds.copy()

    @property
    def disclosed(self) -> int:
        """Return the parity bits that Alice's replies have disclosed so far."""
        return self._disclosed

    @property
    def diffs(self) -> int:
        """Return the diff bits that Bob's requests disclose: one for every parity of Alice, for all that he asks and names follows from just these."""
        return self._disclosed

    def _working(self) -> NDArray[np.bool_]:
        return self._cursors[:, self._kernels.STAGE] < DONE

    def _collect(self) -> list[int]:
        """Take the corrected frames out of their slots; return their numbers."""
        kernels, finished = self._kernels, []
        for slot in np.flatnonzero(self._cursors[:, kernels.STAGE] == DONE):
            frame, size = int(self._cursors[slot, kernels.FRAME]), self._shapes.sizes[self._cursors[slot, kernels.GEOMETRY]] // 64
            first = frame * (self._params.frame_bits // 64)
            self._words[first : first + size] = self._slots.planes[slot, 0, :size]
            self._rounds[frame] = self._cursors[slot, kernels.ROUNDS]
            self._cursors[slot, kernels.STAGE] = IDLE
            finished.append(frame)
        return finished

    def _fill(self) -> None:
        """Give free slots to the next frames."""
        kernels = self._kernels
        for slot in np.flatnonzero(self._cursors[:, kernels.STAGE] == IDLE)[: self.frames - self._next_frame]:
            frame = self._next_frame
            geometry = int(frame >= self._layout.full)
            size, first = self._shapes.sizes[geometry] // 64, frame * (self._params.frame_bits // 64)
            if self._next_frame >= len(self._cursors):
                self._slots.trees[slot] = 0
            self._cursors[slot] = 0
            self._cursors[slot, [kernels.FRAME, kernels.STAGE, kernels.GEOMETRY]] = frame, PASS, geometry
            self._slots.planes[slot, 0, :size] = self._words[first : first + size]
            self._next_frame += 1

    def _composed(self, finished: list[int]) -> bytes:
        """Return the next request and note what its reply must look like."""
        kernels = self._kernels
        working = self._working()
        room = int((self._cursors[working][:, [kernels.RUN, kernels.DIFFS]].max(1, initial=0) * _ROOT_BYTES + ITEM_BYTES).sum())
        out = np.zeros(HEADER_BYTES + ITEM_BYTES * len(finished) + room, np.uint8)
        done = b"".join(struct.pack("<IBBI", frame, DONE, 0, 0) for frame in finished)
        front = header(REQUEST, self._params.block, self._round, len(finished) + int(working.sum())) + done
        out[: len(front)] = np.frombuffer(front, np.uint8)
        end = kernels.write_items(out, len(front), self._slots, self._shapes)
        asked = self._cursors[working][:, [kernels.FRAME, kernels.ASKED]]
        self._heads = np.concatenate([np.array([[frame, 0] for frame in finished], np.int64).reshape(-1, 2), asked])
        self._offsets = np.zeros(working.size, np.int64)
        self._offsets[working] = self._item_starts()[len(finished) : -1] + REPLY_ITEM_BYTES
        return out[:end].tobytes()

    def _item_starts(self) -> NDArray[np.int64]:
        """Return where the items of the expected reply begin, and where the last one ends: int64 (items + 1,)."""
        starts = np.full(len(self._heads) + 1, HEADER_BYTES, np.int64)
        starts[1:] += np.cumsum(REPLY_ITEM_BYTES + (self._heads[:, 1] + 7) // 8)
        return starts

    def _check(self, reply: bytes) -> None:
        number, items = opened(reply, REPLY, self._params.block)
        if number != self._round:
            raise refused(f"the reply belongs to round {number}, not {self._round}")
        starts = self._item_starts()
        if items != len(self._heads) or len(reply) != starts[-1]:
            raise refused(f"{items} items in {len(reply)} bytes came, {len(self._heads)} in {starts[-1]} were asked")
        octets = np.frombuffer(reply, np.uint8)
        heads = octets[starts[:-1, None] + np.arange(REPLY_ITEM_BYTES)].view("<u4")
        if not np.array_equal(heads, self._heads):
            raise refused("an item belongs to another frame or holds another number of parities than asked")
        rest = self._heads[:, 1] & 7
        if (octets[starts[1:] - 1][rest > 0] >> rest[rest > 0]).any():
            raise refused("padding after the last parity is not zero")
