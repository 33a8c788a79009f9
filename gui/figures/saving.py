"""Text into a file that the operator chooses."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from pathlib import Path

from PySide6.QtWidgets import QFileDialog, QWidget

from ...core.errors import StorageError
from ...core.files import beside
from ..desk import Desk

Other = tuple[str, Callable[[], str]]
"""Another way to write something: what it is, and its text."""


def ask_and_write(
    desk: Desk, parent: QWidget, title: str, name: str, text: Callable[[], str], others: Mapping[str, Other] = types.MappingProxyType({})
) -> QFileDialog:
    """Ask for a file, and write the text that there is then; what goes wrong becomes a notice. Returns the dialog, which blocks nothing.

    name: proposed for the file, with its ending.  others: what is written into a file of another ending, such as ".csv".
    """
    dialog = QFileDialog(parent, title)
    # A native dialog would not let the keys of the safe button through.
    dialog.setOption(QFileDialog.Option.DontUseNativeDialog)
    dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
    dialog.setDefaultSuffix(Path(name).suffix.lstrip("."))
    if others:
        filters = {f"Markdown (*{Path(name).suffix})": Path(name).suffix, **{f"{what} (*{ending})": ending for ending, (what, _) in others.items()}}
        dialog.setNameFilters(list(filters))
        dialog.filterSelected.connect(lambda one: dialog.setDefaultSuffix(filters[one].lstrip(".")))
    dialog.setModal(False)
    dialog.setAccessibleName(title)
    dialog.selectFile(name)
    dialog.fileSelected.connect(lambda path: _write(desk, Path(path), others.get(Path(path).suffix.lower(), ("", text))[1]()))
    dialog.finished.connect(dialog.deleteLater)
    dialog.show()
    return dialog


def _write(desk: Desk, path: Path, text: str) -> None:
    try:
        with beside(path) as fresh:
            fresh.write_text(text, encoding="utf-8")
    except OSError as error:
        desk.notice(StorageError(f"the file cannot be written ({error.strerror})", where=str(path), remedy="Choose another folder."))
    else:
        desk.notice(f"Written: {path}")
