"""The books of a store: what came in, what is left, who spent which bits on what."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ...core.errors import StorageError, StoreCorrupt
from .database import followed, translated
from .schema import Pool, State, bits_of, own_pools

Query = Callable[..., list[tuple[Any, ...]]]
_OPEN = ("open", "empty")
MOST_DEBITS = 100


@dataclass(frozen=True, slots=True)
class Spending:
    """Key spent on one purpose by the party whose store this is."""

    purpose: str
    bits: int
    keys: int


@dataclass(frozen=True, slots=True)
class Debited:
    """Key that left the store at once.  t: Unix time, s.  key_ids: never the keys."""

    t: float
    purpose: str
    bits: int
    key_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LinkLedger:
    """The books of one store. All counts are bits unless their name says otherwise.

    blocks: amplified blocks delivered.  delivered: their key.  available: what can be allocated here and at the peer, by pool name.  held: of it, set aside
    in RAM.  in_flight: reserved, or offered and not fetched.  consumed: handed to consumers.  authentication: spent on tags.  burned: lost, tails and blocks
    refused after they were laid down (these are not in `delivered`) included.
    debits: the latest hundred of what was spent, in order.
    epsilon: sum over blocks, forgery of their tags included.  audit_ok: the chain is whole.  guard, kek: where they are kept, in words.
    """

    party: str
    peer: str
    pair: str
    provenance: str
    link_id: str
    blocks: int
    delivered: int
    preshared: int
    available: dict[str, int]
    spendable: int
    held: int
    in_flight: int
    pending: int
    consumed: int
    authentication: int
    burned: int
    spendings: tuple[Spending, ...]
    debits: tuple[Debited, ...]
    epsilon: float
    audit_records: int
    audit_ok: bool
    guard: str
    kek: str
    link_authentication: str

    def as_dict(self) -> dict[str, object]:
        """Return what `--json` prints."""
        return asdict(self)


def ledger_of(query: Query, party: str, path: Path, *, held_bits: int = 0, guard: Path | None = None) -> LinkLedger:
    """Return the books of a store. query: runs SQL on it.  held_bits: holds of this process.  guard: where the guard lies, if not beside the store."""
    meta: dict[str, Any] = {row[0]: row[1] for row in query("SELECT k, v FROM meta")}
    pair = str(meta["pair"])
    peer = next(name for name in pair.split("-") if name != party)
    sums = _sums(query)
    records = [json.loads(row[0]) for row in query("SELECT j FROM audit ORDER BY n")]
    blocks = [(row[0], row[1], json.loads(row[2])) for row in query("SELECT b, bits, statement FROM block WHERE state IN (?,?)", *_OPEN) if row[0] > 0]
    tails = sum(record["tail"] for record in records if record["ev"] == "consume")
    kept = [record for record in records if record["ev"] == "ingest" and record["block"] in {block[0] for block in blocks}]
    consumed = sum(sums[pool, State.CONSUMED] for pool in Pool if pool > Pool.AUTH_BA) - tails
    available = {pool.name.lower(): sums[pool, State.AVAILABLE] for pool in Pool}
    beside = guard is None or guard.parent == path.parent
    return LinkLedger(
        party=party,
        peer=peer,
        pair=pair,
        provenance=str(meta["provenance"]),
        link_id=meta["link_id"].hex(),
        blocks=len(blocks),
        delivered=sum(bits for _, bits, _ in blocks),
        preshared=8 * 2080,
        available=available,
        spendable=sum(sums[pool, State.AVAILABLE] for pool in own_pools(meta["side"])[1:]) - held_bits,
        held=held_bits,
        in_flight=sum(sums[pool, state] for pool in Pool for state in (State.RESERVED, State.OFFERED)),
        pending=sum(sums[pool, State.PENDING] for pool in Pool),
        consumed=consumed,
        authentication=sum(sums[pool, state] for pool in (Pool.AUTH_AB, Pool.AUTH_BA) for state in (State.CONSUMED, State.RECYCLED)),
        burned=sum(sums[pool, State.BURNED] for pool in Pool) + tails + sum(record["rest"] for record in kept),
        spendings=_spendings(records),
        debits=_debits(records),
        epsilon=sum(statement["epsilon"] + statement["auth_epsilon"] for _, _, statement in blocks),
        audit_records=len(records),
        audit_ok=_audit_ok(query, meta),
        guard="beside the store: only the other end notices a restored copy of the whole folder" if beside else str(guard),
        kek="in a file beside the store" if path.with_suffix(".kek").exists() else "not kept beside the store",
        link_authentication="one-time tags on every round and block; offers are not tagged",
    )


def _sums(query: Query) -> dict[tuple[Pool, State], int]:
    sums = {(pool, state): 0 for pool in Pool for state in State}
    for pool, state, n in query("SELECT pool, state, count(*) FROM chunk GROUP BY pool, state"):
        sums[Pool(pool), State(state)] = n * bits_of(Pool(pool))
    return sums


def _spendings(records: list[dict[str, Any]]) -> tuple[Spending, ...]:
    spent: dict[str, tuple[int, int]] = {}
    for record in records:
        if record["ev"] == "consume":
            bits, keys = spent.get(record["purpose"], (0, 0))
            spent[record["purpose"]] = bits + record["bits"], keys + len(record["keys"])
    return tuple(Spending(purpose, bits, keys) for purpose, (bits, keys) in spent.items())


def taken(query: Query) -> dict[str, int]:
    """Return the bits that ever left a store, by purpose; ends of chunks that nobody got are included."""
    found: dict[str, int] = {}
    for (text,) in query("SELECT j FROM audit ORDER BY n"):
        record = json.loads(text)
        if record["ev"] == "consume":
            found[record["purpose"]] = found.get(record["purpose"], 0) + record["bits"] + record["tail"]
    return found


def _debits(records: list[dict[str, Any]]) -> tuple[Debited, ...]:
    spent = [record for record in records if record["ev"] == "consume"][-MOST_DEBITS:]
    return tuple(Debited(record["t"] / 1e3, record["purpose"], record["bits"], tuple(str(key) for key in record["keys"])) for record in spent)


def _audit_ok(query: Query, meta: dict[str, Any]) -> bool:
    rows = query("SELECT n, h, j FROM audit ORDER BY n")
    return len(rows) == meta["audit_n"] and followed(meta["link_id"], rows) == (meta["audit_n"], meta["audit_head"])


def read_ledger(path: Path) -> LinkLedger:
    """Return the books of a store file without opening it for service: nothing in it changes. path: DIR/<party>/<pair>.sqlite.

    Raises StoreLocked if a process has it open, StoreCorrupt if it cannot be read, StorageError if it is not there.
    """
    if not path.exists():
        raise StorageError("there is no store", where=str(path), remedy="Distil a run first.")
    beside = path.with_suffix(".guard")
    # A store without a log is open nowhere, and then reading it leaves no files behind.
    mode = "mode=ro" if path.with_name(path.name + "-wal").exists() else "mode=ro&immutable=1"
    try:
        connection = sqlite3.connect(f"file:{quote(str(path.resolve()))}?{mode}", uri=True, timeout=0.2)
        try:
            return ledger_of(
                lambda sql, *values: connection.execute(sql, values).fetchall(), path.parent.name, path, guard=beside if beside.exists() else Path("elsewhere")
            )
        finally:
            connection.close()
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise translated(error, path) from error
    except (KeyError, TypeError, ValueError, AttributeError, StopIteration) as error:
        raise StoreCorrupt("the books cannot be read", where=str(path), remedy="Retire the store and provision the link anew.") from error


def read_ledgers(folder: Path) -> list[LinkLedger]:
    """Return the books of all stores under DIR, by party and pair."""
    return [read_ledger(path) for path in sorted(Path(folder).glob("*/*-*.sqlite"))]
