"""JSON of the WebSQ, glued or not."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.core.errors import BadReply
from heliograph.instruments.wire import websq


def test_the_golden_broadcast() -> None:
    assert websq.encode_broadcast("InptMeasurementPeriod", 100) == b'{"label": "InptMeasurementPeriod", "value": 100}\x17'


def test_a_command_is_bare_json() -> None:
    message = websq.command("SetMeasurementPeriod", "InptMeasurementPeriod", 100)

    assert websq.encode(message) == b'{"command": "SetMeasurementPeriod", "label": "InptMeasurementPeriod", "value": 100}'


def test_glued_objects_are_legal() -> None:
    assert websq.Decoder().feed(b'{"a": 1}{"b": {"c": "}{\\""}}\x17{"d"') == [{"a": 1}, {"b": {"c": '}{"'}}]


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-1000, 1000) | st.text(max_size=5),
    lambda v: st.lists(v, max_size=2) | st.dictionaries(st.text(max_size=3), v, max_size=2),
)


@given(st.lists(st.dictionaries(st.text(max_size=4), _VALUES, max_size=3), max_size=4), st.integers(1, 9), st.sampled_from([b"", b"\x17"]))
def test_any_split_yields_the_same_objects(objects: list[dict[str, Any]], size: int, end: bytes) -> None:
    stream = b"".join(websq.encode(item) + end for item in objects)

    decoder = websq.Decoder()
    found = [item for start in range(0, len(stream), size) for item in decoder.feed(stream[start : start + size])]

    assert found == objects


@pytest.mark.parametrize("stream", [b"garbage", b'{"a": 1,}', b'{"a"\x17', b"[1]"])
def test_garbage_is_a_bad_reply_and_the_next_object_is_read(stream: bytes) -> None:
    decoder = websq.Decoder()

    with pytest.raises(BadReply):
        decoder.feed(stream)

    assert decoder.feed(b'{"b": 2}') == [{"b": 2}]


def test_a_line_of_counts_goes_there_and_back() -> None:
    assert websq.parse_counts(websq.counts_line(1.5, [10, 20])) == (1.5, (10, 20))


@pytest.mark.parametrize("line", [b"", b"1.5", b"1.5,x", b"nan,1", b"1.5,-1", b"1.5,2.5"])
def test_a_malformed_line_of_counts_is_a_bad_reply(line: bytes) -> None:
    with pytest.raises(BadReply):
        websq.parse_counts(line)
