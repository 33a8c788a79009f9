"""Which columns of a scan are drawn, and against what."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtWidgets import QApplication

from heliograph.gui.figures.scan import Scan, Series, named, series

from .. import payloads


@pytest.mark.parametrize(
    "column, pair", [("drive (V)", ("drive", "V")), ("d1 (1/s)", ("d1", "Hz")), ("contrast", ("contrast", "")), ("Rate 1 (Hz)", ("Rate 1", "Hz"))]
)
def test_a_column_has_a_name_and_a_unit(column, pair):
    assert named(column) == pair


def test_rates_of_a_fringe_are_drawn_together():
    assert series(("drive (V)", "d1 (1/s)", "d2 (1/s)")) == [Series("D1", "Hz", 1), Series("D2", "Hz", 2)]


def test_what_has_another_unit_than_the_measured_value_is_left_to_the_table():
    assert series(("begin (s)", "width (s)", "contrast", "sigma")) == [Series("contrast", "", 2, 3)]


def test_a_standard_deviation_belongs_to_the_column_before_it():
    assert series(("drive (V)", "light (W)", "sigma (W)")) == [Series("light", "W", 1, 2)]


def test_axes_carry_names_and_units(qtbot, appearance):
    made = Scan()
    qtbot.addWidget(made)

    made.show()
    made.show_scan(payloads.scan_rows(columns=("drive (V)", "d1 (1/s)", "d2 (1/s)")))
    QApplication.processEvents()

    labels = [made.chart.plot.getAxis(side).labelString() for side in ("bottom", "left")]
    assert "Drive (V)" in labels[0]
    assert "Rate (kHz)" in labels[1]


def test_passes_of_a_scan_are_not_joined(qtbot, appearance):
    made = Scan()
    qtbot.addWidget(made)
    rows = np.array([[0.0, 1.0], [1.0, 2.0], [0.0, 3.0], [1.0, 4.0]])

    made.show_scan(payloads.scan_rows(columns=("begin (s)", "contrast"), rows=rows))

    _, table = made.chart.table()
    assert [row[2] for row in table] == ["1", "2", "-", "3", "4"]


@pytest.mark.parametrize(
    ("rows", "drawn"),
    [
        ([[np.nan, 1.0], [np.inf, 2.0]], []),
        ([[0.0, 1.0], [np.nan, 2.0], [2.0, np.inf], [3.0, 4.0]], ["1", "-", "4"]),
        ([[0.0, np.nan], [1.0, np.nan]], ["-", "-"]),
    ],
)
def test_what_has_no_place_is_not_drawn(qtbot, appearance, rows, drawn):
    made = Scan()
    qtbot.addWidget(made)

    made.show()
    made.show_scan(payloads.scan_rows(columns=("Step", "Voltage (V)"), rows=np.array(rows)))
    QApplication.processEvents()

    _, table = made.chart.table()
    assert [row[2] for row in table] == drawn


def test_another_scan_begins_with_an_empty_chart(qtbot, appearance):
    made = Scan()
    qtbot.addWidget(made)
    made.show_scan(payloads.scan_rows(columns=("drive (V)", "d1 (1/s)", "d2 (1/s)")))

    made.show_scan(payloads.scan_rows(run="other", columns=("begin (s)", "contrast"), rows=np.array([[0.0, 1.0]])))

    _, table = made.chart.table()
    assert table == [["contrast", "0", "1"]]


def test_a_scan_without_rows_says_so(qtbot, appearance):
    made = Scan()
    qtbot.addWidget(made)

    made.show_scan(payloads.scan_rows(rows=np.empty((0, 3))))

    assert made.chart.summary() == "no data yet"
