"""Station files of the simulated bench, written where there is none, otherwise kept; and who owns the bench of a station."""

from __future__ import annotations

import re
from pathlib import Path

from ..core.errors import StorageError
from ..instruments.guard.locks import ResourceLock
from ..instruments.station import Station, default_text


def simulated_station(folder: str | Path = ".", *, seed: int | None = None) -> Path:
    """Return the path of `folder`/station.toml, written for the simulated bench of three users where there is none; a file that is there is kept.

    seed: of the simulated world, entered into the file if given.  Raises StorageError if the folder cannot be written.
    """
    path = Path(folder) / "station.toml"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        text = path.read_bytes() if path.exists() else default_text()
        if seed is not None:
            text = seeded(text, seed)
        if not path.exists() or path.read_bytes() != text:
            path.write_bytes(text)
    except OSError as error:
        raise StorageError(f"the station file cannot be written ({error.strerror})", where=str(path), remedy="Choose another folder.") from error
    return path


def seeded(text: bytes, seed: int) -> bytes:
    """Return a station file's text with another seed of the simulated world."""
    return re.sub(rb"(?m)^seed = \d+$", b"seed = %d" % seed, text, count=1)


def station_lock(station: Station) -> ResourceLock:
    """Take the right to own the bench of a station. Raises InstrumentLocked, which names the process that has it."""
    return ResourceLock(station.info.name, f"station {station.path.resolve()}", does="owns the bench")
