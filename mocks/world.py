"""The one optical world behind all simulated instruments: turning down the laser at one dims the counts at another.

Devices set knobs and ask for what their detectors saw. The world knows nothing of wires, and no device can read its seed, offsets or delays.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from operator import is_not

import numpy as np
from numpy.typing import NDArray

from ..core.physics import Floats, photons_per_pulse, pulse_power_w, transmission
from .faults import Fault
from .harm import Harm, Harms
from .layout import Layout, Site
from .optics import line
from .optics.attacks import blinds, missed, resent_visibility
from .optics.avalanche import AFTERPULSE, Diode
from .optics.bias import Bias
from .optics.detectors import SWITCHING, Afterpulsing, DeadTime, Times, bias_factor, click_rate
from .optics.light import DARK, Carving, Drive, carve, user_photons
from .optics.line import Edge, Tap
from .optics.photons import chunk_clicks, histogram
from .optics.sagnac import arms, detected, phase_and_visibility
from .optics.tagging import Clicks, Source, SyncEdges
from .randomness import Seeds
from .wandering import Wandering

CHUNK_PS = 100_000_000_000
DETECTORS = line.DETECTORS
NOMINAL_BIAS_A = 18e-6
"""Bias at which the site's efficiencies hold."""
PULSE_V = 1.0
"""Height of a pulse at the tagger, detectors and sync alike."""
WAVELENGTH_M = 1550.12e-9
CABLE_PS = 2000
PARKED_A = 1e-9
"""Bias up to which a detector counts as off."""
BIAS_LIGHT_W = 1e-6
"""Power before a modulator from which on its bias controller sees light."""
_LIGHTS_KEPT = 16


@dataclass(frozen=True, slots=True)
class Laser:
    """Knobs of the laser.  power_w: set-point.  emission: on or off.  wavelength_m: of the light."""

    power_w: float = 0.0
    emission: bool = False
    wavelength_m: float = WAVELENGTH_M


@dataclass(frozen=True, slots=True)
class Nanowire:
    """Knobs of one detector.

    bias_a: current.  latched: normal-conducting until its bias is zero.  plugged: its cable is on.  recovered: how many latches that faults made are over.
    """

    bias_a: float = 0.0
    latched: bool = False
    plugged: bool = True
    recovered: int = 0


@dataclass(frozen=True, slots=True)
class Light:
    """What arrives at the detectors at the laser's set power.

    pulses: (2, slots) mean detected photons of the pulse of each slot at D1 and D2.  leak: (2,) mean detected photons between pulses, per slot.
    carving: shape of the light in time.  dark_hz: (2,).  arriving: (2,) mean photons per slot that reach the detectors' arms.
    """

    pulses: Floats
    leak: Floats
    carving: Carving
    dark_hz: Floats
    arriving: Floats


class World:
    """The bench of one station.

    layout: what is fixed.  clock_ps: bench time, which moves only while somebody counts or records.  dark_since: monotonic time (s) since when emission
    and bias are off; None while they are not.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.clock_ps = 0
        self.dark_since: float | None = time.monotonic()
        self._seeds = Seeds(layout.seed)
        self._laser = Laser()
        self._attenuation_db: dict[str, float] = {}
        self._drives: dict[str, Drive] = {}
        self._nanowires = [Nanowire(), Nanowire()]
        self._diodes: list[Diode | None] = [None, None]
        self._biased = False
        self._carved: tuple[list[Drive], list[float], Carving] | None = None
        self._lights: dict[tuple[int, ...], Light] = {}
        self._wandering = Wandering(layout, self._seeds)
        self._harms = Harms(layout)
        self._epochs: dict[str, int] = {}
        self._offsets = {user.name: self._start_offsets(user.name) for user in layout.users}
        self._cables = {name: round(self._seeds.generator(f"cable {name}").uniform(-CABLE_PS, CABLE_PS)) for name in DETECTORS}

    def _start_offsets(self, user: str) -> tuple[int, int]:
        clockwise, counter = self._seeds.generator(f"start of {user}").integers(0, self.layout.slots, 2)
        return int(clockwise), int(counter)

    def harm(self, time_ps: int | None = None) -> Harm:
        """Return what is wrong with the bench now, or at a bench time."""
        return self._harms.at(self.clock_ps if time_ps is None else time_ps)

    def suffer(self, fault: Fault) -> None:
        """Let a fault of the world begin, now or at its time; raises ConfigError where it falls on nothing."""
        self._harms.add(fault, self.clock_ps)
        self.turned()

    def recover(self) -> None:
        """Let nothing be wrong with the bench any more, nor anything that was still to come."""
        self._harms = Harms(self.layout)
        self._nanowires = [replace(wire, recovered=0) for wire in self._nanowires]
        self.turned()

    @property
    def laser(self) -> Laser:
        """Return the laser's knobs."""
        return self._laser

    def set_laser(self, *, power_w: float | None = None, emission: bool | None = None, wavelength_m: float | None = None) -> None:
        """Turn those knobs of the laser that are given."""
        before = self._laser
        self._laser = Laser(
            before.power_w if power_w is None else power_w,
            before.emission if emission is None or (self.harm().lasing and before.emission) else emission,
            before.wavelength_m if wavelength_m is None else wavelength_m,
        )
        self._wandering.switched(self._laser.emission, self.clock_ps)
        self.turned()

    def turned(self) -> None:
        """Take note that a knob was turned: light is computed anew, and bias controllers look whether they see any."""
        self._lights.clear()
        dark = not self._laser.emission and not self._biased and all(abs(wire.bias_a) <= PARKED_A for wire in self._nanowires)
        self.dark_since = (self.dark_since or time.monotonic()) if dark else None
        for k, bias in self._wandering.controlled():
            bias.see(self._power_w(self.layout.line.before[k]) > BIAS_LIGHT_W, self.clock_ps)

    def attenuation_db(self, name: str) -> float:
        """Return where a variable attenuator stands."""
        return self._attenuation_db.get(name, 0.0)

    def drive(self, source: str) -> Drive:
        """Return what a waveform output applies."""
        return self._drives.get(source, DARK)

    def nanowire(self, detector: int) -> Nanowire:
        """Return the knobs of a detector (0: D1, 1: D2)."""
        return self._nanowires[detector]

    def set_attenuation(self, name: str, attenuation_db: float) -> None:
        """Move a variable attenuator (dB, insertion loss included), unless it is stuck."""
        if name not in self.harm().stuck or name not in self._attenuation_db:
            self._attenuation_db[name] = attenuation_db
        self.turned()

    def set_drive(self, source: str, drive: Drive) -> None:
        """Change what a waveform output such as `awg_a:1` applies."""
        self._drives[source] = drive
        self.turned()

    def set_bias(self, detector: int, bias_a: float) -> None:
        """Bias a nanowire (0: D1, 1: D2); above its switching current it latches until the bias is taken to zero."""
        wire = self._nanowires[detector]
        latched = bias_a > SWITCHING * NOMINAL_BIAS_A or (wire.latched and bias_a > 0.0)
        recovered = wire.recovered if bias_a > 0.0 else self.harm().latches[detector]
        self._nanowires[detector] = replace(wire, bias_a=bias_a, latched=latched, recovered=recovered)
        self.turned()

    def diode(self, detector: int) -> Diode:
        """Return the avalanche diode of a detector; a new one if a nanowire was there."""
        return self._diodes[detector] or Diode()

    def set_diode(self, detector: int, diode: Diode) -> None:
        """Put an avalanche diode in the place of a detector (0: D1, 1: D2), or turn its knobs."""
        self._diodes[detector] = diode
        self.turned()

    def set_detectors_enabled(self, enabled: bool) -> None:
        """Connect or disconnect the bias of all nanowires."""
        self._biased = enabled
        self.turned()

    @property
    def blinded(self) -> bool:
        """Say whether bright light drives the detectors, and a current through them."""
        return blinds(self.harm().bright_w)

    def is_latched(self, detector: int) -> bool:
        """Say whether a nanowire has become normal-conducting."""
        return self._is_latched(detector, self.clock_ps)

    def _is_latched(self, detector: int, time_ps: int) -> bool:
        wire = self._nanowires[detector]
        return wire.latched or self.harm(time_ps).latches[detector] > wire.recovered

    def unplug(self, detector: int) -> None:
        """Take a detector's cable off."""
        self._nanowires[detector] = replace(self._nanowires[detector], plugged=False)
        self.turned()

    def bias(self, controller: str) -> Bias | None:
        """Return what a bias controller drives, None if it is on no modulator; call `turned` after changing it."""
        return self._wandering.bias(controller)

    def turn_paddles(self, name: str, angles_deg: tuple[float, ...]) -> None:
        """Turn the three paddles of a polarisation controller."""
        self._wandering.turn_paddles(name, angles_deg)
        self.turned()

    def emitted_w(self, time_ps: int | None = None) -> float:
        """Return the power the laser emits now, or at a bench time: its set-point, warm-up and drift."""
        now = self.clock_ps if time_ps is None else time_ps
        harm = self.harm(now)
        factor = self._wandering.power_factor(now) * 10.0 ** (harm.laser_db / 10.0)
        return self._laser.power_w * factor if self._laser.emission and not harm.unlocked else 0.0

    def power_behind_w(self, name: str) -> float:
        """Return the mean power behind an element of the line now; 0 for one that light does not pass before the loop."""
        edge = self.layout.line.edges.get(name)
        return 0.0 if edge is None else self._power_w(edge)

    def power_before_w(self, name: str) -> float:
        """Return the mean power before a variable attenuator of the line now; 0 for what is none."""
        edge = self.layout.line.edges.get(name)
        return 0.0 if edge is None or edge.attenuators[-1:] != (name,) else self._power_w(replace(edge, attenuators=edge.attenuators[:-1]))

    def behind_modulator_w(self, controller: str) -> float:
        """Return the mean power behind the modulator that a bias controller holds now; 0 for a controller that holds none."""
        if controller not in self.layout.biases:
            return 0.0
        place = self.layout.biases.index(controller)
        return self._power_w(replace(self.layout.line.before[place], carvers=place + 1))

    def tapped_w(self, meter: str) -> float:
        """Return the mean power that reaches a power meter now, from all taps that lead to it."""
        return sum(tap.share * self._tapped_from_w(tap) for tap in self.layout.line.taps if tap.meter == meter)

    def meter_noise(self, meter: str, reading: int) -> tuple[float, float]:
        """Return how the laser fluctuates in a meter's reading (factor), and a standard normal number for the meter's own noise."""
        name = f"meter {meter}"
        return self._drift(name, reading, 0), float(self._seeds.generator(f"noise of {name}", reading).standard_normal())

    def _tapped_from_w(self, tap: Tap) -> float:
        if tap.detector is None:
            return self._power_w(tap.before)
        photons = self.light().arriving[tap.detector] * transmission(tap.before.loss_db)
        return float(pulse_power_w(photons, self._laser.wavelength_m, self.layout.rep_rate_hz))

    def _power_w(self, edge: Edge) -> float:
        power = self.emitted_w()
        if power == 0.0:
            return 0.0
        carving = self._carve(self.clock_ps, edge.carvers)
        share = float(carving.pulse.mean() + carving.leak.mean()) if edge.carvers else 1.0
        return power * share * float(transmission(self._loss_db(edge)))

    def _loss_db(self, edge: Edge) -> float:
        return edge.loss_db + sum(self._attenuation_db.get(name, 0.0) for name in edge.attenuators)

    def _carve(self, time_ps: int, passed: int) -> Carving:
        layout, moved = self.layout, self.harm(time_ps).null_v
        offsets = [offset - moved for offset in self._wandering.offsets_v(time_ps)[:passed]]
        drives = [self._drives.get(source, DARK) for source, _ in layout.carvers[:passed]]
        if self._carved is None or offsets != self._carved[1] or len(drives) != len(self._carved[0]) or any(map(is_not, drives, self._carved[0])):
            # Attenuators and biases move far more often than waveforms, and carving is most of the work.
            self._carved = drives, offsets, carve(drives, [c for _, c in layout.carvers[:passed]], layout.slots, layout.loop.slot_s, offsets)
        return self._carved[2]

    def light(self, time_ps: int | None = None) -> Light:
        """Return what arrives at the detectors now, or at a bench time, computed once after each change of a knob and for each step of what drifts."""
        now = self.clock_ps if time_ps is None else time_ps
        step = (self._harms.index(now), self._wandering.step(now), *(diode.step(now) for diode in self._diodes if diode))
        if step not in self._lights:
            while len(self._lights) >= _LIGHTS_KEPT:
                self._lights.pop(next(iter(self._lights)))
            self._lights[step] = self._propagate(now)
        return self._lights[step]

    def _propagate(self, time_ps: int) -> Light:
        layout = self.layout
        carving = self._carve(time_ps, len(layout.carvers))
        harm = self.harm(time_ps)
        loss_db = self._loss_db(layout.line.entry) + harm.cut_db.get("", 0.0)
        power, wavelength = self.emitted_w(time_ps), self._laser.wavelength_m + harm.hop_m
        pulse, leak = (user_photons(power, share, loss_db, wavelength, layout.rep_rate_hz) for share in (carving.pulse, carving.leak))
        drives = {name: self._drives.get(source, DARK) for name, source in layout.sources.items()}
        arm_db = {user.name: user.loss_db + self._attenuation_db.get(layout.attenuators[user.name] or "", 0.0) for user in layout.users}
        arm_db = {name: loss + harm.cut_db.get(name, 0.0) for name, loss in arm_db.items()}
        first, last = (float(transmission(arm_db[name])) for name in arms(layout.users, drives, arm_db))
        phase, visibility = phase_and_visibility(layout.users, drives, self._slipped(harm), layout.loop, layout.pair_errors)
        polarised = self._wandering.visibility(time_ps, harm.turned_rad) * self._untouched(drives, harm)
        response = [self._response(k, time_ps) for k in range(2)]
        darkness = [self._darkness(k, time_ps) for k in range(2)]
        through = [float(transmission(layout.line.arm_db(k))) for k in range(2)]
        efficiency = (layout.site.efficiency[0] * response[0] * through[0], layout.site.efficiency[1] * response[1] * through[1])
        # Between the pulses the modulators apply no phase, so what leaks there interferes as unmodulated light does.
        leaking = detected(leak, (first, last), np.zeros(1), np.full(1, polarised), (1.0, 1.0))
        arriving = detected(pulse, (first, last), phase, visibility * polarised, (1.0, 1.0))
        scale = np.array(efficiency)[:, None]
        return Light(
            arriving * scale,
            (leaking * scale).mean(axis=1) + self._glare(harm, wavelength) * scale[:, 0],
            carving,
            np.array(layout.site.dark_hz) * darkness * harm.dark * (0.0 if blinds(harm.bright_w) else 1.0),
            (arriving + leaking).mean(axis=1),
        )

    def _glare(self, harm: Harm, wavelength_m: float) -> float:
        """Return the mean photons per slot of continuous light that is too weak to blind."""
        return 0.0 if blinds(harm.bright_w) else float(photons_per_pulse(harm.bright_w, wavelength_m, self.layout.rep_rate_hz))

    def _slipped(self, harm: Harm) -> Mapping[str, tuple[int, int]]:
        slips = {name: round(harm.slips.get(name, 0.0)) for name in self._offsets}
        return {name: (first + slips[name], last + slips[name]) for name, (first, last) in self._offsets.items()}

    def _untouched(self, drives: Mapping[str, Drive], harm: Harm) -> float:
        """Return the visibility that an eavesdropper leaves. Where no user is named, she sits in the arm of the first who modulates."""
        modulating = sorted(name for name, drive in drives.items() if drive.on)
        factor = 1.0
        for target, fraction in harm.resent.items():
            if (target or (modulating or [""])[0]) in modulating:
                factor *= resent_visibility(fraction)
        return factor

    def _response(self, detector: int, time_ps: int) -> float:
        wire, diode = self._nanowires[detector], self._diodes[detector]
        if diode is not None:
            return diode.response(time_ps) if wire.plugged else 0.0
        return bias_factor(wire.bias_a, NOMINAL_BIAS_A) if self._biased and wire.plugged and not self._is_latched(detector, time_ps) else 0.0

    def _darkness(self, detector: int, time_ps: int) -> float:
        diode = self._diodes[detector]
        return diode.darkness(time_ps) if diode is not None and self._nanowires[detector].plugged else self._response(detector, time_ps)

    def _site(self, detector: int) -> Site:
        """Return the numbers of one detector."""
        site = self.layout.site
        usual = AFTERPULSE if self._diodes[detector] is not None and site.afterpulse == 0.0 else site.afterpulse
        return self.layout.detectors[detector].on(site, usual)

    def next_epoch(self, acquisition: str) -> int:
        """Return the running number of a new acquisition of a kind; part of the key of every random draw in it."""
        self._epochs[acquisition] = self._epochs.get(acquisition, 0) + 1
        return self._epochs[acquisition]

    def _drift(self, acquisition: str, epoch: int, chunk: int) -> float:
        delta_db = self.layout.laser_noise_db * self._seeds.generator(f"laser {acquisition}", epoch, chunk).standard_normal()
        return float(10.0 ** (delta_db / 10.0))

    def histogram(self, duration_s: float) -> NDArray[np.int64]:
        """Return how often each slot of the frame gave only D1, only D2 or both, (slots, 3); dead time left out, bench time moves on.

        duration_s: rounded to whole frames; 200 s take milliseconds.  What drifts stands as in the middle of it.
        """
        epoch = self.next_epoch("histogram")
        periods = round(duration_s * 1e12 / self.layout.frame_ps)
        light = self.light(self.clock_ps + periods * self.layout.frame_ps // 2)
        gate = self.layout.site.gate_s
        dark = (float(light.dark_hz[0]) * gate, float(light.dark_hz[1]) * gate)
        self.clock_ps += periods * self.layout.frame_ps
        return histogram(light.pulses * self._drift("histogram", epoch, 0), dark, periods, self._seeds.generator("histogram", epoch))

    def counts(self, epoch: int, chunk: int, period_s: float) -> tuple[int, int]:
        """Return the clicks of both detectors in one counting period; bench time moves on by it."""
        light, drift = self.light(), self._drift("counts", epoch, chunk)
        counts = []
        for k, name in enumerate(DETECTORS):
            clicked = -np.expm1(-light.pulses[k] * drift).mean() + light.leak[k] * drift
            rate = clicked * self.layout.rep_rate_hz + light.dark_hz[k]
            mean = float(rate) if blinds(self.harm().bright_w) else click_rate(float(rate), self._site(k).dead_time_ps * 1e-12, self._site(k).afterpulse)
            mean *= (1.0 - self.harm().missed[k]) * period_s
            counts.append(int(self._seeds.generator(f"counts {name}", epoch, chunk).poisson(mean)))
        self.clock_ps += round(period_s * 1e12)
        return counts[0], counts[1]

    def darks(self, diode: Diode, detector: int, period_s: float) -> int:
        """Return the counts of a diode that no light reaches, of the site's dark rate, in one counting period; bench time moves on by it."""
        mean = self.layout.site.dark_hz[detector] * diode.darkness(self.clock_ps) * period_s
        self.clock_ps += round(period_s * 1e12)
        return int(self._seeds.generator("spare darks", self.next_epoch("spare darks")).poisson(mean))

    def start_recording(self) -> Mapping[str, Source]:
        """Return what arrives at the tagger's cables from the next common frame trigger on: `D1`, `D2`, `sync`; bench time waits for that trigger."""
        frame = self.layout.frame_ps
        self.clock_ps = -(-self.clock_ps // frame) * frame
        epoch = self.next_epoch("tags")
        sources: dict[str, Source] = {name: self._clicks(k, epoch) for k, name in enumerate(DETECTORS)}
        if self.harm().swapped:
            sources = dict(zip(DETECTORS, reversed(sources.values()), strict=True))
        sources["sync"] = SyncEdges(self.layout.sync_divider * self.layout.slot_ps)
        sources["frame"] = SyncEdges(frame)
        return sources

    def cable_ps(self, name: str) -> int:
        """Return the delay of the cable between a detector and the tagger."""
        return self._cables.get(name, 0)

    def _clicks(self, detector: int, epoch: int) -> Clicks:
        layout, site, name, start_ps = self.layout, self._site(detector), DETECTORS[detector], self.clock_ps
        periods = max(1, CHUNK_PS // layout.frame_ps)

        def begin(chunk: int) -> int:
            return start_ps + chunk * periods * layout.frame_ps

        def draw(chunk: int) -> Times:
            light, drift = self.light(begin(chunk)), self._drift("tags", epoch, chunk)
            generator = self._seeds.generator(name, epoch, chunk)
            noise = (site.jitter_ps, float(light.dark_hz[detector]) * 1e-12)
            return chunk_clicks(light.pulses[detector] * drift, float(light.leak[detector]) * drift, light.carving, periods, layout.slot_ps, noise, generator)

        def kept(times: Times, until: int, chunk: int) -> Times:
            harm = self.harm(begin(chunk))
            # A blinded detector clicks when bright light makes it, and has no dead time against that.
            times = times if blinds(harm.bright_w) else keep(times, until, chunk)
            return missed(times, harm.missed[detector], self._seeds.generator(f"missed {name}", epoch, chunk))

        keep = self._survival(name, site, epoch)
        return Clicks(periods * layout.frame_ps, draw, kept)

    def _survival(self, name: str, site: Site, epoch: int) -> Callable[[Times, int, int], Times]:
        """Return what dead time and afterpulses make of a detector's clicks, chunk by chunk."""
        if site.afterpulse > 0.0:
            spawning = Afterpulsing(site.dead_time_ps, site.afterpulse, site.afterpulse_tau_ps)
            return lambda t, until, chunk: spawning.keep(t, until, self._seeds.generator(f"afterpulses {name}", epoch, chunk))
        dead = DeadTime(site.dead_time_ps)
        return lambda t, _until, _chunk: dead.keep(t)
