"""The way to the safe state where whoever should see to it does not answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from heliograph.control import status
from heliograph.control.link import address, sockets
from heliograph.instruments.guard.local_sockets import listen
from heliograph.instruments.station import default_text


def test_a_watchdog_that_hangs_keeps_nobody_from_making_the_bench_safe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "_SLOWEST_S", 0.05)
    station = tmp_path / "station.toml"
    station.write_bytes(default_text())

    with listen(address(station, "watchdog")):
        assert sockets(station)
        told = status.make_safe(station)

    assert (told["by"], told["reports"]) == ("nobody", []), "nobody simulates its instruments"
    assert status.of(station)["state"] == "CLOSED"
