import hashlib
from dataclasses import replace

import numpy as np
import pytest

from heliograph.core.errors import DataError, FrameError, RoundAborted
from heliograph.core.ledger import records
from heliograph.postprocess.channel.frames import A_TO_B, B_TO_A, FrameReader, MessageType, Sender
from heliograph.protocols.aggregation.quantiser import safe_range
from heliograph.protocols.learning.trainer import Trained
from heliograph.protocols.qunetqfl.client import Client, Limits
from heliograph.protocols.qunetqfl.loopback import Loopback
from heliograph.protocols.qunetqfl.memory import Memory
from heliograph.protocols.qunetqfl.roster import Roster, theta_hash
from heliograph.protocols.qunetqfl.server import Server

THETA = np.array([0.1, 0.2, 0.3])
ROSTER = Roster(7, 7, 0, -1, ("A", "B", "C"), (4, 4, 4), "pairwise", 3, 16, 1.0, safe_range(1.0, 16, 3), "still", theta_hash(THETA))


class Still:
    """A trainer that finds nothing to learn."""

    model_name, d, samples = "still", 3, 4

    def train(self, round_, client, theta, state):
        return Trained(np.full(3, 0.25), {})


def offer(client, roster, theta=THETA, round_=0):
    client.connect(roster.session)
    sent = Sender(roster.session, A_TO_B).frame(MessageType.ROSTER, roster.header(), {"theta": theta}, round_=round_)
    return [frame for data in client.feed(sent) for frame in FrameReader().feed(data)]


def test_a_good_roster_is_answered_ready_with_its_hash(network):
    net = network()
    (ready,) = offer(Client("B", Still(), net.sources["B"]), ROSTER)
    assert ready.type is MessageType.READY
    assert ready.header == {"roster": ROSTER.sha256, "phase": "held"}
    assert net.log == [("hold", "B", "C")]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"clients": ("A", "B"), "samples": (4, 4)}, "too few"),
        ({"clients": ("A", "C", "D")}, "not in it"),
        ({"clients": ("B", "A", "C")}, "bytewise order"),
        ({"clients": ("A", "B", "B")}, "bytewise order"),
        ({"clients": ("A", "B", "E")}, "not allowed"),
        ({"alpha": 1.0}, "may wrap"),
        ({"alpha": float("inf")}, "may wrap"),
        ({"bound": 50.0, "alpha": 60.0}, "limit"),
        ({"q": 12}, "12 bits"),
        ({"d": 4}, "parameters"),
        ({"model": "other"}, "another model"),
        ({"theta": "0" * 64}, "another hash"),
        ({"samples": (4, 5, 4)}, "samples wrong"),
        ({"samples": (4, 4)}, "number of samples"),
        ({"mode": "prg"}, "prg"),
    ],
)
def test_a_roster_that_a_client_cannot_agree_to_is_refused_without_touching_key(network, change, reason):
    net = network()
    client = Client("B", Still(), net.sources["B"], limits=Limits(frozenset("ABCD"), bound=10.0))
    (refusal,) = offer(client, replace(ROSTER, **change))
    assert refusal.type is MessageType.ABORT
    assert reason in refusal.header["reason"]
    assert net.log == []


def test_parameters_that_are_not_finite_are_refused(network):
    theta = np.array([np.nan, 0, 0])
    (refusal,) = offer(Client("B", Still(), network().sources["B"]), replace(ROSTER, theta=theta_hash(theta)), theta)
    assert "not finite" in refusal.header["reason"]


def test_a_client_with_another_partys_store_refuses(network):
    (refusal,) = offer(Client("B", Still(), network().sources["C"]), ROSTER)
    assert "key store" in refusal.header["reason"]


def test_a_round_number_is_never_taken_up_twice(network):
    client = Client("B", Still(), network().sources["B"])
    assert offer(client, ROSTER)[0].type is MessageType.READY
    assert "not later" in offer(client, ROSTER)[0].header["reason"]


def test_a_ready_with_another_roster_hash_ends_the_round_and_releases_the_holds(network):
    net = network()
    client = Client("B", Still(), net.sources["B"])
    client.connect(7)
    sender = Sender(7, A_TO_B)
    client.feed(sender.frame(MessageType.ROSTER, ROSTER.header(), {"theta": THETA}))
    (data,) = client.feed(sender.frame(MessageType.READY, {"from": "A", "phase": "held", "roster": "0" * 64}))
    (first, refusal) = FrameReader().feed(Sender(7, B_TO_A).frame(MessageType.READY) + data)
    assert first.type is MessageType.READY
    assert "another roster" in refusal.header["reason"]
    assert net.log == [("hold", "B", "C"), ("release", "B", "C")]


@pytest.mark.parametrize("phase", [[], {}, None, 1, "sent"])
def test_a_ready_for_no_known_phase_ends_the_round(network, phase):
    net = network()
    client = Client("B", Still(), net.sources["B"])
    client.connect(7)
    sender = Sender(7, A_TO_B)
    client.feed(sender.frame(MessageType.ROSTER, ROSTER.header(), {"theta": THETA}))

    (data,) = client.feed(sender.frame(MessageType.READY, {"from": "A", "phase": phase, "roster": ROSTER.sha256}))

    assert data[5] == MessageType.ABORT
    assert net.log == [("hold", "B", "C"), ("release", "B", "C")]


def test_a_malformed_roster_is_refused(network):
    client = Client("B", Still(), network().sources["B"])
    client.connect(1)
    (data,) = client.feed(Sender(1, A_TO_B).frame(MessageType.ROSTER, {"round": 0}, {"theta": THETA}))
    (refusal,) = FrameReader().feed(data)
    assert "malformed" in refusal.header["reason"]


def test_garbage_closes_the_connection(network):
    client = Client("B", Still(), network().sources["B"])
    with pytest.raises(FrameError):
        client.feed(b"\xff" * 64)


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def federation(net, clock, trainers, folder=None):
    clients = {
        name: Client(name, trainers.get(name, Still()), net.sources[name], clock=clock, memory=Memory(folder / name if folder else None)) for name in "ABC"
    }
    server = Server(THETA, dict.fromkeys("ABC", 4), model="still", mode="pairwise", bound=1.0, q=16)
    server.connect(1)
    for client in clients.values():
        client.connect(1)
    return server, clients, Loopback(server, clients)


def test_holds_that_grew_old_in_training_are_taken_again_before_the_first_fetch(network):
    clock = Clock()

    class Slow(Still):
        def train(self, round_, client, theta, state):
            clock.now += 301
            return super().train(round_, client, theta, state)

    net = network()
    server, _, transport = federation(net, clock, {"A": Slow()})
    transport.run(server.begin(0, -1, "ABC"))
    assert server.outcome.total is not None
    kinds = [kind for kind, *_ in net.log]
    assert kinds.count("hold") > 3
    assert max(i for i, kind in enumerate(kinds) if kind == "hold") < kinds.index("fetch")


def test_a_hold_that_ran_out_while_others_trained_ends_the_round_unspent(network):
    clock = Clock()

    class LastAndSlow(Still):
        def train(self, round_, client, theta, state):
            clock.now += 301
            return super().train(round_, client, theta, state)

    net = network()
    server, _, transport = federation(net, clock, {"B": LastAndSlow()})
    transport.run(server.begin(0, -1, "ABC"))
    assert "hold on pair A-B ran out" in server.outcome.reason
    assert ("fetch", "A", "B") not in net.log
    assert not any(source.open for source in net.sources.values())
    assert np.array_equal(server.theta, THETA)


def test_the_uploads_hash_is_on_disk_before_the_upload_leaves(network, tmp_path):
    net = network()
    server, clients, _ = federation(net, Clock(), {}, tmp_path)
    seen = {}

    def watch(sender, receiver, data):
        if receiver == "server" and data[5] == MessageType.UPLOAD:
            y = data[-6:]
            last = list(records(tmp_path / sender / "uploads.jsonl"))[-1]
            seen[sender] = last["sha256"] == hashlib.sha256(y).hexdigest()
        return (data,)

    Loopback(server, clients, fault=watch).run(server.begin(0, -1, "ABC"))
    assert seen == dict.fromkeys("ABC", True)
    assert np.allclose(server.theta, THETA + 0.25, atol=1e-4)
    for client in clients.values():
        client.memory.close()


def test_a_client_resends_only_the_identical_words(network):
    net = network()
    server, clients, _ = federation(net, Clock(), {})
    uploads = []

    def stop(sender, receiver, data):
        if receiver == "server" and data[5] == MessageType.UPLOAD:
            uploads.append((sender, data[-6:]))
            return ()
        return (data,)

    Loopback(server, clients, fault=stop).run(server.begin(0, -1, "ABC"))
    for sender, y in uploads:
        (again,) = clients[sender].resend()
        assert again[-6:] == y
        clients[sender].give_up()
        assert clients[sender].resend() == []


def test_memory_refuses_old_rounds_and_keeps_only_counting_moments(tmp_path):
    memory = Memory(tmp_path)
    for round_ in range(3):
        memory.begin(5, round_)
        memory.keep_state(5, round_, {"step": np.array(round_)})
    memory.remember_upload(9, 5, 2, "aa")
    with pytest.raises(RoundAborted):
        memory.begin(5, 2)
    memory.close()
    again = Memory(tmp_path)
    assert (again.last, again.session) == ((5, 2), 9)
    assert again.state_after(5, 1) == {"step": np.array(1)}
    assert sorted(path.name for path in tmp_path.glob("*.npz")) == ["optimizer-5-1.npz"]
    assert again.state_after(6, 4) == {}
    again.close()


def test_what_a_client_remembers_is_for_its_own_eyes(tmp_path):
    """The moments after one step are the gradient, which the mask hides from all others."""
    memory = Memory(tmp_path / "B")
    memory.keep_state(5, 0, {"m": np.ones(3)})
    memory.close()

    assert (tmp_path / "B").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "B").iterdir()} == {0o600}


@pytest.mark.parametrize("content", [b"", b"moments", b"PK\x03\x04" + bytes(100)])
def test_moments_that_cannot_be_read_are_named(tmp_path, content):
    (tmp_path / "optimizer-5-1.npz").write_bytes(content)
    with pytest.raises(DataError, match="optimizer-5-1.npz"):
        Memory(tmp_path)
    (tmp_path / "optimizer-5-1.npz").unlink()
    Memory(tmp_path).close()
