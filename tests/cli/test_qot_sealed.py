"""`heliograph qot infer --store`: some images between machines, under key that is spent and booked."""

import shutil
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from heliograph.core.statement import Provenance, SecurityStatement
from heliograph.postprocess.keystore import KeyBlock, link, open_party, read_ledgers
from heliograph.protocols.qot import exchange

INFER = ("qot", "infer", "--task", "digits", "--backend", "law:ideal", "--shots", 20, "--images", 20, "--check", 0, "--json")


@pytest.fixture(autouse=True)
def models(monkeypatch, tmp_path_factory):
    """A folder of networks, with those that other tests of the command may have trained."""
    base = tmp_path_factory.getbasetemp()
    folder, others = base / "qot-sealed-models", base / "qot-models"
    if others.is_dir():
        shutil.copytree(others, folder, dirs_exist_ok=True)
    monkeypatch.setenv("HELIOGRAPH_MODELS", str(folder))


def filled(folder: Path, names: str, size: int) -> Path:
    statement = SecurityStatement(("a claim",), ("an assumption of the key",), 1e-10, 0, Provenance(True, ("a test",)))
    parties = {name: open_party(folder, name) for name in names}
    for a, b in combinations(parties, 2):
        with link(parties[a], parties[b]) as joined:
            material = np.random.default_rng(1).integers(0, 256, size, dtype=np.uint8)
            block = KeyBlock(f"{a}-{b}", 0, material, 8 * size, statement, statement.provenance)
            joined.ingest(block, block)
    return folder


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    """Three parties; their key lasts for one image."""
    return filled(tmp_path_factory.mktemp("stores"), "ABC", 20_000)


def test_an_image_between_machines_spends_what_was_foreseen_then_key_is_short(heliograph, three):
    """First Bob is B and Alice A; for a second image as many bits are no longer there."""
    found = heliograph(*INFER, "--store", three).json["sealed"]

    booked = {book.pair: sum(one.bits for one in book.spendings if one.purpose == "qot infer digits") for book in read_ledgers(three)}
    assert found["by_pair"] == booked
    assert set(booked) == {"A-B", "A-C", "B-C"}
    assert found["drawn_bits"] == found["predicted_bits"] == sum(booked.values())
    assert (found["alice"], found["bob"], found["aggregator"], found["images"]) == ("A", "B", "C", 1)
    assert 20 * found["drawn_bits"] == pytest.approx(found["task_bits"], rel=0.05)
    assert found["x_pass"] == pytest.approx(5 / 16, abs=0.05)
    assert found["transfers"] < found["states"]

    ended = heliograph(*INFER, "--store", three)
    assert ended.code == 5
    error = ended.json["error"]
    assert error["type"] == "InsufficientKey"
    assert "qot infer digits, from A to B, needs" in error["message"]
    assert error["where"] == "pair A-B"
    after = {book.pair: sum(one.bits for one in book.spendings if one.purpose == "qot infer digits") for book in read_ledgers(three)}
    assert after == booked


def test_what_was_spent_is_said_and_what_was_only_computed_too(heliograph, tmp_path):
    store = filled(tmp_path, "AB", 20_000)

    sealed = heliograph(*INFER, "--store", store, "--pair", "B-A", "--opening", "shots").json
    plain = heliograph(*INFER).json

    assert (sealed["sealed"]["alice"], sealed["sealed"]["bob"]) == ("B", "A")
    assert any(f"{sealed['sealed']['drawn_bits']:,} bits of one-time pads" in one for one in sealed["security"]["assumptions"])
    assert not any("no key was drawn" in one for one in sealed["security"]["assumptions"])
    assert "key of pair A-B as stated when it was distilled" in sealed["security"]["assumptions"]
    # That of the key, and 1e-6 each for two sets of decoys, errors, unevenness and purity.
    assert sealed["security"]["epsilon"] == pytest.approx(1e-10 + 5e-6)
    assert plain["sealed"] is None
    assert any("no key was drawn" in one for one in plain["security"]["assumptions"])


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--samples", 2), 2, "--store"),
        (("--pair", "A-B"), 2, "--store"),
        (("--aggregator", "C"), 2, "--store"),
        (("--store", "STORES", "--pair", "A-D"), 3, "D has no key store here"),
        (("--store", "STORES", "--pair", "A-A"), 3, "two parties are needed"),
        (("--store", "STORES", "--pair", "A"), 3, "two parties are needed"),
        (("--store", "STORES", "--aggregator", "B"), 3, "third party"),
        (("--store", "STORES", "--aggregator", "D"), 3, "D has no key store here"),
        (("--store", "NOTHING"), 3, "two parties are needed"),
    ],
)
def test_wrong_names_are_told_before_anything_is_trained(heliograph, three, tmp_path, words, code, said):
    named = {"STORES": three, "NOTHING": tmp_path}

    ended = heliograph(*INFER, *(named.get(word, word) if isinstance(word, str) else word for word in words))

    assert ended.code == code
    assert said in ended.err
    assert "What it will take" not in ended.err


def test_more_samples_than_images_are_refused(heliograph, three):
    ended = heliograph(*INFER, "--store", three, "--samples", 21)

    assert ended.code == 3
    assert "21 of 20 test images" in ended.json["error"]["message"]


def test_two_parties_alone_open_every_shot_or_nothing(heliograph, tmp_path):
    ended = heliograph(*INFER, "--store", filled(tmp_path, "AB", 2000))

    assert ended.code == 3
    assert "--opening shots" in ended.json["error"]["remedy"]


def test_parties_without_a_store_in_common_are_named(heliograph, tmp_path):
    filled(tmp_path, "AB", 2000)
    filled(tmp_path, "CD", 2000)

    ended = heliograph(*INFER, "--store", tmp_path, "--pair", "A-C", "--opening", "shots")

    assert ended.code == 3
    assert "pair A-C has no key store" in ended.json["error"]["message"]


def test_one_seed_settles_none_of_the_states_of_two_runs(heliograph, tmp_path, monkeypatch):
    """Halves of two command lines with the same seed, compared at every shift."""
    store, dealt = filled(tmp_path, "AB", 40_000), []
    hear = exchange.AskingOnce.hear

    def noting(self, payload):
        dealt.append(self._own.copy())
        hear(self, payload)

    monkeypatch.setattr(exchange.AskingOnce, "hear", noting)
    for _ in range(2):
        assert heliograph(*INFER, "--store", store, "--opening", "shots", "--seed", 0).code == 0

    one, other = (np.concatenate(run) for run in (dealt[: len(dealt) // 2], dealt[len(dealt) // 2 :]))
    longest = min(one.size, other.size) // 2
    alike = [float((one[shift : shift + longest] == other[:longest]).mean()) for shift in range(-(-one.size // 4))]
    alike += [float((other[shift : shift + longest] == one[:longest]).mean()) for shift in range(-(-one.size // 4))]
    assert max(alike) < 0.35
