"""Record files: the samples of one work with all that is needed to believe and to replay them, one JSON file a work."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.errors import QpuConfigError, StorageError
from ...core.files import write_private
from .samples import Registers, Samples
from .vendors import masked

FORMAT = "heliograph-qpu-record/1"
CODEC = "packbits-le+zlib+b64"
DAMAGED = (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError, MemoryError, binascii.Error, zlib.error)
"""What reading the fields of a record may raise if they are not those that were written."""
_PACKAGES = (
    "heliograph",
    "qiskit",
    "qiskit-aer",
    "qiskit-ibm-runtime",
    "amazon-braket-sdk",
    "amazon-braket-default-simulator",
    "qiskit-braket-provider",
    "torch",
)


@dataclass(frozen=True, slots=True)
class Record:
    """One record file. sha256: over the packed bits.  calibration: SHA-256 of the file with the device's calibration, None where there is none."""

    backend: str
    created: str
    qasm3: str
    hash: str
    params: dict[str, float]
    shots: int
    seed: int | None
    cregs: Registers
    ordered: bool
    provider_ids: tuple[str, ...]
    versions: dict[str, str]
    bits: NDArray[np.uint8]
    simulated: bool = True
    calibration: str | None = None

    @property
    def sha256(self) -> str:
        """Return the digest that protects the samples: SHA-256 of the bits, row by row, packed with the first bit lowest."""
        return hashlib.sha256(packed(self.bits)).hexdigest()

    def samples(self) -> Samples:
        """Return the samples, saying where they come from."""
        meta = {"backend": self.backend, "hash": self.hash, "seed": self.seed, "ordered": self.ordered, "provider_ids": list(self.provider_ids)}
        return Samples(self.bits, self.cregs, {**meta, "sha256": self.sha256, "simulated": self.simulated, "created": self.created})

    def text(self) -> str:
        """Return the file's content."""
        return json.dumps(self.as_dict(), sort_keys=True, indent=1)

    def as_dict(self) -> dict[str, Any]:
        """Return the file's fields."""
        plain = packed(self.bits)
        data = base64.b64encode(zlib.compress(plain)).decode()
        named = {name: getattr(self, name) for name in self.__slots__ if name != "bits"}
        named |= {"format": FORMAT, "cregs": [list(one) for one in self.cregs], "provider_ids": list(self.provider_ids)}
        return {**named, "bits": {"codec": CODEC, "n": int(self.bits.size), "sha256": self.sha256, "data": data}}


def packed(bits: NDArray[np.uint8]) -> bytes:
    """Return bits row by row, eight a byte, the first lowest."""
    return np.packbits(bits.reshape(-1), bitorder="little").tobytes()


def now() -> str:
    """Return the time as the records say it: UTC, ISO 8601, microseconds."""
    return datetime.now(UTC).isoformat()


def versions() -> dict[str, str]:
    """Return the versions of the packages that make samples, as far as they are installed."""
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def write_record(path: Path, record: Record) -> None:
    """Write a record file, private to its owner; it is there whole or not at all."""
    store(path, record.text())


def store(path: Path, text: str) -> None:
    """Write a private text file durably. Raises StorageError."""
    try:
        write_private(path, text.encode())
    except OSError as error:
        raise StorageError(f"the file cannot be written ({error.strerror})", where=str(path), remedy="Free some disk space and ask again.") from error


def read_record(path: Path) -> Record:
    """Read a record file. Raises QpuConfigError naming the file if it is of another kind, damaged, or was altered."""
    try:
        return parse_record(json.loads(path.read_text()))
    except OSError as error:
        raise QpuConfigError(f"the recording cannot be read ({error.strerror})", where=str(path), remedy="Name another one.") from error
    except DAMAGED as error:
        raise QpuConfigError(f"the recording is damaged or was altered ({error})", where=str(path), remedy="Restore it from where it was made.") from error


def parse_record(raw: Mapping[str, Any]) -> Record:
    """Return a record from its fields; one of DAMAGED if they do not fit."""
    if raw["format"] != FORMAT:
        raise ValueError(f"format {raw['format']!r}")
    cregs = tuple((str(name), int(size)) for name, size in raw["cregs"])
    bits = _unpacked(raw["bits"], int(raw["shots"]), sum(size for _, size in cregs))
    return Record(
        str(raw["backend"]),
        str(raw["created"]),
        str(raw["qasm3"]),
        str(raw["hash"]),
        {str(name): float(value) for name, value in raw["params"].items()},
        int(raw["shots"]),
        raw["seed"],
        cregs,
        bool(raw["ordered"]),
        tuple(raw["provider_ids"]),
        dict(raw["versions"]),
        bits,
        bool(raw.get("simulated", True)),
        raw.get("calibration"),
    )


def _unpacked(raw: Mapping[str, Any], shots: int, clbits: int) -> NDArray[np.uint8]:
    if raw["codec"] != CODEC or raw["n"] != shots * clbits or min(shots, clbits) < 0:
        raise ValueError(f"{raw['n']} bits in {raw['codec']!r} for {shots} shots of {clbits}")
    n = shots * clbits
    # A bomb of zeros must not fill the memory: no more is unpacked than the bits need.
    plain = zlib.decompressobj().decompress(base64.b64decode(raw["data"], validate=True), (n + 7) // 8 + 1)
    if hashlib.sha256(plain).hexdigest() != raw["sha256"] or len(plain) != (n + 7) // 8:
        raise ValueError("the sha256 does not fit")
    flat = np.unpackbits(np.frombuffer(plain, np.uint8), bitorder="little")
    if flat[n:].any():
        raise ValueError("padding bits are set")
    return flat[:n].reshape(shots, clbits)


def for_others(record: Record) -> str:
    """Return the text of a record with AWS account numbers masked.

    Only names that a provider gave can hold one: digests, parameters and samples are left as they are, whatever digits stand in them.
    """
    return replace(record, backend=masked(record.backend), provider_ids=tuple(map(masked, record.provider_ids))).text()
