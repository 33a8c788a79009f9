"""Station files with bias controllers, taps and units that are two instruments."""

from datetime import date
from pathlib import Path

import pytest

from heliograph.core.errors import ConfigError
from heliograph.instruments.station import Station

TEXT = (Path(__file__).parents[1] / "full_station.toml").read_text()


def parse(*changes: tuple[str, str]) -> Station:
    text = TEXT
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    return Station.parse(text.encode(), Path("lab.toml"), today=date(2026, 11, 20))


def test_the_station_with_every_device_is_right() -> None:
    station = parse()
    assert station.optics.modulators["im1"].bias == "mbx_1"
    assert station.optics.taps["tap"].share == 0.01
    assert station.optics.input_taps_db == pytest.approx(0.0436, abs=1e-4)
    assert station.plain()["optics"]["taps"] == {"tap": {"meter": "meter", "share": 0.01, "included": False}}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('bias = "mbx_1"', 'bias = "voa_in"', "bias of im1 is 'voa_in', which is no BiasController"),
        ('bias = "mbx_1"', 'bias = "mbx_2"', "same bias controller mbx_2"),
        ('source = "awg_a:1", ', 'source = "awg_a:1", bias = "mbx_2", ', "pm_a has a bias controller and is no IntensityModulator"),
        ('meter = "meter"', 'meter = "laser"', "leads to 'laser', which is no PowerMeter"),
        ('"im2", "tap"', '"im2"', "the line does not pass the tap tap"),
        ('"im2", "tap"', '"im2", "meter"', "the line has meter, through which no light passes"),
        ('tap = { meter = "meter", share = "1 %" }', 'tap = { meter = "meter", share = "1 %" }\ntwo = { meter = "meter", share = "1 %" }', "the same meter"),
        ('share = "1 %"', "share = 0.01", "is no share"),
        ('share = "1 %"', 'share = "100 %"', "less than 1"),
        ('share = "1 %"', 'share = "0 %"', "greater than 0"),
        ('share = "1 %"', 'share = "nan %"', "is no share"),
        ('"D1"]', '"D1", "tap"]', "twice"),
        ('share = "1 %"', 'included = true, share = "99.99999 %"', "takes more than att_fixed, in which it is included"),
        ('resource = "ASRL/dev/ttyUSB6::INSTR"', 'resource = "ASRL/dev/ttyUSB5::INSTR"', "mbx_2 and .* have the same address"),
        ('resource = "ASRL/dev/ttyUSB5::INSTR"', 'resource = "ASRL/dev/ttyUSB0::INSTR"', "have the same address"),
        ('"voa_in", "voa_mbx"', '"voa_mbx"', "only attenuator of the line is that of an MBX"),
    ],
)
def test_what_cannot_be_is_refused(old: str, new: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse((old, new))


def test_a_tap_may_stand_in_the_arm_of_a_detector_but_not_behind_all() -> None:
    behind = parse(('"im2", "tap"', '"im2"'), ('"circ:2-3", "D1"', '"circ:2-3", "tap", "D1"'))
    assert behind.optics.input_taps_db == 0.0
    with pytest.raises(ConfigError, match="nothing follows the tap"):
        parse(('"im2", "tap"', '"im2"'), ('"circ:2-3", "D1"', '"circ:2-3", "D1", "tap"'))


def test_a_tap_that_is_included_in_the_fixed_loss_takes_nothing_beyond_it() -> None:
    station = parse(('share = "1 %"', 'share = "1 %", included = true'))
    assert station.optics.input_taps_db == 0.0


def test_what_drifts_is_written_with_units_and_stays_inside_the_simulation() -> None:
    sim = 'bias_drift = "20 mV"\nbias_start = "0.5 V"\nlaser_drift = "0.02 dB"\nwarm_up = { lacking = "0.5 dB", time = "5 min" }\n'
    sim += 'polarisation_drift = "0.01 rad"\npolarisation_start = "random"\n'
    station = parse(("[sim]\n", "[sim]\n" + sim))

    found = station.plain()["sim"]

    assert (found["bias_drift_v"], found["bias_start_v"], found["laser_drift_db"]) == (0.02, 0.5, 0.02)
    assert found["warm_up"] == {"lacking_db": 0.5, "time_s": 300.0}
    assert (found["polarisation_drift_rad"], found["polarisation_start"]) == (0.01, "random")
    assert b"drift" not in station.public_text()
