"""A process that owns a bench: from the lock of its station to the last instrument that is closed."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from ...instruments.guard.locks import ResourceLock
from ...instruments.station import Station
from ..lab import running
from ..link import address, sockets
from ..stations import station_lock
from . import rescue_record
from .owner import Owner
from .server import Server
from .session import Session

if TYPE_CHECKING:
    from ...mocks.faults import Fault


@contextmanager
def owning(station: Station, folder: Path, faults: Sequence[str | Fault] = (), *, lock: ResourceLock, watched: bool, shared: bool = False) -> Iterator[Owner]:
    """Own the bench of a station for the length of a `with` block; on every way out it is made safe, read back, and closed.

    faults: of the simulated bench, if one is started here.  lock: of the station (`station_lock`), given back in the end.
    watched: light will be needed, so the watchdog starts along with the rest.  shared: leave control to clients.
    Raises InstrumentLocked if another process has one of the instruments, ConfigError, BenchError or an InstrumentError.
    """
    from ...instruments.connect import connect

    owner = Owner(station, folder, shared=shared)
    with ExitStack() as stack:
        stack.callback(lock.release)

        stack.callback(owner.close)

        def started(tether: int) -> None:
            owner.tether = tether
            if watched:
                owner.start_watchdog()

        if station.simulated:
            lab = stack.enter_context(running(station.path, faults, started=started))
            addresses = {name: lab.devices.get(name, entry.wire.addresses()) for name, entry in station.instruments.items()}
        else:
            started(-1)
            addresses = {name: entry.wire.addresses() for name, entry in station.instruments.items()}
        # A simulated bench ends when the watchdog has let go of it, too.
        stack.callback(owner.close)
        # Who looks on may not hear the last word; how it went is known once everything is closed.
        stack.callback(rescue_record.leave, owner, address(station.path, "rescue"))
        instruments = stack.enter_context(connect(station, addresses.__getitem__, home=True))
        stack.callback(owner.settle)
        _forget_the_last(station.path)
        rescue_record.tell(owner, address(station.path, "rescue"))
        owner.opened(instruments, addresses)
        stack.callback(Server(address(station.path, "owner"), lambda client: Session(owner, client)).close)
        try:
            yield owner
        finally:
            owner.settle()


def _forget_the_last(station: Path) -> None:
    """Take away the sockets that a killed owner left behind, if its watchdog left word: without that word they would say that nobody made the bench safe."""
    if address(station, "rescue").exists():
        for left in sockets(station):
            left.unlink(missing_ok=True)


def serve(path: Path, folder: Path | None = None, faults: Sequence[str] = (), *, until_alone: bool = False, announce: IO[str] = sys.stdout) -> None:
    """Own the bench of a station until interrupted, and run what clients submit.

    until_alone: end by itself, too, once nobody is attached, nothing is done or waits, and the bench is dark.
    Prints one JSON line {pid, watchdog, station, simulated, security} when it is open.  Raises InstrumentLocked if another process owns it.
    """
    station = Station.load(path)
    target = folder if folder is not None else station.path.parent / station.info.data_dir
    with owning(station, target, faults, lock=station_lock(station), watched=True, shared=True) as owner:
        owner.clients.lent = until_alone
        owner.watched()
        told = {name: owner.status()[name] for name in ("owner", "watchdog")}
        announce.write(json.dumps({"pid": told["owner"], **told, "station": str(path), "simulated": station.simulated, "security": None}) + "\n")
        announce.flush()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: owner.end_soon("the owner was told to end"))
        owner.runner.work()
