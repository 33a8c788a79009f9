"""Nodes and workers tell the owner of a bench how they get on, so that the operator's window can show it. Sizes, rates and names, never a key bit.

Where nobody owns the bench, or the owner does not answer, the work goes on: one warning, and nothing more is told.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.errors import HeliographError
from ...instruments.station import Station
from ..link import Link
from ..topics import BlockFigures, ClientFigures, KeyProgress, LearningProgress, QpuJobs, QpuJobState, QpuLimit
from ..watching.store_states import store_states
from .accounting import in_words
from .expected_key import error_limits, expected_key
from .node import pair_of

if TYPE_CHECKING:
    from ...acquisition.runs import Run
    from ...postprocess.keystore.party import PartyKeys
    from ...protocols.qpu.ledger import JobHistory
    from ...protocols.qpu.projects import Project
    from ...protocols.qunetqfl.result import RoundNews
    from .node import PairKey

log = logging.getLogger(__name__)

PERIOD_S = 0.2
"""Shortest time between two tellings of the same kind, but for the last one."""
_LOOK_S = 0.5
_STAGES = {"Sifting": ("sifting", 0.0, 10.0), "Correcting errors": ("correcting", 10.0, 80.0), "Amplifying privacy": ("amplifying", 80.0, 90.0)}
_LAST_STAGE = ("amplifying", 80.0, 100.0)


class Teller:
    """One end of the line to an owner.  link: None where nobody is told.  warn: hears, once, why nothing is told any more."""

    def __init__(self, link: Link | None, warn: Callable[[str], None] = lambda _text: None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._link, self._warn, self._clock = link, warn, clock
        self._told: dict[str, float] = {}

    @property
    def heard(self) -> bool:
        """Say whether anybody is told."""
        return self._link is not None

    def tell(self, topic: str, body: Any, *, soon: bool = True) -> None:
        """Publish a state. soon: it may be left out where another one went out just before."""
        if self._link is None or (soon and self._clock() - self._told.get(topic, -PERIOD_S) < PERIOD_S):
            return
        self._told[topic] = self._clock()
        with self.quietly():
            self._link.ask("publish", {"topic": topic, "body": body})

    @contextmanager
    def quietly(self) -> Iterator[None]:
        """Let nothing that goes wrong in telling reach the work: one warning, and nothing more is told."""
        try:
            yield
        except Exception as error:
            log.debug("nothing more is told", exc_info=error)
            self._warn(f"the operator's window is told nothing more: {_why(error)}")
            self.close()

    def stores(self, folder: Path, parties: Mapping[str, PartyKeys], *, soon: bool = False) -> None:
        """Publish what the open stores of some parties hold."""
        if self._link is None or (soon and self._clock() - self._told.get("stores", -PERIOD_S) < PERIOD_S):
            return
        with self.quietly():
            books = [party.ledger(peer).as_dict() for party in parties.values() for peer in party.peers]
            self.tell("stores", store_states({"store": folder.resolve(), "stores": books}, time.time()), soon=False)

    def close(self) -> None:
        """Leave."""
        if self._link is not None:
            self._link.close()
            self._link = None


@contextmanager
def telling(station: Path | None, warn: Callable[[str], None]) -> Iterator[Teller]:
    """Connect to the owner of a station's bench for the length of a `with` block; station None, or a bench that nobody owns: nobody is told."""
    link = None
    if station is not None:
        try:
            link = Link.to_owner(station)
            if link is None:
                warn(f"nobody owns the bench of {station}, so no window is told how this gets on")
        except HeliographError as error:
            warn(f"no window is told how this gets on: {error.message}")
    teller = Teller(link, warn)
    try:
        yield teller
    finally:
        teller.close()


class KeyTelling:
    """Tells how key is made of a run, which is open.  Raises RunFileError for a run without light for a key."""

    def __init__(self, teller: Teller, run: Run) -> None:
        self._teller = teller
        pair, expected = pair_of(run), expected_key(run.station_text, pair_of(run))
        # Runs of earlier versions do not say how many events a part has.
        events = sum(int(meta.get("n_events", 0)) for meta in run.announced().meta)
        station = Station.parse(run.station_text, run.path)
        self._n_x = events * expected.x_share if expected is not None else 0.0
        self._rep_rate_hz = station.clock.rep_rate_hz
        self._about: dict[str, Any] = {
            "pair": pair,
            "run": run.run_id,
            "events": events,
            "n_needed": expected.n_needed if expected is not None else None,
            "limits": error_limits(station),
        }

    def at(self, what: str, percent: float) -> None:
        """Tell what is done, and how much of the whole."""
        stage, low, high = _STAGES.get(what, _LAST_STAGE)
        progress = min(1.0, max(0.0, (percent - low) / (high - low)))
        self._teller.tell("key", KeyProgress("live", stage, progress=progress, n_x=self._n_x, **self._about))  # type: ignore[arg-type]

    def done(self, made: PairKey) -> None:
        """Tell of the block that was made."""
        with self._teller.quietly():
            block = block_figures(made, made.seconds * self._rep_rate_hz, time.time())
            told = {**self._about, "events": made.n_events}
            self._teller.tell("key", KeyProgress("live", "done", progress=1.0, n_x=float(made.sifted_bits), blocks=(block,), **told), soon=False)

    @contextmanager
    def telling_failure(self) -> Iterator[None]:
        """Tell whatever ends the block early."""
        try:
            yield
        except BaseException as error:
            self.failed(_why(error))
            raise

    def failed(self, why: str) -> None:
        """Tell that no key comes of it."""
        self._teller.tell("key", KeyProgress("live", "failed", n_x=self._n_x, why=why, **self._about), soon=False)


def _why(error: BaseException) -> str:
    return error.message if isinstance(error, HeliographError) else str(error) or type(error).__name__


def block_figures(made: PairKey, pulses: float, t: float) -> BlockFigures:
    """Return the figures of a block of key."""
    return BlockFigures(
        pair=made.pair,
        block=made.block,
        run=made.run_id,
        t=t,
        seconds=made.seconds,
        sifted_bits=made.sifted_bits,
        qber_x=made.qber_x,
        qber_y=made.qber_y,
        gain=made.n_events / pulses if pulses > 0.0 else 0.0,
        leak_bits=made.leak_bits,
        f_ec=made.f_ec,
        key_bits=made.key_bits,
        key_rate_bps=made.key_rate_bps,
        epsilons=dict(made.epsilons),
        provenance=in_words(made.statement.provenance),
        y_bits=made.disclosed.get("y_bits", 0) // 2,
    )


@dataclass(slots=True)
class LearningTelling:
    """Tells how a learning run gets on, round by round.

    rounds: wanted.  clients: all there are.  rounds_left: asks for how many rounds the key lasts.  ended_early: it was told to end between two rounds.
    """

    teller: Teller
    task: str
    rounds: int
    clients: tuple[str, ...]
    simulated: bool
    rounds_left: Callable[[], int | None] = lambda: None
    ended_early: bool = False
    _news: list[RoundNews] = field(default_factory=list)

    @contextmanager
    def whole(self) -> Iterator[None]:
        """Tell beginning and end of what happens in a `with` block."""
        self._tell("starting")
        try:
            yield
        except BaseException as error:
            self._tell("failed" if isinstance(error, Exception) else "aborted", _why(error))
            raise
        self._tell("paused" if self.ended_early else "done")

    def round(self, news: RoundNews) -> None:
        """Tell of a completed round."""
        self._news.append(news)
        self._tell("running")

    def _tell(self, state: str, why: str = "") -> None:
        if not self.teller.heard:
            return
        with self.teller.quietly():
            self.teller.tell("learning", self._progress(state, why), soon=state == "running" and len(self._news) < self.rounds)

    def _progress(self, state: str, why: str) -> LearningProgress:
        news = self._news
        pairs = sorted({pair for one in news for pair in one.key_bits})
        checks = [one.record.unmasked_equal for one in news]
        return LearningProgress(
            task=self.task,
            state=state,  # type: ignore[arg-type]
            round=news[-1].record.round + 1 if news else 0,
            rounds=self.rounds,
            clients=tuple(self._client(name) for name in self.clients),
            loss=np.array([one.record.loss for one in news], float),
            accuracy=np.array([one.record.accuracy for one in news], float),
            key_bits={pair: np.array([one.key_bits.get(pair, 0) for one in news], np.int64) for pair in pairs},
            rounds_left=self.rounds_left() if state != "failed" else None,
            unmasked_equal=None if not checks or None in checks else all(checks),
            simulated=self.simulated,
            why=why,
        )

    def _client(self, name: str) -> ClientFigures:
        learned = np.array([one.learned.get(name, (np.nan, np.nan)) for one in self._news], float).reshape(-1, 2)
        present = not self._news or name in self._news[-1].clients
        samples = self._news[-1].samples.get(name, 0) if self._news else 0
        return ClientFigures(name, present, learned[:, 0], learned[:, 1], samples)


def qpu_jobs(project: Project) -> QpuJobs:
    """Return the jobs of a project as its ledger tells them: states, shots, positions as they were last told, cost so far and caps."""
    from ...protocols.qpu.caps import caps

    found = project.ledger.jobs().values()
    states = tuple(_job_state(job) for job in sorted(found, key=lambda job: int(job.intent["t_ns"])))
    limits = tuple(QpuLimit(one.limit, one.unit, one.spent, one.most) for one in caps(project))
    usd = next(one for one in limits if one.name == "usd")
    return QpuJobs(str(project.folder.resolve()), states, usd.spent, usd.cap, limits=limits)


@contextmanager
def telling_jobs(station: Path, project: Path, warn: Callable[[str], None]) -> Iterator[None]:
    """Tell of the jobs of a project whenever its ledger or its settings change, for the length of a `with` block."""
    # Both this thread and the watcher would import them otherwise, each waiting for what the other has begun.
    from ...protocols.qpu.caps import SETTINGS
    from ...protocols.qpu.ledger import FILE
    from ...protocols.qpu.projects import Project

    files, opened, over = (project / FILE, project / SETTINGS), partial(Project, project), threading.Event()
    with telling(station, warn) as teller:
        watcher = threading.Thread(target=_watch_jobs, args=(teller, files, opened, over, warn), name="tell of jobs", daemon=True)
        watcher.start()
        try:
            yield
        finally:
            over.set()
            watcher.join()


def tell_jobs(station: Path, project: Project, warn: Callable[[str], None]) -> None:
    """Tell of the jobs of a project, once. Raises what makes its ledger unreadable."""
    with telling(station, warn) as teller:
        teller.tell("qpu", qpu_jobs(project), soon=False)


def _watch_jobs(teller: Teller, files: tuple[Path, Path], opened: Callable[[], Project], over: threading.Event, warn: Callable[[str], None]) -> None:
    """Tell of the jobs when one of the files has changed.  files: ledger, without which there is nothing to tell, and settings."""
    seen, last = [0, 0], False
    while not last:
        last = over.wait(_LOOK_S)
        # The folder may have to be made first, by whoever submits.
        now = [one.stat().st_mtime_ns if one.is_file() else 0 for one in files]
        if now == seen or not now[0] or not teller.heard:
            continue
        seen = now
        try:
            teller.tell("qpu", qpu_jobs(opened()), soon=False)
        except HeliographError as error:
            warn(f"no window is told of the jobs: {error.message}")
            return


def _job_state(job: JobHistory) -> QpuJobState:
    return QpuJobState(
        job=job.uuid,
        backend=str(job.intent["backend"]),
        state=job.state,
        shots=int(job.intent["shots"]),
        cost=float(job.cost.get("usd") or 0.0) if job.intent["cloud"] else 0.0,
        position=job.position,
        submitted=int(job.intent["t_ns"]) * 1e-9,
        why=job.reason or job.error,
    )
