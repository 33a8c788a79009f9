"""Wegman-Carter authentication: Poly1305 under a recycled hash key r and a one-time pad s.

A tag is the polynomial of the clamped r modulo 2^130 - 5, plus s modulo 2^128 (RFC 8439). Two messages under one s give r away, so every s comes from an
authentication pool that spends it before it is used. What is tagged is the message itself, never a digest of it.
"""

from __future__ import annotations

import hmac
import struct

from cryptography.hazmat.primitives.poly1305 import Poly1305

from ...core.errors import FrameError, ParameterError

TAG_BYTES = 16
NO_TAG = bytes(TAG_BYTES)
"""Stands for the tag before the first one."""


def one_time_tag(r: bytes, s: bytes, message: bytes) -> bytes:
    """Return the 16-byte tag of a message. r: 16-byte recycled hash key.  s: 16 bytes never used before.  Source: RFC 8439, 2.5."""
    if len(r) != TAG_BYTES or len(s) != TAG_BYTES:
        raise ParameterError("hash key and pad have 16 bytes each", where="r, s")
    return Poly1305.generate_tag(r + s, message)


def check_tag(r: bytes, s: bytes, message: bytes, tag: bytes) -> None:
    """Raise FrameError unless the tag belongs to the message."""
    if not hmac.compare_digest(one_time_tag(r, s, message), tag):
        raise FrameError("the tag does not belong to the message", where="authentication")


ROUND_MESSAGE_BYTES = 6 + struct.calcsize(">BQQQ") + 16 + 2 * 8 + TAG_BYTES
"""Bytes of what the tag of a round covers, transcripts apart."""


def forgery_bound(length: int) -> float:
    """Return the probability at most that one forgery attempt on a message of `length` bytes succeeds.  8 ceil(L/16) / 2^106."""
    return 8.0 * -(-length // 16) / 2.0**106


def digest_message(link_id: bytes, block: int, material: bytes) -> bytes:
    """Return what the digest of a block is the tag of."""
    return b"HGDIG1" + link_id + struct.pack(">QQ", block, len(material)) + material


def round_message(*, direction: int, session: int, round_: int, s_index: int, link_id: bytes, transcripts: tuple[bytes, bytes], prev: bytes) -> bytes:
    """Return what the tag of a round covers.

    transcripts: the exact frames from A to B and from B to A, ROUND_END included.  prev: for A's tag B's tag of the round before (`NO_TAG` at first), for
    B's tag A's tag of this round.
    """
    head = struct.pack(">BQQQ", direction, session, round_, s_index)
    body = b"".join(struct.pack(">Q", len(part)) + part for part in transcripts)
    return b"HGTAG1" + head + link_id + body + prev
