"""What all role adapters share: conversion and checks around one driver, its identity, its safe state."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from inspect import isfunction
from numbers import Real
from typing import Any, ClassVar, Self

from ..core import units
from ..core.errors import Disconnected, InstrumentError, InterlockOpen, LimitError, Timeout, ValueOutOfRange, WrongIdentity
from .guard import ramp
from .guard.permits import Guard, Unguarded
from .links import told
from .roles import Identity, SafeReport, Scalar, TagBatch, WireCount
from .station_models import InstrumentEntry, Rules
from .wire.values import finite

Bounds = tuple[float, float]


class RoleAdapter:
    """One instrument as procedures see it: SI units, checked before anything is sent, read back afterwards.

    name: in the station file.  configured: its entry there.  driver: PyMeasure instrument.  station: name of the station file, for messages.
    arbiter: asked before whatever can do harm; the connected bench puts its own here.  Public calls and properties that end in Timeout or Disconnected tell it.
    """

    arbiter: Guard = Unguarded()
    released: ClassVar[bool] = False
    """Whether it was let go for service, so that nothing reaches it (`released.ReleasedInstrument`)."""
    safe_step: ClassVar[int]
    """Place in the order in which a bench is made safe; smaller is earlier."""

    def __init__(self, name: str, configured: InstrumentEntry, driver: Any, *, station: str) -> None:
        self._name = name
        self._configured = configured
        self._driver = driver
        self._station = station
        self._last_up: dict[str, float] = {}
        self._wanted: dict[str, float] = {}
        self._accepted: dict[str, float] = {}
        self._identity: Identity | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        _tell_losses(cls)

    def __setattr__(self, name: str, value: Any) -> None:
        """Refuse what a script has misspelt, and what can only be read: it would reach no device."""
        if not name.startswith("_") and not _may_be_set(type(self), name):
            known = [one for kind in type(self).__mro__ for one, member in vars(kind).items() if isinstance(member, property) and member.fset is not None]
            raise not_settable(self._name, name, known)
        super().__setattr__(name, value)

    @classmethod
    def open(cls, name: str, configured: InstrumentEntry, addresses: Mapping[str, str], *, station: str) -> Self:
        """Connect to the device at the addresses; raises an InstrumentError if that fails."""
        raise NotImplementedError

    @property
    def name(self) -> str:
        """Return the name in the station file."""
        return self._name

    @property
    def role(self) -> str:
        """Return the role, such as `Laser`. Ask this instead of isinstance, which would read every property from the device."""
        return self._configured.wire.role

    @property
    def rules(self) -> Rules:
        """Return the station's rules for this instrument."""
        return self._configured.rules

    @property
    def simulated(self) -> bool:
        """Return what the station says; nothing here asks for it."""
        return self.rules.simulated

    @property
    def driver(self) -> Any:
        """Return the driver, in the device's own units."""
        return self._driver

    @property
    def wire(self) -> WireCount:
        """Return the bytes exchanged so far."""
        count: WireCount = self._driver.adapter.wire
        return count

    def share(self) -> None:
        """Let several threads use the instrument from now on: one conversation with the device at a time."""
        from .guard.turns import OneAtATime

        self._driver = OneAtATime(self._driver)

    def identify(self) -> Identity:
        """Ask the device who it is."""
        raise NotImplementedError

    def snapshot(self) -> dict[str, Scalar]:
        """Read the settings that a record should hold."""
        raise NotImplementedError

    def check_identity(self) -> Identity:
        """Compare who answers with what the station expects, and with who answered before; raises WrongIdentity.

        It is done again, by the link, whenever the connection was lost and opened anew.
        """
        found = self.identify()
        known = self._identity or found
        if (known.vendor, known.model, known.serial) != (found.vendor, found.model, found.serial):
            raise WrongIdentity(f"{_who(found)} answers, {_who(known)} did before", where=self.place, remedy=self._how_to_change())
        expected = self.rules.expect
        for field in ("vendor", "model", "serial"):
            wanted, got = getattr(expected, field), getattr(found, field)
            if wanted and wanted != got:
                remedy = f"Check the address in {self._station}, or enter this one under `expect` of {self._name} there."
                raise WrongIdentity(f"{field} {got!r} answers, {wanted!r} is expected", where=self.place, remedy=remedy)
        self._identity = found
        self._driver.adapter.after_reopen = self.check_identity
        return found

    def _how_to_change(self) -> str:
        """Return what to do where another device answers than before; the station file is read when the owner of its bench starts."""
        named = self.rules.expect.vendor or self.rules.expect.model or self.rules.expect.serial
        entered = f"enter it under `expect` of {self._name} in {self._station}, " if named else ""
        again = f"end the owner of the bench and start it again: heliograph bench own --station {self._station}"
        return f"Connect the one of before; to use this one, {entered}{again}."

    @property
    def known_identity(self) -> Identity | None:
        """Return who answered last, without asking; None before anybody did."""
        return self._identity

    def remember(self, known: Identity | None) -> None:
        """Note who answered before, so that `check_identity` finds nobody else."""
        self._identity = known

    @property
    def wanted(self) -> dict[str, float]:
        """Return what was last asked of the device since it was made safe, by quantity as the arbiter knows it."""
        return dict(self._wanted)

    @property
    def accepted(self) -> dict[str, float]:
        """Return what the device took of that, as it was read back."""
        return dict(self._accepted)

    def noted(self, quantity: str, asked: float, found: float | None = None) -> None:
        """Note what is asked of the device, and, once it is read back, what it took."""
        self._wanted[quantity] = asked
        if found is not None:
            self._accepted[quantity] = found

    @property
    def busy(self) -> bool:
        """Say whether somebody speaks with the device just now."""
        from .guard.turns import busy

        return busy(self._driver)

    @property
    def place(self) -> str:
        """Return instrument and address, for messages."""
        return str(getattr(self._driver.adapter, "where", self._name))

    def to_safe(self) -> SafeReport:
        """Make the device safe and read it back; a device that fails is reported, not raised."""
        self.arbiter.parked(self._name)
        self._wanted.clear()
        self._accepted.clear()
        try:
            self._make_safe()
            confirmed = self.is_safe()
        except InstrumentError as error:
            return SafeReport(self._name, "FAILED", str(error))
        finally:
            self.arbiter.parked(self._name)
        return SafeReport(self._name, "CONFIRMED") if confirmed else SafeReport(self._name, "SENT", "not read back yet")

    def is_safe(self) -> bool:
        """Read back whether the device is in its safe state."""
        raise NotImplementedError

    def _make_safe(self) -> None:
        raise NotImplementedError

    @property
    def homed(self) -> bool:
        """Say whether the device knows its position; True for what has no motor."""
        return True

    def home(self) -> None:
        """Find the device's position; nothing for what has no motor."""

    @property
    def can_home(self) -> bool:
        """Say whether there is a motor that can be homed."""
        return type(self).home is not RoleAdapter.home

    @property
    def operate_bias(self) -> float | None:
        """Return the bias for normal work, in the device's unit; None where the station names none."""
        return self.rules.operate.bias_a

    @property
    def parked_bias(self) -> float:
        """Return the bias of the safe state, in the device's unit."""
        return self.rules.safe.bias_a

    def approach(self, quantity: str, target: float, send: Callable[[float], None], *, now: Callable[[], float] | None = None) -> None:
        """Bring a quantity that can do harm to a target: the arbiter is asked first, and nothing is sent if it refuses.

        quantity: as `Arbiter.permit` knows it.  send: sends one value and reads it back.  now: reads the present value; where it is given, more light on biased
        detectors comes in steps of 1 dB at most with a look at the counts after each, and a bias goes up by tenths, each resting 0.1 s.
        The way down is one move.
        Raises InterlockOpen, Tripped, and what `send` raises.
        """
        # Before the permit: what makes the bench safe between the two must be noticed.
        generation = self.arbiter.generation
        permit = self.arbiter.permit(self._name, quantity, target)
        self._wanted[quantity] = target
        path = [target]
        if now is not None and (permit.walk or quantity.startswith("bias:")):
            start = now()
            if permit.walk or abs(target) > abs(start):
                path = ramp.levels(quantity, start, target, self.operate_bias)
        for level in path:
            if len(path) > 1:
                self._rest(quantity)
                permit = self.arbiter.permit(self._name, quantity, level)
            if self.arbiter.generation != generation:
                raise InterlockOpen(f"the bench was made safe on the way to {quantity} = {target:g}", where=self._name, remedy="Arm it again.")
            send(level)
            self._accepted[quantity] = level
            self._last_up[quantity] = time.monotonic()
            self.arbiter.done(self._name, quantity, level)
            if permit.watch:
                self.arbiter.check()

    def _rest(self, quantity: str) -> None:
        """Let a bias rest where it is for as long as its ramp asks for."""
        if quantity.startswith("bias:"):
            time.sleep(max(0.0, self._last_up.get(quantity, -math.inf) + ramp.BIAS_PAUSE_S - time.monotonic()))

    def observed(self, channels: Mapping[str, int], batch: TagBatch) -> TagBatch:
        """Show a batch of tags to the arbiter and return it; raises Tripped if a rate is above its limit.  channels: by what is connected to them."""
        self.arbiter.observe_tags(self._name, channels, batch)
        return batch

    def close(self) -> None:
        """Give the connection back."""
        self._driver.adapter.close()

    def within(self, value: Any, bounds: Bounds, unit: str, *, whose: str = "") -> float:
        """Return a value that lies in bounds; raises LimitError, before anything is sent, for others and for what is no finite number.

        whose: limit it is, for the message; the station's if it is not said.
        """
        if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
            raise LimitError(f"{value!r} asked, a finite number of {unit} is needed", where=self._name, remedy="Nothing was sent.")
        number = float(value)
        if not bounds[0] <= number <= bounds[1]:
            low, high = (_shown(bound, unit) for bound in bounds)
            raise LimitError(
                f"{_shown(number, unit)} asked, range {low.removesuffix(' ' + unit)} to {high} ({whose or f'station limit in {self._station}'})",
                where=self._name,
                remedy="Nothing was sent.",
            )
        return number

    def reading(self, value: Any, what: str, bounds: Bounds = (-math.inf, math.inf)) -> float:
        """Return what a driver read as a number; raises BadReply for what is none, ValueOutOfRange for one not finite or outside what the device can read."""
        with told(self.place):
            found = finite(value, what)
            if not bounds[0] <= found <= bounds[1]:
                raise ValueOutOfRange(f"the {what} came as {value!r}", remedy="Check the device and its cable.")
            return found


def not_settable(name: str, member: str, known: Iterable[str]) -> AttributeError:
    """Return the error for a member of an instrument that cannot be set.  known: those that can."""
    return AttributeError(f"{member!r} of {name} cannot be set; {', '.join(sorted(set(known))) or 'nothing'} can")


def _may_be_set(cls: type[RoleAdapter], name: str) -> bool:
    """Say whether a class has an attribute that is no method, a property that can be set, or an annotation of this name."""
    found = next((vars(kind)[name] for kind in cls.__mro__ if name in vars(kind)), None)
    if isinstance(found, property):
        return found.fset is not None
    return (found is not None and not isfunction(found)) or any(name in vars(kind).get("__annotations__", {}) for kind in cls.__mro__)


_TOLD_OTHERWISE = ("open", "close", "to_safe", "is_safe", "identify", "check_identity")
"""Calls of which whoever makes them tells a loss."""


def _tell_losses(cls: type[RoleAdapter]) -> None:
    """Have the public calls and properties that a class defines tell the arbiter when the device did not answer."""
    for name, member in list(vars(cls).items()):
        if name.startswith("_") or name in _TOLD_OTHERWISE:
            continue
        if isinstance(member, property):
            setattr(cls, name, property(_telling(member.fget), _telling(member.fset), member.fdel, member.__doc__))
        elif isfunction(member):
            setattr(cls, name, _telling(member))


def _telling(call: Callable[..., Any] | None) -> Any:
    if call is None:
        return None

    @wraps(call)
    def telling(self: RoleAdapter, *args: Any, **kwargs: Any) -> Any:
        try:
            with told(self.place):
                return call(self, *args, **kwargs)
        except (Timeout, Disconnected) as error:
            self.arbiter.lost(self.name, error)
            raise

    return telling


def _shown(value: float, unit: str) -> str:
    return f"{value:.2f} dB" if unit == "dB" else units.show(value, unit)


def narrowed(device: Bounds, station: Bounds | None) -> Bounds:
    """Return the range that both device and station allow."""
    return device if station is None else (max(device[0], station[0]), min(device[1], station[1]))


def _who(one: Identity) -> str:
    return f"{one.vendor} {one.model}, serial {one.serial}"
