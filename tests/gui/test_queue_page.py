"""The Queue page as a person uses it: what it shows, what it asks for, what can be undone, and why a button is off."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QFont
from PySide6.QtWidgets import QAbstractButton, QComboBox, QLineEdit

from heliograph.control.topics import QueueRow, QueueState
from heliograph.core.errors import ParameterError
from heliograph.gui import hold, theme
from heliograph.gui.audit import audit
from heliograph.gui.pages.run_queue import Queue
from heliograph.gui.queueing import rows

from . import payloads
from .finding import clipped, control, press
from .finding import hold as hold_down

FORMS = (payloads.procedure_form(), payloads.procedure_form(name="KeyExchange", title="Exchange light"))
LATE = {"began": 0.0, "progress": 0.0, "state": "queued", "purpose": ""}


class Owner:
    """A queue as an owner keeps it, one of whose jobs is on."""

    def __init__(self, answers):
        on = payloads.queue_row()
        waits = [payloads.queue_row(job=job, procedure="KeyExchange", parameters={"pair": pair}, eta_s=80.0, **LATE) for job, pair in ((8, "A-B"), (9, "A-C"))]
        ended = payloads.queue_row(job=6, procedure="CountRates", state="done", progress=1.0, eta_s=None, ended=payloads.NOW - 20, path="/runs/six.h5")
        self.rows, self.last, self.held, self.policy = [ended, on, *waits], 9, "", False
        answers.replies |= {
            "procedures": FORMS, "enqueue": self.enqueue, "move": self.move, "remove": self.remove, "edit": self.edit, "duplicate": self.duplicate,
            "hold": lambda body: setattr(self, "held", body["why"]), "go_on": lambda _: setattr(self, "held", ""),
        }  # fmt: skip

    @property
    def state(self):
        return QueueState(tuple(self.rows), self.held, self.policy)

    @property
    def waiting(self):
        return [(row.procedure, row.parameters.get("pair", "")) for row in self.rows if row.state == "queued"]

    def at(self, job):
        return next(at for at, row in enumerate(self.rows) if row.job == job)

    def enqueue(self, body):
        self.last += 1
        self.rows.append(payloads.queue_row(job=self.last, procedure=body["procedure"], parameters=body["parameters"], **LATE))
        return self.last

    def duplicate(self, body):
        row = self.rows[self.at(body["job"])]
        return self.enqueue({"procedure": row.procedure, "parameters": row.parameters})

    def remove(self, body):
        return self.rows.pop(self.at(body["job"]))

    def move(self, body):
        row = self.rows.pop(self.at(body["job"]))
        waits = [at for at, one in enumerate(self.rows) if one.state == "queued"]
        self.rows.insert((waits or [len(self.rows)])[0] + body["to"], row)

    def edit(self, body):
        at = self.at(body["job"])
        self.rows[at] = replace(self.rows[at], parameters=body["parameters"])


@pytest.fixture
def owner(desk):
    return Owner(desk.answers)


@pytest.fixture
def page(desk, drawn, owner, monkeypatch, qtbot):
    monkeypatch.setattr(hold, "HOLD_MS", 40)
    made = drawn(Queue(desk), queue=owner.state)
    made.shown_first()
    made.activateWindow()
    qtbot.waitUntil(made.isActiveWindow)
    return made


@pytest.fixture
def turn(page, owner):
    """Let the page see what the owner has made of it."""

    def draw():
        page.desk.inject("queue", owner.state)
        page.redraw("queue", owner.state)

    return draw


@pytest.fixture
def choose(page, qtbot):
    """Select a job with the mouse."""

    def click(job):
        table = page.table
        at = table.model_of_rows.keys.index(job)
        qtbot.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, pos=table.visualRect(table.model_of_rows.index(at, 2)).center())

    return click


def cell(page, job, title):
    table = page.table.model_of_rows
    return table.cell(table.keys.index(job), [column.title for column in table.columns].index(title)).text


def why_not(page, name):
    button = control(page, name, QAbstractButton)
    assert not button.isEnabled()
    assert button.toolTip() == button.accessibleDescription()
    return button.toolTip().removeprefix("Not now: ")


# What is shown


def test_every_job_says_where_it_stands_and_why(page, owner, turn):
    owner.rows[1] = replace(owner.rows[1], state="suspended", why="QBER 6.2 % above 5 %")
    turn()

    assert [cell(page, 7, title) for title in ("Where", "Procedure", "State", "Progress", "Time left", "Why")] == [
        "bench", "Phase scan", "suspended", "25 %", "45 s", "QBER 6.2 % above 5 %",
    ]  # fmt: skip
    assert cell(page, 8, "Parameters") == "pair A-B"
    assert "State: suspended" in page.texts()


def test_ends_follow_each_other_and_stop_where_nobody_knows():
    now = 1000.0
    state = payloads.queue_state()
    unknown = payloads.queue_row(job=9, eta_s=None, **LATE)
    behind = payloads.queue_row(job=10, eta_s=5.0, **LATE)

    assert rows.ends(state, now) == {7: 1045.0, 8: 1125.0}
    assert rows.ends(replace(state, rows=(*state.rows, unknown, behind)), now) == {7: 1045.0, 8: 1125.0}
    assert rows.ends(replace(state, held="stopped"), now) == {7: 1045.0}
    assert rows.end_of(state, now).endswith("in 2 min 05 s")
    assert rows.end_of(replace(state, held="stopped"), now) == "nothing more is begun"


def test_what_waits_for_an_armed_bench_has_no_end_nor_what_stands_behind_it():
    now = 1000.0
    waits = payloads.queue_row(job=9, eta_s=5.0, **LATE, procedure="PhaseScan", why="waits until the bench is armed: laser is dark")
    behind = payloads.queue_row(job=10, eta_s=5.0, **{**LATE, "why": ""})
    state = replace(payloads.queue_state(), rows=(*payloads.queue_state().rows[:2], waits, behind))

    assert rows.ends(state, now) == {7: 1045.0}
    assert rows.end_of(state, now) == "its end is not known: Phase scan waits until the bench is armed"


def told_end(row: QueueRow, end_t: float | None, now: float) -> str:
    cell = rows.cells(row, end_t, now)[6]
    return cell if isinstance(cell, str) else cell.text


def test_an_end_on_another_day_is_told_with_its_date():
    now = time.mktime((2026, 11, 20, 12, 0, 0, 0, 0, -1))
    row = payloads.queue_row(job=9, eta_s=3 * 86400.0, **LATE)

    assert told_end(row, now + 3 * 86400.0, now) == "2026-11-23 12:00:00"
    assert told_end(row, now + 60.0, now) == "12:01:00"
    assert told_end(row, None, now) == "-"
    assert rows.end_of(replace(payloads.queue_state(), rows=(row,)), now) == "ends 2026-11-23 12:00:00, in 72 h 00 min"


def test_the_selected_job_is_told_in_full(page, choose):
    choose(6)

    facts = dict(page.job.facts())

    assert facts["Run file"] == "/runs/six.h5"
    assert facts["Procedure"] == "Count rates"


def test_what_has_ended_can_be_hidden(page, qtbot):
    press(qtbot, page, "Show what has ended")

    assert page.table.model_of_rows.keys == [7, 8, 9]


# Into the queue, and back


def test_a_job_is_added_by_keys_and_taken_out_again_by_undo(page, owner, desk, turn, qtbot):
    control(page, "Procedure", QComboBox).setFocus()
    qtbot.keyClicks(control(page, "Procedure", QComboBox), "Key")
    field = control(page, "Purpose", QLineEdit)
    field.setFocus()
    qtbot.keyClicks(field, "evening key")
    qtbot.keyClick(field, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)

    body = desk.answers.of("enqueue")[0]
    assert (body["procedure"], body["purpose"], body["parameters"]["pair"], body["seed"]) == ("KeyExchange", "evening key", "A-B", None)
    turn()
    assert [row.job for row in owner.rows] == [6, 7, 8, 9, 10]

    desk.undo.undo()
    assert [row.job for row in owner.rows] == [6, 7, 8, 9]
    desk.undo.redo()
    turn()
    assert owner.waiting[-1] == ("KeyExchange", "A-B")
    desk.undo.undo()
    assert [row.job for row in owner.rows] == [6, 7, 8, 9], "what was put in again has another number, and is still found"


def test_what_is_refused_is_said_at_its_field(page, owner, desk, qtbot):
    desk.answers.replies["enqueue"] = ParameterError("7200 s is too long", where="CountRates, duration_s", remedy="At most 3600 s.")

    press(qtbot, page, "Add to the queue")

    assert "7200 s is too long" in page.texts()
    assert control(page, "Duration").accessibleDescription() == "Not taken: 7200 s is too long"
    assert len(desk.notices) == 1
    assert not desk.undo.canUndo()


def test_jobs_change_places_by_button_and_key(page, owner, desk, turn, choose, qtbot):
    choose(9)
    assert why_not(page, "Move down") == "it is the last that waits"

    qtbot.keyClick(page.table, Qt.Key.Key_Up, Qt.KeyboardModifier.AltModifier)
    turn()
    assert [row.job for row in owner.rows] == [6, 7, 9, 8]
    assert why_not(page, "Move up") == "it is the first that waits"

    press(qtbot, page, "Move down")
    turn()
    assert [row.job for row in owner.rows] == [6, 7, 8, 9]
    desk.undo.undo()
    turn()
    desk.undo.undo()
    assert [row.job for row in owner.rows] == [6, 7, 8, 9]


def test_a_job_that_was_removed_comes_back_to_its_place(page, owner, desk, turn, choose, qtbot):
    owner.rows[owner.at(8)] = replace(owner.rows[owner.at(8)], operator="ana", seed=17, purpose="to compare")
    turn()
    choose(8)
    qtbot.keyClick(page.table, Qt.Key.Key_Delete)
    turn()
    assert owner.waiting == [("KeyExchange", "A-C")]

    desk.undo.undo()
    turn()
    (put_in,) = desk.answers.of("enqueue")
    assert (put_in["operator"], put_in["seed"], put_in["purpose"]) == ("ana", 17, "to compare")

    assert owner.waiting == [("KeyExchange", "A-B"), ("KeyExchange", "A-C")]
    assert [row.job for row in owner.rows] == [6, 7, 10, 9]
    desk.undo.redo()
    assert owner.waiting == [("KeyExchange", "A-C")]


def test_delete_in_a_field_deletes_a_letter_and_no_job(page, owner, choose, qtbot):
    choose(8)
    field = control(page, "Purpose", QLineEdit)
    field.setFocus()
    field.setText("why")
    field.setCursorPosition(0)

    qtbot.keyClick(field, Qt.Key.Key_Delete)

    assert field.text() == "hy"
    assert len(owner.waiting) == 2


def test_a_job_that_waits_is_edited_in_the_form(page, owner, desk, turn, choose, qtbot):
    choose(9)
    press(qtbot, page, "Edit the job")
    qtbot.wait(1)
    assert "Form: Changes of job 9, which waits" in page.texts()
    assert not control(page, "Procedure").isEnabled()
    pair = control(page, "Pair", QComboBox)
    assert pair.currentText() == "A-C"

    qtbot.keyClicks(pair, "B")
    press(qtbot, page, "Save changes")
    turn()

    assert owner.waiting[1] == ("KeyExchange", "B-C")
    assert control(page, "Add to the queue").isVisible()
    desk.undo.undo()
    assert owner.waiting[1] == ("KeyExchange", "A-C")


def test_a_job_that_begins_while_it_is_edited_is_left(page, owner, desk, turn, choose, qtbot):
    choose(8)
    press(qtbot, page, "Edit the job")

    owner.rows[2] = replace(owner.rows[2], state="running")
    turn()

    assert control(page, "Add to the queue").isVisible()
    assert desk.notices == ["Job 8 does not wait any more: its parameters stay what they were."]
    assert not desk.answers.of("edit")


def test_a_job_is_repeated_and_that_undone(page, owner, desk, turn, choose, qtbot):
    choose(6)
    press(qtbot, page, "Repeat the job")
    turn()
    assert owner.waiting[-1][0] == "CountRates"

    desk.undo.undo()

    assert len(owner.waiting) == 2


def test_an_edit_of_a_bench_that_is_gone_is_not_undone(page, owner, desk, turn, choose, qtbot):
    choose(8)
    press(qtbot, page, "Remove")
    desk.set_connected(True)
    desk.set_connected(False)

    desk.undo.undo()

    assert not desk.answers.of("enqueue")
    assert desk.notices == ["That edit belongs to a bench that is gone: nothing was changed."]


def test_another_page_fills_the_form(page, desk, qtbot):
    page.wish({"procedure": "CountRates", "parameters": {"points": "77", "pair": "B-C"}})

    press(qtbot, page, "Add to the queue")

    assert desk.answers.of("enqueue")[0]["parameters"]["points"] == "77"


# The run that is on


def test_the_run_is_paused_resumed_and_stopped(page, owner, desk, turn, choose, qtbot):
    choose(8)
    press(qtbot, page, "Pause the run")
    assert desk.answers.of("pause") == [{"job": 7}]

    owner.rows[1] = replace(owner.rows[1], state="paused")
    turn()
    qtbot.keyClick(page, Qt.Key.Key_P, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier)
    assert desk.answers.of("resume") == [{"job": 7}]
    press(qtbot, page, "Stop early")
    assert desk.answers.of("stop") == [{"job": 7}]


def test_abort_is_held_and_says_which_job(page, desk, qtbot):
    button = control(page, "Abort the job")
    assert button.text() == "Abor&t job 7 (hold)"

    press(qtbot, page, "Abort the job")
    assert not desk.answers.of("abort")
    hold_down(qtbot, page, "Abort the job")

    assert desk.answers.of("abort") == [{"job": 7}]


def test_work_that_is_done_in_one_piece_can_only_be_aborted(page, owner, desk, turn, choose, qtbot):
    owner.rows.insert(2, payloads.queue_row(job=20, lane="worker", procedure="Distil", state="running", parameters={}))
    turn()
    choose(20)

    assert why_not(page, "Pause the run") == "it is done in one piece, and can only be aborted"
    hold_down(qtbot, page, "Abort the job")
    assert desk.answers.of("abort") == [{"job": 20}]


def test_learning_is_paused_and_stopped_beside_the_bench(page, owner, desk, turn, choose, qtbot):
    owner.rows.insert(2, payloads.queue_row(job=20, lane="worker", procedure="Learn", state="running", parameters={}))
    turn()
    choose(20)

    press(qtbot, page, "Pause the run")
    press(qtbot, page, "Stop early")

    assert desk.answers.of("pause") == desk.answers.of("stop") == [{"job": 20}]


def test_the_queue_is_held_and_goes_on(page, owner, desk, turn, qtbot):
    qtbot.keyClick(page, Qt.Key.Key_L, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier)
    turn()
    assert "Queue: paused, held" in page.texts()
    assert "Held: stopped after this by the operator" in page.texts()

    press(qtbot, page, "Go on with the queue")
    turn()

    assert owner.held == ""
    assert "Queue: running, 2 wait" in page.texts()


def test_the_policy_shows_what_the_owner_confirmed(page, owner, desk, turn, qtbot):
    desk.answers.replies["policy"] = ParameterError("not now", where="queue")

    press(qtbot, page, "Go on after a failure")
    assert not page.acts.policy.isChecked()

    owner.policy = True
    turn()
    assert page.acts.policy.isChecked()


# Why not


def test_a_window_that_only_looks_on_says_why_at_every_button(page, desk, choose):
    choose(8)
    desk.set_control(False, "process 4 controls the bench")

    for name in ("Add to the queue", "Edit the job", "Remove", "Pause the run", "Abort the job", "Stop after this", "Duplicate the job"):
        assert why_not(page, name) == "process 4 controls the bench"


def test_what_cannot_be_done_with_a_job_says_why(page, choose):
    choose(7)
    assert why_not(page, "Remove") == "the job is running; only what waits can be changed"
    page.redraw("queue", QueueState(()))
    assert why_not(page, "Abort the job") == "nothing is on"
    assert why_not(page, "Duplicate the job") == "no job is selected"


def test_enter_goes_to_the_run_file(page, desk, choose, qtbot):
    wanted = []
    desk.page_wanted.connect(lambda name, wish: wanted.append((name, wish)))

    choose(6)
    qtbot.keyClick(page.table, Qt.Key.Key_Return)
    choose(8)
    qtbot.keyClick(page.table, Qt.Key.Key_Return)

    assert wanted == [("runs", "/runs/six.h5")]
    assert desk.notices == ["This job has no run file."]


def test_what_is_not_confirmed_says_that_it_is_stale(page):
    page.stale(True)
    assert {"Queue, stale", "Queue: running, 2 wait, stale"} <= set(page.texts())

    page.stale(False)
    assert not [text for text in page.texts() if text.endswith("stale")]


@pytest.mark.parametrize(("appearance", "percent"), [("light", 100), ("dark", 200)], indirect=["appearance"])
def test_nothing_is_cut_off(page, qapp, appearance, percent):
    larger = QFont(qapp.font())
    larger.setPointSizeF(larger.pointSizeF() * percent / 100)
    qapp.setFont(larger)
    page.resize(1440, 900)
    page.retheme()
    for _ in range(4):
        qapp.processEvents()

    assert clipped(page) == []
    assert audit(page) == []
    assert theme.current().name == appearance
