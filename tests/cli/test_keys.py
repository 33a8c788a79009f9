import json

import numpy as np
import pytest

from heliograph.core.statement import Provenance, SecurityStatement
from heliograph.postprocess.keystore import KeyBlock, link, open_party

STATEMENT = SecurityStatement((), (), 3e-10, 0, Provenance(True, ("simulated light",)))


@pytest.fixture
def store(tmp_path):
    """The stores of pair A-B: one block of 40,000 bits, of which 512 were spent on one purpose and 512 on another."""
    material = np.random.default_rng(1).integers(0, 256, 5000, dtype=np.uint8)
    with open_party(tmp_path, "A") as a, open_party(tmp_path, "B") as b, link(a, b) as made:
        made.ingest(*(KeyBlock("A-B", 0, material.copy(), 40_000, STATEMENT, STATEMENT.provenance) for _ in range(2)))
        for purpose in ("masks round 1", "tests"):
            keys = a.fetch(a.hold("B", 512, purpose))
            b.fetch_by_id("A", tuple(key.key_id for key in keys), purpose)
    return tmp_path, material


def test_the_books_of_both_ends_are_shown(heliograph, store):
    folder, _ = store
    found = heliograph("keys", "show", "--store", folder, "--json").json
    assert [(book["party"], book["pair"]) for book in found["stores"]] == [("A", "A-B"), ("B", "A-B")]
    for book in found["stores"]:
        assert (book["blocks"], book["delivered"], book["consumed"]) == (1, 40_000, 1024)
        assert {item["purpose"]: item["bits"] for item in book["spendings"]} == {"masks round 1": 512, "tests": 512}
        assert book["audit_ok"] is True
        assert book["provenance"] == "simulated"
    assert found["simulated"] is True


def test_the_tables_say_where_the_keys_encryption_key_lies_and_show_no_key(heliograph, store):
    folder, material = store
    ended = heliograph("keys", "show", "--store", folder)
    assert ended.code == 0
    assert "in a file beside the store" in ended.out
    assert "simulated" in ended.out
    assert material.tobytes()[:8].hex() not in ended.out


def test_showing_changes_no_count(heliograph, store):
    folder, _ = store
    shown = [heliograph("keys", "show", "--store", folder, "--json").json["stores"] for _ in range(2)]
    for book in (*shown[0], *shown[1]):
        del book["audit_records"]
    assert shown[0] == shown[1]


def test_where_no_store_is_one_is_told_how_to_get_one(heliograph, tmp_path):
    ended = heliograph("keys", "show", "--store", tmp_path / "none", "--json")
    assert ended.code == 3
    assert "heliograph demo" in ended.json["error"]["remedy"]
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("damage", ["audit", "file"])
def test_a_damaged_store_is_told(heliograph, store, damage):
    folder, _ = store
    path = folder / "A" / "A-B.sqlite"
    if damage == "file":
        path.write_bytes(path.read_bytes()[:3000])
    else:
        import sqlite3

        with sqlite3.connect(path) as connection:
            (text,) = connection.execute("SELECT j FROM audit WHERE n = 3").fetchone()
            connection.execute("UPDATE audit SET j = ? WHERE n = 3", (json.dumps({**json.loads(text), "bits": 1}),))
        connection.close()
    ended = heliograph("keys", "show", "--store", folder, "--json")
    assert ended.code == 1
    assert "Traceback" not in ended.err
    if damage == "file":
        assert ended.json["error"]["type"] == "StoreCorrupt"
    else:
        assert [book["pair"] for book in ended.json["stores"] if book["party"] == "A" and not book["audit_ok"]] == ["A-B"]
        assert "A/A-B" in ended.err


def test_a_store_that_somebody_has_open_is_left_alone(heliograph, store):
    folder, _ = store
    with open_party(folder, "A") as a, open_party(folder, "B") as b, link(a, b):
        ended = heliograph("keys", "show", "--store", folder, "--json")
    assert ended.code == 1
    assert ended.json["error"]["type"] == "StoreLocked"
