"""The composition root: from a station file to a bench on which procedures run.

Whether an instrument is simulated is decided here and nowhere below: its address in the station file is then replaced by that of its simulator. Who opens a
bench that another process owns is attached to it; otherwise this process becomes its owner (`owner`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import InstrumentLocked
from ..instruments.station import Station
from .link import WatchdogLine
from .owner.publishing import Topics
from .queueing.runner import Progress, Runner

if TYPE_CHECKING:
    from pymeasure.experiment import Procedure

    from ..acquisition.runs import Run
    from ..instruments.connect import Instruments
    from ..mocks.faults import Fault
    from .owner.owner import Owner

__all__ = ["Bench", "Progress", "open_bench"]

_OPENING_S = 10.0
"""How long a process that is just opening the bench is waited for."""


class Bench:
    """A connected bench: instruments by name, and procedures that write run files.

    folder: where run files go.  owner: what guards the bench; without one only the arbiter of the instruments does.
    """

    def __init__(self, station: Station, instruments: Instruments, folder: Path, owner: Owner | None = None) -> None:
        self.station = station
        self.instruments = instruments
        self.folder = folder
        self._owner = owner
        self._runner = owner.runner if owner is not None else Runner(instruments, Topics())

    def __getitem__(self, name: str) -> Any:
        """Return an instrument. Raises UnknownInstrument, which names those there are."""
        return self.instruments[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.instruments)

    def __contains__(self, name: object) -> bool:
        return name in self.instruments

    def __len__(self) -> int:
        return len(self.instruments)

    def __repr__(self) -> str:
        return f"<Bench {self.station.info.name}, {len(self)} instruments, {self.instruments.arbiter.state}>"

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
        if self._owner is not None:
            self._owner.arm()
        else:
            self.instruments.arm()

    def reset(self) -> None:
        """Leave the tripped state, on your word that its cause is known. Raises Tripped if something is not confirmed safe."""
        if self._owner is not None:
            self._owner.reset()
        else:
            self.instruments.arbiter.reset()

    def run(self, procedure: Procedure, *, progress: Progress | None = None, operator: str = "", purpose: str = "", seed: int | None = None) -> Run:
        """Run a procedure to its end and return its run file, open for reading; what it found is `procedure.result`.

        procedure: of the bench, or any of PyMeasure, which has no `result`: all it emits stands in the run file.
        progress: told what the procedure emits; by default a bar is drawn on the terminal or in the notebook.
        seed: of the procedure's own draws, for the record.
        Raises what the procedure raises, RunAborted if the bench was made safe by somebody else; the run file then says `failed`, or `aborted` as after Ctrl-C,
        and keeps what was measured.
        """
        from ..acquisition.procedures.bridged import wrapped
        from ..acquisition.runs import Run

        ours = wrapped(procedure)
        with shown(type(ours).__name__, progress) as told:
            job = self._runner.now(ours, self.folder, told, operator=operator, purpose=purpose, seed=seed)
        return Run.open(job.written)


@contextmanager
def shown(name: str, progress: Progress | None) -> Iterator[Progress]:
    """Give what is told of a procedure: `progress`, or where there is none a bar on the terminal or in the notebook."""
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
def open_bench(station: str | Path, *, folder: str | Path | None = None, faults: Sequence[str | Fault] = (), armed: bool = True) -> Iterator[Bench]:
    """Open the bench of a station file for a script or a notebook.

    If another process owns the bench (`heliograph bench own`, or another script), this one is attached to it, with the same names, errors and permits;
    otherwise it becomes the owner, with a watchdog of its own.
    folder: where run files go, by default the station's `data_dir` beside the file.  faults: of the simulated bench, if one is started here.
    armed: switch on bias and light, at their weakest.  On every way out all instruments are made safe, read back, and closed, or left to their owner.
    Raises ConfigError, BenchError, InstrumentLocked, ArmRefused or an InstrumentError.
    """
    path = Path(station)
    loaded = Station.load(path)
    target = Path(folder) if folder is not None else None
    with _opened(loaded, target, faults, armed=armed) as bench:
        if armed:
            bench.arm()
        yield bench


@contextmanager
def _opened(station: Station, folder: Path | None, faults: Sequence[str | Fault], *, armed: bool) -> Iterator[Bench]:
    from .attached import attach
    from .owner.owning import owning
    from .stations import station_lock

    deadline = time.monotonic() + _OPENING_S
    while True:
        attached = attach(station, folder)
        if attached is not None:
            with attached as bench:
                bench.refuse_faults(faults)
                yield bench
            return
        try:
            lock = station_lock(station)
            break
        except InstrumentLocked:
            # Its owner is opening it, or closing.
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
    _let_watchdog_finish(station)
    target = folder if folder is not None else station.path.parent / station.info.data_dir
    with owning(station, target, faults, lock=lock, watched=armed) as owner:
        yield Bench(station, owner.instruments, target, owner)


def _let_watchdog_finish(station: Station) -> None:
    """Wait for the watchdog of an owner that died, which is just making the bench safe."""
    line = WatchdogLine.of(station.path)
    if line is not None:
        line.wait_gone(_OPENING_S)
        line.close()
