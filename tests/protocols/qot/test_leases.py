"""Key set aside for messages before they are written."""

import uuid

import pytest

from heliograph.core.errors import InsufficientKey, KeyStoreError
from heliograph.postprocess.keystore import Hold, Key
from heliograph.protocols.qot.leases import Leased, give_back, lease_all


class Bits:
    """One party's key, in numbers: every hold is rounded up to chunks, as in a store."""

    def __init__(self, party: str, **peers: int) -> None:
        self.party, self.peers, self.held, self.spent = party, peers, dict[str, int](), list[Hold]()

    def available_bits(self, peer: str) -> int:
        return self.peers[peer] - sum(self.held.values())

    def affordable_holds(self, peer: str, bits: int) -> int:
        return self.available_bits(peer) // (-(-bits // 256) * 256)

    def taken(self, peer: str) -> dict[str, int]:
        return {hold.purpose: -(-hold.bits // 256) * 256 for hold in self.spent if hold.peer == peer}

    def hold(self, peer: str, bits: int, purpose: str) -> Hold:
        chunks = -(-bits // 256) * 256
        if chunks > self.available_bits(peer):
            raise InsufficientKey(f"{self.party}-{peer}", bits, self.available_bits(peer), purpose=purpose)
        hold = Hold(str(uuid.uuid4()), peer, bits, purpose)
        self.held[hold.hold_id] = chunks
        return hold

    def release(self, hold: Hold) -> None:
        self.held.pop(hold.hold_id, None)

    def fetch(self, hold: Hold) -> tuple[Key, ...]:
        self.spent.append(hold)
        return (Key(hold.hold_id, hold.bits, bytes(hold.bits // 8)),)

    def fetch_by_id(self, peer: str, ids: tuple[str, ...], purpose: str) -> tuple[Key, ...]:
        return tuple(Key(f"{one} of {peer} for {purpose}", 8, b"x") for one in ids)


def test_messages_get_the_key_that_was_set_aside_for_their_size_and_no_other():
    keys = Bits("A", B=4096)
    leased = Leased(keys, "B", [32, 10, 32], "a run")

    assert (leased.bits, leased.available_bits("B"), leased.available_bits("C"), leased.party) == (592, 592, 0, "A")
    assert keys.available_bits("B") == 4096 - 3 * 256
    assert leased.fetch(leased.hold("B", 80, "a run"))[0].bits == 80
    leased.hold("B", 256, "a run")
    leased.hold("B", 256, "a run")
    for peer, bits, purpose in (("B", 256, "a run"), ("C", 80, "a run"), ("B", 80, "another run")):
        with pytest.raises(KeyStoreError, match="set aside"):
            leased.hold(peer, bits, purpose)
    assert [hold.bits for hold in keys.spent] == [80]
    assert leased.fetch_by_id("B", ("one",), "a run")[0].key_id == "one of B for a run"


def test_what_was_not_spent_is_given_back():
    keys = Bits("A", B=4096)
    leased = Leased(keys, "B", [32, 10], "a run")
    leased.release(leased.hold("B", 80, "a run"))
    assert keys.available_bits("B") == 4096 - 256

    leased.give_back()
    leased.give_back()

    assert keys.available_bits("B") == 4096


def test_too_little_key_names_the_whole_need_and_holds_nothing():
    keys = Bits("A", B=1000)

    with pytest.raises(InsufficientKey, match="a run, from A to B, needs 1,008 bits, 1,000 are available") as caught:
        Leased(keys, "B", [100, 26], "a run")
    assert caught.value.pair == "A-B"
    assert keys.held == {}


def test_key_that_is_enough_in_sum_and_not_by_chunks_is_not_held_in_part():
    keys = Bits("A", B=1000)

    with pytest.raises(InsufficientKey):
        Leased(keys, "B", [10] * 5, "a run")
    assert keys.held == {}


def test_all_directions_are_held_or_none():
    keys = {"A": Bits("A", B=4096), "B": Bits("B", A=100)}
    sizes = {("A", "B"): [100, 200], ("B", "A"): [20]}

    with pytest.raises(InsufficientKey) as caught:
        lease_all(keys, sizes, "a run")
    assert (caught.value.need_bits, caught.value.have_bits) == (160, 100)
    assert keys["A"].held == keys["B"].held == {}

    keys["B"].peers["A"] = 256
    leases = lease_all(keys, sizes, "a run")
    assert keys["A"].available_bits("B") == 4096 - 1024 - 1792
    give_back(leases)
    assert keys["A"].held == keys["B"].held == {}
