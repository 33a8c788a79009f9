"""Amazon Braket on this disk: the transport below botocore answers from a folder instead of the network. All above it is the SDK's own, retries included.

Tasks are files named by their client token, so they outlive the process that sent them, and a request that comes twice makes one task, as the service promises.
`script.json` in the folder says what goes wrong: for each operation a list whose first entry is taken by the next request: null (nothing), [code, status] of an
error to answer with, "lost" to do it and never answer, "kill" and "kill after" to kill the process before and after it is done.
`queue` has positions of a task that waits.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import boto3
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ReadTimeoutError
from braket.aws import AwsSession
from braket.ir.openqasm import Program
from braket.task_result import AdditionalMetadata, GateModelTaskResult, TaskMetadata

ARN = "arn:aws:braket:us-east-1::device/qpu/acme/Sun-1"
TASK = "arn:aws:braket:us-east-1:123456789012:quantum-task/"


class Cloud:
    """Braket's client over a folder. device: what `GetDevice` tells; it is kept, so that only one process must know it."""

    def __init__(self, folder: Path, device: dict[str, Any] | None = None) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        if device is not None:
            (folder / "device.json").write_text(json.dumps(device))
        self.client = boto3.client("braket", region_name="us-east-1")
        self.client.meta.events.register("before-send.braket", self._answer)
        self.session = Session(self)

    def script(self, **steps: Any) -> None:
        """Say what happens next."""
        (self.folder / "script.json").write_text(json.dumps(steps))

    @property
    def tasks(self) -> list[dict[str, Any]]:
        """Return the tasks that were ever received."""
        return [json.loads(path.read_text()) for path in sorted(self.folder.glob("task-*.json"))]

    @property
    def tokens(self) -> list[str]:
        """Return the client token of every request for a task, of those that came to nothing, too."""
        log = self.folder / "tokens"
        return log.read_text().split() if log.exists() else []

    def step(self, operation: str) -> Any:
        """Return what happens to the next request, having done what comes before it."""
        path = self.folder / "script.json"
        steps = json.loads(path.read_text()) if path.exists() else {}
        left = steps.get(operation, [])
        step = left.pop(0) if left else None
        path.write_text(json.dumps(steps))
        if step == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        return step

    def _answer(self, request: Any, event_name: str, **_: Any) -> AWSResponse:
        operation = event_name.rpartition(".")[2]
        asked = json.loads(request.body or "{}")
        if operation == "CreateQuantumTask":
            with (self.folder / "tokens").open("a") as log:
                log.write(asked["clientToken"] + "\n")
        step = self.step(operation)
        if isinstance(step, list):
            return _response(request.url, {"message": "no"}, step[1], {"x-amzn-errortype": step[0]})
        told = getattr(self, f"_{operation}")(asked, unquote(request.url.partition("?")[0]).rpartition("/")[2])
        if step == "kill after":
            os.kill(os.getpid(), signal.SIGKILL)
        if step == "lost":
            raise ReadTimeoutError(endpoint_url=request.url)
        return _response(request.url, told, 201 if operation == "CreateQuantumTask" else 200)

    def _GetDevice(self, *_: Any) -> dict[str, Any]:  # noqa: N802
        found: dict[str, Any] = json.loads((self.folder / "device.json").read_text())
        return found

    def _CreateQuantumTask(self, asked: dict[str, Any], _: str) -> dict[str, Any]:  # noqa: N802
        token = asked["clientToken"]
        path = self.folder / f"task-{token}.json"
        if not path.exists():
            path.write_text(json.dumps({"arn": TASK + token, "tags": asked["tags"], "shots": asked["shots"]}))
        return {"quantumTaskArn": TASK + token}

    def _GetQuantumTask(self, _: dict[str, Any], place: str) -> dict[str, Any]:  # noqa: N802
        told = self._told(json.loads((self.folder / f"task-{place}.json").read_text()))
        position = self.step("queue")
        waits = {"status": "QUEUED", "queueInfo": {"queue": "QUANTUM_TASKS_QUEUE", "queuePriority": "Normal", "position": position}}
        return told if position is None else {**told, **waits}

    def _SearchQuantumTasks(self, asked: dict[str, Any], _: str) -> dict[str, Any]:  # noqa: N802
        """One task a page."""
        tasks, start = self.tasks, int(asked.get("nextToken", 0))
        more = {"nextToken": str(start + 1)} if start + 1 < len(tasks) else {}
        return {"quantumTasks": [self._told(task) for task in tasks[start : start + 1]], **more}

    def _told(self, task: dict[str, Any]) -> dict[str, Any]:
        known = {"status": "COMPLETED", "deviceArn": ARN, "deviceParameters": "{}", "createdAt": datetime.now(UTC).isoformat()}
        place = {"outputS3Bucket": "amazon-braket-x", "outputS3Directory": task["arn"].rpartition("/")[2]}
        return {"quantumTaskArn": task["arn"], "shots": task["shots"], "tags": task["tags"], **known, **place}


class Session(AwsSession):  # type: ignore[misc]
    """Braket's session; what S3 would give is made from the task: the rows 00 and 11 by turns."""

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(boto_session=boto3.Session(region_name="us-east-1"), braket_client=cloud.client)
        self.cloud = cloud

    def retrieve_s3_object_body(self, s3_bucket: str, s3_object_key: str) -> str:
        """Return the result file of a task."""
        self.cloud.step("Download")
        token = s3_object_key.partition("/")[0]
        task = json.loads((self.cloud.folder / f"task-{token}.json").read_text())
        text: str = GateModelTaskResult(
            measurements=[[n % 2, n % 2] for n in range(task["shots"])],
            measuredQubits=[0, 1],
            taskMetadata=TaskMetadata(id=task["arn"], shots=task["shots"], deviceId=ARN),
            additionalMetadata=AdditionalMetadata(action=Program(source="OPENQASM 3.0;")),
        ).json()
        return text


class _Body:
    def __init__(self, content: bytes) -> None:
        self._content = content

    def stream(self) -> Iterator[bytes]:
        yield self._content


def _response(url: str, told: dict[str, Any], status: int, headers: dict[str, str] | None = None) -> AWSResponse:
    return AWSResponse(url, status, {"content-type": "application/json", **(headers or {})}, _Body(json.dumps(told).encode()))
