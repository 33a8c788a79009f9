"""A gate that was asked for is pending until the owner confirms or refuses it, or two seconds have passed, whether or not a histogram comes."""

from __future__ import annotations

import pytest

from heliograph.gui import quantity, theme
from heliograph.gui.figures.arrivals import Arrivals

from .. import payloads

HELD = (3800.0, 6200.0)


@pytest.fixture
def arrivals(qtbot, appearance):
    made = Arrivals()
    qtbot.addWidget(made)
    made.show_histogram(payloads.slot_histogram(gates={"D1": HELD}))
    made.show()
    return made


def drawn(arrivals):
    return [1e3 * end for end in arrivals.chart._drawn.regions["D1"].getRegion()]


def test_a_gate_that_nobody_confirms_is_pending_for_two_seconds_and_then_the_one_that_holds_is_shown(arrivals, monkeypatch):
    now = [100.0]
    monkeypatch.setattr("heliograph.gui.figures.arrivals.time.monotonic", lambda: now[0])
    row = arrivals.rows["D1"]
    row.ask(3800.0, 5000.0)
    seen = []

    for later in (0.0, 1.9, 2.1):
        now[0] = 100.0 + later
        quantity.settle_pending()
        seen.append((row.state.word, drawn(arrivals)))

    pending = ("pending", pytest.approx([3800.0, 5000.0]))
    assert seen == [pending, pending, ("suspect", pytest.approx(HELD))]
    assert row.state.detail == "not confirmed: 3800 ps to 6200 ps holds"
    assert row.high.text() == "6200 ps"
    arrivals.show_histogram(payloads.slot_histogram(gates={"D1": (3800.0, 5000.0)}))
    assert not row.state.isVisible()


def test_a_gate_that_is_refused_is_not_pending_and_the_one_that_holds_is_shown(arrivals):
    row = arrivals.rows["D1"]
    row.high.setText("5000 ps")
    row.high.submit()

    row.refuse()

    assert not row.state.isVisible()
    assert row.high.text() == "6200 ps"
    assert drawn(arrivals) == pytest.approx(HELD)


def test_a_refusal_that_comes_when_another_histogram_is_shown_does_nothing(arrivals, qtbot):
    row = arrivals.rows["D1"]
    row.ask(3800.0, 5000.0)
    gone = row.state

    with qtbot.waitSignal(gone.destroyed):
        arrivals.forget("replay")
    row.refuse()
    quantity.settle_pending()

    assert arrivals.rows == {}


def test_gates_take_the_colours_of_another_theme(arrivals, qapp):
    def colours():
        drawn = arrivals.chart._drawn
        region, label = drawn.regions["D1"], drawn.region_names["D1"]
        return [region.lines[0].pen.color(), region.lines[1].pen.color(), region.brush.color(), region.hoverBrush.color(), label.color]

    for name in ("dark", "contrast", "light"):
        theme.apply(qapp, theme.THEMES[name])
        arrivals.chart.retheme()

        now = theme.current()
        assert {colour.name().upper() for colour in colours()} == {now.series[0].upper()}
        assert theme.contrast(colours()[-1].name(), now.ground) >= 4.5
