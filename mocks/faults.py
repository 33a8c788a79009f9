"""What can go wrong on the simulated bench, on demand."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ..core.errors import ConfigError

NAMES = {
    "laser-refuses": "the laser refuses to switch its emission on",
    "tagger-port-closed": "nobody listens at the tagger's command port",
    "detector-unplugged": "the cable of the first detector is off",
    "tagger-overflow": "the tagger's buffer runs over and stamps are lost",
    "garbage:NAME": "the instrument NAME answers meaningless bytes",
}
"""Every fault and what it does."""


@dataclass(frozen=True, slots=True)
class Faults:
    """The faults of one bench.  garbage: names of the instruments that answer garbage."""

    laser_refuses: bool = False
    tagger_port_closed: bool = False
    detector_unplugged: bool = False
    tagger_overflow: bool = False
    garbage: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, names: Sequence[str], instruments: Collection[str]) -> Faults:
        """Return the faults of the given names; raises ConfigError for a fault or an instrument that does not exist."""
        flags: dict[str, bool] = {}
        garbage: set[str] = set()
        for name in names:
            head, _, target = name.partition(":")
            if head == "garbage" and target in instruments:
                garbage.add(target)
            elif head == "garbage":
                raise ConfigError(f"no instrument {target!r} to answer garbage", where=name, remedy=f"Choose one of {', '.join(sorted(instruments))}.")
            elif name in NAMES:
                flags[name.replace("-", "_")] = True
            else:
                raise ConfigError(f"no fault {name!r}", where="--fault", remedy=f"Choose one of {', '.join(NAMES)}.")
        return cls(garbage=frozenset(garbage), **flags)
