"""One holder per device: a lock file per resource string, which dies with the process that holds it."""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
from pathlib import Path

from ...core.errors import InstrumentLocked, StorageError


def lock_folder() -> Path:
    """Return the user's folder for locks, made with mode 0700; raises StorageError if it belongs to somebody else."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    root = Path(runtime) / "heliograph" if runtime and Path(runtime).is_dir() else Path(tempfile.gettempdir()) / f"heliograph-{os.getuid()}"
    folder = root / "locks"
    try:
        root.mkdir(mode=0o700, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise StorageError(f"the folder for locks cannot be made ({error.strerror})", where=str(folder), remedy="Set XDG_RUNTIME_DIR.") from error
    if root.stat().st_uid != os.getuid():
        raise StorageError("the folder for locks belongs to another user", where=str(root), remedy="Remove it or set XDG_RUNTIME_DIR.")
    return folder


class ResourceLock:
    """The right to speak to one resource, held from construction until `release`.

    does: what its holder does, for the message.
    Raises InstrumentLocked, which names the holder's process; StorageError where the file system gives no lock.
    """

    def __init__(self, name: str, resource: str, *, does: str = "holds the instrument") -> None:
        self.resource, self._does = resource, does
        path, self._file = lock_folder() / f"{hashlib.sha256(resource.encode()).hexdigest()[:32]}.lock", -1
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._take(f"{name} ({resource})")
        except OSError as error:
            self.release()
            raise StorageError(f"{name} cannot be locked ({error.strerror})", where=str(path), remedy="Set XDG_RUNTIME_DIR to a local folder.") from error
        except BaseException:
            self.release()
            raise

    def _take(self, where: str) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(self._file, 32).decode("ascii", "replace").strip() or "unknown"
            raise InstrumentLocked(f"process {holder} {self._does}", where=where, remedy="End that process, or wait for it.") from error
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Give the resource back; a second call does nothing."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
