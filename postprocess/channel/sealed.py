"""Messages under one-time pads: every body is hidden by key of the store that is spent on it, and tagged, so that a third party learns its length and no more.

The frame carries the ids of the keys and the tag; body and key go through an exclusive or. A sealed message is opened once.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...core.errors import FrameError
from .authentication import TAG_BYTES
from .frames import A_TO_B, B_TO_A, Frame, FrameReader, MessageType, Sender

if TYPE_CHECKING:
    from ..keystore.source import Key, KeySource
    from ..round_tags import RoundTags

_MOST_IDS = 1024


class Sealed:
    """One end of a sealed channel between two parties.

    keys: this party's.  peer: the other one.  tags: makes and checks tags; without them a changed body is not noticed, and what is opened is unauthenticated.
    session: larger than any before on the link.  purpose: written into the ledger of the store.
    """

    def __init__(self, keys: KeySource, peer: str, *, session: int, purpose: str, tags: RoundTags | None = None, kind: MessageType = MessageType.QOT) -> None:
        mine, theirs = (A_TO_B, B_TO_A) if keys.party < peer else (B_TO_A, A_TO_B)
        self._keys, self._peer, self._tags, self._purpose, self._kind = keys, peer, tags, purpose, kind
        self._sender, self._reader = Sender(session, mine), FrameReader(session=session, direction=theirs)
        self.spent_bits = 0

    @property
    def authenticated(self) -> bool:
        """Say whether a tag shows who sealed a message."""
        return self._tags is not None and self._tags.authenticated

    def seal(self, body: bytes) -> bytes:
        """Return a frame with the body hidden. Raises InsufficientKey, and then nothing was spent; KeyStoreError."""
        if not body:
            raise FrameError("an empty message hides nothing", where="sealed channel")
        hold = self._keys.hold(self._peer, 8 * len(body), self._purpose)
        keys = self._keys.fetch(hold)
        self.spent_bits += 8 * len(body)
        hidden = _xor(body, keys)
        ids = [key.key_id for key in keys]
        header: dict[str, object] = {"ids": ids}
        if self._tags is not None:
            s_index, tag = self._tags.make(self._sender.direction, self._tagged(self._sender.direction, self._sender.seq, ids, hidden))
            header |= {"s": s_index, "tag": tag.hex()}
        return self._sender.frame(self._kind, header, {"body": hidden}, bits={"body": 8 * hidden.size})

    def open(self, data: bytes) -> list[bytes]:
        """Return the bodies of the messages completed by these bytes, cut anywhere.

        Raises FrameError for what is malformed or not authentic, UnknownKey for keys that are gone. After an error the channel is to be given up.
        """
        return [self._opened(frame) for frame in self._reader.feed(data)]

    def _opened(self, frame: Frame) -> bytes:
        ids, (hidden, bits) = frame.header.get("ids"), frame.packed("body")
        if frame.type is not self._kind or not isinstance(ids, list) or not 0 < len(ids) <= _MOST_IDS or bits != 8 * hidden.size:
            raise FrameError("a sealed message is malformed", where=frame.type.name)
        if not all(isinstance(one, str) for one in ids):
            raise FrameError("a key id is malformed", where=frame.type.name)
        if self._tags is not None:
            self._check(frame, ids, hidden)
        keys = self._keys.fetch_by_id(self._peer, tuple(ids), self._purpose)
        if sum(key.bits for key in keys) != bits:
            raise FrameError("the keys do not have the length of the message", where=frame.type.name)
        self.spent_bits += bits
        return _xor(hidden.tobytes(), keys).tobytes()

    def _check(self, frame: Frame, ids: list[str], hidden: NDArray[np.uint8]) -> None:
        s_index, tag = frame.header.get("s"), frame.header.get("tag")
        try:
            given = bytes.fromhex(tag) if isinstance(tag, str) else b""
        except ValueError:
            given = b""
        if type(s_index) is not int or s_index < 0 or len(given) != TAG_BYTES or self._tags is None:
            raise FrameError("the tag is missing or malformed", where=frame.type.name)
        self._tags.check(frame.direction, s_index, self._tagged(frame.direction, frame.seq, ids, hidden), given)

    def _tagged(self, direction: int, seq: int, ids: list[str], hidden: NDArray[np.uint8]) -> Callable[[int], bytes]:
        session, link_id = self._sender.session, b"" if self._tags is None else self._tags.link_id
        named = "".join(ids).encode()
        sizes = struct.pack(">QQ", len(named), hidden.size)
        return lambda s_index: b"HGSEL1" + struct.pack(">BQQQ", direction, session, seq, s_index) + link_id + sizes + named + hidden.tobytes()


def _xor(body: bytes, keys: tuple[Key, ...]) -> NDArray[np.uint8]:
    pad = np.frombuffer(b"".join(key.material for key in keys), np.uint8)
    text = np.frombuffer(body, np.uint8)
    if pad.size != text.size:
        raise FrameError("the keys do not have the length of the message", where="sealed channel")
    return text ^ pad
