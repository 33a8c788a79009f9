"""What one machine checks of the other even where every frame is well formed and every tag right: a peer with a bug, or one that lies."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from heliograph.core.entropy import SimRandom
from heliograph.core.errors import DesyncError, ParameterError, VerificationError
from heliograph.postprocess.block import BlockSettings
from heliograph.postprocess.channel.authentication import forgery_bound
from heliograph.postprocess.channel.frames import Frame, FrameReader, MessageType
from heliograph.postprocess.distillation import Alice, Bob, run_in_process
from heliograph.postprocess.round_tags import OpenTags


class SecretTags(OpenTags):
    authenticated = True


def party(kind: Any, light: Any, number: int) -> Any:
    return kind.of_pattern(light.patterns[number], light.offsets[number], light.announcement, light.settings, SimRandom(3, number))


class MiscountingBob(Bob):
    """Believes in one pulse more than was sent."""

    def _account(self) -> dict[str, Any]:
        return super()._account() | {"n_sent": self._settings.n_sent + 1}


class BobWhoMissedAFrame(Bob):
    """Counts one frame less than he sent."""

    def _send_round_end(self) -> bytes:
        extent = self._line.extent(self._direction)
        return self._line.send(MessageType.ROUND_END, extent | {"frames": extent["frames"] - 1})


class AliceWhoMiscountsParities(Alice):
    """Loses count of one reply."""

    def _count_parities(self, reply: bytes) -> None:
        if not self._tally.total:
            super()._count_parities(reply)


class CarelessBob(Bob):
    """Drops one frame more than he must, and sees nothing wrong in it."""

    def _check_dropped(self, kept: np.ndarray) -> None:
        kept[5] = False


class ForgetfulAlice(Alice):
    """Hashes a block that differs from hers in the first frame."""

    def _send_hash(self) -> list[bytes]:
        key = self._sifted.x_key.copy()
        key[0] ^= 1
        self._sifted = replace(self._sifted, x_key=key)
        return super()._send_hash()


@pytest.mark.parametrize(
    ("alice", "bob", "why"),
    [
        (Alice, MiscountingBob, "the parties counted differently: n_sent"),
        (Alice, BobWhoMissedAFrame, "disagree about what was sent"),
        (AliceWhoMiscountsParities, Bob, "parities were counted, the messages hold"),
    ],
)
def test_what_both_must_have_counted_alike_is_compared(small, alice, bob, why):
    both = party(alice, small, 0), party(bob, small, 1)

    with pytest.raises(DesyncError, match=why):
        run_in_process(*both)

    assert not any(each.finished for each in both)


def test_alice_does_not_let_bob_drop_more_frames_than_was_agreed(make_light):
    light = make_light(events=120_000, frame_bits=2**13)
    both = party(ForgetfulAlice, light, 0), party(CarelessBob, light, 1)

    with pytest.raises(VerificationError, match="differ after correction"):
        run_in_process(*both)

    assert not any(each.finished for each in both)


def public_randomness(light: Any, sources: list[SimRandom]) -> dict[str, bytes]:
    """Return every seed and hash key that goes over the line in a block, by name."""
    readers, found = (FrameReader(), FrameReader()), dict[str, bytes]()

    def tap(direction: int, raw: bytes) -> None:
        for frame in readers[direction].feed(raw):
            found.update(drawn(frame))

    run_in_process(light.alice(source=sources[0]), light.bob(source=sources[1]), tap=tap)
    return found


def drawn(frame: Frame) -> dict[str, bytes]:
    names = {MessageType.PARAMS: "announcement_key", MessageType.PARITY: "seed", MessageType.VERIFY: "key"}
    if frame.type is MessageType.PA_SEED:
        return {"amplification seed": frame.arrays["seed"].tobytes()}
    name = names.get(frame.type, "")
    return {name: bytes.fromhex(frame.header[name])} if name in frame.header else {}


def test_every_seed_and_hash_key_is_fresh_in_every_block(small):
    # Sources that run on, and give the same numbers in every run: with others one in three hundred blocks as small as these keeps an error, and makes no key.
    sources = [SimRandom(1, party) for party in range(2)]
    first, second = public_randomness(small, sources), public_randomness(small, sources)

    assert set(first) == set(second) == {"announcement_key", "seed", "key", "amplification seed"}
    for name in first:
        assert len(first[name]) == len(second[name]) >= 8
        assert first[name] != second[name]
        assert any(first[name])


def test_the_forgery_bound_is_the_sum_over_all_tags(small):
    lengths: list[int] = []

    class Listening(SecretTags):
        def make(self, direction: int, message_of: Any) -> tuple[int, bytes]:
            lengths.append(len(message_of(0)))
            return super().make(direction, message_of)

    alice, _ = run_in_process(small.alice(tags=Listening("A-B")), small.bob(tags=Listening("A-B")))

    assert len(lengths) == 6
    assert alice.forgery is not None
    assert alice.forgery == pytest.approx(sum(forgery_bound(length) for length in lengths), rel=1e-12)
    assert alice.statement.epsilon == alice.length.epsilon + alice.forgery
    assert all(here == there for here, there in pairwise(lengths[:2]))


GOOD: dict[str, Any] = {"pair": "A-B", "block": 1, "n_sent": 1000, "mu": (0.01, 0.01), "bound": "azuma"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("frame_bits", 0),
        ("frame_bits", 5000),
        ("schedule", "x"),
        ("leak_rule", "alice_parity"),
        ("pair", "A-A"),
        ("pair", "-"),
        ("mu", (9.0, 0.01)),
        ("n_sent", 1.5),
        ("first_slot", -1),
        ("pattern_mode", "none"),
        ("pattern_randomness", "banana"),
    ],
)
def test_settings_that_cannot_be_are_refused_by_name(name, value):
    assert BlockSettings(**GOOD)

    with pytest.raises(ParameterError, match=name):
        BlockSettings(**GOOD | {name: value})
