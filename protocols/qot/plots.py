"""Figures of secure inference: accuracy by epoch, confusion, and the estimated inner product against shots.

Each function returns a matplotlib Figure that belongs to no window; colours can be told apart by colour-blind readers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...acquisition.plots import BLUE, GREY, ORANGE, canvas

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from qiskit import QuantumCircuit

    from .characterise import Sweep
    from .inference import Inference
    from .training import Trained

_COLOURS = (BLUE, "#009E73", "#7B4FA3", "#E69F00", ORANGE)
_MARKERS = "osD^v"


def accuracy_figure(trained: Trained) -> Figure:
    """Draw the test accuracy after each epoch: of the plain network, and by transfers of the other, which from the dotted line on is trained with noise."""
    from matplotlib.ticker import MaxNLocator

    figure, axes = canvas("epoch", "test accuracy (%)", trained.task.name)
    epochs = range(1, len(trained.classical) + 1)
    axes.plot(epochs, 100.0 * np.array(trained.classical), "o-", color=BLUE, markersize=4, label="classical")
    axes.plot(epochs, 100.0 * np.array(trained.aided), "s-", color=ORANGE, markersize=4, label=f"quantum-aided, error {trained.task.noise.error:g}")
    axes.axhline(100.0 * trained.classical[-1], color=GREY, linewidth=1.0, linestyle=":")
    axes.axvline(trained.task.epochs + 0.5, color=GREY, linewidth=1.0, linestyle=":")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False, loc="lower right")
    return figure


def confusion_figure(result: Inference) -> Figure:
    """Draw how often each class was taken for each, by transfers."""
    classes, table = result.plan.trained.task.classes, result.confusion
    figure, axes = canvas("found by transfers", "true", f"{result.plan.trained.task.name}: {result.secure_accuracy:.2%} of {table.sum():,}")
    axes.grid(visible=False)
    share = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    axes.imshow(share, cmap="Blues", vmin=0.0, vmax=1.0)
    upright = max(map(len, classes)) > 3
    axes.set_xticks(range(len(classes)), classes, rotation=45 if upright else 0, ha="right" if upright else "center", fontsize=9)
    axes.set_yticks(range(len(classes)), classes, fontsize=9)
    for (row, column), count in np.ndenumerate(table):
        if count:
            axes.text(column, row, f"{count:,}", ha="center", va="center", fontsize=8, color="white" if share[row, column] > 0.5 else "black")
    axes.spines[:].set_visible(False)
    figure.set_size_inches(6.4, 5.6)
    return figure


def sweep_figure(found: Sweep) -> Figure:
    """Draw estimates of an inner product against shots, one curve a CNOT error, with bands of one standard deviation."""
    figure, axes = canvas("shots", "estimated inner product", f"three dimensions, exact value {found.product:g}")
    shots = np.array(found.shots)
    for k, (cx_error, error) in enumerate(zip(found.cx_errors, found.errors, strict=True)):
        colour, marker = _COLOURS[k % len(_COLOURS)], _MARKERS[k % len(_MARKERS)]
        axes.fill_between(shots, found.product - found.deviations[k], found.product + found.deviations[k], color=colour, alpha=0.10, linewidth=0)
        axes.plot(shots, found.estimates[k], color=colour, marker=marker, markersize=4.5, label=f"CNOT error {cx_error:g}: error of a transfer {error:.3f}")
    axes.axhline(found.product, color="black", linewidth=1.0, linestyle="--")
    axes.set_xscale("log")
    spread = 1.15 * max(float(np.abs(found.estimates - found.product).max()), 0.1)
    axes.set_ylim(found.product - spread, found.product + spread)
    axes.legend(frameon=False, fontsize=8.5)
    return figure


def circuits_figure(before: QuantumCircuit, after: QuantumCircuit) -> Figure:
    """Draw a circuit as it was written and as a device runs it, qubits that do nothing left out."""
    from matplotlib.figure import Figure

    # Text needs no LaTeX parser, which Qiskit's own drawing does.
    drawn = [str(circuit.draw("text", fold=150, idle_wires=False)) for circuit in (before, after)]
    text = f"as written\n\n{drawn[0]}\n\nas it is run\n\n{drawn[1]}"
    lines = text.splitlines()
    figure = Figure(figsize=(0.062 * max(map(len, lines)) + 0.4, 0.103 * len(lines) + 0.4))
    figure.text(0.02, 0.985, text, family="monospace", fontsize=7, va="top", linespacing=1.0)
    return figure
