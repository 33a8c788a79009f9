"""The station file: read, validated, turned into SI floats.

`Station.load` is the only way in. Whatever is wrong with the file (its name, its TOML, a key, a unit, the layout of the loop) is one `ConfigError` that names
the file, the line or key, and what to do.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from dataclasses import dataclass, field
from datetime import date, timedelta
from importlib import resources
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from pydantic import ValidationError

from ..core.errors import ConfigError
from . import catalogue, layout, station_checks
from .station_models import Clock, InstrumentEntry, Optics, Pair, Safety, Sim, StationInfo, Table

_T = TypeVar("_T", bound=Table)
_TABLES = {"schema", "topology", "station", "clock", "sim", "instruments", "optics", "pairs", "safety"}
_NAME = re.compile(r"[a-z][a-z0-9_]*\Z")


@dataclass(frozen=True, slots=True)
class Station:
    """One bench: instruments by name, optics, pairs.

    text: the file's exact bytes.  sha256: their digest, hex.  sim: the table only the simulated world may read, as a plain dict.
    """

    path: Path
    text: bytes = field(repr=False)
    sha256: str
    topology: str
    info: StationInfo
    clock: Clock
    instruments: dict[str, InstrumentEntry]
    optics: Optics
    pairs: dict[str, Pair]
    sim: dict[str, Any]
    safety: Safety = field(default_factory=Safety)

    @classmethod
    def load(cls, path: str | Path, *, today: date | None = None) -> Station:
        """Read and check a station file.

        today: the day on which dated losses must be valid.  Raises ConfigError.
        """
        path = Path(path)
        try:
            text = path.read_bytes()
        except OSError as error:
            raise ConfigError(
                f"the station file cannot be read ({error.strerror})",
                where=str(path),
                remedy="Check the name, or write one with `heliograph station new FILE`.",
            ) from error
        return cls.parse(text, path, today=today)

    @classmethod
    def parse(cls, text: bytes, path: Path, *, today: date | None = None) -> Station:
        """Check the bytes of a station file; `path` is for messages. Raises ConfigError."""
        station = _Reader(path, text).station()
        station_checks.check(station)
        _check_fixed_loss(station, today or date.today())  # noqa: DTZ011
        check_layout(station)
        return station

    @property
    def simulated(self) -> bool:
        """Say whether any instrument is simulated."""
        return any(entry.rules.simulated for entry in self.instruments.values())

    def public_text(self) -> bytes:
        """Return the file's text without its `sim` table, as run files keep it; everything else stays byte by byte."""
        kept: list[str] = []
        inside = False
        for line in self.text.decode().splitlines(keepends=True):
            if header := re.match(r"\s*\[+\s*([\w\"'-]+)", line):
                inside = header[1].strip("\"'") == "sim"
                at_top = False
            else:
                at_top = not any(re.match(r"\s*\[", earlier) for earlier in kept) and not inside
            if not inside and not (at_top and re.match(r"\s*sim\s*[.=]", line)):
                kept.append(line)
        public = "".join(kept).encode()
        expected = tomllib.loads(self.text.decode())
        expected.pop("sim", None)
        if tomllib.loads(public.decode()) != expected:
            raise ConfigError("the simulation table cannot be told from the rest", where=str(self.path), remedy="Write it as one table under the header [sim].")
        return public

    def plain(self) -> dict[str, Any]:
        """Return everything as plain dicts, lists and SI floats, the `sim` table included: what the simulated world is built from."""
        return {
            "topology": self.topology,
            "station": self.info.model_dump(),
            "clock": self.clock.model_dump(),
            "sim": self.sim,
            "instruments": {name: entry.model_dump() for name, entry in self.instruments.items()},
            "optics": self.optics.model_dump(),
            "pairs": {name: pair.model_dump() for name, pair in self.pairs.items()},
            "safety": self.safety.model_dump(),
        }


def default_text() -> bytes:
    """Return the station file that comes with the package: the whole simulated bench of three users."""
    return resources.files(__package__).joinpath("default_station.toml").read_bytes()


def check_layout(station: Station) -> None:
    """Raise ConfigError if the two trains collide at a user; the remedy is the fibre that mends it for every user."""
    users = station.optics.users
    sites = {name: layout.Site(user.distance_m, station.optics.modulators[user.pm].gate_s) for name, user in users.items()}
    loop_m, slot_s = station.optics.loop.length_m, station.clock.slot_s
    outside = [name for name, user in users.items() if user.distance_m >= loop_m]
    if outside:
        raise ConfigError(
            f"user {outside[0]} sits outside the loop of {loop_m:g} m", where=str(station.path), remedy="Check its distance, or the loop's length."
        )
    hit = layout.collisions(sites, loop_m, slot_s)
    if hit:
        names = ", ".join(f"{user} ({margin * 1e9:.2f} ns apart, gate {sites[user].gate_s * 1e9:.2f} ns)" for user, margin in sorted(hit.items()))
        remedy = layout.find_remedy(sites, loop_m, slot_s)
        raise ConfigError(
            f"the two light trains collide at user {names}, so their phase cannot be set apart",
            where=str(station.path),
            remedy=str(remedy) if remedy else "No single piece of fibre frees every user: change two distances.",
        )


def _article(role: str) -> str:
    return f"an {role}" if role[:1] in "AEIOU" else f"a {role}"


def _check_fixed_loss(station: Station, today: date) -> None:
    fixed = station.optics.att_fixed
    if today > fixed.verified + timedelta(days=fixed.valid_days):
        raise ConfigError(
            f"the fixed loss of {fixed.loss_db:g} dB was verified on {fixed.verified} and is valid for {fixed.valid_days} days only",
            where=f"{station.path}: optics.att_fixed",
            remedy="Measure it again and enter the date.",
        )


class _Reader:
    """Turns the parsed TOML into models; knows the file for every message."""

    def __init__(self, path: Path, text: bytes) -> None:
        self._path = path
        try:
            self._text = text.decode()
            self._data: dict[str, Any] = tomllib.loads(self._text)
        except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ConfigError(f"this is no TOML: {error}", where=str(path), remedy="Mend that place.") from error

    def station(self) -> Station:
        for key in self._data:
            if key not in _TABLES:
                self._fail((key,), "unknown key")
        if self._data.get("schema") != 1:
            self._fail(("schema",), "schema = 1 is expected")
        if self._data.get("topology") != "sagnac":
            self._fail(("topology",), 'topology = "sagnac" is the one there is')
        text = self._text.encode()
        sim = self._model(Sim, self._data.get("sim", {"seed": 0}), "sim")
        return Station(
            path=self._path,
            text=text,
            sha256=hashlib.sha256(text).hexdigest(),
            topology="sagnac",
            info=self._model(StationInfo, self._table("station"), "station"),
            clock=self._model(Clock, self._table("clock"), "clock"),
            instruments={name: self._instrument(name, given) for name, given in self._table("instruments").items()},
            optics=self._optics(self._table("optics")),
            pairs={name: self._model(Pair, given, "pairs", name) for name, given in self._pairs().items()},
            sim={**sim.model_dump(), "users": {name.upper(): errors.model_dump() for name, errors in sim.users.items()}},
            safety=self._model(Safety, self._data.get("safety", {}), "safety"),
        )

    def _instrument(self, name: str, given: Any) -> InstrumentEntry:
        if not _NAME.match(name):
            self._fail(("instruments", name), "an instrument is named in small letters, digits and _")
        found = self._model(InstrumentEntry, given, "instruments", name)
        role = catalogue.entry(found.wire.driver, where=self._where(("instruments", name, "driver"))).role
        if role != found.wire.role:
            self._fail(("instruments", name, "role"), f"{found.wire.driver} is {_article(role)}, not {_article(found.wire.role)}")
        return found

    def _optics(self, given: dict[str, Any]) -> Optics:
        parts: dict[str, Any] = {"modulators": {}, "users": {}, "taps": {}}
        for key, value in given.items():
            if key.startswith("user_"):
                parts["users"][key.removeprefix("user_").upper()] = value
            elif isinstance(value, dict) and "kind" in value:
                parts["modulators"][key] = value
            elif isinstance(value, dict) and "meter" in value:
                parts["taps"][key] = value
            elif key in Optics.model_fields and key not in parts:
                parts[key] = value
            else:
                self._fail(("optics", key), "unknown key")
        return self._model(Optics, parts, "optics")

    def _pairs(self) -> dict[str, Any]:
        given = self._data.get("pairs", {})
        if not isinstance(given, dict):
            self._fail(("pairs",), "this is no table")
        return given

    def _table(self, key: str) -> dict[str, Any]:
        table = self._data.get(key)
        if not isinstance(table, dict) or not table:
            self._fail((key,), "this table is missing")
        return table

    def _model(self, model: type[_T], given: Any, *place: str) -> _T:
        try:
            return model.model_validate(given)
        except ValidationError as error:
            # An unknown key often is a misspelt one, and then another is missing: the unknown one tells more.
            first = min(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
            told = first["msg"].removeprefix("Value error, ")
            message = {"extra_forbidden": "unknown key", "missing": "this key is missing"}.get(first["type"], told)
            keys = (*place, *(f"[{step}]" if isinstance(step, int) else step for step in first["loc"]))
            # What is missing is not written anywhere, but the same key may be further down.
            self._fail(keys, message, written=keys[:-1] if first["type"] == "missing" else keys)

    def _fail(self, keys: tuple[str, ...], message: str, *, written: tuple[str, ...] | None = None) -> NoReturn:
        where = self._where(keys if written is None else written)
        raise ConfigError(f"{'.'.join(keys).replace('.[', '[')}: {message}", where=where, remedy="See `heliograph station new` for a file that is right.")

    def _where(self, keys: tuple[str, ...]) -> str:
        # A place in a list is not written there.
        return station_checks.place(self._path, self._text, [key for key in keys if not key.startswith("[")])
