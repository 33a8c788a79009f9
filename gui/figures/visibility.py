"""How well the light of each user of a pair interferes, by the last phase scan of each, in words."""

from __future__ import annotations

from collections.abc import Sequence

from ...control.topics import CalibrationState, KeyProgress, StationState
from .. import words

_SCAN = "PhaseScan"
"""The procedure that measures it."""


def visibilities(station: StationState | None, key: KeyProgress | None) -> str:
    """Return that of the users of the pair that exchanges key, else of the last block, else of all: "A 98.6(2) %, DATE TIME; B -, not measured yet"."""
    if station is None:
        return words.UNKNOWN
    scans = {one.user: one for one in station.calibrations if one.procedure == _SCAN and one.user}
    return "; ".join(f"{user} {_told(scans.get(user))}" for user in _users(key) or scans) or f"{words.UNKNOWN}, this station has no phase scans"


def _users(key: KeyProgress | None) -> Sequence[str]:
    pair = "" if key is None else key.pair or next((one.pair for one in key.blocks[-1:]), "")
    return pair.split("-") if pair else ()


def _told(scan: CalibrationState | None) -> str:
    """Return what was measured last and when, and whether it holds no more; or why nothing is known."""
    if scan is None:
        return f"{words.UNKNOWN}, this station has no phase scan of this user"
    if scan.visibility is None:
        return f"{words.UNKNOWN}, {'not measured yet' if scan.state == 'missing' else scan.text or scan.state}"
    value = words.uncertain(100.0 * scan.visibility, 100.0 * (scan.visibility_sigma or 0.0), "%")
    return f"{value}, {words.clock(scan.taken, date=True)}" + (f", {scan.state}" if scan.state != "good" else "")
