"""What nodes and workers may publish: the payload of each topic, every field as it is declared, so that nobody who shows it stumbles over it."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from ...core.errors import ParameterError
from . import KeyProgress, LearningProgress, QpuJobs, StoreStates

PAYLOADS: dict[str, type] = {"key": KeyProgress, "stores": StoreStates, "learning": LearningProgress, "qpu": QpuJobs}
"""The class of a payload, by topic."""
_NUMBERS = "biuf"
_DECLARED: dict[type, Mapping[str, Any]] = {}


def checked(topic: object, told: Any) -> Any:
    """Return a payload that may be published. Raises ParameterError for another topic or class, and for a field that is not as declared."""
    kind = PAYLOADS.get(topic) if isinstance(topic, str) else None
    if kind is None or type(told) is not kind:
        remedy = f"Workers publish {', '.join(f'{name} as {one.__name__}' for name, one in PAYLOADS.items())}."
        raise ParameterError(f"{type(told).__name__} cannot be published as {topic!r}", where="link", remedy=remedy)
    _check_fields(told, str(topic))
    return told


def _declared(kind: type) -> Mapping[str, Any]:
    if kind not in _DECLARED:
        _DECLARED[kind] = get_type_hints(kind, localns={"np": np, "NDArray": NDArray})
    return _DECLARED[kind]


def _check_fields(told: Any, where: str) -> None:
    declared = _declared(type(told))
    for field in fields(told):
        _check(getattr(told, field.name), declared[field.name], f"{where}.{field.name}")


def _check(value: Any, kind: Any, where: str) -> None:
    if not _is_as_declared(value, kind, where):
        raise ParameterError(f"{type(value).__name__} stands where something else belongs", where=where, remedy="Use one version of Heliograph for both.")


def _is_as_declared(value: Any, kind: Any, where: str) -> bool:
    match get_origin(kind):
        case None if is_dataclass(kind):
            if type(value) is kind:
                _check_fields(value, where)
            return type(value) is kind
        case None:
            return _is_plain(value, kind)
        case np.ndarray:
            return isinstance(value, np.ndarray) and value.ndim == 1 and value.dtype.kind in _NUMBERS
        case origin if origin is Literal:
            return isinstance(value, str) and value in get_args(kind)
        case origin if origin in (Union, types.UnionType):
            return _is_any(value, get_args(kind), where)
        case origin:
            return isinstance(value, origin) and _holds(value, get_args(kind), where)


def _holds(value: Any, inside: tuple[Any, ...], where: str) -> bool:
    """Look at every item of a tuple of one kind, or of a mapping."""
    for key, one in value.items() if isinstance(value, dict) else enumerate(value):
        if isinstance(value, dict):
            _check(key, inside[0], where)
        _check(one, inside[1 if isinstance(value, dict) else 0], f"{where}[{key!r}]")
    return True


def _is_any(value: Any, kinds: tuple[Any, ...], where: str) -> bool:
    for kind in kinds:
        try:
            _check(value, kind, where)
        except ParameterError:
            continue
        return True
    return False


def _is_plain(value: Any, kind: Any) -> bool:
    if kind in (int, float):
        return isinstance(value, int if kind is int else int | float) and not isinstance(value, bool)
    return isinstance(value, kind)
