"""The real drivers on the simulated devices, through ptys, TCP and ZMQ: what is tested here is what runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from heliograph.acquisition.runs import RunLayout, RunWriter
from heliograph.core.errors import DeviceFault, InstrumentError, LimitError, Overflow, ParameterError, Rejected, Timeout
from heliograph.core.physics import modulator_transmission, train_fractions
from heliograph.instruments.connect import connect
from heliograph.instruments.roles import TagBatch
from heliograph.instruments.station import Station, default_text
from heliograph.mocks.lab import Lab

SLOTS = 10_000
MU_17_DB = 33.61


def station() -> Station:
    return Station.parse(default_text(), Path("default_station.toml"))


@contextmanager
def opened(*faults: str) -> Iterator[Any]:
    configured = station()
    with Lab(configured.plain(), faults).in_thread() as resources, connect(configured, resources.__getitem__, home=True) as instruments:
        yield instruments


def carve(bench: Any, offset_v: float = 0.0) -> None:
    volts = np.zeros(10)
    volts[5] = 2.5
    for output in (1, 2):
        bench["awg_im"].load(output, volts, 1e9)
        bench["awg_im"].set_offset_v(output, offset_v)
        bench["awg_im"].output(output, True)


def light_up(bench: Any, *, input_db: float = MU_17_DB) -> None:
    bench["laser"].power_setpoint_w = 10e-3
    carve(bench)
    bench["voa_in"].attenuation_db = input_db
    for name in ("voa_a", "voa_b"):
        bench[name].attenuation_db = 1.0
    for channel in (1, 2):
        bench["snspd"].set_bias(channel, 18e-6)
    bench["snspd"].enabled = True
    for channel in (1, 2, 3):
        bench["tagger"].configure(channel, -0.4, "FALLING", 0, True)
    bench["laser"].emission = True


@pytest.fixture(scope="module")
def bench() -> Iterator[Any]:
    with opened() as instruments:
        light_up(instruments)
        yield instruments


@pytest.fixture
def lit(bench: Any) -> Any:
    """The shared bench, every knob where `light_up` leaves it."""
    for name in ("awg_a", "awg_b", "awg_c"):
        bench[name].output(1, False)
    light_up(bench)
    return bench


def clicks(bench: Any, seconds: float = 0.4) -> np.ndarray:
    """Tags of D1 and D2 in the recording."""
    batches = list(bench["tagger"].record(seconds))
    return np.array([sum(int((b.ch == ch).sum()) for b in batches) for ch in (1, 2)], float)


def test_every_instrument_identifies_itself_and_reads_back_what_was_set(lit):
    identities = {name: instrument.identify() for name, instrument in lit.items()}
    assert identities["laser"].model == "0x33"
    assert identities["awg_a"].model == "81160A"
    assert identities["tagger"].model == "ID900"
    assert identities["voa_c"].vendor == "OZ Optics"
    assert len(identities) == 12

    assert lit["laser"].emission is True
    assert lit["laser"].power_setpoint_w == pytest.approx(10e-3)
    assert lit["laser"].power_w == pytest.approx(10e-3)
    assert lit["laser"].wavelength_m == pytest.approx(1550.12e-9)
    assert lit["voa_in"].attenuation_db == pytest.approx(MU_17_DB)
    assert lit["snspd"].bias(1) == pytest.approx(18e-6)
    assert lit["awg_im"].offset_v(1) == pytest.approx(0.0)
    assert lit["tagger"].clock == "external"
    assert set(lit.snapshot()) == set(lit)


def test_a_waveform_of_a_whole_frame_is_loaded(lit):
    loaded = lit["awg_a"].load(1, np.linspace(-2.5, 2.5, 100_000), 1e9)
    assert (loaded.n, loaded.rate_hz) == (100_000, 1e9)
    assert loaded.lsb_v == pytest.approx(2.5 / 8191)
    assert lit["awg_a"].output_is_on(1) is False


def test_what_the_station_or_the_device_forbids_is_refused(lit):
    with pytest.raises(LimitError):
        lit["laser"].power_setpoint_w = 16e-3
    with pytest.raises(LimitError):
        lit["voa_in"].attenuation_db = 0.5
    with pytest.raises(Rejected):
        lit["tagger"].driver.write("NOSUCH:THING 1")


def test_a_second_of_tags_arrives_whole_and_in_order(lit):
    batches = list(lit["tagger"].record(1.0))

    assert [b.seq for b in batches] == [0, 1, 2, 3, 4]
    for batch in batches:
        assert np.all(np.diff(batch.t_ps) >= 0)
        assert batch.t_begin_ps == batch.seq * 200_000_040_000
        assert (batch.t_ps >= batch.t_begin_ps).all()
        assert (batch.t_ps < batch.t_end_ps).all()
        assert [gap.reason for gap in batch.gaps] == ["dead-time"]
    tags = np.concatenate([b.t_ps for b in batches])
    channels = np.concatenate([b.ch for b in batches])
    sync = tags[channels == 3]
    assert len(sync) == 100_000
    assert np.all(sync % 10_000_000 == 0)
    # Light of both arms interferes at D1; D2 sees darks and what leaks.
    assert (channels == 1).sum() == pytest.approx(0.971 * 994_000, rel=0.02)
    assert (channels == 2).sum() < 200


def test_counts_and_tags_tell_the_same_rate(lit):
    counted = lit["snspd"].counts(0.5)
    # The laser's power walks by 0.5 % between two measurements.
    assert counted.n[0] / 0.5 == pytest.approx(clicks(lit)[0] / 0.4, rel=0.02)


def agrees(after: float, factor: float, before: float, systematic: float = 0.01) -> bool:
    return abs(after - factor * before) <= 5 * np.sqrt(after + factor**2 * before) + systematic * factor * before


def test_three_decibels_more_laser_power_double_the_tags(lit):
    lit["voa_in"].attenuation_db = MU_17_DB + 12.0
    lit["laser"].power_setpoint_w = 5e-3
    before = clicks(lit)[0]
    lit["laser"].power_setpoint_w = 5e-3 * 10**0.3
    assert agrees(clicks(lit)[0], 1.995, before)


def test_ten_decibels_more_attenuation_leave_a_tenth(lit):
    lit["voa_in"].attenuation_db = MU_17_DB + 10.0
    before = clicks(lit)[0]
    lit["voa_in"].attenuation_db = MU_17_DB + 20.0
    assert agrees(clicks(lit)[0], 0.1, before)
    lit["voa_in"].attenuation_db = MU_17_DB + 10.0
    for name in ("voa_a", "voa_b"):
        lit[name].attenuation_db = 11.0
    assert agrees(clicks(lit)[0], 0.1, before)


def test_the_bias_of_a_detector_moves_its_own_tags_only(lit):
    lit["voa_in"].attenuation_db = MU_17_DB + 10.0
    lit["awg_a"].load(1, gate(lit, "A", np.full(SLOTS, np.pi / 2)), 1e9)
    lit["awg_a"].output(1, True)
    before = clicks(lit)
    lit["snspd"].set_bias(1, 16.2e-6)
    after = clicks(lit)
    assert agrees(after[0], 0.930, before[0])
    assert agrees(after[1], 1.0, before[1])


def test_the_bias_of_the_modulators_moves_the_tags_by_their_sine_squared(lit):
    lit["voa_in"].attenuation_db = MU_17_DB + 10.0
    before = clicks(lit)[0]
    carve(lit, 0.5)
    volts = np.full(10, 1.0)
    volts[5] = 6.0
    factor = (modulator_transmission(volts, 5.0) ** 2).mean() / 0.1
    assert agrees(clicks(lit)[0], float(factor), before)


def gate(bench: Any, user: str, phases: np.ndarray) -> np.ndarray:
    """Volts that shift one train by the given phases, for a modulator of 5 V behind an amplifier of 2."""
    fractions = train_fractions(bench.station.optics.users[user].distance_m, bench.station.optics.loop.length_m, 10e-9)
    volts = np.zeros((SLOTS, 10))
    volts[:, int(10 * fractions[0 if user == "A" else 1])] = phases / np.pi * 5.0 / 2.0
    return volts.ravel()


@pytest.mark.parametrize("scale", [1.0, 0.9])
def test_a_phase_moves_the_light_between_the_detectors_as_the_cosine_says(lit, scale):
    """Also for a voltage ten per cent too small."""
    lit["voa_in"].attenuation_db = MU_17_DB + 10.0
    errors = (0.00373, 0.00312)
    for phase in (0.0, np.pi / 3, np.pi):
        lit["awg_a"].load(1, gate(lit, "A", np.full(SLOTS, phase)) * scale, 1e9)
        lit["awg_a"].output(1, True)
        d1, d2 = clicks(lit)
        phi = phase * scale
        visibility = (1 - 2 * errors[0]) * np.cos(phi) ** 2 + (1 - 2 * errors[1]) * np.sin(phi) ** 2
        expected = np.array([0.701156 * (1 + visibility * np.cos(phi)), 0.770355 * (1 - visibility * np.cos(phi))])
        share = expected[1] / expected.sum()
        # 1 % of the light may be lost in dead time on the brighter side, and 50 Hz of darks are on both.
        assert d2 / (d1 + d2) == pytest.approx(share, abs=5 * np.sqrt(share / (d1 + d2)) + 0.003)


def test_both_users_phases_count_by_their_difference(lit):
    lit["voa_in"].attenuation_db = MU_17_DB + 10.0
    for user, name in (("A", "awg_a"), ("B", "awg_b")):
        lit[name].load(1, gate(lit, user, np.full(SLOTS, np.pi / 2)), 1e9)
        lit[name].output(1, True)
    d1, d2 = clicks(lit)
    # B modulates the other train only: phases equal, so the light goes to D1 but for both users' Y errors and a few darks.
    share = (0.00312 + 0.00192) * 0.770355 / 0.701156
    assert d2 / (d1 + d2) == pytest.approx(share, abs=5 * np.sqrt(share / (d1 + d2)) + 1e-3)


def test_a_delay_moves_the_stamps_and_not_their_number(lit):
    plain = next(iter(lit["tagger"].record(0.2)))
    lit["tagger"].configure(1, -0.4, "FALLING", 4000, True)
    delayed = next(iter(lit["tagger"].record(0.2)))
    centre = [np.angle(np.exp(2j * np.pi * b.t_ps[b.ch == 1] / 10_000).mean()) / (2 * np.pi) * 10_000 for b in (plain, delayed)]
    assert (centre[1] - centre[0]) % 10_000 == pytest.approx(4000, abs=5)
    assert (plain.ch == 1).sum() == pytest.approx((delayed.ch == 1).sum(), rel=0.02)


def test_a_delay_and_a_threshold_are_set_by_themselves_and_everything_else_stays(lit):
    tagger, plain = lit["tagger"], next(iter(lit["tagger"].record(0.2)))
    before = tagger.snapshot()
    tagger.set_delay_s(1, 4e-9)
    delayed = next(iter(tagger.record(0.2)))
    assert tagger.snapshot() == before | {"D1_delay_ps": 4000}
    centre = [np.angle(np.exp(2j * np.pi * b.t_ps[b.ch == 1] / 10_000).mean()) / (2 * np.pi) * 10_000 for b in (plain, delayed)]
    assert (centre[1] - centre[0]) % 10_000 == pytest.approx(4000, abs=5)

    tagger.set_threshold_v(1, -1.5)
    tagger.set_delay_s(1, 0.0)
    assert tagger.snapshot() == before | {"D1_threshold_v": -1.5}
    assert clicks(lit, 0.2)[0] == 0
    assert (tagger.wanted["threshold:1"], tagger.accepted["threshold:1"], tagger.accepted["delay:1"]) == (-1.5, -1.5, 0.0)
    for ask in (lambda: tagger.set_threshold_v(1, 2.5), lambda: tagger.set_delay_s(1, -1e-9), lambda: tagger.set_delay_s(9, 0.0)):
        with pytest.raises(LimitError):
            ask()
    tagger.start()
    with pytest.raises(ParameterError, match="a recording is in progress"):
        tagger.set_delay_s(1, 4e-9)
    tagger.abandon()


def test_the_trigger_level_of_one_detector_silences_it_and_no_other(lit):
    snspd = lit["snspd"]
    lit["awg_a"].output(1, False)
    one, other = snspd.counts(0.1).n
    snspd.set_threshold_v(1, 0.6)
    assert (snspd.threshold_v(1), snspd.threshold_v(2)) == (pytest.approx(0.6), pytest.approx(0.1))
    assert snspd.counts(0.01).n[0] == 0
    assert one > 0
    with pytest.raises(DeviceFault, match="TriggerLevel cannot be"):
        snspd.set_threshold_v(1, 3.0)
    with pytest.raises(LimitError, match="no detector 3"):
        snspd.set_threshold_v(3, 0.1)
    snspd.set_threshold_v(1, 0.1)
    assert snspd.counts(0.1).n.tolist() == pytest.approx([one, other], rel=0.1, abs=20)


def test_light_off_leaves_the_darks(lit):
    lit["laser"].emission = False
    assert clicks(lit, 1.0).sum() == pytest.approx(100, abs=50)


def test_a_threshold_beyond_the_pulses_sees_nothing(lit):
    lit["tagger"].configure(1, -1.5, "FALLING", 0, True)
    assert clicks(lit, 0.2)[0] == 0


def recorded() -> list[TagBatch]:
    with opened() as bench:
        light_up(bench)
        for user, name in (("A", "awg_a"), ("B", "awg_b")):
            pattern = np.random.default_rng(ord(user)).integers(-1, 3, SLOTS)
            bench[name].load(1, gate(bench, user, pattern * np.pi / 2), 1e9)
            bench[name].output(1, True)
        bench["snspd"].counts(0.1)
        return list(bench["tagger"].record(0.4))


def digest(folder: Path, batches: list[TagBatch]) -> str:
    """Write a run of batches, always at the same time, and return its digest."""
    layout = RunLayout(tags={"tagger": {"D1": 1, "D2": 2, "sync": 3}})
    with RunWriter.create(folder, "Counting", {"pair": "A-B"}, station(), {}, layout=layout, seed=4, clock_ns=lambda: 1_800_000_000 * 10**9) as run:
        for one in batches:
            run.tags("tagger", one)
    with h5py.File(run.path) as file:
        return str(file.attrs["digest"])


def test_same_station_seed_and_commands_give_the_same_tags_and_the_same_digest_of_the_run_file(tmp_path):
    one, other = recorded(), recorded()
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a.t_ps, b.t_ps)
        np.testing.assert_array_equal(a.ch, b.ch)
        assert (a.seq, a.t_begin_ps, a.t_end_ps, a.gaps) == (b.seq, b.t_begin_ps, b.t_end_ps, b.gaps)

    wanted = digest(tmp_path / "one", one)
    assert digest(tmp_path / "other", other) == wanted
    moved = replace(other[0], t_ps=np.concatenate([other[0].t_ps[:1] - 1, other[0].t_ps[1:]]))
    assert digest(tmp_path / "moved", [moved, *other[1:]]) != wanted


def test_leaving_the_bench_makes_it_safe_and_a_new_owner_finds_it_so():
    configured = station()
    found: Any
    with Lab(configured.plain()).in_thread() as resources:
        with connect(configured, resources.__getitem__, home=True) as found:
            light_up(found)
        with connect(configured, resources.__getitem__) as found:
            assert found["laser"].emission is False
            assert found["voa_in"].attenuation_db == pytest.approx(60.0)
            assert found["snspd"].bias(1) == 0.0
            assert all(instrument.is_safe() for instrument in found.values())


def test_a_laser_that_refuses_is_told():
    with opened("laser-refuses") as bench, pytest.raises(Rejected):
        bench["laser"].emission = True


def test_a_closed_tagger_port_is_told_in_time():
    with pytest.raises(Timeout), opened("tagger-port-closed"):
        pass


def test_an_overflow_of_the_tagger_is_told_with_what_was_lost():
    with opened("tagger-overflow") as bench:
        light_up(bench)
        batches, lost = [], 0
        with pytest.raises(Overflow):
            for batch in bench["tagger"].record(0.4):
                batches.append(batch)
                lost += sum(gap.missed or 0 for gap in batch.gaps)
    assert lost == pytest.approx(0.1 * 0.2 * 965_000, rel=0.05)


def test_an_unplugged_detector_is_silent():
    with opened("detector-unplugged") as bench:
        light_up(bench)
        assert bench["snspd"].counts(0.1).n[0] == 0
        assert clicks(bench, 0.2)[0] == 0


@pytest.mark.parametrize("name", ["laser", "snspd", "tagger"])
def test_garbage_on_a_wire_is_one_typed_error_naming_the_instrument(name):
    with pytest.raises(InstrumentError) as caught, opened(f"garbage:{name}"):
        pass
    assert name in caught.value.where
