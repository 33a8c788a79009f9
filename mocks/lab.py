"""The laboratory: one world, its devices, and the ports they listen at."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..core.errors import ConfigError
from . import truth
from .fault_links import Lines
from .faults import Fault, Faults
from .layout import Layout, Plain
from .listeners import Hub
from .place import Place, Resources
from .randomness import Seeds
from .simulators import simulator
from .world import World


class Lab:
    """The simulated instruments of a station.

    plain: the station as a plain dictionary of SI floats, `sim` included.  faults: names of faults, script files or `Fault`s, see `faults.read`.
    Raises ConfigError for a station or a fault that cannot be simulated. Use it once: `start`, `run_forever`, `stop`.
    resources: addresses by instrument name, once it has started.
    """

    def __init__(self, plain: Plain, faults: Sequence[str | Fault] = ()) -> None:
        simulated = {name: entry for name, entry in plain["instruments"].items() if entry.get("rules", {}).get("simulated", True)}
        self.faults = Faults.parse(faults, simulated)
        self.world = World(Layout.of(plain))
        for fault in self.faults.of_world():
            self.world.suffer(fault)
        self._instruments: Mapping[str, Any] = simulated
        self.resources: dict[str, Resources] = {}
        self._hub = Hub()
        seeds = Seeds(self.world.layout.seed)
        self._lines = Lines(self.faults, {name: entry["wire"]["driver"] for name, entry in simulated.items()}, seeds)
        self._place = Place(self.world, self._hub, seeds, self.faults, self._lines)
        if self.faults.detector_unplugged:
            self.world.unplug(0)

    def start(self) -> dict[str, Resources]:
        """Switch every device on and return its addresses by instrument name: `resource`, and `counts` or `datalink` where it has them."""
        try:
            self.resources = {name: simulator(entry["wire"]["driver"], where=name)(self._place, name, entry) for name, entry in self._instruments.items()}
            self._lines.check()
        except BaseException:
            self._hub.close()
            raise
        return self.resources

    def inject(self, kind: str | Fault, target: str = "", **settings: Any) -> None:
        """Let something go wrong from now on: a `Fault`, or its kind, target and fields; raises ConfigError for what cannot be."""
        fault = kind if isinstance(kind, Fault) else Fault(kind, target, **settings)
        Faults.parse((fault,), self._instruments)
        if fault.layer == "device":
            raise ConfigError("this fault is built into its device", where=f"fault {fault.kind}", remedy="Name it when the bench is started.")
        if fault.layer == "world":
            self._hub.call(lambda: self.world.suffer(fault))
        else:
            self._lines.inject(fault)

    @property
    def struck(self) -> int:
        """Count how often the faults of replies struck that are armed now."""
        return self._lines.struck

    def heal(self) -> None:
        """Let everything be right again: replies and bench. What is built into a device stays."""
        self._lines.heal()
        self._hub.call(self.world.recover)

    def tell_truth(self, path: Path) -> None:
        """Show what the world really does at a Unix socket, for tests; see `truth`."""
        truth.show(self._hub, self.world, path)

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
