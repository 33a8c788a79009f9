"""Append-only, hash-chained records: what must be remembered before it is done.

One JSON object a line, keys sorted, floats by repr: `v` (format), `seq` (0, 1, ..), `prev` (SHA-256 of the line before, without its newline), `t_ns`, `kind`
and the record's own fields. A line is on disk before `append` returns. A torn last line is set aside: its act never happened. The chain vouches for every
line but the last: that this one was altered, or that lines behind it were taken away, cannot be seen in the file.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from .errors import LedgerCorrupt, ParameterError, StorageError
from .files import sync_folder

FORMAT = 1
_FIRST = "0" * 64
_OWN = frozenset({"v", "seq", "prev", "t_ns"})


class Ledger:
    """A ledger file, locked for this process while open.

    path: created with mode 0600 if it is not there.  clock_ns: source of `t_ns`.
    Raises LedgerCorrupt if a line does not follow from those before it, StorageError if the file is held by another process or cannot be written.
    """

    def __init__(self, path: Path, *, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self.path = path
        self._clock_ns = clock_ns
        self._file = _opened(path)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._seq, self._head = self._recover()
        except OSError as error:
            os.close(self._file)
            if isinstance(error, BlockingIOError):
                raise StorageError("the ledger is in use by another process", where=str(path), remedy="Wait for it or stop it.") from error
            raise _unopened(path, error) from error
        except BaseException:
            os.close(self._file)
            raise

    def _recover(self) -> tuple[int, str]:
        raw = self.path.read_bytes()
        whole = raw.rfind(b"\n") + 1
        seq, head = 0, _FIRST
        for record, digest in _checked(self.path, raw[:whole]):
            seq, head = record["seq"] + 1, digest
        if whole < len(raw):
            self._set_aside(raw[whole:], whole)
        return seq, head

    def _set_aside(self, piece: bytes, whole: int) -> None:
        torn = self.path.with_name(f"{self.path.name}.torn-{self._clock_ns()}")
        file = os.open(torn, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.write(file, piece)
            os.fsync(file)
        finally:
            os.close(file)
        os.ftruncate(self._file, whole)
        os.fsync(self._file)
        warnings.warn(f"{self.path}: a torn last line was set aside as {torn.name}; its act never happened", stacklevel=5)

    def append(self, kind: str, **fields: Any) -> int:
        """Write one record durably and return its sequence number.

        fields: JSON values under names other than the ledger's own.  Raises ParameterError for what is no JSON, StorageError if the disk is
        full; the record is then not there.
        """
        if taken := fields.keys() & _OWN:
            raise ParameterError("these names belong to the ledger", where=", ".join(sorted(taken)), remedy="Choose others.")
        record = {**fields, "v": FORMAT, "seq": self._seq, "prev": self._head, "t_ns": self._clock_ns(), "kind": kind}
        try:
            line = json.dumps(record, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
        except (ValueError, TypeError) as error:
            raise ParameterError(f"this cannot be written down: {error}", where=kind, remedy="Give finite numbers, texts, lists and objects.") from error
        before = os.fstat(self._file).st_size
        try:
            if os.write(self._file, line + b"\n") < len(line) + 1:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(self._file)
        except OSError as error:
            # What cannot be taken back either has no end of line, and is set aside when the ledger is opened next.
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, before)
            raise StorageError(f"the record could not be written ({error.strerror})", where=str(self.path), remedy="Free some disk space.") from error
        self._seq, self._head = self._seq + 1, hashlib.sha256(line).hexdigest()
        return self._seq - 1

    def close(self) -> None:
        """Give the file back."""
        os.close(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _opened(path: Path) -> int:
    try:
        new = not path.exists()
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        if new:
            sync_folder(path.parent)
    except OSError as error:
        raise _unopened(path, error) from error
    return file


def _unopened(path: Path, error: OSError) -> StorageError:
    return StorageError(f"the ledger cannot be opened ({error.strerror})", where=str(path), remedy="Check the folder, its permissions and the disk.")


def records(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the records of a ledger in order, checking the chain; a torn last line is left out."""
    raw = path.read_bytes()
    for record, _ in _checked(path, raw[: raw.rfind(b"\n") + 1]):
        yield record


def _checked(path: Path, raw: bytes) -> Iterator[tuple[dict[str, Any], str]]:
    head = _FIRST
    for number, line in enumerate(raw.split(b"\n")[:-1]):
        try:
            record = json.loads(line)
            intact = record["seq"] == number and record["prev"] == head and record["v"] == FORMAT
        except (ValueError, KeyError, TypeError, RecursionError):
            intact = False
        if not intact:
            raise LedgerCorrupt(f"line {number + 1} does not follow from the lines before it", where=str(path), remedy="Restore the file, or retire it.")
        head = hashlib.sha256(line).hexdigest()
        yield record, head
