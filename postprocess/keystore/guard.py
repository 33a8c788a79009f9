"""The rollback guard: a small record outside the store that remembers how far the store has gone.

Two 64-byte slots, 4096 bytes apart, are written in turn and synced; the valid slot with the larger lease number counts. It belongs on another volume than
the store: a restored copy of a folder that holds both deceives it.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ...core.errors import GuardMismatch, StorageError, StoreLocked

_MAGIC = b"HGGRD1\0\0"
_SLOT = struct.Struct(">8s16sQQQ16s")
_OFFSETS = (0, 4096)


@dataclass(frozen=True, slots=True)
class GuardRecord:
    """What a slot holds. epoch: times the store was opened.  lease_no: steps of allocation."""

    store_id: bytes
    epoch: int
    lease_no: int

    def pack(self) -> bytes:
        """Return the 64 bytes of a slot."""
        body = _SLOT.pack(_MAGIC, self.store_id, self.epoch, self.lease_no, 0, b"")[:48]
        return body + hashlib.sha256(body).digest()[:16]

    @classmethod
    def unpack(cls, raw: bytes) -> GuardRecord | None:
        """Return what a slot holds, None if it is torn or empty."""
        if len(raw) != _SLOT.size or hashlib.sha256(raw[:48]).digest()[:16] != raw[48:]:
            return None
        magic, store_id, epoch, lease_no, _, _ = _SLOT.unpack(raw)
        return cls(store_id, epoch, lease_no) if magic == _MAGIC else None


class Guard:
    """The guard file of one store, locked for this process while open.

    Raises StoreLocked if another process holds it, StorageError if it cannot be read or written.
    """

    def __init__(self, path: Path, *, fsync: Callable[[int], None] = os.fsync) -> None:
        self.path = path
        self._fsync = fsync
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._failure(error) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._file)
            raise StoreLocked("another process has the store open", where=str(path), remedy="Wait for it or stop it.") from error
        self._slots = [GuardRecord.unpack(os.pread(self._file, _SLOT.size, offset)) for offset in _OFFSETS]

    @property
    def record(self) -> GuardRecord | None:
        """Return the valid slot with the larger lease number; None for a new file. Raises GuardMismatch if there is content and none of it valid."""
        valid = [slot for slot in self._slots if slot is not None]
        if not valid and os.fstat(self._file).st_size:
            raise GuardMismatch("neither slot of the guard is valid", where=str(self.path), remedy="Restore the guard, or provision the link anew.")
        return max(valid, key=lambda slot: slot.lease_no, default=None)

    def write(self, record: GuardRecord) -> None:
        """Make a record durable, in the slot that does not count now."""
        current = self.record
        number = 1 if self._slots[0] is current and current is not None else 0
        try:
            if os.pwrite(self._file, record.pack(), _OFFSETS[number]) < _SLOT.size:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self._fsync(self._file)
        except OSError as error:
            raise self._failure(error) from error
        self._slots[number] = record

    def close(self) -> None:
        """Give the file back; a second time does nothing."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _failure(self, error: OSError) -> StorageError:
        return StorageError(f"the guard cannot be kept ({error.strerror})", where=str(self.path), remedy="Free some disk space, then open the store again.")
