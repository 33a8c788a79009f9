"""The Acquire page as a person uses it: what it shows, what it asks for, and when it says that something is old."""

from __future__ import annotations

import time

import numpy as np
import pytest
from PySide6.QtCore import QPointF, Qt
from PySide6.QtWidgets import QApplication, QComboBox, QLineEdit

from heliograph.control.topics import QueueState
from heliograph.core.errors import ParameterError
from heliograph.gui import guarded, theme
from heliograph.gui.badges import Badge
from heliograph.gui.figures.history import History
from heliograph.gui.pages.acquire import Acquire
from heliograph.gui.plots import Chart

from . import payloads, whole_pages
from .finding import control, drag, least_median_s, press, typed
from .finding import hold as hold_down

FORMS = (
    payloads.procedure_form(),
    payloads.procedure_form(name="PhaseScan", title="Scan a user's phase", text="Step the voltage."),
    payloads.procedure_form(name="KeyExchange", title="Exchange light"),
    payloads.procedure_form(name="Learn", title="Learn", lane="worker"),
)
LIVE = {"counts": payloads.count_rates(), "histogram": payloads.slot_histogram(), "coincidences": payloads.coincidences(), "scan": payloads.scan_rows()}


@pytest.fixture(scope="module")
def made(qapp, tmp_path_factory):
    with whole_pages.kept(Acquire, qapp, tmp_path_factory.mktemp("window"), (1200, 800), FORMS) as page:
        yield page


@pytest.fixture
def page(made, monkeypatch):
    """The page as it is after a quiet moment: everything live, nothing asked yet."""
    made.start.choose("CountRates")
    made.start.purpose.clear()
    for row in made.arrivals.rows.values():
        row.refuse()
    made.history = History()
    whole_pages.quieten(made, FORMS, {**LIVE, "queue": QueueState(())}, monkeypatch)
    return made


@pytest.fixture
def desk(page):
    return page.desk


def summary(page, name):
    return control(page, name, Chart).summary()


# Rates


def test_every_channel_has_its_rate_dark_counts_and_limit_in_words(page):
    assert summary(page, "Count rates") == "D1 82.0 kHz dark 110 Hz limit 2.00 MHz; D2 1.25 kHz dark 96.0 Hz limit 2.00 MHz"


def test_what_is_not_known_of_a_channel_is_left_out(page):
    page.redraw("counts", payloads.count_rates(limit_hz=np.array([np.nan, 2e6]), dark_hz=np.full(2, np.nan), rates_hz=np.array([np.nan, 5.0])))

    assert summary(page, "Count rates").startswith("D1 - dark - limit -; D2 5.00 Hz dark - limit 2.00 MHz")


def test_recording_is_told_in_numbers(page):
    page.redraw("counts", payloads.count_rates(gaps=2, missed=12_345))

    texts = page.texts()
    for wanted in ("Tags recorded: 1\u2009040\u2009000", "Tag rate: 83.2 kHz", "Gaps: 2", "Tags missed: 12\u2009345", "Time in the run: 12 s"):
        assert wanted in texts


def test_the_strip_has_what_came_while_another_page_was_shown(page, desk):
    for at in range(50):
        desk.inject("counts", payloads.count_rates(t_s=13.0 + at, rates_hz=np.array([1000.0 * at, 0.0])))

    page.redraw("counts", desk.latest("counts"))

    assert page.history.range_of(0, 60.0) == (0.0, 82_000.0)
    assert page.strip.chart.summary().startswith("D1 49.0 kHz, 60 s range 81.0 kHz to 83.0 kHz")


def test_zooming_by_key_leaves_zero_and_the_limit_out_of_the_strip(qtbot, page):
    box = page.strip.chart.plot.getViewBox()
    assert box.viewRange()[1][0] == 0.0
    zoom = control(page, "Zoom to the rates")

    qtbot.keyClick(zoom, Qt.Key.Key_Space)

    assert box.viewRange()[1][1] < 1e6
    qtbot.keyClick(zoom, Qt.Key.Key_Space)
    assert box.viewRange()[1][0] == 0.0


def test_bars_that_cannot_be_drawn_leave_the_strip_and_the_recording_alone(page, display_errors, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("heliograph.gui.figures.rates._marks", lambda *_: 1 / 0)
        page.redraw("counts", payloads.count_rates(tags=123))

    assert [guarded.marked(one) for one in (page.bars, page.strip, page.throughput)] == [True, False, False]
    assert control(page, "Tags recorded: 123")
    page.redraw("counts", LIVE["counts"])
    assert not guarded.marked(page.bars)


# Gates


def test_a_gate_is_typed_and_pending_until_the_owner_confirms_it(qtbot, page, desk):
    typed(qtbot, page, "Gate D1, from", "3900 ps")

    assert desk.answers.of("gates") == [{"D1": [pytest.approx(3900.0), 6200.0]}]
    assert control(page, "Gate D1: pending", Badge)

    page.redraw("histogram", payloads.slot_histogram(gates={"D1": (3900.0, 6200.0), "D2": (3800.0, 6200.0)}))

    assert not [one for one in page.findChildren(Badge) if one.isVisible() and "pending" in one.accessibleName()]
    assert control(page, "Gate D1, width", QLineEdit).text() == "2300 ps"


def test_the_width_of_a_gate_is_typed_and_its_begin_stays(qtbot, page, desk):
    typed(qtbot, page, "Gate D1, width", "1500 ps")

    assert desk.answers.of("gates") == [{"D1": [3800.0, 5300.0]}]
    assert control(page, "Gate D1: pending", Badge)
    typed(qtbot, page, "Gate D1, width", "11 ns")
    assert control(page, "Gate D1, width", QLineEdit).accessibleDescription() == "Not sent: limit 10 ns (slot)"
    assert len(desk.answers.of("gates")) == 1


def test_arrows_step_a_gate_and_enter_sends_it(qtbot, page, desk):
    field = control(page, "Gate D2, to", QLineEdit)
    field.setFocus()
    field.setCursorPosition(2)

    qtbot.keyClick(field, Qt.Key.Key_Up)
    assert field.text() == "6300 ps"
    assert not desk.answers.of("gates")
    qtbot.keyClick(field, Qt.Key.Key_Return)

    assert desk.answers.of("gates") == [{"D2": [3800.0, pytest.approx(6300.0)]}]


def test_a_gate_is_dragged_by_its_edge(qtbot, page, desk):
    chart = page.arrivals.chart
    view, box = chart.view, chart.plot.getViewBox()

    def at(x_ns):
        return view.mapFromScene(box.mapViewToScene(QPointF(x_ns, np.mean(box.viewRange()[1]))))

    drag(view, at(3.8), at(3.0))

    (asked,) = desk.answers.of("gates")
    ((low, high),) = asked.values()
    assert low == pytest.approx(3000.0, abs=80.0)
    assert high == pytest.approx(6200.0)


@pytest.mark.parametrize("text, told", [("7000 ps", "it ends before it begins"), ("-5 ns", "longer than a slot")])
def test_a_gate_that_cannot_be_is_not_sent(qtbot, page, desk, text, told):
    typed(qtbot, page, "Gate D1, from", text)

    assert not desk.answers.of("gates")
    assert any(told in one.accessibleName() for one in page.findChildren(Badge) if one.isVisible())


def test_a_gate_without_a_unit_is_refused_in_the_field(qtbot, page, desk):
    field = typed(qtbot, page, "Gate D1, from", "3900")

    assert not desk.answers.of("gates")
    assert "unit missing" in field.accessibleDescription()


def test_a_gate_that_the_owner_refuses_goes_back(qtbot, page, desk):
    desk.answers.replies["gates"] = ParameterError("gates stay as they are while key is exchanged", where="gates")

    typed(qtbot, page, "Gate D1, from", "3900 ps")
    control(page, "Zoom to the rates").setFocus()
    page.redraw("histogram", payloads.slot_histogram())

    assert "while key is exchanged" in desk.notices[0]
    assert control(page, "Gate D1, from", QLineEdit).text() == "3800 ps"


def test_the_histogram_says_how_much_is_in_the_gate(page):
    counts = np.zeros((2, 100), np.uint32)
    counts[0, 50], counts[0, 90], counts[1, 2] = 75, 25, 10

    page.redraw("histogram", payloads.slot_histogram(counts=counts, gates={"D1": (4000.0, 6000.0), "D2": (-1000.0, 1000.0)}))

    assert summary(page, "Arrivals in the slot") == "D1 peak at 5050 ps, 75.0 % in its gate; D2 peak at 250 ps, 100 % in its gate"


# Scan and coincidences


def test_a_scan_that_is_over_says_what_it_found_with_its_uncertainty(page):
    page.redraw("scan", payloads.scan_rows(over=True, result={"v_pi_v": 5.006, "v_pi_sigma_v": 0.004, "visibility": 0.9928, "visibility_sigma": 0.0004}))
    QApplication.processEvents()

    texts = page.texts()
    assert "Half-wave voltage: 5.006(4) V" in texts
    assert "Visibility: 0.9928(4)" in texts
    assert "over" in summary(page, "Scan")


def test_the_data_of_a_scan_open_as_a_table_by_key(qtbot, page):
    chart = control(page, "Scan", Chart)
    chart.view.setFocus()

    qtbot.keyClick(chart.view, Qt.Key.Key_T, Qt.KeyboardModifier.ControlModifier)

    tables = [one for one in QApplication.topLevelWidgets() if one.windowTitle() == "Data of Scan"]
    assert len(tables) == 1
    tables[0].close()


def test_coincidences_are_told_as_slots_and_rates(page):
    assert summary(page, "Coincidences") == "D1 and D2 12, 12.0 Hz; D1, all 81\u2009000, 81.0 kHz; D2, all 1\u2009240, 1.24 kHz"


# Starting


def test_only_measurements_of_the_bench_are_offered(page):
    choice = control(page, "Procedure", QComboBox)

    assert [choice.itemText(at) for at in range(choice.count())] == ["Count rates", "Phase scan"]


def test_a_measurement_is_started_by_keys_alone(qtbot, page, desk):
    desk.answers.replies["enqueue"] = 8
    choice = control(page, "Procedure", QComboBox)
    choice.setFocus()
    qtbot.keyClick(choice, Qt.Key.Key_Down)
    QApplication.processEvents()
    points = control(page, "Points")
    points.setFocus()
    points.selectAll()
    qtbot.keyClicks(points, "11")
    typed(qtbot, page, "Purpose", "alignment")
    qtbot.keyClick(page, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)

    (asked,) = desk.answers.of("enqueue")
    assert asked["procedure"] == "PhaseScan"
    assert asked["parameters"]["points"] == "11"
    assert asked["purpose"] == "alignment"
    assert asked["operator"]


def test_what_was_typed_is_kept_while_another_procedure_is_looked_at(qtbot, page):
    choice = control(page, "Procedure", QComboBox)
    points = control(page, "Points")
    points.selectAll()
    qtbot.keyClicks(points, "99")

    choice.setFocus()
    qtbot.keyClick(choice, Qt.Key.Key_Down)
    QApplication.processEvents()
    qtbot.keyClick(choice, Qt.Key.Key_Up)
    QApplication.processEvents()

    assert control(page, "Points").value() == 99


def test_a_run_is_repeated_with_the_parameters_of_another_page(page):
    page.wish({"procedure": "PhaseScan", "parameters": {"points": "17"}})
    QApplication.processEvents()

    assert control(page, "Procedure", QComboBox).currentText() == "Phase scan"
    assert control(page, "Points").value() == 17


def test_the_run_that_is_on_is_followed_stopped_and_aborted(qtbot, page, desk):
    page.redraw("queue", payloads.queue_state())

    assert control(page, "Run: running", Badge)
    assert "Job: Phase scan, job 7" in page.texts()
    assert "Time left: 45 s" in page.texts()
    press(qtbot, page, "Stop early")
    press(qtbot, page, "Abort the run")
    assert desk.answers.of("abort") == []
    hold_down(qtbot, page, "Abort the run")
    assert desk.answers.of("stop") == [{"job": 7}]
    assert desk.answers.of("abort") == [{"job": 7}]


def test_without_a_run_nothing_can_be_stopped(page):
    page.redraw("queue", payloads.queue_state(rows=()))

    assert not control(page, "Stop early").isEnabled()
    assert "Not now: nothing is running" in control(page, "Stop early").toolTip()


def test_a_window_that_only_looks_says_why_it_cannot_start(qtbot, page, desk):
    desk.set_control(False, "another window controls the bench")

    assert not control(page, "Start").isEnabled()
    assert "another window controls the bench" in control(page, "Start").toolTip()
    qtbot.keyClick(page, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    assert not desk.answers.of("enqueue")


def test_a_refused_start_is_a_notice(qtbot, page, desk):
    desk.answers.replies["enqueue"] = ParameterError("there is no pair 'A-D'", where="CountRates")

    press(qtbot, page, "Start")

    assert "there is no pair" in desk.notices[0]


# Age and source


def test_after_two_seconds_without_counts_they_are_stale_and_what_is_over_is_not(page, desk):
    desk.inject("queue", payloads.queue_state())
    for topic in ("counts", "histogram", "coincidences"):
        desk.inject(topic, LIVE[topic], came=time.monotonic() - 75.0)

    desk.ticked.emit()

    texts = page.texts()
    assert "Data: stale, 1 min 15 s" in texts
    assert "Tag rate: 83.2 kHz, stale" in texts
    assert page.strip.chart.plot.titleLabel.text == "stale"
    assert "stale" not in summary(page, "Scan")

    desk.inject("counts", LIVE["counts"])
    desk.ticked.emit()

    assert any(text.startswith("Data: live") for text in page.texts())
    assert not summary(page, "Count rates").endswith("stale")


def test_gates_are_as_old_as_the_arrivals_that_they_lie_on(page, desk):
    field = control(page, "Gate D1, from", QLineEdit)

    def inks():
        lines = page.arrivals.chart._drawn.regions["D1"].lines
        return {line.pen.color().name().upper() for line in lines} | {field.palette().text().color().name().upper()}

    assert theme.current().muted not in inks()
    desk.inject("histogram", LIVE["histogram"], came=time.monotonic() - 3.0)
    desk.ticked.emit()
    assert inks() == {theme.current().muted}
    assert field.accessibleDescription().endswith(", stale")

    desk.inject("histogram", LIVE["histogram"])
    desk.ticked.emit()
    assert theme.current().muted not in inks()


def test_a_lost_owner_greys_everything(page):
    page.stale(True)

    assert all(summary(page, name).endswith("stale") for name in ("Count rates", "Arrivals in the slot", "Coincidences", "Scan"))


def test_a_replay_is_marked_on_every_chart(page, desk):
    for topic, payload in (
        ("counts", payloads.count_rates(source="replay")),
        ("histogram", payloads.slot_histogram(source="replay")),
        ("coincidences", payloads.coincidences(source="replay")),
        ("scan", payloads.scan_rows(source="replay")),
    ):
        desk.inject(topic, payload)
        page.redraw(topic, payload)
    desk.ticked.emit()

    charts = [one for one in page.findChildren(Chart) if one.isVisible()]
    assert len(charts) == 5
    for chart in charts:
        assert chart.plot.titleLabel.text == "REPLAY"
        assert chart.summary().startswith("replay, ")
    assert any(text.startswith("Data: replay") for text in page.texts())


@pytest.fixture
def replaying(page, desk):
    """A replay of which only the count rates came yet."""
    desk.set_replaying(payloads.RUN)
    show(page, counts=payloads.count_rates(source="replay"))
    yield
    desk.set_replaying("")
    desk.replaying = None


def show(page, **figures):
    for topic, payload in figures.items():
        page.desk.inject(topic, payload)
        page.redraw(topic, payload)
    page.desk.ticked.emit()


def test_nothing_live_stands_beside_a_replay(page, replaying):
    assert page.bars.plot.titleLabel.text == "REPLAY"
    for chart in (page.arrivals.chart, page.matrix.chart, page.scan.chart):
        assert chart.plot.titleLabel.text == "REPLAY, no data"
        assert chart.view.accessibleDescription() == "replay, no data yet"
    assert page.arrivals.rows == {}
    assert page.matrix.table.model().rowCount() == 0

    show(page, histogram=payloads.slot_histogram())

    assert page.arrivals.rows == {}, "what the bench still says is left out"


def test_a_replay_that_has_ended_stays_marked_until_the_bench_is_shown_again(page, desk, replaying, monkeypatch):
    later = time.monotonic() + 60.0
    monkeypatch.setattr(time, "monotonic", lambda: later)
    desk.ticked.emit()

    assert page.bars.plot.titleLabel.text == "REPLAY"
    assert "Data: replay" in page.texts()
    assert not page.start.start.isEnabled()
    assert "Back to live" in page.start.start.toolTip()

    desk.set_replaying("")

    assert page.bars.plot.titleLabel.text == "no data yet"
    assert "Data: unknown" in page.texts()
    assert page.start.start.isEnabled()
    show(page, counts=payloads.count_rates(source="replay"))
    assert page.bars.plot.titleLabel.text == "no data yet", "a late answer of the replay is left out"
    show(page, counts=payloads.count_rates())
    assert any(text.startswith("Data: live") for text in page.texts())


def test_the_strip_of_the_bench_is_there_again_after_a_replay(page, desk):
    page.history = page._live = History()
    for t_s in (1.0, 2.0, 3.0):
        desk.inject("counts", payloads.count_rates(run="mine", t_s=t_s))
    desk.set_replaying("run-1")
    desk.inject("counts", payloads.count_rates(source="replay", run="run-1", t_s=9.0))
    assert page.history.seconds() == 0.0

    desk.set_replaying("")
    show(page, counts=payloads.count_rates(run="mine", t_s=3.0))

    assert page.history.seconds() == pytest.approx(2.0)


def test_figures_of_a_run_that_is_over_are_neither_live_nor_of_some_age(page, desk):
    show(page, counts=payloads.count_rates(), queue=payloads.queue_state(rows=(payloads.queue_row(state="done"),)))
    desk._came["counts"] -= 2.3
    desk.ticked.emit()

    assert "Data: done, of the last run" in page.texts()


# How it looks


@pytest.mark.parametrize("name, scale", whole_pages.LOOKS)
def test_nothing_is_cut_off_at_any_text_size(page, qapp, name, scale):
    page.resize(1440, 900)
    result = {"v_pi_v": 5.006, "v_pi_sigma_v": 0.004}
    whole_pages.look(page, qapp, name, scale, {"queue": payloads.queue_state(), "scan": payloads.scan_rows(over=True, result=result)})


def test_drawing_stays_within_its_budget(page, desk):
    for at in range(2400):
        desk.inject("counts", payloads.count_rates(t_s=20.0 + 0.1 * at, rates_hz=np.array([8e4 + at % 97, 1e3 + at % 31])))

    def draw(at):
        desk.inject("counts", payloads.count_rates(t_s=300.0 + 0.1 * at))
        page.redraw("counts", desk.latest("counts"))
        if at % 2:
            page.redraw("histogram", LIVE["histogram"])
            page.redraw("scan", LIVE["scan"])
        if not at % 5:
            page.redraw("coincidences", LIVE["coincidences"])
        desk.ticked.emit()

    page.resize(1600, 1000)
    assert least_median_s(draw, 0.035) <= 0.035
