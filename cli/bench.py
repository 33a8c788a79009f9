"""`heliograph bench`: the simulated instruments of a station, its owner, and the way to the safe state."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .output import JsonOption, Output, command

app = typer.Typer(no_args_is_help=True, help="The bench: simulate it, own it, look at it, make it safe.")

StationOption = Annotated[Path, typer.Option("--station", metavar="FILE", help="Station file; `heliograph station new FILE` writes one.")]
OutOption = Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Where run files go; by default the station's data_dir beside its file.")]
TellOption = Annotated[
    Path | None, typer.Option("--tell", metavar="STATION", help="Tell the owner of this station's bench how it gets on, for the operator's window.")
]
FaultOption = Annotated[
    list[str] | None,
    typer.Option(
        "--fault",
        "--faults",
        metavar="NAME|FILE",
        help="Something that goes wrong, repeatable: a name such as laser-refuses, timeout:voa_in or fibre-cut:A, or a script in TOML.",
    ),
]
AloneOption = Annotated[
    bool, typer.Option("--until-alone", help="End 10 s after the last client has gone, killed too, once nothing runs or waits and light and bias are off.")
]


@app.command("serve")
def serve(
    station: StationOption,
    fault: FaultOption = None,
    tethered: Annotated[bool, typer.Option(hidden=True, help="End when standard input closes.")] = False,
    truth: Annotated[
        Path | None,
        typer.Option("--truth", metavar="SOCKET", help="For tests: tell at a Unix socket what the simulated world really does, one JSON line each time."),
    ] = None,
    json_output: JsonOption = False,
) -> None:
    """Simulate the instruments of a station until Ctrl-C.

    Prints one JSON line with the process id and the resource of every device when all of them answer; the same is written to FILE.bench.json, where every
    command with this station finds the bench.
    """
    with command(json_output):
        from ..control.lab import serve as run

        run(station, tuple(fault or ()), tethered=tethered, truth=truth)


@app.command("own")
def own(
    station: StationOption, fault: FaultOption = None, out_folder: OutOption = None, until_alone: AloneOption = False, json_output: JsonOption = False
) -> None:
    """Own the bench of a station until Ctrl-C: GUI, scripts and commands with this station then attach here instead of opening it.

    Prints one JSON line with the process ids of owner and watchdog when it is open. Nothing is switched on before somebody asks; one client at a time controls
    the bench, and when it goes, the bench becomes safe.
    """
    with command(json_output):
        from ..control.owner.owning import serve as run

        run(station, out_folder, tuple(fault or ()), until_alone=until_alone)


@app.command("status")
def status(station: StationOption, json_output: JsonOption = False) -> None:
    """Say who owns the bench of a station, how it is, and how it was last made safe.

    Exit code 4 if its owner and its watchdog ended, or hang, and neither has confirmed that the bench is safe.
    """
    with command(json_output) as out:
        from ..control.parties.tables import safe_rows, status_rows
        from ..control.status import of

        found = of(station)
        _warn_of_file(out, found)
        if found["state"] == "CLOSED":
            _warn_of_moved(out, station)
        out.table("Bench", *status_rows(found))
        if found["reports"]:
            out.table("Last made safe", *safe_rows(found["reports"]))
        unconfirmed = found["state"] == "UNCONFIRMED"
        if unconfirmed:
            out.warn(f"{found['cause']}: make it safe, heliograph bench safe --station {station}")
        out.result(found, simulated=found["simulated"], exit_code=4 if unconfirmed else 0)


@app.command("safe")
def safe(station: StationOption, json_output: JsonOption = False) -> None:
    """Make the bench of a station safe, now: light off, attenuators at maximum, detectors parked, each read back.

    The watchdog sees to it, also where the owner hangs; where nobody has the bench open, this command goes to the instruments itself, and says so if
    they are simulated and nobody simulates them. Exit code 4 if something is not confirmed.
    """
    with command(json_output) as out:
        from ..control.parties.tables import safe_rows
        from ..control.status import make_safe

        out.if_interrupted = "Whether the bench is safe now is not known: run it again, or switch the light off by hand."
        found = make_safe(station)
        _warn_of_file(out, found)
        if found["reports"]:
            out.table(f"Made safe by {found['by']}", *safe_rows(found["reports"]))
        else:
            out.say("Nothing was there to be made safe: nobody has this bench open, and its simulated instruments are not running.")
            _warn_of_moved(out, station)
        failed = [report for report in found["reports"] if report["state"] == "FAILED"]
        out.result(found, simulated=found["simulated"], exit_code=4 if failed else 0)


def _warn_of_moved(out: Output, station: Path) -> None:
    """Say where the bench that is meant may be, if nothing was found: an owner is known by the name that its station file had when it opened it."""
    from ..control.lab import left_behind

    for former in left_behind(station.absolute().parent):
        out.warn(f"a bench is up whose station file {former} is there no more: make it safe by that name, heliograph bench safe --station {former}")


def _warn_of_file(out: Output, found: dict[str, Any]) -> None:
    """Say that the bench was found by the path of its station file, which cannot be used any more."""
    if "station_fault" in found:
        out.warn(f"the station file cannot be used now, its bench is told as its owner has it: {found['station_fault']}")
