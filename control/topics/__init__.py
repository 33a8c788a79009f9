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

from .bench import CalibrationState, Element, InstrumentState, Interlock, Quantity, StationState
from .common import Event, Mode, Scalar, Source
from .inbox import EVENT, LIVE, MOST_EVENTS, PERIOD_S, REPLAY, REPLAYED, STATES, TOPICS, WORKER_TOPICS, Mailbox
from .keys import BlockFigures, Debit, KeyProgress, StoreState, StoreStates
from .light import Coincidences, CountRates, ScanRows, SlotHistogram
from .queueing import ParameterForm, ProcedureForm, QueueRow, QueueState
from .run_files import ReplayState, RunDetails, RunSummary
from .workers import BY_ROUNDS, ClientFigures, LearningProgress, QpuJobs, QpuJobState, QpuLimit

__all__ = [
    "BY_ROUNDS",
    "EVENT",
    "LIVE",
    "MOST_EVENTS",
    "PERIOD_S",
    "REPLAY",
    "REPLAYED",
    "STATES",
    "TOPICS",
    "WORKER_TOPICS",
    "BlockFigures",
    "CalibrationState",
    "ClientFigures",
    "Coincidences",
    "CountRates",
    "Debit",
    "Element",
    "Event",
    "InstrumentState",
    "Interlock",
    "KeyProgress",
    "LearningProgress",
    "Mailbox",
    "Mode",
    "ParameterForm",
    "ProcedureForm",
    "QpuJobState",
    "QpuJobs",
    "QpuLimit",
    "Quantity",
    "QueueRow",
    "QueueState",
    "ReplayState",
    "RunDetails",
    "RunSummary",
    "Scalar",
    "ScanRows",
    "SlotHistogram",
    "Source",
    "StationState",
    "StoreState",
    "StoreStates",
]
