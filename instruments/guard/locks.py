"""One holder per device: a lock file per resource string, which dies with the process that holds it.

The files lie in one place of the computer, whoever asks and from whatever session: else two owners could stand at the same laser. Only HELIOGRAPH_RUNTIME_DIR
moves it, for tests and for systems without /tmp. Containers and computers that share a device do not see each other's locks.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import stat
import time
from pathlib import Path

from ...core.errors import InstrumentLocked, StorageError

PLACE = "HELIOGRAPH_RUNTIME_DIR"
_SERIAL = re.compile(r"asrl(/.+?)(?:::instr)?", re.IGNORECASE)
_TCP = re.compile(r"tcp://([^/:@\[\]]+):0*(\d+)/?", re.IGNORECASE)
_ON_ANY_BOARD = re.compile(r"^(TCPIP|USB)\d*(?=::)")
_HEX = re.compile(r"0X[0-9A-F]+")
_HERE = ("LOCALHOST", "LOCALHOST.LOCALDOMAIN")
_VISA = re.compile(r"(?:asrl|gpib|tcpip|usb|pxi|vxi)\d*::", re.IGNORECASE)
_SHARED = 0o1777
_OPENED_S = 0.5


def user_folder() -> Path:
    """Return the folder that only this user can enter, for sockets. Raises StorageError where another user could."""
    folder = _root() / f"heliograph-{os.getuid()}"
    found = _made(folder, 0o700)
    if found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise StorageError("the folder for sockets is open to other users", where=str(folder), remedy=f"Remove it, or set {PLACE} to a folder of yours.")
    return folder


def lock_folder() -> Path:
    """Return the folder for the locks of all users of this computer. Raises StorageError where it cannot be used by all."""
    folder = _root() / "heliograph-locks"
    found = _made(folder, _SHARED)
    # Whoever makes it opens it a moment later.
    late = time.monotonic() + _OPENED_S
    while stat.S_IMODE(found.st_mode) != _SHARED and time.monotonic() < late:
        time.sleep(0.01)
        found = folder.lstat()
    if stat.S_IMODE(found.st_mode) != _SHARED:
        raise StorageError("the folder for locks is not open to all users", where=str(folder), remedy="Remove it, or ask its owner to (mode 1777).")
    return folder


def _root() -> Path:
    # Not the system's folder for sessions: it ends with the last session, while a bench goes on, and a service or a container has another one.
    return Path(os.environ.get(PLACE) or "/tmp")  # noqa: S108  what is made in it is checked


def _made(folder: Path, mode: int) -> os.stat_result:
    """Make a folder, unless it is there; return what is there, which may be anybody's, but no link."""
    try:
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
            folder.chmod(mode)
        found = folder.lstat()
    except OSError as error:
        raise StorageError(f"the folder cannot be made ({error.strerror})", where=str(folder), remedy=f"Set {PLACE} to a local folder.") from error
    if not stat.S_ISDIR(found.st_mode):
        raise StorageError("this is no folder", where=str(folder), remedy=f"Remove it, or set {PLACE} to a folder of yours.")
    return found


def canonical(resource: str) -> str:
    """Return one name for the names of one port: a serial port by the device that its links lead to, any other as PyVISA writes it out, in capitals.

    `tcp://host:port` is the name of a socket, too. Only what is certain is taken for one: host names are not looked up, but for this computer's own
    (`localhost`), so a name and its address are two.
    """
    serial = _SERIAL.fullmatch(resource)
    if serial is not None:
        return f"ASRL{os.path.realpath(serial[1])}::INSTR"
    resource = _TCP.sub(r"TCPIP0::\1::\2::SOCKET", resource)
    if _VISA.match(resource) is None:
        return resource
    from pyvisa.rname import InvalidResourceName, to_canonical_name

    with contextlib.suppress(InvalidResourceName):
        resource = to_canonical_name(resource.upper())
    # PyVISA-py, by which everything is opened, looks for both on all boards.
    kind, *words = _ON_ANY_BOARD.sub(r"\g<1>0", resource.upper()).split("::")
    if kind == "USB0":
        return "::".join([kind, *map(_number, words[:2]), *words[2:]])
    return "::".join([kind, *map(_host, words)])


def _host(word: str) -> str:
    """Return a word of a resource name; a name that means this computer, whatever anybody looks up (RFC 6761), as an address."""
    name = word.removesuffix(".")
    return "127.0.0.1" if name in _HERE or name.endswith(".LOCALHOST") else word


def _number(word: str) -> str:
    """Return the number of a vendor or product, which may be written in decimal or not."""
    return str(int(word, 16)) if _HEX.fullmatch(word) else word


class ResourceLock:
    """The right to speak to one resource, held from construction until `release`.

    does: what its holder does, for the message.
    Raises InstrumentLocked, which names the holder's process; StorageError where the file system gives no lock.
    """

    def __init__(self, name: str, resource: str, *, does: str = "holds the instrument") -> None:
        self.resource, self._does = resource, does
        self._file = self._folder = -1
        folder = lock_folder()
        path = folder / f"{hashlib.sha256(canonical(resource).encode()).hexdigest()[:32]}.lock"
        try:
            self._folder = _kept_from_cleaners(folder)
            self._file = _opened(path)
            self._take(f"{name} ({resource})")
        except OSError as error:
            self.release()
            raise StorageError(f"{name} cannot be locked ({error.strerror})", where=str(path), remedy=f"Set {PLACE} to a local folder.") from error
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
        for file in (self._file, self._folder):
            if file >= 0:
                os.close(file)
        self._file = self._folder = -1


def _opened(path: Path) -> int:
    """Open a lock file, which may be another user's; made where there is none."""
    try:
        return os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        pass
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    os.fchmod(file, 0o666)
    return file


def _kept_from_cleaners(folder: Path) -> int:
    """Open the folder, locked: what clears old files away leaves a folder alone in which a lock is held, as systemd-tmpfiles says."""
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    with contextlib.suppress(OSError):
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    return file
