"""Two parties with linked stores, and halves of a block for them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from heliograph.core.statement import Provenance, SecurityStatement
from heliograph.postprocess.keystore import KeyBlock, Link, PartyKeys, link, open_party

SIMULATED = Provenance(True, ("light comes from simulated instruments",))


def block(pair: str = "A-B", bits: int = 100_000, *, seed: int = 1, number: int = 0, provenance: Provenance = SIMULATED) -> KeyBlock:
    material = np.random.default_rng(seed).integers(0, 256, -(-bits // 8), dtype=np.uint8)
    if bits % 8:
        material[-1] &= (1 << bits % 8) - 1
    statement = SecurityStatement(("the key is secret",), ("the sources are as measured",), 3e-10, 1234, provenance)
    return KeyBlock(pair, number, material, bits, statement, provenance)


class Pair:
    """Parties A and B in a folder, and what they do to each other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.open()

    def open(self, **options: Any) -> Link:
        self.a, self.b = open_party(self.folder, "A", **options), open_party(self.folder, "B", **options)
        self.link = link(self.a, self.b)
        return self.link

    def ingest(self, bits: int = 100_000, seed: int = 1) -> int:
        return self.link.ingest(block(bits=bits, seed=seed), block(bits=bits, seed=seed))

    def crash(self) -> None:
        """Let both processes die, as far as files can tell."""
        for end in self.link.ends:
            end.store.abandon()

    def reopen(self) -> None:
        self.link.close()
        self.open()

    def path(self, party: str, kind: str = "sqlite") -> Path:
        return self.folder / party / f"A-B.{kind}"


def available(keys: PartyKeys, peer: str) -> dict[str, int]:
    return keys.ledger(peer).available


def rows(made: Link) -> list[list[tuple[int, int, bytes]]]:
    """Return pool, index and plaintext of every chunk that each end could still allocate or follow."""
    found = []
    for end in made.ends:
        store = end.store
        listed = store.db.all("SELECT pool, idx, b, ct FROM chunk WHERE state=1 ORDER BY pool, idx")
        found.append([(pool, idx, store.plain(pool, idx, b, ct)) for pool, idx, b, ct in listed])
    return found


@pytest.fixture
def tmp_path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give a folder in memory where there is one: these tests wait for thousands of syncs, and none of them cuts the power."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path_factory.mktemp("store")
        return
    with tempfile.TemporaryDirectory(dir=memory, prefix="heliograph-") as folder:
        yield Path(folder)


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    made = Pair(tmp_path)
    yield made
    made.crash()


@pytest.fixture
def make_block() -> Callable[..., KeyBlock]:
    return block


@pytest.fixture
def chunks() -> Callable[[Link], list[list[tuple[int, int, bytes]]]]:
    return rows
