"""Disk space that is there before HDF5 needs it.

HDF5 does not survive a failed write: it keeps the damage for its own exit and may end the process. So the space for the next write, and for closing the
file, is reserved through a descriptor of our own first; when there is none, nothing of the write was begun and the file can still be closed.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from ..core.errors import StorageError

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
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(self._file, used, more)
            elif (free := os.fstatvfs(self._file)).f_bavail * free.f_frsize < more:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            raise storage_error(error, self._path) from error

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self._file)
