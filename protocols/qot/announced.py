"""Messages in the open that nobody can alter: what parties announce of tested states is burned, so it needs a tag and no pad."""

from __future__ import annotations

import struct
from collections.abc import Callable

import numpy as np

from ...core.errors import FrameError
from ...postprocess.channel.authentication import TAG_BYTES
from ...postprocess.channel.frames import A_TO_B, B_TO_A, Frame, FrameReader, MessageType, Sender
from ...postprocess.round_tags import RoundTags

_LABEL = b"HGQOTA1"


class Announced:
    """One end of a line on which everything is tagged and nothing is hidden.

    party, peer: the two ends.  tags: this end's.  session: larger than any before on the link.
    """

    def __init__(self, party: str, peer: str, tags: RoundTags, *, session: int) -> None:
        mine, theirs = (A_TO_B, B_TO_A) if party < peer else (B_TO_A, A_TO_B)
        self._tags, self._session = tags, session
        self._sender, self._reader = Sender(session, mine), FrameReader(session=session, direction=theirs)

    def send(self, body: bytes) -> bytes:
        """Return a frame with the body and its tag; it spends a pad. Raises KeyStoreError if there is none."""
        s_index, tag = self._tags.make(self._sender.direction, self._tagged(self._sender.direction, self._sender.seq, body))
        return self._sender.frame(MessageType.QOT, {"s": s_index, "tag": tag.hex()}, {"body": np.frombuffer(body, np.uint8)})

    def open(self, data: bytes) -> list[bytes]:
        """Return the bodies of the messages completed by these bytes. Raises FrameError for what is malformed or not authentic."""
        return [self._opened(frame) for frame in self._reader.feed(data)]

    def _opened(self, frame: Frame) -> bytes:
        s_index, tag, body = frame.header.get("s"), frame.header.get("tag"), frame.arrays.get("body")
        try:
            given = bytes.fromhex(tag) if isinstance(tag, str) else b""
        except ValueError:
            given = b""
        if frame.type is not MessageType.QOT or type(s_index) is not int or s_index < 0 or len(given) != TAG_BYTES or body is None or body.dtype != np.uint8:
            raise FrameError("an announcement is malformed", where=frame.type.name)
        whole = body.tobytes()
        self._tags.check(frame.direction, s_index, self._tagged(frame.direction, frame.seq, whole), given)
        return whole

    def _tagged(self, direction: int, seq: int, body: bytes) -> Callable[[int], bytes]:
        return lambda s_index: _LABEL + struct.pack(">BQQQ", direction, self._session, seq, s_index) + self._tags.link_id + body
