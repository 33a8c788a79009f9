"""Notices: what happened, where, what to do; a bar that never asks for an answer, and a list of the earlier ones."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QKeySequence, QPainter, QPaintEvent, QShortcut
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from ..core.errors import HeliographError
from . import theme, words
from .badges import draw_shape, plain
from .desk import Passing
from .tables import Table

KEPT = 200


@dataclass(slots=True)
class Notice:
    """One notice; times: how often it came in a row.  about: what has to be settled for it to be over, empty where nothing has."""

    t: float
    what: str
    where: str = ""
    remedy: str = ""
    times: int = 1
    about: str = ""

    @classmethod
    def of(cls, what: HeliographError | str | Passing) -> Notice:
        """Return the notice of an error or a text."""
        if isinstance(what, Passing):
            made = cls.of(what.what)
            made.about = what.about
            return made
        if isinstance(what, HeliographError):
            return cls(time.time(), what.message, what.where, what.remedy)
        return cls(time.time(), str(what))

    @property
    def text(self) -> str:
        """Return all of it in one line."""
        told = f"{self.where}: {self.what}" if self.where else self.what
        repeated = f" (×{self.times})" if self.times > 1 else ""
        return f"{told}{repeated}. {self.remedy}".strip() if self.remedy else f"{told}{repeated}"

    def same(self, other: Notice) -> bool:
        """Say whether the other one says the same."""
        return (self.what, self.where, self.remedy) == (other.what, other.where, other.remedy)


class _Sign(QWidget):
    """The shape of a warning."""

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Draw it."""
        painter = QPainter(self)
        side = min(self.width(), self.height(), self.fontMetrics().height() + 4)
        draw_shape(painter, "triangle", QRectF(0, (self.height() - side) / 2, side, side), theme.current().warning)
        painter.end()


class Notices(QFrame):
    """The bar: the latest notice. `earlier` has all of them."""

    def __init__(self) -> None:
        super().__init__()
        self.setAccessibleName("Notice")
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self.earlier: deque[Notice] = deque(maxlen=KEPT)
        self._what, self._remedy = plain(wrap=True), plain(wrap=True)
        for label in (self._what, self._remedy):
            label.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Minimum)
        self._sign = _Sign()
        self._sign.setFixedWidth(self.fontMetrics().height() + 8)
        self._list: Table | None = None
        more, self.dismiss = QPushButton("Earlier notices"), QPushButton("&Dismiss")
        more.setAccessibleName("Show earlier notices")
        self.dismiss.setAccessibleName("Dismiss the notice")
        more.clicked.connect(self.show_earlier)
        self.dismiss.clicked.connect(self.hide)
        texts = QVBoxLayout()
        texts.addWidget(self._what)
        texts.addWidget(self._remedy)
        line = QHBoxLayout(self)
        line.addWidget(self._sign)
        line.addLayout(texts, 1)
        line.addWidget(more)
        line.addWidget(self.dismiss)
        self.hide()

    def tell(self, what: object) -> None:
        """Show a notice; one that comes again is counted."""
        notice = Notice.of(what if isinstance(what, HeliographError | Passing) else str(what))
        last = self.earlier[-1] if self.earlier else None
        if last is not None and last.same(notice):
            notice.times = self.earlier.pop().times + 1
        elif last is not None and isinstance(what, Passing) and what.instead and last.about == what.about:
            self.earlier.pop()
        self.earlier.append(notice)
        repeated = f" (×{notice.times})" if notice.times > 1 else ""
        self._put(self._what, (f"{notice.where}: {notice.what}" if notice.where else notice.what) + repeated)
        self._put(self._remedy, notice.remedy)
        self.setAccessibleDescription(notice.text)
        self.show()
        if self._list is not None:
            self._fill(self._list)

    def settle(self, about: str, text: str) -> None:
        """Mark what was told about something as over, and put it away if it is shown.  text: stands in place of what was to be done."""
        over = [one for one in self.earlier if one.about == about]
        for one in over:
            one.about, one.remedy = "", text
        if over and over[-1] is self.earlier[-1]:
            self.hide()
        if over and self._list is not None:
            self._fill(self._list)

    def _put(self, label: QLabel, text: str) -> None:
        label.setText(text)
        label.setVisible(bool(text))

    def show_earlier(self) -> QWidget:
        """Open the list of all notices."""
        window = QWidget(self, Qt.WindowType.Window)
        window.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        window.setWindowTitle("Notices")
        self._list = Table("Notices", [*("time", "where"), "what happened", "what to do"])
        self._list.retheme()
        self._fill(self._list)
        window.destroyed.connect(self._forget_list)
        QVBoxLayout(window).addWidget(self._list)
        QShortcut(QKeySequence("Ctrl+W"), window).activated.connect(window.close)
        window.resize(900, 360)
        window.show()
        self._list.setFocus()
        return window

    def _forget_list(self) -> None:
        self._list = None

    def _fill(self, table: Table) -> None:
        table.set_rows([(words.clock(one.t), one.where, one.what, one.remedy) for one in reversed(self.earlier)])

    def retheme(self) -> None:
        """Take the text size of now."""
        self._sign.setFixedWidth(self.fontMetrics().height() + 8)
        self.update()
