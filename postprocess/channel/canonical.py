"""Canonical JSON: one text for one value, so that headers and audit records can be hashed and compared.

UTF-8, keys sorted, no blanks, no floats (integers, or `float.hex()` strings), |int| < 2^53, depth at most 8, no key twice.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

from ...core.errors import FrameError

MAX_INTEGER = 2**53
MAX_DEPTH = 8


def encode(value: dict[str, Any]) -> bytes:
    """Return the canonical text of an object of dicts, lists, strings, integers, booleans and None. Raises FrameError for anything else."""
    _check(value, 1)
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
    except ValueError as error:  # a lone surrogate
        raise FrameError("the text is not Unicode", where="header") from error


def decode(text: bytes) -> dict[str, Any]:
    """Return the object of a canonical text. Raises FrameError unless encoding the result gives exactly the same bytes."""
    try:
        value = json.loads(text.decode(), parse_float=_refuse, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise FrameError("not JSON in UTF-8", where="header") from error
    if not isinstance(value, dict):
        raise FrameError("not a JSON object", where="header")
    if encode(value) != text:
        raise FrameError("the JSON is not canonical", where="header")
    return value


def _refuse(token: str) -> NoReturn:
    raise FrameError(f"{token} is not an integer", where="header", remedy="Send reals as float.hex() strings.")


def _check(value: object, depth: int) -> None:
    if value is None or isinstance(value, bool | str):
        return
    if isinstance(value, int):
        if abs(value) >= MAX_INTEGER:
            raise FrameError("an integer does not fit into 53 bits", where="header", remedy="Send it as a hex string.")
        return
    if not isinstance(value, dict | list) or depth > MAX_DEPTH:
        raise FrameError(f"{type(value).__name__} at depth {depth} has no canonical form", where="header")
    if isinstance(value, dict) and not all(isinstance(key, str) for key in value):
        raise FrameError("a key is not a string", where="header")
    for item in value.values() if isinstance(value, dict) else value:
        _check(item, depth + 1)
