"""`heliograph qpu`: run circuits on quantum processors, and look after the jobs."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..core.errors import ConfigError, QpuConfigError, QpuQueueTimeout, QpuUnavailable, StorageError
from .bench import TellOption
from .output import JsonOption, Output, command

if TYPE_CHECKING:
    from ..protocols.qpu.caps import CapChange
    from ..protocols.qpu.engine import ProviderBackend
    from ..protocols.qpu.jobs import ProviderJob
    from ..protocols.qpu.projects import Project
    from ..protocols.qpu.retries import Patience
    from ..protocols.qpu.samples import Samples

app = typer.Typer(no_args_is_help=True, help="Quantum processors: simulators, fake devices, clouds.")

ProjectOption = Annotated[Path, typer.Option("--project", metavar="DIR", help="Folder with settings, ledger and records of the jobs.")]
TimeoutOption = Annotated[float | None, typer.Option("--timeout", min=0, metavar="SECONDS", help="How long to wait; the job goes on afterwards.")]
JobArgument = Annotated[str, typer.Argument(metavar="JOB", help="Name of the job, or the beginning of it.")]
HOME = Path("qpu")
MOST_ROWS = 16
RESUME = "qpu resume"
CLOUDS = ("ibm:", "braket:arn:")
NO_JOB = "Whether a job was sent is in the ledger: heliograph qpu jobs."
_COME_BACK = re.compile(rf"heliograph {RESUME} ([0-9a-f]{{32}})")


class Limit(StrEnum):
    """What the budget of a project limits."""

    usd = "usd"
    qpu_seconds = "qpu_seconds"
    shots = "shots"
    jobs = "jobs"


@app.command("list")
def listed(
    devices: Annotated[bool, typer.Option("--devices", help="List the fake devices, too.")] = False,
    json_output: JsonOption = False,
) -> None:
    """List the kinds of back-ends and whether what they need is installed."""
    with command(json_output) as out:
        from ..protocols.qpu.factory import KNOWN
        from ..protocols.qpu.notice import NOTICE

        rows = [{"config": one.config, "what": one.what, "installed": one.installed, "cloud": one.cloud} for one in KNOWN]
        out.table("Back-ends", ["name", "what it is", "installed", "leaves this machine"], [tuple(row.values()) for row in rows])
        names: list[str] = []
        if devices:
            from ..protocols.qpu.fakes import fake_names

            names = fake_names()
            out.say(f"Fake devices: {', '.join(names)}")
        out.say(f"In a cloud: {NOTICE}")
        out.result({"backends": rows, "devices": names, "notice": NOTICE})


@app.command("run")
def run(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Circuit in OpenQASM 2 or 3.")],
    backend: Annotated[str | None, typer.Option("--backend", metavar="NAME", help="A name from `qpu list`; by default the project's.")] = None,
    shots: Annotated[int, typer.Option(min=1, help="Shots.")] = 1000,
    param: Annotated[list[str] | None, typer.Option("--param", metavar="NAME=RAD", help="Value of a parameter, in rad; may be repeated.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of a simulation.")] = None,
    project: ProjectOption = HOME,
    timeout: TimeoutOption = None,
    tell: TellOption = None,
    json_output: JsonOption = False,
) -> None:
    """Run a circuit and record its samples.

    Nothing goes to a cloud until the budget in the project's qpu.toml allows it.
    """
    with command(json_output) as out, _telling(out, tell, project):
        from ..protocols.qpu.factory import open_backend
        from ..protocols.qpu.interface import Work
        from ..protocols.qpu.projects import Project
        from ..protocols.qpu.qasm import load_qasm

        circuit, home = load_qasm(file), Project(project)
        out.if_interrupted = NO_JOB
        chosen = open_backend(backend, home, patience=waiting(out, backend or home.settings.backend))
        notice = _notice(out, chosen)
        work = Work.of(circuit, dict(_pair(text) for text in param or ()))
        with coming_back(project):
            job = chosen.submit([work], shots, seed=seed)
        out.if_interrupted = goes_on(job.uuid, project)
        if not chosen.immediate:
            out.say(f"Job {job.uuid} is in the ledger of {home.folder}.")
        if chosen.name.startswith("outside:"):
            out.say(f"Next: heliograph qpu export {job.uuid} --project {project}")
            out.result({"job": job.uuid, "backend": chosen.name, "state": str(job.status()), "notice": None}, simulated=False)
            return
        with coming_back(project):
            found = _waited(out, job, timeout)
        _show(out, job.uuid, found, chosen.name, notice)


@app.command("jobs")
def jobs(project: ProjectOption = HOME, tell: TellOption = None, json_output: JsonOption = False) -> None:
    """List the jobs of a project, those without an answer, and what is left of the budget. Nobody is asked: positions are those that were last told."""
    with command(json_output) as out:
        from ..protocols.qpu import budget

        home = opened(project)
        if tell is not None:
            from ..control.parties.telling import tell_jobs

            tell_jobs(tell, home, out.warn)
        found = list(home.ledger.jobs().values())
        rows = [
            {
                "job": job.uuid,
                "backend": job.intent["backend"],
                "state": job.state,
                "works": job.intent["works"],
                "shots": job.intent["shots"],
                "t_ns": job.intent["t_ns"],
                "position": job.position,
                "provider_ids": list(job.provider_ids.values()),
                "reason": job.reason or job.error,
                "by_hand": bool(job.imported),
            }
            for job in found
        ]
        out.table(
            "Jobs",
            ["job", "back-end", "state", "queue", "works", "shots"],
            [
                (row["job"], row["backend"], f"{row['state']}{', by hand' * row['by_hand']}", _place(row["position"]), row["works"], row["shots"])
                for row in rows
            ],
        )
        lost = [job.uuid for job in found if job.unanswered]
        for uuid in lost:
            out.warn(f"nobody knows whether {uuid} was sent: `heliograph qpu resume {uuid}` looks for it")
        remaining = budget.left(home.settings.budget, budget.spent(found))
        out.say("Left for clouds: " + ", ".join(f"{name} {value:,.12g}" for name, value in remaining.items()))
        out.result({"jobs": rows, "unanswered": lost, "budget_left": remaining})


@app.command("cap")
def cap(
    limit: Annotated[Limit | None, typer.Argument(metavar="LIMIT", help="Which cap: usd, qpu_seconds, shots or jobs; without it all are listed.")] = None,
    most: Annotated[float | None, typer.Argument(metavar="MOST", min=0, help="The new cap, in USD, seconds, shots or jobs.")] = None,
    why: Annotated[str, typer.Option("--why", metavar="TEXT", help="Reason of the change, for the ledger.")] = "",
    was: Annotated[float | None, typer.Option("--was", min=0, help="Change it only if this is the cap now; 0 where nothing is said.")] = None,
    who: Annotated[str, typer.Option("--who", hidden=True, help="Who asked for it, where that is another process.")] = "",
    project: ProjectOption = HOME,
    tell: TellOption = None,
    json_output: JsonOption = False,
) -> None:
    """Show what cloud jobs of a project may take together, and who changed it; or change one cap, with a reason.

    A cap is never set below what is spent or reserved. The change is in the ledger and in the project's qpu.toml, and holds from the next job on.
    """
    with command(json_output) as out:
        from ..protocols.qpu.projects import Project

        if (limit is None) != (most is None):
            raise typer.BadParameter("name the cap and its new value, such as `usd 10`")
        home = Project(project) if limit is not None else opened(project)
        changed = None if limit is None or most is None else _changed(out, home, limit, most, why, was, who)
        if tell is not None:
            from ..control.parties.telling import tell_jobs

            tell_jobs(tell, home, out.warn)
        _show_caps(out, home, changed)


def _changed(out: Output, home: Project, limit: Limit, most: float, why: str, was: float | None, who: str) -> CapChange:
    from ..instruments.guard.local_sockets import who as who_of
    from ..protocols.qpu.caps import UNITS, change_cap

    changed = change_cap(home, limit.value, most, who=who or who_of(os.getpid(), os.getuid()), why=why, was=was)
    unit = UNITS[changed.limit]
    out.say(f"The cap is {changed.new:,.12g} {unit} now; it was {changed.old:,.12g} {unit}.")
    if limit is Limit.usd and changed.new > 0:
        out.note("With a cap in USD, jobs are refused whose price the provider does not tell, as IBM's.")
    return changed


def _show_caps(out: Output, home: Project, changed: CapChange | None) -> None:
    from ..protocols.qpu.caps import caps, changes

    now, made = caps(home), changes(home)
    out.table("Caps of cloud jobs", ["limit", "spent or reserved", "cap", "unit"], [(one.limit, one.spent, one.most or 0, one.unit) for one in now])
    if made:
        heads = ["when", "limit", "from", "to", "who", "why"]
        out.table("Changes", heads, [(_clock(one.t_ns), one.limit, one.old, one.new, one.who, one.why) for one in made])
    last = {one.limit: one.new for one in made}
    for one in now:
        if last.get(one.limit, one.most or 0.0) != (one.most or 0.0):
            out.note(f"The cap of {one.limit} was changed by hand since, or a change was cut short: {home.folder / 'qpu.toml'}")
    rows = {"caps": [asdict(one) for one in now], "changes": [asdict(one) for one in made]}
    out.result({"project": home.folder, "changed": None if changed is None else asdict(changed), **rows})


@app.command("resume")
def resume(
    job: JobArgument,
    lost: Annotated[bool, typer.Option("--lost", help="Give up a job without an answer, when the provider does not know it after ten minutes.")] = False,
    cancel: Annotated[bool, typer.Option("--cancel", help="Ask the provider to give the job up.")] = False,
    project: ProjectOption = HOME,
    timeout: TimeoutOption = None,
    tell: TellOption = None,
    json_output: JsonOption = False,
) -> None:
    """Come back to a job: wait for the samples of all its works, or read them again. Nothing is submitted."""
    with command(json_output) as out, _telling(out, tell, project):
        from ..protocols.qpu.factory import open_backend
        from ..protocols.qpu.jobs import recorded_samples

        home = opened(project)
        history = home.ledger.job(job)
        name = str(history.intent["backend"])
        if history.recorded:
            _show(out, history.uuid, recorded_samples(home, history.uuid, history.sha256), name, None)
            return
        out.if_interrupted = goes_on(history.uuid, project)
        chosen = open_backend(name, home, patience=waiting(out, name))
        if lost:
            given_up = chosen.give_up(history.uuid)
            out.say(f"Job {history.uuid} is {'given up; its cost is free again' if given_up else 'known to the provider after all'}.")
            out.result({"job": history.uuid, "backend": name, "state": home.ledger.job(history.uuid).state})
            return
        with coming_back(project):
            resumed = chosen.resume(history.uuid)
        if cancel:
            state = resumed.cancel()
            out.say(f"Job {history.uuid} is {state}.")
            out.result({"job": history.uuid, "backend": name, "state": str(state)})
            return
        with coming_back(project):
            found = _waited(out, resumed, timeout)
        _show(out, history.uuid, found, name, _notice(out, chosen))


@app.command("export")
def export(
    job: JobArgument,
    qasm2: Annotated[bool, typer.Option("--qasm2", help="Write OpenQASM 2.")] = False,
    qasm3: Annotated[bool, typer.Option("--qasm3", help="Write OpenQASM 3, the default.")] = False,
    records: Annotated[bool, typer.Option("--records", help="Write the recorded samples instead, account numbers masked.")] = False,
    folder: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where to write.")] = Path(),
    project: ProjectOption = HOME,
    json_output: JsonOption = False,
) -> None:
    """Write the circuits of a job for somebody else to run, and the result file to fill in."""
    with command(json_output) as out:
        from ..protocols.qpu.exchange import export_job
        from ..protocols.qpu.records import for_others, read_record, store

        if qasm2 + qasm3 + records > 1:
            raise typer.BadParameter("choose one of --qasm2, --qasm3 and --records")
        if not folder.is_dir():
            raise ConfigError("there is no such folder", where=str(folder), remedy="Make it, or name another for --out.")
        home = opened(project)
        history = home.ledger.job(job)
        if records:
            if not history.sha256:
                raise QpuConfigError("the job has no samples", where=f"job {history.uuid}", remedy="Wait for them: heliograph qpu resume.")
            written = []
            for work in sorted(history.sha256):
                written.append(folder / home.record_path(history.uuid, work).name)
                store(written[-1], for_others(read_record(home.record_path(history.uuid, work))))
        else:
            written = export_job(home, history.uuid, folder, "qasm2" if qasm2 else "qasm3")
        for path in written:
            out.say(f"Wrote {path}")
        out.result({"job": history.uuid, "files": written})


@app.command("import")
def import_(
    result: Annotated[Path, typer.Argument(metavar="RESULT", help="The filled result file, or a record file.")],
    job: Annotated[
        str | None, typer.Option("--job", metavar="JOB", help="The job of this project that a record is the result of, where its name does not say so.")
    ] = None,
    project: ProjectOption = HOME,
    json_output: JsonOption = False,
) -> None:
    """Take in what somebody else measured; it is recorded, and replays like any other job.

    Where it is the result of a job of this project, the ledger says that the job was completed by hand. A record of another project only replays.
    """
    with command(json_output) as out:
        from ..protocols.qpu.exchange import import_result

        home = opened(project)
        taken = import_result(home, result, job)
        state = home.ledger.job(taken.name).state if taken.in_ledger else "recorded"
        out.say(f"{taken.name}: {taken.works} works taken in, {state}.")
        if not taken.in_ledger:
            out.say(f"It is of no job of this project: the ledger does not know it, and no budget is touched. It replays: --backend recorded:{project}")
        out.result({"job": taken.name, "works": taken.works, "state": state, "in_ledger": taken.in_ledger})


def opened(project: Path) -> Project:
    """Return a project that is there already. Raises StorageError if it is not."""
    from ..protocols.qpu.projects import Project

    if not project.is_dir():
        raise StorageError("there is no such project folder", where=str(project), remedy="Name it with --project, or run something first.")
    return Project(project)


def to_come_back(uuid: str, project: Path | None, words: str = RESUME) -> str:
    """Return the command that comes back to a job; it names the folder where that is not the usual one."""
    place = "" if project in {None, HOME} else f" --project {quote(str(project))}"
    return f"heliograph {words} {uuid}{place}"


def goes_on(uuid: str, project: Path | None, words: str = RESUME) -> str:
    """Return what to say of a job where the wait for it is interrupted."""
    return f"The job goes on. To come back to it: {to_come_back(uuid, project, words)}"


def waiting(out: Output, name: str) -> Patience:
    """Say that a cloud is asked, and return the patience that says what failed and is asked again."""
    from ..protocols.qpu.retries import Patience

    if name.startswith(CLOUDS):
        out.note(f"Asking for {name}. What does not answer is asked again, for 15 min at most; Ctrl-C ends it.")
    return Patience(told=out.warn)


@contextmanager
def coming_back(project: Path | None, words: str = RESUME) -> Iterator[None]:
    """Let an end of the wait, and an answer that never came, tell how to come back to the job as `to_come_back` does."""
    try:
        yield
    except (QpuQueueTimeout, QpuUnavailable) as error:
        error.remedy = _COME_BACK.sub(lambda found: to_come_back(found[1], project, words), error.remedy)
        raise


def _notice(out: Output, backend: ProviderBackend) -> str | None:
    from ..protocols.qpu.notice import NOTICE

    if not backend.cloud:
        return None
    out.warn(NOTICE)
    for uuid in backend.unanswered():
        out.warn(f"nobody knows whether {uuid} was sent: `heliograph qpu resume {uuid}` looks for it")
    return NOTICE


@contextmanager
def _telling(out: Output, station: Path | None, project: Path) -> Iterator[None]:
    """Tell the owner of a station's bench of the project's jobs meanwhile."""
    if station is None:
        yield
        return
    from ..control.parties.telling import telling_jobs

    with telling_jobs(station, project, out.warn):
        yield


def _waited(out: Output, job: ProviderJob, timeout: float | None) -> list[Samples]:
    waiting = f"Waiting for {job.uuid[:8]}"
    with out.progress(waiting, total=1) as bar:
        job.seen = lambda one: bar.say(waiting if one.position is None else f"{waiting}, position {one.position} in the queue")
        samples = job.result(timeout)
        bar.step()
    return samples


def _clock(t_ns: int) -> str:
    return datetime.fromtimestamp(t_ns / 1e9, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _place(position: int | None) -> str:
    return "-" if position is None else str(position)


def _pair(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        return name, float(value)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is not NAME=RAD", param_hint="--param") from error


def _show(out: Output, uuid: str, found: list[Samples], backend: str, notice: str | None) -> None:
    """Show the samples of every work; scripts get those of a single one beside the list, too."""
    works: list[dict[str, Any]] = []
    for number, samples in enumerate(found):
        counts = samples.counts()
        _show_work(out, samples, counts, backend, f"Work {number}: " if len(found) > 1 else "")
        works.append({"cregs": [list(one) for one in samples.cregs], "counts": counts, "sha256": samples.meta.get("sha256")})
    out.say(f"Job {uuid}")
    payload = {"job": uuid, "backend": backend, "state": "DONE", "shots": found[0].shots, "works": works, "notice": notice}
    simulated = any(samples.meta.get("simulated", True) for samples in found)
    out.result(payload | (works[0] if len(works) == 1 else {}), simulated=simulated)


def _show_work(out: Output, samples: Samples, counts: dict[str, int], backend: str, which: str) -> None:
    rows = sorted(counts.items(), key=lambda row: -row[1])
    bits = " ".join(f"{name}[{size}]" for name, size in samples.cregs)
    out.say(f"{which}{samples.shots} shots on {backend}, classical bit 0 first ({bits})")
    out.table("Samples", ["bits", "shots", "share"], [(text, n, n / samples.shots) for text, n in rows[:MOST_ROWS]])
    if len(rows) > MOST_ROWS:
        out.say(f"and {len(rows) - MOST_ROWS} more")
