"""Disk space that is there before HDF5 needs it.

HDF5 does not survive a failed write: it keeps the damage for its own exit and may end the process. So the space for the next write, and for closing the
file, is reserved through a descriptor of our own first; when there is none, nothing of the write was begun and the file can still be closed.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import struct
import sys
from pathlib import Path

from ..core.errors import StorageError
from ..core.files import allocate

_MARK = 1 << 62
MARGIN = 1 << 20
"""Bytes kept free beyond every write, for the file's own tables and its end."""


def storage_error(error: OSError, path: Path) -> StorageError:
    """Return what a failed operation of the operating system means for a file."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    why = "the disk is full, or the file reached its size limit" if full else (error.strerror or str(error))
    remedy = "Data to the last flush are kept. Free space, or choose another folder." if full else "Choose another folder, one that you may write to."
    return StorageError(why, where=str(path), remedy=remedy)


class Room:
    """Reserves space in a file that another library writes. name: what the file is called in messages, if not by its present name."""

    def __init__(self, path: Path, name: Path | None = None) -> None:
        self._path = name or path
        self._file = os.open(path, os.O_RDWR | os.O_CLOEXEC)

    def reserve(self, used: int, more: int) -> None:
        """Make sure that `more` bytes fit behind the first `used`. Raises StorageError."""
        try:
            allocate(self._file, used, more)
        except OSError as error:
            raise storage_error(error, self._path) from error

    def mark_written(self) -> None:
        """Let other processes see that the file is being written, until `close`: by a lock behind all data, for HDF5 has its own on the whole."""
        with contextlib.suppress(OSError):
            _lock(self._file, fcntl.F_RDLCK)

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self._file)


def being_written(path: Path) -> bool:
    """Say whether another process is writing a run file, on Linux also this one; where this cannot be seen, none is."""
    try:
        # Whoever opens a pipe waits for its other end, and of a device nobody knows what its opening does.
        if not path.is_file():
            return False
        file = os.open(path, (os.O_RDONLY if sys.platform == "linux" else os.O_RDWR) | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        return _is_marked(file)
    except OSError as error:
        return error.errno in (errno.EACCES, errno.EAGAIN)
    finally:
        os.close(file)


def _is_marked(file: int) -> bool:
    """Say whether the mark is locked; raises OSError, too, where that cannot be asked without taking it."""
    marked = False
    if sys.platform == "linux":
        # Whoever took the mark for a moment would be in the way of a writer that is just about to.
        found = fcntl.fcntl(file, fcntl.F_OFD_GETLK, _mark(fcntl.F_WRLCK))
        marked = bool(struct.unpack_from("@h", found)[0] != fcntl.F_UNLCK)
    else:
        _lock(file, fcntl.F_WRLCK)
    return marked


def _lock(file: int, kind: int) -> None:
    """Lock the mark, or raise OSError."""
    # A lock of the process is lost once any descriptor of the file is closed in it; where there are locks of one open file, they last.
    if sys.platform == "linux":
        fcntl.fcntl(file, fcntl.F_OFD_SETLK, _mark(kind))
    else:
        fcntl.lockf(file, (fcntl.LOCK_SH if kind == fcntl.F_RDLCK else fcntl.LOCK_EX) | fcntl.LOCK_NB, 1, _MARK)


def _mark(kind: int) -> bytes:
    return struct.pack("@hhqqi4x", kind, os.SEEK_SET, _MARK, 1, 0)
