"""The instruments on which light and bias depend, in this process: real adapters and drivers, simulated devices, and a world that judges every knob."""

from __future__ import annotations

import re
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pymeasure.adapters import Adapter

from heliograph.core.errors import Disconnected, Timeout
from heliograph.instruments.attenuators import OzAttenuator
from heliograph.instruments.avalanche_detectors import SFifteenDetector
from heliograph.instruments.bias_controllers import MbxBias
from heliograph.instruments.guard import safe
from heliograph.instruments.guard.arbiter import Arbiter
from heliograph.instruments.guard.interlocks import needed_db
from heliograph.instruments.keysight import Keysight81160A
from heliograph.instruments.lasers import BasikLaser
from heliograph.instruments.mbx_attenuators import MbxVoa
from heliograph.instruments.nkt import KoherasBasik
from heliograph.instruments.oz_optics import OzDD100
from heliograph.instruments.photon_detectors import WebSQDetector
from heliograph.instruments.power_meters import Pm100Meter
from heliograph.instruments.role_adapter import RoleAdapter
from heliograph.instruments.roles import WireCount
from heliograph.instruments.s_fifteen import SFifteenSPD
from heliograph.instruments.single_quantum import WebSQ
from heliograph.instruments.station import Station, default_text
from heliograph.instruments.thorlabs import ThorlabsMBX, ThorlabsPM100
from heliograph.instruments.waveform_sources import KeysightSource
from heliograph.mocks.devices import awg81160a, basik, dd100, mbx, pm100, sfifteen_spd, websq
from heliograph.mocks.layout import Layout
from heliograph.mocks.optics.avalanche import Diode
from heliograph.mocks.randomness import Seeds
from heliograph.mocks.truth import truth
from heliograph.mocks.world import World

STATION = Station.parse(default_text(), Path("demo.toml"))


def _avalanche_line() -> Station:
    """The station with every device of the line, with avalanche diodes in the beam in place of nanowires."""
    text = (Path(__file__).parents[1] / "full_station.toml").read_text()
    text = re.sub(r"(?m)^(snspd|tagger)\..*\n", "", text).replace('gate = "2 ns" }', 'gate = "4 ns" }')
    return Station.parse(text.encode(), Path("line.toml"))


AVALANCHE_LINE = _avalanche_line()
VOAS = ("voa_in", "voa_a", "voa_b", "voa_c")
ARMS = VOAS[1:]
PARKED_V = 40.5
"""Bias of a diode, the parked one and its tolerance, up to which light does not harm it."""
ROUNDING_DB = 0.01
"""Attenuators answer with two decimals."""


class Wire(Adapter):  # type: ignore[misc,unused-ignore]
    """A device in this process: the same bytes as on its real transport. cut: nobody answers.  sent: every piece so far."""

    def __init__(self, device: Any, *, command_end: str = "\n", line_end: bytes = b"\n") -> None:
        super().__init__()
        self.where, self.timeout_s, self.cut = "in process", 1.0, False
        self.wire = WireCount(0, 0)
        self.sent: list[bytes] = []
        self._link, self._command_end, self._line_end, self._waiting = device.link(), command_end, line_end, b""

    def _write(self, command: str, **kwargs: Any) -> None:
        self._write_bytes((command + self._command_end).encode())

    def _write_bytes(self, content: bytes, **kwargs: Any) -> None:
        if self.cut:
            raise Disconnected("the cable is off", where=self.where)
        self.sent.append(content)
        self._waiting = b"".join(reply.data for reply in self._link.feed(content))

    def _read(self, **kwargs: Any) -> str:
        return self._until(self._line_end).removesuffix(self._line_end).decode()

    def _read_bytes(self, count: int, break_on_termchar: bool = False, **kwargs: Any) -> bytes:
        return self._until(b"\n") if break_on_termchar else self._until(b"")

    def _until(self, end: bytes) -> bytes:
        if not self._waiting:
            raise Timeout("nothing came", where=self.where)
        size = self._waiting.index(end) + len(end) if end else len(self._waiting)
        taken, self._waiting = self._waiting[:size], self._waiting[size:]
        return taken


class Counting:
    """A connection to the counts port."""

    where, wire = "in process", WireCount(0, 0)

    def __init__(self, device: websq.WebSQ) -> None:
        self._feed = device.counts()

    def read_line(self, _budget_s: float) -> bytes:
        return self._feed.line()

    def close(self) -> None:
        pass


class WatchedWorld(World):
    """The world, looked at after every turn of a knob."""

    def __init__(self, station: Station) -> None:
        self.violations: list[str] = []
        self.station = station
        self.flux_hz = min(one.rules.limits.flux_hz or inf for one in station.instruments.values())
        self.line = [name for name in station.optics.line if name in station.instruments and station.instruments[name].wire.role == "Attenuator"]
        plain = station.plain()
        # Nothing here depends on a pattern, and light through a short one is computed fast.
        super().__init__(Layout.of({**plain, "clock": {**plain["clock"], "pattern_slots": 10}}))

    def set_laser(self, **knobs: Any) -> None:
        super().set_laser(**knobs)
        self.judge()

    def set_attenuation(self, name: str, attenuation_db: float) -> None:
        super().set_attenuation(name, attenuation_db)
        self.judge()

    def set_bias(self, detector: int, bias_a: float) -> None:
        super().set_bias(detector, bias_a)
        self.judge()

    def set_detectors_enabled(self, enabled: bool) -> None:
        super().set_detectors_enabled(enabled)
        self.judge()

    def set_diode(self, detector: int, diode: Diode) -> None:
        super().set_diode(detector, diode)
        self.judge()

    @property
    def biased(self) -> bool:
        now = truth(self)
        return (now["enabled"] and max(now["bias_a"]) > 0.0) or any(self.diode(k).bias_v > PARKED_V for k in range(2))

    def judge(self) -> None:
        now = truth(self)
        attenuation = now["attenuation_db"]
        if not now["emission"] or not self.biased or len(attenuation) < len(self.line) + len(ARMS):
            return
        need = needed_db(self.laser.power_w, self.laser.wavelength_m, max(self.station.optics.site.eta), self.flux_hz)
        have = 60.0 + sum(attenuation[name] for name in self.line) + min(attenuation[name] for name in ARMS)
        if have < need - ROUNDING_DB:
            self.violations.append(f"{need:.2f} dB are needed, there are {have:.2f} dB: {now}")


class Bench:
    """The instruments on which light and bias depend, with the real adapters and drivers, and their arbiter."""

    detector = "snspd"
    attenuators: tuple[str, ...] = VOAS
    spds: list[sfifteen_spd.SfifteenSpd]
    units: dict[str, mbx.Mbx]

    def __init__(self, station: Station = STATION) -> None:
        self.station, self.world = station, WatchedWorld(station)
        self.voas = {name: dd100.DD100(self.world, name) for name in VOAS}
        self.laser = basik.Basik(self.world, np.random.default_rng(1))
        self.wires: dict[str, Wire] = {}
        self.instruments: dict[str, RoleAdapter] = {}
        for name, voa in self.voas.items():
            voa.answer("H")
            self._add(name, OzAttenuator, OzDD100, voa, command_end="\r", line_end=b"\r\n")
        self._add("laser", BasikLaser, KoherasBasik, self.laser, command_end="")
        self._add("awg_im", KeysightSource, Keysight81160A, awg81160a.Awg81160A(self.world, "awg_im"))
        self._add_rest()
        self.arbiter = Arbiter(station, self.instruments)
        for one in self.instruments.values():
            one.arbiter = self.arbiter
        with pytest.MonkeyPatch.context() as patient:
            # However little time the test gives to what does not answer: a busy computer must not make what does answer fail.
            patient.setattr(safe, "DEADLINE_S", 2.0)
            self.arbiter.secure()

    def _add_rest(self) -> None:
        self.snspd = websq.WebSQ(self.world)
        self._add("snspd", WebSQDetector, WebSQ, self.snspd, counts_link=lambda: Counting(self.snspd))

    def _add(self, name: str, adapter: Any, driver: Any, device: Any, *, command_end: str = "\n", line_end: bytes = b"\n", **more: Any) -> None:
        self.wires[name] = Wire(device, command_end=command_end, line_end=line_end)
        self._put(name, adapter, driver(self.wires[name], name, **more))

    def _put(self, name: str, adapter: Any, driver: Any) -> None:
        self.instruments[name] = adapter(name, self.station.instruments[name], driver, station="demo.toml")

    def __getitem__(self, name: str) -> Any:
        return self.instruments[name]


class AvalancheBench(Bench):
    """The same with avalanche diodes, bias controllers, the attenuator in one of them, and a power meter."""

    detector = "spd"
    attenuators = (*VOAS, "voa_mbx")

    def __init__(self, station: Station = AVALANCHE_LINE) -> None:
        super().__init__(station)

    def _add_rest(self) -> None:
        self.spds = [sfifteen_spd.SfifteenSpd(self.world, k) for k in range(2)]
        self.wires |= {name: Wire(spd, command_end="") for name, spd in zip(("spd", "second"), self.spds, strict=True)}
        self._put("spd", SFifteenDetector, {1: SFifteenSPD(self.wires["spd"], "spd"), 2: SFifteenSPD(self.wires["second"], "spd")})
        self.units = {name: mbx.Mbx(self.world, Seeds(1), name, "BiasController") for name in ("mbx_1", "mbx_2")}
        self.units["mbx_1"].serve("voa_mbx", "Attenuator")
        for name, unit in self.units.items():
            self._add(name, MbxBias, ThorlabsMBX, unit, command_end="\r", line_end=b"\r")
        self._put("voa_mbx", MbxVoa, self.instruments["mbx_1"].driver)
        self._add("meter", Pm100Meter, ThorlabsPM100, pm100.Pm100(self.world, "meter"))
