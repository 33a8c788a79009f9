"""A station file that cannot work is refused with one error; one that can work is accepted, whatever its names and numbers."""

import re
from datetime import date
from pathlib import Path

import pytest

from heliograph.core.errors import ConfigError
from heliograph.instruments import keysight, station_checks
from heliograph.instruments.station import Station, default_text
from heliograph.instruments.waveform_sources import CHANNELS

TEXT = default_text().decode()
LINE = 'line = ["laser", "im1", "im2", "tap", "att_fixed", "voa_in", "circ:1-2", "bs", "loop(user_a, user_b, user_c)", "bs", "D2", "circ:2-3", "D1"]'
PAIRS = TEXT.index("[pairs]")


def parse(text: str) -> Station:
    return Station.parse(text.encode(), Path("lab.toml"), today=date(2026, 11, 20))


def changed(*changes: tuple[str, str]) -> str:
    text = TEXT
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    return text


def without(text: str, *entries: str) -> str:
    """Return the text without the lines of some instruments or keys."""
    return re.sub(rf"(?m)^\"?(?:{'|'.join(entries)})\b[^\n]*\n", "", text)


@pytest.mark.parametrize(
    ("old", "new", "at", "message"),
    [
        ('pm = "pm_b"', 'pm = "pm_a"', "user_b =", "users A and B have the same modulator pm_a"),
        ('voa = "voa_b"', 'voa = "voa_a"', "user_b =", "users A and B have the same attenuator voa_a"),
        ('source = "awg_b:1"', 'source = "awg_a:1"', "pm_b =", "pm_b and pm_a are driven by the same output awg_a:1"),
        ('source = "awg_im:2"', 'source = "awg_im:1"', "im2 =", "im2 and im1 are driven by the same output awg_im:1"),
        ('source = "awg_b:1"', 'source = "awg_b:3"', "pm_b =", "output 3 of awg_b, a Keysight81160A has 1 and 2"),
        ('source = "awg_b:1"', 'source = "awg_b:0"', "pm_b =", "output 0 of awg_b"),
        ('pm = "pm_a"', 'pm = "im1"', "user_a =", "user A has the modulator im1, which is an IntensityModulator"),
        ('"laser", "im1"', '"lasr", "im1"', "line =", "the line has 'lasr', which is none of"),
        ('"circ:1-2", "bs"', '"circ:1-2", "splitter"', "line =", "the line has 'splitter'"),
        ("loop(user_a, user_b, user_c)", "loop(user_a, user_b, user_c", "line =", "which is none of"),
        (
            "loop(user_a, user_b, user_c)",
            "loop(user_a, user_b)",
            "line =",
            "the loop of the line has user_a, user_b, the users of .* are user_a, user_b, user_c",
        ),
        ("loop(user_a, user_b, user_c)", "loop(user_a, user_b, user_d)", "line =", "the loop of the line has user_a, user_b, user_d"),
        ("loop(user_a, user_b, user_c)", "loop(user_a, user_a, user_b, user_c)", "line =", "the loop of the line has user_a, user_a"),
        ("loop(user_a, user_b, user_c)", "loop()", "line =", "the loop of the line has nobody"),
        ('"loop(user_a, user_b, user_c)", "bs"', '"loop(user_a, user_b, user_c)", "loop(user_a, user_b, user_c)"', "line =", "two loops"),
        ('"loop(user_a, user_b, user_c)", ', "", "line =", "the line has no loop"),
        ('line = ["laser", ', "line = [", "line =", "the line has no Laser"),
        ('"att_fixed", "voa_in", ', '"att_fixed", ', "line =", "the line has no Attenuator"),
        ('"att_fixed", "voa_in", ', '"voa_in", ', "line =", "does not pass att_fixed, of 60 dB"),
        ('"att_fixed", "voa_in", ', '"att_fixed", "voa_in", "voa_in", ', "line =", "the line has voa_in twice"),
        ('"att_fixed", "voa_in", ', '"att_fixed", "voa_a", ', "line =", "the line has voa_a, which is in the arm of user A"),
        ('"im2", "tap"', '"pm_a", "tap"', "line =", "the line has pm_a, which is in the arm of user A"),
        ('"bs", "D2"', '"bs", "im1", "D2"', "line =", "the line has im1 twice"),
        ("D1 = 1, D2 = 2", "D1 = 2, D2 = 2", "tagger.wire", "D1 and D2 are on the same channel 2"),
        ("yy_overlap = 104", "yy_overlap = 1001", '"A-B" =', "1001 common Y slots, but each user has 1000 of 10000 slots in Y"),
        ("pattern_slots = 10000", "pattern_slots = 1000", '"A-B" =', "104 common Y slots, but each user has 100 of 1000"),
        ("pattern_slots = 10000", "pattern_slots = 30000", "clock =", "30000 slots of 10 points do not fit into the 262,144 of awg_im"),
        ('operate = { power = "10 mW" }', 'operate = { power = "20 mW" }', "laser.rules", "operate sets power to 20 mW, limits allow 0 W to 15 mW"),
        ('operate = { bias = "18 uA" }', 'operate = { bias = "26 uA" }', "snspd.rules", "operate sets bias to 26 .A, limits allow 0 A to 25 .A"),
        ("voa_in.rules = {", 'voa_in.rules = { operate = { attenuation = "0.5 dB" },', "voa_in.rules", "operate sets attenuation to 0.5 dB"),
        ('arm_loss = "3.80 dB"', 'arm_loss = "3.50 dB"', '"A-B" =', "an arm loss of 3.5 dB leaves 0.70 dB for voa_a, which does 0.8 dB or more"),
        ('arm_loss = "6.80 dB"', 'arm_loss = "63.0 dB"', '"A-C" =', "leaves 60.20 dB for voa_a, which does 60 dB at most"),
        ('gate = "2 ns" }', 'gate = "6 ns" }', "site =", "the gate of site is 6 ns, longer than half a slot of 10 ns"),
        ('gain = 2.0, gate = "1 ns"', 'gain = 2.0, gate = "5.1 ns"', "pm_a =", "the gate of pm_a is 5.1 ns, longer than half a slot"),
    ],
)
def test_what_cannot_work_is_refused_with_its_line_and_a_remedy(old: str, new: str, at: str, message: str) -> None:
    text = changed((old, new))

    with pytest.raises(ConfigError, match=message) as caught:
        parse(text)

    start = re.search(rf"(?m)^{re.escape(at)}", text)
    assert start
    assert caught.value.where == f"lab.toml, line {text[: start.start()].count(chr(10)) + 1}"
    assert caught.value.remedy


def test_a_phase_modulator_in_the_line_is_refused_for_it_carves_no_pulses() -> None:
    extra = 'pm_x = { kind = "PhaseModulator", source = "awg_a:2", v_pi = "5 V" }\nuser_a = {'

    with pytest.raises(ConfigError, match="the line has pm_x, which is no IntensityModulator"):
        parse(changed(("user_a = {", extra), ('"im2", ', '"im2", "pm_x", ')))


@pytest.mark.parametrize("late", ["im2", "att_fixed", "voa_in", "laser"])
def test_what_dims_the_light_stands_before_the_loop(late: str) -> None:
    with pytest.raises(ConfigError, match=f"{late} stands behind the loop"):
        parse(changed((f'"{late}", ', "") if late != "laser" else ('["laser", ', "["), ('"bs", "D2"', f'"bs", "{late}", "D2"')))


@pytest.mark.parametrize(("name", "role"), [("laser", "Laser"), ("snspd", "PhotonDetector"), ("tagger", "TagSource")])
def test_pairs_need_each_role(name: str, role: str) -> None:
    text = without(TEXT, rf"{name}\.\S+").replace('["laser", ', "[") if name == "laser" else without(TEXT, rf"{name}\.\S+")

    with pytest.raises(ConfigError, match=f"a key needs a {role}, and there is none"):
        parse(text)


def test_pairs_need_a_tagger_that_knows_detectors_and_sync() -> None:
    with pytest.raises(ConfigError, match="tagger has no channels D1, D2 and sync in its `map`"):
        parse(changed(("D2 = 2, sync = 3", "D2 = 2, sink = 3"), ("rules.inputs.sync", "rules.inputs.sink")))


def test_a_pair_is_shown_with_its_line_and_not_with_that_of_its_simulation() -> None:
    text = changed(("users.a = {", 'pairs."A-B" = { error_x = 0.01, error_y = 0.01 }\nusers.a = {'), ("yy_overlap = 104", "yy_overlap = 1001"))
    line = text[: text.index('"A-B" = { mu')].count("\n") + 1

    with pytest.raises(ConfigError, match=rf"lab\.toml, line {line}: 1001 common Y slots"):
        parse(text)


def test_pairs_that_are_no_table_are_one_clear_error() -> None:
    with pytest.raises(ConfigError, match="pairs: this is no table"):
        parse("pairs = 3\n" + TEXT[:PAIRS])


def test_generators_faster_than_they_are_are_refused() -> None:
    text = changed(('rep_rate = "100 MHz"', 'rep_rate = "260 MHz"'), ('gate = "2 ns" }', 'gate = "1 ns" }'))

    with pytest.raises(ConfigError, match=r"awg_im gives 2.5 GS/s, 10 points a slot need 2.6"):
        parse(text)


def test_the_least_arm_loss_of_the_remedy_is_accepted() -> None:
    assert parse(changed(('arm_loss = "3.80 dB"', 'arm_loss = "3.60 dB"'))).pairs["A-B"].arm_loss_db == 3.6


def test_what_is_told_twice_is_told_alike() -> None:
    generator = station_checks.GENERATORS["Keysight81160A"]

    assert generator == station_checks.Generator(CHANNELS, keysight.MAX_POINTS, keysight.MAX_RATE_HZ)


@pytest.mark.parametrize("name", ["source", "lightsource", "loop", "voa", "user_x", "line", "wire", "pm"])
def test_an_instrument_may_have_any_name(name: str) -> None:
    laser = re.sub(r"\blaser\b", name, TEXT)
    generator = re.sub(r"\bawg_a\b", name, TEXT)

    assert parse(laser).optics.line[0] == name
    assert parse(generator).optics.modulators["pm_a"].instrument == name


def test_two_users_are_enough() -> None:
    text = without(TEXT, r"(?:voa|awg)_c\.\S+", "pm_c", "user_c", "users.c", "A-C", "B-C").replace(", user_c)", ")")

    assert set(parse(text).optics.users) == {"A", "B"}


def test_a_fourth_user_may_have_the_second_output_of_a_generator() -> None:
    more = (
        'pm_d = { kind = "PhaseModulator", source = "awg_c:2", v_pi = "5.0 V", gain = 2.0, gate = "1 ns" }\n'
        'user_d = { pm = "pm_d", voa = "voa_d", distance = "3300.3 m", loss = "3 dB" }\nloop = {'
    )
    voa = 'voa_d.wire = { role = "Attenuator", driver = "OzDD100", resource = "ASRL/dev/ttyUSB9::INSTR" }\nawg_im.wire'
    pair = '[pairs]\n"B-D" = { mu = 0.01, arm_loss = "4.0 dB", yy_overlap = 100 }\n'

    station = parse(changed(("awg_im.wire", voa), ("loop = {", more), ("user_b, user_c)", "user_b, user_d, user_c)"), ("[pairs]\n", pair)))

    assert set(station.optics.users) == set("ABCD")


@pytest.mark.parametrize("slots", [5000, 8191, 20_000, 26_214])
def test_other_numbers_of_slots_are_accepted(slots: int) -> None:
    assert parse(changed(("pattern_slots = 10000", f"pattern_slots = {slots}"))).clock.pattern_slots == slots


def test_half_the_rate_is_accepted() -> None:
    assert parse(changed(("100 MHz", "50 MHz"))).clock.slot_ps == 20_000


def test_a_file_without_simulation_is_accepted() -> None:
    start, end = TEXT.index("# Read by the simulated"), TEXT.index("[instruments]")

    assert parse(TEXT[:start] + TEXT[end:]).sim["seed"] == 0


def test_a_bench_without_pairs_needs_neither_tagger_nor_a_whole_line() -> None:
    text = without(TEXT[:PAIRS], r"tagger\.\S+").replace(LINE, 'line = ["laser", "tap", "bs"]')

    assert not parse(text).pairs
