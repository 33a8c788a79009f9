"""What must hold between the tables of a station file: names that point somewhere, nothing used twice, light and pairs that can be set up."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from ..core.errors import ConfigError
from . import catalogue

if TYPE_CHECKING:
    from .station import Station
    from .station_models import Pair

Y_SHARE = 0.1
"""Share of Y slots in a user's pattern."""
POINTS_PER_SLOT = 10
_ROUNDING_DB = 1e-9
_WORD = re.compile(r"circ:\S+|bs|D1|D2")
_LOOP = re.compile(r"loop\((.*)\)")


@dataclass(frozen=True, slots=True)
class Generator:
    """outputs: their numbers.  max_points: of a waveform.  max_rate_hz: samples a second."""

    outputs: tuple[int, ...]
    max_points: int
    max_rate_hz: float


# Told here once more, for a file is checked without loading any driver.
GENERATORS = {"Keysight81160A": Generator((1, 2), 262_144, 2.5e9)}
BIAS_UNITS = {"WebSQ": "A", "SFifteenSPD": "V"}
"""Unit in which a driver's detectors are biased."""


def place(path: Path, text: str, keys: Iterable[str]) -> str:
    """Return the file and, as far as the keys are found in its text in this order, the line."""
    position, found = 0, False
    for key in keys:
        spelt = rf"((?:user_)?{re.escape(key)})"
        # A table may be called like a key of another one, such as the pairs of [sim], so its header counts first.
        header = None if found else re.search(rf"(?im)^\s*\[\s*{spelt}\s*\]", text)
        match = header or re.compile(rf"(?im)(?:^|[\s.{{,\[\"]){spelt}\"?\s*[\]=.]").search(text, position)
        if match:
            position, found = match.start(1), True
    return f"{path}, line {text.count(chr(10), 0, position) + 1}" if found else str(path)


def check(station: Station) -> None:
    """Raise ConfigError for the first thing of the file that contradicts another or cannot work."""
    _check_modulators(station)
    _check_users(station)
    _check_addresses(station)
    _check_gates(station)
    _check_pair_names(station)
    _check_line(station)
    _check_taps(station)
    _check_biases(station)
    _check_interlocks(station)
    _check_suspend_rules(station)
    _check_bias_units(station)
    if station.pairs:
        _check_roles(station)
        _check_source_of_light(station)
        _check_patterns(station)
        for name, pair in station.pairs.items():
            _check_arms(station, name, pair)


def _refuse(station: Station, keys: tuple[str, ...], message: str, remedy: str) -> NoReturn:
    raise ConfigError(message, where=place(station.path, station.text.decode(), keys), remedy=remedy)


def _role(station: Station, name: str) -> str:
    found = station.instruments.get(name)
    return found.wire.role if found else ""


def _check_modulators(station: Station) -> None:
    seen: dict[str, str] = {}
    for name, modulator in station.optics.modulators.items():
        keys = ("optics", name)
        if _role(station, modulator.instrument) != "WaveformSource":
            _refuse(station, keys, f"{name} is driven by {modulator.instrument!r}, which is no WaveformSource here", "Name one of [instruments].")
        driver = station.instruments[modulator.instrument].wire.driver
        if driver in GENERATORS and modulator.channel not in GENERATORS[driver].outputs:
            there = " and ".join(str(number) for number in GENERATORS[driver].outputs)
            _refuse(station, keys, f"{name} is driven by output {modulator.channel} of {modulator.instrument}, a {driver} has {there}", "Name one it has.")
        output = f"{modulator.instrument}:{modulator.channel}"
        if output in seen:
            _refuse(station, keys, f"{name} and {seen[output]} are driven by the same output {output}", "Give each its own.")
        seen[output] = name


def _check_bias_units(station: Station) -> None:
    for name, entry in station.instruments.items():
        unit, keys = BIAS_UNITS.get(entry.wire.driver), ("instruments", name)
        limits, safe, operate = entry.rules.limits, entry.rules.safe, entry.rules.operate
        if unit == "A" and (limits.bias_v, safe.bias_v, operate.bias_v) != (None, None, None):
            _refuse(station, keys, f"a {entry.wire.driver} is biased with a current", 'Write its bias in amperes, such as "18 uA".')
        if unit == "V" and (limits.bias_a, operate.bias_a) != (None, None):
            _refuse(station, keys, f"a {entry.wire.driver} is biased with a voltage", 'Write its bias in volts, such as "60 V".')
        if unit == "V" and safe.bias_v is None:
            message = f"a {entry.wire.driver} cannot switch its bias off, and nothing says at how many volts {name} is safe"
            _refuse(station, keys, message, 'Add safe = { bias = "40 V" } to its rules, a bias at which the diode does not multiply.')


def _check_users(station: Station) -> None:
    seen: dict[str, str] = {}
    for name, user in station.optics.users.items():
        keys = ("optics", f"user_{name.lower()}")
        modulator = station.optics.modulators.get(user.pm)
        if modulator is None:
            _refuse(station, keys, f"user {name} has the modulator {user.pm!r}, which is not in [optics]", "Add it, or name another.")
        if modulator.kind != "PhaseModulator":
            _refuse(station, keys, f"user {name} has the modulator {user.pm}, which is an {modulator.kind}", "Name a PhaseModulator.")
        if _role(station, user.voa) != "Attenuator":
            _refuse(station, keys, f"user {name} has the attenuator {user.voa!r}, which is no Attenuator here", "Name one of [instruments].")
        for what, part in (("modulator", user.pm), ("attenuator", user.voa)):
            if part in seen:
                _refuse(station, keys, f"users {seen[part]} and {name} have the same {what} {part}", "Give each user its own.")
            seen[part] = name


def _check_addresses(station: Station) -> None:
    seen: dict[str, list[str]] = {}
    for name, entry in station.instruments.items():
        for address in entry.wire.addresses().values():
            for other in seen.setdefault(address, []):
                if not _are_one_unit(station, name, other):
                    _refuse(station, ("instruments", name), f"{name} and {other} have the same address {address}", "Give each its own.")
            seen[address].append(name)


def _are_one_unit(station: Station, name: str, other: str) -> bool:
    """Say whether two instruments are different parts of one unit."""
    drivers = [station.instruments[one].wire.driver for one in (name, other)]
    units = {catalogue.entry(driver).unit for driver in drivers}
    return drivers[0] != drivers[1] and len(units) == 1 and "" not in units


def _check_taps(station: Station) -> None:
    line, taps, seen = station.optics.line, station.optics.taps, dict[str, str]()
    for name, tap in taps.items():
        keys = ("optics", name)
        if name in station.instruments:
            _refuse(station, keys, f"{name} is an instrument and a tap", "Call the tap otherwise.")
        if _role(station, tap.meter) != "PowerMeter":
            _refuse(station, keys, f"the tap {name} leads to {tap.meter!r}, which is no PowerMeter here", "Name one of [instruments].")
        if tap.meter in seen:
            _refuse(station, keys, f"the taps {seen[tap.meter]} and {name} lead to the same meter {tap.meter}", "Give each its own.")
        seen[tap.meter] = name
        if name not in line:
            _refuse(station, keys, f"the line does not pass the tap {name}", "Name it in optics.line, where it stands.")
        place = line.index(name)
        before, behind = line[:place], line[place + 1 :]
        if tap.included and 10.0 ** (-station.optics.att_fixed.loss_db / 10.0) > 1.0 - tap.share:
            _refuse(station, keys, f"the tap {name} alone takes more than att_fixed, in which it is included", "Take `included` away.")
        if not behind or (any(_LOOP.fullmatch(one) for one in before) and not {"D1", "D2"} & set(behind)):
            _refuse(station, ("optics", "line"), f"nothing follows the tap {name}", "Put it before the detector in whose arm it stands.")


def _check_biases(station: Station) -> None:
    seen: dict[str, str] = {}
    for name, modulator in station.optics.modulators.items():
        if modulator.bias is None:
            continue
        keys = ("optics", name)
        if _role(station, modulator.bias) != "BiasController":
            _refuse(station, keys, f"the bias of {name} is {modulator.bias!r}, which is no BiasController here", "Name one of [instruments].")
        if modulator.kind != "IntensityModulator":
            _refuse(station, keys, f"{name} has a bias controller and is no IntensityModulator", "Take `bias` away.")
        if modulator.bias in seen:
            _refuse(station, keys, f"{name} and {seen[modulator.bias]} have the same bias controller {modulator.bias}", "Give each its own.")
        seen[modulator.bias] = name


def _check_interlocks(station: Station) -> None:
    for row in station.safety.interlock:
        if _role(station, row.on) not in ("PhotonDetector", "TagSource"):
            message = f"the rule {row.rule} is on {row.on!r}, which counts nothing here"
            _refuse(station, ("safety", "interlock"), message, "Name a PhotonDetector or a TagSource.")


def _check_suspend_rules(station: Station) -> None:
    roles = {"power": ("PowerMeter", "Laser"), "temperature": ("Laser",)}
    for row in station.safety.suspend:
        if row.metric == "count_rate" and row.on not in ("", "D1", "D2"):
            _refuse(station, ("safety", "suspend"), f"a suspend rule is on the count rate of {row.on!r}", "Name D1 or D2, or leave `on` out.")
        there = [name for name in station.instruments if _role(station, name) in roles.get(row.metric, ())]
        if row.metric in roles and (row.on not in there if row.on else not there):
            measured = f"a suspend rule is on the {row.metric} at {row.on!r}" if row.on else f"a suspend rule is on the {row.metric}"
            remedy = f"Name one of {', '.join(there)} in `on`." if there else f"Add a {roles[row.metric][0]} under [instruments]."
            _refuse(station, ("safety", "suspend"), f"{measured}, which nobody measures", remedy)
        if row.metric.startswith("qber") and row.on:
            _refuse(station, ("safety", "suspend"), f"a suspend rule is on the error rate of {row.on!r}", "Leave `on` out.")


def _check_gates(station: Station) -> None:
    slot_s = station.clock.slot_s
    gates = {name: one.gate_s for name, one in station.optics.modulators.items() if one.kind == "PhaseModulator"} | {"site": station.optics.site.gate_s}
    for name, gate_s in gates.items():
        if gate_s > slot_s / 2 * (1 + 1e-9):
            message = f"the gate of {name} is {gate_s * 1e9:g} ns, longer than half a slot of {slot_s * 1e9:g} ns"
            _refuse(station, ("optics", name), message, "Make it shorter, or lower clock.rep_rate.")


def _check_pair_names(station: Station) -> None:
    for name in station.pairs:
        users = name.split("-")
        if len(users) != 2 or users != sorted(set(users)) or not set(users) <= set(station.optics.users):
            _refuse(station, ("pairs", name), f"{name!r} is no pair of two users in alphabetical order", 'Write pairs like "A-B", of users in [optics].')


def _check_line(station: Station) -> None:
    keys, behind = ("optics", "line"), False
    of_users = {part: name for name, user in station.optics.users.items() for part in (user.pm, user.voa)}
    seen: set[str] = set()
    for name in station.optics.line:
        if loop := _LOOP.fullmatch(name):
            _check_loop(station, loop[1], again=behind)
            behind = True
        if loop or _WORD.fullmatch(name):
            continue
        modulator = station.optics.modulators.get(name)
        if modulator is None and name not in station.instruments and name != "att_fixed" and name not in station.optics.taps:
            remedy = "It takes names of instruments, modulators and taps, att_fixed, bs, circ:1-2, loop(user_a, user_b), D1 and D2."
            _refuse(station, keys, f"the line has {name!r}, which is none of [instruments] and [optics]", remedy)
        if name in seen:
            _refuse(station, keys, f"the line has {name} twice", "Name it once.")
        seen.add(name)
        if name in of_users:
            _refuse(station, keys, f"the line has {name}, which is in the arm of user {of_users[name]}", "Users stand in loop(...) only.")
        if modulator is not None and modulator.kind != "IntensityModulator":
            _refuse(station, keys, f"the line has {name}, which is no IntensityModulator", "Name those that carve the pulses; users stand in loop(...).")
        if _role(station, name) in ("BiasController", "PowerMeter"):
            _refuse(station, keys, f"the line has {name}, through which no light passes", "Name the modulator that it biases, or the tap that leads to it.")
        if behind and name not in station.optics.taps and _role(station, name) not in ("PhotonDetector", "TagSource", "WaveformSource"):
            _refuse(station, keys, f"{name} stands behind the loop, so what it does to the light comes too late for the users", "Put it before loop(...).")


def _check_loop(station: Station, inside: str, *, again: bool) -> None:
    if again:
        _refuse(station, ("optics", "line"), "the line has two loops", "Name one loop(...) with all users.")
    listed = sorted(name.strip().lower() for name in inside.split(","))
    wanted = sorted(f"user_{name.lower()}" for name in station.optics.users)
    if listed != wanted:
        message = f"the loop of the line has {', '.join(filter(None, listed)) or 'nobody'}, the users of [optics] are {', '.join(wanted)}"
        _refuse(station, ("optics", "line"), message, f"Write loop({', '.join(wanted)}), in the order of the fibre.")


def _check_roles(station: Station) -> None:
    there = {entry.wire.role for entry in station.instruments.values()}
    for role in ("Laser", "PhotonDetector", "TagSource"):
        if role not in there:
            _refuse(station, ("instruments",), f"a key needs a {role}, and there is none", "Add one under [instruments], or leave [pairs] out.")
    name, tagger = next((name, entry) for name, entry in station.instruments.items() if entry.wire.role == "TagSource")
    if not {"D1", "D2", "sync"} <= set(tagger.wire.channel_map):
        message = f"{name} has no channels D1, D2 and sync in its `map`"
        _refuse(station, ("instruments", name), message, "Give it `map = { D1 = 1, D2 = 2, sync = 3 }`.")


def _check_source_of_light(station: Station) -> None:
    line, keys = station.optics.line, ("optics", "line")
    if not any(_LOOP.fullmatch(name) for name in line):
        users = ", ".join(f"user_{name.lower()}" for name in station.optics.users)
        _refuse(station, keys, "the line has no loop", f"Add loop({users}), in the order of the fibre.")
    roles = [_role(station, name) for name in line]
    for role in ("Laser", "Attenuator"):
        if role not in roles:
            _refuse(station, keys, f"the line has no {role}", f"Name the {role} of [instruments] that stands before the loop.")
    drivers = {station.instruments[name].wire.driver for name, role in zip(line, roles, strict=True) if role == "Attenuator"}
    if drivers == {"ThorlabsMBXVoa"}:
        _refuse(station, keys, "the only attenuator of the line is that of an MBX, which does 20 dB at most", "Add one that can make the bench dark.")
    # Photons per pulse are computed with the fixed loss, so without it the users would send far more than is believed.
    if station.optics.att_fixed.loss_db and "att_fixed" not in line:
        _refuse(station, keys, f"the line does not pass att_fixed, of {station.optics.att_fixed.loss_db:g} dB", 'Add it, or give it loss = "0 dB".')


def _check_patterns(station: Station) -> None:
    slots, rate_hz = station.clock.pattern_slots, station.clock.rep_rate_hz
    most = round(Y_SHARE * slots)
    for name, pair in station.pairs.items():
        if pair.yy_overlap > most:
            message = f"{pair.yy_overlap} common Y slots, but each user has {most} of {slots} slots in Y"
            _refuse(station, ("pairs", name, "yy_overlap"), message, f"Choose yy_overlap from 1 to {most}.")
    for modulator in station.optics.modulators.values():
        driver = station.instruments[modulator.instrument].wire.driver
        generator = GENERATORS.get(driver, Generator((), 2**63, inf))
        if POINTS_PER_SLOT * slots > generator.max_points:
            message = f"{slots} slots of {POINTS_PER_SLOT} points do not fit into the {generator.max_points:,} of {modulator.instrument}"
            _refuse(station, ("clock", "pattern_slots"), message, f"Choose up to {generator.max_points // POINTS_PER_SLOT} pattern_slots.")
        if POINTS_PER_SLOT * rate_hz > generator.max_rate_hz:
            message = (
                f"{modulator.instrument} gives {generator.max_rate_hz / 1e9:g} GS/s, {POINTS_PER_SLOT} points a slot need {POINTS_PER_SLOT * rate_hz / 1e9:g}"
            )
            _refuse(station, ("clock", "rep_rate"), message, f"Choose up to {generator.max_rate_hz / POINTS_PER_SLOT / 1e6:g} MHz.")


def _check_arms(station: Station, name: str, pair: Pair) -> None:
    for user in name.split("-"):
        arm = station.optics.users[user]
        least, most = station.instruments[arm.voa].rules.limits.attenuation_db or (0.0, inf)
        rest = pair.arm_loss_db - arm.loss_db
        if not least - _ROUNDING_DB <= rest <= most + _ROUNDING_DB:
            low, high = arm.loss_db + least, arm.loss_db + most
            message = f"an arm loss of {pair.arm_loss_db:g} dB leaves {rest:.2f} dB for {arm.voa}, which does {least:g} dB or more"
            if rest > most:
                message = f"an arm loss of {pair.arm_loss_db:g} dB leaves {rest:.2f} dB for {arm.voa}, which does {most:g} dB at most"
            reach = f"from {low:.2f} dB to {high:.2f} dB" if high < inf else f"of {low:.2f} dB or more"
            _refuse(station, ("pairs", name, "arm_loss"), message, f"User {user} has {arm.loss_db:.2f} dB of its own: choose an arm_loss {reach}.")
