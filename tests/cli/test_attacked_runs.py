"""An eavesdropper on the simulated bench: every attacked run says why it ended, and no key leaves."""

from pathlib import Path

import pytest

from heliograph.core.ledger import records
from heliograph.instruments.station import default_text

ATTACKS = {
    "whole": '[[fault]]\nkind = "intercept-resend"\nuser = "A"',
    "part": '[[fault]]\nkind = "intercept-resend"\nuser = "B"\namount = 0.35',
    "blinding": '[[fault]]\nkind = "blinding"\namount = "1 uW"',
}


@pytest.fixture
def attacked(heliograph, tmp_path):
    """Run an exchange of light under an attack; return what came of it, its folder and its run files."""

    def run(name):
        (tmp_path / "station.toml").write_bytes(default_text())
        (tmp_path / "attack.toml").write_text(ATTACKS[name])
        options = ("--station", tmp_path / "station.toml", "--store", tmp_path / "store", "--out", tmp_path / "runs", "--faults", tmp_path / "attack.toml")
        ended = heliograph("acquire", "key", *options, "--pairs", "A-B", "--seconds", "1", "--seed", "4", "--json")
        return ended, sorted((tmp_path / "runs").glob("*.h5"))

    return run


def check_nothing_kept(heliograph, folder: Path, run: Path) -> None:
    """Try to distil a run that ended before its block: there is nothing to make key of, not one file of a store, and so no key."""
    ended = heliograph("distil", run, "--store", folder / "store", "--json")
    assert ended.code != 0
    assert ended.json["error"]["type"] == "RunFileError"
    assert [path for path in (folder / "store").rglob("*") if not path.is_dir()] == []
    shown = heliograph("keys", "show", "--store", folder / "store", "--json")
    assert shown.json["error"]["message"] == "there are no key stores"


def check_no_key(heliograph, folder: Path, run: Path) -> None:
    """Try to distil a run whose light came through: no key, no block in either store, and no pattern left that could be tried again."""
    parties = [folder / "store" / party for party in "AB"]
    assert [len(list((party / "patterns").iterdir())) for party in parties] == [1, 1]

    ended = heliograph("distil", run, "--store", folder / "store", "--json")

    assert ended.code != 0
    assert ended.json["error"]["type"] == "NoKeyError"
    assert [list((party / "patterns").iterdir()) for party in parties] == [[], []]
    for party in parties:
        kept = records(party / "distillation.jsonl")
        assert kept, "the attempt must stand in the books"
        assert "distilled" not in {record["kind"] for record in kept}
    books = heliograph("keys", "show", "--store", folder / "store", "--json").json["stores"]
    assert [(book["party"], book["pair"], book["blocks"], book["delivered"], book["spendable"]) for book in books] == [
        ("A", "A-B", 0, 0, 0),
        ("B", "A-B", 0, 0, 0),
    ]
    again = heliograph("distil", run, "--store", folder / "store", "--json")
    assert again.code != 0
    assert again.json["error"]["type"] != "NoKeyError"


def test_pulses_that_were_all_measured_and_sent_again_end_the_exchange_before_the_block(attacked, heliograph, tmp_path):
    ended, (run,) = attacked("whole")

    assert ended.code not in (0, 3)
    assert ended.json["error"]["type"] == "AlignmentError"
    # A quarter of the bits are wrong, in both bases.
    assert "E_x 0.2" in ended.json["error"]["message"]
    check_nothing_kept(heliograph, tmp_path, run)


def test_a_third_of_the_pulses_intercepted_leaves_light_of_which_no_key_can_be_made(attacked, heliograph, tmp_path):
    ended, (run,) = attacked("part")

    assert ended.code == 0
    preamble = ended.json["pairs"]["A-B"]["preamble"]
    assert preamble["e_x"] == pytest.approx(0.35 / 4.0, abs=0.02)
    check_no_key(heliograph, tmp_path, run)


def test_blinded_detectors_end_the_run_by_the_dead_time_they_do_not_have(attacked, heliograph, tmp_path):
    ended, (run,) = attacked("blinding")

    assert ended.code == 4
    assert "within the dead time" in ended.json["error"]["message"]
    assert ended.json["error"]["where"].startswith("tagger")
    check_nothing_kept(heliograph, tmp_path, run)
