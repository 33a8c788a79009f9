"""The line from the laser to the detectors, element by element: how much power passes behind each, and what taps take out of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import log10
from typing import Any

DETECTORS = ("D1", "D2")


@dataclass(frozen=True, slots=True)
class Edge:
    """What stands between the laser and one place of the line.

    carvers: number of modulators passed.  attenuators: names of the variable ones.  loss_db: everything fixed, taps included.
    """

    carvers: int = 0
    attenuators: tuple[str, ...] = ()
    loss_db: float = 0.0


@dataclass(frozen=True, slots=True)
class Tap:
    """A coupler that sends a share (0 to 1) of the light to a power meter.

    before: the place before it.  detector: 0 or 1 in the arm of one, else None.  included: what it takes is part of the fixed loss.
    """

    meter: str
    share: float
    before: Edge
    detector: int | None = None
    included: bool = False

    @property
    def through_db(self) -> float:
        """Return what the light that goes on loses beyond the fixed loss."""
        return 0.0 if self.included else -10.0 * log10(1.0 - self.share)


@dataclass(frozen=True, slots=True)
class Line:
    """The line in order.

    edges: the place behind each element that light passes before the loop, by name.  before: the place before each modulator.  entry: the place behind the
    last element.  taps: all; those behind the loop count losses from the beam splitter on.  paddles: polarisation controllers before the loop, by name.
    """

    edges: Mapping[str, Edge]
    before: tuple[Edge, ...]
    entry: Edge
    taps: tuple[Tap, ...]
    paddles: tuple[str, ...]

    def arm_db(self, detector: int) -> float:
        """Return what the taps in a detector's arm take (dB)."""
        return sum(tap.through_db for tap in self.taps if tap.detector == detector)

    @classmethod
    def of(cls, optics: Mapping[str, Any], instruments: Mapping[str, Any]) -> Line:
        """Read the line of a station's plain dictionary."""
        names = list(optics["line"])
        place = next((k for k, name in enumerate(names) if name.startswith("loop(")), len(names))
        taps_of = optics.get("taps") or {}
        edge, edges, before, taps, paddles = Edge(), dict[str, Edge](), list[Edge](), list[Tap](), list[str]()
        for name in names[:place]:
            role = instruments[name]["wire"]["role"] if name in instruments else ""
            if name in taps_of:
                taps.append(Tap(taps_of[name]["meter"], taps_of[name]["share"], edge, included=bool(taps_of[name].get("included"))))
                edge = replace(edge, loss_db=edge.loss_db + taps[-1].through_db)
            elif name in optics["modulators"]:
                before.append(edge)
                edge = replace(edge, carvers=edge.carvers + 1)
            elif name == "att_fixed":
                edge = replace(edge, loss_db=edge.loss_db + float(optics["att_fixed"]["loss_db"]))
            elif role == "Attenuator":
                edge = replace(edge, attenuators=(*edge.attenuators, name))
            elif role == "PolarisationController":
                paddles.append(name)
            edges[name] = edge
        return cls(edges, tuple(before), edge, (*taps, *_taps_behind(names[place:], taps_of)), tuple(paddles))


def _taps_behind(names: list[str], taps_of: Mapping[str, Any]) -> list[Tap]:
    """Return the taps behind the loop: each stands in the arm of the next detector of the line."""
    found: list[Tap] = []
    for k, name in enumerate(names):
        detector = next((DETECTORS.index(one) for one in names[k:] if one in DETECTORS), None)
        if name in taps_of and detector is not None:
            loss_db = sum(tap.through_db for tap in found if tap.detector == detector)
            found.append(Tap(taps_of[name]["meter"], taps_of[name]["share"], Edge(loss_db=loss_db), detector))
    return found
