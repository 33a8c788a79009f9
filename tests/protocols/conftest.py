"""An in-memory key network that keeps the key store's promises, for tests of what uses it."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass, field

import pytest

from heliograph.core.errors import InsufficientKey, KeyStoreError, UnknownKey
from heliograph.postprocess.keystore.source import Hold, Key


@dataclass
class Network:
    """Pools of whole chunks, one a direction; every byte leaves once to each of its two parties."""

    parties: str = "ABC"
    chunks: int = 100
    chunk_bits: int = 512
    sources: dict = field(default_factory=dict)
    spent: list = field(default_factory=list)
    offered: dict = field(default_factory=dict)
    log: list = field(default_factory=list)
    taken: dict = field(default_factory=dict)

    def __post_init__(self):
        pairs = list(itertools.permutations(self.parties, 2))
        self.left = dict.fromkeys(pairs, self.chunks)
        self.held = dict.fromkeys(pairs, 0)
        self.next = dict.fromkeys(pairs, 0)
        self.ids = (f"key-{n:06d}" for n in itertools.count())
        self.sources = {party: Source(self, party) for party in self.parties}

    def chunks_for(self, bits):
        return -(-bits // self.chunk_bits)

    def gauges(self):
        return {(a, b): self.sources[a].available_bits(b) for a, b in self.left}

    def draw(self, pair, bits):
        index = range(self.next[pair], self.next[pair] + self.chunks_for(bits))
        self.next[pair] = index.stop
        self.spent += [(pair, i) for i in index]
        material = b"".join(hashlib.shake_256(f"{pair}{i}".encode()).digest(self.chunk_bits // 8) for i in index)
        return material[: bits // 8]


class Source:
    """One party's KeySource."""

    def __init__(self, network, party):
        self.network, self._party, self.open = network, party, {}

    @property
    def party(self):
        return self._party

    def available_bits(self, peer):
        pair = (self._party, peer)
        return (self.network.left[pair] - self.network.held[pair]) * self.network.chunk_bits

    def affordable_holds(self, peer, bits):
        pair = (self._party, peer)
        return (self.network.left[pair] - self.network.held[pair]) // self.network.chunks_for(bits)

    def taken(self, peer):
        return {purpose: bits for (pair, purpose), bits in self.network.taken.items() if pair == (self._party, peer)}

    def hold(self, peer, bits, purpose):
        have = self.available_bits(peer)
        if bits > have:
            raise InsufficientKey("-".join(sorted((self._party, peer))), bits, have, purpose=purpose)
        hold = Hold(next(self.network.ids), peer, bits, purpose)
        self.open[hold.hold_id] = hold
        self.network.held[self._party, peer] += self.network.chunks_for(bits)
        self.network.log.append(("hold", self._party, peer))
        return hold

    def release(self, hold):
        if self.open.pop(hold.hold_id, None) is not None:
            self.network.held[self._party, hold.peer] -= self.network.chunks_for(hold.bits)
            self.network.log.append(("release", self._party, hold.peer))

    def fetch(self, hold):
        if hold.hold_id not in self.open:
            raise KeyStoreError("the hold is gone", where=hold.hold_id)
        self.release(hold)
        self.network.log.append(("fetch", self._party, hold.peer))
        pair = (self._party, hold.peer)
        taken = self.network.taken
        taken[pair, hold.purpose] = taken.get((pair, hold.purpose), 0) + self.network.chunks_for(hold.bits) * self.network.chunk_bits
        self.network.left[pair] -= self.network.chunks_for(hold.bits)
        key = Key(next(self.network.ids), hold.bits, self.network.draw(pair, hold.bits))
        self.network.offered[self._party, hold.peer, key.key_id] = key
        return (key,)

    def fetch_by_id(self, peer, ids, purpose):
        wanted = [(peer, self._party, key_id) for key_id in ids]
        if any(name not in self.network.offered for name in wanted):
            raise UnknownKey("no such key", where=str(ids))
        self.network.log.append(("fetch_by_id", self._party, peer))
        return tuple(self.network.offered.pop(name) for name in wanted)


@pytest.fixture
def network():
    """Return the class; tests make their own network."""
    return Network
