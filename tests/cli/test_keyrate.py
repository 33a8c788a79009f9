import pytest

SENT = ("--pulses", "2e10", "--duration", "200")
AB = ("--intensity", ".017", "--events", "208796444", "--x-events", "169216602", "--x-errors", "1434989", "--y-events", "2171543", "--y-errors", "10748")
AC = ("--intensity", ".0085", "--events", "52455918", "--x-events", "42542127", "--x-errors", "446184", "--y-events", "575833", "--y-errors", "7221")
AD = ("--intensity", ".0089", "--events", "54706564", "--x-events", "44275485", "--x-errors", "437014", "--y-events", "517003", "--y-errors", "3405")
ROWS = {"AB": (*SENT, *AB, "--leak", "14220217"), "AC": (*SENT, *AC, "--leak", "4219418"), "AD": (*SENT, *AD, "--leak", "4221496")}
PAPER_KBPS = {"AB": 230.0, "AC": 37.6, "AD": 45.9}


@pytest.mark.parametrize(
    ("pair", "bits", "delta", "e_y", "phase_error", "f_ec"),
    [
        ("AB", 45_746_510, 0.027366152, 0.0072520237, 0.164779032, 1.19131),
        ("AC", 7_587_591, 0.027390188, 0.0170115049, 0.200266508, 1.18058),
        ("AD", 9_205_164, 0.028785564, 0.0113049955, 0.187752005, 1.19284),
    ],
)
def test_published_rows_by_azuma(heliograph, pair, bits, delta, e_y, phase_error, f_ec):
    ended = heliograph("keyrate", *ROWS[pair], "--json")

    found = ended.json
    assert ended.code == 0
    assert found["key_bits"] == bits
    assert found["key_rate_bps"] == pytest.approx(bits / 200)
    assert found["key_rate_bps"] / 1e3 == pytest.approx(PAPER_KBPS[pair], rel=0.025)
    assert found["delta"] == pytest.approx(delta, rel=1e-7)
    assert found["e_y"] == pytest.approx(e_y, rel=1e-7)
    assert found["phase_error"] == pytest.approx(phase_error, rel=1e-7)
    assert found["f_ec"] == pytest.approx(f_ec, abs=5e-6)
    assert found["secure"] is True
    assert "regression_only" not in found


@pytest.mark.parametrize(
    ("pair", "bits", "e_y", "phase_error"),
    [
        ("AB", 49_493_331, 0.0052797265, 0.155518084),
        ("AC", 8_568_483, 0.0135615454, 0.189013795),
        ("AD", 10_743_437, 0.0073792837, 0.171886371),
    ],
)
def test_published_rows_by_kato_are_for_regression_only(heliograph, pair, bits, e_y, phase_error):
    ended = heliograph("keyrate", *ROWS[pair], "--bound", "kato", "--json")

    found = ended.json
    assert bits - 2 <= found["key_bits"] <= bits
    assert found["e_y"] == pytest.approx(e_y, rel=1e-6)
    assert found["phase_error"] == pytest.approx(phase_error, rel=1e-6)
    assert found["regression_only"] is True
    assert "not a proof" in ended.err


def test_numbers_may_be_written_in_three_ways(heliograph):
    written = [heliograph("keyrate", "--pulses", text, *ROWS["AC"][2:], "--json").json["key_bits"] for text in ("2e10", "20000000000", "20_000_000_000")]

    assert written == [7_587_591] * 3


def test_a_verification_hash_of_64_bits_costs_30(heliograph):
    assert heliograph("keyrate", *ROWS["AB"], "--verify-bits", 64, "--json").json["key_bits"] == 45_746_510 - 30


def test_a_smaller_epsilon_costs_key(heliograph):
    found = heliograph("keyrate", *ROWS["AC"], "--epsilon", "1e-12", "--json").json

    assert found["key_bits"] < 7_587_591
    assert found["security"]["epsilon"] == pytest.approx(4e-12)


def test_the_statement_says_what_was_disclosed_and_that_nothing_was_measured(heliograph):
    found = heliograph("keyrate", *ROWS["AB"], "--json").json

    assert found["security"]["leaked_bits"] == 14_220_217
    assert found["security"]["claims"]
    assert found["simulated"] is True


def test_no_key_is_a_result_with_its_reason(heliograph):
    noisy = (*ROWS["AB"][:-3], "900000", "--leak", "14220217")

    ended = heliograph("keyrate", *noisy, "--json")

    assert ended.code == 0
    assert ended.json["key_bits"] == 0
    assert ended.json["secure"] is False
    assert ended.json["reason"]


@pytest.mark.parametrize(
    "change",
    [
        ("--x-errors", "2e8"),
        ("--y-errors", "2171544"),
        ("--events", "2e11"),
        ("--duration", "0"),
        ("--intensity", "0"),
        ("--epsilon", "1"),
        ("--intensity", "nan"),
    ],
)
def test_counts_that_cannot_be_are_bad_input(heliograph, change):
    ended = heliograph("keyrate", *ROWS["AB"], *change, "--json")

    assert ended.code == 3
    assert ended.json["error"]["type"] == "ParameterError"
    assert ended.json["error"]["where"]
    assert ended.json["error"]["remedy"]


@pytest.mark.parametrize(("option", "value"), [("--duration", "1e400"), ("--intensity", "-0.017"), ("--intensity", "4"), ("--epsilon", "0")])
def test_a_wrong_number_is_told_by_its_option(heliograph, option, value):
    ended = heliograph("keyrate", *ROWS["AB"], option, value, "--json")

    assert (ended.code, ended.json["error"]["where"]) == (3, option)


@pytest.mark.parametrize("text", ["1.5", "many", "nan", "inf", "1e30", ""])
def test_a_count_is_a_whole_number(heliograph, text):
    ended = heliograph("keyrate", *ROWS["AB"], "--events", text, "--json")

    assert ended.code == 2
    assert ended.json["error"]["type"] == "UsageError"


def test_people_get_a_table(heliograph):
    ended = heliograph("keyrate", *ROWS["AB"])

    assert "45,746,510" in ended.out
    assert ended.err == ""
