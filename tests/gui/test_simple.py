from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pymeasure.experiment import FloatParameter, IntegerParameter, Procedure, Results
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QWidget

from heliograph.core.errors import ParameterError
from heliograph.gui.simple import SimpleWindow


class Sweep(Procedure):  # type: ignore[misc]
    """A procedure as PyMeasure's users write them."""

    points = IntegerParameter("Points", default=4, minimum=1, maximum=1000)
    pause = FloatParameter("Pause", units="s", default=0.0, minimum=0.0, maximum=10.0)
    DATA_COLUMNS: ClassVar[list[str]] = ["Voltage (V)", "Current (A)"]
    shut: ClassVar[list[int]] = []

    def execute(self) -> None:
        for point in range(self.points):
            self.emit("results", {"Voltage (V)": point, "Current (A)": point * 2})
            self.emit("progress", 100 * point / self.points)
            time.sleep(self.pause)
            if self.should_stop():
                return

    def shutdown(self) -> None:
        self.shut.append(1)


def listening() -> set[str]:
    """Return the sockets of this process that listen."""
    mine = set[str]()
    for entry in Path("/proc/self/fd").iterdir():
        # What is open may be closed meanwhile.
        with suppress(OSError):
            mine.add(str(entry.readlink()))
    lines = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/self/net/{name}").read_text().splitlines()[1:]]
    return {line[1] for line in lines if line[3] == "0A" and f"socket:[{line[9]}]" in mine}


@pytest.fixture
def window(qtbot: Any, tmp_path: Path, appearance: str) -> SimpleWindow:
    Sweep.shut.clear()
    made = SimpleWindow(Sweep, tmp_path / "sweeps")
    qtbot.addWidget(made)
    made.show()
    return made


def test_a_script_of_a_user_runs_into_its_file_and_no_port_is_opened(window: SimpleWindow, qtbot: Any, tmp_path: Path) -> None:
    ports: set[str] = set()
    window.manager.running.connect(lambda _: ports.update(listening()))
    window.inputs.pause.setValue(0.05)

    with qtbot.waitSignal(window.manager.finished, timeout=10_000):
        qtbot.mouseClick(window.queue_button, Qt.MouseButton.LeftButton)
        qtbot.wait(50)
        ports |= listening()

    (file,) = (tmp_path / "sweeps").glob("*.csv")
    assert list(Results.load(str(file), procedure_class=Sweep).data["Current (A)"]) == [0, 2, 4, 6]
    assert (ports, Sweep.shut) == (set(), [1])


def test_every_input_has_the_name_of_its_parameter(window: SimpleWindow) -> None:
    named = {widget.accessibleName() for widget in window.findChildren(QWidget)}

    assert {"Points", "Pause", "Queue", "Abort", "Runs", "Results"} <= named


def test_what_is_no_number_is_not_queued(window: SimpleWindow, qtbot: Any, tmp_path: Path) -> None:
    field = window.inputs.points
    for text in ("25.5", "1e4", "two", ""):
        field.setText(text)

        qtbot.mouseClick(window.queue_button, Qt.MouseButton.LeftButton)

        assert field.text() == text
        assert field.accessibleDescription().startswith("Not sent: ")
        assert window.statusBar().currentMessage()
    assert not list((tmp_path / "sweeps").iterdir())


def test_closing_aborts_and_waits_for_the_shutdown(window: SimpleWindow, qtbot: Any) -> None:
    window.inputs.points.setValue(1000)
    window.inputs.pause.setValue(0.02)
    with qtbot.waitSignal(window.manager.running, timeout=5_000):
        window.queue()
    qtbot.wait(50)

    window.close()

    assert Sweep.shut == [1]


def test_a_procedure_without_columns_is_refused(tmp_path: Path, appearance: str) -> None:
    with pytest.raises(ParameterError, match="two columns"):
        SimpleWindow(Procedure, tmp_path)
