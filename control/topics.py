"""What an owner publishes: the latest state of each topic, and events that nobody may miss.

| topic | payload | when |
|---|---|---|
| `safety` | `state`, `cause`, `controller` (process), `holder` (whose it is), `asked`, `asker`, `watchdog` (process), last `reports` | on change |
| `station` | `StationState` | on change, and once a second |
| `queue` | `QueueState` | on change |
| `row` | the last row that the running procedure emitted: `job`, `row` | ten times a second at most |
| `counts`, `histogram`, `coincidences`, `scan` | `CountRates`, `SlotHistogram`, `Coincidences`, `ScanRows` of a run | 10, 5, 2, 5 times a second |
| `key`, `stores` | `KeyProgress` (of a node), `StoreStates` (never a key bit) | on change |
| `learning`, `qpu` | `LearningProgress`, `QpuJobs` (of a worker) | on change |
| `replay` | `ReplayState`, to the one client that replays a run file | 10 times a second |
| `event` | `Event` | each |

A state is replaceable: of two that wait for a client the later one is sent. Events queue up, ten thousand at most; then the client is told how many were left
out. The same payloads come from a replayed run; then `source` is "replay". Times are Unix seconds unless a name says otherwise.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .link import Message
from .run_topics import ReplayState as ReplayState  # noqa: PLC0414  to be had from here
from .run_topics import RunDetails as RunDetails  # noqa: PLC0414  to be had from here
from .run_topics import RunSummary as RunSummary  # noqa: PLC0414  to be had from here
from .worker_topics import BY_ROUNDS as BY_ROUNDS  # noqa: PLC0414
from .worker_topics import ClientFigures as ClientFigures  # noqa: PLC0414
from .worker_topics import LearningProgress as LearningProgress  # noqa: PLC0414
from .worker_topics import QpuJobs as QpuJobs  # noqa: PLC0414
from .worker_topics import QpuJobState as QpuJobState  # noqa: PLC0414

EVENT = "event"
LIVE = ("counts", "histogram", "coincidences", "scan")
"""Topics that a run file can be replayed as."""
WORKER_TOPICS = ("key", "stores", "learning", "qpu")
"""Topics that nodes and workers send to the owner, which forwards them."""
REPLAY = "replay"
REPLAYED = frozenset((*LIVE, "key"))
"""Topics that a replay takes over for the client that asked for it."""
STATES = ("safety", "station", "queue", "row", *LIVE, *WORKER_TOPICS, REPLAY)
TOPICS = (*STATES, EVENT)
MOST_EVENTS = 10_000
PERIOD_S = 0.1
"""Shortest time between two sendings of one topic."""

Scalar = float | str | bool | None
Source = Literal["live", "replay"]
Mode = Literal["SIMULATED", "HARDWARE", "MIXED"]


@dataclass(frozen=True, slots=True)
class Quantity:
    """One value of an instrument, SI or dB.

    label: as people say it.  member: of its role, by which it is set; empty for one that is only read.  wanted: last asked for.  accepted: what the device
    took.  measured: what it reads back.  low, high: limits of the station, None where there is none.  operate: value of normal work, None where the procedure
    says.
    """

    label: str
    unit: str
    measured: Scalar
    wanted: Scalar = None
    accepted: Scalar = None
    member: str = ""
    low: float | None = None
    high: float | None = None
    operate: float | None = None


@dataclass(frozen=True, slots=True)
class InstrumentState:
    """One instrument.  state: one word, with `why` and since when (`error_t`).  read_t: when it was last read, 0 for never."""

    name: str
    role: str
    identity: str
    address: str
    simulated: bool
    state: Literal["safe", "armed", "moving", "lost", "fault"]
    quantities: tuple[Quantity, ...] = ()
    why: str = ""
    error_t: float = 0.0
    read_t: float = 0.0


@dataclass(frozen=True, slots=True)
class Interlock:
    """One condition for light on biased detectors.  holds: it allows them now.  cause: what stands against it, or what was read.  clear: what to do."""

    name: str
    holds: bool
    cause: str
    clear: str
    since: float


@dataclass(frozen=True, slots=True)
class Element:
    """One element of the optical path.  kind: such as `laser`, `modulator`, `attenuator`, `tap`, `circulator`, `splitter`, `loop`, `user`, `detector`.

    feeds: elements that its light, or its electrical signal, goes to.  driven_by: instruments.  loss_db: now, None where unknown.  power_w: that leaves it,
    computed from the laser's power and the losses that are read back; None where unknown.
    """

    name: str
    kind: str
    feeds: tuple[str, ...]
    driven_by: tuple[str, ...] = ()
    loss_db: float | None = None
    power_w: float | None = None


@dataclass(frozen=True, slots=True)
class CalibrationState:
    """One calibration of the station.  needs: those that come before it.  text: value with its uncertainty, or why it is not good."""

    name: str
    procedure: str
    state: Literal["good", "stale", "missing", "suspect"]
    text: str
    taken: float = 0.0
    until: float = 0.0
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StationState:
    """The bench as it stands.  order: names of missing or stale calibrations in the order in which to make them."""

    name: str
    path: str
    sha256: str
    mode: Mode
    instruments: tuple[InstrumentState, ...]
    interlocks: tuple[Interlock, ...]
    elements: tuple[Element, ...]
    calibrations: tuple[CalibrationState, ...] = ()
    order: tuple[str, ...] = ()
    pairs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class QueueRow:
    """One run or task.  lane: `bench` one at a time on the instruments; `worker` processes beside them.  state: of runner 4.4, lower case.

    parameters: as text, with which it can be repeated.  eta_s: until its end, None where unknown.  began, ended: 0 for not yet.  who: process that wants it.
    progress: 0 to 1.
    """

    job: int
    lane: Literal["bench", "worker"]
    procedure: str
    parameters: dict[str, str]
    state: Literal["queued", "starting", "running", "suspended", "paused", "stopping", "done", "aborted", "failed"]
    progress: float = 0.0
    eta_s: float | None = None
    began: float = 0.0
    ended: float = 0.0
    path: str | None = None
    why: str = ""
    who: int = 0
    purpose: str = ""

    @property
    def on(self) -> bool:
        """Say whether it has begun and not ended."""
        return not (self.over or self.state == "queued")

    @property
    def over(self) -> bool:
        """Say whether nothing more will come of it."""
        return self.state in ("done", "aborted", "failed")

    @property
    def measures(self) -> bool:
        """Say whether it is at its work, so that it can be paused and stopped early."""
        return self.state in ("running", "suspended", "paused")

    @property
    def can_stand_still(self) -> bool:
        """Say whether it is of a kind that can be paused, and stopped early: a run on the bench, or a task that goes by rounds."""
        return self.lane == "bench" or self.procedure in BY_ROUNDS


@dataclass(frozen=True, slots=True)
class QueueState:
    """Runs in order: ended lately, on, waiting.  held: nothing more is begun, and why.  go_on_after_failure: policy.  eta_s: until the queue is empty."""

    rows: tuple[QueueRow, ...]
    held: str = ""
    go_on_after_failure: bool = False
    eta_s: float | None = None


@dataclass(frozen=True, slots=True)
class CountRates:
    """Rates of every channel.  t_s: time in the run.  rates_hz, dark_hz, limit_hz: float64 (n,), NaN where unknown.  tags: recorded so far, with gaps."""

    run: str
    source: Source
    t_s: float
    names: tuple[str, ...]
    rates_hz: NDArray[np.float64]
    dark_hz: NDArray[np.float64]
    limit_hz: NDArray[np.float64]
    tags: int = 0
    tags_hz: float = 0.0
    gaps: int = 0
    missed: int = 0


@dataclass(frozen=True, slots=True)
class SlotHistogram:
    """Arrivals folded to the slot, over the last seconds.  counts: uint32 (detectors, bins <= 1000).  gates: (low, high) in the slot, ps, by name."""

    run: str
    source: Source
    slot_ps: float
    names: tuple[str, ...]
    counts: NDArray[np.uint32]
    gates: dict[str, tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Coincidences:
    """Slots in which two channels clicked.  counts: uint32 (n, n), singles on the diagonal."""

    run: str
    source: Source
    names: tuple[str, ...]
    counts: NDArray[np.uint32]
    duration_s: float


@dataclass(frozen=True, slots=True)
class ScanRows:
    """What a procedure emitted.  columns: with units in brackets, first the one on the x axis.  rows: float64 (n, columns), n <= 10,000, peaks kept."""

    run: str
    source: Source
    procedure: str
    columns: tuple[str, ...]
    rows: NDArray[np.float64]
    over: bool = False
    result: dict[str, Scalar] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BlockFigures:
    """One distilled block.  epsilons: by name.  gain: events a pulse.  provenance: `real` or `simulated`, with reasons.  y_bits: compared, 0 if unknown."""

    pair: str
    block: int
    run: str
    t: float
    seconds: float
    sifted_bits: int
    qber_x: float
    qber_y: float
    gain: float
    leak_bits: int
    f_ec: float | None
    key_bits: int
    key_rate_bps: float
    epsilons: dict[str, float]
    provenance: str
    y_bits: int = 0


@dataclass(frozen=True, slots=True)
class KeyProgress:
    """Where key exchange stands.

    stage: word.  progress: of the stage, 0 to 1.  events: announced so far in this block.  n_x: sifted bits in X so far, expected from the events while there
    is light.  n_needed: least number that gives a key, None where none would.  blocks: the latest last.  limits: error rates above which a rule of the
    station suspends the light, by metric: qber, qber_x, qber_y.
    """

    source: Source
    stage: Literal["idle", "light", "sifting", "correcting", "amplifying", "done", "failed"]
    pair: str = ""
    run: str = ""
    progress: float = 0.0
    events: int = 0
    n_x: float = 0.0
    n_needed: float | None = None
    why: str = ""
    blocks: tuple[BlockFigures, ...] = ()
    limits: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Debit:
    """Key that left a store.  key_id: empty where a purpose had many."""

    t: float
    pair: str
    party: str
    purpose: str
    bits: int
    key_id: str = ""


@dataclass(frozen=True, slots=True)
class StoreState:
    """One party's store towards one peer, bits.  reserve: below which the operator is warned."""

    pair: str
    party: str
    delivered: int
    spendable: int
    consumed: int
    authentication: int
    burned: int
    reserve: int
    epsilon: float
    provenance: str
    last_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StoreStates:
    """All stores of a folder, and the latest debits.  t: when they were read."""

    folder: str
    t: float
    stores: tuple[StoreState, ...]
    debits: tuple[Debit, ...] = ()


@dataclass(frozen=True, slots=True)
class Event:
    """One line for people.  run: id of the run it belongs to.  number: counts up in the owner's journal."""

    t: float
    severity: Literal["info", "warning", "error", "note"]
    source: str
    text: str
    run: str = ""
    number: int = 0
    acknowledged: bool = False


@dataclass(frozen=True, slots=True)
class ParameterForm:
    """One parameter of a procedure, as a form asks for it.  kind: what is typed.  default: as text."""

    name: str
    label: str
    kind: Literal["float", "integer", "boolean", "choice", "text"]
    unit: str
    default: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ProcedureForm:
    """What can be put into the queue.  duration_s: estimate with the default parameters, None where unknown."""

    name: str
    title: str
    text: str
    lane: Literal["bench", "worker"]
    parameters: tuple[ParameterForm, ...]
    duration_s: float | None = None


class Mailbox:
    """What waits for one subscriber: for each topic the latest state, and every event.

    replaying: a run file takes the place of the bench; what the bench is measuring is not kept meanwhile.
    """

    def __init__(self, topics: Iterable[str]) -> None:
        self.topics = frozenset(topics)
        self._states: dict[str, Any] = {}
        self._events: deque[Any] = deque()
        self._lost = 0
        self._turn = threading.Lock()
        self.replaying = False

    def put_replayed(self, topic: str, body: Any) -> None:
        """Leave a state of a replayed run."""
        if topic in self.topics:
            with self._turn:
                self._states[topic] = body

    def put(self, topic: str, body: Any) -> None:
        """Leave something; a topic that was not subscribed to is not kept."""
        if topic not in self.topics or (self.replaying and topic in REPLAYED):
            return
        with self._turn:
            if topic != EVENT:
                self._states[topic] = body
            elif len(self._events) < MOST_EVENTS:
                self._events.append(body)
            else:
                self._lost += 1

    def take(self) -> list[Message]:
        """Return what waits, events first, and forget it."""
        with self._turn:
            messages = [Message(EVENT, body) for body in self._events]
            if self._lost:
                text = f"{self._lost:,} events more are in the run files"
                messages.append(Message(EVENT, Event(time.time(), "warning", "link", text)))
            messages += [Message(topic, body) for topic, body in self._states.items()]
            self._events.clear()
            self._states.clear()
            self._lost = 0
        return messages
