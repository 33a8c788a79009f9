"""What protocols see: holds, fetches, blocks, books."""

from __future__ import annotations

import json
import pickle
import sqlite3
import stat
import threading

import numpy as np
import pytest

from heliograph.core.errors import (
    DesyncError,
    FrameError,
    HeliographError,
    InsufficientKey,
    KeyStoreError,
    ParameterError,
    ProvenanceError,
    StoreLocked,
    UnknownKey,
)
from heliograph.core.statement import Provenance
from heliograph.postprocess.keystore import Injected, KeySource, SplitPolicy, link, open_party, read_ledger, read_ledgers
from heliograph.postprocess.keystore.database import plain_connect
from heliograph.postprocess.keystore.schema import Pool


def ids(keys):
    return tuple(key.key_id for key in keys)


def test_a_party_is_a_key_source(pair):
    assert isinstance(pair.a, KeySource)


def test_both_parties_get_the_same_key_and_each_bit_comes_from_the_block(pair, make_block):
    assert pair.ingest(bits=1_180_003) == 1
    taken = pair.a.fetch(pair.a.hold("B", 576, "round 0")) + pair.a.fetch(pair.a.hold("B", 150_000, "round 1"))

    got = pair.b.fetch_by_id("A", ids(taken), "rounds")

    assert got == taken
    assert sum(key.bits for key in taken) == 150_576
    assert all(len(key.material) * 8 == key.bits for key in taken)
    whole = make_block(bits=1_180_003).material.tobytes()
    assert all(key.material in whole for key in taken)


def test_the_directions_have_separate_pools_and_both_parties_can_hold(pair):
    pair.ingest()
    before = pair.a.available_bits("B"), pair.b.available_bits("A")

    key = pair.b.fetch(pair.b.hold("A", 256, "from b"))

    assert pair.a.fetch_by_id("B", ids(key), "at a") == key
    assert before[0] == before[1] > 40_000
    assert (pair.a.available_bits("B"), pair.b.available_bits("A")) == (before[0], before[1] - 256)


def test_a_hold_lowers_the_gauge_and_spends_nothing(pair):
    pair.ingest()
    before = pair.a.available_bits("B")

    hold = pair.a.hold("B", 1000, "round 0")

    assert pair.a.available_bits("B") == before - 1024
    assert pair.a.ledger("B").held == 1024
    pair.a.release(hold)
    pair.a.release(hold)
    assert pair.a.available_bits("B") == before
    assert pair.a.ledger("B").consumed == 0


@pytest.mark.parametrize("bits", [576, 256, 33_000])
def test_what_can_be_afforded_is_what_can_be_held_with_the_ends_of_chunks(pair, bits):
    pair.ingest(bits=200_000)
    lasts = pair.a.affordable_holds("B", bits)
    assert lasts <= pair.a.available_bits("B") // bits

    for number in range(lasts):
        assert pair.a.affordable_holds("B", bits) == lasts - number
        pair.a.hold("B", bits, "a round")

    with pytest.raises(InsufficientKey):
        pair.a.hold("B", bits, "one more")


def test_what_was_taken_is_told_by_purpose_with_the_ends_of_chunks(pair):
    pair.ingest(bits=200_000)
    for purpose in ("round 0", "round 1", "round 1"):
        keys = pair.a.fetch(pair.a.hold("B", 576, purpose))
    pair.b.fetch_by_id("A", tuple(key.key_id for key in keys), "round 1")
    pair.a.hold("B", 576, "round 2")

    assert pair.a.taken("B") == {"round 0": 768, "round 1": 2 * 768}
    assert pair.b.taken("A") == {"round 1": 768}


def test_a_hold_is_spent_once(pair):
    pair.ingest()
    hold = pair.a.hold("B", 256, "round 0")
    pair.a.fetch(hold)
    released = pair.a.hold("B", 256, "round 1")
    pair.a.release(released)

    for dead in (hold, released):
        with pytest.raises(KeyStoreError, match="spent or was released"):
            pair.a.fetch(dead)


def test_more_than_there_is_cannot_be_held_and_nothing_changes(pair):
    pair.ingest()
    most = pair.a.available_bits("B")
    audit = pair.a.ledger("B").audit_records

    with pytest.raises(InsufficientKey) as caught:
        pair.a.hold("B", most + 8, "round 3")

    assert (caught.value.pair, caught.value.need_bits, caught.value.have_bits) == ("A-B", most + 8, most)
    assert pair.a.ledger("B").audit_records == audit
    keys = pair.a.fetch(pair.a.hold("B", most, "all of it"))
    assert sum(key.bits for key in keys) == most
    assert pair.a.available_bits("B") == 0
    assert pair.b.fetch_by_id("A", ids(keys), "all of it") == keys
    assert pair.b.available_bits("A") == most


def test_what_is_held_can_be_fetched_whatever_is_held_beside_it(pair):
    pair.ingest(bits=1_180_000)
    holds = [pair.a.hold("B", bits, f"mask of {bits}") for bits in (40_000, 8, 33_000, 100_000, 4096)]
    while (left := pair.a.available_bits("B")) > 0:
        holds.append(pair.a.hold("B", min(left, 30_008), "the rest"))

    for hold in holds[::-1]:
        keys = pair.a.fetch(hold)
        assert sum(key.bits for key in keys) == hold.bits
        assert pair.b.fetch_by_id("A", ids(keys), "mask") == keys


@pytest.mark.parametrize("bits", [0, -8, 12])
def test_odd_numbers_of_bits_are_refused(pair, bits):
    with pytest.raises(ParameterError):
        pair.a.hold("B", bits, "x")


@pytest.mark.parametrize("purpose", ["", "two\nlines", "x" * 201, "\ud800"])
def test_a_purpose_is_one_line(pair, purpose):
    with pytest.raises(ParameterError):
        pair.a.hold("B", 8, purpose)


def test_a_key_is_fetched_once_by_the_peer_and_a_mixed_batch_touches_nothing(pair):
    pair.ingest()
    first, second = pair.a.fetch(pair.a.hold("B", 256, "1")), pair.a.fetch(pair.a.hold("B", 256, "2"))
    assert pair.b.fetch_by_id("A", ids(first), "1") == first

    for batch in (ids(second) + ids(first), ids(second) * 2, (*ids(second), "no such key"), ()):
        with pytest.raises(UnknownKey):
            pair.b.fetch_by_id("A", batch, "2")

    assert pair.b.fetch_by_id("A", ids(second), "2") == second


def test_own_keys_are_not_fetched_by_id(pair):
    pair.ingest()
    key = pair.a.fetch(pair.a.hold("B", 256, "1"))

    with pytest.raises(UnknownKey):
        pair.a.fetch_by_id("B", ids(key), "again")


def test_consumers_never_touch_the_authentication_pools(pair):
    pair.ingest()
    before = pair.a.ledger("B").available

    while left := pair.a.available_bits("B"):
        pair.a.fetch(pair.a.hold("B", left, "drain"))
    while left := pair.b.available_bits("A"):
        pair.b.fetch(pair.b.hold("A", left, "drain"))

    after = pair.a.ledger("B").available
    assert {pool: after[pool] for pool in ("auth_ab", "auth_ba")} == {pool: before[pool] for pool in ("auth_ab", "auth_ba")}
    assert after["auth_ab"] > 0
    assert after["data_ab"] == after["data_ba"] == after["bulk_ab"] == 0


def test_blocks_count_from_one_and_only_the_next_is_taken(pair, make_block):
    assert pair.a.next_block("B") == 1
    assert pair.ingest(seed=1) == 1
    assert pair.ingest(seed=2) == 2
    for number in (1, 2, 4):
        with pytest.raises(KeyStoreError, match="not the next one"):
            pair.a.ingest(make_block(number=number))
    assert pair.link.ingest(make_block(number=3), make_block(number=3)) == 3
    assert pair.a.ledger("B").blocks == 3


@pytest.mark.parametrize("order", ["ab", "ba"])
def test_halves_come_in_any_order(pair, make_block, order):
    first, second = (getattr(pair, name) for name in order)

    assert first.ingest(make_block()) is False
    assert first.available_bits(second.party) == 0
    assert second.ingest(make_block()) is True
    assert first.available_bits(second.party) == second.available_bits(first.party) > 0


def test_different_halves_are_burned_at_both_ends(pair, make_block):
    with pytest.raises(DesyncError, match="different bits"):
        pair.link.ingest(make_block(seed=1), make_block(seed=2))

    assert pair.a.available_bits("B") == pair.b.available_bits("A") == 0
    assert pair.a.next_block("B") == pair.b.next_block("A") == 2
    assert pair.ingest(seed=3) == 2
    key = pair.a.fetch(pair.a.hold("B", 256, "1"))
    assert pair.b.fetch_by_id("A", ids(key), "1") == key


def test_halves_of_different_length_are_burned(pair, make_block):
    with pytest.raises(DesyncError):
        pair.link.ingest(make_block(bits=100_000), make_block(bits=100_008))
    assert pair.ingest() == 2


def test_a_half_with_bits_in_its_padding_is_refused(pair, make_block):
    bad = make_block(bits=1001)
    bad.material[-1] |= 0x80

    with pytest.raises(FrameError, match="padding"):
        pair.a.ingest(bad)


def test_real_key_does_not_go_into_a_store_of_simulated_key(pair, make_block):
    with pytest.raises(ProvenanceError):
        pair.link.ingest(make_block(), make_block(provenance=Provenance(False)))
    with pytest.raises(ProvenanceError):
        pair.a.ingest(make_block(provenance=Provenance(False)))
    assert pair.a.ledger("B").blocks == 0


def test_a_store_keeps_its_provenance(pair, tmp_path):
    pair.link.close()

    with pytest.raises(ProvenanceError):
        link(*(open_party(tmp_path, name, provenance="real", kek=bytes(32)) for name in "AB"))
    with pytest.raises(ProvenanceError):
        link(open_party(tmp_path, "A"), open_party(tmp_path, "B", provenance="real", kek=bytes(32)))
    with pytest.raises(ParameterError):
        open_party(tmp_path, "A", provenance="real")
    pair.open()


def test_a_block_that_would_overfill_the_store_is_refused_whole(tmp_path, make_block):
    policy = SplitPolicy(capacity={Pool.DATA_AB: 100})
    a, b = open_party(tmp_path, "A", policy=policy), open_party(tmp_path, "B", policy=policy)

    with link(a, b) as made:
        with pytest.raises(KeyStoreError, match="overfill"):
            made.ingest(make_block(), make_block())
        assert a.ledger("B").blocks == 0

        assert made.ingest(make_block(bits=20_000), make_block(bits=20_000)) == 1


def test_three_parties_have_three_links(tmp_path, make_block):
    parties = {name: open_party(tmp_path, name) for name in "ABC"}
    links = [link(parties[x], parties[y]) for x, y in ("AB", "CA", "BC")]
    for made in links:
        made.ingest(make_block(made.pair), make_block(made.pair))

    assert parties["A"].peers == ("B", "C")
    key = parties["C"].fetch(parties["C"].hold("A", 512, "x"))
    assert parties["A"].fetch_by_id("C", ids(key), "x") == key
    for party in parties.values():
        party.close()
    assert [(books.party, books.pair) for books in read_ledgers(tmp_path)] == [
        ("A", "A-B"),
        ("A", "A-C"),
        ("B", "A-B"),
        ("B", "B-C"),
        ("C", "A-C"),
        ("C", "B-C"),
    ]


def test_a_store_is_open_once(pair, tmp_path):
    with pytest.raises(StoreLocked):
        link(open_party(tmp_path, "A"), open_party(tmp_path, "B"))
    with pytest.raises(StoreLocked):
        read_ledger(pair.path("A"))


def test_of_two_that_provision_a_link_at_once_one_waits_and_finds_it_open(tmp_path):
    """Each would otherwise take away the other's half-made store, or the guard it stands by."""
    refused: list[BaseException] = []

    def second() -> None:
        try:
            link(open_party(tmp_path, "A"), open_party(tmp_path, "B")).close()
        except (HeliographError, OSError) as error:
            refused.append(error)

    rival = threading.Thread(target=second)

    def slow(path: str) -> sqlite3.Connection:
        if not rival.ident:
            rival.start()
            rival.join(0.3)
        return plain_connect(path)

    made = link(open_party(tmp_path, "A", injected=Injected(connect=slow)), open_party(tmp_path, "B"))
    rival.join()
    made.close()

    assert [type(error) for error in refused] == [StoreLocked]
    link(open_party(tmp_path, "A"), open_party(tmp_path, "B")).close()


def test_files_are_private_and_the_secret_is_gone(pair, tmp_path):
    pair.ingest()

    for folder in (tmp_path / "A", tmp_path / "B"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in folder.iterdir())
        assert not (folder / "A-B.secret").exists()


def test_the_books_balance_at_both_ends(pair):
    pair.ingest(bits=1_180_003)
    for number in range(3):
        keys = pair.a.fetch(pair.a.hold("B", 576, f"round {number}"))
        pair.b.fetch_by_id("A", ids(keys), f"round {number}")
    pair.a.fetch(pair.a.hold("B", 1000, "never picked up"))

    for books in (pair.a.ledger("B"), pair.b.ledger("A")):
        assert (books.blocks, books.delivered) == (1, 1_180_003)
        assert books.delivered + books.preshared == sum(books.available.values()) + books.in_flight + books.consumed + books.authentication + books.burned
        assert books.audit_ok
        assert 3e-10 <= books.epsilon < 3.1e-10
        assert [(spent.purpose, spent.bits) for spent in books.spendings[:3]] == [(f"round {n}", 576) for n in range(3)]
        json.dumps(books.as_dict())
    assert pair.a.ledger("B").spendings[3].bits == 1000
    assert pair.b.ledger("A").in_flight == 1024


def test_reading_the_books_changes_nothing(pair):
    pair.ingest()
    live = pair.a.ledger("B")
    pair.link.close()
    before = {path: path.read_bytes() for path in pair.path("A").parent.iterdir()}

    read = read_ledger(pair.path("A"))

    assert (read.available, read.delivered, read.spendable, read.audit_ok) == (live.available, live.delivered, live.spendable, True)
    assert {path: path.read_bytes() for path in pair.path("A").parent.iterdir()} == before


def test_no_key_bytes_lie_in_the_files(pair, make_block):
    pair.ingest(bits=1_180_000)
    keys = pair.a.fetch(pair.a.hold("B", 2048, "x"))
    material = make_block(bits=1_180_000).material.tobytes()
    pair.link.close()

    stored = b"".join(path.read_bytes() for path in pair.folder.rglob("*") if path.is_file())
    assert keys[0].material[:16] not in stored
    assert all(material[at : at + 12] not in stored for at in range(0, len(material), 1024))


def test_the_ciphertext_of_consumed_key_leaves_the_disk(pair):
    pair.ingest()
    rows = pair.link.ends[0].store.db.all("SELECT ct FROM chunk WHERE pool=3 ORDER BY idx LIMIT 4")
    pair.a.fetch(pair.a.hold("B", 1024, "x"))

    pair.link.ends[0].store.db.checkpoint()

    stored = pair.path("A").read_bytes() + pair.path("A").with_name("A-B.sqlite-wal").read_bytes()
    assert all(row[0] not in stored for row in rows)


def test_the_data_key_of_a_used_up_block_is_wiped(tmp_path, make_block):
    policy = SplitPolicy(auth_share=0.0)
    a, b = open_party(tmp_path, "A", policy=policy), open_party(tmp_path, "B", policy=policy)
    with link(a, b) as made:
        made.ingest(make_block(), make_block())
        for one, two in ((a, b), (b, a)):
            keys = one.fetch(one.hold(two.party, one.available_bits(two.party), "all"))
            two.fetch_by_id(one.party, ids(keys), "all")
        states = [end.store.db.all("SELECT state, dek FROM block WHERE b=1") for end in made.ends]

    assert states == [[("empty", None)], [("empty", None)]]


def test_a_key_shows_its_id_only(pair):
    pair.ingest()
    key = pair.a.fetch(pair.a.hold("B", 256, "x"))[0]

    for text in (repr(key), str(key), f"{key}"):
        assert key.key_id in text
        assert key.material.hex() not in text
        assert repr(key.material) not in text
    assert key != object()
    with pytest.raises(TypeError):
        pickle.dumps(key)
    with pytest.raises(TypeError):
        json.dumps(key)


def test_links_are_between_two_different_parties(tmp_path):
    a = open_party(tmp_path, "A")

    with pytest.raises(ParameterError):
        link(a, open_party(tmp_path, "A"))
    with pytest.raises(ParameterError):
        open_party(tmp_path, "../A")
    with pytest.raises(KeyStoreError, match="no link"):
        a.available_bits("B")


def test_a_block_of_another_pair_is_refused(pair, make_block):
    for name in ("A-C", "B-A", "A", "B-C"):
        with pytest.raises((ParameterError, KeyStoreError)):
            pair.a.ingest(make_block(name))


def test_a_block_says_how_many_bits_it_has(make_block):
    good = make_block(bits=12)
    with pytest.raises(ParameterError):
        type(good)("A-B", 1, np.zeros(3, np.uint8), 12, good.statement, good.provenance)
    assert "12" in repr(good)
