"""The server of a round: sends rosters, relays between clients, adds uploads. It never sees an update, a mask or a key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ...core.errors import FrameError
from ...postprocess.channel.frames import A_TO_B, B_TO_A, Frame, FrameReader, MessageType, Sender
from ..aggregation.quantiser import safe_range, word_type
from ..aggregation.variants import Upload
from .roster import Roster, theta_hash

Addressed = tuple[str, bytes]
Mode = Literal["plain", "quantised", "pairwise"]


@dataclass(frozen=True, slots=True)
class Shortage:
    """The pair that lacks key, and how much (bits)."""

    pair: str
    need_bits: int
    have_bits: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a round ended.

    total: sum of the uploads, (d,), None for an aborted round.  reason: why it was aborted, else empty.  short: set where a pair lacked key.
    upload_bytes: of all clients.
    """

    roster: Roster
    total: Upload | None
    reason: str = ""
    short: Shortage | None = None
    upload_bytes: int = 0


class Server:
    """State machine of the server.

    theta: start parameters, float64 (d,).  samples: n_k of every client it may choose.  model: its name.  mode: aggregation variant.
    bound: B.  q: word width, bits.  Set `run`, a number larger than that of any earlier training, before the first round.
    """

    def __init__(self, theta: NDArray[np.float64], samples: Mapping[str, int], *, model: str, mode: Mode, bound: float, q: int) -> None:
        self.theta = np.array(theta, dtype=np.float64)
        self._samples = dict(samples)
        self._model = model
        self._mode = mode
        self._bound = bound
        self._q = q
        self._roster: Roster | None = None
        self._uploads: dict[str, Upload] = {}
        self.outcome: Outcome | None = None
        self.run = 0
        self.connect(0)

    def connect(self, session: int) -> None:
        """Begin new connections to all clients. session: larger than any before."""
        self.session = session
        self._senders = {name: Sender(session, A_TO_B) for name in self._samples}
        self._readers = {name: FrameReader(session=session, direction=B_TO_A) for name in self._samples}

    def begin(self, round_: int, previous: int, clients: Sequence[str]) -> list[Addressed]:
        """Open a round and return the rosters. Raises `ConfigError` where these clients and numbers cannot make a private round."""
        names = tuple(sorted(clients, key=str.encode))
        roster = Roster(
            self.session,
            self.run,
            round_,
            previous,
            names,
            tuple(self._samples[name] for name in names),
            self._mode,
            len(self.theta),
            self._q,
            self._bound,
            safe_range(self._bound, self._q, len(names)),
            self._model,
            theta_hash(self.theta),
        )
        roster.check()
        self._roster, self._uploads, self.outcome = roster, {}, None
        theta = np.asarray(self.theta, dtype="<f8")
        return [(name, self._senders[name].frame(MessageType.ROSTER, roster.header(), {"theta": theta}, round_=round_)) for name in names]

    def feed(self, client: str, data: bytes) -> list[Addressed]:
        """Take what a client sent and return what goes to whom. Raises `FrameError` where the connection has to be closed."""
        messages: list[Addressed] = []
        for frame in self._readers[client].feed(data):
            if self._roster is not None and self.outcome is None and frame.round == self._roster.round:
                messages += self._handle(self._roster, client, frame)
        return messages

    def abort(self, reason: str, short: Shortage | None = None) -> list[Addressed]:
        """Give the open round up, for instance when its deadline is over, and return what tells the clients."""
        if self._roster is None or self.outcome is not None:
            return []
        self.outcome = Outcome(self._roster, None, reason, short)
        return self._to_all(self._roster, MessageType.ABORT, {"reason": reason})

    def missing(self) -> tuple[str, ...]:
        """Return the clients whose upload has not come."""
        return tuple(name for name in self._roster.clients if name not in self._uploads) if self._roster is not None else ()

    def _handle(self, roster: Roster, client: str, frame: Frame) -> list[Addressed]:
        if client not in roster.clients:
            raise FrameError("a client outside the roster speaks", where=client)
        if frame.type is MessageType.READY:
            others = [name for name in roster.clients if name != client]
            return [self._relay(roster, client, name, frame) for name in others]
        if frame.type is MessageType.KEYIDS:
            if (to := frame.header.get("to")) not in roster.clients or to == client:
                raise FrameError("key ids for nobody in the roster", where=client)
            return [self._relay(roster, client, to, frame)]
        if frame.type is MessageType.UPLOAD:
            return self._collect(roster, client, frame)
        if frame.type is MessageType.ABORT:
            return self.abort(f"client {client}: {frame.header.get('reason', 'no reason given')}", _shortage(frame.header.get("short")))
        raise FrameError(f"{frame.type.name} is not for the server", where=client)

    def _relay(self, roster: Roster, sender: str, to: str, frame: Frame) -> Addressed:
        return to, self._senders[to].frame(frame.type, {**frame.header, "from": sender}, round_=roster.round)

    def _collect(self, roster: Roster, client: str, frame: Frame) -> list[Addressed]:
        y = frame.arrays.get("y")
        expected = np.dtype("<f8") if roster.mode == "plain" else word_type(roster.q)
        if y is None or y.dtype != expected or y.shape != (roster.d,):
            return self.abort(f"the upload of {client} has another size or type")
        if client in self._uploads and not np.array_equal(self._uploads[client], y):
            return self.abort(f"the upload of {client} was changed")
        self._uploads[client] = y
        if self.missing():
            return []
        return self._finish(roster)

    def _finish(self, roster: Roster) -> list[Addressed]:
        variant, uploads = roster.variant(), [self._uploads[name] for name in roster.clients]
        total = variant.total(uploads)
        self.theta = self.theta + variant.read(total)
        self.outcome = Outcome(roster, total, upload_bytes=sum(y.nbytes for y in uploads))
        return self._to_all(roster, MessageType.RESULT, {"theta": theta_hash(self.theta)}, {"total": total})

    def _to_all(self, roster: Roster, type_: MessageType, header: dict[str, Any], arrays: dict[str, Upload] | None = None) -> list[Addressed]:
        return [(name, self._senders[name].frame(type_, header, arrays, round_=roster.round)) for name in roster.clients]


def _shortage(fields: Any) -> Shortage | None:
    if fields is None:
        return None
    try:
        return Shortage(str(fields["pair"]), int(fields["need"]), int(fields["have"]))
    except (KeyError, TypeError, ValueError) as error:
        raise FrameError("the shortage is malformed", where="ABORT") from error
