"""The pages of the queue, the log and the runs with a real owner of the simulated bench behind them, by keys and mouse only."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QSettings, Qt
from PySide6.QtWidgets import QComboBox, QLineEdit

from heliograph.gui.connection import Connection
from heliograph.gui.desk import Desk
from heliograph.gui.pages.log import Log
from heliograph.gui.pages.run_queue import Queue
from heliograph.gui.pages.runs import Runs
from heliograph.gui.tick import Tick

from ..control.owned import owning
from .finding import control, press

PATIENCE_MS = 20_000


class Live:
    """Three pages at one desk, and the clock that draws them."""

    def __init__(self, qtbot, station, settings):
        self.qtbot = qtbot
        self.desk = Desk(settings=settings, station=station)
        self.connection = Connection(station, self.desk.mailbox, self._stands)
        self.desk.line = self.connection
        self.notices: list[str] = []
        self.desk.noticed.connect(lambda what: self.notices.append(str(what)))
        self.queue, self.log, self.runs = Queue(self.desk), Log(self.desk), Runs(self.desk)
        self.tick = Tick(self.desk, [self.queue, self.log, self.runs])
        for page in (self.queue, self.log, self.runs):
            qtbot.addWidget(page)
            page.resize(1280, 800)
            page.show()
        self.until(lambda: self.desk.controls)
        for page in (self.queue, self.log, self.runs):
            page.shown_first()

    def _stands(self, standing):
        self.desk.later(lambda: self.desk.set_control(standing.controls, standing.why))

    def until(self, condition):
        def met():
            self.tick.tick()
            return bool(condition())

        self.qtbot.waitUntil(met, timeout=PATIENCE_MS)

    def front(self, page):
        page.activateWindow()
        self.until(page.isActiveWindow)

    def states(self):
        state = self.desk.latest("queue")
        return {row.job: row.state for row in state.rows} if state is not None else {}

    def choose(self, table, at, column=2):
        self.qtbot.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, pos=table.visualRect(table.model().index(at, column)).center())

    def close(self):
        self.tick.stop()
        self.desk.close()
        self.connection.close()


@pytest.fixture
def live(qtbot, appearance, tmp_path):
    with owning(tmp_path) as station:
        made = Live(qtbot, station, QSettings(str(tmp_path / "window.ini"), QSettings.Format.IniFormat))
        yield made
        made.close()


def test_jobs_are_queued_edited_undone_run_replayed_and_reported(qtbot, live):
    queue, log, runs, desk = live.queue, live.log, live.runs, live.desk
    desk.ask("arm", timeout_s=15.0)
    live.front(queue)
    live.until(lambda: queue.composer.form is not None)
    assert control(queue, "Procedure", QComboBox).currentText() == "Count rates"
    duration = control(queue, "Duration")
    duration.setFocus()
    duration.selectAll()
    qtbot.keyClicks(duration, "0.5")
    press(qtbot, queue, "Stop after this")
    live.until(lambda: desk.latest("queue").held)
    press(qtbot, queue, "Add to the queue")
    live.until(lambda: list(live.states().values()) == ["queued"])
    press(qtbot, queue, "Add to the queue")
    live.until(lambda: len(live.states()) == 2)

    live.choose(queue.table, 1)
    second = queue.table.chosen()[0]
    qtbot.keyClick(queue.table, Qt.Key.Key_Up, Qt.KeyboardModifier.AltModifier)
    live.until(lambda: next(iter(live.states())) == second)
    qtbot.keyClick(queue.table, Qt.Key.Key_Delete)
    live.until(lambda: second not in live.states())
    desk.undo.undo()
    live.until(lambda: len(live.states()) == 2 and next(iter(live.states())) > second)

    live.until(lambda: desk.latest("safety")["state"] == "ARMED")
    press(qtbot, queue, "Go on with the queue")
    live.until(lambda: list(live.states().values()) == ["done", "done"])
    assert [queue.table.model_of_rows.cell(at, 3).text for at in (0, 1)] == ["done", "done"]

    live.front(log)
    note = control(log, "Note", QLineEdit)
    note.setFocus()
    qtbot.keyClicks(note, "cable of D2 swapped")
    qtbot.keyClick(note, Qt.Key.Key_Return)
    live.until(lambda: any(event.text == "cable of D2 swapped" for event in log.model.events))
    assert note.text() == ""
    assert any("CountRates" in event.text for event in log.model.events)

    live.front(runs)
    live.until(lambda: len(runs.list.runs) == 2)
    live.choose(runs.list.table, 0)
    live.until(runs.figures.bars.isVisible)
    assert dict(runs.details.facts.facts())["State"] == "done"
    control(runs, "Speed of the replay", QComboBox).setCurrentIndex(6)
    press(qtbot, runs, "Play the run")
    live.until(lambda: runs.replay.now is not None and runs.replay.now.over)
    assert runs.figures.bars.summary().startswith("replay, ")
    assert desk.latest("counts").source == "replay"
    press(qtbot, runs, "Back to live")

    press(qtbot, runs, "Repeat the run")
    live.until(lambda: len(live.states()) == 3)
    runs._show_report()
    press(qtbot, runs, "Make the report of the day")
    live.until(lambda: "cable of D2 swapped" in runs.day.text.toPlainText())
    assert runs.day.text.toPlainText().count("CountRates") >= 2
    assert live.notices == []
