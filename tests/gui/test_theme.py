from __future__ import annotations

import pytest
from PySide6.QtGui import QColor, QPalette
from PySide6.QtWidgets import QApplication

from heliograph.gui import sheet, theme
from heliograph.gui.audit import contrast_findings


@pytest.mark.parametrize("colour, ratio", [("#1B1B1F", 17.2), ("#0072B2", 5.19), ("#B85000", 5.02), ("#007A59", 5.35), ("#A6487E", 5.46), ("#8A5E00", 5.70)])
def test_the_light_colours_have_the_contrast_of_the_specification(colour: str, ratio: float) -> None:
    assert theme.contrast(colour, "#FFFFFF") == pytest.approx(ratio, rel=0.005)


@pytest.mark.parametrize("colour, ratio", [("#E6E6E6", 14.2), ("#56B4E9", 7.70), ("#E69F00", 7.88), ("#009E73", 5.19), ("#CC79A7", 5.80), ("#F0E442", 13.43)])
def test_the_dark_colours_have_the_contrast_of_the_specification(colour: str, ratio: float) -> None:
    assert theme.contrast(colour, "#16181D") == pytest.approx(ratio, rel=0.005)


def test_the_safe_button_and_the_plain_palette_are_as_computed() -> None:
    assert theme.contrast("#FFFFFF", theme.LIGHT.trip) == pytest.approx(7.33, rel=0.005)
    assert [round(theme.contrast(one, "#FFFFFF"), 2) for one in ("#E69F00", "#56B4E9", "#F0E442")] == [2.25, 2.31, 1.32]


@pytest.mark.parametrize("appearance", ["light", "dark", "contrast"], indirect=True)
def test_everything_can_be_told_apart_in_every_theme(appearance: str) -> None:
    assert contrast_findings(theme.THEMES[appearance]) == []


@pytest.mark.parametrize("appearance", ["light", "dark", "contrast"], indirect=True)
def test_the_palette_and_the_edges_are_those_of_the_theme(appearance: str, qapp: QApplication) -> None:
    now = theme.THEMES[appearance]

    assert QPalette(qapp.palette()).color(QPalette.ColorRole.WindowText) == QColor(now.text)
    assert f"border: 1px solid {now.line}" in sheet.sheet(now, 16)


def test_a_pair_that_cannot_be_told_apart_is_found() -> None:
    from dataclasses import replace

    grey = replace(theme.LIGHT, muted="#BBBBBB")

    assert any("muted text" in one for one in contrast_findings(grey))


def test_series_differ_by_dash_as_well_as_by_colour(appearance: str) -> None:
    pens = [theme.pen(number) for number in range(5)]

    assert len({tuple(pen.dashPattern()) for pen in pens}) == 5
    assert {pen.color().name().upper() for pen in pens} == set(theme.LIGHT.series)


def test_an_unknown_choice_follows_the_system(qapp: QApplication) -> None:
    assert theme.resolve("no such theme") in (theme.LIGHT, theme.DARK)
    assert theme.resolve("contrast") is theme.CONTRAST
