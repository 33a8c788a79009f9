"""`heliograph gui`: the operator's window."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..core.errors import ConfigError, DependencyMissing
from .output import JsonOption, command


def gui(
    station: Annotated[Path | None, typer.Option("--station", metavar="FILE", help="Station file; without one the window offers the simulated bench.")] = None,
    demo: Annotated[bool, typer.Option("--demo", help="Start the simulated bench of the folder heliograph-demo.")] = False,
    out_folder: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where --demo keeps station, runs and keys.")] = Path("heliograph-demo"),
    exit_after: Annotated[float | None, typer.Option("--exit-after", metavar="SECONDS", min=0.0, help="Close by itself after so many seconds.")] = None,
    json_output: JsonOption = False,
) -> None:
    """Open the operator's window: see the bench, run it by hand or by a queue, and make it safe at any time.

    The window attaches to the owner of the bench and starts one where there is none; an owner that it started ends with it. Closing it, or Ctrl-C, leaves the
    bench safe, unless the station may be left alone.
    """
    with command(json_output) as out:
        if station is not None and demo:
            raise ConfigError("both a station and the demo were asked for", where="--demo", remedy="Give one of the two.")
        if station is not None and not station.is_file():
            raise ConfigError("there is no such station file", where=str(station), remedy=f"Write one: heliograph station new {station}")
        try:
            from ..gui.app import run
        except ImportError as error:
            raise DependencyMissing(
                f"the window cannot be shown: {error}", where="Qt", remedy="On Debian: apt-get install libegl1 libxkbcommon0 libdbus-1-3 libfontconfig1"
            ) from error
        code = run(station, demo=demo, exit_after=exit_after, folder=out_folder)
        out.result({"window": "closed"}, exit_code=code)
