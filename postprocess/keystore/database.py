"""One SQLite file: durable transactions, the audit chain, and errors in Heliograph's words.

Every change is one explicit transaction that is on disk when it returns. After a failed write the file is not trusted any more: nothing leaves until it has
been opened and checked again.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
import struct
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from ...core.errors import HeliographError, KeyStoreError, StorageError, StoreCorrupt, StoreLocked
from ..channel import canonical

Connect = Callable[[str], sqlite3.Connection]
ClockMs = Callable[[], int]

_PRAGMAS: tuple[tuple[str, str, object], ...] = (
    ("locking_mode", "EXCLUSIVE", "exclusive"),
    ("journal_mode", "WAL", "wal"),
    ("synchronous", "FULL", 2),
    ("secure_delete", "ON", 1),
    ("mmap_size", "0", 0),
    ("temp_store", "MEMORY", 2),
    ("cell_size_check", "ON", 1),
    ("trusted_schema", "OFF", 0),
)
_LOCKED, _FULL, _DAMAGED = {5, 6}, {8, 10, 13, 14}, {11, 26}  # primary result codes of SQLite: busy, locked; readonly, ioerr, full, cantopen; corrupt, notadb
_SQLITE = (sqlite3.Error, UnicodeDecodeError)  # the second where damage lies in a name that SQLite's own message quotes
_REMEDY = "Free some disk space, then open the store again; what was committed is kept."


def plain_connect(path: str) -> sqlite3.Connection:
    """Return a connection in autocommit mode. The default `connect` factory; tests put another one in its place."""
    return sqlite3.connect(path, timeout=1.0, isolation_level=None, check_same_thread=False)


def clock_ms() -> int:
    """Return the wall clock in milliseconds."""
    return time.time_ns() // 1_000_000


class Database:
    """An open store file. path: created with mode 0600 if it is not there.

    Raises StoreLocked if another process has it, StoreCorrupt if it is damaged, StorageError if it cannot be read or written.
    """

    def __init__(self, path: Path, *, connect: Connect = plain_connect, clock: ClockMs = clock_ms) -> None:
        self.path = path
        self.clock = clock
        self._head: tuple[int, bytes] = (0, b"")
        self._poisoned: HeliographError | None = None
        self._consumed, self._checkpointed = 0, time.monotonic()
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self._connection = connect(str(path))
        except OSError as error:
            raise StorageError(f"the store cannot be opened ({error.strerror})", where=str(path), remedy=_REMEDY) from error
        except sqlite3.Error as error:
            raise translated(error, path) from error
        try:
            self._prepare()
        except _SQLITE as error:
            self._connection.close()
            raise translated(error, path) from error
        except HeliographError:
            self._connection.close()
            raise

    def _prepare(self) -> None:
        for name, wanted, expected in _PRAGMAS:
            self._connection.execute(f"PRAGMA {name}={wanted}").fetchall()
            row = self._connection.execute(f"PRAGMA {name}").fetchone()
            if row is None or row[0] != expected:
                raise KeyStoreError(f"SQLite does not keep {name}={wanted}", where=str(self.path), remedy="Put the store on a local disk.")
        if (verdict := self._connection.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
            raise StoreCorrupt(f"the file is damaged ({verdict})", where=str(self.path), remedy="Retire the store and provision the link anew.")

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Run a block as one durable change: all of it is on disk afterwards, or nothing of it happened."""
        if self._poisoned is not None:
            raise self._poisoned
        head = self._head
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            yield
            self._connection.execute("COMMIT")
        except _SQLITE as error:
            self._undo(head)
            self._poisoned = translated(error, self.path)
            raise self._poisoned from error
        except BaseException:
            self._undo(head)
            raise

    def _undo(self, head: tuple[int, bytes]) -> None:
        self._head = head
        with contextlib.suppress(sqlite3.Error):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def run(self, sql: str, *values: object) -> int:
        """Execute a statement and return how many rows it changed."""
        return self._connection.execute(sql, values).rowcount

    def run_many(self, sql: str, rows: Iterable[tuple[object, ...]]) -> None:
        """Execute a statement for many rows."""
        self._connection.executemany(sql, rows)

    def all(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Return all rows of a query. Raises as the constructor does."""
        if self._poisoned is not None:
            raise self._poisoned
        try:
            return self._connection.execute(sql, values).fetchall()
        except _SQLITE as error:
            raise translated(error, self.path) from error

    def one(self, sql: str, *values: object) -> tuple[Any, ...] | None:
        """Return the first row of a query, None if there is none."""
        rows = self.all(sql, *values)
        return rows[0] if rows else None

    def get(self, name: str, default: Any = None) -> Any:
        """Return a value of `meta`."""
        row = self.one("SELECT v FROM meta WHERE k=?", name)
        return default if row is None else row[0]

    def put(self, **values: Any) -> None:
        """Set values of `meta`, inside a transaction."""
        for name, value in values.items():
            self.run("INSERT INTO meta VALUES(?,?) ON CONFLICT(k) DO UPDATE SET v=excluded.v", name, value)

    def script(self, sql: str) -> None:
        """Execute several statements, inside a transaction."""
        for statement in filter(str.strip, sql.split(";")):
            self.run(statement)

    def audit(self, ev: str, **fields: Any) -> None:
        """Append a record to the audit chain, in the transaction of the change it tells of. Never key bytes."""
        number, before = self._head[0] + 1, self._head[1]
        text = canonical.encode({**fields, "ev": ev, "n": number, "t": self.clock()})
        self._head = number, link_hash(before, text)
        self.run("INSERT INTO audit VALUES(?,?,?)", number, self._head[1], text.decode())
        self.put(audit_n=number, audit_head=self._head[1])

    def start_audit(self, link_id: bytes) -> None:
        """Begin the chain of a new store."""
        self._head = 0, first_hash(link_id)
        self.put(audit_n=0, audit_head=self._head[1])

    def check_audit(self) -> None:
        """Follow the chain from its start. Raises StoreCorrupt at the first record that does not fit."""
        rows = self.all("SELECT n, h, j FROM audit ORDER BY n")
        head = followed(self.get("link_id"), rows)
        if head[0] < len(rows):
            raise StoreCorrupt(
                f"the audit chain is broken at record {rows[head[0]][0]}", where=str(self.path), remedy="Retire the store and provision the link anew."
            )
        if head != (self.get("audit_n"), self.get("audit_head")):
            raise StoreCorrupt("audit records are missing at the end", where=str(self.path), remedy="Retire the store and provision the link anew.")
        self._head = head

    @property
    def audit_head(self) -> tuple[int, bytes]:
        """Return number and hash of the last audit record."""
        return self._head

    def poison(self, error: HeliographError) -> None:
        """Refuse everything from now on: a write has failed, and a retry may succeed without the data."""
        self._poisoned = error

    def consumed(self, chunks: int) -> None:
        """Count consumed chunks and clear their ciphertext out of the log now and then: after 256 of them, or a second."""
        self._consumed += chunks
        if self._consumed and (self._consumed >= 256 or time.monotonic() - self._checkpointed >= 1.0):
            self.checkpoint()

    def checkpoint(self) -> None:
        """Move the log into the file and empty it."""
        try:
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except sqlite3.Error as error:
            self._poisoned = translated(error, self.path)
            raise self._poisoned from error
        self._consumed, self._checkpointed = 0, time.monotonic()

    def close(self) -> None:
        """Close the file; what was committed is in it."""
        with contextlib.suppress(sqlite3.Error):
            self._connection.close()


def first_hash(link_id: bytes) -> bytes:
    """Return the hash before the first audit record."""
    return hashlib.sha256(b"HGAUD1" + link_id).digest()


def link_hash(before: bytes, text: bytes) -> bytes:
    """Return the hash of an audit record after the one before."""
    return hashlib.sha256(before + struct.pack(">I", len(text)) + text).digest()


def followed(link_id: bytes, rows: Iterable[tuple[Any, ...]]) -> tuple[int, bytes]:
    """Return number and hash of the last audit record that follows from those before it. rows: number, hash and text of each, in order."""
    head = 0, first_hash(link_id)
    for number, stored, text in rows:
        after = head[0] + 1, link_hash(head[1], str(text).encode())
        if (number, stored) != after:
            break
        head = after
    return head


def translated(error: Exception, path: Path) -> HeliographError:
    """Return Heliograph's error for one of SQLite."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in _LOCKED:
        return StoreLocked("another process has the store open", where=str(path), remedy="Wait for it or stop it.")
    if code in _FULL:
        return StorageError(f"the store cannot be written ({error})", where=str(path), remedy=_REMEDY)
    if code in _DAMAGED or isinstance(error, sqlite3.DatabaseError | UnicodeDecodeError):
        return StoreCorrupt(f"the store cannot be read ({error})", where=str(path), remedy="Retire the store and provision the link anew.")
    return KeyStoreError(str(error), where=str(path))
