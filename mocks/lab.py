"""The laboratory: one world, its devices, and the ports they listen at."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from ..core.errors import ConfigError
from .devices.awg81160a import Awg81160A
from .devices.base import Device, Garbage
from .devices.basik import Basik
from .devices.dd100 import DD100
from .devices.id900 import Id900
from .devices.websq import WebSQ
from .faults import Faults
from .layout import Layout, Plain
from .listeners import HOST, Hub
from .randomness import Seeds
from .world import World

Resources = dict[str, str]


class Lab:
    """The simulated instruments of a station.

    plain: the station as a plain dictionary of SI floats, `sim` included.  faults: names of faults, see `faults.NAMES`.
    Raises ConfigError for a station or a fault that cannot be simulated. Use it once: `start`, `run_forever`, `stop`.
    """

    def __init__(self, plain: Plain, faults: Sequence[str] = ()) -> None:
        simulated = {name: entry for name, entry in plain["instruments"].items() if entry.get("rules", {}).get("simulated", True)}
        self.faults = Faults.parse(faults, simulated)
        self.world = World(Layout.of(plain))
        self._seeds = Seeds(self.world.layout.seed)
        self._instruments: Mapping[str, Any] = simulated
        self._hub = Hub()
        if self.faults.detector_unplugged:
            self.world.unplug(0)
        self._builders: dict[str, Callable[[str], Resources]] = {
            "KoherasBasik": self._basik,
            "OzDD100": self._attenuator,
            "Keysight81160A": self._generator,
            "WebSQ": self._detectors,
            "ID900": self._tagger,
        }

    def start(self) -> dict[str, Resources]:
        """Switch every device on and return its addresses by instrument name: `resource`, and `counts` or `datalink` where it has them."""
        try:
            return {name: self._switch_on(name, entry["wire"]["driver"]) for name, entry in self._instruments.items()}
        except BaseException:
            self._hub.close()
            raise

    def _switch_on(self, name: str, driver: str) -> Resources:
        if driver not in self._builders:
            raise ConfigError(f"no simulator of {driver}", where=name, remedy="Set simulated = false, or choose another driver.")
        return self._builders[driver](name)

    def run_forever(self) -> None:
        """Serve in this thread until `stop` is called from another one or from a signal handler."""
        self._hub.run()

    def stop(self) -> None:
        """End `run_forever`; every port closes."""
        self._hub.stop()

    @contextmanager
    def in_thread(self) -> Iterator[dict[str, Resources]]:
        """Serve in a thread of this process for the length of a `with` block, which receives the addresses."""
        resources = self.start()
        thread = threading.Thread(target=self.run_forever, name="lab", daemon=True)
        thread.start()
        try:
            yield resources
        finally:
            self.stop()
            thread.join()

    def _mad(self, name: str) -> Garbage | None:
        return Garbage(self._seeds.generator(f"garbage {name}")) if name in self.faults.garbage else None

    def _basik(self, name: str) -> Resources:
        device = Basik(self.world, self._seeds.generator(f"requests {name}"), refuses=self.faults.laser_refuses)
        return {"resource": self._hub.add_pty((self._mad(name) or device).link())}

    def _attenuator(self, name: str) -> Resources:
        device = DD100(self.world, name)
        return {"resource": self._hub.add_pty((self._mad(name) or device).link())}

    def _generator(self, name: str) -> Resources:
        device: Device = self._mad(name) or Awg81160A(self.world, name)
        return {"resource": f"TCPIP::{HOST}::{self._hub.add_tcp(device.link)}::SOCKET"}

    def _detectors(self, name: str) -> Resources:
        device = WebSQ(self.world, frozenset({0}) if self.faults.detector_unplugged else frozenset())
        control: Device = self._mad(name) or device
        return {"resource": f"tcp://{HOST}:{self._hub.add_tcp(control.link)}", "counts": f"tcp://{HOST}:{self._hub.add_feed(device.counts)}"}

    def _tagger(self, name: str) -> Resources:
        signals = {channel: signal for signal, channel in self._instruments[name]["wire"]["channel_map"].items()}
        device = Id900(self.world, signals, overflow=self.faults.tagger_overflow)
        device.recorder.open_outlet = self._hub.open_pair
        self._hub.producers.append(device.recorder)
        mad = self._mad(name)
        control = (lambda _message: mad.message()) if mad else device.control
        port = _closed_port() if self.faults.tagger_port_closed else self._hub.add_service(control)
        return {"resource": f"tcp://{HOST}:{port}", "datalink": f"tcp://{HOST}:{self._hub.add_service(device.data_link)}"}


def _closed_port() -> int:
    with socket.create_server((HOST, 0)) as server:
        return int(server.getsockname()[1])
