"""Patterns too long to be held: drawn, stored and read again by chunks.

At 1e8 pulses a second a party's pattern that never repeats fills 25 MB a second, so it lives in a record on disk, beside the key store and never in a run
file, and is read one chunk at a time. In simulations it can instead be drawn again from its seed.

A record is a magic line, a line of JSON, and chunks: number of slots (8 bytes, little-endian), SHA-256 of the planes, packed bases, packed bits. All chunks but
the last are full, so a record cut off by a kill is read up to its last whole chunk.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from ..core.entropy import RandomSource, SimRandom
from ..core.errors import ParameterError, RunFileError
from ._room import storage_error
from .patterns import Mode

_MAGIC = b"heliograph-pattern-record/1\n"
_HEAD = 8 + 32
SECOND = 100_000_000
"""Slots of a chunk: one second of pulses."""


@dataclass(frozen=True, slots=True)
class PatternChunk:
    """Consecutive elements of a pattern.

    first: number of its first element.  n: elements.  basis, bit: uint8 (ceil(n/8),), packed.
    """

    first: int
    n: int
    basis: NDArray[np.uint8]
    bit: NDArray[np.uint8]


class PatternStream(Protocol):
    """A pattern that does not repeat, read by chunks of `chunk_slots` elements, the last one shorter."""

    @property
    def n_slots(self) -> int:
        """Return the number of elements."""
        ...

    @property
    def chunk_slots(self) -> int:
        """Return the elements of a full chunk."""
        ...

    def chunk(self, index: int) -> PatternChunk:
        """Return a chunk; asked for again, the same one."""
        ...


def draw_chunk(source: RandomSource, first: int, n: int, y_weight: int) -> PatternChunk:
    """Return n fresh elements: Y with probability y_weight / 256, bits even.

    Bases cost as many random bits an element as y_weight / 256 has binary places.
    """
    size = (n + 7) // 8
    basis = np.zeros(size, np.uint8)
    # Binary places of the probability from the last one: y or fresh for 1, y and fresh for 0, each halving what came before.
    for place in range((y_weight & -y_weight).bit_length() - 1, 8):
        fresh = np.frombuffer(source.take(size), np.uint8)
        basis = basis | fresh if y_weight >> place & 1 else basis & fresh
    bit = np.frombuffer(source.take(size), np.uint8).copy()
    if n % 8:
        basis[-1] &= (1 << n % 8) - 1
        bit[-1] &= (1 << n % 8) - 1
    return PatternChunk(first, n, basis, bit)


@dataclass(frozen=True, slots=True)
class SeededPattern:
    """A pattern drawn again from its seed whenever a chunk is asked for: for simulations only.

    seed, stream: two parties take different streams.  y_weight: Y slots of 256.
    """

    seed: int
    stream: int
    n_slots: int
    y_weight: int = 26
    chunk_slots: int = SECOND

    def chunk(self, index: int) -> PatternChunk:
        """Return a chunk. Raises ParameterError outside the pattern."""
        first = index * self.chunk_slots
        n = min(self.chunk_slots, self.n_slots - first)
        if index < 0 or n < 1:
            raise ParameterError(f"the pattern has no chunk {index}", where="chunk")
        return draw_chunk(SimRandom(self.seed, (self.stream << 32) + index), first, n, self.y_weight)

    def chunks(self) -> Iterator[PatternChunk]:
        """Return all chunks in order."""
        return (self.chunk(index) for index in range(-(-self.n_slots // self.chunk_slots)))


class PatternWriter:
    """Writes a record, mode 0600, chunk by chunk; a context manager.

    Raises StorageError if the file exists already, or cannot be written.
    """

    def __init__(self, path: Path, *, run_id: str, party: str, mode: Mode = "qrng", chunk_slots: int = SECOND) -> None:
        if chunk_slots < 8 or chunk_slots % 8:
            raise ParameterError("a chunk has a multiple of 8 slots", where="chunk_slots")
        self._path = path
        self._chunk_slots, self._full = chunk_slots, True
        about = {"chunk_slots": chunk_slots, "mode": mode, "party": party, "run_id": run_id}
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise storage_error(error, path) from error
        self._write(_MAGIC + json.dumps(about, sort_keys=True).encode() + b"\n")

    def append(self, chunk: PatternChunk) -> None:
        """Write the next chunk and sync it. Raises ParameterError behind a chunk that was not full, StorageError if the disk is full."""
        if not self._full or not 0 < chunk.n <= self._chunk_slots:
            raise ParameterError(f"a chunk of {chunk.n:,} slots does not fit here; only the last one may be short", where=str(self._path))
        self._full = chunk.n == self._chunk_slots
        planes = chunk.basis.tobytes() + chunk.bit.tobytes()
        self._write(chunk.n.to_bytes(8, "little") + hashlib.sha256(planes).digest() + planes)

    def _write(self, body: bytes) -> None:
        rest = memoryview(body)
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
            os.fsync(self._file)
        except OSError as error:
            raise storage_error(error, self._path) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        os.close(self._file)


class PatternRecord:
    """A record on disk; a context manager.

    run_id, party: if given, the record must be of this run and this party.
    Raises RunFileError if the file is missing, no record, somebody else's, or empty.
    """

    def __init__(self, path: Path, *, run_id: str | None = None, party: str | None = None) -> None:
        self._path = path
        try:
            self._file = path.open("rb", buffering=0)
        except OSError as error:
            raise RunFileError(f"the pattern record cannot be read: {error.strerror}", where=str(path)) from error
        try:
            self._about = self._read_head(run_id, party)
            self.n_slots = self._measure()
        except BaseException:
            self._file.close()
            raise

    @property
    def mode(self) -> Mode:
        """Return where the pattern comes from."""
        mode: Mode = self._about["mode"]
        return mode

    @property
    def chunk_slots(self) -> int:
        """Return the elements of a full chunk."""
        return int(self._about["chunk_slots"])

    def chunk(self, index: int) -> PatternChunk:
        """Return a chunk. Raises ParameterError outside the record, RunFileError if it is damaged."""
        first = index * self.chunk_slots
        n = min(self.chunk_slots, self.n_slots - first)
        if index < 0 or n < 1:
            raise ParameterError(f"the record has no chunk {index}", where=str(self._path))
        half = (n + 7) // 8
        raw = os.pread(self._file.fileno(), _HEAD + 2 * half, self._start + index * self._stride)
        if len(raw) < _HEAD + 2 * half or hashlib.sha256(memoryview(raw)[_HEAD:]).digest() != raw[8:_HEAD]:
            raise RunFileError(f"chunk {index} of the pattern record is damaged", where=str(self._path), remedy="Acquire a new run.")
        planes = np.frombuffer(raw, np.uint8, offset=_HEAD)
        return PatternChunk(first, n, planes[:half], planes[half:])

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @property
    def _stride(self) -> int:
        return _HEAD + self.chunk_slots // 4

    def _read_head(self, run_id: str | None, party: str | None) -> dict[str, Any]:
        magic, line = self._file.read(len(_MAGIC)), self._file.read(4096).partition(b"\n")[0]
        try:
            about = json.loads(line)
            known = magic == _MAGIC and about["chunk_slots"] >= 8 and {"mode", "party", "run_id"} <= set(about)
        except (ValueError, KeyError, TypeError):
            known = False
        if not known:
            raise RunFileError("this is not a pattern record", where=str(self._path))
        for name, wanted in (("run_id", run_id), ("party", party)):
            if wanted is not None and about[name] != wanted:
                raise RunFileError(f"{name} is {about[name]!r} here, {wanted!r} is needed", where=str(self._path), remedy="Give this party's own record.")
        self._start = len(_MAGIC) + len(line) + 1
        return dict(about)

    def _measure(self) -> int:
        """Return the number of slots in whole chunks."""
        full, rest = divmod(os.fstat(self._file.fileno()).st_size - self._start, self._stride)
        slots = full * self.chunk_slots
        if rest > _HEAD:
            n = int.from_bytes(os.pread(self._file.fileno(), 8, self._start + full * self._stride), "little")
            slots += n if rest == _HEAD + 2 * ((n + 7) // 8) else 0
        if slots == 0:
            raise RunFileError("the pattern record is empty", where=str(self._path), remedy="Acquire a new run.")
        return slots
