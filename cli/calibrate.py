"""`heliograph calibrate`: what was measured of the bench, what of it is stale, and how to measure it anew."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..core.errors import ParameterError
from .bench import FaultOption, StationOption
from .output import JsonOption, Output, command

if TYPE_CHECKING:
    from ..acquisition.calibration_plans import Plan
    from ..acquisition.calibrations import Calibration, Calibrations, Standing
    from ..control.bench import Bench
    from ..instruments.station import Station

app = typer.Typer(no_args_is_help=True, help="Calibrations: measured once, kept with their date, used by later runs while they are valid.")

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="One of `heliograph calibrate list`, such as im1-bias.")]


@app.command("list")
def list_(station: StationOption, json_output: JsonOption = False) -> None:
    """Show every calibration the station can have: valid, expired, suspect or missing, and how to make it."""
    with command(json_output) as out:
        from ..acquisition.calibration_plans import plans
        from ..acquisition.calibrations import Calibrations
        from ..instruments.station import Station

        place = Station.load(station)
        store, planned = Calibrations.of(place), plans(place)
        standings = _standings(place, store, planned)
        out.table(
            "Calibrations",
            ["name", "finds", "state", "taken", "valid until"],
            [(one.name, planned[one.name].finds if one.name in planned else "", one.state, *_dates(one)) for one in standings],
        )
        stale = [one.name for one in standings if one.state != "valid"]
        for one in standings:
            if one.state in ("expired", "suspect"):
                out.warn(str(one.error))
        if stale:
            out.say(f"Missing or stale: {len(stale)} of {len(standings)}. Next: heliograph calibrate run stale --station {station}")
        out.result({"folder": store.folder, "calibrations": [_told(one, station) for one in standings], "stale": stale}, simulated=place.simulated)


@app.command("run")
def run(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Names of `heliograph calibrate list`; stale for all that are not valid; all.")],
    station: StationOption,
    param: Annotated[list[str] | None, typer.Option("--param", metavar="NAME=VALUE", help="A parameter of the procedure, repeatable.")] = None,
    fault: FaultOption = None,
    json_output: JsonOption = False,
) -> None:
    """Measure, and keep the result for later runs."""
    with command(json_output) as out:
        from ..acquisition.calibrations import Calibrations
        from ..control.bench import open_bench
        from ..instruments.station import Station

        place = Station.load(station)
        store = Calibrations.of(place)
        chosen = _chosen(place, store, names)
        given = _given(param or ())
        for plan in chosen:
            plan.made(given)
        made: list[Calibration] = []
        with out.progress("Calibrating", total=max(len(chosen), 1)) as bar, open_bench(station, faults=tuple(fault or ())) as bench:
            for plan in chosen:
                bar.say(plan.name)
                made.append(_measured(bench, plan, given, store, out))
                bar.step()
        out.table("Found", ["calibration", "quantity", "value", "sigma", "unit"], list(_rows(made)))
        out.result({"calibrations": [_written(one) for one in made]}, simulated=place.simulated)


@app.command("show")
def show(name: NameArgument, station: StationOption, json_output: JsonOption = False) -> None:
    """Show one calibration, and whether runs may use it."""
    with command(json_output) as out:
        from ..acquisition.calibrated import standing
        from ..acquisition.calibrations import Calibrations
        from ..instruments.station import Station

        place = Station.load(station)
        one = standing(place, Calibrations.of(place), name)
        if one.calibration is None and one.error is not None:
            raise one.error
        if one.calibration is not None:
            out.table(f"{name}, {one.state}", ["calibration", "quantity", "value", "sigma", "unit"], list(_rows([one.calibration])))
            out.say(f"Taken {_dates(one)[0]}, valid until {_dates(one)[1]}. Run file: {one.calibration.run}")
        if one.error is not None:
            out.warn(str(one.error))
        out.result(_told(one, station), simulated=place.simulated)


def _measured(bench: Bench, plan: Plan, given: Mapping[str, str], store: Calibrations, out: Output) -> Calibration:
    with (
        out.progress(plan.finds) as bar,
        closing(bench.run(plan.made(given), progress=lambda topic, value: bar.to(value) if topic == "progress" else None)) as run,
    ):
        kept = store.keep(run)
    out.note(f"{plan.name}: kept in {store.path(plan.name)}")
    return kept


def _chosen(station: Station, store: Calibrations, names: Sequence[str]) -> list[Plan]:
    from ..acquisition.calibrated import standing
    from ..acquisition.calibration_plans import plan, plans

    planned = plans(station)
    if list(names) == ["all"]:
        return list(planned.values())
    if list(names) == ["stale"]:
        return [one for name, one in planned.items() if standing(station, store, name).state != "valid"]
    return [plan(station, name) for name in dict.fromkeys(names)]


def _standings(station: Station, store: Calibrations, planned: Mapping[str, Plan]) -> list[Standing]:
    from ..acquisition.calibrated import heeded, standing

    return [standing(station, store, name) for name in dict.fromkeys([*planned, *heeded(station, store)])]


def _dates(one: Standing) -> tuple[str, str]:
    if one.calibration is None:
        return "", ""
    return f"{one.calibration.taken:%Y-%m-%d %H:%M} UTC", f"{one.calibration.until:%Y-%m-%d %H:%M} UTC"


def _rows(records: Iterable[Calibration]) -> Iterable[tuple[str, str, str, str, str]]:
    for one in records:
        for name, found in one.values.items():
            yield one.name, name, f"{found.value:.6g}", f"{found.sigma:.2g}", found.unit


def _told(one: Standing, station: Path) -> dict[str, Any]:
    make = f"heliograph calibrate run {one.name} --station {station}"
    head = {"name": one.name, "state": one.state, "problem": None if one.error is None else one.error.as_dict(), "make": make}
    return head | (_written(one.calibration) if one.calibration is not None else {})


def _written(one: Calibration) -> dict[str, Any]:
    values = {name: {"value": found.value, "sigma": found.sigma, "unit": found.unit} for name, found in one.values.items()}
    dates = {"taken": one.taken.isoformat(), "until": one.until.isoformat(), "valid_days": one.valid_days}
    return {"name": one.name, "element": one.element, "kind": one.kind, "values": values, **dates, "run": one.run, "run_id": one.run_id, "sha256": one.sha256}


def _given(pairs: Sequence[str]) -> dict[str, str]:
    wrong = [text for text in pairs if "=" not in text]
    if wrong:
        raise ParameterError(f"{wrong[0]!r} is no parameter", where="--param", remedy="Write it as --param period_s=0.5.")
    return {name.strip(): value.strip() for name, _, value in (text.partition("=") for text in pairs)}
