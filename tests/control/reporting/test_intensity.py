import pytest

from heliograph.control.reporting import plots
from heliograph.control.reporting.intensity import DURATIONS_S, Measured, advice_rows, advise, duration_rows, measured_scenario, rate_curves, station_scenario
from heliograph.core.errors import ParameterError
from heliograph.core.physics import transmission
from heliograph.instruments.station import Station, default_text
from heliograph.postprocess.parameters import SITE_EFFICIENCY, SlotShares


@pytest.fixture(scope="module")
def station(tmp_path_factory):
    return Station.parse(default_text(), tmp_path_factory.mktemp("station") / "station.toml")


@pytest.fixture(scope="module")
def advice(station):
    return {pair: advise(station_scenario(station, pair, Measured(), bound="kato"), mu_now=station.pairs[pair].mu) for pair in ("A-B", "A-C")}


def test_a_pair_is_what_its_station_says(station):
    found = station_scenario(station, "A-C", Measured())

    assert found.bench.mu == (0.0085, 0.0085)
    assert found.bench.transmission == pytest.approx((transmission(6.8),) * 2)
    assert (found.bench.error_x, found.bench.error_y) == (0.0106, 0.011)
    assert found.bench.efficiency == (0.701156, 0.770355)
    assert found.bench.dark == pytest.approx((1e-7, 1e-7))
    assert found.shares == SlotShares.pattern(10_000, 1000, 110)
    assert (found.rep_rate_hz, found.dead_time_s) == pytest.approx((1e8, 30e-9))


def test_what_was_measured_replaces_what_the_station_says(station):
    found = station_scenario(station, "A-B", Measured(loss_db=10.0, error_y=0.02, mu=0.01), shares=SlotShares.random(0.95))

    assert found.bench.transmission == pytest.approx((0.1, 0.1))
    assert (found.bench.error_x, found.bench.error_y) == (0.0077, 0.02)
    assert found.bench.mu == (0.01, 0.01)
    assert found.shares.xx == pytest.approx(0.95**2)


def test_numbers_alone_are_enough():
    found = measured_scenario(Measured(3.8, 0.01, 0.005), duration_s=5.0)

    assert found.bench.efficiency == SITE_EFFICIENCY
    assert found.duration_s == 5.0


@pytest.mark.parametrize(
    ("measured", "where"), [(Measured(error_x=0.01, error_y=0.01), "--loss"), (Measured(3.0, error_y=0.01), "--error-x"), (Measured(3.0, 0.01), "--error-y")]
)
def test_the_number_that_is_missing_is_named(measured, where):
    with pytest.raises(ParameterError) as caught:
        measured_scenario(measured)

    assert caught.value.where == where


def test_an_unknown_pair_is_refused_with_the_known_ones(station):
    with pytest.raises(ParameterError, match="A-D") as caught:
        station_scenario(station, "A-D", Measured())

    assert "A-B, A-C, B-C" in caught.value.remedy


def test_the_advice_is_never_worse_than_what_is_in_use(advice):
    for one in advice.values():
        assert one.best.rate_bps >= one.rate_now_bps > 0


def test_the_best_rate_by_duration_holds_the_advice_itself(advice):
    for one in advice.values():
        assert one.by_duration["kato"][DURATIONS_S.index(200.0)] == one.best


def test_rows_have_a_cell_for_every_column(advice):
    for columns, rows in (advice_rows(advice), duration_rows(advice)):
        assert all(len(row) == len(columns) for row in rows)
    assert len(duration_rows(advice)[1]) == 4


def test_the_curves_peak_where_the_dots_are(advice):
    for name, curves in rate_curves(advice, durations=5).items():
        for bound in ("azuma", "kato"):
            best = curves.best[bound]
            top = int(curves.by_mu[bound].argmax())
            assert curves.mu[max(0, top - 1)] < best.mu < curves.mu[top + 1]
            assert curves.by_mu[bound].max() <= best.rate_bps * (1 + 1e-12)
        assert curves.best["kato"] == advice[name].best


def test_the_figure_has_a_row_a_pair_and_says_what_its_axes_are(advice, tmp_path):
    figure = plots.key_rates(rate_curves(advice, points=30, durations=5))

    axes = figure.axes
    assert len(axes) == 4
    assert all("kbit/s" in one.get_ylabel() for one in axes)
    assert "photons" in axes[2].get_xlabel()
    assert "(s)" in axes[3].get_xlabel()
    assert all(one.get_legend() is not None for one in axes)
    # Told apart without colour, too.
    assert len({line.get_linestyle() for line in axes[0].lines[:3:2]}) == 2


def test_the_same_figure_gives_the_same_file(advice, tmp_path):
    curves = rate_curves({"A-B": advice["A-B"]}, points=10, durations=3)

    for name in ("one.svg", "two.svg"):
        plots.save(plots.key_rates(curves), tmp_path / name)

    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()


def test_a_pair_without_key_is_drawn_as_such():
    hopeless = {"far": advise(measured_scenario(Measured(30.0, 0.01, 0.01)))}

    axes = plots.key_rates(rate_curves(hopeless, points=10, durations=3)).axes[0]

    assert [line.get_label() for line in axes.lines] == ["azuma: no key", "kato: no key"]
