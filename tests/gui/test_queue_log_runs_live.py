"""The pages with a real owner of the simulated bench behind them: queue, log and runs by keys and mouse, and what the others say of a run and of its replay."""

from __future__ import annotations

import re
import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import pytest
from PySide6.QtCore import QCoreApplication, QEvent, QSettings, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QComboBox, QLineEdit

from heliograph.control.topics import REPLAYED
from heliograph.gui import access, plots, theme
from heliograph.gui.connection import Connection
from heliograph.gui.desk import Desk
from heliograph.gui.pages.acquire import Acquire
from heliograph.gui.pages.key import Key
from heliograph.gui.pages.log import Log
from heliograph.gui.pages.run_queue import Queue
from heliograph.gui.pages.runs import Runs
from heliograph.gui.tick import Tick

from ..control.owned import owning
from .finding import control, press

PATIENCE_S = 60.0
QUIET_S = 0.6
"""After which nothing more comes of a run that is over."""


class Live:
    """Five pages at one desk, and the clock that draws them."""

    def __init__(self, station, settings):
        self.desk = Desk(settings=settings, station=station)
        self.connection = Connection(station, self.desk.mailbox, self._stands)
        self.desk.line = self.connection
        self.notices: list[str] = []
        self.desk.noticed.connect(lambda what: self.notices.append(str(what)))
        self.queue, self.log, self.runs = Queue(self.desk), Log(self.desk), Runs(self.desk)
        self.acquire, self.key = Acquire(self.desk), Key(self.desk)
        self.pages = [self.queue, self.log, self.runs, self.acquire, self.key]
        self.tick = Tick(self.desk, self.pages)
        for page in self.pages:
            page.resize(1280, 800)
            page.show()
        self.until(lambda: self.desk.controls)
        for page in self.pages:
            page.shown_first()

    def _stands(self, standing):
        self.desk.later(lambda: self.desk.set_control(standing.controls, standing.why))

    def until(self, condition):
        end = time.monotonic() + PATIENCE_S
        self.tick.tick()
        while not condition():
            assert time.monotonic() < end, "what was waited for did not come"
            QTest.qWait(20)
            self.tick.tick()
        # Widgets that were made by the last tick are shown by the event loop.
        QTest.qWait(20)

    def front(self, page):
        page.activateWindow()
        self.until(page.isActiveWindow)

    def states(self):
        state = self.desk.latest("queue")
        return {row.job: row.state for row in state.rows} if state is not None else {}

    def choose(self, table, at, column=2):
        place = table.visualRect(table.model().index(at, column)).center()
        QTest.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, place)

    def ended(self, procedure, **parameters):
        """Run a procedure and return the name of its run."""
        jobs = []
        body = {"procedure": procedure, "parameters": parameters, "purpose": "", "operator": "Ada", "seed": None}
        self.desk.ask("enqueue", body, then=jobs.append, timeout_s=10.0)
        self.until(lambda: jobs and self.states().get(jobs[0]) == "done")
        return Path(next(row.path for row in self.desk.latest("queue").rows if row.job == jobs[0])).name.rsplit("-p", 1)[0]

    def close(self):
        self.tick.stop()
        for page in self.pages:
            page.close()
            page.deleteLater()
        self.desk.close()
        self.connection.close()
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


def wait_for_tomorrow():
    """Let a day that is about to end be over: the report is of one day."""
    now = datetime.now().astimezone()
    left_s = 86_400 - (now - now.replace(hour=0, minute=0, second=0, microsecond=0)).total_seconds()
    if left_s < 100:
        time.sleep(left_s + 1)


@pytest.fixture(scope="module")
def live(qapp, tmp_path_factory):
    wait_for_tomorrow()
    folder = tmp_path_factory.mktemp("live")
    font = qapp.font()
    qapp.setStyle("Fusion")
    theme.apply(qapp, theme.LIGHT)
    with owning(folder) as station, pytest.MonkeyPatch.context() as patch:
        # Charts say at once what they show, not once a second.
        patch.setattr(plots, "SUMMARY_S", 0.0)
        made = Live(station, QSettings(str(folder / "window.ini"), QSettings.Format.IniFormat))
        made.desk.ask("arm", timeout_s=15.0)
        yield made
        made.close()
    qapp.setFont(font)
    qapp.setStyleSheet("")


def test_jobs_are_queued_edited_undone_run_replayed_and_reported(qtbot, live):
    queue, log, runs, desk = live.queue, live.log, live.runs, live.desk
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


OF_A_RUN = {
    "acquire": ("Recording", "Count rates", "Rates over time", "Arrivals", "Coincidences", "Scan"),
    "key": ("Stage", "QBER", "Gain", "Key rate", "Last block"),
}
"""Panels that show a run. Not of it: the form of the next one with its queue, and what the stores hold now."""
OF_NOW = r"^replay, |, stale$|^Data: .*|(?<=^Visibility of each user: ).+"
"""What is of now and not of a run: whether it is a replay, how old it is, and what the calibrations say."""


def final_texts(page):
    """Return what a screen reader finds in the panels of a run."""
    panels = {dock.windowTitle(): dock.widget() for dock in page.panels()}
    return {name: [re.sub(OF_NOW, "", re.sub(OF_NOW, "", text)) for text in access.texts(panels[name])] for name in OF_A_RUN[page.NAME]}


def settle(live):
    """Wait until nothing more comes, and what came last is shown."""
    live.until(lambda: min(live.desk.age_s(topic) or 9.0 for topic in REPLAYED) > QUIET_S)


@pytest.mark.parametrize(
    ("procedure", "parameters", "pages"),
    [("CountRates", {"duration_s": "0.5"}, ["acquire"]), ("KeyExchange", {"pair": "A-B", "seconds": "0.6", "distil": "False"}, ["acquire", "key"])],
)
def test_a_replay_ends_with_the_texts_of_the_live_run(qtbot, live, procedure, parameters, pages):
    runs, shown = live.runs, [page for page in live.pages if page.NAME in pages]
    live.until(lambda: live.desk.latest("safety")["state"] == "ARMED")
    run = live.ended(procedure, **parameters)
    live.until(lambda: live.desk.latest("scan").run == run and live.desk.latest("scan").over and any(one.run == run for one in runs.list.runs.values()))
    settle(live)
    expected = [final_texts(page) for page in shown]

    runs.replay.choose(next(one for one in runs.list.runs.values() if one.run == run))
    control(runs, "Speed of the replay", QComboBox).setCurrentIndex(6)
    press(qtbot, runs, "Play the run")
    live.until(lambda: runs.replay.now is not None and runs.replay.now.over)
    with suppress(AssertionError):
        live.until(lambda: [final_texts(page) for page in shown] == expected)
    found, marked = [final_texts(page) for page in shown], [text for page in shown for text in access.texts(page)]
    press(qtbot, runs, "Back to live")

    assert found == expected
    assert "Data: replay" in marked
    # They are figures: rates with their range, the result, and of key what is needed.
    said = " ".join(text for texts in found for panel in texts.values() for text in panel)
    assert all(word in said for word in ("60 s range", "Measured for: 500 ms" if procedure == "CountRates" else "needed"))
