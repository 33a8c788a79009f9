"""NKT Photonics Koheras BASIK fibre laser, over Interbus."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pymeasure.instruments import Instrument
from pymeasure.instruments.validators import strict_discrete_set, strict_range

from ..core.errors import BadReply, Busy, ChecksumError, DeviceFault, Rejected, Timeout
from .links import VisaLink, told, where_of
from .wire import interbus
from .wire.interbus import Kind, Register, Status, Telegram

TIMEOUT_S = 1.0
MOST_RESENDS = 10
BUSY_PAUSE_S = 0.05
_READ_BACK = (Register.EMISSION, Register.POWER_SET, Register.POWER_SET_DBM)


def link(resource: str, *, name: str, timeout_s: float | None = None) -> VisaLink:
    """Open the serial port of a BASIK: 115200 8N1, hardware handshake, telegrams end with 0A."""
    from pyvisa.constants import ControlFlow

    return VisaLink(resource, name=name, command_end="", timeout_s=timeout_s or TIMEOUT_S, baud_rate=115200, flow_control=ControlFlow.rts_cts)


class KoherasBasik(Instrument):
    """NKT Photonics Koheras BASIK K1x2: USB serial, 115200 8N1 with handshake, Interbus telegrams.

    Commands name a register; the transaction around it toggles the host address, resends what was lost and compares what was written.
    Wire format: `wire.interbus`.
    """

    def __init__(self, adapter: Any, name: str = "Koheras BASIK", *, address: int = interbus.BASIK_ADDRESS, **kwargs: Any) -> None:
        self.address = address
        self.resends = MOST_RESENDS
        self._hurry, self._hurried, self._usual_s = threading.Lock(), list[int](), 1.0
        self.resent = 0
        self.discarded = 0
        self._turn = 1
        super().__init__(adapter, name, includeSCPI=False, **kwargs)

    module_type = Instrument.measurement("TYPE", "Get the module type (int, 0x33 for a BASIK).", cast=int)

    emission = Instrument.control(
        "EMISSION", "EMISSION %d", "Control whether light is emitted (bool).", validator=strict_discrete_set, map_values=True, values={True: 1, False: 0}
    )

    power_setpoint_mw = Instrument.control(
        "POWER_SET", "POWER_SET %.2f", "Control the power set-point (float, mW, 0 to 655.35).", validator=strict_range, values=[0, 655.35], dynamic=True
    )

    power_setpoint_dbm = Instrument.control(
        "POWER_SET_DBM",
        "POWER_SET_DBM %.2f",
        "Control the power set-point (float, dBm, -40 to 28.1).",
        validator=strict_range,
        values=[-40, 28.1],
        dynamic=True,
    )

    power_mw = Instrument.measurement("POWER", "Measure the output power (float, mW).")

    power_dbm = Instrument.measurement("POWER_DBM", "Measure the output power (float, dBm).")

    offset_setpoint_pm = Instrument.control(
        "OFFSET_SET",
        "OFFSET_SET %.1f",
        "Control the wavelength offset (float, pm, -3276.8 to 3276.7).",
        validator=strict_range,
        values=[-3276.8, 3276.7],
        dynamic=True,
    )

    offset_pm = Instrument.measurement("OFFSET", "Measure the wavelength offset (float, pm).")

    wavelength_nm = Instrument.measurement("WAVELENGTH", "Measure the centre wavelength in vacuum (float, nm).", get_process=lambda pm: pm / 1000.0)

    temperature_degc = Instrument.measurement("TEMPERATURE", "Measure the laser temperature (float, degC).")

    supply_mv = Instrument.measurement("SUPPLY", "Measure the supply voltage (float, mV).")

    setup = Instrument.control("SETUP", "SETUP %d", "Control the setup bits (int, 0 to 65535).", validator=strict_range, values=[0, 65535], cast=int)

    status = Instrument.measurement("STATUS", "Get the status bits (Status).", get_process=lambda bits: Status(int(bits)))

    error_code = Instrument.measurement("ERROR", "Get the error code (int, 0 for none).", get_process=int)

    @property
    def serial_number(self) -> str:
        """Get the serial number (str)."""
        return self._text(Register.SERIAL)

    @property
    def user_text(self) -> str:
        """Get the text kept in the laser (str, up to 240 characters)."""
        return self._text(Register.USER)

    def values(self, command: str, *args: Any, **kwargs: Any) -> list[float]:
        """Read the register named by a command."""
        register = Register[command]
        with told(where_of(self.adapter, self.name)):
            return [interbus.unpack(register, self.transact(Kind.READ, register))]

    def write(self, command: str, **kwargs: Any) -> None:
        """Write the register named by a command, and read it back where a wrong value would be dangerous."""
        name, _, argument = command.partition(" ")
        register = Register[name]
        data = interbus.pack(register, float(argument))
        self.transact(Kind.WRITE, register, data)
        if register in _READ_BACK and self.transact(Kind.READ, register) != data:
            raise DeviceFault(
                f"{name} was written as {argument} and reads back otherwise", where=where_of(self.adapter, self.name), remedy="Check the laser's state."
            )

    def transact(self, kind: Kind, register: Register, data: bytes = b"") -> bytes:
        """Send one telegram and return the data of its answer.

        Resends after silence, damage and BUSY, at most `resends` times; reads on past answers to earlier requests.
        Raises Rejected for NACK, Timeout, ChecksumError, BadReply or Busy when the resends are used up, Disconnected.
        """
        with told(where_of(self.adapter, self.name)):
            most = self._resends_now
            for attempt in range(most + 1):
                try:
                    return self._once(kind, register, data)
                except (Timeout, BadReply, Busy) as error:
                    if attempt == most:
                        raise
                    self.resent += 1
                    if isinstance(error, Busy):
                        time.sleep(BUSY_PAUSE_S)
        raise AssertionError

    def _once(self, kind: Kind, register: Register, data: bytes) -> bytes:
        self._turn = 1 - self._turn
        host = interbus.HOST_ADDRESSES[self._turn]
        self.write_bytes(interbus.encode(Telegram(self.address, host, kind, register, data)))
        deadline = time.monotonic() + getattr(self.adapter, "timeout_s", 1.0)
        while True:
            frame = self.read_bytes(-1, break_on_termchar=True)
            answer = interbus.decode(frame[frame.rfind(interbus.START) :] if interbus.START in frame else frame)
            if (answer.destination, answer.source, answer.register) == (host, self.address, register):
                return _judged(answer, Kind.DATAGRAM if kind is Kind.READ else Kind.ACK)
            self.discarded += 1
            if time.monotonic() > deadline:
                raise Timeout("only answers to earlier requests arrived")

    def _text(self, register: Register) -> str:
        return self.transact(Kind.READ, register).rstrip(b"\0").decode("ascii", "replace")

    @contextmanager
    def hurried(self, timeout_s: float = 0.4) -> Iterator[None]:
        """Try once only and wait less, while the bench must become safe; other threads go on resending what they asked."""
        with self._hurry:
            if not self._hurried:
                self._usual_s = getattr(self.adapter, "timeout_s", 1.0)
                self.adapter.timeout_s = min(timeout_s, self._usual_s)
            self._hurried.append(threading.get_ident())
        try:
            yield
        finally:
            with self._hurry:
                self._hurried.remove(threading.get_ident())
                if not self._hurried:
                    self.adapter.timeout_s = self._usual_s

    @property
    def _resends_now(self) -> int:
        return 0 if threading.get_ident() in self._hurried else self.resends


def _judged(answer: Telegram, wanted: Kind) -> bytes:
    if answer.kind == Kind.NACK:
        what = Register(answer.register).name.lower() if answer.register in set(Register) else "unknown"
        raise Rejected(
            f"the laser refused register 0x{answer.register:02X} ({what})", remedy="It does not allow this now: check interlock, key switch and status."
        )
    if answer.kind == Kind.BUSY:
        raise Busy("the laser answered BUSY every time", remedy="Wait until it has started up.")
    if answer.kind == Kind.CRC_ERROR:
        raise ChecksumError("the laser received a damaged telegram", remedy="Check cable and ground.")
    if answer.kind != wanted:
        raise BadReply(f"type {answer.kind} came instead of {wanted.name}")
    return answer.data
