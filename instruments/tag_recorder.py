"""What the adapters of all time taggers do with a recording: whole windows, one at a time, ended on every way out, and asked what they lost."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, ClassVar

from ..core.errors import DeviceFault, ParameterError
from .role_adapter import RoleAdapter, narrowed
from .roles import TagBatch

PATIENCE_S = 5.0
LONGEST_S = 1e6
_THRESHOLD_STEP_V, _DELAY_STEP_S = 0.01, 1e-12


class TagRecorder(RoleAdapter):
    """Base of a `TagSource`. A subclass says how a recording begins (`_begin`), what its batches are (`_pieces`), and what is told at its end (`_last`).

    However a recording ends, complete or early, the tagger is asked whether tags are missing in what was read, before the next one clears its counters. Only
    one that has failed, or is given up by `abandon`, is not asked.
    sub_s: shortest and longest window (s).  A recording has `read(timeout_s)` and `abandon()`.
    thresholds_v, delays_s: lowest and highest that the device takes, at every input.
    """

    safe_step = 6
    sub_s: ClassVar[tuple[float, float]] = (0.02, 1000.0)
    thresholds_v: ClassVar[tuple[float, float]]
    delays_s: ClassVar[tuple[float, float]] = (0.0, 1e-3)
    _recording: Any = None
    _ending = False

    @property
    def channels(self) -> dict[str, int]:
        """Channel numbers by what is connected to them, from the station."""
        return dict(self._configured.wire.channel_map)

    @property
    def threshold_range_v(self) -> tuple[float, float]:
        """Lowest and highest threshold (V) of the device, within the station's limits."""
        return narrowed(self.thresholds_v, self.rules.limits.threshold_v)

    @property
    def delay_range_s(self) -> tuple[float, float]:
        """Shortest and longest delay (s) of the device, within the station's limits."""
        return narrowed(self.delays_s, self.rules.limits.delay_s)

    def set_threshold_v(self, ch: int, volts: float) -> None:
        """Set the threshold (V) of an input that is set up; everything else about it stays. Raises LimitError and ParameterError before anything is sent."""
        asked = self.within(volts, self.threshold_range_v, "V")
        self._refuse_second()
        self._set(f"threshold:{ch}", asked, lambda: self._send_threshold(ch, asked), _THRESHOLD_STEP_V)

    def set_delay_s(self, ch: int, seconds: float) -> None:
        """Set the delay (s, sent in whole picoseconds) of an input that is set up; raises LimitError and ParameterError before anything is sent."""
        asked_ps = round(self.within(seconds, self.delay_range_s, "s") * 1e12)
        self._refuse_second()
        self._set(f"delay:{ch}", asked_ps * 1e-12, lambda: self._send_delay(ch, asked_ps), _DELAY_STEP_S)

    def _set(self, quantity: str, asked: float, send: Callable[[], float | None], step: float) -> None:
        """Send what is asked, and compare it with what is read back, where anything is.  step: by which the two may differ."""
        self.noted(quantity, asked)
        found = send()
        if found is None:
            return
        self.noted(quantity, asked, found)
        if abs(found - asked) > step:
            raise DeviceFault(f"{quantity}: {asked:g} was asked for, {found:g} reads back", where=self.place, remedy="Check the ranges of the device.")

    @abstractmethod
    def _send_threshold(self, ch: int, volts: float) -> float | None:
        """Set the threshold of an input; return what reads back (V), None if nothing does."""

    @abstractmethod
    def _send_delay(self, ch: int, delay_ps: int) -> float | None:
        """Set the delay of an input; return what reads back (s), None if nothing does."""

    def record(self, duration_s: float, sub_s: float = 0.2) -> Generator[TagBatch, None, None]:
        """Record for at least a time and yield one batch per sub-acquisition.

        duration_s: rounded up to whole sub-acquisitions of sub_s.  After `end` the iterator tells what is left to tell of the batches read; closing it does so,
        too, but can only raise.  Raises LimitError before anything is sent, then what the tagger's own recording raises.
        """
        width_ps = self._width(sub_s)
        self.within(duration_s, (0.0, LONGEST_S), "s", whose="longest recording")
        return self._batches(width_ps, max(1, -int(-duration_s * 1e12 // width_ps)))

    def _batches(self, width_ps: int, count: int) -> Generator[TagBatch, None, None]:
        recording, self._ending = self._begin(width_ps, count), False
        try:
            for batch in self._pieces(recording, count):
                yield self.observed(self.channels, batch)
                if self._ending:
                    break
            for batch in self._last(recording):
                yield self.observed(self.channels, batch)
        except GeneratorExit:
            if self._recording is recording:
                self.stop()
            raise
        finally:
            if self._recording is recording:
                self.abandon()

    def end(self) -> None:
        """End the recording of `record` behind the batch read last: its iterator yields the gaps not told yet and ends, or raises what is wrong with it."""
        self._ending = True

    def start(self, sub_s: float = 0.2) -> None:
        """Begin an endless recording of sub-acquisitions of sub_s."""
        self._begin(self._width(sub_s), None)

    def read(self, timeout_s: float = PATIENCE_S) -> TagBatch:
        """Return the next batch of the recording that was started; raises Timeout."""
        if self._recording is None:
            raise ParameterError("no recording was started", where=self.name, remedy="Call start() first.")
        return self.observed(self.channels, self._recording.read(timeout_s))

    def stop(self) -> None:
        """End the recording that was started; without one nothing happens. Batches not read are given up.

        Raises Overflow or StreamMismatch if tags are missing in those read, an InstrumentError if the tagger does not say; it has ended all the same.
        """
        try:
            if self._recording is not None:
                for _ in self._last(self._recording):
                    pass
        finally:
            self.abandon()

    def abandon(self) -> None:
        """End a recording of which nothing is kept: the tagger is not asked what it lost. Without one nothing happens."""
        if self._recording is not None:
            recording, self._recording = self._recording, None
            recording.abandon()

    def _width(self, sub_s: float) -> int:
        return round(self.within(sub_s, self.sub_s, "s", whose="device limit") * 1e12)

    def _refuse_second(self) -> None:
        if self._recording is not None:
            raise ParameterError("a recording is in progress", where=self.name, remedy="End it first.")

    @abstractmethod
    def _begin(self, width_ps: int, count: int | None) -> Any:
        """Begin a recording of so many windows, None for no end, keep it in `_recording`, and return it."""

    @abstractmethod
    def _pieces(self, recording: Any, count: int) -> Iterator[TagBatch]:
        """Yield the batches of a recording."""

    def _last(self, recording: Any) -> Iterable[TagBatch]:
        """Yield the gaps of the batches read that are in none of them, and raise DataLoss; by default they are in them."""
        return ()
