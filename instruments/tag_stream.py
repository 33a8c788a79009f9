"""One recording of an ID900: streams opened, sub-acquisitions merged into batches, counters compared at the end."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from ..core.errors import BadReply, ClockLost, DataLoss, Disconnected, InstrumentError, LimitError, NotMonotonic, Overflow, Rejected, StreamMismatch, Timeout
from .idq import ID900, free_port
from .links import told
from .roles import Gap, TagBatch, WireCount
from .socket_links import ZmqLink, import_zmq
from .wire import id900

HIGH_WATER = 4
"""Messages a stream may hold unread; a simulated bench waits when it is full."""
PATIENCE_S = 10.0
_LOOK_S = 1.0
"""How long to wait before the device is asked how it is, at a timeout of 1 s."""
_PORT_TRIES = 3


class Recording:
    """A recording in progress.

    driver: with its inputs configured; the host of its data link serves the streams.  channels: the tagger's channel numbers.
    width_ps: length of a sub-acquisition.  count: how many, None for endless.  where: instrument and address, for messages.
    The recording runs once the constructor returns; raises an InstrumentError.
    """

    def __init__(self, driver: ID900, channels: Sequence[int], width_ps: int, count: int | None, *, where: str) -> None:
        self._driver, self._channels, self._where = driver, tuple(channels), where
        self._width_ps, self._period_ps, self._count = width_ps, width_ps + id900.MIN_DEAD_PS, count
        self._look_s = _LOOK_S * getattr(driver.adapter, "timeout_s", 1.0)
        self._next = 0
        self._messages, self._stamps = dict.fromkeys(self._channels, 0), dict.fromkeys(self._channels, 0)
        self._held: dict[int, NDArray[np.int64]] = {}
        self._streams: dict[int, str] = {}
        self._received = 0
        self._playing, self._closed = False, False
        zmq = import_zmq(where)
        self._zmq, self._context = zmq, zmq.Context.instance()
        self._sockets = {channel: self._context.socket(zmq.PAIR) for channel in self._channels}
        try:
            self._begin()
        except BaseException:
            self.abandon()
            raise

    @property
    def wire(self) -> WireCount:
        """Return the bytes received on the streams."""
        return WireCount(0, self._received)

    @property
    def complete(self) -> bool:
        """Say whether every sub-acquisition of a finite recording has been read."""
        return self._count is not None and self._next >= self._count

    def _begin(self) -> None:
        for channel in self._channels:
            self._driver.inputs[channel].link_stream()
        self._driver.arm(self._count, self._width_ps, self._period_ps)
        for channel in self._channels:
            self._driver.inputs[channel].clear_lost()
        for channel in self._channels:
            self._open_stream(channel)
        for channel in self._channels:
            self._driver.inputs[channel].send(True)
        self._reference = self._driver.reference
        self._playing = True
        self._driver.play()

    def _open_stream(self, channel: int) -> None:
        datalink: ZmqLink = self._driver.datalink
        device: ZmqLink = self._driver.adapter
        for attempt in range(_PORT_TRIES):
            port = free_port()
            try:
                self._streams[channel] = self._driver.start_stream(device.host, channel, port)
                break
            except Rejected:
                if attempt == _PORT_TRIES - 1:
                    raise
        connection = self._sockets[channel]
        connection.setsockopt(self._zmq.RCVHWM, HIGH_WATER)
        connection.setsockopt(self._zmq.LINGER, 0)
        connection.connect(f"tcp://{datalink.host}:{port}")

    def read(self, budget_s: float = PATIENCE_S) -> TagBatch:
        """Return the next sub-acquisition: the events of all channels in order of time, and the dead time behind it as a gap.

        Raises Timeout after the budget, and the next call goes on where this one was. The recording has ended behind a StreamMismatch if the device stopped
        playing or somebody else ended it, NotMonotonic, ClockLost if it changed to another clock, LimitError for too many events at once, BadReply.
        """
        if self._closed:
            raise StreamMismatch(f"the recording was ended after {self._next} sub-acquisitions", where=self._where, remedy="Measure again.")
        try:
            return self._batch(time.monotonic() + budget_s)
        except (DataLoss, LimitError, BadReply):
            self.abandon()
            raise

    def _batch(self, deadline: float) -> TagBatch:
        for channel in self._channels:
            if channel not in self._held:
                self._held[channel] = self._message(channel, deadline)
        if (now := self._driver.reference) != self._reference:
            raise ClockLost(f"the clock was {self._reference} and is {now} now", where=self._where, remedy="Connect the reference and measure again.")
        pieces, self._held = [self._held[channel] for channel in self._channels], {}
        begin = self._next * self._period_ps
        end = begin + self._width_ps
        times = np.concatenate(pieces)
        order = np.argsort(times, kind="stable")
        channels = np.repeat(np.array(self._channels, np.uint8), [piece.size for piece in pieces])
        self._next += 1
        gaps = (Gap(end, begin + self._period_ps, "dead-time"),)
        return TagBatch(self._next - 1, times[order] + begin, channels[order], begin, end, gaps)

    def _message(self, channel: int, deadline: float) -> NDArray[np.int64]:
        connection, idle = self._sockets[channel], 0
        while not connection.poll(round(1000 * max(0.0, min(self._look_s, deadline - time.monotonic())))):
            if time.monotonic() >= deadline:
                raise Timeout(f"no tags of channel {channel}", where=self._where, remedy="Check that the device is recording.")
            # A dead device is noticed here, by its silence on the control connection; one that has stopped may still have messages on their way.
            idle = idle + 1 if self._driver.stage != "PLAYING" else 0
            if idle > 1:
                raise StreamMismatch(f"channel {channel} ended after {self._next} sub-acquisitions", where=self._where, remedy="Measure again.")
        stamps = self._taken(channel)
        if stamps.size > id900.MAX_STAMPS_PER_MESSAGE:
            raise LimitError(f"{stamps.size:,} events in one sub-acquisition", where=self._where, remedy="Attenuate the light or record shorter ones.")
        if stamps.size and (np.any(np.diff(stamps) < 0) or stamps[-1] >= self._width_ps):
            raise NotMonotonic(f"the times of channel {channel} do not fit their sub-acquisition", where=self._where, remedy="Check the device's clock.")
        return stamps

    def _taken(self, channel: int) -> NDArray[np.int64]:
        """Take the message that has come, and count it."""
        message = self._sockets[channel].recv()
        self._received += len(message)
        with told(self._where):
            stamps = id900.decode_stamps(message)
        self._messages[channel] += 1
        self._stamps[channel] += stamps.size
        return stamps

    def finish(self) -> Iterator[TagBatch]:
        """End the recording, complete or not, compare the device's counters with what arrived, and close the streams.

        What is still on its way counts as arrived and is given up. The device does not say when it lost something: yields one last empty batch with a gap over
        the whole recording if it did, then raises Overflow.  Raises StreamMismatch if the counters differ.  Behind `abandon` nothing is told.
        """
        if self._closed:
            return
        try:
            self._halt()
            lost, differing = self._compared()
        finally:
            self.abandon()
        if lost:
            end = self._next * self._period_ps
            empty = np.empty(0, np.int64)
            yield TagBatch(self._next, empty, np.empty(0, np.uint8), end, end, (Gap(0, end, "device-error", lost),))
            raise Overflow(f"the tagger's buffer ran over, {lost:,} events are lost", where=self._where, remedy="Attenuate the light and measure again.")
        if differing:
            raise StreamMismatch(differing, where=self._where, remedy="Measure again.")

    def _compared(self) -> tuple[int, str]:
        """Return how many events the device lost, and what of the rest did not arrive."""
        lost, differing = 0, ""
        for channel in self._channels:
            messages, stamps = self._driver.stream_counts(self._streams[channel])
            while self._messages[channel] < messages and self._sockets[channel].poll(round(1000 * self._look_s)):
                self._taken(channel)
            arrived = self._messages[channel], self._stamps[channel]
            if (messages, stamps) != arrived:
                differing = f"channel {channel}: {stamps:,} events in {messages} messages were sent, {arrived[1]:,} in {arrived[0]} arrived"
            self._driver.inputs[channel].send(False)
            lost += int(self._driver.inputs[channel].lost)
        return lost, differing

    def _halt(self) -> None:
        self._driver.halt()
        deadline = time.monotonic() + self._look_s
        while self._driver.stage == "PLAYING":
            if time.monotonic() > deadline:
                raise Timeout("the recording does not stop", where=self._where, remedy="Restart the device.")
            time.sleep(0.01)
        self._playing = False

    def abandon(self) -> None:
        """Close everything that is open, whatever state it is in; a device that no longer answers is left, and none is asked what it lost."""
        self._closed = True
        with contextlib.suppress(InstrumentError):
            if self._playing:
                self._driver.halt()
        self._playing = False
        try:
            while self._streams:
                channel, stream = self._streams.popitem()
                self._driver.inputs[channel].send(False)
                self._driver.stop_stream(stream)
        except (Timeout, Disconnected):
            self._streams.clear()
        except InstrumentError:
            self.abandon()
        finally:
            for socket in self._sockets.values():
                socket.close(linger=0)
