"""What a block cost: parts of epsilon, and disclosed bits by class."""

import json

import pytest

from heliograph.control.parties.accounting import DISCLOSED, account_rows, disclosed_rows, epsilon_parts, epsilon_rows, read_accounts
from heliograph.core.errors import LedgerCorrupt
from heliograph.core.ledger import Ledger
from heliograph.postprocess.finite_key import Epsilons

BITS = dict(zip(DISCLOSED, (4000, 40, 110, 110, 7, 64, 768), strict=True))
PARTS = epsilon_parts(Epsilons(1e-10, 2e-10, 3e-10), 0.5e-10)


@pytest.fixture
def folder(tmp_path):
    """Party A made two blocks with B and one with C; an older record says nothing of what it cost."""
    (tmp_path / "A").mkdir()
    with Ledger(tmp_path / "A" / "distillation.jsonl") as ledger:
        for pair in ("A-B", "A-C", "A-B"):
            ledger.append("disclosed", run_id="r", pair=pair)
            ledger.append("distilled", run_id="r", pair=pair, block=1, bits=100, disclosed=BITS, epsilons=PARTS)
        ledger.append("distilled", run_id="r", pair="A-D", block=1, bits=100)
    return tmp_path


def test_the_parts_of_epsilon_add_up_to_the_statements():
    found = PARTS
    assert found == pytest.approx({"correction": 1e-10, "amplification": 2e-10, "concentration": 6e-10, "authentication": 0.5e-10, "total": 9.5e-10})
    assert sum(value for name, value in PARTS.items() if name != "total") == pytest.approx(PARTS["total"])


def test_a_line_without_tags_is_told_as_such():
    _, rows = epsilon_rows(epsilon_parts(Epsilons(), None))

    assert [cell for _, cell in rows] == ["1.0e-10", "1.0e-10", "2.0e-10", "not authenticated", "4.0e-10"]


def test_every_class_has_its_row():
    _, rows = disclosed_rows(BITS)

    assert [row[1] for row in rows] == list(BITS.values())
    assert [row[1] for row in rows if row[2] == "subtracted"] == [110, 64]


def test_blocks_of_a_pair_are_summed(folder):
    first, second = read_accounts(folder)

    assert (first.party, first.pair, first.blocks) == ("A", "A-B", 2)
    assert first.disclosed == {name: 2 * bits for name, bits in BITS.items()}
    assert first.subtracted == 348
    assert first.epsilons["total"] == pytest.approx(1.9e-9)
    assert (second.pair, second.blocks, second.disclosed) == ("A-C", 1, BITS)
    assert json.loads(json.dumps(first.as_dict()))["subtracted"] == 348
    columns, rows = account_rows([first, second])
    assert all(len(row) == len(columns) for row in rows)


def test_a_folder_without_records_has_no_accounts(tmp_path):
    assert read_accounts(tmp_path) == []


def test_a_record_that_was_altered_is_found(folder):
    path = folder / "A" / "distillation.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"verification":64', b'"verification":0', 1).replace(b'"verification": 64', b'"verification": 0', 1))

    with pytest.raises(LedgerCorrupt):
        read_accounts(folder)
