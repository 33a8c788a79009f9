"""State vectors in batches: gates, projections and laws on tensors of shape (batch, 2^n), in torch. Wire 0 is the most significant axis.

A gate is applied as sums over slices, one for each of its entries that is not 0: permutations and controlled gates cost one pass over the state.
Torch is imported where it is used, so that importing this module costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@contextmanager
def single_thread() -> Iterator[None]:
    """Let torch use one thread inside the block: these tensors are too small to share."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def zero_states(batch: int, n: int, dtype: torch.dtype | None = None) -> Tensor:
    """Return `batch` times |0..0> of n wires: complex64 unless said, (batch, 2^n)."""
    import torch

    psi = torch.zeros(batch, 2**n, dtype=dtype or torch.complex64)
    psi[:, 0] = 1
    return psi


def apply(psi: Tensor, gate: NDArray[np.complexfloating], wires: Sequence[int]) -> Tensor:
    """Return the states after a gate.

    gate: (2^k, 2^k) for all states, or (batch, 2^k, 2^k) with one for each; its first wire is most significant.  wires: k different ones.
    """
    import torch

    n = psi.shape[1].bit_length() - 1
    batched = gate.ndim == 3
    states = psi.view(psi.shape[0], *_cut(n, wires))
    out = torch.empty_like(states)
    for row in range(gate.shape[-1]):
        terms = [column for column in range(gate.shape[-1]) if np.any(gate[..., row, column])]
        target = out[_slice(wires, row)]
        if not terms:
            target.zero_()
        for number, column in enumerate(terms):
            source, factor = states[_slice(wires, column)], _factor(gate[..., row, column], batched, psi, target.dim())
            _add(target, source, factor, first=number == 0)
    return out.view(psi.shape)


def _add(target: Tensor, source: Tensor, factor: Any, first: bool) -> None:
    import torch

    if first and isinstance(factor, complex) and factor == 1:
        target.copy_(source)
    elif first:
        torch.mul(source, factor, out=target)
    elif isinstance(factor, complex):
        target.add_(source, alpha=factor)
    else:
        target.addcmul_(source, factor)


def _factor(entry: Any, batched: bool, psi: Tensor, dimensions: int) -> Any:
    import torch

    if not batched:
        return complex(entry)
    return torch.from_numpy(np.ascontiguousarray(entry)).to(psi.dtype).view(-1, *[1] * (dimensions - 1))


def _cut(n: int, wires: Sequence[int]) -> list[int]:
    """Return a shape with an axis of 2 for each wire and what lies between them merged."""
    shape, last = [], -1
    for wire in sorted(wires):
        shape += [2 ** (wire - last - 1), 2]
        last = wire
    return [*shape, 2 ** (n - last - 1)]


def _slice(wires: Sequence[int], index: int) -> tuple[Any, ...]:
    """Return where the wires read `index`, its first wire most significant."""
    place: list[Any] = [slice(None)] * (2 * len(wires) + 2)
    order = sorted(wires)
    for position, wire in enumerate(wires):
        place[2 + 2 * order.index(wire)] = (index >> (len(wires) - 1 - position)) & 1
    return tuple(place)


def one_probability(psi: Tensor, wire: int) -> NDArray[np.float64]:
    """Return the probability that a wire reads 1, for each state: float64 (batch,)."""
    n = psi.shape[1].bit_length() - 1
    parts = psi.view(psi.shape[0], *_cut(n, [wire]))
    weight = (parts.real.double() ** 2 + parts.imag.double() ** 2).sum(dim=(1, 3))
    found: NDArray[np.float64] = (weight[:, 1] / weight.sum(dim=1)).numpy()
    return found


def project(psi: Tensor, wire: int, outcomes: NDArray[np.integer]) -> Tensor:
    """Return the states after a wire was found in `outcomes` (batch,), normalised. An outcome of probability 0 must not be asked for."""
    import torch

    n = psi.shape[1].bit_length() - 1
    parts = psi.view(psi.shape[0], *_cut(n, [wire]))
    keep = torch.from_numpy(np.stack([outcomes == 0, outcomes == 1], axis=1)).view(-1, 1, 2, 1)
    kept = (parts * keep).view(psi.shape)
    found: Tensor = kept / torch.linalg.vector_norm(kept, dim=1, keepdim=True)
    return found


def law(psi: Tensor, wires: Sequence[int]) -> NDArray[np.float64]:
    """Return the joint law of some wires, for each state: float64 (batch, 2^k), the first of `wires` most significant, each row summing to 1."""
    n, batch = psi.shape[1].bit_length() - 1, psi.shape[0]
    weight: NDArray[np.float64] = (psi.real.double() ** 2 + psi.imag.double() ** 2).numpy().reshape(batch, *[2] * n)
    rest = [wire for wire in range(n) if wire not in wires]
    ordered = weight.transpose(0, *[1 + wire for wire in (*wires, *rest)]).reshape(batch, 2 ** len(wires), -1).sum(axis=2)
    found: NDArray[np.float64] = ordered / ordered.sum(axis=1, keepdims=True)
    return found
