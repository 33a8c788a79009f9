"""The polynomial hash by carry-less multiplication; only where `_clmul.available()`."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._carryless import BASE_WORDS, product, sum_of_products
from ._compiled import compiled
from ._packed import Words

GROUP = BASE_WORDS
"""Words that are taken at a time."""


@compiled
def _reduced(low: Any, high: Any) -> Any:
    """Return a product modulo x^64 + x^4 + x^3 + x + 1."""
    # What x^64 stands for has degree 4, so the second fold leaves no more than four bits above, and the third none.
    reduction = np.uint64(0b11011)
    folded, above = product(high, reduction)
    return low ^ folded ^ product(above, reduction)[0]


@compiled
def horner(words: Words, powers: Words) -> int:
    """Return h after Horner's rule over words, a multiple of GROUP; powers: K^(GROUP - 1) .. K^0, then K^GROUP."""
    h: Any = np.uint64(0)
    for start in range(0, words.size, GROUP):
        low, high = sum_of_products(words, start, powers, 0)
        more_low, more_high = product(h, powers[GROUP])
        h = _reduced(low ^ more_low, high ^ more_high)
    return int(h)
