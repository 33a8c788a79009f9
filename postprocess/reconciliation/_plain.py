"""Cascade as the text tells it, both keys in one process: the reference against which the two-party form is held.

Every pass keeps a tree of known parities: level 0 are its blocks, children are halves. What is kept of a node is its diff, Alice's parity xor Bob's. A known
leaf is the deepest known node over a position.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .permutation import permutation
from .schedule import block_sizes

Bits = NDArray[np.uint8]
Node = tuple[int, int]
"""Start and size of an interval of positions."""


@dataclass(frozen=True, slots=True)
class PlainResult:
    """Bob's corrected bits uint8 (n,), the parities Alice disclosed, the round trips taken, and the bits changed."""

    bits: Bits
    leak: int
    rounds: int
    corrected: int


class _Pass:
    """One pass: block size k, where bits stand, both permuted keys, and the diffs of the known nodes."""

    def __init__(self, k: int, position: NDArray[np.int64], alice: Bits, bob: Bits) -> None:
        self.k = k
        self.position = position
        self.bit = np.argsort(position)
        self.alice, self.bob = alice[self.bit], bob[self.bit]
        self.diff: dict[Node, int] = {}
        self.queue: list[Node] = []

    def measure(self, node: Node) -> int:
        start, size = node
        return int(self.alice[start : start + size].sum() + self.bob[start : start + size].sum()) & 1

    def know(self, node: Node, diff: int) -> None:
        self.diff[node] = diff
        if diff:
            self.queue.append(node)

    def leaf(self, position: int) -> Node:
        start, size = position // self.k * self.k, self.k
        while size > 1 and (start, size // 2) in self.diff:
            size //= 2
            start += size * (position >= start + size)
        return start, size

    def taken(self) -> list[Node]:
        """Return the queued leaves that are still odd, each once."""
        nodes = [node for node in dict.fromkeys(self.queue) if self.diff[node]]
        self.queue.clear()
        return nodes


class _Run:
    def __init__(self, alice: Bits, bob: Bits) -> None:
        self.alice, self.bob = alice, bob.copy()
        self.passes: list[_Pass] = []
        self.leak = self.rounds = 0

    def start_pass(self, k: int, position: NDArray[np.int64]) -> None:
        stage = _Pass(k, position, self.alice, self.bob)
        blocks = [(start, k) for start in range(0, self.alice.size, k)]
        diffs = [stage.measure(block) for block in blocks]
        # From the second pass on the last block is not sent: all earlier leaves are even, so the total is, too.
        unsent = int(bool(self.passes))
        self.leak += len(blocks) - unsent
        self.rounds += 1
        if unsent:
            diffs[-1] = sum(diffs[:-1]) & 1
        for block, diff in zip(blocks, diffs, strict=True):
            stage.know(block, diff)
        self.passes.append(stage)

    def settle(self) -> None:
        while queued := [stage for stage in self.passes if stage.queue]:
            stage = min(queued, key=lambda each: each.k)
            self.flip(stage.bit[self.search(stage, stage.taken())])

    def search(self, stage: _Pass, nodes: list[Node]) -> list[int]:
        """Halve all nodes in lockstep; return the positions found."""
        found = [start for start, size in nodes if size == 1]
        running = [node for node in nodes if node[1] > 1]
        while running:
            self.rounds += 1
            self.leak += len(running)
            halves = []
            for start, size in running:
                left, right = (start, size // 2), (start + size // 2, size // 2)
                odd_left = stage.measure(left)
                stage.diff[left], stage.diff[right] = odd_left, 1 - odd_left
                halves.append(left if odd_left else right)
            found += [start for start, size in halves if size == 1]
            running = [node for node in halves if node[1] > 1]
        return found

    def flip(self, bits: NDArray[np.int64]) -> None:
        self.bob[bits] ^= 1
        for stage in self.passes:
            for position in stage.position[bits].tolist():
                stage.bob[position] ^= 1
                leaf = stage.leaf(position)
                stage.know(leaf, stage.diff[leaf] ^ 1)


def reconcile(alice: Bits, bob: Bits, q_est: float, seed: bytes) -> PlainResult:
    """Correct Bob's bits of one frame, uint8 (n,) with n a power of two from 2^12, and count what that takes."""
    run = _Run(alice, bob)
    n = alice.size
    for index, k in enumerate(block_sizes(q_est, n)):
        bits = np.arange(n)
        run.start_pass(k, permutation(seed, index, n).position(bits) if index else bits)
        run.settle()
    return PlainResult(run.bob, run.leak, run.rounds, int(np.count_nonzero(run.bob != bob)))
