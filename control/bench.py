"""The composition root: from a station file to a bench on which procedures run.

Whether an instrument is simulated is decided here and nowhere below: its address in the station file is then replaced by that of its simulator.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import HeliographError
from ..instruments.station import Station
from .lab import running

if TYPE_CHECKING:
    from ..acquisition.procedures.base import BenchProcedure
    from ..acquisition.runs import Run
    from ..instruments.connect import Instruments

Progress = Callable[[str, Any], None]
"""Told what a procedure emits: ("progress", percent) or ("results", a row by column)."""


class Bench:
    """A connected bench: instruments by name, and procedures that write run files.

    folder: where run files go.
    """

    def __init__(self, station: Station, instruments: Instruments, folder: Path) -> None:
        self.station = station
        self.instruments = instruments
        self.folder = folder

    def __getitem__(self, name: str) -> Any:
        return self.instruments[name]

    @property
    def users(self) -> tuple[str, ...]:
        """Return the users of the station."""
        return tuple(self.station.optics.users)

    @property
    def pairs(self) -> tuple[str, ...]:
        """Return the pairs that the station lets exchange key, such as `A-B`."""
        return tuple(self.station.pairs)

    def arm(self) -> None:
        """Switch on bias and light in the safe order; the light is at its weakest then. Raises ArmRefused or an InstrumentError, the bench safe again."""
        self.instruments.arm()

    def run(self, procedure: BenchProcedure, *, progress: Progress | None = None, operator: str = "", purpose: str = "", seed: int | None = None) -> Run:
        """Run a procedure to its end and return its run file, open for reading; what it found is `procedure.result`.

        progress: told what the procedure emits; by default a bar is drawn on the terminal or in the notebook.
        seed: of the procedure's own draws, for the record.
        Raises what the procedure raises; the run file then says `failed`, or `aborted` after Ctrl-C, and keeps what was measured.
        """
        from ..acquisition.runs import Run, RunWriter

        procedure.instruments = self.instruments
        procedure.check()
        name = type(procedure).__name__
        writer = RunWriter.create(
            self.folder,
            name,
            procedure.parameter_values(),
            self.station,
            self.instruments.snapshot(),
            layout=procedure.run_layout(),
            seed=seed,
            operator=operator,
            purpose=purpose,
        )
        procedure.writer = writer
        with writer, _shown(name, progress) as told:
            procedure.emit = told  # type: ignore[method-assign,assignment]  # as PyMeasure's workers do
            _carry_out(procedure)
        return Run.open(writer.path)


def _carry_out(procedure: BenchProcedure) -> None:
    try:
        procedure.startup()
        procedure.execute()
    except BaseException as error:
        try:
            procedure.shutdown()
        except HeliographError as second:
            error.add_note(f"shutting down: {second}")
        raise
    procedure.shutdown()


@contextmanager
def _shown(name: str, progress: Progress | None) -> Iterator[Progress]:
    if progress is not None:
        yield progress
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    console = Console(stderr=True)
    if console.is_jupyter:
        yield _notebook_bar(name)
        return
    with Bars(TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(), console=console, disable=not console.is_terminal) as bars:
        task = bars.add_task(name, total=100.0)
        yield lambda topic, value: bars.update(task, completed=value) if topic == "progress" else None


def _notebook_bar(name: str) -> Progress:
    """Return what moves a bar under a notebook's cell; Rich's own bar would need ipywidgets."""
    from IPython.display import HTML, display

    def bar(percent: float) -> HTML:
        return HTML(f'{name} <progress max="100" value="{percent:.0f}"></progress> {percent:.0f} %')  # type: ignore[no-untyped-call]

    shown = display(bar(0.0), display_id=True)  # type: ignore[no-untyped-call]
    return lambda topic, value: shown.update(bar(value)) if topic == "progress" else None


@contextmanager
def open_bench(station: str | Path, *, folder: str | Path | None = None, faults: Sequence[str] = (), armed: bool = True) -> Iterator[Bench]:
    """Open the bench of a station file for a script or a notebook.

    folder: where run files go, by default the station's `data_dir` beside the file.  faults: of the simulated bench, if one is started here.
    armed: switch on bias and light, at their weakest.  On every way out all instruments are made safe, read back, and closed.
    Raises ConfigError, BenchError, InstrumentLocked, ArmRefused or an InstrumentError.
    """
    from ..instruments.connect import connect

    path = Path(station)
    loaded = Station.load(path)
    with _resolved(loaded, faults) as resolve, connect(loaded, resolve, home=True) as instruments:
        bench = Bench(loaded, instruments, Path(folder) if folder is not None else path.parent / loaded.info.data_dir)
        if armed:
            bench.arm()
        yield bench


@contextmanager
def _resolved(station: Station, faults: Sequence[str]) -> Iterator[Callable[[str], Mapping[str, str]]]:
    if not station.simulated:
        yield lambda name: station.instruments[name].wire.addresses()
        return
    with running(station.path, faults) as lab:
        yield lambda name: lab.devices.get(name, station.instruments[name].wire.addresses())
