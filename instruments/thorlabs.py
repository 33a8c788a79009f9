"""Thorlabs MBX bias controllers and PM100 power meters: PyMeasure's drivers with what is wrong in them mended."""

from __future__ import annotations

import math
import threading
import time
import warnings
from typing import Any

from pymeasure.instruments import Instrument
from pymeasure.instruments.thorlabs import ThorlabsMBXSeries, ThorlabsPM100USB
from pymeasure.instruments.thorlabs.thorlabsmbxseries import (
    RgbPowerMode,
    ThorlabsMBXSeriesMZM,
    ThorlabsMBXSeriesRGB,
    ThorlabsMBXSeriesVOA,
    VoaMode,
)
from pymeasure.instruments.validators import strict_discrete_set, strict_range

from ..core.errors import BadReply, DeviceFault
from .links import VisaLink, identity_answer, told, where_of
from .scpi import error_queue
from .wire import mbx, scpi
from .wire.mbx import BiasMode
from .wire.values import finite

MBX_TIMEOUT_S = 1.0
PM100_TIMEOUT_S = 2.0
CALIBRATION_S = 60.0


def mbx_link(resource: str, *, name: str, timeout_s: float | None = None) -> VisaLink:
    """Open the serial port of an MBX: 115200 8N1, lines end with a carriage return; two settings are answered like questions."""
    speed: dict[str, Any] = {"baud_rate": 115200} if resource.upper().startswith("ASRL") else {}
    return VisaLink(
        resource,
        name=name,
        line_end=mbx.END,
        command_end=mbx.END,
        timeout_s=timeout_s or MBX_TIMEOUT_S,
        probe="*IDN?",
        is_answer=identity_answer("MBX"),
        owes=mbx.is_answered,
        alone=True,
        **speed,
    )


def pm100_link(resource: str, *, name: str, read_termination: str = "\n", write_termination: str = "\n", timeout_s: float | None = None) -> VisaLink:
    """Open a PM100; after a timeout its identity is asked for, to find the place in the stream."""
    return VisaLink(
        resource,
        name=name,
        line_end=read_termination,
        command_end=write_termination,
        timeout_s=timeout_s or PM100_TIMEOUT_S,
        probe="*IDN?",
        is_answer=identity_answer("PM100"),
        alone=True,
    )


def switch(reply: float) -> bool:
    """Return 0 or 1 as a bool; raises BadReply for other numbers."""
    if reply not in (0.0, 1.0):
        raise BadReply(f"{reply:g} came where 0 or 1 is expected", remedy="Check the device.")
    return reply == 1.0


def bias_mode(reply: float) -> BiasMode:
    """Return the bias mode of a number; raises BadReply for one there is not."""
    if reply not in set(BiasMode):
        raise BadReply(f"there is no bias mode {reply:g}", remedy="Check the device's firmware.")
    return BiasMode(int(reply))


class _Strict:
    """Questions are answered by one finite number, one question at a time; the original keeps text as text and calls NaN true."""

    parent: Any

    def ask(self, command: str, query_delay: float | None = None) -> str:
        """Send a command and return its reply; another thread waits until it is here."""
        with self.parent.turn:
            reply: str = super().ask(command, query_delay)  # type: ignore[misc]
        return reply

    def values(self, command: str, *args: Any, **kwargs: Any) -> list[float]:
        """Ask a question and return its number; raises BadReply if the reply is none."""
        with told(where_of(self.parent.adapter, self.parent.name)):
            return [finite(self.ask(command).strip(), f"reply to {command}")]


class MbxModulator(_Strict, ThorlabsMBXSeriesMZM):
    """The bias of the modulator."""

    is_calibrating = Instrument.measurement("MZM:CALIBRATING?", "Get whether the bias is being calibrated (bool).", get_process=switch)

    is_stable = Instrument.measurement("MZM:SETPOINT?", "Get whether the bias is at its set-point (bool).", get_process=switch)

    mode = Instrument.control(
        "MZM:MODE?", "MZM:MODE: %d", "Control the bias mode (`BiasMode`).", validator=strict_discrete_set, values=tuple(BiasMode), get_process=bias_mode
    )

    def calibrate(self) -> None:
        """Calibrate the bias and wait for the end; raises DeviceFault if it does not end within a minute."""
        with told(where_of(self.parent.adapter, self.parent.name)):
            self.ask("MZM:RESET")
            deadline = time.monotonic() + CALIBRATION_S
            while self.is_calibrating:
                if time.monotonic() > deadline:
                    raise DeviceFault("the calibration of the bias does not end", remedy="Is there light at the modulator?")
                time.sleep(0.01)


class MbxAttenuator(_Strict, ThorlabsMBXSeriesVOA):
    """The variable attenuator."""

    is_stable = Instrument.measurement("VOA:SETPOINT?", "Get whether the attenuation is within 0.1 dB of its set-point (bool).", get_process=switch)

    enabled = Instrument.control(
        "VOA:POWER?",
        "VOA:POWER: %d",
        "Control whether the attenuator is on (bool).",
        validator=strict_discrete_set,
        values=(True, False),
        get_process=switch,
    )

    @property
    def mode(self) -> VoaMode:
        """Control whether the attenuation or the power behind it is held (`VoaMode`). The device answers the setting, and that answer is read."""
        return VoaMode.POWER if switch(self.values("VOA:MODE?")[0]) else VoaMode.ATTENUATION

    @mode.setter
    def mode(self, mode: VoaMode) -> None:
        self.ask(f"VOA:MODE: {strict_discrete_set(mode, tuple(VoaMode)):d}")


class MbxLamps(_Strict, ThorlabsMBXSeriesRGB):
    """The lamps under the chassis."""

    mode = Instrument.control(
        "RGB:POWER?",
        "RGB:POWER: %d",
        "Control the lamps (`RgbPowerMode`).",
        validator=strict_discrete_set,
        values=tuple(RgbPowerMode),
        get_process=RgbPowerMode,
    )


class ThorlabsMBX(ThorlabsMBXSeries):
    """Thorlabs MBX modulator bias controller: serial, 115200 8N1, carriage returns.

    Its two halves, `mzm` and `voa`, may be used from different threads.  Wire format: `wire.mbx`.  The original takes text for numbers and NaN for true, and
    refuses modes given as plain numbers in Python 3.11.
    """

    mzm = Instrument.ChannelCreator(MbxModulator, "")
    voa = Instrument.ChannelCreator(MbxAttenuator, "")
    rgb = Instrument.ChannelCreator(MbxLamps, "")

    def __init__(self, adapter: Any, name: str = "Thorlabs MBX", **kwargs: Any) -> None:
        self.turn = threading.RLock()
        super().__init__(adapter, name, **kwargs)

    def write(self, command: str, **kwargs: Any) -> None:
        """Send a command when no question is open."""
        with self.turn:
            super().write(command, **kwargs)

    def ask(self, command: str, query_delay: float | None = None) -> str:
        """Send a command and return its reply; another thread waits until it is here."""
        with self.turn:
            reply: str = super().ask(command, query_delay)
        return reply

    def identity(self) -> tuple[str, str, str, str]:
        """Get (vendor, model, serial, firmware)."""
        with told(where_of(self.adapter, self.name)):
            return scpi.identity_fields(self.ask("*IDN?"))


class ThorlabsPM100(ThorlabsPM100USB):
    """Thorlabs PM100USB, PM100D and relatives: SCPI; the sensor is asked for when the meter is opened.

    The original warns on every start, takes serial numbers for numbers, moves a wavelength out of range to the nearest one without a word, and hands out
    overflow marks as watts.
    """

    def __init__(self, adapter: Any, name: str = "Thorlabs PM100", **kwargs: Any) -> None:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "It is not known whether this device support SCPI", FutureWarning)
            super().__init__(adapter, name, **kwargs)

    wavelength_min = Instrument.measurement("SENS:CORR:WAV? MIN", "Get the shortest wavelength (float, nm).")

    wavelength_max = Instrument.measurement("SENS:CORR:WAV? MAX", "Get the longest wavelength (float, nm).")

    wavelength = Instrument.control(
        "SENSE:CORR:WAV?",
        "SENSE:CORR:WAV %.9g",
        "Control the wavelength for which the power is told (float, nm, `wavelength_min` to `wavelength_max`).",
        validator=strict_range,
        values=(0.0, math.inf),
        dynamic=True,
        check_set_errors=True,
    )

    power_range_min = Instrument.measurement("SENS:POW:RANG? MIN", "Get the highest power of the most sensitive range (float, W).")

    power_range_max = Instrument.measurement("SENS:POW:RANG? MAX", "Get the highest power the sensor can measure (float, W).")

    auto_range = Instrument.control(
        "SENS:POW:RANG:AUTO?",
        "SENS:POW:RANG:AUTO %d",
        "Control whether the meter chooses its range (bool).",
        validator=strict_discrete_set,
        values=(True, False),
        get_process=switch,
        check_set_errors=True,
    )

    @property
    def power(self) -> float:
        """Measure the power (float, W); raises DeviceFault for a sensor that measures none, BadReply above the range."""
        return self._measured("MEAS:POW?", self.is_power_sensor, "power")

    @property
    def energy(self) -> float:
        """Measure the energy of a pulse (float, J); raises DeviceFault for a sensor that measures none, BadReply above the range."""
        return self._measured("MEAS:ENER?", self.is_energy_sensor, "energy")

    def identity(self) -> tuple[str, str, str, str]:
        """Get (vendor, model, serial, firmware)."""
        with told(where_of(self.adapter, self.name)):
            return scpi.identity_fields(self.ask("*IDN?"))

    def values(self, command: str, *args: Any, **kwargs: Any) -> list[float]:
        """Ask a question and return its number; raises BadReply if the reply is none."""
        with told(where_of(self.adapter, self.name)):
            return [finite(self.ask(command).strip(), f"reply to {command}")]

    def check_set_errors(self) -> list[tuple[int, str]]:
        """Read the error queue after a setting; raises Rejected with the first entry, DeviceFault if it does not end within 32."""
        with told(where_of(self.adapter, self.name)):
            return error_queue(self.ask)

    def _measured(self, command: str, able: bool, what: str) -> float:
        if not able:
            raise DeviceFault(f"the sensor {self.sensor_name} measures no {what}", where=where_of(self.adapter, self.name), remedy="Connect another sensor.")
        return self.values(command)[0]

    def _set_flags(self) -> None:
        """Read what the sensor is and can do; raises DeviceFault where there is none, BadReply for a reply that does not say."""
        with told(where_of(self.adapter, self.name)):
            reply = self.ask("SYST:SENSOR:IDN?").strip()
            if reply.strip('"').lower().startswith("no sensor"):
                raise DeviceFault("no sensor is connected to the power meter", remedy="Connect one, then open it again.")
            fields = [field.strip().strip('"') for field in reply.split(",")]
            if len(fields) != 6 or not all(field.isdigit() for field in fields[3:]):
                raise BadReply(f"{reply[:60]!r} names no sensor")
        self.sensor_name, self.sensor_sn, self.sensor_cal_msg = fields[:3]
        self.sensor_type, self.sensor_subtype, flags = (int(field) for field in fields[3:])
        self.flags = [bool(flags >> bit & 1) for bit in range(9)]
        self.is_power_sensor, self.is_energy_sensor = self.flags[0], self.flags[1]
        self.response_settable, self.wavelength_settable, self.tau_settable = self.flags[4:7]
        self.has_temperature_sensor = self.flags[8]
