"""What can be put into the queue, as forms: from a procedure's declared parameters to what is asked, and back from texts to the procedure."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from inspect import cleandoc
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...core.errors import ConfigError, ParameterError
from ..topics import ParameterForm, ProcedureForm
from .estimates import declared_s

if TYPE_CHECKING:
    from ...acquisition.procedures.base import BenchProcedure, CheckedProcedure
    from ...instruments.station import Station

DISTIL = ParameterForm("distil", "Make key of it at once", "boolean", "", "True")
KEEP = ParameterForm("keep", "Keep as calibration", "boolean", "", "False")
_KEY_EXCHANGE = "KeyExchange"
_UNLIMITED = 1e9
"""PyMeasure's own limit of a parameter that has none."""

log = logging.getLogger(__name__)


def forms(others: Mapping[str, type[CheckedProcedure]], station: Station) -> tuple[ProcedureForm, ...]:
    """Return the forms of all procedures of the bench, and of tasks beside it.

    others: those tasks, by name.  station: gives the choices of what is named in it.  What another package offers and cannot be used has none.
    """
    return (*_of_bench(_choices(station)), *(_form(name, kind(), "worker", {}) for name, kind in others.items()))


def _of_bench(choices: Mapping[str, tuple[str, ...]]) -> Iterator[ProcedureForm]:
    from ...acquisition.procedures import table
    from ...acquisition.procedures.bridged import Bridged

    for name in dict.fromkeys((*table.names(), _KEY_EXCHANGE)):
        try:
            made = _class(name)()
        except ConfigError as error:
            log.warning("%s", error)
            continue
        # A parameter called `user` of a procedure that does not know the bench is none of the station's users.
        yield _form(name, made, "bench", {} if isinstance(made, Bridged) else choices)


def _choices(station: Station) -> dict[str, tuple[str, ...]]:
    """Return what of a station the parameters of these names choose from."""
    optics, users = station.optics, tuple(station.optics.users)
    of_role = {
        role: tuple(name for name, one in station.instruments.items() if one.wire.role == role)
        for role in ("Attenuator", "PolarisationController", "PowerMeter")
    }
    carvers = tuple(name for name in optics.line if name in optics.modulators)
    found = {"pair": tuple(station.pairs), "user": users, "partner": users, "modulator": carvers, "attenuator": of_role["Attenuator"]}
    return {**found, "controller": of_role["PolarisationController"], "meter": ("", *of_role["PowerMeter"])}


def _form(name: str, procedure: CheckedProcedure, lane: Any, choices: Mapping[str, tuple[str, ...]]) -> ProcedureForm:
    # What follows is for those who program with it.
    text = cleandoc(type(procedure).__doc__ or name).partition("\n\n")[0].replace("`", "")
    from ...acquisition.procedures.bridged import Bridged

    # A bridged one gives them in order by itself.
    declared = [] if isinstance(procedure, Bridged) else [key for kind in reversed(type(procedure).__mro__) for key in vars(kind)]
    objects = sorted(procedure.parameter_objects().items(), key=lambda item: declared.index(item[0]) if item[0] in declared else len(declared))
    asked = tuple(_asked(key, one, choices.get(key, ())) for key, one in objects)
    title, rule = text.partition("\n")[0].rstrip("."), getattr(procedure, "NEEDS_ARMED", False)
    fields = (*asked, *_extra(procedure))
    needed_if = rule if isinstance(rule, str) else ""
    return ProcedureForm(name, title, text, lane, fields, declared_s(procedure), needs_armed=bool(rule), needs_armed_if=needed_if, foreign=procedure.foreign)


def _extra(procedure: CheckedProcedure) -> tuple[ParameterForm, ...]:
    if type(procedure).__name__ == _KEY_EXCHANGE:
        return (DISTIL,)
    return (KEEP,) if getattr(procedure, "KIND", "") else ()


def _asked(name: str, parameter: Any, there: tuple[str, ...]) -> ParameterForm:
    from pymeasure.experiment import BooleanParameter, FloatParameter, IntegerParameter

    kinds: dict[type, Any] = {FloatParameter: "float", IntegerParameter: "integer", BooleanParameter: "boolean"}
    choices = tuple(str(one) for one in getattr(parameter, "choices", None) or ()) or there
    kind: Any = next((word for one, word in kinds.items() if isinstance(parameter, one)), "choice" if choices else "text")
    low, high = _limit(getattr(parameter, "minimum", None)), _limit(getattr(parameter, "maximum", None))
    default = "" if parameter.default is None else repr(parameter.default) if isinstance(parameter.default, float) else str(parameter.default)
    if choices and default not in choices:
        default = choices[0]
    labels = tuple(one or "none" for one in choices) if "" in choices else ()
    return ParameterForm(name, parameter.name, kind, getattr(parameter, "units", None) or "", default, low, high, choices, labels)


def _limit(value: Any) -> float | None:
    return None if value is None or abs(value) >= _UNLIMITED else float(value)


def _class(name: str) -> type[BenchProcedure]:
    if name == _KEY_EXCHANGE:
        from ...postprocess.procedures.key_exchange import KeyExchange

        return KeyExchange
    from ...acquisition.procedures import table

    return table.procedure(name)


def made(name: str, texts: Mapping[str, str], store: Path) -> tuple[BenchProcedure, dict[str, str]]:
    """Return a procedure of the bench with its parameters given as texts, and those that are for the queue. Raises ParameterError.

    store: folder of the key stores, for a key exchange.
    """
    kind = _class(name)
    extra = {one.name: _boolean(name, one, texts) for one in _extra(kind())}
    own = {key: text for key, text in texts.items() if key not in extra}
    make: Callable[..., BenchProcedure] = kind
    return make(**own, **({"store": store} if name == _KEY_EXCHANGE else {})), extra


def _boolean(name: str, form: ParameterForm, texts: Mapping[str, str]) -> str:
    text = str(texts.get(form.name, form.default)).capitalize()
    if text not in ("True", "False"):
        raise ParameterError(f"{text!r} is not True or False", where=f"{name}, {form.name}", remedy="Give a value of the right kind.")
    return text


def carried(name: str, parameters: Mapping[str, Any], also: Mapping[str, Any]) -> BenchProcedure:
    """Return the procedure that another process made. Raises ParameterError for one that is not known here, or for a parameter out of range.

    also: what its constructor takes besides the parameters.
    """
    make: Callable[..., BenchProcedure] = _class(name)
    return make(**parameters, **also)
