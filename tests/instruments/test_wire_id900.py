"""Commands, stamps and data-link answers of the ID900."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.core.errors import BadReply, Rejected
from heliograph.instruments.wire import id900
from heliograph.instruments.wire.id900 import Command


def test_golden_stamps() -> None:
    golden = bytes.fromhex("e803000000000000 80841e0000000000 ff0fa5d4e8000000")

    assert id900.encode_stamps(np.array([1000, 2_000_000, 999_999_999_999])) == golden
    assert id900.decode_stamps(golden).tolist() == [1000, 2_000_000, 999_999_999_999]


@given(st.lists(st.integers(0, 2**63 - 1), max_size=20))
def test_any_stamps_go_there_and_back(stamps: list[int]) -> None:
    assert id900.decode_stamps(id900.encode_stamps(np.array(stamps, np.int64))).tolist() == stamps


@pytest.mark.parametrize("message", [b"1234567", b"\xff" * 8])
def test_torn_or_impossible_stamps_are_a_bad_reply(message: bytes) -> None:
    with pytest.raises(BadReply):
        id900.decode_stamps(message)


def test_a_semicolon_stays_in_the_branch() -> None:
    assert id900.parse_commands("INPU1:ENAB ON;THRE -0.4V;COUP DC;EDGE FALLING;SELE UNSHAPED") == [
        Command(("INPU1", "ENAB"), "ON", False),
        Command(("INPU1", "THRE"), "-0.4V", False),
        Command(("INPU1", "COUP"), "DC", False),
        Command(("INPU1", "EDGE"), "FALLING", False),
        Command(("INPU1", "SELE"), "UNSHAPED", False),
    ]


def test_a_deep_branch_is_left_where_the_device_has_no_such_command() -> None:
    paths = [command.path for command in id900.parse_commands("TSCO1:FIR:LINK DELA1;OPIN ONLYFIR;OPOU ONLYFIR;WIND:ENAB OFF")]

    assert paths == [("TSCO1", "FIR", "LINK"), ("TSCO1", "OPIN"), ("TSCO1", "OPOU"), ("TSCO1", "WIND", "ENAB")]
    assert id900.parse_commands("INPU1:COUN:MODE CYCL;INTE 1000")[1].path == ("INPU1", "COUN", "INTE")


def test_a_semicolon_and_colon_return_to_the_root() -> None:
    assert id900.parse_commands("REC:PWID 200;:INPU2:ENAB?") == [Command(("REC", "PWID"), "200", False), Command(("INPU2", "ENAB"), "", True)]


def test_long_and_short_mnemonics_are_the_same() -> None:
    assert id900.parse_commands("REC:STAGe?") == id900.parse_commands("rec:stag?") == [Command(("REC", "STAG"), "", True)]
    assert id900.parse_commands("RAW1:ERRORS:CLEAR")[0].path == ("RAW1", "ERRO", "CLEA")


def test_a_malformed_mnemonic_is_a_bad_reply() -> None:
    with pytest.raises(BadReply):
        id900.parse_commands("!!")


def test_integers_may_end_in_time_bins() -> None:
    assert id900.integer("1000TB") == id900.integer(" 1000 ") == 1000
    assert id900.volts("-0.4V") == -0.4
    for text in ("", "x", "1.5"):
        with pytest.raises(BadReply):
            id900.integer(text)
    with pytest.raises(BadReply):
        id900.volts("high")


def test_data_link_requests_are_read_as_they_are_written() -> None:
    request = id900.start_stream("10.0.0.7", 2, 4243)

    assert request == "start-stream --address 10.0.0.7 --channel 2 --stream-port 4243"
    assert id900.parse_request(request) == ("start-stream", {"address": "10.0.0.7", "channel": "2", "stream-port": "4243"})
    assert id900.parse_request(id900.stop_stream("7")) == ("stop", {"id": "7"})
    with pytest.raises(BadReply):
        id900.parse_request("status --id")


def test_a_data_link_answer_is_an_object_or_an_error() -> None:
    assert id900.parse_answer('{"id": "7"}') == {"id": "7"}
    with pytest.raises(Rejected, match="port in use"):
        id900.parse_answer('{"error": "port in use"}')
    for text in ("", "[]", "garbage"):
        with pytest.raises(BadReply):
            id900.parse_answer(text)
