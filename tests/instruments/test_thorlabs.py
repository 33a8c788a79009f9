"""The drivers of Thorlabs, as their manuals read."""

from __future__ import annotations

import warnings

import pytest
from pymeasure.instruments.thorlabs.thorlabsmbxseries import RgbPowerMode, VoaMode
from pymeasure.test import expected_protocol

from heliograph.core.errors import BadReply, DeviceFault, Rejected
from heliograph.instruments.thorlabs import ThorlabsMBX, ThorlabsPM100
from heliograph.instruments.wire.mbx import BiasMode

SENSOR = ("SYST:SENSOR:IDN?", "S154C,220101234,01-JAN-2026,1,18,33")
NO_ERROR = ("SYST:ERR?", '+0,"No error"')


def test_the_bias_mode_is_set_and_read_back() -> None:
    with expected_protocol(ThorlabsMBX, [("MZM:MODE: 2", None), ("MZM:MODE?", "2")]) as mbx:
        mbx.mzm.mode = BiasMode.NULL
        assert mbx.mzm.mode is BiasMode.NULL


def test_whether_the_bias_is_being_calibrated() -> None:
    with expected_protocol(ThorlabsMBX, [("MZM:CALIBRATING?", "1"), ("MZM:CALIBRATING?", "0")]) as mbx:
        assert mbx.mzm.is_calibrating is True
        assert mbx.mzm.is_calibrating is False


def test_calibration_is_answered_and_then_waited_for() -> None:
    with expected_protocol(ThorlabsMBX, [("MZM:RESET", "1"), ("MZM:CALIBRATING?", "1"), ("MZM:CALIBRATING?", "0")]) as mbx:
        mbx.mzm.calibrate()


def test_a_manual_bias_is_sent_in_millivolts_and_read_in_volts() -> None:
    pairs = [("MZM:HOLD:VOLTAGE: -2500", None), ("MZM:HOLD:VOLTAGE?", "-2500"), ("MZM:VOLTAGE?", "-2.498"), ("MZM:SETPOINT?", "1")]
    with expected_protocol(ThorlabsMBX, pairs) as mbx:
        mbx.mzm.voltage_setpoint = -2.5
        assert mbx.mzm.voltage_setpoint == -2.5
        assert mbx.mzm.voltage == -2.498
        assert mbx.mzm.is_stable is True


def test_a_power_ratio_is_sent_in_hundredths() -> None:
    with expected_protocol(ThorlabsMBX, [("MZM:HOLD:RATIO: 350", None), ("MZM:HOLD:RATIO?", "350"), ("MZM:TAP:MW?", "0.998")]) as mbx:
        mbx.mzm.ratio_setpoint = 3.5
        assert mbx.mzm.ratio_setpoint == 3.5
        assert mbx.mzm.power == 0.998


def test_the_attenuation_is_set_and_measured() -> None:
    pairs = [("VOA:ATTEN: 7.25", None), ("VOA:ATTEN?", "7.25"), ("VOA:MEASURED?", "7.24"), ("VOA:ERROR?", "-0.01"), ("VOA:SETPOINT?", "1")]
    with expected_protocol(ThorlabsMBX, pairs) as mbx:
        mbx.voa.attenuation_setpoint = 7.25
        assert mbx.voa.attenuation_setpoint == 7.25
        assert mbx.voa.attenuation == 7.24
        assert mbx.voa.attenuation_error == -0.01
        assert mbx.voa.is_stable is True


def test_the_answer_to_the_attenuator_s_mode_is_read_so_that_later_answers_are_their_own() -> None:
    with expected_protocol(ThorlabsMBX, [("VOA:MODE: 1", "1"), ("VOA:MODE?", "1"), ("VOA:TAP:MW?", "0.25")]) as mbx:
        mbx.voa.mode = VoaMode.POWER
        assert mbx.voa.mode is VoaMode.POWER
        assert mbx.voa.power == 0.25


def test_the_output_power_and_the_switch_of_the_attenuator() -> None:
    pairs = [("VOA:OUTPUT:MW: 0.5", None), ("VOA:OUTPUT:MW?", "0.5"), ("VOA:POWER: 1", None), ("VOA:POWER?", "1"), ("VOA:POWER: 0", None)]
    with expected_protocol(ThorlabsMBX, pairs) as mbx:
        mbx.voa.power_setpoint = 0.5
        assert mbx.voa.power_setpoint == 0.5
        mbx.voa.enabled = True
        assert mbx.voa.enabled is True
        mbx.voa.enabled = False


def test_the_lamps_under_the_chassis() -> None:
    pairs = [("RGB:POWER: 1", None), ("RGB:POWER?", "1"), ("RGB:RED: 10", None), ("RGB:GREEN: 20", None), ("RGB:BLUE: 30", None)]
    with expected_protocol(ThorlabsMBX, [*pairs, ("RGB:RED?", "10"), ("RGB:GREEN?", "20"), ("RGB:BLUE?", "30"), ("RGB:WHITE: 5", None)]) as mbx:
        mbx.rgb.mode = RgbPowerMode.RGB
        assert mbx.rgb.mode is RgbPowerMode.RGB
        mbx.rgb.rgb = (10, 20, 30)
        assert mbx.rgb.rgb == (10, 20, 30)
        mbx.rgb.white = 5


def test_the_identity_of_an_mbx() -> None:
    with expected_protocol(ThorlabsMBX, [("*IDN?", "Thorlabs,MBX3,M00812345,1.4")]) as mbx:
        assert mbx.identity() == ("Thorlabs", "MBX3", "M00812345", "1.4")


@pytest.mark.parametrize("reply", ["nan", "9.9E37", "1,2", "", "ready"])
def test_what_is_no_number_is_a_bad_reply(reply: str) -> None:
    with expected_protocol(ThorlabsMBX, [("MZM:VOLTAGE?", reply)]) as mbx, pytest.raises(BadReply):
        mbx.mzm.voltage  # noqa: B018


@pytest.mark.parametrize(("question", "reply"), [("MZM:MODE?", "17"), ("MZM:SETPOINT?", "nan"), ("MZM:SETPOINT?", "2"), ("MZM:CALIBRATING?", "x")])
def test_a_mode_or_switch_there_is_not_is_a_bad_reply(question: str, reply: str) -> None:
    names = {"MZM:MODE?": "mode", "MZM:SETPOINT?": "is_stable", "MZM:CALIBRATING?": "is_calibrating"}
    with expected_protocol(ThorlabsMBX, [(question, reply)]) as mbx, pytest.raises(BadReply):
        getattr(mbx.mzm, names[question])


def test_what_an_mbx_cannot_do_is_refused_before_anything_is_sent() -> None:
    with expected_protocol(ThorlabsMBX, []) as mbx:
        for channel, name, value in (("voa", "attenuation_setpoint", 20.5), ("mzm", "voltage_setpoint", 11), ("mzm", "ratio_setpoint", 1), ("mzm", "mode", 12)):
            with pytest.raises(ValueError, match="(?i)range|set"):
                setattr(getattr(mbx, channel), name, value)


def test_a_power_meter_asks_for_its_sensor_and_warns_of_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with expected_protocol(ThorlabsPM100, [SENSOR]) as meter:
            assert (meter.sensor_name, meter.sensor_sn, meter.sensor_cal_msg) == ("S154C", "220101234", "01-JAN-2026")
            assert (meter.is_power_sensor, meter.is_energy_sensor, meter.wavelength_settable) == (True, False, True)


def test_other_warnings_are_not_swallowed() -> None:
    with expected_protocol(ThorlabsPM100, [SENSOR]), pytest.warns(FutureWarning, match="mine"):
        warnings.warn("mine", FutureWarning, stacklevel=1)


def test_power_is_in_watts() -> None:
    with expected_protocol(ThorlabsPM100, [SENSOR, ("MEAS:POW?", "1.234567E-04")]) as meter:
        assert meter.power == 1.234567e-4


def test_the_wavelength_is_sent_with_every_digit_and_checked() -> None:
    pairs = [SENSOR, ("SENSE:CORR:WAV 1550.12", None), NO_ERROR, ("SENSE:CORR:WAV?", "1.55012E+03"), ("SENSE:CORR:WAV 1550.1234", None), NO_ERROR]
    with expected_protocol(ThorlabsPM100, pairs) as meter:
        meter.wavelength = 1550.12
        assert meter.wavelength == 1550.12
        meter.wavelength = 1550.1234


def test_the_ranges_of_a_power_meter() -> None:
    pairs = [SENSOR, ("SENS:CORR:WAV? MIN", "800"), ("SENS:CORR:WAV? MAX", "1700"), ("SENS:POW:RANG? MIN", "1e-9"), ("SENS:POW:RANG? MAX", "3e-3")]
    with expected_protocol(ThorlabsPM100, pairs) as meter:
        assert (meter.wavelength_min, meter.wavelength_max) == (800.0, 1700.0)
        assert (meter.power_range_min, meter.power_range_max) == (1e-9, 3e-3)


def test_a_wavelength_out_of_range_is_refused_by_the_meter_and_not_moved() -> None:
    error = ("SYST:ERR?", '-222,"Data out of range"')
    with expected_protocol(ThorlabsPM100, [SENSOR, ("SENSE:CORR:WAV 300", None), error, NO_ERROR]) as meter, pytest.raises(Rejected, match="out of range"):
        meter.wavelength = 300.0


def test_the_range_may_be_the_meter_s_own_choice() -> None:
    with expected_protocol(ThorlabsPM100, [SENSOR, ("SENS:POW:RANG:AUTO 1", None), NO_ERROR, ("SENS:POW:RANG:AUTO?", "1")]) as meter:
        meter.auto_range = True
        assert meter.auto_range is True


def test_an_energy_sensor_measures_no_power() -> None:
    with expected_protocol(ThorlabsPM100, [("SYST:SENSOR:IDN?", "ES111C,1,01-JAN-2026,2,3,2"), ("MEAS:ENER?", "1e-6")]) as meter:
        assert meter.energy == 1e-6
        with pytest.raises(DeviceFault, match="ES111C"):
            meter.power  # noqa: B018


def test_a_meter_without_sensor_is_a_fault() -> None:
    with pytest.raises(DeviceFault, match="no sensor"), expected_protocol(ThorlabsPM100, [("SYST:SENSOR:IDN?", "no sensor")]):
        pass


@pytest.mark.parametrize("reply", ["", "S154C,220101234", "S154C,1,x,1,18,many"])
def test_a_sensor_that_does_not_say_what_it_is_is_a_bad_reply(reply: str) -> None:
    with pytest.raises(BadReply), expected_protocol(ThorlabsPM100, [("SYST:SENSOR:IDN?", reply)]):
        pass


@pytest.mark.parametrize("reply", ["nan", "9.9E37", "+9.91E+37", "dark", ""])
def test_an_overflow_mark_is_no_power(reply: str) -> None:
    with expected_protocol(ThorlabsPM100, [SENSOR, ("MEAS:POW?", reply)]) as meter, pytest.raises(BadReply):
        meter.power  # noqa: B018


def test_an_error_queue_that_does_not_end_is_a_fault() -> None:
    endless = [("SYST:ERR?", '-100,"Command error"')] * 32
    with expected_protocol(ThorlabsPM100, [SENSOR, *endless]) as meter, pytest.raises(DeviceFault):
        meter.check_set_errors()
