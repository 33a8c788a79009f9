"""What can go wrong on the simulated bench, on demand: scripts of faults, written as names, as TOML or in code.

A fault of a *reply* stands between a device and its listener and falls on the replies of one instrument; a fault of the *device* is built into it when it is
switched on; a fault of the *world* changes the optical bench behind all devices. What each does is said in `fault_kinds`.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..core.errors import ConfigError
from ..core.units import parse
from .fault_kinds import ALIASES, KINDS, NAMES, kind_of

__all__ = ["KINDS", "NAMES", "Fault", "Faults", "read"]

_PLACES = ("instrument", "user", "detector")
_KEYS = {"kind", "port", "at", "on", "rate", "times", "amount", "delay", "after", *_PLACES}


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong.

    kind: see `fault_kinds.KINDS`.  target: instrument, user or detector it falls on; empty for the whole bench.
    port: of the instrument, `resource`, `counts` or `datalink`.
    at: the first matching reply it falls on, from 1.  on: what the request must begin with (`hex:` and digits for bytes that it must hold).
    rate: probability for each matching reply.  times: how often in all; without it once if `at` is given, else for ever.
    amount: how much, in the unit of the kind.  delay_s: of late replies.  after_s: bench time at which a fault of the world begins.
    Raises ConfigError for what cannot be.
    """

    kind: str
    target: str = ""
    port: str = "resource"
    at: int | None = None
    on: str = ""
    rate: float | None = None
    times: int | None = None
    amount: float | None = None
    delay_s: float | None = None
    after_s: float = 0.0

    def __post_init__(self) -> None:
        kind = kind_of(self.kind)
        object.__setattr__(self, "kind", ALIASES.get(self.kind, self.kind))
        numbers = [self.at is None or self.at >= 1, self.times is None or self.times >= 1, self.rate is None or 0.0 <= self.rate <= 1.0]
        if not all(numbers):
            raise ConfigError("at and times count from 1, a rate lies between 0 and 1", where=f"fault {self.kind}", remedy="Mend the number.")
        if kind.layer != "reply" and (self.on or self.at or self.rate is not None):
            remedy = "Leave out `at`, `on` and `rate`; a fault of the world takes `after`."
            raise ConfigError("this fault does not fall on replies", where=f"fault {self.kind}", remedy=remedy)
        if not (self.amount is None or kind.least <= self.amount <= kind.most):
            raise ConfigError(f"an amount of {self.amount:g} cannot be", where=f"fault {self.kind}", remedy=f"{kind.least:g} to {kind.most:g}.")

    @property
    def layer(self) -> str:
        """Return where the fault sits: `reply`, `device` or `world`."""
        return KINDS[self.kind].layer

    @property
    def size(self) -> float:
        """Return the amount, or the usual one of the kind."""
        return KINDS[self.kind].amount if self.amount is None else self.amount

    @property
    def most(self) -> float:
        """Return how often it may strike."""
        if self.times is not None:
            return self.times
        return 1 if self.at is not None else float("inf")

    def text(self) -> str:
        """Return the fault as one word that `read` understands."""
        return json.dumps({key: value for key, value in asdict(self).items() if value not in (None, "")})


def read(names: Iterable[str | Fault]) -> tuple[Fault, ...]:
    """Return the faults of names (`timeout:voa_in`), of script files (`faults.toml`) and of `Fault.text`; raises ConfigError."""
    found: list[Fault] = []
    for name in names:
        if isinstance(name, Fault):
            found.append(name)
        elif name.startswith("{"):
            found.append(Fault(**json.loads(name)))
        elif name.endswith(".toml"):
            found += _script(Path(name))
        else:
            head, _, target = name.partition(":")
            found.append(Fault(head, target))
    return tuple(found)


def _script(path: Path) -> list[Fault]:
    try:
        tables = tomllib.loads(path.read_text())
    except OSError as error:
        raise ConfigError(f"the script of faults cannot be read ({error.strerror})", where=str(path), remedy="Check its name.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"this is no TOML: {error}", where=str(path), remedy="Mend that place.") from error
    given = tables.pop("fault", None)
    if tables or not isinstance(given, list):
        raise ConfigError("a script of faults is a list of tables [[fault]]", where=str(path), remedy='Begin each with [[fault]] and give its `kind = ".."`.')
    return [_table(entry, f"{path}: fault {number}") for number, entry in enumerate(given, 1)]


def _table(given: Mapping[str, Any], where: str) -> Fault:
    unknown = sorted(set(given) - _KEYS)
    if unknown or "kind" not in given:
        raise ConfigError(f"unknown key {unknown[0]!r}" if unknown else "a fault needs its kind", where=where, remedy=f"Keys: {', '.join(sorted(_KEYS))}.")
    kind = kind_of(str(given["kind"]), where=where)
    places = [str(given[key]) for key in _PLACES if key in given]
    if len(places) > 1:
        raise ConfigError("a fault falls on one place", where=where, remedy=f"Give one of {', '.join(_PLACES)}.")
    amount = given.get("amount")
    try:
        return Fault(
            str(given["kind"]),
            target=places[0] if places else "",
            port=str(given.get("port", "resource")),
            at=given.get("at"),
            on=str(given.get("on", "")),
            rate=given.get("rate"),
            times=given.get("times"),
            amount=parse(amount, kind.unit, where=where) if kind.unit and amount is not None else amount,
            delay_s=parse(given["delay"], "s", where=where) if "delay" in given else None,
            after_s=parse(given.get("after", "0 s"), "s", where=where),
        )
    except TypeError as error:
        raise ConfigError(f"a value is of the wrong type ({error})", where=where, remedy="at and times are whole numbers, rate is a number.") from error


@dataclass(frozen=True, slots=True)
class Faults:
    """The faults of one bench, in the order of the script."""

    script: tuple[Fault, ...] = ()

    @classmethod
    def parse(cls, names: Sequence[str | Fault], instruments: Collection[str]) -> Faults:
        """Return the faults of names, script files or code; raises ConfigError for a fault or an instrument that does not exist."""
        script = read(names)
        for fault in script:
            kind = KINDS[fault.kind]
            if kind.target == "instrument" and fault.target not in instruments and (fault.target or kind.layer == "reply"):
                raise ConfigError(
                    f"no instrument {fault.target!r} for the fault {fault.kind}",
                    where=f"{fault.kind}:{fault.target}",
                    remedy=f"Choose one of {', '.join(sorted(instruments))}.",
                )
            if kind.target == "" and fault.target:
                raise ConfigError(f"the fault {fault.kind} takes no place", where=fault.kind, remedy="Leave it out.")
        return cls(script)

    def of_replies(self, instrument: str, port: str) -> list[Fault]:
        """Return the faults that fall on the replies of one port."""
        return [fault for fault in self.script if fault.layer == "reply" and (fault.target, fault.port) == (instrument, port)]

    def of_world(self) -> list[Fault]:
        """Return the faults of the optical bench."""
        return [fault for fault in self.script if fault.layer == "world"]

    def has(self, kind: str, instrument: str = "") -> bool:
        """Say whether a device is built with a fault; one without a target falls on every instrument that can have it."""
        return any(fault.kind == kind and fault.target in ("", instrument) for fault in self.script)

    @property
    def detector_unplugged(self) -> bool:
        """Say whether the first detector's cable is off."""
        return self.has("detector-unplugged")
