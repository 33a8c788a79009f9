"""The whole protocol at once: states from Trent, decoys, validation, and a layer evaluated over one-time pads of two real key stores."""

from __future__ import annotations

import numpy as np
import pytest

from heliograph.core.entropy import SimRandom
from heliograph.core.errors import FrameError, InsufficientKey
from heliograph.core.statement import Provenance, SecurityStatement
from heliograph.postprocess.channel.sealed import Sealed
from heliograph.postprocess.keystore import KeyBlock, link, open_party
from heliograph.postprocess.keystore.tags import StoreTags
from heliograph.protocols.qot.accuracy import Knobs
from heliograph.protocols.qot.dealing import Trent, Validator, receive
from heliograph.protocols.qot.laws import iid
from heliograph.protocols.qot.layer import SecureLayer
from heliograph.protocols.qot.parties import Agreement, Alice, Bob
from heliograph.protocols.qot.validation import DecoyRule

ERROR, X = 0.02, np.array([[1.0, 0.5], [0.2, 2.0]])
SIMULATED = Provenance(True, ("a test",))


@pytest.fixture
def linked(tmp_path):
    """Two parties with a megabit of common key."""
    a, b = open_party(tmp_path, "A"), open_party(tmp_path, "B")
    with link(a, b) as joined:
        material = np.random.default_rng(1).integers(0, 256, 500_000, dtype=np.uint8)
        statement = SecurityStatement(("a claim",), (), 1e-10, 0, SIMULATED)
        block = KeyBlock("A-B", 0, material, 4_000_000, statement, SIMULATED)
        joined.ingest(block, block)
        yield joined


@pytest.fixture
def channels(linked):
    tags = [StoreTags(end.store, linked.lock) for end in linked.ends]
    return [Sealed(keys, peer, session=5, purpose="inference", tags=tag) for keys, peer, tag in zip(linked.parties, "BA", tags, strict=True)]


@pytest.fixture
def machines():
    layer = SecureLayer.of([[0.8, -0.7], [-0.8, 0.7]], None, Knobs(2, 1, 2000))
    draws, sums = layer.draws(X)
    agreed = Agreement.of(layer, 2)
    rule = DecoyRule.of(0.0, 1e-6)
    trent = Trent(iid(ERROR), SimRandom(2), rule)
    shipped = trent.deal(5 * layer.transfers)
    mine, theirs = (receive(shipment, trent.announce(name), rule) for name, shipment in zip(("alice", "bob"), shipped, strict=True))
    tests = [Validator(half, alice=side, share=0.4, x_share=0.2, error_limit=0.05, source=SimRandom(3, side)) for half, side in ((mine, True), (theirs, False))]
    messages: list[bytes | None] = [one.start() for one in tests]
    while messages[0] is not None and messages[1] is not None:
        messages = [tests[0].feed(messages[1]), tests[1].feed(messages[0])]
    found = tests[0].found
    assert found is not None
    return layer, sums, found.error, Alice(draws, agreed, tests[0].states, SimRandom(4)), Bob(layer, agreed, tests[1].states, SimRandom(5))


def test_a_layer_over_sealed_channels_gives_its_outputs_and_books_its_key(linked, channels, machines):
    layer, sums, error, alice, bob = machines
    ends = {"alice": (channels[0], alice), "bob": (channels[1], bob)}
    line: list[bytes] = []
    waiting = [("bob", data) for _, data in bob.start()]
    while waiting:
        sender, data = waiting.pop(0)
        receiver = "alice" if sender == "bob" else "bob"
        sealed = ends[sender][0].seal(data)
        line.append(sealed)
        for body in ends[receiver][0].open(sealed):
            waiting += [(receiver, answer) for _, answer in ends[receiver][1].feed(body)]

    outputs = layer.outputs_of(alice.counts, sums, error)

    assert alice.finished
    assert (np.abs(outputs - X @ np.array([[0.8, -0.7], [-0.8, 0.7]]).T) < 5 * sums[:, None] * layer.deviation(ERROR) + 0.1).all()
    gates = 2 * layer.transfers
    spent = channels[0].spent_bits
    assert spent == channels[1].spent_bits
    # Three bits a gate, one a shot for what Bob got, and the headers of the messages.
    assert 3 * gates + gates // 2 <= spent < 3.6 * gates
    assert b"QOT1" not in b"".join(line)
    for keys, peer in zip(linked.parties, "BA", strict=True):
        assert sum(entry.bits for entry in keys.ledger(peer).spendings if entry.purpose == "inference") >= spent / 2


def test_a_bit_flipped_on_the_line_ends_it_before_a_weight_is_used(channels, machines):
    *_, alice, bob = machines
    sealed = bytearray(channels[1].seal(bob.start()[0][1]))
    sealed[-5] ^= 4

    with pytest.raises(FrameError, match="tag does not belong"):
        channels[0].open(bytes(sealed))
    assert not alice.finished


def test_too_little_key_is_told_before_a_message_leaves(channels):
    with pytest.raises(InsufficientKey):
        channels[1].seal(bytes(1_000_000))
