"""Whole benches made by hand: the optical path of the default station, and a state with fifteen instruments."""

from __future__ import annotations

from typing import Any

from heliograph.control.topics import Element, InstrumentState, StationState

from . import payloads


def line_of(*more: str) -> tuple[Element, ...]:
    """The set-up of the default station; more: attenuators before the circulator."""
    between = ["tap", "att_fixed", "voa_in", *more]
    kinds = dict.fromkeys(between, "attenuator") | {"tap": "tap"}
    path = ["laser", "im1", "im2", *between, "circ"]
    found = []
    for name, after in zip(path, [*path[1:], ""], strict=True):
        kind = {"laser": "laser", "im1": "modulator", "im2": "modulator", "circ": "circulator"}.get(name) or kinds[name]
        feeds = (*([after] if after else ["bs", "D1"]), *(["meter"] if name == "tap" else []))
        found.append(Element(name, kind, feeds, (name,), 3.0, 1e-4))
    found.append(Element("bs", "splitter", ("loop", "D2", "circ"), (), 3.0, 1e-5))
    found.append(Element("loop", "loop", ("A", "B", "C"), (), None, 1e-5))
    found += [Element(name, "user", ("loop",), (f"voa_{name.lower()}",), 3.8, 1e-6) for name in "ABC"]
    found += [Element(name, "detector", ("tagger",), ("snspd",)) for name in ("D1", "D2")]
    found += [Element(f"awg_{name.lower()}", "generator", (name,), (f"awg_{name.lower()}",)) for name in "ABC"]
    found.append(Element("awg_im", "generator", ("im1", "im2"), ("awg_im",)))
    return (*found, Element("meter", "meter", (), ("meter",)), Element("tagger", "tagger", (), ("tagger",)))


def instruments(*, lit: bool = False, attenuation_db: float = 60.0) -> tuple[InstrumentState, ...]:
    """Fifteen instruments.  lit: laser and detectors are on.  attenuation_db: of every attenuator."""
    state: Any = "armed" if lit else "safe"
    laser = (
        payloads.quantity(label="Emission", unit="", member="emission", measured=lit, wanted=lit, low=None, high=None),
        payloads.quantity(label="Power", unit="W", member="power_setpoint_w", measured=0.0099 if lit else 0.0, wanted=0.01, low=0.0, high=0.015, operate=0.01),
        payloads.quantity(label="Wavelength", unit="m", member="", measured=1550.12e-9, low=None, high=None),
    )
    biases = tuple(
        payloads.quantity(label=f"Bias {ch}", unit="A", member=f"set_bias:{ch}", measured=18e-6 if lit else 0.0, low=0.0, high=25e-6, operate=18e-6)
        for ch in (1, 2)
    )
    outputs = tuple(payloads.quantity(label=f"Output {ch}", unit="", member=f"output:{ch}", measured=lit, low=None, high=None) for ch in (1, 2))
    paddles = tuple(payloads.quantity(label=f"Paddle {at}", unit="deg", member=f"move:{at}", measured=12.0, low=0.0, high=165.0) for at in range(3))
    meter = (payloads.quantity(label="Power", unit="W", member="", measured=1.2e-5 if lit else 0.0, low=None, high=None),)
    voas = [payloads.instrument_state(name=name, quantities=(payloads.quantity(measured=attenuation_db),)) for name in ("voa_in", "voa_a", "voa_b", "voa_c")]
    awgs = [payloads.instrument_state(name=name, role="WaveformSource", quantities=outputs) for name in ("awg_im", "awg_a", "awg_b", "awg_c")]
    biased = payloads.quantity(label="Bias", unit="V", member="bias_v", measured=1.25, low=-8.0, high=8.0)
    controllers = [payloads.instrument_state(name=name, role="BiasController", quantities=(biased,)) for name in ("mbx_1", "mbx_2")]
    return (
        payloads.laser_state(quantities=laser, state=state), *voas, *awgs, *controllers,
        payloads.instrument_state(name="meter", role="PowerMeter", quantities=meter),
        payloads.instrument_state(name="mpc", role="PolarisationController", quantities=paddles),
        payloads.detector_state(quantities=biases, state=state),
        payloads.instrument_state(name="tagger", role="TagSource", quantities=()),
    )  # fmt: skip


def bench(*, lit: bool = False, attenuation_db: float = 60.0, **changes: Any) -> StationState:
    """A bench of fifteen instruments with the optical path of the default station."""
    elements = tuple(Element(one.name, one.kind, one.feeds, one.driven_by, one.loss_db, one.power_w if lit else 0.0) for one in line_of())
    return payloads.station_state(**{"instruments": instruments(lit=lit, attenuation_db=attenuation_db), "elements": elements, **changes})
