"""Messages of a transfer on the wire."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.core.errors import FrameError
from heliograph.protocols.qot.frames import Flags, Kind, Message, pack, pack_numbers, unpack, unpack_numbers


def test_the_golden_message():
    choices = np.array([1, 0, 1, 1, 0, 0, 1, 0, 1, 1], np.uint8)

    data = Message(Kind.CHOICES, Flags.BEAVER | Flags.TWIRLED, 0, 0, 10, pack(choices)).encode()

    assert data.hex() == "514f54310603000000000000000000000a00000002000000" + "4d03"
    back = Message.decode(data, expected=Kind.CHOICES, first=0)
    assert np.array_equal(unpack(back.payload, back.gates), choices)


def test_the_golden_messages_of_the_index_mode():
    """Eight states, of which 1, 2, 6 and 7 are named and 6 is picked: four bits, since 8 means restart."""
    named = Message(Kind.OFFERED, Flags.TWIRLED, 8, 0, 1, pack(np.array([0, 1, 1, 0, 0, 0, 1, 1], np.uint8)))
    picked = Message(Kind.PICKED, Flags.TWIRLED, 8, 0, 1, pack_numbers(np.array([6]), 4))

    assert named.encode().hex() == "514f5431040208000000000000000000" + "0100000001000000" + "c6"
    assert picked.encode().hex() == "514f5431050208000000000000000000" + "0100000001000000" + "06"
    for message in (named, picked):
        assert Message.decode(message.encode(), expected=message.kind, first=0) == message


@given(st.lists(st.integers(0, 104), min_size=1, max_size=50))
def test_picks_take_as_many_bits_as_they_need(picks):
    assert unpack_numbers(pack_numbers(np.array(picks), 7), len(picks), 7).tolist() == picks


GOOD = Message(Kind.CHOICES, Flags.BEAVER, 0, 7, 10, bytes(2)).encode()


@pytest.mark.parametrize(
    "data", [b"", GOOD[:20], b"X" + GOOD[1:], GOOD + b"\0", GOOD[:4] + b"\x07" + GOOD[5:], GOOD[:4] + b"\x63" + GOOD[5:], GOOD[:5] + b"\x09" + GOOD[6:]]
)
def test_a_message_that_is_not_the_one_due_is_refused(data):
    with pytest.raises(FrameError):
        Message.decode(data, expected=Kind.CHOICES, first=7)


def test_a_message_of_another_gate_is_refused():
    with pytest.raises(FrameError, match="gate 7 came, CHOICES of gate 8"):
        Message.decode(GOOD, expected=Kind.CHOICES, first=8)


@pytest.mark.parametrize("payload", [b"", b"\0", bytes(3), b"\0\xfc"])
def test_padding_and_length_of_a_payload_are_checked(payload):
    with pytest.raises(FrameError):
        unpack(payload, 10)


@given(st.binary(max_size=60))
def test_rubbish_raises_frame_errors_only(data):
    with pytest.raises(FrameError):
        Message.decode(b"QOT1" + data, expected=Kind.ABORT, first=2**40)
