"""Figures of what was measured: fringe, count rates, arrivals in the slot. `Run.plot` chooses among them.

Each function returns a matplotlib Figure that belongs to no window; nothing global is touched. Colours can be told apart by colour-blind readers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .calibration import Fringe
from .thinned_rows import ThinnedRows

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#8A94A3"
_DETECTORS = (("D1", BLUE, "o"), ("D2", ORANGE, "s"))
_SIZE = (6.4, 4.0)
_MOST_POINTS = 10_000
_MOST_UNITS, _MOST_OF_A_UNIT, _LONGEST_LABEL = 8, 8, 50
_Column = tuple[str, NDArray[np.float64], str]
_RATE_UNITS = ((1e6, "Mcps"), (1e3, "kcps"), (1.0, "cps"))


def fringe_figure(drive_v: ArrayLike, rates_hz: ArrayLike, fringe: Fringe | None = None, *, title: str = "") -> Figure:
    """Draw a phase scan.

    drive_v: float (n,), generator volts.  rates_hz: float (n, 2), D1 and D2.  fringe: the fit, drawn as curves and told in the legend's head.
    """
    volts, rates = np.asarray(drive_v, float), np.asarray(rates_hz, float)
    factor, unit = rate_unit(rates)
    figure, axes = canvas("generator voltage, clockwise gate against the rest of the slot (V)", f"count rate ({unit})", title)
    if fringe is not None:
        fine = np.linspace(volts.min(), volts.max(), 400)
        for (_, colour, _), curve in zip(_DETECTORS, fringe.rates_hz(fine), strict=True):
            axes.plot(fine, curve / factor, color=colour, linewidth=1.2, alpha=0.75)
    for k, (name, colour, marker) in enumerate(_DETECTORS):
        axes.plot(volts, rates[:, k] / factor, marker, color=colour, markersize=5, markeredgecolor="white", markeredgewidth=0.6, label=name)
    axes.set_ylim(bottom=0.0, top=1.08 * rates.max() / factor)
    head = None
    if fringe is not None:
        behind = f" at the modulator, behind a gain of {fringe.gain:g}" if fringe.gain != 1.0 else ""
        head = f"$V_\\pi$ = {fringe.v_pi_v:.3f} ± {fringe.v_pi_sigma_v:.3f} V{behind}\nvisibility = {fringe.visibility:.4f} ± {fringe.visibility_sigma:.4f}"
    legend_above(axes, head)
    return figure


def count_rate_figure(time_s: ArrayLike, rates_hz: ArrayLike, *, title: str = "") -> Figure:
    """Draw count rates against time.  time_s: float (n,), end of each period from the start.  rates_hz: float (n, 2), D1 and D2."""
    time, rates = np.asarray(time_s, float), np.asarray(rates_hz, float)
    factor, unit = rate_unit(rates)
    figure, axes = canvas("time (s)", f"count rate ({unit})", title)
    for k, (name, colour, marker) in enumerate(_DETECTORS):
        mean = rates[:, k].mean() / factor
        axes.axhline(mean, color=colour, linewidth=0.8, alpha=0.5)
        axes.plot(time, rates[:, k] / factor, marker, color=colour, markersize=4.5, linestyle="-", linewidth=1.0, label=f"{name}, mean {mean:.4g} {unit}")
    axes.set_ylim(bottom=0.0, top=1.12 * max(rates.max() / factor, 1e-12))
    axes.set_xlim(left=0.0)
    legend_above(axes, None)
    return figure


def arrival_figure(histogram: NDArray[np.int64], slot_ps: int, gate_ps: int, centres_ps: tuple[float, float] | None = None, *, title: str = "") -> Figure:
    """Draw when clicks arrive in the slot.

    histogram: int (2, bins), D1 and D2 (`alignment.arrival_histogram`).  gate_ps: full width, shaded around centres_ps where they are given.
    """
    figure, axes = canvas("time in the slot, after the sync edge (ns)", f"clicks in {slot_ps / histogram.shape[1]:.0f} ps", title)
    edges = np.linspace(0.0, slot_ps / 1e3, histogram.shape[1] + 1)
    for k, (name, colour, _) in enumerate(_DETECTORS):
        axes.stairs(np.maximum(histogram[k], 0.5), edges, color=colour, linewidth=1.3, label=f"{name}, {int(histogram[k].sum()):,} clicks")
        if centres_ps is not None:
            for turn in (-1, 0, 1):
                centre = (centres_ps[k] % slot_ps + turn * slot_ps) / 1e3
                axes.axvspan(centre - gate_ps / 2e3, centre + gate_ps / 2e3, color=colour, alpha=0.10, linewidth=0)
    axes.set_yscale("log")
    axes.set_ylim(bottom=0.5, top=3.0 * max(int(histogram.max()), 1))
    axes.set_xlim(0.0, slot_ps / 1e3)
    legend_above(axes, "shaded: gate" if centres_ps is not None else None)
    return figure


def table_figure(columns: Mapping[str, tuple[NDArray[np.float64], str]], *, title: str = "") -> Figure:
    """Draw the columns of a table against the first one, those of one unit together.  columns: values, float (n,), and unit by name.

    Of more than 10,000 rows only the envelope is drawn, and of the columns the first eight of each of the first eight units, which the figure says: neither
    paper nor matplotlib hold more.
    """
    from matplotlib.figure import Figure

    plain = {name: (_as_it_stands(name), _as_it_stands(unit)) for name, (_, unit) in columns.items()}
    named = [(f"{name} ({unit})" if unit else name, columns[column][0], unit) for column, (name, unit) in plain.items()]
    x_name, x, _ = named.pop(0) if len(named) > 1 else ("row", np.arange(1.0, 1.0 + named[0][1].size), "")
    there, named = len(named), _first_of_each_unit(named)
    if x.size > _MOST_POINTS:
        thinned = ThinnedRows(1 + len(named), _MOST_POINTS)
        thinned.add(np.stack([x, *(values for _, values, _ in named)], axis=1))
        x, *drawn_values = thinned.rows().T
        named = [(name, values, unit) for (name, _, unit), values in zip(named, drawn_values, strict=True)]
    by_unit = {unit: [(name, y) for name, y, its_unit in named if its_unit == unit] for *_, unit in named}
    # Each line of a legend takes room from its panel.
    tall = sum(1.0 + 0.15 * len(drawn) for drawn in by_unit.values())
    figure = Figure(figsize=(_SIZE[0], max(_SIZE[1], tall)), layout="constrained")
    panels = figure.subplots(len(by_unit), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (unit, drawn) in zip(panels, by_unit.items(), strict=True):
        for k, (name, y) in enumerate(drawn):
            axes.plot(x, y, "o-", color=(BLUE, ORANGE, GREY)[k % 3], markersize=3.5, linewidth=1.0, label=name)
        _dress(axes, "", drawn[0][0] if len(drawn) == 1 else f"value ({unit})" if unit else "value", "both")
        if len(drawn) > 1:
            legend_above(axes, None)
    panels[-1].set_xlabel(x_name)
    if len(named) < there:
        figure.supxlabel(f"{there - len(named)} of {there} columns are not drawn", fontsize=9, color=GREY, x=0.01, ha="left")
    _entitle(figure, title)
    return figure


def _as_it_stands(text: str) -> str:
    """Return a text of others as a label: not as a formula, which matplotlib refuses where it is none, and not longer than the page."""
    return text[:_LONGEST_LABEL].replace("$", r"\$")


def _first_of_each_unit(named: list[_Column]) -> list[_Column]:
    units = list(dict.fromkeys(unit for *_, unit in named))[:_MOST_UNITS]
    return [one for unit in units for one in [column for column in named if column[2] == unit][:_MOST_OF_A_UNIT]]


def canvas(xlabel: str, ylabel: str, title: str = "", *, grid: Literal["both", "y"] = "both") -> tuple[Figure, Axes]:
    """Return a figure with one empty pair of axes, in the look all figures share."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=_SIZE, layout="constrained")
    axes = figure.add_subplot()
    _dress(axes, xlabel, ylabel, grid)
    _entitle(figure, title)
    return figure, axes


def _dress(axes: Axes, xlabel: str, ylabel: str, grid: Literal["both", "y"]) -> None:
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis=grid, color="#E3E7ED", linewidth=0.8)
    axes.set_axisbelow(True)


def _entitle(figure: Figure, title: str) -> None:
    if title:
        figure.suptitle(title, fontsize=9, color=GREY, x=0.01, ha="left")


def legend_above(axes: Axes, head: str | None) -> None:
    """Put the legend between title and axes, where it never covers a curve."""
    axes.legend(frameon=False, ncols=2, loc="lower left", bbox_to_anchor=(0.0, 1.0), borderaxespad=0.2, title=head, alignment="left", title_fontsize=10)


def rate_unit(rates: NDArray[np.float64]) -> tuple[float, str]:
    """Return the unit in which count rates (1/s) read well: its size and its name."""
    largest = float(rates.max(initial=0.0))
    return next((pair for pair in _RATE_UNITS if largest >= pair[0]), _RATE_UNITS[-1])
