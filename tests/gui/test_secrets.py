"""No key bit and no token comes into the window: not into its texts, its lists, its settings, its log; and it listens nowhere."""

from __future__ import annotations

import contextlib
import json
import logging
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtWidgets import QApplication, QWidget

from heliograph.control import topics
from heliograph.control.watching.store_states import store_states
from heliograph.core.statement import Provenance, SecurityStatement
from heliograph.gui import access
from heliograph.gui.window import Window
from heliograph.postprocess.keystore import KeyBlock, link, open_party

from .operating import PAGES, made_by_hand, page_of, states, tell

SENTINEL = b"\xde\xad\xbe\xef\x5e\xc2\xe7\x0b" * 2
FORMS = (SENTINEL.hex(), SENTINEL.hex().upper(), SENTINEL.decode("latin-1"), str(list(SENTINEL))[1:-1], SENTINEL.hex(" "))


@dataclass(frozen=True)
class Drawn:
    """A window, where it keeps its settings, and what it listens at."""

    window: Window
    folder: Path
    listens: set[str]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Stores that hold nothing but the sentinel, over and over."""
    folder = tmp_path / "store"
    provenance = Provenance(True, ("simulated light",))
    statement = SecurityStatement((), (), 3e-10, 0, provenance)
    material = np.frombuffer(SENTINEL * 4000, np.uint8)
    made = link(open_party(folder, "A"), open_party(folder, "B"))
    made.ingest(*(KeyBlock(made.pair, 0, material.copy(), material.size * 8, statement, provenance) for _ in range(2)))
    made.close()
    return folder


@pytest.fixture(scope="module")
def drawn(qapp: QApplication, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drawn]:
    """A window that has shown every page."""
    folder, before = tmp_path_factory.mktemp("window"), listeners()
    with made_by_hand(folder, qapp) as made:
        tell(made, states())
        for name in PAGES:
            page_of(made, name)
        yield Drawn(made, folder, listeners() - before)


def listeners() -> set[str]:
    """Return what this process listens at, over the network: inodes of TCP and UDP sockets in state listening or bound."""
    own = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            own.add(str(descriptor.readlink()))
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            words = line.split()
            if words[3] == "0A" and f"socket:[{words[9]}]" in own:
                found.add(words[1])
    return found


def test_no_key_bit_is_in_anything_that_the_window_shows_keeps_or_logs(drawn: Drawn, store: Path, caplog: pytest.LogCaptureFixture) -> None:
    window = drawn.window
    caplog.set_level(logging.DEBUG)
    shown = subprocess.run([sys.executable, "-m", "heliograph", "keys", "show", "--store", str(store), "--json"], capture_output=True, text=True, check=True)
    told = store_states(json.loads(shown.stdout), 0.0)
    assert told.stores[0].delivered == 128 * 4000
    tell(window, states() | {"stores": told})
    seen = []
    for name in PAGES:
        page = page_of(window, name)
        window.tick.tick()
        seen += access.texts(window)
        seen += [text for one in page.findChildren(QWidget) for text in (one.toolTip(), one.statusTip(), one.whatsThis(), str(one.property("text")))]
    clipboard = QApplication.clipboard().text()
    # Sizes are shown: what is looked at is the right place.
    assert any("512.0 kbit" in text for text in seen)
    window.desk.settings.sync()
    kept = [path.read_bytes().decode("latin-1") for path in drawn.folder.glob("*.ini")]
    assert kept
    everything = "\n".join([*seen, *kept, caplog.text, clipboard, repr(told)])
    for form in FORMS:
        assert form not in everything
    # Ids of keys are no secrets; long strings of hexadecimal digits that are none of them would be.
    assert not re.findall(r"\b[0-9a-f]{40,}\b", "\n".join(seen).replace("ab" * 32, ""))


def test_the_window_listens_nowhere(drawn: Drawn) -> None:
    assert drawn.listens == set()


def test_no_payload_has_a_field_that_could_hold_a_key() -> None:
    """Payloads of stores and keys are numbers, names and ids: none is bytes."""
    for kind in (topics.StoreStates, topics.StoreState, topics.Debit, topics.KeyProgress, topics.BlockFigures):
        assert not [name for name, told in kind.__annotations__.items() if "bytes" in told or "NDArray" in told]
