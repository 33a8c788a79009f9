"""Figures of the key and of the learning, for the report and for notebooks.

Each function returns a matplotlib Figure that belongs to no window; colours are those of a palette that colour-blind readers can tell apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..acquisition.plots import BLUE, GREY, ORANGE, canvas

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

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
