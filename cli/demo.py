"""`heliograph demo`: the whole way from light to learning on the simulated bench."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .output import JsonOption, command

FaultOption = Annotated[
    list[str] | None,
    typer.Option(
        "--fault",
        "--faults",
        metavar="NAME|FILE",
        help="Something that goes wrong, repeatable: what `heliograph bench serve` knows, or flipped-mask-bit, a wrong bit in one key of one party.",
    ),
]


def demo(
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of the simulated world, the patterns and the training; keys never repeat.")] = None,
    rounds: Annotated[int | None, typer.Option(min=1, help="Rounds of learning; by default 20.")] = None,
    out_folder: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where station, runs, key stores and report go.")] = Path("heliograph-demo"),
    fault: FaultOption = None,
    seconds: Annotated[float, typer.Option(hidden=True, min=0.2, help="Light of every pair; less than 2 s makes no key.")] = 5.0,
    json_output: JsonOption = False,
) -> None:
    """Go the whole way once, on the simulated bench: count rates, fringes, keys of every pair, learning, report."""
    with command(json_output) as out:
        from ..control.demo.demo import demo as run

        result = run(out_folder, out, seed=seed, rounds=rounds, faults=tuple(fault or ()), seconds=seconds)
        equal = bool(result.learning.unmasked_equal)
        if not equal:
            out.warn("a masked sum differs from the plain one: the result must not be used")
        out.say(f"\nReport: {result.folder / 'report.html'}   ({result.wall_seconds:.0f} s)")
        out.say("Try next:")
        out.say(f"  heliograph keys show --store {out_folder / 'store'}")
        out.say(f"  heliograph acquire rates --station {out_folder / 'station.toml'}")
        out.say(f"  heliograph learn digits --store {out_folder / 'store'}")
        statement = result.statement
        out.result(result.as_dict(), simulated=statement.provenance.simulated, security=statement, exit_code=0 if equal else 1)
