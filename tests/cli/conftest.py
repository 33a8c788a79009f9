from __future__ import annotations

import json
import signal
from collections.abc import Callable
from dataclasses import dataclass
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
