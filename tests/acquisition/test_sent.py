import json
import stat
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from heliograph.acquisition.patterns import demo_patterns
from heliograph.acquisition.sent import Sent, erase_sent, load_sent, save_sent, waits_for
from heliograph.core.entropy import SimRandom
from heliograph.core.errors import RunFileError, StorageError


@pytest.fixture
def sent():
    return Sent(demo_patterns(SimRandom(3), 1001, 100, 10)[0], "run", "A", 0.017, 500_000_000)


def test_the_file_is_private_and_comes_back(tmp_path, sent):
    path = tmp_path / "patterns" / "run-A.bin"

    save_sent(path, sent)
    loaded = load_sent(path, run_id="run", party="A")

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert np.array_equal(loaded.pattern.basis, sent.pattern.basis)
    assert np.array_equal(loaded.pattern.bit, sent.pattern.bit)
    assert (loaded.pattern.mode, loaded.mu, loaded.pulses) == ("demo", 0.017, 500_000_000)
    assert list(path.parent.iterdir()) == [path]


def test_somebody_elses_file_is_refused(tmp_path, sent):
    path = tmp_path / "run-A.bin"
    save_sent(path, sent)

    with pytest.raises(RunFileError, match="party"):
        load_sent(path, party="B")
    with pytest.raises(RunFileError, match="run_id"):
        load_sent(path, run_id="other")
    with pytest.raises(RunFileError, match="no pattern file"):
        load_sent(tmp_path / "none")


@pytest.mark.parametrize(
    ("old", "new"), [(b'"pulses": 500000000', b'"pulses": 400000000'), (b'"party": "A"', b'"party": "B"'), (b'"sha256"', b'"sha"'), (b"{", b"[")]
)
def test_a_damaged_file_is_refused(tmp_path, sent, old, new):
    path = tmp_path / "run-A.bin"
    save_sent(path, sent)
    path.write_bytes(path.read_bytes().replace(old, new, 1))

    with pytest.raises(RunFileError, match="intact"):
        load_sent(path)


def test_an_altered_plane_is_refused(tmp_path, sent):
    path = tmp_path / "run-A.bin"
    save_sent(path, sent)
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")

    with pytest.raises(RunFileError, match="intact"):
        load_sent(path)


def test_an_erased_file_leaves_zeros_and_no_name(tmp_path, sent):
    path, witness = tmp_path / "run-A.bin", tmp_path / "second-name"
    save_sent(path, sent)
    witness.hardlink_to(path)

    assert erase_sent(path)
    assert not path.exists()
    assert set(witness.read_bytes()) == {0}
    assert not erase_sent(path)


def test_a_pattern_that_is_kept_again_with_fewer_pulses_leaves_zeros_of_the_first_file(tmp_path, sent):
    path, witness = tmp_path / "run-A.bin", tmp_path / "second-name"
    save_sent(path, sent)
    witness.hardlink_to(path)

    save_sent(path, replace(sent, pulses=1_000_000))

    assert set(witness.read_bytes()) == {0}
    assert load_sent(path).pulses == 1_000_000


def test_a_folder_that_cannot_be_written_is_a_storage_error(tmp_path, sent):
    blocked = tmp_path / "file"
    blocked.write_text("")

    with pytest.raises(StorageError):
        save_sent(blocked / "run-A.bin", replace(sent, party="B"))


def test_a_pattern_file_says_itself_what_it_waits_for(tmp_path, sent):
    path = tmp_path / "run-A.bin"
    assert waits_for(path) == ""
    save_sent(path, sent)
    assert waits_for(path) == ""
    with ExitStack() as on:
        save_sent(path, sent, on=on)
        assert waits_for(path) == "run"
    assert waits_for(path) == ""
    save_sent(path, replace(sent, whole=True))
    assert waits_for(path) == "key"


def test_a_run_that_saves_its_pattern_is_on_at_every_moment(tmp_path, sent, monkeypatch):
    path, seen = tmp_path / "run-A.bin", []
    replaced = Path.replace

    def looked(part, target):
        replaced(part, target)
        seen.append(waits_for(path))

    monkeypatch.setattr(Path, "replace", looked)
    with ExitStack() as on:
        save_sent(path, sent, on=on)
        save_sent(path, replace(sent, whole=True), on=on)
    assert seen == ["run", "run"]


def test_a_pattern_file_of_an_earlier_version_may_wait_for_key(tmp_path, sent, monkeypatch):
    path = tmp_path / "run-A.bin"
    dumps = json.dumps
    monkeypatch.setattr(json, "dumps", lambda about, **how: dumps({name: value for name, value in about.items() if name != "whole"}, **how))
    save_sent(path, sent)
    monkeypatch.undo()

    assert b'"whole"' not in path.read_bytes()
    assert waits_for(path) == "key"


def test_what_cannot_be_read_waits_for_nobody_knows_what(tmp_path):
    path = tmp_path / "run-A.bin"
    path.mkdir()

    with pytest.raises(RunFileError, match="cannot be read"):
        waits_for(path)
