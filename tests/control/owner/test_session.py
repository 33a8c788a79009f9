"""What an owner answers stands on a page."""

from __future__ import annotations

import os
import re
import signal
from collections import deque
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from heliograph.control.link import VERSION, Message
from heliograph.control.owner.controllers import Controllers
from heliograph.control.owner.last_one import LastOne
from heliograph.control.owner.publishing import Topics
from heliograph.control.owner.session import MOST_NOTES, MOST_STREAMS, Session
from heliograph.control.topics import EVENT, REPLAY, CountRates
from heliograph.core.errors import InstrumentLocked, ParameterError, RunFileError

from ..live_runs import recorded
from ..owned import wait_for

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "owner-requests.md"


def test_every_request_is_described_and_no_other(tmp_path):
    owner: Any = SimpleNamespace(folder=tmp_path)
    client: Any = SimpleNamespace(pid=1, who="a test")
    rows = [line.split("|")[1] for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    described = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    assert sorted(described) == sorted(Session(owner, client)._topics)


def test_requests_about_files_are_answered_beside_those_about_instruments(tmp_path):
    owner: Any = SimpleNamespace(folder=tmp_path)
    client: Any = SimpleNamespace(pid=1, who="a test")
    session = Session(owner, client)
    assert session.aside("runs")
    assert session.aside("replay")
    assert session.aside("qpu_cap")
    assert not session.aside("set")
    assert not session.aside("safe")


def test_a_cap_is_changed_for_the_controller_only(tmp_path):
    def held(_session):
        raise InstrumentLocked("control is held by somebody", where="bench")

    asked = list[Any]()
    jobs = SimpleNamespace(change_cap=lambda body, who: asked.append((body, who)))
    owner: Any = SimpleNamespace(folder=tmp_path, jobs=jobs, take_control=held)
    client: Any = SimpleNamespace(pid=1, who="a test")
    session = Session(owner, client)
    assert isinstance(session.answer(Message("qpu_cap", {"limit": "usd"}, 1)).body, InstrumentLocked)
    assert asked == []
    owner.take_control = lambda _session: None
    session.answer(Message("qpu_cap", {"limit": "usd"}, 2))
    assert asked == [({"limit": "usd"}, "a test")]


def test_an_owner_knows_who_is_attached_and_that_it_is_to_end_after_them(tmp_path):
    clients = LastOne(lambda: 0.0)
    station = SimpleNamespace(sha256="0")
    owner: Any = SimpleNamespace(folder=tmp_path, station=station, instruments={}, left=lambda _: None, clients=clients)
    session = Session(owner, SimpleNamespace(pid=os.getppid(), who="a test", mailbox=None))  # type: ignore[arg-type]

    for topic in ("hello", "end_when_alone"):
        assert not isinstance(session.answer(Message(topic, {"version": VERSION}, 1)).body, Exception)
    assert clients.ends
    assert clients._here == {session}
    session.gone()

    assert not clients._here


def test_who_has_gone_while_he_was_greeted_is_not_there(tmp_path):
    clients = LastOne(lambda: 0.0)
    owner: Any = SimpleNamespace(folder=tmp_path, station=SimpleNamespace(sha256="0"), instruments={}, left=lambda _: None, clients=clients)
    session = Session(owner, SimpleNamespace(pid=1, who="a test", mailbox=None))  # type: ignore[arg-type]
    session.gone()
    session.answer(Message("hello", {"version": VERSION}, 1))

    assert not clients._here


def test_only_who_started_an_owner_or_controls_it_has_it_end_after_the_last(tmp_path):
    controllers = Controllers(tmp_path / "station.toml", shared=True)

    def asked_by(pid: int, *, controls: bool) -> tuple[Any, bool]:
        clients = LastOne()
        owner: Any = SimpleNamespace(folder=tmp_path, clients=clients, controllers=controllers)
        client: Any = SimpleNamespace(pid=pid, who=f"process {pid}")
        session = Session(owner, client)
        if controls:
            controllers.take(session)
        return session.answer(Message("end_when_alone", {}, 1)).body, clients.ends

    assert asked_by(1001, controls=True) == (None, True)
    refusal, ends = asked_by(1002, controls=False)
    assert isinstance(refusal, InstrumentLocked)
    assert "held by process 1001" in str(refusal)
    assert not ends
    assert asked_by(os.getppid(), controls=False) == (None, True)


@pytest.mark.parametrize("asked", [False, True])
def test_when_the_reader_dies_the_bench_is_shown_again_and_it_is_said(tmp_path, asked):
    """asked: the death is noticed by another request, else by nobody's asking."""
    path, topics, said = recorded(tmp_path / "runs", "CountRates"), Topics(), list[Any]()
    owner: Any = SimpleNamespace(folder=tmp_path / "runs", topics=topics, left=lambda _: None, clients=LastOne())
    client: Any = SimpleNamespace(pid=1, who="a test", mailbox=topics.subscribe(("counts", REPLAY, EVENT)))
    session = Session(owner, client)
    try:
        session._of_files("replay", {"path": str(path), "speed": 1.0})
        topics.publish("counts", rates("the bench"))
        wait_for(lambda: said.extend(client.mailbox.take()) or any(one.topic == "counts" for one in said))
        assert {one.body.source for one in said if one.topic == "counts"} == {"replay"}
        said.clear()

        process = session._desk.pid
        assert process is not None
        os.kill(process, signal.SIGSTOP if asked else signal.SIGKILL)
        if asked:
            with pytest.raises(RunFileError, match="took too long"):
                session._desk.ask("run", {"path": str(path)}, timeout_s=0.1)
        wait_for(lambda: said.extend(client.mailbox.take()) or any(one.topic == EVENT for one in said))

        assert not client.mailbox.replaying
        assert session._desk.pid is None
        last = {one.topic: one.body for one in said}
        assert last["counts"].run == "the bench"
        assert last[REPLAY].why in ("the process that reads run files ended", "reading took too long and was given up")
        assert "The replay ended" in last[EVENT].text
        assert session._of_files("replay", {"path": str(path)}).run == path.stem.removesuffix("-p0")
        assert client.mailbox.replaying
    finally:
        session.gone()


def rates(run: str) -> CountRates:
    none = np.zeros(0)
    return CountRates(run, "live", 0.0, (), none, none, none, 0, 0.0, 0, 0)


def test_notes_beyond_what_a_run_keeps_are_refused(tmp_path):
    job = SimpleNamespace(run_id="run", notes=deque())
    owner: Any = SimpleNamespace(folder=tmp_path, topics=Topics(), runner=SimpleNamespace(job=job), controllers=SimpleNamespace(check=lambda _: None))
    client: Any = SimpleNamespace(pid=1, who="a test")
    session = Session(owner, client)
    answers = [session.answer(Message("note", {"text": f"note {k}"}, k)).body for k in range(MOST_NOTES + 50)]
    assert sum(isinstance(one, ParameterError) for one in answers) == 50
    assert len(job.notes) == MOST_NOTES
    job.notes.clear()
    assert session.answer(Message("note", {"text": "again"}, 1)).body.text == "again"
    assert isinstance(session.answer(Message("note", {"text": "late", "run": "nope"}, 2)).body, ParameterError)


def test_streams_beyond_what_one_client_may_have_open_are_refused(tmp_path):
    one = SimpleNamespace(role="TagSource", record=lambda *_: iter(()))
    owner: Any = SimpleNamespace(folder=tmp_path, instruments={"tagger": one}, take_control=lambda _: None)
    client: Any = SimpleNamespace(pid=1, who="a test")
    session = Session(owner, client)
    body = {"name": "tagger", "member": "record", "args": (), "kwargs": {}}
    numbers = [session.answer(Message("open", body, k)).body for k in range(MOST_STREAMS)]
    assert numbers == list(range(1, MOST_STREAMS + 1))
    assert isinstance(session.answer(Message("open", body, 1)).body, ParameterError)
    assert session.answer(Message("close", {"stream": 3}, 2)).body is None
    assert isinstance(session.answer(Message("open", body, 3)).body, int)
