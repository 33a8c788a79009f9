"""A session with real instruments as a file: every byte that passed a link, in which direction, at what time. It can be replayed as devices (`mocks.replay`).

    with recording("session.jsonl", station), open_bench(station.path) as bench:
        ...

The format is that of `wire.session`. What could be secret does not reach the file: of waveforms (they are phases), of long messages, and of bytes that are no
text, from or to waveform sources and taggers (they are key in the making), only the length is kept. Streams of tags do not pass a link and are not recorded.
"""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from ..core.errors import BenchError, StorageError
from .station import Station
from .wire import session
from .wire.session import Segment

SECRET_ROLES = ("WaveformSource", "TagSource")
LONGEST = 512
"""Bytes of a message of a secret role that are surely no samples."""
SHOWN = 64
"""Bytes of a longer one that are shown."""
_BLOCK = re.compile(rb"#([1-9])")
_HEADER_BEGUN = re.compile(rb"#(?:[1-9][0-9]*)?\Z")
_TEXT = re.compile(rb"[\t\r\n -~]*")


class Mask:
    """Cuts secrets out of what passes in one direction, in whatever pieces it comes.

    These are the payload of every block `#<d><length>`, and outside blocks the rest of a long message, and of any message all from a byte on that is no text.
    A message lasts until the other side speaks, which `turn` says.  lines: it also ends where a piece ends with a line, as commands do.
    """

    def __init__(self, *, lines: bool = False) -> None:
        self._lines = lines
        self._left, self._header = 0, b""
        self._length, self._binary = 0, False

    def turn(self) -> None:
        """Say that a new message begins."""
        self._length, self._binary = 0, False

    def segments(self, data: bytes) -> Iterator[Segment]:
        """Yield what may be seen, and the length of what may not."""
        while data:
            if self._left:
                hidden = min(self._left, len(data))
                self._left -= hidden
                yield hidden
            else:
                hidden, self._left, self._header = _until_block(self._header, data)
                yield from self._outside(data[:hidden])
            data = data[hidden:]

    def _outside(self, data: bytes) -> Iterator[Segment]:
        """Yield what may be seen of bytes that are in no block."""
        match = _TEXT.match(data)
        clear = match.end() if match and not self._binary else 0
        self._binary |= clear < len(data)
        if self._length + len(data) > LONGEST:
            clear = min(clear, max(0, SHOWN - self._length))
        self._length += len(data)
        if clear:
            yield data[:clear]
        if clear < len(data):
            yield len(data) - clear
        if self._lines and not self._binary and data.endswith(b"\n"):
            self.turn()


def _until_block(header: bytes, data: bytes) -> tuple[int, int, bytes]:
    """Return how many bytes end with the header of the first block, and the length of its payload; all of them and 0 where there is none.

    header: what the piece before ended with of a header.  Returns that of this one besides.
    """
    whole = header + data
    for match in _BLOCK.finditer(whole):
        digits = whole[match.end() : match.end() + int(match[1])]
        if len(digits) == int(match[1]) and digits.isdigit():
            return match.end() + len(digits) - len(header), int(digits), b""
    begun = _HEADER_BEGUN.search(whole)
    return len(data), 0, begun.group() if begun else b""


class Tape:
    """What one link tells about its bytes; outside a recording, nobody."""

    def opened(self) -> None:
        """Say that the connection was opened, or opened anew."""

    def sent(self, data: bytes) -> None:
        """Say what went to the device."""

    def received(self, data: bytes) -> None:
        """Say what came from the device."""


class _Recording(Tape):
    def __init__(self, recorder: Recorder, name: str, port: str, role: str, transport: str) -> None:
        self._recorder, self._place = recorder, {"name": name, "port": port}
        self._opens = {"opens": transport, "role": role}
        self._secret = role in SECRET_ROLES
        self.opened()

    def opened(self) -> None:
        self._masks, self._speaks = {"sent": Mask(lines=True), "received": Mask()}, ""
        self._recorder.write({**self._place, **self._opens})

    def sent(self, data: bytes) -> None:
        self._passed("sent", data)

    def received(self, data: bytes) -> None:
        self._passed("received", data)

    def _passed(self, way: str, data: bytes) -> None:
        if not data:
            return
        if way != self._speaks:
            self._speaks = way
            self._masks[way].turn()
        segments = self._masks[way].segments(data) if self._secret else (data,)
        self._recorder.write({**self._place, way: session.as_json(segments)})


class Recorder:
    """Writes a session file.  lines: written so far, without the head."""

    def __init__(self, file: IO[str], station: Station) -> None:
        self._file = file
        self._began = time.monotonic()
        self._lock = threading.Lock()
        self._places: dict[str, tuple[str, str, str]] = {}
        self.lines = 0
        drivers = {name: entry.wire.driver for name, entry in station.instruments.items()}
        head = {"schema": session.SCHEMA, "recorded": datetime.now(UTC).isoformat(timespec="seconds"), "station_sha256": station.sha256, "drivers": drivers}
        file.write(json.dumps(head) + "\n")

    def expect(self, name: str, role: str, addresses: Mapping[str, str]) -> None:
        """Say whose links the next ones to these addresses are."""
        for port, address in addresses.items():
            first, its_port, _ = self._places.setdefault(address, (name, port, role))
            if first != name:
                # The parts of one unit share its link, whoever opened it first.
                self.write({"name": name, "port": port, "shares": [first, its_port]})

    def tape(self, address: str, transport: str) -> Tape:
        """Return what a link to an address tells its bytes; of an address that nobody expects nothing is recorded."""
        return _Recording(self, *self._places[address], transport) if address in self._places else Tape()

    def write(self, line: Mapping[str, Any]) -> None:
        """Add a line with the time (s) since the beginning."""
        with self._lock:
            if not self._file.closed:
                self._file.write(json.dumps({"t_s": round(time.monotonic() - self._began, 6), **line}) + "\n")
                self.lines += 1


_current: list[Recorder] = []


@contextmanager
def recording(path: str | Path, station: Station) -> Iterator[Recorder]:
    """Record all links that are opened by `connect` or `open_bench` in this process meanwhile, into a new file that only its user can read.

    Raises StorageError if the file is there or cannot be written; BenchError if a recording is going on already, and at the end if nothing was recorded.
    """
    if _current:
        raise BenchError("a session is being recorded already", where=str(path), remedy="End that one first.")
    try:
        file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w", encoding="ascii", buffering=1)
    except OSError as error:
        raise _unwritten(path, error) from error
    # A file in which nothing was recorded goes again: it would be in the way of another try.
    with ExitStack() as empty:
        empty.callback(Path(path).unlink, missing_ok=True)
        # What is left in its buffer is of no more use.
        empty.callback(_closed, file)
        try:
            recorder = Recorder(file, station)
        except OSError as error:
            raise _unwritten(path, error) from error
        _current.append(recorder)
        try:
            yield recorder
        finally:
            _current.remove(recorder)
            if recorder.lines:
                empty.pop_all()
                file.close()
    if not recorder.lines:
        raise BenchError("nothing was recorded: another process owns the bench, or nothing was opened", where=str(path), remedy="End the owner first.")


def _closed(file: IO[str]) -> None:
    with suppress(OSError):
        file.close()


def _unwritten(path: str | Path, error: OSError) -> StorageError:
    return StorageError(f"the session cannot be written ({error.strerror})", where=str(path), remedy="Choose another name or disk, or remove the file.")


def expect(name: str, role: str, addresses: Mapping[str, str]) -> None:
    """Tell the recording that goes on, if any, whose links the next ones to these addresses are."""
    for recorder in _current:
        recorder.expect(name, role, addresses)


def tape(address: str, transport: str) -> Tape:
    """Return what a link that is just opened tells its bytes.  transport: `serial`, `socket`, `tcp` or `zmq`."""
    for recorder in _current:
        return recorder.tape(address, transport)
    return Tape()
