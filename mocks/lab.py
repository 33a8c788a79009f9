"""The laboratory: one world, its devices, and the ports they listen at."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from .faults import Faults
from .layout import Layout, Plain
from .listeners import Hub
from .place import Place, Resources
from .randomness import Seeds
from .simulators import simulator
from .world import World


class Lab:
    """The simulated instruments of a station.

    plain: the station as a plain dictionary of SI floats, `sim` included.  faults: names of faults, see `faults.NAMES`.
    Raises ConfigError for a station or a fault that cannot be simulated. Use it once: `start`, `run_forever`, `stop`.
    """

    def __init__(self, plain: Plain, faults: Sequence[str] = ()) -> None:
        simulated = {name: entry for name, entry in plain["instruments"].items() if entry.get("rules", {}).get("simulated", True)}
        self.faults = Faults.parse(faults, simulated)
        self.world = World(Layout.of(plain))
        self._instruments: Mapping[str, Any] = simulated
        self._hub = Hub()
        self._place = Place(self.world, self._hub, Seeds(self.world.layout.seed), self.faults)
        if self.faults.detector_unplugged:
            self.world.unplug(0)

    def start(self) -> dict[str, Resources]:
        """Switch every device on and return its addresses by instrument name: `resource`, and `counts` or `datalink` where it has them."""
        try:
            return {name: simulator(entry["wire"]["driver"], where=name)(self._place, name, entry) for name, entry in self._instruments.items()}
        except BaseException:
            self._hub.close()
            raise

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
