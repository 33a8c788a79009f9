"""Whatever happens in whatever order: no key bit leaves twice, and both parties get the same bits."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from heliograph.core.errors import HeliographError, InsufficientKey
from heliograph.core.statement import Provenance, SecurityStatement
from heliograph.postprocess.channel.frames import MessageType
from heliograph.postprocess.keystore import Hold, Key, KeyBlock, Lease, link, open_party
from heliograph.postprocess.keystore.store import Injected

PROVENANCE = Provenance(True, ("test",))
STATEMENT = SecurityStatement((), (), 1e-10, 0, PROVENANCE)
PARTIES = st.sampled_from("AB")
KINDS = st.sampled_from([MessageType.KEY_OFFER, MessageType.KEY_ACK, MessageType.KEY_CANCEL, MessageType.RECONCILE, MessageType.BLOCK, MessageType.HELLO])


class Once(RuleBasedStateMachine):
    """Two parties that ingest, hold, fetch, lose messages, crash and close."""

    @initialize(lease=st.sampled_from([Lease(1, 1, 1), Lease(), Lease(64, 1024, 64)]))
    def begin(self, lease: Lease) -> None:
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.folder = Path(tempfile.mkdtemp(dir=memory))
        self.injected = Injected(lease=lease)
        self.blocks = 0
        self.left: dict[str, set[bytes]] = {"A": set(), "B": set()}
        self.keys: dict[str, Key] = {}
        self.unfetched: list[tuple[str, tuple[str, ...]]] = []
        self.holds: list[tuple[str, Hold]] = []
        self.lost: list[MessageType] = []
        self.open()

    def open(self) -> None:
        self.holds.clear()
        self.lost.clear()
        self.parties = {name: open_party(self.folder, name, injected=self.injected) for name in "AB"}
        self.link = link(self.parties["A"], self.parties["B"], fault=self.transmit)

    def transmit(self, end: int, data: bytes) -> list[bytes]:
        kind = MessageType(data[5])
        if kind in self.lost:
            self.lost.remove(kind)
            return []
        return [data]

    def leave(self, party: str, keys: tuple[Key, ...]) -> None:
        for key in keys:
            assert len(key.material) * 8 == key.bits
            pieces = [key.material[i : i + 8] for i in range(0, len(key.material), 8)]
            assert not self.left[party] & set(pieces)
            assert len(set(pieces)) == len(pieces)
            self.left[party] |= set(pieces)
            assert self.keys.setdefault(key.key_id, key) == key

    @rule(bits=st.integers(100, 6000))
    def ingest(self, bits: int) -> None:
        self.blocks += 1
        material = np.random.default_rng(self.blocks).integers(0, 256, 8 * bits, dtype=np.uint8)
        block = KeyBlock("A-B", 0, material, 64 * bits, STATEMENT, PROVENANCE)
        try:
            self.link.ingest(block, block)
        except HeliographError:
            assert not self.link.ends[0].connected or not self.link.ends[0].store.blocks_in("pending")

    @rule(party=PARTIES, words=st.integers(1, 700))
    def hold(self, party: str, words: int) -> None:
        keys, peer = self.parties[party], "BA"["AB".index(party)]
        before = keys.available_bits(peer)
        try:
            hold = keys.hold(peer, 64 * words, "x")
        except InsufficientKey:
            assert before < 64 * words
        else:
            self.holds.append((party, hold))
        assert keys.available_bits(peer) <= before

    @precondition(lambda self: self.holds)
    @rule(data=st.data(), release=st.booleans())
    def spend(self, data: st.DataObject, release: bool) -> None:
        party, hold = self.holds.pop(data.draw(st.integers(0, len(self.holds) - 1)))
        if release:
            self.parties[party].release(hold)
            return
        try:
            keys = self.parties[party].fetch(hold)
        except HeliographError:
            return
        assert sum(key.bits for key in keys) == hold.bits
        self.leave(party, keys)
        self.unfetched.append((hold.peer, tuple(key.key_id for key in keys)))

    @precondition(lambda self: self.unfetched)
    @rule(data=st.data(), again=st.booleans())
    def follow(self, data: st.DataObject, again: bool) -> None:
        place = data.draw(st.integers(0, len(self.unfetched) - 1))
        party, ids = self.unfetched[place] if again else self.unfetched.pop(place)
        try:
            self.leave(party, self.parties[party].fetch_by_id("BA"["AB".index(party)], ids, "x"))
        except HeliographError:
            return

    @rule(kind=KINDS)
    def lose(self, kind: MessageType) -> None:
        self.lost.append(kind)

    @rule()
    def connect(self) -> None:
        self.lost.clear()
        self.link.connect()
        here, there = (end.store.db.all("SELECT pool, idx FROM chunk WHERE state=1 ORDER BY pool, idx") for end in self.link.ends)
        assert here == there

    @rule()
    def crash(self) -> None:
        for end in self.link.ends:
            end.store.abandon()
        self.open()

    @rule()
    def close(self) -> None:
        self.link.close()
        self.open()

    @invariant()
    def books_balance(self) -> None:
        if not hasattr(self, "link"):
            return
        for name, keys in self.parties.items():
            books = keys.ledger("BA"["AB".index(name)])
            used = books.in_flight + books.pending + books.consumed + books.authentication + books.burned
            assert books.audit_ok
            assert books.delivered + books.preshared <= sum(books.available.values()) + used

    def teardown(self) -> None:
        if hasattr(self, "link"):
            self.link.close()
            shutil.rmtree(self.folder)


TestOnce = Once.TestCase
TestOnce.settings = settings(max_examples=12, stateful_step_count=25, deadline=None)
