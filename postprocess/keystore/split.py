"""How the bytes of a block are cut into the six pools."""

from __future__ import annotations

from dataclasses import dataclass, field

from .schema import CHUNK_BYTES, Pool

AUTH_TAGS = 4096
"""Tags a direction keeps in store at most."""


@dataclass(frozen=True, slots=True)
class SplitPolicy:
    """How side A shares out a block; the directions get equal parts.

    auth_share: part of a block the two auth pools get at most, until they hold 4096 tags.  bulk_share: part of the rest for masks.
    bulk_from: a block gives to bulk only if each direction gets that many chunks; smaller ones would be lost in tails.
    capacity: chunks a data or bulk pool holds at most; a block that would overfill one is refused.
    """

    auth_share: float = 0.10
    bulk_share: float = 0.5
    bulk_from: int = 4
    capacity: dict[Pool, int] = field(default_factory=lambda: {Pool.DATA_AB: 2_000_000, Pool.DATA_BA: 2_000_000, Pool.BULK_AB: 16_384, Pool.BULK_BA: 16_384})

    def cut(self, size: int, tags: tuple[int, int]) -> dict[Pool, int]:
        """Return the chunks of each pool.

        size: bytes of the block.  tags: what the auth pools AB and BA hold now.  The chunks take at most `size` bytes; what is left over is burned.
        """
        most = int(size * self.auth_share) // (2 * CHUNK_BYTES[Pool.AUTH_AB])
        auth = tuple(min(most, max(0, AUTH_TAGS - have)) for have in tags)
        rest = size - sum(auth) * CHUNK_BYTES[Pool.AUTH_AB]
        bulk = int(rest * self.bulk_share) // (2 * CHUNK_BYTES[Pool.BULK_AB])
        if bulk < self.bulk_from:
            bulk = 0
        data = (rest - 2 * bulk * CHUNK_BYTES[Pool.BULK_AB]) // (2 * CHUNK_BYTES[Pool.DATA_AB])
        return dict(zip(Pool, (*auth, data, data, bulk, bulk), strict=True))


PROVISIONING_SPLIT: dict[Pool, int] = {Pool.AUTH_AB: 65, Pool.AUTH_BA: 65}
"""Block 0: a hash key and 64 pads for each direction."""
PROVISIONING_BYTES = 2080
