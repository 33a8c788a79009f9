"""Replies of the DD-100-MC."""

import pytest

from heliograph.core.errors import BadReply
from heliograph.instruments.wire import oz


def test_a_reply_gives_its_fields_by_name() -> None:
    reply = oz.parse_reply("DPos:4321\r\nATTEN:12.34\r\nDone\r\n\r\n")

    assert reply.number("DPos") == 4321
    assert reply.number("ATTEN") == 12.34
    assert reply.error == ""


def test_the_simulator_sends_what_the_manual_shows() -> None:
    assert oz.encode_reply(["Pos:4321"]) == b"Pos:4321\r\nDone\r\n\r\n"
    assert oz.attenuation_command(12.34) == "A12.34"


def test_an_echo_is_tolerated() -> None:
    assert oz.parse_reply("A12.34\r\nPos:4321\r\nDone\r\n", "A12.34").fields == {"Pos": "4321"}


@pytest.mark.parametrize("line", ["Error: not homed", "A99 Error!"])
def test_a_refusal_is_kept_as_text(line: str) -> None:
    assert oz.parse_reply(f"{line}\r\nDone\r\n").error == line


@pytest.mark.parametrize("text", ["", "Pos:1\r\n", "what\r\nDone\r\n"])
def test_a_reply_that_means_nothing_is_a_bad_reply(text: str) -> None:
    with pytest.raises(BadReply):
        oz.parse_reply(text)


@pytest.mark.parametrize("fields", [{}, {"Pos": "?"}])
def test_a_missing_number_is_a_bad_reply(fields: dict[str, str]) -> None:
    with pytest.raises(BadReply):
        oz.Reply(fields).number("Pos")


def test_a_reply_is_complete_with_its_done_line_only() -> None:
    assert oz.is_complete("Pos:1\r\nDone\r\n")
    assert not oz.is_complete("Pos:1\r\nDone")
    assert not oz.is_complete("Pos:1\r\n")


def test_commands_are_cut_wherever_the_stream_is() -> None:
    reader = oz.CommandReader()

    assert [reader.feed(piece) for piece in (b"A12", b".34\rD", b"\r\n\r")] == [[], ["A12.34"], ["D"]]
