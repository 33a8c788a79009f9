"""No token of a cloud account comes into the window, its files or its logs: not where the cloud's own answer quotes it, nor where an error does."""

from __future__ import annotations

import http.server
import importlib.util
import json
import logging
import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import pytest
from PySide6.QtWidgets import QApplication

from heliograph.control.parties.telling import qpu_jobs
from heliograph.core.errors import HeliographError
from heliograph.gui import access, app
from heliograph.protocols.qpu import Project, Work, open_backend
from heliograph.protocols.qpu.retries import Patience

from .conftest import OfflineDesk
from .operating import PAGES, made_by_hand, opened, page_of, states, tell

CLOUD = Path(__file__).parents[1] / "protocols" / "qpu" / "ibm_cloud.py"
BELL = 'OPENQASM 3.0;\ninclude "stdgates.inc";\nbit[2] c;\nqubit[2] q;\nh q[0];\ncx q[0], q[1];\nc = measure q;\n'
BUDGET = "[budget]\nmax_jobs = 9\nmax_shots = 10_000\nmax_qpu_seconds = 900\n"
ARN = "arn:aws:braket:us-east-1::device/qpu/ionq/Aria-1"
IBM, SAVED = "sentinel+of/the=environment-012345", "sentinel+of/the=account-file-6789"
AWS = {
    "AWS_ACCESS_KEY_ID": "AKIASENTINEL00000001",
    "AWS_SECRET_ACCESS_KEY": "sentinel/of+aws0123456789abcdefghijklmnop",
    "AWS_SESSION_TOKEN": "sentinel-session-of-aws",
}
TRADED = "eyJzZW50aW5lbA0123.eyJzZW50aW5lbA4567.sentinel-signature"
"""What IBM gives in exchange for a token."""
SHAPES = ("sentinel", "SENTINEL", "zZW50aW5lbA")
"""One of these is in every credential here, however it is written."""


def clean(said: str) -> bool:
    """Say whether a text has nothing of a credential; the end of one shows, too."""
    found = [shape for shape in SHAPES if shape in said]
    assert not found, said[max(0, said.index(found[0]) - 200) :][:500]
    return True


@pytest.fixture
def tokens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Credentials everywhere a vendor's library looks for them: the environment, IBM's account file, boto's file."""
    home = tmp_path / "home"
    (home / ".qiskit").mkdir(parents=True)
    account = {"channel": "ibm_quantum_platform", "token": SAVED, "url": "https://cloud.ibm.com", "instance": "crn:v1:x:y:quantum-computing:z:a/1::"}
    (home / ".qiskit" / "qiskit-ibm.json").write_text(json.dumps({"default-ibm-quantum-platform": account}))
    (home / "aws.ini").write_text("[default]\n" + "".join(f"{name.lower()} = {value}\n" for name, value in AWS.items()))
    found = {"HOME": str(home), "QISKIT_IBM_TOKEN": IBM, "AWS_SHARED_CREDENTIALS_FILE": str(home / "aws.ini"), "AWS_DEFAULT_REGION": "us-east-1"}
    for name, value in {**found, "AWS_EC2_METADATA_DISABLED": "true"}.items():
        monkeypatch.setenv(name, value)
    return found


def service(folder: Path) -> Any:
    """IBM's cloud on this disk."""
    if "ibm_cloud" not in sys.modules:
        spec = importlib.util.spec_from_file_location("ibm_cloud", CLOUD)
        assert spec is not None
        assert spec.loader is not None
        sys.modules["ibm_cloud"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules["ibm_cloud"])
    return sys.modules["ibm_cloud"].Service(folder)


def parrot(client: Any) -> None:
    """Let a cloud quote the account's token in whatever it says."""
    quoted = f"bad key {IBM} of {json.dumps(SAVED)}, Bearer {TRADED}"
    run, states_of = client.program_run, {"status": "Failed", "reason": quoted, "reasonCode": 9999}

    def named(**asked: Any) -> dict[str, Any]:
        logging.getLogger("qiskit_ibm_runtime").warning("sending with %s", IBM)
        warnings.warn(f"the cloud said: {quoted}", stacklevel=1)
        return {**run(**asked), "backend": quoted}

    client.program_run = named
    client.job_get = lambda job_id, **_: {"id": job_id, "state": states_of, "backend": "x", "program": {"id": "executor"}, "tags": []}
    client.job_results = lambda **_: f"Traceback: {quoted}"


def failed_jobs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[HeliographError]:
    """Run a job that the cloud fails and one that it refuses; return the errors. The project is `folder`."""
    from qiskit import QuantumCircuit

    folder.mkdir()
    (folder / "qpu.toml").write_text(BUDGET)
    cloud = service(folder.parent / "cloud")
    # What it refuses with, and what the account tells.
    monkeypatch.setattr(sys.modules["ibm_cloud"], "TOKEN", SAVED)
    circuit = QuantumCircuit(1, 1)
    circuit.measure(0, 0)
    backend = open_backend("ibm:ibm_disk", folder, client=cloud, patience=Patience(sleep=lambda _: None))
    parrot(cloud.client)
    found = []
    for refusal in (None, ["RequestsApiError", 400]):
        cloud.client.script(run=[refusal])
        with pytest.raises(HeliographError) as caught:
            backend.run([Work(circuit)], 20)
        found.append(caught.value)
    return found


def everything_below(folder: Path, *but: Path) -> str:
    """Return all that the files of a folder hold, packed tables of run files, too."""
    found: list[str] = []

    def unpacked(name: str, node: Any) -> None:
        found.extend((name, str(dict(node.attrs))))
        if isinstance(node, h5py.Dataset) and node.dtype.kind in "SOVu":
            found.append(bytes(node[()]).decode("latin-1") if node.dtype.kind == "V" and not node.shape else str(node[()]))

    for path in sorted(folder.rglob("*")):
        if not path.is_file() or any(one in path.parents or one == path for one in but):
            continue
        found.append(path.read_bytes().decode("latin-1"))
        if path.suffix == ".h5":
            with h5py.File(path, "r") as file:
                file.visititems(unpacked)
                found.append(str(dict(file.attrs)))
    return "\n".join(found)


def heard(window: Any) -> str:
    """Return what every page and the rest of the window has in its accessibility tree, and all that it was told."""
    seen: list[str] = []
    for name in PAGES:
        page_of(window, name)
        window.tick.tick()
        seen += access.texts(window)
    told = [repr(window.desk.latest(topic)) for topic in window.desk.topics()]
    return "\n".join([*seen, *told, *map(repr, window.desk.events), QApplication.clipboard().text()])


@pytest.mark.slow
def test_a_cloud_that_quotes_the_token_is_shown_without_it(
    qapp: QApplication,
    tmp_path: Path,
    tokens: dict[str, str],
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from heliograph.cli import main

    caplog.set_level(logging.DEBUG)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        errors = failed_jobs(tmp_path / "qpu", monkeypatch)
    with pytest.raises(SystemExit):
        main(["qpu", "jobs", "--project", str(tmp_path / "qpu"), "--json"])
    listed = capsys.readouterr()
    assert "bad key *** of" in json.loads(listed.out)["jobs"][0]["reason"]
    assert any("the cloud said" in str(one.message) for one in warned)

    with made_by_hand(tmp_path, qapp) as window:
        tell(window, states() | {"qpu": qpu_jobs(Project(tmp_path / "qpu"))})
        for error in errors:
            window.desk.notice(error)
        shown = heard(window)
        assert "bad key ***" in shown
        window.leave()

    said = [shown, caplog.text, *map(str, warned), *(f"{error} {error.__cause__!r}" for error in errors), listed.out, listed.err]
    assert clean("\n".join([*said, everything_below(tmp_path, tmp_path / "home", tmp_path / "cloud")]))


def test_an_error_that_nobody_caught_is_a_notice_without_the_token(
    window: Any, desk: OfflineDesk, tokens: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    app._hear_exceptions(desk)
    try:
        raise RuntimeError(f"no answer from https://x/?token={IBM}") from ValueError(os.environ["QISKIT_IBM_TOKEN"])
    except RuntimeError as error:
        sys.excepthook(type(error), error, error.__traceback__)
    finally:
        sys.excepthook = sys.__excepthook__
    shown = "\n".join([*access.texts(window), *desk.notices])

    assert "the window met an error of its own (RuntimeError: no answer from https://x/?token=***)" in shown
    assert "Traceback" in caplog.text
    assert clean(shown + caplog.text)


@pytest.mark.parametrize("text", [f'token = "{IBM}"', f'[ibm]\ntoken = "{IBM}"', f'token = "{IBM}', f'seed = "{IBM}"'])
def test_a_token_in_a_file_where_it_has_no_place_is_refused_without_being_told(tmp_path: Path, text: str, tokens: dict[str, str]) -> None:
    from heliograph.instruments.station import Station, default_text

    (tmp_path / "qpu.toml").write_text(text)
    with pytest.raises(HeliographError) as project:
        Project(tmp_path)
    with pytest.raises(HeliographError) as station:
        Station.parse(text.encode() + b"\n" + default_text(), tmp_path / "station.toml")

    assert clean(f"{project.value} {station.value}")


class Parrot(http.server.BaseHTTPRequestHandler):
    """A cloud that refuses everything with all that it was sent."""

    def do_POST(self) -> None:
        """Quote it."""
        body = self.rfile.read(int(self.headers.get("content-length") or 0)).decode("latin-1")
        said = f"you said {self.path} {dict(self.headers)} {body}"
        told = json.dumps({"errorMessage": said, "errorCode": "BXNIM0415E", "message": said, "__type": "AccessDeniedException"}).encode()
        self.send_response(400)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(told)))
        self.end_headers()
        self.wfile.write(told)
        self.server.heard.append(said)  # type: ignore[attr-defined]

    do_GET = do_POST

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def quoting() -> Iterator[Any]:
    """Serve such a cloud on this machine: address and what it heard."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Parrot) as server:
        server.heard = []  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.mark.slow
def test_no_token_is_anywhere_after_a_day_with_clouds_that_quote_it(
    qapp: QApplication, tmp_path: Path, tokens: dict[str, str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Window, owner and the vendors' own libraries, each in a process that has the credentials; the libraries really send them, to somebody who quotes them."""
    bench, project = tmp_path / "demo", tmp_path / "qpu"
    project.mkdir()
    (project / "qpu.toml").write_text(BUDGET)
    (tmp_path / "bell.qasm").write_text(BELL)
    said: list[str] = []
    with quoting() as cloud, opened(tmp_path, qapp) as day:
        address = f"http://127.0.0.1:{cloud.server_address[1]}"
        monkeypatch.setenv("IAM_URL", address)
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        day.begin(bench)
        day.put_first_steps_away()
        day.arm()
        assert day.wait_ended(day.start("acquire", "Count rates", Duration="0.5")) == "done"
        words = [sys.executable, "-m", "heliograph", "qpu"]
        common = ["--project", str(project), "--tell", str(day.desk.station), "--json"]
        run = partial(subprocess.run, capture_output=True, text=True, check=False, timeout=60)
        local = run([*words, "run", str(tmp_path / "bell.qasm"), *common])
        assert local.returncode == 0, local.stderr
        for name, environment in (("ibm:ibm_x", {}), ("ibm:ibm_x", {"QISKIT_IBM_TOKEN": ""}), (f"braket:{ARN}", {}), (f"braket:{ARN}", AWS)):
            ended = run([*words, "run", str(tmp_path / "bell.qasm"), "--backend", name, *common], env={**os.environ, **environment})
            assert json.loads(ended.stdout)["error"]["type"] == "QpuAuthError", ended.stderr
            said += [ended.stdout, ended.stderr]
        listed = run([*words, "jobs", "--project", str(project), "--json"])
        day.person.until(lambda: day.desk.latest("qpu") is not None, "the jobs")
        told = len(day.desk.events)
        day.window.desk.ask("reread")
        day.person.until(lambda: (day.desk.age_s("qpu") or 9.0) < 1.0 or len(day.desk.events) > told, "the jobs again")
        said += [listed.stdout, listed.stderr, heard(day.window)]
        sent = "\n".join(cloud.heard)
    ended_with = capfd.readouterr()

    # The clouds were really told the credentials.
    assert all(
        one in sent for one in ("sentinel%2Bof%2Fthe%3Denvironment", "sentinel%2Bof%2Fthe%3Daccount-file", AWS["AWS_ACCESS_KEY_ID"], AWS["AWS_SESSION_TOKEN"])
    )
    assert list(bench.rglob("*.h5"))
    assert list(bench.rglob("*.jsonl"))
    assert clean("\n".join([*said, ended_with.out, ended_with.err, everything_below(tmp_path, tmp_path / "home")]))
