"""`heliograph runs`: the run files of a folder: to be listed, looked into, exported, replayed, imported, salvaged, and summed up at the end of a day."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..core.errors import ConfigError, HeliographError, ParameterError, RunFileError
from .output import Bar, JsonOption, Output, command, plain

if TYPE_CHECKING:
    from ..control.topics import RunDetails, RunSummary

app = typer.Typer(no_args_is_help=True, help="Run files: list, look into, export, replay, import, salvage, report.")

RUNS = Path("runs")


def _folder(text: str | Path) -> Path:
    """Return the folder that is named: no name at all would be the current one."""
    if not str(text):
        raise typer.BadParameter("the name of the folder is empty")
    return Path(text)


OutOption = Annotated[Path, typer.Option("--out", parser=_folder, metavar="DIR", help="Folder of the run files.")]
RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="Run file, run id, the beginning of one, or `last`.")]


ForceOption = Annotated[bool, typer.Option("--force", help="Replace files that are there; never runs, stations or stores.")]


class ExportKind(StrEnum):
    """What a run is exported as."""

    csv = "csv"
    png = "png"


@app.command("list")
def listed(
    out_folder: OutOption = RUNS,
    procedure: Annotated[str, typer.Option(help="Only runs of this procedure.")] = "",
    day: Annotated[str, typer.Option(metavar="YYYY-MM-DD", help="Only runs begun on this day.")] = "",
    text: Annotated[str, typer.Option(help="Only runs in which this is said: operator, purpose, state, results.")] = "",
    json_output: JsonOption = False,
) -> None:
    """List run files, the newest last; damaged ones are named."""
    with command(json_output) as out:
        from ..control.run_files.catalogue import summaries
        from ..control.run_files.day_report import checked_day

        wanted = checked_day(day) if day else ""
        with out.progress("Reading run files") as bar:
            found = summaries(out_folder, procedure=procedure, day=wanted, text=text, told=lambda share: bar.to(100.0 * share))
        heads = ["run", "begun", "procedure", "state", "seconds", "tags", "gaps", "data"]
        out.table(f"Runs in {out_folder}", heads, [_row(one) for one in found])
        for one in found:
            if one.state in ("damaged", "unfinished") and one.why:
                out.warn(f"{one.path}: {one.why}")
        runs = [{**plain(one), "origin": one.origin} for one in found]
        out.result({"folder": out_folder, "runs": runs}, simulated=any(one.simulated for one in found))


def _row(one: RunSummary) -> tuple[object, ...]:
    begun = datetime.fromtimestamp(one.begun, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S") if one.begun else "-"
    seconds = "-" if one.seconds is None else f"{one.seconds:.1f}"
    counted = ("-" if n is None else n for n in (one.tags, one.gaps))
    return one.run, begun, one.procedure or "-", one.state, seconds, *counted, "-" if one.origin == "unknown" else one.origin


@app.command("show")
def show(run: RunArgument, out_folder: OutOption = RUNS, json_output: JsonOption = False) -> None:
    """Show what a run is: parameters, results, provenance, what happened, and which arrays it holds."""
    with command(json_output) as out:
        from ..control.run_files.catalogue import details, find

        found = details(find(out_folder, run))
        _tell_details(out, found)
        told = {name: getattr(found, name) for name in found.__slots__ if name != "finals"}
        out.result({**told, "last": _last(found), "origin": found.summary.origin}, simulated=found.summary.simulated)


def _tell_details(out: Output, found: RunDetails) -> None:
    one = found.summary
    about = [("state", one.state + (f": {one.why}" if one.why else "")), ("provenance", found.provenance), ("operator", one.operator), ("purpose", one.purpose)]
    out.table(f"{one.procedure} {one.run}", ["what", "is"], [*about, ("station", one.station), ("file", one.path)])
    out.table("Parameters", ["name", "value"], sorted(found.parameters.items()))
    if one.numbers:
        out.table("Found", ["name", "value"], [(name, "-" if value is None else value) for name, value in one.numbers.items()])
    if found.events:
        rows = [(datetime.fromtimestamp(event.t, UTC).astimezone().strftime("%H:%M:%S"), event.severity, event.source, event.text) for event in found.events]
        out.table("What happened", ["time", "kind", "from", "what"], rows)
    out.table("Arrays", ["name", "unit", "shape"], found.arrays)


def _last(found: RunDetails) -> dict[str, Any]:
    """Return the last rates and the light of the run, where it has them; histograms and scans are in its arrays."""
    return {topic: found.finals[topic] for topic in ("counts", "key") if topic in found.finals}


@app.command("export")
def export(
    run: RunArgument,
    to: Annotated[Path, typer.Option("--to", metavar="PATH", help="Folder, or name of the file, which ends as its kind does.")],
    kind: Annotated[ExportKind, typer.Option(help="csv: one file a group of arrays.  png: the figure of the run.")] = ExportKind.csv,
    force: ForceOption = False,
    out_folder: OutOption = RUNS,
    json_output: JsonOption = False,
) -> None:
    """Write a run as CSV, or its figure as PNG; simulated data say so."""
    with command(json_output) as out:
        from ..control.run_files.catalogue import find, summary_of
        from ..control.run_files.export import export as written

        path = find(out_folder, run)
        _check_place(to, kind.value, _stores(out_folder))
        out.if_interrupted = "Some of the files may have been written, each of them whole: run it again with --force."
        with out.progress("Exporting") as bar:
            files = written(path, kind.value, to, replace=force, told=lambda share: bar.to(100.0 * share))
        for file in files:
            out.say(f"Wrote {file}")
        one = summary_of(path)
        out.result({"run": path, "kind": kind.value, "files": files, "origin": one.origin}, simulated=one.simulated)


@app.command("replay")
def replay(
    run: RunArgument,
    speed: Annotated[float, typer.Option(help="1 to 100 times as fast as it was.")] = 1.0,
    begin: Annotated[float, typer.Option("--from", metavar="SECONDS", help="Time in the run from which to play.")] = 0.0,
    out_folder: OutOption = RUNS,
    json_output: JsonOption = False,
) -> None:
    """Play a run again: its figures in words as they were then, and its last state."""
    with command(json_output) as out:
        from ..control.run_files.catalogue import find, summary_of
        from ..control.run_files.replay import Replay

        path, last = find(out_folder, run), dict[str, Any]()
        with out.progress(f"Replaying {path.name}") as bar:
            one = Replay(path, lambda topic, body: _heard(out, bar, last, topic, body), speed=speed)
            try:
                if not one.state.duration_s:
                    remedy = "`heliograph runs show` and `heliograph runs export` tell what it holds."
                    raise RunFileError("this run has no times to replay: nothing in it says when it was measured", where=str(path), remedy=remedy)
                if not 0.0 <= begin <= one.state.duration_s:
                    raise ParameterError(f"{begin:g} s is no time of this run", where="--from", remedy=f"It takes {one.state.duration_s:.2f} s.")
                if begin:
                    one.seek(begin)
                while not one.wait(0.2):
                    pass
            finally:
                one.close()
        if one.state.why:
            raise RunFileError(one.state.why, where=str(path), remedy="Restore the file from a copy, or acquire again.")
        shown = {topic: body for topic, body in last.items() if topic in ("counts", "coincidences", "key")}
        found = summary_of(path)
        out.result({"run": path, "duration_s": one.state.duration_s, "last": shown, "origin": found.origin}, simulated=found.simulated)


def _heard(out: Output, bar: Bar, last: dict[str, Any], topic: str, body: Any) -> None:
    """Show what is replayed."""
    last[topic] = body
    if topic == "replay":
        bar.to(100.0 * body.t_s / body.duration_s if body.duration_s else 100.0)
    elif topic == "counts" and body.t_s > 0.0:
        rates = ", ".join(f"{name} {rate:,.0f}/s" for name, rate in zip(body.names, body.rates_hz, strict=True))
        out.say(f"{body.t_s:9.2f} s  {rates}")


@app.command("import")
def import_csv(
    files: Annotated[list[Path], typer.Argument(metavar="FILE.csv...", help="CSV files that PyMeasure wrote.")],
    procedure: Annotated[
        str | None, typer.Option(metavar="MODULE:CLASS", help="Their class, which is imported: parameters become numbers. Without it they are kept as text.")
    ] = None,
    out_folder: OutOption = RUNS,
    json_output: JsonOption = False,
) -> None:
    """Make run files of CSV files that PyMeasure wrote, one of each. No file says what code is loaded.

    A file that was imported before is left alone; one that cannot be imported does not hinder the others.
    """
    if procedure == "":
        raise typer.BadParameter("the name of the class is empty", param_hint="--procedure")
    with command(json_output) as out:
        from ..control.run_files.pymeasure_import import check_folder, procedure_class
        from ..control.run_files.pymeasure_import import import_csv as imported

        kind, made, failed = procedure_class(procedure) if procedure else None, [], list[tuple[Path, HeliographError]]()
        check_folder(out_folder)
        for file in files:
            try:
                with out.progress(f"Importing {file.name}") as bar:
                    one = imported(file, out_folder, kind, told=lambda share, bar=bar: bar.to(100.0 * share))  # type: ignore[misc]
            except HeliographError as error:
                failed.append((file, error))
                continue
            made.append(one)
            begun = datetime.fromtimestamp(one.begun, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
            out.say(f"Wrote {one.run}: {one.rows:,} rows, begun {begun} ({one.begun_from})" if one.new else f"{file} is there already: {one.run}")
            for note in one.notes:
                out.warn(f"{file}: {note}")
        _tell_failed(out, failed, len(files))
        faults: dict[str, Any] = {"error": failed[0][1].as_dict(), "failed": [{"file": file, **error.as_dict()} for file, error in failed]} if failed else {}
        # What was measured elsewhere is not known to be real: for readers that know two kinds only it is simulated, as its file says.
        whole = {"folder": out_folder, "imported": made, "origin": "imported", **faults}
        out.result(whole, simulated=True, exit_code=failed[0][1].exit_code if failed else 0)


def _tell_failed(out: Output, failed: list[tuple[Path, HeliographError]], files: int) -> None:
    """List what was not imported, where it cannot be overlooked: at the end."""
    for _, error in failed:
        out.note(f"error: {error}")
    if failed:
        out.note(f"{len(failed)} of {files} files were not imported; the others are there.")


@app.command("salvage")
def salvage(run: RunArgument, out_folder: OutOption = RUNS, json_output: JsonOption = False) -> None:
    """Copy what is whole of a run that was killed into an ordinary run file beside it; the run file itself stays as it is."""
    with command(json_output) as out:
        from ..control.run_files.catalogue import find, salvaged, summary_of

        path = find(out_folder, run)
        made = salvaged(path)
        found = summary_of(made)
        out.say(f"Wrote {made}: {found.tags or 0:,} tags")
        out.result({"run": path, "salvaged": made, "tags": found.tags, "origin": found.origin}, simulated=found.simulated)


@app.command("report")
def report(
    day: Annotated[str, typer.Option(metavar="YYYY-MM-DD", help="Which day; by default today.")] = "",
    store: Annotated[Path | None, typer.Option("--store", metavar="DIR", help="Folder of the key stores; by default `store` beside the run files.")] = None,
    to: Annotated[Path | None, typer.Option("--to", metavar="FILE", help="Write it there, into a folder or a file of this name, which ends in .md.")] = None,
    force: ForceOption = False,
    out_folder: OutOption = RUNS,
    json_output: JsonOption = False,
) -> None:
    """Sum a day up in Markdown: runs, key made and spent, alarms, notes."""
    with command(json_output) as out:
        from ..control.run_files.catalogue import run_files
        from ..control.run_files.day_report import checked_day, has_stores, simulated
        from ..control.run_files.day_report import report as told
        from ..control.run_files.export import free, written

        run_files(out_folder)
        stores, target = store or _stores(out_folder), None
        if store is not None and not has_stores(store):
            raise ConfigError("there are no key stores", where=str(store), remedy="Name their folder, or leave --store out.")
        if to is not None:
            _check_place(to, "md", stores)
            target = to / f"{checked_day(day)}.md" if to.is_dir() else to
            free([target], replace=force)
        text = told(out_folder, stores, day)
        if target is not None:
            written(target, lambda file: file.write_text(text, encoding="utf-8"))
        out.say(text if target is None else f"Wrote {target}")
        out.result({"day": checked_day(day), "text": text, "file": target}, simulated=simulated(out_folder, stores, day))


def _stores(runs: Path) -> Path:
    """Return where key stores are, unless somebody says otherwise."""
    return runs.resolve().parent / "store"


def _check_place(to: Path, kind: str, stores: Path) -> None:
    """Raise ConfigError, ParameterError or StorageError where nothing is to be written."""
    from ..control.run_files.export import checked_place

    if not (to if to.is_dir() else to.parent).is_dir():
        raise ConfigError("there is no such folder", where=str(to), remedy="Make it, or name another for --to.")
    checked_place(to.absolute(), kind, stores)


@app.command("desk", hidden=True)
def desk(
    descriptor: Annotated[int, typer.Option("--socket", help="Open socket at which to answer.")],
    out_folder: OutOption = RUNS,
    json_output: JsonOption = False,
) -> None:
    """Answer the owner of a bench about its run files."""
    with command(json_output):
        from ..control.run_files.desk import serve

        serve(out_folder, descriptor)
