"""The demo's report: its numbers and plots put on one page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..parties.tables import key_rows, round_rows
from ..reporting import plots
from ..reporting.report import Plot, Report, Table, write

if TYPE_CHECKING:
    from ...acquisition.runs import Run
    from .result import DemoResult


def write_report(result: DemoResult, bench_runs: Sequence[Run]) -> None:
    """Write `report.html` into the demo's folder.

    bench_runs: the count-rate run, then the phase scans in the order of the users.
    """
    learned, path = result.learning, result.folder / "report.html"
    report = Report(
        title=f"Heliograph demo, seed {result.seed}",
        lead=f"Three users on one Sagnac loop exchanged key pairwise and trained a quantum neural network on digits without showing each other their data. "
        f"Seed {result.seed}, {result.wall_seconds:.0f} s.",
        facts=[
            ("Final key", f"{sum(key.key_bits for key in result.pairs.values()) / 1e6:.2f} Mbit"),
            ("Test accuracy", f"{learned.final_accuracy:.1%}"),
            ("Rounds", str(len(learned.rounds))),
            ("Key spent on masks", f"{sum(record.key_bits_spent for record in learned.rounds) / 1e3:.1f} kbit"),
            ("Masked sum = plain sum", "yes, every word" if learned.unmasked_equal else "NO"),
        ],
        bench=_bench_plots(result, bench_runs),
        pairs=_pair_table(result),
        keys=_key_plots(result),
        learning=[
            Plot("accuracy", "Test accuracy of the shared model after each round.", plots.accuracy([record.accuracy for record in learned.rounds])),
            Plot(
                "key-spent",
                "Key used by the rounds, all pairs together.",
                plots.key_spent([record.key_bits_spent for record in learned.rounds], [record.key_bits_burned for record in learned.rounds]),
            ),
        ],
        rounds=_round_table(result),
        statement=result.statement,
        files=[("station", result.folder / "station.toml"), ("key stores", result.folder / "store"), *(("run", run) for run in result.runs)],
    )
    write(report, path)


def _bench_plots(result: DemoResult, runs: Sequence[Run]) -> list[Plot]:
    figures = [Plot("rates", "Count rates of both detectors; lines are the means.", runs[0].plot())]
    for user, run in zip(result.fringes, runs[1:], strict=True):
        figures.append(Plot(f"fringe-{user}", f"Phase scan of user {user}: counts and fitted fringe.", run.plot()))
    return figures


def _key_plots(result: DemoResult) -> list[Plot]:
    errors = {name: (key.qber_x, key.qber_y) for name, key in result.pairs.items()}
    budget = {name: {"sifted": float(key.sifted_bits), "leak": float(key.leak_bits), "key": float(key.key_bits)} for name, key in result.pairs.items()}
    return [
        Plot(
            "qber",
            "Bit error rates of each pair: X is corrected and becomes key, Y is disclosed and bounds what an eavesdropper knows.",
            plots.error_rates(errors),
        ),
        Plot("budget", "What became of the sifted X bits.", plots.key_budget(budget)),
    ]


def _pair_table(result: DemoResult) -> Table:
    header, rows = key_rows(result.pairs)
    return Table("One block of light per pair; f is the efficiency of error correction, 1 at the Shannon limit.", header, _texts(rows))


def _round_table(result: DemoResult) -> Table:
    header, rows = round_rows(result.learning)
    equal = ["yes" if record.unmasked_equal else "NO" for record in result.learning.rounds]
    cells = [[*row, same] for row, same in zip(_texts(rows), equal, strict=True)]
    return Table("Every round's masked sum is compared with the sum of the plain quantised updates.", [*header, "equal to plain sum"], cells)


def _texts(rows: Sequence[Sequence[object]]) -> list[list[str]]:
    return [[f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row] for row in rows]
