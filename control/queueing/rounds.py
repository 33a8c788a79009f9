"""Learning goes by rounds, and between two of them it can end: to be paused, or to keep what it has learnt.

A worker is told by a signal, which it hears also where it came before the worker listened: whoever starts it keeps the signal back for it.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..topics import ClientFigures, LearningProgress

END = signal.SIGUSR1
"""Tells a worker to end after the round that is on."""


def keep_back_for_workers() -> None:
    """Keep the signal back in this thread: a process that it starts gets it when it listens, and does not die of it before."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {END})


@contextmanager
def ending_between_rounds() -> Iterator[threading.Event]:
    """Yield what is set once this process is told to end between two rounds; in another thread than the main one nobody tells."""
    told = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield told
        return
    before = signal.signal(END, lambda _number, _frame: told.set())
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {END})
    try:
        yield told
    finally:
        # Whoever tells it now comes too late, and must not kill it while it says what came out.
        signal.signal(END, signal.SIG_IGN if before is signal.SIG_DFL else before)


def joined(before: LearningProgress | None, now: LearningProgress) -> LearningProgress:
    """Return a training as one, that was taken up again.  before: what was told of it until it was paused.  now: told since then, by the one that goes on."""
    if before is None:
        return now
    done = len(before.loss)
    pairs = sorted({*before.key_bits, *now.key_bits})
    checks = (before.unmasked_equal, now.unmasked_equal if len(now.loss) else before.unmasked_equal)
    return replace(
        now,
        round=now.round or before.round,
        loss=np.concatenate([before.loss, now.loss]),
        accuracy=np.concatenate([before.accuracy, now.accuracy]),
        key_bits={pair: np.concatenate([_padded(before.key_bits.get(pair), done), _padded(now.key_bits.get(pair), len(now.loss))]) for pair in pairs},
        clients=tuple(_client(one, before, done) for one in now.clients),
        unmasked_equal=None if None in checks else all(checks),
    )


def _padded(bits: NDArray[np.int64] | None, rounds: int) -> NDArray[np.int64]:
    return np.zeros(rounds, np.int64) if bits is None else bits


def _client(now: ClientFigures, before: LearningProgress, done: int) -> ClientFigures:
    earlier = next((one for one in before.clients if one.name == now.name), None)
    unknown = np.full(done, np.nan)
    loss, accuracy = (unknown, unknown) if earlier is None else (earlier.loss, earlier.accuracy)
    return replace(
        now,
        loss=np.concatenate([loss, now.loss]),
        accuracy=np.concatenate([accuracy, now.accuracy]),
        samples=now.samples or (earlier.samples if earlier is not None else 0),
    )
