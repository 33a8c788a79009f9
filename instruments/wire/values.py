"""The one place that says which replies are numbers."""

from __future__ import annotations

from contextlib import suppress
from typing import SupportsFloat

from ...core.errors import BadReply, ValueOutOfRange

OVERFLOW = 9.9e37
"""From here on SCPI devices mean `not a number` or `out of range`."""


def finite(value: object, what: str) -> float:
    """Return a reply, as text or parsed, as a float.

    Raises BadReply for other text, lists and switches, ValueOutOfRange for NaN, infinity and overflow marks.
    """
    found = None
    if isinstance(value, str | SupportsFloat) and not isinstance(value, bool):
        with suppress(ValueError):
            found = float(value)
    if found is None or not abs(found) < OVERFLOW:
        kind = BadReply if found is None else ValueOutOfRange
        raise kind(f"the {what} came as {value!r}"[:100], remedy="Check the device and its cable.")
    return found
