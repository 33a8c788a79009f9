"""How an instrument differs from what was last asked of it: it lost its settings, or does by itself what nobody wanted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from .interlocks import AttenuatorNow, DetectorNow, LaserNow, Reading, SourceNow

_LESS_DB = 0.2
_SHARE = 0.05
"""By which a bias may differ from the one that was set, beyond its tolerance."""


def changed(reading: Reading, asked: Mapping[str, float]) -> str:
    """Return in words what an instrument lost; empty if it does as it was told.  asked: by quantity, as the arbiter knows it."""
    match reading:
        case LaserNow(closed=False):
            return "the interlock loop is open"
        case LaserNow() if "emission" in asked and bool(asked["emission"]) is not reading.emission:
            return "the light went out by itself" if not reading.emission else "it shines although it was switched off"
        case AttenuatorNow(measured_db=None):
            return "it does not know its position, as after a power cycle, and counts as open"
        case AttenuatorNow() if (reading.measured_db or 0.0) < asked.get("attenuation_db", 0.0) - _LESS_DB:
            return f"{reading.measured_db:.2f} dB read back, {asked['attenuation_db']:.2f} dB were set"
        case DetectorNow():
            lost = [ch for ch, bias, wanted in _biases(reading, asked) if abs(bias) < abs(wanted) * (1.0 - _SHARE) - reading.tolerance]
            return f"the bias of detector {lost[0]} went away by itself" if lost else ""
        case SourceNow():
            off = [ch for ch, on in reading.on.items() if asked.get(f"output:{ch}") and not on]
            return f"output {off[0]} went off by itself, so the modulator counts as open" if off else ""
    return ""


def risen(reading: Reading, asked: Mapping[str, float]) -> Iterator[str]:
    """Yield in words which detectors carry more bias than was set, which is a sign of an attack."""
    if isinstance(reading, DetectorNow):
        for ch, bias, wanted in _biases(reading, asked):
            if abs(bias) > abs(wanted) * (1.0 + _SHARE) + reading.tolerance:
                yield f"detector {ch} carries {bias:g}, {wanted:g} were set"


def _biases(reading: DetectorNow, asked: Mapping[str, float]) -> Iterator[tuple[int, float, float]]:
    return ((ch, bias, asked[f"bias:{ch}"]) for ch, bias in reading.biases.items() if f"bias:{ch}" in asked)
