"""A desk without an owner: payloads are injected, what is asked is kept."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QCoreApplication, QEvent, QSettings
from PySide6.QtWidgets import QApplication

from heliograph.core.errors import HeliographError
from heliograph.gui import guarded, launching, theme
from heliograph.gui.desk import Desk, Passing

from ..control.owned import quick


class Answers:
    """An owner made of answers: `asked` keeps every request; `replies` has by topic a reply, an error to raise, or a function of the body."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any]] = []
        self.replies: dict[str, Any] = {}

    def ask(self, topic: str, body: Any = None, *, timeout_s: float | None = 2.0) -> Any:
        self.asked.append((topic, body))
        reply = self.replies.get(topic)
        if isinstance(reply, Exception):
            raise reply
        return reply(body) if callable(reply) else reply

    def of(self, topic: str) -> list[Any]:
        """Return the bodies of all requests of a topic."""
        return [body for asked, body in self.asked if asked == topic]


class OfflineDesk(Desk):
    """A desk whose owner is `answers`; `ask` is answered before it returns. `notices` keeps what it was told."""

    def __init__(self, settings: QSettings) -> None:
        self.answers = Answers()
        super().__init__(self.answers, settings=settings, threads=False)
        self.notices: list[str] = []
        self.noticed.connect(lambda what: self.notices.append(str(what)))
        self.set_control(True)

    def notice(self, what: HeliographError | str | Passing) -> None:
        super().notice(what)


@pytest.fixture(params=["light"])
def appearance(request: pytest.FixtureRequest, qapp: QApplication) -> Iterator[str]:
    """Name of the theme that is applied; parametrise indirectly for others."""
    name: str = request.param
    font = qapp.font()
    qapp.setStyle("Fusion")
    theme.apply(qapp, theme.THEMES[name])
    yield name
    qapp.setFont(font)
    qapp.setStyleSheet("")


@pytest.fixture
def desk(tmp_path: Path, qapp: QApplication, appearance: str) -> Iterator[OfflineDesk]:
    """A desk that controls a bench which is not there; see `OfflineDesk`."""
    made = OfflineDesk(QSettings(str(tmp_path / "window.ini"), QSettings.Format.IniFormat))
    yield made
    made.close()


@pytest.fixture
def drawn(qtbot: Any) -> Callable[..., Any]:
    """Show a page and redraw it from payloads: `drawn(page, station=payload, ...)`."""

    def draw(page: Any, **payloads: Any) -> Any:
        qtbot.addWidget(page)
        page.resize(1200, 800)
        page.show()
        for topic, payload in payloads.items():
            page.desk.inject(topic, payload)
            page.redraw(topic, payload)
        QApplication.processEvents()
        return page

    return draw


@pytest.fixture(scope="session", autouse=True)
def _owners_do_not_wait() -> Iterator[None]:
    """Let owners that a window starts arm quickly."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(launching, "_command", lambda *words: [*quick(*words), "--json"])
        yield


_frozen: list[bool] = []


@pytest.fixture(autouse=True)
def _no_leftovers(request: pytest.FixtureRequest, qapp: QApplication) -> Iterator[None]:
    """Let the widgets of a test die with it, in the main thread: pyqtgraph's items are bound in cycles."""
    if not _frozen:
        # What modules hold is not looked at again for every test.
        gc.collect()
        gc.freeze()
        _frozen.append(True)
    yield
    if "qtbot" in request.fixturenames:
        # Widgets that are to be deleted wait for an event loop, which no test runs; pages that stay make every later one slower.
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
        gc.collect()


@pytest.fixture
def display_errors(request: pytest.FixtureRequest) -> bool:
    """Allow widgets of this test not to be able to draw what they are given."""
    return True


@pytest.fixture(autouse=True)
def _nothing_fails_to_be_drawn(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A widget catches what goes wrong in it, which must not hide it from a test."""
    errors: list[Exception] = []
    if "display_errors" not in request.fixturenames:
        mark = guarded.mark
        monkeypatch.setattr(guarded, "mark", lambda widget, error: (errors.append(error), mark(widget, error)))
    yield
    if errors:
        raise errors[0]


@pytest.fixture
def window(qtbot: Any, desk: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A window around `frames.PAGES` that believes it is connected to a station."""
    from heliograph.gui import hold, safe
    from heliograph.gui.window import Window

    from .frames import PAGES, Presses

    # One second is tested where the button is.
    monkeypatch.setattr(hold, "HOLD_MS", 100)
    monkeypatch.setattr(safe, "HOLD_MS", 100)
    desk._threads = True
    desk.settings.setValue("appearance/theme", "light")
    made = Window(desk, pages=PAGES)
    desk.station = tmp_path / "station.toml"
    made.safety.guard = Presses()  # type: ignore[assignment]
    desk.set_connected(True)
    qtbot.addWidget(made, before_close_func=lambda one: one.leave())
    made.resize(1200, 800)
    made.show()
    made.tabs.show()
    made.show_page("rates")
    made.activateWindow()
    qtbot.waitUntil(made.isActiveWindow)
    return made
