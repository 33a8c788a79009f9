"""The thermometer: its driver byte by byte, its place on the bench, and what happens where it fails."""

from __future__ import annotations

from math import pi, sin

import pytest
from cryolab.simulator import BASE_K, NOISE_K, PERIOD_S, SWING_K
from cryolab.thermometer import LakeShore224, LakeShoreThermometer

from heliograph.core.errors import BadReply, Timeout
from heliograph.instruments.station_models import InstrumentEntry

ENTRY = InstrumentEntry.model_validate({"wire": {"role": "Thermometer", "driver": "LakeShore224", "resource": "TCPIP::x::7777::SOCKET"}})


def test_a_temperature_is_asked_for_as_the_manual_says(expected_wire):
    with expected_wire(LakeShore224, [("KRDG? A", "+2.5123")]) as driver:
        assert LakeShoreThermometer("cryostat", ENTRY, driver, station="lab.toml").temperature_k == 2.5123


def test_an_input_without_sensor_is_a_bad_reply(expected_wire):
    with expected_wire(LakeShore224, [("KRDG? A", "+0.0000")]) as driver, pytest.raises(BadReply, match="temperature"):
        LakeShoreThermometer("cryostat", ENTRY, driver, station="lab.toml").temperature_k  # noqa: B018


def test_the_monitor_says_who_it_is(bench):
    identity = bench["cryostat"].identify()

    assert (identity.vendor, identity.model) == ("LSCI", "MODEL224")


def test_the_temperature_swings_with_bench_time(bench, lab):
    bench["snspd"].counts(5.0)
    phase = 2.0 * pi * lab.world.clock_ps * 1e-12 / PERIOD_S

    assert lab.world.clock_ps >= 5 * 10**12
    assert bench["cryostat"].temperature_k == pytest.approx(BASE_K + SWING_K * sin(phase), abs=6 * NOISE_K)


def test_a_lost_reply_is_a_timeout_and_the_next_temperature_is_right(bench, faults):
    faults.inject("timeout", "cryostat", times=1)

    with pytest.raises(Timeout, match="cryostat"):
        bench["cryostat"].temperature_k  # noqa: B018
    assert bench["cryostat"].temperature_k == pytest.approx(2.5, abs=0.06)


@pytest.mark.hardware
def test_the_real_cryostat_is_cold(bench):
    assert bench["cryostat"].temperature_k < 4.0
