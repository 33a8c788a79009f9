"""Transfers from the joint law against transfers that run one circuit each, as a device would be asked gate by gate."""

from __future__ import annotations

from time import perf_counter

import numpy as np

from heliograph.core.entropy import SimRandom
from heliograph.protocols.qot.circuits import state_circuit
from heliograph.protocols.qot.gates import transfer
from heliograph.protocols.qot.laws import error_rate
from heliograph.protocols.qot.states import DrawnStates, MeasuredStates
from heliograph.protocols.qpu import Work, open_backend

from ..harness import Figures, row

GATES = 1 << 20
CIRCUITS = 8
DEVICE = "aer:santiago"


def seconds(work: object) -> float:
    begin = perf_counter()
    assert callable(work)
    work()
    return perf_counter() - begin


@row("qot_vs_circuits", peer="one circuit a gate (Aer, noise of fake Santiago)", package="qiskit-aer", unit="QOT/s")
def qot_vs_circuits() -> Figures:
    rng = np.random.default_rng(1)
    m0, m1, choice = (rng.integers(0, 2, GATES, np.uint8) for _ in range(3))
    backend, work = open_backend(DEVICE), Work(state_circuit())
    law = backend.probabilities(work)
    states = DrawnStates(law, SimRandom(2))

    def joint() -> float:
        return float((transfer(states, m0, m1, choice) != np.where(choice == 1, m1, m0)).mean())

    def by_circuits(n: int = CIRCUITS) -> None:
        for gate in range(n):
            (samples,) = backend.run([work], 1, seed=gate)
            transfer(MeasuredStates(samples.codes().astype(np.uint8)), *(plane[gate : gate + 1] for plane in (m0, m1, choice)))

    # Both give the same answer: the same law, by sampling either.
    assert abs(joint() - error_rate(law)) < 5e-3
    (measured,) = backend.run([work], 20_000, seed=1)
    assert abs(np.abs(np.bincount(measured.codes(), minlength=16) / 20_000 - law).max()) < 0.02
    by_circuits(2)
    ours = sorted(GATES / seconds(joint) for _ in range(5))[2]
    theirs = sorted(CIRCUITS / seconds(by_circuits) for _ in range(3))[1]
    return Figures(ours, theirs)
