"""The shares of a block."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from heliograph.postprocess.keystore.schema import CHUNK_BYTES, Pool
from heliograph.postprocess.keystore.split import SplitPolicy


@given(st.integers(0, 10**7), st.integers(0, 5000), st.integers(0, 5000))
def test_directions_are_equal_and_authentication_takes_a_tenth_at_most(size, ab, ba):
    counts = SplitPolicy().cut(size, (ab, ba))
    used = {pool: n * CHUNK_BYTES[pool] for pool, n in counts.items()}

    assert sum(used.values()) <= size
    assert size - sum(used.values()) < 2 * 32 + 1
    assert used[Pool.AUTH_AB] + used[Pool.AUTH_BA] <= size / 10
    assert counts[Pool.DATA_AB] == counts[Pool.DATA_BA]
    assert counts[Pool.BULK_AB] == counts[Pool.BULK_BA]
    assert counts[Pool.AUTH_AB] == 0 or counts[Pool.AUTH_AB] + ab <= 4096


def test_the_blocks_of_a_demonstration():
    large, small = SplitPolicy().cut(1_180_000 // 8, (64, 64)), SplitPolicy().cut(180_000 // 8, (64, 64))

    assert (large[Pool.AUTH_AB], large[Pool.DATA_AB], large[Pool.BULK_AB]) == (460, 1050, 8)
    assert (small[Pool.AUTH_AB], small[Pool.DATA_AB], small[Pool.BULK_AB]) == (70, 316, 0)
