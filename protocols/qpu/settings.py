"""What a project says about its back-ends: `qpu.toml` in its folder. Names and limits only; credentials have no place in it."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from ...core.errors import QpuConfigError

FILE = "qpu.toml"
_ABOVE_0 = ("seconds_per_job", "minutes_per_task")


@dataclass(frozen=True, slots=True)
class Budget:
    """What cloud jobs of a project may take together. The defaults let nothing out; local back-ends have no budget.

    max_jobs, max_shots: over all jobs that were not refused, failed or cancelled.  max_usd: where the provider tells a price; unset counts as 0, and with it
    a price that nobody knows is refused.  max_qpu_seconds: where the provider counts time; unset counts as 0.
    """

    max_jobs: int = 0
    max_shots: int = 0
    max_usd: float | None = None
    max_qpu_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """A project's settings.

    backend: used where none is named.  seed: of simulations, None draws a new one.  seed_transpiler, optimization_level: of the compilation for IBM devices
    and fakes.  s3_bucket, s3_prefix: where Braket puts results.  fee_per_task_usd: Braket's fee a task, which devices do not tell.  minutes_per_task: at most,
    for Braket devices paid by the minute.  seconds_per_job: what one IBM job may take on the device; it is reserved and enforced by the service. Of
    neither 0 is allowed (QpuConfigError): vendors take it for no limit.
    """

    backend: str = "local"
    seed: int | None = None
    seed_transpiler: int = 0
    optimization_level: int = 1
    s3_bucket: str | None = None
    s3_prefix: str = "heliograph"
    fee_per_task_usd: float = 0.3
    minutes_per_task: float | None = None
    seconds_per_job: int = 60
    budget: Budget = field(default_factory=Budget)

    def __post_init__(self) -> None:
        for name in _ABOVE_0:
            _limited(name, getattr(self, name), "settings")


def load_settings(folder: Path) -> Settings:
    """Read `qpu.toml` of a folder; without one the defaults hold. Raises QpuConfigError naming file and key."""
    path = folder / FILE
    try:
        raw = tomllib.loads(path.read_text())
    except FileNotFoundError:
        return Settings()
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise QpuConfigError(f"the settings cannot be read ({error})", where=str(path), remedy="Mend the file.") from error
    budget = raw.pop("budget", {})
    if not isinstance(budget, dict):
        raise QpuConfigError("budget is a table", where=str(path), remedy="Write [budget] and its limits below it.")
    return Settings(**_checked(Settings, raw, str(path)), budget=Budget(**_checked(Budget, budget, f"{path}, budget")))


def _limited(name: str, value: object, where: str) -> None:
    if name in _ABOVE_0 and isinstance(value, int | float) and not value > 0:
        raise QpuConfigError(f"{name} is {value!r}, which a vendor takes for no limit", where=where, remedy="Give a number above 0.")


def _checked(kind: type[Settings | Budget], raw: dict[str, Any], where: str) -> dict[str, Any]:
    known = {one.name: str(one.type) for one in fields(kind) if one.name != "budget"}
    if unknown := raw.keys() - known.keys():
        raise QpuConfigError(f"{', '.join(sorted(unknown))} is no setting", where=where, remedy=f"There are: {', '.join(known)}.")
    for name, value in raw.items():
        expected: tuple[type, ...] = (str,) if "str" in known[name] else (int, float) if "float" in known[name] else (int,)
        if not isinstance(value, expected) or isinstance(value, bool):
            # A text is not quoted: it may be a credential that was put here by mistake.
            told = repr(value) if isinstance(value, int | float) else f"of the kind {type(value).__name__}"
            raise QpuConfigError(f"{name} is {told}", where=where, remedy=f"Give it as {known[name]}.")
        if isinstance(value, int | float) and not 0 <= value < float("inf"):
            raise QpuConfigError(f"{name} is {value!r}", where=where, remedy="Give a number from 0 up.")
        _limited(name, value, where)
    return raw
