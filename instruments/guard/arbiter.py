"""One judge for everything that can do harm: asked before every hazardous command, told every count, and able to make the bench safe by itself.

The arbiter reads the instruments back and judges the state that a command would lead to; nothing is sent that the rules of `interlocks` forbid. The way down
is always open. It also notices what happens unasked: rates above a limit, a detector that fell silent, an instrument that does not answer or has lost its
settings. Then it trips: everything is made safe, and nothing is permitted until `reset`.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Literal, NoReturn, cast

from ...core.errors import ArmRefused, Busy, InstrumentError, InterlockOpen, LimitError, Tripped
from ...core.units import show
from . import blinding, interlocks, latches, lost_settings, readings, safe
from .arming import arm
from .interlocks import DetectorNow, LaserNow, Reading
from .permits import BenchState, Permit

if TYPE_CHECKING:
    from ..role_adapter import RoleAdapter
    from ..roles import PhotonDetector, SafeReport, TagBatch
    from ..station import Station

__all__ = ["Arbiter", "BenchState", "Event", "Permit"]

log = logging.getLogger(__name__)

FRESH_S = 0.25
"""How long a reading of an instrument is taken for the present while nobody commands it."""
LOOK_S = 1.0
"""How often the instruments are read while tags come in."""
CHECK_S = 0.01
"""How long counts are looked at after a step towards more light."""
_QUANTITIES = ("emission", "power_w", "attenuation_db", "bias", "enabled", "output", "bias_v", "home")
_REMEDY = "Nothing was sent."
_MADE_SAFE = "the bench was made safe while it was being armed"
_UNTRIPPED = (BenchState.SAFE, BenchState.ARMING, BenchState.ARMED)


@dataclass(frozen=True, slots=True)
class Event:
    """Something the arbiter tells.  kind: `state` for a change, `alarm` for what made it trip, `insecure` for a sign of an attack, `info` for the rest."""

    kind: Literal["state", "alarm", "insecure", "info"]
    name: str
    text: str
    state: BenchState


@dataclass(frozen=True, slots=True)
class _Arming:
    """Who arms the bench, and how often it had been made safe when that began."""

    thread: int
    generation: int


class Arbiter:
    """The arbiter of one open bench.

    station: limits, rules, optics.  instruments: role adapters by name, those that are open now; each asks this arbiter before it sends.
    today: on which dated losses must be valid.  before_hazard: called before light or bias is permitted; what it raises refuses them.
    `permit` and its like are for one thread at a time; `trip`, `secure` and `parked` wait for nobody and may be called from any.
    """

    def __init__(self, station: Station, instruments: Mapping[str, RoleAdapter], *, today: Callable[[], date] = date.today) -> None:
        self._station, self._instruments, self._today = station, instruments, today
        self._lock, self._states = threading.RLock(), threading.Lock()
        self._state, self._cause, self._generation, self._securing = BenchState.SAFE, "", 0, 0
        self._read: dict[str, tuple[float, Reading]] = {}
        self._lost: dict[str, InstrumentError] = {}
        self._wavelengths_m: dict[str, float] = {}
        self._expected: dict[str, dict[str, float]] = {}
        self._listeners: list[Callable[[Event], None]] = []
        self._signs: list[str] = []
        self._limits = latches.rate_limits(station)
        self._silences = latches.Silences(station)
        self._looked = -math.inf
        self._recovering = False
        self._arming: _Arming | None = None
        self._released: tuple[str, ...] = ()
        self._reports: tuple[SafeReport, ...] = ()
        self.before_hazard: Callable[[], None] = lambda: None

    @property
    def state(self) -> BenchState:
        """Return the state of the bench."""
        return self._state

    @property
    def cause(self) -> str:
        """Return why the bench tripped; empty if it did not."""
        return self._cause

    @property
    def generation(self) -> int:
        """Count how often the bench was made safe."""
        return self._generation

    @property
    def reports(self) -> tuple[SafeReport, ...]:
        """Return how everything was made safe the last time; empty while the bench is being made safe because of a trip, and before the first time."""
        return self._reports

    @property
    def unlit(self) -> str:
        """Return in words why there is no light to work with: the bench is not armed, or no laser was switched on yet; empty if there is. Nothing is read.

        Where the station has no laser, an armed bench is all there can be.
        """
        if self._state is not BenchState.ARMED:
            return f"the bench is {self._state.lower()}"
        if all(self._role(name) != "Laser" for name in self._station.instruments):
            return ""
        return "" if any(asked.get("emission") for asked in list(self._expected.values())) else "the laser is off"

    @property
    def signs(self) -> tuple[str, ...]:
        """Return every sign of an attack since the bench was opened; a procedure looks at those that came after its start."""
        return tuple(self._signs)

    def subscribe(self, callback: Callable[[Event], None]) -> Callable[[], None]:
        """Have every event told to a callback, in the thread in which it happens; return what ends that."""
        self._listeners.append(callback)
        return lambda: self._listeners.remove(callback) if callback in self._listeners else None

    def _tell(self, kind: Literal["state", "alarm", "insecure", "info"], name: str, text: str) -> None:
        event = Event(kind, name, text, self._state)
        for listener in tuple(self._listeners):
            try:
                listener(event)
            except Exception:
                # A listener that fails must not keep the bench from becoming safe.
                log.exception("a listener of the arbiter failed")

    def _enter(self, state: BenchState, *, only_from: Collection[BenchState] = tuple(BenchState)) -> bool:
        """Enter a state, from some others only; say whether it is the state now. Threads that trip, arm and make safe do not overwrite each other."""
        with self._states:
            if self._state not in only_from:
                return False
            changed, self._state = state is not self._state, state
        if changed:
            self._tell("state", "", state.value)
        return True

    # Commands

    def permit(self, name: str, quantity: str, value: float) -> Permit:
        """Judge a command before anything of it is sent.

        quantity: emission, power_w, attenuation_db, home (on the way an attenuator may be open), bias, enabled, output (of a modulator's source) or bias_v; a
        channel follows a colon, as in `bias:2`.
        Raises LimitError for what is no number, Tripped, InterlockOpen if the state that would result is forbidden. The way down is always permitted.
        """
        kind = quantity.partition(":")[0]
        if kind not in _QUANTITIES or not math.isfinite(value):
            raise LimitError(f"{quantity} = {value!r} cannot be judged", where=name, remedy=_REMEDY)
        with self._lock:
            if kind in ("emission", "enabled", "output") and not value:
                return Permit()
            current = self._reading(name)
            if interlocks.is_way_down(current, quantity, value):
                return Permit()
            # A motor may be homed while another one is away, in the dark.
            if current is not None and (kind != "home" or any(self._role(one) == "Laser" for one in self._released)):
                self._refuse_released(InterlockOpen, name)
            # Without homing nothing could be confirmed safe again after a power cycle; in the dark it harms nobody.
            if self._state is BenchState.TRIPPED and (kind != "home" or interlocks.is_lit(self._now())):
                raise self._refusal(name)
            self._go_on_arming()
            if self._securing and current is not None and kind != "home":
                # What was sent now might reach an instrument that is dark already, and stay.
                raise InterlockOpen("the bench is being made safe", where=name, remedy=f"Try again in a moment. {_REMEDY}")
            return Permit() if current is None else self._judge(name, quantity, value)

    def _judge(self, name: str, quantity: str, value: float) -> Permit:
        before = self._now()
        self._trip_if_forbidden(name, before)
        if quantity == "emission" and isinstance(laser := before.get(name), LaserNow) and laser.closed is False:
            raise InterlockOpen("the interlock loop is open", where=name, remedy="Close it. Nothing was sent.")
        after = {**before, name: interlocks.applied(before[name], quantity, value)}
        if reason := interlocks.forbidden(self._station, after, self._today()):
            raise InterlockOpen(reason, where=name, remedy=f"Attenuate more, or park the detectors. {_REMEDY}")
        lit, biased = interlocks.is_lit(after), interlocks.is_biased(after)
        if lit or biased:
            self.before_hazard()
        if lit or biased:
            self._enter(BenchState.ARMED, only_from=(BenchState.SAFE,))
        walk = interlocks.is_lit(before) and interlocks.is_biased(before)
        return Permit(walk=walk, watch=lit and biased)

    def _trip_if_forbidden(self, name: str, now: interlocks.Readings) -> None:
        if reason := interlocks.forbidden(self._station, now, self._today()):
            lost = "; ".join(f"{one}: {readings.meaning(self._instruments[one].role)} ({error.message})" for one, error in self._lost.items())
            self._trip(name, f"{lost}; {reason}" if lost else reason)

    def done(self, name: str, quantity: str, value: float) -> None:
        """Note what was sent and read back, so that an instrument that loses its settings is noticed."""
        self._read.pop(name, None)
        self._expected.setdefault(name, {})[quantity] = value

    def parked(self, name: str) -> None:
        """Note that an instrument was sent to its safe state."""
        self._read.pop(name, None)
        self._expected.pop(name, None)

    def check(self) -> None:
        """Count for a moment with every biased detector; raises Tripped above a limit, an InstrumentError if one does not count."""
        with self._lock:
            for name in [name for name, one in self._now().items() if isinstance(one, DetectorNow) and one.biased]:
                cast("PhotonDetector", self._instruments[name]).counts(CHECK_S)

    # What is read

    def _guarded(self) -> Iterator[tuple[str, RoleAdapter]]:
        return ((name, one) for name, one in list(self._instruments.items()) if readings.guarded(self._station, one))

    def _now(self) -> dict[str, Reading]:
        return {name: found for name, _ in self._guarded() if (found := self._reading(name)) is not None}

    def _reading(self, name: str) -> Reading | None:
        """Return what an instrument does, read just now or a moment ago; the worst if it does not answer, None for one that nothing depends on."""
        adapter = self._instruments.get(name)
        if adapter is None or not readings.guarded(self._station, adapter):
            return None
        at, found = self._read.get(name, (-math.inf, None))
        if found is None or time.monotonic() - at > FRESH_S:
            try:
                found = readings.read(self._station, adapter, self._wavelengths_m.get(name))
                self._lost.pop(name, None)
                if isinstance(found, LaserNow):
                    self._wavelengths_m[name] = found.wavelength_m
            except InstrumentError as error:
                self._lost[name], found = error, readings.worst(adapter)
            self._read[name] = time.monotonic(), found
        return found

    def look(self) -> None:
        """Read every instrument that matters, and trip on what is wrong: no answer, lost settings, an open interlock, too little attenuation.

        Nothing happens on a bench that is neither armed nor on the way to it. Call it now and then while nothing else is commanded.  Raises Tripped.
        """
        if self._state not in (BenchState.ARMED, BenchState.ARMING):
            return
        with self._lock:
            self._looked = time.monotonic()
            self._read.clear()
            now = self._now()
            for name, error in list(self._lost.items()):
                self._read.pop(name, None)
                now[name] = cast("Reading", self._reading(name))
                if name in self._lost:
                    self._trip(name, f"{name}: {readings.meaning(self._instruments[name].role)} ({error.message})")
            for name, reading in now.items():
                asked = self._expected.get(name, {})
                for sign in lost_settings.risen(reading, asked):
                    self.report(name, sign)
                if told := lost_settings.changed(reading, asked):
                    self._trip(name, f"{name}: {told}")
                if isinstance(reading, DetectorNow) and reading.biased and reading.enabled:
                    self._look_for_latches(name, reading)
            self._trip_if_forbidden("", now)

    def lost(self, name: str, error: InstrumentError) -> None:
        """Note that an instrument did not answer. If light or bias depend on it, it is asked once more, and the bench trips if it stays silent."""
        adapter = self._instruments.get(name)
        if self._state not in (BenchState.ARMED, BenchState.ARMING) or self._recovering or adapter is None or not readings.guarded(self._station, adapter):
            return
        if name in self._released:
            # Who lets go of it has his turn with it, and must not wait here.
            return
        with self._lock:
            self._recovering = True
            try:
                self._read.pop(name, None)
                self._reading(name)
            finally:
                self._recovering = False
            if name in self._lost:
                self._make_trip(name, f"{name}: {readings.meaning(adapter.role)} ({error.message})")

    # What is counted

    def observe_rates(self, name: str, rates_hz: Mapping[int | str, float], window_s: float | None = None) -> None:
        """Judge the count rates (1/s) of an instrument's channels, on average over window_s (by default the limit's own).

        A rate above the limit trips the bench. A biased detector from which not even darks come is biased anew, at most three times, then the bench trips.
        Raises Tripped.
        """
        limit = self._limits.get(name)
        for ch, rate_hz in rates_hz.items():
            if limit is not None and limit.exceeded(rate_hz, limit.window_s if window_s is None else window_s):
                self._trip(name, f"channel {ch}: {show(rate_hz, 'Hz')} is above the limit of {show(limit.limit_hz, 'Hz')}")
            detector = self._behind(name, ch)
            if window_s is not None and detector is not None:
                self._notice_silence(*detector, rate_hz, window_s)

    def _behind(self, name: str, ch: int | str) -> tuple[str, int] | None:
        """Return detector and channel whose counts these are: a tagger's D1 is the first channel of the station's detectors."""
        if self._role(name) == "PhotonDetector":
            return name, int(ch)
        return next((place for place in latches.detectors(self._station) if self._called(*place) == ch), None)

    def _called(self, name: str, ch: int) -> str:
        return latches.called(self._station, name, ch)

    def _notice_silence(self, name: str, ch: int, rate_hz: float, window_s: float) -> None:
        silence = self._silences.of(name, ch)
        if self._recovering or not silence.latched(rate_hz, window_s):
            return
        with self._lock:
            reading = self._reading(name)
            if not isinstance(reading, DetectorNow) or not reading.biased or not reading.enabled:
                return
            self._unlatch(name, ch, reading.biases[ch], "gives no counts")

    def _look_for_latches(self, name: str, reading: DetectorNow) -> None:
        """Where a detector tells that it is normal-conducting: bias it anew if it is silent; one that clicks all the same is driven by bright light."""
        latched: Callable[[int], bool] = getattr(self._instruments[name], "latched", lambda _ch: False)
        for ch, bias in reading.biases.items():
            if not latched(ch):
                continue
            if self._silences.of(name, ch).clicks:
                self.report(name, f"{self._called(name, ch)} clicks although it is normal-conducting, as under bright light")
            else:
                self._unlatch(name, ch, bias, "is normal-conducting")

    def _unlatch(self, name: str, ch: int, bias: float, what: str) -> None:
        silence, called = self._silences.of(name, ch), self._called(name, ch)
        silence.silent_s = 0.0
        if silence.tries >= latches.MOST_TRIES:
            self._trip(name, f"{called} {what} at its bias, though it was biased anew {latches.MOST_TRIES} times: latched, or its cable is off")
        silence.tries += 1
        self._tell("info", name, f"{called} {what} and is biased anew, try {silence.tries} of {latches.MOST_TRIES}")
        self._bias_anew(name, ch, bias)

    def _bias_anew(self, name: str, ch: int, bias: float) -> None:
        detector, parked = cast("PhotonDetector", self._instruments[name]), self._instruments[name].parked_bias
        self._recovering = True
        try:
            detector.set_bias(ch, parked)
            detector.set_bias(ch, bias)
        finally:
            self._recovering = False

    def observe_tags(self, name: str, channels: Mapping[str, int], batch: TagBatch) -> None:
        """Judge a batch of tags: rates, dead time, double clicks; now and then, look at the instruments. Raises Tripped.

        channels: of the tagger, by what is connected to them; `sync` is no detector.
        """
        detectors = {what: ch for what, ch in channels.items() if what != blinding.SYNC}
        limit = self._limits.get(name)
        expected = blinding.Expected.of(self._station, latches.WINDOW_S if limit is None else limit.window_s)
        found, window_s = blinding.rates_hz(batch, detectors, expected.window_s)
        rates: dict[int | str, float] = dict(found.items())
        self.observe_rates(name, rates, window_s or None)
        for sign in blinding.signs(batch, detectors, expected):
            self.report(name, sign)
        if time.monotonic() - self._looked > LOOK_S:
            self.look()

    def report(self, name: str, sign: str) -> None:
        """Note a sign of an attack, and raise the alarm. The bench stays as it is; no key may come of the light from now on."""
        self._signs.append(f"{name}: {sign}")
        log.warning("%s: %s", name, sign)
        self._tell("insecure", name, sign)

    def _role(self, name: str) -> str:
        entry = self._station.instruments.get(name)
        return entry.wire.role if entry else ""

    # Released for service

    @property
    def released(self) -> tuple[str, ...]:
        """Return the names of the instruments that are let go for service."""
        return self._released

    @contextmanager
    def releasing(self, *names: str, patience_s: float, by: str = "") -> Iterator[None]:
        """Note that instruments are let go, and let go of them inside: from now until they are taken back, nothing that needs a permit has one.

        Whoever judges waits for an instrument, so nobody who has his turn with one may wait here.  by: who wants it, for what is told.
        What is not let go of inside counts as there again. Raises InterlockOpen unless the bench is safe, Busy if something else is judged for patience_s.
        """
        if not self._lock.acquire(timeout=patience_s):
            raise Busy(f"a command was judged, or the bench looked at, for {patience_s:g} s", where=names[0], remedy="Wait until that is done.")
        try:
            self._note_released(names)
        finally:
            self._lock.release()
        try:
            yield
        finally:
            with self._states:
                self._released = tuple(one for one in self._released if one not in names or self._instruments[one].released)
        for name in names:
            self.parked(name)
            self._lost.pop(name, None)
        self._tell("info", names[0], f"{', '.join(names)} released for service{by and f' by {by}'}; the bench cannot be armed until it is taken back")

    def _note_released(self, names: Collection[str]) -> None:
        with self._states:
            if self._state is not BenchState.SAFE:
                raise InterlockOpen(f"the bench is {self._state.lower()}", where=next(iter(names)), remedy="Make it safe before an instrument is let go.")
            self._released = tuple(dict.fromkeys([*self._released, *names]))

    def taken_back(self, *names: str, by: str = "") -> None:
        """Note that instruments are here again.  by: as of `releasing`."""
        with self._lock, self._states:
            self._released = tuple(one for one in self._released if one not in names)
        self._tell("info", names[0], f"{', '.join(names)} taken back from service{by and f' by {by}'}")

    def _refuse_released(self, kind: type[InterlockOpen | ArmRefused], where: str) -> None:
        if self._released:
            told = f"{', '.join(self._released)} {'is' if len(self._released) == 1 else 'are'} released for service"
            raise kind(told, where=where, remedy="Take it back first. Nothing was sent.")

    # Safe, tripped, armed

    def arm(self, *, since: int | None = None) -> None:
        """Switch bias and light on in the safe order, the light at its weakest.

        since: `generation` when that was asked for, by default now; a bench that was made safe after it stays so.
        Raises Tripped after a trip, ArmRefused, InterlockOpen or an InstrumentError if it cannot be; then the bench is safe again.
        """
        if self._state is BenchState.TRIPPED:
            raise self._refusal("")
        self._refuse_released(ArmRefused, str(self._station.path))
        self.before_hazard()
        self._arming = _Arming(threading.get_ident(), self._generation if since is None else since)
        if not self._enter(BenchState.ARMING, only_from=_UNTRIPPED):
            raise self._refusal("")
        try:
            self._go_on_arming()
            self._refuse_released(ArmRefused, str(self._station.path))
            arm(self._instruments.values())
            self.look()
            self._go_on_arming()
            if not self._enter(BenchState.ARMED, only_from=(BenchState.ARMING,)):
                raise ArmRefused(_MADE_SAFE, where=str(self._station.path), remedy="See why, then arm it again.")
        except BaseException:
            self.secure()
            raise
        finally:
            self._arming = None

    def _go_on_arming(self) -> None:
        """Raise ArmRefused in the thread that arms, if the bench was made safe since it began: nothing of that may follow the way down."""
        arming = self._arming
        if arming is not None and arming.thread == threading.get_ident() and (arming.generation != self._generation or self._securing):
            raise ArmRefused(_MADE_SAFE, where=str(self._station.path), remedy="See why, then arm it again.")

    def secure(self) -> list[SafeReport]:
        """Bring everything into its safe state, within 2 s, and say for each how it went.

        A bench that tripped stays so; one trips whose laser is not off, and one on which something failed that light or bias depend on.
        """
        # In this order: who finds the new number finds that it goes on, too.
        with self._states:
            self._securing += 1
            self._generation += 1
        try:
            return self._make_safe()
        finally:
            with self._states:
                self._securing -= 1

    def _make_safe(self) -> list[SafeReport]:
        with safe.uninterrupted():
            reports = safe.make_safe(one for one in list(self._instruments.values()) if not one.released)
        self._read.clear()
        self._wavelengths_m.clear()
        self._silences.forget()
        self._reports = tuple(reports)
        bad = [report for report in reports if readings.endangers(self._station, self._instruments[report.name], report)]
        if bad and self._state is not BenchState.TRIPPED:
            lit = any(self._role(report.name) == "Laser" for report in bad)
            self._cause = f"not confirmed {'dark' if lit else 'safe'}: {safe.summary(bad)}"
            self._enter(BenchState.TRIPPED)
            self._tell("alarm", bad[0].name, self._cause)
        self._enter(BenchState.SAFE, only_from=_UNTRIPPED)
        return reports

    def trip(self, cause: str, *, name: str = "") -> list[SafeReport]:
        """Make the bench safe because of a cause, and permit nothing until `reset`; return how it went for each instrument."""
        return self._make_trip(name, cause)

    def _make_trip(self, name: str, cause: str) -> list[SafeReport]:
        if self._state is not BenchState.TRIPPED:
            self._cause, self._reports = cause, ()
            self._enter(BenchState.TRIPPED)
        reports = self.secure()
        bad = safe.unconfirmed(reports)
        told = f"{cause}; {f'not confirmed safe: {safe.summary(bad)}' if bad else 'the bench was made safe'}"
        log.error("tripped: %s", told)
        self._tell("alarm", name, told)
        return reports

    def _trip(self, name: str, cause: str) -> NoReturn:
        if self._state is BenchState.TRIPPED:
            raise self._refusal(name)
        bad = safe.unconfirmed(self._make_trip(name, cause))
        told = f"not confirmed safe: {safe.summary(bad)}" if bad else "the bench was made safe"
        raise Tripped(f"{cause.removeprefix(f'{name}: ')}; {told}", where=name, remedy="Find the cause, then reset the bench.")

    def _refusal(self, name: str) -> Tripped:
        return Tripped(f"the bench has tripped ({self._cause})", where=name or str(self._station.path), remedy="Find the cause, then reset the bench.")

    def reset(self) -> None:
        """Leave TRIPPED for SAFE, on the word of somebody who knows the cause.

        Everything is made safe once more and read back; raises Tripped, and stays, if anything is not CONFIRMED or does not know its position.
        """
        if self._state is not BenchState.TRIPPED:
            return
        bad = [report for report in self.secure() if report.state != "CONFIRMED"]
        if bad:
            raise Tripped(f"not confirmed safe: {safe.summary(bad)}; it tripped because of: {self._cause}", remedy="Repair that first.")
        self._cause = ""
        self._enter(BenchState.SAFE)
