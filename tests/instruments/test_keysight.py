"""The 81160A: PyMeasure's driver with its scaling mended."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymeasure.test import expected_protocol

from heliograph.core.errors import BadReply, DeviceFault, ParameterError, Rejected
from heliograph.instruments import keysight
from heliograph.instruments.keysight import Keysight81160A, dac_codes


def test_the_golden_waveform_to_the_byte() -> None:
    golden = b":DATA1:DAC VOLATILE,#210" + bytes.fromhex("e001e801000017ff1fff")
    with expected_protocol(Keysight81160A, [(golden, None)]) as awg:
        awg.ch_1.waveform_volatile = [-2, -1.5, 0, 1.5, 2]


@pytest.mark.parametrize(("volts", "codes"), [([-1, -0.5], [-8191, -4096]), ([-8, 1], [-8191, 1024]), ([0, 0, 0], [0, 0, 0])])
def test_waveforms_that_the_original_ruins(volts: list[float], codes: list[int]) -> None:
    assert dac_codes(volts).tolist() == codes


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=30))
def test_codes_keep_sign_and_proportion_and_fit_the_converter(volts: list[float]) -> None:
    codes, largest = dac_codes(volts), max(abs(v) for v in volts)

    assert np.abs(codes).max() in (0, 8191)
    if largest > 1e-300:
        assert np.allclose(codes / 8191, np.array(volts) / largest, atol=1e-4)


@pytest.mark.parametrize("volts", [[], [float("nan")], [float("inf"), 1.0], [[1.0]]])
def test_what_is_no_waveform_is_refused_before_anything_is_sent(volts: list[float]) -> None:
    with expected_protocol(Keysight81160A, []) as awg, pytest.raises(ParameterError):
        awg.ch_1.waveform_volatile = volts


def test_the_copy_of_a_waveform_can_be_dropped() -> None:
    with expected_protocol(Keysight81160A, [(b":DATA2:DAC VOLATILE,#12" + b"\x1f\xff", None)]) as awg:
        awg.ch_2.waveform_volatile = [1.0]
        awg.ch_2.forget_waveform()
        assert awg.ch_2.waveform_volatile is None


@pytest.mark.parametrize(
    ("attribute", "command", "text", "value"),
    [
        ("shape", ":FUNC1", "USER", "USER"),
        ("frequency", ":FREQ1", "10000.000000", 10000.0),
        ("amplitude", ":VOLT1", "5.000000", 5.0),
        ("offset", ":VOLT1:OFFS", "0.500000", 0.5),
        ("voltage_high", ":VOLT1:HIGH", "1.000000", 1.0),
        ("voltage_low", ":VOLT1:LOW", "-1.000000", -1.0),
        ("limit_low", ":VOLT1:LIM:LOW", "-5.000000", -5.0),
        ("limit_high", ":VOLT1:LIM:HIGH", "5.000000", 5.0),
        ("limit_state_enabled", ":VOLT1:LIM:STAT", "1", True),
        ("pulse_width", ":PULS:WIDT1", "1.000000e-08", 1e-8),
        ("trigger_mode", ":ARM:SOUR1", "EXT", "EXT"),
        ("trigger_count", ":TRIG1:COUN", "2", 2),
        ("output", "OUTP1", "1", True),
        ("output", "OUTP1", "0", False),
    ],
)
def test_every_setting_is_written_and_read(attribute: str, command: str, text: str, value: object) -> None:
    with expected_protocol(Keysight81160A, [(f"{command} {text}", None), (f"{command}?", text)]) as awg:
        setattr(awg.ch_1, attribute, value)
        assert getattr(awg.ch_1, attribute) == value


@pytest.mark.parametrize("reply", ["", "@#!", "7", "nan"])
def test_an_output_that_is_neither_on_nor_off_is_a_bad_reply(reply: str) -> None:
    with expected_protocol(Keysight81160A, [("OUTP1?", reply)]) as awg, pytest.raises(BadReply):
        awg.ch_1.output  # noqa: B018


def test_limits_are_set_and_switched_on() -> None:
    with expected_protocol(Keysight81160A, [(":VOLT2:LIM:LOW -2.500000", None), (":VOLT2:LIM:HIGH 2.500000", None), (":VOLT2:LIM:STAT 1", None)]) as awg:
        awg.channel(2).set_limits(-2.5, 2.5)


def test_the_identity_has_four_fields() -> None:
    with expected_protocol(Keysight81160A, [("*IDN?", "Agilent Technologies,81160A,MY123,2.0.0.0"), ("*IDN?", "garbage")]) as awg:
        assert awg.identity() == ("Agilent Technologies", "81160A", "MY123", "2.0.0.0")
        with pytest.raises(BadReply):
            awg.identity()


def test_an_entry_of_the_error_queue_is_raised() -> None:
    pairs = [("SYST:ERR?", '-222,"Data out of range"'), ("SYST:ERR?", '+0,"No error"'), ("SYST:ERR?", '+0,"No error"')]
    with expected_protocol(Keysight81160A, pairs) as awg:
        with pytest.raises(Rejected, match=r"Data out of range \(code -222\)"):
            awg.check_errors()
        assert awg.check_errors() == []


def test_an_endless_error_queue_is_a_fault() -> None:
    with expected_protocol(Keysight81160A, [("SYST:ERR?", '-350,"Queue overflow"')] * 32) as awg, pytest.raises(DeviceFault):
        awg.check_errors()


@pytest.mark.parametrize("reply", ["text", [1.0, 2.0], float("nan"), 9.9e37, True])
def test_a_reply_that_is_no_number_is_a_bad_reply(reply: object) -> None:
    with pytest.raises(BadReply):
        keysight.finite_number(reply, "offset", "awg")


def test_there_are_two_outputs() -> None:
    with expected_protocol(Keysight81160A, []) as awg, pytest.raises(ParameterError):
        awg.channel(3)
