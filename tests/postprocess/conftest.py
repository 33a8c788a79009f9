"""Two parties' data as a bench would give them, made directly: patterns, offsets, announced events, and agreed settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from heliograph.acquisition.announcements import encode_events
from heliograph.acquisition.events import Events
from heliograph.acquisition.patterns import Pattern, demo_patterns
from heliograph.core.entropy import SimRandom
from heliograph.postprocess.block import BlockSettings
from heliograph.postprocess.distillation import Alice, Bob
from heliograph.postprocess.finite_key import BlockCounts, kato_parameters

PATTERN_SLOTS = 2000
SENT_PER_EVENT = 20


@dataclass(frozen=True)
class Light:
    """What one exchange of light leaves behind: a pattern and its offset for each party, what was announced, and the settings both agreed on."""

    patterns: tuple[Pattern, Pattern]
    offsets: tuple[int, int]
    announcement: bytes
    settings: BlockSettings
    seed: int

    def alice(self, **changed: Any) -> Alice:
        return self._party(Alice, 0, changed)

    def bob(self, **changed: Any) -> Bob:
        return self._party(Bob, 1, changed)

    def _party(self, kind: Any, number: int, changed: dict[str, Any]) -> Any:
        given = {
            "pattern": self.patterns[number],
            "offset": self.offsets[number],
            "announcement": self.announcement,
            "settings": self.settings,
            "source": SimRandom(self.seed, number),
            "tags": None,
            **changed,
        }
        return kind.of_pattern(**given)

    def with_settings(self, **changed: Any) -> Light:
        return replace(self, settings=replace(self.settings, **changed))


def light_of(seed: int = 1, events: int = 60_000, error_x: float = 0.01, error_y: float = 0.006, y_slots: int = 200, **settings: Any) -> Light:
    """Return light of a repeated pattern: equal phases click at D1, opposite ones at D2, wrong with the error rates; different bases at random."""
    rng = np.random.default_rng(seed)
    patterns = demo_patterns(SimRandom(seed, 7), PATTERN_SLOTS, y_slots, y_slots // 5)
    offsets = (int(rng.integers(PATTERN_SLOTS)), int(rng.integers(PATTERN_SLOTS)))
    n_sent = SENT_PER_EVENT * events
    slot = np.sort(rng.choice(n_sent, events, replace=False)).astype(np.int64)
    basis, bit = (
        tuple(plane[(slot - offset) % PATTERN_SLOTS] for plane, offset in zip(planes, offsets, strict=True))
        for planes in ((patterns[0].basis, patterns[1].basis), (patterns[0].bit, patterns[1].bit))
    )
    same = basis[0] == basis[1]
    wrong = rng.random(events) < np.where(same, np.where(basis[0] == 0, error_x, error_y), 0.5)
    detector = (bit[0] ^ bit[1] ^ wrong).astype(np.uint8)
    share_y = y_slots / 5 / PATTERN_SLOTS
    share_x = 1 - 2 * y_slots / PATTERN_SLOTS + share_y
    expected = BlockCounts(n_sent, events, round(share_x * events), round(share_y * events), round(share_y * events * error_y))
    mu = (0.002, 0.002)
    agreed = {"pair": "A-B", "block": 5, "n_sent": n_sent, "mu": mu, "frame_bits": 2**14, "kato": kato_parameters(expected, mu), "session": 77, **settings}
    return Light(patterns, offsets, encode_events(Events(slot, detector)), BlockSettings(**agreed), seed)


@pytest.fixture(scope="session")
def make_light() -> Callable[..., Light]:
    """Give the maker of light: `make_light(seed, events, error_x, error_y, **settings)`."""
    return light_of


@pytest.fixture(scope="session")
def light() -> Light:
    """A block of three frames that gives a key."""
    return light_of()


@pytest.fixture(scope="session")
def small() -> Light:
    """A block of one frame, so that a run takes milliseconds."""
    return light_of(seed=4, events=16_000, y_slots=600, frame_bits=2**13)
