"""Figures of the key and of the learning, for the report and for notebooks.

Each function returns a matplotlib Figure that belongs to no window; colours are those of a palette that colour-blind readers can tell apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...acquisition.plots import BLUE, GREY, ORANGE, canvas
from ...core.files import beside
from ...core.physics import loss_db

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    from ...postprocess.finite_key import Bound
    from .intensity import RateCurves

GREEN, PURPLE = "#009E73", "#7B4FA3"


def _whole_numbers() -> MaxNLocator:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(integer=True)


def error_rates(pairs: Mapping[str, tuple[float, float]]) -> Figure:
    """Draw the error rate of both bases as bars.

    pairs: name of the pair -> (error rate in X, error rate in Y), fractions of 1.
    """
    figure, axes = canvas("pair", "quantum bit error rate (%)", grid="y")
    places = np.arange(len(pairs))
    for shift, column, name, colour in ((-0.2, 0, "X basis (key)", BLUE), (0.2, 1, "Y basis (test)", ORANGE)):
        heights = [100.0 * rates[column] for rates in pairs.values()]
        axes.bar_label(axes.bar(places + shift, heights, 0.38, label=name, color=colour), fmt="%.2f", padding=2, fontsize=9)
    axes.set_xticks(places, list(pairs))
    axes.margins(y=0.25)
    axes.legend(frameon=False, ncols=2, loc="upper right")
    return figure


def key_budget(pairs: Mapping[str, Mapping[str, float]]) -> Figure:
    """Draw what became of the sifted bits of each pair, stacked to 100 %.

    pairs: name -> {"sifted", "leak", "key"} in bits; what is neither leaked nor key was given up to privacy amplification.
    """
    figure, axes = canvas("share of the sifted bits (%)", "pair", grid="y")
    axes.grid(visible=False)
    names = list(pairs)
    sifted = np.array([max(float(pairs[name]["sifted"]), 1.0) for name in names])
    parts = [
        ("final key", np.array([pairs[name]["key"] for name in names]), GREEN),
        ("error correction", np.array([pairs[name]["leak"] for name in names]), ORANGE),
    ]
    parts.append(("privacy amplification", sifted - parts[0][1] - parts[1][1], GREY))
    left = np.zeros(len(names))
    for label, bits, colour in parts:
        share = 100.0 * bits / sifted
        bars = axes.barh(names, share, left=left, color=colour, label=label, height=0.6)
        axes.bar_label(bars, labels=[f"{value:.0f} %" if value >= 6 else "" for value in share], label_type="center", color="white", fontsize=9)
        left = left + share
    axes.set_xlim(0, 100)
    axes.invert_yaxis()
    axes.legend(frameon=False, ncols=3, loc="lower center", bbox_to_anchor=(0.45, 1.0), fontsize=9)
    return figure


def accuracy(rounds: Sequence[float]) -> Figure:
    """Draw test accuracy against round.

    rounds: accuracies, fractions of 1, one a round.
    """
    figure, axes = canvas("round", "test accuracy (%)", grid="y")
    axes.plot(np.arange(1, len(rounds) + 1), 100.0 * np.asarray(rounds), color=BLUE, marker="o", markersize=4, linewidth=1.8)
    axes.set_ylim(min(50.0, 100.0 * min(rounds, default=0.5)) - 2.0, 101.0)
    axes.set_xlim(0.5, len(rounds) + 0.5)
    axes.xaxis.set_major_locator(_whole_numbers())
    return figure


def key_spent(spent: Sequence[int], burned: Sequence[int]) -> Figure:
    """Draw the key that the rounds used up, added over rounds and pairs.

    spent, burned: bits a round that masked updates, and bits of chunk ends that were thrown away.
    """
    figure, axes = canvas("round", "key used so far (kbit)", grid="y")
    rounds = np.arange(1, len(spent) + 1)
    masked = np.cumsum(np.asarray(spent)) / 1e3
    total = masked + np.cumsum(np.asarray(burned)) / 1e3
    axes.fill_between(rounds, masked, color=PURPLE, alpha=0.85, label="masked updates", linewidth=0)
    axes.fill_between(rounds, masked, total, color=GREY, alpha=0.7, label="burned ends of chunks", linewidth=0)
    axes.set_ylim(0, None)
    axes.xaxis.set_major_locator(_whole_numbers())
    axes.legend(frameon=False, loc="upper left")
    return figure


def key_rates(pairs: Mapping[str, RateCurves]) -> Figure:
    """Draw expected key rates, one row a pair: on the left against intensity, on the right against accumulation time.

    Best settings are dots; the intensity in use is an open diamond on the curve of the bound that was asked for.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.6, 0.4 + 2.9 * len(pairs)), layout="constrained")
    grid = figure.subplots(len(pairs), 2, squeeze=False)
    for (left, right), (name, curves) in zip(grid, pairs.items(), strict=True):
        _rate_by_intensity(left, curves)
        _rate_by_duration(right, curves)
        left.set_title(f"{name}: {_conditions(curves)}", loc="left", fontsize=9.5)
        right.set_title(f"{name}: best intensity for each time", loc="left", fontsize=9.5)
    grid[-1][0].set_xlabel("mean photons per pulse leaving each user, µ")
    grid[-1][1].set_xlabel("accumulation time of one block (s)")
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write a figure in the format that the file's name ends in; the same figure gives the same file. Raises OSError."""
    import matplotlib as mpl

    with mpl.rc_context({"svg.hashsalt": "heliograph"}), beside(path) as fresh:
        figure.savefig(fresh, dpi=150, metadata={"Date": None} if path.suffix.lower() == ".svg" else None)


_BOUNDS: tuple[tuple[Bound, str, str], ...] = (("azuma", BLUE, "-"), ("kato", ORANGE, "--"))


def _conditions(curves: RateCurves) -> str:
    bench = curves.scenario.bench
    return (
        f"{float(loss_db(bench.transmission[0])):.2f} dB per arm, $E_X$ {bench.error_x:.2%}, $E_Y$ {bench.error_y:.2%}, "
        f"{curves.scenario.duration_s:g} s, $f$ {curves.scenario.f_ec:g}".replace("%", r"$\,$%")
    )


def _rate_by_intensity(axes: Axes, curves: RateCurves) -> None:
    for bound, colour, style in _BOUNDS:
        best = curves.best[bound]
        found = best.length > 0
        label = f"{bound}: {best.rate_bps / 1e3:.4g} kbit/s at µ* = {best.mu:.3g}" if found else f"{bound}: no key"
        axes.plot(curves.mu, curves.by_mu[bound] / 1e3, style, color=colour, linewidth=1.6, label=label)
        if found:
            axes.plot([best.mu], [best.rate_bps / 1e3], "o", color=colour, markersize=6, markeredgecolor="white", zorder=4)
    if curves.mu_now is not None:
        now = curves.scenario.rate_bps(curves.mu_now) / 1e3
        label = f"in use: {now:.4g} kbit/s at µ = {curves.mu_now:.3g}"
        axes.plot([curves.mu_now], [now], "D", color="black", markerfacecolor="none", markersize=7, zorder=5, label=label, clip_on=False)
    # The upper part is kept free for the legend.
    _dress(axes, curves.mu, steps=(1.0, 2.0, 5.0), room=1.45)
    axes.legend(frameon=False, fontsize=8.5, loc="upper left")


def _rate_by_duration(axes: Axes, curves: RateCurves) -> None:
    seconds = curves.scenario.duration_s
    for bound, colour, style in _BOUNDS:
        axes.plot(curves.durations_s, curves.by_duration[bound] / 1e3, style, color=colour, linewidth=1.6, label=bound)
        if curves.best[bound].length > 0:
            axes.plot([seconds], [curves.best[bound].rate_bps / 1e3], "o", color=colour, markersize=6, markeredgecolor="white", zorder=4)
    axes.axvline(seconds, color=GREY, linewidth=1.0, linestyle=":", label=f"blocks of {seconds:g} s, on the left")
    _dress(axes, curves.durations_s, steps=(1.0,), room=1.08)
    axes.legend(fontsize=8.5, loc="lower right", facecolor="white", edgecolor="none", framealpha=1.0)


def _dress(axes: Axes, x: NDArray[np.float64], *, steps: Sequence[float], room: float) -> None:
    """Set both axes.  steps: labelled multiples of each power of ten.  room: height of the axis over that of the highest curve."""
    from matplotlib.ticker import FuncFormatter, LogLocator

    highest = axes.dataLim.y1
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=steps))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.tick_params(axis="x", labelsize=9)
    axes.set_xlim(x[0], x[-1])
    axes.set_ylim(0.0, room * highest if highest > 0.0 else 1.0)
    axes.set_ylabel("key rate (kbit/s)")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#E3E7ED", linewidth=0.8)
    axes.set_axisbelow(True)
