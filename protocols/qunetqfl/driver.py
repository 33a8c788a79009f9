"""Federated learning in one process: the round loop of QuNetQFL over a loopback transport.

Clients and server are the state machines of `client.py` and `server.py`; this module only opens rounds, carries messages and keeps the books.
Source: arXiv:2501.12709, Algorithm 1.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...core.errors import ConfigError, FrameError, InsufficientKey, RoundAborted
from ...core.statement import SecurityStatement
from ...postprocess.keystore.source import pair_name
from ..learning.tasks import Task
from ..learning.trainer import Evaluate, Trainer
from .auditor import Auditor
from .books import Books
from .checkpoint import Checkpoint
from .client import Client
from .loopback import Fault, Loopback
from .memory import Memory
from .result import AbortedRound, LearningResult, RoundNews, RoundRecord, learning_statement
from .roster import Roster, check_clients
from .server import Mode, Outcome, Server

if TYPE_CHECKING:
    from ...postprocess.keystore.source import KeySource

_SAMPLING = 3
CHECKPOINT = "checkpoint.npz"
"""Name of the checkpoint in a training's folder."""
Progress = Callable[[RoundRecord], None]
Watch = Callable[[RoundNews], None]


@dataclass(frozen=True, slots=True)
class Settings:
    """How a run is made.

    rounds: completed rounds, None for the task's number.  seed: root of all training randomness.  aggregation: pairwise, quantised or plain.
    per_round: K clients drawn for every round, None for all.  iid: deal every client the same mixture of classes.
    q, bound: word width (bits) and B, None for the task's.  max_aborts: aborted rounds in a row before the run is given up.
    run: number of the training, by which the key stores remember what key was spent on; None for the present time in milliseconds.
    """

    rounds: int | None = None
    seed: int = 0
    aggregation: Mode = "pairwise"
    per_round: int | None = None
    iid: bool = True
    q: int | None = None
    bound: float | None = None
    max_aborts: int = 3
    run: int | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """What is learned by whom.

    trainers: by client name.  start: parameters, float64 (d,).  evaluate: accuracy and loss on the public test set.
    """

    task: str
    trainers: Mapping[str, Trainer]
    start: NDArray[np.float64]
    evaluate: Evaluate


def subject_of(task: Task, clients: Sequence[str], seed: int, *, iid: bool = True) -> Subject:
    """Return a task dealt out to clients. Raises `DataError` and its kind where the data is missing, damaged or too little."""
    from ..learning.training import Evaluator, LocalTrainer

    check_clients(sorted(clients, key=str.encode))
    dealt, test = task.split(clients, seed, iid=iid)
    model = task.model()
    trainers = {name: LocalTrainer(model, samples, task.training, seed) for name, samples in dealt.items()}
    return Subject(task.name, trainers, task.start(seed), Evaluator(model, test))


def learn(
    task: Task,
    keys: Mapping[str, KeySource],
    settings: Settings | None = None,
    *,
    clients: Sequence[str] = (),
    folder: Path | None = None,
    resume: bool = False,
    statements: Iterable[SecurityStatement] = (),
    auditor: Auditor | None = None,
    progress: Progress | None = None,
    watch: Watch | None = None,
    enough: Callable[[], bool] | None = None,
    fault: Fault | None = None,
) -> LearningResult:
    """Train a task federated, masked with keys of the stores, and return the result.

    keys: each client's own key source by party name.  clients: names, by default those of the keys.  folder: where checkpoint and the clients' records are
    kept, nowhere by default.  resume: go on from the checkpoint there.  statements: of the key blocks behind the keys.  auditor, fault: for tests and the demo.
    progress, watch: called after every completed round, with its record and with all there is to tell of it.  enough: asked between two rounds; the training
    then ends with the rounds it has, one at least, and with a folder it can be taken up again as if it had never ended.

    Raises `ConfigError` for settings no round can run with, before any key is touched; `InsufficientKey` where a pair lacks key, nothing of that round being
    spent on any pair; `RoundAborted` after too many aborted rounds; the errors of data and storage.
    """
    settings = settings if settings is not None else Settings()
    settings = replace(
        settings,
        rounds=task.rounds if settings.rounds is None else settings.rounds,
        q=task.q if settings.q is None else settings.q,
        bound=task.bound if settings.bound is None else settings.bound,
    )
    if folder is not None and not resume and (folder / CHECKPOINT).exists():
        raise ConfigError("a training was begun here", where=str(folder / CHECKPOINT), remedy="Resume it, or choose another folder.")
    subject = subject_of(task, clients or tuple(keys), settings.seed, iid=settings.iid)
    federation = Federation(subject, keys, settings, folder=folder, auditor=auditor, statements=statements, fault=fault)
    try:
        if resume:
            federation.resume()
        return federation.run(progress, watch, enough)
    finally:
        federation.close()


def affordable_rounds(keys: Mapping[str, KeySource], bits: int) -> tuple[str, int]:
    """Return the pair with the least key for masks, and for how many rounds of `bits` bits a pair it lasts, with the ends of chunks that each burns."""
    names = sorted(keys, key=str.encode)
    pairs = [(one, two) for place, one in enumerate(names) for two in names[place + 1 :]]
    return min(((pair_name(one, two), keys[one].affordable_holds(two, bits)) for one, two in pairs), key=lambda found: found[1])


class Federation:
    """A server, its clients and their books.

    subject: what is learned.  settings: with rounds, q and bound set.  The other arguments are those of `learn`.
    """

    def __init__(
        self,
        subject: Subject,
        keys: Mapping[str, KeySource],
        settings: Settings,
        *,
        folder: Path | None = None,
        auditor: Auditor | None = None,
        statements: Iterable[SecurityStatement] = (),
        fault: Fault | None = None,
    ) -> None:
        if settings.rounds is None or settings.rounds < 1 or settings.q is None or settings.bound is None:
            raise ConfigError("rounds, word width and bound must be given", where="settings")
        self._subject = subject
        self._settings = settings
        self._rounds_asked = settings.rounds
        self._names = tuple(sorted(subject.trainers, key=str.encode))
        check_clients(self._names)
        if not 3 <= (settings.per_round or len(self._names)) <= len(self._names):
            raise ConfigError(f"{settings.per_round} of {len(self._names)} clients cannot make a round", where="per_round", remedy="Take three or more.")
        if settings.aggregation == "pairwise" and (without := [name for name in self._names if name not in keys]):
            raise ConfigError(f"there is no key store of {', '.join(without)}", where="keys")
        self._auditor = auditor
        self._checkpoint = folder / CHECKPOINT if folder is not None else None
        audit = auditor.note if auditor is not None else None
        self.clients = {
            name: Client(name, trainer, keys.get(name), memory=Memory(folder / name if folder is not None else None), audit=audit)
            for name, trainer in subject.trainers.items()
        }
        first = subject.trainers[self._names[0]]
        samples = {name: trainer.samples for name, trainer in subject.trainers.items()}
        self.server = Server(subject.start, samples, model=first.model_name, mode=settings.aggregation, bound=settings.bound, q=settings.q)
        self._transport = Loopback(self.server, self.clients) if fault is None else Loopback(self.server, self.clients, fault=fault)
        self._statement = learning_statement(settings.aggregation, statements, audited=auditor is not None)
        self._books = Books()
        self._next = 0
        self._previous = -1
        self._connect()
        self.server.run = self._number()

    def _number(self) -> int:
        """Return the number of this training: as set, or the time; larger than any before also where the clock was set back."""
        number = time.time_ns() // 1_000_000 if self._settings.run is None else self._settings.run
        return max(number, 1 + max(client.memory.last[0] for client in self.clients.values()))

    def resume(self) -> None:
        """Go on from the checkpoint. A round that was open is burned: its number is not used again, and its key is entered as that of an aborted round."""
        if self._checkpoint is None:
            raise ConfigError("without a folder there is nothing to resume", where="folder")
        saved = Checkpoint.load(self._checkpoint)
        saved.check_subject(self._identity(), self._checkpoint)
        self.server.theta = saved.theta
        self.server.run = saved.run
        self._books = saved.books
        self._previous = saved.round
        begun = [client.memory.last[1] for client in self.clients.values() if client.memory.last[0] == saved.run]
        lost = self._lost(saved)
        self._books.enter_lost(lost)
        self._next = 1 + max([saved.round, *begun, *lost])

    def _lost(self, saved: Checkpoint) -> dict[int, dict[str, int]]:
        """Return the key that was taken for rounds behind a checkpoint, bits by round and pair."""
        lost: dict[int, dict[str, int]] = {}
        if self._settings.aggregation == "pairwise":
            for client in self.clients.values():
                for round_, bits in client.taken_after(saved.run, saved.round, self._names).items():
                    lost.setdefault(round_, {}).update(bits)
        return lost

    def run(self, progress: Progress | None = None, watch: Watch | None = None, enough: Callable[[], bool] | None = None) -> LearningResult:
        """Run the rounds that are missing and return the result of the whole run. progress, watch: called after every completed round.

        enough: asked between two rounds whether to end with those that there are.
        """
        failures = 0
        while len(self._books.rounds) < self._rounds_asked and not (self._books.rounds and enough is not None and enough()):
            record = self.step()
            failures = failures + 1 if record is None else 0
            if failures > self._settings.max_aborts:
                last = self._books.aborted[-1]
                raise RoundAborted(f"{failures} rounds in a row were given up; the last: {last.reason}", where=f"round {last.round + 1}")
            if record is not None and progress is not None:
                progress(record)
            if record is not None and watch is not None:
                watch(self._news(record))
        return self.result()

    def _news(self, record: RoundRecord) -> RoundNews:
        learned = {name: found for name, client in self.clients.items() if (found := client.learned(record.round)) is not None}
        used: dict[str, int] = {}
        for use in (use for client in self.clients.values() for use in client.key_use(record.round)):
            used[use.pair] = used.get(use.pair, 0) + use.fetched_bits
        return RoundNews(record, tuple(learned), learned, {name: client.samples for name, client in self.clients.items()}, used)

    def step(self) -> RoundRecord | None:
        """Run one round and return its record, or None where it was aborted. Raises `InsufficientKey` where it was refused."""
        round_, self._next = self._next, self._next + 1
        outcome = self._carry(round_)
        if (short := outcome.short) is not None:
            raise InsufficientKey(short.pair, short.need_bits, short.have_bits, purpose=f"round {round_ + 1}")
        uses = [use for client in self.clients.values() for use in client.key_use(round_)]
        spent, burned = self._books.enter(outcome, uses)
        if outcome.total is None:
            self._books.aborted.append(AbortedRound(round_, outcome.reason, burned))
            return None
        return self._complete(outcome, spent, burned)

    def result(self) -> LearningResult:
        """Return the result so far. Raises `RoundAborted` where no round was completed."""
        if not self._books.rounds:
            raise RoundAborted("no round was completed", where=self._subject.task)
        q = 32 if self._settings.q is None or self._settings.aggregation == "plain" else self._settings.q
        last = self._books.rounds[-1]
        planned = self._rounds_asked * len(self.server.theta) * q
        return LearningResult(
            task=self._subject.task,
            clients=self._names,
            aggregation=self._settings.aggregation,
            rounds=tuple(self._books.rounds),
            aborted=tuple(self._books.aborted),
            pairs=self._books.accounts(self._names, planned) if self._settings.aggregation == "pairwise" else (),
            final_accuracy=last.accuracy,
            final_loss=last.loss,
            saving=1 - q / 32,
            theta=self.server.theta.copy(),
            statement=self._statement,
        )

    def close(self) -> None:
        """Give up what is open and give the clients' files back."""
        for client in self.clients.values():
            client.give_up()
            client.memory.close()

    def _connect(self) -> None:
        """Begin a session on every link, with a number larger than any before."""
        session = 1 + max(self.server.session, *(client.memory.session for client in self.clients.values()))
        self.server.connect(session)
        for client in self.clients.values():
            client.connect(session)

    def _pick(self, round_: int) -> tuple[str, ...]:
        count = self._settings.per_round
        if count is None or count == len(self._names):
            return self._names
        generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence(self._settings.seed, spawn_key=(_SAMPLING, round_))))
        return tuple(self._names[i] for i in sorted(generator.choice(len(self._names), size=count, replace=False)))

    def _carry(self, round_: int) -> Outcome:
        """Open a round and carry its messages until it has ended, one way or the other."""
        rosters = self.server.begin(round_, self._previous, self._pick(round_))
        try:
            self._transport.run(rosters)
            if self.server.outcome is None:
                self._transport.run(self.server.abort(f"no upload of {', '.join(self.server.missing())} came in time"))
        except FrameError as error:
            self.server.abort(f"a connection broke: {error}")
            self._connect()
        outcome = self.server.outcome
        if outcome is None:
            raise RoundAborted("the round has no outcome", where=f"round {round_ + 1}")
        if outcome.total is None:
            self._connect()  # whatever was lost on the way, nothing of it reaches the next round
        return outcome

    def _complete(self, outcome: Outcome, spent: int, burned: int) -> RoundRecord:
        roster = outcome.roster
        accuracy, loss = self._subject.evaluate(self.server.theta)
        audited = self._auditor is not None and roster.mode != "plain"
        record = RoundRecord(
            round=roster.round,
            accuracy=accuracy,
            loss=loss,
            key_bits_spent=spent,
            key_bits_burned=burned,
            upload_bytes=outcome.upload_bytes,
            unmasked_equal=self._auditor.agrees(outcome) if self._auditor is not None and audited else None,
        )
        self._books.rounds.append(record)
        self._previous = roster.round
        self._save(roster)
        return record

    def _save(self, roster: Roster) -> None:
        if self._checkpoint is None:
            return
        Checkpoint(
            run=roster.run,
            round=roster.round,
            theta=self.server.theta,
            roster_sha256=roster.sha256,
            rng_root=self._settings.seed,
            aggregation=roster.mode,
            provenance=self._statement.provenance.label,
            subject=self._identity(),
            books=self._books,
        ).save(self._checkpoint)

    def _identity(self) -> dict[str, object]:
        settings = self._settings
        return {
            "task": self._subject.task,
            "clients": list(self._names),
            "aggregation": settings.aggregation,
            "seed": settings.seed,
            "q": settings.q,
            "bound": settings.bound,
            "per_round": settings.per_round,
            "iid": settings.iid,
        }
