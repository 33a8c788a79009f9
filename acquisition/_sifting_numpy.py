"""Plain form of `sifting`, to be read beside the text it implements and to run where no compiler is installed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Packed = NDArray[np.uint8]


def look_up(slot: NDArray[np.int64], detector: NDArray[np.uint8], symbols: NDArray[np.uint8], offset: int, flip: bool) -> tuple[Packed, Packed]:
    """Return packed bases and bits at the slots of a pattern that repeats and whose element 0 passes in slot `offset`.

    symbols: uint8, one an element, basis + 2 bit.  flip: invert the bit where the detector is 1.
    """
    found = symbols[(slot - offset) % symbols.size]
    return _pack(found & np.uint8(1)), _pack(found >> np.uint8(1) ^ detector if flip else found >> np.uint8(1))


def look_up_packed(slot: NDArray[np.int64], detector: NDArray[np.uint8], basis: Packed, bit: Packed, offset: int, flip: bool) -> tuple[Packed, Packed]:
    """Return packed bases and bits at the slots of a pattern that does not repeat, given as packed planes whose element 0 passes in slot `offset`."""
    byte, place = np.divmod(slot - offset, 8)
    found_basis, found_bit = (plane[byte] >> place.astype(np.uint8) & np.uint8(1) for plane in (basis, bit))
    return _pack(found_basis), _pack(found_bit ^ detector if flip else found_bit)


def keep_equal(basis: Packed, bit: Packed, other_basis: Packed, n: int) -> tuple[Packed, int, Packed, int]:
    """Return the packed bits at equal bases and their number, first those in X, then those in Y."""
    in_x, in_y, value = (np.unpackbits(plane, count=n, bitorder="little") for plane in (~(basis | other_basis), basis & other_basis, bit))
    x, y = value[in_x.view(bool)], value[in_y.view(bool)]
    return _pack(x), x.size, _pack(y), y.size


def _pack(bits: NDArray[np.uint8]) -> Packed:
    return np.packbits(bits, bitorder="little")
