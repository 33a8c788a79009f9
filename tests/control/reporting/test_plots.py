import resource

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from heliograph.control.reporting import plots

PAIRS = {"A-B": (0.0077, 0.005), "A-C": (0.0106, 0.011)}


def bars(axes: Axes) -> list[Rectangle]:
    return [patch for patch in axes.patches if isinstance(patch, Rectangle)]


def test_error_rates_are_drawn_in_percent_one_bar_a_basis():
    axes = plots.error_rates(PAIRS).axes[0]

    heights = sorted(bar.get_height() for bar in bars(axes))
    assert heights == pytest.approx([0.5, 0.77, 1.06, 1.1])
    assert "%" in axes.get_ylabel()


def test_the_key_budget_of_each_pair_adds_up_to_all_sifted_bits():
    axes = plots.key_budget({"A-B": {"sifted": 1000, "leak": 80, "key": 270}}).axes[0]

    assert sum(bar.get_width() for bar in bars(axes)) == pytest.approx(100.0)
    assert bars(axes)[0].get_width() == pytest.approx(27.0)


def test_the_accuracy_of_round_one_stands_at_one():
    line = plots.accuracy([0.5, 0.9, 0.98]).axes[0].lines[0]

    assert np.asarray(line.get_xdata()).tolist() == [1, 2, 3]
    assert np.asarray(line.get_ydata()).tolist() == pytest.approx([50.0, 90.0, 98.0])


def test_key_use_is_summed_over_the_rounds():
    axes = plots.key_spent([1000, 1000], [500, 500]).axes[0]

    assert axes.dataLim.y1 == pytest.approx(3.0)


@pytest.mark.parametrize(
    "figure", [plots.error_rates(PAIRS), plots.key_budget({"A-B": {"sifted": 10, "leak": 1, "key": 2}}), plots.accuracy([0.9]), plots.key_spent([1], [0])]
)
def test_every_axis_is_labelled(figure):
    for axes in figure.axes:
        assert axes.get_xlabel()
        assert axes.get_ylabel()


def test_a_figure_that_does_not_fit_on_the_disk_leaves_the_one_before(tmp_path):
    path = tmp_path / "errors.png"
    path.write_bytes(b"before")
    figure = plots.error_rates(PAIRS)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError, match="large"):
            plots.save(figure, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]
