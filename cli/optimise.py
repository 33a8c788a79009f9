"""`heliograph optimise`: the intensity, and the share of X slots, that give a pair the most key."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..core.errors import ConfigError, StorageError
from .keyrate import Bound
from .output import JsonOption, Output, command

if TYPE_CHECKING:
    from ..control.reporting.intensity import Advice, Measured
    from ..postprocess.optimise import Scenario

FORMATS = (".svg", ".png", ".pdf")


def optimise(
    station: Annotated[Path | None, typer.Option(metavar="FILE", help="Station file; numbers given beside it replace what it says.")] = None,
    pair: Annotated[str, typer.Option(help="Which pair of the station, or all.")] = "all",
    loss: Annotated[float | None, typer.Option(help="Loss of each arm (dB), from the user to the beam splitter.")] = None,
    error_x: Annotated[float | None, typer.Option(help="Error rate in X, such as .01.")] = None,
    error_y: Annotated[float | None, typer.Option(help="Error rate in Y.")] = None,
    duration: Annotated[float, typer.Option(help="Seconds of light in one block.")] = 200.0,
    bound: Annotated[Bound, typer.Option(help="Concentration bound.")] = Bound.kato,
    f: Annotated[float, typer.Option("--f", help="Efficiency of error correction, 1 at the Shannon limit; `heliograph distil` prints it.")] = 1.03,
    free_px: Annotated[bool, typer.Option("--free-px", help="Seek the probability of X, too, for patterns drawn at random.")] = False,
    p_x: Annotated[float | None, typer.Option("--p-x", help="Probability of X; by default that of the station's patterns, or 0.9.")] = None,
    intensity: Annotated[float | None, typer.Option(help="Mean photon number in use, to compare with; by default the station's.")] = None,
    efficiency: Annotated[float | None, typer.Option(help="Of both paths from beam splitter to click; by default .701 and .770, or the station's.")] = None,
    dark: Annotated[float | None, typer.Option(help="Dark counts per gate of each detector; by default 1e-7, or the station's.")] = None,
    rep_rate: Annotated[str | None, typer.Option(metavar="FREQUENCY", help="Pulses a second, such as '100 MHz', the default without a station.")] = None,
    epsilon: Annotated[float, typer.Option(help="Failure probability of each of the three steps.")] = 1e-10,
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw rate against intensity and time: .svg, .png or .pdf.")] = None,
    json_output: JsonOption = False,
) -> None:
    """Find the intensity that gives the most key.

    Expected key rates of pairs with a known loss and known error rates: the best mean photon number per pulse, what it gains over the one in use, and how much
    the rate depends on the light one block takes. Nothing is measured and nothing is set.
    """
    with command(json_output) as out:
        from ..control.reporting.intensity import Measured, advice_rows, advise, duration_rows
        from ..core.units import parse
        from ..postprocess.finite_key import Epsilons
        from ..postprocess.parameters import SlotShares

        if plot is not None:
            _check_plot(plot)
        choices: dict[str, Any] = {"duration_s": duration, "bound": bound.value, "f_ec": f, "epsilons": Epsilons(epsilon, epsilon, epsilon)}
        if rep_rate is not None:
            choices["rep_rate_hz"] = parse(rep_rate, "Hz", where="--rep-rate")
        if p_x is not None:
            choices["shares"] = SlotShares.random(p_x)
        scenarios = _scenarios(station, pair, Measured(loss, error_x, error_y, efficiency, dark, intensity), choices)
        found: dict[str, Advice] = {}
        with out.progress("Searching", total=len(scenarios)) as bar:
            for name, scenario in scenarios.items():
                now = scenario.bench.mu[0] if station is not None or intensity is not None else None
                found[name] = advise(scenario, mu_now=now, free_p_x=free_px)
                bar.step()
        out.table(f"Best intensity, {bound.value}, blocks of {duration:g} s", *advice_rows(found))
        out.table("Rate at the best intensity of each duration (kbit/s)", *duration_rows(found))
        for name, advice in found.items():
            _comment(out, name, advice)
        if plot is not None:
            _draw(out, plot, found)
        result = {"bound": bound.value, "duration_s": duration, "f_ec": f, "pairs": {name: advice.as_dict() for name, advice in found.items()}, "plot": plot}
        out.result(result, simulated=True)


def _scenarios(station: Path | None, pair: str, measured: Measured, choices: dict[str, Any]) -> dict[str, Scenario]:
    from ..control.reporting.intensity import measured_scenario, station_scenario
    from ..instruments.station import Station

    if station is None:
        return {pair if pair != "all" else "measured": measured_scenario(measured, **choices)}
    described = Station.load(station)
    if not described.pairs:
        raise ConfigError("the station has no pairs", where=str(station), remedy="Add a table [pairs].")
    names = list(described.pairs) if pair == "all" else [pair]
    return {name: station_scenario(described, name, measured, **choices) for name in names}


def _comment(out: Output, name: str, advice: Advice) -> None:
    """Say where there is no key, or where the search was bounded."""
    if advice.best.length <= 0:
        out.warn(f"{name}: no intensity gives key at this loss, these error rates and this duration")
    elif advice.best.at_edge:
        out.warn(f"{name}: the search ended at its edge, mu {advice.best.mu:.3g}")


def _check_plot(path: Path) -> None:
    if path.suffix.lower() not in FORMATS:
        raise typer.BadParameter(f"{path.name!r} does not end in {', '.join(FORMATS)}", param_hint="--plot")
    if not path.absolute().parent.is_dir():
        raise ConfigError("there is no such folder", where=str(path.parent), remedy="Make it, or name another for --plot.")


def _draw(out: Output, path: Path, found: dict[str, Advice]) -> None:
    from ..control.reporting.intensity import rate_curves
    from ..control.reporting.plots import key_rates, save

    figure = key_rates(rate_curves(found))
    try:
        save(figure, path)
    except OSError as error:
        raise StorageError(f"the figure cannot be written ({error.strerror})", where=str(path), remedy="Choose a folder of yours.") from error
    out.say(f"Drawn: {path}")
