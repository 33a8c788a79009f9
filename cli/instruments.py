"""`heliograph instruments`: what can be on a bench, what is on one, and a word with one of them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..core.errors import BenchError, ConfigError, HeliographError, InstrumentError, ParameterError
from .acquire import given
from .bench import FaultOption, StationOption
from .output import JsonOption, Output, command

if TYPE_CHECKING:
    from ..instruments.console import Console, Spoken

app = typer.Typer(no_args_is_help=True, help="Instruments: which there are drivers for, who answers on a bench, and raw access to one.")

NO_ANSWER = 4
HELP = """A line is sent as it is; the answer to a question with ? is waited for.
/hex 0D 0A   send bytes        /listen    show what comes
/history     what was said     /quit      end, and make the bench safe"""
WARNING = "what is sent here passes no limit and no interlock. The bench is in its safe state, and is made safe again at the end."


@app.command("list")
def list_(json_output: JsonOption = False) -> None:
    """Show every driver there is, those of other installed packages included, and whether its device can be simulated."""
    with command(json_output) as out:
        from ..instruments import catalogue
        from ..mocks import simulators

        found, broken = [], []
        simulated = simulators.names()
        for driver in catalogue.names():
            try:
                entry = catalogue.entry(driver)
            except ConfigError as error:
                out.warn(str(error))
                broken.append(error.as_dict())
                continue
            row = {"driver": driver, "role": entry.role, "vendor": entry.vendor, "model": entry.model, "transport": entry.transport}
            found.append({**row, "simulated": driver in simulated})
        out.table("Drivers", ["driver", "role", "vendor", "model", "transport", "simulated"], [tuple(row.values()) for row in found])
        out.result({"instruments": found, **({"broken": broken} if broken else {})})


@app.command("identify")
def identify(station: StationOption, fault: FaultOption = None, json_output: JsonOption = False) -> None:
    """Ask every instrument of a station who it is, and send nothing else. Exit code 4 if one does not answer, or is not the expected one."""
    with command(json_output) as out:
        from ..control.inspection import identify as ask
        from ..instruments.station import Station

        loaded = Station.load(station)
        rows: list[dict[str, Any]] = []
        with out.progress("Asking", total=len(loaded.instruments)) as bar:
            for one in ask(loaded, tuple(fault or ())):
                who = one.identity
                parts = {part: getattr(who, part) if who else None for part in ("vendor", "model", "serial", "firmware")}
                error = one.error.as_dict() if one.error else None
                rows.append({"name": one.name, "driver": one.driver, "address": one.address, "simulated": one.simulated, **parts, "error": error})
                bar.step()
        shown = [[row["name"], row["driver"], row["address"], row["vendor"] or "-", row["model"] or "-", row["serial"] or "-"] for row in rows]
        out.table(f"Instruments of {loaded.info.name}", ["name", "driver", "address", "vendor", "model", "serial"], shown)
        bad = [row["error"] for row in rows if row["error"]]
        for error in bad:
            out.warn(f"{error['where']}: {error['message']}. {error['remedy']}")
        out.result({"station": loaded.info.name, "instruments": rows}, simulated=loaded.simulated, exit_code=NO_ANSWER if bad else 0)


@app.command("console")
def console(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The instrument's name in the station file.")],
    station: StationOption,
    timeout: Annotated[float, typer.Option(min=0.01, max=600.0, help="Seconds to wait for an answer.")] = 2.0,
    fault: FaultOption = None,
    json_output: JsonOption = False,
) -> None:
    """Speak to one instrument by hand, line by line from standard input; `/help` says what else can be typed.

    What is sent passes no limit and no interlock: the bench is opened in its safe state, the instrument's is read back after every line, and at the end the
    whole bench is made safe again.
    """
    with command(json_output) as out:
        from ..control.inspection import console as opened
        from ..instruments.station import Station

        simulated = Station.load(station).simulated
        with opened(station, name, patience_s=timeout, faults=tuple(fault or ())) as speaker:
            out.warn(WARNING)
            if sys.stdin.isatty():
                out.note(HELP)
            failures = [error for line in _lines(name) if (error := _one(speaker, line, out)) is not None]
        exit_code = failures[-1].exit_code if failures else 0
        out.result({"name": name, "history": speaker.history, "errors": [error.as_dict() for error in failures]}, simulated=simulated, exit_code=exit_code)


def _lines(name: str) -> Iterator[str]:
    """Yield what is typed, up to its end."""
    if sys.stdin.isatty():
        with suppress(ImportError):
            import readline  # noqa: F401  # arrow keys and the lines before
    while True:
        try:
            line = input(f"{name}> " if sys.stdin.isatty() else "").strip()
        except EOFError:
            return
        if line == "/quit":
            return
        if line:
            yield line


def _one(speaker: Console, line: str, out: Output) -> HeliographError | None:
    """Do what one line says; return what went wrong."""
    word, _, rest = line.partition(" ")
    actions: dict[str, Callable[[], Spoken]] = {"/hex": lambda: speaker.say_bytes(rest), "/listen": speaker.listen}
    if word == "/help":
        out.note(HELP)
        return None
    if word == "/history":
        for said in speaker.history:
            out.say(f"{said.sent} -> {said.received or '(nothing)'}")
        return None
    try:
        if word.startswith("/") and word not in actions:
            raise ParameterError(f"{word} is no command of the console", remedy="Type /help.")
        said = actions.get(word, lambda: speaker.say(line))()
    except (InstrumentError, ParameterError) as error:
        out.note(f"error: {error}")
        return error
    out.say(said.received or "(nothing came)")
    if said.safe is False:
        out.warn("the instrument is not in its safe state now")
    elif said.safe is None:
        out.warn("its safe state cannot be read back now")
    return None


@app.command("record")
def record(
    session: Annotated[Path, typer.Argument(metavar="SESSION", help="File to write, JSON Lines; it must not be there yet.")],
    station: StationOption,
    run: Annotated[
        str | None, typer.Option("--run", metavar="PROCEDURE", help="Run this procedure meanwhile; without one the instruments are only opened.")
    ] = None,
    param: Annotated[list[str] | None, typer.Option("--param", metavar="NAME=VALUE", help="A parameter of the procedure, repeatable.")] = None,
    dark: Annotated[bool, typer.Option("--dark", help="Leave light and bias off instead of arming the bench.")] = False,
    fault: FaultOption = None,
    json_output: JsonOption = False,
) -> None:
    """Record every byte between drivers and instruments, to be replayed as devices in tests.

    Samples of waveforms and tags are secret in the making: only their length is kept, so a procedure that streams tags cannot be replayed.
    """
    with command(json_output) as out:
        from ..acquisition.procedures import table
        from ..control.bench import open_bench
        from ..instruments.recording import recording
        from ..instruments.station import Station

        loaded = Station.load(station)
        procedure = table.made(run, given(param or ())) if run is not None else None
        with recording(session, loaded) as recorder, open_bench(station, faults=tuple(fault or ()), armed=procedure is not None and not dark) as bench:
            if not recorder.lines:
                raise BenchError("another process owns the bench, and its links", where=str(station), remedy="End the owner first.")
            found = bench.instruments.snapshot()
            path = None
            if procedure is not None:
                with out.progress(run or "") as bar, bench.run(procedure, progress=lambda topic, value: bar.to(value) if topic == "progress" else None) as done:
                    path = done.path
        out.say(f"{recorder.lines} messages of {len(found)} instruments in {session}")
        out.result({"session": session, "messages": recorder.lines, "instruments": sorted(found), "run": path}, simulated=loaded.simulated)
