"""The command line: one command per user job, one module per command."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NoReturn

try:
    import typer
    from typer.exceptions import TyperException

    from . import acquire, bench, calibrate, data, demo, doctor, gui, instruments, keyrate, keys, learn, optimise, qot, qpu, runs, station
    from .output import INTERRUPTED, Output, unheard
except KeyboardInterrupt:
    # Before any command has begun: there is nothing to be ended, and nobody yet who would say so.
    if "--json" in sys.argv:
        sys.stdout.write('{"error": {"type": "Interrupted", "message": "interrupted", "where": "", "remedy": "Run it again."}}\n')
    sys.stderr.write("error: interrupted\n  remedy: Run it again.\n")
    sys.exit(130)

app = typer.Typer(name="heliograph", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
app.command("demo")(demo.demo)
app.command("gui")(gui.gui)
app.add_typer(bench.app, name="bench")
app.add_typer(station.app, name="station")
app.add_typer(instruments.app, name="instruments")
app.add_typer(acquire.app, name="acquire")
app.add_typer(calibrate.app, name="calibrate")
app.command("distil")(keys.distil)
app.add_typer(keys.app, name="keys")
app.command("learn")(learn.learn)
app.command("keyrate")(keyrate.keyrate)
app.command("optimise")(optimise.optimise)
app.add_typer(qpu.app, name="qpu")
app.add_typer(qot.app, name="qot")
app.add_typer(data.app, name="data")
app.add_typer(runs.app, name="runs")
app.command("doctor")(doctor.doctor)


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(version("heliograph"))
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")] = False,
) -> None:
    """Turn light into keys and measurements, and those into learning that nobody can spy on."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit with its code; an end by SIGTERM or SIGHUP leaves as Ctrl-C does, by way of every safe state."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    _open_closed_streams()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)
    try:
        code = _run(words)
    except OSError as error:
        code = unheard(error)
    try:
        sys.stdout.flush()
    except OSError as error:
        code = unheard(error) or code
    sys.exit(code)


def _run(words: list[str]) -> int:
    try:
        code = app(words, prog_name="heliograph", standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        Output("--json" in words).fail({"type": "Interrupted", "message": "interrupted", "where": "", "remedy": "Run it again."})
        return INTERRUPTED
    except TyperException as error:
        return _usage(error, "--json" in words)
    return code if isinstance(code, int) else 0


def _open_closed_streams() -> None:
    """Let what is said go nowhere where the caller closed standard output or standard error (`>&-`): nobody wants to read it."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115  as long as the program


def _leave(number: int, _frame: object) -> NoReturn:
    signal.signal(number, signal.SIG_IGN)
    sys.exit(128 + number)


def _usage(error: TyperException, json_output: bool) -> int:
    if json_output:
        asked = getattr(error, "ctx", None)
        remedy = f"Try `{asked.command_path if asked is not None else 'heliograph'} --help`."
        Output(True).fail({"type": "UsageError", "message": error.format_message(), "where": "command line", "remedy": remedy})
    else:
        show = getattr(error, "show", lambda: typer.echo(f"Error: {error}", err=True))
        show()
    return error.exit_code
