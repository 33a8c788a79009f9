"""Key that is set aside before an evaluation begins, message by message, so that it cannot run short in the middle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...core.errors import HeliographError, InsufficientKey, KeyStoreError
from ...postprocess.keystore.source import Hold, Key, KeySource, pair_name


class Leased:
    """One party's key towards a peer, of which parts are set aside for messages of known sizes; a `KeySource` that gives out those, and nothing else.

    keys: of the party.  sizes: bytes of the messages.  purpose: written into the ledger when they are spent.
    Raises InsufficientKey, and then nothing is held.
    """

    def __init__(self, keys: KeySource, peer: str, sizes: Sequence[int], purpose: str) -> None:
        self._keys, self._peer = keys, peer
        self._holds: list[Hold] = []
        self.bits = 8 * sum(sizes)
        have = keys.available_bits(peer)
        if self.bits > have:
            raise InsufficientKey(pair_name(keys.party, peer), self.bits, have, purpose=f"{purpose}, from {keys.party} to {peer},")
        try:
            for size in sizes:
                self._holds.append(keys.hold(peer, 8 * size, purpose))
        except HeliographError:
            self.give_back()
            raise

    @property
    def party(self) -> str:
        """Name the party."""
        return self._keys.party

    def available_bits(self, peer: str) -> int:
        """Return the bits that are set aside and not spent."""
        return sum(hold.bits for hold in self._holds) if peer == self._peer else 0

    def affordable_holds(self, peer: str, bits: int) -> int:
        """Return how many messages of this size were foreseen and not sent yet."""
        return sum(hold.bits == bits for hold in self._holds) if peer == self._peer else 0

    def taken(self, peer: str) -> dict[str, int]:
        """Return what left the store below."""
        return self._keys.taken(peer)

    def hold(self, peer: str, bits: int, purpose: str) -> Hold:
        """Return the next hold of this size. Raises KeyStoreError if none was set aside."""
        for place, hold in enumerate(self._holds):
            if (hold.peer, hold.bits, hold.purpose) == (peer, bits, purpose):
                return self._holds.pop(place)
        raise KeyStoreError(f"no key was set aside for a message of {bits:,} bits", where=f"pair {pair_name(self.party, peer)}", remedy="Foresee it.")

    def release(self, hold: Hold) -> None:
        """Give a hold back unspent."""
        self._keys.release(hold)

    def fetch(self, hold: Hold) -> tuple[Key, ...]:
        """Spend a hold."""
        return self._keys.fetch(hold)

    def fetch_by_id(self, peer: str, ids: tuple[str, ...], purpose: str) -> tuple[Key, ...]:
        """Return the keys that a peer has fetched."""
        return self._keys.fetch_by_id(peer, ids, purpose)

    def give_back(self) -> None:
        """Release what has not been spent."""
        while self._holds:
            self._keys.release(self._holds.pop())


def lease_all(keys: Mapping[str, KeySource], sizes: Mapping[tuple[str, str], Sequence[int]], purpose: str) -> dict[tuple[str, str], Leased]:
    """Set key aside for all directions, or for none.

    keys: by party.  sizes: bytes of the messages, by sender and receiver.  Raises InsufficientKey naming what is needed and what there is.
    """
    found: dict[tuple[str, str], Leased] = {}
    try:
        for (sender, receiver), bodies in sizes.items():
            found[sender, receiver] = Leased(keys[sender], receiver, bodies, purpose)
    except HeliographError:
        give_back(found)
        raise
    return found


def give_back(leases: Mapping[tuple[str, str], Leased]) -> None:
    """Release what has not been spent of any."""
    for one in leases.values():
        one.give_back()
