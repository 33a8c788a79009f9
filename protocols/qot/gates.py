"""One-out-of-two oblivious transfer of bits, in two modes, and gates on encoded wires made of it.

In the derandomised mode (`beaver`) a state is a random transfer that three public bits turn into the wanted one. In the mode of the paper (`index`) Bob names
the states whose s is his choice, and Alice one of them whose bits are her messages. Arrays of one element a gate throughout.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, log

import numpy as np
from numpy.typing import NDArray

from ...core.errors import ParameterError
from .laws import Codes, halves
from .states import StateSource

Bits = NDArray[np.uint8]
_ONE = np.uint8(1)
DEFAULT_STATES = 104
"""States an attempt of the index mode takes: it fails once in a million."""


def beaver_choice(choice: Bits, bob: Codes) -> Bits:
    """Return what Bob sends: d = choice xor q, where q is his s.  bob: his halves.  Source: Beaver, CRYPTO '95."""
    return choice ^ (bob >> _ONE)


def beaver_messages(m0: Bits, m1: Bits, alice: Codes, d: Bits) -> tuple[Bits, Bits]:
    """Return what Alice answers: e0 = m0 xor r_d, e1 = m1 xor r_(1-d).  alice: her halves, r1 r0."""
    r1, r0 = alice >> _ONE, alice & _ONE
    swap = d.astype(bool)
    return m0 ^ np.where(swap, r1, r0), m1 ^ np.where(swap, r0, r1)


def beaver_output(e0: Bits, e1: Bits, choice: Bits, bob: Codes) -> Bits:
    """Return what Bob gets: the chosen message, xored with his t."""
    return np.asarray(np.where(choice.astype(bool), e1, e0) ^ (bob & _ONE))


def _check(m0: Bits, m1: Bits, choice: Bits) -> None:
    """Raise ParameterError unless these are bits of as many gates, one a byte."""
    for name, plane in (("m0", m0), ("m1", m1), ("choice", choice)):
        if plane.dtype != np.uint8 or plane.shape != (choice.size,):
            raise ParameterError(f"type {plane.dtype}, shape {plane.shape}, for {choice.size} gates", where=name, remedy="Give uint8 (G,), one bit a gate.")
        if plane.size and int(plane.max()) > 1:
            raise ParameterError(f"{int(plane.max())} is no bit", where=name)


def transfer(source: StateSource, m0: Bits, m1: Bits, choice: Bits) -> Bits:
    """Return Bob's outputs of as many derandomised transfers as there are messages, one state each, both parties played here.

    Raises ParameterError or StatesExhausted, and then no state was used.
    """
    _check(m0, m1, choice)
    alice, bob = halves(source.next(choice.size))
    d = beaver_choice(choice, bob)
    return beaver_output(*beaver_messages(m0, m1, alice, d), choice, bob)


def offered(choice: Bits, bob: Codes) -> NDArray[np.bool_]:
    """Return which states Bob names: those whose s is his choice.  choice: (G,).  bob: his halves, (G, n).  bool (G, n)."""
    return np.asarray((bob >> _ONE) == choice[:, None])


def subset(named: NDArray[np.bool_], lots: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return a uniformly random part of the named states, of the same size for every gate, so that its size tells nothing of the choice.

    named: (G, n).  lots: uniform in [0, 1), (G, n).  bool (G, n): `subset_size(n)` of them where there are as many, none otherwise, which makes a restart.
    """
    size = subset_size(named.shape[1])
    keys = np.where(named, lots, 2.0)
    last = np.partition(keys, size - 1, axis=1)[:, size - 1 : size]
    return np.asarray(named & (keys <= last) & (last < 1.0))


def subset_size(n: int) -> int:
    """Return how many of n states a party names that hides how many it could: a quarter."""
    return n // 4


def suitable(m0: Bits, m1: Bits, alice: Codes, named: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which of the named states hold Alice's messages.  alice: her halves, (G, n).  bool (G, n)."""
    return np.asarray(named & (alice == (2 * m1 + m0)[:, None]))


def picked(fits: NDArray[np.bool_], lots: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return a suitable state of each gate, drawn uniformly, int64 (G,); the number of states where there is none: restart.

    lots: uniform in [0, 1), (G,).
    """
    counted = np.cumsum(fits, axis=1, dtype=np.int32)
    there = counted[:, -1]
    wanted = 1 + np.floor(lots * there).astype(np.int32)
    return np.asarray(np.where(there > 0, (counted >= wanted[:, None]).argmax(axis=1), fits.shape[1]))


@dataclass(frozen=True, slots=True)
class Indexed:
    """What transfers of the index mode gave.  output: uint8 (G,).  states: used, all attempts.  restarts: attempts that failed."""

    output: Bits
    states: int
    restarts: int


def transfer_by_index(
    source: StateSource, m0: Bits, m1: Bits, choice: Bits, rng: np.random.Generator, n: int = DEFAULT_STATES, *, symmetric: bool = False
) -> Indexed:
    """Return what transfers of the paper's mode give, both parties played here.

    n: states an attempt takes; it fails with (7/8)^n, and is repeated with new states.  rng: Alice's picks.  symmetric: Bob names `subset_size(n)` states.
    Raises ParameterError before a state is used; StatesExhausted where an attempt has too few, those of earlier attempts being used.
    """
    _check(m0, m1, choice)
    if n < 1 or (symmetric and not subset_size(n)):
        raise ParameterError(f"{n} states make no attempt", where="n")
    output, todo, states, restarts = np.empty(choice.size, np.uint8), np.arange(choice.size), 0, 0
    while todo.size:
        codes = source.next(todo.size * n).reshape(-1, n)
        states += codes.size
        alice, bob = halves(codes)
        named = offered(choice[todo], bob)
        if symmetric:
            named = subset(named, rng.random(named.shape))
        pick = picked(suitable(m0[todo], m1[todo], alice, named), rng.random(todo.size))
        done = pick < n
        output[todo[done]] = codes[done, pick[done]] & _ONE
        restarts += int((~done).sum())
        todo = todo[~done]
    return Indexed(output, states, restarts)


def restart_probability(n: int) -> float:
    """Return the probability that an attempt with n states fails, none of them having the wanted three bits: (7/8)^n."""
    return float((7.0 / 8.0) ** n)


def mean_states(n: int) -> float:
    """Return how many states a gate takes on average with attempts of n: n / (1 - (7/8)^n)."""
    return n / (1.0 - restart_probability(n))


def states_for(failure: float) -> int:
    """Return the states of an attempt that fails with at most this probability."""
    if not 0.0 < failure < 1.0:
        raise ParameterError(f"{failure!r} is no probability", where="failure")
    return ceil(log(failure) / log(7.0 / 8.0))


def and_messages(wire_pad: Bits, bit: Bits, output_pad: Bits) -> tuple[Bits, Bits]:
    """Return Alice's two messages of an AND of Bob's encoded wire with her bit; Bob's choice is the wire as he holds it, his output the encoded result."""
    return (wire_pad & bit) ^ output_pad, ((wire_pad ^ _ONE) & bit) ^ output_pad


def or_messages(wire_pad: Bits, bit: Bits, output_pad: Bits) -> tuple[Bits, Bits]:
    """Return Alice's two messages of an OR of Bob's encoded wire with her bit."""
    return (wire_pad | bit) ^ output_pad, ((wire_pad ^ _ONE) | bit) ^ output_pad
