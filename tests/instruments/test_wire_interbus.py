"""Interbus frames, byte for byte as the protocol's golden telegrams stand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.core.errors import BadReply, ChecksumError, ParameterError
from heliograph.instruments.wire import interbus
from heliograph.instruments.wire.interbus import Assembler, Kind, Register, Telegram

GOLDENS = [
    ("0d01a10430068f0a", Telegram(0x01, 0xA1, Kind.READ, 0x30)),
    ("0d01a204305fdf0a", Telegram(0x01, 0xA2, Kind.READ, 0x30)),
    ("0d01a1053001c8d70a", Telegram(0x01, 0xA1, Kind.WRITE, 0x30, b"\x01")),
    ("0d01a1053000d8f60a", Telegram(0x01, 0xA1, Kind.WRITE, 0x30, b"\x00")),
    ("0da1010330c8f20a", Telegram(0xA1, 0x01, Kind.ACK, 0x30)),
    ("0da10100309da10a", Telegram(0xA1, 0x01, Kind.NACK, 0x30)),
    ("0da1010130ae900a", Telegram(0xA1, 0x01, Kind.CRC_ERROR, 0x30)),
    ("0da1010230fbc30a", Telegram(0xA1, 0x01, Kind.BUSY, 0x30)),
    ("0da1010817e803e4910a", Telegram(0xA1, 0x01, Kind.DATAGRAM, 0x17, interbus.pack(Register.POWER, 10.00))),
    ("0d01a10522dc0591990a", Telegram(0x01, 0xA1, Kind.WRITE, 0x22, interbus.pack(Register.POWER_SET, 15.00))),
    ("0d01a1052a8200452d0a", Telegram(0x01, 0xA1, Kind.WRITE, 0x2A, interbus.pack(Register.OFFSET_SET, 13.0))),
    ("0d01a1052a7eff5e4d710a", Telegram(0x01, 0xA1, Kind.WRITE, 0x2A, interbus.pack(Register.OFFSET_SET, -13.0))),
    ("0da1010866010091e00a", Telegram(0xA1, 0x01, Kind.DATAGRAM, 0x66, interbus.pack(Register.STATUS, interbus.Status.EMISSION))),
    ("0da10108329087ec0011fe0a", Telegram(0xA1, 0x01, Kind.DATAGRAM, 0x32, interbus.pack(Register.WAVELENGTH, 1550120.0))),
    ("0da10108175e4d5e4a5e9e66c80a", Telegram(0xA1, 0x01, Kind.DATAGRAM, 0x17, b"\x0d\x0a\x5e")),
]


@pytest.mark.parametrize(("frame", "telegram"), GOLDENS)
def test_golden_telegrams_are_encoded_and_decoded_to_the_byte(frame: str, telegram: Telegram) -> None:
    assert interbus.encode(telegram).hex() == frame
    assert interbus.decode(bytes.fromhex(frame)) == telegram


def test_the_check_value_of_crc16_xmodem() -> None:
    assert interbus.crc16(b"123456789") == 0x31C3


def test_a_flipped_bit_is_a_checksum_error() -> None:
    frame = bytearray.fromhex("0da1010817e803e4910a")
    frame[5] ^= 0x01

    with pytest.raises(ChecksumError):
        interbus.decode(bytes(frame))


@pytest.mark.parametrize("frame", ["", "0d0a", "0d5e410a", "0d5e0a", "0da1010308f20b", "0da1010a30c8f20a"])
def test_a_malformed_frame_is_a_bad_reply(frame: str) -> None:
    with pytest.raises(BadReply):
        interbus.decode(bytes.fromhex(frame))


def test_the_offset_register_may_have_two_or_four_bytes() -> None:
    assert interbus.unpack(Register.OFFSET, b"\x7e\xff") == -13.0
    assert interbus.unpack(Register.OFFSET, b"\x7e\xff\xff\xff") == -13.0
    with pytest.raises(BadReply):
        interbus.unpack(Register.OFFSET, b"\x7e\xff\xff")


def test_a_value_that_does_not_fit_its_register_is_refused() -> None:
    with pytest.raises(ParameterError):
        interbus.pack(Register.POWER_SET, 700.0)
    with pytest.raises(ParameterError):
        interbus.encode(Telegram(1, 2, 3, 4, bytes(241)))


_BYTE = st.integers(0, 255)
_TELEGRAMS = st.lists(st.builds(Telegram, _BYTE, _BYTE, _BYTE, _BYTE, st.binary(max_size=240)), max_size=5)


@given(_TELEGRAMS, st.integers(1, 7))
def test_any_telegram_survives_the_wire_in_pieces_of_any_size(telegrams: list[Telegram], size: int) -> None:
    stream = b"".join(interbus.encode(telegram) for telegram in telegrams)

    assembler = Assembler()
    frames = [frame for start in range(0, len(stream), size) for frame in assembler.feed(stream[start : start + size])]

    assert [interbus.decode(frame) for frame in frames] == telegrams


@given(st.binary(max_size=60))
def test_garbage_is_a_typed_error_and_nothing_else(garbage: bytes) -> None:
    with pytest.raises(BadReply):
        interbus.decode(b"\x0d" + garbage + b"\x0b")
