"""What stands on a bench, without arming it: who answers at every address, and a conversation with one instrument."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.errors import HeliographError, InstrumentLocked, ParameterError
from ..instruments import catalogue
from ..instruments.console import PATIENCE_S, Console
from ..instruments.guard.locks import ResourceLock
from ..instruments.role_adapter import RoleAdapter
from ..instruments.roles import Identity
from ..instruments.station import Station
from .attached import attach
from .bench import open_bench
from .lab import running


@dataclass(frozen=True, slots=True)
class Found:
    """Who answers for an instrument.  identity: None where nobody does.  error: why not, or that it is another device than the station expects."""

    name: str
    driver: str
    address: str
    simulated: bool
    identity: Identity | None = None
    error: HeliographError | None = None


def identify(station: Station, faults: Sequence[str] = ()) -> Iterator[Found]:
    """Ask every instrument of a station who it is, one after the other, and send nothing else; one that does not answer stops no other.

    Where another process owns the bench, its owner asks.  faults: of the simulated bench, if one is started here.
    """
    attached = attach(station)
    if attached is not None:
        with attached as bench:
            bench.refuse_faults(faults)
            for name, entry in station.instruments.items():
                yield Found(name, entry.wire.driver, entry.wire.resource, entry.rules.simulated, *_answer(bench.instruments[name]))
        return
    with _addresses(station, faults) as addresses_of:
        for name, entry in station.instruments.items():
            addresses = addresses_of(name)
            identity, error = _asked(station, name, addresses)
            yield Found(name, entry.wire.driver, addresses["resource"], entry.rules.simulated, identity, error)


def _asked(station: Station, name: str, addresses: Mapping[str, str]) -> tuple[Identity | None, HeliographError | None]:
    locks: list[ResourceLock] = []
    try:
        # The parts of one unit stand at one address.
        locks += [ResourceLock(name, address) for address in dict.fromkeys(addresses.values())]
        instrument = catalogue.open_instrument(name, station.instruments[name], addresses, station=station.path.name)
        try:
            return _answer(instrument)
        finally:
            instrument.close()
    except HeliographError as error:
        return None, error
    finally:
        for lock in locks:
            lock.release()


def _answer(instrument: Any) -> tuple[Identity | None, HeliographError | None]:
    """Return who answers, and what is wrong with that."""
    try:
        identity: Identity = instrument.identify()
    except HeliographError as error:
        return None, error
    try:
        if isinstance(instrument, RoleAdapter):
            instrument.check_identity()
    except HeliographError as error:
        return identity, error
    return identity, None


@contextmanager
def _addresses(station: Station, faults: Sequence[str]) -> Iterator[Callable[[str], Mapping[str, str]]]:
    if not station.simulated:
        yield lambda name: station.instruments[name].wire.addresses()
        return
    with running(station.path, faults) as lab:
        yield lambda name: lab.devices.get(name, station.instruments[name].wire.addresses())


@contextmanager
def console(station: str | Path, name: str, *, patience_s: float = PATIENCE_S, faults: Sequence[str] = ()) -> Iterator[Console]:
    """Open a bench in its safe state to speak to one instrument by hand; whatever is said, the bench is made safe again at the end.

    Raises ParameterError for a name the station does not have, InstrumentLocked where another process owns the bench, and what `open_bench` raises.
    """
    known = Station.load(station).instruments
    if name not in known:
        raise ParameterError(f"there is no instrument {name!r}", where=str(station), remedy=f"There are {', '.join(known)}.")
    with open_bench(station, faults=faults, armed=False) as bench:
        instrument = bench.instruments[name]
        if not isinstance(instrument, RoleAdapter):
            raise InstrumentLocked(
                "another process owns the bench, and what is typed by hand would go past its interlocks", where=name, remedy="End its owner first."
            )
        yield Console(instrument, patience_s)
