"""S to the power of an XOR of earlier outcomes, for back-ends that can more or less: the gadget of homomorphic T gates, as far as circuits go.

    direct      if_test on an XOR expression                       local, Aer, fakes with `if_else`
    XOR-free    one single-bit if_test a term, and a Z to be noted  Braket's simulator too
    guessed     the value is fixed beforehand, shots where it was wrong are thrown away       everywhere, 2^k times the shots

prod_i S^{r_i} = S^{XOR r} Z^{e2} with e2 = sum_{i<j} r_i r_j mod 2, since S^2 = Z and sum r = XOR r + 2 e2 mod 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...core.errors import ParameterError
from .samples import Samples

if TYPE_CHECKING:
    from qiskit import QuantumCircuit

MOST_GUESSED = 5
"""Unknown bits that may be guessed in one circuit: one shot in 32 is kept."""


def direct_s(circuit: QuantumCircuit, qubit: int, clbits: Sequence[int], constant: int = 0) -> None:
    """Add S on a qubit where the XOR of classical bits and a constant is 1. clbits: one or more indices."""
    from qiskit.circuit.classical import expr

    condition = reduce(expr.bit_xor, [expr.lift(circuit.clbits[one]) for one in clbits])
    with circuit.if_test(expr.logic_not(condition) if constant else condition):
        circuit.s(qubit)


def xor_free_s(circuit: QuantumCircuit, qubit: int, clbits: Sequence[int], constant: int = 0) -> None:
    """Add the same up to Z^e2, by single-bit conditions only; the caller puts `e2` of the outcomes into the qubit's Z key."""
    if constant:
        circuit.s(qubit)
    for one in clbits:
        with circuit.if_test((circuit.clbits[one], 1)):
            circuit.s(qubit)


def e2(bits: NDArray[np.integer], constant: int = 0) -> NDArray[np.uint8]:
    """Return sum_{i<j} r_i r_j mod 2 of each row: bit 1 of the number of ones, a constant counting as one more. bits: (shots, k)."""
    ones = bits.sum(axis=1, dtype=np.int64) + constant
    found: NDArray[np.uint8] = (ones >> 1 & 1).astype(np.uint8)
    return found


def e2_terms(clbits: Sequence[int], constant: int = 0) -> tuple[tuple[int, ...], ...]:
    """Return the same as a polynomial: its monomials, each the classical bits that are multiplied."""
    pairs = tuple((one, other) for place, one in enumerate(clbits) for other in clbits[place + 1 :])
    return pairs + tuple((one,) for one in clbits) * (constant & 1)


def guessed_s(circuit: QuantumCircuit, qubit: int, guess: int) -> None:
    """Add S if the value was guessed to be 1; keep only shots in which it is, see `accepted`."""
    if guess:
        circuit.s(qubit)


def guessed_shots(shots: int, unknown: int) -> int:
    """Return how many shots to submit, and to pay, so that `shots` are kept on average: 2^unknown times as many.

    unknown: guessed values that are not known when the circuit is built, at most 5. Raises ParameterError beyond.
    """
    if not 0 <= unknown <= MOST_GUESSED:
        raise ParameterError(f"{unknown} guesses would throw away all but one in {2**unknown} shots", where="unknown", remedy="Use feed-forward.")
    return shots << unknown


def accepted(samples: Samples, guesses: Sequence[tuple[Sequence[int], int, int]]) -> Samples:
    """Return the shots in which every guess was right. guesses: (classical bits, constant, guess) of each gadget."""
    keep = np.ones(samples.shots, bool)
    for clbits, constant, guess in guesses:
        keep &= (np.bitwise_xor.reduce(samples.bits[:, list(clbits)], axis=1) ^ constant) == guess
    return Samples(samples.bits[keep], samples.cregs, samples.meta)
