"""Seconds of light at the rate of pair A-B, from tags through files to both stores: what that takes does not grow with the light beyond the sifted planes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from heliograph.instruments.station import default_text

MOST_BYTES, SECONDS_OF_A_BLOCK = 2e9, 200.0


def ended(folder: Path, *words: object) -> Any:
    done = subprocess.run([sys.executable, "-m", "heliograph", *map(str, words), "--json"], cwd=folder, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def of_light(folder: Path, seconds: float) -> tuple[Any, Any]:
    folder.mkdir()
    (folder / "station.toml").write_bytes(default_text())
    acquired = ended(folder, "acquire", "key", "--station", "station.toml", "--store", "store", "--out", "runs", "--pairs", "A-B", "--seconds", seconds)
    return acquired, ended(folder, "distil", acquired["pairs"]["A-B"]["run"], "--store", "store")


@pytest.mark.slow
def test_twenty_seconds_of_light_become_key_in_bounded_memory(tmp_path):
    short, long = (of_light(tmp_path / f"{seconds}", seconds) for seconds in (5, 20))

    assert long[1]["n_events"] == pytest.approx(20e6, rel=0.1)
    assert long[1]["key_bits"] > 4_000_000
    assert long[1]["f_ec"] < 1.035
    assert long[1]["key_rate_bps"] > 1.03 * long[1]["key_rate_bps_at_paper_leak"]
    # Light is recorded, selected and announced without being kept.
    assert long[0]["peak_rss_bytes"] < 1.1 * short[0]["peak_rss_bytes"]
    growth = (long[1]["peak_rss_bytes"] - short[1]["peak_rss_bytes"]) / 15.0
    assert long[1]["peak_rss_bytes"] < 0.6e9
    assert long[1]["peak_rss_bytes"] + growth * (SECONDS_OF_A_BLOCK - 20.0) < MOST_BYTES
    # Post-processing keeps up with the light.
    assert long[1]["wall_seconds"] < 20.0
