"""The curves of two runs in the same charts: rates, scans, arrivals; the first run and the second differ by colour, dash and name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ...control.topics import CountRates, ScanRows, SlotHistogram
from ..figures.live import LiveChart
from ..figures.room import with_labels, with_names
from ..figures.scan import Series, named, placed, series, without_returns

SIDES = ("first", "second")
_MOST_SYMBOLS = 300


class Overlay:
    """The charts.  widgets: by the names under which they are shown."""

    def __init__(self) -> None:
        self.rates = LiveChart("Rates of both runs", x="Channel and run", y="Rate", y_unit="Hz")
        self.scans = LiveChart("Scans of both runs", x="Setting", y="Value", ends_right=True)
        self.arrivals = LiveChart("Arrivals of both runs", x="Time in the slot", x_unit="ns", y="Counts per bin", si=False)
        self.widgets = {"both rates": self.rates, "both scans": self.scans, "both arrivals": self.arrivals}

    def show_both(self, one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
        """Draw what both runs have.  one, other: last states of their topics. Return the names of the charts that have something to show."""
        draw: dict[str, tuple[str, Callable[..., bool]]] = {
            "counts": ("both rates", self._draw_rates),
            "scan": ("both scans", self._draw_scans),
            "histogram": ("both arrivals", self._draw_arrivals),
        }
        shown = []
        for topic, (name, act) in draw.items():
            chart = self.widgets[name]
            chart.clear()
            chart.set_source("replay")
            if topic in one and topic in other and act(one[topic], other[topic]):
                shown.append(name)
        return shown

    def _draw_rates(self, *both: CountRates) -> bool:
        names = [name for name in both[0].names if name in both[1].names]
        rates = {(name, at): float(now.rates_hz[now.names.index(name)]) for at, now in enumerate(both) for name in names}
        self.rates.set_bars({f"{name}, {SIDES[at]}": rates[name, at] for name in names for at in range(2)})
        highest = max((value for value in rates.values() if np.isfinite(value)), default=0.0)
        self.rates.set_ranges(y=(0.0, 1.05 * highest or 1.0))
        return bool(names)

    def _draw_scans(self, *both: ScanRows) -> bool:
        drawn = _together(both)
        if not drawn:
            return False
        x, x_unit = named(both[0].columns[0])
        unit, names = drawn[0][0].unit, [f"{name.name}, {side}" for name, _ in drawn for side in SIDES]
        label = "rate" if unit == "Hz" else ", ".join(one.name for one, _ in drawn)
        self.scans.set_axes(x=x.capitalize(), x_unit=x_unit, y=label.capitalize(), y_unit=unit)
        xs, ys = [], []
        for number, pair in enumerate(drawn):
            for at, (one, now) in enumerate(zip(pair, both, strict=True)):
                rows = placed(now.rows)
                curve = without_returns(rows[:, 0], rows[:, one.at])
                self.scans.set_curve(f"{one.name}, {SIDES[at]}", *curve, series=2 * number + at, points=len(rows) <= _MOST_SYMBOLS)
                xs.append(rows[:, 0])
                ys.append(rows[:, one.at])
        self._fit(np.concatenate(xs), np.concatenate(ys), names)
        return True

    def _fit(self, x: np.ndarray[Any, Any], y: np.ndarray[Any, Any], names: Sequence[str]) -> None:
        """Show all points, and the names on the right."""
        if not (np.isfinite(x).any() and np.isfinite(y).any()):
            return
        low, high, least, most = (float(one) for one in (np.nanmin(x), np.nanmax(x), np.nanmin(y), np.nanmax(y)))
        margin, room = 0.02 * (high - low) or 0.5, 0.06 * (most - least) or 0.02 * abs(most) or 0.5
        self.scans.set_ranges(x=with_names(self.scans, low - margin, high + margin, names), y=(least - room, most + room))

    def _draw_arrivals(self, *both: SlotHistogram) -> bool:
        names = [name for name in both[0].names if name in both[1].names]
        for number, name in enumerate(names):
            for at, now in enumerate(both):
                edges = np.linspace(0.0, now.slot_ps * 1e-3, now.counts.shape[1] + 1)
                self.arrivals.set_steps(f"{name}, {SIDES[at]}", edges, now.counts[now.names.index(name)], series=2 * number + at)
        highest = max((float(now.counts.max(initial=0)) for now in both), default=0.0)
        slot_ns = max(now.slot_ps for now in both) * 1e-3
        self.arrivals.set_ranges(x=(0.0, slot_ns), y=with_labels(self.arrivals, 0.0, max(1.0, highest), 2.0))
        return bool(names)


def _together(both: Sequence[ScanRows]) -> list[tuple[Series, Series]]:
    """Return the columns of two scans that belong into one chart: of one name and unit, against the same setting."""
    if any(not now.columns for now in both) or named(both[0].columns[0]) != named(both[1].columns[0]):
        return []
    first, second = (series(now.columns) for now in both)
    return [(one, other) for one in first for other in second if (one.name, one.unit) == (other.name, other.unit)]
