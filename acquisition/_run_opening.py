"""Opening run files that may be whole, still written, killed, cut short or hostile: none of them keeps the reader waiting."""

from __future__ import annotations

import contextlib
import ctypes
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import h5py

from ..core.errors import RunFileError, RunFileHeld
from ._room import being_written

_ATTEMPTS = 20
"""How often a piece of metadata is read that a living writer may just be changing. HDF5 waits twice as long each time: twenty attempts take a millisecond."""
PATIENCE_S = 2.0
"""How long a file is tried that its writer holds and nobody can read; a writer needs milliseconds for the end of a run."""
_PAUSE_S = 0.005
_KINDS = {stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFDIR: "a folder"}
_Found = TypeVar("_Found")


def patiently(read: Callable[[Path], _Found], path: Path) -> _Found:
    """Return what is read of a run file, trying again what a living writer holds: while that writes the end, nobody can read it.

    Raises what the reader does; RunFileHeld if the writer holds the file all the time.
    """
    late = time.monotonic() + PATIENCE_S
    while True:
        # Asked before: a writer that has ended meanwhile has left a file that can be read.
        held = being_written(path)
        try:
            return read(path)
        except RunFileError as error:
            if not held:
                raise
            if time.monotonic() > late:
                raise RunFileHeld("its writer holds the run file, which cannot be read now", where=str(path), remedy="Try again in a moment.") from error
        time.sleep(_PAUSE_S)


def opened(path: Path) -> h5py.File:
    """Open a run file for reading, also one whose writer lives or was killed.

    Raises RunFileError if there is none, if it is no HDF5 file, or if it refers to other files.
    """
    if not path.is_file():
        raise _no_file(path)
    try:
        try:
            file = h5py.File(path, "r")
        except OSError:
            try:
                # A file whose writer lives or was killed opens this way only.
                file = _while_written(path)
            except OSError:
                if being_written(path):
                    raise
                file = _left_at_the_end(path)
    except (OSError, RuntimeError) as error:
        raise RunFileError("this is no run file, or it is damaged", where=str(path), remedy="Give the .h5 file of a Heliograph run.") from error
    try:
        _refuse_other_files(file, path)
    except BaseException:
        file.close()
        raise
    return file


def _no_file(path: Path) -> RunFileError:
    """Return the error for a path at which there is no ordinary file: nothing at all, or what nobody may open to see."""
    if not os.path.lexists(path):
        return RunFileError("there is no such run file", where=str(path), remedy="Check the name.")
    kind = _KINDS.get(stat.S_IFMT(path.stat().st_mode), "a device") if path.exists() else "a link to nothing"
    return RunFileError(f"this is no ordinary file ({kind})", where=str(path), remedy="Give the .h5 file of a Heliograph run.")


def _while_written(path: Path) -> h5py.File:
    """Open as one reader beside one writer.

    By itself HDF5 would try a hundred times, and so sleep for years over a file that was cut short; h5py has no name for the setting.
    """
    access = _access()
    with contextlib.suppress(OSError, AttributeError):
        attempts = ctypes.CDLL(h5py.h5p.__file__).H5Pset_metadata_read_attempts
        attempts.argtypes = (ctypes.c_int64, ctypes.c_uint)
        attempts(access.id, _ATTEMPTS)
    return h5py.File(h5py.h5f.open(os.fsencode(path), h5py.h5f.ACC_RDONLY | h5py.h5f.ACC_SWMR_READ, fapl=access))


def _left_at_the_end(path: Path) -> h5py.File:
    """Open what a writer left that was killed while it wrote the end of the run: the mark of a writer that stands in it is overlooked, as `h5clear` does.

    The file itself stays as it is.
    """
    access, yes = _access(), ctypes.c_uint64(1)
    with contextlib.suppress(OSError, AttributeError):
        put = ctypes.CDLL(h5py.h5p.__file__).H5Pset
        put.argtypes = (ctypes.c_int64, ctypes.c_char_p, ctypes.c_void_p)
        put(access.id, b"clear_status_flags", ctypes.byref(yes))
    return h5py.File(h5py.h5f.open(os.fsencode(path), h5py.h5f.ACC_RDONLY, fapl=access))


def _access() -> h5py.h5p.PropFAID:
    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    access.set_fclose_degree(h5py.h5f.CLOSE_STRONG)
    return access


def _refuse_other_files(file: h5py.File, path: Path) -> None:
    """A run file holds its data itself: one that points elsewhere would make its reader open whatever its maker likes, such as a pipe that never ends."""
    elsewhere: list[str] = []

    def look(name: str, link: h5py.HardLink | h5py.SoftLink | h5py.ExternalLink) -> None:
        if isinstance(link, h5py.ExternalLink) or (isinstance(link, h5py.HardLink) and _is_elsewhere(file[name])):
            elsewhere.append(name)

    try:
        file.visititems_links(look)
    except (OSError, RuntimeError, KeyError, TypeError, ValueError) as error:
        raise RunFileError("the run file is damaged", where=str(path), remedy="Restore it from a copy, or acquire again.") from error
    if elsewhere:
        raise RunFileError(f"{elsewhere[0]} lies in another file", where=str(path), remedy="Run files hold their own data; do not use this one.")


def _is_elsewhere(one: h5py.Group | h5py.Dataset) -> bool:
    return isinstance(one, h5py.Dataset) and bool(one.external or one.is_virtual)
