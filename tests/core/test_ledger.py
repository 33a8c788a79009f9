import hashlib
import json
import os
import stat
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.core.errors import LedgerCorrupt, ParameterError, StorageError
from heliograph.core.ledger import Ledger, records


@pytest.fixture
def path(tmp_path):
    return tmp_path / "spent.jsonl"


def _three(path):
    with Ledger(path, clock_ns=iter(range(100)).__next__) as ledger:
        for bits in (8, 16, 32):
            ledger.append("spend", bits=bits)


def test_records_come_back_in_order_with_their_chain(path):
    _three(path)

    found = list(records(path))
    lines = path.read_bytes().splitlines()

    assert [record["bits"] for record in found] == [8, 16, 32]
    assert [record["seq"] for record in found] == [0, 1, 2]
    assert [record["t_ns"] for record in found] == [0, 1, 2]
    assert found[0]["prev"] == "0" * 64
    assert found[2]["prev"] == hashlib.sha256(lines[1]).hexdigest()


def test_a_line_is_canonical(path):
    with Ledger(path, clock_ns=lambda: 7) as ledger:
        ledger.append("spend", pair="A-B", epsilon=0.1 + 0.2)

    assert path.read_text() == '{"epsilon":0.30000000000000004,"kind":"spend","pair":"A-B","prev":"' + "0" * 64 + '","seq":0,"t_ns":7,"v":1}\n'


def test_the_file_is_for_its_owner_alone(path):
    _three(path)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_reopened_ledger_continues_the_chain(path):
    _three(path)

    with Ledger(path) as ledger:
        assert ledger.append("spend", bits=64) == 3

    assert [record["bits"] for record in records(path)] == [8, 16, 32, 64]


@pytest.mark.parametrize("cut", [1, 10, 90])
def test_a_torn_last_line_is_set_aside_and_its_act_never_happened(path, cut):
    _three(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])

    assert [record["bits"] for record in records(path)] == [8, 16]
    with pytest.warns(UserWarning, match="torn last line"):
        ledger = Ledger(path)
    with ledger:
        assert ledger.append("spend", bits=64) == 2

    (torn,) = path.parent.glob("*.torn-*")
    assert whole.endswith(torn.read_bytes() + whole[-cut:])
    assert stat.S_IMODE(torn.stat().st_mode) == 0o600
    assert [record["bits"] for record in records(path)] == [8, 16, 64]


@given(position=st.integers(0, 3000), flip=st.integers(1, 255))
def test_any_altered_byte_of_a_followed_line_is_noticed(tmp_path_factory, position, flip):
    path = tmp_path_factory.mktemp("ledger") / "spent.jsonl"
    _three(path)
    raw = bytearray(path.read_bytes())
    last = raw[:-1].rfind(b"\n") + 1
    raw[position % last] ^= flip
    path.write_bytes(raw)

    with pytest.raises(LedgerCorrupt):
        list(records(path))
    with pytest.raises(LedgerCorrupt):
        Ledger(path)


@pytest.mark.parametrize(
    "change", [lambda lines: lines[1:], lambda lines: [lines[0], lines[2]], lambda lines: [lines[1], lines[0], lines[2]], lambda lines: lines + lines[2:]]
)
def test_dropped_swapped_and_repeated_lines_are_noticed(path, change):
    _three(path)
    path.write_bytes(b"".join(change(path.read_bytes().splitlines(keepends=True))))

    with pytest.raises(LedgerCorrupt) as caught:
        list(records(path))

    assert caught.value.where == str(path)


@pytest.mark.parametrize("line", [b"\n", b"[]\n", b"null\n", b"{}\n", b"\xff\n", b'{"v":1}\n', b"[" * 100_000 + b"\n"])
def test_a_line_that_is_no_record_is_damage(path, line):
    _three(path)
    path.write_bytes(path.read_bytes() + line)

    with pytest.raises(LedgerCorrupt):
        Ledger(path)


def test_two_holders_cannot_write_the_same_ledger(path):
    with Ledger(path) as ledger:
        ledger.append("spend", bits=1)
        with pytest.raises(StorageError, match="in use"):
            Ledger(path)
    with Ledger(path) as again:
        assert again.append("spend", bits=2) == 1


def test_the_lock_dies_with_its_holder(path):
    code = f"import os; from heliograph.core.ledger import Ledger; from pathlib import Path; Ledger(Path({str(path)!r})).append('spend'); os._exit(9)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9

    with Ledger(path) as ledger:
        assert ledger.append("spend") == 1


@pytest.mark.parametrize("name", ["seq", "prev", "t_ns", "v"])
def test_the_ledgers_own_names_are_not_given_away(path, name):
    with Ledger(path) as ledger, pytest.raises(ParameterError):
        ledger.append("spend", **{name: 1})


def test_a_folder_that_is_not_there_is_said_so(tmp_path):
    with pytest.raises(StorageError, match="cannot be opened"):
        Ledger(tmp_path / "nowhere" / "spent.jsonl")


FULL = """
import json, resource, signal, sys
from pathlib import Path
from heliograph.core.errors import StorageError
from heliograph.core.ledger import Ledger, records

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
path = Path(sys.argv[1])
ledger = Ledger(path)
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
written = 0
try:
    while True:
        ledger.append("spend", bits=written)
        written += 1
except StorageError as error:
    print(json.dumps({"written": written, "where": error.where, "found": len(list(records(path))), "size": path.stat().st_size}))
"""


def test_a_full_disk_loses_nothing_that_was_promised(path):
    ended = subprocess.run([sys.executable, "-c", FULL, str(path)], capture_output=True, text=True, check=True)

    said = json.loads(ended.stdout)

    assert said["written"] == said["found"] > 5
    assert said["where"] == str(path)
    assert path.read_bytes().endswith(b"\n")
    with Ledger(path) as ledger:
        assert ledger.append("spend", bits=1) == said["written"]


def test_a_record_is_on_disk_before_the_act(path, monkeypatch):
    order: list[str] = []
    real = os.fsync

    def noted(file: int) -> None:
        real(file)
        order.append("fsync")

    monkeypatch.setattr(os, "fsync", noted)

    with Ledger(path) as ledger:
        ledger.append("spend", bits=1)
        order.append("act")

    assert order[-2:] == ["fsync", "act"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, object(), b"x"])
def test_what_is_no_json_is_refused_and_leaves_no_line(tmp_path, value):
    path = tmp_path / "ledger.jsonl"
    with Ledger(path) as ledger:
        ledger.append("first")
        before = path.read_bytes()
        with pytest.raises(ParameterError, match="written down"):
            ledger.append("bad", value=value)
        assert path.read_bytes() == before
        assert ledger.append("second") == 1
