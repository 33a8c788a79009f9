"""A bench with avalanche diodes and a TDC1 in the place of nanowires and an ID900: the same procedures, on the same optical world."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from heliograph.acquisition.procedures.count_rates import CountRates
from heliograph.acquisition.procedures.phase_scan import PhaseScan
from heliograph.control.bench import Bench
from heliograph.core.entropy import SimRandom
from heliograph.core.errors import ConfigError, LimitError, WrongIdentity
from heliograph.instruments import catalogue
from heliograph.instruments.avalanche_detectors import SFifteenDetector
from heliograph.instruments.connect import connect
from heliograph.instruments.roles import SafeReport
from heliograph.instruments.s_fifteen import SFifteenSPD
from heliograph.instruments.station import Station
from heliograph.instruments.tdc_sources import SFifteenSource
from heliograph.mocks.lab import Lab
from heliograph.mocks.optics.avalanche import Diode
from heliograph.postprocess.procedures.key_exchange import KeyExchange

FILE = Path(__file__).parents[1] / "avalanche_station.toml"


def station(*changes: tuple[str, str]) -> Station:
    text = FILE.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return Station.parse(text.encode(), FILE)


@pytest.fixture(scope="module")
def lab() -> Iterator[tuple[Lab, Any]]:
    configured = station()
    running = Lab(configured.plain())
    with running.in_thread() as resources, connect(configured, resources.__getitem__, home=True) as instruments:
        instruments.arm()
        # The diodes need some seconds of bench time to get cold.
        instruments["spd"].counts(10.0)
        yield running, instruments


@pytest.fixture
def bench(lab: tuple[Lab, Any]) -> Any:
    instruments = lab[1]
    for name in ("awg_a", "awg_b", "awg_c"):
        instruments[name].output(1, False)
    for channel in (1, 2):
        instruments["spd"].set_bias(channel, 60.0)
    return instruments


def run(procedure: Any, instruments: Any) -> Any:
    procedure.instruments = instruments
    procedure.check()
    try:
        procedure.startup()
        procedure.execute()
    finally:
        procedure.shutdown()
    return procedure.result


def tags(instruments: Any, seconds: float = 0.2) -> dict[str, np.ndarray]:
    batches = list(instruments["tdc"].record(seconds, 0.1))
    t_ps, channels = (np.concatenate([getattr(batch, field) for batch in batches]) for field in ("t_ps", "ch"))
    assert not any(batch.gaps for batch in batches)
    return {name: t_ps[channels == number] for name, number in instruments["tdc"].channels.items()}


def test_both_devices_say_who_they_are_and_read_back_what_was_set(bench):
    spd, tdc = bench.snapshot()["spd"], bench.snapshot()["tdc"]

    assert (spd["model"], spd["serial"], spd["bias_1_v"], spd["cooled_2"], spd["enabled"]) == ("SPD", "SPD-26111+SPD-26112", 60.0, True, True)
    assert spd["temperature_1_degc"] == pytest.approx(-20.0, abs=0.5)
    assert (tdc["model"], tdc["clock"], tdc["threshold_v"], tdc["sync_enabled"]) == ("TDC1", "external", pytest.approx(-0.4), True)
    assert bench.wire_counts()["spd"].received > 0


def test_count_rates_are_those_of_the_click_law(bench):
    rates = run(CountRates(duration_s=0.5, period_s=0.1), bench)

    # Afterpulses come on top: 2 % at D1, 1 % at D2.
    assert rates.d1_hz == pytest.approx(1.02 * rates.d1_expected_hz, rel=0.015)
    assert rates.d2_hz == pytest.approx(1.01 * rates.d2_expected_hz, rel=0.015)


@pytest.mark.slow
def test_a_phase_scan_finds_the_half_wave_voltage(bench):
    fringe = run(PhaseScan(points=9, period_s=0.02), bench)

    assert fringe.v_pi_v == pytest.approx(5.0, abs=0.1)
    assert fringe.visibility > 0.97


def test_more_bias_gives_more_counts_and_more_tags(bench):
    run(CountRates(duration_s=0.02, period_s=0.02), bench)
    found = []
    for volts in (50.0, 57.0, 60.0):
        bench["spd"].set_bias(1, volts)
        found.append((int(bench["spd"].counts(0.1).n[0]), len(tags(bench)["D1"])))

    counted, tagged = (np.array(row, float) for row in zip(*found, strict=True))
    assert counted[0] == tagged[0] == 0
    assert (np.diff(counted) > 0).all()
    assert tagged[1:] / 2.0 == pytest.approx(counted[1:], rel=0.02)
    assert counted[1] / counted[2] == pytest.approx(0.5, abs=0.02)


def test_a_threshold_above_the_pulses_silences_its_detector(bench):
    run(CountRates(duration_s=0.02, period_s=0.02), bench)
    before = bench["spd"].threshold_v(1)
    bench["spd"].set_threshold_v(1, -0.7)
    assert bench["spd"].threshold_v(1) == pytest.approx(-0.7)
    assert bench["spd"].counts(0.02).n[0] == 0
    bench["spd"].set_threshold_v(1, before)
    assert bench["spd"].counts(0.02).n[0] > 0
    with pytest.raises(LimitError, match="no detector 3"):
        bench["spd"].set_threshold_v(3, -0.1)


def test_light_that_is_attenuated_by_ten_decibels_gives_a_tenth_of_the_tags(bench):
    run(CountRates(duration_s=0.02, period_s=0.02), bench)
    bench["voa_in"].attenuation_db += 10.0
    before = len(tags(bench)["D1"])
    bench["voa_in"].attenuation_db += 10.0

    assert len(tags(bench)["D1"]) == pytest.approx(0.1 * before, abs=5 * np.sqrt(0.11 * before))


def test_tags_show_dead_time_afterpulses_and_steps_of_two_nanoseconds(bench):
    run(CountRates(duration_s=0.02, period_s=0.02), bench)
    bench["voa_in"].attenuation_db += 15.0
    recorded = tags(bench, 0.6)
    steps, rate_hz = np.diff(recorded["D1"]), len(recorded["D1"]) / 0.6

    assert all((t % 2000 == 0).all() for t in recorded.values())
    assert steps.min() >= 30_000 - 2000
    # Within the 300 ns behind the dead time come the afterpulses, and what comes by chance.
    close = ((steps >= 28_000) & (steps < 330_000)).mean()
    assert close == pytest.approx(0.02 + rate_hz * 300e-9, abs=5 * np.sqrt(0.03 / steps.size))


def test_a_recording_begins_on_the_frame_trigger_and_has_every_sync(bench):
    for _ in range(2):
        bench["spd"].counts(0.0123)
        sync = tags(bench)["sync"]
        assert np.array_equal(sync, np.arange(20_000) * 10_000_000)


def test_a_long_count_is_made_of_short_ones_so_that_another_thread_can_make_it_safe(lab, bench):
    run(CountRates(duration_s=0.02, period_s=0.02), bench)
    bench["spd"].share()
    reports: list[SafeReport] = []
    other = threading.Thread(target=lambda: reports.append(bench["spd"].to_safe()))
    count, begun = SFifteenSPD.begin_count, []

    def begin_count(unit: SFifteenSPD, period_ms: int) -> None:
        begun.append(period_ms)
        count(unit, period_ms)
        if len(begun) == 6:
            other.start()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SFifteenSPD, "begin_count", begin_count)
        counted = bench["spd"].counts(20.2)
    other.join()

    assert begun == [500] * 80 + [200] * 2
    assert reports[0].state == "CONFIRMED"
    assert lab[0].world.diode(0).bias_v == 40.0
    assert 0 < counted.n[0] < 15.0 * bench.station.instruments["spd"].rules.limits.rate_hz


def test_what_a_limit_or_the_device_forbids_is_refused_and_nothing_is_sent(bench):
    sent = bench.wire_counts()["spd"].sent
    with pytest.raises(LimitError, match="66 V asked, range 0 to 65 V"):
        bench["spd"].set_bias(1, 66.0)
    with pytest.raises(LimitError, match="no detector 3"):
        bench["spd"].set_bias(3, 60.0)
    with pytest.raises(LimitError):
        bench["spd"].counts(70.0)

    assert bench.wire_counts()["spd"].sent == sent


def test_switched_off_they_are_parked_and_the_safe_state_is_read_back(lab, bench):
    world = lab[0].world
    bench["spd"].enabled = False
    assert [world.diode(k).bias_v for k in (0, 1)] == [40.0, 40.0]
    assert bench["spd"].is_safe()
    bench["spd"].set_bias(2, 56.0)
    assert not bench["spd"].is_safe()

    assert bench["spd"].to_safe().state == "CONFIRMED"
    assert world.diode(1).bias_v == 40.0
    assert not bench["spd"].enabled


def test_a_key_exchange_aligns_and_announces(bench, tmp_path):
    exchange = KeyExchange(store=tmp_path / "store", source=SimRandom(1), pair="A-B", seconds=0.2)
    found = Bench(bench.station, bench, tmp_path / "runs").run(exchange, progress=lambda *_: None)

    assert found.summary["preamble"]["e_x"] < 0.04
    assert found.summary["preamble"]["e_y"] < 0.04
    assert all(offset["second_ratio"] < 0.2 for offset in found.summary["alignment"].values())
    # A gate of two steps around the pulse leaves little outside but darks and afterpulses.
    selection = found.summary["selection"]
    assert selection["outside"] < 0.05 * selection["clicks"]


def test_recordings_of_one_seed_are_the_same_and_begin_with_the_frame_trigger_where_it_is_wired():
    wired = station(
        ("sync = 3 }", "sync = 3, frame = 4 }"),
        ("tdc.rules.inputs.sync", 'tdc.rules.inputs.frame = { threshold = "-0.4 V", edge = "FALLING" }\ntdc.rules.inputs.sync'),
    )

    def recorded() -> dict[str, np.ndarray]:
        lab = Lab(wired.plain())
        with lab.in_thread() as resources, closing(SFifteenSource.open("tdc", wired.instruments["tdc"], resources["tdc"], station="lab.toml")) as tdc:
            for detector in (0, 1):
                lab.world.set_diode(detector, Diode(70.0, cooled=True, target_degc=40.0, start_degc=40.0))
            tdc.configure_inputs()
            return tags({"tdc": tdc}, 0.1)

    one, other = recorded(), recorded()
    assert all(np.array_equal(one[name], other[name]) for name in one)
    assert len(one["D1"]) > 100
    assert np.array_equal(one["frame"], np.arange(1000) * 100_000_000)
    assert np.array_equal(one["sync"], np.arange(10_000) * 10_000_000)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (', safe = { bias = "40 V" }', "", "cannot switch its bias off"),
        ('operate = { bias = "60 V" }', 'operate = { bias = "66 V" }', "operate sets bias to 66 V, limits allow 0 V to 65 V"),
        ('operate = { bias = "60 V" }', 'operate = { bias = "18 uA" }', "biased with a voltage"),
        ('bias = ["0 V", "65 V"]', 'bias = ["65 V", "0 V"]', "lower limit is above"),
        ('bias = ["0 V", "65 V"]', 'bias = ["0 mW", "65 mW"]', "bias"),
    ],
)
def test_a_station_whose_bias_cannot_be_is_refused(old, new, said):
    with pytest.raises(ConfigError, match=said):
        station((old, new))


def test_two_channels_need_two_units():
    entry = station((', second = "ASRL/dev/ttyUSB6::INSTR"', "")).instruments["spd"]
    with pytest.raises(ConfigError, match="2 channels and 1 units"):
        SFifteenDetector.open("spd", entry, {"resource": "ASRL/dev/none::INSTR"}, station="lab.toml")


@pytest.mark.parametrize("fault", ["tagger-overflow", "tagger-port-closed"])
def test_a_fault_that_a_tdc_cannot_show_is_refused(fault):
    lab = Lab(station().plain(), [fault])
    with pytest.raises(ConfigError, match=f"no way to show {fault}"):
        lab.start()


@pytest.mark.parametrize("fault", ["error-queue:spd", "crc:tdc", "nack:spd"])
def test_a_fault_of_replies_for_which_they_have_no_word_is_refused(fault):
    with pytest.raises(ConfigError, match="has no way to show"):
        Lab(station().plain(), [fault]).start()


@pytest.mark.parametrize("name", ["spd", "tdc"])
def test_another_device_at_the_address_is_refused(name):
    configured = station()
    with Lab(configured.plain(), [f"identity:{name}"]).in_thread() as resources:
        found = catalogue.open_instrument(name, configured.instruments[name], resources[name], station="lab.toml")
        with closing(found), pytest.raises(WrongIdentity, match=name):
            found.check_identity()
