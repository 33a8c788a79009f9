"""Data of a run into files that the operator chooses."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtWidgets import QFileDialog, QWidget

from ...control.topics import RunSummary
from ..desk import Desk

_WRITE_S = 600.0
"""How long it may take to write the tags of a long run."""


def ask_and_export(desk: Desk, parent: QWidget, run: RunSummary, kind: str, doing: Callable[[str], None]) -> QFileDialog:
    """Ask for a file, and have the run written into it; a run with several groups of arrays gives several files. Returns the dialog, which blocks nothing.

    kind: `csv` or `png`.  doing: hears what is being done, and an empty text when it is over.
    """
    dialog = QFileDialog(parent, f"Export the run as {kind.upper()}")
    # A native dialog would not let the keys of the safe button through.
    dialog.setOption(QFileDialog.Option.DontUseNativeDialog)
    dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
    dialog.setDefaultSuffix(kind)
    dialog.setModal(False)
    dialog.setAccessibleName(dialog.windowTitle())
    dialog.selectFile(f"{run.run}.{kind}")
    dialog.fileSelected.connect(lambda to: _export(desk, run, kind, to, doing))
    dialog.finished.connect(dialog.deleteLater)
    dialog.show()
    return dialog


def _export(desk: Desk, run: RunSummary, kind: str, to: str, doing: Callable[[str], None]) -> None:
    def written(paths: Sequence[str] | None) -> None:
        doing("")
        desk.notice(f"Written: {', '.join(paths or (to,))}")

    def failed(error: object) -> None:
        doing("")
        desk.notice(error)  # type: ignore[arg-type]

    doing(f"writing {to}")
    # The dialog has asked whether a file that is there is to be replaced.
    desk.ask("export", {"path": run.path, "kind": kind, "to": to, "replace": True}, then=written, failed=failed, timeout_s=_WRITE_S)
