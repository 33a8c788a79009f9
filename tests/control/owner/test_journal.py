"""Events that outlive the process, whatever happens to the disk."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.control.owner.journal import Journal, events_of
from heliograph.control.topics import Event
from heliograph.core.errors import ParameterError

NOON = 1_800_000_000.0


def said(text: str, t: float = NOON) -> Event:
    return Event(t, "info", "bench", text)


def test_events_are_numbered_and_found_again_by_the_next_owner(tmp_path):
    first = Journal(tmp_path / "journal")
    kept = [first.keep(said(text)) for text in ("one", "two", "three")]
    assert [event.number for event in kept] == [1, 2, 3]

    second = Journal(tmp_path / "journal")

    assert second.since(1) == tuple(kept[1:])
    assert second.keep(said("four")).number == 4


def test_stations_in_one_folder_keep_their_events_apart(tmp_path):
    north, south = Journal(tmp_path, "north"), Journal(tmp_path, "south / ../2")
    kept = north.keep(said("of the north")), south.keep(said("of the south"))
    assert [event.number for event in kept] == [1, 1]
    assert Journal(tmp_path, "north").since(0) == kept[:1]
    assert Journal(tmp_path, "south / ../2").since(0) == kept[1:]
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["2027-01-15.north.jsonl", "2027-01-15.south-2.jsonl"]


def test_what_an_earlier_version_kept_is_found_and_can_be_acknowledged(tmp_path):
    earlier = Journal(tmp_path)
    for text in ("one", "two"):
        earlier.keep(said(text))
    later = Journal(tmp_path, "alpha")
    assert later.acknowledge(1).acknowledged
    assert later.keep(said("three")).number == 3
    for name in ("alpha", "zeta"):
        Journal(tmp_path, name).keep(said(name))
    assert [(event.text, event.acknowledged) for event in Journal(tmp_path, "alpha").since(0)][:3] == [("one", True), ("two", False), ("three", False)]


def test_each_day_has_its_file_in_utc(tmp_path):
    journal = Journal(tmp_path)
    journal.keep(said("before midnight", 1_799_971_199.0))
    journal.keep(said("after", 1_799_971_200.0))
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["2027-01-14.jsonl", "2027-01-15.jsonl"]


def test_an_acknowledged_event_stays_so_and_keeps_its_place(tmp_path):
    journal = Journal(tmp_path)
    for text in ("one", "two"):
        journal.keep(said(text))
    assert journal.acknowledge(1).acknowledged
    assert [(event.text, event.acknowledged) for event in Journal(tmp_path).since(0)] == [("one", True), ("two", False)]
    with pytest.raises(ParameterError, match="no event 9"):
        journal.acknowledge(9)


def test_a_torn_line_is_left_out_and_spoils_none_after_it(tmp_path):
    journal = Journal(tmp_path)
    journal.keep(said("whole"))
    (path,) = tmp_path.iterdir()
    with path.open("ab") as file:
        file.write(b'{"number": 2, "text": "tor')

    again = Journal(tmp_path)
    again.keep(said("after the crash"))

    assert [event.text for event in events_of(path)] == ["whole", "after the crash"]


@given(st.binary(max_size=200))
def test_no_file_is_read_as_anything_but_events(tmp_path_factory, noise):
    path = tmp_path_factory.mktemp("noise") / "2026-11-20.jsonl"
    path.write_bytes(noise)
    assert all(isinstance(event, Event) for event in events_of(path))


def test_a_full_disk_does_not_stop_the_bench(tmp_path, monkeypatch):
    journal = Journal(tmp_path)

    def full(*_: Any, **__: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", full)
        assert journal.keep(said("unwritten")).number == 1
        assert journal.failed == "No space left on device"
    journal.keep(said("written"))
    assert journal.failed == ""
    assert [event.text for event in journal.since(0)] == ["unwritten", "written"]
    (path,) = tmp_path.iterdir()
    assert [json.loads(line)["text"] for line in path.read_text().splitlines()] == ["written"]
