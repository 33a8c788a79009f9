"""Single Quantum WebSQ: the control unit of superconducting nanowire detectors, JSON over TCP."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from pymeasure.instruments import Instrument
from pymeasure.instruments.validators import strict_discrete_set, strict_range

from ..core.errors import BadReply, DeviceFault, Disconnected, Timeout
from .links import told, where_of
from .socket_links import TcpLink
from .wire import websq

REPLY_S = 1.0
QUIET_S = 0.05
"""After so long a silence a label that did not come is one that the unit does not have."""
MAX_PERIOD_MS = 60_000
COUNTS_BUDGET_S = 10.0
"""A simulated bench may need longer for a period than the period. This and `REPLY_S` hold for a timeout of 1 s."""


def _setter(name: str, label: str) -> str:
    return json.dumps({"command": name, "label": label, "value": 0}).replace("0}", "%s}")


def _list(values: list[float]) -> str:
    return json.dumps([float(value) for value in values])


class WebSQ(Instrument):
    """Single Quantum WebSQ: TCP 12000 with JSON labels, TCP 12345 with counts.

    A get asks for all labels and waits for one of them; a set waits until its own value is broadcast.  Wire format: `wire.websq`.
    counts_link: opens the counts port.
    """

    waits = frozenset({"await_counts"})
    """Calls that wait for a measurement and leave the control port to others; see `guard.turns`."""

    def __init__(self, adapter: Any, name: str = "WebSQ", *, counts_link: Callable[[], TcpLink] | None = None, **kwargs: Any) -> None:
        self._counts_link = counts_link
        self._decoder = websq.Decoder()
        self._first = ""
        self._counts_bytes = (0, 0)
        self._timeout_s = getattr(adapter, "timeout_s", 1.0)
        super().__init__(adapter, name, includeSCPI=False, **kwargs)

    number_of_detectors = Instrument.measurement("NumberOfDetectors", "Get the number of detectors (int).", cast=int)

    serial_number = Instrument.measurement("SerialNumber", "Get the serial number (str).", cast=str)

    software_version = Instrument.measurement("SoftwareVersion", "Get the version of the control software (str).", cast=str)

    period_ms = Instrument.control(
        "InptMeasurementPeriod",
        _setter("SetMeasurementPeriod", "InptMeasurementPeriod"),
        "Control the measurement period (int, ms, 10 to 60000).",
        validator=strict_range,
        values=[websq.MIN_PERIOD_MS, MAX_PERIOD_MS],
        set_process=lambda period: json.dumps(round(period)),
    )

    biases_ua = Instrument.control(
        "BiasCurrent", _setter("SetAllBiasCurrents", "BiasCurrent"), "Control the bias currents (list of float, uA, one a detector).", set_process=_list
    )

    trigger_levels_mv = Instrument.control(
        "TriggerLevel", _setter("SetAllTriggerLevels", "TriggerLevel"), "Control the trigger levels (list of float, mV, one a detector).", set_process=_list
    )

    enabled = Instrument.control(
        "DetectorEnable",
        _setter("DetectorEnable", "DetectorEnable"),
        "Control whether the detectors are on (bool).",
        validator=strict_discrete_set,
        values=(True, False),
        set_process=json.dumps,
    )

    @property
    def bias_voltages_v(self) -> Any:
        """Measure the voltages over bias resistors and nanowires (list of float, V, one a detector); a normal-conducting wire needs far more than others."""
        with told(where_of(self.adapter, self.name)), self._or_anew():
            self._ask(json.dumps(websq.BIAS_VOLTAGES))
            deadline = time.monotonic() + REPLY_S * self._timeout_s
            while True:
                for label, value in self._broadcasts(deadline, "BiasVoltage"):
                    if label == "BiasVoltage":
                        return _plain(value)

    def values(self, command: str, *args: Any, **kwargs: Any) -> list[Any]:
        """Ask for all labels and return the value of one as a single item."""
        return [self.labels(command)[command]]

    def labels(self, *wanted: str, optional: tuple[str, ...] = ()) -> dict[str, Any]:
        """Get the values of labels, fresh from the device.

        optional: labels that may be missing; they are waited for until nothing comes for a while.
        Raises Timeout if one of the wanted labels does not come, DeviceFault for an error label, BadReply.
        """
        with told(where_of(self.adapter, self.name)), self._or_anew():
            self._ask(json.dumps(websq.LABEL_PROPERTIES))
            found: dict[str, Any] = {}
            deadline = time.monotonic() + REPLY_S * self._timeout_s
            while not set(wanted) <= set(found):
                self._collect(found, deadline, ", ".join(wanted))
            with suppress(Timeout):
                while not set(optional) <= set(found):
                    self._collect(found, time.monotonic() + QUIET_S, "an optional label")
            return {label: _plain(found[label]) for label in (*wanted, *optional) if label in found}

    def _collect(self, found: dict[str, Any], deadline: float, what: str) -> None:
        for label, value in self._broadcasts(deadline, what):
            # The rest of an earlier answer may still come; each begins with the same label, and only answers tell bounds.
            if isinstance(value, dict) and (found or label == (self._first or label)):
                self._first = self._first or label
                found[label] = value

    def write(self, command: str, **kwargs: Any) -> None:
        """Send a command and wait until the device broadcasts the value."""
        asked = json.loads(command)
        with told(where_of(self.adapter, self.name)), self._or_anew():
            self._ask(command)
            deadline = time.monotonic() + REPLY_S * self._timeout_s
            while True:
                heard = self._broadcasts(deadline, asked["label"])
                if any(label == asked["label"] and _same(_plain(value), asked["value"]) for label, value in heard):
                    return

    def _ask(self, message: str) -> None:
        if isinstance(self.adapter, TcpLink):
            self._settle(self.adapter)
        self.adapter.write(message)

    def _settle(self, link: TcpLink) -> None:
        """Take what still came of earlier answers; where it stops in the middle of an object, the connection is of no use any more."""
        try:
            self._decoder.feed(link.waiting())
            while self._decoder.pending:
                self._decoder.feed(link.read_bytes(-1))
        except (Timeout, BadReply, Disconnected):
            self._anew(link)

    @contextmanager
    def _or_anew(self) -> Iterator[None]:
        """Give the connection up after a failure: on a new one no answer belongs to an older question."""
        try:
            yield
        except (Timeout, BadReply, Disconnected):
            if isinstance(self.adapter, TcpLink):
                self._anew(self.adapter)
            raise
        finally:
            self.adapter.timeout_s = self._timeout_s

    def _anew(self, link: TcpLink) -> None:
        link.renew()
        self._decoder, self._first = websq.Decoder(), ""

    def _broadcasts(self, deadline: float, what: str) -> list[tuple[str, Any]]:
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            raise Timeout(f"{what} was not reported", remedy="Check that the unit is not controlled by another program.")
        self.adapter.timeout_s = left_s
        heard = []
        for item in self._decoder.feed(self.read_bytes(-1)):
            label = str(item.get("label", ""))
            if "Error" in label:
                raise DeviceFault(f"{label}: {_plain(item.get('value'))}", remedy="See the unit's own screen.")
            heard.append((label, item.get("value")))
        return heard

    def count(self, period_ms: int) -> tuple[float, tuple[int, ...]]:
        """Measure the counts of one period, which the device knows in whole milliseconds: (time in s, counts of all detectors)."""
        self.period_ms = period_ms
        return self.await_counts(period_ms)

    def await_counts(self, period_ms: int) -> tuple[float, tuple[int, ...]]:
        """Wait for the counts of one period that was set before; the control port is free meanwhile."""
        if self._counts_link is None:
            raise DeviceFault("no counts port is known", where=self.name, remedy="Enter `counts` in the station file.")
        port = self._counts_link()
        try:
            with told(port.where):
                return websq.parse_counts(port.read_line(period_ms * 1e-3 + COUNTS_BUDGET_S * self._timeout_s))
        finally:
            port.close()
            self._counts_bytes = (self._counts_bytes[0] + port.wire.sent, self._counts_bytes[1] + port.wire.received)

    @property
    def counts_wire(self) -> tuple[int, int]:
        """Bytes sent to and received from the counts port so far."""
        return self._counts_bytes


def _plain(value: Any) -> Any:
    return value["value"] if isinstance(value, dict) and "value" in value else value


def _same(heard: Any, asked: Any) -> bool:
    if isinstance(asked, list):
        return isinstance(heard, list) and len(heard) == len(asked) and all(_same(one, other) for one, other in zip(heard, asked, strict=True))
    if isinstance(asked, bool) or isinstance(heard, bool):
        return heard is asked
    if not isinstance(heard, int | float):
        raise BadReply(f"a set of {asked!r} was answered by {heard!r}")
    return bool(abs(heard - asked) <= 1e-3 * max(1.0, abs(asked)))
