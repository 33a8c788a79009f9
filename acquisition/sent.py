"""The file in which a party keeps what it sent in a run, until the run is distilled.

It lies beside the party's key store, mode 0600, never in a run file, and is erased after use. It holds the pattern, and what the site that announces the events
must not be believed about: how bright the pulses were, how many, where their bits came from, and whether there was any light at all.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ..core.entropy import Origin
from ..core.errors import RunFileError, StorageError
from ..core.files import erase, write_private
from .patterns import Pattern

_MAGIC = b"heliograph-pattern/1\n"


@dataclass(frozen=True, slots=True)
class Sent:
    """What one party knows of its own sending.

    mu: mean photons per pulse that left it, at most.  pulses: number of pulses, at least.
    origin: of the pattern's bits, as `RandomSource.origin`.  hardware: whether the pulses were light, not simulated.
    station: SHA-256 of the station file's public text, as `configuration` makes it; empty in files of earlier versions.
    whole: whether all light was sent and the site about to say the last of its events: then key can be made of it, whatever a run file lacks.
    """

    pattern: Pattern
    run_id: str
    party: str
    mu: float
    pulses: int
    origin: Origin = "simulated"
    hardware: bool = False
    station: str = ""
    whole: bool = False


def configuration(station_text: bytes) -> str:
    """Return the SHA-256 of a station file's public text, hex."""
    return hashlib.sha256(station_text).hexdigest()


def save_sent(path: Path, sent: Sent, *, on: ExitStack | None = None) -> None:
    """Write the file, whole or not at all; one that was there is overwritten with zeros. Raises StorageError for a full disk or a closed folder.

    on: until it is closed, or this process dies, `waits_for` is told that the run is on, from the first moment that the file is there.
    """
    pattern = sent.pattern
    planes = np.packbits(pattern.basis, bitorder="little").tobytes() + np.packbits(pattern.bit, bitorder="little").tobytes()
    about = {"mode": pattern.mode, "n": len(pattern), "party": sent.party, "run_id": sent.run_id, "mu": sent.mu.hex(), "pulses": sent.pulses}
    about |= {"origin": sent.origin, "hardware": sent.hardware, "station": sent.station, "whole": sent.whole}
    head = json.dumps(about | {"sha256": _digest(about, planes)}, sort_keys=True).encode()
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_private(path, _MAGIC + head + b"\n" + planes, secret=True, locked=on)
    except OSError as error:
        why = "the disk is full" if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else (error.strerror or "cannot be written")
        raise StorageError(f"the pattern was not written: {why}", where=str(path), remedy="Free space or choose another folder.") from error


def load_sent(path: Path, *, run_id: str | None = None, party: str | None = None) -> Sent:
    """Read the file.

    run_id, party: if given, the file must be of this run and this party.
    Raises RunFileError if the file is missing, damaged, or somebody else's.
    """
    about, planes = _read(path)
    for name, wanted in (("run_id", run_id), ("party", party)):
        if wanted is not None and about[name] != wanted:
            raise RunFileError(f"{name} is {about[name]!r} here, {wanted!r} is needed", where=str(path), remedy="Give the pattern file of this run and party.")
    n, half = about["n"], len(planes) // 2
    basis, bit = (np.unpackbits(np.frombuffer(part, np.uint8), count=n, bitorder="little") for part in (planes[:half], planes[half:]))
    # Files of earlier versions do not say where their bits come from, for which station they were drawn, nor whether it was all.
    origin, hardware = about.get("origin", "simulated"), about.get("hardware", False)
    pattern, mu = Pattern(basis, bit, about["mode"]), float.fromhex(about["mu"])
    return Sent(pattern, about["run_id"], about["party"], mu, about["pulses"], origin, hardware, about.get("station", ""), about.get("whole", True))


def _read(path: Path) -> tuple[dict[str, Any], bytes]:
    try:
        raw = path.read_bytes()
    except FileNotFoundError as error:
        raise RunFileError(
            "there is no pattern file",
            where=str(path),
            remedy="Give the --store of `heliograph acquire key`. A pattern is erased once its run was distilled: then acquire a new run.",
        ) from error
    except OSError as error:
        raise RunFileError(f"the pattern file cannot be read: {error.strerror}", where=str(path)) from error
    head, _, planes = raw.removeprefix(_MAGIC).partition(b"\n")
    try:
        about = json.loads(head)
        said = about.pop("sha256")
        intact = raw.startswith(_MAGIC) and said == _digest(about, planes) and len(planes) == 2 * ((about["n"] + 7) // 8)
    except (ValueError, KeyError, TypeError, AttributeError):
        intact = False
    if not intact:
        raise RunFileError("this is not an intact pattern file", where=str(path), remedy="The run can no longer be distilled; acquire a new one.")
    return about, planes


def _digest(about: dict[str, Any], planes: bytes) -> str:
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode() + b"\n" + planes).hexdigest()


def erase_sent(path: Path) -> bool:
    """Overwrite the file, and what a killed `save_sent` left beside it, with zeros, and remove both; return False if there was no file.

    Raises StorageError if it cannot be erased.
    """
    try:
        return erase(path)
    except OSError as error:
        raise StorageError(f"the pattern could not be erased: {error.strerror}", where=str(path), remedy="Erase it by hand; its bits are secret.") from error


def waits_for(path: Path) -> Literal["", "run", "key"]:
    """Return what the file waits for: the end of its `run` that is still on, `key` that can be made of it, or nothing: of a run that was killed before.

    What the file itself says counts, for a run file may be an early copy. One that is gone or damaged waits for nothing. Raises RunFileError where it cannot
    be read.
    """
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return "key" if load_sent(path).whole else ""
    except BlockingIOError:
        return "run"
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise RunFileError(f"the pattern file cannot be read: {error.strerror}", where=str(path)) from error
    except RunFileError as error:
        if isinstance(error.__cause__, OSError) and not isinstance(error.__cause__, FileNotFoundError):
            raise
        return ""
