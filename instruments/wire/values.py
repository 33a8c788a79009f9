"""The one place that says which replies are numbers."""

from __future__ import annotations

from contextlib import suppress
from typing import SupportsFloat

from ...core.errors import BadReply

OVERFLOW = 9.9e37
"""From here on SCPI devices mean `not a number` or `out of range`."""


def finite(value: object, what: str) -> float:
    """Return a reply, as text or parsed, as a float; raises BadReply for other text, lists, switches, NaN, infinity and overflow marks."""
    found = None
    if isinstance(value, str | SupportsFloat) and not isinstance(value, bool):
        with suppress(ValueError):
            found = float(value)
    if found is None or not abs(found) < OVERFLOW:
        raise BadReply(f"the {what} came as {value!r}"[:100], remedy="Check the device and its cable.")
    return found
