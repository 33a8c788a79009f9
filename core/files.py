"""Files that are there whole or not at all; private ones, and gone when they are erased. Everything here raises OSError."""

from __future__ import annotations

import errno
import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO


@contextmanager
def beside(path: Path) -> Iterator[Path]:
    """Give a name beside a file, of the same ending, to write it by; at the end of the block it takes its place, as readable as what was there.

    Where the path is a link, the file that it leads to is the one that is written. After a failure the file is as it was, and nothing lies beside it.
    """
    place = Path(os.path.realpath(path))
    if place.exists() and not place.is_file():
        raise FileExistsError(errno.EEXIST, "what is there is no ordinary file", str(path))
    fresh = place.with_name(f".{os.getpid()}.new.{place.name}")
    try:
        yield fresh
        with fresh.open("rb") as file:
            os.fsync(file.fileno())
        if place.exists():
            fresh.chmod(place.stat().st_mode & 0o777)
        fresh.replace(place)
    finally:
        with suppress(OSError):
            fresh.unlink(missing_ok=True)


def write_private(path: Path, content: bytes, *, secret: bool = False, locked: ExitStack | None = None) -> None:
    """Write a file of mode 0600 that is on disk whole when this returns; after a failure or a crash the file of that name is as it was before.

    secret: what the file held before, and what a writing of it left that failed or was killed, is overwritten with zeros.
    locked: keeps a shared lock (flock) on the file, which it has before it has its name.
    """
    part = _part(path)
    with ExitStack() as held:
        former = held.enter_context(path.open("r+b")) if secret and path.exists() else None
        if secret:
            _erased(part)
        try:
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
                if locked is not None:
                    # The lock is of what was opened, so it stays with a second descriptor of it.
                    fcntl.flock(file, fcntl.LOCK_SH)
                    locked.callback(os.close, os.dup(file.fileno()))
            part.replace(path)
        except OSError:
            for undo in (_erased, Path.unlink):
                with suppress(OSError):
                    undo(part)
            raise
        sync_folder(path.parent)
        if former is not None:
            _zero(former)


def erase(path: Path) -> bool:
    """Overwrite a file with zeros, sync it, remove it; return False if it was not there. What a killed `write_private` left goes with it.

    On flash storage and copy-on-write file systems old blocks may survive: keep secrets on an encrypted volume.
    """
    gone = [_erased(one) for one in (path, _part(path))]
    if any(gone):
        sync_folder(path.parent)
    return gone[0]


def _part(path: Path) -> Path:
    return path.with_name(f".{path.name}.part")


def _erased(path: Path) -> bool:
    try:
        with path.open("r+b") as file:
            _zero(file)
    except FileNotFoundError:
        return False
    path.unlink()
    return True


def _zero(file: IO[bytes]) -> None:
    file.write(bytes(os.fstat(file.fileno()).st_size))
    file.flush()
    os.fsync(file.fileno())


def room(folder: Path, size: int, spare: int) -> IO[bytes]:
    """Keep `size` bytes of a disk, besides `spare` that are free now, until the file without a name that this returns is closed."""
    file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  it outlives this function
    try:
        allocate(file.fileno(), 0, size + spare)
        os.ftruncate(file.fileno(), size)
    except BaseException:
        file.close()
        raise
    return file


def allocate(file: int, used: int, more: int) -> None:
    """Make sure that `more` bytes fit into an open file behind the first `used`."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, used, more)
    elif (free := os.fstatvfs(file)).f_bavail * free.f_frsize < more:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
