"""What a row of the queue says, and when it will be over."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from ...control.topics import QueueRow, QueueState
from .. import words
from ..tables import Cell, Column, Row

COLUMNS = (
    Column("Job", number=True),
    Column("Where"),
    Column("Procedure"),
    Column("State"),
    Column("Progress", number=True),
    Column("Time left", number=True),
    Column("Ends", number=True),
    Column("Why", wide=True),
    Column("Parameters", wide=True),
)


def waiting(queue: QueueState | None) -> list[QueueRow]:
    """Return the rows that wait, in their order."""
    return [row for row in queue.rows if row.state == "queued"] if queue is not None else []


def place_of(queue: QueueState | None, job: int) -> int | None:
    """Return the place of a job among those that wait, None for one that does not."""
    return next((at for at, row in enumerate(waiting(queue)) if row.job == job), None)


def row_of(queue: QueueState | None, job: int | None) -> QueueRow | None:
    """Return the row of a job, None where it is not listed."""
    return next((row for row in queue.rows if row.job == job), None) if queue is not None else None


def body_of(row: QueueRow) -> dict[str, Any]:
    """Return what `enqueue` takes to have a row done again."""
    return {"procedure": row.procedure, "parameters": dict(row.parameters), "purpose": row.purpose, "operator": row.operator, "seed": row.seed}


def ends(queue: QueueState, now: float) -> dict[int, float]:
    """Return when each job will be over, Unix seconds, as far as that can be said.

    It cannot behind one of unknown length, nor where nothing can begin: in a queue that is held, or behind one that waits for an armed bench.
    """
    found: dict[int, float] = {}
    for lane in ("bench", "worker"):
        at: float | None = now
        for row in (one for one in queue.rows if one.lane == lane and not one.over):
            waits = row.state == "queued" and bool(queue.held or row.why)
            at = None if at is None or row.eta_s is None or waits else at + row.eta_s
            if at is not None:
                found[row.job] = at
    return found


def parameters(row: QueueRow) -> str:
    """Return the parameters of a row in one line."""
    return ", ".join(f"{name} {value}" for name, value in row.parameters.items() if value)


def why(row: QueueRow) -> str:
    """Return why a row stands still or has ended, else its purpose."""
    return row.why or row.purpose


def cells(row: QueueRow, end: float | None, now: float | None = None) -> Row:
    """Return the cells of a row.  end: when it will be over."""
    over = row.over
    at = (row.ended if over else end) or 0.0
    left = words.UNKNOWN if over else words.duration(row.eta_s)
    return (
        Cell(str(row.job), order=row.job),
        row.lane,
        words.spoken(row.procedure),
        Cell(row.state, word=row.state),
        words.UNKNOWN if row.state == "queued" else f"{100 * row.progress:.0f} %",
        left,
        Cell(words.moment(at, time.time() if now is None else now), order=at),
        why(row),
        parameters(row),
    )


def facts(row: QueueRow, end: float | None) -> list[tuple[str, str]]:
    """Return everything that is known of a row, in words."""
    over, on = row.over, row.on
    took = row.ended - row.began if row.ended and row.began else None
    told = [
        ("Procedure", words.spoken(row.procedure)),
        ("Job", f"{row.job}, {row.lane}"),
        ("State", f"{row.state}, {100 * row.progress:.0f} %" if on else row.state),
        ("Why", row.why),
        ("Purpose", row.purpose),
        ("Began", words.clock(row.began, date=True) if row.began else ""),
        ("Ended" if over else "Ends", words.clock((row.ended if over else end) or 0.0, date=True)),
        ("Took" if over else "Time left", words.duration(took if over else row.eta_s)),
        ("Operator", row.operator),
        ("Seed", "" if row.seed is None else str(row.seed)),
        ("Asked for by", f"process {row.who}" if row.who else ""),
        ("Run file", row.path or ""),
        *((name, value) for name, value in row.parameters.items()),
    ]
    return [(name, text) for name, text in told if text]


def end_of(queue: QueueState, now: float | None = None) -> str:
    """Return when the queue is empty, in words."""
    now = time.time() if now is None else now
    left = [row for row in queue.rows if not row.over]
    if not left:
        return "nothing waits"
    if queue.held and any(row.state == "queued" for row in left):
        return "nothing more is begun"
    # Without an estimate for a task beside the bench nobody can say when all is over.
    ending = ends(queue, now)
    unknown: Sequence[QueueRow] = [row for row in left if row.job not in ending]
    if unknown and unknown[0].state == "queued" and unknown[0].why:
        return f"its end is not known: {words.spoken(unknown[0].procedure)} {unknown[0].why.partition(':')[0]}"
    if unknown:
        return f"its end is not known: {words.spoken(unknown[0].procedure)} has no estimate yet"
    last = max(ending.values())
    return f"ends {words.moment(last, now)}, in {words.duration(last - now)}"
