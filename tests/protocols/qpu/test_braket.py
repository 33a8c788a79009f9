"""Amazon Braket: on this machine, and at AWS with botocore's Stubber in the place of the network."""

import itertools
import json
import logging
import os
import subprocess
import sys
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import boto3
import numpy as np
import pytest
from botocore.exceptions import EndpointConnectionError, NoCredentialsError, NoRegionError, ReadTimeoutError
from botocore.stub import ANY, Stubber
from braket.aws import AwsSession
from braket.devices import LocalSimulator
from braket.ir.openqasm import Program
from braket.task_result import AdditionalMetadata, GateModelTaskResult, TaskMetadata
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from qiskit.circuit.classical import expr
from qiskit.quantum_info import Statevector

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
)
from heliograph.protocols.qpu import JobStatus, Project, Work, open_backend
from heliograph.protocols.qpu.aer import AerBackend
from heliograph.protocols.qpu.bit_order import from_bit_array, from_measured_qubits, from_used_clbits
from heliograph.protocols.qpu.braket import BraketBackend
from heliograph.protocols.qpu.budget import spent
from heliograph.protocols.qpu.feed_forward import e2, xor_free_s
from heliograph.protocols.qpu.local import LocalBackend

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def sv():
    return BraketBackend.on_this_machine("sv")


@pytest.fixture(scope="module")
def dm():
    return BraketBackend.on_this_machine("dm")


def bell():
    circuit = QuantumCircuit(2, 2)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure([0, 1], [0, 1])
    return circuit


# On this machine.


def test_bits_of_nine_columns_in_two_bytes():
    assert from_bit_array(np.array([[1, 0]], np.uint8), 9).tolist() == [[0, 0, 0, 0, 0, 0, 0, 0, 1]]


@pytest.mark.parametrize("name", ["straight", "crossed", "registers", "gap", "ends", "matrix", "nine"])
@pytest.mark.parametrize("seed", [None, 1])
def test_a_golden_circuit(sv, dm, goldens, name, seed):
    circuit, row = goldens[name]

    for backend in (sv, dm):
        assert backend.run([Work(circuit)], 20, seed=seed)[0].bits.tolist() == [row] * 20
        law = backend.probabilities(Work(circuit))
        assert law.argmax() == int("".join(map(str, row)), 2)
        assert law.max() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("name", ["branch", "reset"])
def test_a_dynamic_golden_circuit(sv, dynamic_goldens, name):
    circuit, row = dynamic_goldens[name]

    assert sv.run([Work(circuit)], 20)[0].bits.tolist() == [row] * 20


def test_the_published_circuit(sv, dm, paper, ideal, follows, in_order):
    np.testing.assert_allclose(sv.probabilities(Work(paper)), ideal, atol=1e-12)
    for backend in (sv, dm):
        codes = backend.run([Work(paper)], 100_000)[0].codes()
        follows(codes, ideal)
        in_order(codes)


def test_laws_are_those_of_qiskit_and_of_the_local_simulator(sv):
    from qiskit.circuit.random import random_circuit

    local = LocalBackend()
    for seed in range(60):
        bare = random_circuit(4, 4, max_operands=3, seed=seed)
        circuit = bare.measure_all(inplace=False)
        # Qiskit's most significant bit is the last qubit.
        law = np.asarray(Statevector(bare).probabilities()).reshape([2] * 4).transpose(3, 2, 1, 0).reshape(-1)
        np.testing.assert_allclose(sv.probabilities(Work(circuit)), law, atol=1e-12)
        np.testing.assert_allclose(local.probabilities(Work(circuit)), law, atol=1e-12)


def test_seeds(sv):
    works = [Work(bell())] * 2
    first, other = (samples.bits for samples in sv.run(works, 400, seed=7))
    again = [samples.bits for samples in sv.run(works, 400, seed=7)]
    fresh = [sv.run(works[:1], 400)[0].bits for _ in range(2)]

    assert (first == again[0]).all()
    assert (other == again[1]).all()
    assert (first != other).any()
    assert (fresh[0] != fresh[1]).any()


def test_parameters_go_by_name(sv):
    angles = ParameterVector("t", 2)
    circuit = QuantumCircuit(2, 2)
    circuit.ry(angles[0], 0)
    circuit.ry(angles[1], 1)
    circuit.measure([0, 1], [0, 1])
    dynamic = circuit.copy()
    with dynamic.if_test((dynamic.clbits[0], 1)):
        dynamic.x(1)
    dynamic.measure(1, 1)

    assert sv.run([Work.of(circuit, {"t[0]": np.pi, "t[1]": 0.0})], 5)[0].bits.tolist() == [[1, 0]] * 5
    assert sv.run([Work.of(dynamic, {"t[0]": np.pi, "t[1]": 0.0})], 5)[0].bits.tolist() == [[1, 1]] * 5


def test_dynamic_circuits_translate_with_their_law(sv):
    circuit = QuantumCircuit(3, 4)
    circuit.h(0)
    circuit.u(0.3, 0.4, 0.5, 1)
    circuit.measure(0, 0)
    circuit.reset(0)
    circuit.ry(1.1, 0)
    with circuit.if_test((circuit.clbits[0], 1)) as otherwise:
        circuit.cu(0.7, 0.2, 0.1, 0.4, 0, 2)
    with otherwise:
        circuit.cp(1.3, 1, 0)
        circuit.h(2)
    circuit.barrier()
    circuit.measure([0, 1, 2], [1, 2, 3])

    expected = np.bincount(LocalBackend().run([Work(circuit)], 200_000, seed=1)[0].codes(), minlength=16) / 200_000
    for backend in (sv, AerBackend()):
        found = np.bincount(backend.run([Work(circuit)], 20_000)[0].codes(), minlength=16) / 20_000
        # No seed is taken here. The mean of this distance is 0.012 at most, its standard deviation 0.0023 at most.
        assert abs(found - expected).sum() / 2 <= 0.03


def test_the_xor_free_form_runs_where_expressions_do_not(sv):
    circuit = QuantumCircuit(3, 3)
    circuit.x([0, 1])
    circuit.measure([0, 1], [0, 1])
    circuit.h(2)
    xor_free_s(circuit, 2, [0, 1])
    circuit.h(2)
    circuit.measure(2, 2)

    bits = sv.run([Work(circuit)], 20)[0].bits

    # The XOR is 0, and S S = Z is what e2 tells.
    assert (bits[:, 2] == e2(bits[:, :2])).all()
    assert bits[:, 2].all()


def _on(condition):
    circuit = QuantumCircuit(2, 2)
    circuit.measure([0, 1], [0, 1])
    with circuit.if_test(condition(circuit)):
        circuit.x(1)
    return circuit


@pytest.mark.parametrize("condition", [lambda c: (c.clbits[0], 0), lambda c: expr.bit_xor(c.clbits[0], c.clbits[1]), lambda c: expr.lift(c.clbits[0])])
def test_conditions_that_brakets_simulator_does_not_take_are_refused(sv, condition):
    with pytest.raises(QpuUnsupported) as caught:
        sv.submit([Work(_on(condition))], 10)

    assert "else" in caught.value.remedy


def test_what_the_local_simulators_do_not_do_is_refused(sv, dm, dynamic_goldens):
    with pytest.raises(QpuUnsupported, match="seed"):
        sv.submit([Work(dynamic_goldens["branch"][0])], 10, seed=1)
    with pytest.raises(QpuConfigError, match="no exact law"):
        sv.probabilities(Work(dynamic_goldens["branch"][0]))
    wide = QuantumCircuit(14, 1)
    wide.measure(0, 0)
    with pytest.raises(QpuConfigError, match="13 are there"):
        dm.submit([Work(wide)], 1)


def test_results_that_do_not_fit_are_never_used():
    with pytest.raises(QpuError, match="no column"):
        from_measured_qubits(np.zeros((3, 1), int), [0], {0: 0, 1: 1}, 2)
    with pytest.raises(QpuError, match="2 columns"):
        from_used_clbits(np.zeros((3, 2), int), [0, 1, 4], 5)


# At AWS.

ARN = "arn:aws:braket:us-east-1::device/qpu/acme/Sun-1"
TASK = "arn:aws:braket:us-east-1:123456789012:quantum-task/{}"
SETTINGS = 's3_bucket = "amazon-braket-x"\n[budget]\nmax_jobs = 9\nmax_shots = 100000\nmax_usd = 50\n'


class Session(AwsSession):  # type: ignore[misc]
    """Braket's session; what S3 holds is given beforehand."""

    def __init__(self, client, bodies):
        super().__init__(boto_session=boto3.Session(region_name="us-east-1"), braket_client=client)
        self.bodies = bodies

    def retrieve_s3_object_body(self, s3_bucket: str, s3_object_key: str) -> str:
        found: str = self.bodies[s3_object_key]
        return found


class Aws:
    """The stubbed service: what is answered, in order, and what was sent."""

    def __init__(self, shots=(1, 100), cost=None, arn=None):
        self.client = boto3.client("braket", region_name="us-east-1")
        self.stub = Stubber(self.client)
        self.sent: list = []
        self.bodies: dict[str, str] = {}
        self.broken: list = []
        self.broken_later: list = []
        self.searches: list = []
        self.client.meta.events.register("before-parameter-build.braket.SearchQuantumTasks", lambda params, **_: self.searches.append(params))
        self.on_break: Callable[[dict], None] = lambda params: None
        self.client.meta.events.register("before-parameter-build.braket.CreateQuantumTask", self._note)
        self.session = Session(self.client, self.bodies)
        self._names = itertools.count()
        self.stub.add_response("get_device", self._device(shots, cost), {"deviceArn": arn or ARN})
        # Before the stub's own handler: what breaks, breaks before there is an answer.
        self.client.meta.events.register_first("before-parameter-build.*.*", self._break)
        self.stub.activate()

    def _note(self, params, **_):
        self.sent.append(params)

    def _break(self, params, model, **_):
        if self.broken and self.broken[0][0] == model.name:
            self.on_break(params)
            raise self.broken.pop(0)[1]
        if model.name == "CreateQuantumTask" and self.broken_later:
            self.broken += self.broken_later
            self.broken_later = []

    @staticmethod
    def _device(shots, cost):
        told = json.loads(LocalSimulator("braket_sv").properties.json())
        told["service"] |= {"shotsRange": shots, "deviceCost": {"price": 0.01, "unit": "shot"} if cost is None else cost or None}
        return {
            "deviceArn": ARN,
            "deviceName": "Sun-1",
            "providerName": "Acme",
            "deviceType": "QPU",
            "deviceStatus": "ONLINE",
            "deviceCapabilities": json.dumps(told),
        }

    def create(self):
        arn = TASK.format(next(self._names))
        known = {
            "clientToken": ANY,
            "deviceArn": ARN,
            "deviceParameters": ANY,
            "shots": ANY,
            "outputS3Bucket": "amazon-braket-x",
            "outputS3KeyPrefix": "heliograph",
            "action": ANY,
            "tags": ANY,
        }
        self.stub.add_response("create_quantum_task", {"quantumTaskArn": arn}, known)
        return arn

    def state(self, arn, status, times=1, **more):
        for _ in range(times):
            said = {"quantumTaskArn": arn, "status": status, "deviceArn": ARN, "deviceParameters": "{}", "shots": 1, "createdAt": datetime.now(UTC)}
            said |= {"outputS3Bucket": "amazon-braket-x", "outputS3Directory": arn[-1], **more}
            self.stub.add_response("get_quantum_task", said, {"quantumTaskArn": arn, "additionalAttributeNames": ["QueueInfo"]})

    def done(self, arn, bits, qubits, asked=3):
        """A task that is done: asked once by us where it stands, and twice by the SDK while it fetches the result."""
        self.state(arn, "COMPLETED", asked)
        self.bodies[f"{arn[-1]}/results.json"] = GateModelTaskResult(
            measurements=bits,
            measuredQubits=qubits,
            taskMetadata=TaskMetadata(id=arn, shots=len(bits), deviceId=ARN),
            additionalMetadata=AdditionalMetadata(action=Program(source="OPENQASM 3.0;")),
        ).json()

    def found(self, *tasks, more=None):
        listed = [
            {"quantumTaskArn": arn, "status": "QUEUED", "deviceArn": ARN, "shots": 1, "outputS3Bucket": "b", "outputS3Directory": "d", "tags": tags}
            | {"createdAt": datetime.now(UTC)}
            for arn, tags in tasks
        ]
        self.stub.add_response("search_quantum_tasks", {"quantumTasks": listed, **({"nextToken": more} if more else {})})

    def searched_since(self):
        (filters,) = {json.dumps(params["filters"]) for params in self.searches}
        return datetime.fromisoformat(json.loads(filters)[0]["values"][0])


@pytest.fixture
def home(tmp_path):
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "qpu.toml").write_text(SETTINGS)
    return folder


@pytest.fixture
def aws(aws_keys):
    return Aws()


@pytest.fixture
def backend(aws, home, patience):
    return open_backend(f"braket:{ARN}", home, client=aws.session, patience=patience)


def events(home):
    return [json.loads(line)["kind"].removeprefix("qpu_") for line in (home / "qpu-ledger.jsonl").read_text().splitlines()]


def asymmetric():
    """Qubits 0, 1, 2 to classical bits 2, 0, 1 of three."""
    circuit = QuantumCircuit(3, 3)
    circuit.x(0)
    circuit.measure([0, 1, 2], [2, 0, 1])
    return circuit


def test_queued_running_completed_and_scattered_by_measured_qubits(backend, aws, home):
    arn = aws.create()
    job = backend.submit([Work(asymmetric())], 2)
    assert events(home) == ["intent", "submitted"]
    for status in ("CREATED", "QUEUED", "RUNNING"):
        aws.state(arn, status)
    aws.done(arn, [[0, 1, 0], [1, 1, 0]], [2, 0, 1])

    assert [job.status() for _ in range(3)] == [JobStatus.QUEUED, JobStatus.QUEUED, JobStatus.RUNNING]
    (samples,) = job.result()

    # The columns are those of qubits 2, 0, 1.
    assert samples.bits.tolist() == [[0, 0, 1], [0, 1, 1]]
    assert job.provider_ids == (arn,)
    assert not samples.meta["simulated"]
    aws.stub.assert_no_pending_responses()


def test_a_device_is_looked_up_again(aws_keys, home, patience, clock):
    aws = Aws()
    aws.broken.append(("GetDevice", EndpointConnectionError(endpoint_url="x")))

    assert open_backend(f"braket:{ARN}", home, client=aws.session, patience=patience).limits.max_qubits == 26
    assert len(clock.slept) == 1


def test_a_task_carries_its_token_and_our_tags(backend, aws):
    aws.create()

    job = backend.submit([Work(bell())], 3, tags=["first light"])

    (sent,) = aws.sent
    assert sent["clientToken"] == f"{job.uuid}-0"
    assert sent["tags"] == {"heliograph-job": job.uuid, "heliograph-part": "0", "heliograph-tag-0": "first light"}


def test_a_tag_of_ours_alone_makes_no_token():
    from heliograph.protocols.qpu.braket import _with_token

    assert _with_token({"tags": {"heliograph-job": "x"}}) is None


def test_results_go_to_the_accounts_own_bucket_where_none_is_named(aws, tmp_path):
    (tmp_path / "qpu.toml").write_text(SETTINGS.partition("\n")[2])
    aws.session._default_bucket = "amazon-braket-own"
    aws.stub.add_response("create_quantum_task", {"quantumTaskArn": TASK.format(0)})

    open_backend(f"braket:{ARN}", tmp_path, client=aws.session).submit([Work(bell())], 3)

    assert aws.sent[0]["outputS3Bucket"] == "amazon-braket-own"


def test_a_simulator_at_aws_is_a_cloud_and_a_simulation(home, aws_keys):
    arn = "arn:aws:braket:::device/quantum-simulator/amazon/sv1"
    aws = Aws(arn=arn)

    backend = open_backend(f"braket:{arn}", home, client=aws.session)

    assert (backend.cloud, backend.simulated) == (True, True)


def test_two_back_ends_of_one_session_name_each_task_by_its_own_job(backend, aws, home, patience):
    aws.stub.add_response("get_device", aws._device((1, 100), None), {"deviceArn": ARN})
    other = open_backend(f"braket:{ARN}", home, client=aws.session, patience=patience)
    for _ in range(3):
        aws.create()

    jobs = [one.submit([Work(bell())], 3) for one in (backend, other, backend)]

    assert [sent["clientToken"] for sent in aws.sent] == [f"{job.uuid}-0" for job in jobs]


def test_a_task_that_is_not_ours_keeps_its_own_token(backend, aws):
    aws.stub.add_response("create_quantum_task", {"quantumTaskArn": TASK.format(0)})

    aws.client.create_quantum_task(action="{}", clientToken="mine", deviceArn=ARN, outputS3Bucket="bucket", outputS3KeyPrefix="x", shots=1)

    assert aws.sent[0]["clientToken"] == "mine"


def test_more_shots_than_a_task_takes_make_several_put_together_in_order(backend, aws, home):
    arns = [aws.create() for _ in range(3)]
    job = backend.submit([Work(bell())], 250)
    assert [sent["shots"] for sent in aws.sent] == [84, 83, 83]
    aws.state(arns[0], "COMPLETED")
    aws.state(arns[1], "COMPLETED")
    aws.state(arns[2], "QUEUED")
    assert job.status() is JobStatus.RUNNING
    aws.state(arns[2], "COMPLETED")
    for number, (arn, shots) in enumerate(zip(arns, (84, 83, 83), strict=True)):
        aws.done(arn, [[number % 2, 1]] * shots, [0, 1], asked=2)

    (samples,) = job.result()

    assert samples.bits[:, 0].tolist() == [0] * 84 + [1] * 83 + [0] * 83
    assert len({sent["clientToken"] for sent in aws.sent}) == 3
    assert json.loads((home / "qpu-ledger.jsonl").read_text().splitlines()[0])["cost"] == {
        "tasks": 3,
        "shots": 250,
        "usd": pytest.approx(3.4),
        "qpu_seconds": 0.0,
    }


def test_a_failed_task_tells_its_reason(backend, aws):
    arn = aws.create()
    aws.state(arn, "FAILED", failureReason="the ions left")

    with pytest.raises(QpuJobFailed, match="the ions left"):
        backend.submit([Work(bell())], 3).result()


def test_when_one_of_two_tasks_fails_the_other_is_recorded_first(backend, aws, home):
    first, second = aws.create(), aws.create()
    job = backend.submit([Work(bell()), Work(asymmetric())], 2)
    aws.state(first, "COMPLETED")
    aws.state(second, "FAILED", failureReason="the ions left")
    aws.done(first, [[0, 0], [1, 1]], [0, 1], asked=2)

    with pytest.raises(QpuJobFailed, match="the ions left") as caught:
        job.result()

    assert caught.value.missing == (1,)
    with pytest.raises(QpuJobFailed, match="the ions left"):
        job.result()
    # Asked a second time, nothing is fetched or written again.
    assert events(home)[-2:] == ["state", "result"]
    assert events(home).count("result") == 1
    history = Project(home).ledger.job(job.uuid)
    assert not history.recorded
    assert Project(home).read_record(job.uuid, 0, history.sha256[0]).bits.tolist() == [[0, 0], [1, 1]]
    with pytest.raises(QpuJobFailed) as again:
        open_backend(f"braket:{ARN}", home, client=Aws().session).resume(job.uuid).result()
    assert again.value.missing == (1,)


def test_a_cancelled_task(backend, aws, home):
    arn = aws.create()
    job = backend.submit([Work(bell())], 3)
    aws.state(arn, "QUEUED")
    aws.stub.add_response("cancel_quantum_task", {"quantumTaskArn": arn, "cancellationStatus": "CANCELLING"}, {"quantumTaskArn": arn})
    aws.state(arn, "CANCELLING")
    assert job.cancel() is JobStatus.RUNNING
    aws.state(arn, "CANCELLED")

    with pytest.raises(QpuCancelled):
        job.result()

    assert "cancel" in events(home)


def test_only_the_task_that_still_runs_is_cancelled(backend, aws):
    first, second = aws.create(), aws.create()
    job = backend.submit([Work(bell()), Work(asymmetric())], 3)
    aws.state(first, "COMPLETED")
    aws.state(second, "QUEUED")
    aws.stub.add_response("cancel_quantum_task", {"quantumTaskArn": second, "cancellationStatus": "CANCELLING"}, {"quantumTaskArn": second})
    aws.state(second, "CANCELLED")

    assert job.cancel() is JobStatus.CANCELLED
    aws.stub.assert_no_pending_responses()


def test_a_conflict_is_an_error_that_says_where_the_job_stands(backend, aws):
    arn = aws.create()
    job = backend.submit([Work(bell())], 3)
    aws.state(arn, "RUNNING")
    aws.stub.add_client_error("cancel_quantum_task", "ConflictException", "done already", 409)
    aws.state(arn, "COMPLETED")

    with pytest.raises(QpuError, match="DONE") as caught:
        job.cancel()

    assert type(caught.value) is QpuError
    assert "ConflictException" in str(caught.value.__cause__)


def test_a_wait_that_ends(backend, aws, home, patience):
    arn = aws.create()
    job = backend.submit([Work(asymmetric())], 1)
    aws.state(arn, "QUEUED", 20)
    with pytest.raises(QpuQueueTimeout):
        job.result(timeout=5)
    later = Aws()
    later.done(arn, [[0, 1, 0]], [2, 0, 1])

    resumed = open_backend(f"braket:{ARN}", home, client=later.session, patience=patience).resume(job.uuid)

    assert resumed.result()[0].bits.tolist() == [[0, 0, 1]]
    assert later.sent == []


def test_a_result_that_is_missing_is_no_result(backend, aws, monkeypatch):
    from braket.aws import AwsQuantumTask

    arn = aws.create()
    job = backend.submit([Work(bell())], 1)
    aws.state(arn, "COMPLETED")
    monkeypatch.setattr(AwsQuantumTask, "result", lambda self: None)

    with pytest.raises(QpuQueueTimeout) as caught:
        job.result()

    assert caught.value.uuid == job.uuid


@pytest.mark.parametrize("fault", [("ThrottlingException", 400), ("InternalServiceException", 500)])
def test_questions_are_asked_again(backend, aws, clock, monkeypatch, fault):
    # The SDK tries throttled questions three times by itself.
    monkeypatch.setattr("backoff._sync.time.sleep", lambda _: None)
    arn = aws.create()
    job = backend.submit([Work(asymmetric())], 1)
    for _ in range(3 if fault[0] == "ThrottlingException" else 1):
        aws.stub.add_client_error("get_quantum_task", fault[0], "slow down", fault[1])
    aws.broken.append(("GetQuantumTask", ReadTimeoutError(endpoint_url="x")))
    aws.done(arn, [[0, 1, 0]], [2, 0, 1])

    assert job.result()[0].bits.tolist() == [[0, 0, 1]]
    assert len(clock.slept) == 2
    assert len(aws.sent) == 1


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("AccessDeniedException", 403, QpuAuthError),
        ("ValidationException", 400, QpuConfigError),
        ("ThrottlingException", 429, QpuRateLimited),
        ("ServiceQuotaExceededException", 402, QpuRateLimited),
        ("DeviceOfflineException", 424, QpuUnavailable),
        ("DeviceRetiredException", 410, QpuUnavailable),
        ("ResourceNotFoundException", 404, QpuConfigError),
        ("ConflictException", 409, QpuError),
    ],
)
def test_a_submission_that_is_refused_is_not_tried_again_and_costs_nothing(backend, aws, home, clock, aws_keys, code, status, kind):
    aws.stub.add_client_error("create_quantum_task", code, f"no, {aws_keys['AWS_SECRET_ACCESS_KEY']}", status)

    with pytest.raises(QpuError) as caught:
        backend.submit([Work(bell())], 3)

    assert type(caught.value) is kind
    assert code in str(caught.value.__cause__)
    assert aws_keys["AWS_SECRET_ACCESS_KEY"] not in f"{caught.value}{caught.value.__cause__}{(home / 'qpu-ledger.jsonl').read_text()}"
    assert events(home) == ["intent", "error"]
    (job,) = Project(home).ledger.jobs().values()
    assert (job.state, job.counts) == ("unsent", False)
    assert len(aws.sent) == 1
    assert clock.slept == []


@pytest.mark.parametrize(
    ("error", "kind"),
    [(NoCredentialsError(), QpuAuthError), (NoRegionError(), QpuConfigError)],
)
def test_a_client_that_cannot_even_ask(backend, aws, error, kind):
    aws.broken.append(("CreateQuantumTask", error))

    with pytest.raises(kind) as caught:
        backend.submit([Work(bell())], 3)

    assert caught.value.__cause__ is error


def test_no_region_and_no_credentials(home, monkeypatch):
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    with pytest.raises(QpuConfigError, match="NoRegionError"):
        open_backend(f"braket:{ARN}", home)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with pytest.raises(QpuAuthError, match="NoCredentialsError"):
        open_backend(f"braket:{ARN}", home)


@pytest.mark.parametrize("error", [EndpointConnectionError(endpoint_url="x"), ReadTimeoutError(endpoint_url="x")])
def test_a_submission_without_an_answer_is_found_by_its_tags(backend, aws, home, error):
    aws.broken.append(("CreateQuantumTask", error))
    arn = TASK.format(7)

    def received(params):
        aws.found((TASK.format(1), {"heliograph-job": "other", "heliograph-part": "0"}), more="next")
        aws.found((TASK.format(2), {}), (arn, params["tags"]))

    aws.on_break = received

    job = backend.submit([Work(asymmetric())], 1)

    assert job.provider_ids == (arn,)
    assert events(home) == ["intent", "error", "recovered"]
    assert 3500 < (datetime.now(UTC) - aws.searched_since()).total_seconds() < 3700
    aws.done(arn, [[0, 1, 0]], [2, 0, 1])
    assert job.result()[0].bits.tolist() == [[0, 0, 1]]


def test_a_submission_without_an_answer_that_is_not_found_keeps_its_cost(backend, aws, home):
    aws.broken.append(("CreateQuantumTask", EndpointConnectionError(endpoint_url="x")))
    aws.found()

    with pytest.raises(QpuUnavailable, match="Nobody knows"):
        backend.submit([Work(bell())], 3)

    (uuid,) = backend.unanswered()
    assert Project(home).ledger.job(uuid).counts
    assert len(aws.sent) == 0


def test_a_job_of_which_only_one_task_was_sent(backend, aws, home):
    first = aws.create()
    aws.stub.add_client_error("create_quantum_task", "ThrottlingException", "slow down", 429)

    with pytest.raises(QpuRateLimited):
        backend.submit([Work(asymmetric()), Work(bell())], 1)

    assert events(home) == ["intent", "submitted", "error"]
    (uuid,) = Project(home).ledger.jobs()
    aws.state(first, "COMPLETED")
    aws.done(first, [[0, 1, 0]], [2, 0, 1], asked=2)
    with pytest.raises(QpuJobFailed, match="never sent") as caught:
        backend.resume(uuid).result()
    assert caught.value.missing == (1,)
    assert len(aws.sent) == 2


def test_the_cost_of_a_task_that_is_done_is_not_free_again_when_the_other_fails(backend, aws, home):
    first, second = aws.create(), aws.create()
    job = backend.submit([Work(bell()), Work(bell())], 100)
    whole = spent(Project(home).ledger.jobs().values())
    aws.state(first, "COMPLETED")
    aws.state(second, "FAILED", failureReason="the ions left")

    assert job.status() is JobStatus.FAILED

    found = spent(Project(home).ledger.jobs().values())
    assert (found.jobs, found.shots) == (1, 100)
    assert found.usd == pytest.approx(whole.usd / 2)
    assert whole.usd > 0


def test_a_client_that_died_after_a_job_had_failed_still_records_what_there_is(backend, aws, home, patience):
    first, second = aws.create(), aws.create()
    job = backend.submit([Work(asymmetric()), Work(bell())], 1)
    aws.state(first, "COMPLETED")
    aws.state(second, "FAILED", failureReason="the ions left")
    assert job.status() is JobStatus.FAILED
    later = Aws()
    later.state(first, "COMPLETED")
    later.state(second, "FAILED", failureReason="the ions left")
    later.done(first, [[0, 1, 0]], [2, 0, 1], asked=2)

    with pytest.raises(QpuJobFailed) as caught:
        open_backend(f"braket:{ARN}", home, client=later.session, patience=patience).resume(job.uuid).result()

    assert caught.value.missing == (1,)
    assert events(home)[-1] == "result"


def test_a_failure_on_the_providers_side_leaves_the_submission_open(backend, aws, home):
    aws.stub.add_client_error("create_quantum_task", "InternalServiceException", "oops", 500)
    aws.found()

    with pytest.raises(QpuUnavailable, match="InternalServiceException"):
        backend.submit([Work(bell())], 3)

    assert len(aws.sent) == 1
    assert events(home) == ["intent", "error"]
    assert len(backend.unanswered()) == 1


def test_a_job_of_which_nobody_knows_one_task_waits_for_the_operator(backend, aws, home, patience):
    first = aws.create()
    # The line breaks at the second request.
    aws.broken_later = [("CreateQuantumTask", ReadTimeoutError(endpoint_url="x"))]
    aws.found()
    with pytest.raises(QpuUnavailable, match="Nobody knows"):
        backend.submit([Work(asymmetric()), Work(bell())], 1)
    (uuid,) = backend.unanswered()
    aws.found((first, {"heliograph-job": uuid, "heliograph-part": "0"}))
    with pytest.raises(QpuUnavailable, match="1 of 2 parts"):
        backend.resume(uuid)
    assert Project(home).ledger.job(uuid).counts
    now = backend.project.ledger.clock_ns
    backend.project.ledger.clock_ns = lambda: now() + 601 * 10**9
    aws.found()
    assert backend.give_up(uuid)
    aws.state(first, "COMPLETED")
    aws.done(first, [[0, 1, 0]], [2, 0, 1], asked=2)

    with pytest.raises(QpuJobFailed, match="never sent") as caught:
        backend.resume(uuid).result()

    assert caught.value.missing == (1,)
    assert list(Project(home).ledger.job(uuid).sha256) == [0]


def test_nothing_is_sent_that_the_budget_does_not_cover(aws, tmp_path, home):
    closed = open_backend(f"braket:{ARN}", tmp_path / "fresh", client=aws.session)
    with pytest.raises(QpuBudgetExceeded, match="jobs"):
        closed.submit([Work(bell())], 3)
    unpriced = Aws(cost={"price": 0.3, "unit": "hour"})
    with pytest.raises(QpuBudgetExceeded, match="nobody knows"):
        open_backend(f"braket:{ARN}", home, client=unpriced.session).submit([Work(bell())], 3)
    silent = Aws(cost={})
    with pytest.raises(QpuBudgetExceeded, match="nobody knows"):
        open_backend(f"braket:{ARN}", home, client=silent.session).submit([Work(bell())], 3)
    by_minute = Aws(cost={"price": 10, "unit": "minute"}, shots=(1, 100))
    timed = open_backend(f"braket:{ARN}", home, client=by_minute.session)
    assert timed.cost([Work(bell())], 250).usd is None
    (home / "qpu.toml").write_text(f"minutes_per_task = 2\n{SETTINGS}")
    again = open_backend(f"braket:{ARN}", home, client=Aws(cost={"price": 10, "unit": "minute"}).session)
    assert again.cost([Work(bell())], 250).usd == pytest.approx(3 * 20 + 3 * 0.3)
    with pytest.raises(QpuBudgetExceeded, match="usd"):
        again.submit([Work(bell())], 250)

    assert aws.sent == unpriced.sent == silent.sent == []


def test_a_device_at_aws_says_what_it_does_not_do(aws_keys, home, dynamic_goldens):
    backend = open_backend(f"braket:{ARN}", home, client=Aws(shots=(10, 100)).session)
    with pytest.raises(QpuConfigError, match="10 at least"):
        backend.submit([Work(bell())], 9)
    with pytest.raises(QpuUnsupported, match="feed-forward"):
        backend.submit([Work(dynamic_goldens["branch"][0])], 10)
    with pytest.raises(QpuUnsupported, match="seed"):
        backend.submit([Work(bell())], 10, seed=1)
    with pytest.raises(QpuConfigError, match="no exact law"):
        backend.probabilities(Work(bell()))


def test_account_numbers_are_private_and_masked_for_others(backend, aws, home, tmp_path):
    from heliograph.protocols.qpu.records import for_others, read_record

    arn = aws.create()
    aws.done(arn, [[0, 1, 0]], [2, 0, 1])
    job = backend.submit([Work(asymmetric())], 1)
    job.result()
    path = Project(home).record_path(job.uuid, 0)

    assert "123456789012" in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    assert "123456789012" not in for_others(read_record(path))


# At AWS, down to the transport: the clients' own retries, and clients that are killed.


@pytest.fixture
def cloud_at(aws_keys, braket_cloud, monkeypatch):
    """Return the cloud in a folder; botocore does not sleep between its own tries."""
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda _: None)
    return lambda folder: braket_cloud.Cloud(folder, Aws._device((1, 100), None))


@pytest.fixture
def disk(cloud_at, tmp_path):
    return cloud_at(tmp_path / "cloud")


def test_an_answer_that_was_lost_is_asked_for_again_by_the_client_under_one_token(disk, home, patience):
    disk.script(CreateQuantumTask=["lost", ["ThrottlingException", 429]])

    job = open_backend(f"braket:{ARN}", home, client=disk.session, patience=patience).submit([Work(bell())], 4)

    assert disk.tokens == [f"{job.uuid}-0"] * 3
    assert len(disk.tasks) == 1
    assert events(home) == ["intent", "submitted"]
    assert job.result()[0].bits.tolist() == [[0, 0], [1, 1]] * 2


def test_the_position_comes_with_the_state(disk, home, patience):
    job = open_backend(f"braket:{ARN}", home, client=disk.session, patience=patience).submit([Work(bell())], 4)
    disk.script(queue=["5", ">2000", "None", "soon"])
    seen = []
    job.seen = lambda one: seen.append(one.position)

    assert [job.status() for _ in range(5)] == [JobStatus.QUEUED] * 4 + [JobStatus.DONE]

    assert seen == [5, 2001, None, None, None]
    assert events(home) == ["intent", "submitted", "state", "position", "position", "state"]


@pytest.mark.parametrize(
    ("step", "kind", "tasks"),
    [(["ThrottlingException", 429], QpuRateLimited, 0), (["InternalServiceException", 500], QpuUnavailable, 0), ("lost", None, 1)],
)
def test_however_often_the_client_asks_there_is_one_task_at_most_and_one_token(disk, home, patience, step, kind, tasks):
    disk.script(CreateQuantumTask=[step] * 30)
    backend = open_backend(f"braket:{ARN}", home, client=disk.session, patience=patience)

    if kind is None:
        assert backend.submit([Work(bell())], 4).provider_ids == (disk.tasks[0]["arn"],)
    else:
        with pytest.raises(kind):
            backend.submit([Work(bell())], 4)

    assert len(disk.tasks) == tasks
    assert len(disk.tokens) > 1
    assert len(set(disk.tokens)) == 1


def test_no_secret_is_in_any_file_or_log_down_to_the_transport(disk, home, patience, aws_keys, caplog):
    caplog.set_level(logging.DEBUG)
    secret, key = aws_keys["AWS_SECRET_ACCESS_KEY"], aws_keys["AWS_ACCESS_KEY_ID"]
    disk.script(CreateQuantumTask=[None, ["AccessDeniedException", 403]], GetQuantumTask=[["InternalServiceException", 500]])
    backend = open_backend(f"braket:{ARN}", home, client=disk.session, patience=patience)

    backend.run([Work(bell())], 4)
    with pytest.raises(QpuAuthError) as caught:
        backend.submit([Work(bell())], 4)

    shown = "".join(traceback.format_exception(caught.value)) + "".join(path.read_text() for path in home.rglob("*") if path.is_file())
    assert "AWS4-HMAC-SHA256" in caplog.text
    assert secret not in caplog.text + shown
    assert key not in shown


KILLED = """
import json, os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import braket_cloud
from qiskit import QuantumCircuit
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
    cloud = braket_cloud.Cloud(folder / "cloud")
    circuit = QuantumCircuit(2, 2)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure([0, 1], [0, 1])
    job = open_backend("braket:" + braket_cloud.ARN, folder / "project", client=cloud.session).submit([Work(circuit)] * 2, 4)
    if point == "submitted":
        die()
    job.result()
    if point != "whole":
        die()

# What takes seconds the first time is done once; what is killed are children of that process.
whole, *points = sys.argv[3:]
run(Path(sys.argv[2], whole), whole)
assert len(os.listdir("/proc/self/task")) == 1, "only a process of one thread may be forked"
running = {}
for point in points:
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
POINTS: dict[str, tuple[dict, int]] = {
    "whole": ({}, 2),
    "intent": ({"CreateQuantumTask": ["kill"]}, 0),
    "first call": ({"CreateQuantumTask": ["kill after"]}, 1),
    "between": ({"CreateQuantumTask": [None, "kill"]}, 1),
    "second call": ({"CreateQuantumTask": [None, "kill after"]}, 2),
    "submitted": ({}, 2),
    "waiting": ({"GetQuantumTask": ["kill"]}, 2),
    "fetching": ({"Download": [None, "kill"]}, 2),
    "before result": ({}, 2),
    "result": ({}, 2),
}


@pytest.fixture
def killed(cloud_at, tmp_path):
    """Clients of a job of two tasks, each killed at its point."""
    for point, (steps, _) in POINTS.items():
        (tmp_path / point / "project").mkdir(parents=True)
        (tmp_path / point / "project" / "qpu.toml").write_text(SETTINGS)
        cloud_at(tmp_path / point / "cloud").script(**steps)
    words = [sys.executable, "-c", KILLED, str(HERE), str(tmp_path), *POINTS]
    ended = subprocess.run(words, capture_output=True, text=True, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, timeout=120)
    assert json.loads(ended.stdout) == dict.fromkeys([*POINTS][1:], -9), ended.stderr
    return tmp_path


def _later(now):
    return now() + 601 * 10**9


def test_whenever_the_client_is_killed_no_task_is_sent_twice_and_none_that_was_sent_is_lost(killed, cloud_at, patience):
    for point, (_, sent) in POINTS.items():
        cloud = cloud_at(killed / point / "cloud")
        cloud.script()
        backend = open_backend(f"braket:{ARN}", killed / point / "project", client=cloud.session, patience=patience)
        project = backend.project
        assert project is not None
        (uuid,) = project.ledger.jobs()
        assert len(cloud.tasks) == sent, point
        if sent == 2:
            assert backend.unanswered() == ([uuid] if point == "second call" else []), point
            if point in {"before result", "result", "whole"}:
                cloud.script(Download=["kill"])
            assert [samples.bits.tolist() for samples in backend.resume(uuid).result()] == [[[0, 0], [1, 1]] * 2] * 2, point
            assert project.ledger.job(uuid).recorded
        else:
            assert backend.unanswered() == [uuid], point
            with pytest.raises(QpuUnavailable, match="1 of 2 parts" if sent else "no such job"):
                backend.resume(uuid)
            assert project.ledger.job(uuid).cost["shots"] == 8
            now = project.ledger.clock_ns
            project.ledger.clock_ns = partial(_later, now)
            assert backend.give_up(uuid)
            assert spent(project.ledger.jobs().values()).shots == 4 * sent
        if sent == 1:
            with pytest.raises(QpuJobFailed, match="never sent") as caught:
                backend.resume(uuid).result()
            assert caught.value.missing == (1,)
            assert project.read_record(uuid, 0, None).bits.tolist() == [[0, 0], [1, 1]] * 2
        assert sorted({task["tags"]["heliograph-part"] for task in cloud.tasks}) == [str(part) for part in range(sent)]
        assert {task["tags"]["heliograph-job"] for task in cloud.tasks} <= {uuid}
        assert len(cloud.tasks) == sent, point
