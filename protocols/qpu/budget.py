"""The budget guard: it stands before every cloud and lets nothing out that the project has not allowed on purpose."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ...core.errors import QpuBudgetExceeded
from .interface import Cost
from .ledger import JobHistory
from .settings import FILE, Budget


@dataclass(frozen=True, slots=True)
class Spent:
    """What the cloud jobs of a project took so far; where a job has told its time on the device, that one counts instead of what was reserved."""

    jobs: int = 0
    shots: int = 0
    usd: float = 0.0
    qpu_seconds: float = 0.0


def spent(jobs: Iterable[JobHistory]) -> Spent:
    """Add up the parts of cloud jobs that were not refused, unsent, failed, cancelled or given up as lost."""
    total = Spent()
    for job in jobs:
        if job.intent["cloud"] and job.counts:
            cost = job.cost
            seconds = cost["qpu_seconds"] if job.usage is None else job.usage
            total = Spent(total.jobs + 1, total.shots + cost["shots"], total.usd + (cost["usd"] or 0), total.qpu_seconds + (seconds or 0))
    return total


def left(budget: Budget, used: Spent) -> dict[str, float | None]:
    """Return what is left of each limit."""
    return {
        "jobs": budget.max_jobs - used.jobs,
        "shots": budget.max_shots - used.shots,
        "usd": (budget.max_usd or 0) - used.usd,
        "qpu_seconds": (budget.max_qpu_seconds or 0) - used.qpu_seconds,
    }


def check(budget: Budget, used: Spent, cost: Cost, where: str) -> None:
    """Raise QpuBudgetExceeded, which carries cost and what is left, unless the job fits every limit."""
    remaining = left(budget, used)
    asked: dict[str, float | None] = {"jobs": 1, "shots": cost.shots, "usd": cost.usd, "qpu_seconds": cost.qpu_seconds}
    # A provider that counts time tells no price; one that tells neither may cost anything.
    unknown = cost.usd is None and (budget.max_usd is not None or cost.qpu_seconds is None)
    over = [name for name, most in remaining.items() if (asked[name] or 0) > (most or 0)]
    if unknown:
        raise QpuBudgetExceeded("nobody knows what the job would cost; nothing was sent", asked, remaining, where=where, remedy=f"See [budget] in {FILE}.")
    if over:
        listed = ", ".join(f"{name}: {asked[name]:g} asked, {remaining[name]:g} left" for name in over)
        raise QpuBudgetExceeded(
            f"the budget does not cover it ({listed}); nothing was sent", asked, remaining, where=where, remedy=f"Raise [budget] in {FILE}: heliograph qpu cap."
        )
