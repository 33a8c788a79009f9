import itertools

import numpy as np
import pytest

from heliograph.control.demo.faults import FLIPPED_MASK_BIT, KNOWN, FlippedMaskBit, bench_faults, key_sources
from heliograph.core.errors import ConfigError
from heliograph.core.statement import Provenance, SecurityStatement
from heliograph.postprocess.keystore import KeyBlock, KeySource, link, open_party
from heliograph.protocols.learning.tasks import digits_task
from heliograph.protocols.qunetqfl import Auditor, Settings, learn

STATEMENT = SecurityStatement((), (), 3e-10, 0, Provenance(True, ("simulated light",)))
BITS = 40_000


@pytest.fixture
def parties(tmp_path):
    keys = {name: open_party(tmp_path, name) for name in "ABC"}
    links = [link(keys[a], keys[b]) for a, b in itertools.combinations("ABC", 2)]
    for number, made in enumerate(links):
        material = np.random.default_rng(number).integers(0, 256, BITS // 8, dtype=np.uint8)
        made.ingest(*(KeyBlock(made.pair, 0, material.copy(), BITS, STATEMENT, STATEMENT.provenance) for _ in range(2)))
    yield keys
    for made in links:
        made.close()


def rounds_equal(parties, *faults):
    return [record.unmasked_equal for record in learn(digits_task(3, 9), key_sources(parties, faults), Settings(rounds=2), auditor=Auditor()).rounds]


def test_a_flipped_bit_of_one_key_makes_its_round_differ_from_the_plain_sum_and_no_other(parties):
    assert rounds_equal(parties) == [True, True]
    assert rounds_equal(parties, FLIPPED_MASK_BIT) == [False, True]


def test_exactly_one_bit_of_one_key_is_wrong(parties):
    harmed = FlippedMaskBit(parties["A"])
    assert isinstance(harmed, KeySource)

    pairs = []
    for _ in range(2):
        taken = harmed.fetch(harmed.hold("B", 512, "test"))
        pairs.append((taken, parties["B"].fetch_by_id("A", tuple(key.key_id for key in taken), "test")))

    wrong = [sum((a ^ b).bit_count() for one, other in zip(*pair, strict=True) for a, b in zip(one.material, other.material, strict=True)) for pair in pairs]
    assert wrong == [1, 0]


def test_a_hold_through_it_is_a_hold_in_the_store(parties):
    harmed = FlippedMaskBit(parties["A"])
    before = harmed.available_bits("B")

    hold = harmed.hold("B", 512, "test")
    assert (harmed.party, harmed.available_bits("B")) == ("A", before - 512)

    harmed.release(hold)
    assert parties["A"].available_bits("B") == before


def test_the_fault_of_the_masks_is_not_handed_to_the_bench():
    assert bench_faults(["laser-refuses", FLIPPED_MASK_BIT, "garbage:tagger"]) == ("laser-refuses", "garbage:tagger")


def test_an_unknown_fault_is_refused_with_all_known_names():
    with pytest.raises(ConfigError) as caught:
        bench_faults(["nope"])
    assert all(name in caught.value.remedy for name in KNOWN)
    assert FLIPPED_MASK_BIT in KNOWN
