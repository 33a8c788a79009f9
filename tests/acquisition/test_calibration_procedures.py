"""Calibration procedures on the simulated bench, whose truth differs from what the station file says: they find it within their own sigma."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from heliograph.acquisition.calibrations import Calibration, Calibrations
from heliograph.acquisition.procedures.attenuator_linearity import AttenuatorLinearity, fit_linearity
from heliograph.acquisition.procedures.bias_scan import BiasScan, fit_bias
from heliograph.acquisition.procedures.count_rates import CountRates
from heliograph.acquisition.procedures.delay_scan import DelayScan, find_delays
from heliograph.acquisition.procedures.detector_response import DetectorResponse
from heliograph.acquisition.procedures.extinction import Extinction
from heliograph.acquisition.procedures.phase_scan import PhaseScan
from heliograph.acquisition.procedures.polarisation import PolarisationScan, best_angle
from heliograph.acquisition.runs import Run
from heliograph.control.bench import Bench
from heliograph.core.errors import CalibrationError, Expired, LimitError, ParameterError, Suspect
from heliograph.core.physics import modulator_transmission, train_fractions, transmission
from heliograph.instruments.connect import connect
from heliograph.instruments.station import Station, default_text
from heliograph.mocks.lab import Lab
from heliograph.mocks.optics.polarisation import overlap, paddles, rotated
from heliograph.mocks.world import World

TRUE_ETA, TRUE_DARK_HZ, TRUE_DEAD_S, TRUE_AFTERPULSE = (0.62, 0.71), (140.0, 90.0), 43e-9, 0.03
FIRST = ["im1-bias", "im2-bias", "site-response"]
TRUE_V_PI, TRUE_ER_DB, TRUE_PM_V_PI = 4.7, 26.5, 4.6


@dataclass
class Lit:
    """A bench, its simulated world, and what was calibrated first: its modulators' working points, and its detectors."""

    bench: Bench
    lab: Lab
    store: Calibrations
    biases: tuple[Calibration, ...] = ()
    response: Calibration | None = None

    def run(self, procedure: Any) -> Run:
        return self.bench.run(procedure, progress=lambda *_: None)

    def calibrate(self, procedure: Any) -> Calibration:
        with self.run(procedure) as found:
            assert found.plot().axes
            return self.store.keep(found)


def truth(plain: dict[str, Any]) -> dict[str, Any]:
    """Change the world behind the station's back."""
    optics = plain["optics"]
    optics["modulators"]["im1"] |= {"v_pi_v": TRUE_V_PI, "er_db": TRUE_ER_DB}
    optics["modulators"]["pm_a"]["v_pi_v"] = TRUE_PM_V_PI
    optics["site"] |= {"eta": TRUE_ETA, "dark_hz": TRUE_DARK_HZ, "dead_time_s": TRUE_DEAD_S}
    plain["sim"] = {**plain["sim"], "afterpulse": TRUE_AFTERPULSE, "bias_start_v": 0.8}
    return plain


@pytest.fixture(scope="module")
def lit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lit]:
    folder = tmp_path_factory.mktemp("calibrated")
    place = Station.parse(default_text(), folder / "station.toml")
    lab = Lab(truth(place.plain()))
    with lab.in_thread() as resources, connect(place, resources.__getitem__, home=True) as instruments:
        bench = Bench(place, instruments, folder / "runs")
        bench.arm()
        found = Lit(bench, lab, Calibrations.of(place))
        found.biases = tuple(found.calibrate(BiasScan(modulator=name, points=15)) for name in ("im1", "im2"))
        found.response = found.calibrate(DetectorResponse(user="B", partner="A", flux_sigma_db=0.02))
        yield found


@pytest.fixture
def alone(lit: Lit) -> Iterator[Lit]:
    """Hide the records that a test makes from the others."""
    yield lit
    for name in lit.store.names():
        if name not in FIRST:
            lit.store.path(name).unlink()


def within(found: Calibration, name: str, true: float, sigmas: float = 4.0) -> None:
    one = found.values[name]
    assert one.sigma > 0.0
    assert abs(one.value - true) < sigmas * one.sigma, f"{name}: {one.value} +- {one.sigma}, {true} is true"


def test_the_response_of_the_detectors_is_found(alone):
    found = alone.response
    assert found is not None
    for k in (1, 2):
        within(found, f"eta_{k}", TRUE_ETA[k - 1])
        within(found, f"dark_{k}_hz", TRUE_DARK_HZ[k - 1])
        within(found, f"dead_{k}_s", TRUE_DEAD_S)
        within(found, f"afterpulse_{k}", TRUE_AFTERPULSE)
        assert found.values[f"eta_{k}"].sigma < 0.01
        assert found.values[f"dead_{k}_s"].sigma < 1e-9
        assert found.values[f"afterpulse_{k}"].sigma < 2e-3
    with alone.run(CountRates(duration_s=0.5, pair="B-C")) as run:
        assert list(run.start["calibrations"]) == FIRST
        for detector in ("d1", "d2"):
            assert run.summary[f"{detector}_hz"] == pytest.approx(run.summary[f"{detector}_expected_hz"], rel=0.05)


def test_bias_point_and_extinction_of_a_modulator_are_found_and_used(alone):
    nulls = [-offset for offset in alone.lab.world._wandering.offsets_v(alone.lab.world.clock_ps)]
    extinction = alone.calibrate(Extinction(modulator="im1"))

    for bias, v_pi, null in zip(alone.biases, (TRUE_V_PI, 5.0), nulls, strict=True):
        within(bias, "v_pi_v", v_pi)
        within(bias, "null_v", null)
        assert bias.values["v_pi_v"].sigma < 0.03
    assert max(abs(null) for null in nulls) > 0.2
    within(extinction, "er_db", TRUE_ER_DB)
    assert extinction.values["er_db"].sigma < 0.15
    with alone.run(CountRates(duration_s=0.5)) as run:
        assert set(run.start["calibrations"]) == {*FIRST, "im1-extinction"}
    # Carved with the calibrated working point, the dark points of the slot are dark again.
    light = alone.lab.world.light()
    assert light.leak.sum() / light.pulses.mean(axis=1).sum() < 2e-3 * 9.0


def test_a_fringe_calibration_changes_the_voltages_of_later_runs(alone):
    found = alone.calibrate(PhaseScan(user="A", partner="B", points=17))

    within(found, "v_pi_v", TRUE_PM_V_PI)
    assert found.element == "pm_a"
    with alone.run(CountRates(duration_s=0.1, phase_deg=180.0)) as run:
        assert list(run.start["calibrations"]) == [*FIRST[:2], "pm_a-fringe", FIRST[2]]
        calibrated = run.summary["d1_hz"] / run.summary["d2_hz"]
    alone.store.path("pm_a-fringe").unlink()
    with alone.run(CountRates(duration_s=0.1, phase_deg=180.0)) as run:
        assert run.summary["d1_hz"] / run.summary["d2_hz"] > 1.5 * calibrated


def test_a_delay_scan_finds_when_the_trains_pass(alone):
    found = alone.calibrate(DelayScan(user="C", partner="B", passes=2))

    place = alone.bench.station
    clockwise, counter = train_fractions(place.optics.users["C"].distance_m, place.optics.loop.length_m, place.clock.slot_s)
    within(found, "clockwise_s", clockwise * 1e-8)
    within(found, "counter_s", counter * 1e-8)
    assert found.values["clockwise_s"].sigma < 0.1e-9
    assert found.element == "pm_c"


@pytest.mark.parametrize("attenuator", ["voa_in", "voa_b"])
def test_an_attenuator_is_as_linear_as_the_simulated_one(alone, attenuator):
    found = alone.calibrate(AttenuatorLinearity(attenuator=attenuator, points=6))

    within(found, "slope", 1.0)
    assert found.values["slope"].sigma < 0.01
    assert found["worst_db"] < 4.0 * found.values["worst_db"].sigma + 0.02


def test_an_attenuator_that_is_not_linear_is_found_out(alone, monkeypatch):
    loss_db = World._loss_db
    monkeypatch.setattr(World, "_loss_db", lambda world, edge: loss_db(world, edge) - 0.05 * world.attenuation_db("voa_in"))

    procedure = AttenuatorLinearity(points=6)
    with pytest.raises(Suspect, match="worst_db"):
        alone.calibrate(procedure)

    assert abs(procedure.result.slope - 0.95) < 4.0 * procedure.result.slope_sigma
    assert alone.store.names() == tuple(FIRST)


def test_a_stale_calibration_stops_runs_before_anything_is_sent_but_not_its_own_renewal(alone):
    record = alone.calibrate(Extinction(modulator="im2", dark_s=1.0))
    path = alone.store.path(record.name)
    path.write_text(path.read_text().replace(f"taken = {record.taken:%Y}", f"taken = {record.taken.year - 2}"))
    before = alone.bench.instruments.wire_counts()["awg_im"].sent

    with pytest.raises(Expired):
        alone.run(CountRates(duration_s=0.1))

    assert alone.bench.instruments.wire_counts()["awg_im"].sent == before
    assert alone.calibrate(Extinction(modulator="im2", dark_s=1.0)).name == record.name
    with alone.run(CountRates(duration_s=0.1)) as run:
        assert list(run.start["calibrations"]) == [*FIRST[:2], "im2-extinction", FIRST[2]]


def test_what_cannot_be_calibrated_is_refused_before_anything_is_sent(lit):
    before = lit.bench.instruments.wire_counts()["awg_im"].sent

    for wrong in (BiasScan(modulator="pm_a"), Extinction(modulator="im9"), AttenuatorLinearity(attenuator="laser"), DelayScan(user="A", partner="A")):
        with pytest.raises(ParameterError):
            lit.run(wrong)
    with pytest.raises(LimitError, match="Nothing was sent"):
        lit.run(BiasScan(span=3.0))
    assert lit.bench.instruments.wire_counts()["awg_im"].sent == before


def test_offsets_are_taken_away_after_a_bias_scan(lit):
    procedure: Any = BiasScan(points=9)
    answers = iter([False, False, True])
    procedure.emit = lambda *_: None
    procedure.instruments = lit.bench.instruments
    procedure.check()
    procedure.startup()
    procedure.should_stop = lambda: next(answers)
    procedure.execute()
    procedure.shutdown()

    assert procedure.result is None
    assert lit.bench["awg_im"].offset_v(1) == 0.0
    assert lit.bench["awg_im"].output_is_on(1) is False


def test_a_scan_without_a_modulator_in_it_is_no_bias_point():
    volts = np.linspace(-6.5, 6.5, 25)
    with pytest.raises(CalibrationError, match="no intensity modulator"):
        fit_bias(volts, np.full(25, 1e5) + 1e4 * np.sin(7.0 * volts) ** 9, np.full(25, 300.0), 5.0)


@pytest.mark.parametrize(("v_pi", "null", "er_db"), [(5.0, 0.0, 30.0), (3.9, -1.7, 22.0), (5.6, 2.4, 26.0)])
def test_the_bias_fit_recovers_what_the_rates_were_made_with(v_pi, null, er_db):
    rng = np.random.default_rng(5)
    volts = np.linspace(-6.5, 6.5, 33)
    counts = rng.poisson(1e5 * modulator_transmission(volts, v_pi, bias_v=null, extinction_db=er_db))

    found = fit_bias(volts, counts.astype(float), np.sqrt(np.maximum(counts, 1.0)), 5.0)

    assert abs(found.v_pi_v - v_pi) < 4.0 * found.v_pi_sigma_v
    assert abs((found.null_v - null + v_pi) % (2.0 * v_pi) - v_pi) < 4.0 * found.null_sigma_v


@pytest.mark.parametrize(("clockwise", "counter"), [(2.5, 7.155), (0.02, 4.9), (9.97, 3.333)])
def test_delays_are_found_wherever_they_are_in_the_slot(clockwise, counter):
    rows = []
    for count in (25, 24, 23):
        for place in range(count):
            begin, width = place * 10.0 / count, 10.0 / count
            hit = [float((moment - begin) % 10.0 < width) for moment in (clockwise, counter)]
            rows.append((begin, width, hit[1] - hit[0], 0.01))
    begin_ns, width_ns, contrast, sigma = (np.array(column) for column in zip(*rows, strict=True))

    found = find_delays(begin_ns * 1e-9, width_ns * 1e-9, contrast, sigma, 10e-9)

    for value, spread, true in ((found.clockwise_s, found.clockwise_sigma_s, clockwise), (found.counter_s, found.counter_sigma_s, counter)):
        off = (value * 1e9 - true + 5.0) % 10.0 - 5.0
        assert abs(off) < max(4.0 * spread * 1e9, 0.05)
    with pytest.raises(CalibrationError, match="clockwise"):
        find_delays(begin_ns * 1e-9, width_ns * 1e-9, np.maximum(contrast, 0.0), sigma, 10e-9)


def test_a_line_through_an_attenuator_carries_the_spread_of_its_counts():
    set_db = np.linspace(1.0, 21.0, 11)
    rng = np.random.default_rng(3)
    light = rng.poisson(1e6 * transmission(1.02 * set_db)).astype(float)

    found = fit_linearity(set_db, light, np.sqrt(light))

    assert abs(found.slope - 1.02) < 4.0 * found.slope_sigma
    assert found.worst_db == pytest.approx(0.4, abs=0.1)


def test_the_best_angle_of_a_paddle_is_that_of_the_law():
    state = rotated(np.array([1.0, 0.0], np.complex128), 1.1, -0.7)
    for paddle in range(3):
        angles = np.linspace(1.5, 159.0, 9)
        fine = np.linspace(1.5, 159.0, 2000)

        def law(a: float, paddle: int = paddle) -> float:
            return float(overlap(state, [paddles([20.0 if k != paddle else a for k in range(3)])])) ** 0.5

        found, visibility, _ = best_angle(angles, np.array([law(a) for a in angles]), np.full(9, 1e-3), (1.5, 159.0))

        assert visibility == pytest.approx(max(law(a) for a in fine), abs=1e-3)
        assert law(found) == pytest.approx(visibility, abs=1e-3)


def test_records_are_found_where_the_bench_looks_for_them(lit, tmp_path):
    assert lit.store.folder == Path(lit.bench.station.path).parent / "runs" / "calibrations"


FULL = (Path(__file__).parents[1] / "full_station.toml").read_text()


@pytest.mark.slow
def test_paddles_are_turned_to_where_the_trains_interfere_best(tmp_path):
    text = FULL.replace("[sim]\n", '[sim]\npolarisation_start = "random"\n')
    place = Station.parse(text.encode(), tmp_path / "station.toml")
    lab = Lab(place.plain())
    with lab.in_thread() as resources, connect(place, resources.__getitem__, home=True) as instruments:
        bench = Bench(place, instruments, tmp_path / "runs")
        bench.arm()
        found = Lit(bench, lab, Calibrations.of(place)).calibrate(PolarisationScan())

        before = lab.world._wandering.overlap(lab.world.clock_ps) ** 0.5
        assert found["visibility"] == pytest.approx(before, abs=5.0 * found.values["visibility"].sigma + 1e-4)
        assert found["visibility"] > 0.998
        assert [found[f"angle_{k}_deg"] for k in (1, 2, 3)] == pytest.approx(bench["mpc"].angles_deg, abs=0.2)


@pytest.mark.slow
def test_a_bias_controller_stands_still_during_a_scan_and_goes_on_afterwards(tmp_path):
    text = FULL.replace("[sim]\n", '[sim]\nbias_start = "1 V"\n')
    place = Station.parse(text.encode(), tmp_path / "station.toml")
    lab = Lab(place.plain())
    with lab.in_thread() as resources, connect(place, resources.__getitem__, home=True) as instruments:
        bench = Bench(place, instruments, tmp_path / "runs")
        bench.arm()
        lit = Lit(bench, lab, Calibrations.of(place))
        mode = bench["mbx_1"].mode

        for found in (lit.calibrate(BiasScan(modulator="im1")), lit.calibrate(BiasScan(modulator="im1", meter="meter"))):
            within(found, "v_pi_v", 5.0)
            within(found, "null_v", 0.0)
            assert found.values["v_pi_v"].sigma < 0.03
        with pytest.raises(ParameterError, match="lamp"):
            lit.run(BiasScan(modulator="im1", meter="lamp"))
        assert bench["mbx_1"].mode is mode
        with lit.run(CountRates(duration_s=0.1)) as run:
            assert list(run.start["calibrations"]) == ["im1-bias"]
        # The controller holds the darkest point; nobody moves it away.
        assert bench["awg_im"].offset_v(1) == pytest.approx(0.0, abs=1e-3)
