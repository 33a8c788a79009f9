from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure

from heliograph.acquisition.calibration import Fringe
from heliograph.acquisition.patterns import preamble
from heliograph.acquisition.plots import arrival_figure, count_rate_figure, fringe_figure, table_figure
from heliograph.acquisition.runs import Run, RunLayout, RunWriter
from heliograph.core.errors import RunFileError
from heliograph.instruments.station import Station, default_text

FRINGE = Fringe(5.0, 0.01, 0.99, 0.001, 0.0, 0.001, (2e5, 2e5), 2.0, 1.0)
VOLTS = np.linspace(-2.75, 2.75, 25)


def rendered(figure: Figure, folder: Path) -> int:
    path = folder / "figure.png"
    figure.savefig(path)
    return path.stat().st_size


def test_a_fringe_shows_points_fit_and_units(tmp_path):
    figure = fringe_figure(VOLTS, np.stack(FRINGE.rates_hz(VOLTS), axis=1), FRINGE, title="PhaseScan")
    axes = figure.axes[0]

    points, curves = axes.lines[2:], axes.lines[:2]
    assert [line.get_label() for line in points] == ["D1", "D2"]
    for curve, point in zip(curves, points, strict=True):
        assert np.interp(VOLTS, np.asarray(curve.get_xdata(), float), np.asarray(curve.get_ydata(), float)) == pytest.approx(
            np.asarray(point.get_ydata()), abs=0.5
        )
    assert "(V)" in axes.get_xlabel()
    assert axes.get_ylabel() == "count rate (kcps)"
    assert rendered(figure, tmp_path) > 10_000


def test_count_rates_choose_a_readable_unit(tmp_path):
    rates = np.full((10, 2), 1.5e6)

    assert count_rate_figure(np.arange(10), rates).axes[0].get_ylabel() == "count rate (Mcps)"
    assert count_rate_figure(np.arange(10), rates / 1e6).axes[0].get_ylabel() == "count rate (cps)"
    assert rendered(count_rate_figure(np.arange(10), 0 * rates), tmp_path) > 5_000


def test_arrivals_shade_the_gates(tmp_path):
    histogram = np.zeros((2, 100), np.int64)
    histogram[0, 60], histogram[1, 40] = 5000, 4000

    figure = arrival_figure(histogram, 10_000, 2000, (6050.0, 4050.0))

    assert figure.axes[0].get_ylabel() == "clicks in 100 ps"
    assert rendered(figure, tmp_path) > 10_000


def test_no_figure_is_left_to_pyplot():
    fringe_figure(VOLTS, np.ones((25, 2)))
    count_rate_figure(VOLTS, np.ones((25, 2)))

    assert plt.get_fignums() == []


def test_a_run_with_tags_shows_arrivals(tmp_path, shine):
    station = Station.parse(default_text(), Path("demo.toml"))
    layout = RunLayout(tags={"tagger": {"D1": 1, "D2": 2, "sync": 3}})
    with RunWriter.create(tmp_path, "KeyExchange", {}, station, {}, layout=layout) as run:
        run.tags("tagger", shine(1, preamble(10_000, "A").phases_rad, 500_000).batch())
    with Run.open(run.path) as found:
        axes = found.plot().axes[0]
        assert axes.get_xlabel() == "time in the slot, after the sync edge (ns)"
        assert axes.get_yscale() == "log"


@pytest.mark.parametrize(
    ("columns", "x", "ys"),
    [
        ({"Step": "", "Voltage": "V", "Current": "mA", "Offset": "V"}, "Step", ["value (V)", "Current (mA)"]),
        ({"Voltage": "V"}, "row", ["Voltage (V)"]),
        ({"gaps": "", "meta": ""}, "gaps", ["meta"]),
    ],
)
def test_the_table_of_a_foreign_procedure_is_drawn_unit_by_unit(tmp_path, columns, x, ys):
    station = Station.parse(default_text(), Path("demo.toml"))
    # A table called like one of ours is none of ours.
    with RunWriter.create(tmp_path, "fringe", {}, station, {}, layout=RunLayout(tables={"fringe": columns}), foreign="package acme 0.1") as run:
        run.table("fringe", {column: np.arange(3.0) for column in columns})
    with Run.open(run.path) as found:
        axes = found.plot().axes

    assert (axes[-1].get_xlabel(), [one.get_ylabel() for one in axes]) == (x, ys)
    assert sum(len(one.lines) for one in axes) == max(1, len(columns) - 1)


@pytest.mark.parametrize("columns", [1, 2])
def test_of_a_table_of_a_million_rows_the_envelope_is_drawn(tmp_path, columns):
    values = np.random.default_rng(1).normal(size=1_000_000)

    figure = table_figure(dict.fromkeys(("a", "b")[:columns], (values, "V")))
    figure.savefig(tmp_path / "table.png")

    (line,) = figure.axes[0].get_lines()
    drawn = np.asarray(line.get_ydata())
    assert drawn.size <= 10_000
    assert (drawn.min(), drawn.max()) == (values.min(), values.max())
    assert np.isin(drawn, values).all()


@pytest.mark.parametrize(("units", "drawn"), [(120, 8), (9, 64)])
def test_a_table_of_many_columns_is_drawn_as_far_as_a_page_holds_it_and_says_so(units, drawn, tmp_path):
    columns = {f"c{k}": (np.arange(3.0), f"u{k % units}") for k in range(121)}

    figure = table_figure(columns)

    assert len(figure.axes) == min(8, units)
    assert sum(len(axes.get_lines()) for axes in figure.axes) == drawn
    assert figure.get_supxlabel() == f"{120 - drawn} of 120 columns are not drawn"
    assert rendered(figure, tmp_path) > 10_000


def test_a_column_that_looks_like_a_formula_is_drawn_as_it_is_called(tmp_path):
    figure = table_figure({"a": (np.arange(3.0), ""), r"$\oops$": (np.arange(3.0), "$_$")})

    assert rendered(figure, tmp_path) > 5_000


def test_an_empty_run_has_nothing_to_draw(tmp_path):
    station = Station.parse(default_text(), Path("demo.toml"))
    with RunWriter.create(tmp_path, "CountRates", {}, station, {}, layout=RunLayout(counts={"snspd": 2})) as run:
        pass
    with Run.open(run.path) as found, pytest.raises(RunFileError, match="nothing to draw"):
        found.plot()
