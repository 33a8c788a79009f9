"""Thorlabs PM100D power meter with an S154C sensor, at the taps of the line that lead to it."""

from __future__ import annotations

from collections.abc import Callable

from ...instruments.wire import scpi as wire
from ..world import World
from .base import Link
from .scpi import PARAMETER, RANGE, UNDEFINED, ErrorQueue, ScpiError, ScpiLine, boolean, header, number, real

IDENTITY = "THORLABS,PM100D,P2611001,2.8.0"
SENSOR = "S154C,220101234,01-JAN-2026,1,18,33"
WAVELENGTHS_NM = (800.0, 1700.0)
DEFAULT_NM = 1550.0
MOST_W = 3e-3
FINEST_W = 1e-9
"""Full scale of the most sensitive range."""
NOISE_W = 10e-12
OVERFLOW = "9.90000000E+37"


class Pm100:
    """One meter.  name: its name on the bench, by which taps lead to it.

    It converts photocurrent to power for the wavelength it is set to, so it tells the true power only at that of the light.
    """

    def __init__(self, world: World, name: str) -> None:
        self._world = world
        self._name = name
        self._errors = ErrorQueue()
        self._wavelength_nm = DEFAULT_NM
        self._range_w = MOST_W
        self._automatic = True
        self._readings = 0
        self._questions: dict[str, Callable[[str], str]] = {
            "*IDN": lambda _: IDENTITY,
            "*OPC": lambda _: "1",
            "SYST:ERR": lambda _: self._errors.take(),
            "SYST:SENSOR:IDN": lambda _: SENSOR,
            "SENS:CORR:WAV": lambda which: _bounded(which, self._wavelength_nm, WAVELENGTHS_NM),
            "SENS:POW:RANG": lambda which: _bounded(which, self._range_w, (FINEST_W, MOST_W)),
            "SENS:POW:RANG:AUTO": lambda _: str(int(self._automatic)),
            "MEAS:POW": lambda _: self._measure(),
        }
        self._settings: dict[str, Callable[[str], None]] = {
            "*CLS": lambda _: self._errors.clear(),
            "*RST": lambda _: self._reset(),
            "SENS:CORR:WAV": self._set_wavelength,
            "SENS:POW:RANG": self._set_range,
            "SENS:POW:RANG:AUTO": self._set_automatic,
        }

    def power_cycle(self) -> None:
        """Restart the meter: settings are those of the factory."""
        self._errors.clear()
        self._reset()

    def link(self) -> Link:
        """Return a connection."""
        return ScpiLine(self._lines, self.fail)

    def fail(self, error: ScpiError) -> None:
        """Put an error into the queue."""
        self._errors.put(error)

    def _lines(self, command: wire.Command) -> list[str]:
        found = self.answer(command.text)
        return [] if found is None else [found]

    def answer(self, text: str) -> str | None:
        """Execute one command and return what it answers."""
        head, _, argument = text.partition(" ")
        try:
            name, _ = header(head.rstrip("?"))
            table = self._questions if head.endswith("?") else self._settings
            if name not in table:
                raise ScpiError(*UNDEFINED)
            return table[name](argument.strip())
        except ScpiError as error:
            self._errors.put(error)
        return None

    def _measure(self) -> str:
        self._readings += 1
        fluctuation, noise = self._world.meter_noise(self._name, self._readings)
        true_w = self._world.tapped_w(self._name) * fluctuation
        # A photodiode gives a charge per photon, so its responsivity goes with the wavelength.
        shown_w = true_w * self._world.laser.wavelength_m * 1e9 / self._wavelength_nm + noise * NOISE_W
        return real(shown_w) if shown_w <= (MOST_W if self._automatic else self._range_w) else OVERFLOW

    def _set_wavelength(self, text: str) -> None:
        self._wavelength_nm = _within(number(text), WAVELENGTHS_NM)

    def _set_range(self, text: str) -> None:
        self._range_w, self._automatic = _within(number(text), (FINEST_W, MOST_W)), False

    def _set_automatic(self, text: str) -> None:
        self._automatic = boolean(text)

    def _reset(self) -> None:
        self._wavelength_nm, self._range_w, self._automatic = DEFAULT_NM, MOST_W, True


def _bounded(which: str, value: float, bounds: tuple[float, float]) -> str:
    choices = {"": value, "MIN": bounds[0], "MAX": bounds[1]}
    if which.upper() not in choices:
        raise ScpiError(*PARAMETER)
    return real(choices[which.upper()])


def _within(value: float, bounds: tuple[float, float]) -> float:
    if not bounds[0] <= value <= bounds[1]:
        raise ScpiError(*RANGE)
    return value
