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
from heliograph.gui.window import Window


@pytest.mark.parametrize(("number", "raised"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)])
@pytest.mark.parametrize("built", [False, True])
def test_a_signal_while_the_window_is_built_ends_it_in_order(
    qapp: QApplication, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, raised: type[BaseException], built: bool
) -> None:
    made: list[Window] = []

    def interrupted(desk: Any) -> Window:
        if not built:
            os.kill(os.getpid(), number)
        made.append(Window(desk, pages=[]))
        if built:
            os.kill(os.getpid(), number)
        return made[0]

    monkeypatch.setattr(app, "Window", interrupted)
    monkeypatch.setattr(layout, "settings", lambda: QSettings(str(tmp_path / "window.ini"), QSettings.Format.IniFormat))
    # Where the signal is not heard the window would stay.
    QTimer.singleShot(3000, qapp.quit)
    before = [signal.getsignal(one) for one in NUMBERS]
    with Signals() as signals:
        closed = app.run(None, signals=signals)

    assert closed.failure is None
    assert [window.isVisible() for window in made] == [False]
    assert [signal.getsignal(one) for one in NUMBERS] == before
    with pytest.raises(raised) as ended:
        signals.end_early()
    assert raised is KeyboardInterrupt or (isinstance(ended.value, SystemExit) and ended.value.code == 128 + number)
    made[0].deleteLater()


def test_a_signal_closes_a_window_that_is_there() -> None:
    heard: list[str] = []
    with Signals() as signals:
        signals.closes(lambda: heard.append("closed"))
        os.kill(os.getpid(), signal.SIGTERM)
        signals.closes(None)
        signals.end_early()

    assert heard == ["closed"]
