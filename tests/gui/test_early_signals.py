"""Signals that come before the window is there: noted, acted on in order, and told to the caller."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QSettings, QTimer
from PySide6.QtWidgets import QApplication

from heliograph.gui import app, layout
from heliograph.gui.early_signals import NUMBERS, Signals
from heliograph.gui.pages import registry
from heliograph.gui.window import Window

from .frames import Other, Rates


@pytest.mark.parametrize(("number", "raised"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)])
@pytest.mark.parametrize("built", [False, True])
def test_a_signal_while_the_window_is_built_ends_it_in_order(
    qapp: QApplication, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, raised: type[BaseException], built: bool
) -> None:
    made: list[Window] = []

    def interrupted(desk: Any, **_rest: Any) -> Window:
        if not built:
            os.kill(os.getpid(), number)
        made.append(Window(desk, pages=[]))
        if built:
            os.kill(os.getpid(), number)
        return made[0]

    monkeypatch.setattr(app, "Window", interrupted)
    monkeypatch.setattr(layout, "settings", lambda: QSettings(str(tmp_path / "window.ini"), QSettings.Format.IniFormat))
    # Where the signal is not heard the window would stay.
    late = QTimer(singleShot=True, interval=20_000)
    late.timeout.connect(qapp.quit)
    late.start()
    before = [signal.getsignal(one) for one in NUMBERS]
    with Signals() as signals:
        closed = app.run(None, signals=signals)
    assert late.isActive()
    late.stop()

    assert closed.failure is None
    assert [window.isVisible() for window in made] == [False]
    assert [signal.getsignal(one) for one in NUMBERS] == before
    with pytest.raises(raised) as ended:
        signals.end_early()
    assert raised is KeyboardInterrupt or (isinstance(ended.value, SystemExit) and ended.value.code == 128 + number)
    made[0].deleteLater()


def test_no_more_pages_are_made_after_a_signal(qapp: QApplication, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Window] = []

    class Interrupted(Rates):
        def __init__(self, desk: Any) -> None:
            os.kill(os.getpid(), signal.SIGTERM)
            super().__init__(desk)

    monkeypatch.setattr(registry, "classes", lambda: [Rates, Interrupted, Other])
    monkeypatch.setattr(app, "Window", lambda *given, **named: made.append(Window(*given, **named)) or made[0])
    monkeypatch.setattr(layout, "settings", lambda: QSettings(str(tmp_path / "window.ini"), QSettings.Format.IniFormat))
    with Signals() as signals:
        app.run(None, signals=signals)

    assert [type(page) for page in made[0].pages] == [Rates, Interrupted]
    made[0].deleteLater()


def test_a_signal_closes_a_window_that_is_there() -> None:
    heard: list[str] = []
    with Signals() as signals:
        signals.closes(lambda: heard.append("closed"))
        os.kill(os.getpid(), signal.SIGTERM)
        signals.closes(None)
        signals.end_early()

    assert heard == ["closed"]
