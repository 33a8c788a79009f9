"""What goes to and fro for gates that are transferred together, in either mode: Bob asks, Alice answers, until he has an output for every gate.

In the derandomised mode that is one question and one answer. In the mode of the paper Bob names states, Alice picks one of them a gate or asks for a restart;
gates to be restarted go on with new states, and the next question is about them alone. `offset` and `left` say about which gates, counted within these, it is:
both sides know that, so that nothing else is taken for it.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ...core.entropy import RandomSource
from ...core.errors import FrameError
from .frames import Kind, pack, pack_numbers, unpack, unpack_numbers
from .gates import Bits, beaver_choice, beaver_messages, beaver_output, offered, picked, subset, subset_size, suitable
from .inner_product import uniform
from .states import StateSource

_ONE = np.uint8(1)


class Asking(Protocol):
    """Bob's side of some gates.  asks, hears: kinds of messages.  output: uint8 (G,), whole once `left` is 0."""

    asks: Kind
    hears: Kind
    output: Bits

    @property
    def offset(self) -> int:
        """Return the first gate that has no output yet."""
        ...

    @property
    def left(self) -> int:
        """Return how many gates have no output yet."""
        ...

    def ask(self) -> bytes:
        """Return the next question, with new states. Raises StatesExhausted."""
        ...

    def hear(self, payload: bytes) -> None:
        """Take the answer. Raises FrameError."""
        ...


class Answering(Protocol):
    """Alice's side.  hears, says: kinds of messages.  due: states that Bob uses for the question that is awaited."""

    hears: Kind
    says: Kind

    @property
    def offset(self) -> int:
        """Return the first gate that has no answer yet."""
        ...

    @property
    def left(self) -> int:
        """Return how many gates have no answer yet."""
        ...

    @property
    def due(self) -> int:
        """Return the states that the next question takes."""
        ...

    def answer(self, payload: bytes) -> bytes:
        """Take a question and return the answer. Raises FrameError, and then no state was used; StatesExhausted."""
        ...


class AskingOnce:
    """Bob in the derandomised mode.  choice: uint8 (G,).  states: gives his halves."""

    asks, hears = Kind.CHOICES, Kind.MESSAGES

    def __init__(self, choice: Bits, states: StateSource) -> None:
        self._choice, self._states, self._own = choice, states, choice
        self.output = np.zeros_like(choice)
        self.offset, self.left = 0, choice.size

    def ask(self) -> bytes:  # noqa: D102
        self._own = self._states.next(self._choice.size)
        return pack(beaver_choice(self._choice, self._own))

    def hear(self, payload: bytes) -> None:  # noqa: D102
        n = self._choice.size
        e = unpack(payload, 2 * n)
        self.output, self.left = beaver_output(e[:n], e[n:], self._choice, self._own), 0


class AnsweringOnce:
    """Alice in the derandomised mode.  m0, m1: uint8 (G,), her messages.  states: gives her halves."""

    hears, says = Kind.CHOICES, Kind.MESSAGES

    def __init__(self, m0: Bits, m1: Bits, states: StateSource) -> None:
        self._messages, self._states = (m0, m1), states
        self.offset, self.left = 0, m0.size

    @property
    def due(self) -> int:  # noqa: D102
        return self.left

    def answer(self, payload: bytes) -> bytes:  # noqa: D102
        d = unpack(payload, self.left)
        own, self.left = self._states.next(self.left), 0
        return pack(*beaver_messages(*self._messages, own, d))


class _Attempts:
    """Gates that are tried until they succeed, n states each time."""

    def __init__(self, gates: int, states: StateSource, n: int, source: RandomSource, symmetric: bool) -> None:
        self._todo, self._states, self._n, self._source, self._symmetric = np.arange(gates), states, n, source, symmetric

    @property
    def offset(self) -> int:
        return int(self._todo[0]) if self._todo.size else 0

    @property
    def left(self) -> int:
        return int(self._todo.size)

    @property
    def due(self) -> int:
        return self.left * self._n

    @property
    def _width(self) -> int:
        """Bits of a pick, of which n means restart: ceil(log2(n + 1))."""
        return self._n.bit_length()

    def _own(self) -> NDArray[np.uint8]:
        return self._states.next(self.due).reshape(-1, self._n)

    def _lots(self, *shape: int) -> NDArray[np.float64]:
        return uniform(self._source, int(np.prod(shape))).reshape(shape)


class AskingByNames(_Attempts):
    """Bob in the mode of the paper.

    choice: uint8 (G,).  states: gives his halves.  n: states of an attempt.  symmetric: he names `gates.subset_size(n)` of them, whatever his choice is.
    source: of that subset.
    """

    asks, hears = Kind.OFFERED, Kind.PICKED

    def __init__(self, choice: Bits, states: StateSource, n: int, source: RandomSource, *, symmetric: bool = False) -> None:
        super().__init__(choice.size, states, n, source, symmetric)
        self._choice = choice
        self._halves, self._named = np.empty((0, n), np.uint8), np.empty((0, n), np.bool_)
        self.output = np.zeros_like(choice)

    def ask(self) -> bytes:  # noqa: D102
        self._halves = self._own()
        self._named = offered(self._choice[self._todo], self._halves)
        if self._symmetric:
            self._named = subset(self._named, self._lots(*self._named.shape))
        return pack(self._named.astype(np.uint8).ravel())

    def hear(self, payload: bytes) -> None:  # noqa: D102
        picks = unpack_numbers(payload, self.left, self._width)
        done = np.flatnonzero(picks < self._n)
        if int(picks.max()) > self._n or not self._named[done, picks[done]].all():
            raise FrameError("a state was picked that was not named", where="oblivious transfer")
        self.output[self._todo[done]] = self._halves[done, picks[done]] & _ONE
        self._todo = np.delete(self._todo, done)


class AnsweringByPicks(_Attempts):
    """Alice in the mode of the paper.

    m0, m1: uint8 (G,), her messages.  states: gives her halves.  n: states of an attempt.  symmetric: whether Bob names as many for every gate.  source: of her
    picks.
    """

    hears, says = Kind.OFFERED, Kind.PICKED

    def __init__(self, m0: Bits, m1: Bits, states: StateSource, n: int, source: RandomSource, *, symmetric: bool = False) -> None:
        super().__init__(m0.size, states, n, source, symmetric)
        self._m0, self._m1 = m0, m1

    def answer(self, payload: bytes) -> bytes:  # noqa: D102
        named = unpack(payload, self.due).reshape(-1, self._n).astype(np.bool_)
        if self._symmetric and not np.isin(named.sum(axis=1), (0, subset_size(self._n))).all():
            raise FrameError("more or fewer states were named than agreed", where="oblivious transfer")
        fits = suitable(self._m0[self._todo], self._m1[self._todo], self._own(), named)
        picks = picked(fits, self._lots(self.left))
        said = pack_numbers(picks, self._width)
        self._todo = self._todo[picks == self._n]
        return said
