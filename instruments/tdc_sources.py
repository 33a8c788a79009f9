"""Time taggers whose inputs share one threshold and whose tags come as words on a serial line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, Self

from ..core.errors import BadReply, DeviceFault, InstrumentError, LimitError, ParameterError, WrongIdentity
from .roles import Edge, Identity, Scalar, TagBatch
from .s_fifteen import SFifteenTDC, tdc_link
from .station_models import InstrumentEntry
from .tag_recorder import TagRecorder
from .wire import tdc1
from .word_stream import WordRecording

_THRESHOLD_V = (-3.3, 3.3)
_CLOCKS = {"external": tdc1.CLOCK_EXTERNAL, "internal": tdc1.CLOCK_INTERNAL}


class SFifteenSource(TagRecorder):
    """A TDC1 as a `TagSource`. Safe: no stream.

    Tags have steps of 2 ns: enough to find a slot of 10 ns, too coarse for a gate of 2 ns.  All inputs have one threshold, whose sign says which edge it
    finds, and there are no delays.  An input that is not enabled is left out of the batches.  While a recording runs, nothing else can be asked.
    Nothing is lost between windows; a silence longer than a roll-over (0.27 s) is a gap, which begins behind every batch there was before it. The device
    counts no losses, so that the end of a recording has nothing to add.
    """

    thresholds_v, delays_s = _THRESHOLD_V, (0.0, 0.0)
    _driver: SFifteenTDC
    _recording: WordRecording | None = None

    @classmethod
    def open(cls, name: str, configured: InstrumentEntry, addresses: Mapping[str, str], *, station: str) -> Self:
        """Open the serial port, and end a stream that somebody left running there; raises Disconnected."""
        link = tdc_link(addresses["resource"], name=name, timeout_s=configured.rules.timeout_s)
        found = cls(name, configured, SFifteenTDC(link, name), station=station)
        try:
            found._driver.halt()
        except InstrumentError:
            found.close()
            raise
        return found

    def __init__(self, name: str, configured: InstrumentEntry, driver: SFifteenTDC, *, station: str) -> None:
        super().__init__(name, configured, driver, station=station)
        self._level_v: float | None = None
        self._enabled: set[int] = set()

    def identify(self) -> Identity:
        """Ask for the identity; raises WrongIdentity."""
        try:
            return Identity(*self._driver.identity())
        except BadReply as error:
            raise WrongIdentity("no TDC1 answers", where=self.place, remedy="Check the address.") from error

    def check_identity(self) -> Identity:
        """Compare who answers with what the station expects, then set the clock that the station names; raises WrongIdentity, DeviceFault."""
        found = super().check_identity()
        clock = self.rules.clock
        if clock is not None:
            self._driver.clock = _CLOCKS[clock]
            if self.clock != clock:
                raise DeviceFault(f"the {clock} clock cannot be chosen", where=self.place, remedy="Check the reference's cable.")
        return found

    @property
    def clock(self) -> Literal["internal", "external"]:
        """Reference in use; a device that chooses by itself does not tell which it took, so that counts as internal."""
        return "external" if self._ask().clock == tdc1.CLOCK_EXTERNAL else "internal"

    def configure(self, ch: int, threshold_v: float, edge: Edge, delay_ps: int, enabled: bool) -> None:
        """Set the threshold (V) of all inputs and read it back, and let an input into the batches or not.

        edge: that of the threshold's sign.  delay_ps: 0.  Raises LimitError before anything is sent, also for a threshold that another input does not have.
        """
        self._check(ch, threshold_v, edge, delay_ps)
        others = self._enabled - {ch}
        if enabled and others and threshold_v != self._level_v:
            raise self._one_threshold(f"inputs {sorted(others)} have {self._level_v} V, {threshold_v} V were asked for input {ch}")
        if not enabled:
            self._enabled.discard(ch)
            return
        self._set_level(threshold_v)
        self._enabled.add(ch)

    def configure_inputs(self) -> None:
        """Set the threshold of the station's `inputs`, which must be the same for all, and let every input of its map into the batches."""
        lines = {what: self.rules.input_of(what) for what in self.channels}
        for what, line in lines.items():
            self._check(self.channels[what], line.threshold_v, line.edge, line.delay_ps)
        levels = {what: line.threshold_v for what, line in lines.items()}
        if len(set(levels.values())) > 1:
            raise self._one_threshold(", ".join(f"{what} {level:g} V" for what, level in levels.items()))
        for level in set(levels.values()):
            self._set_level(level)
        self._enabled = set(self.channels.values())

    def _send_threshold(self, ch: int, volts: float) -> float:
        """Set the threshold of all inputs; the edge stays, which is that of its sign."""
        self._check(ch, volts, "FALLING" if (self._level_v or volts) < 0.0 else "RISING", 0)
        self._set_level(volts)
        return float(self._driver.level_v)

    def _send_delay(self, ch: int, delay_ps: int) -> None:
        """Nothing: the only delay that is allowed is none."""

    def _ask(self) -> SFifteenTDC:
        """Return the driver; raises ParameterError while it streams, when an answer would be lost among the words."""
        if self._recording is not None:
            raise ParameterError("a recording is in progress", where=self.name, remedy="End it first.")
        return self._driver

    def _check(self, ch: int, threshold_v: float, edge: Edge, delay_ps: int) -> None:
        self.within(threshold_v, _THRESHOLD_V, "V", whose="device limit")
        if edge not in ("RISING", "FALLING"):
            raise ParameterError(f"{edge!r} is no edge", where=self.name, remedy='Use "RISING" or "FALLING".')
        if ch not in tdc1.INPUTS:
            raise LimitError(f"there is no input {ch}", where=self.name, remedy="Nothing was sent.")
        if threshold_v == 0.0 or (threshold_v < 0.0) is not (edge == "FALLING"):
            asked = f"{threshold_v:g} V and a {edge.lower()} edge"
            raise LimitError(f"{asked}: a TDC1 finds falling edges below 0 V and rising ones above", where=self.name, remedy="Nothing was sent.")
        if delay_ps != 0:
            raise LimitError(f"a delay of {delay_ps} ps asked, a TDC1 has no delays", where=self.name, remedy='Use delay = "0 ns". Nothing was sent.')

    def _one_threshold(self, told: str) -> LimitError:
        return LimitError(f"all inputs of a TDC1 have one threshold: {told}", where=self.name, remedy="Give all inputs the same. Nothing was sent.")

    def _set_level(self, threshold_v: float) -> None:
        self._ask().level_v = threshold_v
        if abs(self._driver.level_v - threshold_v) > 0.01:
            raise DeviceFault("the threshold reads back otherwise", where=self.place, remedy="Check the ranges of the device.")
        self._level_v = threshold_v

    def _pieces(self, recording: WordRecording, count: int) -> Iterator[TagBatch]:
        return recording.batches()

    def _begin(self, width_ps: int, count: int | None) -> WordRecording:
        driver = self._ask()
        if self._level_v is None:
            raise ParameterError("no input was set up", where=self.name, remedy="Call configure_inputs() first.")
        channels = {what: ch for what, ch in self.channels.items() if ch in self._enabled}
        self._recording = WordRecording(driver, self._level_v, channels, width_ps, count, where=self.place)
        return self._recording

    def snapshot(self) -> dict[str, Scalar]:
        """Read clock and threshold; which inputs are in use."""
        found: dict[str, Scalar] = {"clock": self.clock, "threshold_v": float(self._ask().level_v)}
        for what, ch in self.channels.items():
            found |= {f"{what}_channel": ch, f"{what}_enabled": ch in self._enabled}
        return found

    def _make_safe(self) -> None:
        if self._recording is not None:
            self._recording.abandon()
        else:
            self._driver.halt()

    def is_safe(self) -> bool:
        """Read back that no tags are streamed."""
        return bool(self._driver.mode != tdc1.TIMESTAMP)

    def close(self) -> None:
        """End a recording and give the connection back."""
        try:
            self.abandon()
        finally:
            super().close()
