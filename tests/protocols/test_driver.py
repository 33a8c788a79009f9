import statistics
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from heliograph.core.errors import ConfigError, InsufficientKey, RoundAborted
from heliograph.core.statement import Provenance, SecurityStatement
from heliograph.postprocess.channel import frames
from heliograph.protocols.aggregation.quantiser import QuantiserRange
from heliograph.protocols.learning.tasks import digits_task
from heliograph.protocols.learning.trainer import Trained
from heliograph.protocols.qunetqfl.auditor import Auditor
from heliograph.protocols.qunetqfl.driver import CHECKPOINT, Federation, Settings, Subject, affordable_rounds, learn

D = 5


class Walker:
    """A trainer that walks towards its own goal; its moments count the steps."""

    model_name = "walker"
    d = D

    def __init__(self, goal, samples=10):
        self.goal, self.samples, self.seen = goal, samples, []

    def train(self, round_, client, theta, state):
        steps = int(state["step"]) if state else 0
        self.seen.append((round_, client, steps))
        noise = np.random.default_rng([round_, client]).normal(0, 0.01, D)
        return Trained(0.2 * (self.goal - theta) + noise, {"step": np.array(steps + 1)})


def subject(names="ABC", **goals):
    trainers = {name: Walker(goals.get(name, np.full(D, 0.1 * (i + 1))), samples=10 + i) for i, name in enumerate(names)}
    return Subject("walk", trainers, np.zeros(D), lambda theta: (float(np.mean(theta)), float(np.sum(theta**2))))


def settings(rounds=3, **changes):
    return replace(Settings(rounds=rounds, q=16, bound=0.5), **changes)


def run(network, names="ABC", rounds=3, *, auditor=None, fault=None, folder=None, **changes):
    federation = Federation(subject(names), network.sources, settings(rounds, **changes), auditor=auditor, fault=fault, folder=folder)
    try:
        return federation.run()
    finally:
        federation.close()


class Flipper:
    """A key source whose first key of one round has one bit changed on its way out."""

    def __init__(self, source, calls):
        self._source, self._calls = source, calls

    def __getattr__(self, name):
        return getattr(self._source, name)

    def fetch_by_id(self, peer, ids, purpose):
        self._calls -= 1
        keys = self._source.fetch_by_id(peer, ids, purpose)
        if self._calls:
            return keys
        (first, *rest) = keys
        return (type(first)(first.key_id, first.bits, bytes([first.material[0] ^ 1]) + first.material[1:]), *rest)


def altered(type_, change):
    """Return a transport fault that rewrites the first frame of a type, leaving the envelope sound."""
    done: list = []

    def rewrite(sender, receiver, data):
        frame = parse(data)
        if frame.type is not type_ or done:
            return (data,)
        done.append(sender)
        return change(frame, data)

    return rewrite


def parse(data):
    seq = int.from_bytes(data[24:28], "big")
    reader = frames.FrameReader()
    reader._next_seq = seq
    (frame,) = reader.feed(data)
    return frame


@pytest.mark.filterwarnings("ignore:client")
@pytest.mark.parametrize("q", [8, 16, 32])
@pytest.mark.parametrize("names", ["ABC", "ABCDEFGHIJ"])
def test_every_masked_sum_equals_the_unmasked_one(network, names, q):
    masked = run(network(names), names, auditor=Auditor(), q=q)
    clear = run(network(names), names, aggregation="quantised", q=q)
    assert masked.unmasked_equal is True
    assert [record.unmasked_equal for record in masked.rounds] == [True] * 3
    assert masked.theta.tobytes() == clear.theta.tobytes()


def test_the_key_ledger_follows_the_formulas_to_the_bit(network):
    net = network("ABCD", chunk_bits=512)
    result = run(net, "ABCD", rounds=4)
    need = D * 16
    assert [record.key_bits_spent for record in result.rounds] == [6 * need] * 4
    assert [record.key_bits_burned for record in result.rounds] == [6 * (512 - need)] * 4
    assert {(account.planned, account.spent, account.burned) for account in result.pairs} == {(4 * need, 4 * need, 4 * (512 - need))}
    assert [account.pair for account in result.pairs] == ["A-B", "A-C", "A-D", "B-C", "B-D", "C-D"]
    assert len(net.spent) == len(set(net.spent)) == 24
    assert not net.offered
    assert result.upload_bytes == 4 * 4 * D * 2
    assert result.saving == 0.5


def test_nobody_fetches_before_everyone_has_held(network):
    net = network()
    run(net, rounds=1)
    kinds = [entry[0] for entry in net.log if entry[0] != "release"]
    assert kinds.index("fetch") == 3
    assert kinds[:3] == ["hold"] * 3


def test_the_pair_with_the_least_key_says_how_long_it_lasts(network):
    net = network(chunks=9, chunk_bits=80)
    net.left["A", "C"] = 4

    assert affordable_rounds(net.sources, 80) == ("A-C", 4)
    # A round of one bit more takes two chunks of each pair.
    assert affordable_rounds(net.sources, 81) == ("A-C", 2)


def test_a_training_is_not_begun_again_over_its_checkpoint(tmp_path):
    (tmp_path / CHECKPOINT).write_bytes(b"")

    with pytest.raises(ConfigError, match="was begun here"):
        learn(digits_task(3, 9), {}, folder=tmp_path)


@pytest.mark.parametrize("short", [("A", "B"), ("A", "C"), ("B", "C")])
def test_a_round_is_refused_and_nothing_is_spent_when_one_pair_lacks_key(network, short):
    net = network(chunks=5, chunk_bits=80)
    net.left[short] = 2
    federation = Federation(subject(), net.sources, settings(5))
    assert federation.step() is not None
    assert federation.step() is not None
    before, theta, spent = net.gauges(), federation.server.theta.copy(), list(net.spent)
    with pytest.raises(InsufficientKey) as refusal:
        federation.step()
    assert (refusal.value.pair, refusal.value.need_bits, refusal.value.have_bits) == ("-".join(short), 80, 0)
    assert net.gauges() == before
    assert net.spent == spent
    assert not any(source.open for source in net.sources.values())
    assert np.array_equal(federation.server.theta, theta)
    net.left[short] = 1
    assert federation.step() is not None


def test_one_flipped_mask_bit_is_seen_by_the_auditor(network):
    net = network()
    net.sources["C"] = Flipper(net.sources["C"], calls=3)
    result = run(net, rounds=3, auditor=Auditor())
    assert [record.unmasked_equal for record in result.rounds] == [True, False, True]
    assert result.unmasked_equal is False
    assert result.as_dict()["unmasked_equal"] is False


def test_one_flipped_upload_bit_is_seen_by_the_auditor(network):
    def flip(frame, _data):
        y = frame.arrays["y"].copy()
        y[0] ^= 1
        return (frames.encode(replace(frame, arrays={"y": y})),)

    result = run(network(), rounds=2, auditor=Auditor(), fault=altered(frames.MessageType.UPLOAD, flip))
    assert [record.unmasked_equal for record in result.rounds] == [False, True]


def test_without_an_auditor_nothing_is_said_about_equality(network):
    assert run(network()).unmasked_equal is None


def test_the_same_update_gives_unrelated_uploads(network):
    seen = []

    def watch(_sender, receiver, data):
        frame = parse(data)
        if receiver == "server" and frame.type is frames.MessageType.UPLOAD:
            seen.append(frame.arrays["y"].tobytes())
        return (data,)

    run(network(), rounds=4, fault=watch)
    assert len(set(seen)) == 12


def lost(_frame, _data):
    return ()


def twice_changed(frame, data):
    other = replace(frame, seq=frame.seq + 1, arrays={"y": frame.arrays["y"] + np.ones(1, dtype=frame.arrays["y"].dtype)})
    return (data, frames.encode(other))


def shorter(frame, _data):
    return (frames.encode(replace(frame, arrays={"y": frame.arrays["y"][:-1]})),)


def garbage(_frame, data):
    return (data[:-1] + b"?", b"\xff" * 40)


@pytest.mark.parametrize(
    ("type_", "change", "reason"),
    [
        (frames.MessageType.UPLOAD, lost, "no upload of"),
        (frames.MessageType.UPLOAD, twice_changed, "changed"),
        (frames.MessageType.UPLOAD, shorter, "another size"),
        (frames.MessageType.UPLOAD, garbage, "connection broke"),
        (frames.MessageType.ROSTER, garbage, "connection broke"),
        (frames.MessageType.KEYIDS, lost, "connection broke"),
        (frames.MessageType.READY, lost, "connection broke"),
    ],
)
def test_a_fault_aborts_the_round_and_the_next_one_uses_new_key(network, type_, change, reason):
    net = network()
    result = run(net, rounds=3, auditor=Auditor(), fault=altered(type_, change))
    assert [(record.round, record.unmasked_equal) for record in result.rounds] == [(1, True), (2, True), (3, True)]
    assert [aborted.round for aborted in result.aborted] == [0]
    assert reason in result.aborted[0].reason
    assert len(net.spent) == len(set(net.spent))
    assert not any(source.open for source in net.sources.values())
    assert result.aborted[0].key_bits_burned == 512 * (len(net.spent) - 9)
    assert sum(account.burned for account in result.pairs) == 9 * (512 - D * 16) + result.aborted[0].key_bits_burned


def test_an_upload_repeated_identically_is_taken_once(network):
    def again(frame, data):
        return (data, frames.encode(replace(frame, seq=frame.seq + 1)))

    # The repeated frame takes a sequence number, so the connection would not last for a second round.
    result = run(network(), rounds=1, auditor=Auditor(), fault=altered(frames.MessageType.UPLOAD, again))
    assert result.unmasked_equal is True


def test_a_diverging_client_aborts_every_round_and_no_key_is_spent(network):
    net = network()
    broken = subject(B=np.full(D, np.nan))
    federation = Federation(broken, net.sources, settings(3))
    with pytest.raises(RoundAborted, match="not finite"):
        federation.run()
    assert net.spent == []
    assert np.array_equal(federation.server.theta, np.zeros(D))


def test_lost_rounds_leave_the_moments_where_they_were(network):
    trainers = subject()
    federation = Federation(trainers, network().sources, settings(3), fault=altered(frames.MessageType.UPLOAD, lost))
    federation.run()
    assert [steps for _, _, steps in trainers.trainers["A"].seen] == [0, 0, 1, 2]


def test_a_subset_of_clients_is_drawn_reproducibly_without_replacement(network):
    results = [run(network("ABCDE"), "ABCDE", rounds=6, per_round=3, auditor=Auditor(), seed=4) for _ in range(2)]
    assert results[0].theta.tobytes() == results[1].theta.tobytes()
    assert all(record.key_bits_spent == 3 * D * 16 for record in results[0].rounds)
    assert results[0].unmasked_equal is True


@pytest.mark.parametrize(
    ("names", "changes"),
    [
        ("AB", {}),
        ("ABC", {"q": 12}),
        ("ABC", {"q": 7}),
        ("ABC", {"bound": 0.0}),
        ("ABC", {"bound": -1.0}),
        ("ABC", {"rounds": 0}),
        ("ABC", {"per_round": 2}),
        ("ABC", {"aggregation": "prg"}),
    ],
)
def test_impossible_settings_are_refused_before_any_key_is_touched(network, names, changes):
    net = network(names)
    with pytest.raises(ConfigError):
        run(net, names, **changes)
    assert net.log == []


def test_a_missing_key_store_is_named(network):
    net = network()
    del net.sources["B"]
    with pytest.raises(ConfigError, match="key store of B"):
        run(net)


def test_a_bound_far_too_large_warns_on_the_client(network):
    with pytest.warns(QuantiserRange, match=r"client [ABC], round 1: only .* nonzero"):
        run(network(), rounds=1, q=8, bound=1000.0)


def test_resuming_gives_the_model_of_an_uninterrupted_run(network, tmp_path):
    whole = run(network(), rounds=6)
    part = tmp_path / "part"
    net = network()
    first = Federation(subject(), net.sources, settings(6), folder=part)
    for _ in range(3):
        first.step()
    first.close()
    second = Federation(subject(), net.sources, settings(6), folder=part)
    second.resume()
    result = second.run()
    second.close()
    assert result.theta.tobytes() == whole.theta.tobytes()
    assert [record.round for record in result.rounds] == list(range(6))
    assert result.pairs == whole.pairs
    assert len(net.spent) == len(set(net.spent))


def test_a_training_that_is_told_so_ends_between_two_rounds_and_none_is_burned(network, tmp_path):
    whole, net, part = run(network(), rounds=3), network(), tmp_path / "part"
    results = []
    for enough in (lambda: True, None):
        federation = Federation(subject(), net.sources, settings(3), folder=part)
        if results:
            federation.resume()
        results.append(federation.run(enough=enough))
        federation.close()
    assert [len(result.rounds) for result in results] == [1, 3]
    assert results[1].theta.tobytes() == whole.theta.tobytes()
    assert results[1].pairs == whole.pairs
    assert len(net.spent) == len(set(net.spent))


def test_resuming_after_a_kill_burns_the_open_round(network, tmp_path):
    net = network()
    first = Federation(subject(), net.sources, settings(6), folder=tmp_path, fault=altered(frames.MessageType.RESULT, lost))
    first.clients["B"].memory.begin(first.server.run, 0)  # B took a roster up that nobody else remembers
    assert first.step() is None
    assert first.step() is not None
    for name in "AC":
        first.clients[name].memory.remember_upload(99, first.server.run, 2, "0" * 64)
    first.close()
    second = Federation(subject(), net.sources, settings(6), folder=tmp_path)
    second.resume()
    record = second.step()
    assert record is not None
    assert record.round == 3
    assert second.server.session == 100
    second.close()


class Died(BaseException):
    """Stands for the end of the process."""


@pytest.mark.parametrize("kind", [frames.MessageType.UPLOAD, frames.MessageType.RESULT])
def test_key_of_a_round_that_a_process_died_in_is_in_the_account(network, tmp_path, kind):
    net = network()

    def dies(_sender, _receiver, data):
        frame = parse(data)
        if frame.type is kind and frame.round == 2:
            raise Died
        return (data,)

    first = Federation(subject(), net.sources, settings(3), folder=tmp_path, fault=dies)
    for _ in range(2):
        first.step()
    before = dict(net.taken)
    with pytest.raises(Died):
        first.step()
    for client in first.clients.values():
        client.memory.close()
    assert net.taken != before

    second = Federation(subject(), net.sources, settings(3), folder=tmp_path)
    second.resume()
    result = second.run()
    second.close()

    by_pair = {}
    for ((one, other), _), bits in net.taken.items():
        by_pair[f"{one}-{other}"] = by_pair.get(f"{one}-{other}", 0) + bits
    assert {account.pair: account.spent + account.burned for account in result.pairs} == by_pair
    assert [(lost.round, lost.reason) for lost in result.aborted] == [(2, "the process ended before the round was entered")]
    assert [record.round for record in result.rounds] == [0, 1, 3]


def test_a_second_run_in_the_same_folder_starts_anew(network, tmp_path):
    net = network()
    first, second = (run(net, rounds=2, folder=tmp_path) for _ in range(2))
    assert first.theta.tobytes() == second.theta.tobytes()
    assert len(net.spent) == len(set(net.spent)) == 12


def test_a_checkpoint_of_another_run_is_not_resumed(network, tmp_path):
    run(network(), rounds=1, folder=tmp_path)
    other = Federation(subject(), network().sources, settings(3, seed=5), folder=tmp_path)
    with pytest.raises(ConfigError, match="seed"):
        other.resume()
    other.close()


def test_the_statement_takes_provenance_and_epsilon_from_the_keys(network):
    block = SecurityStatement(("secret",), ("single photons",), 1e-9, 100, Provenance(False))
    federation = Federation(subject(), network().sources, settings(1), statements=[block, block], auditor=Auditor())
    statement = federation.run().statement
    assert statement.epsilon == 2e-9
    assert not statement.provenance.simulated
    assert "single photons" in statement.assumptions
    assert any("auditor" in assumption for assumption in statement.assumptions)
    assert Federation(subject(), network().sources, settings(1)).run().statement.provenance.simulated
    clear = Federation(subject(), {}, settings(1, aggregation="plain")).run()
    assert clear.statement.claims[0].startswith("none")
    assert clear.rounds[0].key_bits_spent == 0


def test_digits_three_and_nine_reach_the_target_on_every_seed(network):
    accuracies = []
    for seed in range(5):
        seen: list = []
        result = learn(digits_task(), network(chunk_bits=1024).sources, Settings(seed=seed), auditor=Auditor(), progress=seen.append)
        assert result.unmasked_equal is True
        assert len(seen) == 20
        assert {record.key_bits_spent for record in result.rounds} == {3 * 36 * 16}
        accuracies.append(result.final_accuracy)
    assert statistics.median(accuracies) >= 0.90
    assert min(accuracies) >= 0.80


def test_one_seed_gives_one_model_to_the_byte_whatever_the_keys(network):
    models = {learn(digits_task(), network(chunk_bits=bits).sources, Settings(seed=7, rounds=3)).theta.tobytes() for bits in (1024, 640)}
    assert len(models) == 1


def test_equal_seeds_and_keys_give_equal_transcripts(network):
    transcripts = []
    for _ in range(2):
        said: list = []

        def record(sender, receiver, data, said=said):
            said.append((sender, receiver, data))
            return (data,)

        learn(digits_task(), network(chunk_bits=640).sources, Settings(seed=2, rounds=2, run=1), fault=record)
        transcripts.append(said)
    assert transcripts[0] == transcripts[1]


def test_key_ids_sent_twice_abort_the_round(network):
    def twice(frame, data):
        return (data, frames.encode(replace(frame, seq=frame.seq + 1)))

    result = run(network(), rounds=1, fault=altered(frames.MessageType.KEYIDS, twice))
    assert len(result.aborted) == 1


def test_the_driver_is_imported_without_the_heavy_libraries():
    code = "import heliograph.protocols.qunetqfl, sys; print([name for name in ('torch', 'sklearn', 'scipy', 'qiskit') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
