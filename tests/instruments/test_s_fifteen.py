"""S-Fifteen drivers, as the vendor's commands read."""

from typing import Any

import pytest
from pymeasure.test import expected_protocol

from heliograph.core.errors import BadReply
from heliograph.instruments.s_fifteen import SFifteenSPD, SFifteenTDC
from heliograph.instruments.wire import tdc1


@pytest.mark.parametrize(
    ("name", "question", "answer", "value"),
    [
        ("bias_v", "hvolt?;", "61.500\n", 61.5),
        ("threshold_v", "threshvolt?;", "-0.150\n", -0.15),
        ("temperature_degc", "temp?;", "-19.87\n", -19.87),
        ("target_degc", "settemp?;", "-20.00\n", -20.0),
        ("cooler_v", "pvolt?;", "2.4\n", 2.4),
        ("cooled", "loop?;", "1\n", True),
        ("cooled", "loop?;", "0\n", False),
        ("period_ms", "time?;", "100\n", 100),
        ("delay", "delay?;", "3\n", 3),
    ],
)
def test_a_property_of_the_spd_is_read(name: str, question: str, answer: str, value: Any) -> None:
    with expected_protocol(SFifteenSPD, [(question, answer)]) as spd:
        found = getattr(spd, name)

    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("name", "value", "command"),
    [
        ("bias_v", 61.5, "hvolt 61.500\r\n"),
        ("threshold_v", -0.15, "threshvolt -0.150\r\n"),
        ("target_degc", -20.0, "settemp -20.00\r\n"),
        ("cooled", True, "loop 1\r\n"),
        ("cooled", False, "loop 0\r\n"),
        ("period_ms", 100, "time 100\r\n"),
        ("delay", 3, "delay 3\r\n"),
    ],
)
def test_a_property_of_the_spd_is_set(name: str, value: Any, command: str) -> None:
    with expected_protocol(SFifteenSPD, [(command, None)]) as spd:
        setattr(spd, name, value)


def test_the_spd_counts_after_its_counting_time_and_says_who_it_is() -> None:
    said = [("time 50\r\n", None), ("counts?;", "12345\n"), ("*idn?;", "S-Fifteen Instruments,SPD,26,1.4\n"), ("save\r\n", None)]
    with expected_protocol(SFifteenSPD, said) as spd:
        spd.begin_count(50)
        assert spd.counted(50) == 12345
        assert spd.identity() == ("S-Fifteen Instruments", "SPD", "26", "1.4")
        spd.save()


@pytest.mark.parametrize(("question", "name"), [("hvolt?;", "bias_v"), ("temp?;", "temperature_degc"), ("loop?;", "cooled"), ("time?;", "period_ms")])
@pytest.mark.parametrize("answer", ["NAN\n", "9.9E37\n", "warm\n", "\n"])
def test_what_is_no_number_is_a_bad_reply(question: str, name: str, answer: str) -> None:
    with expected_protocol(SFifteenSPD, [(question, answer)]) as spd, pytest.raises(BadReply):
        getattr(spd, name)


@pytest.mark.parametrize(("question", "name", "answer"), [("loop?;", "cooled", "0.5\n"), ("time?;", "period_ms", "99.5\n"), ("counts?;", "", "7.5\n")])
def test_a_whole_number_is_no_other(question: str, name: str, answer: str) -> None:
    with expected_protocol(SFifteenSPD, [("time 10\r\n", None)] * (not name) + [(question, answer)]) as spd, pytest.raises(BadReply):
        if name:
            getattr(spd, name)
        spd.begin_count(10)
        spd.counted(10)


@pytest.mark.parametrize("period_ms", [0, 65_536])
def test_a_counting_time_beyond_the_device_is_refused_before_it_is_sent(period_ms: int) -> None:
    with expected_protocol(SFifteenSPD, []) as spd, pytest.raises(ValueError, match="not in range"):
        spd.begin_count(period_ms)


@pytest.mark.parametrize(
    ("name", "question", "answer", "value"),
    [
        ("mode", "mode?", "3\n", 3),
        ("level_v", "level?", "-0.5 V\n", -0.5),
        ("clock", "REFCLK?", "1\n", 1),
        ("period_ms", "time?", "100\n", 100),
        ("period_ms", "time?", "-536\n", 65_000),
    ],
)
def test_a_property_of_the_tdc_is_read(name: str, question: str, answer: str, value: Any) -> None:
    with expected_protocol(SFifteenTDC, [(question, answer)]) as tdc:
        assert getattr(tdc, name) == value


@pytest.mark.parametrize(
    ("name", "value", "command"),
    [("level_v", -0.5, "NEG -0.5"), ("level_v", 1.2, "POS 1.2"), ("clock", 0, "REFCLK 0"), ("clock", 2, "REFCLK 2"), ("period_ms", 0, "time 0")],
)
def test_a_property_of_the_tdc_is_set(name: str, value: Any, command: str) -> None:
    with expected_protocol(SFifteenTDC, [(command, None)]) as tdc:
        setattr(tdc, name, value)


def test_the_tdc_counts_singles_and_pairs() -> None:
    said = [("time 100", None), ("singles;counts?", "10 20 30 0\n"), ("time 100", None), ("pairs;counts?", "10 20 30 0 1 0 2 0\n")]
    with expected_protocol(SFifteenTDC, said) as tdc:
        assert tdc.singles(100) == (10, 20, 30, 0)
        assert tdc.pairs(100) == (10, 20, 30, 0, 1, 0, 2, 0)


def test_the_tdc_streams_words_until_it_is_told_to_end() -> None:
    words = tdc1.encode_words([5, 6], [1, 2])
    said = [("INPKT;NEG -0.5;time 0;timestamp;counts?;", words), ("abort", words[:5]), ("singles", None)]
    with expected_protocol(SFifteenTDC, said) as tdc:
        tdc.begin_stream(-0.5)
        assert tdc.stream(0.1) == words
        tdc.adapter.read_bytes = _ending(tdc.adapter.read_bytes)
        tdc.halt()


def _ending(read_bytes: Any) -> Any:
    """The rest of a stream, then silence, as a line gives it."""
    left = ["rest"]

    def read(count: int) -> bytes:
        return bytes(read_bytes(count)) if left and left.pop() else b""

    return read


def test_the_identity_of_the_tdc() -> None:
    with expected_protocol(SFifteenTDC, [("*idn?", "S-Fifteen Instruments,TDC1,26,2.0\n"), ("*idn?", "Acme,M1,1,1\n")]) as tdc:
        assert tdc.identity()[1:3] == ("TDC1", "26")
        with pytest.raises(BadReply, match="no TDC1"):
            tdc.identity()
