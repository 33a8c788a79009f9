"""Batches cut from a stream: which time they cover, where a recording begins, and gaps that reach over several of them."""

import numpy as np
import pytest

from heliograph.instruments.roles import Gap, TagBatch
from heliograph.instruments.tag_windows import TagWindows


def tags(*pairs: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([t for t, _ in pairs], np.int64), np.array([ch for _, ch in pairs], np.uint8)


def seen(batches: list[TagBatch]) -> list[list[tuple[int, int]]]:
    return [list(zip(batch.t_ps.tolist(), batch.ch.tolist(), strict=True)) for batch in batches]


def test_a_batch_is_complete_when_a_time_behind_it_is_known_and_an_empty_one_is_data() -> None:
    windows = TagWindows(100, {"D1": 1}, origin_ps=0)

    assert windows.feed(*tags((10, 1), (99, 1)), 99) == []
    assert seen(windows.feed(*tags((100, 1)), 305)) == [[(10, 1), (99, 1)], [(100, 1)], []]


def test_tags_of_inputs_that_are_not_wanted_are_dropped() -> None:
    windows = TagWindows(100, {"D1": 1, "sync": 3}, origin_ps=0)

    assert seen(windows.feed(*tags((10, 1), (20, 2), (30, 3)), 100)) == [[(10, 1), (30, 3)]]


def test_a_recording_begins_with_the_first_tag_of_the_frame_trigger() -> None:
    windows = TagWindows(100, {"D1": 1, "frame": 4})

    assert windows.feed(*tags((5, 1), (9, 1)), 1000) == []
    assert not windows.started
    assert seen(windows.feed(*tags((1010, 1), (1050, 1), (1050, 4), (1060, 1)), 1160)) == [[(0, 1), (0, 4), (10, 1)]]
    assert windows.started


def test_without_a_frame_trigger_it_begins_with_the_first_tag() -> None:
    windows = TagWindows(100, {"D1": 1})

    assert seen(windows.feed(*tags((1010, 1), (1060, 1)), 1110)) == [[(0, 1), (50, 1)]]


def test_a_gap_over_three_batches_is_in_each_and_counted_once() -> None:
    windows = TagWindows(100, {"D1": 1}, origin_ps=0)
    batches = windows.feed(*tags((10, 1), (250, 1)), 300, [Gap(20, 240, "overflow", 7)])

    assert [batch.gaps for batch in batches] == [(Gap(20, 100, "overflow"),), (Gap(100, 200, "overflow"),), (Gap(200, 240, "overflow", 7),)]
    assert sum(gap.missed or 0 for batch in batches for gap in batch.gaps) == 7


def test_gaps_before_the_recording_are_none_of_its_own() -> None:
    windows = TagWindows(100, {"D1": 1, "frame": 4})
    batches = windows.feed(*tags((50, 4), (160, 1)), 160, [Gap(5, 20, "overflow", 3), Gap(40, 70, "overflow", 2)])

    assert [batch.gaps for batch in batches] == [(Gap(0, 20, "overflow", 2),)]


def test_what_was_not_told_of_the_last_batch_is_a_gap() -> None:
    windows = TagWindows(100, {"D1": 1}, origin_ps=0)
    windows.feed(*tags((110, 1)), 150)

    assert windows.close("silence").gaps == (Gap(150, 200, "silence"),)


@pytest.mark.parametrize("gap", [Gap(100, 100, "device-error"), Gap(100, 130, "missed", 1)])
def test_a_gap_at_the_border_is_in_the_batch_that_begins_there(gap: Gap) -> None:
    windows = TagWindows(100, {"D1": 1}, origin_ps=0)

    assert [batch.gaps for batch in windows.feed(*tags(), 200, [gap])] == [(), (gap,)]
