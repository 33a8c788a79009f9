"""Two machines make one key, account for every bit they say, and refuse where there is nothing to be had."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.acquisition.announcements import decode_events, encode_events
from heliograph.acquisition.events import Events
from heliograph.acquisition.patterns import demo_patterns
from heliograph.acquisition.sifting import sift, view
from heliograph.core.entropy import SimRandom
from heliograph.core.errors import AnnouncementError, DesyncError, FrameError, NoKeyError, ParameterError, VerificationError
from heliograph.postprocess.amplification import amplify_direct
from heliograph.postprocess.channel.authentication import check_tag, one_time_tag
from heliograph.postprocess.channel.frames import A_TO_B, B_TO_A, Frame, FrameReader, MessageType
from heliograph.postprocess.distillation import Alice, Bob, Distilled, run_in_process
from heliograph.postprocess.finite_key import KatoParameters, binary_entropy, key_length


class Wiretap:
    """An observer who sees the frames only."""

    def __init__(self) -> None:
        self.readers = (FrameReader(), FrameReader())
        self.frames: list[Frame] = []

    def __call__(self, direction: int, data: bytes) -> None:
        self.frames += self.readers[direction].feed(data)

    def of(self, type_: MessageType, direction: int) -> list[Frame]:
        return [frame for frame in self.frames if frame.type is type_ and frame.direction == direction]

    def parities(self) -> int:
        """Count the parities in Alice's replies, item by item."""
        total = 0
        for frame in self.of(MessageType.PARITY, A_TO_B):
            body = frame.arrays["body"].tobytes() if frame.arrays else b""
            at = 14
            while at < len(body):
                _, count = struct.unpack_from("<II", body, at)
                total += count
                at += 8 + (count + 7) // 8
        return total


def sifted_keys(light: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return what both parties hold of the X bits before correction, one bit an element."""
    events = decode_events(light.announcement, 0, light.settings.n_sent)
    own = [view(events, light.patterns[0], light.offsets[0], "alice"), view(events, light.patterns[1], light.offsets[1], "bob")]
    blocks = [sift(own[0], own[1].basis), sift(own[1], own[0].basis)]
    alice, bob = (np.unpackbits(block.x_key, count=block.n_x, bitorder="little") for block in blocks)
    return alice, bob


def run(light: Any, **options: Any) -> tuple[Distilled, Distilled]:
    return run_in_process(light.alice(), light.bob(), **options)


def test_both_parties_end_with_the_same_key_of_the_promised_length(light):
    alice, bob = run(light)

    assert np.array_equal(alice.key, bob.key)
    assert alice.bits == bob.bits == alice.length.bits > 10_000
    assert alice.key.size == (alice.bits + 7) // 8
    assert int(alice.key[-1]) >> ((alice.bits - 1) % 8 + 1) == 0
    assert abs(np.unpackbits(alice.key, count=alice.bits, bitorder="little").mean() - 0.5) < 4 * 0.5 / alice.bits**0.5


def test_the_key_is_the_hash_of_alices_sifted_bits_under_the_announced_seed(light):
    tap = Wiretap()

    alice, _ = run(light, tap=tap)

    [seed] = tap.of(MessageType.PA_SEED, A_TO_B)
    sifted, _ = sifted_keys(light)
    expected = amplify_direct(np.packbits(sifted, bitorder="little"), sifted.size, seed.arrays["seed"], alice.bits)
    assert np.array_equal(alice.key, expected)


def test_counts_and_error_rates_are_those_of_the_light(light):
    alice, bob = run(light)
    mine, theirs = sifted_keys(light)
    wrong = int((mine != theirs).sum())

    assert alice.counts == bob.counts
    assert (alice.counts.n_sent, alice.counts.n_events, alice.counts.n_x) == (light.settings.n_sent, 60_000, mine.size)
    assert alice.qber_x == bob.qber_x == wrong / mine.size
    assert alice.qber_y == alice.counts.m_y / alice.counts.n_y


def test_every_disclosed_parity_is_counted_as_an_observer_counts_it(light):
    tap = Wiretap()

    alice, bob = run(light, tap=tap)

    assert alice.leak_bits == bob.leak_bits == alice.disclosed["alice_parities"] == tap.parities()
    assert alice.disclosed == bob.disclosed
    assert alice.disclosed["bob_diffs"] == alice.disclosed["alice_parities"]
    assert alice.disclosed["verification"] == 64
    assert alice.disclosed["y_bits"] == sum(frame.bits["y"] for direction in (0, 1) for frame in tap.of(MessageType.TESTBITS, direction))
    assert alice.disclosed["bases"] == sum(frame.bits["basis"] for direction in (0, 1) for frame in tap.of(MessageType.BASES, direction))


def test_the_length_follows_from_what_was_logged(light):
    alice, _ = run(light)

    expected = key_length(alice.counts, light.settings.mu, alice.leak_bits, bound="kato", kato=light.settings.kato, verify_bits=64)
    assert alice.length == expected
    assert alice.statement.epsilon == pytest.approx(4e-10)
    assert alice.statement.leaked_bits == alice.leak_bits + 64


def test_error_correction_costs_little_more_than_the_entropy_of_the_errors(make_light):
    alice, _ = run(make_light(events=300_000, frame_bits=2**17))

    assert alice.f_ec is not None
    assert alice.f_ec == pytest.approx(alice.leak_bits / (alice.counts.n_x * binary_entropy(alice.qber_x)))
    assert 1.0 <= alice.f_ec < 1.06


def test_without_any_error_the_efficiency_has_no_meaning(make_light):
    alice, bob = run(make_light(error_x=0.0, error_y=0.0))

    assert alice.f_ec is None
    assert alice.qber_x == 0.0
    assert np.array_equal(alice.key, bob.key)


def test_messages_come_in_the_order_of_the_protocol(light):
    tap = Wiretap()

    run(light, tap=tap)

    kinds = [frame.type.name for frame in tap.frames if frame.type is not MessageType.PARITY]
    end = ["ROUND_END", "ROUND_END", "TAG", "TAG"]
    sifting = ["PARAMS", "PARAMS", "BASES", "BASES", "TESTBITS", "TESTBITS", *end]
    assert kinds == [*sifting, "VERIFY", "VERIFY", "COUNTS", "COUNTS", *end, "PA_SEED", *end]
    assert {frame.session for frame in tap.frames} == {77}
    assert {frame.round for frame in tap.frames} == {0, 1, 2}


def test_no_x_bit_and_no_bit_of_the_key_is_on_the_line(light):
    tap = Wiretap()

    alice, _ = run(light, tap=tap)

    said = b"".join(array.tobytes() for frame in tap.frames for array in frame.arrays.values())
    sifted = np.packbits(sifted_keys(light)[0], bitorder="little").tobytes()
    assert not any(sifted[at : at + 8] in said for at in range(0, len(sifted) - 8, 8))
    assert not any(alice.key.tobytes()[at : at + 8] in said for at in range(0, alice.key.size - 8, 8))


def test_seeds_are_fresh_in_every_block(light):
    keys = [run_in_process(light.alice(source=Declared(seed)), light.bob(source=Declared(seed, 1)))[0].key.tobytes() for seed in range(2)]

    assert keys[0] != keys[1]


@settings(max_examples=8)
@given(cuts=st.lists(st.integers(1, 5000), min_size=1, max_size=8))
def test_any_cutting_of_the_stream_gives_the_same_key(small, cuts):
    parties = (small.alice(), small.bob())
    parties[1].start()
    queue = [(1, raw) for raw in parties[0].start()]
    turn = 0
    while queue:
        to, raw = queue.pop(0)
        while raw:
            size = cuts[turn % len(cuts)]
            turn += 1
            queue += [(1 - to, answer) for answer in parties[to].feed(raw[:size])]
            raw = raw[size:]

    assert np.array_equal(parties[0].result.key, run(small)[0].key)
    assert np.array_equal(parties[1].result.key, parties[0].result.key)


def test_a_block_may_begin_at_any_slot(light):
    events, shift = decode_events(light.announcement, 0, light.settings.n_sent), 123_457
    later = replace(
        light.with_settings(first_slot=shift),
        announcement=encode_events(Events(events.slot + shift, events.detector), shift),
        offsets=tuple(offset + shift for offset in light.offsets),
    )

    assert np.array_equal(run(later)[0].key, run(light)[0].key)


def test_a_bob_with_another_runs_pattern_gets_no_key_and_corrects_nothing(light):
    tap = Wiretap()
    _, wrong = demo_patterns(SimRandom(99, 7), len(light.patterns[1]), 200, 40)
    alice, bob = light.alice(), light.bob(pattern=wrong)

    with pytest.raises(NoKeyError, match=r"Y error rate is .*pattern files belong to this run"):
        run_in_process(alice, bob, tap=tap)

    assert not tap.of(MessageType.PARITY, A_TO_B)
    for party in (alice, bob):
        assert not party.finished
        with pytest.raises(NoKeyError):
            _ = party.result


def test_a_wrong_offset_gives_no_key(light):
    with pytest.raises(NoKeyError, match="Y error rate"):
        run_in_process(light.alice(), light.bob(offset=light.offsets[1] + 1))


def test_a_block_too_small_is_refused_before_correction_with_every_term(make_light):
    tap = Wiretap()

    with pytest.raises(NoKeyError) as caught:
        run(make_light(events=5_000), tap=tap)

    for term in ("x_bits", "phase_errors", "verification", "amplification", "delta", "e_y", "phase error"):
        assert term in caught.value.message
    assert "pair A-B, block 5" in str(caught.value)
    assert not tap.of(MessageType.PARITY, A_TO_B)


def test_a_block_without_events_gives_no_key(light):
    with pytest.raises(NoKeyError, match="no event was announced"):
        run_in_process(light.alice(announcement=b""), light.bob(announcement=b""))


def test_x_errors_that_cost_more_than_the_block_is_worth_end_correction_early(make_light):
    light = make_light(error_x=0.3)
    tap = Wiretap()

    with pytest.raises(NoKeyError, match="parities are disclosed, with more to come"):
        run(light, tap=tap)

    assert tap.parities() < light.settings.n_sent


def test_counting_both_directions_subtracts_the_parities_twice(light):
    one_way, _ = run(light)
    both, _ = run(light.with_settings(leak_rule="both_directions"))

    assert both.leak_bits == 2 * one_way.leak_bits
    assert both.bits == one_way.bits - one_way.leak_bits
    assert any("both_directions" in text for text in both.statement.assumptions)
    assert any("alice_parities" in text and "not proven" in text for text in one_way.statement.assumptions)


def test_azuma_gives_less_than_kato(light):
    kato, _ = run(light)
    azuma, _ = run(light.with_settings(bound="azuma", kato=None))

    assert 0 < azuma.bits < kato.bits


@pytest.mark.parametrize(
    ("changed", "named"), [({"mu": (0.002, 0.001)}, "mu"), ({"configuration": "ab"}, "configuration"), ({"block": 6}, "block"), ({"p_x": 0.8}, "p_x")]
)
def test_parties_with_different_settings_do_not_begin(light, changed, named):
    with pytest.raises(DesyncError, match=rf"different settings: {named}"):
        run_in_process(light.alice(), light.bob(settings=replace(light.settings, **changed)))


def test_frames_of_another_session_are_refused(light):
    with pytest.raises(FrameError):
        run_in_process(light.alice(), light.bob(settings=replace(light.settings, session=78)))


def test_a_site_that_announces_two_truths_is_found_out_before_any_basis_is_told(light):
    events = decode_events(light.announcement, 0, light.settings.n_sent)
    detector = events.detector.copy()
    detector[17] ^= 1
    tap = Wiretap()

    with pytest.raises(DesyncError, match="announced different events"):
        run_in_process(light.alice(), light.bob(announcement=encode_events(Events(events.slot, detector))), tap=tap)
    with pytest.raises(DesyncError, match="59,999 to the other"):
        run_in_process(light.alice(), light.bob(announcement=encode_events(Events(events.slot[1:], events.detector[1:]))))

    assert not [frame for frame in tap.frames if frame.type is MessageType.BASES]


def test_an_announcement_outside_the_block_is_refused(light):
    with pytest.raises(AnnouncementError):
        light.with_settings(n_sent=light.settings.n_sent // 2).alice()


@pytest.mark.parametrize(
    ("field", "value"),
    [("pair", "AB"), ("n_sent", 0), ("mu", (0.0, 0.1)), ("kato", None), ("kato", KatoParameters(1.0, 1.0, regression_only=True)), ("q_est", 0.5), ("p_x", 1.0)],
)
def test_impossible_settings_name_their_field(light, field, value):
    with pytest.raises(ParameterError, match=field):
        replace(light.settings, **{field: value})


class ForgetfulAlice(Alice):
    """Her memory changed after correction: one bit in each of some frames."""

    bad_frames: tuple[int, ...] = ()

    def _send_hash(self) -> list[bytes]:
        key = self._sifted.x_key.copy()
        for frame in self.bad_frames:
            key[frame * self._settings.frame_bits // 8 + 3] ^= 4
        self._sifted = replace(self._sifted, x_key=key)
        return super()._send_hash()


def forgetful(light: Any, *frames: int) -> ForgetfulAlice:
    alice = ForgetfulAlice.of_pattern(light.patterns[0], light.offsets[0], light.announcement, light.settings, SimRandom(3))
    alice.bad_frames = frames
    return alice


@pytest.fixture(scope="module")
def twelve_frames(make_light):
    return make_light(events=120_000, frame_bits=2**13)


def test_a_frame_that_differs_is_dropped_whole_and_the_others_make_the_key(twelve_frames):
    light = twelve_frames
    tap = Wiretap()

    alice, bob = run_in_process(forgetful(light, 2), light.bob(), tap=tap)

    frames = -(-alice.counts.n_x // 2**13)
    assert np.array_equal(alice.key, bob.key)
    assert alice.n_x_surviving == alice.counts.n_x - 2**13
    assert alice.disclosed["verification"] == 64 * (1 + frames - 1)
    assert alice.leak_bits + alice.disclosed["parities_of_dropped_frames"] == tap.parities()
    assert alice.disclosed["parities_of_dropped_frames"] > 0
    expected = key_length(
        alice.counts, light.settings.mu, alice.leak_bits, bound="kato", kato=light.settings.kato, verify_bits=64 * frames, n_x_surviving=alice.n_x_surviving
    )
    assert alice.length == expected
    mine, theirs = (np.delete(bits, np.s_[2 * 2**13 : 3 * 2**13]) for bits in sifted_keys(light))
    assert alice.qber_x == (mine != theirs).mean()
    [seed] = tap.of(MessageType.PA_SEED, A_TO_B)
    assert np.array_equal(alice.key, amplify_direct(np.packbits(mine, bitorder="little"), mine.size, seed.arrays["seed"], alice.bits))


def test_the_last_shorter_frame_may_be_dropped_too(twelve_frames):
    last = -(-sifted_keys(twelve_frames)[0].size // 2**13) - 1

    alice, bob = run_in_process(forgetful(twelve_frames, last), twelve_frames.bob())

    assert np.array_equal(alice.key, bob.key)
    assert alice.n_x_surviving == last * 2**13 < alice.counts.n_x


def test_more_than_a_tenth_of_the_frames_dropped_ends_the_block(twelve_frames):
    alice, bob = forgetful(twelve_frames, 1, 5), twelve_frames.bob()

    with pytest.raises(VerificationError, match=r"2 of 12 frames \(17% of the X bits\) differ"):
        run_in_process(alice, bob)

    assert not alice.finished
    assert not bob.finished


class SecretTags:
    """Tags under secrets that only the two parties hold."""

    link_id = bytes(range(16))
    authenticated = True

    def __init__(self, secret: int) -> None:
        self.stream = SimRandom(secret).take(96)
        self.spent: Counter[int] = Counter()

    def key(self, direction: int) -> tuple[bytes, bytes]:
        self.spent[direction] += 1
        return self.stream[16 * direction : 16 * direction + 16], self.stream[32 + 16 * direction : 48 + 16 * direction]

    def make(self, direction: int, message_of: Callable[[int], bytes]) -> tuple[int, bytes]:
        return 41, one_time_tag(*self.key(direction), message_of(41))

    def check(self, direction: int, s_index: int, message_of: Callable[[int], bytes], tag: bytes) -> None:
        check_tag(*self.key(direction), message_of(s_index), tag)


def test_secret_tags_close_the_round_and_are_spent_once_a_direction(light):
    tags = SecretTags(5), SecretTags(5)

    alice, bob = run_in_process(light.alice(tags=tags[0]), light.bob(tags=tags[1]))

    assert np.array_equal(alice.key, bob.key)
    assert [dict(each.spent) for each in tags] == [{0: 3, 1: 3}] * 2
    assert alice.disclosed["tags"] == 6 * 128
    assert "the classical channel is not authenticated" not in alice.statement.provenance.reasons
    assert alice.statement.epsilon >= alice.length.epsilon
    assert any("authenticated by one-time tags" in text for text in alice.statement.assumptions)


def test_parties_with_different_secrets_get_no_key(light):
    alice, bob = light.alice(tags=SecretTags(5)), light.bob(tags=SecretTags(6))

    with pytest.raises(FrameError, match="tag does not belong"):
        run_in_process(alice, bob)

    assert not alice.finished
    assert not bob.finished


def test_demonstration_data_claim_no_secrecy_and_say_why(light):
    alice, bob = run(light)

    assert alice.statement == bob.statement
    assert alice.statement.provenance.simulated
    assert any("no secrecy is claimed" in claim for claim in alice.statement.claims)
    for reason in ("simulated instruments", "pattern repeats", "seeded generator", "not authenticated"):
        assert any(reason in text for text in alice.statement.assumptions)


class Declared(SimRandom):
    """Says that it is the operating system's, and can be repeated: of a block of three frames one fails in one run of five hundred."""

    origin = "os"


def test_only_real_light_fresh_patterns_true_randomness_and_secret_tags_together_claim_secrecy(light):
    real = light.with_settings(hardware=True, pattern_mode="qrng", pattern_randomness="qrng")

    def result(**changed: Any) -> Distilled:
        given = [{"tags": SecretTags(5), "source": Declared(2, stream), **changed} for stream in range(2)]
        return run_in_process(real.alice(**given[0]), real.bob(**given[1]))[0]

    complete = result()
    assert not complete.statement.provenance.simulated
    assert any("secret from a site" in claim for claim in complete.statement.claims)
    assert result(tags=None).statement.provenance.simulated
    assert result(source=SimRandom(1)).statement.provenance.simulated
    for missing in ({"hardware": False}, {"pattern_mode": "demo"}, {"pattern_randomness": "simulated"}):
        assert result(settings=replace(real.settings, **missing)).statement.provenance.simulated


def test_the_other_party_is_told_why_there_is_no_key(light):
    alice, bob = light.alice(), light.bob(offset=light.offsets[1] + 1)

    with pytest.raises(NoKeyError):
        run_in_process(alice, bob)

    with pytest.raises(NoKeyError, match=r"the other party gave up: the Y error rate is"):
        alice.feed(b"")
    assert alice.farewell() == bob.farewell() == []


def test_a_machine_that_failed_has_dropped_what_was_secret(light):
    alice, bob = light.alice(), light.bob(offset=light.offsets[1] + 1)

    with pytest.raises(NoKeyError):
        run_in_process(alice, bob)

    for party in (alice, bob):
        assert not {"_own", "_sifted", "_key", "_reference", "_corrector"} & vars(party).keys()


def test_a_result_asked_for_too_early_is_refused(light):
    alice = light.alice()
    alice.start()

    with pytest.raises(DesyncError, match="not finished"):
        _ = alice.result
    assert isinstance(light.bob(), Bob)
    assert B_TO_A != A_TO_B
