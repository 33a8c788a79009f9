"""Swabian Time Taggers, through the vendor's library, which is imported when an instrument is opened.

Of the library only these are used: `createTimeTagger`, `createTimeTaggerNetwork`, `freeTimeTagger`; of the tagger `setStreamBlockSize`, `setTestSignal`,
`setConditionalFilter`, `setTriggerLevel`, `setInputDelay`; `TimeTagStream` with `getData`, and of its buffers `getTimestamps`, `getChannels`, `getEventTypes`,
`getMissedEvents`. None of them reads a setting back.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Literal, Self
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from ..core.errors import BadReply, ConfigError, DataLoss, DependencyMissing, Disconnected, LimitError, ParameterError, Rejected, StreamMismatch, Timeout
from .event_stream import EventBatches, EventType
from .roles import Edge, Identity, Scalar, TagBatch, WireCount
from .station_models import InstrumentEntry
from .tag_recorder import PATIENCE_S, TagRecorder

BLOCK_EVENTS, BLOCK_MS = 131_072, 20
"""The library hands over tags after so many, or after so long."""
BUFFER_EVENTS = 10_000_000
"""Tags that the library keeps for us; where they were not fetched in time, the rest is lost."""
_POLL_S = 0.005
_TAG_BYTES = 16
_THRESHOLD_V = (-2.5, 2.5)
_DELAY_PS = (0, 10**9)
_MODULES = ("Swabian.TimeTagger", "TimeTagger")


def library(where: str) -> Any:
    """Return the vendor's module; raises DependencyMissing where it is not installed, or its own libraries are not."""
    for name in _MODULES:
        try:
            return import_module(name)
        except (ImportError, OSError) as error:
            last = error
    raise DependencyMissing(
        f"the vendor's library is needed for this instrument ({last})", where=where, remedy="Install it with `pip install heliograph[swabian]`."
    ) from last


@contextmanager
def vendor_errors(where: str) -> Iterator[None]:
    """Turn what the library raises into Rejected and Disconnected."""
    try:
        yield
    except ValueError as error:
        raise Rejected(str(error), where=where, remedy="Check the channels and ranges of this model.") from error
    except (RuntimeError, OSError) as error:
        raise Disconnected(str(error), where=where, remedy="Check cable, power and serial number, and that no other program has it.") from error


class Handle:
    """An open tagger of the library, in the place of a driver and its adapter.  where: instrument and address, for messages.  events: fetched so far."""

    def __init__(self, module: Any, tagger: Any, where: str) -> None:
        self.module, self.tagger, self.where = module, tagger, where
        self.events = 0
        self._open = True

    @property
    def adapter(self) -> Handle:
        """Return itself."""
        return self

    @property
    def wire(self) -> WireCount:
        """Return the bytes of the tags received; what else the library exchanges with the device is not known."""
        return WireCount(0, self.events * _TAG_BYTES)

    def write(self, command: str) -> None:
        """Raise ParameterError: the library passes nothing on."""
        raise ParameterError("a Time Tagger takes no text", where=self.where, remedy="Use the calls of its driver.")

    def write_bytes(self, content: bytes) -> None:
        """Raise ParameterError, as `write` does."""
        self.write("")

    def listen(self, seconds: float) -> bytes:
        """Raise ParameterError, as `write` does."""
        self.write("")
        return b""

    def close(self) -> None:
        """Free the tagger; a second call does nothing."""
        if self._open:
            self._open = False
            with vendor_errors(self.where):
                self.module.freeTimeTagger(self.tagger)


class SwabianTagger(TagRecorder):
    """A Time Tagger as a `TagSource`. Safe: no stream.

    Its resource is `swabian:SERIAL`, `swabian:` for the first one there is, or `swabian://host:port` for one that a server shares. An input that finds falling
    edges is a channel of its own with a negative number in the library; batches have the positive one. With an input `frame` in the map a recording begins at
    its first tag, else with the first tag of all; nothing is lost between windows. What the library says of missing tags stands in the stream, behind the time
    they are missing from, and a batch waits for it: the end of a recording has nothing to add.
    """

    thresholds_v = _THRESHOLD_V
    _driver: Handle
    _recording: EventRecording | None = None

    def __init__(self, name: str, configured: InstrumentEntry, driver: Handle, *, station: str, serial: str = "") -> None:
        super().__init__(name, configured, driver, station=station)
        self._serial = serial
        self._lines: dict[int, dict[str, Any]] = {}

    @classmethod
    def open(cls, name: str, configured: InstrumentEntry, addresses: Mapping[str, str], *, station: str) -> Self:
        """Import the library and open the tagger; raises DependencyMissing, ConfigError, Disconnected."""
        resource = addresses["resource"]
        where, parts = f"{name} ({resource})", urlsplit(resource)
        if parts.scheme != "swabian":
            raise ConfigError(f"{resource!r} is no address of a Time Tagger", where=f"{station}: instruments.{name}", remedy='Write it as "swabian:SERIAL".')
        module = library(where)
        with vendor_errors(where):
            tagger = module.createTimeTaggerNetwork(parts.netloc) if parts.netloc else module.createTimeTagger(parts.path)
            tagger.setStreamBlockSize(BLOCK_EVENTS, BLOCK_MS)
        return cls(name, configured, Handle(module, tagger, where), station=station, serial=parts.path)

    def identify(self) -> Identity:
        """Return who was opened: the library opens no other than the serial number asked for."""
        return Identity("Swabian Instruments", "Time Tagger", self._serial, "")

    @property
    def clock(self) -> Literal["internal", "external"]:
        """Reference in use, as the station says: the library's calls that are used here do not tell."""
        return self.rules.clock or "internal"

    def configure(self, ch: int, threshold_v: float, edge: Edge, delay_ps: int, enabled: bool) -> None:
        """Set up an input (threshold in V, delay in whole ps), without test signal; raises LimitError before anything is sent, Rejected. Nothing reads back."""
        self.within(threshold_v, _THRESHOLD_V, "V", whose="device limit")
        if edge not in ("RISING", "FALLING"):
            raise ParameterError(f"{edge!r} is no edge", where=self.name, remedy='Use "RISING" or "FALLING".')
        if isinstance(delay_ps, bool) or delay_ps != int(delay_ps) or not _DELAY_PS[0] <= delay_ps <= _DELAY_PS[1]:
            raise LimitError(
                f"a delay of {delay_ps} ps asked, whole numbers from 0 to {_DELAY_PS[1]:,} ps are possible", where=self.name, remedy="Nothing was sent."
            )
        if not 1 <= ch <= 255:
            raise LimitError(f"there is no input {ch}", where=self.name, remedy="Nothing was sent.")
        self._lines.pop(ch, None)
        if not enabled:
            return
        number = -ch if edge == "FALLING" else ch
        with vendor_errors(self.place):
            # A test signal that somebody left on would be taken for light.
            self._driver.tagger.setTestSignal(ch, False)
            self._driver.tagger.setTriggerLevel(ch, float(threshold_v))
            self._driver.tagger.setInputDelay(number, int(delay_ps))
        self._lines[ch] = {"number": number, "threshold_v": float(threshold_v), "edge": edge, "delay_ps": int(delay_ps)}

    def configure_inputs(self) -> None:
        """Set up every input of the station's map as its `inputs` say, and switch off a filter that somebody may have left on."""
        with vendor_errors(self.place):
            self._driver.tagger.setConditionalFilter([], [])
        for what, ch in self.channels.items():
            line = self.rules.input_of(what)
            self.configure(ch, line.threshold_v, line.edge, line.delay_ps, True)

    def _send_threshold(self, ch: int, volts: float) -> None:
        line = self._line(ch)
        with vendor_errors(self.place):
            self._driver.tagger.setTriggerLevel(ch, volts)
        line["threshold_v"] = volts

    def _send_delay(self, ch: int, delay_ps: int) -> None:
        line = self._line(ch)
        with vendor_errors(self.place):
            self._driver.tagger.setInputDelay(line["number"], delay_ps)
        line["delay_ps"] = delay_ps

    def _line(self, ch: int) -> dict[str, Any]:
        if ch not in self._lines:
            raise ParameterError(f"input {ch} was not set up", where=self.name, remedy="Call configure_inputs() first.")
        return self._lines[ch]

    def test_signal(self, ch: int, on: bool) -> None:
        """Switch the device's own test signal at an input, for a look at the tagger without light; `configure` switches it off."""
        with vendor_errors(self.place):
            self._driver.tagger.setTestSignal(ch, bool(on))

    def _pieces(self, recording: EventRecording, count: int) -> Iterator[TagBatch]:
        for _ in range(count):
            yield recording.read(PATIENCE_S * (self.rules.timeout_s or 1.0))

    def _begin(self, width_ps: int, count: int | None) -> EventRecording:
        self._refuse_second()
        channels = {what: ch for what, ch in self.channels.items() if ch in self._lines}
        if not channels:
            raise ParameterError("no input was set up", where=self.name, remedy="Call configure_inputs() first.")
        with vendor_errors(self.place):
            stream = self._driver.module.TimeTagStream(self._driver.tagger, BUFFER_EVENTS, [self._lines[ch]["number"] for ch in channels.values()])
        self._recording = EventRecording(self._driver, stream, EventBatches(width_ps, channels))
        return self._recording

    def snapshot(self) -> dict[str, Scalar]:
        """Return what was set; nothing of it can be read back."""
        found: dict[str, Scalar] = {"clock": self.clock, "block_events": BLOCK_EVENTS, "block_ms": BLOCK_MS}
        for what, ch in self.channels.items():
            line = self._lines.get(ch)
            found |= {f"{what}_channel": ch, f"{what}_enabled": line is not None}
            if line is not None:
                found |= {f"{what}_{field}": line[field] for field in ("threshold_v", "edge", "delay_ps")}
        return found

    def _make_safe(self) -> None:
        if self._recording is not None:
            self._recording.abandon()

    def is_safe(self) -> bool:
        """Say whether no stream is open."""
        return self._recording is None or self._recording.ended

    def close(self) -> None:
        """End a recording and free the tagger."""
        self.abandon()
        super().close()


class EventRecording:
    """A recording in progress.  stream: of the library.  `abandon` may be called from any thread."""

    def __init__(self, driver: Handle, stream: Any, batches: EventBatches) -> None:
        self._driver, self._stream, self._batches, self._where = driver, stream, batches, driver.where
        self._ready: list[TagBatch] = []

    @property
    def ended(self) -> bool:
        """Say whether the stream was given up."""
        return self._stream is None

    def read(self, budget_s: float) -> TagBatch:
        """Return the next batch.

        Raises Timeout if for the budget no tags come, or none that a batch could be made of: before the frame trigger, in an overflow without end.
        Raises Disconnected, NotMonotonic, StreamMismatch if the recording was ended.
        """
        deadline = time.monotonic() + budget_s
        while not self._ready:
            known_ps = self._batches.windows.known_ps
            fetched = self._fetch()
            if self._batches.windows.known_ps > known_ps:
                deadline = time.monotonic() + budget_s
            elif time.monotonic() > deadline:
                began = "" if self._batches.windows.started else " with which the recording could begin"
                raise Timeout(f"no tags come{began}", where=self._where, remedy="Check inputs and thresholds, and the frame trigger if it is in the map.")
            elif not fetched:
                time.sleep(_POLL_S)
        return self._ready.pop(0)

    def _fetch(self) -> bool:
        """Take what the library has; return whether there was anything."""
        stream = self._stream
        if stream is None:
            raise StreamMismatch("the recording was ended", where=self._where, remedy="Measure again.")
        with vendor_errors(self._where):
            data = stream.getData()
            columns = [np.asarray(column) for column in (data.getTimestamps(), data.getChannels(), data.getEventTypes(), data.getMissedEvents())]
        self._check(columns)
        try:
            self._ready += self._batches.feed(*columns)
        except DataLoss as error:
            error.where = error.where or self._where
            raise
        if columns[0].size >= BUFFER_EVENTS:
            self._batches.cut()
        self._driver.events += columns[0].size
        return bool(columns[0].size)

    def _check(self, columns: list[NDArray[Any]]) -> None:
        """Raise BadReply for a buffer that cannot be one of tags."""
        whole = all(column.ndim == 1 and column.size == columns[0].size and (column.dtype.kind in "iu" or not column.size) for column in columns)
        if not whole or not np.isin(columns[2], list(EventType)).all():
            kinds = ", ".join(f"{column.size} x {column.dtype}" for column in columns)
            raise BadReply(f"a buffer of {kinds} is none of tags", where=self._where, remedy="Check the version of the library.")

    def abandon(self) -> None:
        """Give the stream up; the library ends it when nothing refers to it."""
        self._stream = None
