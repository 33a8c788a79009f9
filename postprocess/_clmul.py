"""Whether carry-less multiplication is to be had, asked without needing a compiler."""

from __future__ import annotations

from functools import cache


@cache
def available() -> bool:
    """Return whether this process has a compiler, and a processor with an instruction for carry-less multiplication that the compiler may use."""
    try:
        from ._carryless import lanes
    except ImportError:
        return False
    return bool(lanes())
