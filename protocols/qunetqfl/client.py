"""One client of a round: holds key, trains, masks, uploads. Bytes in, bytes out; no socket, thread or shared memory."""

from __future__ import annotations

import hashlib
import re
import time
import warnings
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from ...core.errors import ConfigError, FrameError, HeliographError, InsufficientKey, KeyStoreError, ParameterError, RoundAborted
from ...postprocess.channel.frames import A_TO_B, B_TO_A, Frame, FrameReader, MessageType, Sender
from ...postprocess.keystore.source import pair_name
from ..aggregation.masks import pair_words
from ..aggregation.quantiser import QuantiserRange, RangeStatistics, Words
from ..learning.trainer import Trainer
from .memory import Memory
from .roster import HOLD_SECONDS, Roster, theta_hash

if TYPE_CHECKING:
    from ...postprocess.keystore.source import Hold, KeySource

Audit = Callable[[int, str, NDArray[np.float64]], None]
"""Told round, client and plain weighted update; only a test auditor is ever plugged in."""
Phase = Literal["held", "trained", "keyed", "sent"]

_PURPOSE = re.compile(r"qunetqfl run (\d+) round (\d+) masks")


@dataclass(frozen=True, slots=True)
class Limits:
    """What a client accepts in a roster. allowed: names it works with, None for anyone.  bound: largest B, because a larger one may coarsen its own share."""

    allowed: frozenset[str] | None = None
    bound: float = 1e6


@dataclass(frozen=True, slots=True)
class KeyUse:
    """Key that one pair lost in one round, booked by the earlier client. fetched_bits: drop of its gauge, tails of chunks included."""

    pair: str
    fetched_bits: int


@dataclass(slots=True)
class _Round:
    """What a client knows of the round in progress."""

    roster: Roster
    theta: NDArray[np.float64]
    phase: Phase = "held"
    ready: dict[str, set[str]] = field(default_factory=lambda: {"held": set(), "trained": set()})
    holds: dict[str, tuple[Hold, float, int]] = field(default_factory=dict)
    offered: dict[str, tuple[str, ...]] = field(default_factory=dict)
    words: dict[str, Words] = field(default_factory=dict, repr=False)
    x: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0), repr=False)
    upload: bytes = b""


class Client:
    """State machine of one client.

    name: its party name.  trainer: its data and how it learns.  keys: its own view of the key it shares, None only where nothing is masked.
    memory: its own record of uploads.  audit: for tests and the demo, told the plain updates.  clock: monotonic seconds, for the age of holds.
    """

    def __init__(
        self,
        name: str,
        trainer: Trainer,
        keys: KeySource | None = None,
        *,
        memory: Memory | None = None,
        limits: Limits | None = None,
        audit: Audit | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self.memory = memory if memory is not None else Memory()
        self._trainer = trainer
        self._keys = keys
        self._limits = limits if limits is not None else Limits()
        self._audit = audit
        self._clock = clock
        self._round: _Round | None = None
        self._uses: dict[int, list[KeyUse]] = {}
        self._learned: dict[int, tuple[float, float]] = {}
        self.connect(0)

    def connect(self, session: int) -> None:
        """Begin a connection. Whatever round was open is given up."""
        self.give_up()
        self._sender = Sender(session, B_TO_A)
        self._reader = FrameReader(session=session, direction=A_TO_B)

    def feed(self, data: bytes) -> list[bytes]:
        """Take what the server sent and return the answers, all to the server. Raises `FrameError` where the connection has to be closed.

        Whatever else goes wrong ends the round here and is reported to the server as ABORT.
        """
        answers: list[bytes] = []
        for frame in self._reader.feed(data):
            try:
                answers += self._handle(frame)
            except HeliographError as error:
                answers += self._fail(frame.round, error)
        return answers

    def resend(self) -> list[bytes]:
        """Return the upload of the open round once more, the identical words; nothing where none was sent."""
        return [self._upload_frame(self._round)] if self._round is not None and self._round.phase == "sent" else []

    def key_use(self, round_: int) -> tuple[KeyUse, ...]:
        """Return what this client's pairs with later clients spent in a round."""
        return tuple(self._uses.get(round_, ()))

    def taken_after(self, run: int, round_: int, clients: Iterable[str]) -> dict[int, dict[str, int]]:
        """Return the bits that left this client's stores shared with later clients for later rounds of a run, by round and pair; chunk ends included.

        clients: all that may have taken part.
        """
        found: dict[int, dict[str, int]] = {}
        for peer in (name for name in clients if name.encode() > self.name.encode()):
            for purpose, bits in self._source().taken(peer).items():
                match = _PURPOSE.fullmatch(purpose)
                if match is not None and int(match[1]) == run and int(match[2]) > round_:
                    found.setdefault(int(match[2]), {})[pair_name(self.name, peer)] = bits
        return found

    def learned(self, round_: int) -> tuple[float, float] | None:
        """Return loss and accuracy on this client's own samples in a round, None where it did not train; they are never sent anywhere."""
        return self._learned.get(round_)

    @property
    def samples(self) -> int:
        """Return the number of this client's samples."""
        return self._trainer.samples

    def give_up(self) -> None:
        """Leave the open round: holds are released, key already fetched is burned."""
        if self._round is None:
            return
        open_round, self._round = self._round, None
        if self._keys is not None:
            for hold, _, _ in open_round.holds.values():
                self._keys.release(hold)
            for peer, ids in open_round.offered.items():
                with suppress(KeyStoreError):  # the peer burned its half; if ours is gone already, so much the better
                    self._keys.fetch_by_id(peer, ids, _purpose(open_round.roster, "burned"))
        for words in open_round.words.values():
            words.fill(0)

    def _handle(self, frame: Frame) -> list[bytes]:
        if frame.type is MessageType.ROSTER:
            return self._take_up(frame)
        current = self._round
        if current is None or frame.round != current.roster.round:
            return []  # the end of a round that was given up here
        if frame.type is MessageType.READY:
            return self._note_ready(current, frame)
        if frame.type is MessageType.KEYIDS:
            return self._note_ids(current, frame)
        if frame.type is MessageType.RESULT:
            self._round = None
            return []
        if frame.type is MessageType.ABORT:
            self.give_up()
            return []
        raise FrameError(f"{frame.type.name} is not for a client", where=self.name)

    def _take_up(self, frame: Frame) -> list[bytes]:
        self.give_up()
        roster = Roster.of(frame.session, frame.header)
        theta = frame.arrays.get("theta")
        if theta is None or theta.dtype != np.dtype("<f8") or theta.shape != (roster.d,) or roster.round != frame.round:
            raise FrameError("the roster comes without its parameters", where="ROSTER")
        self._check(roster, theta)
        self.memory.begin(roster.run, roster.round)
        self._round = current = _Round(roster, np.array(theta))
        self._hold_all(current)
        return [self._ready(current, "held"), *self._advance(current)]

    def _check(self, roster: Roster, theta: NDArray[np.float64]) -> None:
        """Raise `ConfigError` unless this client can agree to the roster."""
        own, trainer = self.name, self._trainer
        problems = {
            "this client is not in it": own not in roster.clients,
            "it names clients that are not allowed": self._limits.allowed is not None and not set(roster.clients) <= self._limits.allowed,
            "its bound is beyond this client's limit": roster.bound > self._limits.bound,
            "it is for another model": (roster.model, roster.d) != (trainer.model_name, trainer.d),
            "its parameters have another hash": roster.theta != theta_hash(theta),
            "its parameters are not finite": not bool(np.isfinite(theta).all()),
            "it counts this client's samples wrong": own in roster.clients and roster.samples[roster.clients.index(own)] != trainer.samples,
            "there is no key store to mask with": roster.variant().needs_key and (self._keys is None or self._keys.party != own),
        }
        if wrong := [problem for problem, holds in problems.items() if holds]:
            raise ConfigError(f"client {own} refuses the roster: {', '.join(wrong)}", where=f"round {roster.round + 1}")

    def _later(self, roster: Roster) -> tuple[str, ...]:
        return roster.clients[roster.clients.index(self.name) + 1 :] if roster.variant().needs_key else ()

    def _earlier(self, roster: Roster) -> tuple[str, ...]:
        return roster.clients[: roster.clients.index(self.name)] if roster.variant().needs_key else ()

    def _source(self) -> KeySource:
        if self._keys is None:
            raise ConfigError("there is no key store", where=f"client {self.name}")
        return self._keys

    def _hold_all(self, current: _Round) -> None:
        """Hold key towards every later client, again where a hold is too old. Raises `InsufficientKey`; the earlier holds are then released by `give_up`."""
        roster = current.roster
        for peer in self._later(roster):
            if peer in current.holds:
                hold, since, _ = current.holds[peer]
                if self._clock() - since < HOLD_SECONDS:
                    continue
                self._source().release(hold)
                del current.holds[peer]
            before = self._source().available_bits(peer)
            hold = self._source().hold(peer, roster.d * roster.q, _purpose(roster, "masks"))
            current.holds[peer] = (hold, self._clock(), before - self._source().available_bits(peer))

    def _note_ready(self, current: _Round, frame: Frame) -> list[bytes]:
        phase = frame.header.get("phase")
        if not isinstance(phase, str) or phase not in current.ready or frame.header.get("roster") != current.roster.sha256:
            raise FrameError("another client has another roster", where=f"READY of {frame.header.get('from')}")
        current.ready[phase].add(_peer(current, frame))
        return self._advance(current)

    def _note_ids(self, current: _Round, frame: Frame) -> list[bytes]:
        peer = _peer(current, frame)
        if peer in current.offered or peer in current.words or peer not in self._earlier(current.roster):
            raise FrameError("key ids came twice, or from a client that has none to send", where=f"KEYIDS of {peer}")
        current.offered[peer] = _ids(frame)
        return self._advance(current)

    def _advance(self, current: _Round) -> list[bytes]:
        """Do all that can be done now, in the order hold, train, fetch, upload; nobody fetches before everyone has held and trained."""
        answers: list[bytes] = []
        others = set(current.roster.clients) - {self.name}
        if current.phase == "held" and current.ready["held"] == others:
            self._train(current)
            self._hold_all(current)
            current.phase = "trained"
            answers.append(self._ready(current, "trained"))
        if current.phase == "trained" and current.ready["trained"] == others:
            answers += self._fetch(current)
            current.phase = "keyed"
        if current.phase == "keyed":
            self._fetch_offered(current)
            if len(current.words) == len(self._later(current.roster)) + len(self._earlier(current.roster)):
                answers.append(self._send_upload(current))
        return answers

    def _train(self, current: _Round) -> None:
        roster = current.roster
        state = self.memory.state_after(roster.run, roster.previous)
        trained = self._trainer.train(roster.round, roster.clients.index(self.name), current.theta, state)
        if not np.isfinite(trained.update).all() or trained.update.shape != (roster.d,):
            raise ParameterError("the update is not finite, or of another length", where=f"client {self.name}", remedy="Lower the learning rate.")
        self._learned[roster.round] = trained.loss, trained.accuracy
        self.memory.keep_state(roster.run, roster.round, trained.state)
        weight = roster.weight(self.name)
        current.x = weight * np.clip(trained.update, -roster.bound, roster.bound)
        if roster.mode != "plain":
            complaint = RangeStatistics.of(trained.update, weight, roster.bound, roster.alpha, roster.q).complaint(trained.update)
            if complaint is not None:
                warnings.warn(f"client {self.name}, round {roster.round + 1}: {complaint}", QuantiserRange, stacklevel=2)

    def _fetch(self, current: _Round) -> list[bytes]:
        """Spend the holds and tell the later clients the key ids."""
        roster, answers = current.roster, []
        for peer in self._later(roster):
            hold, since, held = current.holds[peer]
            if self._clock() - since >= HOLD_SECONDS:
                raise RoundAborted(f"the hold on pair {pair_name(self.name, peer)} ran out while others trained", where=f"round {roster.round + 1}")
            del current.holds[peer]
            before = self._source().available_bits(peer)
            keys = self._source().fetch(hold)
            spent = held + before - self._source().available_bits(peer)
            self._uses.setdefault(roster.round, []).append(KeyUse(pair_name(self.name, peer), spent))
            current.words[peer] = pair_words(b"".join(key.material for key in keys), roster.d, roster.q)
            header = {"to": peer, "ids": [key.key_id for key in keys]}
            answers.append(self._sender.frame(MessageType.KEYIDS, header, round_=roster.round))
        return answers

    def _fetch_offered(self, current: _Round) -> None:
        for peer in self._earlier(current.roster):
            if peer in current.offered:
                ids = current.offered.pop(peer)
                keys = self._source().fetch_by_id(peer, ids, _purpose(current.roster, "masks"))
                current.words[peer] = pair_words(b"".join(key.material for key in keys), current.roster.d, current.roster.q)

    def _send_upload(self, current: _Round) -> bytes:
        roster = current.roster
        above = [current.words[peer] for peer in self._later(roster)]
        below = [current.words[peer] for peer in self._earlier(roster)]
        y = roster.variant().upload(current.x, above, below)
        for words in (*above, *below):
            words.fill(0)
        current.upload = y.tobytes()
        self.memory.remember_upload(roster.session, roster.run, roster.round, hashlib.sha256(current.upload).hexdigest())
        if self._audit is not None:
            self._audit(roster.round, self.name, current.x)
        current.phase = "sent"
        return self._upload_frame(current)

    def _upload_frame(self, current: _Round) -> bytes:
        dtype = "<f8" if current.roster.mode == "plain" else f"<u{max(1, len(current.upload) // current.roster.d)}"
        y = np.frombuffer(current.upload, dtype=dtype)
        return self._sender.frame(MessageType.UPLOAD, {}, {"y": y}, round_=current.roster.round)

    def _ready(self, current: _Round, phase: Phase) -> bytes:
        header = {"roster": current.roster.sha256, "phase": phase}
        return self._sender.frame(MessageType.READY, header, round_=current.roster.round)

    def _fail(self, round_: int, error: HeliographError) -> list[bytes]:
        self.give_up()
        header: dict[str, Any] = {"reason": str(error), "error": type(error).__name__}
        if isinstance(error, InsufficientKey):
            header["short"] = {"pair": error.pair, "need": error.need_bits, "have": error.have_bits}
        return [self._sender.frame(MessageType.ABORT, header, round_=round_)]


def _purpose(roster: Roster, what: str) -> str:
    return f"qunetqfl run {roster.run} round {roster.round} {what}"


def _peer(current: _Round, frame: Frame) -> str:
    peer = frame.header.get("from")
    if peer not in current.roster.clients:
        raise FrameError("a message comes from outside the roster", where=frame.type.name)
    return str(peer)


def _ids(frame: Frame) -> tuple[str, ...]:
    ids = frame.header.get("ids")
    if not isinstance(ids, list) or not ids or not all(isinstance(key_id, str) for key_id in ids):
        raise FrameError("the key ids are malformed", where="KEYIDS")
    return tuple(ids)
