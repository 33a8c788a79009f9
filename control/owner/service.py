"""An instrument is let go for service, and taken back: only between runs, and only on a bench that is safe."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...core.errors import InterlockOpen
from ...instruments.roles import SafeReport

if TYPE_CHECKING:
    from .owner import Owner


def release(owner: Owner, name: str, by: str) -> list[SafeReport]:
    """Let go of an instrument, with the other parts of its unit; return how making it safe went. Raises what `Instruments.release` does, also during a run."""
    job = owner.runner.job
    if job is not None:
        raise InterlockOpen(f"{job.name} is on", where=name, remedy="Wait until the run has ended, or abort it.")
    try:
        return owner.instruments.release(name, by=by)
    finally:
        owner.tell()


def take_back(owner: Owner, name: str, by: str) -> dict[str, str]:
    """Take an instrument back, with the other parts of its unit; return who answered, by name. Raises what `Instruments.take_back` does."""
    try:
        return {one.name: str(one.known_identity) for one in owner.instruments.take_back(name, by=by)}
    finally:
        owner.tell()
