"""Cascade: both keys in one call against the plain reference, messages against that call, and what is given away against the Shannon limit."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from heliograph.postprocess.finite_key import binary_entropy
from heliograph.postprocess.reconciliation import CascadeParameters, Corrector, Reference, reconcile
from heliograph.postprocess.reconciliation._plain import reconcile as plain_reconcile

from ..harness import Figures, Race, row

FRAME = 131_072
SEED = bytes(range(32))
Packed = NDArray[np.uint8]


def keys(frames: int, rate: float, seed: int = 1) -> tuple[Packed, Packed]:
    """Return Alice's and Bob's keys of so many frames, packed."""
    rng = np.random.default_rng(seed)
    alice = rng.integers(0, 256, frames * FRAME // 8, np.uint8)
    return alice, alice ^ np.packbits(rng.random(frames * FRAME, np.float32) < rate)


def one_call(alice: Packed, bob: Packed, rate: float, frame_bits: int = FRAME) -> tuple[Packed, int]:
    """Return Bob's key after correction, and the parities disclosed."""
    found = reconcile(alice, bob, 8 * bob.size, CascadeParameters(rate, SEED, frame_bits=frame_bits))
    return found.key, int(found.disclosed.sum())


def by_messages(alice: Packed, bob: Packed, rate: float) -> tuple[Packed, int]:
    """Return the same from two parties that exchange bytes, 64 frames in flight."""
    params = CascadeParameters(rate, SEED)
    corrector, reference = Corrector(bob, 8 * bob.size, params), Reference(alice, 8 * alice.size, params)
    request: bytes | None = corrector.start()
    while request is not None:
        request = corrector.feed(reference.feed(request))
    return corrector.key, corrector.disclosed


def plainly(alice: Packed, bob: Packed, rate: float) -> tuple[Packed, int]:
    """Return the same from the plain reference, frame by frame; both keys are unpacked, which costs it little."""
    bits = [np.unpackbits(key, bitorder="little").reshape(-1, FRAME) for key in (alice, bob)]
    found = [plain_reconcile(*frame, rate, SEED) for frame in zip(*bits, strict=True)]
    return np.packbits(np.concatenate([each.bits for each in found]), bitorder="little"), sum(each.leak for each in found)


@row("cascade_vs_reference", peer="plain reference", unit="Mbit/s")
def cascade_vs_reference() -> Race:
    frames, rate = 32, 0.01
    alice, bob = keys(frames, rate)
    ours, theirs = one_call(alice, bob, rate), plainly(alice, bob, rate)
    assert np.array_equal(ours[0], theirs[0])
    assert ours[1] == theirs[1]
    return Race(lambda: one_call(alice, bob, rate), lambda: plainly(alice, bob, rate), frames * FRAME / 1e6)


@row("cascade_messages_vs_fused", peer="both parties in one call", unit="Mbit/s")
def cascade_messages_vs_fused() -> Race:
    frames, rate = 512, 0.01
    alice, bob = keys(frames, rate)
    ours, theirs = by_messages(alice, bob, rate), one_call(alice, bob, rate)
    assert np.array_equal(ours[0], theirs[0])
    assert ours[1] == theirs[1]
    return Race(lambda: by_messages(alice, bob, rate), lambda: one_call(alice, bob, rate), frames * FRAME / 1e6)


def efficiency(rate: float, frames: int = 200) -> Figures:
    """Return the bits disclosed over those that the realised error rate demands."""
    alice, bob = keys(frames, rate, seed=2)
    demanded = 8 * bob.size * binary_entropy(int(np.bitwise_count(alice ^ bob).sum()) / (8 * bob.size))
    found = {size: one_call(alice, bob, rate, size) for size in (FRAME // 8, FRAME // 4, FRAME // 2, FRAME)}
    wrong = {size: int((key != alice).reshape(-1, size // 8).any(axis=1).sum()) for size, (key, _) in found.items()}
    for size, (_, disclosed) in found.items():
        print(f"  {rate:.1%} errors, frames of {size:7,} bits: f {disclosed / demanded:.4f}, {wrong[size]} of {8 * bob.size // size:,} frames failed")
    assert not wrong[FRAME]
    return Figures(found[FRAME][1] / demanded, 1.0, smaller_is_better=True)


for percent in ("0.5", "1", "2", "5"):
    row(f"cascade_f_{percent}", peer="Shannon limit", unit="bit/bit")(partial(efficiency, float(percent) / 100))
