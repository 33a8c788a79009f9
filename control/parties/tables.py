"""Results as tables for people: columns and rows, each made in one place for the demo and the single commands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ...acquisition.calibration import Fringe
    from ...acquisition.procedures.count_rates import Rates
    from ...protocols.qunetqfl.result import LearningResult
    from .node import PairKey

Rows = tuple[Sequence[str], Sequence[Sequence[object]]]
"""Column heads, and the rows below them."""


def rate_rows(rates: Rates) -> Rows:
    """Return both detectors' rates beside what the station predicts."""
    columns = ["detector", "rate (1/s)", "sigma (1/s)", "expected (1/s)"]
    return columns, [("D1", rates.d1_hz, rates.d1_sigma_hz, rates.d1_expected_hz), ("D2", rates.d2_hz, rates.d2_sigma_hz, rates.d2_expected_hz)]


def fringe_rows(fringes: Mapping[str, Fringe]) -> Rows:
    """Return one row a user: half-wave voltage and visibility with their standard deviations."""
    columns = ["user", "V_pi (V)", "sigma (V)", "visibility", "sigma"]
    return columns, [(user, found.v_pi_v, found.v_pi_sigma_v, found.visibility, found.visibility_sigma) for user, found in fringes.items()]


def key_rows(pairs: Mapping[str, PairKey]) -> Rows:
    """Return one row a pair: error rates, bits, efficiency of error correction (1 at the Shannon limit), key."""
    columns = ["pair", "error X", "error Y", "events", "sifted bits", "leaked bits", "f", "key bits", "rate (kbit/s)"]
    rows = [
        (
            name,
            f"{key.qber_x:.2%}",
            f"{key.qber_y:.2%}",
            key.n_events,
            key.sifted_bits,
            key.leak_bits,
            f"{key.f_ec:.3f}" if key.f_ec else "-",
            key.key_bits,
            round(key.key_rate_bps / 1e3, 1),
        )
        for name, key in pairs.items()
    ]
    return columns, rows


def round_rows(result: LearningResult) -> Rows:
    """Return one row a round: accuracy on the test set, loss, key used up."""
    columns = ["round", "accuracy", "loss", "key bits spent", "burned"]
    rows = [(record.round + 1, f"{record.accuracy:.1%}", round(record.loss, 4), record.key_bits_spent, record.key_bits_burned) for record in result.rounds]
    return columns, rows


def status_rows(found: Mapping[str, Any]) -> Rows:
    """Return how a bench is, one line a thing."""
    run = found.get("run")
    lines = [
        ("state", found["state"]),
        ("cause", found["cause"] or "-"),
        ("owner", _process(found["owner"])),
        ("controller", found.get("holder") or _process(found["controller"])),
        ("watchdog", _process(found["watchdog"])),
        ("run", f"{run['procedure']}, {run['state']}, {100 * run['progress']:.0f} %" if run else "-"),
    ]
    return ["what", "is"], lines


def _process(pid: object) -> str:
    return f"process {pid}" if pid else "-"


def safe_rows(reports: Sequence[Mapping[str, Any]]) -> Rows:
    """Return one row an instrument: how its way to the safe state went."""
    return ["instrument", "state", "why"], [(report["name"], report["state"], report["detail"] or "-") for report in reports]
