"""What is said in the open, under tags."""

import numpy as np
import pytest

from heliograph.core.errors import FrameError
from heliograph.postprocess.channel.frames import A_TO_B, FrameReader, MessageType, Sender
from heliograph.postprocess.keystore import link, open_party
from heliograph.postprocess.keystore.tags import StoreTags
from heliograph.protocols.qot.announced import Announced


@pytest.fixture(scope="module")
def tags(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stores")
    a, b = open_party(folder, "A"), open_party(folder, "B")
    with link(a, b) as joined:
        yield [StoreTags(end.store, joined.lock) for end in joined.ends]


@pytest.fixture
def ends(tags):
    return Announced("A", "B", tags[0], session=3), Announced("B", "A", tags[1], session=3)


def test_messages_arrive_both_ways_however_they_are_cut(ends):
    data = ends[0].send(b"one") + ends[0].send(b"two")

    assert [body for byte in data for body in ends[1].open(bytes([byte]))] == [b"one", b"two"]
    assert ends[0].open(ends[1].send(b"three")) == [b"three"]


def test_nothing_is_hidden(ends):
    assert b"as it is" in ends[0].send(b"as it is")


@pytest.mark.parametrize("change", [lambda data: data[:-1] + bytes([data[-1] ^ 1]), lambda data: data[:15] + bytes([data[15] ^ 1]) + data[16:]])
def test_an_altered_body_or_session_is_refused(ends, change):
    with pytest.raises(FrameError):
        ends[1].open(change(ends[0].send(b"something")))


def test_a_message_is_taken_once(ends):
    data = ends[0].send(b"something")
    ends[1].open(data)

    with pytest.raises(FrameError):
        ends[1].open(data)


@pytest.mark.parametrize("header", [{}, {"s": 1}, {"s": -1, "tag": "00" * 16}, {"s": 1, "tag": "00"}, {"s": 1, "tag": "zz"}, {"s": True, "tag": "00" * 16}])
def test_a_message_without_a_right_tag_is_malformed(ends, header):
    data = Sender(3, A_TO_B).frame(MessageType.QOT, header, {"body": np.zeros(3, np.uint8)})

    with pytest.raises(FrameError, match="malformed"):
        ends[1].open(data)


def test_a_message_of_one_session_is_not_authentic_in_another_though_its_frame_says_so(tmp_path):
    """Only the tag holds the session: an envelope can be written anew by anybody."""
    a, b = open_party(tmp_path, "A"), open_party(tmp_path, "B")
    with link(a, b) as joined:
        own = [StoreTags(end.store, joined.lock) for end in joined.ends]
        for session, taken in ((3, True), (4, False)):
            (frame,) = FrameReader(session=3, direction=A_TO_B).feed(Announced("A", "B", own[0], session=3).send(b"something"))
            header = {name: frame.header[name] for name in ("s", "tag")}
            moved = Sender(session, A_TO_B).frame(MessageType.QOT, header, {"body": frame.arrays["body"]})
            there = Announced("B", "A", own[1], session=session)
            if taken:
                assert there.open(moved) == [b"something"]
            else:
                with pytest.raises(FrameError, match="tag does not belong"):
                    there.open(moved)
