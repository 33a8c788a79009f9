"""`heliograph acquire`: measurements on the bench, each into a run file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..core.errors import ParameterError
from .bench import FaultOption, StationOption
from .output import JsonOption, Output, command

if TYPE_CHECKING:
    from ..acquisition.procedures.base import BenchProcedure
    from ..acquisition.runs import Run
    from ..control.bench import Bench

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
        from ..control.tables import rate_rows

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
        from ..control.tables import fringe_rows

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
    seconds: Annotated[float, typer.Option(help="Seconds of light for each pair.")] = 5.0,
    seed: Annotated[int | None, typer.Option(min=0, help="Draw the patterns from a seed instead of the operating system, to repeat a run.")] = None,
    out_folder: OutOption = None,
    fault: FaultOption = None,
    json_output: JsonOption = False,
) -> None:
    """Exchange light between pairs of users; `heliograph distil` makes key of each run."""
    with command(json_output) as out:
        from ..control.bench import open_bench
        from ..core.entropy import OsRandom, SimRandom
        from ..postprocess.procedures.key_exchange import KeyExchange

        runs: dict[str, Run] = {}
        with open_bench(station, folder=out_folder, faults=tuple(fault or ())) as bench:
            for number, pair in enumerate(_pairs(pairs, tuple(bench.station.pairs))):
                source = OsRandom() if seed is None else SimRandom(seed, number)
                procedure = KeyExchange(store=store, source=source, pair=pair, seconds=seconds)
                runs[pair] = _carry_out(bench, procedure, f"Light of pair {pair}", out)
        rows = [(pair, run.summary["preamble"]["e_x"], run.summary["preamble"]["e_y"], run.path.name) for pair, run in runs.items()]
        out.table("Runs", ["pair", "error X before", "error Y before", "run file"], rows)
        for run in runs.values():
            run.close()
            out.say(f"Next: heliograph distil {run.path} --store {store}")
        found = {pair: {"run": run.path, "run_id": run.run_id, **run.summary} for pair, run in runs.items()}
        out.result({"pairs": found}, simulated=any(run.simulated for run in runs.values()))


def _pairs(text: str, known: tuple[str, ...]) -> list[str]:
    chosen = list(known) if text == "all" else [pair.strip() for pair in text.split(",")]
    wrong = [pair for pair in chosen if pair not in known]
    if wrong:
        raise ParameterError(f"there is no pair {wrong[0]!r}", where="--pairs", remedy=f"Pairs of this station: {', '.join(known)}; or all.")
    return chosen


def _carry_out(bench: Bench, procedure: BenchProcedure, text: str, out: Output) -> Run:
    with out.progress(text) as bar:
        return bench.run(procedure, progress=lambda topic, value: bar.to(value) if topic == "progress" else None)


def _finish(out: Output, run: Run, found: dict[str, Any]) -> None:
    with run:
        out.say(f"Run file: {run.path}")
        out.result({"run": run.path, "run_id": run.run_id, **found}, simulated=run.simulated)
