"""What a window without a bench shows; and the bar that leads a newcomer to the first light of the simulated one."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QFont
from PySide6.QtWidgets import QApplication, QFileDialog, QFrame, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from ..control.topics import StationState
from ..core.errors import HeliographError
from . import theme
from .badges import plain
from .desk import Desk
from .flow import Flow
from .hold import HoldButton
from .strip import operator

RECENT = "recent stations"
_MOST_RECENT = 5
_ARM_S = 90.0
_LIGHT_S = "120"
NOT_ARMED = "Count rates need an armed bench: arm it first (F7 leads to the button, hold it for a second)."


class Welcome(QWidget):
    """Two ways to a bench, and the stations that were open lately.  simulate, chosen: what the operator wants."""

    simulate = Signal()
    chosen = Signal(Path)

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self.setAccessibleName("Welcome")
        self._title = plain("Heliograph")
        self._says = plain("No bench is open in this window.", wrap=True)
        self._doing = plain(wrap=True)
        self._simulated = _large("&Simulated bench", "Start the simulated bench: three users, no hardware, in ./heliograph-demo")
        self._file = _large("&Open a station file…", "Open the bench that a station file describes")
        self._simulated.clicked.connect(self.simulate)
        self._file.clicked.connect(self.ask_for_file)
        self._recent_box = QVBoxLayout()
        column = QVBoxLayout()
        column.setSpacing(14)
        for widget in (self._title, self._says, self._simulated, self._told(self._simulated), self._file, self._told(self._file)):
            column.addWidget(widget)
        column.addLayout(self._recent_box)
        column.addWidget(self._doing)
        across = QHBoxLayout()
        across.addStretch(1)
        across.addLayout(column, 2)
        across.addStretch(1)
        outer = QVBoxLayout(self)
        outer.addStretch(1)
        outer.addLayout(across)
        outer.addStretch(2)
        self.setFocusProxy(self._simulated)
        self.retheme()
        self.show_recent()

    def _told(self, button: QPushButton) -> QLabel:
        return plain(button.accessibleDescription(), wrap=True)

    def show_recent(self) -> None:
        """List the stations that were open lately."""
        while (item := self._recent_box.takeAt(0)) is not None:
            if (widget := item.widget()) is not None:
                widget.deleteLater()
        for path in recent(self._desk):
            button = QPushButton(str(path).replace("&", "&&"))
            button.setAccessibleName(f"Open {path}")
            button.clicked.connect(lambda _checked=False, path=path: self.chosen.emit(path))
            self._recent_box.addWidget(button)

    def doing(self, text: str) -> None:
        """Say what is being done."""
        self._doing.setText(text)
        for button in (self._simulated, self._file):
            button.setEnabled(not text)

    def ask_for_file(self) -> None:
        """Let the operator choose a station file, in a dialog that hears the safe keys."""
        dialog = QFileDialog(self.window(), "Open a station file", str(self._desk.station or Path.cwd()), "Station files (*.toml);;All files (*)")
        dialog.setOption(QFileDialog.Option.DontUseNativeDialog)
        dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setModal(False)
        dialog.fileSelected.connect(lambda path: self.chosen.emit(Path(path)))
        dialog.show()

    def retheme(self) -> None:
        """Take the text size of now."""
        font = QFont(QApplication.font())
        font.setPointSizeF(font.pointSizeF() * 2)
        self._title.setFont(font)
        for button in (self._simulated, self._file):
            button.setMinimumHeight(2 * self.fontMetrics().height() + 12)


def _large(text: str, description: str) -> QPushButton:
    button = QPushButton(text)
    button.setAccessibleName(text.replace("&", "").replace("…", ""))
    button.setAccessibleDescription(description)
    return button


def recent(desk: Desk) -> list[Path]:
    """Return the stations that were open lately and are still there, the latest first."""
    stored = desk.settings.value(RECENT)
    named = stored if isinstance(stored, list) else [stored] if isinstance(stored, str) else []
    return [Path(one) for one in named if isinstance(one, str) and Path(one).is_file()][:_MOST_RECENT]


def remember(desk: Desk, station: Path) -> None:
    """Put a station at the head of those that were open lately."""
    known = [str(path) for path in recent(desk) if path != station]
    desk.settings.setValue(RECENT, [str(station), *known][:_MOST_RECENT])


class FirstLight(QFrame):
    """Two steps from a simulated bench that is safe to live count rates. It goes when they are done, or when it is put away."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._put_away = False
        self.setAccessibleName("First light")
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self._says = plain("First light: hold Arm for a second, then start the count rates.")
        self.arm = HoldButton("&1. Arm (hold)", "Arm")
        self.count = QPushButton("&2. Start count rates")
        self.count.setAccessibleName("Start count rates")
        self.not_now = QPushButton("Not now")
        self.not_now.setAccessibleName("Put the first steps away")
        flow = Flow(self, 10)
        flow.setContentsMargins(8, 4, 8, 4)
        for widget in (self._says, self.arm, self.count, self.not_now):
            flow.addWidget(widget)
        self.arm.held.connect(self._arm)
        self.count.clicked.connect(self._count)
        self.not_now.clicked.connect(self.put_away)
        self.hide()

    def put_away(self) -> None:
        """Do not show it again in this window."""
        self._put_away = True
        self.hide()

    def tick(self, changed: frozenset[str]) -> None:
        """Show itself on a simulated bench that this window controls, and on which nothing has been run."""
        if not changed & {"station", "safety", "queue"}:
            return
        station, safety, queue = (self._desk.latest(topic) for topic in ("station", "safety", "queue"))
        fresh = station is not None and station.mode == "SIMULATED" and self._desk.controls and not (queue and queue.rows)
        self.setVisible(fresh and not self._put_away)
        armed = safety is not None and safety["state"] == "ARMED"
        self.arm.setEnabled(safety is not None and safety["state"] == "SAFE")
        self.count.setEnabled(armed)
        self.count.setToolTip("" if armed else NOT_ARMED)

    def _arm(self) -> None:
        self.arm.setEnabled(False)
        self._say("Arming: bias on, then light…")
        self._desk.ask("arm", {}, lambda _: self._say("Armed. Start the count rates."), self._refused, _ARM_S)

    def _count(self) -> None:
        station: StationState = self._desk.latest("station")
        parameters = {"duration_s": _LIGHT_S} | ({"pair": station.pairs[0]} if station.pairs else {})
        body = {"procedure": "CountRates", "parameters": parameters, "purpose": "first light", "operator": operator(), "seed": None}
        self._desk.ask("enqueue", body, lambda _: self._desk.show_page("acquire"), self._refused)

    def _refused(self, error: HeliographError) -> None:
        self._say("First light: hold Arm for a second, then start the count rates.")
        self._desk.notice(error)
        self.arm.setEnabled(True)

    def _say(self, text: str) -> None:
        self._says.setText(text)
        self._desk.announce(text)

    def retheme(self) -> None:
        """Take the colours of another theme."""
        self.setPalette(theme.palette(theme.current()))
