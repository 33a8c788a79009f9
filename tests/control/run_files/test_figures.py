from __future__ import annotations

import itertools
import logging
import math
import time
from typing import Any

import numpy as np
import pytest

from heliograph.control.owner.publishing import Topics
from heliograph.control.parties.expected_key import expected_key
from heliograph.control.run_files.figures import MOST_ROWS, PERIODS_S, Figures, LiveFigures, flat
from heliograph.control.topics import STATES, BlockFigures, KeyProgress
from heliograph.core.errors import ParameterError
from heliograph.instruments.roles import Counts
from heliograph.instruments.station import Station

from ..live_runs import begun, fill_key, fill_rates, fill_scan, light, station


class Heard(list[tuple[str, Any]]):
    def __call__(self, topic: str, body: Any) -> None:
        self.append((topic, body))

    def last(self, topic: str) -> Any:
        return [body for name, body in self if name == topic][-1]


def watched(run, **more) -> tuple[Figures, Heard]:
    heard = Heard()
    figures = Figures(run.opening, heard, **more)
    run.onlookers.append(figures)
    return figures, heard


def test_rates_of_counts_come_from_their_own_periods(tmp_path):
    with begun(tmp_path, "CountRates") as run:
        _, heard = watched(run)
        fill_rates(run)

    last = heard.last("counts")
    assert last.names == ("D1", "D2")
    assert last.rates_hz == pytest.approx([10_185.0, 8_815.0])
    assert last.t_s == pytest.approx(2.0)
    assert last.dark_hz.tolist() == list(station().optics.site.dark_hz)
    assert last.limit_hz[0] > last.rates_hz[0]
    scan = heard.last("scan")
    assert scan.columns == ("time (s)", "D1 (1/s)", "D2 (1/s)")
    assert scan.rows[0] == pytest.approx([0.1, 10_000.0, 9_000.0])
    assert (scan.over, scan.result) == (True, {"d1_hz": 10_095.0})
    assert not {"histogram", "coincidences", "key"} & {topic for topic, _ in heard}


def test_the_range_is_of_the_last_minute_of_the_run_and_of_every_rate(tmp_path):
    run = begun(tmp_path, "CountRates")
    figures, heard = watched(run, clock=lambda: 0.0)
    assert heard.last("counts").low_hz is None
    for k, n in enumerate([9000, 100, 500, *[300] * 55, 200, 800]):
        run.counts("snspd", Counts(k, np.array([n, 7]), 1.0))
    run.close()

    # Nothing was sent meanwhile; what is older than a minute is left out.
    told = heard.last("counts")
    assert (told.low_hz.tolist(), told.high_hz.tolist()) == ([100.0, 7.0], [9000.0, 7.0])
    figures.counts("snspd", Counts(60, np.array([400, 7]), 1.0))
    figures.publish_all()
    assert heard.last("counts").high_hz.tolist() == [800.0, 7.0]


def test_a_scan_shows_its_table_with_units_and_the_drive_first(tmp_path):
    with begun(tmp_path, "PhaseScan") as run:
        _, heard = watched(run)
        fill_scan(run)
        run.table("pauses", {"begin": 1.0, "lasted": 2.0})

    scan = heard.last("scan")
    assert scan.columns == ("drive (V)", "d1 (1/s)", "d2 (1/s)")
    assert scan.rows.shape == (30, 3)
    assert scan.rows[-1] == pytest.approx([2.9, 10_290.0, 8_710.0])
    assert scan.result == {"v_pi_v": 5.1, "visibility": 0.98, "rates.1": 1.5, "rates.2": 2.0}


def test_tags_are_counted_folded_and_gated_around_the_pulses(tmp_path):
    with begun(tmp_path, "KeyExchange") as run:
        _, heard = watched(run)
        fill_key(run)
        whole = [light(seq) for seq in range(10)]

    counts, histogram, coincidences = (heard.last(topic) for topic in ("counts", "histogram", "coincidences"))
    in_last = np.bincount(whole[-1].ch, minlength=4)[1:3]
    assert counts.names == ("D1", "D2")
    assert counts.rates_hz == pytest.approx(in_last / (0.2 - 1e-4))
    assert (counts.tags, counts.gaps, counts.missed) == (sum(batch.t_ps.size for batch in whole), 20, 30)
    assert histogram.counts.sum() == sum(np.isin(batch.ch, (1, 2)).sum() for batch in whole)
    peaks = histogram.counts.argmax(axis=1) * histogram.slot_ps / histogram.counts.shape[1]
    assert peaks == pytest.approx([5000.0, 7000.0], abs=100.0)
    for name, centre in (("D1", 5000.0), ("D2", 7000.0)):
        assert sum(histogram.gates[name]) / 2 == pytest.approx(centre, abs=20.0)
    assert coincidences.counts[0, 0] + coincidences.counts[1, 1] > 0.8 * histogram.counts.sum()
    # The first batch shows where the gates belong, from the second on they are there.
    assert coincidences.duration_s == pytest.approx(9 * (0.2 - 1e-4))


def test_only_the_last_seconds_are_shown(tmp_path):
    with begun(tmp_path, "KeyExchange") as run:
        _, heard = watched(run)
        fill_key(run, batches=40)

    assert heard.last("coincidences").duration_s == pytest.approx(5.0, rel=0.01)
    assert heard.last("histogram").counts.sum() == 25 * 4000


def test_light_of_a_key_exchange_says_how_far_it_is_from_a_key(tmp_path):
    with begun(tmp_path, "KeyExchange") as run:
        _, heard = watched(run, blocks=lambda: (_block(),))
        fill_key(run)

    key = heard.last("key")
    assert (key.stage, key.pair, key.events, key.progress, key.source) == ("light", "A-B", 500, 1.0, "live")
    assert key.n_x == pytest.approx(500 * 0.81, rel=0.1)
    assert 1e3 < key.n_needed < 1e7
    assert [block.key_bits for block in key.blocks] == [7]


def test_a_failed_exchange_says_why(tmp_path):
    run = begun(tmp_path, "KeyExchange")
    _, heard = watched(run)
    run.close("failed", error=ParameterError("the light went out", where="laser"))

    assert (heard.last("key").stage, heard.last("key").why) == ("failed", "the light went out")


def _block() -> BlockFigures:
    return BlockFigures("A-B", 1, "r", 0.0, 1.0, 1, 0.0, 0.0, 0.0, 0, None, 7, 7.0, {}, "simulated")


def test_the_least_block_that_gives_key_is_where_the_expected_length_turns_positive():
    found = expected_key(station().public_text(), "A-B")

    assert found is not None
    assert found.n_needed is not None
    assert 0.7 < found.x_share < 0.9
    assert expected_key(station().public_text(), "A-Z") is None
    assert expected_key(b"nonsense", "A-B") is None


def test_nothing_is_published_more_often_than_its_period(tmp_path):
    now = [0.0]
    with begun(tmp_path, "CountRates") as run:
        _, heard = watched(run, clock=lambda: now[0])
        for _ in range(100):
            now[0] += 0.01
            run.counts("snspd", Counts(0, np.array([1, 2]), 0.01))
        sent = [topic for topic, _ in heard]

    assert 9 <= sent.count("counts") <= 11
    assert 5 <= sent.count("scan") <= 6
    assert set(PERIODS_S) <= set(STATES)


def test_rows_of_days_are_shown_by_their_envelope_in_bounded_memory_and_time(tmp_path):
    n, bright = 300_000, 123_456
    with begun(tmp_path, "PhaseScan") as run:
        figures, heard = watched(run)
        drive = np.arange(n) * 1e-3
        for first in range(0, n, 1000):
            d1 = np.where(np.arange(first, first + 1000) == bright, 1e6, 10.0)
            figures.table("fringe", {"drive": drive[first : first + 1000], "d1": d1, "d2": d1 / 2})
        began_s = time.thread_time()
        figures.scan()
        took_s = time.thread_time() - began_s

    rows = heard.last("scan").rows
    assert len(rows) <= MOST_ROWS
    assert rows[rows[:, 1].argmax()] == pytest.approx([bright * 1e-3, 1e6, 5e5])
    assert rows[0].tolist() == [0.0, 10.0, 5.0]
    assert took_s < 0.05
    assert sum(map(len, figures._rows._waiting)) + len(figures._rows._rows) <= 2 * MOST_ROWS


def test_what_takes_long_is_sent_less_often(tmp_path):
    now = [0.0]
    with begun(tmp_path, "CountRates") as run:
        # Each reading of the clock of work tells 5 ms more: a figure takes 5 ms and may be sent every 250 ms.
        _, heard = watched(run, clock=lambda: now[0], busy=itertools.count(0.0, 5e-3).__next__)
        for _ in range(1000):
            now[0] += 0.01
            run.counts("snspd", Counts(0, np.array([1, 2]), 0.01))
        sent = [topic for topic, _ in heard]

    assert 38 <= sent.count("scan") <= 42
    assert 38 <= sent.count("counts") <= 42


def test_a_figure_that_fails_ends_no_run(tmp_path, caplog):
    class Broken(Figures):
        def counts(self, _detector: str, _counts: Counts) -> None:
            raise ZeroDivisionError

    with begun(tmp_path, "CountRates") as run, caplog.at_level(logging.ERROR):
        run.onlookers.append(Broken(run.opening, Heard()))
        fill_rates(run)

    assert run.onlookers == []
    assert "an onlooker of the run failed" in caplog.text


def test_gates_set_by_hand_hold_for_this_run_and_the_next(tmp_path):
    topics = Topics()
    live = LiveFigures(topics)
    live.set_gates({"D1": [4800.0, 5200.0]})
    with begun(tmp_path, "TagRun") as run:
        live.begin(run)
        fill_rates(run)
    with begun(tmp_path, "KeyExchange") as run:
        live.begin(run)
        fill_key(run)
        with pytest.raises(ParameterError, match="while key is exchanged"):
            live.set_gates({"D2": [0.0, 1000.0]})

    gates = topics.latest("histogram").gates
    assert gates["D1"] == (4800.0, 5200.0)
    assert sum(gates["D2"]) / 2 == pytest.approx(7000.0, abs=20.0)
    assert isinstance(topics.latest("key"), KeyProgress)


def test_gates_set_after_a_run_are_published_though_no_tags_come(tmp_path):
    topics = Topics()
    live = LiveFigures(topics)
    with begun(tmp_path, "KeyExchange") as run:
        live.begin(run)
        fill_key(run)
    before = topics.latest("histogram")

    live.set_gates({"D1": [4800.0, 5200.0]})

    after = topics.latest("histogram")
    assert after.gates == before.gates | {"D1": (4800.0, 5200.0)}
    assert (after.run, after.counts.sum()) == (before.run, before.counts.sum())


def test_a_gate_moved_while_tags_come_in_counts_from_then_on(tmp_path):
    with begun(tmp_path, "KeyExchange") as run:
        figures, heard = watched(run)
        run.tags("tagger", light(0))
        figures.set_gates({"D1": (0.0, 1000.0), "D2": (1000.0, 2000.0)})
        run.tags("tagger", light(1))

    assert heard.last("histogram").gates == {"D1": (0.0, 1000.0), "D2": (1000.0, 2000.0)}
    assert heard.last("coincidences").counts.sum() == 0


def test_coincidences_count_time_from_the_moment_that_gates_moved(tmp_path):
    with begun(tmp_path, "KeyExchange") as run:
        figures, heard = watched(run)
        for k in range(3):
            run.tags("tagger", light(k))
        figures.publish_all()
        before = heard.last("coincidences")
        figures.set_gates(figures.gates)
        run.tags("tagger", light(3))
        figures.publish_all()
    after = heard.last("coincidences")

    assert before.counts[0, 0] > 0
    assert after.duration_s == pytest.approx(0.2 - 1e-4)
    assert after.counts[0, 0] / after.duration_s == pytest.approx(before.counts[0, 0] / before.duration_s, rel=0.1)


@pytest.mark.parametrize("gates", [{"D3": (0, 1)}, {"D1": (2, 1)}, {"D1": (0, math.inf)}, {"D1": 5}, {"D1": ("a", "b")}, {"D1": (1, 2, 3)}])
def test_gates_that_cannot_be_are_refused(gates):
    with pytest.raises(ParameterError, match="gate"):
        LiveFigures(Topics()).set_gates(gates)


def test_a_run_without_figures_goes_on(tmp_path, monkeypatch):
    with begun(tmp_path, "CountRates") as run:
        monkeypatch.setattr(Station, "parse", lambda *_: 1 / 0)
        LiveFigures(Topics()).begin(run)
        fill_rates(run)

    assert run.onlookers == []


def test_summaries_become_plain_values():
    assert flat({"a": {"b": (1, 2.5)}, "c": None, "d": np.float64(3), "e": "x", "f": True}) == {
        "a.b.1": 1.0,
        "a.b.2": 2.5,
        "c": None,
        "d": 3.0,
        "e": "x",
        "f": True,
    }
