"""Verification by frames: which frames of a corrected key are equal, and the key that is left of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .reconciliation import FrameLayout
from .verification import polynomial_tag

Packed = NDArray[np.uint8]


def frame_bits_of(key: Packed, layout: FrameLayout, frame: int) -> tuple[Packed, int]:
    """Return the packed bits of one frame and their number, padding left out; frames begin on whole bytes."""
    first = frame * layout.frame_bits // 8
    bits = layout.bits_of(frame)
    return key[first : first + (bits + 7) // 8], bits


def frame_tags(key: Packed, layout: FrameLayout, hash_key: int) -> NDArray[np.uint64]:
    """Return the verification tag (frames,) of every frame."""
    return np.array([polynomial_tag(*frame_bits_of(key, layout, frame), hash_key) for frame in range(layout.frames)], np.uint64)


def surviving(key: Packed, layout: FrameLayout, kept: NDArray[np.bool_]) -> tuple[Packed, int]:
    """Return the bits of the kept frames in their order, packed, and their number. kept: bool (frames,)."""
    if kept.all():
        return key, layout.n_bits
    parts = [frame_bits_of(key, layout, int(frame)) for frame in np.flatnonzero(kept)]
    return np.concatenate([part for part, _ in parts] or [key[:0]]), sum(bits for _, bits in parts)
