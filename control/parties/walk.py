"""Light for many pairs, block after block: the pair that has the least key goes next.

A block is a run of its own and, where there is a distiller, becomes key while the light of the next one is sent: one block at most is being distilled, and a
block whose light is over waits for the one before. So a walk that was killed loses the block that it was at, and another walk goes on with the next one: what
is finished is in the stores, and the stores say who is next.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...core.entropy import OsRandom, RandomSource
from ...core.errors import AnnouncementError, DesyncError, FrameError, ParameterError, RunFileError
from ...core.statement import SecurityStatement
from ...postprocess.procedures.key_exchange import KeyExchange, pattern_path, recorded_s
from .node import network, pair_of
from .worker import Distiller, Outcome

log = logging.getLogger(__name__)

if TYPE_CHECKING:
    from ...acquisition.runs import Run
    from ..bench import Bench
    from ..bench import Progress as LightProgress

_SPOILT = (RunFileError, AnnouncementError, DesyncError, FrameError, ParameterError)
"""What is wrong with one run, not with stores or bench."""


@dataclass(frozen=True, slots=True)
class Block:
    """One block of a walk.

    summary: of its run.  left_over: by a walk that was killed.  key, statement, why: as in `worker.Outcome`; nothing where it was not distilled.
    """

    pair: str
    run: Path
    run_id: str
    simulated: bool
    summary: dict[str, Any]
    left_over: bool = False
    key: dict[str, Any] | None = None
    statement: SecurityStatement | None = None
    why: str = ""


class Turns:
    """Says which pair is next: the one with the least; after a block that gave nothing a pair waits until another one has given some.

    pairs: in the order that decides between equals.  had: what each pair has at the beginning, key bits or seconds of light; 0 where it is not told.
    A block that has begun and not ended is expected to give what the pair's last one gave, and decides between equals first.
    """

    def __init__(self, pairs: Sequence[str], had: Mapping[str, float]) -> None:
        if not pairs:
            raise ParameterError("there is no pair to serve", where="pairs")
        self._had = {pair: had.get(pair, 0.0) for pair in pairs}
        self._last = dict.fromkeys(pairs, 0.0)
        self._begun: list[str] = []
        self._waiting: set[str] = set()

    def next(self) -> str:
        """Return the pair whose turn it is; a block of it begins."""
        pair = min([pair for pair in self._had if pair not in self._waiting] or self._had, key=self._place)
        self._begun.append(pair)
        return pair

    def _place(self, pair: str) -> tuple[float, int]:
        begun = self._begun.count(pair)
        return self._had[pair] + begun * self._last[pair], begun

    def ended(self, pair: str, gain: float) -> None:
        """Note what a block of a pair gave."""
        if pair in self._begun:
            self._begun.remove(pair)
        self._had[pair] += gain
        self._last[pair] = gain
        if gain > 0.0 or len(self._waiting) == len(self._had):
            self._waiting.clear()
        if not gain > 0.0:
            self._waiting.add(pair)


@dataclass(slots=True)
class Walk:
    """Blocks of light on a bench.

    store: folder of the key stores.  seconds: of light of a block.  distiller: makes key of every block; None to leave that for later.
    source: gives the source of the patterns of block 0, 1, ..  light: told what the bench does.
    """

    bench: Bench
    store: Path
    seconds: float
    distiller: Distiller | None = None
    source: Callable[[int], RandomSource] = lambda _number: OsRandom()
    light: LightProgress = lambda _topic, _value: None
    _number: int = 0

    def once(self, pairs: Sequence[str]) -> Iterator[Block]:
        """Yield one block for each pair. Raises what the bench or the distiller raises; a block without key is no error."""
        yield from self._distilled(map(self._lit, pairs))

    def along(self, pairs: Sequence[str], light_s: float) -> Iterator[Block]:
        """Yield blocks, the pair with the least key first, until together they have had `light_s` of light; one at least.

        With a distiller, light that an earlier walk left behind comes first. Without one the pair with the least light in this walk goes first.
        Raises what the bench or the distiller raises; a block without key is no error.
        """
        turns = Turns(pairs, self._held(pairs) if self.distiller else {})
        waiting = self._left_over(pairs) if self.distiller else iter(())
        for block in self._distilled(chain(waiting, self._by_turns(turns, light_s))):
            turns.ended(block.pair, float(block.key["key_bits"]) if block.key else 0.0 if self.distiller else self.seconds)
            yield block

    def _by_turns(self, turns: Turns, light_s: float) -> Iterator[Block]:
        sent, seconds = 0.0, recorded_s(self.seconds)
        while not sent or sent + seconds <= light_s * (1.0 + 1e-9):
            yield self._lit(turns.next())
            sent += seconds

    def _lit(self, pair: str) -> Block:
        """Send one block of light for a pair."""
        procedure = KeyExchange(store=self.store, source=self.source(self._number), pair=pair, seconds=self.seconds)
        self._number += 1
        with self.bench.run(procedure, progress=self.light) as run:
            return _block(pair, run)

    def _distilled(self, blocks: Iterable[Block]) -> Iterator[Block]:
        """Yield blocks once they are distilled; the light of each is sent while the one before is being distilled."""
        if self.distiller is None:
            yield from blocks
            return
        for before, block in pairwise(chain([None], blocks, [None])):
            outcome = self._collected(before)
            if block is not None:
                self.distiller.hand_over(block.run)
            if before is not None and outcome is not None:
                yield replace(before, key=outcome.key, statement=outcome.statement, why=outcome.why)

    def _collected(self, block: Block | None) -> Outcome | None:
        """Return what came of a block. A spoilt one that an earlier walk left behind gives no key, and does not end this walk."""
        if self.distiller is None:
            return None
        try:
            return self.distiller.collect()
        except _SPOILT as error:
            if block is None or not block.left_over:
                raise
            return Outcome(why=str(error))

    def _left_over(self, pairs: Sequence[str]) -> Iterator[Block]:
        """Yield the blocks of a walk that was killed between light and key: runs of these pairs in the bench's folder whose patterns wait."""
        from ...acquisition.runs import Run

        for path in sorted(self.bench.folder.glob("*-p0.h5")):
            run_id = path.name.removesuffix("-p0.h5")
            for pair in pairs:
                if all(pattern_path(self.store, user, run_id).exists() for user in pair.split("-")):
                    try:
                        with Run.open(path) as run:
                            block = _block(pair, run, left_over=True) if run.complete and run.stop["reason"] == "done" else None
                            if not run.complete:
                                # Where it was killed before it announced, its patterns are erased.
                                pair_of(run, self.store)
                    except RunFileError as error:
                        log.warning("it gives no key: %s", error)
                        continue
                    if block is not None:
                        yield block

    def _held(self, pairs: Sequence[str]) -> dict[str, float]:
        """Return the key bits in the stores of each pair, provisioning those that are new."""
        with network(self.store, {user for pair in pairs for user in pair.split("-")}) as keys:
            held = {}
            for pair in pairs:
                a, b = pair.split("-")
                held[pair] = float(keys.parties[a].available_bits(b) + keys.parties[b].available_bits(a))
            return held


def _block(pair: str, run: Run, *, left_over: bool = False) -> Block:
    return Block(pair, run.path, run.run_id, run.simulated, run.summary, left_over)
