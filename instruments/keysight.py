r"""Keysight 81160A waveform generator: PyMeasure's driver with its scaling of waveforms mended.

What the role adapter sends to load channel 1 (n samples, the block without newline behind it): ``:VOLT1:LIM:LOW -5.000000``, ``:VOLT1:LIM:HIGH 5.000000``,
``:VOLT1:LIM:STAT 1``, ``:DATA1:DAC VOLATILE,#<d><2n><int16 big-endian>``, ``:FUNC1 USER``, ``:FREQ1 10000.000000`` (sample rate / n), ``:VOLT1 5.000000``
(volts peak to peak of +-8191, at least 0.05), then ``:FREQ1?``, ``:VOLT1?``, ``SYST:ERR?``; before all that ``:VOLT1:OFFS?``. A sample c stands for c / 8191
* VOLT / 2 + VOLT:OFFS volts. Others: ``:VOLT1:OFFS 0.500000``, ``:VOLT1:OFFS?``, ``OUTP1 1``, ``OUTP1?``, ``:FUNC1?``, ``*IDN?``. Errors are asked for by
``SYST:ERR?`` (``+0,"No error"`` when there is none).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pymeasure.instruments import Instrument
from pymeasure.instruments.keysight.keysight81160A import AMPLITUDE_RANGE, MAX_DAC_VALUE, Keysight81160AChannel
from pymeasure.instruments.keysight.keysight81160A import Keysight81160A as _Original
from pymeasure.instruments.validators import strict_discrete_set

from ..core.errors import BadReply, ParameterError
from .links import VisaLink, identity_answer, told, where_of
from .scpi import error_queue
from .wire import scpi
from .wire.values import finite

TIMEOUT_S = 2.0
MIN_AMPLITUDE_VPP: float = AMPLITUDE_RANGE[0]
MAX_AMPLITUDE_VPP: float = AMPLITUDE_RANGE[1]
MAX_DAC: int = MAX_DAC_VALUE
MAX_POINTS = 262_144
MAX_RATE_HZ = 2.5e9


def link(resource: str, *, name: str, read_termination: str = "\n", write_termination: str = "\n", timeout_s: float | None = None) -> VisaLink:
    """Open an 81160A; after a timeout its identity is asked for, to find the place in the stream."""
    return VisaLink(
        resource,
        name=name,
        line_end=read_termination,
        command_end=write_termination,
        timeout_s=timeout_s or TIMEOUT_S,
        probe="*IDN?",
        is_answer=identity_answer("81160A"),
        alone=True,
    )


def dac_codes(volts: ArrayLike) -> NDArray[np.int64]:
    """Return the codes (int64 (n,), -8191 to 8191) of a waveform scaled by its largest absolute value; zeros stay zeros."""
    values = np.asarray(volts, float)
    if values.ndim != 1 or values.size == 0 or not np.isfinite(values).all():
        raise ParameterError("a waveform is a list of finite volts", where="volts")
    largest = float(np.abs(values).max())
    scaled = values / largest if largest > 0.0 else values
    return np.clip(np.rint(scaled * MAX_DAC), -MAX_DAC, MAX_DAC).astype(np.int64)


def _on(reply: str) -> bool:
    if reply.strip() not in ("0", "1", "OFF", "ON"):
        raise BadReply(f"an output is {reply[:40]!r}", remedy="Check the device.")
    return reply.strip() in ("1", "ON")


class Channel81160A(Keysight81160AChannel):
    """One output of the 81160A."""

    output = Instrument.control(
        "OUTP{ch}?",
        "OUTP{ch} %d",
        "Control whether the output is on (bool).",
        cast=str,
        validator=strict_discrete_set,
        values=(True, False),
        get_process=_on,
    )

    def _preprocess_waveform(self, data: ArrayLike) -> NDArray[np.int64]:
        # The original divides by max() instead of max|v|: negative waveforms change sign, others leave int16, zeros become garbage.
        return dac_codes(data)

    def forget_waveform(self) -> None:
        """Drop the copy of the waveform that the driver keeps."""
        self._waveform_volatile = None

    def set_limits(self, low_v: float, high_v: float) -> None:
        """Set the voltage limits (V) of the output and switch them on."""
        self.limit_low = low_v
        self.limit_high = high_v
        self.limit_state_enabled = True


class Keysight81160A(_Original):
    """Keysight 81160A pulse, function and arbitrary generator: TCP SCPI, two channels, DAC blocks of int16 big-endian."""

    ch_1 = Instrument.ChannelCreator(Channel81160A, 1)
    ch_2 = Instrument.ChannelCreator(Channel81160A, 2)

    def __init__(self, adapter: Any, name: str = "Keysight 81160A", **kwargs: Any) -> None:
        super().__init__(adapter, name, **kwargs)

    def identity(self) -> tuple[str, str, str, str]:
        """Get (vendor, model, serial, firmware)."""
        with told(where_of(self.adapter, self.name)):
            return scpi.identity_fields(self.ask("*IDN?"))

    def check_errors(self) -> list[tuple[int, str]]:
        """Read the error queue and return it if it is empty.

        Raises Rejected with the first entry, DeviceFault if the queue does not end within 32 entries.
        """
        with told(where_of(self.adapter, self.name)):
            return error_queue(self.ask)

    def channel(self, number: int) -> Channel81160A:
        """Return an output by its number; raises ParameterError for one there is not."""
        if number not in (1, 2):
            raise ParameterError(f"there is no output {number}", where=self.name)
        found: Channel81160A = self.ch_1 if number == 1 else self.ch_2
        return found


def finite_number(value: object, what: str, where: str) -> float:
    """Return a reply as a finite float; raises BadReply for text, lists, NaN and overflow marks."""
    with told(where):
        return finite(value, what)
