"""Procedures written for PyMeasure alone, as ones of the bench."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, ClassVar

import pytest
from pymeasure.experiment import BooleanParameter, FloatParameter, Parameter, Procedure, VectorParameter

from heliograph.acquisition.procedures import bridged
from heliograph.acquisition.procedures.bridged import Bridged, bridge, wrapped
from heliograph.acquisition.procedures.count_rates import CountRates
from heliograph.core.errors import ConfigError, ParameterError


class Sweep(Procedure):  # type: ignore[misc]
    """Sweeps."""

    writer = FloatParameter("Writer of the sample", units="V", default=0.5, minimum=0.0, maximum=2.0)
    check = BooleanParameter("Check", default=True)
    steps = Parameter("Steps", default=5)
    flag = Parameter("Flag", default=False)
    field = VectorParameter("Field", default=[0.0, 0.0, 1.0])
    label = Parameter("Label")
    DATA_COLUMNS: ClassVar[list[str]] = ["Step", "Voltage (V)"]

    def execute(self) -> None:
        self.seen = (self.writer, self.check, self.is_last())
        for step in range(self.steps):
            self.emit("results", {"Step": step, "Voltage (V)": self.writer})
        self.emit("own topic", object())
        self.emit("progress", 120)


class Stopped(KeyboardInterrupt):
    """What the runner raises at the next word."""


def made(kind: type[Procedure] = Sweep, **parameters: Any) -> Bridged:
    return bridge(kind, "Sweep", "module tests")(**parameters)


def heard(procedure: Bridged) -> list[tuple[str, Any]]:
    told: list[tuple[str, Any]] = []
    procedure.emit = lambda topic, value: told.append((topic, value))  # type: ignore[method-assign,assignment]
    procedure.run_layout()
    procedure.startup()
    procedure.execute()
    procedure.shutdown()
    return told


def test_parameters_called_like_parts_of_ours_stay_the_procedures_own():
    procedure = made(writer="1.5", check="false", label="x", steps="2")

    told = heard(procedure)

    assert procedure.inner.seen == (1.5, False, True)
    assert told == [("results", {"Step": 0.0, "Voltage (V)": 1.5}), ("results", {"Step": 1.0, "Voltage (V)": 1.5}), ("progress", 100.0), ("progress", 100.0)]
    assert procedure.inner.status == Procedure.FINISHED


def test_parameters_keep_their_kind_and_order_through_texts():
    procedure = made(steps="7", flag="true", label="x", field="[1, 2, 3]")

    again = type(procedure)(**procedure.as_text())

    assert again.parameter_values() == {"writer": 0.5, "check": True, "steps": 7, "flag": True, "field": [1.0, 2.0, 3.0], "label": "x"}
    assert list(again.parameter_values()) == list(again.parameter_objects()) == ["writer", "check", "steps", "flag", "field", "label"]


@pytest.mark.parametrize(
    ("name", "text"), [("writer", "3"), ("writer", "nan"), ("field", ""), ("field", "1,2"), ("steps", "many"), ("flag", "perhaps"), ("lamp", "1")]
)
def test_a_wrong_text_is_refused_by_name(name, text):
    with pytest.raises(ParameterError, match=name):
        made(**{name: text})


def test_a_parameter_without_a_value_is_asked_for():
    with pytest.raises(ParameterError, match="'label' has no value"):
        made().check()
    made(label="x").check()


def test_each_of_its_own_is_bridged_once_and_ours_not_at_all():
    ours = CountRates()

    assert wrapped(ours) is ours
    assert type(wrapped(Sweep())) is type(wrapped(Sweep()))
    assert wrapped(Sweep()).foreign == f"module {__name__}"
    with pytest.raises(ParameterError, match="int is no procedure"):
        wrapped(3)


def test_one_that_cannot_be_made_is_named():
    class Odd(Sweep):
        def __init__(self) -> None:
            raise OSError("there is no source")

    with pytest.raises(ConfigError, match=r"Sweep, module tests: the procedure cannot be made \(OSError: there is no source\)"):
        made(Odd)


@pytest.mark.parametrize(("asks", "said"), [(True, ["last row"]), (False, [1, 2, 3])])
def test_one_that_is_to_stop_may_end_in_its_own_way_but_not_for_ever(monkeypatch, asks, said):
    class Slow(Sweep):
        def execute(self) -> None:
            ended.append(True)
            self.said: list[Any] = []
            while not (asks and self.should_stop()):
                self.emit("progress", 1.0)
                self.said.append(len(self.said) + 1)
            self.emit("progress", 99.0)
            self.said.append("last row")

    def word(*_: Any) -> bool:
        if ended:
            raise Stopped
        return False

    ended: list[bool] = []
    clock = iter(range(100))
    monkeypatch.setattr(bridged, "monotonic", lambda: float(next(clock)))
    monkeypatch.setattr(bridged, "GRACE_S", 4.0)
    procedure = made(Slow)
    procedure.startup()
    procedure.emit = procedure.should_stop = word  # type: ignore[method-assign,assignment]

    with pytest.raises(Stopped):
        procedure.execute()

    assert procedure.inner.said == said
    assert procedure.inner.status == Procedure.ABORTED


class Kept:
    """A run file, as far as a procedure sees it."""

    def __init__(self) -> None:
        self.tables: list[dict[str, Any]] = []
        self.summary: dict[str, Any] = {}

    def event(self, *_: str) -> None:
        return

    def table(self, name: str, columns: dict[str, Any]) -> None:
        assert name == "Sweep"
        self.tables.append({column: list(values) for column, values in columns.items()})


@pytest.mark.parametrize(("period_s", "tables"), [(0.0, 6), (0.05, 3), (1e9, 2)])
@pytest.mark.parametrize("fails", [False, True])
def test_rows_that_come_fast_are_written_together_and_none_is_lost(monkeypatch, period_s, tables, fails):
    class Fast(Sweep):
        def execute(self) -> None:
            for step in range(5):
                self.emit("results", {"Step": step})
            if fails:
                raise OSError("the source is gone")

        def shutdown(self) -> None:
            self.emit("results", {"Step": 5})

    monkeypatch.setattr(bridged, "PERIOD_S", period_s)
    monkeypatch.setattr(bridged, "monotonic", lambda: 100.0)
    procedure, kept = made(Fast), Kept()
    procedure.writer = kept  # type: ignore[assignment]

    procedure.startup()
    with suppress(OSError):
        procedure.execute()
    procedure.shutdown()

    assert [step for table in kept.tables for step in table["Step"]] == [0, 1, 2, 3, 4, 5]
    assert len(kept.tables) == tables


def test_an_estimate_that_fails_is_none():
    class Wrong(Sweep):
        def get_estimates(self) -> float:
            return float(1 / 0)

    with pytest.raises(NotImplementedError):
        made(Wrong).get_estimates()


@pytest.mark.parametrize("progress", ["half", None, float("nan")])
def test_progress_that_is_no_share_is_refused(progress):
    class Wrong(Sweep):
        def execute(self) -> None:
            self.emit("progress", progress)

    with pytest.raises(ParameterError, match="is no share"):
        heard(made(Wrong))


def test_instruments_go_only_to_one_that_declares_them():
    class Using(Sweep):
        instruments: Any

    class Taking(Sweep):
        instruments = None

    class Own(Sweep):
        instruments = Parameter("Instruments", default="mine")

    assert [made(kind).uses_bench for kind in (Sweep, Using, Taking, Own)] == [False, True, True, False]
