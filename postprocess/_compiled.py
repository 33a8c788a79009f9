"""How functions are compiled here, with the types that the compiler's decorators hide. Only modules that need the compiler import this one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

import numba
from numba.extending import intrinsic as _intrinsic

P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Compile at the first call and keep the machine code beside the module."""
    # The cache looks at the file of the function alone: whoever changes what a function calls, or a constant it uses, must touch its file, too.
    return cast(Callable[P, R], numba.njit(cache=True, nogil=True)(function))


def intrinsic(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make a function that compiled code can call from one that writes its instructions."""
    return cast(Callable[..., Any], _intrinsic(function))
