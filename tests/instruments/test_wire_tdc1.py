"""Words of the TDC1 as the vendor's own reader takes them, in any pieces; text of S-Fifteen instruments."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.core.errors import BadReply, NotMonotonic
from heliograph.instruments.roles import Gap, TagBatch
from heliograph.instruments.wire import s_fifteen, tdc1
from heliograph.instruments.word_stream import WordBatches

GOLDEN = bytes.fromhex("a1000000 820c0000 0120bcbe e4ffffff 68000000 e3000000")
GOLDEN_NS = [10, 200, 200_000_000, 268_435_454, 268_435_462, 268_435_470]
CHANNELS = {"D1": 1, "D2": 2, "sync": 3, "other": 4}
TURN_PS = 268_435_456_000


def test_words_are_times_of_two_nanoseconds_and_patterns_and_roll_over_once() -> None:
    t_ps, inputs = tdc1.WordDecoder().feed(GOLDEN)

    assert (t_ps / 1000).tolist() == GOLDEN_NS
    assert inputs.tolist() == [1, 2, 1, 4, 8, 3]


def test_words_are_encoded_as_the_device_sends_them() -> None:
    ticks = np.array(GOLDEN_NS) // 2

    assert tdc1.encode_words(ticks, [1, 2, 1, 4, 8, 3]) == GOLDEN


def test_several_bits_are_several_tags_at_one_time() -> None:
    t_ps, channels = tdc1.tags(*tdc1.WordDecoder().feed(GOLDEN))

    assert (t_ps[-2:] // 1000).tolist() == [268_435_470, 268_435_470]
    assert channels.tolist() == [1, 2, 1, 3, 4, 1, 2]


def test_a_housekeeping_word_tells_the_time_and_is_no_tag() -> None:
    decoder = tdc1.WordDecoder()
    t_ps, channels = tdc1.tags(*decoder.feed(tdc1.encode_words([5, tdc1.ROLL_OVER - 1, tdc1.ROLL_OVER + 3], [1, 0x10 | 0xF, 2])))

    assert t_ps.tolist() == [10_000, TURN_PS + 6000]
    assert channels.tolist() == [1, 2]
    assert decoder.time_ps == TURN_PS + 6000


@pytest.mark.parametrize(("back", "rolls"), [(1, False), (1 << 24, False), ((1 << 24) + 1, True)])
def test_a_step_back_is_a_roll_over_or_an_error_by_its_size(back: int, rolls: bool) -> None:
    words = tdc1.encode_words([1 << 25, (1 << 25) - back], [1, 1])

    if rolls:
        t_ps, _ = tdc1.WordDecoder().feed(words)
        assert t_ps[1] - t_ps[0] == TURN_PS - back * 2000
    else:
        with pytest.raises(NotMonotonic, match="goes back by"):
            tdc1.WordDecoder().feed(words)


@st.composite
def streams(draw: Any) -> tuple[bytes, list[int], np.ndarray, np.ndarray]:
    """A stream over several roll-overs, and where it is cut."""
    steps = draw(st.lists(st.one_of(st.integers(0, 50), st.integers(0, tdc1.ROLL_OVER - (1 << 24) - 2)), min_size=1, max_size=40))
    inputs = draw(st.lists(st.integers(0, 31), min_size=len(steps), max_size=len(steps)))
    ticks = np.cumsum(steps)
    data = tdc1.encode_words(ticks, inputs)
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=12)))
    return data, cuts, ticks, np.array(inputs)


def same(one: TagBatch, other: TagBatch) -> bool:
    alike = (one.seq, one.t_begin_ps, one.t_end_ps, one.gaps) == (other.seq, other.t_begin_ps, other.t_end_ps, other.gaps)
    return alike and np.array_equal(one.t_ps, other.t_ps) and np.array_equal(one.ch, other.ch)


@given(streams(), st.sampled_from([{"D1": 1, "D2": 2}, CHANNELS, {"D1": 1, "frame": 4}]))
def test_any_split_of_the_stream_gives_the_same_batches_and_no_tag_is_lost(stream: Any, channels: dict[str, int]) -> None:
    data, cuts, ticks, inputs = stream
    width_ps = 100_000_000_000

    whole = WordBatches(width_ps, channels).feed(data)
    pieces = WordBatches(width_ps, channels)
    batches = [batch for begin, end in zip([0, *cuts], [*cuts, len(data)], strict=True) for batch in pieces.feed(data[begin:end])]

    assert len(batches) == len(whole)
    assert all(same(one, other) for one, other in zip(batches, whole, strict=True))
    plain = [(int(t) * 2000, ch) for t, bits in zip(ticks, inputs, strict=True) if not bits & 16 for ch in channels.values() if bits >> (ch - 1) & 1]
    if "frame" in channels:
        begin = next((t for t, ch in plain if ch == 4), None)
        plain = [(t - begin, ch) for t, ch in plain if begin is not None and t >= begin]
    found = [(int(t), int(ch)) for batch in whole for t, ch in zip(batch.t_ps, batch.ch, strict=True)]
    assert found == sorted(plain)[: len(found)]
    assert len(found) == sum(t < len(whole) * width_ps for t, _ in plain)


@given(streams())
def test_batches_follow_each_other_without_a_hole(stream: Any) -> None:
    data, _, ticks, _ = stream
    batches = WordBatches(50_000_000_000, CHANNELS).feed(data)

    assert [batch.seq for batch in batches] == list(range(int(ticks[-1]) * 2000 // 50_000_000_000))
    assert all(batch.t_begin_ps == batch.seq * 50_000_000_000 for batch in batches)
    assert all(((batch.t_begin_ps <= batch.t_ps) & (batch.t_ps < batch.t_end_ps)).all() and (np.diff(batch.t_ps) >= 0).all() for batch in batches)


def test_a_silence_longer_than_a_roll_over_is_a_gap_in_every_batch_it_touches() -> None:
    stream = WordBatches(100_000_000_000, CHANNELS)
    early = stream.feed(tdc1.encode_words([10, 40_000_000], [1, 2]))
    late = stream.feed(tdc1.encode_words([130_000_000, 160_000_000], [1, 0x10]), 0.3)

    assert early == []
    assert [batch.gaps for batch in late] == [
        (Gap(80_000_000_000, 100_000_000_000, "silence"),),
        (Gap(100_000_000_000, 200_000_000_000, "silence"),),
        (Gap(200_000_000_000, 260_000_000_000, "silence"),),
    ]


@pytest.mark.parametrize("silent_s", [0.0, 0.25])
def test_a_shorter_silence_is_none(silent_s: float) -> None:
    stream = WordBatches(100_000_000_000, CHANNELS)
    stream.feed(tdc1.encode_words([10], [1]))

    assert [batch.gaps for batch in stream.feed(tdc1.encode_words([60_000_000], [1]), silent_s)] == [()]


@pytest.mark.parametrize(("step", "gaps"), [(5000, 0), (15_000, 1), (20_000_000, 1)])
def test_words_that_go_on_as_before_came_over_a_slow_line(step: int, gaps: int) -> None:
    stream = WordBatches(100_000_000_000, CHANNELS)
    last = 5000 * 200
    stream.feed(tdc1.encode_words(np.arange(0, last + 1, 5000), [1] * 201))
    batches = stream.feed(tdc1.encode_words([last + step, 60_000_000], [1, 1]), 2.0)

    assert [len(batch.gaps) for batch in batches] == [gaps]


def test_a_silence_is_not_forgotten_because_half_a_word_came_first() -> None:
    stream = WordBatches(100_000_000_000, CHANNELS)
    stream.feed(tdc1.encode_words([10], [1]))
    word = tdc1.encode_words([60_000_000], [1])

    assert stream.feed(word[:3], 0.4) == []
    assert stream.feed(word[3:])[0].gaps == (Gap(20_000, 100_000_000_000, "silence"),)


def test_what_the_driver_sends_is_what_the_vendor_sends() -> None:
    assert tdc1.stream_command(-0.5, 0) == "INPKT;NEG -0.5;time 0;timestamp;counts?;"
    assert tdc1.level_command(1.2) == "POS 1.2"
    assert [tdc1.unsigned_time(value) for value in (100, -1, -32_768)] == [100, 65_535, 32_768]


@given(st.lists(st.sampled_from(["hvolt?", "time 100", "loop 1", "abort"]), max_size=6), st.integers(1, 7))
def test_commands_may_come_in_any_pieces_with_any_end(commands: list[str], piece: int) -> None:
    data = b"".join(command.encode() + (b";" if "?" in command else b"\r\n") for command in commands)
    reader = s_fifteen.CommandReader()

    assert [found for k in range(0, len(data), piece) for found in reader.feed(data[k : k + piece])] == commands


@pytest.mark.parametrize("text", ["", "warm", "nan", "9.9e37", "inf V"])
def test_what_is_no_number_is_told(text: str) -> None:
    with pytest.raises(BadReply):
        s_fifteen.number(text)


def test_an_identity_without_the_model_is_refused() -> None:
    assert s_fifteen.identity("S-Fifteen Instruments,SPD,7,1.4", "SPD") == ("S-Fifteen Instruments", "SPD", "7", "1.4")
    assert s_fifteen.identity("TDC1 timestamp unit", "TDC1") == ("S-Fifteen Instruments", "TDC1", "", "")
    with pytest.raises(BadReply, match="no SPD"):
        s_fifteen.identity("Acme,M1,1,1", "SPD")


@pytest.mark.parametrize("line", ["1 2 3", "1 2 3 4 5", "1 2 3 -4", "1 2 3 x", ""])
def test_counts_are_as_many_numbers_as_there_are_inputs(line: str) -> None:
    with pytest.raises(BadReply):
        s_fifteen.wholes(line, 4)
