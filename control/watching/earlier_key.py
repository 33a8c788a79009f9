"""Blocks of key that were made before the owner of the bench began, as the parties noted them, so that a window shows those of the day again."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..topics import BlockFigures

DAY_S = 86_400.0
_TAIL = 1 << 20
"""Bytes at the end of a party's record that are looked at."""

log = logging.getLogger(__name__)


def earlier_blocks(store: Path, since: float | None = None) -> tuple[BlockFigures, ...]:
    """Return the blocks that were made since a Unix time, by default in the last day, once each, the latest last.

    store: folder of the key stores.  Blocks whose figures nobody noted, as earlier versions did not, and lines that cannot be read are left out.
    """
    begin = time.time() - DAY_S if since is None else since
    found: dict[tuple[str, int], BlockFigures] = {}
    for path in sorted(store.glob("*/distillation.jsonl")):
        for record in _records(path):
            block = _block(record)
            if block is not None and block.t >= begin:
                found.setdefault((block.pair, block.block), block)
    return tuple(sorted(found.values(), key=lambda block: block.t))


def _records(path: Path) -> Iterator[Mapping[str, Any]]:
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - _TAIL))
            lines = file.read(_TAIL).split(b"\n")
    except OSError as error:
        log.warning("%s: %s", path, error)
        return
    for line in lines:
        try:
            record = json.loads(line)
        except ValueError:
            # The first one may be cut, the last one still be written.
            continue
        if isinstance(record, dict) and record.get("kind") == "distilled" and isinstance(record.get("figures"), dict):
            yield record


def _block(record: Mapping[str, Any]) -> BlockFigures | None:
    """Return a record as a block, None for one that is damaged."""
    told = record["figures"]
    try:
        seconds, bits = float(told["seconds"]), int(record["bits"])
        numbers = {name: float(told[name]) for name in ("qber_x", "qber_y", "gain")}
        epsilons = {str(name): float(value) for name, value in record["epsilons"].items()}
        found = BlockFigures(
            pair=str(record["pair"]),
            block=int(record["block"]),
            run=str(record["run_id"]),
            t=record["t_ns"] * 1e-9,
            seconds=seconds,
            sifted_bits=int(told["sifted_bits"]),
            leak_bits=int(told["leak_bits"]),
            f_ec=None if told["f_ec"] is None else float(told["f_ec"]),
            key_bits=bits,
            key_rate_bps=bits / seconds,
            epsilons=epsilons,
            provenance=str(told["provenance"]),
            y_bits=int(record["disclosed"].get("y_bits", 0)) // 2,
            **numbers,
        )
    except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError):
        return None
    return found if all(map(math.isfinite, (found.t, seconds, *numbers.values(), *epsilons.values()))) else None
