from __future__ import annotations

from typing import Any

import pytest


def _modulator(kind: str, source: str) -> dict[str, Any]:
    return {"kind": kind, "source": source, "v_pi_v": 5.0, "gain": 2.0, "er_db": 30.0, "gate_s": 1e-9}


def _wire(role: str, driver: str, **more: Any) -> dict[str, Any]:
    return {"wire": {"role": role, "driver": driver, **more}}


def plain_bench(seed: int = 20260101, **sim: Any) -> dict[str, Any]:
    """The default bench of the specification as a plain dictionary of SI floats."""
    errors = {"A": (0.00373, 0.00312), "B": (0.00400, 0.00192), "C": (0.00695, 0.00790)}
    return {
        "topology": "sagnac",
        "clock": {"rep_rate_hz": 100e6, "pattern_slots": 10_000, "sync_divider": 1000},
        "sim": {"seed": seed, "users": {u: {"error_x": x, "error_y": y} for u, (x, y) in errors.items()}, **sim},
        "instruments": {
            "laser": _wire("Laser", "KoherasBasik"),
            **{name: _wire("Attenuator", "OzDD100") for name in ("voa_in", "voa_a", "voa_b", "voa_c")},
            **{name: _wire("WaveformSource", "Keysight81160A") for name in ("awg_im", "awg_a", "awg_b", "awg_c")},
            "snspd": _wire("PhotonDetector", "WebSQ", channels=[1, 2]),
            "tagger": _wire("TagSource", "ID900", channel_map={"D1": 1, "D2": 2, "sync": 3}),
        },
        "optics": {
            "modulators": {
                **{f"im{n}": _modulator("IntensityModulator", f"awg_im:{n}") for n in (1, 2)},
                **{f"pm_{u}": _modulator("PhaseModulator", f"awg_{u}:1") for u in "abc"},
            },
            "users": {
                "A": {"pm": "pm_a", "voa": "voa_a", "distance_m": 1000.5, "loss_db": 2.8},
                "B": {"pm": "pm_b", "voa": "voa_b", "distance_m": 2000.0, "loss_db": 2.8},
                "C": {"pm": "pm_c", "voa": "voa_c", "distance_m": 2500.5, "loss_db": 5.8},
            },
            "att_fixed": {"loss_db": 60.0},
            "loop": {"length_m": 6000.0},
            "site": {"eta": (0.701156, 0.770355), "dark_hz": (50.0, 50.0), "dead_time_s": 30e-9, "jitter_s": 100e-12, "gate_s": 2e-9},
            "line": ("laser", "im1", "im2", "att_fixed", "voa_in", "circ:1-2", "bs", "loop(user_a, user_b, user_c)", "bs", "D2", "circ:2-3", "D1"),
        },
    }


@pytest.fixture
def plain() -> dict[str, Any]:
    return plain_bench()
