"""Which instruments have values that are old: those that do not answer, and those that had not been read for two seconds when the owner told of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..control.topics import Element, InstrumentState
from . import words


def ages(instruments: Iterable[InstrumentState]) -> dict[str, float]:
    """Return by name how old the reading of each instrument was when the owner told of it, s, for those that were ever read."""
    return {one.name: one.age_s for one in instruments if one.age_s is not None}


def unread(instruments: Iterable[InstrumentState]) -> dict[str, float]:
    """Return the ages, s, of those readings that are old.

    One that was never read has no values; one that is lost has old ones, however lately it was read.
    """
    known = list(instruments)
    lost = {one.name for one in known if one.state == "lost"}
    return {name: age_s for name, age_s in ages(known).items() if name in lost or age_s > words.STALE_S}


def mark(age_s: float) -> str:
    """Return what stands beside an old value: "stale 55 s", short enough for the drawing."""
    if age_s < 60.0:
        return f"stale {age_s:.0f} s"
    return f"stale {age_s / 60.0:.0f} min" if age_s < 3570.0 else f"stale {age_s / 3600.0:.0f} h"


def behind(elements: Mapping[str, Element], old: Mapping[str, float]) -> frozenset[str]:
    """Return the elements whose values rest on old readings: those that such an instrument drives, and where it sets the light, all that it feeds.

    Behind a tap the powers are those that its meter reads.
    """
    driven = {name for name, one in elements.items() if any(instrument in old for instrument in one.driven_by)}
    taps = {name for name, one in elements.items() if any(target in driven and "meter" in elements[target].kind for target in one.feeds if target in elements)}
    found, waiting = driven | taps, [name for name in driven | taps if elements[name].kind in _OF_LIGHT]
    while waiting:
        for target in elements[waiting.pop()].feeds:
            if target in elements and target not in found:
                found.add(target)
                waiting.append(target)
    return frozenset(found)


_OF_LIGHT = ("laser", "attenuator", "tap")
