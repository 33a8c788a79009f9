"""Key that was made before the owner began: from what the parties noted of it, however damaged."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from heliograph.control.owner.publishing import Topics
from heliograph.control.run_files.figures import LiveFigures
from heliograph.control.topics import KeyProgress
from heliograph.control.watching.earlier_key import earlier_blocks
from heliograph.core.ledger import Ledger
from heliograph.instruments.station import Station, default_text

NOW = time.time()
FIGURES = {
    "seconds": 5.0, "sifted_bits": 1_000_000, "qber_x": 0.0076, "qber_y": 0.0081, "gain": 0.0012, "leak_bits": 70_000, "f_ec": 1.06,
    "provenance": "simulated: a simulated laser",
}  # fmt: skip
COST = {"disclosed": {"y_bits": 4000}, "epsilons": {"correction": 1e-12, "total": 4e-10}}


def note(store: Path, party: str, pair: str, block: int, t: float, **changes: Any) -> Path:
    path = store / party / "distillation.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    told = {"figures": FIGURES, **COST, **changes}
    with Ledger(path, clock_ns=lambda: round(t * 1e9)) as ledger:
        ledger.append("noted", run_id="r", pair=pair)
        ledger.append("distilled", run_id=f"run-{block}", pair=pair, block=block, bits=500_000, **told)
    return path


def test_every_block_of_the_last_day_is_told_once_the_latest_last(tmp_path):
    for party in ("A", "B"):
        note(tmp_path, party, "A-B", 1, NOW - 90_000)
        note(tmp_path, party, "A-B", 2, NOW - 600)
    note(tmp_path, "C", "B-C", 1, NOW - 900)

    found = earlier_blocks(tmp_path)

    assert [(one.pair, one.block, one.run) for one in found] == [("B-C", 1, "run-1"), ("A-B", 2, "run-2")]
    last = found[-1]
    assert (last.qber_x, last.gain, last.key_bits, last.key_rate_bps, last.y_bits) == (0.0076, 0.0012, 500_000, 100_000.0, 2000)
    assert (last.epsilons["total"], last.provenance) == (4e-10, "simulated: a simulated laser")
    assert abs(last.t - (NOW - 600)) < 1e-3


def test_records_that_tell_less_or_are_damaged_are_left_out(tmp_path):
    path = note(tmp_path, "A", "A-B", 1, NOW)
    for block, figures in enumerate(({**FIGURES, "seconds": 0}, {**FIGURES, "qber_x": "nan"}, {**FIGURES, "gain": None}, {}, "none"), 2):
        note(tmp_path, "A", "A-B", block, NOW, figures=figures)
    with path.open("ab") as file:
        file.write(b'\xff\n[]\n{"kind": "distilled", "figures": {}}\n{"kind": "disti')

    assert [one.block for one in earlier_blocks(tmp_path)] == [1]
    assert earlier_blocks(tmp_path / "nothing") == ()


def test_an_owner_that_begins_tells_of_the_key_that_was_made_and_of_no_exchange(tmp_path):
    note(tmp_path, "A", "A-B", 3, NOW - 60)
    topics = Topics()

    LiveFigures(topics).remember(tmp_path, Station.parse(default_text(), tmp_path / "station.toml"))

    told = topics.latest("key")
    assert isinstance(told, KeyProgress)
    assert (told.source, told.stage, [one.block for one in told.blocks]) == ("live", "idle", [3])
