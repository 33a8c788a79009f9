import json
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest

HERE = Path(__file__).parents[1] / "protocols" / "qpu"
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
    assert waiting.json["error"]["remedy"] == f"Ask again later: heliograph qpu resume {job}"
    files = heliograph("qpu", "export", job, "--qasm2", "--json").json["files"]
    form = json.loads(Path(files[-1]).read_text())
    form |= {"bit_order": "c0-first", "results": [{"work": 0, "bitstrings": ["00", "11", "11", "00"]}]}
    Path(files[-1]).write_text(json.dumps(form))
    taken = heliograph("qpu", "import", files[-1], "--json")

    assert waiting.code == 4
    assert waiting.json["error"]["type"] == "QpuQueueTimeout"
    assert Path(files[0]).read_text().startswith("OPENQASM 2.0;")
    assert taken.json["state"] == "DONE"
    assert taken.json["in_ledger"]
    assert "DONE, by hand" in heliograph("qpu", "jobs").out
    assert heliograph("qpu", "jobs", "--json").json["jobs"][0]["by_hand"]
    found = heliograph("qpu", "resume", job, "--json").json
    assert (found["counts"], found["simulated"]) == ({"00": 2, "11": 2}, False)


def test_a_record_made_elsewhere_completes_the_job_that_it_is_named_for(heliograph, circuit, cloud):
    job = heliograph("qpu", "run", circuit, "--param", "a=1.2", "--shots", 30, "--backend", "outside:friend", "--json").json["job"]
    text, _ = heliograph("qpu", "export", job, "--json").json["files"]
    Path("friend").mkdir()
    Path("friend", "qpu.toml").write_text(BUDGET)
    theirs = heliograph("qpu", "run", text, "--shots", 30, "--backend", "ibm:ibm_disk", "--project", "friend", "--json").json
    (record,) = heliograph("qpu", "export", theirs["job"], "--records", "--project", "friend", "--json").json["files"]

    taken = heliograph("qpu", "import", record, "--job", job[:8], "--json").json

    assert taken["state"] == "DONE"
    found = heliograph("qpu", "resume", job, "--json").json
    assert (found["counts"], found["simulated"]) == (theirs["counts"], False)


def test_records_are_given_to_others(heliograph, circuit, tmp_path):
    job = heliograph("qpu", "run", circuit, "--param", "a=1.2", "--shots", 4, "--json").json["job"]
    (tmp_path / "out").mkdir()

    (path,) = heliograph("qpu", "export", job, "--records", "--out", "out", "--json").json["files"]
    own = heliograph("qpu", "import", path, "--json").json
    Path("other").mkdir()
    foreign = heliograph("qpu", "import", path, "--project", "other", "--json")

    assert (own["job"], own["state"], own["in_ledger"]) == (job, "DONE", True)
    assert (foreign.json["state"], foreign.json["in_ledger"]) == ("recorded", False)
    assert "the ledger does not know it, and no budget is touched. It replays: --backend recorded:other" in foreign.err
    assert heliograph("qpu", "jobs", "--project", "other", "--json").json["jobs"] == []
    waiting = heliograph("qpu", "run", circuit, "--param", "a=1.2", "--backend", "outside:x", "--json").json["job"]
    assert heliograph("qpu", "export", waiting, "--records", "--json").json["error"]["type"] == "QpuConfigError"


BUDGET = "[budget]\nmax_jobs = 3\nmax_shots = 1000\nmax_qpu_seconds = 200\n"


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


def test_a_cloud_that_does_not_answer_is_said_to_be_asked_again(heliograph, circuit, cloud, monkeypatch):
    monkeypatch.setattr("heliograph.protocols.qpu.retries.Patience.delay_s", lambda *_: 0.01)
    cloud.client.script(backend=[["ConnectionError"]] * 2)

    ended = heliograph("qpu", "run", circuit, "--param", "a=1.2", "--backend", "ibm:ibm_disk", "--json")

    first, *later = ended.err.splitlines()
    assert first.startswith("Asking for ibm:ibm_disk.")
    assert sum("ConnectionError" in line and "asking again in 0 s" in line for line in later) == 2
    assert ended.json["error"]["type"] == "QpuBudgetExceeded"


@pytest.mark.parametrize("end", [SystemExit(143), KeyboardInterrupt()])
def test_a_wait_that_is_ended_says_how_to_come_back_and_nothing_of_instruments(heliograph, circuit, cloud, monkeypatch, end):
    def ended_by(*_):
        raise end

    Path("qpu").mkdir()
    Path("qpu", "qpu.toml").write_text("[budget]\nmax_jobs = 3\nmax_shots = 1000\nmax_qpu_seconds = 200\n")
    monkeypatch.setattr("heliograph.protocols.qpu.jobs.ProviderJob.result", ended_by)

    run = heliograph("qpu", "run", circuit, "--param", "a=1.2", "--shots", 30, "--backend", "ibm:ibm_disk", "--json")
    (job,) = heliograph("qpu", "jobs", "--json").json["jobs"]
    again = heliograph("qpu", "resume", job["job"], "--json")
    states = heliograph("qot", "characterise", "--backend", "ibm:ibm_disk", "--shots", 30, "--project", "qpu", "--json")

    for ended in (run, again):
        assert ended.code in {130, 143}
        assert ended.json["error"]["remedy"] == f"The job goes on. To come back to it: heliograph qpu resume {job['job']}"
    assert states.json["error"]["remedy"].startswith("The job goes on. To come back to it: heliograph qot characterise --job ")


def test_an_end_before_a_job_is_there_says_where_to_look(heliograph, circuit, cloud, monkeypatch):
    def ended_by(*_, **__):
        raise SystemExit(143)

    monkeypatch.setattr(cloud, "backend", ended_by)

    ended = heliograph("qpu", "run", circuit, "--param", "a=1.2", "--backend", "ibm:ibm_disk", "--json")

    assert ended.json["error"]["remedy"] == "Whether a job was sent is in the ledger: heliograph qpu jobs."


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
    back = f"heliograph qot characterise --job {job} --project 'my jobs'"
    assert ended.json["error"]["remedy"] == f"Ask again later: {back}"
    assert f"Job {job} is sent. To come back to it: {back}" in ended.err


def completed(cloud):
    for path in cloud.client.folder.glob("job-*.json"):
        path.write_text(json.dumps({**json.loads(path.read_text()), "states": ["Completed"]}))


def test_states_are_come_back_to_by_the_command_that_is_named(heliograph, cloud, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("qpu").mkdir()
    Path("qpu", "qpu.toml").write_text(BUDGET)
    cloud.client.script(states=["Queued"])
    words = ("--backend", "ibm:ibm_disk", "--shots", 400, "--circuit", "one_ccx", "--project", "qpu", "--timeout", 0)
    ended = heliograph("qot", "characterise", *words, "--json")
    job = ended.json["error"]["where"].removeprefix("job ")
    again = heliograph(*shlex.split(ended.json["error"]["remedy"].partition("heliograph ")[2]), "--timeout", 0, "--json")
    completed(cloud)

    found = heliograph("qot", "characterise", "--job", job, "--json").json

    assert again.json["error"] == ended.json["error"]
    assert (found["job"], found["backend"], found["circuit"], found["shots"], found["simulated"]) == (job, "ibm:ibm_disk", "one_ccx", 400, False)
    assert found["cx_count"] >= 8
    assert 0 < found["error_low"] < found["error"] < found["error_high"] < 0.3
    assert cloud.client.submissions == 1
    cloud.client.script(backend=[["IBMNotAuthorizedError"]])
    drawn = heliograph("qot", "characterise", "--job", job[:9], "--json")
    assert drawn.json == found
    assert "operator of the cloud" not in drawn.err
    cloud.client.script(backend=[None])
    assert heliograph("qot", "characterise", "--job", job, "--draw", "--json").code == 0
    assert Path("qot-circuits.svg").exists()


def test_states_without_an_answer_are_looked_for_by_the_command_that_is_named(heliograph, cloud, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("p").mkdir()
    Path("p", "qpu.toml").write_text(BUDGET)
    cloud.client.script(run=["after"], jobs_get=[["IBMNotAuthorizedError"]])

    ended = heliograph("qot", "characterise", "--backend", "ibm:ibm_disk", "--shots", 50, "--project", "p", "--json")

    assert ended.json["error"]["type"] == "QpuUnavailable"
    found = heliograph(*shlex.split(ended.json["error"]["remedy"].partition("heliograph ")[2]), "--json")
    assert found.json["shots"] == 50
    assert cloud.client.submissions == 1


KILLED = """
import sys
from pathlib import Path
import qiskit_ibm_runtime
sys.path.insert(0, sys.argv[1])
import ibm_cloud
service = ibm_cloud.Service(Path("cloud"))
qiskit_ibm_runtime.QiskitRuntimeService = lambda: service
from heliograph.cli import main
main(["qot", "characterise", "--backend", "ibm:ibm_disk", "--shots", "300", "--project", "p"])
"""


def test_states_are_come_back_to_after_a_kill(heliograph, cloud, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("p").mkdir()
    Path("p", "qpu.toml").write_text(BUDGET)
    cloud.client.script(states=["Queued"])
    waiting = subprocess.Popen([sys.executable, "-c", KILLED, str(HERE)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    ledger, end = Path("p", "qpu-ledger.jsonl"), time.monotonic() + 60
    while not (ledger.exists() and b"qpu_submitted" in ledger.read_bytes()) and waiting.poll() is None and time.monotonic() < end:
        time.sleep(0.02)
    waiting.kill()
    assert waiting.wait(10) == -9
    completed(cloud)
    (job,) = heliograph("qpu", "jobs", "--project", "p", "--json").json["jobs"]

    found = heliograph("qot", "characterise", "--job", job["job"], "--project", "p", "--json").json

    assert (found["job"], found["shots"]) == (job["job"], 300)
    assert found["error_low"] < found["error"] < found["error_high"]
    assert cloud.client.submissions == 1


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("--job", "ab"), 3, "no such job"),
        (("--job", "ab", "--project", "nowhere"), 3, "no such project folder"),
        (("--job", "ab", "--shots", 7), 2, "--shots is that of the job"),
        (("--job", "ab", "--backend", "local"), 2, "--backend is that of the job"),
    ],
)
def test_what_cannot_be_come_back_to_is_named(heliograph, tmp_path, monkeypatch, words, code, says):
    monkeypatch.chdir(tmp_path)
    Path("qpu").mkdir()

    ended = heliograph("qot", "characterise", *words, "--json")

    assert ended.code == code
    assert says in ended.json["error"]["message"]


def test_a_job_that_measured_no_states_is_not_characterised(heliograph, circuit):
    job = heliograph("qpu", "run", circuit, "--param", "a=1.2", "--shots", 5, "--json").json["job"]

    error = heliograph("qot", "characterise", "--job", job, "--json").json["error"]

    assert error["message"] == "the job measured no states"
    assert error["remedy"] == f"See its samples: heliograph qpu resume {job}"


def test_the_samples_of_every_work_are_shown(heliograph, circuit):
    from heliograph.protocols.qpu import Work, open_backend
    from heliograph.protocols.qpu.qasm import load_qasm

    works = [Work.of(load_qasm(circuit), {"a": angle}) for angle in (0.0, 3.141592653589793, 1.2)]
    job = open_backend("local", "qpu").submit(works, 40, seed=1)

    told = heliograph("qpu", "resume", job.uuid[:9])
    found = heliograph("qpu", "resume", job.uuid, "--json").json

    assert [line.partition(":")[0] for line in told.out.splitlines() if "shots on local" in line] == ["Work 0", "Work 1", "Work 2"]
    assert [work["counts"] for work in found["works"][:2]] == [{"00": 40}, {"11": 40}]
    assert sum(found["works"][2]["counts"].values()) == 40
    assert [work["cregs"] for work in found["works"]] == [[["c", 2]]] * 3
    assert "counts" not in found
    single = heliograph("qpu", "run", circuit, "--param", "a=0", "--shots", 7, "--json").json
    assert single["works"] == [{name: single[name] for name in ("cregs", "counts", "sha256")}]


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


def test_a_cap_is_raised_on_purpose_and_who_did_so_is_told(heliograph, circuit, cloud):
    run = ("qpu", "run", circuit, "--param", "a=1.2", "--shots", 30, "--backend", "ibm:ibm_disk", "--json")
    assert heliograph("qpu", "cap", "--json").json["error"]["type"] == "StorageError"
    refused = heliograph(*run)
    for limit, most in (("jobs", 1), ("shots", 30), ("qpu_seconds", 60)):
        made = heliograph("qpu", "cap", limit, most, "--why", "first layer", "--was", 0, "--json")
        assert made.code == 0
    sent = heliograph(*run)
    below = heliograph("qpu", "cap", "jobs", 0, "--why", "enough", "--json")
    stale = heliograph("qpu", "cap", "jobs", 2, "--why", "more", "--was", 7, "--json")
    found = heliograph("qpu", "cap", "--json").json
    shown = heliograph("qpu", "cap")

    assert refused.json["error"]["remedy"] == "Raise [budget] in qpu.toml: heliograph qpu cap."
    assert sent.code == 0
    assert (below.code, "1 jobs are spent" in below.json["error"]["message"]) == (3, True)
    assert "is 1 jobs now, not 7 jobs" in stale.json["error"]["message"]
    assert [(one["limit"], one["most"]) for one in found["caps"]] == [("usd", None), ("qpu_seconds", 60.0), ("shots", 30), ("jobs", 1)]
    assert [(one["limit"], one["old"], one["new"], one["why"]) for one in found["changes"]][-1] == ("qpu_seconds", 0.0, 60.0, "first layer")
    assert f"(process {os.getpid()})" in found["changes"][0]["who"]
    assert "first layer" in shown.out
    assert heliograph("qpu", "cap", "usd").code == 2
    assert heliograph("qpu", "cap", "usd", 3, "--json").json["error"]["message"] == "there is no reason"


def test_a_cap_that_was_changed_by_hand_since_says_so(heliograph, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    raised = heliograph("qpu", "cap", "usd", 10, "--why", "first layer")
    Path("qpu", "qpu.toml").write_text("[budget]\nmax_usd = 12\n")

    assert "jobs are refused whose price the provider does not tell" in raised.err
    assert "The cap of usd was changed by hand since, or a change was cut short: qpu/qpu.toml" in heliograph("qpu", "cap").err
