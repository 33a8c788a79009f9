"""How the devices of each driver say what faults make them say: refusals, damage, another identity. Where a protocol has no word for it, there is None."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from ..core.errors import BadReply
from ..instruments.wire import apt, interbus, oz, websq
from ..instruments.wire.interbus import Kind, Register, Telegram

Change = Callable[[bytes], bytes]

_NUMBER = re.compile(rb"(?<![\w.])[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


@dataclass(frozen=True, slots=True)
class Words:
    """The words of one protocol.

    nack, busy, unsolicited: from the request, what is said.  crc, identity: from the right reply, the damaged one, or that of another device.
    empty: a reply that holds nothing.  nan, text: what stands for a number; empty where numbers are binary.
    error_on, error: question for the error queue, and an entry of it.
    whole: replies are messages that arrive whole or not at all.
    """

    nack: Change | None = None
    busy: Change | None = None
    unsolicited: Change | None = None
    crc: Change | None = None
    identity: Change | None = None
    empty: bytes = b"\n"
    nan: bytes = b"NAN"
    text: bytes = b"warm"
    error_on: str = ""
    error: bytes = b'-222,"Data out of range"\n'
    whole: bool = False

    def numbers(self, reply: bytes, word: bytes) -> bytes:
        """Return a reply in which a word stands for every number."""
        return _NUMBER.sub(word, reply)


def another_identity(reply: bytes) -> bytes:
    """Return what another SCPI device answers to `*IDN?`; other replies stay."""
    return b"Acme Instruments,M1,4711,1.0\n" if reply.count(b",") >= 3 else reply


def _asked(request: bytes) -> Telegram:
    frames = interbus.Assembler().feed(request)
    try:
        return interbus.decode(frames[-1])
    except (BadReply, IndexError):
        return Telegram(interbus.BASIK_ADDRESS, interbus.HOST_ADDRESSES[0], Kind.READ, Register.TYPE)


def _answer(kind: Kind, data: bytes = b"") -> Change:
    def answer(request: bytes) -> bytes:
        asked = _asked(request)
        return interbus.encode(Telegram(asked.source, asked.destination, kind, asked.register, data))

    return answer


def _damaged(frame: bytes) -> bytes:
    body = bytearray(interbus.unescape(frame[1:-1]))
    body[-3] ^= 0x10
    return frame[:1] + interbus.escape(bytes(body)) + frame[-1:]


def _another_module(frame: bytes) -> bytes:
    found = interbus.decode(frame)
    if found.register != Register.TYPE:
        return frame
    return interbus.encode(Telegram(found.destination, found.source, found.kind, found.register, bytes((interbus.FRAME_TYPE,))))


def _frame_speaks(request: bytes) -> bytes:
    """Return a telegram of the frame to a host that did not ask."""
    return interbus.encode(Telegram(0xA7, interbus.FRAME_ADDRESS, Kind.DATAGRAM, _asked(request).register, b"\x07\x07"))


def _paddle_homed(_request: bytes) -> bytes:
    """Return what the second paddle of an MPC320 says when it is homed."""
    return apt.encode(apt.Message(apt.Id.HOMED, 2, destination=apt.HOST, source=apt.UNIT))


def _another_unit(reply: bytes) -> bytes:
    return reply.replace(b"MPC320", b"KDC101")


SCPI = Words(identity=another_identity, error_on="SYST:ERR?")
"""Lines of text with `*IDN?` and an error queue."""

WORDS: dict[tuple[str, str], Words] = {
    ("KoherasBasik", "resource"): Words(
        nack=_answer(Kind.NACK),
        busy=_answer(Kind.BUSY),
        unsolicited=_frame_speaks,
        crc=_damaged,
        identity=_another_module,
        empty=b"\r\n",
        nan=b"",
        text=b"",
    ),
    ("OzDD100", "resource"): Words(
        nack=lambda _request: oz.encode_reply(["Error: out of range"]),
        identity=lambda reply: reply.replace(b"MAX ATTEN", b"RANGE"),
        empty=oz.encode_reply([]),
    ),
    ("ThorlabsMBX", "resource"): Words(identity=lambda reply: another_identity(reply).replace(b"\n", b"\r"), empty=b"\r"),
    ("Mpc320", "resource"): Words(
        unsolicited=_paddle_homed,
        identity=_another_unit,
        empty=apt.encode(apt.Message(apt.Id.STATUS, data=b"", destination=apt.HOST, source=apt.UNIT)),
        nan=b"",
        text=b"",
    ),
    ("WebSQ", "resource"): Words(
        nack=lambda _request: websq.encode_broadcast("ErrorMessage", "not now"),
        unsolicited=lambda _request: websq.encode_broadcast("CryostatTemperature", 2.5),
        identity=lambda reply: re.sub(rb'("NumberOfDetectors", "value": \{"value": )\d+', rb"\g<1>0", reply),
        empty=b"{}" + websq.END,
        nan=b"NaN",
        text=b'"warm"',
    ),
    ("WebSQ", "counts"): Words(),
    ("SFifteenSPD", "resource"): Words(identity=another_identity),
    ("SFifteenSPD", "second"): Words(identity=another_identity),
    ("SFifteenTDC", "resource"): Words(identity=another_identity),
    ("ID900", "resource"): Words(nack=lambda _request: b"Error: not now", identity=another_identity, empty=b"", whole=True),
    ("ID900", "stream"): Words(empty=b"", nan=b"", text=b""),
    ("ID900", "datalink"): Words(nack=lambda _request: b'{"error": "not now"}', empty=b"", nan=b"NaN", text=b'"warm"', whole=True),
}
"""The words of a driver's device at one of its ports; those of SCPI where nothing is said."""


def words_of(driver: str, port: str) -> Words:
    """Return how a device speaks at a port."""
    return WORDS.get((driver, port), SCPI)
