"""Where the elements of an optical path stand in its drawing: pure geometry, from who feeds whom, for any station.

The light runs from left to right along a main line, from the first source to the splitter of the loop, and turns back under itself where the page is narrow.
The loop closes beside its splitter with the users on it; what is fed beside the main line (meters, detectors, taggers) hangs below what feeds it. Places are in
cells: 1 is the pitch of the main line and the height of one of its rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import ceil

from ..control.topics import Element

HANG = 0.72
"""Height of what hangs below, or stands above, a row, in cells."""
_RING_GAP, _RING_END, _RING_HEIGHT, _PORT = 0.95, 0.55, 1.0, 0.05
_SIDE, _HUNG_SIDE, _MORE = 0.47, 1.0, 0.12
_MOST_ON_TOP = 4
ELECTRICAL = ("tagger", "source", "driver", "generator", "controller", "timetagger")
"""Kinds of elements whose lines carry signals, not light."""
_JOINED = ("circulator", "splitter")

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Spot:
    """One element in the drawing.  x, y: middle of its symbol, cells.  beside: its text stands to the right of the symbol, not above it."""

    element: Element
    x: float
    y: float
    beside: bool = False


@dataclass(frozen=True, slots=True)
class Wire:
    """One line of the drawing, through points.  electrical: a signal, not light.  both: light runs both ways.  ring: the loop."""

    source: str
    target: str
    points: tuple[Point, ...]
    electrical: bool = False
    both: bool = False
    ring: bool = False


@dataclass(frozen=True, slots=True)
class Drawing:
    """Elements by name in reading order, lines, and the size, cells."""

    spots: Mapping[str, Spot]
    wires: tuple[Wire, ...]
    width: float
    height: float


def joined(elements: Iterable[Element]) -> dict[str, Element]:
    """Return the elements by name; ports of one circulator or splitter (`circ:1-2`, `circ:2-3`) are one element."""
    given = list(elements)
    names = {one.name: one.name.partition(":")[0] if one.kind in _JOINED else one.name for one in given}
    found: dict[str, Element] = {}
    for one in given:
        name = names[one.name]
        feeds = tuple(dict.fromkeys(names[target] for target in one.feeds if target in names and names[target] != name))
        before = found.get(name)
        found[name] = replace(one, name=name, feeds=feeds) if before is None else replace(before, feeds=tuple(dict.fromkeys((*before.feeds, *feeds))))
    return found


def draw(elements: Iterable[Element], columns: float) -> Drawing:
    """Return the drawing of an optical path on a page of so many columns; it is wider only where its loop needs that."""
    return _Drawing(joined(elements), max(columns, 2.0)).drawing()


class _Drawing:
    """One drawing while it grows."""

    def __init__(self, elements: dict[str, Element], columns: float) -> None:
        ring = [name for kind in ("user", "loop") for name, one in elements.items() if one.kind == kind]
        feeds = {name: [t for t in one.feeds if not (name in ring and t in ring)] for name, one in elements.items()}
        self.elements, self.columns = elements, columns
        self.splitter = next((name for name, targets in feeds.items() if name not in ring and not self._signal(name) and any(t in ring for t in targets)), "")
        # What nothing feeds is no loop, whatever it is called.
        self.ring = ring if self.splitter else []
        self.users = [name for name in self.ring if elements[name].kind == "user"]
        self.loop = [name for name in self.ring if elements[name].kind == "loop"]
        self.feeds = feeds if self.splitter else {name: list(one.feeds) for name, one in elements.items()}
        self.fed_by: dict[str, list[str]] = {name: [source for source, targets in self.feeds.items() if name in targets] for name in elements}
        # What drives a user alone stands inside the loop, one a user; other targets are reached by lines.
        inside = {name: self.feeds[name][0] for name in elements if self._signal(name) and len(self.feeds[name]) == 1 and self.feeds[name][0] in self.users}
        self.drivers = {name: user for user, name in {user: name for name, user in reversed(inside.items())}.items()}
        self.returns = set(self._returns())
        self.line = self._main_line()
        self.places: dict[str, tuple[int, int]] = {}
        self.xs: dict[str, float] = {}

    def _returns(self) -> Iterator[tuple[str, str]]:
        """Yield what feeds something that comes before it in the light."""
        done, above = set[str](), list[str]()

        def walk(name: str) -> Iterator[tuple[str, str]]:
            above.append(name)
            for target in self.feeds[name]:
                if target in above:
                    yield name, target
                elif target not in done:
                    yield from walk(target)
            above.pop()
            done.add(name)

        # Sources first: where light comes from decides which way round a cycle is read.
        for name in sorted(self.feeds, key=lambda name: (bool(self.fed_by[name]), name in self.ring)):
            if name not in done:
                yield from walk(name)

    def _main_line(self) -> list[str]:
        """Return the longest way of the light: to the splitter of the loop, if there is one."""
        best: dict[str, list[str]] = {}
        for name in self._forward():
            before = [best[source] for source in self.fed_by[name] if source in best and (source, name) not in self.returns and not self._signal(source)]
            best[name] = [*max(before, key=len, default=[]), name]
        if self.splitter:
            return best[self.splitter]
        return max((way for name, way in best.items() if not self._signal(name)), key=len, default=[])

    def _forward(self) -> Iterator[str]:
        """Yield everything outside the loop after all that feeds it."""
        done: list[str] = []
        waiting = [name for name in self.elements if name not in self.ring]
        while waiting:
            open_ = [n for n in waiting if all(s in done or s in self.ring or (s, n) in self.returns for s in self.fed_by[n])]
            name = (open_ or waiting)[0]
            waiting.remove(name)
            done.append(name)
            yield name

    def _signal(self, name: str) -> bool:
        return self.elements[name].kind.lower().replace(" ", "") in ELECTRICAL

    # Places

    @property
    def _slots(self) -> tuple[list[str], list[str]]:
        """Return what stands on the upper and on the lower side of the loop."""
        upper = len(self.users) if len(self.users) <= _MOST_ON_TOP else ceil((len(self.users) + 1) / 2)
        return self.users[:upper], [*self.loop, *self.users[upper:]]

    @property
    def _ring_width(self) -> float:
        return _RING_GAP + max(map(len, self._slots)) - 0.5 + self._ring_margin if self.ring else 0.0

    @property
    def _ring_margin(self) -> float:
        """Return the room to the right of the last user on the loop: that of a text, where something with a text stands below it."""
        return _HUNG_SIDE if self.drivers else _RING_END

    def _rows(self) -> list[list[str]]:
        """Return the main line in rows; what belongs to the loop's site stays together."""
        if len(self.line) - 0.4 + self._ring_width <= self.columns:
            return [self.line]
        site = next((k for k, name in enumerate(self.line) if self.elements[name].kind == "circulator"), len(self.line) - 1) if self._ring_width else 0
        head, tail = (self.line[:site], self.line[site:]) if self._ring_width else (self.line, [])
        count = ceil(len(head) / max(int(self.columns), 1))
        size = ceil(len(head) / count) if count else 1
        return [row for row in (*(head[k : k + size] for k in range(0, len(head), size)), tail) if row]

    def drawing(self) -> Drawing:
        rows = self._rows() if self.line else []
        self._place_line(rows)
        self._place_hung()
        tops = self._tops(len(rows))
        spots = {n: Spot(self.elements[n], x, self._y(n, tops), beside=bool(self.places[n][1])) for n, x in self.xs.items()}
        wires: list[Wire] = []
        if self.line and self._ring_width:
            direction = 1 if len(rows) % 2 else -1
            ring, wire = self._ring_spots(spots[self.splitter], direction)
            spots |= ring
            wires.append(wire)
        wires += self._wires(spots, rows)
        return _shifted({name: spots[name] for name in self._reading_order(spots)}, wires)

    def _place_line(self, rows: Sequence[Sequence[str]]) -> None:
        x = 0.0
        for k, row in enumerate(rows):
            for j, name in enumerate(row):
                x += (1 if k % 2 == 0 else -1) if j else 0
                self.xs[name], self.places[name] = x, (k, 0)

    def _place_hung(self) -> None:
        """Place what is beside the main line: below what feeds it, or above what it feeds."""
        rest = [name for name in self._forward() if name not in self.places and name not in self.drivers]
        for name in rest:
            feeders = [one for one in self.fed_by[name] if one in self.places]
            fed = [one for one in self.feeds[name] if one in self.places]
            near = feeders or fed
            if not near:
                row, level = max((place[0] for place in self.places.values()), default=0), 1
                wanted = max(self.xs.values(), default=-1.0) + 1.0
            else:
                row, levels = self.places[near[0]][0], [self.places[one][1] for one in near if self.places[one][0] == self.places[near[0]][0]]
                # Texts stand above the main line, so signals come from below.
                level = max(levels) + 1 if feeders or self._signal(name) else min(levels) - 1
                wanted = sum(self.xs[one] for one in near) / len(near)
            taken = [self.xs[other] for other, place in self.places.items() if place == (row, level)]
            for x in sorted(taken):
                # Each that is too near pushes it to the right; those further left were looked at before.
                wanted = x + 1.0 if abs(wanted - x) < 1.0 - 1e-9 else wanted
            self.places[name], self.xs[name] = (row, level), wanted

    def _tops(self, count: int) -> list[float]:
        """Return where the middle of each row's main line is."""
        tops, below = list[float](), 0.0
        for row in range(max(count, 1)):
            levels = [level for at, level in self.places.values() if at == row]
            tops.append(below + HANG * -min([*levels, 0]) + (1.0 + (_MORE if below > tops[-1] else 0.0) if row else 0.0))
            deepest = HANG * max([*levels, 0])
            below = tops[-1] + deepest
        return tops

    def _y(self, name: str, tops: Sequence[float]) -> float:
        row, level = self.places[name]
        return tops[row] + HANG * level

    def _ring_spots(self, splitter: Spot, direction: int) -> tuple[dict[str, Spot], Wire]:
        """Return the loop beside its splitter, and its line: out at the upper port, back at the lower one."""
        upper, lower = self._slots
        near = splitter.x + direction * self._gap(splitter, direction)
        wide = max(len(upper), len(lower))
        far = near + direction * (wide - 0.5 + self._ring_margin)
        begin = 0.5 if direction > 0 else self._ring_margin
        top = splitter.y - _PORT
        bottom = splitter.y + _RING_HEIGHT + (0.8 * HANG if self.drivers else 0.0)
        spots = dict[str, Spot]()
        for names, y in ((upper, top), (lower, bottom)):
            first = begin + (wide - len(names)) / 2.0
            spots |= {name: Spot(self.elements[name], near + direction * (first + k), y) for k, name in enumerate(names)}
        spots |= {name: Spot(self.elements[name], spots[user].x, spots[user].y + HANG, beside=True) for name, user in self.drivers.items() if user in spots}
        way = ((splitter.x, top), (far, top), (far, bottom), (near, bottom), (near, splitter.y + _PORT), (splitter.x, splitter.y + _PORT))
        return spots, Wire(splitter.element.name, splitter.element.name, way, both=True, ring=True)

    def _gap(self, splitter: Spot, direction: int) -> float:
        """Return how far the loop begins from its splitter: beside whatever hangs there."""
        row = self.places[splitter.element.name][0]
        beside = [(self.xs[name] - splitter.x) * direction for name, place in self.places.items() if place[0] == row and place[1]]
        return max(_RING_GAP, max([*beside, 0.0]) + (_HUNG_SIDE if direction > 0 else 0.5))

    def _reading_order(self, spots: Mapping[str, Spot]) -> list[str]:
        """Return names along the light: the main line, each with what hangs at it, then the loop."""
        order: list[str] = []

        def add(name: str) -> None:
            if name in order or name not in spots:
                return
            order.append(name)
            for target in self.feeds[name]:
                if target not in self.line and target not in self.ring:
                    add(target)

        for name in (*self.line, *self.ring, *self.elements):
            add(name)
        return order

    # Lines

    def _wires(self, spots: Mapping[str, Spot], rows: Sequence[Sequence[str]]) -> Iterator[Wire]:
        turns = {(above[-1], below[0]) for above, below in pairwise(rows)}
        for name, targets in self.feeds.items():
            for target in targets:
                if (name in self.ring or target in self.ring) and not self._signal(name):
                    continue
                if (name, target) in self.returns and name in self.feeds and target in self.fed_by[name]:
                    continue
                both = (target, name) in self.returns and name in self.feeds[target]
                signal = self._signal(name) or self._signal(target)
                way = self._turn(spots[name], spots[target]) if (name, target) in turns else self._way(name, target, spots)
                yield Wire(name, target, way, electrical=signal, both=both)

    def _turn(self, a: Spot, b: Spot) -> tuple[Point, ...]:
        """Return the way from the end of one row to the beginning of the next."""
        out = 1 if self.places[a.element.name][0] % 2 == 0 else -1
        crowded = out > 0 and any(self.places[n][1] and abs(x - a.x) < 0.5 for n, x in self.xs.items())
        x = a.x + out * (_HUNG_SIDE + 0.05 if crowded else 0.6)
        return (a.x, a.y), (x, a.y), (x, b.y), (b.x, b.y)

    def _way(self, name: str, target: str, spots: Mapping[str, Spot]) -> tuple[Point, ...]:
        a, b = spots[name], spots[target]
        if a.y == b.y and (abs(a.x - b.x) < 1.5 or not any(s.y == a.y and min(a.x, b.x) < s.x < max(a.x, b.x) for s in spots.values())):
            return (a.x, a.y), (b.x, b.y)
        feeders = sorted((one for one in self.fed_by[target] if one in spots), key=lambda one: spots[one].x)
        port = b.x + (feeders.index(name) - (len(feeders) - 1) / 2) * 0.1 if a.y < b.y else b.x
        middle = b.y - HANG / 2 if b.y > a.y else b.y + HANG / 2
        return ((a.x, a.y), (b.x, b.y)) if a.x == port else ((a.x, a.y), (a.x, middle), (port, middle), (port, b.y))


def _shifted(spots: Mapping[str, Spot], wires: Iterable[Wire]) -> Drawing:
    """Return the drawing moved to where its left and upper edges are at 0."""
    wires = list(wires)
    if not spots:
        return Drawing({}, (), 0.0, 0.0)
    edges = [point for wire in wires for point in wire.points]
    left = min(*(s.x - (0.2 if s.beside else _SIDE) for s in spots.values()), *(x - 0.05 for x, _ in edges), _far(spots))
    top = min(s.y - (HANG / 2 if s.beside else 0.75) for s in spots.values())
    right = max([s.x + (_HUNG_SIDE if s.beside else _SIDE) for s in spots.values()] + [x + 0.05 for x, _ in edges])
    bottom = max([s.y + (HANG / 2 if s.beside else 0.25) for s in spots.values()] + [y + 0.1 for _, y in edges])
    moved = {name: replace(s, x=s.x - left, y=s.y - top) for name, s in spots.items()}
    lines = tuple(replace(wire, points=tuple((x - left, y - top) for x, y in wire.points)) for wire in wires)
    return Drawing(moved, lines, right - left, bottom - top)


def _far(spots: Mapping[str, Spot]) -> float:
    return min(s.x for s in spots.values())
