"""The Learning page as a person uses it: rounds, clients, key, the jobs of quantum processors, and what can be asked for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QComboBox, QProgressBar

from heliograph.control.topics import QueueState
from heliograph.gui.badges import Badge
from heliograph.gui.figures.costs import money
from heliograph.gui.pages.learning import Learning
from heliograph.gui.plots import Chart
from heliograph.gui.tables import Table

from . import payloads, whole_pages
from .finding import control, least_median_s, press
from .finding import hold as hold_down

ROUNDS = payloads.parameter_form(name="rounds", label="Rounds", kind="integer", unit="", default="20", low=1, high=100)
FORMS = (payloads.procedure_form(name="Learn", title="Learn to tell two digits apart", lane="worker", parameters=(ROUNDS,)), payloads.procedure_form())
LIVE = {"learning": payloads.learning_progress(), "qpu": payloads.qpu_jobs(), "queue": QueueState(())}
LEARN = payloads.queue_row(job=4, procedure="Learn", lane="worker", progress=0.15, eta_s=100.0)


@pytest.fixture(scope="module")
def made(qapp, tmp_path_factory):
    with whole_pages.kept(Learning, qapp, tmp_path_factory.mktemp("window"), (1440, 900), FORMS) as page:
        yield page


@pytest.fixture
def page(made, monkeypatch):
    """The page as it is after a quiet moment: three rounds done, nothing asked yet."""
    whole_pages.quieten(made, FORMS, LIVE, monkeypatch)
    return made


@pytest.fixture
def desk(page):
    return page.desk


def summary(page, name):
    return control(page, name, Chart).summary()


def cells(table):
    return [[table.model_of_rows.cell(at, column).text for column in range(len(table.model_of_rows.columns))] for at in range(len(table.model_of_rows.rows))]


def test_the_task_is_told_in_words(page):
    texts = page.texts()

    for wanted in ("Task: digits 3 and 9", "Round: 3 of 20", "Accuracy of the shared model: 87.0 %", "Loss of the shared model: 0.420"):
        assert wanted in texts
    assert "Rounds left in the store: 8 in the store" in texts
    assert control(page, "Learning: running", Badge)
    assert control(page, "Progress of the rounds", QProgressBar).value() == 3


@pytest.mark.parametrize(
    "equal, word, text", [(None, "unknown", "not compared"), (True, "good", "equal to the plain sums, word for word"), (False, "fault", "NOT equal")]
)
def test_whether_the_masked_sums_were_checked_is_told(page, equal, word, text):
    page.redraw("learning", payloads.learning_progress(unmasked_equal=equal))

    assert control(page, f"Masked sums: {word}", Badge)
    assert any(text in one for one in page.texts())


def test_simulated_keys_are_told_from_real_ones(page):
    assert control(page, "Keys and data: simulated", Badge)

    page.redraw("learning", payloads.learning_progress(simulated=False))

    assert control(page, "Keys and data: real", Badge)


def test_loss_and_accuracy_of_the_shared_model_and_of_every_client_are_drawn(page):
    assert summary(page, "Accuracy").startswith("shared model 87.0 %, range 55.0 % to 87.0 %; client A 88.0 %")
    assert summary(page, "Loss").startswith("shared model 0.420, range 0.420 to 0.690; client A 0.410")


def test_loss_falls_as_rounds_come(page):
    page.redraw("learning", payloads.learning_progress(round=4, loss=np.array([0.69, 0.53, 0.42, 0.33]), accuracy=np.array([0.55, 0.77, 0.87, 0.91])))

    assert "Loss of the shared model: 0.330" in page.texts()
    _, rows = control(page, "Loss", Chart).table()
    assert [row[2] for row in rows if row[0] == "shared model"] == ["0.69", "0.53", "0.42", "0.33"]


def test_of_many_clients_four_are_drawn_and_all_stand_in_the_table(page):
    clients = tuple(payloads.client_figures(name=f"C{number}") for number in range(9))

    page.redraw("learning", payloads.learning_progress(clients=clients))

    assert len(page.accuracy._curves) == 5
    assert len(cells(control(page, "Clients", Table))) == 9


def test_a_client_that_has_said_nothing_yet_has_no_figures(page):
    silent = payloads.client_figures(name="C", present=False, loss=np.array([]), accuracy=np.array([np.nan]), samples=0)

    page.redraw("learning", payloads.learning_progress(clients=(silent,)))

    assert cells(control(page, "Clients", Table)) == [["C", "absent", "0", "-", "-"]]


def test_key_of_every_round_and_pair_is_told_and_tabled(page):
    assert summary(page, "Key by round") == "A-B 73.73 kbit in 3 rounds, last 24.58 kbit; A-C 73.73 kbit in 3 rounds, last 24.58 kbit"
    titles, rows = control(page, "Key by round", Chart).table()
    assert titles == ["round", "A-B (bit)", "A-C (bit)"]
    assert rows[2] == ["3", "24\u2009576", "24\u2009576"]


def test_pairs_that_are_behind_are_stacked_on_what_is_there(page):
    page.redraw("learning", payloads.learning_progress(key_bits={"A-B": np.array([10, 20]), "A-C": np.array([5])}))

    bars = page.key._bars["A-C"].opts
    assert list(bars["y0"]) == [10, 20]
    assert list(bars["height"]) == [5, 0]


def test_before_the_first_round_the_charts_are_empty(page):
    empty = np.array([])
    page.redraw("learning", payloads.learning_progress(round=0, loss=empty, accuracy=empty, clients=(), key_bits={}, rounds_left=None, state="starting"))

    assert summary(page, "Accuracy") == "no data yet"
    assert summary(page, "Key by round") == "no round yet"
    assert "Rounds left in the store: -" in page.texts()


def test_a_run_that_failed_says_why(page):
    page.redraw("learning", payloads.learning_progress(state="failed", why="client C: no answer in 30 s"))
    QApplication.processEvents()

    assert control(page, "Learning: failed", Badge)
    assert "client C: no answer in 30 s" in page.texts()


def test_jobs_are_told_with_position_shots_and_cost(page):
    jobs = (
        payloads.qpu_job_state(state="QUEUED"),
        payloads.qpu_job_state(job="cd34", state="COMPLETED", position=None, submitted=payloads.NOW - 200, cost=0.0004),
    )
    page.redraw("qpu", payloads.qpu_jobs(jobs=jobs, spent=1.2504))

    rows = cells(control(page, "QPU jobs", Table))
    assert [row[:6] for row in rows] == [
        ["ab12", "local", "QUEUED", "2", "4\u2009096", "1.25 USD"],
        ["cd34", "local", "COMPLETED", "-", "4\u2009096", "0.0004 USD"],
    ]
    assert "Cost so far: 1.25 USD, cap 20.00 USD" in page.texts()
    assert control(page, "Cost so far of the cap", QProgressBar).value() == 63


def test_without_a_cap_there_is_no_bar(page):
    page.redraw("qpu", payloads.qpu_jobs(cap=None))

    assert "Cost so far: 2.50 USD, no cap" in page.texts()
    assert not page.qpu.bar.isVisible()


def test_money_is_rounded_as_money_is():
    assert [money(amount, "USD") for amount in (0.0, 1.0, 0.00042, 12.345)] == ["0.00 USD", "1.00 USD", "0.00042 USD", "12.35 USD"]


def test_learning_is_started_by_keys_and_aborted_by_holding(qtbot, page, desk):
    desk.answers.replies["enqueue"] = 4
    rounds = control(page, "Rounds")
    rounds.setFocus()
    rounds.selectAll()
    qtbot.keyClicks(rounds, "12")
    qtbot.keyClick(control(page, "Procedure", QComboBox), Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    (asked,) = desk.answers.of("enqueue")
    assert (asked["procedure"], asked["parameters"]) == ("Learn", {"rounds": "12"})

    page.redraw("queue", QueueState((LEARN,)))
    hold_down(qtbot, page, "Abort the run")

    assert desk.answers.of("abort") == [{"job": 4}]


def test_learning_is_paused_after_a_round_goes_on_and_is_stopped_early(qtbot, page, desk):
    page.redraw("queue", QueueState((LEARN,)))
    press(qtbot, page, "Pause")
    page.redraw("queue", QueueState((replace(LEARN, why="pauses after this round"),)))
    assert "Job: Learn, job 4: pauses after this round" in page.texts()

    page.redraw("queue", QueueState((replace(LEARN, state="paused"),)))
    page.redraw("learning", payloads.learning_progress(state="paused"))
    assert control(page, "Learning: paused", Badge)
    press(qtbot, page, "Go on")
    press(qtbot, page, "Stop early")

    assert [asked for asked in desk.answers.asked if asked[0] != "procedures"] == [(topic, {"job": 4}) for topic in ("pause", "resume", "stop")]


def test_what_has_ended_is_neither_paused_nor_stopped(page):
    page.redraw("queue", QueueState((replace(LEARN, state="done", progress=1.0),)))

    assert not control(page, "Pause").isEnabled()
    assert not control(page, "Stop early").isEnabled()


def test_a_waiting_run_can_be_taken_back(page):
    page.redraw("queue", QueueState((replace(LEARN, state="queued", progress=0.0),)))

    assert control(page, "Abort the run").isEnabled()


@pytest.mark.parametrize("name, scale", whole_pages.LOOKS)
def test_nothing_is_cut_off_at_any_text_size(page, qapp, name, scale):
    whole_pages.look(page, qapp, name, scale, {"queue": QueueState((LEARN,))})


def test_drawing_stays_within_its_budget(page):
    def draw(at):
        loss, key = np.linspace(0.9, 0.5, at + 1), {"A-B": np.full(at + 1, 576)}
        page.redraw("learning", payloads.learning_progress(round=at + 1, rounds=60, loss=loss, key_bits=key))
        page.redraw("qpu", payloads.qpu_jobs(spent=0.1 * at))

    assert least_median_s(draw, 0.035) <= 0.035


def test_the_menu_leads_to_the_field_of_a_new_cap(page):
    (action,) = [one for one in page.menu_actions() if "cap" in one.text()]
    assert action.shortcut().toString() == "Ctrl+Shift+U"
    action.trigger()
    assert QApplication.focusWidget() is page.qpu.change.edit
