"""The column of the fault matrix whose driver speaks through a vendor's library: what the library may do wrong, with the light of the one optical world."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from heliograph.core.errors import Disconnected, HeliographError, InstrumentLocked
from heliograph.instruments import catalogue
from heliograph.instruments.connect import Instruments
from heliograph.instruments.station import Station, default_text
from heliograph.mocks.layout import Layout
from heliograph.mocks.time_tagger import Buffer, Stream, TimeTaggerModule
from heliograph.mocks.world import World

from . import fault_cells as cells

SECONDS = 0.2
"""Light of a recording; a buffer of the stand-in holds 20 ms."""
EDGES = 20_000
"""Sync edges in it."""
LONGEST_S = 5 * cells.TIMEOUT_S + 1.5
ADDRESSES = {"resource": "swabian:2611"}

Change = Callable[["FaultyStream", Buffer], Buffer]
NOTHING = Buffer(*(np.empty(0, np.int64) for _ in range(4)))


def station() -> Station:
    lines = [line for line in default_text().decode().splitlines() if not line.startswith("tagger.")]
    at = lines.index("[optics]")
    new = [
        'tagger.wire = { role = "TagSource", driver = "SwabianTagger", resource = "swabian:2611", map = { D1 = 1, D2 = 2, sync = 3 } }',
        f'tagger.rules = {{ timeout = "{cells.TIMEOUT_S} s", clock = "external" }}',
    ]
    return Station.parse("\n".join([*lines[:at], *new, *lines[at:]]).encode(), Path("matrix.toml"))


class FaultyStream:
    """A stream of the library whose third buffer and those behind it meet a fault."""

    def __init__(self, stream: Stream, module: FaultyModule) -> None:
        self._stream, self._module, self._looks = stream, module, 0
        self.kept = NOTHING
        self.left = 0

    def getData(self) -> Buffer:  # noqa: N802
        self._looks += 1
        change = self._module.change
        if change is None or self._looks < 3:
            return self._joined(self._stream.getData())
        self._module.struck += 1
        return change(self, self._stream.getData())

    def _joined(self, buffer: Buffer) -> Buffer:
        kept, self.kept = self.kept, NOTHING
        return joined(kept, buffer)

    def hold(self, buffer: Buffer) -> Buffer:
        """Keep a buffer for later and hand over nothing."""
        self.kept = joined(self.kept, buffer)
        return NOTHING

    def give(self, buffer: Buffer) -> Buffer:
        """Hand over a buffer with what was kept."""
        return self._joined(buffer)


class FaultyModule(TimeTaggerModule):
    """The stand-in of the library, with a fault in its streams."""

    change: Change | None = None
    struck = 0

    def TimeTagStream(self, tagger: Any, n_max_events: int, channels: Any) -> Any:  # noqa: N802
        return FaultyStream(super().TimeTagStream(tagger, n_max_events, channels), self)


def joined(first: Buffer, then: Buffer) -> Buffer:
    return Buffer(*(np.concatenate([getattr(first, name), getattr(then, name)]) for name in ("times", "channels", "types", "missed")))


def with_times(buffer: Buffer, times: Any) -> Buffer:
    """Return a buffer with times that are none."""
    return replace(buffer, times=times)


def held(number: int) -> Change:
    """Let so many looks find nothing; what was there then comes with the next."""

    def change(stream: FaultyStream, buffer: Buffer) -> Buffer:
        stream.left += 1
        return stream.hold(buffer) if stream.left <= number else stream.give(buffer)

    return change


def byte_by_byte(stream: FaultyStream, buffer: Buffer) -> Buffer:
    """Hand over the half that came first, and the rest with the next look."""
    whole, half = stream.give(buffer), buffer.times.size // 2
    first, rest = (Buffer(*(getattr(whole, name)[part] for name in Buffer.__slots__)) for part in (slice(half), slice(half, None)))
    stream.hold(rest)
    return first


def raised(error: Exception) -> Change:
    def change(_stream: FaultyStream, _buffer: Buffer) -> Buffer:
        raise error

    return change


def slowly(_stream: FaultyStream, buffer: Buffer) -> Buffer:
    time.sleep(0.01)
    return buffer


FAULTS: dict[str, Change] = {
    "one lost": held(1),
    "ten lost": held(10),
    "lost": lambda _stream, _buffer: NOTHING,
    "stale": held(1),
    "partial": lambda _stream, buffer: replace(buffer, channels=buffer.channels[: buffer.channels.size // 2]),
    "trickle": byte_by_byte,
    "latency": slowly,
    "garbage": lambda _stream, buffer: replace(buffer, types=buffer.types + 77),
    "glued": lambda _stream, buffer: joined(buffer, buffer),
    "nan": lambda _stream, buffer: with_times(buffer, buffer.times * np.nan),
    "overflow": lambda _stream, buffer: with_times(buffer, buffer.times * 0.0 + 9.9e37),
    "text": lambda _stream, buffer: with_times(buffer, buffer.times.astype(str)),
    "empty": held(1),
    "nack": raised(ValueError("not now")),
    "disconnect": raised(RuntimeError("the device is gone")),
    "in block": raised(OSError("USB error")),
    "restart": raised(RuntimeError("the device was reset")),
}
COLUMN = cells.FULL["SwabianTagger"]


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FaultyModule:
    monkeypatch.setenv("HELIOGRAPH_RUNTIME_DIR", str(tmp_path))
    found = FaultyModule(World(Layout.of(station().plain())), {1: "D1", 2: "D2", 3: "sync"})
    monkeypatch.setitem(sys.modules, "Swabian.TimeTagger", None)
    monkeypatch.setitem(sys.modules, "TimeTagger", found)
    return found


@pytest.fixture
def tagger(module: FaultyModule) -> Iterator[Any]:
    opened: Any = catalogue.open_instrument("tagger", station().instruments["tagger"], ADDRESSES, station="matrix.toml")
    opened.configure_inputs()
    yield opened
    opened.close()


def recorded(tagger: Any) -> tuple[set[str], int]:
    """Return what a recording comes to, `right` if no edge is missing, and how many sync edges it has."""
    edges = 0
    try:
        for batch in tagger.record(SECONDS, 0.02):
            assert np.all(np.diff(batch.t_ps) >= 0)
            edges += int((batch.ch == 3).sum())
    except HeliographError as error:
        return ({kind.__name__ for kind in type(error).__mro__} if error.where else {"an error without a place"}), edges
    return ({"right"} if abs(edges - EDGES) <= 1 else {f"wrong: {edges}"}), edges


def test_every_row_that_is_tested_has_its_fault():
    special = {"identity", "second"}
    assert {row for row, cell in COLUMN.items() if not isinstance(cell, str)} == {*FAULTS, *special}


@pytest.mark.parametrize("row", FAULTS)
def test_a_fault_of_the_library_is_one_typed_error_in_time_and_the_next_recording_is_whole(tagger, module, row):
    module.change = FAULTS[row]
    begin = time.monotonic()

    given, _ = recorded(tagger)

    assert module.struck >= 1
    assert given & set(COLUMN[row]), given
    assert time.monotonic() - begin < LONGEST_S
    assert tagger.is_safe()
    module.change = None
    if row in ("restart", "disconnect"):
        tagger.configure_inputs()
    assert recorded(tagger)[0] == {"right"}


def test_another_device_is_not_opened(module):
    module.serial = "9999"
    begin = time.monotonic()
    with pytest.raises(Disconnected) as caught:
        catalogue.open_instrument("tagger", station().instruments["tagger"], ADDRESSES, station="matrix.toml")
    assert time.monotonic() - begin < LONGEST_S
    assert set(COLUMN["identity"]) == {type(caught.value).__name__}


def test_a_second_master_is_told_who_has_it(module):
    first, second = Instruments(station()), Instruments(station())
    first.add("tagger", ADDRESSES)
    begin = time.monotonic()
    with pytest.raises(InstrumentLocked):
        second.add("tagger", ADDRESSES)
    assert time.monotonic() - begin < LONGEST_S
    second.close()
    first["tagger"].configure_inputs()
    assert recorded(first["tagger"])[0] == {"right"}
    first.close()
