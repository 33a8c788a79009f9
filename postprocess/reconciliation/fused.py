"""Both parties in one process and one compiled call a frame: for simulations and benchmarks, where nobody needs the messages."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .._packed import Packed, Words, checked, packed_of, words_of
from .estimate import RateEstimate
from .messages import PASS, Shapes
from .schedule import CascadeParameters, FrameLayout


@dataclass(frozen=True, slots=True)
class Reconciled:
    """Bob's key after correction, packed, and for every frame, int64 (frames,): parities Alice disclosed, round trips, bits changed."""

    key: Packed
    disclosed: NDArray[np.int64]
    rounds: NDArray[np.int64]
    corrected: NDArray[np.int64]


def reconcile(alice_packed: Packed, bob_packed: Packed, n_bits: int, params: CascadeParameters) -> Reconciled:
    """Correct Bob's key with Alice's; leak, rounds and bits are those of `Corrector` and `Reference`, however many frames those have in flight.

    alice_packed, bob_packed: n_bits bits each, packed LSB-first; not changed.  Raises ParameterError for a key that is not packed as said.
    """
    layout = FrameLayout.of(n_bits, params.frame_bits)
    alice, bob = (words_of(checked(packed, n_bits, "key"), layout.total_bits // 64) for packed in (alice_packed, bob_packed))
    place = _Place(Shapes.of(layout, params))
    estimate = RateEstimate(params, layout)
    counts = np.zeros((3, layout.frames), np.int64)
    for frame in range(layout.frames):
        words = slice(frame * params.frame_bits // 64, (frame + 1) * params.frame_bits // 64)
        *counts[:, frame], searches = place.correct(alice[words], bob[words], estimate.choice(frame), int(frame >= layout.full))
        estimate.finish(frame, searches)
    return Reconciled(packed_of(bob, n_bits), *counts)


class _Place:
    """Room for one frame at a time, used again and again."""

    def __init__(self, shapes: Shapes) -> None:
        from . import _corrector_kernels, _fused_kernels

        self._kernels, self._correct = _corrector_kernels, _fused_kernels.correct
        self._shapes = shapes
        n, passes = int(shapes.sizes.max()), shapes.log_k.shape[2]
        self._slots = _corrector_kernels.Slots.of(1, passes, n)
        self._alice = np.empty((passes, n // 64), np.uint64)
        self._reply = np.empty(n // 8, np.uint8)

    def correct(self, alice: Words, bob: Words, choice: int, geometry: int) -> tuple[int, int, int, int]:
        """Correct Bob's words in place; return disclosed parities, rounds, bits changed, searches."""
        kernels, cursor, key = self._kernels, self._slots.cursors[0], self._slots.planes[0, 0, : bob.size]
        cursor[:] = 0
        cursor[[kernels.STAGE, kernels.CHOICE, kernels.GEOMETRY]] = PASS, choice, geometry
        self._alice[0, : alice.size], key[:] = alice, bob
        disclosed = self._correct(self._alice, self._reply, self._slots, self._shapes)
        bob[:] = key
        return disclosed, int(cursor[kernels.ROUNDS]), int(cursor[kernels.FLIPS]), int(cursor[kernels.SEARCHES])
