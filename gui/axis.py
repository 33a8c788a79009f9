"""An axis of a chart that is read at any text size: its label never loses its unit; its numbers never overlap, and have equally many decimals."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape, unescape
from itertools import pairwise
from math import ceil, log10
from typing import Any

import pyqtgraph as pg
from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QFontMetricsF
from PySide6.QtWidgets import QApplication

from . import words

_SPARE_PX = 10.0
"""What the box of a label is wider than its text."""
_MOST_PLACES, _LARGEST = 6, 1e9
"""Of numbers that are written out, without an exponent."""
_WITH_UNIT = re.compile(r"(.*?)\s*(\([^()]*\))?\s*")


def shortened(label: str, room_px: float, metrics: QFontMetricsF) -> str:
    """Return a label such as "Time in the slot (ns)" that fits: its name is cut where it must be, its unit never is."""
    if metrics.horizontalAdvance(label) <= room_px:
        return label
    found = _WITH_UNIT.fullmatch(label)
    name, unit = (found[1], found[2] or "") if found else (label, "")
    room_px -= metrics.horizontalAdvance(f" {unit}") if unit else 0.0
    name = metrics.elidedText(name, Qt.TextElideMode.ElideRight, max(0.0, room_px))
    return " ".join(filter(None, ("" if name == "…" else name, unit)))


class Axis(pg.AxisItem):
    """An axis at the bottom or on the left."""

    _finest = 1.0

    def tickValues(self, minVal: float, maxVal: float, size: float) -> Any:  # noqa: N802
        """Return the places of ticks, and note how close the closest are."""
        found = super().tickValues(minVal, maxVal, size)
        self._finest = min((spacing for spacing, _ in found if spacing), default=1.0)
        return found

    def tickStrings(self, values: Sequence[float], scale: float, spacing: float) -> list[str]:  # noqa: N802
        """Return numbers that have the same decimals at every tick."""
        places = max(0, ceil(-log10(self._finest * scale) - 1e-9)) if self._finest * scale > 0 else 0
        if self.logMode or places > _MOST_PLACES or any(abs(value * scale) >= _LARGEST for value in values):
            plain: list[str] = super().tickStrings(values, scale, spacing)
            return plain
        # What is next to nothing would be written as -0.
        rounded = [round(value * scale, places) + 0.0 for value in values]
        return [f"{one:.{places}f}" if places else words.count(one) for one in rounded]

    def labelString(self) -> str:  # noqa: N802
        """Return the label as markup, as long as there is room."""
        whole: str = super().labelString()
        text, room = re.sub(r"<[^>]*>", "", whole), self._length()
        if not room:
            return whole
        # What came with data is escaped in a label, and is cut as it is read.
        return whole.replace(text, escape(shortened(unescape(text).strip(), room - _SPARE_PX, QFontMetricsF(QApplication.font()))))

    def _length(self) -> float:
        size = self.size()
        return float(size.height() if self.orientation in ("left", "right") else size.width())

    def resizeEvent(self, ev: Any = None) -> None:  # noqa: N802
        """Write the label for the new length."""
        if self.label is not None:
            self.label.setHtml(self.labelString())
        super().resizeEvent(ev)

    def generateDrawSpecs(self, p: Any) -> Any:  # noqa: N802
        """Return what is drawn, without the numbers that would overlap."""
        specs = super().generateDrawSpecs(p)
        if specs is None:
            return None
        line, ticks, texts = specs
        upright, bounds = self.orientation in ("left", "right"), self.boundingRect()
        inside = [(_within(rect, bounds, upright=upright), flags, text) for rect, flags, text in texts]
        gap = 0.0 if upright else QFontMetricsF(QApplication.font()).horizontalAdvance(" ")
        found = apart(inside, gap, upright=upright)
        return line, ticks, found if self._tickLevels is not None else trimmed(found)


def _within(rect: QRectF, bounds: QRectF, *, upright: bool) -> QRectF:
    """Return the place of a number, moved along the axis so that it is not cut."""
    if upright:
        return rect.translated(0.0, max(0.0, bounds.top() - rect.top()) - max(0.0, rect.bottom() - bounds.bottom()))
    return rect.translated(max(0.0, bounds.left() - rect.left()) - max(0.0, rect.right() - bounds.right()), 0.0)


def apart(texts: Sequence[tuple[QRectF, Any, str]], gap_px: float, *, upright: bool) -> list[tuple[QRectF, Any, str]]:
    """Return every number, every second, every third ..., counted from the last, as many as do not overlap."""
    ordered = sorted(texts, key=lambda one: -one[0].bottom() if upright else one[0].left())
    for stride in range(1, len(ordered) + 1):
        found = ordered[::-1][::stride]
        ends = [(rect.top(), rect.bottom()) if upright else (rect.left(), rect.right()) for rect, _, _ in found]
        ends.sort()
        if all(one[1] + gap_px <= after[0] for one, after in pairwise(ends)):
            return found
    return []


def trimmed(texts: Sequence[tuple[QRectF, Any, str]]) -> list[tuple[QRectF, Any, str]]:
    """Return the numbers without the zeros that all of them end with behind the point."""
    behind = [text.partition(".")[2] for _, _, text in texts]
    needless = min((len(one) - len(one.rstrip("0")) for one in behind), default=0)
    return [(rect, flags, text[: len(text) - needless].rstrip(".")) for rect, flags, text in texts] if needless else list(texts)


def spread(wanted: list[float], low: float, high: float, apart: float) -> list[float]:
    """Return sorted places, each at least so far from the next one, close to those that are wanted and if possible between low and high."""
    places: list[float] = []
    for place in wanted:
        places.append(max(place, low, places[-1] + apart if places else low))
    for at in reversed(range(len(places))):
        places[at] = min(places[at], high - apart * (len(places) - 1 - at))
    return places
