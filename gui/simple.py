"""PyMeasure's own window for scalar scripts of yours, which need no bench.

As it is, but it opens no port, has names for screen readers, refuses what is no number instead of making one of it, and waits at its end.

A script ends with `sys.exit(simple.run(Sweep, Path("sweeps")))`, where `Sweep` is a Procedure.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pymeasure.display.windows import ManagedWindow
from pymeasure.experiment import FloatParameter, IntegerParameter, Procedure
from PySide6.QtGui import QCloseEvent
from PySide6.QtWidgets import QAbstractSpinBox, QCheckBox, QComboBox, QLabel, QLineEdit, QWidget

from ..core.errors import HeliographError, ParameterError, StorageError
from .forms import WheelGuard, mnemonics
from .number_input import NumberInput

log = logging.getLogger(__name__)

LONGEST_SHUTDOWN_S = 10.0
_INPUTS = (QAbstractSpinBox, QComboBox, QCheckBox, QLineEdit)


class SimpleWindow(ManagedWindow):
    """Queue, plot and table of one procedure that emits scalars.

    folder: of its CSV files.  inputs: parameters to ask for; by default all.  x, y: columns of the first plot; by default the first two.
    Raises ParameterError for a procedure without two columns, StorageError for a folder that cannot be made.
    """

    def __init__(self, procedure: type[Procedure], folder: Path, *, inputs: Sequence[str] | None = None, x: str | None = None, y: str | None = None) -> None:
        columns = list(procedure.DATA_COLUMNS)
        if len(columns) < 2:
            raise ParameterError("a plot needs two columns", where=f"{procedure.__name__}.DATA_COLUMNS", remedy="Name what is emitted.")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"the folder cannot be made ({error.strerror})", where=str(folder), remedy="Choose another one.") from error
        names = list(procedure().parameter_objects()) if inputs is None else list(inputs)
        for name in names:
            asked: Any = getattr(procedure, name, None)
            if isinstance(asked, FloatParameter | IntegerParameter) and asked.ui_class is None:
                asked.ui_class = NumberInput
        super().__init__(procedure_class=procedure, inputs=names, displays=names, x_axis=x or columns[0], y_axis=y or columns[1])
        # With pyzmq and cloudpickle installed, every run would otherwise listen on all interfaces.
        self.manager.port = None
        self.directory = str(folder)
        self.setWindowTitle(f"{procedure.__name__} - Heliograph")
        self._asked = names
        self._name(names)

    def _name(self, names: Sequence[str]) -> None:
        inside: Any = self.inputs
        guard = WheelGuard(self)
        parameters = self.procedure_class().parameter_objects()
        marked = dict(zip(names, mnemonics([f"{parameters[name].name}:" for name in names], taken="qa"), strict=True))
        for name in names:
            field: QWidget = getattr(inside, name)
            field.setAccessibleName(parameters[name].name)
            field.setMinimumHeight(24)
            if isinstance(field, _INPUTS):
                field.installEventFilter(guard)
            label: QLabel | None = inside.labels.get(name)
            if label is not None:
                label.setText(marked[name].removesuffix(":") + f" ({field.unit}):" if isinstance(field, NumberInput) and field.unit else marked[name])
                label.setBuddy(field)
        for button, text in ((self.queue_button, "&Queue"), (self.abort_button, "&Abort")):
            button.setText(text)
            button.setAccessibleName(text.replace("&", ""))
        self.browser.setAccessibleName("Runs")
        self.tabs.setAccessibleName("Results")
        self.plot_widget.plot_frame.plot_widget.setAccessibleName(f"{self.x_axis} and {self.y_axis}")

    def queue(self, procedure: Procedure | None = None) -> None:
        """Put what the fields say into the queue; a field whose text is none of its values has the focus and says why, and nothing is queued."""
        fields = [getattr(self.inputs, name) for name in self._asked]
        try:
            for field in fields:
                if isinstance(field, NumberInput):
                    field.value()
        except HeliographError as error:
            field.mark(error.message)
            field.setFocus()
            self.statusBar().showMessage(str(error))
            return
        self.statusBar().clearMessage()
        super().queue(procedure)

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802
        """Abort what runs, and wait until its `shutdown` has been called."""
        worker: Any = getattr(self.manager, "_worker", None)
        if self.manager.is_running():
            self.manager.abort()
        if worker is not None and worker.is_alive():
            # Its own `join` does not wait.
            threading.Thread.join(worker, LONGEST_SHUTDOWN_S)
            if worker.is_alive():
                log.error("%s: its shutdown takes more than %g s", self.procedure_class.__name__, LONGEST_SHUTDOWN_S)
        super().closeEvent(event)


def run(procedure: type[Procedure], folder: Path, **settings: Any) -> int:
    """Show the window of a procedure until it is closed; see `SimpleWindow` for the settings."""
    from .app import application

    app = application()
    window = SimpleWindow(procedure, folder, **settings)
    window.show()
    return app.exec()
