"""The Runs page as a person uses it: list and filters, details, replay, comparison, export, repeat, the report of a day."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from PySide6.QtCore import QDate, QSettings, Qt
from PySide6.QtGui import QFont
from PySide6.QtWidgets import QAbstractButton, QApplication, QComboBox, QDialog, QFileDialog, QLineEdit, QMessageBox

from heliograph.control.topics import QueueState, ReplayState, RunDetails, RunSummary
from heliograph.core.errors import FilesThere, RunFileError
from heliograph.gui import hold, theme, words
from heliograph.gui.audit import audit
from heliograph.gui.figures.live import LiveChart
from heliograph.gui.pages.runs import Runs
from heliograph.gui.run_files.details import compared
from heliograph.gui.run_files.listing import Wanted, bench_of

from . import payloads
from .conftest import OfflineDesk
from .finding import clipped, control, press


def summary(number, procedure="PhaseScan", **changes):
    made = RunSummary(
        f"run-{number}", f"/data/lab/runs/run-{number}.h5", procedure, payloads.NOW + 3600 * number, "done", True, 12.5, 1_040_000, 0, "op", "fringe", "demo",
        {"v_pi_v": 5.0 + 0.01 * number, "v_pi_sigma_v": 0.003},
    )  # fmt: skip
    return replace(made, **changes)


RUNS = (
    summary(1),
    summary(2, "KeyExchange", purpose="evening key", gaps=2),
    summary(3, state="unfinished", seconds=None),
    summary(4, "CountRates", state="damaged", why="the file is torn", simulated=False),
)


def replayed(payload):
    return replace(payload, source="replay")


FINALS = {"counts": replayed(payloads.count_rates()), "scan": replayed(payloads.scan_rows(over=True)), "histogram": replayed(payloads.slot_histogram())}
KEY = {"counts": replayed(payloads.count_rates()), "coincidences": replayed(payloads.coincidences()), "key": replayed(payloads.key_progress())}


def details(body):
    run = next(one for one in RUNS if one.path == body["path"])
    if run.state == "damaged":
        raise RunFileError("the run file is damaged", where=run.path, remedy="Try to salvage it.")
    parameters = {"points": "77", "pair": "B-C", "store": "/data/lab/store"}
    finals = KEY if run.procedure == "KeyExchange" else FINALS
    arrays = (("tags/t", "ps", "1,040,000"),)
    return RunDetails(
        run, parameters, "simulated: instruments", "ab" * 32, 7, (payloads.event(),), arrays, {"fringe of A": "today"}, {"python": "3.11"}, finals
    )


def playing(**changes):
    return replace(ReplayState(RUNS[0].path, "run-1", 3.0, 12.5, 1.0, False), **changes)


REPLIES = {
    "runs": RUNS, "run": details, "procedures": (payloads.procedure_form(name="PhaseScan"), payloads.procedure_form()), "replay": playing(t_s=0.0),
    "report": lambda body: f"# {body['day']}\n\n## Runs\n",
}  # fmt: skip


@pytest.fixture(scope="module")
def made(qapp, tmp_path_factory):
    """One page for all tests of this module: to make one takes longer than to use it."""
    qapp.setStyle("Fusion")
    theme.apply(qapp, theme.THEMES["light"])
    desk = OfflineDesk(QSettings(str(tmp_path_factory.mktemp("window") / "window.ini"), QSettings.Format.IniFormat))
    page = Runs(desk)
    page.resize(1440, 900)
    page.show()
    yield page
    page.close()
    desk.close()


@pytest.fixture
def page(made, qtbot):
    desk = made.desk
    desk.answers.replies = dict(REPLIES)
    for dialog in made.findChildren(QDialog):
        dialog.close()
    made.replay.stop()
    made.list.reset()
    made.list.table.clearSelection()
    desk.set_control(True)
    desk.notices.clear()
    made.shown_first()
    desk.answers.asked.clear()
    made.activateWindow()
    qtbot.waitUntil(made.isActiveWindow)
    return made


@pytest.fixture
def desk(page):
    return page.desk


def shown(page):
    return [page.list.runs[path].run for path in page.list.table.model_of_rows.keys]


def choose(qtbot, page, run, modifier=Qt.KeyboardModifier.NoModifier):
    table = page.list.table
    at = shown(page).index(run)
    qtbot.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, modifier, table.visualRect(table.model_of_rows.index(at, 1)).center())


def why_not(page, name):
    button = control(page, name, QAbstractButton)
    assert not button.isEnabled()
    return button.toolTip().removeprefix("Not now: ")


# The list


def test_runs_are_listed_with_state_and_kind_the_newest_first(page):
    assert shown(page) == ["run-4", "run-3", "run-2", "run-1"]
    texts = page.texts()
    for wanted in (
        "State: damaged",
        "State: unfinished",
        "Bench: simulated",
        "Bench: real",
        "Gaps: 2",
        "Purpose, end: fringe; the file is torn",
        "Runs shown: 4 of 4 runs",
    ):
        assert wanted in texts or any(wanted in text for text in texts), wanted


def test_an_imported_run_is_neither_simulated_nor_real():
    run = summary(5, "Sweep (CSV)", imported=True)

    assert bench_of(run) == "imported"
    assert words.look("imported") != words.look("no such word")
    assert Wanted(bench="imported").takes(run)
    assert not Wanted(bench="simulated").takes(run)


@pytest.mark.parametrize(
    "wanted, runs",
    [
        (Wanted(), [1, 2, 3, 4]),
        (Wanted(text="EVENING key"), [2]),
        (Wanted(procedure="PhaseScan"), [1, 3]),
        (Wanted(state="unfinished"), [3]),
        (Wanted(bench="real"), [4]),
        (Wanted(day="1999"), []),
    ],
)
def test_a_filter_shows_what_was_asked_for(wanted, runs):
    assert [number for number, run in enumerate(RUNS, 1) if wanted.takes(run)] == runs


def test_filters_are_set_by_keys(page, qtbot):
    search = page.filter_field()
    search.setFocus()
    qtbot.keyClicks(search, "evening")
    assert shown(page) == ["run-2"]

    press(qtbot, page, "Show all runs")
    procedure = control(page, "Procedure of the runs", QComboBox)
    procedure.setFocus()
    qtbot.keyClicks(procedure, "Phase")
    assert shown(page) == ["run-3", "run-1"]
    press(qtbot, page, "Show all runs")
    field = control(page, "Day of the runs", QLineEdit)
    field.setFocus()
    qtbot.keyClicks(field, "2026-09")
    assert len(shown(page)) == 4


def test_the_list_is_read_again_when_a_run_has_ended(page, desk):
    page.redraw("queue", QueueState(()))
    page.redraw("queue", payloads.queue_state())
    page.redraw("queue", payloads.queue_state())

    assert len(desk.answers.of("runs")) == 1


def test_another_page_shows_a_run_by_its_id(page, desk, qtbot):
    page.list.text.setText("evening")

    page.wish("run-1")
    assert [run.run for run in page.list.selected()] == ["run-1"]

    page.wish("/data/lab/runs/gone.h5")
    assert desk.notices == ["No run file is called /data/lab/runs/gone.h5 (any more)."]


def test_two_thousand_runs_are_quick(page, desk):
    begun = time.process_time()
    page.list.show_runs([summary(number) for number in range(2000)])
    page.list.text.setText("run-77")

    assert time.process_time() - begun < 1.0


# One run


def test_everything_about_the_selected_run_is_told(page, qtbot):
    choose(qtbot, page, "run-1")

    facts = dict(page.details.facts.facts())

    assert facts["Half-wave voltage"] == "5.010(3) V"
    assert (facts["Parameter points"], facts["Provenance"], facts["Calibration fringe of A"]) == ("77", "simulated: instruments", "taken today")
    assert page.details.events.model_of_rows.rowCount() == 1
    assert page.details.arrays.model_of_rows.cell(0, 2).text == "1,040,000"


def test_the_figures_of_a_run_are_marked_replay_and_follow_what_it_has(page, qtbot):
    choose(qtbot, page, "run-1")
    assert page.figures.scan.isVisible()
    assert not page.figures.stage.isVisible()
    assert page.figures.scan.chart.summary().startswith("replay, Phase scan, 41 points, over")

    choose(qtbot, page, "run-2")
    assert page.figures.stage.isVisible()
    assert page.figures.qber.isVisible()
    assert not page.figures.scan.isVisible()
    marked = [chart for chart in page.figures.findChildren(LiveChart) if chart.isVisible()]
    assert len(marked) >= 4
    assert all(chart.summary().startswith("replay, ") for chart in marked)


def test_a_damaged_file_says_so_in_its_place(page, desk, qtbot):
    choose(qtbot, page, "run-4")

    assert any("cannot be read: /data/lab/runs/run-4.h5: the run file is damaged" in text for _, text in page.details.facts.facts())
    assert not desk.notices
    assert why_not(page, "Export as CSV") == "the run file is damaged"
    assert why_not(page, "Play the run") == "the run file is damaged"


# Replay


def test_a_run_is_played_paused_sought_and_left(page, desk, qtbot):
    assert why_not(page, "Play the run") == "no run is chosen"
    choose(qtbot, page, "run-1")
    press(qtbot, page, "Play the run")
    assert desk.answers.of("replay") == [{"path": "/data/lab/runs/run-1.h5", "speed": 1.0}]
    assert desk.replaying == page.replay.run.run
    page.redraw("replay", playing())
    assert "Replay: running, 1x" in page.texts()
    assert "Time in the replay: 3.0 s of 12 s" in page.texts()

    press(qtbot, page, "Pause the replay")
    assert desk.answers.of("replay_pause") == [{"on": True}]
    page.redraw("replay", playing(paused=True))
    slider = control(page, "Time in the run")
    slider.setFocus()
    qtbot.keyClick(slider, Qt.Key.Key_PageUp)
    assert desk.answers.of("replay_seek") == [{"t_s": 4.25}]
    qtbot.keyClick(page, Qt.Key.Key_R, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier)
    assert desk.answers.of("replay_pause")[-1] == {"on": False}

    press(qtbot, page, "Back to live")
    assert desk.answers.of("replay_stop") == [None]
    page.redraw("replay", playing())
    assert "Replay: idle, other pages show the bench" in page.texts()


def test_speed_is_chosen_by_key_and_a_run_can_be_played_again(page, desk, qtbot):
    speed = control(page, "Speed of the replay", QComboBox)
    speed.setFocus()
    qtbot.keyClicks(speed, "50")
    choose(qtbot, page, "run-1")
    qtbot.keyClick(page.list.table, Qt.Key.Key_Return)
    assert desk.answers.of("replay") == [{"path": "/data/lab/runs/run-1.h5", "speed": 50.0}]

    speed.setFocus()
    qtbot.keyClick(speed, Qt.Key.Key_Home)
    assert desk.answers.of("replay_speed") == [{"speed": 1.0}]
    page.redraw("replay", playing(over=True, t_s=12.5))
    press(qtbot, page, "Play the run again")
    assert desk.answers.of("replay_seek") == [{"t_s": 0.0}]


def test_while_a_run_is_played_its_figures_stay(page, desk, qtbot):
    choose(qtbot, page, "run-1")
    press(qtbot, page, "Play the run")
    page.redraw("counts", replayed(payloads.count_rates()))
    choose(qtbot, page, "run-2")

    assert page.figures.bars.isVisible()
    assert not page.figures.stage.isVisible()
    assert any("REPLAY run-1" in text for text in page.texts())
    press(qtbot, page, "Back to live")
    assert page.figures.stage.isVisible(), "then those of the run that is selected"


def test_live_figures_are_none_of_a_run(page, desk, qtbot):
    choose(qtbot, page, "run-1")
    before = page.figures.bars.summary()

    page.redraw("counts", payloads.count_rates(rates_hz=payloads.count_rates().rates_hz * 2))
    press(qtbot, page, "Play the run")
    page.redraw("counts", payloads.count_rates(rates_hz=payloads.count_rates().rates_hz * 2))

    assert page.figures.bars.summary() == before


def test_the_replay_is_shown_on_other_pages(page, desk, qtbot):
    wanted = []
    desk.page_wanted.connect(lambda name, _wish: wanted.append(name))
    assert why_not(page, "Show on Acquire") == "nothing is replayed"
    choose(qtbot, page, "run-1")
    press(qtbot, page, "Play the run")

    press(qtbot, page, "Show on Acquire")
    press(qtbot, page, "Show on Key")

    assert wanted == ["acquire", "key"]


def test_a_replay_that_is_refused_or_breaks_says_why(page, desk, qtbot):
    desk.answers.replies["replay"] = RunFileError("the run file is damaged", where="run-1")
    choose(qtbot, page, "run-1")
    press(qtbot, page, "Play the run")
    assert len(desk.notices) == 1
    assert "Replay: idle, other pages show the bench" in page.texts()

    desk.answers.replies["replay"] = playing()
    press(qtbot, page, "Play the run")
    page.redraw("replay", playing(why="run-1: a batch is torn"))
    assert "Replay: failed, run-1: a batch is torn" in page.texts()


# What is done with runs


def test_two_runs_are_compared(page, desk, qtbot):
    choose(qtbot, page, "run-1")
    assert why_not(page, "Compare two runs").startswith("select two runs")
    choose(qtbot, page, "run-3", Qt.KeyboardModifier.ControlModifier)
    press(qtbot, page, "Compare two runs")

    table = page.comparison.table.model_of_rows
    rows = {table.cell(at, 0).text: [table.cell(at, column).text for column in (1, 2, 3)] for at in range(table.rowCount())}

    assert rows["Half-wave voltage"] == ["5.030(3) V", "5.010(3) V", "-20.0 mV"]
    assert rows["Operator"] == ["op", "op", "same"]
    assert page.comparison.isVisible()


def other_light(body):
    """Return the second one of two runs, which are listed the newest first, with half the light; any other as it is."""
    one = details(body)
    if one.summary.run != "run-1":
        return one
    rows = one.finals["scan"].rows * [1.0, 0.5, 0.5]
    scan, counts = replace(one.finals["scan"], rows=rows[::2]), one.finals["counts"]
    return replace(one, finals={**one.finals, "scan": scan, "counts": replace(counts, rates_hz=counts.rates_hz / 2)})


def compared_runs(page, desk, qtbot, first="run-1", second="run-3"):
    choose(qtbot, page, first)
    choose(qtbot, page, second, Qt.KeyboardModifier.ControlModifier)
    press(qtbot, page, "Compare two runs")
    return page.figures.both


def test_the_curves_of_two_runs_that_are_compared_lie_in_the_same_charts(page, desk, qtbot):
    desk.answers.replies["run"] = other_light
    both = compared_runs(page, desk, qtbot)

    titles, rows = both.scans.table()
    assert titles == ["curve", "Voltage (V)", "Rate (Hz)"]
    assert {row[0]: sum(one[0] == row[0] for one in rows) for row in rows} == {"D1, first": 41, "D1, second": 21, "D2, first": 41, "D2, second": 21}
    at_zero = {row[0]: float(row[2]) for row in rows if abs(float(row[1])) < 1e-9}
    assert at_zero == {"D1, first": 1e5, "D1, second": 5e4, "D2, first": 0.0, "D2, second": 0.0}
    assert [row[0] for row in both.rates.table()[1]] == ["D1, first", "D1, second", "D2, first", "D2, second"]
    assert {row[0] for row in both.arrivals.table()[1]} == {"D1, first", "D1, second", "D2, first", "D2, second"}
    pens = [curve.item.opts["pen"] for curve in both.scans._curves.values()]
    assert len({(pen.color().name(), str(pen.dashPattern())) for pen in pens}) == 4
    assert all(chart.isVisible() for chart in both.widgets.values())
    assert not page.figures.scan.isVisible()
    assert clipped(page) == []

    choose(qtbot, page, "run-1")
    assert page.figures.scan.isVisible()
    assert not both.scans.isVisible()


def test_runs_without_a_chart_in_common_are_compared_by_their_numbers(page, desk, qtbot):
    desk.answers.replies["run"] = lambda body: replace(details(body), finals={"key": KEY["key"]} if "run-2" in body["path"] else FINALS)
    both = compared_runs(page, desk, qtbot, "run-1", "run-2")
    assert not any(chart.isVisible() for chart in both.widgets.values())
    assert any("no curves of the same kind" in text for text in page.texts())
    assert page.comparison.table.model_of_rows.rowCount()


@pytest.mark.parametrize(
    "columns", [("time (s)", "D1 (Hz)", "D2 (Hz)"), ("voltage (V)", "D1 (V)", "D2 (V)"), ("voltage (V)", "sigma (Hz)", "d_sigma (Hz)"), ()]
)
def test_scans_of_other_things_are_not_drawn_over_each_other(page, desk, qtbot, columns):
    other = replace(FINALS["scan"], columns=columns)
    desk.answers.replies["run"] = lambda body: replace(details(body), finals={**FINALS, "scan": other} if "run-3" in body["path"] else FINALS)
    both = compared_runs(page, desk, qtbot)
    assert not both.scans.isVisible()
    assert both.arrivals.isVisible()


def test_while_a_run_is_played_its_figures_stay_and_curves_are_compared_afterwards(page, desk, qtbot):
    desk.answers.replies["run"] = other_light
    choose(qtbot, page, "run-1")
    press(qtbot, page, "Play the run")
    both = compared_runs(page, desk, qtbot)
    assert not both.scans.isVisible()
    assert "Doing: their curves are drawn when the replay is over" in page.texts()
    press(qtbot, page, "Back to live")
    assert both.scans.isVisible()


def test_a_comparison_begins_with_what_differs():
    one, other = (details({"path": run.path}) for run in (RUNS[0], RUNS[1]))

    told = [line[3] == "same" for line in compared(one, other)]

    assert told == sorted(told)
    assert not all(told)


def test_a_run_is_repeated_with_its_own_parameters_and_that_can_be_undone(page, desk, qtbot):
    desk.answers.replies["enqueue"] = 12
    choose(qtbot, page, "run-1")
    press(qtbot, page, "Repeat the run")

    (body,) = desk.answers.of("enqueue")
    assert (body["procedure"], body["purpose"]) == ("PhaseScan", "fringe")
    assert body["parameters"] == {"points": "77", "pair": "B-C"}, "what no form asks for is the owner's own"
    assert any("job 12 is in the queue" in text for text in page.texts())
    desk.undo.undo()
    assert desk.answers.of("remove") == [{"job": 12}]


def test_a_run_is_repeated_with_changes_in_the_form_of_the_queue(page, desk, qtbot):
    wanted = []
    desk.page_wanted.connect(lambda name, wish: wanted.append((name, wish)))
    choose(qtbot, page, "run-1")
    press(qtbot, page, "Repeat the run with changes")
    assert wanted == [("queue", {"procedure": "PhaseScan", "parameters": {"points": "77", "pair": "B-C"}})]

    choose(qtbot, page, "run-2")
    assert why_not(page, "Repeat the run") == "its procedure cannot be put into the queue here"


def test_gates_of_a_run_file_are_said_to_be_found_anew_and_cannot_be_moved(page, desk, qtbot):
    choose(qtbot, page, "run-2")
    page.figures.show_topic("histogram", replayed(payloads.slot_histogram()))

    row = next(iter(page.figures.arrivals.rows.values()))
    assert all(edit.isReadOnly() for edit in (row.low, row.high, row.width))
    assert row.low.toolTip().startswith("Found anew in the light of the run file")
    page.figures.arrivals.gate_asked.emit(next(iter(page.figures.arrivals.rows)), 0.0, 1000.0)
    assert "cannot be moved" in desk.notices[-1]
    assert desk.answers.of("gates") == []


def test_chart_and_gates_of_a_replay_are_whole_in_a_small_window(made, page, desk, qtbot):
    figures = made.figures
    try:
        made.resize(1280, 560)
        choose(qtbot, page, "run-2")
        for topic, payload in {**KEY, "histogram": replayed(payloads.slot_histogram(gates={}))}.items():
            figures.show_topic(topic, payload)
        qtbot.wait(1)
        figures.show_topic("histogram", replayed(payloads.slot_histogram()))
        qtbot.wait(50)

        arrivals = figures.arrivals
        lines = [row.low.parentWidget() for row in arrivals.rows.values()]
        assert len(lines) == 2
        assert arrivals.chart.height() >= 10 * arrivals.fontMetrics().height()
        below = arrivals.chart.geometry().bottom()
        for row, line in zip(arrivals.rows.values(), lines, strict=True):
            assert line.y() > below
            assert line.height() >= line.layout().heightForWidth(line.width())
            assert row.width.height() >= row.width.sizeHint().height()
            below = line.geometry().bottom()
        assert below < arrivals.height()
    finally:
        made.resize(1440, 900)


def test_the_key_exchange_of_a_run_file_does_not_run_at_its_end(page, desk, qtbot):
    choose(qtbot, page, "run-2")
    stage = page.figures.stage
    said = []
    for progress in (0.5, 1.0):
        page.figures.show_topic("key", replayed(payloads.key_progress(stage="light", progress=progress)))
        said.append(stage.state.word)

    assert said == ["running", "idle"]


def test_of_very_many_runs_the_newest_are_shown_and_others_by_their_day(page, desk, qtbot, monkeypatch):
    monkeypatch.setattr("heliograph.gui.run_files.listing.MOST_RUNS", len(RUNS))
    desk.answers.asked.clear()
    press(qtbot, page, "Read the runs again")
    assert desk.answers.of("runs") == [{"limit": 5000, "day": ""}]
    assert page.list.shown.text().endswith(f"the newest {len(RUNS)} only: for older ones give a day and read again")

    desk.answers.replies["runs"] = RUNS[:1]
    page.list.day.setText("2026-11")
    assert page.list.whole_day() == ""
    page.list.day.setText("2026-11-20")
    press(qtbot, page, "Read the runs again")
    assert desk.answers.of("runs")[-1]["day"] == "2026-11-20"
    assert "the runs of 2026-11-20 only" in page.list.shown.text()


def test_a_run_is_exported_where_the_operator_says(page, desk, qtbot, tmp_path):
    desk.answers.replies["export"] = lambda body: (body["to"],)
    choose(qtbot, page, "run-1")
    press(qtbot, page, "Export as CSV")
    dialog = next(one for one in page.findChildren(QFileDialog) if one.isVisible())
    assert dialog.testOption(QFileDialog.Option.DontUseNativeDialog)
    assert not dialog.isModal()

    dialog.setDirectory(str(tmp_path))
    name = next(one for one in dialog.findChildren(QLineEdit) if one.isVisible())
    name.selectAll()
    qtbot.keyClicks(name, "mine.csv")
    qtbot.keyClick(name, Qt.Key.Key_Return)

    assert desk.answers.of("export") == [{"path": "/data/lab/runs/run-1.h5", "kind": "csv", "to": str(tmp_path / "mine.csv"), "replace": False}]
    assert desk.notices == [f"Written: {tmp_path / 'mine.csv'}"]


@pytest.mark.parametrize(("answer", "asked"), [("Replace them", [False, True]), ("Keep them", [False])])
def test_files_are_replaced_only_where_the_operator_was_told_their_names(page, desk, qtbot, tmp_path, monkeypatch, answer, asked):
    monkeypatch.setattr(hold, "HOLD_MS", 60)

    def export(body):
        if not body["replace"]:
            raise FilesThere("mine-fringe.csv, mine-block.csv: these files are there already", where=str(tmp_path))
        return ("mine-fringe.csv", "mine-block.csv")

    desk.answers.replies["export"] = export
    choose(qtbot, page, "run-1")
    press(qtbot, page, "Export as CSV")
    (tmp_path / "mine.csv").write_text("a file of this very name is asked about once")
    dialog = next(one for one in page.findChildren(QFileDialog) if one.isVisible())
    assert dialog.testOption(QFileDialog.Option.DontConfirmOverwrite)
    dialog.fileSelected.emit(str(tmp_path / "mine.csv"))
    dialog.close()

    box = next(one for one in page.findChildren(QMessageBox) if one.isVisible())
    assert "mine-fringe.csv, mine-block.csv" in box.text()
    assert not box.isModal()
    assert box.defaultButton().text() == "&Keep them"
    button = next(one for one in box.buttons() if one.text().replace("&", "").removesuffix(" (hold)") == answer)
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    if asked[-1]:
        assert box.isVisible(), "what is lost is held for"
        qtbot.keyPress(button, Qt.Key.Key_Space)
        qtbot.waitUntil(lambda: len(desk.answers.of("export")) == len(asked))

    assert [body["replace"] for body in desk.answers.of("export")] == asked
    assert desk.notices == (["Written: mine-fringe.csv, mine-block.csv"] if asked[-1] else [])


def test_what_is_whole_is_salvaged_and_shown(page, desk, qtbot):
    whole = summary(5, run="run-3.salvaged", path="/data/lab/runs/run-3.salvaged.h5")
    desk.answers.replies["salvage"] = whole.path
    choose(qtbot, page, "run-1")
    assert why_not(page, "Salvage the run") == "the run is whole"
    choose(qtbot, page, "run-3")
    desk.answers.replies |= {"runs": (*RUNS, whole), "run": details({"path": RUNS[0].path})}

    press(qtbot, page, "Salvage the run")

    assert [run.path for run in page.list.selected()] == [whole.path]


def test_a_window_that_only_looks_on_can_still_look_into_runs(page, desk, qtbot):
    choose(qtbot, page, "run-1")
    desk.set_control(False, "process 4 controls the bench")

    assert why_not(page, "Repeat the run") == "process 4 controls the bench"
    for name in ("Play the run", "Export as CSV", "Show the events in the log"):
        assert control(page, name).isEnabled()


def test_the_report_of_a_day_is_made_and_saved(page, desk, qtbot, tmp_path):
    page._show_report()
    assert why_not(page, "Save the report of the day") == "no report is made yet"
    control(page, "Day of the report").setDate(QDate(2026, 11, 19))
    press(qtbot, page, "Make the report of the day")
    assert desk.answers.of("report") == [{"day": "2026-11-19"}]
    assert page.day.text.toPlainText().startswith("# 2026-11-19")

    press(qtbot, page, "Save the report of the day")
    dialog = next(one for one in page.findChildren(QFileDialog) if one.isVisible())
    dialog.setDirectory(str(tmp_path))
    name = next(one for one in dialog.findChildren(QLineEdit) if one.isVisible())
    assert name.text() == "report-2026-11-19.md"
    qtbot.keyClick(name, Qt.Key.Key_Return)

    assert (tmp_path / "report-2026-11-19.md").read_text() == "# 2026-11-19\n\n## Runs\n"


# How it looks


@pytest.mark.parametrize("name, percent", [("light", 100), ("dark", 150), ("contrast", 200)])
def test_nothing_is_cut_off_at_any_text_size(page, qapp, qtbot, name, percent):
    before = qapp.font()
    larger = QFont(before)
    larger.setPointSizeF(before.pointSizeF() * percent / 100)
    choose(qtbot, page, "run-2")
    try:
        qapp.setFont(larger)
        theme.apply(qapp, theme.THEMES[name])
        page.retheme()
        for _ in range(4):
            QApplication.processEvents()
        page.desk.ticked.emit()

        assert clipped(page) == []
        assert audit(page) == []
    finally:
        qapp.setFont(before)
        theme.apply(qapp, theme.THEMES["light"])
        page.retheme()
