"""Calibrations that are kept: one TOML record for each element and kind, with values, standard deviations, date, and the hash of the run behind it.

A record is used by later runs while it is valid. One that is too old, whose run file is gone or changed, or whose values cannot be, is refused.
"""

from __future__ import annotations

import hashlib
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import CalibrationError, Expired, HeliographError, ParameterError, StorageError, Suspect
from ..core.files import write_private

if TYPE_CHECKING:
    from ..instruments.station import Station
    from .runs import Run

SCHEMA = "heliograph-calibration/1"
FOLDER = "calibrations"
_NAME = re.compile(r"[a-z][a-z0-9_]*-[a-z]+\Z")
_PIECE = 1 << 20

PLAUSIBLE: dict[str, dict[str, tuple[float, float]]] = {
    "fringe": {"v_pi_v": (0.1, 50.0), "visibility": (0.3, 1.02)},
    "delay": {"clockwise_s": (0.0, 1e-6), "counter_s": (0.0, 1e-6)},
    "bias": {"v_pi_v": (0.1, 50.0), "null_v": (-50.0, 50.0)},
    "extinction": {"er_db": (3.0, 80.0)},
    "response": {
        "eta_1": (0.001, 1.0), "eta_2": (0.001, 1.0), "dark_1_hz": (0.0, 1e6), "dark_2_hz": (0.0, 1e6), "dead_1_s": (0.0, 1e-4), "dead_2_s": (0.0, 1e-4),
        "afterpulse_1": (-0.01, 0.5), "afterpulse_2": (-0.01, 0.5),
    },
    "linearity": {"slope": (0.9, 1.1), "worst_db": (0.0, 0.5)},
    "polarisation": {"visibility": (0.3, 1.02)},
}  # fmt: skip
"""By kind: lowest and highest value of each quantity that a record may hold."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One quantity: value, standard deviation, and unit (SI, or one that the name says)."""

    value: float
    sigma: float
    unit: str


@dataclass(frozen=True, slots=True)
class Calibration:
    """One record.

    station: its name.  element: what was calibrated, by its name in the station file.  kind: what was measured.  values: by name.
    taken: UTC.  valid_days: from then on.
    run_id, run, sha256: the run file behind it, its path from the record's folder, and the hash of its bytes.  simulated: as the run.
    """

    station: str
    element: str
    kind: str
    values: Mapping[str, Measured]
    taken: datetime
    valid_days: float
    run_id: str
    run: str
    sha256: str
    simulated: bool

    @property
    def name(self) -> str:
        """Return the name of the record, such as `im1-bias`."""
        return f"{self.element}-{self.kind}"

    @property
    def until(self) -> datetime:
        """Return when the record expires."""
        return self.taken + timedelta(days=self.valid_days)

    def __getitem__(self, name: str) -> float:
        return self.values[name].value


@dataclass(frozen=True, slots=True)
class Standing:
    """What becomes of a record now: `valid`, `expired`, `suspect` or `missing`, and the error that says why not."""

    name: str
    state: str
    calibration: Calibration | None = None
    error: CalibrationError | None = None


class Calibrations:
    """The records in one folder.

    folder: usually `calibrations` in the station's data folder; it need not exist.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def of(cls, station: Station) -> Calibrations:
        """Return the calibrations of a station: those in its data folder, beside its file."""
        return cls(station.path.parent / station.info.data_dir / FOLDER)

    def path(self, name: str) -> Path:
        """Return where the record of a name such as `im1-bias` is kept. Raises ParameterError for what is no such name."""
        if not _NAME.match(name):
            raise ParameterError(f"{name!r} is no name of a calibration", where="calibrations", remedy="Names are like im1-bias: element and kind.")
        return self.folder / f"{name}.toml"

    def names(self) -> tuple[str, ...]:
        """Return the names of the records there are."""
        return tuple(sorted(path.stem for path in self.folder.glob("*.toml") if _NAME.match(path.stem)))

    def keep(self, run: Run) -> Calibration:
        """Write the record of a calibration run that was closed in order, in place of an earlier one.

        Raises CalibrationError if the run found no calibration, Suspect if what it found cannot be, StorageError.
        """
        found = run.summary.get("calibration")
        if not run.complete or run.stop["reason"] != "done" or not isinstance(found, dict):
            raise CalibrationError(f"{run.procedure} left no calibration", where=str(run.path), remedy="Run it to its end.")
        values = {name: Measured(one["value"], one["sigma"], one["unit"]) for name, one in found["values"].items()}
        # Left open as a file: what is hashed are the bytes on disk.
        digest = file_sha256(run.path)
        self._make_folder()
        behind = os.path.relpath(run.path.resolve(), self.folder.resolve())
        station = str(run.start["station_name"])
        record = Calibration(station, found["element"], found["kind"], values, _ended(run), found["valid_days"], run.run_id, behind, digest, run.simulated)
        path = self.path(record.name)
        _check_values(record, str(path))
        try:
            write_private(path, _as_toml(record).encode())
        except OSError as error:
            raise StorageError(f"the calibration cannot be written ({error.strerror})", where=str(path), remedy="Choose a folder of yours.") from error
        return record

    def read(self, name: str) -> Calibration:
        """Return a record as it is written, valid or not. Raises CalibrationError if there is none, Suspect if it is malformed."""
        path = self.path(name)
        try:
            raw = tomllib.loads(path.read_text())
        except FileNotFoundError as error:
            raise CalibrationError("there is no such calibration", where=str(path), remedy=make(name)) from error
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise Suspect(f"the record cannot be read ({error})", where=str(path), remedy=make(name)) from error
        try:
            record = _from_toml(raw)
        except (KeyError, TypeError, ValueError) as error:
            raise Suspect(f"the record is malformed ({error})", where=str(path), remedy=make(name)) from error
        if record.name != name:
            raise Suspect(f"the record is of {record.name}", where=str(path), remedy="Give it its own name again, or calibrate anew.")
        return record

    def use(self, name: str, *, now: datetime | None = None) -> Calibration:
        """Return a record that may be used now.

        Raises CalibrationError if there is none; Expired if it is too old; Suspect if its date lies ahead, its run file is gone, changed or tells anything
        else than the record, or if a value cannot be.
        """
        record, path, now = self.read(name), str(self.path(name)), now or datetime.now(UTC)
        if now > record.until:
            told = f"taken on {record.taken:%Y-%m-%d %H:%M} and valid for {record.valid_days:g} days only"
            raise Expired(told, where=path, remedy=make(name))
        if record.taken > now + timedelta(days=1):
            raise Suspect(f"taken on {record.taken:%Y-%m-%d %H:%M}, which is still to come", where=path, remedy="Check the computer's clock.")
        _check_values(record, path)
        self._check_run(record, path)
        return record

    def simulated(self, record: Calibration) -> dict[str, bool]:
        """Say of each instrument of the station at which a record was measured whether it was simulated. Raises Suspect if its run file cannot be read."""
        from .runs import Run

        try:
            with Run.open((self.folder / record.run).resolve()) as run:
                entries = tomllib.loads(run.station_text.decode())["instruments"]
                return {name: bool(entry.get("rules", {}).get("simulated", False)) for name, entry in entries.items()}
        except (HeliographError, KeyError, ValueError, AttributeError) as error:
            raise Suspect("its run file does not say of which instruments", where=str(self.path(record.name)), remedy=make(record.name)) from error

    def _check_run(self, record: Calibration, path: str) -> None:
        from .runs import Run

        behind = (self.folder / record.run).resolve()
        try:
            if file_sha256(behind) != record.sha256:
                raise Suspect(f"the run file {behind.name} is not the one that was measured", where=path, remedy=make(record.name))
        except OSError as error:
            raise Suspect(f"its run file {behind} cannot be read", where=path, remedy=f"Put it back. {make(record.name)}") from error
        try:
            with Run.open(behind) as run:
                found, ended = run.summary["calibration"], _ended(run)
        except (HeliographError, KeyError) as error:
            raise Suspect(f"its run file {behind.name} holds no calibration", where=path, remedy=make(record.name)) from error
        told = {name: Measured(one["value"], one["sigma"], one["unit"]) for name, one in found["values"].items()}
        measured = {
            "station": run.start["station_name"], "element": found["element"], "kind": found["kind"], "valid_days": found["valid_days"],
            "simulated": run.simulated, "values": told, "taken": ended, "run_id": run.run_id,
        }  # fmt: skip
        other = [name for name, value in measured.items() if getattr(record, name) != value]
        if other:
            raise Suspect(f"the record tells other {' and '.join(other)} than its run", where=path, remedy=make(record.name))

    def _make_folder(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"the folder cannot be made ({error.strerror})", where=str(self.folder), remedy="Choose a folder of yours.") from error


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, hex. Raises OSError."""
    total = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            total.update(piece)
    return total.hexdigest()


def _ended(run: Run) -> datetime:
    """Return when a run ended, to the second: the date of the calibration that it found."""
    return datetime.fromisoformat(run.stop["time"]).astimezone(UTC).replace(microsecond=0)


def make(name: str) -> str:
    """Return what to do about a record that cannot be used."""
    return f"Make it anew: `heliograph calibrate run {name} --station FILE`."


def _check_values(record: Calibration, where: str) -> None:
    known = PLAUSIBLE.get(record.kind, {})
    for name, found in record.values.items():
        low, high = known.get(name, (-1e300, 1e300))
        if not (isfinite(found.value) and isfinite(found.sigma) and found.sigma >= 0.0 and low <= found.value <= high):
            raise Suspect(
                f"{name} = {found.value:.6g} +- {found.sigma:.2g} {found.unit}, {low:g} to {high:g} is possible", where=where, remedy=make(record.name)
            )
    if missing := sorted(set(known) - set(record.values)):
        raise Suspect(f"{missing[0]} is missing", where=where, remedy=make(record.name))


def _as_toml(record: Calibration) -> str:
    head = [
        f'schema = "{SCHEMA}"',
        f"station = {_text(record.station)}",
        f'element = "{record.element}"',
        f'kind = "{record.kind}"',
        f"taken = {record.taken:%Y-%m-%dT%H:%M:%SZ}",
        f"valid_days = {record.valid_days!r}",
        f'run_id = "{record.run_id}"',
        f"run = {_text(record.run)}",
        f'sha256 = "{record.sha256}"',
        f"simulated = {str(record.simulated).lower()}",
        "",
        "[values]",
    ]
    rows = [f'{name} = {{ value = {one.value!r}, sigma = {one.sigma!r}, unit = "{one.unit}" }}' for name, one in record.values.items()]
    return "\n".join([*head, *rows, ""])


def _text(value: str) -> str:
    """Return a text as TOML writes it."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _from_toml(raw: Mapping[str, Any]) -> Calibration:
    if raw["schema"] != SCHEMA:
        raise ValueError(f"schema {raw['schema']!r}")
    values = {str(name): Measured(float(one["value"]), float(one["sigma"]), str(one["unit"])) for name, one in raw["values"].items()}
    taken = raw["taken"]
    if not isinstance(taken, datetime) or taken.tzinfo is None or raw["valid_days"] <= 0:
        raise ValueError("taken is a time with its zone, valid_days are positive")
    station, element, kind, run_id, run, sha256 = (str(raw[name]) for name in ("station", "element", "kind", "run_id", "run", "sha256"))
    return Calibration(station, element, kind, values, taken.astimezone(UTC), raw["valid_days"], run_id, run, sha256, bool(raw["simulated"]))
