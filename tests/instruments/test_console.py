from __future__ import annotations

import pytest

from heliograph.core.errors import ParameterError
from heliograph.instruments.connect import connect
from heliograph.instruments.console import Console, shown
from heliograph.instruments.station import Station


@pytest.fixture
def instruments(bench, station_text, tmp_path):
    path = tmp_path / "lab.toml"
    path.write_text(station_text)
    with connect(Station.load(path), bench.addresses) as found:
        yield found


@pytest.mark.parametrize(
    ("name", "line", "answer"),
    [
        ("voa", "CD", "IL:0.80\nMAX ATTEN:60.00\nSN:D1\nDone"),
        ("awg", "*IDN?", "Agilent Technologies,81160A,MY1,2.0"),
        ("tagger", "*IDN?", "ID Quantique,ID900,T1,1.12"),
        ("snspd", '{"request": "?"}', "NumberOfDetectors"),
    ],
)
def test_a_line_goes_out_and_the_whole_answer_comes_back_on_every_transport(instruments, name, line, answer):
    console = Console(instruments[name], patience_s=1.0)

    said = console.say(line)

    assert answer in said.received
    assert said.safe is True
    assert console.history == [said]


def test_bytes_go_out_as_they_are(instruments, bench):
    said = Console(instruments["awg"]).say_bytes("4F5554 50313F0A")

    assert bench.awg.commands[-3] == "OUTP1?"
    assert (said.sent, said.received) == ("OUTP1?", "0")


def test_a_write_is_answered_by_nothing_and_what_it_did_is_seen(instruments):
    console = Console(instruments["awg"], patience_s=0.3)
    said = console.say("OUTP2 1")

    assert said.received == ""
    assert said.seconds < 1.0
    assert said.safe is False
    assert console.listen().received == ""


def test_the_driver_is_right_again_afterwards(instruments):
    before = instruments["voa"].attenuation_db
    console = Console(instruments["voa"], patience_s=0.3)
    console.say("D?")
    console.say("CD")

    assert instruments["voa"].attenuation_db == before


@pytest.mark.parametrize("wrong", ["\u00b5", "a\rb"])
def test_what_is_no_text_is_refused_before_anything_is_sent(instruments, bench, wrong):
    console, before = Console(instruments["awg"]), list(bench.awg.commands)

    with pytest.raises(ParameterError):
        console.say(wrong)
    with pytest.raises(ParameterError):
        console.say_bytes(wrong)
    assert bench.awg.commands == before


def test_bytes_are_shown_as_text_where_they_are_text():
    assert shown(b"+1.0\r\n") == "+1.0"
    assert shown(b"a\r\nb\n") == "a\nb"
    assert shown(b"\x0d\xa1\x33\n") == "0D A1 33 0A"
    assert shown(b"{}\x17{}\x17") == "{}\n{}"
    assert shown(b"") == ""
