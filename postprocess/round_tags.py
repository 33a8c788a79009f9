"""What closes a round: one tag a direction over everything both parties said.

On an authenticated link the tags come from secrets of the key store (`keystore.tags`). Without one they are still made and compared, under a key that
everybody knows: then they show that nothing was lost, altered or reordered by accident, and nothing more.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Protocol

from .channel.authentication import TAG_BYTES, check_tag, one_time_tag

MessageOf = Callable[[int], bytes]
"""Given the index of the pad, returns the message to be tagged; the index is part of it."""


class RoundTags(Protocol):
    """One party's means to make and check the tags of one link.

    link_id: 16 bytes, part of every tagged message.  authenticated: whether a tag proves who made it.
    """

    @property
    def link_id(self) -> bytes: ...  # noqa: D102

    @property
    def authenticated(self) -> bool: ...  # noqa: D102

    def make(self, direction: int, message_of: MessageOf) -> tuple[int, bytes]:
        """Spend a pad of this direction; return its index and the 16-byte tag."""
        ...

    def check(self, direction: int, s_index: int, message_of: MessageOf, tag: bytes) -> None:
        """Spend the pad of that index, then check. Raises FrameError if index or tag are wrong."""
        ...


class OpenTags:
    """Tags under a public key, for links without authentication: whoever can alter a message can also make its tag.

    pair: names the link.
    """

    authenticated = False

    def __init__(self, pair: str) -> None:
        self.link_id = hashlib.shake_256(b"heliograph/open-link" + pair.encode()).digest(16)

    def make(self, direction: int, message_of: MessageOf) -> tuple[int, bytes]:
        """Return index 0 and the tag."""
        return 0, one_time_tag(*self._key(direction), message_of(0))

    def check(self, direction: int, s_index: int, message_of: MessageOf, tag: bytes) -> None:
        """Raise FrameError if the tag does not belong to the message."""
        check_tag(*self._key(direction), message_of(s_index), tag)

    def _key(self, direction: int) -> tuple[bytes, bytes]:
        key = hashlib.shake_256(b"heliograph/open-tag" + bytes([direction])).digest(2 * TAG_BYTES)
        return key[:TAG_BYTES], key[TAG_BYTES:]
