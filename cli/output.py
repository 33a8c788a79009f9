"""How a command talks: to people in tables and bars, to scripts in one JSON object, and in exit codes.

    def doctor(json_output: JsonOption = False) -> None:
        with command(json_output) as out:
            with out.progress("Looking around", total=3) as bar:
                bar.step()
            out.table("Found", ["what", "state"], rows)
            out.result({"checks": rows})

Under `--json` standard output carries exactly one object, whatever happens; everything else goes to standard error. A failure is the object
`{"error": {"type", "message", "where", "remedy"}}`. Exit codes: 0 done, 1 result refused, 2 usage, 3 bad input, 4 instrument or bench, 5 not enough key,
130 interrupted.
"""

from __future__ import annotations

import errno
import json
import math
import os
import sys
import traceback
import warnings
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from ..core.credentials import hidden_of, hide_in, no_secrets
from ..core.errors import ConfigError, HeliographError, StorageError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

    from ..core.statement import SecurityStatement

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else on standard output.")]

INTERRUPTED = 130
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_WRONG_PATH = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError, FileExistsError)


class Bar:
    """One progress bar."""

    def __init__(self, bars: Progress, task: TaskID) -> None:
        self._bars = bars
        self._task = task

    def step(self, by: float = 1.0) -> None:
        """Move on."""
        self._bars.advance(self._task, by)

    def to(self, completed: float) -> None:
        """Set how much of the total is done."""
        self._bars.update(self._task, completed=completed)

    def say(self, text: str) -> None:
        """Replace the text before the bar."""
        self._bars.update(self._task, description=text)


class Output:
    """What a command has to say.

    json: True if standard output belongs to one JSON object; text and tables then go to standard error.  if_interrupted: what is said of an end by Ctrl-C or a
    signal.
    """

    def __init__(self, json_output: bool) -> None:
        self.json = json_output
        self.if_interrupted = "What was finished is kept. Run it again."
        self._bars: Progress | None = None
        self._result: str | None = None
        self.exit_code = 0

    @cached_property
    def _words(self) -> Console:
        return _console(sys.stderr if self.json else sys.stdout)

    @cached_property
    def _aside(self) -> Console:
        return _console(sys.stderr)

    def say(self, text: str) -> None:
        """Print a line for people."""
        # A terminal with a bar on it is written to by one console alone.
        shared = self._bars is not None and self._words.is_terminal and self._aside.is_terminal
        (self._aside if shared else self._words).print(printable(text), markup=False, highlight=False, soft_wrap=True)

    def note(self, text: str) -> None:
        """Print a line on standard error."""
        self._aside.print(printable(text), markup=False, highlight=False, soft_wrap=True)

    def warn(self, text: str) -> None:
        """Print a warning on standard error."""
        self._aside.print(f"warning: {printable(text)}", style="yellow", markup=False, highlight=False, soft_wrap=True)

    def table(self, title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Print a table for people; numbers stand on the right."""
        from rich.table import Table
        from rich.text import Text

        cells = [list(row) for row in rows]
        table = Table(title=Text(title), title_justify="left", title_style="bold")
        for n, name in enumerate(columns):
            numeric = bool(cells) and all(isinstance(row[n], int | float) for row in cells)
            table.add_column(Text(name), justify="right" if numeric else "left", overflow="fold")
        for row in cells:
            table.add_row(*(Text(_cell(value)) for value in row))
        self._words.print(table)

    @contextmanager
    def progress(self, text: str, total: float = 100.0) -> Generator[Bar]:
        """Show a bar with the time left while the block runs; bars may be nested. Nothing is drawn where standard error is no terminal."""
        outermost = self._bars is None
        bars = self._bars = self._bars or _bars(self._aside)
        if outermost:
            bars.start()
        try:
            yield Bar(bars, bars.add_task(text, total=total))
        finally:
            if outermost:
                bars.stop()
                self._bars = None

    def result(self, payload: Mapping[str, Any], *, simulated: bool = False, security: SecurityStatement | None = None, exit_code: int = 0) -> None:
        """Say what came out; it is printed when the command ends, and only if it ends well.

        payload: what `--json` prints, together with `simulated` and `security`; NumPy numbers and arrays, paths and dataclasses are converted, numbers that
        are not finite become null.  security: None where nothing secret was made.  exit_code: 1 for a result that must not be used.
        """
        whole = {**payload, "simulated": simulated, "security": security.as_dict() if security else None}
        self._result = json.dumps(plain(whole), allow_nan=False)
        self.exit_code = exit_code

    def fail(self, error: Mapping[str, str]) -> None:
        """Say what went wrong, where, and what to do: one block on standard error, and under `--json` one object on standard output."""
        if self.json:
            _write(json.dumps({"error": dict(error)}))
        self._aside.print(f"error: {printable(error['message'])}", style="bold red", markup=False, highlight=False, soft_wrap=True)
        for name in ("where", "remedy"):
            if error[name]:
                self.note(f"  {name + ':':8}{error[name]}")

    def finish(self) -> None:
        """Print the result, if scripts are listening."""
        if self.json and self._result is not None:
            _write(self._result)


@contextmanager
def command(json_output: bool) -> Generator[Output]:
    """Run the body of a command: print its result at the end, turn its errors into one clear block and the exit code of their kind."""
    out = Output(json_output)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *_, **__: out.warn(str(message))
            yield out
    except KeyboardInterrupt as error:
        out.fail(_interrupted(out, "interrupted", error))
        raise typer.Exit(INTERRUPTED) from error
    except SystemExit as error:
        out.fail(_interrupted(out, f"ended by a signal, code {error.code}", error))
        raise
    except BrokenPipeError:
        raise
    except (HeliographError, OSError) as error:
        known = error if isinstance(error, HeliographError) else _known(error)
        if known is None:
            _bug(out, error)
            raise typer.Exit(1) from error
        out.fail({**known.as_dict(), "message": _with_notes(known.message, error)})
        raise typer.Exit(known.exit_code) from error
    except (typer.Exit, typer.Abort, typer.BadParameter):
        raise
    except Exception as error:
        _bug(out, error)
        raise typer.Exit(1) from error
    out.finish()
    if out.exit_code:
        raise typer.Exit(out.exit_code)


def _interrupted(out: Output, message: str, error: BaseException) -> dict[str, str]:
    return {"type": "Interrupted", "message": _with_notes(message, error), "where": "", "remedy": out.if_interrupted}


def _with_notes(message: str, error: BaseException) -> str:
    """Return a message with what was noted on the error's way out, such as how a bench was left."""
    return "; ".join(dict.fromkeys([message, *getattr(error, "__notes__", ())]))


def _write(line: str) -> None:
    """Write a line to standard output, to whoever reads it still."""
    try:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        silence(sys.stdout)


def silence(stream: TextIO) -> None:
    """Let what is written from now on go nowhere: the reader went away, which ends the output and nothing else."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def unheard(error: OSError) -> int:
    """Return the exit code where standard output takes nothing more: a reader that went away is no error, a full disk is said aside."""
    silence(sys.stdout)
    if isinstance(error, BrokenPipeError):
        return 0
    known = _known(error) or StorageError(str(error))
    Output(False).fail({**known.as_dict(), "where": "standard output"})
    return known.exit_code


def plain(value: Any) -> Any:
    """Return a value in JSON's own types; numbers that are not finite become None."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, Path):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    raise TypeError(f"{type(value).__name__} has no place in a JSON result")


def printable(text: str) -> str:
    """Return a text without what a terminal takes for a command: run files and instruments may say anything."""
    return "".join(one if one.isprintable() or one in "\n\t" else "\N{REPLACEMENT CHARACTER}" for one in text)


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else printable(str(value))


def _known(error: OSError) -> HeliographError | None:
    where = str(error.filename or "")
    if error.errno in _FULL:
        return StorageError(
            f"nothing more can be written ({error.strerror})", where=where, remedy="Free some space or choose another folder; what was written is kept."
        )
    if isinstance(error, _WRONG_PATH):
        return ConfigError((error.strerror or type(error).__name__).lower(), where=where, remedy="Check the path and its permissions.")
    return None


def _bug(out: Output, error: Exception) -> None:
    hide_in(error, hidden_of(no_secrets))
    traceback.print_exception(error, file=sys.stderr)
    out.fail(
        {
            "type": type(error).__name__,
            "message": _with_notes(str(error), error),
            "where": "",
            "remedy": "This is a fault of Heliograph: please report it with the traceback.",
        }
    )


def _console(stream: TextIO) -> Console:
    from rich.console import Console as RichConsole

    class Console(RichConsole):
        def on_broken_pipe(self) -> None:
            # Rich itself would end the program here.
            del self._buffer[:]
            silence(stream)

    return Console(file=stream, width=None if stream.isatty() else 120)


def _bars(console: Console) -> Progress:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, disable=not console.is_terminal)
