import importlib.util
import json
import socket
import sys
from pathlib import Path

import pytest

BELL = """OPENQASM 3.0;
include "stdgates.inc";
input float[64] a;
bit[2] c;
qubit[2] q;
ry(a) q[0];
cx q[0], q[1];
c[0] = measure q[0];
c[1] = measure q[1];
"""


@pytest.fixture
def circuit(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "bell.qasm"
    path.write_text(BELL)
    return path


@pytest.fixture
def cloud(tmp_path, monkeypatch):
    """IBM's cloud on this disk, in the place of the SDK's service object; nothing may reach for another one."""

    def refuse(*_):
        raise AssertionError("a test reached for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    place = Path(__file__).parents[1] / "protocols" / "qpu" / "ibm_cloud.py"
    if "ibm_cloud" not in sys.modules:
        spec = importlib.util.spec_from_file_location("ibm_cloud", place)
        assert spec is not None
        assert spec.loader is not None
        sys.modules["ibm_cloud"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules["ibm_cloud"])
    service = sys.modules["ibm_cloud"].Service(tmp_path / "cloud")
    monkeypatch.setattr("qiskit_ibm_runtime.QiskitRuntimeService", lambda: service)
    return service


def test_the_kinds_of_back_ends_are_listed_with_what_a_cloud_sees(heliograph):
    ended = heliograph("qpu", "list", "--json")

    found = {row["config"]: row for row in ended.json["backends"]}
    assert found["local"]["installed"]
    assert found["ibm:<device>"]["cloud"]
    assert "operator" in ended.json["notice"]
    assert ended.json["devices"] == []


def test_fake_devices_are_listed_when_asked_for(heliograph):
    assert {"santiago", "lagos"} <= set(heliograph("qpu", "list", "--devices", "--json").json["devices"])


def test_a_circuit_runs_and_is_recorded(heliograph, circuit):
    ended = heliograph("qpu", "run", circuit, "--param", "a=1.2", "--shots", 500, "--seed", 3, "--json")

    found = ended.json
    assert ended.code == 0
    assert (found["backend"], found["shots"], found["state"], found["simulated"]) == ("local", 500, "DONE", True)
    assert sum(found["counts"].values()) == 500
    assert set(found["counts"]) == {"00", "11"}
    assert found["notice"] is None
    record = json.loads(Path("qpu", "records", f"{found['job']}-0.json").read_text())
    assert record["bits"]["sha256"] == found["sha256"]
    again = heliograph("qpu", "resume", found["job"][:10], "--json").json
    assert again["counts"] == found["counts"]
    replayed = heliograph("qpu", "run", circuit, "--param", "a=1.2", "--shots", 500, "--backend", "recorded:qpu", "--project", "other", "--json").json
    assert replayed["counts"] == found["counts"]


def test_people_get_a_table(heliograph, circuit):
    ended = heliograph("qpu", "run", circuit, "--param", "a=1.2", "--shots", 50)
    listed = heliograph("qpu", "jobs")

    assert "50 shots on local, classical bit 0 first (c[2])" in ended.out
    assert "DONE" in listed.out
    assert "Left for clouds: jobs 0, shots 0, usd 0, qpu_seconds 0" in listed.out


@pytest.mark.parametrize(
    ("words", "code", "kind"),
    [
        (("run", "none.qasm"), 3, "QpuConfigError"),
        (("run", "bell.qasm"), 3, "QpuConfigError"),
        (("run", "bell.qasm", "--param", "a=x"), 2, "UsageError"),
        (("run", "bell.qasm", "--param", "a=1", "--backend", "nope"), 3, "QpuConfigError"),
        (("run", "bell.qasm", "--param", "a=1", "--shots", "0"), 2, "UsageError"),
        (("jobs",), 3, "StorageError"),
        (("resume", "abc"), 3, "StorageError"),
        (("import", "x.json"), 3, "StorageError"),
        (("export", "abc", "--out", "nowhere"), 3, "ConfigError"),
        (("export", "abc", "--qasm2", "--qasm3"), 2, "UsageError"),
    ],
)
def test_bad_input_is_named(heliograph, circuit, words, code, kind):
    ended = heliograph("qpu", *words, "--json")

    assert ended.code == code
    assert ended.json["error"]["type"] == kind


def test_somebody_else_runs_it(heliograph, circuit, tmp_path):
    job = heliograph("qpu", "run", circuit, "--param", "a=1.2", "--shots", 4, "--backend", "outside:quafu", "--json").json["job"]
    waiting = heliograph("qpu", "resume", job, "--timeout", 0, "--json")
    files = heliograph("qpu", "export", job, "--qasm2", "--json").json["files"]
    form = json.loads(Path(files[-1]).read_text())
    form |= {"bit_order": "c0-first", "results": [{"work": 0, "bitstrings": ["00", "11", "11", "00"]}]}
    Path(files[-1]).write_text(json.dumps(form))
    taken = heliograph("qpu", "import", files[-1], "--json")

    assert waiting.code == 4
    assert waiting.json["error"]["type"] == "QpuQueueTimeout"
    assert Path(files[0]).read_text().startswith("OPENQASM 2.0;")
    assert taken.json["state"] == "DONE"
    found = heliograph("qpu", "resume", job, "--json").json
    assert (found["counts"], found["simulated"]) == ({"00": 2, "11": 2}, False)


def test_records_are_given_to_others(heliograph, circuit, tmp_path):
    job = heliograph("qpu", "run", circuit, "--param", "a=1.2", "--shots", 4, "--json").json["job"]
    (tmp_path / "out").mkdir()

    (path,) = heliograph("qpu", "export", job, "--records", "--out", "out", "--json").json["files"]
    taken = heliograph("qpu", "import", path, "--json").json

    assert taken["state"] == "recorded"
    waiting = heliograph("qpu", "run", circuit, "--param", "a=1.2", "--backend", "outside:x", "--json").json["job"]
    assert heliograph("qpu", "export", waiting, "--records", "--json").json["error"]["type"] == "QpuConfigError"


def test_nothing_goes_to_a_cloud_until_the_budget_says_so_and_its_notice_is_shown(heliograph, circuit, cloud):
    refused = heliograph("qpu", "run", circuit, "--param", "a=1.2", "--backend", "ibm:ibm_disk", "--json")
    Path("qpu", "qpu.toml").write_text("[budget]\nmax_jobs = 3\nmax_shots = 1000\nmax_qpu_seconds = 200\n")
    ended = heliograph("qpu", "run", circuit, "--param", "a=1.2", "--shots", 30, "--backend", "ibm:ibm_disk", "--json")

    assert refused.code == 3
    assert refused.json["error"]["type"] == "QpuBudgetExceeded"
    assert ended.code == 0
    assert not ended.json["simulated"]
    assert "The operator of the cloud sees the circuit" in ended.err
    assert ended.json["notice"] in ended.err.replace("\n", " ")
    assert cloud.client.submissions == 1


def test_states_from_a_cloud_say_what_it_sees_and_how_to_come_back(heliograph, cloud, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("my jobs").mkdir()
    Path("my jobs", "qpu.toml").write_text("[budget]\nmax_jobs = 3\nmax_shots = 1000\nmax_qpu_seconds = 200\n")
    cloud.client.script(states=["Queued"])

    ended = heliograph("qot", "characterise", "--backend", "ibm:ibm_disk", "--shots", 30, "--project", "my jobs", "--timeout", 0, "--json")

    assert ended.code == 4
    assert "The operator of the cloud sees the circuit" in ended.err
    assert ended.json["error"]["type"] == "QpuQueueTimeout"
    job = ended.json["error"]["where"].removeprefix("job ")
    assert ended.json["error"]["remedy"] == f"Ask again later: heliograph qpu resume {job} --project 'my jobs'"


def test_a_job_without_an_answer_is_shown_and_settled_by_the_operator_alone(heliograph, circuit, cloud):
    Path("qpu").mkdir()
    Path("qpu", "qpu.toml").write_text("[budget]\nmax_jobs = 3\nmax_shots = 1000\nmax_qpu_seconds = 200\n")
    cloud.client.script(run=[["ConnectionError"]], states=["Queued"])
    lost = heliograph("qpu", "run", circuit, "--param", "a=1.2", "--shots", 30, "--backend", "ibm:ibm_disk", "--json")
    listed = heliograph("qpu", "jobs", "--json")

    assert lost.code == 4
    (job,) = listed.json["unanswered"]
    assert f"nobody knows whether {job} was sent" in listed.err
    assert listed.json["budget_left"]["jobs"] == 2
    assert heliograph("qpu", "resume", job, "--json").code == 4
    assert "too early" in heliograph("qpu", "resume", job, "--lost", "--json").json["error"]["message"]
    ran = heliograph("qpu", "run", circuit, "--param", "a=1.2", "--shots", 30, "--backend", "ibm:ibm_disk", "--timeout", 0, "--json")
    assert ran.json["error"]["type"] == "QpuQueueTimeout"
    assert f"nobody knows whether {job} was sent" in ran.err
    other = ran.json["error"]["where"].removeprefix("job ")
    assert heliograph("qpu", "resume", other, "--cancel", "--json").json["state"] == "CANCELLED"
    ledger = Path("qpu", "qpu-ledger.jsonl")
    assert ledger.read_text().count("qpu_lost") == 0
