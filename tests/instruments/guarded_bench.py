"""The instruments on which light and bias depend, in this process: real adapters and drivers, simulated devices, and a world that judges every knob."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pymeasure.adapters import Adapter

from heliograph.core.errors import Disconnected, Timeout
from heliograph.instruments.attenuators import OzAttenuator
from heliograph.instruments.guard.arbiter import Arbiter
from heliograph.instruments.guard.interlocks import needed_db
from heliograph.instruments.keysight import Keysight81160A
from heliograph.instruments.lasers import BasikLaser
from heliograph.instruments.nkt import KoherasBasik
from heliograph.instruments.oz_optics import OzDD100
from heliograph.instruments.photon_detectors import WebSQDetector
from heliograph.instruments.role_adapter import RoleAdapter
from heliograph.instruments.roles import WireCount
from heliograph.instruments.single_quantum import WebSQ
from heliograph.instruments.station import Station, default_text
from heliograph.instruments.waveform_sources import KeysightSource
from heliograph.mocks.devices import awg81160a, basik, dd100, websq
from heliograph.mocks.layout import Layout
from heliograph.mocks.truth import truth
from heliograph.mocks.world import World

STATION = Station.parse(default_text(), Path("demo.toml"))
VOAS = ("voa_in", "voa_a", "voa_b", "voa_c")
FLUX_HZ = 30e6
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

    def __init__(self) -> None:
        self.violations: list[str] = []
        plain = STATION.plain()
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

    def judge(self) -> None:
        now = truth(self)
        attenuation = now["attenuation_db"]
        if not now["emission"] or not now["enabled"] or max(now["bias_a"]) <= 0.0 or len(attenuation) < len(VOAS):
            return
        need = needed_db(self.laser.power_w, self.laser.wavelength_m, max(STATION.optics.site.eta), FLUX_HZ)
        have = 60.0 + attenuation["voa_in"] + min(attenuation[name] for name in VOAS[1:])
        if have < need - ROUNDING_DB:
            self.violations.append(f"{need:.2f} dB are needed, there are {have:.2f} dB: {now}")


class Bench:
    """The instruments on which light and bias depend, with the real adapters and drivers, and their arbiter."""

    def __init__(self, station: Station = STATION) -> None:
        self.station, self.world = station, WatchedWorld()
        self.voas = {name: dd100.DD100(self.world, name) for name in VOAS}
        self.laser = basik.Basik(self.world, np.random.default_rng(1))
        self.snspd = websq.WebSQ(self.world)
        self.wires: dict[str, Wire] = {}
        self.instruments: dict[str, RoleAdapter] = {}
        for name, voa in self.voas.items():
            voa.answer("H")
            self._add(name, OzAttenuator, OzDD100, voa, command_end="\r", line_end=b"\r\n")
        self._add("laser", BasikLaser, KoherasBasik, self.laser, command_end="")
        self._add("snspd", WebSQDetector, WebSQ, self.snspd, counts_link=lambda: Counting(self.snspd))
        self._add("awg_im", KeysightSource, Keysight81160A, awg81160a.Awg81160A(self.world, "awg_im"))
        self.arbiter = Arbiter(station, self.instruments)
        for one in self.instruments.values():
            one.arbiter = self.arbiter
        self.arbiter.secure()

    def _add(self, name: str, adapter: Any, driver: Any, device: Any, *, command_end: str = "\n", line_end: bytes = b"\n", **more: Any) -> None:
        self.wires[name] = Wire(device, command_end=command_end, line_end=line_end)
        self.instruments[name] = adapter(name, self.station.instruments[name], driver(self.wires[name], name, **more), station="demo.toml")

    def __getitem__(self, name: str) -> Any:
        return self.instruments[name]
