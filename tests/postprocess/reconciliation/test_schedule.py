"""Block sizes, frames, and parameters that cannot be."""

import pytest

from heliograph.core.errors import ParameterError
from heliograph.postprocess.reconciliation import CascadeParameters, FrameLayout
from heliograph.postprocess.reconciliation.schedule import block_sizes, frame_bits_for


@pytest.mark.parametrize(
    ("q", "n", "first"),
    [
        (0.01, 4096, (128, 512)),
        (0.05, 16384, (32, 128)),
        (0.01, 131072, (128, 512)),
        (1 / 128, 8192, (128, 512)),
        (0.0, 4096, (512, 2048)),
        (0.9, 4096, (16, 64)),
    ],
)
def test_block_sizes_follow_the_schedule(q, n, first):
    assert block_sizes(q, n) == (*first, *[n // 2] * 12)


def test_no_block_exceeds_half_a_frame():
    assert max(block_sizes(0.002, 4096)) == 2048


@pytest.mark.parametrize(
    ("n_bits", "frames", "full", "tail"),
    [(1, 1, 0, 16384), (16384, 1, 0, 16384), (16385, 1, 0, 32768), (131072, 1, 1, 0), (131073, 2, 1, 16384), (262143, 2, 1, 131072), (262144, 2, 2, 0)],
)
def test_a_remainder_takes_the_smallest_frame_that_holds_it(n_bits, frames, full, tail):
    layout = FrameLayout.of(n_bits, 131072)

    assert (layout.frames, layout.full, layout.tail_bits) == (frames, full, tail)
    assert sum(layout.bits_of(frame) for frame in range(frames)) == n_bits


def test_the_remainder_of_short_frames_is_as_short_as_they_are():
    assert FrameLayout.of(5000, 4096).tail_bits == 4096


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("q_est", -0.1),
        ("q_est", float("nan")),
        ("seed", b"short"),
        ("block", 2**32),
        ("block", -1),
        ("frame_bits", 5000),
        ("frame_bits", 2048),
        ("schedule", "opt8"),
        ("in_flight", 0),
    ],
)
def test_impossible_parameters_are_refused_by_name(field, value):
    with pytest.raises(ParameterError) as caught:
        CascadeParameters(**{"q_est": 0.01, "seed": bytes(32), field: value})

    assert caught.value.where == field


def test_an_empty_key_is_refused():
    with pytest.raises(ParameterError) as caught:
        FrameLayout.of(0, 4096)

    assert caught.value.where == "n_bits"


@pytest.mark.parametrize(("n_bits", "size"), [(10_000, 2**14), (210_000.5, 2**14), (400_000, 2**15), (1_055_268, 2**16), (12 * 2**17, 2**17), (1e8, 2**17)])
def test_frames_are_so_short_that_one_may_be_dropped(n_bits, size):
    assert frame_bits_for(n_bits) == size
    layout = FrameLayout.of(int(n_bits), size)
    assert 1 / layout.frames <= 0.1 or size == 2**14
