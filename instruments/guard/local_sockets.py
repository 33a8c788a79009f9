"""Unix sockets of our own, and who is at their other end."""

from __future__ import annotations

import contextlib
import pwd
import socket
import sys
from pathlib import Path


def listen(path: Path) -> socket.socket:
    """Return a Unix stream socket that listens at a path of our own; a stale one is replaced."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    path.chmod(0o600)
    listener.listen(16)
    return listener


def unlisten(path: Path, inode: int) -> None:
    """Take a socket's path away, unless another process listens there by now."""
    with contextlib.suppress(FileNotFoundError):
        if path.stat().st_ino == inode:
            path.unlink()


def peer_pid(connection: socket.socket) -> int:
    """Return the process at the other end of a Unix socket, 0 where the system does not tell."""
    if not hasattr(socket, "SO_PEERCRED"):
        return 0
    return int.from_bytes(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)[:4], sys.byteorder)


def peer_who(connection: socket.socket) -> str:
    """Return whose process is at the other end of a Unix socket, as people say it: "ana@lab1 (process 4711)"."""
    pid = peer_pid(connection)
    if not pid:
        return "a process of this computer"
    uid = int.from_bytes(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)[4:8], sys.byteorder)
    return who(pid, uid)


def who(pid: int, uid: int) -> str:
    """Return whose process one of this computer is: "ana@lab1 (process 4711)"; a user without a name is told by the number."""
    try:
        user = pwd.getpwuid(uid).pw_name
    except KeyError:
        user = f"user {uid}"
    return f"{user}@{socket.gethostname()} (process {pid})"
