"""What lies in a store file: tables, pools, states."""

from __future__ import annotations

from enum import IntEnum
from typing import Literal

Side = Literal["A", "B"]
ProvenanceLabel = Literal["real", "simulated", "local-rng"]

SCHEMA = 1
PROVENANCE_CODES: dict[str, int] = {"real": 1, "simulated": 2, "local-rng": 3}
PRESHARED = 4
"""Provenance code of the rows of block 0."""

TABLES = """
CREATE TABLE meta(k PRIMARY KEY, v);
CREATE TABLE block(b PRIMARY KEY, state, bits, dek BLOB, left INT, t, statement);
CREATE TABLE chunk(pool, idx, state, b, key_id, ct BLOB, PRIMARY KEY(pool, idx)) WITHOUT ROWID;
CREATE TABLE keyrec(key_id PRIMARY KEY, pool, first, n, bits, master, slaves, fetched, state, t);
CREATE TABLE pool(pool PRIMARY KEY, next_ingest, next_alloc, ceiling);
CREATE TABLE audit(n PRIMARY KEY, h BLOB, j TEXT);
"""


class Pool(IntEnum):
    """The six pools of a link. `AB`: side A allocates and B follows; `BA`: the other way round."""

    AUTH_AB = 1
    AUTH_BA = 2
    DATA_AB = 3
    DATA_BA = 4
    BULK_AB = 5
    BULK_BA = 6


CHUNK_BYTES: dict[Pool, int] = {Pool.AUTH_AB: 16, Pool.AUTH_BA: 16, Pool.DATA_AB: 32, Pool.DATA_BA: 32, Pool.BULK_AB: 4096, Pool.BULK_BA: 4096}
KEY_CHUNKS: dict[Pool, int] = {Pool.DATA_AB: 16, Pool.DATA_BA: 16, Pool.BULK_AB: 2, Pool.BULK_BA: 2}
"""Most chunks of one key: 4,096 and 65,536 bits."""


class State(IntEnum):
    """Where a chunk is on its way from the block to its consumer."""

    PENDING = 0
    AVAILABLE = 1
    RESERVED = 2
    OFFERED = 3
    CONSUMED = 4
    BURNED = 5
    RECYCLED = 6
    """A hash key r: used again and again, never allocated."""


def own_pools(side: Side) -> tuple[Pool, Pool, Pool]:
    """Return the pools (auth, data, bulk) that a side allocates from."""
    return (Pool.AUTH_AB, Pool.DATA_AB, Pool.BULK_AB) if side == "A" else (Pool.AUTH_BA, Pool.DATA_BA, Pool.BULK_BA)


def other(side: Side) -> Side:
    """Return the other side."""
    return "B" if side == "A" else "A"


def bits_of(pool: Pool) -> int:
    """Return the bits of one chunk of a pool."""
    return 8 * CHUNK_BYTES[pool]
