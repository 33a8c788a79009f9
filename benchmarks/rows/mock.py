"""The simulated bench against the light it stands for: one second, 1e8 pulses, of the pair A-B."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from heliograph.acquisition.patterns import Pattern, carving_waveform, demo_patterns, gate_waveform
from heliograph.core.entropy import SimRandom
from heliograph.core.physics import photons_per_pulse, train_fractions
from heliograph.instruments.station import Station, default_text
from heliograph.mocks.layout import Layout
from heliograph.mocks.optics.light import Drive
from heliograph.mocks.optics.tagging import window
from heliograph.mocks.world import NOMINAL_BIAS_A, World

from ..harness import Race, row

SECOND_PS = 10**12
POWER_W = 10e-3


@row("mock_vs_real_time", peer="real time", unit="s/s")
def mock_vs_real_time() -> Race:
    world = a_and_b()

    def one_second() -> int:
        return sum(window(source, 0, SECOND_PS, 0).size for source in world.start_recording().values())

    assert 1_000_000 < one_second() < 1_300_000
    return Race(one_second, 1.0, 1.0)


def a_and_b() -> World:
    """Return the default bench, lit, biased, and with A and B modulating at the intensity of their pair."""
    station = Station.parse(default_text(), Path("bench.toml"))
    world = World(Layout.of(station.plain()))
    for output in (1, 2):
        world.set_drive(f"awg_im:{output}", Drive(carving_waveform(5.0, 2.0), 1e8, True))
    world.set_laser(power_w=POWER_W, emission=True)
    # One sample of ten is bright, the fixed attenuator takes 60 dB, the beam splitter halves.
    unattenuated = photons_per_pulse(POWER_W * 0.1 * 1e-6 / 2, 1550.12e-9, 1e8)
    world.set_attenuation("voa_in", 10 * np.log10(unattenuated / station.pairs["A-B"].mu))
    for name, attenuation in (("voa_a", 1.0), ("voa_b", 1.0), ("voa_c", 60.0)):
        world.set_attenuation(name, attenuation)
    world.set_detectors_enabled(True)
    for detector in (0, 1):
        world.set_bias(detector, NOMINAL_BIAS_A)
    for side, (user, pattern) in enumerate(zip("AB", demo_patterns(SimRandom(1), 10_000, 1000, 104), strict=True)):
        world.set_drive(f"awg_{user.lower()}:1", modulation(pattern, station.optics.users[user].distance_m, side))
    return world


def modulation(pattern: Pattern, distance_m: float, side: int) -> Drive:
    fraction = train_fractions(distance_m, 6000.0, 10e-9)[side]
    return Drive(gate_waveform(pattern.phases_rad, fraction, 5.0, 2.0), 1e4, True)
