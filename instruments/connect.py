"""Open a whole station, and leave it safe whatever happens."""

from __future__ import annotations

import atexit
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self, cast

from ..core.errors import ArmRefused, ClockLost, DeviceFault, InstrumentError, ParameterError, UnknownInstrument
from . import catalogue, recording
from .guard import safe, turns
from .guard.arbiter import Arbiter
from .guard.locks import ResourceLock
from .released import ReleasedInstrument
from .role_adapter import RoleAdapter
from .roles import SafeReport, Scalar, TagSource, WireCount
from .station import Station

log = logging.getLogger(__name__)

_PATIENCE_S = 5.0
"""How long an instrument that is to be let go may go on with what it does."""
Resolver = Callable[[str], Mapping[str, str]]
"""Gives the addresses of an instrument by name: `resource` and, where it has them, `counts` and `datalink`."""


class Instruments(Mapping[str, Any]):
    """The open instruments of a station by name, each a role adapter (`roles`). Raises UnknownInstrument for a name that the station does not have.

    A context manager: on any way out everything is made safe, read back, and closed.

    Leaving it, or the end of the interpreter, has the same effect. Raises DeviceFault on a normal way out if an instrument could not be made safe; an error or
    Ctrl-C has a note of how it went.
    arbiter: judges every command that can do harm, and makes the bench safe by itself where a rule says so.
    """

    def __init__(self, station: Station) -> None:
        self.station = station
        self._open: dict[str, RoleAdapter] = {}
        self._addresses: dict[str, dict[str, str]] = {}
        self._locks: dict[str, ResourceLock] = {}
        self._shared = False
        self._closed_with: list[SafeReport] = []
        self.arbiter = Arbiter(station, self._open)
        atexit.register(self._at_exit)

    def __getitem__(self, name: str) -> Any:
        if name not in self._open:
            raise UnknownInstrument.of(name, self._open, where=str(self.station.path))
        return self._open[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._open)

    def __len__(self) -> int:
        return len(self._open)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        reports = self.close()
        if error is not None:
            safe.note(error, reports)
        elif bad := safe.unconfirmed(reports):
            told = f"not confirmed safe: {safe.summary(bad)}"
            raise DeviceFault(told, where=str(self.station.path), remedy="Switch the light off by hand, then look for the cause.")

    def add(self, name: str, addresses: Mapping[str, str]) -> None:
        """Lock, open and identify one instrument; raises InstrumentLocked, WrongIdentity or another InstrumentError, its port closed again."""
        configured, before = self.station.instruments[name], self._open.get(name)
        self._addresses[name] = dict(addresses)
        for address in addresses.values():
            # The parts of one unit stand at one address, which is held once.
            if address not in self._locks:
                self._locks[address] = ResourceLock(name, address)
        recording.expect(name, configured.wire.role, addresses)
        instrument = catalogue.open_instrument(name, configured, addresses, station=self.station.path.name)
        try:
            if before is not None:
                instrument.remember(before.known_identity)
            instrument.check_identity()
        except BaseException:
            _close(instrument)
            raise
        if self._shared:
            instrument.share()
        instrument.arbiter = self.arbiter
        self._open[name] = instrument

    def share(self) -> None:
        """Let several threads use the instruments from now on, also those that are taken back later."""
        self._shared = True
        for instrument in self._open.values():
            instrument.share()

    # Service

    def release(self, name: str, *, by: str = "") -> list[SafeReport]:
        """Let go of an instrument for service: make it safe, close its line and free its lock, so that a person may use other software, or unplug it.

        The parts of one unit go together.  Until `take_back` every word to it raises Released, and the bench cannot be armed.
        by: who wants it, for what is told.  Returns how making it safe went: one that does not answer is let go all the same.
        Raises InterlockOpen unless the bench is safe, Busy while somebody speaks with it or a command is judged, ParameterError if it was released before.
        """
        if self[name].released:
            raise ParameterError("it is released already", where=name, remedy="Take it back first.")
        return self._let_go(self._unit(name), by)

    def take_back(self, name: str, *, by: str = "") -> list[RoleAdapter]:
        """Open an instrument again that was released, with the other parts of its unit: locked, identified, homed if need be, made safe and set up.

        Raises InstrumentLocked while somebody else has it, WrongIdentity if another device answers than before, what opening and making safe raise; then it
        stays released.
        """
        if not self[name].released:
            raise ParameterError("it is not released", where=name, remedy="Nothing was changed.")
        unit = self._unit(name)
        before = {one: self._open[one] for one in unit}
        try:
            for one in unit:
                self.add(one, self._addresses[one])
            _home(self)
            bad = safe.unconfirmed([self._open[one].to_safe() for one in unit])
            if bad:
                raise DeviceFault(f"not confirmed safe: {safe.summary(bad)}", where=name, remedy="Check it, then take it back again.")
            for one in unit:
                _set_up(self.station, self._open[one])
        except BaseException:
            for one in unit:
                again, self._open[one] = self._open[one], before[one]
                _close(again)
            self._free(unit)
            raise
        self.arbiter.taken_back(*unit, by=by)
        return [self._open[one] for one in unit]

    def _unit(self, name: str) -> list[str]:
        """Return the names of the instruments that stand at one address with an instrument, its own included."""
        at = set(self._addresses[name].values())
        return [one for one in self.station.instruments if at & set(self._addresses.get(one, {}).values())]

    def _let_go(self, unit: list[str], by: str) -> list[SafeReport]:
        # Who judges holds the arbiter and waits for a turn, so the arbiter is asked before any turn is had.
        with self.arbiter.releasing(*unit, patience_s=_PATIENCE_S, by=by), ExitStack() as turns_of_all:
            for one in unit:
                turns_of_all.enter_context(turns.alone(self._open[one].driver, _PATIENCE_S, where=one))
            reports = [self._open[one].to_safe() for one in unit]
            for one in unit:
                before = self._open[one]
                self._open[one] = instead = ReleasedInstrument.of(before, self.station.instruments[one], self.station.path.name)
                _close(before)
                turns.retire(before.driver, instead)
            self._free(unit)
        return reports

    def _free(self, unit: list[str]) -> None:
        """Give the locks of a unit back."""
        for address in {address for one in unit for address in self._addresses[one].values()}:
            lock = self._locks.pop(address, None)
            if lock is not None:
                lock.release()

    def snapshot(self) -> dict[str, dict[str, Scalar]]:
        """Read identity and settings of every instrument, with `simulated` as the station says."""
        return {name: _described(instrument) for name, instrument in self._open.items()}

    def wire_counts(self) -> dict[str, WireCount]:
        """Return the bytes exchanged with every instrument so far, counted on this side."""
        return {name: instrument.wire for name, instrument in self._open.items()}

    def arm(self, *, since: int | None = None) -> None:
        """Switch on bias and light in the safe order; on any refusal the bench is made safe and the error raised. After a trip it is refused until a reset.

        since: as of `Arbiter.arm`.
        """
        self.arbiter.arm(since=since)

    def make_safe(self) -> list[SafeReport]:
        """Bring everything into its safe state, within 2 s, and say for each how it went, as read back."""
        return self.arbiter.secure()

    def close(self) -> list[SafeReport]:
        """Make everything safe, close it and give the locks back; a second call does nothing."""
        atexit.unregister(self._at_exit)
        with safe.uninterrupted():
            reports = self.arbiter.secure()
            if self._open:
                self._closed_with = reports
            while self._open:
                _, instrument = self._open.popitem()
                _close(instrument)
            while self._locks:
                self._locks.popitem()[1].release()
        return reports

    @property
    def closed_with(self) -> list[SafeReport]:
        """Return how making everything safe went as it was closed; nothing before."""
        return list(self._closed_with)

    def _at_exit(self) -> None:
        for report in safe.unconfirmed(self.close()):
            log.error("%s: not confirmed safe: %s", report.name, report.detail)


def connect(station: Station, resolver: Resolver | None = None, *, home: bool = False) -> Instruments:
    """Open every instrument of a station, bring it into the safe state, and set up the tagger's inputs as the station says.

    resolver: gives the addresses by name; without one those of the station file are used.
    home: home attenuators that do not know their position (up to 40 s each).
    Raises InstrumentLocked, WrongIdentity or another InstrumentError, ClockLost if a tagger does not run on the station's external reference, LimitError for
    an input beyond the tagger's ranges; whatever was open is made safe and closed before.
    """
    instruments = Instruments(station)
    try:
        for name, configured in station.instruments.items():
            instruments.add(name, resolver(name) if resolver else configured.wire.addresses())
        if home:
            _home(instruments)
        bad = safe.unconfirmed(instruments.make_safe())
        if bad:
            raise DeviceFault(f"not confirmed safe: {safe.summary(bad)}", where=str(station.path), remedy="Check these instruments.")
        for one in instruments.values():
            _set_up(station, one)
    except BaseException as error:
        safe.note(error, instruments.close())
        raise
    return instruments


def _home(instruments: Instruments) -> None:
    """Home motors in the dark: on the way an attenuation may be anything."""
    lost = [one for one in instruments.values() if not one.homed]
    lasers = [one for one in instruments.values() if lost and one.role == "Laser"]
    lit = [report for report in (laser.to_safe() for laser in lasers) if report.state != "CONFIRMED"]
    if lit:
        raise ArmRefused(f"a motor has to be homed while a laser may shine: {safe.summary(lit)}", where=str(instruments.station.path), remedy="Switch it off.")
    for one in lost:
        one.home()


def _set_up(station: Station, one: RoleAdapter) -> None:
    """Set the inputs of a tagger up as the station says; nothing for others. Raises ClockLost, LimitError."""
    if one.role == "TagSource":
        tagger = cast(TagSource, one)
        _check_clock(station, tagger)
        tagger.configure_inputs()


def _check_clock(station: Station, tagger: TagSource) -> None:
    """Raise ClockLost if a tagger counts on its own clock although the station has an external one: its times would drift against the pulses."""
    reference = station.clock.reference
    if reference.startswith("external") and tagger.clock != "external":
        raise ClockLost(
            f"the station's clock reference is {reference!r}, the tagger runs on its own clock",
            where=tagger.name,
            remedy='Connect the reference, or write reference = "internal" under clock.',
        )


def _described(instrument: RoleAdapter) -> dict[str, Scalar]:
    if instrument.released:
        return {"simulated": instrument.simulated, "released": True}
    identity = instrument.identify()
    who: dict[str, Scalar] = {"vendor": identity.vendor, "model": identity.model, "serial": identity.serial, "firmware": identity.firmware}
    return {**who, "simulated": instrument.simulated, **instrument.snapshot()}


def _close(instrument: RoleAdapter) -> None:
    try:
        instrument.close()
    except (InstrumentError, OSError) as error:
        log.warning("%s did not close: %s", instrument.name, error)
