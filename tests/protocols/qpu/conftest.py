from __future__ import annotations

import importlib.util
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import chdtrc

AWS = {"AWS_ACCESS_KEY_ID": "AKIADUMMYDUMMYDUMMY0", "AWS_SECRET_ACCESS_KEY": "dummy+secret/of+aws", "AWS_DEFAULT_REGION": "us-east-1"}
ALLOWED = (0, 2, 5, 6, 8, 11, 13, 15)


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here may leave the machine, and no vendor finds the credentials of whoever runs the tests."""

    def refuse(_socket: Any, address: Any, *_: Any) -> None:
        raise AssertionError(f"a test reached for the network: {address}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    for name in ("QISKIT_IBM_TOKEN", "QISKIT_IBM_INSTANCE", "QISKIT_IBM_CHANNEL", "QISKIT_IBM_URL", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")


@pytest.fixture
def aws_keys(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    for name, value in AWS.items():
        monkeypatch.setenv(name, value)
    return AWS


def load(name: str) -> Any:
    """Import a helper module beside these tests."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


@pytest.fixture
def ibm_cloud() -> Any:
    return load("ibm_cloud")


@pytest.fixture
def braket_cloud() -> Any:
    return load("braket_cloud")


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def patience(clock: Clock) -> Any:
    from heliograph.protocols.qpu.retries import Patience

    return Patience(clock.sleep, clock, np.random.default_rng(1))


@pytest.fixture(scope="session")
def paper() -> Any:
    """The QOT circuit `paper` in one register c."""
    from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister

    circuit = QuantumCircuit(QuantumRegister(4, "q"), ClassicalRegister(4, "c"))
    for qubit in range(3):
        circuit.h(qubit)
    circuit.ccx(2, 0, 3)
    circuit.x(2)
    circuit.ccx(2, 1, 3)
    circuit.x(2)
    circuit.measure(range(4), range(4))
    return circuit


def reset_and_repeat() -> Any:
    from qiskit import QuantumCircuit

    circuit = QuantumCircuit(2, 3)
    circuit.x(0)
    circuit.measure(0, 0)
    circuit.reset(0)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.x(1)
    circuit.measure(0, 1)
    circuit.measure(1, 2)
    return circuit


def branch() -> Any:
    from qiskit import QuantumCircuit

    circuit = QuantumCircuit(2, 2)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)) as otherwise:
        circuit.z(1)
    with otherwise:
        circuit.x(1)
    circuit.measure(1, 1)
    return circuit


def static_goldens() -> dict[str, tuple[Any, list[int]]]:
    from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister

    straight = QuantumCircuit(4)
    straight.x([0, 2])
    straight.measure_all()
    crossed = QuantumCircuit(4, 4)
    crossed.x([0, 2])
    crossed.measure(range(4), [3, 2, 1, 0])
    registers = QuantumCircuit(QuantumRegister(2, "q"), ClassicalRegister(1, "a"), ClassicalRegister(1, "b"))
    registers.x(1)
    registers.measure([0, 1], [1, 0])
    gap = QuantumCircuit(2, 3)
    gap.x(0)
    gap.measure([0, 1], [0, 2])
    ends = QuantumCircuit(5, 5)
    ends.x(4)
    ends.measure([0, 4], [4, 0])
    matrix = QuantumCircuit(2, 2)
    matrix.x(0)
    matrix.unitary(np.eye(4)[[0, 3, 2, 1]], [0, 1])
    matrix.measure([0, 1], [0, 1])
    wide = QuantumCircuit(5, 9)
    wide.x(2)
    wide.measure([2, 0], [8, 1])
    return {
        "straight": (straight, [1, 0, 1, 0]),
        "crossed": (crossed, [0, 1, 0, 1]),
        "registers": (registers, [1, 0]),
        "gap": (gap, [1, 0, 0]),
        "ends": (ends, [1, 0, 0, 0, 0]),
        "matrix": (matrix, [1, 1]),
        "nine": (wide, [0] * 8 + [1]),
    }


@pytest.fixture(scope="session")
def goldens() -> dict[str, tuple[Any, list[int]]]:
    """Static circuits by name, with the row that every shot must give."""
    return static_goldens()


@pytest.fixture(scope="session")
def dynamic_goldens() -> dict[str, tuple[Any, list[int]]]:
    return {"branch": (branch(), [0, 1]), "reset": (reset_and_repeat(), [1, 0, 1])}


@pytest.fixture
def majority() -> Callable[[Any], list[int]]:
    return lambda samples: [int(one) for one in (samples.bits.mean(axis=0) > 0.5)]


@pytest.fixture
def follows() -> Callable[..., None]:
    """Codes follow a law: chi-square over the outcomes it allows, and nothing else. p > 1e-7, since some back-ends know no seed."""

    def check(codes: Any, law: Any) -> None:
        seen = np.bincount(codes, minlength=law.size)
        possible = law > 1e-9
        expected = codes.size * law[possible]
        assert not seen[~possible].any()
        assert chdtrc(possible.sum() - 1, ((seen[possible] - expected) ** 2 / expected).sum()) > 1e-7

    return check


@pytest.fixture
def ideal() -> Any:
    """The law of the QOT circuit: 1/8 on eight codes."""
    law = np.zeros(16)
    law[list(ALLOWED)] = 1 / 8
    return law


@pytest.fixture
def in_order() -> Callable[[Any], None]:
    """Neighbouring shots are not correlated, within six standard deviations: no back-end expanded counts."""

    def check(codes: Any) -> None:
        values = codes.astype(float) - codes.mean()
        lag = (values[1:] * values[:-1]).mean() / values.var()
        assert abs(lag) < 6 / np.sqrt(codes.size)

    return check


@pytest.fixture
def total_variation() -> Callable[[Any, Any], float]:
    def distance(codes: Any, law: Any) -> float:
        return float(abs(np.bincount(codes, minlength=law.size) / codes.size - law).sum() / 2)

    return distance
