"""Definite-length blocks and command streams."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.core.errors import BadReply
from heliograph.instruments.wire import scpi
from heliograph.instruments.wire.scpi import Command, CommandReader


def test_a_block_says_its_length_in_front() -> None:
    assert scpi.encode_block(bytes.fromhex("e001e801000017ff1fff")) == b"#210" + bytes.fromhex("e001e801000017ff1fff")


def test_what_stands_behind_a_block_is_returned() -> None:
    assert scpi.decode_block(b"#13abcrest") == (b"abc", b"rest")


@pytest.mark.parametrize("buffer", [b"", b"#", b"#2", b"#21", b"#210", b"#13ab"])
def test_an_unfinished_block_is_waited_for(buffer: bytes) -> None:
    assert scpi.decode_block(buffer) is None


@pytest.mark.parametrize("buffer", [b"x", b"#0", b"#x1", b"#2x0abc", b"#9999999999"])
def test_a_malformed_block_is_a_bad_reply(buffer: bytes) -> None:
    with pytest.raises(BadReply):
        scpi.decode_block(buffer)


@given(st.binary(max_size=40), st.integers(1, 9))
def test_newlines_inside_a_block_end_nothing(payload: bytes, size: int) -> None:
    stream = b"*CLS\n:DATA1:DAC VOLATILE," + scpi.encode_block(payload) + b":FUNC1 USER\n\n"

    reader = CommandReader()
    commands = [command for start in range(0, len(stream), size) for command in reader.feed(stream[start : start + size])]

    assert commands == [Command("*CLS"), Command(":DATA1:DAC VOLATILE,", payload), Command(":FUNC1 USER")]


def test_an_error_entry_is_code_and_text() -> None:
    assert scpi.error_entry('-222,"Data out of range"\n') == (-222, "Data out of range")
    assert scpi.error_entry("+0") == (0, "")
    with pytest.raises(BadReply):
        scpi.error_entry("none")


def test_an_identity_has_four_fields() -> None:
    assert scpi.identity_fields("Agilent Technologies,81160A,MY1,2.0\n") == ("Agilent Technologies", "81160A", "MY1", "2.0")
    with pytest.raises(BadReply):
        scpi.identity_fields("81160A")
