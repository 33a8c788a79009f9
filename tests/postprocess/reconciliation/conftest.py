"""Keys with known errors, and the two machines fed by hand."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from heliograph.postprocess.reconciliation import CascadeParameters, Corrector, Reference

SEED = bytes(range(32))


@dataclass
class Exchange:
    """Both machines after the last message, and the bytes that went either way."""

    bob: Corrector
    alice: Reference
    requests: list[bytes]
    replies: list[bytes]


@pytest.fixture
def seed() -> bytes:
    return SEED


@pytest.fixture
def golden_keys() -> Callable[[int, int], tuple[np.ndarray, np.ndarray]]:
    """Alice's and Bob's bits of the goldens, uint8 (n,)."""

    def make(n: int, errors: int) -> tuple[np.ndarray, np.ndarray]:
        alice = np.unpackbits(np.frombuffer(hashlib.shake_256(b"heliograph/cascade/alice").digest(n // 8), np.uint8), bitorder="little")
        stream = np.frombuffer(hashlib.shake_256(b"heliograph/cascade/errors").digest(8 * errors + 64), "<u4") % n
        bob = alice.copy()
        bob[list(dict.fromkeys(stream.tolist()))[:errors]] ^= 1
        return alice, bob

    return make


@pytest.fixture
def exchange() -> Callable[[np.ndarray, np.ndarray, CascadeParameters], Exchange]:
    """Run error correction of bits to its end, in process."""

    def run(alice: np.ndarray, bob: np.ndarray, params: CascadeParameters) -> Exchange:
        one = Corrector(np.packbits(bob, bitorder="little"), bob.size, params)
        other = Reference(np.packbits(alice, bitorder="little"), alice.size, params)
        requests, replies = [], []
        request: bytes | None = one.start()
        while request is not None:
            requests.append(request)
            replies.append(other.feed(request))
            request = one.feed(replies[-1])
        return Exchange(one, other, requests, replies)

    return run
