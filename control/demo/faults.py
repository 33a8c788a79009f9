"""What can go wrong in the demo, on demand: the faults of its bench, and one of its own that the comparison with the plain sum must notice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...core.errors import ConfigError
from ...mocks.faults import NAMES, read
from ...postprocess.keystore.source import Hold, Key, KeySource

FLIPPED_MASK_BIT = "flipped-mask-bit"
KNOWN = (*NAMES, FLIPPED_MASK_BIT)


def bench_faults(faults: Sequence[str]) -> tuple[str, ...]:
    """Return those faults that are the bench's: names, scripts, `Fault.text`. Raises ConfigError for one that nobody knows."""
    heads = {name.partition(":")[0] for name in KNOWN}
    for name in faults:
        if name.startswith("{") or name.endswith(".toml"):
            read((name,))
        elif name.partition(":")[0] not in heads:
            raise ConfigError(f"no fault {name!r}", where="--fault", remedy=f"Choose one of {', '.join(KNOWN)}.")
    return tuple(name for name in faults if name != FLIPPED_MASK_BIT)


def key_sources(keys: Mapping[str, KeySource], faults: Sequence[str]) -> dict[str, KeySource]:
    """Return the parties' key sources, the first party's harmed if the faults ask for it."""
    sources = dict(keys)
    if FLIPPED_MASK_BIT in faults:
        first = min(sources)
        sources[first] = FlippedMaskBit(sources[first])
    return sources


class FlippedMaskBit:
    """One party's keys as its store gives them, but for one bit of the first key that is fetched. Implements KeySource."""

    def __init__(self, keys: KeySource) -> None:
        self._keys = keys
        self._flipped = False

    @property
    def party(self) -> str:
        """Name the party."""
        return self._keys.party

    def available_bits(self, peer: str) -> int:
        """Return what the store says."""
        return self._keys.available_bits(peer)

    def affordable_holds(self, peer: str, bits: int) -> int:
        """Return what the store says."""
        return self._keys.affordable_holds(peer, bits)

    def taken(self, peer: str) -> dict[str, int]:
        """Return what the store says."""
        return self._keys.taken(peer)

    def hold(self, peer: str, bits: int, purpose: str) -> Hold:
        """Hold in the store."""
        return self._keys.hold(peer, bits, purpose)

    def release(self, hold: Hold) -> None:
        """Release in the store."""
        self._keys.release(hold)

    def fetch(self, hold: Hold) -> tuple[Key, ...]:
        """Spend a hold; once, one bit of the keys is wrong."""
        return self._harmed(self._keys.fetch(hold))

    def fetch_by_id(self, peer: str, ids: tuple[str, ...], purpose: str) -> tuple[Key, ...]:
        """Fetch by id; once, one bit of the keys is wrong."""
        return self._harmed(self._keys.fetch_by_id(peer, ids, purpose))

    def _harmed(self, keys: tuple[Key, ...]) -> tuple[Key, ...]:
        if self._flipped:
            return keys
        self._flipped = True
        first = keys[0]
        return Key(first.key_id, first.bits, bytes([first.material[0] ^ 1]) + first.material[1:]), *keys[1:]
