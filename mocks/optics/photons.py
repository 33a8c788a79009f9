"""Clicks drawn from mean detected photons, without ever looping over pulses."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...core.physics import Floats, click_law
from .detectors import Times
from .light import SAMPLES, Carving


def histogram(means: Floats, dark: tuple[float, float], periods: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """Return how often each slot of a frame gave only D1, only D2 or both, shape (slots, 3).

    means: (2, slots) mean detected photons.  dark: dark count probability per gate.  periods: frames.  One multinomial per slot.
    """
    law = click_law(means[0], means[1], dark)
    p = np.stack([law.only_d1, law.only_d2, law.both], axis=1)
    p = np.concatenate([p, 1.0 - p.sum(axis=1, keepdims=True)], axis=1)
    return generator.multinomial(periods, p)[:, :3]


def pulse_clicks(mean: Floats, periods: int, generator: np.random.Generator) -> Times:
    """Return the sorted, distinct positions (slot + period * slots) at which one detector saw light, for a pattern that repeats.

    mean: (slots,) mean detected photons.  Counts of a slot are Poisson over all periods, periods are drawn with replacement, equal ones merge.
    """
    slots = len(mean)
    counts = generator.poisson(periods * mean)
    slot = np.repeat(np.arange(slots), counts)
    place = generator.integers(0, periods, slot.size) * slots + slot
    place.sort()
    first = np.ones(place.size, bool)
    np.not_equal(place[1:], place[:-1], out=first[1:])
    return place[first]


def chunk_clicks(
    mean: Floats,
    leak_mean: float,
    carving: Carving,
    periods: int,
    slot_ps: int,
    site: tuple[float, float],
    generator: np.random.Generator,
) -> Times:
    """Return the sorted click times (ps from the chunk's start) of one detector before its dead time.

    mean: (slots,) mean detected photons of the pulses.  leak_mean: mean detected photons between the pulses, per slot.
    site: jitter (ps, rms) and dark count rate (per ps).  Darks are drawn once, uniform in time.
    """
    jitter_ps, dark_per_ps = site
    grid = slot_ps // SAMPLES
    n_slots = periods * len(mean)
    pulses = pulse_clicks(mean, periods, generator) * slot_ps + carving.bright * grid
    n_leak = int(generator.poisson(leak_mean * n_slots))
    leak = generator.integers(0, n_slots, n_leak) * slot_ps + generator.choice(SAMPLES, n_leak, p=carving.leak_profile) * grid
    light = np.concatenate([pulses, leak])
    light += np.rint(generator.standard_normal(light.size, dtype=np.float32) * np.float32(jitter_ps)).astype(np.int64)
    duration = n_slots * slot_ps
    dark = generator.integers(0, duration, int(generator.poisson(dark_per_ps * duration)))
    times = np.concatenate([light, dark])
    times.sort()
    return times
