"""`heliograph bench`: the simulated instruments of a station, as a process of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .output import JsonOption, command

app = typer.Typer(no_args_is_help=True, help="The simulated bench.")

StationOption = Annotated[Path, typer.Option("--station", metavar="FILE", help="Station file; `heliograph station new FILE` writes one.")]
FaultOption = Annotated[
    list[str] | None,
    typer.Option(
        "--fault",
        "--faults",
        metavar="NAME|FILE",
        help="Something that goes wrong, repeatable: a name such as laser-refuses, timeout:voa_in or fibre-cut:A, or a script in TOML.",
    ),
]


@app.command("serve")
def serve(
    station: StationOption,
    fault: FaultOption = None,
    tethered: Annotated[bool, typer.Option(hidden=True, help="End when standard input closes.")] = False,
    json_output: JsonOption = False,
) -> None:
    """Simulate the instruments of a station until Ctrl-C.

    Prints one JSON line with the process id and the resource of every device when all of them answer; the same is written to FILE.bench.json, where every
    command with this station finds the bench.
    """
    with command(json_output):
        from ..control.lab import serve as run

        run(station, tuple(fault or ()), tethered=tethered)
