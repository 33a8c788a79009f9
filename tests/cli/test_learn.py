import itertools

import numpy as np
import pytest

from heliograph.core.statement import Provenance, SecurityStatement
from heliograph.postprocess.keystore import KeyBlock, link, open_party

STATEMENT = SecurityStatement((), (), 3e-10, 0, Provenance(True, ("simulated light",)))


def filled(folder, bits, parties="ABC"):
    """Lay key into the stores of all pairs. bits: by pair, or one number for all."""
    keys = {name: open_party(folder, name) for name in parties}
    for number, (a, b) in enumerate(itertools.combinations(parties, 2)):
        with link(keys[a], keys[b]) as made:
            size = bits if isinstance(bits, int) else bits[f"{a}-{b}"]
            material = np.random.default_rng(number).integers(0, 256, size // 8, dtype=np.uint8)
            made.ingest(*(KeyBlock(made.pair, 0, material.copy(), size, STATEMENT, STATEMENT.provenance) for _ in range(2)))
    return folder


def books(heliograph, folder):
    shown = heliograph("keys", "show", "--store", folder, "--json").json["stores"]
    return {(book["party"], book["pair"]): (book["consumed"], book["burned"], book["spendable"]) for book in shown}


def test_rounds_spend_what_they_say(heliograph, tmp_path):
    before = books(heliograph, filled(tmp_path / "store", 40_000))

    found = heliograph("learn", "digits", "--store", tmp_path / "store", "--rounds", 2, "--seed", 1, "--json").json

    after = books(heliograph, tmp_path / "store")
    assert [record["key_bits_spent"] for record in found["rounds"]] == [3 * 576] * 2
    for pair, account in found["key"].items():
        for party in pair.split("-"):
            assert after[party, pair][0] - before[party, pair][0] == account["spent"] == account["planned"]
            assert after[party, pair][1] - before[party, pair][1] == account["burned"]
    assert found["simulated"] is True
    assert {"claims", "assumptions", "epsilon", "leaked_bits"} <= set(found["security"])
    assert found["unmasked_equal"] is None


def test_a_pair_without_key_refuses_the_round_and_nobody_spends(heliograph, tmp_path):
    filled(tmp_path, {"A-B": 40_000, "A-C": 40_000, "B-C": 1_000})
    before = books(heliograph, tmp_path)

    ended = heliograph("learn", "digits", "--store", tmp_path, "--rounds", 2, "--json")

    assert ended.code == 5
    assert ended.json["error"]["where"] == "pair B-C"
    assert "acquire key --pairs B-C" in ended.json["error"]["remedy"]
    assert books(heliograph, tmp_path) == before


def test_two_parties_do_not_learn(heliograph, tmp_path):
    filled(tmp_path, 40_000, "AB")
    ended = heliograph("learn", "digits", "--store", tmp_path, "--json")
    assert ended.code == 3
    assert "three" in ended.json["error"]["message"]


@pytest.mark.parametrize("classes", ["3", "3-3", "3-x", "33-9", ""])
def test_classes_are_two_different_digits(heliograph, tmp_path, classes):
    ended = heliograph("learn", "digits", "--store", tmp_path, "--classes", classes, "--json")
    assert ended.code in (2, 3)
    assert "error" in ended.json


def test_a_run_is_taken_up_again_and_spends_only_the_rounds_that_are_missing(heliograph, tmp_path):
    filled(tmp_path / "store", 40_000)
    words = ("learn", "digits", "--store", tmp_path / "store", "--out", tmp_path / "run", "--json")
    first = heliograph(*words, "--rounds", 1).json
    middle = books(heliograph, tmp_path / "store")

    whole = heliograph(*words, "--rounds", 2, "--resume").json

    assert [record["round"] for record in whole["rounds"]] == [0, 1]
    assert whole["rounds"][0] == first["rounds"][0]
    after = books(heliograph, tmp_path / "store")
    assert after["A", "A-B"][0] - middle["A", "A-B"][0] == first["key"]["A-B"]["spent"]
