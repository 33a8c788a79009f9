"""Alice's side of error correction: answers with parities of her key, and counts every one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...core.errors import ReconciliationError
from .._packed import Packed, checked, words_of
from .estimate import RateEstimate
from .messages import DONE, HEADER_BYTES, REPLY, REQUEST, Shapes, header, opened, refused
from .schedule import CascadeParameters, FrameLayout

_WHY = {
    "TRUNCATED": "the message ends inside an item",
    "NO_FRAME": "there is no such frame",
    "TWICE": "a frame appears twice",
    "NO_KIND": "there is no such kind of item",
    "NOT_NOW": "the item does not follow from what came before in its frame",
    "BAD_COUNT": "the count does not fit the item",
    "BAD_NODE": "a node lies outside the tree, or cannot be halved",
    "PADDING": "padding after the last diff is not zero",
    "TOO_MANY": "more frames are in flight than agreed",
    "TRAILING": "bytes follow the last item",
}


class Reference:
    """Alice as a machine without sockets, clocks or threads: `feed(request)` gives the reply.

    key_packed: her n_bits sifted X bits, packed LSB-first; never changed.  params: equal to those of the Corrector.
    Raises ParameterError for a key that is not packed as said.
    """

    def __init__(self, key_packed: Packed, n_bits: int, params: CascadeParameters) -> None:
        from . import _reference_kernels as kernels

        self._kernels = kernels
        self._params = params
        self._layout = FrameLayout.of(n_bits, params.frame_bits)
        self._shapes = Shapes.of(self._layout, params)
        self._words = words_of(checked(key_packed, n_bits, "key"), self._layout.total_bits // 64)
        frames = self._layout.frames
        self._slots = kernels.Slots.of(min(params.in_flight, frames), frames, self._shapes.log_k.shape[2], int(self._shapes.sizes.max()))
        self._estimate = RateEstimate(params, self._layout)
        self._round = self._disclosed = self._chosen = 0
        self._choose()
        self._last_request = self._last_reply = b""

    def feed(self, request: bytes) -> bytes:
        """Return the reply to Bob's request.

        The last request again gets the stored reply and is not counted again. Raises ReconciliationError for a request that does not fit (block, round, frame,
        kind, count, node, length); nothing is changed then, and the right request is still welcome.
        """
        number, n_items = opened(request, REQUEST, self._params.block)
        if self._round and number == self._round - 1 and request == self._last_request:
            return self._last_reply
        if number != self._round:
            raise refused(f"the request belongs to round {number}, not {self._round}")
        message, kernels = np.frombuffer(request, np.uint8), self._kernels
        items = np.zeros((n_items, kernels.ITEM_COLUMNS), np.int64)
        roots = np.empty(message.size // 2, np.int32)
        seen = np.zeros(self._layout.frames, np.uint8)
        code = kernels.parse(message, HEADER_BYTES, self._slots, self._shapes, items, roots, seen)
        if code:
            raise self._refused(code)
        size, parities, done = kernels.measured(items)
        reply = np.zeros(HEADER_BYTES + size, np.uint8)
        reply[:HEADER_BYTES] = np.frombuffer(header(REPLY, self._params.block, number, n_items), np.uint8)
        kernels.answer(message, items, roots, reply, HEADER_BYTES, self._words, self._slots, self._shapes)
        if done:
            self._note_done(items[items[:, kernels.KIND] == DONE, kernels.FRAME])
        self._disclosed += parities
        self._round += 1
        self._last_request, self._last_reply = request, reply.tobytes()
        return self._last_reply

    def _note_done(self, frames: NDArray[np.int64]) -> None:
        for frame in frames.tolist():
            self._estimate.finish(frame, int(self._slots.states[frame, self._kernels.SEARCHES]))
        self._choose()

    def _choose(self) -> None:
        """Choose the block sizes of the next frames as far as enough frames are done."""
        while self._chosen < self.frames and (choice := self._estimate.choice(self._chosen)) >= 0:
            self._slots.states[self._chosen, self._kernels.CHOICE] = choice
            self._chosen += 1

    @property
    def disclosed(self) -> int:
        """Return the parity bits that the replies have disclosed so far, repeated replies not counted again."""
        return self._disclosed

    @property
    def diffs(self) -> int:
        """Return the diff bits that Bob's requests disclose: one for every parity answered, for all that he asks and names follows from just these."""
        return self._disclosed

    @property
    def frames(self) -> int:
        """Return the number of frames."""
        return self._layout.frames

    @property
    def layout(self) -> FrameLayout:
        """Return how the key falls into frames."""
        return self._layout

    @property
    def finished(self) -> bool:
        """Return whether Bob has reported every frame as done."""
        return bool((self._slots.states[:, self._kernels.SLOT] == self._kernels.FINISHED).all())

    def _refused(self, code: int) -> ReconciliationError:
        name = next(name for name in _WHY if getattr(self._kernels, name) == code & 255)
        return refused(f"item {code >> 8}: {_WHY[name]}")
