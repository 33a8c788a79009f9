"""One party's store of one link: provisioning, opening, blocks, authentication pads. No channel here; `end.py` speaks to the other end."""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ...core.errors import GuardMismatch, KeyStoreError, ParameterError, ProvenanceError, RollbackSuspected, StorageError, StoreCorrupt
from ...core.files import sync_folder
from .cipher import KEY_BYTES, Damaged, RowPlace, open_row, seal_row, unwrap_dek, wrap_dek
from .database import ClockMs, Connect, Database, clock_ms, plain_connect
from .guard import Guard, GuardRecord
from .schema import CHUNK_BYTES, PRESHARED, PROVENANCE_CODES, SCHEMA, TABLES, Pool, ProvenanceLabel, Side, State, own_pools
from .split import PROVISIONING_BYTES, PROVISIONING_SPLIT

OFFER_TTL_MS = 24 * 3600 * 1000
_META: dict[str, type] = {
    **dict.fromkeys(("store_id", "link_id", "audit_head"), bytes),
    **dict.fromkeys(("side", "pair", "provenance"), str),
    **dict.fromkeys(("epoch", "lease_no", "clean", "session", "last_block", "locked", "peer_lease", "audit_n"), int),
}
_FORGED = 2
"""Value of `locked` after wrong tags; 1 after a rollback."""
_RETIRED = "Retire the store and provision the link anew."


@dataclass(frozen=True, slots=True)
class Lease:
    """Chunks by which the ceiling of a pool is raised at once. An unclean stop burns what is left of it; 1 burns nothing extra and costs a sync each time.

    The pads are few before the first block, and a chunk for masks is 32,768 bits, hence 1; a round of a small model takes three data chunks, and a
    demonstration's block has a few hundred, hence 16. Whoever takes more at once is not held up: the ceiling then rises by as much.
    """

    auth: int = 1
    data: int = 16
    bulk: int = 1

    def of(self, pool: Pool) -> int:
        """Return the step of a pool."""
        return {1: self.auth, 2: self.auth, 3: self.data, 4: self.data, 5: self.bulk, 6: self.bulk}[pool]


@dataclass(frozen=True, slots=True)
class Identity:
    """What a link is, fixed when it is provisioned.

    link_id: 16 bytes, the same at both ends.  pair: such as "A-B".  side: "A" for the party whose name comes first.
    """

    link_id: bytes
    pair: str
    side: Side
    provenance: ProvenanceLabel


@dataclass(frozen=True, slots=True)
class Injected:
    """What a test may put in the place of the world. lease: see `Lease`."""

    connect: Connect = plain_connect
    clock: ClockMs = clock_ms
    lease: Lease = field(default_factory=Lease)


class Store:
    """An open store. path: the SQLite file; its guard is another file, best on another volume.  kek: 32 bytes.  provenance: of the key it must hold.

    Opening follows the audit chain, compares the guard, burns what an unclean stop left in doubt, and raises the epoch. Raises StoreLocked,
    RollbackSuspected, GuardMismatch, StoreCorrupt, ProvenanceError, KeyStoreError for a wrong KEK, StorageError; nothing is burned by a wrong KEK.
    """

    def __init__(self, path: Path, guard: Path, kek: bytes, provenance: ProvenanceLabel, injected: Injected | None = None) -> None:
        if len(kek) != KEY_BYTES:
            raise ParameterError(f"a key-encryption key has {KEY_BYTES} bytes", where="kek")
        self.path = path
        self._injected = injected or Injected()
        self._kek = kek
        self._ciphers: dict[int, AESGCM] = {}
        self._guard = Guard(guard)
        with self._undone(self._guard):
            if not path.exists():
                raise KeyStoreError("there is no store", where=str(path), remedy="Provision the link.")
            self.db = Database(path, connect=self._injected.connect, clock=self._injected.clock)
            with self._undone(self.db):
                self._open(provenance)

    @staticmethod
    @contextlib.contextmanager
    def _undone(thing: Guard | Database) -> Iterator[None]:
        try:
            yield
        except BaseException:
            thing.close()
            raise

    @classmethod
    def create(cls, path: Path, identity: Identity, secret: bytes, kek: bytes, injected: Injected | None = None) -> None:
        """Write the store of a new link with its pre-shared secret (2,080 bytes) as block 0, whole or not at all."""
        if len(secret) != PROVISIONING_BYTES or len(identity.link_id) != 16:
            raise ParameterError(f"{PROVISIONING_BYTES} bytes of secret and 16 of link id are needed", where="provisioning")
        injected = injected or Injected()
        part = path.with_name(path.name + ".new")
        for leftover in (part, part.with_name(part.name + "-wal")):
            leftover.unlink(missing_ok=True)
        db = Database(part, connect=injected.connect, clock=injected.clock)
        try:
            with db.transaction():
                db.script(TABLES)
                db.put(schema=SCHEMA, store_id=secrets.token_bytes(16), link_id=identity.link_id, side=identity.side, pair=identity.pair)
                db.put(provenance=identity.provenance, epoch=0, lease_no=0, clean=1, session=0, last_block=0, locked=0, peer_lease=0)
                db.start_audit(identity.link_id)
                for pool in Pool:
                    db.run("INSERT INTO pool VALUES(?,0,0,0)", pool)
                _insert_block(db, kek, 0, secret, PROVISIONING_SPLIT, State.AVAILABLE, "{}")
                for pool in PROVISIONING_SPLIT:
                    db.run("UPDATE chunk SET state=? WHERE pool=? AND idx=0", State.RECYCLED, pool)
                    db.run("UPDATE pool SET next_alloc=1, ceiling=1 WHERE pool=?", pool)
                db.audit("provision", bits=8 * len(secret), block=0)
            db.checkpoint()
        finally:
            db.close()
        part.replace(path)
        sync_folder(path.parent)

    def _open(self, provenance: ProvenanceLabel) -> None:
        if self.db.one("SELECT 1 FROM sqlite_master WHERE name='meta'") is None or self.db.get("schema") != SCHEMA:
            raise StoreCorrupt("this is not a store of this version", where=str(self.path), remedy=_RETIRED)
        if missing := [name for name, kind in _META.items() if not isinstance(self.db.get(name), kind)]:
            raise StoreCorrupt(f"{', '.join(missing)} cannot be read", where=str(self.path), remedy=_RETIRED)
        self.db.check_audit()
        self.store_id: bytes = self.db.get("store_id")
        self.identity = Identity(self.db.get("link_id"), self.db.get("pair"), self.db.get("side"), self.db.get("provenance"))
        self.check_provenance(provenance)
        self._compare_guard()
        if self.db.get("locked"):
            raise self._locked_error()
        for block, wrapped in self.db.all("SELECT b, dek FROM block WHERE dek IS NOT NULL ORDER BY b LIMIT 1"):
            unwrap_dek(self._kek, self.store_id, block, wrapped)
        with self.db.transaction():
            self.db.put(epoch=self.db.get("epoch") + 1, lease_no=self.db.get("lease_no") + 1)
            burned = self._burn_doubt(clean=bool(self.db.get("clean")))
            self.db.put(clean=0)
            self.db.audit("open", epoch=self.db.get("epoch"), burned=burned)
        self._write_guard()

    def _locked_error(self) -> KeyStoreError:
        if self.db.get("locked") == _FORGED:
            return KeyStoreError("the link was locked: wrong tags came in a row, somebody alters messages", where=str(self.path), remedy=_RETIRED)
        return RollbackSuspected("the store was locked: the other end knew more than this one", where=str(self.path), remedy=_RETIRED)

    def _compare_guard(self) -> None:
        lease, record = self.db.get("lease_no"), self._guard.record
        if record is None and lease > 0:
            raise GuardMismatch("the guard is missing", where=str(self._guard.path), remedy="Restore the guard; a store without it is not served.")
        if record is not None and record.store_id != self.store_id:
            raise GuardMismatch("the guard belongs to another store", where=str(self._guard.path), remedy="Put each guard back to its store.")
        if record is not None and record.lease_no > lease:
            raise RollbackSuspected(
                f"the store stands at lease {lease}, its guard at {record.lease_no}: an old copy was restored",
                where=str(self.path),
                remedy="Put the newest store back, or retire it and provision the link anew.",
            )
        if record is not None and lease > record.lease_no + 1:
            raise GuardMismatch(f"the guard stands at lease {record.lease_no}, the store at {lease}", where=str(self._guard.path), remedy="Restore the guard.")
        self._write_guard()

    def _write_guard(self) -> None:
        try:
            self._guard.write(GuardRecord(self.store_id, self.db.get("epoch"), self.db.get("lease_no")))
        except StorageError as error:
            self.db.poison(error)
            raise

    def _burn_doubt(self, *, clean: bool) -> int:
        """Burn what was reserved, what an unclean stop may have given out, and offers nobody fetched for a day."""
        burned = 0
        for key_id, pool, first, n in self.db.all("SELECT key_id, pool, first, n FROM keyrec WHERE state='reserved'"):
            burned += self.retire(pool, first, first + n, (State.RESERVED,), State.BURNED)
            self.db.run("UPDATE keyrec SET state='burned', t=? WHERE key_id=?", self.db.clock(), key_id)
        old = self.db.clock() - OFFER_TTL_MS
        for key_id, pool, first, n in self.db.all("SELECT key_id, pool, first, n FROM keyrec WHERE state='offered' AND t<?", old):
            burned += self.retire(pool, first, first + n, (State.OFFERED,), State.BURNED)
            self.db.run("UPDATE keyrec SET state='burned', t=? WHERE key_id=?", self.db.clock(), key_id)
        self.db.run("DELETE FROM keyrec WHERE state IN ('consumed','burned') AND t<?", self.db.clock() - 30 * OFFER_TTL_MS)
        if clean:
            return burned
        for pool in own_pools(self.identity.side):
            ingested, allocated, ceiling = self.counters(pool)
            upto = min(max(ceiling, allocated), ingested)
            burned += self.retire(pool, allocated, upto, (State.AVAILABLE,), State.BURNED)
            self.db.run("UPDATE pool SET next_alloc=?, ceiling=? WHERE pool=?", upto, upto, pool)
        return burned

    def counters(self, pool: Pool) -> tuple[int, int, int]:
        """Return next index to ingest, next index to allocate, and the ceiling of allocation."""
        row = self.db.one("SELECT next_ingest, next_alloc, ceiling FROM pool WHERE pool=?", pool)
        if row is None:
            raise StoreCorrupt(f"pool {pool.name} is missing", where=str(self.path), remedy=_RETIRED)
        return row[0], row[1], row[2]

    def available(self, pool: Pool) -> int:
        """Return the chunks of a pool that can still be allocated."""
        row = self.db.one("SELECT count(*) FROM chunk WHERE pool=? AND idx>=? AND state=?", pool, self.counters(pool)[1], State.AVAILABLE)
        return int(row[0]) if row else 0

    def retire(self, pool: int, first: int, end: int, states: tuple[State, ...], to: State) -> int:
        """Take chunks [first, end) in the given states out of service for ever, wiping their ciphertext; return how many. Inside a transaction."""
        marks = ",".join("?" * len(states))
        where = f"pool=? AND idx>=? AND idx<? AND state IN ({marks})"
        gone = self.db.all(f"SELECT b, count(*) FROM chunk WHERE {where} GROUP BY b", pool, first, end, *states)  # noqa: S608
        self.db.run(f"UPDATE chunk SET state=?, ct=NULL WHERE {where}", to, pool, first, end, *states)  # noqa: S608
        for block, n in gone:
            self.db.run('UPDATE block SET "left"="left"-? WHERE b=?', n, block)
            if self.db.run("UPDATE block SET dek=NULL, state='empty' WHERE b=? AND \"left\"=0 AND state='open'", block):
                self._ciphers.pop(block, None)
        return sum(n for _, n in gone)

    def lease_step(self, needs: Mapping[Pool, int]) -> None:
        """Raise the ceilings so that the pools can be allocated up to the given indices: store first, then guard, then the caller may allocate."""
        short = {pool: end for pool, end in needs.items() if end > self.counters(pool)[2]}
        if not short:
            return
        with self.db.transaction():
            self.db.put(lease_no=self.db.get("lease_no") + 1)
            for pool, end in short.items():
                ceiling = max(self.counters(pool)[2] + self._injected.lease.of(pool), end)
                self.db.run("UPDATE pool SET ceiling=? WHERE pool=?", ceiling, pool)
        self._write_guard()

    @contextlib.contextmanager
    def guarded(self) -> Iterator[None]:
        """Run a transaction that no restored copy may repeat: it raises the lease number, and the guard follows before anything leaves."""
        with self.db.transaction():
            self.db.put(lease_no=self.db.get("lease_no") + 1)
            yield
        self._write_guard()

    def plain(self, pool: int, index: int, block: int, sealed: bytes) -> bytes:
        """Return the plaintext of a row. Raises Damaged if it was altered."""
        if block not in self._ciphers:
            row = self.db.one("SELECT dek FROM block WHERE b=?", block)
            if row is None or row[0] is None:
                raise StoreCorrupt(f"block {block} has no data key", where=str(self.path), remedy=_RETIRED)
            self._ciphers[block] = AESGCM(unwrap_dek(self._kek, self.store_id, block, row[0]))
        provenance = PRESHARED if block == 0 else PROVENANCE_CODES[self.identity.provenance]
        return open_row(self._ciphers[block], RowPlace(self.identity.link_id, pool, block, index, provenance), sealed)

    # Blocks

    def check_provenance(self, label: str) -> None:
        """Raise ProvenanceError unless key of this provenance may lie in this store."""
        if label != self.identity.provenance:
            raise ProvenanceError(
                f"{label} key does not go into a store of {self.identity.provenance} key", where=str(self.path), remedy="Use another --store."
            )

    def add_block(self, block: int, material: bytes, bits: int, counts: Mapping[Pool, int], statement: Mapping[str, Any]) -> None:
        """Write a block as PENDING rows, inside a transaction. bits: of the distilled key; what the chunks leave over is counted as burned."""
        text = json.dumps(statement, sort_keys=True)
        _insert_block(self.db, self._kek, block, material, counts, State.PENDING, text, bits)
        self.db.put(last_block=block)
        kept = sum(8 * CHUNK_BYTES[pool] * n for pool, n in counts.items())
        self.db.audit("ingest", block=block, bits=bits, kept=kept, rest=bits - kept)

    def settle_block(self, block: int, *, good: bool) -> None:
        """Make a PENDING block AVAILABLE, or burn it; inside a transaction. A block that is not pending is left alone."""
        if self.db.one("SELECT 1 FROM block WHERE b=? AND state='pending'", block) is None:
            return
        self.db.run("UPDATE block SET state='open' WHERE b=?", block)
        for pool in Pool:
            ingested, allocated, _ = self.counters(pool)
            low, end = self.db.all("SELECT min(idx), max(idx) FROM chunk WHERE pool=? AND b=?", pool, block)[0]
            if low is None:
                continue
            # Rows the allocator has passed already are never allocated: the peer burns them too.
            split = max(low, min(allocated, ingested)) if good else end + 1
            self.retire(pool, low, split, (State.PENDING,), State.BURNED)
            self.db.run("UPDATE chunk SET state=? WHERE pool=? AND idx>=? AND idx<=? AND state=?", State.AVAILABLE, pool, split, end, State.PENDING)
        if not good:
            self.db.run("UPDATE block SET state='burned', dek=NULL WHERE b=?", block)
            self._ciphers.pop(block, None)
        self.db.audit("available" if good else "burn-block", block=block)

    def burn_block(self, block: int) -> None:
        """Burn whatever is left of an open block, inside a transaction."""
        for pool in Pool:
            low, end = self.db.all("SELECT min(idx), max(idx) FROM chunk WHERE pool=? AND b=?", pool, block)[0]
            if low is not None:
                self.retire(pool, low, end + 1, (State.AVAILABLE, State.RESERVED, State.OFFERED), State.BURNED)
        self.db.run("UPDATE keyrec SET state='burned' WHERE state IN ('reserved','offered') AND key_id IN (SELECT key_id FROM chunk WHERE b=?)", block)
        self.db.run("UPDATE block SET state='burned', dek=NULL WHERE b=?", block)
        self._ciphers.pop(block, None)
        self.db.audit("burn-block", block=block)

    def blocks_in(self, *states: str) -> list[int]:
        """Return the numbers of the blocks in the given states."""
        return [row[0] for row in self.db.all("SELECT b, state FROM block ORDER BY b") if row[1] in states]

    # Authentication

    def hash_key(self, pool: Pool) -> bytes:
        """Return the recycled r of a direction."""
        rows = self.db.all("SELECT idx, b, ct FROM chunk WHERE pool=? AND state=?", pool, State.RECYCLED)
        if len(rows) != 1:
            raise KeyStoreError(f"{pool.name} has no hash key", where=str(self.path), remedy=_RETIRED)
        try:
            return self.plain(pool, *rows[0])
        except Damaged as error:
            raise StoreCorrupt(f"the hash key of {pool.name} is damaged", where=str(self.path), remedy=_RETIRED) from error

    def next_pad(self, pool: Pool) -> int:
        """Return the index of the next pad of an own authentication pool, leased. Raises KeyStoreError if there is none."""
        while True:
            row = self.db.one("SELECT idx, b, ct FROM chunk WHERE pool=? AND idx>=? AND state=? LIMIT 1", pool, self.counters(pool)[1], State.AVAILABLE)
            if row is None:
                raise KeyStoreError("the link has no authentication key left", where=f"pair {self.identity.pair}", remedy=_RETIRED)
            try:
                self.plain(pool, *row)
            except Damaged:
                with self.db.transaction():
                    self.retire(pool, row[0], row[0] + 1, (State.AVAILABLE,), State.BURNED)
                    self.db.audit("burn", why="damaged", pool=int(pool), first=row[0], chunks=1)
                continue
            self.lease_step({pool: row[0] + 1})
            return int(row[0])

    def take_pad(self, pool: Pool, index: int) -> bytes:
        """Spend a pad, inside a transaction; the rows before it are burned. Raises KeyStoreError if it is not there, spent, or too far ahead."""
        if self.db.get("locked"):
            raise self._locked_error()
        _, allocated, ceiling = self.counters(pool)
        row = self.db.one("SELECT b, ct FROM chunk WHERE pool=? AND idx=? AND state=?", pool, index, State.AVAILABLE)
        if row is None or not allocated <= index <= allocated + 64:
            raise KeyStoreError(f"pad {index} of {pool.name} cannot be used", where=f"pair {self.identity.pair}")
        try:
            pad = self.plain(pool, index, row[0], row[1])
        except Damaged as error:
            raise KeyStoreError(f"pad {index} of {pool.name} is damaged", where=str(self.path)) from error
        self.retire(pool, allocated, index, (State.AVAILABLE,), State.BURNED)
        self.retire(pool, index, index + 1, (State.AVAILABLE,), State.CONSUMED)
        self.db.run("UPDATE pool SET next_alloc=?, ceiling=? WHERE pool=?", index + 1, max(ceiling, index + 1), pool)
        return pad

    def count_bad_tag(self, most: int) -> None:
        """Count a wrong tag; after `most` of them in a row the store is locked."""
        seen = self.db.get("bad_tags", 0) + 1
        with self.db.transaction():
            self.db.put(bad_tags=seen, **({"locked": _FORGED} if seen >= most else {}))
            self.db.audit("alarm", why="a wrong tag", row=seen)

    def forget_bad_tags(self) -> None:
        """End a row of wrong tags: a right one came."""
        if self.db.get("bad_tags", 0):
            with self.db.transaction():
                self.db.put(bad_tags=0)

    def close(self) -> None:
        """Close cleanly: nothing is in doubt afterwards. After a failed write it is closed as it is, and the next opening burns what is in doubt."""
        try:
            with self.db.transaction():
                self.db.run("UPDATE pool SET ceiling=next_alloc WHERE ceiling>next_alloc")
                self.db.put(clean=1)
                self.db.audit("close")
            self.db.checkpoint()
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Let go of the files without a clean close, as a crash would."""
        self.db.close()
        self._guard.close()


def _insert_block(
    db: Database, kek: bytes, block: int, material: bytes, counts: Mapping[Pool, int], state: State, statement: str, bits: int | None = None
) -> None:
    dek = secrets.token_bytes(KEY_BYTES)
    cipher = AESGCM(dek)
    link_id, store_id = db.get("link_id"), db.get("store_id")
    code = PRESHARED if block == 0 else PROVENANCE_CODES[db.get("provenance")]
    total = sum(counts.values())
    db.run(
        "INSERT INTO block VALUES(?,?,?,?,?,?,?)",
        *(block, "pending" if state is State.PENDING else "open", 8 * len(material) if bits is None else bits),
        *(wrap_dek(kek, store_id, block, dek), total, db.clock(), statement),
    )
    start = 0
    for pool in Pool:
        n, size = counts.get(pool, 0), CHUNK_BYTES[pool]
        first = db.all("SELECT next_ingest FROM pool WHERE pool=?", pool)[0][0]
        pieces = ((first + i, material[start + i * size : start + (i + 1) * size]) for i in range(n))
        rows = ((pool, idx, state, block, None, seal_row(cipher, RowPlace(link_id, pool, block, idx, code), piece)) for idx, piece in pieces)
        db.run_many("INSERT INTO chunk VALUES(?,?,?,?,?,?)", rows)
        db.run("UPDATE pool SET next_ingest=? WHERE pool=?", first + n, pool)
        start += n * size
