"""The public facts of a round, on which all clients must agree before any key is touched."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.errors import ConfigError, FrameError
from ...postprocess.channel import canonical
from ..aggregation.masks import key_bits
from ..aggregation.quantiser import safe_range
from ..aggregation.variants import Aggregator, aggregator

MIN_CLIENTS = 3
HOLD_SECONDS = 300
"""Longest life of a hold on key."""


def theta_hash(theta: NDArray[np.float64]) -> str:
    """Return the SHA-256 of parameters as little-endian float64."""
    return hashlib.sha256(np.ascontiguousarray(theta, dtype="<f8").tobytes()).hexdigest()


@dataclass(frozen=True, slots=True)
class Roster:
    """Who takes part in a round, and with which numbers.

    session: of the connection.  run: of all rounds of one training.  previous: the last completed round, -1 before the first.
    clients: in bytewise order; the position is the client's index.  samples: n_k, public.  mode: aggregation variant.  d: parameters.
    q: word width, bits.  bound: B.  alpha: quantiser range.  model: its name.  theta: SHA-256 of the start.
    """

    session: int
    run: int
    round: int
    previous: int
    clients: tuple[str, ...]
    samples: tuple[int, ...]
    mode: str
    d: int
    q: int
    bound: float
    alpha: float
    model: str
    theta: str

    def header(self) -> dict[str, Any]:
        """Return the frame header: integers, strings, reals as hexadecimal floats."""
        return {
            "alpha": float(self.alpha).hex(),
            "bound": float(self.bound).hex(),
            "clients": list(self.clients),
            "d": self.d,
            "hold_s": HOLD_SECONDS,
            "mode": self.mode,
            "model": self.model,
            "previous": self.previous,
            "q": self.q,
            "round": self.round,
            "run": self.run,
            "samples": list(self.samples),
            "theta": self.theta,
        }

    @classmethod
    def of(cls, session: int, header: dict[str, Any]) -> Roster:
        """Return the roster of a header. Raises `FrameError` where a field is missing or has another type, `ConfigError` where it makes no sense."""
        try:
            roster = cls(
                session=session,
                run=_integer(header["run"]),
                round=_integer(header["round"]),
                previous=_integer(header["previous"]),
                clients=tuple(str(name) for name in header["clients"]),
                samples=tuple(_integer(n) for n in header["samples"]),
                mode=str(header["mode"]),
                d=_integer(header["d"]),
                q=_integer(header["q"]),
                bound=float.fromhex(header["bound"]),
                alpha=float.fromhex(header["alpha"]),
                model=str(header["model"]),
                theta=str(header["theta"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise FrameError(f"the roster is malformed ({error})", where="ROSTER") from error
        roster.check()
        return roster

    def check(self) -> None:
        """Raise `ConfigError` unless a round with these numbers can be private and cannot wrap."""
        check_clients(self.clients)
        if len(self.samples) != len(self.clients) or min(self.samples) < 1:
            raise ConfigError("every client needs a number of samples", where="roster")
        if self.variant().needs_key:
            key_bits(self.d, self.q)
        least = safe_range(self.bound, self.q, len(self.clients))
        if not (math.isfinite(self.alpha) and self.alpha >= least * (1 - 1e-12)):
            raise ConfigError(f"at alpha = {self.alpha:.6g} the sum may wrap, {least:.6g} is the smallest range for this bound", where="roster")

    def variant(self) -> Aggregator:
        """Return the aggregation variant of the round."""
        return aggregator(self.mode, self.alpha, self.q)

    @property
    def sha256(self) -> str:
        """Return the hash that clients compare."""
        return hashlib.sha256(canonical.encode({**self.header(), "session": f"{self.session:x}"})).hexdigest()

    def weight(self, client: str) -> float:
        """Return w_k = n_k over the sum of the roster."""
        return self.samples[self.clients.index(client)] / sum(self.samples)


def check_clients(clients: Iterable[str]) -> None:
    """Raise `ConfigError` unless there are at least three clients, each once, in bytewise order."""
    names = list(clients)
    if len(names) < MIN_CLIENTS:
        raise ConfigError(f"{len(names)} clients are too few: with two, each learns the other's update", where="clients", remedy="Take three or more.")
    if names != sorted(set(names), key=str.encode):
        raise ConfigError("the clients must be named once each, in bytewise order", where="clients")


def _integer(value: Any) -> int:
    if type(value) is not int:
        raise TypeError(f"{value!r} is not an integer")
    return value
