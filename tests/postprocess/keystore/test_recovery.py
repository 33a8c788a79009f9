"""Kills, full disks, old copies, damage: nothing is served twice, and what cannot be trusted is not served."""

from __future__ import annotations

import itertools
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from heliograph.core.errors import GuardMismatch, HeliographError, KeyStoreError, RollbackSuspected, StorageError, StoreCorrupt, UnknownKey
from heliograph.postprocess.keystore import Injected, link, open_party, read_ledger


def ids(keys):
    return tuple(key.key_id for key in keys)


def words(keys):
    """Return the 8-byte pieces of keys: random, so that a repeated one is a repeated key."""
    return [key.material[i : i + 8] for key in keys for i in range(0, len(key.material) - 7, 8)]


def spend(pair, purpose: str = "x", bits: int = 2560):
    keys = pair.a.fetch(pair.a.hold("B", bits, purpose))
    assert pair.b.fetch_by_id("A", ids(keys), purpose) == keys
    return words(keys)


def altered(path: Path, sql: str) -> None:
    connection = sqlite3.connect(path)
    with connection:
        assert connection.execute(sql).rowcount > 0
    connection.close()


# Clean and unclean stops


def test_a_clean_stop_loses_nothing(pair):
    pair.ingest(bits=300_000)
    spend(pair)
    before = pair.a.ledger("B").available

    pair.reopen()

    assert pair.a.ledger("B").available == pair.b.ledger("A").available == before
    spend(pair)


def test_an_unclean_stop_burns_one_lease_at_most_and_both_ends_agree(pair, chunks):
    pair.ingest(bits=1_180_000)
    seen = spend(pair)
    before = pair.a.ledger("B").available
    pair.crash()

    pair.open()

    after = pair.a.ledger("B").available
    assert before["data_ab"] - 16 * 256 <= after["data_ab"] < before["data_ab"]
    assert {k: v for k, v in after.items() if k != "data_ab"} == {k: v for k, v in before.items() if k != "data_ab"}
    here, there = chunks(pair.link)
    assert here == there
    assert not set(seen) & set(spend(pair))


def test_three_unclean_stops_between_rounds_leave_the_key_for_hundreds_more(pair):
    pair.ingest(bits=1_180_000)
    before = pair.a.available_bits("B")
    for _ in range(3):
        spend(pair, bits=576)
        spend(pair, bits=33_000)
        pair.crash()
        pair.open()

    taken = 3 * (768 + 32_768 + 256)
    assert before - taken - 3 * 16 * 256 <= pair.a.available_bits("B") < before - taken


def test_keys_fetched_by_one_party_survive_the_other_partys_crash(pair):
    pair.ingest()
    keys = pair.a.fetch(pair.a.hold("B", 512, "x"))
    pair.crash()

    pair.open()

    assert pair.b.fetch_by_id("A", ids(keys), "x") == keys
    with pytest.raises(UnknownKey):
        pair.b.fetch_by_id("A", ids(keys), "x")


def test_offers_nobody_fetches_are_burned_after_a_day(tmp_path, make_block):
    now = [1_700_000_000_000]
    injected = Injected(clock=lambda: now[0])
    with link(open_party(tmp_path, "A", injected=injected), open_party(tmp_path, "B", injected=injected)) as made:
        made.ingest(make_block(), make_block())
        made.parties[0].fetch(made.parties[0].hold("B", 512, "x"))
        assert made.parties[1].ledger("A").in_flight == 512
    now[0] += 24 * 3600 * 1000 + 1

    with link(open_party(tmp_path, "A", injected=injected), open_party(tmp_path, "B", injected=injected)) as made:
        assert made.parties[1].ledger("A").in_flight == 0


class Crash(BaseException):
    """The process ends here."""


class Failpoint:
    """A `connect` factory whose connections crash before or after the n-th commit."""

    def __init__(self, at: int, *, after: bool) -> None:
        self.left, self.after = at, after

    def __call__(self, path: str) -> sqlite3.Connection:
        point = self

        class Failing(sqlite3.Connection):
            def execute(self, sql, *args):
                if sql != "COMMIT":
                    return super().execute(sql, *args)
                point.left -= 1
                if point.left == 0 and not point.after:
                    raise Crash
                result = super().execute(sql, *args)
                if point.left == 0:
                    raise Crash
                return result

        return sqlite3.connect(path, isolation_level=None, check_same_thread=False, factory=Failing)


def session(folder: Path, make_block, seed: int, connect, taken: tuple[list[bytes], list[bytes]]) -> bool:
    """Do a whole run in a folder, noting what each party got; False if it crashed."""
    a, b = (open_party(folder, name, injected=Injected(connect=connect)) for name in "AB")
    made = None
    try:
        made = link(a, b)
        block = make_block(bits=60_000, seed=seed)
        made.ingest(block, block)
        for one, two, at, to in ((a, b, 0, 1), (b, a, 1, 0)):
            keys = one.fetch(one.hold(two.party, 1024, "x"))
            taken[at].extend(words(keys))
            got = two.fetch_by_id(one.party, ids(keys), "x")
            taken[to].extend(words(got))
            assert got == keys
        made.close()
    except Crash:
        for end in made.ends if made is not None else ():
            end.store.abandon()
        return False
    return True


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("stride", [4, pytest.param(1, marks=pytest.mark.slow)])
def test_a_crash_at_any_commit_serves_nothing_twice(tmp_path, make_block, chunks, after, stride):
    for point in itertools.count(1, stride):
        folder = tmp_path / str(point)
        taken: tuple[list[bytes], list[bytes]] = ([], [])
        whole = session(folder, make_block, 1, Failpoint(point, after=after), taken)
        assert session(folder, make_block, 2, Failpoint(0, after=False), taken)
        assert all(len(set(words)) == len(words) for words in taken)
        with link(open_party(folder, "A"), open_party(folder, "B")) as made:
            here, there = chunks(made)
            assert here == there
            assert not {plain[:8] for _, _, plain in here} & (set(taken[0]) | set(taken[1]))
        if whole:
            break
    assert point > 20


WORKER = """
import sys
from pathlib import Path
import numpy as np
from heliograph.core.statement import Provenance, SecurityStatement
from heliograph.postprocess.keystore import KeyBlock, link, open_party

folder, run = Path(sys.argv[1]), int(sys.argv[2])
a, b = open_party(folder, "A"), open_party(folder, "B")
provenance = Provenance(True, ("test",))
statement = SecurityStatement((), (), 1e-10, 0, provenance)
print("ready", flush=True)
made = link(a, b)
for step in range(1000):
    material = np.random.default_rng((run, step)).integers(0, 256, 8000, dtype=np.uint8)
    block = KeyBlock("A-B", 0, material, 64000, statement, provenance)
    made.ingest(block, block)
    for turn in range(4):
        one, two = (a, b) if turn % 2 else (b, a)
        keys = one.fetch(one.hold(two.party, 960, "x"))
        for key in keys:
            print(one.party, key.key_id, key.material.hex(), flush=True)
        for key in two.fetch_by_id(one.party, tuple(k.key_id for k in keys), "x"):
            print(two.party, key.key_id, key.material.hex(), flush=True)
    if step % 5 == 4:
        made.close()
        made = link(a, b)
"""


def killed(folder: Path, run: int, delay_s: float, *, served: int = 0) -> list[str]:
    """Kill a worker some time after it was ready and had served so many keys; return what it said of keys."""
    with subprocess.Popen([sys.executable, "-c", WORKER, str(folder), str(run)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        assert worker.stderr is not None
        assert worker.stdout.readline() == "ready\n", worker.stderr.read()
        lines = [worker.stdout.readline() for _ in range(served)]
        time.sleep(delay_s)
        worker.send_signal(signal.SIGKILL)
        lines += worker.stdout.read().splitlines(keepends=True)
        assert worker.wait() == -signal.SIGKILL, worker.stderr.read()
    return [line for line in lines if line.endswith("\n")]


def check_kills(folder: Path, kills: int, chunks) -> None:
    generator = random.Random(7)
    served: dict[str, dict[str, str]] = {"A": {}, "B": {}}
    pieces: dict[str, set[str]] = {"A": set(), "B": set()}
    for run in range(kills):
        for line in killed(folder, run, generator.uniform(0.0, 0.6)):
            party, key_id, material = line.split()
            assert key_id not in served[party]
            assert not pieces[party] & {material[:64]}
            served[party][key_id] = material
            pieces[party] |= {material[i : i + 64] for i in range(0, len(material), 64)}
    assert all(served["B"][key_id] == material for key_id, material in served["A"].items() if key_id in served["B"])
    with link(open_party(folder, "A"), open_party(folder, "B")) as made:
        here, there = chunks(made)
        assert here == there
        assert here
        assert not pieces["A"] & {plain.hex() for _, _, plain in here}
        assert all(party.ledger(other).audit_ok for party, other in zip(made.parties, "BA", strict=True))
    assert len(served["A"]) > kills


@pytest.mark.timeout(120)
def test_kills_at_random_moments_serve_nothing_twice(tmp_path, chunks):
    check_kills(tmp_path, 6, chunks)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_hundred_kills_serve_nothing_twice(tmp_path, chunks):
    check_kills(tmp_path, 100, chunks)


def test_the_books_of_a_killed_store_can_be_read(tmp_path):
    killed(tmp_path, 0, 0.1, served=1)

    books = read_ledger(tmp_path / "A" / "A-B.sqlite")

    assert books.audit_ok
    assert books.preshared == 16_640


# Old copies


def copied(pair, to: Path) -> Path:
    shutil.copytree(pair.folder / "A", to)
    return to


def restored(pair, copy: Path, *names: str) -> None:
    for name in names:
        for left in (pair.folder / "A").glob(f"{name}*"):
            left.unlink()
        for path in copy.glob(f"{name}*"):
            shutil.copy2(path, pair.folder / "A")


def test_an_old_copy_is_refused_and_left_alone(pair, tmp_path):
    pair.ingest()
    pair.link.close()
    copy = copied(pair, tmp_path / "copy")
    pair.open()
    spend(pair)
    pair.link.close()
    restored(pair, copy, "A-B.sqlite")
    before = pair.path("A").read_bytes()

    for _ in range(2):
        with pytest.raises(RollbackSuspected, match="old copy"):
            pair.open()
    assert pair.path("A").read_bytes() == before


@pytest.mark.parametrize("clean", [False, True])
def test_a_copy_taken_while_open_serves_nothing_again(pair, tmp_path, chunks, clean):
    pair.ingest(bits=300_000)
    seen = spend(pair)
    copy = copied(pair, tmp_path / "copy")
    seen += spend(pair)
    if clean:
        pair.link.close()
    else:
        pair.crash()
    restored(pair, copy, "A-B.sqlite")

    try:
        pair.open()
    except RollbackSuspected:
        return
    assert not set(seen) & set(spend(pair))
    here, there = chunks(pair.link)
    assert here == there


def test_a_whole_folder_restored_is_found_out_by_the_peer_and_locked(pair, tmp_path):
    pair.ingest()
    pair.link.close()
    copy = copied(pair, tmp_path / "copy")
    pair.open()
    spend(pair)
    pair.link.close()
    restored(pair, copy, "A-B.sqlite", "A-B.guard")

    with pytest.raises(RollbackSuspected, match="the other end knows more"):
        pair.open()
    with pytest.raises(RollbackSuspected, match="locked"):
        pair.open()


def test_a_follower_whose_folder_is_restored_is_found_out_too(pair, tmp_path):
    pair.ingest()
    pair.link.close()
    shutil.copytree(pair.folder / "B", tmp_path / "copy")
    pair.open()
    spend(pair)
    pair.link.close()
    shutil.rmtree(pair.folder / "B")
    shutil.copytree(tmp_path / "copy", pair.folder / "B")

    with pytest.raises(RollbackSuspected):
        pair.open()
    with pytest.raises(RollbackSuspected, match="locked"):
        pair.open()


def test_a_follower_copied_between_offer_and_fetch_does_not_fetch_twice(pair, tmp_path):
    pair.ingest()
    keys = pair.a.fetch(pair.a.hold("B", 512, "x"))
    shutil.copytree(pair.folder / "B", tmp_path / "copy")
    assert pair.b.fetch_by_id("A", ids(keys), "x") == keys
    pair.crash()
    for path in (pair.folder / "B").glob("A-B.sqlite*"):
        path.unlink()
    for path in (tmp_path / "copy").glob("A-B.sqlite*"):
        shutil.copy2(path, pair.folder / "B")

    with pytest.raises(RollbackSuspected, match="old copy"):
        pair.open()


# Guards, keys, damage


def test_swapped_guards_are_refused(tmp_path, make_block):
    parties = [open_party(tmp_path, name) for name in "ABC"]
    for x, y in ((0, 1), (0, 2)):
        link(parties[x], parties[y]).close()
    ab, ac = tmp_path / "A" / "A-B.guard", tmp_path / "A" / "A-C.guard"
    one, two = ab.read_bytes(), ac.read_bytes()
    ab.write_bytes(two)
    ac.write_bytes(one)

    with pytest.raises(GuardMismatch, match="another store"):
        link(parties[0], parties[1])
    ab.write_bytes(one)
    link(parties[0], parties[1]).close()


def test_a_missing_or_older_guard_is_refused(pair):
    pair.link.close()
    old = pair.path("A", "guard").read_bytes()
    pair.open()
    pair.reopen()
    pair.link.close()
    kept = pair.path("A", "guard").read_bytes()

    pair.path("A", "guard").write_bytes(old)
    with pytest.raises(GuardMismatch, match="stands at lease"):
        pair.open()
    pair.path("A", "guard").unlink()
    with pytest.raises(GuardMismatch, match="missing"):
        pair.open()
    pair.path("A", "guard").write_bytes(kept)
    pair.open()


def test_a_wrong_key_encryption_key_burns_nothing(pair):
    pair.ingest()
    before = pair.a.ledger("B").available
    pair.link.close()
    kek = pair.path("A", "kek").read_bytes()
    pair.path("A", "kek").write_bytes(bytes(32))

    with pytest.raises(KeyStoreError, match="key-encryption key"):
        pair.open()

    pair.path("A", "kek").write_bytes(kek)
    pair.open()
    assert pair.a.ledger("B").available == before
    spend(pair)


def test_a_store_that_is_gone_is_not_made_anew_behind_the_peers_back(pair):
    pair.link.close()
    pair.path("B").unlink()

    with pytest.raises(KeyStoreError, match="B's store is missing"):
        pair.open()
    pair.path("A").unlink()
    pair.open()


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE audit SET j=replace(j,'round 1','round 7') WHERE n=(SELECT max(n)-3 FROM audit)",
        "UPDATE audit SET h=x'00' WHERE n=2",
        "DELETE FROM audit WHERE n=2",
        "DELETE FROM audit WHERE n=(SELECT max(n) FROM audit)",
    ],
)
def test_an_altered_audit_record_is_found(pair, sql):
    pair.ingest()
    spend(pair, "round 1")
    pair.link.close()
    if "round 7" in sql:
        sql = sql.split(" WHERE")[0] + " WHERE j LIKE '%round 1%'"
    altered(pair.path("A"), sql)

    assert not read_ledger(pair.path("A")).audit_ok
    with pytest.raises(StoreCorrupt, match="audit"):
        pair.open()


def test_a_row_moved_to_another_place_burns_its_key_and_no_other(pair):
    pair.ingest()
    pair.link.close()
    altered(pair.path("A"), "UPDATE chunk SET ct=(SELECT ct FROM chunk WHERE pool=3 AND idx=5) WHERE pool=3 AND idx=0")
    pair.open()

    with pytest.raises(KeyStoreError, match="damaged"):
        pair.a.fetch(pair.a.hold("B", 256, "x"))

    assert pair.link.ends[1].keys.offered() == []
    spend(pair)


def test_a_damaged_row_at_the_peer_is_lost_alone(pair):
    pair.ingest()
    pair.link.close()
    altered(pair.path("B"), "UPDATE chunk SET ct=zeroblob(48) WHERE pool=3 AND idx=0")
    pair.open()
    keys = pair.a.fetch(pair.a.hold("B", 256, "x"))

    with pytest.raises(KeyStoreError, match="damaged"):
        pair.b.fetch_by_id("A", ids(keys), "x")
    with pytest.raises(UnknownKey):
        pair.b.fetch_by_id("A", ids(keys), "x")
    spend(pair)


def test_damaged_pads_are_passed_over(pair):
    pair.link.close()
    altered(pair.path("A"), "UPDATE chunk SET ct=zeroblob(32) WHERE pool=1 AND idx IN (1, 2)")
    pair.open()

    assert pair.ingest() == 1
    spend(pair)


def test_a_file_that_is_no_store_is_refused(pair):
    pair.link.close()
    good = pair.path("A").read_bytes()
    for content in (b"", b"not a database" * 1000, good[:5000], good[:100] + bytes(3000) + good[3100:]):
        pair.path("A").write_bytes(content)
        with pytest.raises(StoreCorrupt):
            pair.open()
        with pytest.raises(StoreCorrupt):
            read_ledger(pair.path("A"))


@pytest.mark.parametrize("seed", range(12))
def test_damage_anywhere_ends_in_a_clear_error_or_does_no_harm(pair, seed):
    pair.ingest()
    seen = spend(pair)
    pair.link.close()
    raw = bytearray(pair.path("A").read_bytes())
    generator = random.Random(seed)
    for _ in range(4):
        raw[generator.randrange(len(raw))] ^= 1 << generator.randrange(8)
    pair.path("A").write_bytes(raw)

    failure = None
    try:
        pair.open()
        assert not set(seen) & set(spend(pair))
    except HeliographError as error:
        failure = error
    assert failure is None or (failure.where and failure.message)


# Disks


FULL = """
import resource, sys
from pathlib import Path
import numpy as np
from heliograph.core.errors import StorageError
from heliograph.core.statement import Provenance, SecurityStatement
from heliograph.postprocess.keystore import KeyBlock, link, open_party

folder, room, mode = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
provenance = Provenance(True, ("test",))
statement = SecurityStatement((), (), 1e-10, 0, provenance)

def block(seed, bits):
    return KeyBlock("A-B", 0, np.random.default_rng(seed).integers(0, 256, bits // 8, dtype=np.uint8), bits, statement, provenance)

def limit():
    largest = max(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest + room, largest + room))

a, b = open_party(folder, "A"), open_party(folder, "B")
made = link(a, b)
made.ingest(block(1, 80_000), block(1, 80_000))
made.close()
made = link(a, b)
limit()
served = 0
try:
    if mode == "ingest":
        made.ingest(block(2, 8_000_000), block(2, 8_000_000))
    for _ in range(200):
        keys = a.fetch(a.hold("B", 256, "x"))
        served += 1
        print(keys[0].key_id, keys[0].material.hex(), flush=True)
except StorageError as error:
    print("refused", error.message)
    for refuse in (lambda: a.fetch(a.hold("B", 256, "x")), lambda: made.ingest(block(3, 800), block(3, 800))):
        try:
            refuse()
        except Exception as later:
            print("later", type(later).__name__)
"""


@pytest.mark.parametrize(("mode", "room"), [("ingest", 20_000), ("fetch", 20_000), ("fetch", 0)])
def test_a_full_disk_leaves_nothing_half_done(tmp_path, make_block, chunks, mode, room):
    done = subprocess.run([sys.executable, "-c", FULL, str(tmp_path), str(room), mode], capture_output=True, text=True, check=False, timeout=60)

    lines = done.stdout.splitlines()
    assert any(line.startswith("refused") for line in lines), done
    assert sum(line.startswith("later") for line in lines) == 2
    assert "later StorageError" in lines
    with link(open_party(tmp_path, "A"), open_party(tmp_path, "B")) as made:
        here, there = chunks(made)
        assert here == there
        assert made.parties[0].ledger("B").blocks == 1
        given = {bytes.fromhex(line.split()[1]) for line in lines if len(line.split()) == 2 and len(line.split()[1]) == 64}
        assert not given & {plain for _, _, plain in here}


def test_a_folder_that_cannot_be_made_is_one_clear_error(tmp_path):
    (tmp_path / "file").write_text("x")

    with pytest.raises(StorageError):
        open_party(tmp_path / "file", "A")
