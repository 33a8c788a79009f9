"""Light for many pairs, block after block: the pair that has the least key goes next.

A block is a run of its own and, where key stores are given, is distilled at once. So a walk that was killed loses the block that it was at, and another walk
goes on with the next one: what is finished is in the stores, and the stores say who is next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.entropy import OsRandom, RandomSource
from ..core.errors import AlreadyDistilled, NoKeyError, ParameterError, ReconciliationError, VerificationError
from ..postprocess.procedures.key_exchange import KeyExchange, pattern_path
from .node import Bound, Network, PairKey, Progress

if TYPE_CHECKING:
    from ..acquisition.runs import Run
    from .bench import Bench
    from .bench import Progress as LightProgress


@dataclass(frozen=True, slots=True)
class Block:
    """One block of a walk.

    summary: of its run.  key: what it gave; None where it was not distilled, or gave none.  why: there is no key, empty otherwise.
    """

    pair: str
    run: Path
    run_id: str
    simulated: bool
    summary: dict[str, Any]
    key: PairKey | None = None
    why: str = ""


class Turns:
    """Says which pair is next: the one with the least; after a block that gave no key a pair waits until another one has given some.

    pairs: in the order that decides between equals.  had: what each pair has now, key bits or seconds of light.
    """

    def __init__(self, pairs: Sequence[str], had: Callable[[str], float]) -> None:
        if not pairs:
            raise ParameterError("there is no pair to serve", where="pairs")
        self._pairs, self._had = tuple(pairs), had
        self._waiting: set[str] = set()

    def next(self) -> str:
        """Return the pair whose turn it is."""
        return min([pair for pair in self._pairs if pair not in self._waiting] or self._pairs, key=self._had)

    def ended(self, pair: str, *, well: bool) -> None:
        """Note how a block of a pair ended."""
        if well or len(self._waiting) == len(self._pairs):
            self._waiting.clear()
        if not well:
            self._waiting.add(pair)


@dataclass(slots=True)
class Walk:
    """Blocks of light on a bench.

    store: folder of the key stores.  seconds: of light of a block.  keys: the open stores, into which every block is distilled; None to leave that for later.
    source: gives the source of the patterns of block 0, 1, ..  light, work: told what the bench and the distillation do.
    """

    bench: Bench
    store: Path
    seconds: float
    keys: Network | None = None
    bound: Bound = "kato"
    source: Callable[[int], RandomSource] = lambda _number: OsRandom()
    light: LightProgress = lambda _topic, _value: None
    work: Progress = lambda _what, _percent: None
    _number: int = 0

    def along(self, pairs: Sequence[str], light_s: float) -> Iterator[Block]:
        """Yield blocks, the pair with the least key first, until together they have had `light_s` of light; one at least.

        Without stores the pair with the least light in this walk goes first.  Raises what the bench or a store raises; a block without key is no error.
        """
        light = dict.fromkeys(pairs, 0.0)
        turns = Turns(pairs, light.__getitem__ if self.keys is None else self._key_bits)
        while True:
            pair = turns.next()
            block = self.block(pair)
            light[pair] += self.seconds
            turns.ended(pair, well=not block.why)
            yield block
            if sum(light.values()) + self.seconds > light_s * (1.0 + 1e-9):
                return

    def block(self, pair: str) -> Block:
        """Send one block of light for a pair, and distil it where stores are given."""
        procedure = KeyExchange(store=self.store, source=self.source(self._number), pair=pair, seconds=self.seconds)
        self._number += 1
        with self.bench.run(procedure, progress=self.light) as run:
            return self._finished(pair, run)

    def left_over(self, pairs: Sequence[str]) -> Iterator[Block]:
        """Distil, and yield, the blocks of a walk that was killed between light and key: runs of these pairs in the bench's folder whose patterns wait."""
        from ..acquisition.runs import Run

        for path in sorted(self.bench.folder.glob("*-p0.h5")):
            run_id = path.name.removesuffix("-p0.h5")
            for pair in pairs:
                if all(pattern_path(self.store, user, run_id).exists() for user in pair.split("-")):
                    with Run.open(path) as run:
                        if run.complete and run.stop["reason"] == "done":
                            yield self._finished(pair, run)

    def _finished(self, pair: str, run: Run) -> Block:
        key, why = None, ""
        if self.keys is not None:
            try:
                key = self.keys.distil(run, bound=self.bound, progress=self.work)
            except (NoKeyError, ReconciliationError, VerificationError, AlreadyDistilled) as error:
                why = error.message
        return Block(pair, run.path, run.run_id, run.simulated, run.summary, key, why)

    def _key_bits(self, pair: str) -> float:
        a, b = pair.split("-")
        return float(self.keys.parties[a].available_bits(b) + self.keys.parties[b].available_bits(a)) if self.keys is not None else 0.0
