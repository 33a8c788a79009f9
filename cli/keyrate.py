"""`heliograph keyrate`: how much key a block with these counts is worth."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from enum import StrEnum
from math import inf, pi
from typing import Annotated

import typer

from ..core.errors import ParameterError
from ..core.statement import Provenance, SecurityStatement
from .output import JsonOption, command


class Bound(StrEnum):
    """The concentration inequality."""

    azuma = "azuma"
    kato = "kato"


def whole(text: str) -> int:
    """Return a count written as 20000000000, 2e10 or 20_000_000_000."""
    try:
        number = Decimal(text)
    except InvalidOperation as error:
        raise typer.BadParameter(f"{text!r} is not a number") from error
    if not number.is_finite() or number != number.to_integral_value() or abs(number) > Decimal("1e18"):
        raise typer.BadParameter(f"{text!r} is not a whole number up to 1e18")
    return int(number)


def _count(name: str, text: str) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(name, parser=whole, metavar="COUNT", help=text)
    return option


def keyrate(
    pulses: Annotated[int, _count("--pulses", "Slots in which light was sent.")],
    duration: Annotated[float, typer.Option(help="Seconds the block took.")],
    intensity: Annotated[float, typer.Option(help="Mean photon number per pulse at each user's exit.")],
    events: Annotated[int, _count("--events", "Slots in which exactly one detector clicked.")],
    x_events: Annotated[int, _count("--x-events", "Events with both users in X.")],
    x_errors: Annotated[int, _count("--x-errors", "Wrong bits among them.")],
    y_events: Annotated[int, _count("--y-events", "Events with both users in Y.")],
    y_errors: Annotated[int, _count("--y-errors", "Wrong bits among them.")],
    leak: Annotated[int, _count("--leak", "Bits disclosed by error correction.")],
    bound: Annotated[Bound, typer.Option(help="Concentration bound; kato is optimised at these very counts, which proves nothing.")] = Bound.azuma,
    epsilon: Annotated[float, typer.Option(help="Failure probability of each of the three steps.")] = 1e-10,
    verify_bits: Annotated[int, typer.Option(help="Bits of the verification hash, taken from the key.")] = 0,
    json_output: JsonOption = False,
) -> None:
    """Compute the key that a block is worth.

    Length and rate of the secret key of a block of the four-phase protocol, from its counts.
    """
    with command(json_output) as out:
        from ..postprocess.finite_key import BlockCounts, Epsilons, binary_entropy, kato_parameters, key_length

        _require(0 < duration < inf, "--duration", "must be a number of seconds above 0")
        _require(0 < intensity < pi, "--intensity", "must lie between 0 and pi photons")
        _require(0 < epsilon < 1, "--epsilon", "must lie between 0 and 1")
        _require(0 <= x_errors <= x_events, "--x-errors", "must lie between 0 and --x-events")
        counts = BlockCounts(pulses, events, x_events, y_events, y_errors)
        epsilons = Epsilons(epsilon, epsilon, epsilon)
        mu = (intensity, intensity)
        kato = kato_parameters(counts, mu, epsilons, regression_only=True) if bound is Bound.kato else None
        length = key_length(counts, mu, leak, bound=bound.value, epsilons=epsilons, verify_bits=verify_bits, kato=kato)
        e_x = x_errors / x_events if x_events else float("nan")
        shannon = x_events * binary_entropy(e_x) if x_events else 0.0
        found = {
            "key_bits": length.bits,
            "key_rate_bps": length.bits / duration,
            "delta": length.delta,
            "e_x": e_x,
            "e_y": length.e_y,
            "phase_error": length.phase_error,
            "f_ec": leak / shannon if shannon else float("nan"),
            "bound": bound.value,
            "secure": length.bits > 0,
            "reason": length.reason,
        }
        if bound is Bound.kato:
            found["regression_only"] = True
            out.warn("kato's parameters were fitted to these very counts: good for comparing numbers, not a proof")
        out.table("Key of one block", ["quantity", "value"], [(name, value) for name, value in found.items() if value != ""])
        out.result(found, simulated=True, security=_statement(length.epsilon, leak, bound))


def _require(holds: bool, where: str, message: str) -> None:
    if not holds:
        raise ParameterError(message, where=where, remedy="Check the number.")


def _statement(epsilon: float, leak: int, bound: Bound) -> SecurityStatement:
    return SecurityStatement(
        ("length up to which a key of this block is secret and equal at both ends",),
        (
            "the counts are those of one block and were fixed before anything was disclosed",
            "both users' pulses have the stated intensity and ideal four-phase states, chosen at random with unbiased bits",
            "the leak counts every bit that error correction disclosed",
            *(("kato's parameters were fixed beforehand; here they were fitted to the counts, so the bound does not hold",) if bound is Bound.kato else ()),
        ),
        epsilon,
        leak,
        Provenance(True, ("the counts were typed in; nothing was measured",)),
    )
