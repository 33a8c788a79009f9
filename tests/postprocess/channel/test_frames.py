"""Envelope: golden frames, round trips, and that nothing malformed gets in."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from heliograph.core.errors import FrameError
from heliograph.postprocess.channel import canonical, frames
from heliograph.postprocess.channel.frames import Frame, FrameReader, MessageType, Sender, encode

GOLDEN_A = bytes.fromhex(
    "0000006201060000000000000000000700000000000000030000000000000000000000407b22617272617973223a5b7b2262697473"
    "223a31322c226474223a227c7531222c226e223a22706172222c227368223a5b325d7d5d2c22626c6f636b223a357da5f0"
)

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
headers = st.dictionaries(st.text(max_size=6).filter(lambda k: k not in {"arrays", "part", "parts", "whole"}), values, max_size=4)
dtypes = st.sampled_from([np.dtype(code) for code in ("|u1", "<u2", "<u4", "<u8", "<i4", "<i8", "<f4", "<f8")])
arrays = st.dictionaries(
    st.text(min_size=1, max_size=6), dtypes.flatmap(lambda d: hnp.arrays(d, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))), max_size=4
)


@st.composite
def messages(draw: st.DrawFn) -> Frame:
    return Frame(
        draw(st.sampled_from(MessageType)),
        draw(st.integers(0, 2**64 - 1)),
        draw(st.integers(0, 2**64 - 1)),
        0,
        draw(st.integers(0, 1)),
        draw(headers),
        draw(arrays),
    )


def same(left: Frame, right: Frame) -> bool:
    plain = all(getattr(left, name) == getattr(right, name) for name in ("type", "session", "round", "seq", "direction", "header", "bits"))
    return plain and {n: (a.dtype, a.shape, a.tobytes()) for n, a in left.arrays.items()} == {
        n: (a.dtype, a.shape, a.tobytes()) for n, a in right.arrays.items()
    }


def test_the_golden_frame_is_encoded_byte_for_byte():
    frame = Frame(MessageType.PARITY, 7, 3, 0, 0, {"block": 5}, {"par": np.array([0xA5, 0xF0], np.uint8)}, {"par": 12})

    assert encode(frame) == GOLDEN_A
    assert len(encode(Frame(MessageType.PARITY, 7, 3, 0, 1, {"block": 5, "ok": 1}))) == 54
    assert same(FrameReader().feed(GOLDEN_A)[0], frame)


def test_padding_that_is_not_zero_is_refused_by_the_consumer():
    frame = FrameReader().feed(GOLDEN_A)[0]

    with pytest.raises(FrameError, match="padding"):
        frame.packed("par")
    good = Frame(MessageType.PARITY, arrays={"p": np.array([0xFF, 0x0F], np.uint8)}, bits={"p": 12})
    assert good.packed("p")[1] == 12
    with pytest.raises(FrameError, match="packed"):
        good.packed("q")


@given(st.lists(messages(), max_size=4), st.data())
def test_messages_survive_any_cutting_of_the_stream(sent, data):
    sent = [Frame(f.type, f.session, f.round, n, f.direction, f.header, f.arrays) for n, f in enumerate(sent)]
    raw = b"".join(map(encode, sent))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=6)))
    reader = FrameReader()

    got = [frame for a, b in zip([0, *cuts], [*cuts, len(raw)], strict=True) for frame in reader.feed(raw[a:b])]

    assert len(got) == len(sent)
    assert all(map(same, got, sent))
    assert not reader.pending


@given(st.integers(0, len(GOLDEN_A) * 8 - 1))
def test_a_flipped_bit_never_gives_the_same_frame(position):
    raw = bytearray(GOLDEN_A)
    raw[position // 8] ^= 1 << position % 8

    try:
        got = FrameReader(session=7, direction=0).feed(bytes(raw))
    except FrameError:
        return
    assert not got or encode(got[0]) == bytes(raw) != GOLDEN_A


@given(st.binary(max_size=200), messages())
def test_garbage_raises_nothing_but_frame_errors(garbage, frame):
    for stream in (garbage, encode(frame)[:36] + garbage, struct.pack(">I", 32 + len(garbage)) + b"\x01\x06" + garbage + bytes(40)):
        try:
            FrameReader().feed(stream)
        except FrameError:
            continue


@pytest.mark.parametrize(
    "header",
    [
        b'{"b":1,"a":2}',
        b'{"a": 1}',
        b'{"a":1,"a":1}',
        b'{"a":1.0}',
        b'{"a":NaN}',
        b'{"a":1e400}',
        b'{"a":9007199254740992}',
        b'{"a":"\\u0061"}',
        b'{"a":"\\ud800"}',
        b"[1]",
        b"{}\n",
        b'{"a":' + b"[" * 9 + b"]" * 9 + b"}",
        b'{"a":' + b"[" * 20000 + b"]" * 20000 + b"}",
        b'{"a":' + b"1" * 5000 + b"}",
        b"\xff",
    ],
)
def test_json_that_is_not_canonical_is_refused(header):
    raw = struct.pack(">IBBHQQIB3sI", 32 + len(header), 1, 6, 0, 0, 0, 0, 0, b"\0\0\0", len(header)) + header

    with pytest.raises(FrameError):
        FrameReader().feed(raw)


@pytest.mark.parametrize(
    "table",
    [
        [],
        [{"n": "a", "dt": "|u1", "sh": [3]}],
        [{"n": "a", "dt": "|u1", "sh": [1]}] * 2,
        [{"n": "a", "dt": "|O", "sh": [2]}],
        [{"n": "a", "dt": "|u1", "sh": [-2]}],
        [{"n": "a", "dt": "|u1", "sh": [True, 2]}],
        [{"n": "a", "dt": "|u1", "sh": 2}],
        [{"n": "", "dt": "|u1", "sh": [2]}],
        [{"n": "a", "dt": "|u1", "sh": [2], "bits": 17}],
        [{"n": "a", "dt": "|u1", "sh": [2], "x": 1}],
        [{"n": f"a{i}", "dt": "|u1", "sh": [i // 15]} for i in range(17)],
        [{"n": "a", "dt": "|u1", "sh": [2]}, {"n": "b", "dt": "<f8", "sh": [0, *[2**28] * 7]}],
        [{"n": "a", "dt": "|u1", "sh": [2]}, {"n": "b", "dt": "<f8", "sh": [*[2**28] * 7, 0]}],
        "a",
        {},
    ],
)
def test_an_array_table_that_does_not_fill_the_body_is_refused(table):
    header = canonical.encode({"arrays": table})
    raw = struct.pack(">IBBHQQIB3sI", 34 + len(header), 1, 6, 0, 0, 0, 0, 0, b"\0\0\0", len(header)) + header + b"xy"

    with pytest.raises(FrameError):
        FrameReader().feed(raw)


@pytest.mark.parametrize("field", [{"seq": 1}, {"session": 8}, {"direction": 1}])
def test_wrong_order_session_or_direction_is_refused_and_the_reader_stays_shut(field):
    good = Frame(MessageType.HELLO, session=7)
    reader = FrameReader(session=7, direction=0)

    with pytest.raises(FrameError):
        reader.feed(encode(Frame(MessageType.HELLO, **{"session": 7, **field})))
    with pytest.raises(FrameError):
        reader.feed(encode(good))


def test_a_repeated_frame_is_refused():
    raw = encode(Frame(MessageType.HELLO))

    with pytest.raises(FrameError, match="sequence number 0, 1 expected"):
        FrameReader().feed(raw + raw)


@pytest.mark.parametrize("value", [1.5, 2**53, {1: 2}, b"x", (1,), "\ud800"])
def test_a_header_without_canonical_form_is_not_sent(value):
    with pytest.raises(FrameError):
        encode(Frame(MessageType.HELLO, header={"a": value}))


def test_what_the_envelope_cannot_carry_is_not_sent():
    for bad in (
        Frame(MessageType.HELLO, header={"arrays": []}),
        Frame(MessageType.HELLO, header={"a": "x" * 70_000}),
        Frame(MessageType.HELLO, session=-1),
        Frame(MessageType.HELLO, session=2**64),
        Frame(MessageType.HELLO, arrays={"c": np.zeros(2, complex)}),
        Frame(MessageType.HELLO, bits={"c": 1}),
        Frame(MessageType.HELLO, arrays={f"a{i}": np.zeros(1, np.uint8) for i in range(17)}),
    ):
        with pytest.raises(FrameError):
            encode(bad)


def test_big_endian_arrays_travel_little_endian():
    got = FrameReader().feed(encode(Frame(MessageType.COUNTS, arrays={"n": np.array([1, 256], ">u4")})))[0]

    assert got.arrays["n"].dtype == np.dtype("<u4")
    assert got.arrays["n"].tolist() == [1, 256]


def test_a_message_over_eight_mebibytes_is_split_and_put_together():
    rng = np.random.default_rng(5)
    big = rng.integers(0, 256, frames.SPLIT_ABOVE + 1, dtype=np.uint8)
    sender, reader = Sender(3, 1), FrameReader(session=3, direction=1)

    first = sender.frame(MessageType.DETECTIONS, {"block": 2}, {"d": big, "e": np.arange(3)}, bits={"d": 9})
    then = sender.frame(MessageType.HELLO)
    got = reader.feed(first[:5_000_000]) + reader.feed(first[5_000_000:] + then)

    assert [frame.seq for frame in got] == [0, 4]
    assert got[0].header == {"block": 2}
    assert np.array_equal(got[0].arrays["d"], big)
    assert got[0].arrays["e"].tolist() == [0, 1, 2]
    assert got[0].bits == {"d": 9}
    assert encode(got[0]) == first


def test_a_part_out_of_place_is_refused():
    big = np.zeros(frames.SPLIT_ABOVE + 1, np.uint8)
    raw = encode(Frame(MessageType.DETECTIONS, arrays={"d": big}))
    head = 4 + int.from_bytes(raw[:4], "big")
    lone = bytearray(raw[head:])
    lone[24:28] = bytes(4)

    with pytest.raises(FrameError):
        FrameReader().feed(bytes(lone))
    other = encode(Frame(MessageType.DETECTIONS, seq=1))
    with pytest.raises(FrameError, match="part 1 of 3"):
        FrameReader().feed(raw[:head] + other)


@settings(max_examples=200)
@given(headers)
def test_canonical_json_is_its_own_inverse(header):
    assert canonical.decode(canonical.encode(header)) == header
