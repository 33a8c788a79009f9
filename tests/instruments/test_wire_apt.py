"""APT messages, byte for byte as the protocol's golden messages stand."""

from __future__ import annotations

import struct
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.core.errors import BadReply, ParameterError
from heliograph.instruments.wire import apt
from heliograph.instruments.wire.apt import HOST, UNIT, Assembler, Bits, Id, Info, Message, Parameters, Status

ARRIVED = Status(1, 685, 0, 0, Bits.ENABLED | Bits.HOMED)
GOLDENS = [
    ("050000005001", Message(Id.REQUEST_INFO)),
    ("100205015001", Message(Id.ENABLE, 5, 1)),
    ("100200015001", Message(Id.ENABLE, 0, 1)),
    ("430401005001", Message(Id.HOME, 1)),
    ("440401000150", Message(Id.HOMED, 1, destination=HOST, source=UNIT)),
    ("6a0402015001", Message(Id.JOG, 2, 1)),
    ("53040600d0010100ad020000", apt.move(1, apt.counts(85.0))),
    ("53040600d0010400f2000000", apt.move(4, apt.counts(30.0))),
    ("900401005001", Message(Id.REQUEST_STATUS, 1)),
    ("650404015001", Message(Id.STOP, 4, 1)),
    ("91040e0081500100ad0200000000000000040080", Message(Id.STATUS, data=ARRIVED.pack(), destination=HOST, source=UNIT)),
    ("64040e0081500100ad0200000000000000040080", Message(Id.COMPLETED, data=ARRIVED.pack(), destination=HOST, source=UNIT)),
    ("30050c00d00100003200ad0228005100a100", Message(Id.SET_PARAMETERS, data=Parameters(50, apt.counts(85), (40, 81, 161)).pack())),
]


@pytest.mark.parametrize(("raw", "message"), GOLDENS)
def test_golden_messages_are_encoded_and_decoded_to_the_byte(raw: str, message: Message) -> None:
    assert apt.encode(message).hex() == raw
    assert apt.decode(bytes.fromhex(raw)) == message


@pytest.mark.parametrize(("angle_deg", "position"), [(0, 0), (45, 363), (85, 685), (90, 725), (5, 40), (10, 81), (20, 161), (170, 1370)])
def test_angles_are_the_nearest_counts(angle_deg: float, position: int) -> None:
    assert apt.counts(angle_deg) == position


def test_thirty_degrees_land_beside_it() -> None:
    assert apt.degrees(apt.counts(30.0)) == pytest.approx(30.0292, abs=5e-5)


@pytest.mark.parametrize("angle_deg", [-0.1, 170.1, float("nan")])
def test_an_angle_beyond_the_travel_is_refused(angle_deg: float) -> None:
    with pytest.raises(ParameterError):
        apt.counts(angle_deg)


def test_the_information_has_84_bytes_and_survives_them() -> None:
    info = Info(38449564, "MPC320", 44, "1.0.7", "APT motor controller", 3, 1, 3)
    assert len(info.pack()) == 84
    assert Info.unpack(info.pack()) == info
    assert info.pack() == struct.pack("<I8sHI60sHHH", 38449564, b"MPC320", 44, 0x010007, b"APT motor controller", 3, 1, 3)


def test_a_status_says_what_the_paddle_does() -> None:
    assert (ARRIVED.moving, ARRIVED.homed, ARRIVED.enabled) == (False, True, True)
    for bit in (Bits.MOVING_FORWARD, Bits.MOVING_REVERSE, Bits.JOG_FORWARD, Bits.JOG_REVERSE, Bits.HOMING):
        assert Status(1, 0, 0, 0, bit).moving
    assert not Status(1, 0, 0, 0, 0).enabled


def test_an_answer_is_of_the_right_kind_and_paddle() -> None:
    def status(mask: int, kind: Id = Id.STATUS) -> Message:
        return Message(kind, data=Status(mask, 0, 0, 0, 0).pack(), destination=HOST, source=UNIT)

    asked = Message(Id.REQUEST_STATUS, 1)
    assert apt.answers(asked, status(1))
    assert not apt.answers(asked, status(2))
    assert not apt.answers(asked, status(1, Id.COMPLETED))
    assert apt.answers(Message(Id.STOP, 4, 1), status(4, Id.STOPPED))
    homed = Message(Id.HOMED, 2, destination=HOST, source=UNIT)
    assert apt.answers(Message(Id.HOME, 2), homed)
    assert not apt.answers(Message(Id.HOME, 1), homed)
    assert not apt.answers(Message(Id.JOG, 2, 1), homed)


@pytest.mark.parametrize("raw", ["", "0500", "050000005002", "050000001101", "91040e0081500100", "9104ffff8150", "04040100d001"])
def test_a_malformed_message_is_a_bad_reply(raw: str) -> None:
    with pytest.raises(BadReply):
        apt.decode(bytes.fromhex(raw))


@pytest.mark.parametrize("read", [Status.unpack, Parameters.unpack, Info.unpack, apt.parse_move])
def test_data_of_a_wrong_length_is_a_bad_reply(read: object) -> None:
    assert callable(read)
    for data in (None, b"", bytes(15)):
        with pytest.raises(BadReply):
            read(data)


def test_more_data_than_any_message_has_is_refused() -> None:
    with pytest.raises(ParameterError):
        apt.encode(Message(Id.MOVE, data=bytes(257)))


_BYTE = st.integers(0, 255)
_ENDS = st.sampled_from([(UNIT, HOST), (HOST, UNIT)])
_SHORT = st.builds(lambda n, a, b, ends: Message(n, a, b, None, *ends), st.integers(0, 0xFFFF), _BYTE, _BYTE, _ENDS)
_LONG = st.builds(lambda n, data, ends: Message(n, 0, 0, data, *ends), st.integers(0, 0xFFFF), st.binary(max_size=120), _ENDS)


@given(st.lists(_SHORT | _LONG, max_size=6), st.lists(st.integers(0, 400), max_size=8))
def test_any_split_of_the_stream_gives_the_same_messages(messages: list[Message], cuts: list[int]) -> None:
    stream = b"".join(apt.encode(message) for message in messages)
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]

    assembler = Assembler()
    found = [message for begin, end in pairwise(edges) for message in assembler.feed(stream[begin:end])]

    assert found == messages


@given(st.binary(max_size=80))
def test_garbage_is_a_typed_error_and_nothing_else(garbage: bytes) -> None:
    assembler = Assembler()
    try:
        assembler.feed(garbage)
    except BadReply:
        assert assembler.feed(apt.encode(Message(Id.REQUEST_INFO))) == [Message(Id.REQUEST_INFO)]
