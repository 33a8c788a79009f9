import pytest

from heliograph.instruments.station import default_text


@pytest.fixture
def station(tmp_path):
    """A function that writes the default station with a change, and returns its path."""

    def write(old="", new=""):
        path = tmp_path / "station.toml"
        text = default_text().decode()
        assert old in text
        path.write_text(text.replace(old, new, 1))
        return path

    return write


def test_a_new_station_file_is_right_and_a_second_one_does_not_replace_it(heliograph, tmp_path):
    file = tmp_path / "lab.toml"

    assert heliograph("station", "new", file, "--seed", 5).code == 0
    assert "seed = 5\n" in file.read_text()
    assert heliograph("station", "check", file).code == 0

    again = heliograph("station", "new", file, "--json")
    assert again.code == 3
    assert "left alone" in again.json["error"]["message"]
    assert "seed = 5\n" in file.read_text()


def test_a_folder_that_is_not_there_is_one_clear_error(heliograph, tmp_path):
    ended = heliograph("station", "new", tmp_path / "no" / "lab.toml", "--json")
    assert ended.code == 3
    assert ended.json["error"]["type"] == "StorageError"


def test_a_full_disk_leaves_no_half_of_a_file_in_the_way(heliograph, tmp_path, full_disk):
    with full_disk(100):
        ended = heliograph("station", "new", tmp_path / "lab.toml", "--json")

    assert ended.code == 3
    assert ended.json["error"]["where"] == str(tmp_path / "lab.toml")
    assert list(tmp_path.iterdir()) == []
    assert heliograph("station", "new", tmp_path / "lab.toml").code == 0


def test_check_names_how_far_the_trains_are_apart(heliograph, station):
    found = heliograph("station", "check", station(), "--json").json
    assert found["valid"] is True
    assert set(found["margins_ns"]) == {"A", "B", "C"}
    assert all(margin > 1.0 for margin in found["margins_ns"].values())


def test_show_describes_everything_but_what_only_the_simulation_reads(heliograph, station):
    found = heliograph("station", "show", station(), "--json").json
    assert found["instruments"]["laser"]["wire"]["driver"] == "KoherasBasik"
    assert found["pairs"]["A-B"]["mu"] == 0.017
    assert found["simulated"] is True
    assert found["security"] is None
    assert "sim" not in found
    assert "KoherasBasik" in heliograph("station", "show", station()).out


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[pairs]", "[pears]", "pears"),
        ('line = ["laser"', 'lime = ["laser"', "lime"),
        ('rep_rate = "100 MHz"', "rep_rate = 100", "rep_rate"),
        ('rep_rate = "100 MHz"', 'rep_rate = "100 m"', "rep_rate"),
        ('"A-B" = {', '"A-Q" = {', "A-Q"),
        ('pm = "pm_a"', 'pm = "pm_q"', "pm_q"),
        ("schema = 1", "schema = ", "TOML"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(heliograph, station, old, new, said):
    ended = heliograph("station", "check", station(old, new), "--json")
    assert ended.code == 3
    error = ended.json["error"]
    assert error["type"] == "ConfigError"
    assert said in error["message"]
    assert "station.toml" in error["where"]
    assert error["remedy"]


def test_a_layout_whose_trains_collide_is_refused_with_the_fibre_that_mends_it(heliograph, station):
    ended = heliograph("station", "check", station('distance = "1000.5 m"', 'distance = "1000 m"'), "--json")
    error = ended.json["error"]
    assert ended.code == 3
    assert "A" in error["message"]
    assert " m" in error["remedy"]


@pytest.mark.parametrize("words", ["station check nowhere.toml", "acquire rates --station nowhere.toml", "bench serve --station nowhere.toml"])
def test_a_missing_file_is_one_clear_error(heliograph, tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    ended = heliograph(*words.split(), "--json")
    assert ended.code == 3
    assert "nowhere.toml" in ended.json["error"]["where"]
    assert ended.json["error"]["remedy"]
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(("old", "new"), [("[pairs]", "[pears]"), ('distance = "1000.5 m"', 'distance = "1000 m"')])
def test_no_command_starts_a_bench_of_a_wrong_file(heliograph, station, old, new):
    path = station(old, new)
    demo = heliograph("demo", "--out", path.parent, "--json")
    rates = heliograph("acquire", "rates", "--station", path, "--json")
    assert demo.code == rates.code == 3
    assert demo.json["error"]["remedy"]
    assert not path.with_name("station.toml.bench.json").exists()
    assert not (path.parent / "store").exists()


def test_a_folder_in_place_of_a_station_file_is_told_alike_by_every_command(heliograph, tmp_path):
    errors = [heliograph(*words, "--station", tmp_path, "--json").json["error"] for words in (("gui",), ("bench", "status"))]

    assert errors[0] == errors[1]
    assert "Is a directory" in errors[0]["message"]
