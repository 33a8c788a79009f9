"""What the drawing of the optical path says at each element: a word of state, two live values, and a sentence for screen readers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isfinite

from ..control.topics import CountRates, Element, InstrumentState, Quantity
from . import unread, words

LIGHT, NO_LIGHT, UNKNOWN_LIGHT = "light", "no light", "not known"
WORST_FIRST = ("fault", "lost", "released", "moving", "armed", "safe")
_KINDS = {"polarisation": "polarisation controller", "attenuator": "attenuator", "splitter": "beam splitter", "loop": "fibre loop", "meter": "power meter"}


@dataclass(frozen=True, slots=True)
class Told:
    """What is shown at an element.  state: word of its worst instrument, empty for one without.  values: two lines at most.  spoken: everything in words.

    light: whether light leaves it: `light`, `no light`, or `not known`.  old: the values rest on a reading that is old.
    """

    state: str
    values: tuple[str, ...]
    spoken: str
    light: str = UNKNOWN_LIGHT
    old: bool = False


def light(elements: Mapping[str, Element]) -> dict[str, str]:
    """Return for every element whether light leaves it; where its power is not known, as for what feeds it."""
    found = {name: NO_LIGHT if one.power_w < words.DARK_W else LIGHT for name, one in elements.items() if one.power_w is not None}
    for _ in elements:
        for name, one in elements.items():
            if name in found:
                for target in one.feeds:
                    if target in elements and target not in found:
                        found[target] = found[name]
    return {name: found.get(name, UNKNOWN_LIGHT) for name in elements}


def told(
    element: Element,
    instruments: Mapping[str, InstrumentState],
    counts: CountRates | None = None,
    light: str = UNKNOWN_LIGHT,
    *,
    old: Mapping[str, float] | None = None,
    behind: bool = False,
) -> Told:
    """Return what is shown at an element now.  light: as for `Told`.  old: as `unread.unread` says.  behind: its values rest on old readings of others."""
    driven = [instruments[name] for name in element.driven_by if name in instruments]
    state = min((one.state for one in driven), key=WORST_FIRST.index, default="")
    values = _VALUES.get(element.kind, _light)(element, driven, counts)
    # What a tagger shows are the counts of the run, which have an age of their own.
    late = old if old is not None and not (element.kind == "tagger" and counts is not None) else {}
    shown, ages = tuple(values[:2]), [late[one.name] for one in driven if one.name in late]
    if ages:
        shown = (*shown[:1], unread.mark(max(ages)))
    spoken = _spoken(element, driven, values)
    stale = f"stale, read {words.duration(max(ages))} before this; " if ages else "stale, computed from old readings; " if behind else ""
    return Told(state, shown, stale + spoken, light, bool(ages) or behind)


def title(element: Element) -> str:
    """Return the name by which an element is found, such as "Drawing: im1, modulator"."""
    return f"Drawing: {element.name}, {_KINDS.get(element.kind, element.kind)}"


def label(element: Element) -> str:
    """Return what is written at an element."""
    return f"user {letters(element)}" if element.kind == "user" and len(letters(element)) == 1 else element.name


def most_lines(element: Element) -> int:
    """Return how many lines of text an element may have: its name, its state, and its values."""
    return 1 + bool(element.driven_by) + (1 if element.kind == "loop" else 2)


def letters(element: Element) -> str:
    """Return the one or two letters in a user's symbol."""
    return element.name.removeprefix("user_")[:2].upper() if element.kind == "user" else ""


def _spoken(element: Element, driven: Iterable[InstrumentState], values: Iterable[str]) -> str:
    said = list(values) or ["no value is known"]
    for one in driven:
        said.append(f"{one.name} is {one.state}{f', {one.why}' if one.why else ''}{', simulated' if one.simulated else ''}")
    if element.feeds:
        said.append(f"feeds {', '.join(element.feeds)}")
    return "; ".join(said)


def _light(element: Element, _driven: Iterable[InstrumentState], _counts: CountRates | None) -> list[str]:
    values = [words.dbm(element.power_w)] if element.power_w is not None else []
    if element.loss_db is not None and abs(element.loss_db) >= 0.05 and element.kind not in ("laser", "loop"):
        values.append(f"loss {element.loss_db:.1f} dB")
    return values


def _meter(element: Element, driven: Iterable[InstrumentState], counts: CountRates | None) -> list[str]:
    found = next((one.measured for one in _quantities(driven) if one.unit == "W" and isinstance(one.measured, float)), None)
    return _light(element, driven, counts) if found is None else [words.dbm(found), words.scaled(found, "W")]


def _detector(element: Element, driven: Iterable[InstrumentState], counts: CountRates | None) -> list[str]:
    values = []
    if counts is not None and element.name in counts.names:
        rate_hz = float(counts.rates_hz[counts.names.index(element.name)])
        if isfinite(rate_hz):
            values.append(words.scaled(rate_hz, "Hz"))
    biases = [one for one in _quantities(driven) if one.unit in ("A", "V") and "bias" in one.label.lower()]
    # A controller with several channels has them in the order of its detectors.
    at = int(element.name[1:]) - 1 if len(biases) > 1 and element.name[1:].isdigit() else 0
    if at < len(biases):
        values.append(words.quantity(biases[at].measured, biases[at].unit))
    return values


def _tagger(_element: Element, _driven: Iterable[InstrumentState], counts: CountRates | None) -> list[str]:
    if counts is None:
        return ["no run"]
    return [f"{words.scaled(counts.tags_hz, 'tag/s')}", {0: "no gaps", 1: "1 gap"}.get(counts.gaps, f"{counts.gaps} gaps")]


def _quantities(driven: Iterable[InstrumentState]) -> Iterable[Quantity]:
    return (quantity for one in driven for quantity in one.quantities)


def _generator(_element: Element, driven: Iterable[InstrumentState], _counts: CountRates | None) -> list[str]:
    outputs = [one for one in _quantities(driven) if isinstance(one.measured, bool) and one.label.startswith("Output")]
    return [", ".join(f"{one.label.removeprefix('Output').strip()} {'on' if one.measured else 'off'}" for one in outputs)] if outputs else []


_VALUES = {"meter": _meter, "detector": _detector, "tagger": _tagger, "generator": _generator}
