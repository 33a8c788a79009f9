"""The safe state of a whole bench: light off, attenuators at maximum, detectors parked, outputs off, each read back.

Idempotent, never stops at the first failure. Steps start in the order of `safe_step`; the devices of a step run in parallel threads, are repeated until they
are confirmed or the deadline has passed, and a hanging one delays no other.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import Protocol

from ..roles import SafeReport

DEADLINE_S = 2.0
STEP_S = 0.2
"""How long the next step waits for the one before; after that it starts beside it."""
_PAUSE_S = 0.02


class Securable(Protocol):
    """What can be made safe."""

    @property
    def name(self) -> str:
        """Return the name in the station file."""
        ...

    @property
    def safe_step(self) -> int:
        """Return the place in the order."""
        ...

    def to_safe(self) -> SafeReport:
        """Make it safe and read back."""
        ...


def make_safe(instruments: Iterable[Securable], *, deadline_s: float | None = None) -> list[SafeReport]:
    """Bring every instrument into its safe state and return one report each, in the order of the steps; returns within the deadline (2 s)."""
    allowed_s = DEADLINE_S if deadline_s is None else deadline_s
    order = sorted(instruments, key=lambda instrument: instrument.safe_step)
    deadline = time.monotonic() + allowed_s
    reports: dict[str, SafeReport] = {}
    threads: list[threading.Thread] = []
    for _, step in groupby(order, key=lambda instrument: instrument.safe_step):
        started = [threading.Thread(target=_until_confirmed, args=(instrument, reports, deadline), daemon=True) for instrument in step]
        for thread in started:
            thread.start()
        _join(started, min(deadline, time.monotonic() + STEP_S))
        threads += started
    _join(threads, deadline)
    silent = f"no answer within {allowed_s:g} s"
    return [reports.get(instrument.name, SafeReport(instrument.name, "FAILED", silent)) for instrument in order]


def _join(threads: Iterable[threading.Thread], until: float) -> None:
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))


def _until_confirmed(instrument: Securable, reports: dict[str, SafeReport], deadline: float) -> None:
    while True:
        try:
            report = instrument.to_safe()
        except Exception as error:  # noqa: BLE001
            # Whatever is wrong with one device or its driver, the others must still be made safe, and this one tried again.
            report = SafeReport(instrument.name, "FAILED", f"{type(error).__name__}: {error}")
        reports[instrument.name] = report
        if report.state == "CONFIRMED" or time.monotonic() + _PAUSE_S >= deadline:
            return
        time.sleep(_PAUSE_S)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Let no second Ctrl-C cut the way to the safe state short."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def unconfirmed(reports: Iterable[SafeReport]) -> list[SafeReport]:
    """Return the reports of instruments that could not be made safe; a moving attenuator that was SENT is not among them."""
    return [report for report in reports if report.state == "FAILED"]


def summary(reports: Iterable[SafeReport]) -> str:
    """Return one line that names each instrument not confirmed, and why."""
    return "; ".join(f"{report.name} {report.state} ({report.detail})" for report in reports if report.state != "CONFIRMED")


def note(error: BaseException, reports: Sequence[SafeReport]) -> None:
    """Add to what ended a bench how it was left: that it was made safe, to Ctrl-C and its like, which tell nothing else; what was not, to any error."""
    if bad := unconfirmed(reports):
        error.add_note(f"not confirmed safe: {summary(bad)}; switch the light off by hand")
    elif reports and not isinstance(error, Exception):
        error.add_note("the bench was made safe")
