from __future__ import annotations

import subprocess
import sys

import pytest

from heliograph.core.files import erase, write_private

TOO_LARGE = """
import resource, signal, sys
from pathlib import Path
from heliograph.core.files import write_private

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_private(Path(sys.argv[1]), bytes(5000))
except OSError:
    sys.exit(7)
"""


def test_a_private_file_is_for_its_owner_only_and_replaces_the_one_before(tmp_path):
    path = tmp_path / "secret"

    write_private(path, b"first")
    write_private(path, b"second")

    assert path.read_bytes() == b"second"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_where_no_more_can_be_written_the_file_stays_as_it_was(tmp_path):
    path = tmp_path / "secret"
    write_private(path, b"before")

    ended = subprocess.run([sys.executable, "-c", TOO_LARGE, path], check=False)

    assert ended.returncode == 7
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_an_erased_file_leaves_zeros_and_no_name(tmp_path):
    path, seen_through = tmp_path / "secret", tmp_path / "second-name"
    write_private(path, b"secret")
    seen_through.hardlink_to(path)

    assert erase(path)
    assert not erase(path)

    assert not path.exists()
    assert seen_through.read_bytes() == bytes(6)


def test_a_folder_that_is_not_there_is_an_oserror(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_private(tmp_path / "nowhere" / "secret", b"secret")
