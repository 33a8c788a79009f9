"""The envelope of correction messages, and what both parties keep of a block.

Little-endian: "CR" | u8 version = 1 | u8 0 request, 1 reply | u32 block | u32 round | u16 items, then the items. A request item is u32 frame | u8 kind |
u8 pass | u32 count | payload, with the kinds PASS 0, ROOTS 1 (LEB128 level, LEB128 index of every leaf), STEP 2 (packed diff bits of the running searches),
DONE 3; a reply item is u32 frame | u32 count | packed parities, one for every request item in its order (DONE: count 0).
"""

from __future__ import annotations

import struct
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...core.errors import ReconciliationError
from .permutation import permutation
from .schedule import FIRST_EXPONENTS, CascadeParameters, FrameLayout, block_exponents

REQUEST: Literal[0] = 0
REPLY: Literal[1] = 1
PASS, ROOTS, STEP, DONE, IDLE, FAILED = range(6)
"""Kinds of request item, then what a place in flight does that asks nothing."""
ITEM_BYTES, REPLY_ITEM_BYTES = 10, 8
_HEADER = struct.Struct("<2sBBIIH")
HEADER_BYTES = _HEADER.size
_MAGIC, _VERSION = b"CR", 1
_LARGEST = 64 << 20


def header(kind: int, block: int, number: int, items: int) -> bytes:
    """Return the header of a message; number: of the round."""
    return _HEADER.pack(_MAGIC, _VERSION, kind, block, number, items)


def opened(message: bytes, kind: int, block: int) -> tuple[int, int]:
    """Return round and number of items of a message of this kind and block, or raise ReconciliationError."""
    if not HEADER_BYTES <= len(message) <= _LARGEST:
        raise refused(f"{len(message)} bytes are no message")
    magic, version, found, its_block, number, items = _HEADER.unpack_from(message)
    if (magic, version, found) != (_MAGIC, _VERSION, kind):
        raise refused("this is no correction message of the kind expected here")
    if its_block != block:
        raise refused(f"the message belongs to block {its_block}, not {block}")
    return number, items


def refused(what: str) -> ReconciliationError:
    """Return the error for a message that does not fit; nothing was changed by it."""
    return ReconciliationError(what, where="error correction", remedy="Nothing was changed; send the right message again.")


class Shapes(NamedTuple):
    """Sizes and tables of full frames (0) and of the last, shorter one (1).

    full: number of full frames.  sizes: int64 (2,), bits a frame.  log_k: int64 (first block sizes, 2, passes), log2 of the block sizes.
    tables: int32 (2, passes, 5, W), those of `Permutation`; pass 0 unused.
    """

    full: int
    sizes: NDArray[np.int64]
    log_k: NDArray[np.int64]
    tables: NDArray[np.int32]

    @classmethod
    def of(cls, layout: FrameLayout, params: CascadeParameters) -> Shapes:
        """Return the shapes of a block; where all frames are full the second one repeats the first."""
        sizes = (params.frame_bits, layout.tail_bits or params.frame_bits)
        log_k = np.array([[block_exponents(first, n) for n in sizes] for first in FIRST_EXPONENTS], np.int64)
        tables = np.zeros((2, log_k.shape[2], 5, params.frame_bits // 64), np.int32)
        for index in range(1, log_k.shape[2]):
            _fill(tables[0, index], params.seed, index, sizes[0])
            tables[1, index] = tables[0, index]
            if sizes[1] != sizes[0]:
                _fill(tables[1, index], params.seed, index, sizes[1])
        return cls(layout.full, np.array(sizes, np.int64), log_k, tables)


def _fill(table: NDArray[np.int32], seed: bytes, index: int, n: int) -> None:
    made = permutation(seed, index, n)
    for row, column in enumerate((made.sigma, made.sigma_inverse, made.tau, made.tau_inverse, made.rot)):
        table[row, : n // 64] = column
