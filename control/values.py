"""What travels between an owner and its clients: plain data, arrays, small dataclasses and errors, as JSON beside raw arrays. Never code.

A class is sent by its name and found again among the modules that the receiver has loaded itself; only dataclasses and enumerations are. An error is one of
`core.errors`, rebuilt by its class's name, with what it says, where, and what to do.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.entropy import OsRandom, SimRandom
from ..core.errors import FrameError, HeliographError, kind_named

Arrays = list[NDArray[Any]]
_PLAIN = (bool, int, float, str, type(None))
_OTHERS = {kind.__name__: kind for kind in (ValueError, TypeError, KeyError, IndexError, AttributeError, NotImplementedError, KeyboardInterrupt)}


def packed(value: Any, arrays: Arrays) -> Any:
    """Return a value in JSON's own types; arrays are appended to `arrays` and referred to by their place.

    Raises FrameError for what does not travel.
    """
    if isinstance(value, Enum):
        return {"enum": _name(type(value)), "value": value.value}
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        arrays.append(value)
        return {"array": len(arrays) - 1}
    if isinstance(value, list | tuple | set | frozenset):
        return {type(value).__name__: [packed(item, arrays) for item in value]}
    if isinstance(value, Mapping):
        return {"dict": [[packed(key, arrays), packed(item, arrays)] for key, item in value.items()]}
    return _packed_object(value, arrays)


def _packed_object(value: Any, arrays: Arrays) -> Any:
    if isinstance(value, Path):
        return {"path": str(value)}
    if isinstance(value, OsRandom):
        return {"random": None}
    if isinstance(value, SimRandom):
        return {"random": value.state}
    if isinstance(value, BaseException):
        return {"error": told_error(value)}
    if is_dataclass(value) and not isinstance(value, type):
        inside = {field.name: packed(getattr(value, field.name), arrays) for field in fields(value) if field.init}
        return {"object": _name(type(value)), "fields": inside}
    raise FrameError(f"a {type(value).__name__} cannot be sent to another process", where=repr(value)[:80])


def unpacked(told: Any, arrays: Arrays) -> Any:
    """Return the value that was packed. Raises FrameError for anything malformed, and for classes that this process does not know."""
    if isinstance(told, _PLAIN):
        return told
    try:
        return _unpacked(told, arrays)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise FrameError(f"a value is malformed ({type(error).__name__}: {error})", where=repr(told)[:80]) from error


def _unpacked(told: dict[str, Any], arrays: Arrays) -> Any:
    (kind, inside), *_ = told.items()
    match kind:
        case "array":
            return arrays[inside]
        case "list" | "tuple" | "set" | "frozenset":
            made: Any = {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset}[kind]
            return made(unpacked(item, arrays) for item in inside)
        case "dict":
            return {unpacked(key, arrays): unpacked(item, arrays) for key, item in inside}
        case "path":
            return Path(inside)
        case "random":
            return OsRandom() if inside is None else SimRandom.at(inside)
        case "error":
            return rebuilt_error(inside)
        case "enum":
            return _known(inside, Enum)(told["value"])
        case "object":
            return _known(inside, None)(**{name: unpacked(item, arrays) for name, item in told["fields"].items()})
    raise ValueError(f"unknown kind {kind!r}")


def _name(kind: type) -> str:
    return f"{kind.__module__}:{kind.__qualname__}"


def _known(name: str, base: type | None) -> Any:
    """Return a class by its name, from a module that is loaded already: nothing is imported because a message says so."""
    module, _, path = name.partition(":")
    found: Any = sys.modules.get(module)
    for step in path.split("."):
        found = getattr(found, step, None)
    if not isinstance(found, type) or not (issubclass(found, base) if base is not None else is_dataclass(found)):
        raise TypeError(f"no class {name!r} is known here")
    return found


def told_error(error: BaseException) -> dict[str, Any]:
    """Return what is sent of an error: its class's name, its three sentences, its own plain attributes, and its notes."""
    notes = list(getattr(error, "__notes__", ()))
    if not isinstance(error, HeliographError):
        return {"type": type(error).__name__, "message": str(error.args[0]) if error.args else str(error), "notes": notes}
    own = {name: value for name, value in vars(error).items() if isinstance(value, _PLAIN)}
    return {"type": type(error).__name__, "own": own, "notes": notes}


def rebuilt_error(told: Mapping[str, Any]) -> BaseException:
    """Return the error that was told, of the same class where it is one of ours or of Python's own, with the same attributes."""
    name, own = str(told["type"]), dict(told.get("own", {}))
    if "own" in told:
        kind = kind_named(name)
        error: BaseException = kind.__new__(kind)
        HeliographError.__init__(error, str(own.pop("message", "")), where=str(own.pop("where", "")), remedy=str(own.pop("remedy", "")))  # type: ignore[arg-type]
        for attribute, value in own.items():
            setattr(error, attribute, value)
    elif name in _OTHERS:
        error = _OTHERS[name](told.get("message", ""))
    else:
        message = f"{name}: {told.get('message', '')}"
        error = HeliographError(message, where="the owner of the bench", remedy="This is a fault of Heliograph or of a procedure: see what the owner printed.")
    for note in told.get("notes", ()):
        error.add_note(str(note))
    return error
