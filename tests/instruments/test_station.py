"""The station file: what it gives, and one clear error for each thing that can be wrong with it."""

import tomllib
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.core.errors import ConfigError
from heliograph.instruments import layout
from heliograph.instruments.station import Station, default_text

TEXT = default_text().decode()
TODAY = date(2026, 11, 20)


def parse(text: str) -> Station:
    return Station.parse(text.encode(), Path("lab.toml"), today=TODAY)


def changed(old: str, new: str) -> str:
    assert old in TEXT
    return TEXT.replace(old, new, 1)


def test_the_default_station_is_in_si_units(tmp_path: Path) -> None:
    path = tmp_path / "lab.toml"
    path.write_bytes(default_text())

    station = Station.load(path, today=TODAY)

    assert station.clock.rep_rate_hz == 100e6
    assert station.clock.slot_ps == 10_000
    assert station.instruments["laser"].rules.limits.power_w == (0.0, 0.015)
    assert station.instruments["snspd"].rules.operate.bias_a == pytest.approx(18e-6)
    assert station.instruments["tagger"].wire.channel_map == {"D1": 1, "D2": 2, "sync": 3}
    assert station.optics.users["A"].distance_m == 1000.5
    assert station.optics.modulators["pm_a"].channel == 1
    assert station.pairs["A-B"].mu == 0.017
    assert station.simulated
    assert station.text == path.read_bytes()


def test_plain_holds_everything_the_simulated_world_needs() -> None:
    plain = parse(TEXT).plain()

    assert plain["sim"]["seed"] == 20260101
    assert plain["sim"]["users"]["A"] == {"error_x": 0.00373, "error_y": 0.00312}
    assert plain["optics"]["users"]["C"]["loss_db"] == 5.8
    assert plain["optics"]["loop"]["length_m"] == 6000.0
    assert plain["instruments"]["awg_a"]["wire"]["driver"] == "Keysight81160A"


def test_the_public_text_is_the_file_without_its_simulation() -> None:
    public = parse(TEXT).public_text()

    assert b"seed" not in public
    assert b"20260101" not in public
    assert {**tomllib.loads(public.decode()), "sim": tomllib.loads(TEXT)["sim"]} == tomllib.loads(TEXT)


def test_a_simulation_table_on_one_line_is_left_out_too() -> None:
    start, end = TEXT.index("\n[sim]\n"), TEXT.index("\n[instruments]\n")
    text = TEXT[:start] + TEXT[end:]
    text = text.replace("schema = 1\n", "schema = 1\nsim = { seed = 424242 }\n")

    assert b"424242" not in parse(text).public_text()


def test_a_missing_file_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml: the station file cannot be read .* station new"):
        Station.load(tmp_path / "nowhere.toml")


def test_bad_toml_names_the_line() -> None:
    with pytest.raises(ConfigError, match=r"lab\.toml: this is no TOML: .*line 3"):
        parse("schema = 1\n\ntopology = = 2\n")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("schema = 1", "schema = 2", "schema = 1 is expected"),
        ('topology = "sagnac"', 'topology = "ring"', "topology"),
        ("[pairs]", "[couples]", "couples: unknown key"),
        ('"0 mW", "15 mW"', "0, 15", "is not a number with a unit"),
        ('"0 mW", "15 mW"', '"0 mW", "15 mA"', "does not convert to W"),
        ('"0 mW", "15 mW"', '"20 mW", "15 mW"', "lower limit is above"),
        ("emission = false", "emission = true", "emission"),
        ("allow_unattended", "unattended", "unattended: unknown key"),
        ('driver = "KoherasBasik"', 'driver = "Basik"', "no driver is called 'Basik'.*KoherasBasik"),
        ('role = "Laser"', 'role = "Attenuator"', "KoherasBasik is a Laser, not an Attenuator"),
        ('source = "awg_a:1"', 'source = "awg_x:1"', "no WaveformSource"),
        ('pm = "pm_a"', 'pm = "pm_z"', r"not in \[optics\]"),
        ('voa = "voa_a"', 'voa = "laser"', "no Attenuator"),
        ('"A-B"', '"B-A"', "no pair"),
        ("ttyUSB1", "ttyUSB0", "same address"),
        ("valid_days = 3650", "valid_days = 5", "valid for 5 days only"),
        ('loss = "2.80 dB"', "loss = 2.80", "is not a number with a unit"),
        ("eta = [0.701156", "eta = [1.701156", "efficiency"),
        ("seed = 20260101", "seed = -1", "seed"),
        ('distance = "1000.5 m"', 'distance = "7000 m"', "outside the loop"),
        ('reference = "external 10 MHz"', 'reference = "10 MHz"', "reference"),
        ("tagger.rules.inputs.D1", "tagger.rules.inputs.D3", "the input 'D3' has no channel in `map`"),
        ('threshold = "-0.4 V"', "threshold = -0.4", "threshold: -0.4 is not a number with a unit"),
        ('edge = "FALLING"', 'edge = "BOTH"', "edge"),
        ('delay = "0 ns"', 'delay = "-1 ns"', "delay"),
    ],
)
def test_each_mistake_is_one_clear_error(old: str, new: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse(changed(old, new))


def test_an_unknown_key_is_shown_with_its_line() -> None:
    line = TEXT[: TEXT.index("voa_b.rules")].count("\n") + 1

    with pytest.raises(ConfigError, match=rf"lab\.toml, line {line}: instruments\.voa_b\.rules\.on_los: unknown key"):
        parse(TEXT.replace('voa_b.rules = { simulated = true, on_loss = "hold"', 'voa_b.rules = { simulated = true, on_los = "hold"'))


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ('power = ["0 mW", "15 mW"]', "power = [0, 15]", "instruments.laser.rules.limits.power[0]"),
        ('power = ["0 mW", "15 mW"]', 'power = ["0 mW", 15]', "instruments.laser.rules.limits.power[1]"),
        ('laser.wire = { role = "Laser", driver', "laser.wire = { driver", "instruments.laser.wire.role"),
    ],
)
def test_a_mistake_inside_a_line_is_shown_with_that_line(old: str, new: str, key: str) -> None:
    text = changed(old, new)
    line = next(number for number, (was, is_now) in enumerate(zip(default_text().decode().splitlines(), text.splitlines(), strict=True), 1) if was != is_now)

    with pytest.raises(ConfigError) as caught:
        parse(text)
    assert caught.value.message.startswith(f"{key}: ")
    assert caught.value.where.endswith(f", line {line}")


def test_colliding_trains_name_the_user_and_the_fibre_that_mends_it() -> None:
    with pytest.raises(ConfigError, match=r"collide at user A .*Add 0\.\d\d m of fibre") as caught:
        parse(changed('"1000.5 m"', '"1000.0 m"'))

    length = caught.value.remedy.split("loop length = ")[1].split('"')[1]
    assert parse(changed('"1000.5 m"', '"1000.0 m"').replace('"6 km"', f'"{length}"'))


_SITES = st.lists(st.floats(1.0, 5999.0), min_size=1, max_size=3, unique=True)


@given(_SITES)
def test_a_proposed_piece_of_fibre_frees_every_user(distances: list[float]) -> None:
    sites = {chr(65 + index): layout.Site(distance, 1e-9) for index, distance in enumerate(distances)}

    remedy = layout.find_remedy(sites, 6000.0, 10e-9)

    if remedy is not None:
        mended = {user: layout.Site(remedy.moved.get(user, site.distance_m), 1e-9) for user, site in sites.items()}
        assert not layout.collisions(mended, remedy.loop_m, 10e-9)
        assert remedy.length_m < 2.05
