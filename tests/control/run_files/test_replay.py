from __future__ import annotations

import json
import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from heliograph.control.link import Message, decode, encode
from heliograph.control.run_files.figures import Figures
from heliograph.control.run_files.playback import Playback
from heliograph.control.run_files.replay import Replay
from heliograph.control.topics import REPLAY, REPLAYED
from heliograph.core.errors import HeliographError, ParameterError, RunFileError

from ..live_runs import FILLS, begun, fill_key, recorded


class Heard(dict[str, Any]):
    """The last state of every topic."""

    def __init__(self) -> None:
        super().__init__()
        self.states: list[Any] = []

    def __call__(self, topic: str, body: Any) -> None:
        self.states.append(body)
        self[topic] = body


def live(folder: Path, procedure: str) -> tuple[Path, Heard]:
    heard = Heard()
    with begun(folder, procedure) as run:
        run.onlookers.append(Figures(run.opening, heard))
        FILLS[procedure](run)
    return run.path, heard


def sent(topic: str, body: Any) -> bytes:
    """Return a state as it travels; the source stands aside."""
    return encode(Message(topic, replace(body, source="live")))


@pytest.mark.parametrize("procedure", FILLS)
def test_a_replayed_run_ends_with_the_states_of_the_live_one(tmp_path, procedure):
    path, expected = live(tmp_path, procedure)

    found = Heard()
    with Playback(path, found) as playback:
        playback.finish()

    assert set(found) == set(expected)
    assert all(body.source == "replay" for body in found.values())
    assert {topic: sent(topic, body) for topic, body in found.items()} == {topic: sent(topic, body) for topic, body in expected.items()}


@pytest.mark.parametrize("procedure", FILLS)
def test_cutting_the_run_into_slices_changes_nothing(tmp_path, procedure):
    path, expected = live(tmp_path, procedure)

    found = Heard()
    with Playback(path, found) as playback:
        for t_s in np.arange(0.0, playback.duration_s, 0.13):
            playback.advance(float(t_s))
        playback.finish()

    assert {topic: sent(topic, body) for topic, body in found.items()} == {topic: sent(topic, body) for topic, body in expected.items()}


def test_a_failed_run_replays_as_failed(tmp_path):
    run, expected = begun(tmp_path, "KeyExchange"), Heard()
    run.onlookers.append(Figures(run.opening, expected))
    run.close("failed", error=ParameterError("the light went out", where="laser"))

    found = Heard()
    with Playback(run.path, found) as playback:
        playback.finish()

    assert sent("key", found["key"]) == sent("key", expected["key"])
    assert found["key"].why == "the light went out"


def test_a_run_that_was_killed_replays_to_where_it_is_whole(tmp_path):
    run = begun(tmp_path, "KeyExchange")
    fill_key(run, batches=4)
    run.flush()

    found = Heard()
    with Playback(run.path, found) as playback:
        playback.finish()
    run.close()

    assert found["counts"].t_s == pytest.approx(0.8)
    assert (found["key"].stage, found["key"].why) == ("failed", "the run was cut off")


def test_seeking_shows_what_was_known_then(tmp_path):
    with begun(tmp_path, "KeyExchange") as run:
        fill_key(run, batches=60)

    found, then = Heard(), Heard()
    with Playback(run.path, found) as playback, Playback(run.path, then) as other:
        took_s = list[float]()
        # The shortest of some, since other tests may hold the processor.
        while len(took_s) < 5 and min(took_s, default=1.0) >= 0.5:
            playback.seek(0.0)
            begin = time.perf_counter()
            playback.seek(9.05)
            took_s.append(time.perf_counter() - begin)
        other.advance(9.05)
        other.seek(other.t_s)

        assert found["counts"].t_s == pytest.approx(9.0)
        assert (found["counts"].tags, found["counts"].gaps, found["counts"].missed) == (45 * 24_000, 90, 135)
        assert found["key"].events == then["key"].events == 45 * 50
        assert len(found["scan"].rows) == 45
        assert found["histogram"].counts.sum() == then["histogram"].counts.sum() == 10 * 4000
        assert min(took_s) < 0.5
        playback.seek(1.0)
        assert found["key"].events == 250
        playback.seek(99.0)
        assert playback.t_s == playback.duration_s == pytest.approx(12.0)


def test_a_replay_plays_pauses_seeks_and_says_how_far_it_is(tmp_path):
    path, found = recorded(tmp_path, "CountRates"), Heard()
    one = Replay(path, found, speed=1.0)
    try:
        one.pause(True)
        one.seek(1.55)
        _until(lambda: found["scan"].rows.shape == (15, 3))
        assert one.state.t_s == 1.55
        assert one.state.paused
        one.at_speed(100.0)
        one.pause(False)
        assert one.wait(30.0)
    finally:
        one.close()

    assert found[REPLAY] == one.state
    assert (one.state.over, one.state.speed, one.state.why) == (True, 100.0, "")
    assert one.state.t_s == pytest.approx(2.0)
    assert found["scan"].over
    assert set(found) <= {*REPLAYED, REPLAY}


def test_the_clock_on_the_wall_sets_the_pace(tmp_path):
    path, took_s = recorded(tmp_path, "CountRates"), list[float]()
    # The shortest of some, since other tests may hold the processor.
    while len(took_s) < 5 and min(took_s, default=9.0) >= 2.0:
        begin = time.monotonic()
        one = Replay(path, Heard(), speed=4.0)
        try:
            assert one.wait(30.0)
        finally:
            one.close()
        took_s.append(time.monotonic() - begin)

    assert 0.4 < min(took_s) < 2.0


def _until(holds: Any, timeout_s: float = 30.0) -> None:
    end = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize("speed", [0.5, 101.0, math.nan])
def test_speeds_that_cannot_be_are_refused(tmp_path, speed):
    with pytest.raises(ParameterError, match="times as fast"):
        Replay(recorded(tmp_path, "CountRates"), Heard(), speed=speed)


def test_a_file_that_breaks_on_the_way_ends_the_replay_with_a_reason(tmp_path):
    path, found = recorded(tmp_path), Heard()
    with h5py.File(path, "r+") as file:
        file["tags/tagger/t"][30_000] += 1

    one = Replay(path, found, speed=100.0)
    try:
        assert one.wait(30.0)
    finally:
        one.close()

    assert "batch 1 is damaged" in found[REPLAY].why
    assert not found[REPLAY].over


WRECKS: dict[str, Any] = {
    "no start": lambda file: file.attrs.pop("start"),
    "start is a list": lambda file: file.attrs.__setitem__("start", "[]"),
    "timing of texts": lambda file: file.attrs.__setitem__("start", json.dumps({**json.loads(file.attrs["start"]), "timing": {"slot_ps": "x"}})),
    "no channel map": lambda file: file["tags/tagger"].attrs.pop("map"),
    "another station": lambda file: file["snapshot/station"].__setitem__(slice(0, 9), 0),
    "batches of floats": lambda file: _replaced(file, "tags/tagger/batches", np.ones(5)),
    "no times": lambda file: file["tags/tagger"].pop("t"),
    "table of texts": lambda file: _replaced(file, "tables/block/time", np.array([b"x"] * 10)),
    "meta of nothing": lambda file: _replaced(file, "announcement/meta", np.array([b"null"])),
}


def _replaced(file: h5py.File, name: str, data: Any) -> None:
    del file[name]
    file[name] = data


@pytest.mark.parametrize("wreck", WRECKS)
def test_hostile_files_raise_typed_errors_only(tmp_path, wreck):
    path = recorded(tmp_path)
    with h5py.File(path, "r+") as file:
        # Without its end a file has no digest that would give it away.
        del file.attrs["stop"]
        WRECKS[wreck](file)

    with pytest.raises(HeliographError):
        with Playback(path, Heard()) as playback:
            playback.finish()
        raise RunFileError("the wreck left nothing behind")


@pytest.mark.timeout(60)
@pytest.mark.parametrize("period_s", [math.nan, math.inf, 0.0, -0.1])
def test_a_period_that_is_none_is_refused_at_once(tmp_path, period_s):
    path, _ = live(tmp_path, "CountRates")
    with h5py.File(path, "r+") as file:
        periods = next(iter(file["counts"].values()))["period_s"]
        periods[periods.shape[0] - 1] = period_s

    with pytest.raises(RunFileError):
        Replay(path, Heard(), speed=100.0)


def test_what_is_replayed_travels():
    from heliograph.control.topics import ReplayState

    state = ReplayState("a.h5", "run", 1.0, 2.0, 10.0, paused=False)
    assert decode(encode(Message(REPLAY, state))[4:]).body == state
