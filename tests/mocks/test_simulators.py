from __future__ import annotations

import socket

import pytest

from heliograph.core.errors import ConfigError
from heliograph.mocks import simulators
from heliograph.mocks.lab import Lab

from .conftest import plain_bench

ECHO = """
from heliograph.mocks.devices.base import Reply

class Echo:
    def link(self):
        return self

    def feed(self, data):
        return [Reply(data.upper())]

def build(place, name, entry):
    return {"resource": place.raw_socket(name, Echo()), "told": entry["wire"]["driver"]}

NOT_ONE = 5
"""
POINTS = "[heliograph.mocks]\nEcho = acme_mocks:build\nFive = acme_mocks:NOT_ONE\n"


def test_a_simulator_of_another_package_stands_on_the_bench_behind_its_faults(foreign):
    foreign("acme", {"acme_mocks": ECHO}, POINTS)
    plain = plain_bench()
    plain["instruments"]["voa_in"]["wire"]["driver"] = plain["instruments"]["voa_a"]["wire"]["driver"] = "Echo"

    with Lab(plain, ["garbage:voa_a"]).in_thread() as resources:
        answers = {name: ask(resources[name]["resource"]) for name in ("voa_in", "voa_a")}

    assert resources["voa_in"]["told"] == "Echo"
    assert answers["voa_in"] == b"HALLO\n"
    assert min(answers["voa_a"][:4]) > 127


def ask(resource: str) -> bytes:
    with socket.create_connection(("127.0.0.1", int(resource.split("::")[2])), timeout=20.0) as client:
        client.sendall(b"hallo\n")
        return client.recv(100)


@pytest.mark.parametrize(
    ("driver", "points", "said"),
    [
        ("Five", POINTS, "Five of acme 0.1 is 5, a function"),
        ("OzDD100", POINTS.replace("Five", "OzDD100"), "OzDD100 of acme 0.1 has the name of a simulator"),
        ("Nobody", POINTS, "Echo.*OzDD100"),
    ],
)
def test_one_that_cannot_be_used_is_refused_by_name(foreign, driver, points, said):
    foreign("acme", {"acme_mocks": ECHO}, points)

    with pytest.raises(ConfigError, match=said):
        simulators.simulator(driver)
