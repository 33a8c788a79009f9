"""`braket:sv`, `braket:dm` and `braket:<arn>`: Amazon Braket, on this machine or at AWS, by one path."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.credentials import Secrets, no_secrets
from ...core.errors import QpuConfigError, QpuQueueTimeout, QpuUnsupported
from .bit_order import from_measured_qubits, from_used_clbits
from .circuits import ReadWork, read_works
from .conditions import PORTABLE, condition_of
from .engine import Bits, Plan, ProviderBackend
from .interface import Cost, JobStatus, Limits, Work
from .local import generators, over_clbits, sample_codes, scattered
from .projects import JobFile, Part
from .retries import Patience, retried
from .simplify import simplified
from .vendors import vendor, vendor_errors

BASIS = ("h", "x", "y", "z", "s", "sdg", "t", "tdg", "rx", "ry", "rz", "cx", "cz", "swap", "ccx", "measure", "reset", "if_else")
"""What Braket's interpreter knows of Qiskit's gates under a name of its own; everything else is expressed by these."""
JOB_TAG, PART_TAG = "heliograph-job", "heliograph-part"
_LOCAL = {"sv": ("braket_sv", 26), "dm": ("braket_dm", 13)}
_STATES = {
    "CREATED": JobStatus.QUEUED,
    "QUEUED": JobStatus.QUEUED,
    "RUNNING": JobStatus.RUNNING,
    "CANCELLING": JobStatus.RUNNING,
    "COMPLETED": JobStatus.DONE,
    "FAILED": JobStatus.FAILED,
    "CANCELLED": JobStatus.CANCELLED,
}
_CREATE_EVENT = "provide-client-params.braket.CreateQuantumTask"


class BraketBackend(ProviderBackend):
    """A Braket device.

    device: `LocalSimulator` or `AwsDevice`.  arn: of the device at AWS, None for a simulator on this machine.
    """

    def __init__(self, name: str, device: Any, arn: str | None, limits: Limits, **common: Any) -> None:
        self.cloud = arn is not None
        self.simulated = arn is None or "quantum-simulator" in arn
        self._device = device
        self._arn = arn
        self._local: dict[str, Any] = {}
        self._positions: dict[str, int | None] = {}
        super().__init__(name, limits, **common)
        if self.cloud:
            device.aws_session.braket_client.meta.events.register(_CREATE_EVENT, _with_token, unique_id=JOB_TAG)

    @classmethod
    def on_this_machine(cls, kind: str, **common: Any) -> BraketBackend:
        """Return the simulator `sv` (state vector) or `dm` (density matrix)."""
        if kind not in _LOCAL:
            raise QpuConfigError(f"there is no local Braket simulator {kind!r}", where="back-end", remedy="There are braket:sv and braket:dm.")
        simulator, qubits = _LOCAL[kind]
        device = vendor("braket.devices", "amazon-braket-sdk").LocalSimulator(simulator)
        return cls(f"braket:{kind}", device, None, Limits(max_qubits=qubits, dynamic=True, reset=True, seedable=True, exact=True), **common)

    @classmethod
    def at_aws(cls, arn: str, session: Any = None, **common: Any) -> BraketBackend:
        """Return a device at AWS. session: Braket's client, made from boto's own chain where it is not given."""
        name = f"braket:{arn}"
        aws = vendor("braket.aws", "amazon-braket-sdk")
        with vendor_errors(name, secrets=_saved_keys):
            client = session or aws.AwsSession()

        def found() -> BraketBackend:
            with vendor_errors(name, secrets=_secrets_of(client)):
                device = aws.AwsDevice(arn, aws_session=client)
                return cls(name, device, arn, Limits(max_qubits=device.properties.paradigm.qubitCount), **common)

        return retried(found, common.get("patience") or Patience())

    def probabilities(self, work: Work) -> NDArray[np.float64]:
        """Return the exact law over the classical bits: float64 (2^c,), bit 0 most significant. Static circuits on this machine only."""
        (read,) = read_works([work], 1, self.limits, self.name)
        if not self.limits.exact or not read.needs.static:
            raise QpuConfigError("there is no exact law", where=self.name, remedy="Sample it.")
        with vendor_errors(self.name):
            return over_clbits(self._law(self._exact(read), read), read)

    def translate(self, work: ReadWork, seed: int | None) -> tuple[Any, dict[str, Any]]:
        """Return Braket's circuit and its layout; with a seed, the circuit that tells the exact law, since the simulator itself knows no seed."""
        if work.needs.static:
            layout = {"kind": "static", "clbit_of": {str(qubit): clbit for qubit, clbit in work.needs.places}}
            return (self._converted(work, measured=True) if seed is None else self._exact(work)), layout
        if seed is not None:
            raise QpuUnsupported("a seed with a dynamic circuit", where=self.name, remedy="Leave it out.")
        return _program(work), {"kind": "dynamic", "used": list(work.needs.written)}

    def parts(self, works: int, shots: int, seed: int | None) -> tuple[Part, ...]:
        """Return one task for each work and as many shots as one task takes."""
        least, most = self._shots_range()
        if shots < least:
            raise QpuConfigError(f"{shots} shots were asked, a task takes {least} at least", where=self.name, remedy="Ask for more.")
        sizes = _split(shots, most)
        return tuple(Part((work,), size) for work in range(works) for size in sizes)

    def price(self, parts: Sequence[Part]) -> Cost:
        """Return tasks, shots and money, from the price that the device tells and the fee of the settings."""
        shots = sum(part.shots for part in parts)
        return Cost(len(parts), shots, usd=self._usd(len(parts), shots) if self.cloud else 0.0)

    def send(self, plan: Plan, index: int, uuid: str, tags: Sequence[str]) -> str:
        """Run one task."""
        part = plan.parts[index]
        (work,) = part.works
        if not self.cloud:
            name = f"{uuid}-{index}"
            self._local[name] = self._simulated(plan, work, part.shots)
            return name
        place = (self.settings.s3_bucket, self.settings.s3_prefix) if self.settings.s3_bucket else None
        named = {JOB_TAG: uuid, PART_TAG: str(index), **{f"heliograph-tag-{n}": tag for n, tag in enumerate(tags)}}
        task = self._device.run(plan.payloads[work], place, shots=part.shots, inputs=_inputs(plan.works[work]), tags=named)
        return str(task.id)

    def state(self, provider_id: str) -> tuple[JobStatus, str]:
        """Return where a task stands."""
        if not self.cloud:
            return (JobStatus.DONE, "") if provider_id in self._local else (JobStatus.FAILED, "its samples ended with the process that made them")
        told = self._task(provider_id).metadata()
        self._positions[provider_id] = _position(told.get("queueInfo"))
        return _STATES[told["status"]], str(told.get("failureReason", "no reason was told")) if told["status"] == "FAILED" else ""

    def position(self, provider_id: str) -> int | None:
        """Return the position that came with the state, which is asked for anyhow; of ">2000" the least that it can be."""
        return self._positions.get(provider_id)

    def fetch(self, provider_id: str, file: JobFile, part: Part) -> list[Bits]:
        """Return the samples of a task."""
        found = self._local.pop(provider_id) if not self.cloud else self._downloaded(provider_id)
        if isinstance(found, np.ndarray):
            return [found]
        (work,) = part.works
        return [_columns(found, file.works[work].layout, sum(size for _, size in file.works[work].cregs))]

    def withdraw(self, provider_id: str) -> None:
        """Cancel a task at AWS; a simulation on this machine has ended before it can be asked for."""
        self._task(provider_id).cancel()

    def search(self, uuid: str, since_ns: int) -> dict[int, str]:
        """Return the tasks that carry our tag. Tags cannot be searched for, but are listed."""
        since = datetime.fromtimestamp(max(since_ns / 1e9 - 3600, 0), UTC).isoformat()
        filters = [{"name": "createdAt", "operator": "GTE", "values": [since]}, {"name": "deviceArn", "operator": "EQUAL", "values": [self._arn]}]
        found: dict[int, str] = {}
        more: dict[str, str] = {}
        while True:
            answer = self._device.aws_session.braket_client.search_quantum_tasks(filters=filters, maxResults=100, **more)
            for task in answer["quantumTasks"]:
                if task.get("tags", {}).get(JOB_TAG) == uuid:
                    found[int(task["tags"][PART_TAG])] = task["quantumTaskArn"]
            if not answer.get("nextToken"):
                return found
            more = {"nextToken": answer["nextToken"]}

    def calibration(self) -> dict[str, Any] | None:
        """Return what the device says of itself; for a quantum processor that is its calibration."""
        return dict(json.loads(self._device.properties.json())) if self.cloud else None

    def secrets(self) -> Secrets:
        """Return what tells the keys of boto's chain."""
        return _secrets_of(self._device.aws_session) if self.cloud else no_secrets

    def _shots_range(self) -> tuple[int, int | None]:
        if not self.cloud:
            return 1, None
        least, most = self._device.properties.service.shotsRange
        return max(1, least), most

    def _usd(self, tasks: int, shots: int) -> float | None:
        told = self._device.properties.service.deviceCost
        if told is None:
            return None
        fee = tasks * self.settings.fee_per_task_usd
        if told.unit == "shot":
            return fee + float(told.price) * shots
        if told.unit == "minute" and self.settings.minutes_per_task is not None:
            return fee + float(told.price) * tasks * self.settings.minutes_per_task
        return None

    def _task(self, arn: str) -> Any:
        return vendor("braket.aws", "amazon-braket-sdk").AwsQuantumTask(arn, aws_session=self._device.aws_session, quiet=True)

    def _downloaded(self, arn: str) -> Any:
        found = self._task(arn).result()
        if found is None:
            raise QpuQueueTimeout(arn, 0.0)
        return found

    def _simulated(self, plan: Plan, work: int, shots: int) -> Any:
        if plan.seed is None:
            return self._ran(plan.payloads[work], plan.works[work], shots)
        law = self._law(plan.payloads[work], plan.works[work])
        return scattered(sample_codes(law, shots, generators(plan.seed, len(plan.works))[work]), plan.works[work])

    def _law(self, circuit: Any, work: ReadWork) -> NDArray[np.float64]:
        found: NDArray[np.float64] = np.asarray(self._ran(circuit, work, 0).values[0], np.float64)
        return found

    def _ran(self, circuit: Any, work: ReadWork, shots: int) -> Any:
        with warnings.catch_warnings():
            # Whoever asks for the density matrix means it.
            warnings.filterwarnings("ignore", message="You are running a noise-free circuit")
            return self._device.run(circuit, shots=shots, inputs=_inputs(work)).result()

    def _exact(self, work: ReadWork) -> Any:
        """Return the circuit without measurements that tells the law of the measured qubits; a qubit without a gate would be an error, so it gets one."""
        converted = self._converted(work, measured=False)
        measured = [qubit for qubit, _ in work.needs.places]
        for qubit in sorted({*measured} - {int(one) for one in converted.qubits}):
            converted.i(qubit)
        return converted.probability(target=measured)

    def _converted(self, work: ReadWork, *, measured: bool) -> Any:
        plain = simplified(work.circuit)
        if not measured:
            plain.data = [one for one in plain.data if one.operation.name != "measure"]
        convert = vendor("qiskit_braket_provider", "qiskit-braket-provider").to_braket
        return convert(plain)


def _position(told: Any) -> int | None:
    """Return the position of a task's queue information: "5", ">2000", or "None" where it does not wait."""
    found = re.fullmatch(r"(>?)(\d{1,9})", str(told.get("position"))) if isinstance(told, dict) else None
    return None if found is None else int(found[2]) + len(found[1])


def _with_token(params: dict[str, Any], **_: Any) -> dict[str, Any] | None:
    """Name a request by the job and part of its tags, so that the client's own retries cannot make a second task.

    Once a client: botocore takes the first answer, so it must fit whichever back-end asks. Requests that are not ours are left alone.
    """
    tags = params.get("tags", {})
    return {**params, "clientToken": f"{tags[JOB_TAG]}-{tags[PART_TAG]}"} if JOB_TAG in tags and PART_TAG in tags else None


def _program(work: ReadWork) -> Any:
    """Return a dynamic circuit as OpenQASM 3 in the form that Braket's simulator takes; its parameters are bound, for it knows no inputs there."""
    from qiskit import transpile

    plain = simplified(work.circuit.assign_parameters(work.values) if work.values else work.circuit)
    for one in plain.data:
        if one.operation.name == "if_else":
            condition = condition_of(plain, one.operation.condition)
            # Expressions were refused before: the limits allow none.
            if condition.constant:
                raise QpuUnsupported("a condition other than `(bit, 1)`", where="braket", remedy=PORTABLE)
    provider = vendor("qiskit_braket_provider", "qiskit-braket-provider")
    text = provider.to_oq3(transpile(plain, basis_gates=list(BASIS), optimization_level=0))
    return vendor("braket.ir.openqasm", "amazon-braket-sdk").Program(source=text)


def _columns(result: Any, layout: dict[str, Any], clbits: int) -> Bits:
    measurements = np.asarray(result.measurements)
    if layout["kind"] == "dynamic":
        return from_used_clbits(measurements, layout["used"], clbits)
    return from_measured_qubits(measurements, [int(one) for one in result.measured_qubits], {int(q): c for q, c in layout["clbit_of"].items()}, clbits)


def _inputs(work: ReadWork) -> dict[str, float]:
    """Return the parameters of a static circuit under the names that the converter gives them: x[0] becomes x_0."""
    if not work.needs.static:
        return {}
    return {re.sub(r"\[(\d+)\]", r"_\1", name): value for name, value in work.values.items()}


def _split(shots: int, most: int | None) -> list[int]:
    if most is None or shots <= most:
        return [shots]
    tasks = -(-shots // most)
    return [shots // tasks + (n < shots % tasks) for n in range(tasks)]


def _saved_keys() -> tuple[str, ...]:
    """Return the keys of every profile in boto's files; nobody is asked."""
    profiles = vendor("botocore.session", "botocore").Session().full_config["profiles"].values()
    names = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
    return tuple(value for profile in profiles for name in names if isinstance(value := profile.get(name), str))


def _secrets_of(session: Any) -> Secrets:
    def told() -> tuple[str, ...]:
        # Only what is known already: looking for credentials, and reading those of a role that have expired, may ask the network.
        known = vars(getattr(session.boto_session._session, "_credentials", None) or object)  # noqa: SLF001
        names = ("access_key", "secret_key", "token")
        return tuple(value for name in names for value in (known.get(f"_{name}"), known.get(name)) if isinstance(value, str) and value)

    return told
