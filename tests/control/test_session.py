"""What an owner answers stands on a page."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from heliograph.control.session import Session

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "owner-requests.md"


def test_every_request_is_described_and_no_other(tmp_path):
    owner: Any = SimpleNamespace(folder=tmp_path)
    client: Any = SimpleNamespace(pid=1)
    rows = [line.split("|")[1] for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    described = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    assert sorted(described) == sorted(Session(owner, client)._topics)


def test_requests_about_files_are_answered_beside_those_about_instruments(tmp_path):
    owner: Any = SimpleNamespace(folder=tmp_path)
    client: Any = SimpleNamespace(pid=1)
    session = Session(owner, client)
    assert session.aside("runs")
    assert session.aside("replay")
    assert not session.aside("set")
    assert not session.aside("safe")
