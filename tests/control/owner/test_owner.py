"""A bench that one process owns and others use: same names, same errors, one controller."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from heliograph.acquisition.procedures.count_rates import CountRates, Rates
from heliograph.acquisition.runs import Run
from heliograph.cli import main
from heliograph.control import status as bench_status
from heliograph.control.attached import AttachedBench, attach
from heliograph.control.bench import open_bench
from heliograph.control.link import VERSION, Link, WatchdogLine
from heliograph.control.stations import station_lock
from heliograph.control.topics import TOPICS
from heliograph.core.errors import (
    ArmRefused,
    BenchError,
    FrameError,
    InstrumentLocked,
    InterlockOpen,
    LimitError,
    ParameterError,
    Released,
    RunAborted,
    UnknownInstrument,
)
from heliograph.instruments.roles import SafeReport, TagBatch
from heliograph.instruments.station import Station, default_text
from heliograph.postprocess.procedures.key_exchange import KeyExchange

from ..owned import attached, owner_process, wait_for

QUICK: dict[str, Any] = {"duration_s": 0.04, "period_s": 0.02, "light": False}
ENDLESS: dict[str, Any] = {**QUICK, "duration_s": 1e5}


@pytest.fixture(scope="module")
def owned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, subprocess.Popen[str]]]:
    with owner_process(tmp_path_factory.mktemp("owned"), default_text(), [sys.executable, "-m", "heliograph"]) as found:
        yield found


@pytest.fixture
def station(owned) -> Path:
    return owned[0]


def test_whoever_comes_first_is_told_that_no_key_is_exchanged(station):
    heard: list[Any] = []
    link = Link.to_owner(station, heard=heard.append)
    assert link is not None
    with contextlib.closing(link):
        link.ask("hello", {"version": VERSION})
        link.ask("subscribe", {"topics": ["key"]})
        wait_for(lambda: bool(heard))

    assert (heard[0].topic, heard[0].body.stage, heard[0].body.run, heard[0].body.blocks) == ("key", "idle", "", ())


def test_a_script_that_opens_an_owned_bench_uses_it_as_if_it_were_its_own(station, owned):
    emitted: list[tuple[str, Any]] = []
    with open_bench(station) as bench:
        assert isinstance(bench, AttachedBench)
        assert bench.owner_pid == owned[1].pid != os.getpid()
        assert bench.users == ("A", "B", "C")
        assert bench["laser"].emission is True
        bench["laser"].power_setpoint_w = 5e-3
        assert bench["laser"].power_setpoint_w == pytest.approx(5e-3)
        assert bench["laser"].identify().vendor == "NKT Photonics"
        assert bench["snspd"].bias(1) == pytest.approx(18e-6)
        assert set(bench.instruments.snapshot()) == set(bench.instruments)
        assert all(count.sent > 0 for count in bench.instruments.wire_counts().values())

        batches = list(bench["tagger"].record(0.4))
        assert [type(batch) for batch in batches] == [TagBatch, TagBatch]
        assert batches[0].t_ps.dtype == np.int64
        assert batches[0].t_ps.size == batches[0].ch.size > 0

        procedure = CountRates(**QUICK)
        with bench.run(procedure, progress=lambda *words: emitted.append(words), purpose="to see") as run:
            assert run.stop["reason"] == "done"
            assert run.start["purpose"] == "to see"
            assert run.path.parent == station.parent / "runs"
            assert isinstance(procedure.result, Rates)
            assert run.summary["d1_hz"] == procedure.result.d1_hz
    assert [topic for topic, _ in emitted] == ["results", "progress"] * 2
    assert emitted[-1] == ("progress", 100.0)
    with attached(station) as bench:
        assert bench["laser"].emission is False


def test_an_attached_client_gets_the_same_errors(station):
    with attached(station) as bench:
        with pytest.raises(LimitError, match=r"16.* mW asked, range 0.* to 15.* mW") as refused:
            bench["laser"].power_setpoint_w = 16e-3
        assert refused.value.where == "laser"
        assert refused.value.remedy == "Nothing was sent."
        with pytest.raises(ParameterError, match="there is no pair"):
            bench.run(CountRates(pair="A-Z"), progress=lambda *_: None)
        with pytest.raises(ParameterError, match="no folder"):
            bench.run(KeyExchange(pair="A-B"), progress=lambda *_: None)
        with pytest.raises(KeyError):
            bench["nobody"]
        for member in ("driver", "_driver", "arbiter", "share", "close"):
            with pytest.raises(AttributeError):
                getattr(bench["laser"], member)
        with pytest.raises(AttributeError):
            bench["laser"].power_w = 1.0


@pytest.mark.parametrize("member", ["driver", "_driver", "arbiter", "rules", "__class__", "close", "share"])
def test_the_owner_hands_out_nothing_but_the_members_of_a_role(station, member):
    with attached(station) as bench:
        for topic, more in (("get", {}), ("set", {"value": 1}), ("call", {"args": [], "kwargs": {}}), ("open", {"args": [], "kwargs": {}})):
            with pytest.raises(ParameterError, match="is not among"):
                bench.link.ask(topic, {"name": "laser", "member": member, **more})
        with pytest.raises(FrameError, match="nobody answers"):
            bench.link.ask("eval", "1 + 1")


def test_an_instrument_is_let_go_for_service_and_taken_back_by_the_controller(station):
    with attached(station) as bench, attached(station) as other:
        bench.take_control()
        with pytest.raises(InstrumentLocked, match="control is held"):
            other.link.ask("release_instrument", {"name": "voa_a"})
        assert bench.link.ask("release_instrument", {"name": "voa_a"}, timeout_s=10.0) == [SafeReport("voa_a", "CONFIRMED")]
        assert bench.link.ask("status")["released"] == ["voa_a"]
        with pytest.raises(Released, match="released for service"):
            _ = other["voa_a"].attenuation_db
        with pytest.raises(ArmRefused, match="voa_a is released for service"):
            bench.arm()
        assert "voa_a" not in {report.name for report in bench.link.ask("safe", timeout_s=10.0)}
        assert bench.link.ask("status")["state"] == "SAFE"

        assert "OZ Optics" in bench.link.ask("take_back", {"name": "voa_a"}, timeout_s=60.0)["voa_a"]
        assert other["voa_a"].attenuation_db == pytest.approx(60.0)
        texts = [event.text for event in bench.link.ask("events", {"since": 0})]
        who = bench.link.ask("status")["holder"]
        assert str(os.getpid()) in who
        assert [text for text in texts if "service" in text] == [
            f"voa_a released for service by {who}; the bench cannot be armed until it is taken back",
            f"voa_a taken back from service by {who}",
        ]
        bench.arm()
        with pytest.raises(InterlockOpen, match="the bench is armed"):
            bench.link.ask("release_instrument", {"name": "voa_a"})


def test_a_second_client_reads_and_is_told_who_controls(station):
    with attached(station) as first, attached(station) as second:
        first["laser"].power_setpoint_w = 4e-3
        assert second["laser"].power_setpoint_w == pytest.approx(4e-3)
        assert second["snspd"].enabled is False
        acts: list[Callable[[], Any]] = [
            lambda: setattr(second["laser"], "power_setpoint_w", 1e-3),
            lambda: second["snspd"].set_bias(1, 1e-6),
            lambda: second["snspd"].counts(0.1),
            lambda: second["tagger"].record(0.2),
            second.arm,
            lambda: second.run(CountRates(**QUICK), progress=lambda *_: None),
        ]
        for act in acts:
            with pytest.raises(InstrumentLocked, match=rf"control is held by .+@.+ \(process {os.getpid()}\)"):
                act()
        assert second["laser"].power_setpoint_w == pytest.approx(4e-3)
        assert all(isinstance(report, SafeReport) for report in second.instruments.make_safe())
    with attached(station) as third:
        third["laser"].power_setpoint_w = 3e-3


def test_a_client_that_stops_its_run_leaves_a_file_that_says_so(station):
    def interrupt(topic: str, _: object) -> None:
        if topic == "progress":
            raise KeyboardInterrupt

    before = set((station.parent / "runs").glob("*.h5"))
    with open_bench(station) as bench:
        with pytest.raises(KeyboardInterrupt):
            bench.run(CountRates(**ENDLESS), progress=interrupt)
        (path,) = set((station.parent / "runs").glob("*.h5")) - before
        with Run.open(path) as run:
            assert run.stop["reason"] == "aborted"
            assert run["snspd/counts"].size > 0
        with bench.run(CountRates(**QUICK), progress=lambda *_: None) as run:
            assert run.stop["reason"] == "done"


@pytest.mark.parametrize("controls", [True, False])
def test_ctrl_c_of_a_client_tells_whether_the_bench_was_made_safe(station, controls):
    with pytest.raises(KeyboardInterrupt) as caught, open_bench(station, armed=False) as bench:
        if controls:
            bench["laser"].power_setpoint_w = 3e-3
        raise KeyboardInterrupt

    assert getattr(caught.value, "__notes__", []) == (["the bench was made safe"] if controls else [])


def test_safe_ends_the_run_of_whoever_is_running_and_the_light_stays_off(station, capsys):
    ended: list[BaseException] = []
    running = threading.Event()

    def measure(bench: AttachedBench) -> None:
        try:
            bench.run(CountRates(**ENDLESS), progress=lambda *_: running.set())
        except RunAborted as error:
            ended.append(error)

    with attached(station) as bench:
        bench.arm()
        thread = threading.Thread(target=measure, args=(bench,))
        thread.start()
        assert running.wait(20)

        with pytest.raises(SystemExit) as code:
            main(["bench", "safe", "--station", str(station), "--json"])

        assert not code.value.code
        told = json.loads(capsys.readouterr().out)
        assert told["by"] == "owner"
        assert {report["state"] for report in told["reports"]} == {"CONFIRMED"}
        thread.join(20)
        assert "asked for by " in str(ended[0])
        assert bench["laser"].emission is False
        assert bench.link.ask("status")["state"] == "SAFE"


def test_status_says_who_owns_and_who_controls(station, owned, capsys):
    with attached(station) as bench:
        bench.arm()
        with pytest.raises(SystemExit):
            main(["bench", "status", "--station", str(station), "--json"])
        told = json.loads(capsys.readouterr().out)
    assert told["state"] == "ARMED"
    assert told["owner"] == owned[1].pid
    assert told["controller"] == os.getpid()
    assert told["watchdog"] not in (None, owned[1].pid)
    assert told["simulated"] is True


def test_what_happens_is_published_to_whoever_subscribed(station):
    heard = []
    link = Link.to_owner(station, heard=heard.append)
    assert link is not None
    with link, attached(station) as bench:
        link.ask("hello", {"version": VERSION})
        assert link.ask("subscribe") == TOPICS
        with bench.run(CountRates(**QUICK), progress=lambda *_: None):
            pass
        bench.arm()
        wait_for(lambda: any(message.topic == "safety" and message.body["state"] == "ARMED" for message in heard))
        wait_for(lambda: any(message.topic == "row" for message in heard))
        wait_for(lambda: any(message.topic == "queue" and message.body.rows[-1:] and message.body.rows[-1].state == "done" for message in heard))
        assert any(message.topic == "event" and "controls the bench" in message.body.text for message in heard)


def test_a_client_of_another_version_or_another_station_file_is_refused(station):
    link = Link.to_owner(station)
    assert link is not None
    with link, pytest.raises(FrameError, match="version"):
        link.ask("hello", {"version": VERSION + 1})
    text = station.read_bytes()
    station.write_bytes(text + b"\n# moved a fibre\n")
    try:
        with pytest.raises(BenchError, match="before the station file was changed"), open_bench(station):
            pass
    finally:
        station.write_bytes(text)
    with pytest.raises(BenchError, match="without these faults"), open_bench(station, faults=["laser-refuses"]):
        pass


def test_noise_at_the_socket_ends_that_connection_and_no_other(station):
    with attached(station) as bench:
        noisy = Link.to_owner(station)
        assert noisy is not None
        with noisy:
            noisy._socket.sendall(b"\x05\x00\x00\x00noise")
            wait_for(lambda: noisy.over)
        assert bench["laser"].emission is False


def test_a_script_that_owns_its_bench_is_watched_and_others_may_look_on(tmp_path):
    path = tmp_path / "station.toml"
    path.write_bytes(default_text())
    with open_bench(path, armed=False) as mine, attached(path) as other:
        guard: Any = mine._owner
        assert guard.status()["watchdog"] is None
        assert not other["laser"].emission
        with pytest.raises(InstrumentLocked, match=rf"control is held by .*process {os.getpid()}"):
            other.arm()

        mine.arm()

        assert guard.status()["watchdog"] is not None
        assert other["laser"].emission
        assert bench_status.of(path)["controller"] == os.getpid()
        guard._watchdog._process.kill()
        wait_for(lambda: bench_status.of(path)["state"] == "TRIPPED")
        with pytest.raises(ArmRefused):
            guard._before_hazard()
    assert bench_status.of(path)["state"] == "CLOSED"
    assert attach(Station.load(path)) is None


def test_a_bench_whose_owner_and_watchdog_were_killed_is_told_so_until_the_command_made_it_safe(tmp_path, capsys):
    path = tmp_path / "station.toml"
    path.write_bytes(default_text())
    both_die = (
        "import os, sys, signal; from heliograph import open_bench\n"
        "with open_bench(sys.argv[1]) as bench:\n"
        "    watchdog = bench._owner.status()['watchdog']\n"
        "    os.kill(watchdog, signal.SIGSTOP)\n"
        "    print(watchdog, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)"
    )
    with subprocess.Popen([sys.executable, "-m", "heliograph", "bench", "serve", "--station", str(path)], stdout=subprocess.PIPE, text=True) as lab:
        try:
            assert lab.stdout is not None
            lab.stdout.readline()
            ended = subprocess.run([sys.executable, "-c", both_die, str(path)], check=False, stdout=subprocess.PIPE, text=True)
            os.kill(int(ended.stdout), signal.SIGKILL)
            with pytest.raises(SystemExit) as code:
                main(["bench", "status", "--station", str(path), "--json"])
            said = capsys.readouterr()
            told = bench_status.make_safe(path)
        finally:
            lab.terminate()
    assert (code.value.code, json.loads(said.out)["state"]) == (4, "UNCONFIRMED")
    assert f"without confirming that the bench is safe: make it safe, heliograph bench safe --station {path}" in said.err
    assert bench_status.of(path)["state"] == "CLOSED"
    assert told["by"] == "this command"
    assert {report["name"] for report in told["reports"]} >= {"laser", "voa_in", "snspd"}
    assert all(report["state"] != "FAILED" for report in told["reports"])


def test_who_asks_the_watchdog_for_safe_is_told_by_name(station):
    with attached(station) as bench:
        bench.arm()
        line = WatchdogLine.of(station)
        assert line is not None
        line.ask("safe", timeout_s=10.0)
        line.close()
        wait_for(lambda: bench_status.of(station)["state"] == "SAFE")
        told = bench_status.of(station)["cause"]
    assert re.fullmatch(rf"asked for by .+@.+ \(process {os.getpid()}\)", told)


@pytest.mark.parametrize("text", [b"[bench\nname = ", None])
def test_a_bench_is_found_and_made_safe_though_its_station_file_was_spoilt(station, capsys, text):
    sound = station.read_bytes()
    with attached(station) as bench:
        bench.arm()
        assert bench["laser"].emission
        try:
            if text is None:
                station.unlink()
            else:
                station.write_bytes(text)
            with pytest.raises(SystemExit) as status_code:
                main(["bench", "status", "--station", str(station), "--json"])
            status = json.loads(capsys.readouterr().out)
            with pytest.raises(SystemExit) as safe_code:
                main(["bench", "safe", "--station", str(station), "--json"])
            told = json.loads(capsys.readouterr().out)
        finally:
            station.write_bytes(sound)
        assert not bench["laser"].emission
    assert (status_code.value.code or 0, safe_code.value.code or 0) == (0, 0)
    assert status["state"] == "ARMED"
    assert str(station) in status["station_fault"]
    assert told["by"] in ("owner", "watchdog")
    assert told["reports"]


def test_where_nothing_is_there_safe_says_so(tmp_path, capsys):
    path = tmp_path / "station.toml"
    path.write_bytes(default_text())
    with pytest.raises(SystemExit) as code:
        main(["bench", "safe", "--station", str(path)])
    said = capsys.readouterr().out
    assert not code.value.code
    assert said.startswith("Nothing was there to be made safe")
    assert "Made safe" not in said
    assert bench_status.make_safe(path)["by"] == "nobody"


def test_a_second_owner_is_told_who_owns_the_bench(station, owned):
    with pytest.raises(InstrumentLocked, match=f"process {owned[1].pid} owns the bench") as caught:
        station_lock(Station.load(station))
    assert caught.value.where == f"demo-lab (station {station.resolve()})"


@pytest.fixture(params=["owning", "attached"])
def either(request, tmp_path) -> Iterator[Any]:
    """A bench that this process owns, or that another one does."""
    if request.param == "attached":
        with attached(request.getfixturevalue("station")) as bench:
            yield bench
        return
    path = tmp_path / "station.toml"
    path.write_bytes(default_text())
    with open_bench(path, armed=False) as bench:
        yield bench


def test_wrong_names_in_a_script_say_which_are_right(either):
    names = list(Station.load(either.station.path).instruments)
    assert list(either) == list(either.instruments) == names
    assert len(either) == len(names)
    assert "laser" in either
    assert "lasr" not in either
    assert either.instruments.get("lasr") is None
    for place in (either, either.instruments):
        for wrong in ("lasr", 0):
            with pytest.raises(UnknownInstrument, match=f"there is no instrument {wrong!r}") as caught:
                place[wrong]
            assert isinstance(caught.value, KeyError)
            assert isinstance(caught.value, ParameterError)
            assert all(name in caught.value.remedy for name in names)
    for wrong in ("colour", "power_w", "identify", "simulated"):
        with pytest.raises(AttributeError, match=f"'{wrong}' of laser cannot be set; emission, power_setpoint_w can"):
            setattr(either["laser"], wrong, 3)
    with pytest.raises(AttributeError, match="colour"):
        either["laser"].colour  # noqa: B018
    assert either["laser"].simulated is True
    assert either["laser"].identify().vendor == "NKT Photonics"


def test_a_bench_and_a_run_are_shown_in_one_short_line(either):
    shown = repr(either)
    with either.run(CountRates(**QUICK), progress=lambda *_: None) as run:
        assert repr(run) == f"<Run CountRates {run.run_id}, done, simulated, {len(run)} arrays>"
    assert re.fullmatch(r"<(Bench demo-lab, \d+ instruments, SAFE|AttachedBench demo-lab, \d+ instruments of process \d+)>", shown)
