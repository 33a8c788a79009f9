"""The station file, edited and checked here: text with line numbers, what is wrong at which line and what to do, and a save that keeps what was there."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QProcess, QRect, QSize, Qt, Signal
from PySide6.QtGui import QAction, QColor, QKeySequence, QPainter, QPaintEvent, QResizeEvent, QTextCursor, QTextFormat
from PySide6.QtWidgets import QFileDialog, QMessageBox, QPlainTextEdit, QPushButton, QTextEdit, QVBoxLayout, QWidget

from ..control.topics import StationState
from ..core.errors import HeliographError
from . import theme
from .badges import Badge, Value
from .desk import Desk
from .flow import Flow
from .guarded import guarded
from .hold import answer_by_hold
from .station_file import Checked, StationFile, checked
from .tables import monospaced


class _Numbers(QWidget):
    """The line numbers beside the text; the line of a fault carries a mark."""

    def __init__(self, text: TomlEdit) -> None:
        super().__init__(text)
        self._text = text

    def sizeHint(self) -> QSize:  # noqa: N802
        return QSize(self._text.numbers_width(), 0)

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        self._text.paint_numbers(self, event)


class TomlEdit(QPlainTextEdit):
    """Plain text with line numbers, one of which may be marked. Tab goes on to the next control: the file is indented with spaces, if at all."""

    def __init__(self) -> None:
        super().__init__()
        self.fault_line = 0
        self._numbers = _Numbers(self)
        self.setAccessibleName("Station file")
        self.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.setTabChangesFocus(True)
        self.blockCountChanged.connect(lambda _count: self._fit())
        self.updateRequest.connect(self._scrolled)
        self.retheme()

    def numbers_width(self) -> int:
        """Return the width of the margin with the numbers, pixels."""
        return self.fontMetrics().horizontalAdvance("9") * (len(str(max(1, self.blockCount()))) + 3)

    def _fit(self) -> None:
        self.setViewportMargins(self.numbers_width(), 0, 0, 0)

    def _scrolled(self, area: QRect, by: int) -> None:
        if by:
            self._numbers.scroll(0, by)
        else:
            self._numbers.update(0, area.y(), self._numbers.width(), area.height())

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Keep the numbers beside the text."""
        super().resizeEvent(event)
        inside = self.contentsRect()
        self._numbers.setGeometry(inside.left(), inside.top(), self.numbers_width(), inside.height())

    def paint_numbers(self, margin: QWidget, event: QPaintEvent) -> None:
        """Draw the numbers of the lines that can be seen."""
        now, painter = theme.current(), QPainter(margin)
        painter.fillRect(event.rect(), QColor(now.raised))
        painter.setFont(self.font())
        block, high = self.firstVisibleBlock(), self.fontMetrics().height()
        top = self.blockBoundingGeometry(block).translated(self.contentOffset()).top()
        while block.isValid() and top <= event.rect().bottom():
            number = block.blockNumber() + 1
            fault = number == self.fault_line
            painter.setPen(QColor(now.failure if fault else now.muted))
            room = QRect(0, round(top), margin.width() - self.fontMetrics().horizontalAdvance(" "), high)
            painter.drawText(room, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, f"▶{number}" if fault else str(number))
            top += self.blockBoundingRect(block).height()
            block = block.next()
        painter.end()

    def mark(self, line: int) -> None:
        """Mark the line of a fault and go there."""
        self.fault_line = line
        selection = QTextEdit.ExtraSelection()
        block = self.document().findBlockByNumber(min(line, self.blockCount()) - 1)
        self.setTextCursor(QTextCursor(block))
        ground = QColor(theme.current().failure)
        ground.setAlphaF(0.22)
        selection.format.setBackground(ground)
        selection.format.setProperty(QTextFormat.Property.FullWidthSelection, True)
        selection.cursor = self.textCursor()
        self.setExtraSelections([selection])
        self._numbers.update()

    def unmark(self) -> None:
        """Mark no line, and leave the cursor where it is."""
        self.fault_line = 0
        self.setExtraSelections([])
        self._numbers.update()

    def retheme(self) -> None:
        """Take the text size of now."""
        self.setFont(monospaced())
        self._fit()
        self._numbers.update()


class StationEditor(QWidget):
    """The panel.  saved: with the path, when the file was written."""

    saved = Signal(object)

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.desk = desk
        self.file: StationFile | None = None
        self._owner_sha256 = ""
        self._check: QProcess | None = None
        self._found: tuple[str, Checked] | None = None
        self._to_save = ""
        self._copy: tempfile.TemporaryDirectory[str] | None = None
        self.text = TomlEdit()
        self.path, self.told = Value("Station file", "no file is open"), Value("Check", "not checked yet")
        self.state = Badge("Station file", "idle", "not checked")
        for label in (self.path, self.told):
            label.setWordWrap(True)
        self.buttons = {name: self._button(text, name) for text, name in _BUTTONS}
        self._arrange()
        self.text.textChanged.connect(self._edited)
        self._allow()

    def _button(self, text: str, name: str) -> QPushButton:
        button = QPushButton(text)
        button.setAccessibleName(name)
        button.setAutoDefault(False)
        return button

    def _arrange(self) -> None:
        acts = (self._choose, self._reload, self.check, self.save)
        line = Flow()
        line.addWidget(self.state)
        for button, act in zip(self.buttons.values(), acts, strict=True):
            line.addWidget(button)
            button.clicked.connect(lambda _checked=False, act=act: act())
        save = QAction("Save the station file", self.text)
        save.setShortcut(QKeySequence.StandardKey.Save)
        save.setShortcutContext(Qt.ShortcutContext.WidgetShortcut)
        save.triggered.connect(lambda _checked=False: self.save())
        self.text.addAction(save)
        inside = QVBoxLayout(self)
        inside.setContentsMargins(4, 4, 4, 4)
        inside.addWidget(self.path)
        inside.addLayout(line)
        inside.addWidget(self.told)
        inside.addWidget(self.text, 1)

    # The file

    @guarded
    def show_station(self, station: StationState) -> None:
        """Note which station the owner works with; its file is opened if none is."""
        first = self.file is None and bool(station.path)
        self._owner_sha256 = station.sha256
        if first and Path(station.path).exists():
            self.open(Path(station.path))
        else:
            self._say_path()

    def open(self, path: Path) -> None:
        """Open a file; what was edited and not saved is kept until the operator says otherwise."""
        try:
            self.file = StationFile(path)
        except HeliographError as error:
            self.desk.notice(error)
            return
        self._fill()

    def _fill(self) -> None:
        if self.file is not None:
            self.text.setPlainText(self.file.text)
            self.text.document().setModified(False)
            self._edited()

    @property
    def edited(self) -> bool:
        """Say whether there is something to save."""
        return self.file is not None and self.text.toPlainText() != self.file.text

    def _edited(self) -> None:
        if self.text.fault_line:
            self.text.unmark()
        self.state.set_state("idle", "edited, not checked" if self.edited else "not checked")
        self.told.show_text("Check it before it is saved." if self.edited else "not checked yet")
        self._say_path()
        self._allow()

    def _say_path(self) -> None:
        if self.file is None:
            return
        told = f"{self.file.path}{', edited' if self.edited else ''}"
        if self._owner_sha256 and self.file.sha256 != self._owner_sha256:
            told += ". The bench still works with the station as it was: end its owner and start it again for this file to hold."
        self.path.show_text(told)

    def _allow(self) -> None:
        there = self.file is not None
        for name, button in self.buttons.items():
            button.setEnabled(name == "Open a station file" or (there and (self.edited or name != "Save the station file") and self._check is None))
        self.text.setReadOnly(not there)

    def _choose(self) -> None:
        dialog = QFileDialog(self, "Open a station file")
        # A native one would keep the keys of the safe button from us.
        dialog.setOption(QFileDialog.Option.DontUseNativeDialog)
        dialog.setNameFilter("Station files (*.toml)")
        dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setModal(False)
        dialog.fileSelected.connect(lambda name: self._confirmed(_LOSE, "Open the other", lambda: self.open(Path(name))))
        dialog.show()

    def _reload(self) -> None:
        self._confirmed(_LOSE, "Read it anew", self._read_anew)

    def _read_anew(self) -> None:
        if self.file is not None:
            try:
                self.file.reload()
            except HeliographError as error:
                self.desk.notice(error)
            else:
                self._fill()

    def _confirmed(self, question: str, act: str, do: Callable[[], None], *, needed: bool | None = None) -> None:
        """Do something that destroys text, after a question where there is any to lose."""
        if not (self.edited if needed is None else needed):
            do()
            return
        box = QMessageBox(QMessageBox.Icon.Warning, "Station file", question, QMessageBox.StandardButton.Cancel, self)
        box.setOption(QMessageBox.Option.DontUseNativeDialog)
        box.setTextFormat(Qt.TextFormat.PlainText)
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        answer_by_hold(box, f"&{act} (hold)", do)
        box.setDefaultButton(QMessageBox.StandardButton.Cancel)
        box.open()

    def save(self) -> None:
        """Write the file once it was checked: after a question if there is a fault in it, or if somebody else has changed it meanwhile."""
        if self.file is None or not self.edited:
            return
        if self._check is not None or self._found is None or self._found[0] != self.text.toPlainText():
            self._to_save = self.text.toPlainText()
            self.check()
            return
        found = self._found[1]
        name, act, reasons = self.file.path.name, "Overwrite it", []
        if not found.valid:
            act = "Save it with its fault"
            reasons.append(f"No bench can be started with this text: {found.text}")
        if self.file.changed_by_others():
            reasons.append(f"{name} was changed by somebody else since it was read here. A copy of it is kept beside it.")
        self._confirmed("\n\n".join(reasons), act, lambda: self._write(found), needed=bool(reasons))

    def _write(self, found: Checked) -> None:
        if self.file is None:
            return
        try:
            backup = self.file.save(self.text.toPlainText())
        except HeliographError as error:
            self.desk.notice(error)
            return
        kept = f" What was there is in {backup.name}." if backup else ""
        self.state.set_state("done" if found.valid else "fault", "saved" if found.valid else "saved with its fault")
        self.told.show_text(f"Saved.{kept}" if found.valid else f"Saved with its fault: {found.text}{kept}")
        self._say_path()
        self._allow()
        self.saved.emit(self.file.path)

    # The check

    def check(self) -> None:
        """Check what is in the editor, saved or not, in a process of its own."""
        if self.file is None or self._check is not None:
            return
        self._copy = tempfile.TemporaryDirectory(prefix="heliograph-")
        copy, text = Path(self._copy.name) / self.file.path.name, self.text.toPlainText()
        copy.write_bytes(text.encode())
        self._check = QProcess(self)
        self._check.finished.connect(lambda *_: self._checked(copy, text))
        self._check.errorOccurred.connect(lambda error: self._checked(copy, text) if error == QProcess.ProcessError.FailedToStart else None)
        self.state.set_state("pending", "checking")
        self._allow()
        self._check.start(sys.executable, ["-m", "heliograph", "station", "check", str(copy), "--json"])

    def _checked(self, copy: Path, text: str) -> None:
        process, self._check = self._check, None
        if process is None or self.file is None:
            return
        said, noise = bytes(process.readAllStandardOutput().data()), bytes(process.readAllStandardError().data())
        process.deleteLater()
        if self._copy is not None:
            self._copy.cleanup()
            self._copy = None
        self._judge(text, checked(said, noise.strip() or process.errorString(), copy, self.file.path))

    def _judge(self, text: str, found: Checked) -> None:
        """Show what a check found of a text, and save it if that is what was asked for. What was changed since that is not, and the operator is told."""
        to_save, self._to_save = self._to_save, ""
        if text != self.text.toPlainText():
            # What was found is true of another text.
            self._edited()
            if to_save == self.text.toPlainText():
                self.save()
            elif to_save and self.edited:
                self._say_unsaved()
            return
        self._found = text, found
        self._show(found)
        if to_save:
            self.save()

    def _say_unsaved(self) -> None:
        """Say that a save came to nothing: what was typed meanwhile may be half of a change."""
        told = "Not saved: the text was changed while it was checked. Save it again."
        self.state.set_state("warning", "not saved")
        self.told.show_text(told)
        self.desk.announce(told)

    def _show(self, found: Checked) -> None:
        if found.line:
            self.text.mark(found.line)
        else:
            self.text.unmark()
        self.state.set_state("good" if found.valid else "fault", "" if found.valid else f"line {found.line}" if found.line else "see below")
        self.told.show_text(found.text)
        self.desk.announce(found.text)
        self._allow()


_BUTTONS = (
    ("&Open…", "Open a station file"),
    ("&Read anew", "Read the station file anew"),
    ("&Check", "Check the station file"),
    ("&Save", "Save the station file"),
)
_LOSE = "What was edited here and not saved is lost."
