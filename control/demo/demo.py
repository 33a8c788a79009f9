"""The whole way on the simulated bench: light, keys, learning, report."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ...core.entropy import SimRandom
from ...instruments.station import Station
from ..bench import Bench, open_bench
from ..parties.node import Network, PairKey, network
from ..parties.tables import fringe_rows, key_rows, rate_rows, round_rows
from ..stations import simulated_station
from .faults import bench_faults, key_sources
from .result import DemoResult

if TYPE_CHECKING:
    from ...acquisition.calibration import Fringe
    from ...acquisition.procedures.base import BenchProcedure
    from ...acquisition.procedures.count_rates import Rates
    from ...acquisition.runs import Run
    from ...protocols.qunetqfl.result import LearningResult, RoundRecord

LIGHT_S = 5.0
"""Light of every pair; the largest loss needs this much for a useful key."""
CLASSES = (3, 9)


class ProgressBar(Protocol):
    """A bar that can be moved on, or set to a percentage."""

    def step(self, by: float = 1.0) -> None:
        """Move on."""
        ...

    def to(self, completed: float) -> None:
        """Set how much of the total is done."""
        ...


class Voice(Protocol):
    """What the demo needs of a command's output."""

    def say(self, text: str) -> None:
        """Print a line."""
        ...

    def table(self, title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Print a table."""
        ...

    def progress(self, text: str, total: float = 100.0) -> AbstractContextManager[ProgressBar]:
        """Show a bar."""
        ...


def demo(folder: Path, voice: Voice, *, seed: int | None = None, rounds: int | None = None, faults: Sequence[str] = (), seconds: float = LIGHT_S) -> DemoResult:
    """Run the demo in a folder and return what it made; its report is `folder`/report.html.

    seed: of the simulated world, the patterns and the training; keys never repeat.  rounds: of learning.
    faults: see `faults.KNOWN`.  seconds: of light of every pair.
    Raises whatever goes wrong: no key is made of light that cannot be read.
    """
    return _Demo(folder, voice, seed, faults, seconds).run(rounds)


class _Demo:
    def __init__(self, folder: Path, voice: Voice, seed: int | None, faults: Sequence[str], seconds: float) -> None:
        self._started = time.monotonic()
        self._voice = voice
        self._faults, self._bench_faults = faults, bench_faults(faults)
        self._folder = folder.resolve()
        self._station_path = simulated_station(self._folder, seed=seed)
        self._station = Station.load(self._station_path)
        self._seed = int(self._station.sim["seed"])
        self._seconds = seconds
        self._runs: list[Path] = []

    def run(self, rounds: int | None) -> DemoResult:
        with ExitStack() as stack:
            keys = stack.enter_context(network(self._folder / "store", list(self._station.optics.users)))
            with open_bench(self._station_path, folder=self._folder / "runs", faults=self._bench_faults) as bench:
                self._greet(bench)
                rates, rate_run = self._rates(bench)
                fringes, fringe_runs = self._fringes(bench)
                pairs = {name: self._pair(bench, keys, name) for name in self._station.pairs}
                wire = dict(bench.instruments.wire_counts())
            self._voice.table(f"Keys from {self._seconds:g} s of light each", *key_rows(pairs))
            learning = self._learn(keys, pairs, rounds)
        result = DemoResult(self._folder, self._seed, rates, fringes, pairs, learning, wire, tuple(self._runs), round(time.monotonic() - self._started, 3))
        from .summary import write_report

        with ExitStack() as opened:
            write_report(result, [opened.enter_context(run) for run in (rate_run, *fringe_runs)])
        return result

    def _carry_out(self, bench: Bench, procedure: BenchProcedure, text: str) -> Run:
        with self._voice.progress(text) as bar:
            run = bench.run(procedure, progress=lambda topic, value: bar.to(value) if topic == "progress" else None, purpose="demo")
        self._runs.append(run.path)
        return run

    def _greet(self, bench: Bench) -> None:
        rows = []
        for name, instrument in bench.instruments.items():
            who = instrument.identify()
            rows.append((name, f"{who.vendor} {who.model}", who.serial, self._station.instruments[name].wire.role))
        self._voice.table("The bench (simulated)", ["instrument", "answers as", "serial", "role"], rows)

    def _rates(self, bench: Bench) -> tuple[Rates, Run]:
        from ...acquisition.procedures.count_rates import CountRates

        procedure = CountRates(duration_s=1.0, pair=next(iter(self._station.pairs)))
        run = self._carry_out(bench, procedure, "Count rates")
        rates: Rates = procedure.result
        self._voice.table(f"Count rates, light of pair {procedure.pair}", *rate_rows(rates))
        return rates, run

    def _fringes(self, bench: Bench) -> tuple[dict[str, Fringe], list[Run]]:
        from ...acquisition.procedures.phase_scan import PhaseScan

        users, fringes, runs = list(self._station.optics.users), {}, []
        for number, user in enumerate(users):
            procedure = PhaseScan(user=user, partner=users[(number + 1) % len(users)])
            runs.append(self._carry_out(bench, procedure, f"Phase scan of user {user}"))
            fringes[user] = procedure.result
        self._voice.table("Phase scans", *fringe_rows(fringes))
        return fringes, runs

    def _pair(self, bench: Bench, keys: Network, name: str) -> PairKey:
        from ...postprocess.procedures.key_exchange import KeyExchange

        source = SimRandom(self._seed, list(self._station.pairs).index(name))
        procedure = KeyExchange(store=keys.folder, source=source, pair=name, seconds=self._seconds)
        run = self._carry_out(bench, procedure, f"Light of pair {name}")
        with self._voice.progress(f"Key of pair {name}") as bar, run:
            key = keys.distil(run)
            bar.to(100.0)
        return key

    def _learn(self, keys: Network, pairs: Mapping[str, PairKey], rounds: int | None) -> LearningResult:
        from ...protocols.learning.tasks import digits_task
        from ...protocols.qunetqfl.auditor import Auditor
        from ...protocols.qunetqfl.driver import Settings, learn

        task = digits_task(*CLASSES)
        total = task.rounds if rounds is None else rounds
        with self._voice.progress("Learning rounds", total=total) as bar:

            def told(_record: RoundRecord) -> None:
                bar.step()

            result = learn(
                task,
                key_sources(keys.parties, self._faults),
                Settings(rounds=total, seed=self._seed),
                folder=self._folder / "learning" / time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()),
                statements=keys.statements(pairs.values()),
                auditor=Auditor(),
                progress=told,
            )
        self._voice.table(f"Learning digits {CLASSES[0]} and {CLASSES[1]}, {len(keys.parties)} clients", *round_rows(result))
        return result
