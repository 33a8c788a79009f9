"""Who feeds whom on the optical table, and how much light leaves each element: from the station's line and what was read of its instruments.

Powers are what the laser emits less the losses that are read back or known. What an intensity modulator lets through nobody reads back: behind a tap the power
is what its meter measures; without one modulators count as open, as they do for the arbiter, and each power is the most that there can be. Behind the loop the
powers of the two brightest users add up as if they did not interfere.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import log10
from typing import TYPE_CHECKING

from ..topics import Element
from .instrument_states import Seen

if TYPE_CHECKING:
    from ...instruments.station import Station

SPLITTER_DB = 10.0 * log10(2.0)
_LOOP = re.compile(r"loop\((.*)\)")
_KINDS = {"Laser": "laser", "Attenuator": "attenuator", "PolarisationController": "polarisation"}


def elements(station: Station, seen: Mapping[str, Seen]) -> tuple[Element, ...]:
    """Return the elements in the order of the light; the parts of the line, then users, meters, tagger and generators."""
    walk = _Walk(station, seen)
    walk.line()
    walk.beside()
    return tuple(Element(one.name, one.kind, tuple(one.feeds), one.driven_by, one.loss_db, one.power_w) for one in walk.parts.values())


@dataclass(slots=True)
class _Part:
    name: str
    kind: str
    driven_by: tuple[str, ...] = ()
    loss_db: float | None = None
    power_w: float | None = None
    feeds: list[str] = field(default_factory=list)


class _Walk:
    """Follows the light along the line."""

    def __init__(self, station: Station, seen: Mapping[str, Seen]) -> None:
        self.station, self.seen, self.optics = station, seen, station.optics
        self.parts: dict[str, _Part] = {}
        self._roles = {name: entry.wire.role for name, entry in station.instruments.items()}
        self._light_w: float | None = None
        self._last = ""

    def _value(self, instrument: str, key: str) -> float | None:
        found = self.seen[instrument].values.get(key) if instrument in self.seen and not self.seen[instrument].lost else None
        return float(found) if isinstance(found, int | float) else None

    def line(self) -> None:
        """Follow the line from its laser to the last detector."""
        for word in self.optics.line:
            if _LOOP.fullmatch(word):
                self._loop()
            elif word.startswith("circ"):
                self._pass("circ", "circulator", loss_db=0.0)
            elif word == "bs":
                # Half of the light enters the loop each way; of what comes back, half leaves by each port.
                self._pass("bs", "splitter", loss_db=SPLITTER_DB if "bs" in self.parts else 0.0)
            elif word in ("D1", "D2"):
                self._detector(word)
            else:
                self._element(word)

    def _pass(self, name: str, kind: str, *, loss_db: float | None, driven_by: tuple[str, ...] = ()) -> None:
        """Go on to an element, and through it."""
        if self._light_w is not None:
            self._light_w = None if loss_db is None else self._light_w * 10.0 ** (-loss_db / 10.0)
        if name not in self.parts:
            self.parts[name] = _Part(name, kind, driven_by, loss_db, self._light_w)
        self._feed(name)
        self._last = name

    def _feed(self, name: str) -> None:
        if self._last and name != self._last and name not in self.parts[self._last].feeds:
            self.parts[self._last].feeds.append(name)

    def _element(self, name: str) -> None:
        role, modulator = self._roles.get(name, ""), self.optics.modulators.get(name)
        if role == "Laser":
            emits, power_w = self.seen[name].values.get("emission") if name in self.seen else None, self._value(name, "power_w")
            self.parts[name] = _Part(name, "laser", (name,), None, power_w if emits else None if emits is None else 0.0)
            self._light_w, self._last = self.parts[name].power_w, name
        elif modulator is not None:
            self._pass(name, "modulator", loss_db=0.0, driven_by=(modulator.instrument, *([modulator.bias] if modulator.bias else [])))
            self.parts[name].loss_db = self.parts[name].power_w = None
        elif name in self.optics.taps:
            self._tap(name)
        elif role == "Attenuator":
            self._pass(name, "attenuator", loss_db=self._value(name, "attenuation_db"), driven_by=(name,))
        elif name == "att_fixed":
            self._pass(name, "attenuator", loss_db=self.optics.att_fixed.loss_db)
        else:
            self._pass(name, _KINDS.get(role, role.lower() or "element"), loss_db=0.0, driven_by=(name,) if role else ())

    def _tap(self, name: str) -> None:
        tap = self.optics.taps[name]
        measured_w = self._value(tap.meter, "power_w")
        if self._light_w and measured_w is not None:
            self._light_w = max(measured_w, 0.0) / tap.share
        tapped_w = None if self._light_w is None else self._light_w * tap.share
        self._pass(name, "tap", loss_db=tap.through_db)
        self.parts[name].feeds.append(tap.meter)
        self.parts[tap.meter] = _Part(tap.meter, "meter", (tap.meter,), None, tapped_w)

    def _loop(self) -> None:
        """Send the light around: each way passes every user."""
        inside_w, users = self._light_w, self.optics.users
        arms = {name: self._arm_db(user.voa, user.loss_db) for name, user in users.items()}
        self._pass("loop", "loop", loss_db=0.0)
        self.parts["loop"].feeds += list(users)
        left_w: list[float | None] = []
        for name, user in users.items():
            arm_db, modulator = arms[name], self.optics.modulators[user.pm]
            power_w = None if inside_w is None or arm_db is None else inside_w / 2.0 * 10.0 ** (-arm_db / 10.0)
            self.parts[name] = _Part(name, "user", (modulator.instrument, user.voa), arm_db, power_w, ["loop"])
            left_w.append(power_w)
        known_w = [one for one in left_w if one is not None]
        # A pair exchanges key; all other users are shut off.
        self._light_w = sum(sorted(known_w)[-2:]) if len(known_w) == len(left_w) else None
        self._last = ""

    def _arm_db(self, voa: str, own_db: float) -> float | None:
        found = self._value(voa, "attenuation_db")
        return None if found is None else found + own_db

    def _detector(self, name: str) -> None:
        """End at a detector; the light goes on where it came from."""
        counters = tuple(one for one, role in self._roles.items() if role == "PhotonDetector")
        if name not in self.parts:
            self.parts[name] = _Part(name, "detector", counters, None, self._light_w)
        self._feed(name)

    def beside(self) -> None:
        """Add what carries signals: tagger and generators."""
        for name in (name for name, role in self._roles.items() if role == "TagSource"):
            self.parts[name] = _Part(name, "tagger", (name,))
            for detector in ("D1", "D2"):
                if detector in self.parts and detector in self.station.instruments[name].wire.channel_map:
                    self.parts[detector].feeds.append(name)
        for name in (name for name, role in self._roles.items() if role == "WaveformSource"):
            driven = [one for one in self.optics.modulators if self.optics.modulators[one].instrument == name]
            users = {user.pm: letter for letter, user in self.optics.users.items()}
            targets = [users.get(one, one) for one in driven]
            self.parts[name] = _Part(name, "generator", (name,), feeds=[one for one in targets if one in self.parts])
