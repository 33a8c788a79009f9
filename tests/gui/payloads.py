"""Payloads of every topic, made by hand: each maker takes the fields that a test cares about."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from heliograph.control import topics
from heliograph.instruments.roles import SafeReport

T = TypeVar("T")
NOW = 1_790_000_000.0
"""Unix time at which everything here happens."""
RUN = "20260920T150000Z-fringe-3f2a"


def _with(made: T, changes: dict[str, Any]) -> T:
    return replace(made, **changes)  # type: ignore[type-var]


def quantity(**changes: Any) -> topics.Quantity:
    return _with(topics.Quantity("Attenuation", "dB", 23.98, 24.0, 24.0, "attenuation_db", 0.8, 60.0), changes)


def instrument_state(**changes: Any) -> topics.InstrumentState:
    made = topics.InstrumentState(
        "voa_in", "Attenuator", "OZ Optics DD-100-MC serial 00123", "ASRL/dev/pts/3::INSTR", True, "safe", (quantity(),), read_t=NOW - 0.4, age_s=0.1
    )
    return _with(made, changes)


def laser_state(**changes: Any) -> topics.InstrumentState:
    quantities = (
        topics.Quantity("Power", "W", 0.0099, 0.01, 0.01, "power_w", 0.0, 0.015),
        topics.Quantity("Emission", "", False, False, False, "emission"),
        topics.Quantity("Temperature", "degC", 24.9),
    )
    made = topics.InstrumentState(
        "laser", "Laser", "NKT Koheras BASIK serial 42", "ASRL/dev/pts/2::INSTR", True, "safe", quantities, read_t=NOW - 0.3, age_s=0.0
    )
    return _with(made, changes)


def detector_state(**changes: Any) -> topics.InstrumentState:
    quantities = (topics.Quantity("Bias 1", "A", 0.0, 1.4e-05, 1.4e-05, "bias_a", 0.0, 2e-05), topics.Quantity("Bias 2", "A", 0.0, 1.5e-05, 1.5e-05))
    made = topics.InstrumentState("snspd", "PhotonDetector", "Single Quantum Eos serial 7", "TCPIP::127.0.0.1::12000::SOCKET", True, "safe", quantities)
    return _with(made, changes)


def interlock(**changes: Any) -> topics.Interlock:
    return _with(topics.Interlock("attenuators", True, "voa_in 60.0 dB, voa_a 20.0 dB", "Home the attenuators.", NOW - 60), changes)


def element(**changes: Any) -> topics.Element:
    return _with(topics.Element("laser", "laser", ("im",), ("laser",), None, 0.01), changes)


def path_of_light() -> tuple[topics.Element, ...]:
    """A small Sagnac set-up: laser, modulator, attenuator, tap, circulator, splitter, two users, two detectors."""
    return (
        element(),
        topics.Element("im", "modulator", ("voa_in",), ("awg",), 4.0, 0.004),
        topics.Element("voa_in", "attenuator", ("tap",), ("voa_in",), 24.0, 1.6e-5),
        topics.Element("tap", "tap", ("circulator", "pm"), (), 0.4, 1.4e-5),
        topics.Element("pm", "power meter", (), ("pm",), None, 1.4e-6),
        topics.Element("circulator", "circulator", ("splitter", "D1"), (), 0.7, 1.2e-5),
        topics.Element("splitter", "splitter", ("A", "B", "D2"), (), 3.3, 5.6e-6),
        topics.Element("A", "user", ("B",), ("pm_a", "voa_a"), 1.5, 4e-6),
        topics.Element("B", "user", ("splitter",), ("pm_b", "voa_b"), 1.5, 2.8e-6),
        topics.Element("D1", "detector", (), ("snspd",), None, None),
        topics.Element("D2", "detector", (), ("snspd",), None, None),
    )


def calibration_state(**changes: Any) -> topics.CalibrationState:
    made = topics.CalibrationState("fringe of A", "PhaseScan", "good", "V_pi 3.90(2) V, visibility 0.986(2)", NOW - 3600, NOW + 36_000, (), "A", 0.986, 0.002)
    return _with(made, changes)


def station_state(**changes: Any) -> topics.StationState:
    lost = instrument_state(name="voa_a", state="lost", why="voa_a: no answer in 0.5 s. Check its cable.", error_t=NOW - 12)
    missing = calibration_state(name="dark counts", procedure="DarkCounts", state="missing", text="never taken", taken=0.0, until=0.0)
    made = topics.StationState(
        name="sagnac-demo",
        path="/data/lab/station.toml",
        sha256="ab" * 32,
        mode="SIMULATED",
        instruments=(laser_state(), instrument_state(), lost, detector_state()),
        interlocks=(interlock(), interlock(name="power meter dark", holds=False, cause="pm reads 1.4 µW", clear="Switch the light off.")),
        elements=path_of_light(),
        calibrations=(missing, calibration_state()),
        order=("dark counts",),
        pairs=("A-B", "A-C", "B-C"),
    )
    return _with(made, changes)


def safe_reports() -> list[SafeReport]:
    return [SafeReport("laser", "CONFIRMED"), SafeReport("voa_in", "SENT", "moving"), SafeReport("snspd", "CONFIRMED")]


def safety(**changes: Any) -> dict[str, Any]:
    """The body of the topic `safety`, which is a dict."""
    reports = [{"name": one.name, "state": one.state, "detail": one.detail} for one in safe_reports()]
    told = {"state": "SAFE", "cause": "", "owner": 4321, "controller": 999, "watchdog": 4322, "unattended": False, "run": None, "reports": reports}
    return {**told, **changes}


def queue_row(**changes: Any) -> topics.QueueRow:
    made = topics.QueueRow(
        7, "bench", "PhaseScan", {"user": "A", "points": "41"}, "running", 0.25, 45.0, NOW - 15, 0.0, None, "", 999, "fringe before the key exchange"
    )
    return _with(made, changes)


def queue_state(**changes: Any) -> topics.QueueState:
    rows = (
        queue_row(job=6, procedure="CountRates", state="done", progress=1.0, eta_s=None, ended=NOW - 20, path=f"/runs/{RUN}.h5"),
        queue_row(),
        queue_row(job=8, procedure="KeyExchange", parameters={"pair": "A-B", "seconds": "5"}, state="queued", progress=0.0, eta_s=80.0, began=0.0),
    )
    return _with(topics.QueueState(rows, eta_s=80.0), changes)


def count_rates(**changes: Any) -> topics.CountRates:
    names = ("D1", "D2")
    rates, dark, limit, low, high = np.array([[82_000.0, 1_250.0], [110.0, 96.0], [2e6, 2e6], [81_000.0, 1_200.0], [83_000.0, 1_300.0]])
    made = topics.CountRates(RUN, "live", 12.5, names, rates, dark, limit, tags=1_040_000, tags_hz=83_250.0, low_hz=low, high_hz=high)
    return _with(made, changes)


def slot_histogram(**changes: Any) -> topics.SlotHistogram:
    at = np.arange(500)
    peak = 4000 * np.exp(-0.5 * ((at - 250) / 30) ** 2) + 20
    counts = np.stack([peak, peak * 0.05 + 20]).astype(np.uint32)
    return _with(topics.SlotHistogram(RUN, "live", 10_000.0, ("D1", "D2"), counts, {"D1": (3800.0, 6200.0), "D2": (3800.0, 6200.0)}), changes)


def coincidences(**changes: Any) -> topics.Coincidences:
    return _with(topics.Coincidences(RUN, "live", ("D1", "D2"), np.array([[81_000, 12], [12, 1_240]], np.uint32), 1.0), changes)


def scan_rows(**changes: Any) -> topics.ScanRows:
    volts = np.linspace(-4, 4, 41)
    rows = np.stack([volts, 5e4 * (1 + np.cos(volts)), 5e4 * (1 - np.cos(volts))], axis=1)
    return _with(topics.ScanRows(RUN, "live", "PhaseScan", ("voltage (V)", "D1 (Hz)", "D2 (Hz)"), rows), changes)


def block_figures(**changes: Any) -> topics.BlockFigures:
    epsilons = {"secrecy": 1e-10, "correctness": 1e-15}
    made = topics.BlockFigures(
        "A-B", 3, RUN, NOW, 5.0, 152_000, 0.01234, 0.0151, 2.1e-3, 13_400, 1.16, 98_304, 228_732.0, epsilons, "simulated: simulated instruments"
    )
    return _with(made, changes)


def key_progress(**changes: Any) -> topics.KeyProgress:
    blocks = tuple(block_figures(block=number, qber_x=0.012 + 0.001 * number) for number in range(1, 4))
    return _with(topics.KeyProgress("live", "light", "A-B", RUN, 0.4, 152_000, 61_000.0, 45_000.0, "", blocks), changes)


def debit(**changes: Any) -> topics.Debit:
    return _with(topics.Debit(NOW - 30, "A-B", "A", "learning round 4", 24_576, "c0ffee00-0000-4000-8000-000000000001"), changes)


def store_state(**changes: Any) -> topics.StoreState:
    made = topics.StoreState("A-B", "A", 294_912, 196_608, 81_920, 8_192, 0, 24_576, 3e-10, "simulated", ("c0ffee00-0000-4000-8000-000000000001",))
    return _with(made, changes)


def store_states(**changes: Any) -> topics.StoreStates:
    stores = (store_state(), store_state(party="B"), store_state(pair="A-C", spendable=16_384))
    return _with(topics.StoreStates("/data/lab/store", NOW, stores, (debit(), debit(t=NOW - 60, purpose="learning round 3"))), changes)


def client_figures(**changes: Any) -> topics.ClientFigures:
    made = topics.ClientFigures("A", True, np.array([0.69, 0.52, 0.41]), np.array([0.55, 0.78, 0.88]), samples=400)
    return _with(made, changes)


def learning_progress(**changes: Any) -> topics.LearningProgress:
    made = topics.LearningProgress(
        task="digits 3 and 9",
        state="running",
        round=3,
        rounds=20,
        clients=(client_figures(), client_figures(name="B"), client_figures(name="C", present=False)),
        loss=np.array([0.69, 0.53, 0.42]),
        accuracy=np.array([0.55, 0.77, 0.87]),
        key_bits={"A-B": np.array([24_576] * 3), "A-C": np.array([24_576] * 3)},
        rounds_left=8,
    )
    return _with(made, changes)


def qpu_job_state(**changes: Any) -> topics.QpuJobState:
    return _with(topics.QpuJobState("ab12", "local", "RUNNING", 4096, 1.25, position=2, submitted=NOW - 90), changes)


QPU_LIMITS = (
    topics.QpuLimit("usd", "USD", 2.5, 20.0),
    topics.QpuLimit("qpu_seconds", "s", 0.0, None),
    topics.QpuLimit("shots", "shots", 8192.0, 100_000.0),
    topics.QpuLimit("jobs", "jobs", 2.0, 5.0),
)


def qpu_jobs(**changes: Any) -> topics.QpuJobs:
    return _with(topics.QpuJobs("demo", (qpu_job_state(), qpu_job_state(job="cd34", state="DONE", position=None)), 2.5, 20.0, limits=QPU_LIMITS), changes)


def event(**changes: Any) -> topics.Event:
    return _with(topics.Event(NOW, "warning", "voa_a", "no answer in 0.5 s", RUN, 12), changes)


def parameter_form(**changes: Any) -> topics.ParameterForm:
    return _with(topics.ParameterForm("duration_s", "Duration", "float", "s", "1", 0.1, 3600.0), changes)


def procedure_form(**changes: Any) -> topics.ProcedureForm:
    parameters = (
        parameter_form(),
        topics.ParameterForm("pair", "Pair", "choice", "", "A-B", choices=("A-B", "A-C", "B-C")),
        topics.ParameterForm("points", "Points", "integer", "", "41", 3, 1001),
        topics.ParameterForm("distil", "Distil", "boolean", "", "true"),
        topics.ParameterForm("note", "Note", "text", "", ""),
    )
    return _with(topics.ProcedureForm("CountRates", "Count rates", "Count for a while and report the rates.", "bench", parameters, 1.0), changes)
