"""One-time tags: the standard's golden and the transcript goldens."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.core.errors import FrameError, ParameterError
from heliograph.postprocess.channel.authentication import NO_TAG, check_tag, digest_message, forgery_bound, one_time_tag, round_message
from heliograph.postprocess.channel.frames import Frame, MessageType, encode

LINK = bytes(range(0x40, 0x50))


def transcripts() -> tuple[bytes, bytes]:
    a = encode(Frame(MessageType.PARITY, 7, 3, 0, 0, {"block": 5}, {"par": np.array([0xA5, 0xF0], np.uint8)}, {"par": 12}))
    b = encode(Frame(MessageType.PARITY, 7, 3, 0, 1, {"block": 5, "ok": 1}))
    t_ab = a + encode(Frame(MessageType.ROUND_END, 7, 3, 1, 0, {"bytes": 102, "frames": 1}))
    t_ba = b + encode(Frame(MessageType.ROUND_END, 7, 3, 1, 1, {"bytes": 54, "frames": 1}))
    return t_ab, t_ba


def test_the_tag_of_the_standard():
    key = bytes.fromhex("85d6be7857556d337f4452fe42d506a80103808afb0db2fd4abff6af4149f51b")

    assert one_time_tag(key[:16], key[16:], b"Cryptographic Forum Research Group").hex() == "a8061dc1305136c6c22b8baf0c0127a9"


def test_both_tags_of_a_round():
    t_ab, t_ba = transcripts()
    m_a = round_message(direction=0, session=7, round_=3, s_index=41, link_id=LINK, transcripts=(t_ab, t_ba), prev=NO_TAG)
    tag_a = one_time_tag(bytes(range(16)), bytes(range(0x10, 0x20)), m_a)
    m_b = round_message(direction=1, session=7, round_=3, s_index=17, link_id=LINK, transcripts=(t_ab, t_ba), prev=tag_a)

    assert (len(t_ab), len(t_ba), len(m_a), len(m_b)) == (162, 113, 354, 354)
    assert hashlib.sha256(m_a).hexdigest() == "5129e8d4837be9785d807d5ade08f527ee7b65f360e1f6e1ff74898c2af8199c"
    assert tag_a.hex() == "8909e30e55e8b264d731939e7b61dbf8"
    assert one_time_tag(bytes(range(0x20, 0x30)), bytes(range(0x30, 0x40)), m_b).hex() == "faec0e7811fa89c070c1f1410e7abc7e"


@given(st.binary(min_size=1, max_size=100), st.data())
def test_a_flipped_bit_of_message_or_tag_is_refused(message, data):
    r, s = data.draw(st.binary(min_size=16, max_size=16).filter(lambda r: sum(r[:3]) > 0)), data.draw(st.binary(min_size=16, max_size=16))
    full = digest_message(LINK, 3, message)
    tag = one_time_tag(bytes([r[0] | 1]) + r[1:], s, full)
    bit = data.draw(st.integers(0, 8 * (len(full) + 16) - 1))
    altered = bytearray(full + tag)
    altered[bit // 8] ^= 1 << bit % 8

    check_tag(bytes([r[0] | 1]) + r[1:], s, full, tag)
    with pytest.raises(FrameError):
        check_tag(bytes([r[0] | 1]) + r[1:], s, bytes(altered[:-16]), bytes(altered[-16:]))


@pytest.mark.parametrize(("length", "exponent"), [(1024, -97), (65_536, -91), (2**20, -87), (2**26, -81)])
def test_the_forgery_bound(length, exponent):
    assert forgery_bound(length) == 2.0**exponent


def test_a_short_pad_is_refused():
    with pytest.raises(ParameterError):
        one_time_tag(bytes(16), bytes(15), b"")
