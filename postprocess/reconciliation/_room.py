"""Large arrays of which little is ever touched."""

from __future__ import annotations

from math import prod
from mmap import mmap
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Number = TypeVar("Number", np.uint8, np.int32, np.uint64)


def room(shape: tuple[int, ...], kind: type[Number]) -> NDArray[Number]:
    """Return zeros whose small pages take memory when they are first touched.

    NumPy asks the system for huge pages instead: what is touched here and there then takes megabytes each time, and the time to clear them.
    """
    return np.frombuffer(mmap(-1, prod(shape) * np.dtype(kind).itemsize), kind).reshape(shape)
