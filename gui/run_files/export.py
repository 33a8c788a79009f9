"""Data of a run into files that the operator chooses."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFileDialog, QMessageBox, QWidget

from ...control.topics import RunSummary
from ...core.errors import FilesThere, HeliographError
from ..desk import Desk
from ..hold import answer_by_hold

_WRITE_S = 600.0
"""How long it may take to write the tags of a long run."""


def ask_and_export(desk: Desk, parent: QWidget, run: RunSummary, kind: str, doing: Callable[[str], None]) -> QFileDialog:
    """Ask for a file, and have the run written into it; a run with several groups of arrays gives several files. Returns the dialog, which blocks nothing.

    kind: `csv` or `png`.  doing: hears what is being done, and an empty text when it is over.
    """
    dialog = QFileDialog(parent, f"Export the run as {kind.upper()}")
    # A native dialog would not let the keys of the safe button through.
    dialog.setOption(QFileDialog.Option.DontUseNativeDialog)
    # It knows one name only; the owner tells which files would be written over.
    dialog.setOption(QFileDialog.Option.DontConfirmOverwrite)
    dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
    dialog.setDefaultSuffix(kind)
    dialog.setModal(False)
    dialog.setAccessibleName(dialog.windowTitle())
    dialog.selectFile(f"{run.run}.{kind}")
    dialog.fileSelected.connect(lambda to: _export(desk, parent, run, kind, to, doing))
    dialog.finished.connect(dialog.deleteLater)
    dialog.show()
    return dialog


def _export(desk: Desk, parent: QWidget, run: RunSummary, kind: str, to: str, doing: Callable[[str], None], *, replace: bool = False) -> None:
    def written(paths: Sequence[str] | None) -> None:
        doing("")
        desk.notice(f"Written: {', '.join(paths or (to,))}")

    def failed(error: HeliographError) -> None:
        doing("")
        if isinstance(error, FilesThere) and not replace:
            _ask_whether_to_replace(parent, error, lambda: _export(desk, parent, run, kind, to, doing, replace=True))
        else:
            desk.notice(error)

    doing(f"writing {to}")
    desk.ask("export", {"path": run.path, "kind": kind, "to": to, "replace": replace}, then=written, failed=failed, timeout_s=_WRITE_S)


def _ask_whether_to_replace(parent: QWidget, error: FilesThere, replace: Callable[[], None]) -> None:
    """Name the files that are there; a run has more of them than the one whose name was given. Blocks nothing."""
    box = QMessageBox(QMessageBox.Icon.NoIcon, "Replace files?", f"In {error.where}: {error.message}.", parent=parent)
    box.setTextFormat(Qt.TextFormat.PlainText)
    box.setOption(QMessageBox.Option.DontUseNativeDialog)
    box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    box.setModal(False)
    box.setAccessibleName(box.windowTitle())
    answer_by_hold(box, "&Replace them (hold)", replace)
    box.setDefaultButton(box.addButton("&Keep them", QMessageBox.ButtonRole.RejectRole))
    box.show()
