import pytest

from heliograph.core.physics import loss_db
from heliograph.instruments.station import default_text

AB_EFFICIENCY = 208796444 / (2 * 0.017 * 2e10)
"""From a photon leaving a user to a click, arXiv:2501.12709, pair AB."""
AB = ("--loss", f"{loss_db(AB_EFFICIENCY):.6f}", "--efficiency", 1, "--dark", 0, "--error-x", 1434989 / 169216602, "--error-y", 10748 / 2171543, "--f", 1.19131)


@pytest.fixture
def station(tmp_path):
    path = tmp_path / "lab.toml"
    path.write_bytes(default_text())
    return path


@pytest.mark.parametrize(("bound", "mu", "kbps", "free"), [("azuma", 0.01652, 225.9, (0.0163, 0.938, 232.8)), ("kato", 0.01684, 244.8, (0.0167, 0.972, 275.0))])
def test_the_published_pair_from_its_numbers(heliograph, bound, mu, kbps, free):
    ended = heliograph("optimise", *AB, "--bound", bound, "--duration", 200, "--free-px", "--json")

    found = ended.json["pairs"]["measured"]
    assert ended.code == 0
    assert found["mu"] == pytest.approx(mu, rel=0.01)
    assert found["key_rate_bps"] / 1e3 == pytest.approx(kbps, rel=0.002)
    assert found["free_p_x"]["mu"] == pytest.approx(free[0], rel=0.01)
    assert found["free_p_x"]["p_x"] == pytest.approx(free[1], abs=0.0015)
    assert found["free_p_x"]["key_rate_bps"] / 1e3 == pytest.approx(free[2], rel=0.002)
    assert found["now"] is None
    assert ended.json["simulated"] is True
    assert ended.json["security"] is None


def test_all_pairs_of_a_station_with_the_intensity_in_use(heliograph, station):
    found = heliograph("optimise", "--station", station, "--json").json["pairs"]

    assert list(found) == ["A-B", "A-C", "B-C"]
    assert [one["now"]["mu"] for one in found.values()] == [0.017, 0.0085, 0.0085]
    for one in found.values():
        assert one["key_rate_bps"] >= one["now"]["key_rate_bps"] > 0
        assert one["free_p_x"] is None
        assert [each["duration_s"] for each in one["by_duration"]["azuma"]] == [1, 5, 20, 50, 200, 2000]


def test_one_pair_with_a_loss_measured_today(heliograph, station):
    told = heliograph("optimise", "--station", station, "--pair", "A-B", "--json").json["pairs"]
    today = heliograph("optimise", "--station", station, "--pair", "A-B", "--loss", 4.8, "--json").json["pairs"]

    assert list(told) == list(today) == ["A-B"]
    assert today["A-B"]["mu"] / told["A-B"]["mu"] == pytest.approx(10**-0.1, rel=0.03)


def test_people_get_tables(heliograph, station):
    ended = heliograph("optimise", "--station", station, "--pair", "A-C", "--free-px", "--duration", 5)

    assert ended.code == 0
    for words in ("blocks of 5 s", "best mu", "mu now", "best p_X", "azuma", "2000 s"):
        assert words in ended.out


@pytest.mark.parametrize(("name", "begins"), [("rates.svg", b"<?xml"), ("rates.png", b"\x89PNG")])
def test_a_figure_is_drawn(heliograph, tmp_path, name, begins):
    path = tmp_path / name

    ended = heliograph("optimise", *AB, "--intensity", 0.017, "--plot", path, "--json")

    assert ended.json["plot"] == str(path)
    assert path.read_bytes().startswith(begins)


def test_no_key_is_a_result_with_a_warning(heliograph):
    ended = heliograph("optimise", "--loss", 30, "--error-x", 0.01, "--error-y", 0.01, "--free-px", "--json")

    found = ended.json["pairs"]["measured"]
    assert ended.code == 0
    assert found["mu"] is None
    assert found["key_rate_bps"] == 0
    assert "no intensity gives key" in ended.err


@pytest.mark.parametrize(
    ("words", "where"),
    [
        ((), "--loss"),
        (("--loss", 3, "--error-x", 0.01), "--error-y"),
        ((*AB, "--loss", "nan"), "loss"),
        ((*AB, "--error-x", 0.7), "error_x"),
        ((*AB, "--f", 0.9), "f_ec"),
        ((*AB, "--duration", 0), "duration_s"),
        ((*AB, "--p-x", 1), "p_x"),
        ((*AB, "--epsilon", 0), "correction"),
        ((*AB, "--rep-rate", "100"), "--rep-rate"),
        ((*AB, "--plot", "no-such-folder/x.svg"), "no-such-folder"),
        (("--station", "nowhere.toml"), "nowhere.toml"),
    ],
)
def test_bad_input_is_named(heliograph, words, where):
    ended = heliograph("optimise", *words, "--json")

    assert ended.code == 3
    assert where in ended.json["error"]["where"]
    assert ended.json["error"]["remedy"]


def test_a_figure_of_no_known_kind_is_a_usage_error(heliograph, tmp_path):
    ended = heliograph("optimise", *AB, "--plot", tmp_path / "rates.docx", "--json")

    assert ended.code == 2
    assert not list(tmp_path.iterdir())
