"""From the laser to the users: carving by the intensity modulators, and mean photon numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...core.physics import Floats, modulator_transmission, photons_per_pulse, transmission

SAMPLES = 10
"""Instants a slot at which waveforms are looked at (one a modulator gate)."""


@dataclass(frozen=True, slots=True)
class Drive:
    """What a waveform output applies: a record replayed for ever, started by the common frame trigger.

    volts: (n,) one period, offset included.  rate_hz: periods a second.  on: an output that is off applies 0 V.
    """

    volts: Floats
    rate_hz: float
    on: bool

    def at(self, times_s: NDArray[np.floating]) -> Floats:
        """Return the voltage at the given times after the frame trigger, any shape."""
        if not self.on:
            return np.zeros(times_s.shape)
        cycles = times_s * self.rate_hz
        # A rounding error must not push an instant in the middle of a sample across its border; the small excess stays far below a sample.
        index = np.floor((cycles % 1.0) * len(self.volts) + 1e-6).astype(np.int64)
        found: Floats = self.volts[np.minimum(index, len(self.volts) - 1)]
        return found


DARK = Drive(np.zeros(1), 1.0, False)
"""An output nobody has switched on."""


@dataclass(frozen=True, slots=True)
class Carver:
    """An intensity modulator behind its driver amplifier.  v_pi: V.  gain: amplifier.  extinction_db: dark against bright."""

    v_pi: float
    gain: float
    extinction_db: float


@dataclass(frozen=True, slots=True)
class Carving:
    """Share of the laser's mean power that leaves the modulators.

    pulse: (n_slots,) share in the bright sample of each slot.  leak: (n_slots,) share in the rest of the slot.  leak_profile: (SAMPLES,) how the
    leak is spread over the slot, summing to 1.  bright: index of the bright sample.
    """

    pulse: Floats
    leak: Floats
    leak_profile: Floats
    bright: int


def carve(drives: list[Drive], carvers: list[Carver], slots: int, slot_s: float, offsets_v: Sequence[float] = ()) -> Carving:
    """Return what modulators in series leave of continuous light, sample by sample over a frame.

    offsets_v: what bias and drift add to the drive of each (V); nothing where it is empty.
    The pulse is the sample with the largest mean transmission; all light elsewhere is leak.
    """
    times = (np.arange(slots * SAMPLES) + 0.5) * (slot_s / SAMPLES)
    passed = np.ones(slots * SAMPLES)
    for drive, carver, offset in zip(drives, carvers, offsets_v or [0.0] * len(carvers), strict=True):
        passed = passed * modulator_transmission(drive.at(times) * carver.gain, carver.v_pi, bias_v=-offset, extinction_db=carver.extinction_db)
    share = passed.reshape(slots, SAMPLES) / SAMPLES
    profile = share.mean(axis=0)
    bright = int(np.argmax(profile))
    rest = profile.copy()
    rest[bright] = 0.0
    total = rest.sum()
    spread = rest / total if total > 0.0 else np.full(SAMPLES, 1.0 / SAMPLES)
    return Carving(share[:, bright], share.sum(axis=1) - share[:, bright], spread, bright)


def user_photons(power_w: float, share: Floats, attenuation_db: float, wavelength_m: float, rep_rate_hz: float) -> Floats:
    """Return the mean photon number per pulse that leaves each user.

    power_w: laser.  share: what carving leaves of it.  attenuation_db: everything between laser and beam splitter.  The splitter halves the light.
    """
    return photons_per_pulse(power_w * share * transmission(attenuation_db) / 2.0, wavelength_m, rep_rate_hz)
