"""Time taggers in picoseconds."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any, Literal, Self

from ..core.errors import ConfigError, DeviceFault, LimitError, ParameterError, WrongIdentity
from .idq import ID900
from .roles import Edge, Identity, Scalar, TagBatch, WireCount
from .socket_links import ZmqLink
from .station_models import InstrumentEntry
from .tag_recorder import TagRecorder
from .tag_stream import Recording
from .wire import id900

_THRESHOLD_V = (-2.0, 2.0)
_DELAY_PS = (0, 10**9)


class ID900Source(TagRecorder):
    """An ID900 as a `TagSource`. Safe: no recording."""

    sub_s = (id900.MIN_WIDTH_PS * 1e-12, 1000.0)
    thresholds_v = _THRESHOLD_V
    _driver: ID900
    _recording: Recording | None = None
    _streamed = WireCount(0, 0)

    @classmethod
    def open(cls, name: str, configured: InstrumentEntry, addresses: Mapping[str, str], *, station: str) -> Self:
        """Open control and data link; raises ConfigError without a data link, DependencyMissing without pyzmq."""
        if "datalink" not in addresses:
            raise ConfigError("an ID900 needs the address of its data link", where=f"{station}: instruments.{name}", remedy='Add datalink = "tcp://host:6060".')
        timeout_s = configured.rules.timeout_s or 1.0
        control = ZmqLink(addresses["resource"], name=name, timeout_s=timeout_s)
        driver = ID900(control, name, datalink=ZmqLink(addresses["datalink"], name=f"{name} data link", timeout_s=timeout_s))
        return cls(name, configured, driver, station=station)

    @property
    def wire(self) -> WireCount:
        """Return the bytes exchanged so far: control, data link and streams."""
        live = self._recording.wire if self._recording else WireCount(0, 0)
        link: WireCount = self._driver.datalink.wire
        return super().wire + link + self._streamed + live

    def identify(self) -> Identity:
        """Ask for the identity; raises WrongIdentity for other devices and for firmware of the older command set."""
        found = Identity(*self._driver.identity())
        if found.model not in ("ID900", "ID1000"):
            raise WrongIdentity(f"{found.model!r} answers, an ID900 or ID1000 is expected", where=self.place, remedy="Check the address.")
        if not self._driver.knows_combiners():
            raise WrongIdentity(
                f"firmware {found.firmware} speaks the older commands (INPO, TSGE)",
                where=self.place,
                remedy="Update the firmware; this driver uses TSCO and DELA.",
            )
        return found

    @property
    def clock(self) -> Literal["internal", "external"]:
        """Reference in use."""
        return "external" if self._driver.reference.startswith("EXT") else "internal"

    def configure(self, ch: int, threshold_v: float, edge: Edge, delay_ps: int, enabled: bool) -> None:
        """Set up an input (threshold in V, delay in whole ps) and read it back; raises LimitError before anything is sent, DeviceFault."""
        self.within(threshold_v, _THRESHOLD_V, "V", whose="device limit")
        if edge not in ("RISING", "FALLING"):
            raise ParameterError(f"{edge!r} is no edge", where=self.name, remedy='Use "RISING" or "FALLING".')
        if isinstance(delay_ps, bool) or delay_ps != int(delay_ps) or not _DELAY_PS[0] <= delay_ps <= _DELAY_PS[1]:
            raise LimitError(
                f"a delay of {delay_ps} ps asked, whole numbers from 0 to {_DELAY_PS[1]:,} ps are possible", where=self.name, remedy="Nothing was sent."
            )
        line = self._input(ch)
        if enabled:
            line.set_up(threshold_v, edge, int(delay_ps))
            if abs(line.threshold_v - threshold_v) > 0.01 or line.delay_ps != delay_ps:
                raise DeviceFault(f"input {ch} reads back another threshold or delay", where=self.place, remedy="Check the ranges of the device.")
        else:
            line.enabled = False
        if line.enabled is not bool(enabled):
            raise DeviceFault(f"input {ch} does not switch {'on' if enabled else 'off'}", where=self.place, remedy="Restart the device.")

    def configure_inputs(self) -> None:
        """Switch on every input of the station's map, with the threshold, edge and delay of its `inputs`; raises as `configure` does."""
        for what, ch in self.channels.items():
            line = self.rules.input_of(what)
            self.configure(ch, line.threshold_v, line.edge, line.delay_ps, True)

    def _send_threshold(self, ch: int, volts: float) -> float:
        line = self._input(ch)
        line.threshold_v = volts
        return float(line.threshold_v)

    def _send_delay(self, ch: int, delay_ps: int) -> float:
        line = self._input(ch)
        line.delay_ps = delay_ps
        return int(line.delay_ps) * 1e-12

    def _input(self, ch: int) -> Any:
        if ch not in self._driver.inputs:
            raise LimitError(f"there is no input {ch}", where=self.name, remedy="Nothing was sent.")
        return self._driver.inputs[ch]

    def _pieces(self, recording: Recording, count: int) -> Iterator[TagBatch]:
        while not recording.complete:
            yield recording.read()

    def _last(self, recording: Recording) -> Iterator[TagBatch]:
        """Compare the device's counters with what arrived; an Overflow comes after a last batch that holds the gap."""
        return recording.finish()

    def abandon(self) -> None:
        """End a recording of which nothing is kept: the device is not asked what it lost. Without one nothing happens."""
        recording = self._recording
        super().abandon()
        if recording is not None:
            self._streamed += recording.wire

    def _begin(self, width_ps: int, count: int | None) -> Recording:
        self._refuse_second()
        channels = sorted(set(self.channels.values()))
        self._recording = Recording(self._driver, channels, width_ps, count, where=self.place)
        return self._recording

    def snapshot(self) -> dict[str, Scalar]:
        """Read clock, thresholds, edges and delays of the inputs in use."""
        found: dict[str, Scalar] = {"clock": self.clock}
        for what, ch in self.channels.items():
            line = self._input(ch)
            found |= {
                f"{what}_channel": ch,
                f"{what}_enabled": line.enabled,
                f"{what}_threshold_v": line.threshold_v,
                f"{what}_edge": line.edge,
                f"{what}_delay_ps": line.delay_ps,
            }
        return found

    def _make_safe(self) -> None:
        self._driver.halt()

    def is_safe(self) -> bool:
        """Read back that no recording runs."""
        return bool(self._driver.stage != "PLAYING")

    def close(self) -> None:
        """Give both connections back, the second even if the first does not close; a recording that nobody ended is given up."""
        with contextlib.closing(self._driver.datalink):
            try:
                self.abandon()
            finally:
                super().close()
