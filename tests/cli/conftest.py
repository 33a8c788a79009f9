from __future__ import annotations

import importlib.util
import json
import resource
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from heliograph.cli import main


@dataclass(frozen=True)
class Ended:
    """How a command line ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one object on standard output."""
        return json.loads(self.out)


@pytest.fixture
def heliograph(capsys: pytest.CaptureFixture[str]) -> Any:
    """Run a command line in this process, as `heliograph.main` does."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}

    def run(*words: object) -> Ended:
        capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            main([str(word) for word in words])
        said = capsys.readouterr()
        return Ended(int(caught.value.code or 0), said.out, said.err)

    yield run
    for number, handler in kept.items():
        signal.signal(number, handler)


Run = Callable[..., Ended]


@pytest.fixture
def full_disk() -> Any:
    """A context in which no file of this process grows beyond so many bytes."""

    @contextmanager
    def limited(most: int) -> Iterator[None]:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return limited


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """IBM's cloud on this disk, in the place of the SDK's service object; nothing may reach for another one."""

    def refuse(*_: object) -> None:
        raise AssertionError("a test reached for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    place = Path(__file__).parents[1] / "protocols" / "qpu" / "ibm_cloud.py"
    if "ibm_cloud" not in sys.modules:
        spec = importlib.util.spec_from_file_location("ibm_cloud", place)
        assert spec is not None
        assert spec.loader is not None
        sys.modules["ibm_cloud"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules["ibm_cloud"])
    service = sys.modules["ibm_cloud"].Service(tmp_path / "cloud")
    monkeypatch.setattr("qiskit_ibm_runtime.QiskitRuntimeService", lambda: service)
    return service
