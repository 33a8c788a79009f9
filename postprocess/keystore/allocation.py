"""Key out of the store: reserve, offer, consume, burn. Each step is durable before the message that tells of it leaves."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ...core.errors import FrameError, InsufficientKey, KeyStoreError, UnknownKey
from .cipher import Damaged
from .schema import KEY_CHUNKS, Pool, State, bits_of, other, own_pools
from .source import Key
from .store import Store

_LIVE = (State.AVAILABLE, State.RESERVED, State.OFFERED)


@dataclass(frozen=True, slots=True)
class KeyPlace:
    """Where a key lies: `n` chunks of a pool from `first` on, of which `bits` bits count; the tail of the last chunk is burned."""

    key_id: str
    pool: Pool
    first: int
    n: int
    bits: int

    @property
    def tail_bits(self) -> int:
        """Return the bits of the last chunk that nobody gets."""
        return self.n * bits_of(self.pool) - self.bits

    def as_list(self) -> list[object]:
        """Return what a KEY_OFFER carries."""
        return [self.key_id, int(self.pool), self.first, self.n, self.bits]


@dataclass(frozen=True, slots=True)
class Plan:
    """Chunks of the data and the bulk pool that a number of bits takes."""

    data: int
    bulk: int

    @classmethod
    def of(cls, bits: int, data: int, bulk: int) -> Plan | None:
        """Return the cheapest plan within the chunks at hand: whole bulk chunks, the rest from data; None if there is not enough."""
        small, large = 256, 32_768
        whole = min(bits // large, bulk)
        rest = -(-(bits - whole * large) // small)
        if rest <= data:
            return cls(rest, whole)
        return cls(0, whole + 1) if whole < bulk and bits - whole * large <= large else None


def free_bits(data: int, bulk: int) -> int:
    """Return the largest number of bits that a plan exists for."""
    return 256 * data + 32_768 * bulk


def plans(bits: int, data: int, bulk: int) -> int:
    """Return how many plans for so many bits (positive), one after the other, the chunks at hand last for."""
    made = 0
    while (plan := Plan.of(bits, data, bulk)) is not None:
        data, bulk, made = data - plan.data, bulk - plan.bulk, made + 1
    return made


class Allocator:
    """Allocation from one store. master and slave are the two parties of the link."""

    def __init__(self, store: Store, party: str, peer: str) -> None:
        self._store = store
        self._db = store.db
        self._party = party
        self._peer = peer
        self._side = store.identity.side
        _, self._data, self._bulk = own_pools(self._side)

    def free(self) -> tuple[int, int]:
        """Return the available chunks of the own data and bulk pools."""
        return self._store.available(self._data), self._store.available(self._bulk)

    def reserve(self, bits: int, plan: Plan, purpose: str) -> tuple[KeyPlace, ...]:
        """Set chunks aside durably and name the keys in them. Raises InsufficientKey, and then nothing has changed."""
        picked = {pool: self._pick(pool, n) for pool, n in ((self._bulk, plan.bulk), (self._data, plan.data)) if n}
        if any(len(picked[pool]) < n for pool, n in ((self._bulk, plan.bulk), (self._data, plan.data)) if n):
            raise InsufficientKey(self._store.identity.pair, bits, free_bits(*self.free()), purpose=purpose)
        self._store.lease_step({pool: rows[-1] + 1 for pool, rows in picked.items()})
        places = tuple(_cut(picked, bits))
        with self._db.transaction():
            for pool, rows in picked.items():
                self._db.run("UPDATE pool SET next_alloc=? WHERE pool=?", rows[-1] + 1, pool)
            for place in places:
                self._mark(place, State.AVAILABLE, State.RESERVED)
                self._record(place, "reserved", self._party, self._peer)
            self._db.audit("reserve", purpose=purpose, bits=bits, keys=[place.key_id for place in places], places=[p.as_list()[1:] for p in places])
        return places

    def _pick(self, pool: Pool, n: int) -> list[int]:
        sql = "SELECT idx FROM chunk WHERE pool=? AND idx>=? AND state=? ORDER BY idx LIMIT ?"
        return [row[0] for row in self._db.all(sql, pool, self._store.counters(pool)[1], State.AVAILABLE, n)]

    def _mark(self, place: KeyPlace, before: State, after: State) -> None:
        sql = "UPDATE chunk SET state=?, key_id=? WHERE pool=? AND idx>=? AND idx<? AND state=?"
        if self._db.run(sql, after, place.key_id, place.pool, place.first, place.first + place.n, before) != place.n:
            raise KeyStoreError(f"a chunk of key {place.key_id} is not {before.name}", where=str(self._store.path))

    def _record(self, place: KeyPlace, state: str, master: str, slave: str) -> None:
        values = (place.key_id, place.pool, place.first, place.n, place.bits, master, json.dumps([slave]), "[]", state, self._db.clock())
        self._db.run("INSERT INTO keyrec VALUES(?,?,?,?,?,?,?,?,?,?)", *values)

    def place(self, key_id: str, state: str | None = None) -> KeyPlace | None:
        """Return where a key lies, None if it is unknown or not in the given state."""
        row = self._db.one("SELECT key_id, pool, first, n, bits, state FROM keyrec WHERE key_id=?", key_id)
        if row is None or state not in (None, row[5]):
            return None
        return KeyPlace(row[0], Pool(row[1]), *row[2:5])

    def accept(self, places: Sequence[KeyPlace]) -> bool:
        """Follow an offer of the peer durably, the same one twice too; False if any of its keys cannot be followed, and then nothing has changed."""
        fresh = [place for place in places if self.place(place.key_id, "offered") != place]
        if len({place.key_id for place in places}) < len(places) or any(self.place(place.key_id) is not None or not self._fits(place) for place in fresh):
            return False
        if not fresh:
            return True
        try:
            with self._db.transaction():
                for place in fresh:
                    self._mark(place, State.AVAILABLE, State.OFFERED)
                    self._record(place, "offered", self._peer, self._party)
                    self._db.run("UPDATE pool SET next_alloc=max(next_alloc,?) WHERE pool=?", place.first + place.n, place.pool)
                self._db.audit("offer", keys=[place.key_id for place in fresh], places=[p.as_list()[1:] for p in fresh])
        except KeyStoreError as error:
            if type(error) is not KeyStoreError:
                raise
            return False
        return True

    def _fits(self, place: KeyPlace) -> bool:
        _, *pools = own_pools(other(self._side))
        if place.pool not in pools or not 1 <= place.n <= KEY_CHUNKS[place.pool]:
            return False
        return place.bits % 8 == 0 and 0 <= place.tail_bits < bits_of(place.pool)

    def consume(self, places: Sequence[KeyPlace], state: State, purpose: str) -> tuple[Key, ...]:
        """Spend keys: their ciphertext is gone from the store before their bytes are returned.

        state: RESERVED for own keys, OFFERED for those of the peer. Raises KeyStoreError if a row is damaged; then all these keys are burned.
        """
        try:
            with self._store.guarded() if state is State.OFFERED else self._db.transaction():
                keys = tuple(self._spend(place, state) for place in places)
                bits, tail = sum(p.bits for p in places), sum(p.tail_bits for p in places)
                self._db.audit("consume", purpose=purpose, bits=bits, tail=tail, keys=[place.key_id for place in places])
        except Damaged as error:
            self.burn([place.key_id for place in places], f"damaged: {error}")
            raise KeyStoreError(f"{error} is damaged; its keys were burned", where=str(self._store.path), remedy="Fetch again; look at the disk.") from error
        self._db.consumed(sum(place.n for place in places))
        return keys

    def _spend(self, place: KeyPlace, state: State) -> Key:
        end = place.first + place.n
        sql = "SELECT idx, b, ct FROM chunk WHERE pool=? AND idx>=? AND idx<? AND state=? AND key_id=? ORDER BY idx"
        rows = self._db.all(sql, place.pool, place.first, end, state, place.key_id)
        if len(rows) != place.n:
            raise KeyStoreError(f"key {place.key_id} is not whole", where=str(self._store.path))
        material = b"".join(self._store.plain(place.pool, *row) for row in rows)[: place.bits // 8]
        self._store.retire(place.pool, place.first, end, (state,), State.CONSUMED)
        sql = "UPDATE keyrec SET state='consumed', fetched=?, t=? WHERE key_id=?"
        self._db.run(sql, json.dumps([self._party]), self._db.clock(), place.key_id)
        return Key(place.key_id, place.bits, material)

    def find(self, ids: Sequence[str]) -> tuple[KeyPlace, ...]:
        """Return where the offered keys lie, in the order asked. Raises UnknownKey if any is unknown, burned, fetched, or named twice."""
        places = [self.place(key_id, "offered") for key_id in ids]
        found = tuple(place for place in places if place is not None)
        if len(found) < len(ids) or len(set(ids)) < len(ids):
            missing = [key_id for key_id, place in zip(ids, places, strict=True) if place is None]
            raise UnknownKey("one or more keys specified are not found on KME", where=f"pair {self._store.identity.pair}: {', '.join(missing[:3])}")
        return found

    def burn(self, ids: Iterable[str], why: str) -> int:
        """Burn the live keys among these, in a transaction of its own; return how many there were."""
        places = [place for key_id in ids for state in ("reserved", "offered") if (place := self.place(key_id, state)) is not None]
        if not places:
            return 0
        with self._db.transaction():
            chunks = sum(self._store.retire(p.pool, p.first, p.first + p.n, _LIVE[1:], State.BURNED) for p in places)
            for place in places:
                self._db.run("UPDATE keyrec SET state='burned', t=? WHERE key_id=?", self._db.clock(), place.key_id)
            self._db.audit("burn", why=why, chunks=chunks, bits=sum(p.bits for p in places), keys=[p.key_id for p in places])
        return len(places)

    def offered(self) -> list[str]:
        """Return the ids of the peer's keys that nobody has fetched here."""
        return [row[0] for row in self._db.all("SELECT key_id FROM keyrec WHERE state='offered' ORDER BY key_id")]

    def disowned(self, ids: Iterable[str]) -> list[str]:
        """Return those of the peer's offered ids that this side does not stand behind."""
        return [key_id for key_id in ids if self.place(key_id, "reserved") is None and self.place(key_id, "consumed") is None]


def _cut(picked: dict[Pool, list[int]], bits: int) -> Iterator[KeyPlace]:
    """Yield keys over the picked chunks, each of chunks in a row, the bits of all summing to `bits`."""
    left = bits
    for pool, rows in picked.items():
        first = 0
        for i in range(1, len(rows) + 1):
            if i < len(rows) and rows[i] == rows[i - 1] + 1 and i - first < KEY_CHUNKS[pool]:
                continue
            size = min(left, (i - first) * bits_of(pool))
            yield KeyPlace(str(uuid.uuid4()), pool, rows[first], i - first, size)
            left -= size
            first = i


def parsed_offer(entry: object) -> KeyPlace:
    """Return the key of an entry of a KEY_OFFER. Raises FrameError if it is malformed."""
    match entry:
        case [str(key_id), int(pool), int(first), int(n), int(bits)] if not any(type(x) is bool for x in entry):
            canonical = len(key_id) == 36 and key_id == _canonical(key_id)
            if canonical and pool in tuple(Pool) and first >= 0 and 0 < n <= 16 and 0 < bits <= 65_536:
                return KeyPlace(key_id, Pool(pool), first, n, bits)
    raise FrameError("the offer is malformed", where="KEY_OFFER")


def _canonical(key_id: str) -> str:
    try:
        return str(uuid.UUID(key_id))
    except ValueError:
        return ""
