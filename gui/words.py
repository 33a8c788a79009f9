"""Numbers and words for people: three digits, SI prefixes, a space before the unit; one shape and one colour for each word of state."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import floor, isfinite, log10
from typing import Any, Literal

THIN = "\u2009"
STALE_S = 2.0
"""Age beyond which a value is marked."""
UNKNOWN = "-"
DARK_W = 1e-19
"""Less than a photon a second, at any wavelength that goes through glass fibre."""
_PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"), (1e-12, "p"))
_PLAIN = ("", "dB", "dBm", "degC", "°C", "%", "deg", "counts", "bit", "bits", "SNU", "rad")
_SHOWN = {"degC": "°C"}
_EXACT_DIGITS = 12

Shape = Literal["circle", "disc", "triangle", "diamond", "square", "cross", "octagon", "ring", "bar", "chevron", "tick", "hourglass"]


@dataclass(frozen=True, slots=True)
class Look:
    """How a word of state is drawn.  role: colour of `Theme.role`."""

    shape: Shape
    role: str


VOCABULARY: dict[str, Look] = {
    "safe": Look("circle", "ok"), "arming": Look("hourglass", "warning"), "armed": Look("triangle", "warning"), "tripped": Look("octagon", "failure"),
    "pending": Look("hourglass", "fifth"), "stale": Look("ring", "muted"), "simulated": Look("diamond", "fourth"), "hardware": Look("square", "text"),
    "mixed": Look("diamond", "warning"), "replay": Look("chevron", "fourth"), "live": Look("disc", "ok"), "suspended": Look("bar", "warning"),
    "paused": Look("bar", "third"), "aborted": Look("cross", "warning"), "failed": Look("cross", "failure"), "done": Look("tick", "ok"),
    "queued": Look("ring", "text"), "starting": Look("hourglass", "third"), "running": Look("chevron", "ok"), "stopping": Look("hourglass", "warning"),
    "moving": Look("chevron", "third"), "lost": Look("cross", "failure"), "fault": Look("octagon", "failure"), "good": Look("tick", "ok"),
    "missing": Look("ring", "warning"), "suspect": Look("triangle", "warning"), "open": Look("cross", "failure"), "closed": Look("circle", "ok"),
    "confirmed": Look("tick", "ok"), "sent": Look("hourglass", "warning"), "silent": Look("cross", "failure"), "unknown": Look("ring", "muted"),
    "info": Look("disc", "text"), "warning": Look("triangle", "warning"), "error": Look("octagon", "failure"), "note": Look("square", "third"),
    "crash": Look("cross", "failure"), "damaged": Look("octagon", "failure"), "unfinished": Look("hourglass", "warning"),
    "idle": Look("ring", "text"), "view only": Look("ring", "warning"),
    "released": Look("square", "warning"), "present": Look("disc", "ok"), "absent": Look("ring", "warning"), "real": Look("square", "text"),
    "imported": Look("ring", "third"),
}  # fmt: skip


def look(word: str) -> Look:
    """Return the look of a word of state; one that is not in the vocabulary is drawn as unknown."""
    return VOCABULARY.get(word.lower(), VOCABULARY["unknown"])


def number(value: float, digits: int = 3) -> str:
    """Return a number with so many significant digits, its thousands set apart by thin spaces: 12 300, 0.0123, 1.23e-7."""
    if not isfinite(value):
        return UNKNOWN
    if value == 0:
        return "0"
    decimals = digits - 1 - _exponent(value, digits)
    if decimals > digits + 3:
        return f"{value:.{digits - 1}e}".replace("e-0", "e-").replace("e+0", "e")
    return _grouped(f"{round(value, decimals):.{max(0, decimals)}f}")


def _exponent(value: float, digits: int) -> int:
    """Return the decimal exponent after rounding to so many digits: 9.999 counts as 10."""
    return int(f"{abs(value):.{digits - 1}e}".split("e")[1])


def _grouped(text: str) -> str:
    whole, point, part = text.partition(".")
    sign, whole = (whole[0], whole[1:]) if whole[0] in "+-" else ("", whole)
    return sign + f"{int(whole):,}".replace(",", THIN) + point + part


def count(value: float) -> str:
    """Return a whole number with all its digits: 1 234 567."""
    return _grouped(f"{value:.0f}") if isfinite(value) else UNKNOWN


def exact(value: float) -> str:
    """Return a number with the digits that it has, and no more: 25, 1 000, 0.1, 1e-6."""
    text = f"{value:.{_EXACT_DIGITS}g}"
    if "e" in text:
        return text.replace("e-0", "e-").replace("e+0", "e").replace("e+", "e")
    return _grouped(text) if isfinite(value) else UNKNOWN


def quantity(value: Any, unit: str = "", digits: int = 3) -> str:
    """Return a value of any kind with its unit: "12.3 mW", "-3.01 dB", "on", "-" for what is not known."""
    if value is None:
        return UNKNOWN
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, str):
        return value
    if unit in _PLAIN:
        return f"{number(float(value), digits)} {_SHOWN.get(unit, unit)}".rstrip() if isfinite(float(value)) else UNKNOWN
    return scaled(float(value), unit, digits)


def scaled(value: float, unit: str, digits: int = 3) -> str:
    """Return a value with an SI prefix: "0.218 pW", "228.7 kbit/s" with four digits."""
    if not isfinite(value):
        return UNKNOWN
    if value == 0:
        return f"0 {unit}"
    factor, prefix = _scale(value, digits)
    return f"{number(value / factor, digits)} {prefix}{unit}"


def _scale(value: float, digits: int) -> tuple[float, str]:
    """Return the SI prefix of a value as it is once rounded to so many digits."""
    rounded = abs(float(f"{value:.{digits - 1}e}"))
    return next((pair for pair in _PREFIXES if rounded >= pair[0]), _PREFIXES[-1])


def in_full(value: float, unit: str = "") -> str:
    """Return a value with the digits that it has, and no more, and its unit: "15 mW", "18.96 µA", "0.8 dB"."""
    if unit in _PLAIN or not value or not isfinite(value):
        return f"{exact(value)} {_SHOWN.get(unit, unit)}".rstrip()
    factor, prefix = _scale(value, _EXACT_DIGITS)
    return f"{exact(value / factor)} {prefix}{unit}"


def rate(value: float, unit: str = "bit/s") -> str:
    """Return a rate, four digits: "228.7 kbit/s"."""
    return scaled(value, unit, 4)


def percent(fraction: float | None, digits: int = 3) -> str:
    """Return a share: 0.01234 as "1.23 %"."""
    return UNKNOWN if fraction is None or not isfinite(fraction) else f"{number(fraction * 100, digits)} %"


def uncertain(value: float, error: float, unit: str = "") -> str:
    """Return a value with its standard uncertainty in units of the last digit: "1.23(4) %"."""
    if not (isfinite(value) and isfinite(error)) or error <= 0:
        return f"{number(value)} {unit}".rstrip()
    decimals = -floor(log10(error))
    if round(error, decimals) >= 10 ** (1 - decimals):
        decimals -= 1
    shown = round(error * 10**decimals) if decimals >= 0 else round(error, decimals)
    return f"{_grouped(f'{round(value, decimals):.{max(0, decimals)}f}')}({shown:.0f}) {unit}".rstrip()


def power(watts: float | None) -> str:
    """Return an optical power: "-96.6 dBm (0.218 pW)"."""
    if watts is None or not isfinite(watts):
        return UNKNOWN
    return "dark" if watts < DARK_W else f"{dbm(watts)} ({scaled(watts, 'W')})"


def dbm(watts: float | None) -> str:
    """Return an optical power as "-96.6 dBm"."""
    if watts is None or not isfinite(watts):
        return UNKNOWN
    return "dark" if watts < DARK_W else f"{round(10 * log10(watts) + 30, 1) + 0.0:.1f} dBm"


def duration(seconds: float | None) -> str:
    """Return a length of time: "0.3 s", "1 min 15 s", "2 h 05 min", "-" where unknown."""
    if seconds is None or not isfinite(seconds):
        return UNKNOWN
    if seconds < 59.95:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s" if whole % 60 else f"{whole // 60} min"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min"


def age(seconds: float | None) -> str:
    """Return how old something is, and that it is stale: "0.3 s", "1 min 15 s, stale"."""
    if seconds is None:
        return "no data yet"
    return f"{duration(max(0.0, seconds))}, stale" if seconds > STALE_S else duration(max(0.0, seconds))


def clock(t: float, *, date: bool = False) -> str:
    """Return a Unix time as this computer's clock shows it, "-" for 0."""
    from datetime import datetime

    if not t:
        return UNKNOWN
    return f"{datetime.fromtimestamp(t).astimezone():{'%Y-%m-%d %H:%M:%S' if date else '%H:%M:%S'}}"


def moment(t: float, now: float) -> str:
    """Return a Unix time as this computer's clock shows it, with its day where that is not the one of `now`; "-" for 0."""
    day, today = (clock(one, date=True)[:10] for one in (t, now))
    return clock(t, date=day != today)


def safety(state: str, cause: str = "") -> str:
    """Return how the safety state is read out: "Safety: tripped, cause VOA A lost"."""
    return f"Safety: {state.lower()}, cause {cause}" if cause else f"Safety: {state.lower()}"


def spoken(name: str) -> str:
    """Return the name of a procedure as people say it: "Phase scan"; what stands in capitals stays so, as in "Sweep (CSV)"."""
    said = re.sub(r"(?<=[a-z0-9])[A-Z]+", lambda found: f" {found[0] if len(found[0]) > 1 else found[0].lower()}", name)
    return said[:1].upper() + said[1:]
