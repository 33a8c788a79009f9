"""Frames between an owner and its clients: what was put in comes out, and nothing else does."""

from __future__ import annotations

import json
import socket
import struct
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from heliograph.acquisition.procedures.count_rates import Rates
from heliograph.control.link import LONGEST, VERSION, Link, Message, address, decode, encode, receive
from heliograph.control.values import packed, rebuilt_error, told_error, unpacked
from heliograph.core.entropy import OsRandom, SimRandom
from heliograph.core.errors import ArmRefused, BenchError, FrameError, InstrumentLocked, InsufficientKey, LimitError, StorageError
from heliograph.instruments.guard.arbiter import BenchState
from heliograph.instruments.roles import Gap, SafeReport, TagBatch

PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
VALUES = st.recursive(
    PLAIN, lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text() | st.integers(), inner) | st.frozensets(PLAIN), max_leaves=20
)


def through(value: Any) -> Any:
    frame = encode(Message("topic", value, 7))
    (length,) = struct.unpack("<I", frame[:4])
    assert length == len(frame) - 4
    message = decode(frame[4:])
    assert (message.topic, message.id) == ("topic", 7)
    return message.body


@given(VALUES)
def test_plain_data_comes_out_as_it_went_in(value):
    assert through(value) == value


@given(st.lists(st.integers(-(2**62), 2**62), max_size=50), st.sampled_from(["<i8", ">i4", "u1", "f8", "?", "c16"]))
def test_arrays_keep_shape_and_numbers(numbers, kind):
    array = (np.array(numbers, np.int64) % 100).astype(kind)
    for one in (array, array[::2], array.reshape(1, -1)):
        out = through({"here": one})["here"]
        assert out.shape == one.shape
        assert np.array_equal(out, one)


def test_batches_reports_results_and_states_keep_their_classes():
    batch = TagBatch(3, np.arange(4, dtype=np.int64), np.array([1, 2, 1, 3], np.uint8), 0, 10, (Gap(10, 12, "dead-time"),))
    out = through(batch)
    assert isinstance(out, TagBatch)
    assert np.array_equal(out.t_ps, batch.t_ps)
    assert out.ch.dtype == np.uint8
    assert out.gaps == batch.gaps

    assert through(SafeReport("laser", "CONFIRMED")) == SafeReport("laser", "CONFIRMED")
    assert through(Rates(*[1.0] * 7)) == Rates(*[1.0] * 7)
    assert through(BenchState.TRIPPED) is BenchState.TRIPPED
    assert through(Path("/somewhere")) == Path("/somewhere")


def test_a_source_of_random_bytes_goes_on_where_it_was():
    source = SimRandom(5, 1)
    source.take(13)
    out = through(source)
    assert isinstance(out, SimRandom)
    assert out.take(32) == source.take(32)
    assert isinstance(through(OsRandom()), OsRandom)


@pytest.mark.parametrize(
    "error",
    [
        LimitError("16.00 mW asked, range 0 to 15 mW", where="laser", remedy="Nothing was sent."),
        InstrumentLocked("process 7 controls the bench", where="lab.toml", remedy="Wait."),
        InsufficientKey("A-B", 100, 7, purpose="round 3"),
        ArmRefused("no"),
        ValueError("impossible"),
        TypeError("f() takes 1 argument"),
    ],
)
def test_an_error_is_raised_as_what_it_was(error):
    error.add_note("shutting down: no answer")
    out = through(error)

    assert type(out) is type(error)
    assert str(out) == str(error)
    assert vars(out) == vars(error)


def test_an_error_of_a_kind_that_is_not_known_here_says_so():
    out = rebuilt_error(json.loads(json.dumps(told_error(ZeroDivisionError("by zero")))))
    assert "ZeroDivisionError: by zero" in str(out)


@pytest.mark.parametrize("value", [lambda: None, object(), np.array([object()]), type, open])
def test_code_and_what_is_no_data_does_not_travel(value):
    with pytest.raises(FrameError):
        encode(Message("topic", value))


@pytest.mark.parametrize(
    "told",
    [
        {"object": "subprocess:Popen", "fields": {"args": ["true"]}},
        {"object": "os:system", "fields": {}},
        {"object": "never_imported:Thing", "fields": {}},
        {"object": "heliograph.instruments.roles:SafeReport", "fields": {"wrong": 1}},
        {"enum": "builtins:int", "value": "3"},
        {"array": 9},
        {"unknown": 1},
        {},
        [1, 2],
    ],
)
def test_a_message_makes_no_class_but_known_data(told):
    with pytest.raises(FrameError):
        unpacked(told, [])


def test_a_frame_that_is_too_long_is_not_sent_nor_waited_for():
    with pytest.raises(FrameError, match="fit"):
        encode(Message("topic", np.zeros(LONGEST // 8 + 1)))
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(struct.pack("<I", LONGEST + 1))
        with pytest.raises(FrameError):
            receive(theirs)


@given(st.binary(max_size=200))
def test_no_bytes_are_taken_for_a_message_that_is_none(noise):
    with pytest.raises(FrameError):
        decode(noise)


def test_arrays_that_do_not_fill_their_frame_are_refused():
    header = {"version": VERSION, "id": None, "topic": "t", "shapes": [[4]], "dtypes": ["<i8"], "body": {"array": 0}}
    text = json.dumps(header).encode() + b"\n"
    assert np.array_equal(decode(text + bytes(32)).body, np.zeros(4, np.int64))
    for rest in (bytes(31), bytes(33)):
        with pytest.raises(FrameError):
            decode(text + rest)
    for wrong in ({"version": VERSION + 1}, {"dtypes": ["O"]}, {"shapes": [[-4]]}):
        with pytest.raises(FrameError):
            decode(json.dumps(header | wrong).encode() + b"\n" + bytes(32))


def test_the_end_of_a_connection_is_no_message():
    ours, theirs = socket.socketpair()
    with theirs:
        with ours:
            ours.sendall(encode(Message("topic"))[:-1])
        assert receive(theirs) is None


def test_of_an_owner_that_is_gone_nobody_says_what_nobody_saw():
    ours, theirs = socket.socketpair()
    with Link(ours, where="lab.toml") as link:
        theirs.close()
        with pytest.raises(BenchError, match="the owner of the bench is gone") as caught:
            link.ask("status")

    assert "should have made the bench safe" in caught.value.remedy
    assert "`heliograph bench safe`" in caught.value.remedy


def test_a_socket_has_a_short_name_of_its_own_for_each_station(tmp_path, monkeypatch):
    one, other = address(tmp_path / "a.toml", "owner"), address(tmp_path / "b.toml", "owner")
    assert one != other
    assert one.parent.stat().st_mode & 0o777 == 0o700
    long = tmp_path / ("x" * 90)
    long.mkdir()
    monkeypatch.setenv("HELIOGRAPH_RUNTIME_DIR", str(long))
    with pytest.raises(StorageError, match="too long"):
        address(tmp_path / "a.toml", "owner")


def test_what_is_packed_is_plain_json():
    arrays: list = []
    told = packed({"a": (1, np.int64(2), np.arange(3))}, arrays)
    assert json.loads(json.dumps(told)) == told
    assert len(arrays) == 1
