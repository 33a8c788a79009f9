"""Starting the window, and ending it: by its own doing, Ctrl-C, or after a while."""

from __future__ import annotations

import gc
import logging
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from PySide6.QtCore import QLocale, QTimer
from PySide6.QtGui import QFontDatabase
from PySide6.QtWidgets import QApplication

from ..core.credentials import hidden_of, hide_in, no_secrets
from ..core.errors import BenchError, DependencyMissing, HeliographError
from . import launching, layout
from .desk import Desk
from .early_signals import Signals
from .window import Window

log = logging.getLogger(__name__)


def application() -> QApplication:
    """Return Qt's application, made where there is none: Fusion everywhere, numbers with a point. Raises DependencyMissing without any font."""
    QLocale.setDefault(QLocale.c())
    found = QApplication.instance()
    app = found if isinstance(found, QApplication) else QApplication(["heliograph"])
    app.setApplicationName("heliograph")
    app.setApplicationDisplayName("Heliograph")
    app.setStyle("Fusion")
    if not QFontDatabase.families():
        raise DependencyMissing("no font is installed, so no text could be seen", where="window", remedy="On Debian: apt-get install fonts-dejavu-core")
    return app


@dataclass(frozen=True, slots=True)
class Closed:
    """How a window ended.  station: that it showed last.  simulated: what its owner said of it, None if none was heard of.  failure: why it opened no bench."""

    station: Path | None
    simulated: bool | None
    failure: HeliographError | None


def run(
    station: Path | None, *, demo: bool = False, exit_after: float | None = None, folder: Path = launching.DEMO_FOLDER, signals: Signals | None = None
) -> Closed:
    """Show the window until it is closed.

    station: to attach to; its owner is started if it has none.  demo: the simulated bench of `folder`.  exit_after: seconds after which it closes by itself.
    signals: in force already; one that came before there is a window to close is left to the caller.  Raises DependencyMissing.
    """
    with ExitStack() as stack:
        return _shown(signals or stack.enter_context(Signals()), station, demo, exit_after, folder)


def _shown(signals: Signals, station: Path | None, demo: bool, exit_after: float | None, folder: Path) -> Closed:
    app = application()
    if signals.came_early():
        return Closed(None, None, None)
    app.setQuitOnLastWindowClosed(False)
    desk = Desk(settings=layout.settings())
    window = Window(desk, unwanted=signals.came_early)
    window.closed.connect(app.quit)
    _hear_exceptions(desk)
    # The window's clock lets Python look for signals ten times a second.
    signals.closes(lambda: QTimer.singleShot(0, window, window.close_now))
    if signals.came_early():
        window.close_now()
        return _left(window)
    window.show()
    if demo:
        window.opening.simulate(folder)
    elif station is not None:
        window.opening.open(station)
    if exit_after is not None:
        QTimer.singleShot(round(exit_after * 1000), window, window.close_now)
    # From here on the window's clock collects, in this thread.
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        app.exec()
    finally:
        signals.closes(None)
        closed = _left(window)
        gc.enable()
    return closed


def _left(window: Window) -> Closed:
    """Leave the bench, where that is still to be done; return how the window ended."""
    desk = window.desk
    told = desk.latest("station")
    window.leave()
    sys.excepthook = sys.__excepthook__
    return Closed(desk.station, told.mode != "HARDWARE" if told is not None else None, window.opening.failure)


def _hear_exceptions(desk: Desk) -> None:
    """Make a notice and a line in the log of what nobody caught; Qt goes on."""

    def told(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt | SystemExit):
            sys.__excepthook__(kind, error, trace)
            return
        # Whatever it was about, it must not tell what the window was started with.
        hide_in(error, hidden_of(no_secrets))
        log.error("not caught", exc_info=(kind, error, trace))
        desk.notice(BenchError(f"the window met an error of its own ({kind.__name__}: {error})", where="window", remedy="The rest goes on; please report it."))

    sys.excepthook = told
