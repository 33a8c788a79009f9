"""`heliograph acquire`: measurements on the bench, each into a run file."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..core.errors import ConfigError, ParameterError
from ..core.statement import combined
from .bench import FaultOption, StationOption
from .output import Bar, JsonOption, Output, command, plain

if TYPE_CHECKING:
    from ..acquisition.procedures.base import BenchProcedure
    from ..acquisition.runs import Run
    from ..control.bench import Bench
    from ..control.parties.walk import Block, Walk

app = typer.Typer(no_args_is_help=True, help="Measure on the bench; every measurement becomes a run file.")

OutOption = Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Where run files go; by default the station's data_dir beside its file.")]


@app.command("rates")
def rates(
    station: StationOption,
    pair: Annotated[str, typer.Option(help="Whose light to send.")] = "A-B",
    duration: Annotated[float, typer.Option(help="Seconds.")] = 1.0,
    period: Annotated[float, typer.Option(help="Seconds of one count.")] = 0.1,
    dark: Annotated[bool, typer.Option("--dark", help="Leave the light as it is after arming: at its weakest.")] = False,
    out_folder: OutOption = None,
    fault: FaultOption = None,
    json_output: JsonOption = False,
) -> None:
    """Measure the count rates of both detectors."""
    with command(json_output) as out:
        from ..acquisition.procedures.count_rates import CountRates
        from ..control.bench import open_bench
        from ..control.parties.tables import rate_rows

        procedure = CountRates(duration_s=duration, period_s=period, pair=pair, light=not dark)
        with open_bench(station, folder=out_folder, faults=tuple(fault or ())) as bench:
            run = _carry_out(bench, procedure, "Count rates", out)
        out.table("Count rates", *rate_rows(procedure.result))
        _finish(out, run, run.summary)


@app.command("fringe")
def fringe(
    station: StationOption,
    user: Annotated[str, typer.Option(help="Whose phase modulator to scan.")] = "A",
    partner: Annotated[str, typer.Option(help="Whose arm closes the interferometer.")] = "B",
    points: Annotated[int, typer.Option(help="Voltages.")] = 25,
    period: Annotated[float, typer.Option(help="Seconds of one count.")] = 0.1,
    out_folder: OutOption = None,
    fault: FaultOption = None,
    json_output: JsonOption = False,
) -> None:
    """Scan a user's phase: half-wave voltage and visibility."""
    with command(json_output) as out:
        from ..acquisition.procedures.phase_scan import PhaseScan
        from ..control.bench import open_bench
        from ..control.parties.tables import fringe_rows

        procedure = PhaseScan(user=user, partner=partner, points=points, period_s=period)
        with open_bench(station, folder=out_folder, faults=tuple(fault or ())) as bench:
            run = _carry_out(bench, procedure, "Phase scan", out)
        out.table("Phase scan", *fringe_rows({user: procedure.result}))
        _finish(out, run, run.summary)


@app.command("key")
def key(
    station: StationOption,
    store: Annotated[Path, typer.Option("--store", metavar="DIR", help="Folder of the key stores; each party's pattern waits there for `heliograph distil`.")],
    pairs: Annotated[str, typer.Option(help="Pairs such as A-B,B-C, or all.")] = "all",
    seconds: Annotated[float, typer.Option(help="Seconds of light of each block.")] = 5.0,
    light: Annotated[
        str | None, typer.Option("--for", metavar="TIME", help="Light in all, such as 1h or 600 s: block after block, the pair with the least key first.")
    ] = None,
    distil: Annotated[bool, typer.Option("--distil", help="Make key of each block while the light of the next one is sent.")] = False,
    seed: Annotated[int | None, typer.Option(min=0, help="Draw the patterns from a seed instead of the operating system, to repeat a run.")] = None,
    out_folder: OutOption = None,
    fault: FaultOption = None,
    json_output: JsonOption = False,
) -> None:
    """Exchange light between pairs of users; `heliograph distil` makes key of each run.

    One block for each pair; with --for as many as fit, each for the pair that has the least key then. Killed and begun again, --for with --distil first makes
    key of light that waits for it.
    """
    with command(json_output) as out:
        from ..control.bench import open_bench
        from ..control.parties.walk import Walk
        from ..control.parties.worker import Distiller
        from ..control.resources import peak_rss_bytes
        from ..core.entropy import OsRandom, SimRandom
        from ..core.units import parse

        begun = time.monotonic()
        total = None if light is None else parse(light, "s", where="--for")
        if total is not None and not total >= seconds:
            raise ParameterError(f"{light} is less than one block of {seconds:g} s", where="--for", remedy="Give more, or fewer --seconds.")
        with ExitStack() as stack:
            bar = stack.enter_context(out.progress("Light"))
            # Outside the bench: the light is off before the last worker is waited for.
            distiller = stack.enter_context(Distiller(store, told=bar.say)) if distil else None
            bench = stack.enter_context(open_bench(station, folder=out_folder, faults=tuple(fault or ())))
            chosen = _pairs(pairs, tuple(bench.station.pairs))
            walk = Walk(bench, store, seconds, distiller, source=lambda number: OsRandom() if seed is None else SimRandom(seed, number))
            blocks = _walked(walk, chosen, total, out, bar)
        _say_blocks(out, blocks, store)
        runs = [{"pair": block.pair, "run": block.run, "run_id": block.run_id, **block.summary, **_made(block)} for block in blocks]
        found = {"blocks": runs} if total is not None else {"pairs": {run["pair"]: run for run in runs}}
        statements = [block.statement for block in blocks if block.statement is not None]
        out.result(
            {**found, "wall_seconds": time.monotonic() - begun, "peak_rss_bytes": peak_rss_bytes()},
            simulated=any(block.simulated for block in blocks),
            security=combined(statements) if statements else None,
            exit_code=1 if distil and not statements else 0,
        )


def _walked(walk: Walk, pairs: list[str], light_s: float | None, out: Output, bar: Bar) -> list[Block]:
    """Go through the blocks with a bar that names what is done, and a line for each block of a long walk."""

    def lit(topic: str, value: Any) -> None:
        if topic == "progress":
            bar.to(value)
        elif "Event rate (Hz)" in value:
            bar.say(f"Light, {value['Event rate (Hz)'] / 1e6:.3f} million events/s")

    walk.light = lit
    blocks = []
    for block in walk.once(pairs) if light_s is None else walk.along(pairs, light_s):
        blocks.append(block)
        if light_s is not None:
            out.note(f"Block {len(blocks)}, pair {block.pair}: {_outcome(block)}")
    return blocks


def _outcome(block: Block) -> str:
    if block.key is not None:
        return f"{block.key['key_bits']:,} bits of key, {block.key['key_rate_bps'] / 1e3:,.1f} kbit/s"
    return f"no key: {block.why}" if block.why else f"light in {block.run.name}"


def _made(block: Block) -> dict[str, Any]:
    return {"no_key": block.why} if block.why else {"key": block.key} if block.key is not None else {}


def _say_blocks(out: Output, blocks: list[Block], store: Path) -> None:
    rows = [(block.pair, block.summary["preamble"]["e_x"], block.summary["preamble"]["e_y"], block.run.name) for block in blocks]
    out.table("Runs", ["pair", "error X before", "error Y before", "run file"], rows)
    for block in blocks:
        waits = block.key is None and not block.why
        out.say(f"Next: heliograph distil {block.run} --store {store}" if waits else f"Pair {block.pair}: {_outcome(block)}")


def _pairs(text: str, known: tuple[str, ...]) -> list[str]:
    chosen = list(known) if text == "all" else [pair.strip() for pair in text.split(",")]
    wrong = [pair for pair in chosen if pair not in known]
    if wrong:
        raise ParameterError(f"there is no pair {wrong[0]!r}", where="--pairs", remedy=f"Pairs of this station: {', '.join(known)}; or all.")
    return chosen


@app.command("run")
def run(
    procedure: Annotated[str, typer.Argument(metavar="PROCEDURE", help="One of `heliograph acquire procedures`.")],
    station: StationOption,
    param: Annotated[list[str] | None, typer.Option("--param", metavar="NAME=VALUE", help="A parameter of the procedure, repeatable.")] = None,
    dark: Annotated[bool, typer.Option("--dark", help="Leave light and bias off instead of arming the bench.")] = False,
    out_folder: OutOption = None,
    fault: FaultOption = None,
    json_output: JsonOption = False,
) -> None:
    """Run any procedure by name, of Heliograph or of another installed package, into a run file."""
    with command(json_output) as out:
        from ..acquisition.procedures import table
        from ..control.bench import open_bench

        chosen = table.made(procedure, given(param or ()))
        with open_bench(station, folder=out_folder, faults=tuple(fault or ()), armed=not dark) as bench:
            run = _carry_out(bench, chosen, procedure, out)
        out.table(procedure, ["found", "value"], list(plain(run.summary).items()))
        _finish(out, run, {"procedure": procedure, "parameters": chosen.parameter_values(), "summary": run.summary})


@app.command("procedures")
def procedures(json_output: JsonOption = False) -> None:
    """Show what `heliograph acquire run` can run, and with which parameters."""
    with command(json_output) as out:
        from ..acquisition.procedures import table

        found: dict[str, Any] = {}
        for name in table.names():
            try:
                found[name] = {"does": _first_line(table.procedure(name)), "parameters": table.parameters(name)}
            except ConfigError as error:
                out.warn(str(error))
        rows = [(name, key, _range(each)) for name, one in found.items() for key, each in one["parameters"].items()]
        out.table("Procedures", ["procedure", "parameter", "default and range"], rows)
        out.result({"procedures": found})


def _first_line(procedure: type[BenchProcedure]) -> str:
    return (procedure.__doc__ or "").strip().partition("\n")[0]


def _range(parameter: Mapping[str, Any]) -> str:
    low, high, choices = parameter["minimum"], parameter["maximum"], parameter["choices"]
    allowed = f", {low:g} to {high:g}" if low is not None and high is not None else f", one of {', '.join(map(str, choices))}" if choices else ""
    return f"{parameter['default']}{allowed}{' ' + parameter['units'] if parameter['units'] else ''}"


def given(pairs: Sequence[str]) -> dict[str, str]:
    """Return parameters written as NAME=VALUE by name; raises ParameterError."""
    wrong = [text for text in pairs if "=" not in text]
    if wrong:
        raise ParameterError(f"{wrong[0]!r} is no parameter", where="--param", remedy="Write it as --param duration_s=2.")
    return {name.strip(): value.strip() for name, _, value in (text.partition("=") for text in pairs)}


def _carry_out(bench: Bench, procedure: BenchProcedure, text: str, out: Output) -> Run:
    with out.progress(text) as bar:
        return bench.run(procedure, progress=lambda topic, value: bar.to(value) if topic == "progress" else None)


def _finish(out: Output, run: Run, found: dict[str, Any]) -> None:
    with run:
        out.say(f"Run file: {run.path}")
        out.result({"run": run.path, "run_id": run.run_id, **found}, simulated=run.simulated)
