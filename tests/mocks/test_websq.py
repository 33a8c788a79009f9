from __future__ import annotations

import json

import pytest

from heliograph.instruments.wire import websq as wire
from heliograph.mocks.devices.websq import WebSQ
from heliograph.mocks.layout import Layout
from heliograph.mocks.world import World

from .conftest import plain_bench
from .test_world import bench


@pytest.fixture
def device() -> WebSQ:
    return WebSQ(World(Layout.of(plain_bench())))


def heard(data: bytes) -> list[dict]:
    return wire.Decoder().feed(data)


def say(device: WebSQ, *messages: dict) -> list[dict]:
    return heard(b"".join(reply.data for reply in device.link().feed(b"".join(wire.encode(m) for m in messages))))


def test_golden_period_broadcast(device):
    link = device.link()
    (reply,) = link.feed(b'{"command": "SetMeasurementPeriod", "label": "InptMeasurementPeriod", "value": 100}')
    assert reply.data == b'{"label": "InptMeasurementPeriod", "value": 100}\x17'


def test_glued_objects_are_answered_one_by_one(device):
    on = wire.command("DetectorEnable", "DetectorEnable", True)
    bias = wire.command("SetAllBiasCurrents", "BiasCurrent", [18.0, 17.5])
    assert [m["value"] for m in say(device, on, bias)] == [True, [18.0, 17.5]]


def test_properties_carry_values_and_bounds(device):
    found = {m["label"]: m["value"] for m in say(device, wire.LABEL_PROPERTIES)}
    assert found["NumberOfDetectors"]["value"] == 2
    assert found["BiasCurrent"] == {"value": [0.0, 0.0], "min": 0.0, "max": 30.0}
    assert found["DetectorEnable"]["value"] is False


@pytest.mark.parametrize(
    ("name", "label", "value"),
    [
        ("SetAllBiasCurrents", "BiasCurrent", [31.0, 0.0]),
        ("SetAllBiasCurrents", "BiasCurrent", [1.0]),
        ("SetAllBiasCurrents", "BiasCurrent", "high"),
        ("SetMeasurementPeriod", "InptMeasurementPeriod", 5),
        ("SetMeasurementPeriod", "InptMeasurementPeriod", True),
        ("DetectorEnable", "DetectorEnable", 1),
        ("Explode", "BiasCurrent", [0.0, 0.0]),
        ("DetectorEnable", "BiasCurrent", True),
    ],
)
def test_what_it_cannot_do_is_a_fault_label(device, name, label, value):
    (answer,) = say(device, wire.command(name, label, value))
    assert "Error" in answer["label"]
    assert {m["label"]: m["value"] for m in say(device, wire.LABEL_PROPERTIES)}["BiasCurrent"]["value"] == [0.0, 0.0]


def test_damaged_objects_are_told_and_forgotten(device):
    link = device.link()
    answers = heard(b"".join(r.data for r in link.feed(b"nonsense")))
    assert answers
    assert all("Error" in m["label"] for m in answers)
    (good,) = link.feed(wire.encode(wire.command("DetectorEnable", "DetectorEnable", True)))
    assert heard(good.data)[0]["value"] is True


def test_bias_and_enable_reach_the_nanowires():
    world = bench(modulated=False)
    device = WebSQ(world)
    say(device, wire.command("SetAllBiasCurrents", "BiasCurrent", [18.0, 0.0]), wire.command("DetectorEnable", "DetectorEnable", True))
    assert world.light().pulses[0].max() > 0.0
    say(device, wire.command("DetectorEnable", "DetectorEnable", False))
    assert world.light().pulses[0].max() == 0.0


def lit() -> WebSQ:
    world = bench(modulated=False)
    device = WebSQ(world)
    say(device, wire.command("SetAllBiasCurrents", "BiasCurrent", [18.0, 18.0]), wire.command("DetectorEnable", "DetectorEnable", True))
    return device


def test_every_line_counts_one_period():
    device = lit()
    feed = device.counts()
    t, counts = wire.parse_counts(feed.line())
    later, _ = wire.parse_counts(feed.line())
    assert (t, later) == (0.1, 0.2)
    assert counts[0] == pytest.approx(96_500, rel=0.03)


def test_a_trigger_level_above_the_pulses_sees_nothing():
    device = lit()
    say(device, wire.command("SetAllTriggerLevels", "TriggerLevel", [600.0, 100.0]))
    assert wire.parse_counts(device.counts().line())[1][0] == 0


def test_an_open_cable_drives_the_bias_source_to_its_limit():
    device = WebSQ(World(Layout.of(plain_bench())), frozenset({0}))
    say(device, wire.command("SetAllBiasCurrents", "BiasCurrent", [18.0, 18.0]))
    (answer,) = say(device, {"request": "BiasVoltage", "value": "None"})
    assert answer["value"] == [5.0, pytest.approx(0.018)]
    assert json.dumps(answer)
