"""Sifting of both parties, look-up in the pattern included, against NumPy's fancy indexing with packed planes."""

from __future__ import annotations

import numpy as np

from heliograph.acquisition.events import Events
from heliograph.acquisition.patterns import demo_patterns
from heliograph.acquisition.sifting import Engine, SiftedBlock, Sifter, Viewer
from heliograph.core.entropy import SimRandom

from ..harness import Race, row

EVENTS, CHUNK = 2_000_000, 131_072
OFFSETS = 17, 5123


@row("sift_vs_numpy", peer="numpy", package="numpy", unit="Mevent/s")
def sift_vs_numpy() -> Race:
    rng = np.random.default_rng(1)
    slot = np.cumsum(rng.geometric(0.0104, EVENTS))
    patterns = demo_patterns(SimRandom(1), 10_000, 1000, 104)
    detector = rng.integers(0, 2, EVENTS).astype(np.uint8)
    events = [Events(slot[begin : begin + CHUNK], detector[begin : begin + CHUNK]) for begin in range(0, EVENTS, CHUNK)]

    def sift(engine: Engine) -> tuple[SiftedBlock, SiftedBlock]:
        alice, bob = Viewer(patterns[0], OFFSETS[0], "alice", engine=engine), Viewer(patterns[1], OFFSETS[1], "bob", engine=engine)
        at_alice, at_bob = Sifter(engine=engine), Sifter(engine=engine)
        for part in events:
            a, b = alice.feed(part), bob.feed(part)
            at_alice.feed(a, b.basis)
            at_bob.feed(b, a.basis)
        return at_alice.block(), at_bob.block()

    for ours, theirs in zip(sift("numba"), sift("numpy"), strict=True):
        assert np.array_equal(ours.x_key, theirs.x_key)
        assert np.array_equal(ours.y_bits, theirs.y_bits)
    return Race(lambda: sift("numba"), lambda: sift("numpy"), 2 * EVENTS / 1e6)
