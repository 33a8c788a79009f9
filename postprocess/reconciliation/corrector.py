"""Bob's side of error correction: asks for parities, finds the bits that differ, flips them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...core.errors import ReconciliationError
from .._packed import Packed, checked, packed_of, words_of
from .estimate import RateEstimate
from .messages import DONE, HEADER_BYTES, IDLE, ITEM_BYTES, PASS, REPLY, REQUEST, Shapes, header, opened, refused
from .schedule import CascadeParameters, FrameLayout

_WHY = ("", "the reply is longer or shorter than asked", "an item belongs to another frame or another question", "padding after the last parity is not zero")
_ONES = np.array([value.bit_count() for value in range(256)], np.uint8)


class Corrector:
    """Bob as a machine without sockets, clocks or threads: `start()` gives the first request, `feed(reply)` the next one, or None at the end.

    key_packed: his n_bits sifted X bits, packed LSB-first; not changed.  params: equal to those of the Reference.  Memory: about 2 MB for every frame of 2^17
    bits in flight.  Raises ParameterError for a key that is not packed as said.
    """

    def __init__(self, key_packed: Packed, n_bits: int, params: CascadeParameters) -> None:
        from . import _corrector_kernels as kernels

        self._kernels = kernels
        self._params = params
        self._layout = FrameLayout.of(n_bits, params.frame_bits)
        self._shapes = Shapes.of(self._layout, params)
        self._words = words_of(checked(key_packed, n_bits, "key"), self._layout.total_bits // 64)
        self._original = self._words.copy()
        in_flight = min(params.in_flight, self._layout.frames)
        self._slots = kernels.Slots.of(in_flight, self._shapes.log_k.shape[2], int(self._shapes.sizes.max()))
        self._cursors = self._slots.cursors
        self._cursors[:, kernels.STAGE] = IDLE
        self._estimate = RateEstimate(params, self._layout)
        self._rounds = np.zeros(self._layout.frames, np.int64)
        self._round = self._disclosed = self._next_frame = self._items = 0
        self._heads = np.zeros((2 * in_flight, 2), np.int64)
        self._offsets = np.zeros(in_flight, np.int64)
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
        self._disclosed += int(self._heads[: self._items, 1].sum())
        done = self._kernels.digest(np.frombuffer(reply, np.uint8), self._offsets, self._slots, self._shapes)
        if done < 0:
            self._failed = True
            raise ReconciliationError("the parities contradict each other", where="error correction", remedy="Drop the block, its bits must not be used.")
        finished = self._collect() if done else []
        self._fill()
        # Alice hears of these frames by the request that is composed now, so that frames begun in it cannot learn from them yet.
        for frame, found in finished:
            self._estimate.finish(frame, found)
        self._pending = self._composed([frame for frame, _ in finished])
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

    def _collect(self) -> list[tuple[int, int]]:
        """Take the corrected frames out of their slots; return their numbers and the searches they took."""
        kernels, finished = self._kernels, []
        for slot in np.flatnonzero(self._cursors[:, kernels.STAGE] == DONE):
            cursor = self._cursors[slot]
            frame, size = int(cursor[kernels.FRAME]), self._shapes.sizes[cursor[kernels.GEOMETRY]] // 64
            first = frame * (self._params.frame_bits // 64)
            self._words[first : first + size] = self._slots.planes[slot, 0, :size]
            self._rounds[frame] = cursor[kernels.ROUNDS]
            cursor[kernels.STAGE] = IDLE
            finished.append((frame, int(cursor[kernels.SEARCHES])))
        return finished

    def _fill(self) -> None:
        """Give free slots to the next frames."""
        if self._next_frame == self.frames:
            return
        kernels = self._kernels
        for slot in np.flatnonzero(self._cursors[:, kernels.STAGE] == IDLE)[: self.frames - self._next_frame]:
            frame = self._next_frame
            choice = self._estimate.choice(frame)
            if choice < 0:
                break
            geometry = int(frame >= self._layout.full)
            size, first = self._shapes.sizes[geometry] // 64, frame * (self._params.frame_bits // 64)
            self._cursors[slot] = 0
            self._cursors[slot, [kernels.FRAME, kernels.STAGE, kernels.GEOMETRY, kernels.CHOICE]] = frame, PASS, geometry, choice
            self._slots.planes[slot, 0, :size] = self._words[first : first + size]
            self._next_frame += 1

    def _composed(self, finished: list[int]) -> bytes | None:
        """Return the next request and note what its reply must look like; None where nothing is left to ask or to report."""
        kernels = self._kernels
        out = np.zeros(HEADER_BYTES + ITEM_BYTES * len(finished) + kernels.items_room(self._cursors), np.uint8)
        reported = np.array(finished, np.int64)
        self._items, end = kernels.write_items(out, HEADER_BYTES, reported, self._slots, self._shapes, self._heads, self._offsets)
        if not self._items:
            return None
        out[:HEADER_BYTES] = np.frombuffer(header(REQUEST, self._params.block, self._round, self._items), np.uint8)
        return out[:end].tobytes()

    def _check(self, reply: bytes) -> None:
        number, items = opened(reply, REPLY, self._params.block)
        if number != self._round:
            raise refused(f"the reply belongs to round {number}, not {self._round}")
        if items != self._items:
            raise refused(f"{items} items came, {self._items} were asked")
        wrong = self._kernels.mismatch(np.frombuffer(reply, np.uint8), HEADER_BYTES, self._heads[:items])
        if wrong:
            raise refused(_WHY[wrong])
