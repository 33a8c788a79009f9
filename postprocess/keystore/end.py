"""One end of a link: what the two stores of a pair say to each other over the channel.

HELLO compares the link, RECONCILE makes both ends equal, BLOCK lays new key down at both, KEY_OFFER hands key out. An answer that has not come when the
transport's `send` returns is taken for lost, and what it was about is burned.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ...core.errors import DesyncError, FrameError, HeliographError, InsufficientKey, KeyStoreError, RollbackSuspected
from ..channel.authentication import check_tag, digest_message, forgery_bound, one_time_tag
from ..channel.frames import A_TO_B, B_TO_A, Frame, FrameReader, MessageType, Sender
from .allocation import Allocator, KeyPlace, Plan, parsed_offer
from .schema import Pool, State, other, own_pools
from .source import Key, KeyBlock
from .split import SplitPolicy
from .store import Store

OFFERS_PER_FRAME = 128


class Transport(Protocol):
    """What an end needs of a connection; `in_process.Endpoint` is one."""

    on_bytes: Callable[[bytes], None] | None

    @property
    def open(self) -> bool:
        """Say whether neither end has closed it."""
        ...

    def send(self, data: bytes) -> None:
        """Send bytes; answers that come at once are handed to `on_bytes` before it returns."""
        ...

    def close(self) -> None:
        """End the connection."""
        ...


@dataclass(frozen=True, slots=True)
class _Laid:
    """A block cut and waiting for the other end's word."""

    block: int
    material: bytes = field(repr=False)
    bits: int
    statement: dict[str, Any]


class LinkEnd:
    """A store joined to its peer. party, peer: the two names, side A first in the alphabet.

    A FrameError, a refused write or a rollback closes the connection; `failure` then says why.
    """

    def __init__(self, store: Store, party: str, peer: str, policy: SplitPolicy | None = None) -> None:
        self.store = store
        self.party = party
        self.peer = peer
        self.keys = Allocator(store, party, peer)
        self.failure: HeliographError | None = None
        self.ready = False
        self._policy = policy or SplitPolicy()
        self._side = store.identity.side
        self._transport: Transport | None = None
        self._acks: dict[int, bool] = {}
        self._laid: _Laid | None = None
        self._waiting: Frame | None = None
        self._refused = ""
        self._sender, self._reader = self._session()

    def _session(self) -> tuple[Sender, FrameReader]:
        mine, theirs = (A_TO_B, B_TO_A) if self._side == "A" else (B_TO_A, A_TO_B)
        return Sender(0, mine), FrameReader(direction=theirs)

    # Connection

    def attach(self, transport: Transport) -> None:
        """Take a new connection; the session before it has ended."""
        self._transport, transport.on_bytes = transport, self.feed
        self.ready, self.failure = False, None
        self._acks, self._laid, self._waiting = {}, None, None
        self._sender, self._reader = self._session()

    def connect(self) -> None:
        """Open a session from side A; both ends are equal when it returns. Raises what went wrong, KeyStoreError if the peer did not answer."""
        session = self.store.db.get("session") + 1
        with self.store.db.transaction():
            self.store.db.put(session=session)
        self._sender.session = session
        self._send(MessageType.HELLO, self._hello())
        self.require_ready()

    def require_ready(self) -> None:
        """Raise the failure of this end, or KeyStoreError if the session is not open."""
        if self.failure is not None:
            raise self.failure
        if not self.connected:
            raise KeyStoreError("the two stores are not connected", where=f"pair {self.store.identity.pair}", remedy="Connect the link again.")

    @property
    def connected(self) -> bool:
        """Say whether the session is open and reconciled."""
        return self.ready and self._transport is not None and self._transport.open

    def feed(self, data: bytes) -> None:
        """Take bytes from the peer. Never raises a HeliographError: it ends the session and is kept in `failure`."""
        try:
            for frame in self._reader.feed(data):
                self._handle(frame)
        except HeliographError as error:
            self.failure = error
            self.drop()

    def drop(self) -> None:
        """End the session."""
        self.ready = False
        if self._transport is not None:
            self._transport.close()

    def _send(self, type_: MessageType, header: dict[str, Any], arrays: dict[str, NDArray[Any]] | None = None) -> int:
        if self._transport is None:
            raise KeyStoreError("the two stores are not connected", where=f"pair {self.store.identity.pair}", remedy="Connect the link first.")
        seq = self._sender.seq
        self._transport.send(self._sender.frame(type_, header, arrays))
        return seq

    def _handle(self, frame: Frame) -> None:
        if frame.type is not MessageType.HELLO and (not self._sender.session or frame.session != self._sender.session):
            raise FrameError("a frame of another session", where=frame.type.name)
        handlers = {
            MessageType.HELLO: self._on_hello,
            MessageType.RECONCILE: self._on_reconcile,
            MessageType.BLOCK: self._on_block,
            MessageType.KEY_OFFER: self._on_offer,
            MessageType.KEY_ACK: self._on_ack,
            MessageType.KEY_CANCEL: self._on_cancel,
        }
        if frame.type not in handlers:
            raise FrameError(f"{frame.type.name} does not belong here", where="key management")
        try:
            handlers[frame.type](frame)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            if isinstance(error, HeliographError):
                raise
            raise FrameError("a field is missing or of the wrong kind", where=frame.type.name) from error

    def _hello(self) -> dict[str, Any]:
        known, db = self.store.identity, self.store.db
        header = {"link": known.link_id.hex(), "side": known.side, "provenance": known.provenance, "last": db.get("last_block")}
        return header | {"lease": db.get("lease_no"), "seen": db.get("peer_lease")}

    def _on_hello(self, frame: Frame) -> None:
        mine, theirs = self._hello(), frame.header
        if theirs["link"] != mine["link"] or theirs["side"] != other(self._side):
            raise KeyStoreError("the other end belongs to another link", where=f"pair {self.store.identity.pair}", remedy="Provision both ends together.")
        self.store.check_provenance(theirs["provenance"])
        if theirs["seen"] > mine["lease"]:
            raise self._locked({})
        if self._side == "A":
            if frame.session != self._sender.session:
                raise FrameError("the answer is of another session", where="HELLO")
            self.reconcile()
            return
        # An end that was rolled back gets its answer, so that it learns of it and locks itself; its sessions are old too.
        if theirs["lease"] >= mine["seen"]:
            if frame.session <= self.store.db.get("session"):
                raise FrameError("a replayed or older session", where="HELLO")
            with self.store.db.transaction():
                self.store.db.put(session=frame.session)
        self._sender.session = frame.session
        self._send(MessageType.HELLO, mine)

    # RECONCILE: A asks, B answers, A ends

    def reconcile(self) -> None:
        """Compare both ends, from side A; what either is in doubt about is burned at both."""
        self._send_state(1, [])

    def _send_state(self, step: int, dead: list[str]) -> None:
        db, number_head = self.store.db, self.store.db.audit_head
        counters = [self.store.counters(pool) for pool in Pool]
        header = {"step": step, "epoch": db.get("epoch"), "lease": db.get("lease_no"), "last": db.get("last_block")}
        header |= {"ingest": [c[0] for c in counters], "alloc": [c[1] for c in counters], "n": number_head[0], "head": number_head[1].hex()}
        arrays = {"blocks": np.array(self.store.blocks_in("pending", "open", "empty"), "<u8"), "offered": _packed(self.keys.offered()), "dead": _packed(dead)}
        self._send(MessageType.RECONCILE, header, arrays)

    def _on_reconcile(self, frame: Frame) -> None:
        step = frame.header["step"]
        if step not in ((1, 3) if self._side == "B" else (2,)):
            raise FrameError("a step out of place", where="RECONCILE")
        self._check_rollback(frame.header)
        self._adopt(frame)
        self.keys.burn(_unpacked(frame.arrays["dead"]), "disowned by the peer")
        if step < 3:
            self._send_state(step + 1, self.keys.disowned(_unpacked(frame.arrays["offered"])))
        self.ready = True

    def _check_rollback(self, theirs: dict[str, Any]) -> None:
        db = self.store.db
        if theirs["lease"] < db.get("peer_lease"):
            raise RollbackSuspected("the other end is older than it was", where=f"pair {self.store.identity.pair}", remedy="Retire both stores.")
        ahead = {pool: theirs["alloc"][pool - 1] for pool in own_pools(self._side) if theirs["alloc"][pool - 1] > self.store.counters(pool)[1]}
        if ahead:
            raise self._locked(ahead)

    def _locked(self, ahead: dict[Pool, int]) -> RollbackSuspected:
        """Lock this store, which is an old copy, burning what the peer knows to be allocated; return the error to raise."""
        db = self.store.db
        with db.transaction():
            for pool, end in ahead.items():
                self.store.retire(pool, 0, end, (State.AVAILABLE,), State.BURNED)
                db.run("UPDATE pool SET next_alloc=? WHERE pool=?", end, pool)
            db.put(locked=1)
            db.audit("alarm", why="the peer knows more than this store", pools=[int(pool) for pool in ahead])
        return RollbackSuspected("the other end knows more than this store: an old copy was restored", where=str(self.store.path), remedy="Retire both stores.")

    def _adopt(self, frame: Frame) -> None:
        theirs, db, live = frame.header, self.store.db, set(frame.arrays["blocks"].tolist())
        burned = 0
        with db.transaction():
            db.put(peer_lease=theirs["lease"], peer_head=bytes.fromhex(theirs["head"]), last_block=max(db.get("last_block"), theirs["last"]))
            for pool in Pool:
                ingested, _, _ = self.store.counters(pool)
                db.run("UPDATE pool SET next_ingest=? WHERE pool=?", max(ingested, theirs["ingest"][pool - 1]), pool)
            for block in self.store.blocks_in("pending"):
                # What only this end has laid down is of no use: the other burned it, or never saw it.
                self.store.settle_block(block, good=block in live)
            for block in self.store.blocks_in("open"):
                if block and block not in live:
                    self.store.burn_block(block)
            for pool in own_pools(other(self._side)):
                end = theirs["alloc"][pool - 1]
                burned += self.store.retire(pool, 0, end, (State.AVAILABLE,), State.BURNED)
                db.run("UPDATE pool SET next_alloc=max(next_alloc,?) WHERE pool=?", end, pool)
            if burned:
                db.audit("follow", burned=burned)

    # BLOCK

    def lay(self, block: KeyBlock) -> bool:
        """Hand over this end's half of a block; True if both ends now have it, False if the peer's half has not come yet.

        Raises ProvenanceError, KeyStoreError for a number that is not the next, DesyncError if the peer has other bits; the block is burned then.
        """
        self.store.check_provenance(block.provenance.label)
        self.require_ready()
        number = block.block or self.next_block
        if number != self.next_block or self._laid is not None:
            raise KeyStoreError(f"block {number} is not the next one ({self.next_block})", where=f"pair {self.store.identity.pair}")
        if block.bits % 8 and int(block.material[-1]) >> (block.bits % 8):
            raise FrameError("the padding bits are not zero", where="key block")
        material = block.material.tobytes()[: block.bits // 8]
        statement = block.statement.as_dict() | {"auth_epsilon": forgery_bound(len(digest_message(bytes(16), 0, material)))}
        self._laid, self._refused = _Laid(number, material, block.bits, statement), ""
        if self._side == "A":
            self._offer_block(self._laid)
        elif self._waiting is not None:
            waiting, self._waiting = self._waiting, None
            self._answer_block(waiting, self._laid)
        if self._refused:
            raise DesyncError(f"block {number} was burned at both ends: {self._refused}", where=f"pair {self.store.identity.pair}")
        if self.failure is not None:
            raise self.failure
        return self._laid is None

    @property
    def next_block(self) -> int:
        """Return the number the next block gets; amplified blocks count from 1."""
        return int(self.store.db.get("last_block")) + 1

    def _offer_block(self, laid: _Laid) -> None:
        store, pool = self.store, Pool.AUTH_AB
        counts = self._cut(laid)
        if any(store.available(p) + counts[p] > most for p, most in self._policy.capacity.items()):
            raise KeyStoreError("the block would overfill the store and was refused whole", where=f"pair {store.identity.pair}", remedy="Spend key first.")
        firsts = [store.counters(p)[0] for p in Pool]
        index = store.next_pad(pool)
        with store.db.transaction():
            pad = store.take_pad(pool, index)
            store.add_block(laid.block, laid.material, laid.bits, counts, laid.statement)
        tag = one_time_tag(store.hash_key(pool), pad, digest_message(store.identity.link_id, laid.block, laid.material))
        header = {"b": laid.block, "bits": laid.bits, "counts": list(counts.values()), "first": firsts, "s": index, "digest": tag.hex()}
        self._send(MessageType.BLOCK, header)

    def _cut(self, laid: _Laid) -> dict[Pool, int]:
        return self._policy.cut(len(laid.material), (self.store.available(Pool.AUTH_AB), self.store.available(Pool.AUTH_BA)))

    def withdraw(self) -> None:
        """Forget a half that waits for the other one; called by the link where the other half was refused."""
        self._laid = self._waiting = None

    def _on_block(self, frame: Frame) -> None:
        if self._side == "B":
            if self._laid is None:
                self._waiting = frame
            else:
                self._answer_block(frame, self._laid)
            return
        if self._laid is None or frame.header["b"] != self._laid.block:
            raise FrameError("an answer to no question", where="BLOCK")
        laid, self._laid = self._laid, None
        if frame.header["ok"] != 1:
            self._refused = str(frame.header["why"])
            with self.store.db.transaction():
                self.store.settle_block(laid.block, good=False)
        self.reconcile()

    def _answer_block(self, frame: Frame, laid: _Laid) -> None:
        self._laid = None
        self._refused = self._take_block(frame.header, laid)
        if self._refused:
            self._send(MessageType.BLOCK, {"b": frame.header["b"], "ok": 0, "why": self._refused})
        else:
            self._send(MessageType.BLOCK, {"b": frame.header["b"], "ok": 1})

    def _take_block(self, theirs: dict[str, Any], laid: _Laid) -> str:
        """Cut the own bytes as the peer did; return why not, empty if all is well."""
        store, pool = self.store, Pool.AUTH_AB
        counts = self._cut(laid)
        try:
            with store.db.transaction():
                pad = store.take_pad(pool, theirs["s"])
        except KeyStoreError as error:
            return error.message
        if (theirs["b"], theirs["bits"]) != (laid.block, laid.bits):
            return "the two ends have different blocks"
        # The tag is over the bytes alone: were the split taken from the message, whoever alters it could have both ends allocate the same bytes.
        if theirs["counts"] != list(counts.values()) or theirs["first"] != [store.counters(p)[0] for p in Pool]:
            return "the two ends cut the block differently"
        if any(store.available(p) + counts[p] > most for p, most in self._policy.capacity.items()):
            return "the block would overfill the store"
        try:
            check_tag(store.hash_key(pool), pad, digest_message(store.identity.link_id, laid.block, laid.material), bytes.fromhex(theirs["digest"]))
        except FrameError:
            return "the two ends hold different bits"
        with store.db.transaction():
            store.add_block(laid.block, laid.material, laid.bits, counts, laid.statement)
        return ""

    # KEY_OFFER

    def fetch(self, bits: int, plan: Plan, purpose: str) -> tuple[Key, ...]:
        """Spend own key that the peer then also holds. Raises InsufficientKey (nothing changed), KeyStoreError (unconfirmed or damaged: burned)."""
        self.require_ready()
        places = self.keys.reserve(bits, plan, purpose)
        ids = [place.key_id for place in places]
        if not all(self._offer(places[i : i + OFFERS_PER_FRAME]) for i in range(0, len(places), OFFERS_PER_FRAME)):
            self._cancel(ids, "not confirmed")
            raise KeyStoreError("the other end did not confirm; the keys were burned", where=f"pair {self.store.identity.pair}", remedy="Fetch again.")
        try:
            return self.keys.consume(places, State.RESERVED, purpose)
        except KeyStoreError:
            self._cancel(ids, "damaged")
            raise

    def _offer(self, places: tuple[KeyPlace, ...]) -> bool:
        try:
            seq = self._send(MessageType.KEY_OFFER, {"keys": [place.as_list() for place in places]})
        except FrameError:
            return False
        return self._acks.pop(seq, False)

    def _cancel(self, ids: list[str], why: str) -> None:
        self.keys.burn(ids, why)
        for i in range(0, len(ids), OFFERS_PER_FRAME):
            if self.connected:
                self._send(MessageType.KEY_CANCEL, {"ids": ids[i : i + OFFERS_PER_FRAME]})

    def _on_offer(self, frame: Frame) -> None:
        entries = frame.header["keys"]
        if not isinstance(entries, list) or not 0 < len(entries) <= OFFERS_PER_FRAME:
            raise FrameError("the offer is malformed", where="KEY_OFFER")
        good = self.keys.accept([parsed_offer(entry) for entry in entries])
        self._send(MessageType.KEY_ACK, {"offer": frame.seq, "ok": int(good)})

    def _on_ack(self, frame: Frame) -> None:
        self._acks[frame.header["offer"]] = frame.header["ok"] == 1

    def _on_cancel(self, frame: Frame) -> None:
        offered = set(self.keys.offered())
        self.keys.burn([key_id for key_id in frame.header["ids"] if key_id in offered], "cancelled by the peer")

    def fetch_by_id(self, ids: tuple[str, ...], purpose: str) -> tuple[Key, ...]:
        """Spend keys the peer has fetched. Raises UnknownKey, and then none was touched."""
        return self.keys.consume(self.keys.find(ids), State.OFFERED, purpose)

    def hold_plan(self, bits: int, data_held: int, bulk_held: int, purpose: str) -> Plan:
        """Return the chunks that a new hold takes beside those held already. Raises InsufficientKey."""
        data, bulk = self.keys.free()
        plan = Plan.of(bits, data - data_held, bulk - bulk_held)
        if plan is None:
            raise InsufficientKey(self.store.identity.pair, bits, 256 * (data - data_held) + 32_768 * (bulk - bulk_held), purpose=purpose)
        return plan


def _packed(ids: list[str]) -> NDArray[np.uint8]:
    return np.frombuffer(b"".join(uuid.UUID(key_id).bytes for key_id in ids), np.uint8).reshape(-1, 16)


def _unpacked(rows: NDArray[np.uint8]) -> list[str]:
    if rows.dtype != np.uint8 or rows.ndim != 2 or rows.shape[1] != 16:
        raise FrameError("the ids are malformed", where="RECONCILE")
    return [str(uuid.UUID(bytes=row.tobytes())) for row in rows]
