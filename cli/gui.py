"""`heliograph gui`: the operator's window."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..core.errors import ConfigError, DependencyMissing, HeliographError
from .output import JsonOption, command

if TYPE_CHECKING:
    from ..gui.app import Closed
    from ..gui.early_signals import Signals


def gui(
    station: Annotated[Path | None, typer.Option("--station", metavar="FILE", help="Station file; without one the window offers the simulated bench.")] = None,
    demo: Annotated[bool, typer.Option("--demo", help="Start the simulated bench of the folder heliograph-demo.")] = False,
    out_folder: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where --demo keeps station, runs and keys.")] = Path("heliograph-demo"),
    exit_after: Annotated[float | None, typer.Option("--exit-after", metavar="SECONDS", min=0.0, help="Close by itself after so many seconds.")] = None,
    json_output: JsonOption = False,
) -> None:
    """Open the operator's window: see the bench, run it by hand or by a queue, and make it safe at any time.

    The window attaches to the owner of the bench and starts one where there is none; an owner that it started ends with it, or, where the window is killed,
    10 s later, once nobody else is attached, nothing runs or waits and the bench is dark. Closing it, or Ctrl-C, leaves the bench safe, unless the station may
    be left alone.

    A station file that describes no bench is refused before a window opens (exit code 3). Where the bench that was asked for cannot be opened, the window says
    why and offers others; if none is opened by the time it is closed, the command ends with that error and its exit code.
    """
    with command(json_output) as out:
        if station is not None and demo:
            raise ConfigError("both a station and the demo were asked for", where="--demo", remedy="Give one of the two.")
        if station is not None and not (station.is_file() or station.is_dir()):
            raise ConfigError("there is no such station file", where=str(station), remedy=f"Write one: heliograph station new {station}")
        if station is not None:
            _check(station)
        from ..gui.early_signals import Signals

        with Signals() as signals:
            closed = _show(station, demo, exit_after, out_folder, signals)
        signals.end_early()
        if closed.failure is not None and (station is not None or demo):
            raise closed.failure
        simulated = demo or (closed.simulated if closed.simulated is not None else _is_simulated(closed.station))
        out.result({"window": "closed", "station": closed.station}, simulated=simulated)


def _show(station: Path | None, demo: bool, exit_after: float | None, folder: Path, signals: Signals) -> Closed:
    try:
        from ..gui.app import run
    except ImportError as error:
        raise DependencyMissing(
            f"the window cannot be shown: {error}", where="Qt", remedy="On Debian: apt-get install libegl1 libxkbcommon0 libdbus-1-3 libfontconfig1"
        ) from error
    return run(station, demo=demo, exit_after=exit_after, folder=folder, signals=signals)


def _check(station: Path) -> None:
    """Refuse a file that describes no bench, unless a bench is open by it already: that one can still be made safe. Raises ConfigError."""
    from ..control.link import address, connected
    from ..instruments.station import Station

    try:
        Station.load(station)
    except ConfigError:
        line = connected(address(station.resolve(), "owner"))
        if line is None:
            raise
        line.close()


def _is_simulated(station: Path | None) -> bool:
    from ..instruments.station import Station

    try:
        return station is not None and Station.load(station).simulated
    except HeliographError:
        return False
