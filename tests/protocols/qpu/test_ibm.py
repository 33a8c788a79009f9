"""Aer, fake devices, and IBM's cloud: the SDK's own service and jobs over a client object that answers from a folder."""

import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector

from heliograph.core.errors import (
    QpuAuthError,
    QpuBudgetExceeded,
    QpuCancelled,
    QpuConfigError,
    QpuError,
    QpuJobFailed,
    QpuQueueTimeout,
    QpuRateLimited,
    QpuUnavailable,
    QpuUnsupported,
    StorageError,
)
from heliograph.protocols.qpu import JobStatus, Project, Work, open_backend
from heliograph.protocols.qpu.aer import AerBackend
from heliograph.protocols.qpu.circuits import read_works
from heliograph.protocols.qpu.fakes import fake_device, fake_names
from heliograph.protocols.qpu.feed_forward import direct_s
from heliograph.protocols.qpu.ibm import IBMRuntimeBackend, _secrets_of
from heliograph.protocols.qpu.retries import Patience
from heliograph.protocols.qpu.vendors import masked, unclear, vendor_errors

HERE = Path(__file__).parent
SANTIAGO = ".116805 .009682 .119087 .009357 .011209 .113224 .113541 .011267 .111671 .012662 .012349 .114030 .010239 .112077 .010019 .112781"  # qot.md 5.2


@pytest.fixture(scope="module")
def aer():
    return AerBackend()


@pytest.fixture(scope="module")
def perth():
    return IBMRuntimeBackend.fake("perth")


@pytest.fixture(scope="module")
def santiago():
    return IBMRuntimeBackend.fake("santiago")


def bell():
    circuit = QuantumCircuit(2, 2)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure([0, 1], [0, 1])
    return circuit


# Simulators and fake devices.


@pytest.mark.parametrize("name", ["straight", "crossed", "registers", "gap", "ends", "matrix", "nine"])
def test_a_golden_circuit_on_aer_and_on_a_fake(aer, perth, goldens, majority, name):
    circuit, row = goldens[name]

    assert aer.run([Work(circuit)], 20)[0].bits.tolist() == [row] * 20
    assert majority(perth.run([Work(circuit)], 200, seed=1)[0]) == row
    law = aer.probabilities(Work(circuit))
    assert law.argmax() == int("".join(map(str, row)), 2)
    assert law.max() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("name", ["branch", "reset"])
def test_a_dynamic_golden_circuit_on_aer_and_on_a_fake(aer, perth, dynamic_goldens, majority, name):
    circuit, row = dynamic_goldens[name]

    assert aer.run([Work(circuit)], 20)[0].bits.tolist() == [row] * 20
    assert majority(perth.run([Work(circuit)], 200, seed=1)[0]) == row


def test_the_published_circuit_on_aer(aer, paper, ideal, follows, in_order):
    codes = aer.run([Work(paper)], 100_000, seed=1)[0].codes()

    np.testing.assert_allclose(aer.probabilities(Work(paper)), ideal, atol=1e-12)
    follows(codes, ideal)
    in_order(codes)


def test_the_published_circuit_on_fake_santiago_follows_its_exact_law(santiago, paper, follows, in_order):
    noisy = AerBackend("santiago")
    law = noisy.probabilities(Work(paper))

    np.testing.assert_allclose(law, [float(one) for one in SANTIAGO.split()], atol=1e-6)
    for backend in (santiago, noisy):
        codes = backend.run([Work(paper)], 50_000, seed=2)[0].codes()
        follows(codes, law)
        in_order(codes)


def test_the_published_circuit_on_another_fake_follows_its_exact_law(perth, paper, follows):
    follows(perth.run([Work(paper)], 50_000, seed=3)[0].codes(), AerBackend("perth").probabilities(Work(paper)))


def test_an_expression_as_condition_runs_on_aer_and_on_a_fake(aer, perth):
    circuit = QuantumCircuit(3, 3)
    circuit.x(0)
    circuit.measure([0, 1], [0, 1])
    circuit.h(2)
    for _ in range(2):
        direct_s(circuit, 2, [0, 1])
    circuit.h(2)
    circuit.measure(2, 2)

    assert aer.run([Work(circuit)], 20)[0].bits.tolist() == [[1, 0, 1]] * 20
    assert perth.run([Work(circuit)], 400, seed=1)[0].bits[:, 2].mean() > 0.8


def test_seeds_on_aer_and_on_fakes(aer, santiago):
    works = [Work(bell())] * 2
    for backend in (aer, santiago):
        first, other = (samples.bits for samples in backend.run(works, 400, seed=7))
        again = [samples.bits for samples in backend.run(works, 400, seed=7)]
        fresh = [backend.run(works[:1], 400)[0].bits for _ in range(2)]

        assert (first == again[0]).all()
        assert (other == again[1]).all()
        assert (first != other).any()
        assert (fresh[0] != fresh[1]).any()


def test_a_fake_device_is_never_silently_without_noise(santiago):
    counts = santiago.run([Work(bell())], 4000, seed=1)[0].counts()

    assert counts["01"] > 0
    assert counts["10"] > 0


def test_a_device_without_feed_forward_refuses_it(santiago, dynamic_goldens):
    with pytest.raises(QpuUnsupported, match="feed-forward"):
        santiago.submit([Work(dynamic_goldens["branch"][0])], 10)
    with pytest.raises(QpuConfigError, match="5 are there"):
        broad = QuantumCircuit(6, 1)
        broad.measure(0, 0)
        santiago.submit([Work(broad)], 10)
    with pytest.raises(QpuConfigError, match="10,000,000"):
        santiago.submit([Work(bell())] * 2, 5_000_001)
    with pytest.raises(QpuUnsupported, match="exact law"):
        santiago.probabilities(Work(bell()))


def test_an_exact_law_has_its_limits(aer, dynamic_goldens):
    with pytest.raises(QpuConfigError, match="no exact law"):
        aer.probabilities(Work(dynamic_goldens["branch"][0]))
    wide = QuantumCircuit(11, 1)
    wide.h(0)
    for qubit in range(10):
        wide.cx(qubit, qubit + 1)
    wide.measure(10, 0)
    with pytest.raises(QpuConfigError, match="10 qubits"):
        AerBackend("guadalupe").probabilities(Work(wide))


def test_noise_on_aer_is_recorded_with_its_calibration(tmp_path):
    job = open_backend("aer:santiago", tmp_path).submit([Work(bell())], 10)

    assert json.loads((tmp_path / "records" / f"{job.uuid}.calibration.json").read_text())["backend_name"] == "ibmq_santiago"


def test_a_fake_that_ended_before_its_samples_were_recorded_has_failed(tmp_path):
    job = open_backend("fake:santiago", tmp_path).submit([Work(bell())], 10)
    ledger = tmp_path / "qpu-ledger.jsonl"
    ledger.write_bytes(b"".join(ledger.read_bytes().splitlines(keepends=True)[:2]))
    (tmp_path / "records" / f"{job.uuid}-0.json").unlink()

    with pytest.raises(QpuJobFailed, match="process"):
        open_backend("fake:santiago", tmp_path).resume(job.uuid).result()


def test_an_uncompiled_or_impossible_circuit_is_a_configuration_error(santiago):
    from qiskit.transpiler import TranspilerError
    from qiskit_aer import AerError, AerSimulator

    with pytest.raises(QpuConfigError, match="TranspilerError"), vendor_errors("here"):
        raise TranspilerError("no such gate")
    unknown = QuantumCircuit(4, 1)
    unknown.unitary(np.eye(16), range(4))
    unknown.measure(0, 0)
    with pytest.raises(QpuConfigError, match="unknown instruction") as caught, vendor_errors("here"):
        AerSimulator(method="stabilizer").run(unknown).result()
        raise AerError("unknown instruction: unitary")
    assert caught.value.__cause__ is not None


def test_the_compiled_circuit_is_the_one_that_is_sent(santiago, paper):
    (sent, _), _ = santiago.translate(read_works([Work(paper)], 1, santiago.limits, "here")[0], None)
    shown = santiago.compiled(Work(paper))

    assert shown == sent
    assert shown.count_ops()["cx"] >= 12
    assert set(shown.count_ops()) <= {"cx", "rz", "sx", "x", "measure", "barrier"}
    assert AerBackend("santiago").compiled(Work(paper)).count_ops()["cx"] >= 12


def test_a_name_of_no_fake_device_is_refused_with_those_there_are():
    with pytest.raises(QpuConfigError, match="nowhere") as caught:
        open_backend("fake:nowhere")

    assert "santiago" in caught.value.remedy


def rotated():
    angles = ParameterVector("t", 2)
    circuit = QuantumCircuit(2, 2)
    circuit.ry(angles[1], 1)
    circuit.ry(angles[0], 0)
    circuit.measure([0, 1], [0, 1])
    return Work.of(circuit, {"t[1]": 0.0, "t[0]": np.pi})


def test_parameters_go_by_name_on_aer_and_on_a_fake(aer, perth, majority):
    assert aer.run([rotated()], 20)[0].bits.tolist() == [[1, 0]] * 20
    assert majority(perth.run([rotated()], 200, seed=1)[0]) == [1, 0]
    assert aer.probabilities(rotated()).argmax() == 0b10


def test_a_device_that_can_branch_takes_no_expressions_in_the_cloud(tmp_path):
    lagos = fake_device("lagos")

    cloud = IBMRuntimeBackend("ibm:lagos", lagos, service=object(), project=Project(tmp_path))

    assert (cloud.limits.dynamic, cloud.limits.expr_conditions, cloud.limits.seedable) == (True, False, False)
    assert IBMRuntimeBackend.fake("lagos").limits.expr_conditions


@pytest.mark.parametrize("account", [None, {}, {"token": "from-the-file"}])
def test_the_token_of_the_account_is_known_wherever_it_comes_from(account, monkeypatch):
    monkeypatch.setenv("QISKIT_IBM_TOKEN", "from-the-environment")

    assert set(_secrets_of(SimpleNamespace(active_account=lambda: account))()) >= {*(account or {}).values(), "from-the-environment"}
    assert set(_secrets_of(object())()) == {"", "from-the-environment"}


def test_fake_devices_are_listed_by_the_names_that_open_them():
    assert {"santiago", "lagos", "perth"} <= set(fake_names())


def test_a_circuit_that_does_not_fit_the_device_is_not_compiled(santiago):
    wide = QuantumCircuit(6, 1)
    wide.measure(5, 0)

    with pytest.raises(QpuConfigError, match="TranspilerError"):
        santiago.compiled(Work(wide))


WITHOUT_AER = """
import sys
sys.modules["qiskit_aer"] = None
from heliograph.core.errors import QpuConfigError
from heliograph.protocols.qpu import open_backend
for name in ("fake:santiago", "aer"):
    try:
        open_backend(name)
    except QpuConfigError as error:
        print(error.remedy)
"""


def test_without_aer_a_fake_device_is_refused():
    ended = subprocess.run([sys.executable, "-W", "error", "-c", WITHOUT_AER], capture_output=True, text=True, check=True)

    assert ended.stdout.splitlines() == ["Install it: pip install qiskit-aer"] * 2


def test_a_job_on_a_fake_device_is_recorded_at_once_with_the_calibration(tmp_path, paper):
    backend = open_backend("fake:santiago", tmp_path)

    job = backend.submit([Work(paper)], 100, seed=1)

    raw = json.loads((tmp_path / "records" / f"{job.uuid}-0.json").read_text())
    calibration = tmp_path / "records" / f"{job.uuid}.calibration.json"
    assert json.loads(calibration.read_text())["backend_name"] == "ibmq_santiago"
    assert raw["calibration"]
    assert raw["simulated"]
    again = open_backend("fake:santiago", tmp_path).resume(job.uuid)
    assert (again.result()[0].bits == job.result()[0].bits).all()
    assert (open_backend(f"recorded:{tmp_path}").run([Work(paper)], 100)[0].bits == job.result()[0].bits).all()


# IBM's cloud.


BUDGET = "[budget]\nmax_jobs = 5\nmax_shots = 10000\nmax_qpu_seconds = 300\n"


@pytest.fixture
def service(tmp_path, ibm_cloud):
    return ibm_cloud.Service(tmp_path / "cloud")


@pytest.fixture
def home(tmp_path):
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "qpu.toml").write_text(BUDGET)
    return folder


@pytest.fixture
def backend(home, service, patience):
    return open_backend("ibm:ibm_disk", home, client=service, patience=patience)


def events(home):
    return [json.loads(line)["kind"].removeprefix("qpu_") for line in (home / "qpu-ledger.jsonl").read_text().splitlines()]


def last(home, kind):
    rows = [json.loads(line) for line in (home / "qpu-ledger.jsonl").read_text().splitlines()]
    return next(row for row in reversed(rows) if row["kind"] == f"qpu_{kind}")


def test_queued_running_completed(backend, service, home, clock):
    service.client.script(states=["Queued", "Running", "Completed"])

    job = backend.submit([Work(bell())] * 2, 300)
    assert events(home) == ["intent", "submitted"]
    states = [job.status() for _ in range(3)]
    first, second = job.result()

    assert states == [JobStatus.QUEUED, JobStatus.RUNNING, JobStatus.DONE]
    assert events(home) == ["intent", "submitted", "state", "state", "state", "result"]
    assert first.shots == second.shots == 300
    assert first.bits.mean() == pytest.approx(0.5, abs=0.2)  # seven standard deviations: nobody seeds a cloud
    assert not first.meta["simulated"]
    assert last(home, "result")["usage"] == 7
    assert clock.slept == []
    assert service.client.submissions == 1
    (sent,) = [json.loads(path.read_text()) for path in service.client.folder.glob("job-*.json")]
    assert sent["tags"][:2] == [job.uuid, "heliograph-part-0"]
    assert sent["seconds"] == 60


def test_the_bit_order_survives_the_whole_way_through_the_cloud(backend, goldens, majority):
    works = {name: Work(circuit) for name, (circuit, _) in goldens.items()}

    found = backend.run(list(works.values()), 200)

    assert {name: majority(samples) for name, samples in zip(works, found, strict=True)} == {name: row for name, (_, row) in goldens.items()}


def test_parameters_go_by_name_through_the_cloud(backend, majority):
    assert majority(backend.run([rotated()], 200)[0]) == [1, 0]


def test_a_device_that_tells_no_calibration_leaves_none_behind(backend, home, monkeypatch):
    job = backend.submit([Work(bell())], 20)
    monkeypatch.setattr("qiskit_ibm_runtime.IBMBackend.properties", lambda self: None)

    job.result()

    assert Project(home).read_record(job.uuid, 0, None).calibration is None


def test_a_failure_without_a_reason_says_so(backend, service, monkeypatch):
    monkeypatch.setattr("qiskit_ibm_runtime.RuntimeJobV2.error_message", lambda self: None)
    service.client.script(states=[["Failed", "", 0]])

    with pytest.raises(QpuJobFailed, match="no reason was told"):
        backend.submit([Work(bell())], 20).result()


def test_the_position_in_the_queue_is_told_and_kept_when_it_changes(backend, service, home):
    service.client.script(states=["Queued"] * 3 + ["Running"], positions=[7, 7, 3])
    job = backend.submit([Work(bell())], 10)
    seen = []
    job.seen = lambda one: seen.append((one.position, Project(home).ledger.job(one.uuid).position))

    for _ in range(4):
        job.status()

    assert seen == [(7, 7), (7, 7), (3, 3), (None, None)]
    assert events(home) == ["intent", "submitted", "state", "position", "position", "state"]


@pytest.mark.parametrize("step", [["RequestsApiError", 500], ["ConnectionError"]])
def test_a_position_that_cannot_be_had_is_asked_for_once_and_harms_nobody(backend, service, home, step, clock):
    service.client.script(states=["Queued"] * 3, job_metadata=[step], positions=[5, 5, 5])
    job = backend.submit([Work(bell())], 10)

    assert [job.status() for _ in range(3)] == [JobStatus.QUEUED] * 3
    assert (job.position, clock.slept, service.client._next("positions")) == (None, [], 5)
    assert events(home) == ["intent", "submitted", "state"]


@pytest.mark.parametrize("told", ["5", -1, True, 2.5])
def test_a_position_that_is_no_number_is_none(backend, service, told):
    service.client.script(states=["Queued"], positions=[told])
    job = backend.submit([Work(bell())], 10)
    job.status()
    assert job.position is None


def test_waiting_polls_ever_more_slowly(backend, service, clock):
    service.client.script(states=["Queued"] * 5 + ["Completed"])

    backend.submit([Work(bell())], 10).result()

    assert len(clock.slept) == 5
    for attempt, slept in enumerate(clock.slept):
        assert 2**attempt / 2 <= slept <= 2**attempt


def test_a_job_that_fails_tells_its_reason_and_frees_its_budget(backend, service, home):
    service.client.script(states=["Queued", ["Failed", "the qubits melted", 1500]])

    job = backend.submit([Work(bell())], 10)
    with pytest.raises(QpuJobFailed, match="the qubits melted") as caught:
        job.result()

    assert caught.value.uuid == job.uuid
    assert caught.value.missing == (0,)
    assert last(home, "state")["state"] == "FAILED"
    assert Project(home).ledger.job(job.uuid).counts is False
    service.client.script(job_get=[["RequestsApiError", 500]] * 9)
    with pytest.raises(QpuJobFailed, match="melted"):
        open_backend("ibm:ibm_disk", home, client=service).resume(job.uuid).result()


def test_a_job_that_ran_too_long_on_the_device_has_failed(backend, service):
    service.client.script(states=[["Cancelled", "ran too long", 1305]])

    with pytest.raises(QpuJobFailed, match="longer than maximum execution time"):
        backend.submit([Work(bell())], 10).result()


def test_a_job_that_was_cancelled(backend, service, home):
    service.client.script(states=["Queued"])

    job = backend.submit([Work(bell())], 10)
    assert job.cancel() is JobStatus.CANCELLED
    assert job.cancel() is JobStatus.CANCELLED
    with pytest.raises(QpuCancelled) as caught:
        job.result()

    assert caught.value.uuid == job.uuid
    assert "cancel" in events(home)
    assert not Project(home).ledger.job(job.uuid).counts


def test_a_job_that_cannot_be_cancelled_any_more_says_where_it_stands(backend, service):
    service.client.script(states=["Running", "Running", "Running"], job_cancel=[["RequestsApiError", 409]])

    with pytest.raises(QpuError, match="RUNNING") as caught:
        backend.submit([Work(bell())], 10).cancel()

    assert type(caught.value) is QpuError
    assert type(caught.value.__cause__).__name__ == "RuntimeInvalidStateError"


def test_a_wait_that_ends_leaves_the_job_which_is_resumed(backend, service, home, patience):
    service.client.script(states=["Queued"] * 20)

    job = backend.submit([Work(bell())], 50)
    with pytest.raises(QpuQueueTimeout, match="goes on") as caught:
        job.result(timeout=10)
    assert caught.value.uuid == job.uuid
    for path in service.client.folder.glob("job-*.json"):
        path.write_text(json.dumps({**json.loads(path.read_text()), "states": ["Completed"]}))
    resumed = open_backend("ibm:ibm_disk", home, client=service, patience=patience).resume(job.uuid)

    assert resumed.result()[0].shots == 50
    assert resumed.provider_ids == job.provider_ids
    assert service.client.submissions == 1


def test_a_finished_job_is_read_again_without_asking_anybody(backend, service, home):
    job = backend.submit([Work(bell())], 50)
    bits = job.result()[0].bits
    service.client.script(job_get=[["RequestsApiError", 500]] * 20, job_results=[["RequestsApiError", 500]] * 20)

    again = open_backend("ibm:ibm_disk", home, client=service).resume(job.uuid)

    assert again.status() is JobStatus.DONE
    assert (again.result()[0].bits == bits).all()


@pytest.mark.parametrize("fault", [["RequestsApiError", 429], ["RequestsApiError", 503], ["RequestsApiError", -1], ["ConnectionError"], ["IBMApiError"]])
@pytest.mark.parametrize("request_", ["job_get", "job_results"])
def test_questions_are_asked_again(backend, service, clock, fault, request_):
    service.client.script(**{request_: [fault, fault]})

    job = backend.submit([Work(bell())], 20)

    assert job.result()[0].shots == 20
    assert len(clock.slept) == 2
    assert 0.5 <= clock.slept[0] <= 1
    assert 1 <= clock.slept[1] <= 2
    assert service.client.submissions == 1


def test_asking_again_ends_after_a_quarter_of_an_hour(backend, service, clock):
    service.client.script(job_get=[["RequestsApiError", 503]] * 100)

    with pytest.raises(QpuUnavailable):
        backend.submit([Work(bell())], 20).status()

    assert 800 < clock.now <= 900


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (["IBMNotAuthorizedError"], QpuAuthError),
        (["RequestsApiError", 401], QpuAuthError),
        (["RequestsApiError", 403], QpuAuthError),
        (["AccountNotFoundError"], QpuAuthError),
        (["RuntimeJobNotFound"], QpuConfigError),
        (["IBMInputValueError"], QpuConfigError),
        (["RuntimeJobFailureError"], QpuJobFailed),
        (["RuntimeJobMaxTimeoutError"], QpuJobFailed),
        (["RuntimeInvalidStateError"], QpuCancelled),
        (["RuntimeJobTimeoutError"], QpuQueueTimeout),
        (["RequestsApiError", 418], QpuError),
    ],
)
def test_errors_of_a_question_in_our_words_without_asking_again(backend, service, clock, ibm_cloud, fault, kind):
    service.client.script(job_get=[fault])
    job = backend.submit([Work(bell())], 20)

    with pytest.raises(QpuError) as caught:
        job.status()

    assert type(caught.value) is kind
    assert type(caught.value.__cause__).__name__ == fault[0]
    assert ibm_cloud.TOKEN not in f"{caught.value}{caught.value.__cause__}"
    assert clock.slept == []


@pytest.mark.parametrize(("fault", "kind"), [("AccountNotFoundError", QpuAuthError), ("InvalidAccountError", QpuAuthError), ("IBMApiError", QpuUnavailable)])
def test_errors_of_looking_the_device_up(home, service, patience, clock, fault, kind):
    service.client.script(backend=[[fault]] * 99)

    with pytest.raises(kind) as caught:
        open_backend("ibm:ibm_disk", home, client=service, patience=patience)

    assert (clock.now > 800) == (kind is QpuUnavailable)

    assert ("or no network" in str(caught.value)) == (fault == "InvalidAccountError")
    assert service.client.submissions == 0


def test_a_device_is_looked_up_again(home, service, patience, clock):
    service.client.script(backend=[["RequestsApiError", 503], ["ConnectionError"]])

    assert open_backend("ibm:ibm_disk", home, client=service, patience=patience).limits.max_qubits == 5
    assert len(clock.slept) == 2


def test_no_credentials_at_all(home, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("qiskit_ibm_runtime.accounts.management._DEFAULT_ACCOUNT_CONFIG_JSON_FILE", str(tmp_path / "none.json"))

    with pytest.raises(QpuAuthError, match="AccountNotFoundError"):
        open_backend("ibm:ibm_disk", home)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (["RequestsApiError", 429], QpuRateLimited),
        (["IBMNotAuthorizedError"], QpuAuthError),
        (["IBMInputValueError"], QpuConfigError),
        (["RequestsApiError", 400], QpuError),
    ],
)
def test_a_submission_that_is_refused_is_not_tried_again_and_costs_nothing(backend, service, home, clock, fault, kind):
    service.client.script(run=[fault])

    with pytest.raises(kind):
        backend.submit([Work(bell())], 20)

    assert events(home) == ["intent", "error"]
    (job,) = Project(home).ledger.jobs().values()
    assert job.state == "unsent"
    assert not job.counts
    assert clock.slept == []
    assert service.client.submissions == 0
    with pytest.raises(QpuConfigError, match="unsent"):
        backend.resume(job.uuid)


def test_a_submission_without_an_answer_is_looked_for_and_found(backend, service, home):
    service.client.script(run=["after"])

    job = backend.submit([Work(bell())], 20)

    assert events(home) == ["intent", "error", "recovered"]
    assert last(home, "error")["reason"] == "unresolved"
    assert job.result()[0].shots == 20
    assert service.client.submissions == 1


@pytest.mark.parametrize("fault", [["ConnectionError"], ["RequestsApiError", 500], ["RequestsApiError", -1]])
def test_a_submission_without_an_answer_that_is_not_found_stays_with_the_operator(home, service, patience, fault):
    backend = open_backend("ibm:ibm_disk", home, client=service, patience=patience)
    service.client.script(run=[fault])

    with pytest.raises(QpuUnavailable, match="Nobody knows") as caught:
        backend.submit([Work(bell())], 20)

    (uuid,) = backend.unanswered()
    assert uuid in caught.value.remedy
    history = Project(home).ledger.job(uuid)
    assert (history.state, history.counts) == ("unanswered", True)
    with pytest.raises(QpuUnavailable, match="knows no such job"):
        backend.resume(uuid)
    with pytest.raises(QpuConfigError, match="too early"):
        backend.give_up(uuid)
    assert backend.unanswered() == [uuid]
    assert backend.project is not None
    now = backend.project.ledger.clock_ns
    backend.project.ledger.clock_ns = lambda: now() + 601 * 10**9
    assert backend.give_up(uuid)
    assert backend.unanswered() == []
    assert Project(home).ledger.job(uuid).state == "lost"
    assert not Project(home).ledger.job(uuid).counts
    with pytest.raises(QpuConfigError, match="lost"):
        backend.resume(uuid)
    with pytest.raises(QpuConfigError, match="lost"):
        backend.give_up(uuid)


def test_giving_up_finds_a_job_that_the_provider_listed_late(home, service, patience):
    backend = open_backend("ibm:ibm_disk", home, client=service, patience=patience)
    service.client.script(run=["after"], jobs_get=[["IBMNotAuthorizedError"]])
    with pytest.raises(QpuUnavailable):
        backend.submit([Work(bell())], 20)
    (uuid,) = backend.unanswered()
    service.client.script(jobs_get=[["IBMNotAuthorizedError"]])
    with pytest.raises(QpuAuthError):
        backend.give_up(uuid)

    assert backend.give_up(uuid) is False
    assert backend.resume(uuid).result()[0].shots == 20
    assert service.client.submissions == 1


def test_a_seed_and_another_back_end_are_refused(backend, home, service):
    with pytest.raises(QpuUnsupported, match="seed"):
        backend.submit([Work(bell())], 20, seed=1)
    job = backend.submit([Work(bell())], 20)
    with pytest.raises(QpuConfigError, match="ibm:ibm_disk"):
        open_backend("local", home).resume(job.uuid)
    with pytest.raises(QpuConfigError, match="no such job"):
        backend.resume("0" * 32)
    with pytest.raises(QpuConfigError, match="project folder"):
        open_backend("ibm:ibm_disk", client=service)


def test_what_fails_is_told_before_it_is_waited_for(home, service, clock):
    said: list[tuple[str, float]] = []
    service.client.script(backend=[["RequestsApiError", 503], ["ConnectionError"]])
    patience = Patience(clock.sleep, clock, np.random.default_rng(1), told=lambda text: said.append((text, clock.now)))

    open_backend("ibm:ibm_disk", home, client=service, patience=patience)

    assert [at for _, at in said] == [0.0, clock.slept[0]]
    assert "RequestsApiError" in said[0][0]
    assert f"asking again in {clock.slept[1]:.0f} s, for 15 min at most" in said[1][0]
    assert "dummy-ibm-token" not in str(said)


def test_nothing_is_sent_until_the_budget_says_so(tmp_path, service):
    backend = open_backend("ibm:ibm_disk", tmp_path / "fresh", client=service)

    with pytest.raises(QpuBudgetExceeded) as caught:
        backend.submit([Work(bell())], 20)

    assert caught.value.cost == {"jobs": 1, "shots": 20, "usd": None, "qpu_seconds": 60}
    assert caught.value.left == {"jobs": 0, "shots": 0, "usd": 0, "qpu_seconds": 0}
    assert service.client.submissions == 0
    assert events(tmp_path / "fresh") == ["refused"]
    (job,) = Project(tmp_path / "fresh").ledger.jobs().values()
    assert job.state == "refused"
    with pytest.raises(QpuConfigError, match="refused"):
        backend.resume(job.uuid)


def test_a_job_that_waits_keeps_its_seconds(home, service, patience):
    (home / "qpu.toml").write_text(BUDGET.replace("300", "100"))
    backend = open_backend("ibm:ibm_disk", home, client=service, patience=patience)

    first = backend.submit([Work(bell())], 10)
    with pytest.raises(QpuBudgetExceeded, match="qpu_seconds: 60 asked, 40 left"):
        backend.submit([Work(bell())], 10)
    assert service.client.submissions == 1
    first.result()
    backend.submit([Work(bell())], 10)

    assert service.client.submissions == 2


@pytest.mark.parametrize(("wanted", "cap"), [(1, 1), (25, 25), (50_000, 10_800)])
def test_the_seconds_that_the_sdk_is_told_are_those_that_were_reserved(home, service, patience, wanted, cap):
    (home / "qpu.toml").write_text(f"seconds_per_job = {wanted}\n{BUDGET.replace('300', '20000')}")

    open_backend("ibm:ibm_disk", home, client=service, patience=patience).submit([Work(bell())], 10)

    (sent,) = [json.loads(path.read_text()) for path in service.client.folder.glob("job-*.json")]
    assert sent["seconds"] == cap == last(home, "intent")["cost"]["qpu_seconds"]


def test_no_limit_of_seconds_is_refused_before_anything_is_sent(home, service, patience):
    (home / "qpu.toml").write_text(f"seconds_per_job = 0\n{BUDGET}")

    with pytest.raises(QpuConfigError, match="no limit"):
        open_backend("ibm:ibm_disk", home, client=service, patience=patience)
    assert service.client.submissions == 0


def test_seconds_that_were_not_used_come_back(backend, service):
    for _ in range(5):
        backend.run([Work(bell())], 10)
    with pytest.raises(QpuBudgetExceeded, match="jobs"):
        backend.submit([Work(bell())], 10)

    assert service.client.submissions == 5


def test_a_full_disk_at_the_result_keeps_the_samples(backend, service, home, monkeypatch):
    job = backend.submit([Work(bell())], 30)
    real = os.fsync

    def full(file: int) -> None:
        if "records" in str(Path(f"/proc/self/fd/{file}").readlink()):
            raise OSError(28, "No space left on device")
        real(file)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="kept in memory"):
        job.result()
    assert "result" not in events(home)
    monkeypatch.setattr(os, "fsync", real)
    service.client.script(job_results=[["RequestsApiError", 404]])

    assert job.result()[0].shots == 30
    assert events(home)[-1] == "result"


def test_a_full_disk_at_the_intent_sends_nothing(backend, service, home, monkeypatch):
    def full(file: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError):
        backend.submit([Work(bell())], 30)
    monkeypatch.undo()

    assert service.client.submissions == 0
    assert Project(home).ledger.jobs() == {}


KILLED = """
import json, os, signal, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from qiskit import QuantumCircuit
import qiskit_aer
import ibm_cloud
from heliograph.protocols.qpu import Work, open_backend

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def run(folder, point):
    write = os.write
    def dying(file, data):
        if point == "before result" and b"qpu_result" in data:
            die()
        return write(file, data)
    os.write = dying
    backend = open_backend("ibm:ibm_disk", folder / "project", client=ibm_cloud.Service(folder / "cloud"))
    circuit = QuantumCircuit(2, 2)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure([0, 1], [0, 1])
    job = backend.submit([Work(circuit)], 40)
    if point == "submitted":
        die()
    job.result()
    die()

# One process imports what takes seconds; what is killed are its children.
assert len(os.listdir("/proc/self/task")) == 1, "only a process of one thread may be forked"
running = {}
for point in sys.argv[3:]:
    child = os.fork()
    if not child:
        try:
            run(Path(sys.argv[2], point), point)
        finally:
            os._exit(1)
    running[child] = point
ended = [os.wait() for _ in running]
print(json.dumps({running[child]: os.waitstatus_to_exitcode(status) for child, status in ended}))
"""


def test_whenever_the_client_is_killed_nothing_is_sent_twice_and_nothing_that_was_sent_is_lost(tmp_path, ibm_cloud, patience):
    points = {"intent": ["kill"], "call": ["kill after"], "submitted": [], "before result": [], "result": []}
    for point, run in points.items():
        folder = tmp_path / point
        (folder / "project").mkdir(parents=True)
        (folder / "project" / "qpu.toml").write_text(BUDGET)
        ibm_cloud.Client(folder / "cloud").script(run=run)
    words = [sys.executable, "-c", KILLED, str(HERE), str(tmp_path), *points]
    ended = subprocess.run(words, capture_output=True, text=True, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, timeout=120)
    assert json.loads(ended.stdout) == dict.fromkeys(points, -9), ended.stderr

    for point in points:
        service = ibm_cloud.Service(tmp_path / point / "cloud")
        backend = open_backend("ibm:ibm_disk", tmp_path / point / "project", client=service, patience=patience)
        assert backend.project is not None
        (uuid,) = backend.project.ledger.jobs()
        sent = service.client.submissions
        if point == "intent":
            assert sent == 0
            assert backend.unanswered() == [uuid]
            with pytest.raises(QpuUnavailable):
                backend.resume(uuid)
        else:
            assert sent == 1
            assert backend.unanswered() == ([uuid] if point == "call" else [])
            if point in {"before result", "result"}:
                # A private job is given only once; the client that died had it on disk already.
                service.client.script(job_results=[["RequestsApiError", 404]])
            assert backend.resume(uuid).result()[0].shots == 40
            assert backend.unanswered() == []
        assert service.client.submissions == sent


def test_what_the_provider_tells_beside_the_samples_never_keeps_them_waiting(backend, service, home, clock, monkeypatch):
    def down(*_, **__):
        raise ConnectionError("no")

    monkeypatch.setattr(type(service.client), "job_metadata", down)

    (samples,) = backend.run([Work(bell())], 20)

    assert samples.shots == 20
    assert clock.slept == []
    assert "usage" not in last(home, "result")
    # Nobody told, so what was reserved stays so.
    assert Project(home).ledger.jobs()[last(home, "result")["uuid"]].usage is None


def test_an_unknown_state_and_a_refused_cancel_are_errors(backend, service):
    service.client.script(states=["Queued", "Dreaming"], job_cancel=[["RequestsApiError", 400]])
    job = backend.submit([Work(bell())], 20)

    with pytest.raises(QpuError, match="Failed to cancel"):
        job.cancel()
    with pytest.raises(QpuError, match="DREAMING"):
        job.status()


def test_giving_up_needs_an_answer_from_the_provider_and_an_open_job(home, service, patience):
    backend = open_backend("ibm:ibm_disk", home, client=service, patience=patience)
    done = backend.submit([Work(bell())], 20)
    done.result()
    with pytest.raises(QpuConfigError, match="DONE"):
        backend.give_up(done.uuid)
    service.client.script(run=[["ConnectionError"]])
    with pytest.raises(QpuUnavailable):
        backend.submit([Work(bell())], 20)
    (uuid,) = backend.unanswered()
    service.client.script(jobs_get=[["RequestsApiError", 503]] * 99)

    with pytest.raises(QpuUnavailable, match="503|RequestsApiError"):
        backend.give_up(uuid)
    assert backend.unanswered() == [uuid]


def test_a_damaged_record_of_a_killed_client_is_fetched_again(backend, service, home, patience):
    job = backend.submit([Work(bell())], 20)
    bits = job.result()[0].bits
    ledger = home / "qpu-ledger.jsonl"
    ledger.write_bytes(b"".join(ledger.read_bytes().splitlines(keepends=True)[:-1]))
    (home / "records" / f"{job.uuid}-0.json").write_text("{")

    again = open_backend("ibm:ibm_disk", home, client=service, patience=patience).resume(job.uuid)

    assert (again.result()[0].bits == bits).all()
    assert service.client.submissions == 1


def test_no_secret_is_in_any_file_or_log(backend, service, home, ibm_cloud, caplog, monkeypatch):
    monkeypatch.setenv("QISKIT_IBM_TOKEN", "another-dummy-token")
    caplog.set_level(logging.DEBUG)
    service.client.script(job_get=[["ConnectionError"]], run=[["RequestsApiError", 400]])
    with pytest.raises(QpuError) as caught:
        backend.submit([Work(bell())], 20)
    backend.run([Work(bell())], 20)
    with pytest.raises(QpuError) as own, vendor_errors("here"):
        raise RuntimeError("bad token another-dummy-token")

    said = "".join(path.read_text() for path in home.rglob("*") if path.is_file()) + caplog.text + str(caught.value) + str(own.value) + str(own.value.__cause__)
    assert ibm_cloud.TOKEN not in said
    assert "another-dummy-token" not in said


def test_a_reason_that_quotes_the_token_is_told_without_it(backend, service, home, ibm_cloud):
    service.client.script(states=[["Failed", f"bad key {ibm_cloud.TOKEN}", 1]])
    with pytest.raises(QpuJobFailed) as caught:
        backend.run([Work(bell())], 20)

    said = "".join(path.read_text() for path in home.rglob("*") if path.is_file())
    assert "bad key ***" in said
    assert ibm_cloud.TOKEN not in f"{said} {caught.value}"


def test_account_numbers_are_masked_for_others():
    assert masked("arn:aws:braket:us-east-1:123456789012:task/1") == "arn:aws:braket:us-east-1:************:task/1"
    assert masked("1234567890123 12345678901") == "1234567890123 12345678901"


def test_the_older_sampler_is_taken_where_the_newer_is_missing(monkeypatch):
    from heliograph.protocols.qpu import ibm

    monkeypatch.setitem(sys.modules, "qiskit_ibm_runtime.executor_sampler", None)

    assert ibm._sampler_class().__name__ == "SamplerV2"


def test_an_error_of_our_own_is_left_as_it_is():
    with pytest.raises(StorageError), vendor_errors("here"):
        raise StorageError("full")
    assert not unclear(None)
