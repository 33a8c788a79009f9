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


def check_no_key(heliograph, folder: Path, run: Path, kind: str) -> None:
    """Try to distil a run: an error of the given kind, no block in either store, and no pattern left that could be tried again."""
    ended = heliograph("distil", run, "--store", folder / "store", "--json")
    assert ended.code != 0
    assert ended.json["error"]["type"] == kind
    assert not any(record["kind"] == "distilled" for path in folder.glob("store/*/distillation.jsonl") for record in records(path))
    assert not list(folder.glob("store/*/patterns/*.bin"))
    shown = heliograph("keys", "show", "--store", folder / "store", "--json").json
    assert all(book["blocks"] == 0 and book["spendable"] == 0 for book in shown.get("stores", []))


def test_pulses_that_were_all_measured_and_sent_again_end_the_exchange_before_the_block(attacked, heliograph, tmp_path):
    ended, (run,) = attacked("whole")

    assert ended.code not in (0, 3)
    assert ended.json["error"]["type"] == "AlignmentError"
    # A quarter of the bits are wrong, in both bases.
    assert "E_x 0.2" in ended.json["error"]["message"]
    check_no_key(heliograph, tmp_path, run, "RunFileError")


def test_a_third_of_the_pulses_intercepted_leaves_light_of_which_no_key_can_be_made(attacked, heliograph, tmp_path):
    ended, (run,) = attacked("part")

    assert ended.code == 0
    preamble = ended.json["pairs"]["A-B"]["preamble"]
    assert preamble["e_x"] == pytest.approx(0.35 / 4.0, abs=0.02)
    check_no_key(heliograph, tmp_path, run, "NoKeyError")


def test_blinded_detectors_end_the_run_by_the_dead_time_they_do_not_have(attacked, heliograph, tmp_path):
    ended, (run,) = attacked("blinding")

    assert ended.code == 4
    assert "within the dead time" in ended.json["error"]["message"]
    assert ended.json["error"]["where"].startswith("tagger")
    check_no_key(heliograph, tmp_path, run, "RunFileError")
