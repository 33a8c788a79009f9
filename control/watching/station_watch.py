"""Looks at the instruments once a second while anybody wants to know, and publishes the topic `station`.

Every instrument is read in a thread of its own, so that one that hangs keeps no other waiting; one that somebody speaks with just now is left alone until the
next round, and its last reading stands. Nobody's run is held up for longer than one word on the wire.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any

from ...core.errors import Disconnected, HeliographError, Timeout
from ...instruments.roles import Scalar
from ..owner.publishing import Topics
from ..topics import Interlock, Mode, StationState
from . import calibration_states, interlock_rows
from .calibration_states import CalibrationStates
from .instrument_states import RELEASED, Seen, bounds, instrument_state
from .interlock_rows import Guards
from .optical_path import elements

if TYPE_CHECKING:
    from ...acquisition.calibrations import Calibrations
    from ...instruments.connect import Instruments
    from ...instruments.role_adapter import RoleAdapter
    from ...instruments.station import Station

TOPIC = "station"
PERIOD_S = 1.0
LOST_PERIOD_S = 5.0
"""How often an instrument is asked that does not answer."""
_SPACE_S = 0.2
_ROUND_S = 0.4
_CLOSING_S = 2.0

log = logging.getLogger(__name__)


class StationWatch:
    """One watching thread. Nothing is read while nobody has subscribed.

    guards: tells what guards the bench.
    """

    def __init__(self, instruments: Instruments, calibrations: Calibrations, topics: Topics, guards: Callable[[], Guards]) -> None:
        self._instruments, self._topics, self._guards = instruments, topics, guards
        self._calibrations = CalibrationStates(instruments.station, calibrations)
        self._seen: dict[str, Seen] = {}
        self._tried: dict[str, float] = {}
        self._away: dict[str, float] = {}
        self._reading: dict[str, threading.Thread] = {}
        self._rows: dict[str, Interlock] = {}
        self._wrong = ""
        self._soon, self._closing = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._work, name="watch station", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def soon(self) -> None:
        """Have everything read again at once, because something changed."""
        self._soon.set()

    def close(self) -> None:
        """End the thread, and wait a while for the instruments that are being read."""
        self._closing.set()
        self._soon.set()
        end = time.monotonic() + _CLOSING_S
        for thread in (self._thread, *self._reading.values()):
            if thread.ident is not None:
                thread.join(max(0.0, end - time.monotonic()))

    def _work(self) -> None:
        while not self._closing.is_set():
            if self._topics.wanted(TOPIC):
                self._look_again()
            self._closing.wait(_SPACE_S)
            self._soon.wait(PERIOD_S - _SPACE_S)
            self._soon.clear()

    def _look_again(self) -> None:
        """Look, and go on whatever comes of it."""
        try:
            self.look()
        except Exception as error:
            log.exception("the station could not be looked at")
            told = f"the station could not be looked at: {error!r}"
            if told != self._wrong:
                self._wrong = told
                self._topics.event("error", TOPIC, told)
        else:
            self._wrong = ""

    def look(self) -> StationState:
        """Read what can be read now, publish how the station stands, and return it."""
        begun = [self._begin(name, one) for name, one in self._instruments.items() if self._is_due(name, one)]
        end = time.monotonic() + _ROUND_S
        for thread in begun:
            thread.join(max(0.0, end - time.monotonic()))
        state = self._state()
        self._topics.publish(TOPIC, state)
        return state

    def _is_due(self, name: str, one: RoleAdapter) -> bool:
        if one.released:
            return False
        if name in self._reading and self._reading[name].is_alive():
            return False
        lost = name in self._seen and self._seen[name].lost
        if lost and time.monotonic() - self._tried[name] < LOST_PERIOD_S:
            return False
        return not one.busy

    def _begin(self, name: str, one: RoleAdapter) -> threading.Thread:
        self._tried[name] = time.monotonic()
        thread = self._reading[name] = threading.Thread(target=self._read, args=(name, one), name=f"read {name}", daemon=True)
        thread.start()
        return thread

    def _read(self, name: str, one: RoleAdapter) -> None:
        before = self._seen.get(name, Seen())
        try:
            found = _found(one) if before.lost else _found_for_sure(one)
        except HeliographError as error:
            lost = isinstance(error, Timeout | Disconnected)
            since = before.error_t if before.error and before.lost is lost else time.time()
            found = replace(before, error=error.message, lost=lost, error_t=since)
        except Exception as error:
            # Whatever is wrong with one device or its driver, the others are shown.
            log.exception("%s could not be read", name)
            found = replace(before, error=f"{type(error).__name__}: {error}", lost=False, error_t=time.time())
        if self._instruments[name] is not one:
            # It was let go while it was being read: of that its own event tells.
            return
        self._seen[name] = found
        if found.error != before.error:
            self._tell_answers(name, found)

    def _tell_answers(self, name: str, found: Seen) -> None:
        """Tell the journal that an instrument does not answer as it should, or does again."""
        if found.error:
            self._topics.event("warning", name, f"{name} {'lost' if found.lost else 'at fault'}: {found.error}")
        else:
            self._topics.event("info", name, f"{name} answers again")

    def _state(self) -> StationState:
        station, instruments = self._instruments.station, self._instruments
        seen, now = {name: self._known(name, one) for name, one in instruments.items()}, time.time()
        rows = interlock_rows.interlock_rows(instruments, seen, self._guards(), date.today(), now, self._rows)  # noqa: DTZ011
        self._rows = {row.name: row for row in rows}
        calibrations = self._calibrations.look()
        return StationState(
            station.info.name,
            str(station.path),
            station.sha256,
            _mode(station),
            tuple(_instrument(station, name, one, seen) for name, one in instruments.items()),
            tuple(rows),
            elements(station, seen),
            calibrations,
            calibration_states.order(calibrations),
            tuple(station.pairs),
            now,
        )

    def _known(self, name: str, one: RoleAdapter) -> Seen:
        """Return what is known of an instrument; nothing of one that was released, since it may be another one when it comes back."""
        if not one.released:
            self._away.pop(name, None)
            return replace(self._seen.get(name, Seen()), wanted=one.wanted, accepted=one.accepted)
        self._seen.pop(name, None)
        return Seen(error=RELEASED, error_t=self._away.setdefault(name, time.time()), released=True)


def _found(one: Any) -> Seen:
    return Seen(_values(one), one.is_safe(), _moves(one), read_t=time.time(), read_at=time.monotonic())


def _found_for_sure(one: Any) -> Seen:
    """Return what is read of an instrument; one that does not answer is asked once more before it counts as lost, as the arbiter does."""
    try:
        return _found(one)
    except (Timeout, Disconnected):
        return _found(one)


def _values(one: Any) -> dict[str, Scalar]:
    values: dict[str, Scalar] = dict(one.snapshot())
    if one.role == "Laser":
        values[interlock_rows.INTERLOCK] = one.interlock_closed
    if one.role in ("PhotonDetector", "TagSource"):
        values |= bounds("threshold", "v", one.threshold_range_v)
    if one.role == "TagSource":
        values |= bounds("delay", "s", one.delay_range_s)
    return values


def _moves(one: Any) -> bool:
    if one.role == "Attenuator":
        return not one.settled
    if one.role == "PolarisationController":
        return any(one.moving(k) for k in range(len(one.angles_deg)))
    return False


def _mode(station: Station) -> Mode:
    simulated = {entry.rules.simulated for entry in station.instruments.values()}
    return "MIXED" if len(simulated) > 1 else "SIMULATED" if True in simulated else "HARDWARE"


def _instrument(station: Station, name: str, one: RoleAdapter, seen: Mapping[str, Seen]) -> Any:
    entry, known = station.instruments[name], one.known_identity
    identity = f"{known.vendor} {known.model}, {known.serial}".rstrip(", ") if known is not None else ""
    return replace(instrument_state(name, entry, identity, entry.wire.resource, seen[name]), can_home=one.can_home)
