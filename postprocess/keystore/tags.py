"""The tags of a link's rounds, made with secrets of its key store: whoever does not hold them can alter nothing unnoticed."""

from __future__ import annotations

from collections.abc import Callable
from threading import RLock

from ...core.errors import FrameError, KeyStoreError
from ..channel.authentication import check_tag, one_time_tag
from .schema import Pool
from .store import Store

ROUNDS_A_BLOCK = 3
RESERVE = 4
"""Pads of a direction that must be left besides those of a block's rounds: two rounds, a fresh hash key, and the tag over the new block."""
BAD_TAGS = 3
"""Wrong tags in a row that lock a link."""
_POOLS = (Pool.AUTH_AB, Pool.AUTH_BA)


class StoreTags:
    """One end's `RoundTags`: every tag spends a pad of the store, durably, before it is made or checked.

    lock: held while the store is changed.  The hash key of a direction is recycled; its tags stay safe because every pad is fresh (arXiv:1109.5168).
    Three wrong tags in a row lock the store, so that nobody can make it spend all its pads.
    """

    authenticated = True

    def __init__(self, store: Store, lock: RLock) -> None:
        self._store = store
        self._lock = lock
        self.link_id = store.identity.link_id

    def require(self, rounds: int = ROUNDS_A_BLOCK) -> None:
        """Raise KeyStoreError unless both directions have pads for so many rounds, and the reserve. To be asked before anything is disclosed."""
        left = min(self._store.available(pool) for pool in _POOLS)
        if left < rounds + RESERVE:
            raise KeyStoreError(
                f"{left} authentication pads are left, a block needs {rounds + RESERVE}",
                where=f"pair {self._store.identity.pair}",
                remedy="Provision the link anew; every block that is laid down brings new pads, every one that fails uses some up.",
            )

    def make(self, direction: int, message_of: Callable[[int], bytes]) -> tuple[int, bytes]:
        """Spend the next pad of an own direction; return its index and the tag. Raises KeyStoreError if there is none."""
        store, pool = self._store, _POOLS[direction]
        with self._lock:
            index = store.next_pad(pool)
            with store.db.transaction():
                pad = store.take_pad(pool, index)
            return index, one_time_tag(store.hash_key(pool), pad, message_of(index))

    def check(self, direction: int, s_index: int, message_of: Callable[[int], bytes], tag: bytes) -> None:
        """Spend the pad that the other end names, then check: one attempt a pad. Raises FrameError if the pad cannot be used or the tag is wrong."""
        store, pool = self._store, _POOLS[direction]
        with self._lock:
            try:
                with store.db.transaction():
                    pad = store.take_pad(pool, s_index)
            except KeyStoreError as error:
                raise FrameError(error.message, where="authentication") from error
            try:
                check_tag(store.hash_key(pool), pad, message_of(s_index), tag)
            except FrameError:
                store.count_bad_tag(BAD_TAGS)
                raise
            store.forget_bad_tags()
