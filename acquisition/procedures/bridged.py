"""Procedures written for PyMeasure alone, which know nothing of this bench, as ones of the bench: the runner runs them like its own.

What PyMeasure's worker does for them is done here: it hears what they emit, tells them when to stop, and evaluates their metadata. Rows of results go into the
run file at once, those that come fast a few together.
"""

from __future__ import annotations

import inspect
import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from math import isfinite
from time import monotonic
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pymeasure.experiment import Parameter, Procedure

from ...core import plugins
from ...core.errors import ConfigError, ParameterError
from ..run_writer import RunLayout
from .base import BenchProcedure
from .emitted import Emitted, Rows

if TYPE_CHECKING:
    from ..calibrations import Calibration

GRACE_S = 1.0
"""How long a procedure that is to stop may go on emitting, so that it ends in its own way."""

PERIOD_S = 0.05
"""Shortest time between two writings of rows: a row alone takes as long as a thousand together."""

log = logging.getLogger(__name__)


class Bridged(BenchProcedure):
    """A procedure of PyMeasure, run on the bench; `bridge` makes a class of this kind for each class of procedures.

    kind: what it bridges.  inner: the procedure itself, new where none is given.
    Raises ConfigError for one that cannot be made.
    """

    kind: ClassVar[type[Procedure]]
    inner: Procedure

    def __init__(self, inner: Procedure | None = None, /, **parameters: Any) -> None:
        try:
            self.inner = type(self).kind() if inner is None else inner
        # Whatever a foreign constructor does, this is its fault and has its name.
        except Exception as error:
            where, remedy = f"{type(self).__name__}, {self.foreign}", "Correct that procedure."
            raise ConfigError(f"the procedure cannot be made ({type(error).__name__}: {error})", where=where, remedy=remedy) from error
        super().__init__(**parameters)
        self._emitted = Emitted(type(self).__name__, self.inner.DATA_COLUMNS)
        self._ending: BaseException | None = None
        self._ends_by = 0.0
        self._waiting: list[Rows] = []
        self._written_s = 0.0
        self._writing = threading.Lock()

    # Its parameters are those of the inner one

    def _update_parameters(self) -> None:
        self._parameters = self.inner.parameter_objects()

    def set_parameters(self, parameters: Mapping[str, Any], except_missing: bool = True) -> None:
        """Set parameters. Raises ValueError, NameError."""
        for name, value in parameters.items():
            typed = _as_default(self._parameters.get(name), value)
            try:
                self.inner.set_parameters({name: typed}, except_missing)
            except (ValueError, TypeError, NameError):
                raise
            # A text such as "" makes some kinds of parameter stumble.
            except Exception as error:
                raise ValueError(str(error)) from error

    def parameter_values(self) -> dict[str, Any]:
        """Return the values by name, in the order of their declaration."""
        found = self.inner.parameter_values()
        return {name: found[name] for name in _in_order(type(self).kind, found)}

    def parameter_objects(self) -> dict[str, Parameter]:
        """Return the parameters by name, in the order of their declaration."""
        found = self.inner.parameter_objects()
        return {name: found[name] for name in _in_order(type(self).kind, found)}

    def as_text(self) -> dict[str, str]:
        """Return the parameters that have a value as texts from which the same procedure can be made."""
        return {name: text for name, text in super().as_text().items() if self.parameter_values()[name] is not None}

    def get_estimates(self) -> Any:
        """Return what it says of its duration; one that fails in saying so says nothing."""
        try:
            return self.inner.get_estimates()
        except NotImplementedError:
            raise
        except Exception as error:
            log.exception("%s cannot estimate how long it takes", type(self).__name__)
            raise NotImplementedError from error

    # A run

    @property
    def uses_bench(self) -> bool:
        """Say whether it takes the instruments of the bench: its class declares `instruments` by an annotation, or as None."""
        kind = type(self).kind
        return any("instruments" in inspect.get_annotations(one) for one in kind.__mro__) or getattr(kind, "instruments", "") is None

    def use_calibrations(self) -> tuple[Calibration, ...]:
        """Return the records that the run uses, none where it does not use the bench."""
        return super().use_calibrations() if self.uses_bench else ()

    def check(self) -> None:
        """Raise ParameterError if a parameter has no value."""
        missing = [name for name, value in self.parameter_values().items() if value is None]
        if missing:
            raise ParameterError(f"the parameter {missing[0]!r} has no value", where=type(self).__name__, remedy="Give it one.")

    def run_layout(self) -> RunLayout:
        """Return one table, named after the procedure, with what it emits."""
        self._emitted = Emitted(type(self).__name__, self.inner.DATA_COLUMNS)
        return self._emitted.layout()

    def startup(self) -> None:
        """Start the procedure up."""
        if self.writer is not None:
            self.writer.event("info", "procedure", f"foreign procedure: {self.foreign}; instruments of its own are not in this file")
        inner = self.inner
        if self.uses_bench:
            inner.instruments = self.instruments
        inner.emit, inner.should_stop, inner.is_last = self._said, self._asked, lambda: True
        self._ending = None
        with self._status():
            inner.startup()

    def execute(self) -> None:
        """Execute the procedure. Raises what it raises, and what ended the run where it did not let that through."""
        with self._status():
            if not self._asked():
                self._note_metadata()
                self.inner.execute()
            if self._ending is not None:
                raise self._ending
            if not self.should_stop():
                self._tell("progress", 100.0)

    def shutdown(self) -> None:
        """Shut the procedure down."""
        try:
            self.inner.shutdown()
        finally:
            self._write(at_once=True)
        if self.inner.status == Procedure.RUNNING:
            self.inner.status = Procedure.FINISHED

    @contextmanager
    def _status(self) -> Iterator[None]:
        """Have the procedure's own status say how it stands, as its `shutdown` may want to know."""
        self.inner.status = Procedure.RUNNING
        try:
            yield
        except BaseException as error:
            self.inner.status = Procedure.FAILED if isinstance(error, Exception) else Procedure.ABORTED
            raise
        finally:
            self._write(at_once=True)

    def _note_metadata(self) -> None:
        self.inner.evaluate_metadata()
        told = {name: getattr(self.inner, name) for name in self.inner.metadata_objects()}
        if told and self.writer is not None:
            self.writer.summary["metadata"] = {name: value if isinstance(value, bool | int | float | str) else str(value) for name, value in told.items()}

    # What it says

    def _said(self, topic: str, record: Any) -> None:
        if topic == "results":
            self._keep(self._emitted.row(record))
        elif topic == "batch results":
            self._keep(self._emitted.rows(record))
        elif topic == "progress":
            self._write()
            self._tell(topic, self._percent(record))
        else:
            log.debug("%s emits %s, which nobody hears", type(self).__name__, topic)

    def _keep(self, rows: Rows) -> None:
        if not rows or not next(iter(rows.values())).size:
            return
        with self._writing:
            self._waiting.append(rows)
        self._write()
        self._tell("results", self._emitted.last(rows))

    def _write(self, *, at_once: bool = False) -> None:
        """Write the rows that wait, unless some were written just now."""
        with self._writing:
            if not self._waiting or (monotonic() - self._written_s < PERIOD_S and not at_once):
                return
            waiting, self._waiting, self._written_s = self._waiting, [], monotonic()
            if self.writer is not None:
                self.writer.table(self._emitted.table, {name: np.concatenate([rows[name] for rows in waiting]) for name in waiting[0]})

    def _percent(self, record: Any) -> float:
        with suppress(TypeError, ValueError):
            if isfinite(float(record)):
                return min(100.0, max(0.0, float(record)))
        raise ParameterError(f"progress {record!r} is no share", where=type(self).__name__, remedy="Emit progress from 0 to 100.")

    def _tell(self, topic: str, value: Any) -> None:
        try:
            self.emit(topic, value)
        except KeyboardInterrupt as error:
            self._is_to_end(error)
            if monotonic() >= self._ends_by:
                raise

    def _asked(self) -> bool:
        """Say whether it is to stop; nothing is raised here, so that it ends by itself."""
        self._write()
        try:
            return self.should_stop() or self.inner.status == Procedure.ABORTED
        except KeyboardInterrupt as error:
            self._is_to_end(error)
            return True

    def _is_to_end(self, error: KeyboardInterrupt) -> None:
        if self._ending is None:
            self._ending, self._ends_by = error, monotonic() + GRACE_S


def _as_default(parameter: Parameter | None, value: Any) -> Any:
    """Return a text as a value of the default's kind, for parameters that would take the text as it is."""
    default = getattr(parameter, "default", None)
    if type(parameter) is not Parameter or not isinstance(value, str) or not isinstance(default, bool | int | float):
        return value
    if isinstance(default, bool):
        words = {"true": True, "false": False}
        if value.lower() not in words:
            raise ValueError("not True or False")
        return words[value.lower()]
    return type(default)(value)


def _in_order(kind: type[Procedure], found: Mapping[str, Any]) -> list[str]:
    """Return names in the order in which a class declares them; PyMeasure has them by the alphabet."""
    declared = list(dict.fromkeys(name for one in reversed(kind.__mro__) for name in vars(one)))
    return sorted(found, key=lambda name: declared.index(name) if name in declared else len(declared))


_bridges: dict[tuple[type[Procedure], str, str], type[Bridged]] = {}


def bridge(kind: type[Procedure], name: str, origin: str) -> type[Bridged]:
    """Return the class of the bench for a class of PyMeasure's procedures.  name: by which it is known here.  origin: the package or module it comes from."""
    key = kind, name, origin
    if key not in _bridges:
        told: dict[str, Any] = {"foreign": origin, "__doc__": kind.__doc__, "__module__": kind.__module__}
        told |= {rule: getattr(kind, rule, False) for rule in ("NEEDS_ARMED", "SAFE_AFTER_ABORT")}
        _bridges[key] = type(name, (Bridged,), {"kind": kind, **told})
    return _bridges[key]


def wrapped(procedure: Procedure) -> BenchProcedure:
    """Return a procedure as one of the bench, which it may be already. Raises ParameterError for anything else, ConfigError for columns that cannot be."""
    if isinstance(procedure, BenchProcedure):
        return procedure
    if not isinstance(procedure, Procedure):
        raise ParameterError(f"{type(procedure).__name__} is no procedure", where="run", remedy="Give an instance of a class derived from Procedure.")
    kind = type(procedure)
    name, origin = _installed(kind) or (kind.__name__, f"module {kind.__module__}")
    return bridge(kind, name, origin)(procedure)


def check_elsewhere(procedure: BenchProcedure) -> None:
    """Raise ParameterError for a bridged procedure that another process cannot find, because no installed package offers it."""
    if isinstance(procedure, Bridged) and _installed(type(procedure).kind) is None:
        remedy = "Offer it by an entry point of the group heliograph.procedures, or run it while nobody else owns the bench."
        raise ParameterError("another process owns the bench, and knows only procedures of installed packages", where=type(procedure).__name__, remedy=remedy)


def _installed(kind: type[Procedure]) -> tuple[str, str] | None:
    """Return under which name an installed package offers a class, and that package."""
    top = kind.__module__.partition(".")[0]
    for name, points in plugins.offered(plugins.PROCEDURES).items():
        with suppress(ConfigError):
            if points[0].value.partition(":")[0].partition(".")[0] == top and plugins.load(plugins.PROCEDURES, name) is kind:
                return name, f"package {plugins.package(points[0])}"
    return None
