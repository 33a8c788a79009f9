"""The Key page as a person uses it: error rates with their limits, what a block needs, stores, debits, and what can be asked for."""

from __future__ import annotations

import csv
import io
import time
from dataclasses import replace

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QComboBox, QFileDialog, QLabel, QLineEdit, QProgressBar

from heliograph.control.topics import QueueState
from heliograph.gui import words
from heliograph.gui.badges import Badge
from heliograph.gui.figures.gauge import Gauge
from heliograph.gui.figures.key_report import report, report_csv, report_html
from heliograph.gui.figures.stage import LIGHT_DONE
from heliograph.gui.pages.key import Key
from heliograph.gui.plots import Chart
from heliograph.gui.tables import Table

from . import payloads, whole_pages
from .finding import control, least_median_s, press
from .finding import hold as hold_down

RUN_FILE = payloads.parameter_form(name="run", label="Run file", kind="text")
FORMS = (
    payloads.procedure_form(name="KeyExchange", title="Exchange light between two users", parameters=(payloads.parameter_form(name="seconds", label="Light"),)),
    payloads.procedure_form(name="Distil", title="Make key of a run", lane="worker", parameters=(RUN_FILE,)),
    payloads.procedure_form(),
)
BLOCKS = tuple(
    payloads.block_figures(pair=pair, block=number, t=payloads.NOW + 60.0 * number, qber_x=0.0076 + 1e-4 * number, sifted_bits=4_151_488, y_bits=106_026)
    for number in range(1, 7)
    for pair in ("A-B", "B-C")
)
LIVE = {
    "key": payloads.key_progress(blocks=BLOCKS, limits={"qber": 0.03}), "stores": payloads.store_states(), "queue": QueueState(()),
    "station": payloads.station_state(),
}  # fmt: skip
EXCHANGE = payloads.queue_row(job=9, procedure="KeyExchange", progress=0.4, eta_s=3.0)


@pytest.fixture(scope="module")
def made(qapp, tmp_path_factory):
    with whole_pages.kept(Key, qapp, tmp_path_factory.mktemp("window"), (1440, 900), FORMS) as page:
        yield page


@pytest.fixture
def page(made, monkeypatch):
    """The page as it is after a quiet moment: blocks of two pairs, nothing asked yet."""
    made.start.choose("KeyExchange")
    made.debits.filter.clear()
    whole_pages.quieten(made, FORMS, LIVE, monkeypatch)
    made.pair.setCurrentIndex(0)
    return made


@pytest.fixture
def desk(page):
    return page.desk


def summary(page, name):
    return control(page, name, Chart).summary()


def told(page):
    return dict(page.tables.figures.facts())


def cells(table):
    return [[table.model_of_rows.cell(at, column).text for column in range(len(table.model_of_rows.columns))] for at in range(len(table.model_of_rows.rows))]


# Blocks


def test_error_rates_are_told_with_their_uncertainty(page):
    assert summary(page, "QBER").startswith("pair B-C, block 6: QBER X 0.820(4) %, Y 1.51(4) %")


def test_the_last_block_is_told_in_full(page):
    assert told(page) == {
        "Pair and block": "B-C, 6", "Key rate": "228.7 kbit/s", "Final length": "98.30 kbit", "QBER X": "0.820(4) %", "QBER Y": "1.51(4) %",
        "Gain": "0.210 %", "Sifted X bits": "4.151 Mbit", "Leak": "13.40 kbit", "f of correction": "1.160", "Light": "5.0 s",
        "Made at": told(page)["Made at"], "Run": payloads.RUN, "Provenance": "simulated: simulated instruments",
    }  # fmt: skip


def test_every_epsilon_stands_in_a_table(page):
    assert cells(control(page, "Failure probability of the last block", Table)) == [["secrecy", "1e-10"], ["correctness", "1e-15"]]


def test_a_block_whose_y_bits_are_not_known_has_no_uncertainty_in_y(page):
    page.redraw("key", payloads.key_progress(blocks=(payloads.block_figures(f_ec=None),)))

    assert told(page)["QBER Y"] == "1.51 %"
    assert told(page)["f of correction"] == "-"


def test_the_charts_follow_the_pair_that_is_chosen_by_key(qtbot, page):
    choice = control(page, "Pair of the charts", QComboBox)
    assert [choice.itemText(at) for at in range(choice.count())] == ["latest", "A-B", "B-C"]
    choice.setFocus()

    qtbot.keyClick(choice, Qt.Key.Key_Down)

    assert summary(page, "QBER").startswith("pair A-B, block 6")
    assert summary(page, "Gain").startswith("pair A-B")
    assert told(page)["Pair and block"] == "A-B, 6"


def test_the_limit_is_drawn_and_within_the_chart(page):
    chart = control(page, "QBER", Chart)

    low, high = chart.plot.getViewBox().viewRange()[1]
    assert low == 0.0
    assert high > 3.0
    assert chart._drawn.limits["qber"][1] == pytest.approx(3.0)


def test_the_key_rate_of_every_pair_is_told(page):
    assert summary(page, "Key rate") == "A-B 228.7 kbit/s; B-C 228.7 kbit/s"


def test_a_replay_is_marked(page):
    page.redraw("key", payloads.key_progress(source="replay", blocks=BLOCKS))

    assert all(summary(page, name).startswith("replay, ") for name in ("QBER", "Gain", "Key rate"))
    assert "Data: replay" in page.texts()


@pytest.mark.parametrize("source", ["live", "replay"])
def test_light_that_is_over_is_no_key_and_does_not_run(page, source):
    said = []
    for changes in ({"progress": 0.4}, {"progress": 1.0}, {"progress": 1.0, "stage": "failed", "why": "the run ended: aborted"}):
        page.redraw("key", payloads.key_progress(source=source, **changes))
        said.append((page.stage.state.word, page.stage.why.text()))

    assert said == [("running", "light"), ("idle", LIGHT_DONE), ("failed", "failed: the run ended: aborted")]


def test_without_blocks_the_page_says_so(page):
    page.redraw("key", payloads.key_progress(blocks=()))

    assert summary(page, "QBER") == "no block yet"
    assert {control(page, name, Chart).plot.titleLabel.text for name in ("QBER", "Gain", "Key rate")} == {"no data yet"}
    assert told(page) == {}


# Stage and budget


def test_light_is_told_with_what_the_block_has_and_needs(page):
    page.redraw("key", payloads.key_progress(n_x=20_000.0, n_needed=45_000.0))

    assert control(page, "Key exchange: running", Badge)
    assert "What is done: light" in page.texts()
    assert "Sifted X bits: 20.00 kbit, 45.00 kbit needed" in page.texts()
    assert control(page, "Sifted bits of those needed", QProgressBar).value() == 44
    assert control(page, "Progress of the stage", QProgressBar).value() == 40


@pytest.mark.parametrize("stage", ["sifting", "correcting", "amplifying"])
def test_the_stages_of_distillation_are_told(page, stage):
    page.redraw("key", payloads.key_progress(stage=stage, progress=0.7))

    assert f"What is done: {stage}" in page.texts()
    assert control(page, "Progress of the stage", QProgressBar).value() == 70


def test_an_exchange_that_failed_says_how_far_it_had_come(page):
    page.redraw("key", payloads.key_progress(run="r", progress=0.1))
    # Nothing is drawn while another page is shown.
    page.desk.inject("key", payloads.key_progress(run="r", progress=0.37))
    page.redraw("key", payloads.key_progress(run="r", stage="failed", why="the disk is full", progress=1.0))

    bar = control(page, "Progress of the stage", QProgressBar)
    assert (bar.value(), bar.text()) == (37, "failed at 37 %")
    assert "What is done: failed: the disk is full" in page.texts()

    page.redraw("key", payloads.key_progress(run="another", stage="failed", progress=1.0))

    assert (bar.value(), bar.text()) == (0, "failed")


@pytest.fixture
def still(monkeypatch):
    """Let the clock stand still at a moment: ages are told to a tenth of a second."""
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    return now


def test_the_figures_of_the_exchange_have_an_age(page, desk, still):
    desk.inject("key", payloads.key_progress(stage="light"), came=still - 55.0)
    desk.ticked.emit()

    assert "Data: stale, 55 s" in page.texts()

    desk.inject("key", payloads.key_progress(stage="light"))
    desk.ticked.emit()

    assert "Data: live, 0.0 s" in page.texts()


def test_a_silent_step_of_the_distillation_is_not_stale_and_what_is_over_is_not_live(page, desk, still):
    desk.inject("key", payloads.key_progress(stage="correcting"), came=still - 6.3)
    desk.ticked.emit()
    assert "Data: live, 6.3 s" in page.texts()

    over = payloads.key_progress(stage="done", blocks=BLOCKS)
    desk.inject("key", over, came=still - 29.0)
    page.redraw("key", over)
    desk.ticked.emit()

    assert f"Data: done, last block at {words.clock(BLOCKS[-1].t)}" in page.texts()
    assert "Key exchange: done" in page.texts()
    assert "What is done: done" not in page.texts()


@pytest.mark.parametrize(
    ("stage", "row"),
    [
        ("light", {"procedure": "KeyExchange", "state": "done", "path": f"/runs/{payloads.RUN}-p0.h5"}),
        ("correcting", {"procedure": "Distil", "state": "failed", "lane": "worker", "parameters": {"run": f"/runs/{payloads.RUN}-p0.h5"}}),
    ],
)
def test_a_stage_that_nobody_goes_on_with_does_not_run(page, desk, stage, row):
    now = payloads.key_progress(stage=stage, run=payloads.RUN)
    on = payloads.queue_row(**{**row, "state": "running"})
    for queue, told in (((on,), "Key exchange: running"), ((payloads.queue_row(**row),), "Key exchange: idle")):
        desk.inject("queue", QueueState(queue))
        desk.inject("key", now, came=time.monotonic() - 600.0)
        page.redraw("key", now)

        desk.ticked.emit()

        assert told in page.texts()
    assert f"What is done: {stage}: over, no key was made of it" in page.texts()
    assert "Data: idle" in " ".join(page.texts())


def test_light_that_key_is_being_made_of_is_not_over(page, desk):
    path = f"/runs/{payloads.RUN}-p0.h5"
    light = payloads.queue_row(procedure="KeyExchange", state="done", path=path)
    now = payloads.key_progress(stage="light", progress=1.0, run=payloads.RUN)
    desk.inject("key", now, came=time.monotonic() - 600.0)
    page.redraw("key", now)

    for state, said in (
        ("", "light: over, no key was made of it"),
        ("queued", LIGHT_DONE),
        ("starting", LIGHT_DONE),
        ("failed", "light: over, no key was made of it"),
    ):
        task = payloads.queue_row(procedure="Distil", state=state, lane="worker", parameters={"run": path})
        desk.inject("queue", QueueState((light, task) if state else (light,)))
        desk.ticked.emit()

        assert f"What is done: {said}" in page.texts(), state
        assert "Data: stale" not in " ".join(page.texts()), state


def test_the_empty_part_of_a_store_is_explained(page):
    assert any("empty: serves the other direction, or is not confirmed yet" in text for text in page.texts())


def test_where_no_number_of_bits_gives_a_key_the_budget_says_so(page):
    page.redraw("key", payloads.key_progress(n_needed=None))

    assert any("no number of them would give a key" in text for text in page.texts())
    assert control(page, "Sifted bits of those needed", QProgressBar).value() == 0


def test_a_failed_exchange_says_why(page):
    page.redraw("key", payloads.key_progress(stage="failed", why="the run ended: tripped"))

    assert control(page, "Key exchange: failed", Badge)
    assert "What is done: failed: the run ended: tripped" in page.texts()


# Stores


def test_every_store_has_a_gauge_that_says_how_full_it_is(page):
    gauge = control(page, "Key store A-B of A", Gauge)

    assert gauge.accessibleDescription() == "196.6 kbit spendable of 294.9 kbit delivered, reserve 24.58 kbit"
    assert "Key of A-C at A: 16.38 kbit spendable of 294.9 kbit delivered, reserve 24.58 kbit, below the reserve" in page.texts()


def test_the_gauge_rises_when_key_comes(page):
    richer = replace(payloads.store_state(), delivered=1_000_000, spendable=900_000)

    page.redraw("stores", payloads.store_states(stores=(richer,)))
    QApplication.processEvents()

    assert [one.accessibleDescription()[:20] for one in page.findChildren(Gauge) if one.isVisible()] == ["900.0 kbit spendable"]


def test_the_numbers_of_the_stores_stand_in_a_table(page):
    assert cells(control(page, "Key stores", Table))[0][:9] == [
        "A-B", "A", "294.9 kbit", "196.6 kbit", "81.92 kbit", "8.192 kbit", "0 bit", "24.58 kbit", "3e-10",
    ]  # fmt: skip


def test_debits_are_filtered_by_what_is_typed(qtbot, page):
    debits = (
        payloads.debit(), payloads.debit(t=payloads.NOW, purpose="oblivious transfer 3", pair="A-C", key_id="abc-1", bits=512),
        payloads.debit(t=payloads.NOW - 90, purpose="learning round 3", key_id=""),
    )  # fmt: skip
    page.redraw("stores", payloads.store_states(debits=debits))
    page.filter_field()
    QApplication.processEvents()
    table, field = control(page, "Debits", Table), control(page, "Filter of the debits", QLineEdit)
    assert [row[4] for row in cells(table)] == ["oblivious transfer 3", "learning round 4", "learning round 3"]

    qtbot.keyClicks(field, "learn A-B")
    assert [row[4] for row in cells(table)] == ["learning round 4", "learning round 3"]
    assert cells(table)[1][5] == "several"
    assert "Debits shown: 2 of 3 debits, 49.15 kbit of key" in page.texts()

    field.clear()
    qtbot.keyClicks(field, "abc-1")
    assert [row[4] for row in cells(table)] == ["oblivious transfer 3"]


def test_a_purpose_is_told_as_it_stands_in_the_ledger_and_key_that_both_parties_booked_counts_once(page):
    purpose = "qunetqfl run 1795223456423 round 0 masks"
    debits = tuple(payloads.debit(party=party, purpose=purpose, bits=bits) for party, bits in (("A", 8192), ("B", 8192), ("B", 512)))
    stores = payloads.store_states(debits=debits)
    page.redraw("stores", stores)

    assert {row[4] for row in cells(page.debits.table)} == {purpose}
    assert purpose in report(None, stores, mode="")
    assert "Debits shown: 3 of 3 debits, 8.704 kbit of key, counted once where both parties booked it" in page.texts()

    page.redraw("stores", payloads.store_states(debits=debits[:2]))
    assert "Debits shown: 2 of 2 debits, 8.192 kbit of key, each booked by both parties" in page.texts()


# Acts


def test_a_key_exchange_is_started_by_keys(qtbot, page, desk):
    desk.answers.replies["enqueue"] = 9
    control(page, "Procedure", QComboBox).setFocus()

    qtbot.keyClick(control(page, "Procedure", QComboBox), Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)

    (asked,) = desk.answers.of("enqueue")
    assert asked["procedure"] == "KeyExchange"
    assert asked["parameters"] == {"seconds": "1.0"}


def test_a_distillation_is_chosen_from_the_light_that_waits(page, desk):
    page.start.chooser._kept.clear()
    paths = ("/runs/b.h5", "/runs/a.h5")
    waits = payloads.parameter_form(name="run", label="Run file", kind="choice", default=paths[0], choices=paths, labels=("A-C: b", "A-B: a"))
    desk.answers.replies["procedures"] = (FORMS[0], payloads.procedure_form(name="Distil", title="Make key of a run", lane="worker", parameters=(waits,)))
    rows = (payloads.queue_row(job=3, procedure="KeyExchange"), payloads.queue_row(job=4, procedure="KeyExchange", path="/runs/gone.h5"))
    page.redraw("queue", QueueState(rows))

    page.redraw("queue", QueueState((replace(rows[0], state="done"), rows[1])))
    page.start.choose("Distil")
    QApplication.processEvents()

    runs = control(page, "Run file", QComboBox)
    assert [runs.itemText(at) for at in range(runs.count())] == ["A-C: b", "A-B: a"]
    runs.setCurrentIndex(1)
    page.enqueue()
    assert desk.answers.of("enqueue")[-1]["parameters"] == {"run": "/runs/a.h5"}
    page.start.chooser._kept.clear()


def test_an_exchange_is_paused_resumed_stopped_and_aborted(qtbot, page, desk):
    page.redraw("queue", QueueState((EXCHANGE,)))
    press(qtbot, page, "Pause")
    page.redraw("queue", QueueState((replace(EXCHANGE, state="paused"),)))
    press(qtbot, page, "Go on")
    press(qtbot, page, "Stop early")
    hold_down(qtbot, page, "Abort the run")

    assert [topic for topic, _ in desk.answers.asked if topic != "procedures"] == ["pause", "resume", "stop", "abort"]
    assert all(body == {"job": 9} for topic, body in desk.answers.asked if topic != "procedures")


def test_a_distillation_can_be_aborted_alone(page):
    page.redraw("queue", QueueState((replace(EXCHANGE, procedure="Distil", lane="worker"),)))

    assert not control(page, "Pause").isEnabled()
    assert not control(page, "Stop early").isEnabled()
    assert control(page, "Abort the run").isEnabled()


def test_runs_of_other_pages_are_left_alone(page):
    page.redraw("queue", payloads.queue_state(rows=(payloads.queue_row(),)))

    assert control(page, "Run: idle", Badge)
    assert not control(page, "Abort the run").isEnabled()


def test_the_report_is_written_where_the_operator_says(qtbot, page, desk, tmp_path):
    path = tmp_path / "report.md"
    qtbot.keyClick(page, Qt.Key.Key_E, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier)
    (dialog,) = [one for one in page.findChildren(QFileDialog) if one.isVisible()]
    assert not dialog.isModal()
    page.export_report()
    assert [one for one in page.findChildren(QFileDialog) if one.isVisible()] == [dialog], "a second press brings the same dialog up"
    name = dialog.findChild(QLineEdit)

    name.setText(str(path))
    qtbot.keyClick(name, Qt.Key.Key_Return)

    text = path.read_text(encoding="utf-8")
    assert "Bench: SIMULATED" in text
    assert "| A-B | 6 |" in text
    assert "learning round 4" in text
    assert f"Written: {path}" in desk.notices


@pytest.mark.parametrize(
    ("ending", "begins"), [("html", "<!DOCTYPE html>"), ("csv", "pair,block,run,made_utc"), ("md", "# Key exchange"), ("", "# Key exchange")]
)
def test_the_ending_says_how_the_report_is_written(qtbot, page, tmp_path, ending, begins):
    page.export_report()
    (dialog,) = [one for one in page.findChildren(QFileDialog) if one.isVisible()]
    name = dialog.findChild(QLineEdit)
    name.setText(str(tmp_path / f"report.{ending}".rstrip(".")))
    qtbot.keyClick(name, Qt.Key.Key_Return)
    (path,) = tmp_path.glob("report*")
    assert path.suffix == f".{ending or 'md'}"
    assert path.read_text(encoding="utf-8").startswith(begins)


def test_the_kind_that_is_chosen_gives_the_ending(page):
    page.export_report()
    (dialog,) = [one for one in page.findChildren(QFileDialog) if one.isVisible()]
    assert dialog.nameFilters() == ["Markdown (*.md)", "Page of HTML (*.html)", "Blocks as CSV (*.csv)"]
    dialog.filterSelected.emit("Blocks as CSV (*.csv)")
    assert dialog.defaultSuffix() == "csv"
    dialog.close()


def test_a_page_of_the_report_holds_no_markup_of_others():
    block = payloads.block_figures(run="<script>", provenance="simulated: <b>light</b> & more")
    text = report_html(payloads.key_progress(blocks=(block,)), payloads.store_states(), mode="SIMULATED")
    assert "<script>" not in text
    assert "&lt;b&gt;light&lt;/b&gt; &amp; more" in text
    assert "<title>Key exchange, SIMULATED</title>" in text


def test_blocks_as_csv_have_all_their_digits_and_say_what_the_bench_is():
    block = payloads.block_figures(qber_x=0.012345678901234567, f_ec=None, provenance='simulated: a, "b"')
    rows = list(csv.DictReader(io.StringIO(report_csv(payloads.key_progress(blocks=(block, block)), mode="SIMULATED"))))
    assert len(rows) == 2
    assert float(rows[0]["qber_x"]) == block.qber_x
    assert (rows[0]["f_ec"], rows[0]["provenance"], rows[0]["bench"], rows[0]["source"]) == ("", block.provenance, "SIMULATED", "live")
    assert float(rows[0]["epsilon"]) == sum(block.epsilons.values())
    assert report_csv(None, mode="").count("\n") == 1


def test_a_report_that_cannot_be_written_is_a_notice(page, desk, tmp_path):
    page.export_report()
    (dialog,) = [one for one in page.findChildren(QFileDialog) if one.isVisible()]

    dialog.fileSelected.emit(str(tmp_path / "none" / "report.md"))
    dialog.reject()

    assert "cannot be written" in desk.notices[0]


def test_a_replayed_report_says_so():
    assert "replayed" in report(payloads.key_progress(source="replay"), None, mode="SIMULATED")


# The page


def test_another_panel_is_one_line(qtbot, desk, monkeypatch):
    class Links:
        NAME, TOPICS = "Links", frozenset({"links"})

        def __init__(self, desk):
            self.label = QLabel("nothing")

        def widget(self):
            return self.label

        def redraw(self, topic, payload):
            self.label.setText(payload)

    monkeypatch.setattr(Key, "MORE", (Links,))
    other = Key(desk)
    qtbot.addWidget(other)

    assert "links" in other.TOPICS
    assert "links" not in Key.TOPICS
    other.redraw("links", "A to B: good")

    assert [one.text() for one in other.findChildren(QLabel)].count("A to B: good") == 1
    assert [dock.windowTitle() for dock in other.panels()].count("Links") == 1


def test_a_lost_owner_greys_everything(page):
    page.stale(True)

    assert all(summary(page, name).endswith("stale") for name in ("QBER", "Gain", "Key rate"))
    assert control(page, "Key stores, stale", Table)


@pytest.mark.parametrize("name, scale", whole_pages.LOOKS)
def test_nothing_is_cut_off_at_any_text_size(page, qapp, name, scale):
    whole_pages.look(page, qapp, name, scale, {"queue": QueueState((EXCHANGE,))})


def test_drawing_stays_within_its_budget(page):
    def draw(at):
        blocks = (*BLOCKS, payloads.block_figures(block=7, qber_x=0.008 + 1e-5 * at))
        page.redraw("key", payloads.key_progress(blocks=blocks, progress=0.01 * at, events=at, limits={"qber": 0.03}))
        page.redraw("stores", payloads.store_states(stores=(payloads.store_state(spendable=100_000 + at),)))

    assert least_median_s(draw, 0.025) <= 0.025


def test_the_visibility_of_each_user_of_the_pair_is_told_or_why_it_is_not_known(page):
    stale = payloads.calibration_state(name="pm_c-fringe", user="C", state="stale", text="it is too old", visibility=0.9712)
    unknown = payloads.calibration_state(name="pm_b-fringe", user="B", state="missing", text="there is no such calibration", visibility=None, taken=0.0)
    scans = (payloads.calibration_state(), unknown, stale)
    page.desk.inject("station", payloads.station_state(calibrations=scans))
    taken = words.clock(payloads.NOW - 3600, date=True)

    told = []
    for pair in ("A-B", "B-C", "A-D"):
        page.desk.inject("key", payloads.key_progress(pair=pair))
        page.redraw("key", page.desk.latest("key"))
        told.append(page.stage.visibility.text())

    assert told[0] == f"A 98.6(2) %, {taken}; B -, not measured yet"
    assert told[1] == f"B -, not measured yet; C 97.1(2) %, {taken}, stale"
    assert told[2].endswith("; D -, this station has no phase scan of this user")
    page.desk.set_replaying("run-1")
    assert page.stage.visibility.text() == "-, it is not in a run file"
    page.desk.set_replaying("")
