from __future__ import annotations

import os
import subprocess
import sys

import pytest

from heliograph.core.files import beside, erase, room, write_private

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


@pytest.fixture
def killed(tmp_path):
    """Return a secret, and what a process left that was killed while it wrote it anew, both also seen under other names."""
    path, part = tmp_path / "secret", tmp_path / ".secret.part"
    write_private(path, b"before", secret=True)
    part.write_bytes(b"half")
    seen = tmp_path / "seen-1", tmp_path / "seen-2"
    for one, other in zip((path, part), seen, strict=True):
        other.hardlink_to(one)
    return path, part, seen


def test_a_secret_that_is_written_anew_leaves_zeros_of_the_one_before_and_of_a_killed_writing(killed):
    path, part, seen = killed

    write_private(path, b"after", secret=True)

    assert path.read_bytes() == b"after"
    assert not part.exists()
    assert [one.read_bytes() for one in seen] == [bytes(6), bytes(4)]


def test_what_a_killed_writing_left_is_erased_with_the_file(killed):
    path, part, seen = killed

    assert erase(path)

    assert not path.exists()
    assert not part.exists()
    assert [one.read_bytes() for one in seen] == [bytes(6), bytes(4)]


def test_a_folder_that_is_not_there_is_an_oserror(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_private(tmp_path / "nowhere" / "secret", b"secret")


def test_room_is_kept_without_a_name_until_it_is_given_back(tmp_path):
    kept = room(tmp_path, 1_000_000, 500_000)

    found = os.fstat(kept.fileno())
    assert found.st_size == 1_000_000
    assert found.st_blocks * 512 >= 1_000_000
    assert not list(tmp_path.iterdir())
    kept.close()


def test_room_that_is_not_there_is_an_oserror(tmp_path):
    with pytest.raises(OSError, match="No space left|too large"):
        room(tmp_path, 1 << 60, 0)


def test_a_file_is_replaced_whole_or_stays_as_it_was(tmp_path):
    path, link = tmp_path / "report.md", tmp_path / "link.md"
    path.write_text("before")
    path.chmod(0o640)
    link.symlink_to(path)

    with pytest.raises(ZeroDivisionError), beside(path) as fresh:
        fresh.write_text("half")
        _ = 1 / 0
    assert path.read_text() == "before"
    with beside(link) as fresh:
        assert fresh.suffix == ".md"
        fresh.write_text("after")

    assert path.read_text() == "after"
    assert path.stat().st_mode & 0o777 == 0o640
    assert link.is_symlink()
    assert sorted(one.name for one in tmp_path.iterdir()) == ["link.md", "report.md"]


def test_what_is_no_ordinary_file_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(FileExistsError), beside(path):
            pass
