"""Every kind of fault: where it sits, how much of it is usual, and what it does."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Literal

from ..core.errors import ConfigError
from ..core.units import Dimension

Layer = Literal["reply", "device", "world"]
Target = Literal["", "instrument", "user", "detector"]


@dataclass(frozen=True, slots=True)
class Kind:
    """layer: where it sits.  target: what it falls on.  what: in words.  unit: of the amount.  amount: the usual one, from least to most."""

    layer: Layer
    target: Target
    what: str
    unit: Dimension | None = None
    amount: float = 0.0
    least: float = -inf
    most: float = inf


def _reply(what: str) -> Kind:
    return Kind("reply", "instrument", what)


KINDS: dict[str, Kind] = {
    "timeout": _reply("the reply never comes"),
    "stale": _reply("the reply comes with the next one, or `delay` late"),
    "partial": _reply("the second half of the reply is missing"),
    "trickle": _reply("the reply comes byte by byte"),
    "terminator": _reply("the reply does not end as it should"),
    "garbage": _reply("meaningless bytes come instead"),
    "crc": _reply("one bit of the reply is wrong, and so is its check sum"),
    "glued": _reply("the reply comes twice at once"),
    "nan": _reply("every number in the reply is NaN"),
    "overflow": _reply("every number in the reply is 9.9E37"),
    "text": _reply("every number in the reply is a word"),
    "empty": _reply("the reply has its end and nothing before it"),
    "nack": _reply("the device refuses, in its own words"),
    "busy": _reply("the device says that it is busy"),
    "error-queue": _reply("the error queue has an entry; without `times` it never empties"),
    "unsolicited": _reply("a message nobody asked for comes before the reply"),
    "latency": _reply("the reply takes ten times as long"),
    "disconnect": _reply("the connection ends instead of a reply"),
    "disconnect-in-block": _reply("the connection ends in the middle of a reply, or of a block that is sent to the device"),
    "identity": _reply("another device answers"),
    "power-cycle": _reply("the device restarts instead of a reply; its settings are lost"),
    "laser-refuses": Kind("device", "instrument", "the laser refuses to switch its emission on"),
    "tagger-port-closed": Kind("device", "instrument", "nobody listens at the tagger's command port"),
    "detector-unplugged": Kind("device", "instrument", "the cable of the first detector is off"),
    "tagger-overflow": Kind("device", "instrument", "the tagger's buffer runs over and stamps are lost"),
    "laser-drift": Kind("world", "", "the laser emits that much more than it was told to", "dB", 1.0, -30.0, 30.0),
    "mode-hop": Kind("world", "", "the laser jumps to another line, weaker by that much", "dB", 3.0, 0.0, 60.0),
    "emission-stuck": Kind("world", "", "the laser does not stop emitting"),
    "interlock-open": Kind("world", "", "the laser's interlock loop opens: the light goes out, and stays out until it is switched on again"),
    "bias-drift": Kind("world", "", "the darkest point of the intensity modulators moves by that voltage", "V", 1.0, -20.0, 20.0),
    "voa-stuck": Kind("world", "instrument", "the attenuator's motor does not move any more"),
    "fibre-cut": Kind("world", "user", "a fibre loses that much more, in the arm of a user or before the loop", "dB", 60.0, 0.0, 200.0),
    "polarisation-jump": Kind("world", "", "the polarisation before the loop turns by that angle on the Poincare sphere", "rad", 0.5, -7.0, 7.0),
    "slip": Kind("world", "user", "a user's generator slips by that many slots", None, 1.0, -1e6, 1e6),
    "dark": Kind("world", "detector", "dark counts become that many times as frequent", None, 100.0, 0.0, 1e6),
    "latch": Kind("world", "detector", "a nanowire becomes normal-conducting until its bias is taken to zero, as it is at the start"),
    "missed-tags": Kind("world", "detector", "that share of the clicks is not recorded, and nobody counts them", None, 0.1, 0.0, 1.0),
    "swapped-channels": Kind("world", "", "the cables of the two detectors are swapped at the tagger"),
    "clock-lost": Kind("world", "", "the reference clock goes away"),
    "intercept-resend": Kind("world", "user", "that share of a user's pulses is measured in a random basis and sent again", None, 1.0, 0.0, 1.0),
    "blinding": Kind("world", "", "bright light blinds the detectors, and they click when the eavesdropper wants", "W", 1e-6, 0.0, 1.0),
}
"""Every fault by its name."""

ALIASES = {"tag-overflow": "tagger-overflow"}
"""Other names that scripts may use."""

NAMES = {name if kind.layer != "reply" else f"{name}:NAME": kind.what for name, kind in KINDS.items()}
"""Every fault as the command line takes it, and what it does. Those with NAME fall on the instrument of that name."""


def kind_of(name: str, *, where: str = "--fault") -> Kind:
    """Return a kind by its name or its other one; raises ConfigError with all there are."""
    name = ALIASES.get(name, name)
    if name not in KINDS:
        raise ConfigError(f"no fault {name!r}", where=where, remedy=f"Choose one of {', '.join(NAMES)}.")
    return KINDS[name]
