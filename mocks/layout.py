"""The bench as the world sees it, read from the plain dictionary of a station."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import isclose
from typing import Any

from ..core.errors import ConfigError
from .optics.light import Carver
from .optics.line import Line
from .optics.sagnac import Loop, User

Plain = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Site:
    """Eve's site.  efficiency, dark_hz: per detector.  dead_time_ps, jitter_ps, gate_s as named.  afterpulse: probability; afterpulse_tau_ps: its decay."""

    efficiency: tuple[float, float]
    dark_hz: tuple[float, float]
    dead_time_ps: int
    jitter_ps: float
    gate_s: float
    afterpulse: float
    afterpulse_tau_ps: float


@dataclass(frozen=True, slots=True)
class Traits:
    """What tells a detector from the site's numbers; None where those hold."""

    dead_time_ps: int | None = None
    jitter_ps: float | None = None
    afterpulse: float | None = None
    afterpulse_tau_ps: float | None = None

    def on(self, site: Site, afterpulse: float) -> Site:
        """Return the site's numbers with this detector's own.  afterpulse: probability where nothing is said."""
        return replace(
            site,
            dead_time_ps=site.dead_time_ps if self.dead_time_ps is None else self.dead_time_ps,
            jitter_ps=site.jitter_ps if self.jitter_ps is None else self.jitter_ps,
            afterpulse=afterpulse if self.afterpulse is None else self.afterpulse,
            afterpulse_tau_ps=site.afterpulse_tau_ps if self.afterpulse_tau_ps is None else self.afterpulse_tau_ps,
        )


@dataclass(frozen=True, slots=True)
class Drift:
    """What wanders with bench time, each as rms after a minute, and where it starts; all off by default.

    bias_v, bias_start_v: darkest point of the modulators (largest value at the start).  laser_db: laser power.  polarisation_rad: state before the loop.
    random_polarisation: it starts anywhere.  warm_up_db, warm_up_s: what the laser lacks when it is switched on, and how fast that decays.
    """

    bias_v: float = 0.0
    bias_start_v: float = 0.0
    laser_db: float = 0.0
    polarisation_rad: float = 0.0
    random_polarisation: bool = False
    warm_up_db: float = 0.0
    warm_up_s: float = 1.0


@dataclass(frozen=True, slots=True)
class Layout:
    """Everything fixed about a bench.

    carvers: (waveform source, modulator) in order of the line.  users with the waveform source of their modulator and the name of their attenuator.
    line: everything between laser and loop, in order, and its taps.  biases: bias controller of each carver, by the carver's place, where it has one.
    pair_errors: by pair name.  detectors: what is special about D1 and D2.  in_beam: the instrument whose detectors they are.  drift: what wanders.
    """

    seed: int
    rep_rate_hz: float
    slots: int
    sync_divider: int
    carvers: tuple[tuple[str, Carver], ...]
    users: tuple[User, ...]
    sources: Mapping[str, str]
    attenuators: Mapping[str, str | None]
    line: Line
    biases: tuple[str | None, ...]
    loop: Loop
    site: Site
    detectors: tuple[Traits, Traits]
    in_beam: str
    pair_errors: Mapping[str, tuple[float, float]]
    laser_noise_db: float
    drift: Drift

    @property
    def slot_ps(self) -> int:
        """Return the length of a slot."""
        return round(1e12 / self.rep_rate_hz)

    @property
    def frame_ps(self) -> int:
        """Return the length of a frame of the pattern."""
        return self.slots * self.slot_ps

    @classmethod
    def of(cls, plain: Plain) -> Layout:
        """Read a station's plain dictionary; raises ConfigError for what cannot be simulated."""
        if plain.get("topology", "sagnac") != "sagnac":
            raise ConfigError(f"no simulation of topology {plain['topology']!r}", where="topology", remedy='Use topology = "sagnac".')
        clock, optics, sim = plain["clock"], plain["optics"], plain.get("sim") or {}
        line = tuple(optics["line"])
        if sim.get("clock", "lockstep") != "lockstep":
            raise ConfigError(f"no simulation with a {sim['clock']} clock", where="sim.clock", remedy='Use clock = "lockstep".')
        slot_s = 1.0 / clock["rep_rate_hz"]
        if not isclose(slot_s * 1e12, round(slot_s * 1e12)):
            raise ConfigError("the slot is no whole number of picoseconds", where="clock.rep_rate", remedy="Choose a rate such as 100 MHz.")
        loop = Loop(optics["loop"]["length_m"], slot_s, int(clock["pattern_slots"]))
        users, modulators = optics["users"], optics["modulators"]
        return cls(
            seed=int(sim.get("seed", 0)),
            rep_rate_hz=float(clock["rep_rate_hz"]),
            slots=int(clock["pattern_slots"]),
            sync_divider=int(clock["sync_divider"]),
            carvers=tuple((m["source"], Carver(m["v_pi_v"], m["gain"], m["er_db"])) for name in line if (m := modulators.get(name))),
            users=tuple(_user(name, entry, optics, sim) for name, entry in sorted(users.items())),
            sources={name: modulators[entry["pm"]]["source"] for name, entry in users.items()},
            attenuators={name: entry["voa"] for name, entry in users.items()},
            line=Line.of(optics, plain["instruments"]),
            biases=tuple(m.get("bias") for name in line if (m := modulators.get(name))),
            loop=loop,
            site=_site(optics["site"], sim),
            detectors=(_traits(sim, "D1"), _traits(sim, "D2")),
            in_beam=next((name for name, one in plain["instruments"].items() if one["wire"]["role"] == "PhotonDetector"), ""),
            pair_errors={name: (pair["error_x"], pair["error_y"]) for name, pair in (sim.get("pairs") or {}).items()},
            laser_noise_db=float(sim.get("laser_noise_db", 0.02)),
            drift=_drift(sim),
        )


def _user(name: str, entry: Plain, optics: Plain, sim: Plain) -> User:
    modulator = optics["modulators"][entry["pm"]]
    noise = (sim.get("users") or {}).get(name) or {}
    return User(
        name=name,
        distance_m=entry["distance_m"],
        loss_db=entry["loss_db"],
        v_pi=modulator["v_pi_v"],
        gain=modulator["gain"],
        gate_s=modulator["gate_s"],
        error_x=float(noise.get("error_x", 0.0)),
        error_y=float(noise.get("error_y", 0.0)),
        pm_gain=float(noise.get("pm_gain", 1.0)),
    )


def _site(site: Plain, sim: Plain) -> Site:
    return Site(
        efficiency=(site["eta"][0], site["eta"][1]),
        dark_hz=(site["dark_hz"][0], site["dark_hz"][1]),
        dead_time_ps=round(site["dead_time_s"] * 1e12),
        jitter_ps=site["jitter_s"] * 1e12,
        gate_s=site["gate_s"],
        afterpulse=float(sim.get("afterpulse", 0.0)),
        afterpulse_tau_ps=float(sim.get("afterpulse_tau_s", 100e-9)) * 1e12,
    )


def _traits(sim: Plain, detector: str) -> Traits:
    given = (sim.get("detectors") or {}).get(detector) or {}
    dead_s, jitter_s, tau_s = (given.get(key) for key in ("dead_time_s", "jitter_s", "afterpulse_tau_s"))
    return Traits(
        None if dead_s is None else round(dead_s * 1e12),
        None if jitter_s is None else jitter_s * 1e12,
        given.get("afterpulse"),
        None if tau_s is None else tau_s * 1e12,
    )


def _drift(sim: Plain) -> Drift:
    warm_up = sim.get("warm_up") or {}
    return Drift(
        bias_v=float(sim.get("bias_drift_v", 0.0)),
        bias_start_v=float(sim.get("bias_start_v", 0.0)),
        laser_db=float(sim.get("laser_drift_db", 0.0)),
        polarisation_rad=float(sim.get("polarisation_drift_rad", 0.0)),
        random_polarisation=sim.get("polarisation_start", "aligned") == "random",
        warm_up_db=float(warm_up.get("lacking_db", 0.0)),
        warm_up_s=float(warm_up.get("time_s", 1.0)),
    )
