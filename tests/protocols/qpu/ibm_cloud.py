"""IBM's cloud on this disk: a client object of the SDK that answers from a folder instead of the network. Everything above it is the SDK's own.

Jobs are files, so they outlive the process that sent them. `script.json` in the folder says what goes wrong: for each request a list whose first entry is
taken by the next call: null (nothing), [name, status] of an error to raise, "after" to raise a lost connection when the job is already there, "kill" to kill
the process there. `states` are the states a job goes through, one a question.
"""

from __future__ import annotations

import json
import os
import signal
import uuid
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import requests
from ibm_quantum_schemas.common import CompressedTensorModel
from ibm_quantum_schemas.executor.version_2_0 import QuantumProgramResultModel
from qiskit.primitives.primitive_job import PrimitiveJob
from qiskit_ibm_runtime import QiskitRuntimeService
from qiskit_ibm_runtime import exceptions as errors
from qiskit_ibm_runtime.accounts import exceptions as account_errors
from qiskit_ibm_runtime.api.exceptions import RequestsApiError
from qiskit_ibm_runtime.executor.executor import QUANTUM_PROGRAM_PARAMS_CONVERTERS
from qiskit_ibm_runtime.fake_provider import FakeSantiagoV2
from qiskit_ibm_runtime.fake_provider.local_service import QiskitRuntimeLocalService
from qiskit_ibm_runtime.ibm_backend import IBMBackend
from qiskit_ibm_runtime.options_models.simulator import SimulatorOptions

INSTANCE = "crn:v1:fake"
TOKEN = "dummy-ibm-token-0123456789"


class Client:
    """What the SDK calls its runtime client. folder: of jobs, script and the list of submissions."""

    _instance = INSTANCE

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)

    def script(self, **steps: Any) -> None:
        """Say what happens next."""
        known = json.loads(self._script.read_text()) if self._script.exists() else {}
        self._script.write_text(json.dumps(known | steps))

    @property
    def _script(self) -> Path:
        return self.folder / "script.json"

    @property
    def submissions(self) -> int:
        """Return how many jobs were ever received."""
        return len(list(self.folder.glob("job-*.json")))

    def _next(self, request: str) -> Any:
        steps = json.loads(self._script.read_text()) if self._script.exists() else {}
        left = steps.get(request, [])
        step = left.pop(0) if left else None
        if left or step is not None:
            self._script.write_text(json.dumps(steps))
        return step

    def _asked(self, request: str) -> Any:
        step = self._next(request)
        if step == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if isinstance(step, list):
            raise error(*step)
        return step

    def program_run(
        self, *, program_id: str, backend_name: str, params: dict[str, Any], job_tags: list[str], max_execution_time: int, **_: Any
    ) -> dict[str, Any]:
        """Take a job."""
        step = self._asked("run")
        name = f"job-{uuid.uuid4().hex[:12]}"
        self.folder.joinpath(f"{name}.json").write_text(
            json.dumps({"id": name, "tags": job_tags, "params": params, "seconds": max_execution_time, "backend": backend_name, "states": self._states()})
        )
        if step == "after":
            raise requests.exceptions.ConnectionError("the line broke")
        if step == "kill after":
            os.kill(os.getpid(), signal.SIGKILL)
        return {"id": name, "backend": backend_name}

    def _states(self) -> list[str]:
        steps = json.loads(self._script.read_text()) if self._script.exists() else {}
        return list(steps.get("states", ["Completed"]))

    def _job(self, name: str) -> dict[str, Any]:
        path = self.folder / f"{name}.json"
        if not path.exists():
            raise RequestsApiError("no such job", 404)
        found: dict[str, Any] = json.loads(path.read_text())
        return found

    def job_get(self, job_id: str, exclude_params: bool = True) -> dict[str, Any]:
        """Tell where a job stands; each question moves it on."""
        self._asked("job_get")
        job = self._job(job_id)
        state = job["states"][0]
        if len(job["states"]) > 1:
            job["states"].pop(0)
            self.folder.joinpath(f"{job_id}.json").write_text(json.dumps(job))
        told = {"status": state} if isinstance(state, str) else {"status": state[0], "reason": state[1], "reasonCode": state[2]}
        return {"id": job_id, "state": told, "backend": job["backend"], "program": {"id": "executor"}, "tags": job["tags"], "created": "2026-01-01T00:00:00Z"}

    def job_results(self, job_id: str) -> str:
        """Simulate the job, and give the same answer each time."""
        self._asked("job_results")
        job = self._job(job_id)
        if job["states"][0] != "Completed":
            return "Traceback: the device warmed up"
        kept = self.folder / f"{job_id}.result"
        if not kept.exists():
            kept.write_text(_simulated(json.dumps(job["params"], sort_keys=True)))
        return kept.read_text()

    def job_cancel(self, job_id: str) -> None:
        """Cancel a job."""
        self._asked("job_cancel")
        self.folder.joinpath(f"{job_id}.json").write_text(json.dumps({**self._job(job_id), "states": ["Cancelled"]}))

    def job_metadata(self, job_id: str) -> dict[str, Any]:
        """Tell the seconds on the device, and of a job that waits the next of the script's `positions`."""
        self._asked("job_metadata")
        position = self._next("positions")
        return {
            **({} if position is None else {"position_in_queue": position}),
            "usage": {"status": "complete", "qpu_charge_time_seconds": 7},
            "timestamps": {},
        }

    def jobs_get(self, *, job_tags: list[str] | None = None, **_: Any) -> dict[str, Any]:
        """List jobs by tag."""
        self._asked("jobs_get")
        jobs = [json.loads(path.read_text()) for path in sorted(self.folder.glob("job-*.json"))]
        found = [job for job in jobs if set(job_tags or ()) <= set(job["tags"])]
        return {
            "jobs": [
                {"id": job["id"], "program": {"id": "executor"}, "backend": job["backend"], "tags": job["tags"], "state": {"status": "Queued"}} for job in found
            ],
            "count": len(found),
        }

    def backend_properties(self, *_: Any, **__: Any) -> dict[str, Any]:
        """Tell the calibration of FakeSantiago."""
        found: dict[str, Any] = FakeSantiagoV2().properties().to_dict()
        return found

    def backend_status(self, *_: Any) -> dict[str, Any]:
        """Tell that the device works."""
        return {"backend_name": "ibm_disk", "backend_version": "1.0.0", "operational": True, "pending_jobs": 0, "status_msg": "active"}


class Service(QiskitRuntimeService):  # type: ignore[misc]
    """The SDK's service over that client; only its log-in and its list of devices are left out."""

    def __init__(self, folder: Path) -> None:
        self.client = Client(folder)
        self._active_api_client = self.client
        self._api_clients = {INSTANCE: self.client}
        self._channel = "ibm_quantum_platform"
        self._backend_instance_groups: list[Any] = []
        self._account = SimpleNamespace(to_saved_format=lambda: {"token": TOKEN})

    def backend(self, name: str, *_: Any, **__: Any) -> IBMBackend:
        """Return the one device there is."""
        self.client._asked("backend")
        return self._create_backend_obj(name)

    def _create_backend_obj(self, name: str, *_: Any, **__: Any) -> IBMBackend:
        configuration = FakeSantiagoV2().configuration()
        configuration.backend_name = name
        return IBMBackend(configuration, self, self.client, instance=INSTANCE)

    def usage(self) -> dict[str, Any]:
        """Tell that there is time left."""
        return {}


@cache
def _simulated(params: str) -> str:
    """Return what IBM's executor would send for a job, with the noise of FakeSantiago; the same job has the same samples."""
    converter = QUANTUM_PROGRAM_PARAMS_CONVERTERS["v2.0"]
    model = converter.model.model_validate_json(params)
    program = converter.decoder(model)
    program = program[0] if isinstance(program, tuple) else program
    found = PrimitiveJob.result(QiskitRuntimeLocalService()._run_executor(FakeSantiagoV2(), SimulatorOptions(), program))
    items = [{"results": {name: CompressedTensorModel.from_numpy(array) for name, array in one.items()}, "metadata": {}} for one in found]
    sent = QuantumProgramResultModel(
        data=items, metadata={"chunk_timing": []}, passthrough_data=model.quantum_program.passthrough_data, semantic_role=found._semantic_role
    )
    text: str = sent.model_dump_json()
    return text


def error(name: str, status: int | None = None) -> Exception:
    """Return an error of the SDK by its name; the text holds the token, as an incautious vendor's might."""
    text = f"{name} for {TOKEN}"
    if name == "RequestsApiError":
        return RequestsApiError(text, -1 if status is None else status)
    if name == "ConnectionError":
        return requests.exceptions.ConnectionError(text)
    kind = getattr(errors, name, None) or getattr(account_errors, name)
    found: Exception = kind(text)
    return found
