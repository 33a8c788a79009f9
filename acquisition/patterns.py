"""Phase patterns of the users, their files, and the voltages that make them.

A demo pattern is a finite record that a waveform generator replays; both parties' patterns of a pair are drawn together so that the composition of the frame
(how many slots share a basis) is exact. Each party's pattern lives in its own 0600 file beside its key store, never in a run file, and is erased after use.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from contextlib import suppress
from dataclasses import dataclass
from math import pi
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..core.entropy import RandomSource
from ..core.errors import ParameterError, RunFileError, StorageError

Mode = Literal["demo", "qrng", "preamble"]
BRIGHT_POINT = 5
"""Waveform point of a slot, out of ten, in which the intensity modulators let light through."""
_MAGIC = b"heliograph-pattern/1\n"
_WIPE = 1 << 20


@dataclass(frozen=True, slots=True)
class Pattern:
    """What one party sends in the slots of a frame.

    basis: uint8 (n,), 0 for X and 1 for Y.  bit: uint8 (n,), 0 or 1.  mode: `demo` repeats every n slots and makes no real key; `preamble` is public.
    Raises ParameterError if the arrays differ in length, are empty, or hold anything but 0 and 1.
    """

    basis: NDArray[np.uint8]
    bit: NDArray[np.uint8]
    mode: Mode = "demo"

    def __post_init__(self) -> None:
        for name, plane in (("basis", self.basis), ("bit", self.bit)):
            if plane.ndim != 1 or plane.dtype != np.uint8 or plane.size == 0 or plane.max(initial=0) > 1:
                raise ParameterError("a pattern plane is a non-empty uint8 vector of 0 and 1", where=name)
        if self.basis.size != self.bit.size:
            raise ParameterError(f"{self.basis.size} bases for {self.bit.size} bits", where="pattern")

    def __len__(self) -> int:
        return int(self.basis.size)

    @property
    def phases_rad(self) -> NDArray[np.float64]:
        """Return the phases (n,): X sends 0 or pi, Y sends pi/2 or 3 pi/2."""
        return self.basis * (pi / 2) + self.bit * pi

    @property
    def reference(self) -> NDArray[np.float64]:
        """Return cos of the phases (n,), exact: +1 and -1 in X slots, 0 in Y slots."""
        return np.where(self.basis == 0, 1.0 - 2.0 * self.bit, 0.0)

    def phases_from(self, offset: int) -> NDArray[np.float64]:
        """Return the phases (n,) to load so that element 0 passes in slot 0, given the offset found for this user's train (`alignment.find_offset`).

        Two patterns drawn together overlap as they were drawn only if both users do this.
        """
        return np.roll(self.phases_rad, -offset)


def demo_patterns(source: RandomSource, n: int, n_y: int, overlap: int) -> tuple[Pattern, Pattern]:
    """Return the patterns of the Alice role and of the Bob role for one pair.

    n: slots of the frame.  n_y: Y slots of each party, exactly.  overlap: slots in which both send Y, exactly.
    Bits are balanced jointly inside each combination of bases, as far as its size allows. Raises ParameterError for an impossible composition.
    """
    if not 0 <= overlap <= n_y <= n or 2 * n_y - overlap > n:
        raise ParameterError(f"{n_y} Y slots each with {overlap} in common do not fit into {n} slots", where="overlap")
    order = _permutation(source.take(8 * n))
    bases, bits = np.zeros((2, n), np.uint8), np.zeros((2, n), np.uint8)
    # The remainders of X-X (equal bits first) and Y-Y (unequal bits first) offset each other in the frame's balance of equal against unequal bits.
    equal_first, unequal_first = ((0, 0), (1, 1), (0, 1), (1, 0)), ((0, 1), (1, 0), (0, 0), (1, 1))
    start = 0
    for (a, b), size in zip(((1, 1), (1, 0), (0, 1), (0, 0)), (overlap, n_y - overlap, n_y - overlap, n - 2 * n_y + overlap), strict=True):
        slots = order[start : start + size]
        combinations = np.array(unequal_first if a and b else equal_first, np.uint8)
        bases[0, slots], bases[1, slots] = a, b
        bits[:, slots] = combinations[np.arange(size) % 4].T
        start += size
    return Pattern(bases[0], bits[0]), Pattern(bases[1], bits[1])


def preamble(n: int, party: str) -> Pattern:
    """Return the public pattern of n slots that a party sends for alignment: a quarter Y, bits balanced, drawn from SHAKE-256 of the party's name."""
    if n < 8 or not party:
        raise ParameterError("a preamble has at least 8 slots and a party", where="preamble")
    order = _permutation(hashlib.shake_256(b"heliograph/preamble/" + party.encode()).digest(8 * n))
    basis, bit = np.zeros(n, np.uint8), np.zeros(n, np.uint8)
    basis[order[: n // 4]] = 1
    bit[order] = np.arange(n) % 2
    return Pattern(basis, bit, "preamble")


def _permutation(raw: bytes) -> NDArray[np.int64]:
    return np.argsort(np.frombuffer(raw, "<u8"), kind="stable")


def save_pattern(path: Path, pattern: Pattern, *, run_id: str, party: str) -> None:
    """Write a pattern to its own file, mode 0600, whole or not at all.

    Raises StorageError if the disk is full or the folder cannot be written.
    """
    planes = np.packbits(pattern.basis, bitorder="little").tobytes() + np.packbits(pattern.bit, bitorder="little").tobytes()
    about = {"mode": pattern.mode, "n": len(pattern), "party": party, "run_id": run_id, "sha256": hashlib.sha256(planes).hexdigest()}
    body = _MAGIC + json.dumps(about, sort_keys=True).encode() + b"\n" + planes
    fresh = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _write_private(fresh, body)
        fresh.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        with suppress(OSError):
            fresh.unlink()
        why = "the disk is full" if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else (error.strerror or "cannot be written")
        raise StorageError(f"the pattern was not written: {why}", where=str(path), remedy="Free space or choose another folder.") from error


def load_pattern(path: Path, *, run_id: str | None = None, party: str | None = None) -> Pattern:
    """Return the pattern of a file.

    run_id, party: if given, the file must be of this run and this party.
    Raises RunFileError if the file is missing, damaged, or somebody else's.
    """
    about, planes = _read(path)
    for name, wanted in (("run_id", run_id), ("party", party)):
        if wanted is not None and about[name] != wanted:
            raise RunFileError(f"{name} is {about[name]!r} here, {wanted!r} is needed", where=str(path), remedy="Give the pattern file of this run and party.")
    n, half = about["n"], len(planes) // 2
    basis, bit = (np.unpackbits(np.frombuffer(part, np.uint8), count=n, bitorder="little") for part in (planes[:half], planes[half:]))
    return Pattern(basis, bit, about["mode"])


def _read(path: Path) -> tuple[dict[str, Any], bytes]:
    try:
        raw = path.read_bytes()
    except FileNotFoundError as error:
        raise RunFileError("there is no pattern file", where=str(path), remedy="It is erased after distillation; acquire a new run.") from error
    except OSError as error:
        raise RunFileError(f"the pattern file cannot be read: {error.strerror}", where=str(path)) from error
    head, _, planes = raw.removeprefix(_MAGIC).partition(b"\n")
    try:
        about = json.loads(head)
        intact = raw.startswith(_MAGIC) and about["sha256"] == hashlib.sha256(planes).hexdigest() and len(planes) == 2 * ((about["n"] + 7) // 8)
    except (ValueError, KeyError, TypeError):
        intact = False
    if not intact:
        raise RunFileError("this is not an intact pattern file", where=str(path), remedy="The run can no longer be distilled; acquire a new one.")
    return about, planes


def erase_pattern(path: Path) -> bool:
    """Overwrite a pattern file with zeros, sync it, remove it; return False if it was not there.

    On flash storage and copy-on-write file systems old blocks may survive: keep pattern folders on an encrypted volume.
    Raises StorageError if it cannot be erased.
    """
    try:
        with path.open("r+b") as file:
            for begin in range(0, size := path.stat().st_size, _WIPE):
                file.write(bytes(min(_WIPE, size - begin)))
            file.flush()
            os.fsync(file.fileno())
        path.unlink()
        _sync_folder(path.parent)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise StorageError(f"the pattern could not be erased: {error.strerror}", where=str(path), remedy="Erase it by hand; its bits are secret.") from error
    return True


def _write_private(path: Path, body: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def gate_waveform(phases: ArrayLike, fraction: float, v_pi: float, gain: float, points_per_slot: int = 10) -> NDArray[np.float64]:
    """Return the generator's volts (n * points_per_slot,) for phases (n,) in radians.

    fraction: where in the slot the train to be modulated passes, in [0, 1).  v_pi: of the modulator.  gain: of the driver between generator and modulator.
    The voltage stands in one point of each slot and is zero elsewhere, so that the other train passes unmodulated. Phases are taken modulo 2 pi, from -pi
    to pi, which keeps the swing smallest: 3 pi/2 is made by -v_pi/2.
    """
    phase = np.asarray(phases, float)
    if not 0.0 <= fraction < 1.0:
        raise ParameterError(f"{fraction} is not in [0, 1)", where="fraction")
    if phase.ndim != 1 or phase.size == 0 or not np.isfinite(phase).all() or v_pi <= 0.0 or gain == 0.0:
        raise ParameterError("a gate waveform needs finite phases, a positive v_pi and a gain", where="phases")
    volts = np.zeros((phase.size, points_per_slot))
    volts[:, int(fraction * points_per_slot)] = (pi - (pi - phase) % (2.0 * pi)) / pi * v_pi / gain
    return volts.ravel()


def carving_waveform(v_pi: float, gain: float, points_per_slot: int = 10, *, bright: int = BRIGHT_POINT) -> NDArray[np.float64]:
    """Return the generator's volts (points_per_slot,) of one slot for an intensity modulator: v_pi behind the driver in point `bright`, else zero."""
    if v_pi <= 0.0 or gain == 0.0 or not 0 <= bright < points_per_slot:
        raise ParameterError("a carving waveform needs a positive v_pi, a gain and a point inside the slot", where="carving")
    volts = np.zeros(points_per_slot)
    volts[bright] = v_pi / gain
    return volts
