"""S-Fifteen Instruments: single-photon detectors with avalanche diodes (SPD), and the time-to-digital converter TDC1, over serial lines."""

from __future__ import annotations

import time
from typing import Any

from pymeasure.instruments import Instrument
from pymeasure.instruments.validators import strict_discrete_set, strict_range

from ..core.errors import Timeout
from .links import told, where_of
from .stream_links import StreamLink
from .wire import s_fifteen, tdc1

TIMEOUT_S = 1.0
COUNTING_S = 0.5
"""How long an answer may take beyond the counting time."""
QUIET_S = 0.03
"""Silence after which a stream that was told to end is taken to have ended."""
_DRAIN_S = 1.0


def spd_link(resource: str, *, name: str, timeout_s: float | None = None) -> StreamLink:
    """Open the serial port of an SPD; the answer to `*idn?` is known."""
    return StreamLink(
        resource,
        name=name,
        command_end="",
        timeout_s=TIMEOUT_S if timeout_s is None else timeout_s,
        probe="*idn?;",
        is_answer=lambda lines: bool(lines) and "SPD" in lines[-1],
        alone=True,
    )


def tdc_link(resource: str, *, name: str, timeout_s: float | None = None) -> StreamLink:
    """Open the serial port of a TDC1; the answer to `*idn?` is known, and the words of a stream are no answer."""
    return StreamLink(
        resource,
        name=name,
        command_end=tdc1.COMMAND_END,
        timeout_s=TIMEOUT_S if timeout_s is None else timeout_s,
        probe="*idn?",
        is_answer=lambda lines: bool(lines) and "TDC1" in lines[-1],
        owes=lambda command: "?" in command and "timestamp" not in command,
    )


class _Text(Instrument):
    """What both devices share: one line of text answers a question, nothing answers a setting."""

    _model = ""

    def __init__(self, adapter: Any, name: str, **kwargs: Any) -> None:
        self._timeout_s = getattr(adapter, "timeout_s", TIMEOUT_S)
        super().__init__(adapter, name, includeSCPI=False, **kwargs)

    def values(self, command: str, *args: Any, **kwargs: Any) -> list[Any]:
        """Ask, and return the number that the answer begins with as a single item."""
        with told(where_of(self.adapter, self.name)):
            return [s_fifteen.number(self.ask(command))]

    def ask(self, command: str, query_delay: float | None = None) -> str:
        """Ask, and return the line that answers."""
        with told(where_of(self.adapter, self.name)):
            if isinstance(self.adapter, StreamLink):
                # A second reply, or the rest of a stream, is no answer to this question.
                self.adapter.discard()
            self.write(command)
            return str(self.read())

    def _after(self, seconds: float) -> str:
        """Return a line that comes after a time of counting."""
        with told(where_of(self.adapter, self.name)):
            try:
                self.adapter.timeout_s = seconds + max(COUNTING_S, self._timeout_s)
                return str(self.read())
            finally:
                self.adapter.timeout_s = self._timeout_s


class SFifteenSPD(_Text):
    """S-Fifteen single-photon detector: USB serial, text; questions end with ``;``, settings with a line end.

    There is no command that switches the bias off: the unit is safe at a bias at which the diode does not multiply.  Wire format: `wire.s_fifteen`
    """

    def __init__(self, adapter: Any, name: str = "SPD", **kwargs: Any) -> None:
        super().__init__(adapter, name, **kwargs)

    bias_v = Instrument.control("hvolt?;", "hvolt %.3f\r\n", "Control the bias of the diode (float, V).")

    threshold_v = Instrument.control("threshvolt?;", "threshvolt %.3f\r\n", "Control the threshold of the comparator (float, V).")

    temperature_degc = Instrument.measurement("temp?;", "Measure the temperature of the diode (float, degC).")

    target_degc = Instrument.control("settemp?;", "settemp %.2f\r\n", "Control the temperature at which the diode is held (float, degC).")

    cooler_v = Instrument.measurement("pvolt?;", "Measure the voltage at the cooler (float, V).")

    cooled = Instrument.control(
        "loop?;",
        "loop %d\r\n",
        "Control whether the temperature is held (bool).",
        validator=strict_discrete_set,
        values={False: 0, True: 1},
        map_values=True,
        get_process=s_fifteen.whole,
    )

    period_ms = Instrument.control(
        "time?;",
        "time %d\r\n",
        "Control the counting time (int, ms, 1 to 65535).",
        validator=strict_range,
        values=[1, tdc1.MAX_TIME_MS],
        get_process=s_fifteen.whole,
    )

    delay = Instrument.control("delay?;", "delay %d\r\n", "Control the delay of the output (int, steps).", get_process=s_fifteen.whole)

    def identity(self) -> tuple[str, str, str, str]:
        """Get (vendor, model, serial, firmware); raises BadReply if no SPD answers."""
        with told(where_of(self.adapter, self.name)):
            return s_fifteen.identity(self.ask("*idn?;"), "SPD")

    def save(self) -> None:
        """Keep the settings for the next power-up."""
        self.write("save\r\n")

    def begin_count(self, period_ms: int) -> None:
        """Begin to count for a time (ms, 1 to 65535); `counted` takes the answer."""
        self.period_ms = period_ms
        self.write("counts?;")

    def counted(self, period_ms: int) -> int:
        """Take the answer to `begin_count`."""
        with told(where_of(self.adapter, self.name)):
            return s_fifteen.wholes(self._after(period_ms * 1e-3), 1)[0]


class SFifteenTDC(_Text):
    """S-Fifteen TDC1 time-to-digital converter: USB serial, four inputs with one threshold, text and a stream of binary words in steps of 2 ns.

    Wire format: `wire.tdc1`
    """

    def __init__(self, adapter: Any, name: str = "TDC1", **kwargs: Any) -> None:
        super().__init__(adapter, name, **kwargs)

    mode = Instrument.measurement("mode?", "Get the mode (int, 0 singles, 1 pairs, 3 timestamp).", get_process=s_fifteen.whole)

    level_v = Instrument.control(
        "level?",
        "%s",
        "Control the threshold of all inputs (float, V); a negative one finds falling edges, a positive one rising edges.",
        set_process=tdc1.level_command,
    )

    clock = Instrument.control(
        "REFCLK?",
        "REFCLK %d",
        "Control the clock (int, 0 chosen by the device, 1 external, 2 internal).",
        validator=strict_discrete_set,
        values=(0, 1, 2),
        get_process=s_fifteen.whole,
    )

    period_ms = Instrument.control(
        "time?",
        "time %d",
        "Control the integration time (int, ms, 0 to 65535; 0 is endless).",
        validator=strict_range,
        values=[0, tdc1.MAX_TIME_MS],
        get_process=lambda value: tdc1.unsigned_time(s_fifteen.whole(value)),
    )

    def identity(self) -> tuple[str, str, str, str]:
        """Get (vendor, model, serial, firmware); raises BadReply if no TDC1 answers."""
        with told(where_of(self.adapter, self.name)):
            return s_fifteen.identity(self.ask("*idn?"), "TDC1")

    def singles(self, period_ms: int) -> tuple[int, ...]:
        """Count at the four inputs for a time (ms, 1 to 65535)."""
        return self._counts("singles", period_ms, 4)

    def pairs(self, period_ms: int) -> tuple[int, ...]:
        """Count at the four inputs and the coincidences 1-3, 1-4, 2-3, 2-4 for a time (ms, 1 to 65535): eight numbers."""
        return self._counts("pairs", period_ms, 8)

    def _counts(self, mode: str, period_ms: int, count: int) -> tuple[int, ...]:
        self.period_ms = strict_range(period_ms, [1, tdc1.MAX_TIME_MS])
        with told(where_of(self.adapter, self.name)):
            self.write(f"{mode};counts?")
            return s_fifteen.wholes(self._after(period_ms * 1e-3), count)

    def begin_stream(self, level_v: float, time_ms: int = 0) -> None:
        """Begin to stream words, for a time (ms, up to 65535) or endlessly (0)."""
        self.write(tdc1.stream_command(level_v, time_ms))

    def stream(self, budget_s: float) -> bytes:
        """Return what has come of the stream, as soon as there is anything; nothing after the budget (s). Raises Disconnected."""
        self.adapter.timeout_s = budget_s
        try:
            with told(where_of(self.adapter, self.name)):
                return bytes(self.read_bytes(-1))
        except Timeout:
            return b""
        finally:
            self.adapter.timeout_s = self._timeout_s

    def halt(self) -> None:
        """End whatever runs, throw away the rest of a stream, and leave the timestamp mode."""
        self.write("abort")
        deadline = time.monotonic() + _DRAIN_S
        while self.stream(QUIET_S) and time.monotonic() < deadline:
            pass
        self.write("singles")
