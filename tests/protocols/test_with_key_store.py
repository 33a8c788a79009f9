"""Learning rounds on real stores: what the machines book is what the stores book."""

from itertools import combinations

import numpy as np
import pytest

from heliograph.core.errors import InsufficientKey
from heliograph.core.statement import Provenance, SecurityStatement
from heliograph.postprocess.keystore import KeyBlock, link, open_party
from heliograph.protocols.learning.tasks import digits_task
from heliograph.protocols.qunetqfl.auditor import Auditor
from heliograph.protocols.qunetqfl.driver import Settings, learn

STATEMENT = SecurityStatement(("the key is secret",), ("the sources are as measured",), 3e-10, 1234, Provenance(True, ("simulated light",)))
NEED = 36 * 16


@pytest.fixture
def stores(tmp_path):
    parties = {name: open_party(tmp_path, name) for name in "ABC"}
    links = {f"{a}-{b}": link(parties[a], parties[b]) for a, b in combinations("ABC", 2)}
    yield parties, links
    for made in links.values():
        made.close()


def fill(links, bits):
    for number, (pair, made) in enumerate(links.items()):
        size = bits[pair]
        material = np.random.default_rng(number).integers(0, 256, size // 8, dtype=np.uint8)
        halves = [KeyBlock(pair, 0, material.copy(), size, STATEMENT, STATEMENT.provenance) for _ in range(2)]
        made.ingest(*halves)


def test_the_stores_book_what_the_rounds_spent(stores):
    parties, links = stores
    fill(links, dict.fromkeys(links, 40_000))
    result = learn(digits_task(), parties, Settings(rounds=4), statements=[STATEMENT] * 3, auditor=Auditor())
    assert result.unmasked_equal is True
    assert result.statement.epsilon == pytest.approx(9e-10)
    assert {record.key_bits_spent for record in result.rounds} == {3 * NEED}
    for (a, b), account in zip(combinations("ABC", 2), result.pairs, strict=True):
        mine, theirs = parties[a].ledger(b), parties[b].ledger(a)
        assert account.pair == f"{a}-{b}"
        assert mine.consumed == theirs.consumed == account.spent == 4 * NEED
        assert mine.in_flight == theirs.in_flight == mine.held == 0
        assert sum(spending.bits for spending in mine.spendings) == 4 * NEED
        assert account.burned == 4 * (-NEED % 256)


def test_the_books_tell_one_training_from_the_next(stores):
    parties, links = stores
    fill(links, dict.fromkeys(links, 40_000))

    for _ in range(2):
        learn(digits_task(), parties, Settings(rounds=1))

    spent = parties["A"].ledger("B").spendings
    assert [(spending.bits, spending.keys) for spending in spent] == [(NEED, 1)] * 2


@pytest.mark.parametrize("short", ["A-B", "A-C", "B-C"])
def test_one_short_pair_refuses_the_round_and_no_store_spends_a_bit(stores, short):
    parties, links = stores
    fill(links, {pair: 1_000 if pair == short else 40_000 for pair in links})
    before = {(a, b): parties[a].ledger(b).as_dict() for a in "ABC" for b in "ABC" if a != b}
    with pytest.raises(InsufficientKey) as refusal:
        learn(digits_task(), parties, Settings(rounds=4))
    assert refusal.value.pair == short
    assert refusal.value.need_bits == NEED
    assert refusal.value.have_bits < NEED
    assert {(a, b): parties[a].ledger(b).as_dict() for a in "ABC" for b in "ABC" if a != b} == before
