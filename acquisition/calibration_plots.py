"""Figures of calibration runs, one for each kind; `Run.plot` chooses by the table that the run holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.physics import Floats, modulator_transmission
from .plots import BLUE, GREY, ORANGE, canvas, legend_above

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Table = Mapping[str, Floats]
Summary = Mapping[str, Any]


def bias_figure(table: Table, summary: Summary, title: str) -> Figure:
    """Draw light against the voltage of an intensity modulator, with the fit; it spans decades."""
    brightest = float(table["light"].max())
    figure, axes = canvas("voltage at the modulator (V)", "light, brightest point = 1", title)
    _points(axes, table["drive"], table["light"] / brightest, table["sigma"] / brightest, BLUE, "measured")
    axes.set_yscale("log")
    head = None
    if "v_pi_v" in summary:
        fine = np.linspace(table["drive"].min(), table["drive"].max(), 600)
        passed = modulator_transmission(fine, summary["v_pi_v"], bias_v=summary["null_v"], extinction_db=summary["er_db"])
        axes.plot(fine, summary["peak"] / brightest * passed, color=ORANGE, linewidth=1.2, label="fit")
        axes.axvline(summary["null_v"], color=GREY, linewidth=0.8, linestyle="--")
        head = f"$V_\\pi$ = {summary['v_pi_v']:.3f} ± {summary['v_pi_sigma_v']:.3f} V\ndarkest at {summary['null_v']:.3f} ± {summary['null_sigma_v']:.3f} V"
    legend_above(axes, head)
    return figure


def extinction_figure(table: Table, summary: Summary, title: str) -> Figure:
    """Draw the three levels of an extinction measurement."""
    figure, axes = canvas("", "clicks (1/s)", title, grid="y")
    names = [f"{drive:.2f} V" if lit else "no light" for drive, lit in zip(table["drive"], table["lit"], strict=True)]
    axes.bar(range(len(names)), table["rate"], yerr=table["sigma"], color=[BLUE, ORANGE, GREY][: len(names)], width=0.6, capsize=4)
    axes.set_xticks(range(len(names)), names)
    axes.set_yscale("log")
    axes.set_ylim(bottom=max(float(table["rate"].min()) / 5.0, 0.1))
    if "er_db" in summary:
        axes.set_title(f"extinction ratio {summary['er_db']:.2f} ± {summary['er_sigma_db']:.2f} dB", fontsize=10, loc="left")
    return figure


def delay_figure(table: Table, summary: Summary, title: str) -> Figure:
    """Draw the contrast between the detectors against the place of the gate in the slot."""
    figure, axes = canvas("centre of the gate in the slot (ns)", "contrast between D1 and D2", title)
    centre = (table["begin"] + table["width"] / 2.0) * 1e9
    axes.errorbar(
        centre, table["contrast"], yerr=table["sigma"], xerr=table["width"] * 0.5e9, fmt="o", color=BLUE, linestyle="none", markersize=4, label="counted"
    )
    axes.set_ylim(-1.1, 1.1)
    head = None
    if "clockwise_s" in summary:
        rows = (("clockwise", ORANGE), ("counter", GREY))
        for name, colour in rows:
            axes.axvline(summary[f"{name}_s"] * 1e9, color=colour, linewidth=1.2, label=f"{name}" if name == "clockwise" else "counter-clockwise")
        head = ", ".join(f"{summary[f'{name}_s'] * 1e9:.3f} ± {summary[f'{name}_sigma_s'] * 1e9:.3f} ns" for name, _ in rows)
    legend_above(axes, head)
    return figure


def autocorrelation_figure(table: Table, summary: Summary, title: str) -> Figure:
    """Draw g2 of the clicks of both detectors at short lags."""
    figure, axes = canvas("time between two clicks (ns)", "pairs, against chance", title)
    near = table["lag"] < 0.4e-6
    for name, colour in (("d1", BLUE), ("d2", ORANGE)):
        axes.step(table["lag"][near] * 1e9, table[name][near], where="mid", color=colour, linewidth=1.0, label=name.upper())
    axes.axhline(1.0, color=GREY, linewidth=0.8)
    axes.set_xlim(0.0, 400.0)
    axes.set_ylim(bottom=0.0)
    head = None
    if "dead_s" in summary:
        dead, caused = summary["dead_s"], summary["afterpulse"]
        head = "\n".join(
            f"D{k + 1}: dead {dead[k]['value'] * 1e9:.2f} ns, afterpulses {caused[k]['value']:.2%} ± {caused[k]['sigma']:.2%}" for k in range(len(dead))
        )
    legend_above(axes, head)
    return figure


def linearity_figure(table: Table, summary: Summary, title: str) -> Figure:
    """Draw by how much the light fell short of the attenuation that was set."""
    figure, axes = canvas("attenuation set (dB)", "measured less set (dB)", title)
    apart = table["measured"] - (table["set"] - table["set"][0])
    _points(axes, table["set"], apart, table["sigma"], BLUE, "counted")
    axes.axhline(0.0, color=GREY, linewidth=0.8)
    head = None
    if "slope" in summary:
        head = f"slope {summary['slope']:.4f} ± {summary['slope_sigma']:.4f}, worst {summary['worst_db']:.3f} ± {summary['worst_sigma_db']:.3f} dB"
    legend_above(axes, head)
    return figure


def polarisation_figure(table: Table, summary: Summary, title: str) -> Figure:
    """Draw the visibility of every angle tried, in the order of trying."""
    figure, axes = canvas("count", "visibility", title)
    order = np.arange(1, table["visibility"].size + 1)
    for paddle, colour, marker in zip((1, 2, 3), (BLUE, ORANGE, "#009E73"), "os^", strict=True):
        mine = table["paddle"] == paddle
        axes.plot(order[mine], table["visibility"][mine], marker, color=colour, markersize=4.5, label=f"paddle {paddle}")
    axes.plot(order, np.maximum.accumulate(table["visibility"]), color=GREY, linewidth=1.0, label="best so far")
    axes.set_ylim(top=1.05)
    head = None
    if "angles_deg" in summary:
        head = f"{', '.join(f'{angle:.1f}' for angle in summary['angles_deg'])} deg: {summary['visibility']:.4f} ± {summary['visibility_sigma']:.4f}"
    legend_above(axes, head)
    return figure


FIGURES: dict[str, Callable[[Table, Summary, str], Figure]] = {
    "bias": bias_figure,
    "extinction": extinction_figure,
    "delay": delay_figure,
    "autocorrelation": autocorrelation_figure,
    "linearity": linearity_figure,
    "polarisation": polarisation_figure,
}
"""By the table that a run holds: what draws it from the table's columns, the run's summary and a title."""


def _points(axes: Axes, x: Floats, y: Floats, sigma: Floats, colour: str, label: str) -> None:
    axes.errorbar(x, y, yerr=sigma, fmt="o", color=colour, linestyle="none", markersize=5, capsize=2, label=label)
