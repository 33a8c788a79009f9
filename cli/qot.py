"""`heliograph qot`: how good a back-end's states are, and inference without showing data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..core.errors import ConfigError, StorageError
from .output import JsonOption, Output, command
from .qpu import HOME, NO_JOB, TimeoutOption, coming_back, goes_on, opened, to_come_back, waiting

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..protocols.qot.characterise import Characterised, Sweep
    from ..protocols.qot.inference import Inference, Plan
    from ..protocols.qot.sealed_images import SealedImages
    from ..protocols.qot.sealed_inference import Role
    from ..protocols.qot.tasks import Images
    from ..protocols.qot.tasks import Task as QotTask
    from ..protocols.qot.training import Trained
    from ..protocols.qpu.engine import ProviderBackend

app = typer.Typer(no_args_is_help=True, help="Oblivious transfer on quantum processors, and inference made of it.")
BackendOption = Annotated[str, typer.Option("--backend", metavar="NAME", help="A name from `qpu list`; or a law: law:santiago, law:ideal, law:cx=0.05.")]
ProjectOption = Annotated[Path | None, typer.Option("--project", metavar="DIR", help="Folder in which jobs are remembered; clouds need one.")]
COME_BACK = "qot characterise --job"
STATES = 20_000
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Seed of simulations.")]


class Circuit(StrEnum):
    """The circuits that prepare a state."""

    paper = "paper"
    one_ccx = "one_ccx"
    rccx = "rccx"


class TaskName(StrEnum):
    """What is inferred."""

    mnist01 = "mnist01"
    cifar10 = "cifar10"
    mednist = "mednist"
    digits = "digits"


class OpeningName(StrEnum):
    """How outputs are opened."""

    counted = "counted"
    shots = "shots"


@app.command("characterise")
def characterise(
    ctx: typer.Context,
    backend: BackendOption = "local",
    shots: Annotated[int, typer.Option(min=1, help="States to measure.")] = STATES,
    circuit: Annotated[Circuit, typer.Option(help="Circuit of a state: 12, 8 or 5 CNOTs where all qubits are coupled.")] = Circuit.paper,
    draw: Annotated[bool, typer.Option("--draw", help="Draw the circuit before and after compilation: qot-circuits.svg.")] = False,
    sweep: Annotated[bool, typer.Option("--sweep", help="Draw an estimated inner product against shots for several CNOT errors: qot-sweep.svg.")] = False,
    folder: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where figures are written.")] = Path(),
    project: ProjectOption = None,
    timeout: TimeoutOption = None,
    job: Annotated[
        str | None, typer.Option("--job", metavar="JOB", help="Finish a job that was sent before; back-end, circuit, states and seed are its own.")
    ] = None,
    seed: SeedOption = 0,
    json_output: JsonOption = False,
) -> None:
    """Run the circuit of a state and estimate the error of a transfer, with its interval and by input.

    A job that takes long is finished later with --job, from the ledger in the folder `qpu` or in --project; nothing is sent again.
    """
    with command(json_output) as out:
        from ..protocols.qot import characterise as room
        from ..protocols.qot.circuits import state_circuit
        from ..protocols.qpu.interface import Work

        if draw or sweep:
            _check_folder(folder, "--out")
        out.if_interrupted = NO_JOB
        chosen = room.open_states(backend, project, patience=waiting(out, backend)) if job is None else None
        if chosen is not None:
            _tell_cloud(out, chosen.cloud)
            found = _sent(out, chosen, backend, seed, project, timeout, shots=shots, circuit=circuit)
        else:
            _check_only(ctx, "--job", ("backend", "shots", "circuit", "seed"))
            found = _come_back(out, str(job), project or HOME, timeout)
        _tell_device(out, found)
        told: dict[str, Any] = dict(found.as_dict())
        if draw:
            from ..protocols.qot.plots import circuits_figure

            before = state_circuit(found.circuit)
            where = chosen or room.open_states(found.backend, project or HOME)
            _draw(out, folder / "qot-circuits.svg", circuits_figure(before, where.compiled(Work(before))))
        if sweep:
            from ..protocols.qot.plots import sweep_figure

            curves = room.sweep(circuit=found.circuit)
            _tell_sweep(out, curves)
            _draw(out, folder / "qot-sweep.svg", sweep_figure(curves))
            told["sweep"] = curves
        out.result(told, simulated=found.simulated)


@app.command("infer")
def infer(
    ctx: typer.Context,
    task: Annotated[TaskName, typer.Option("--task", help="digits is built in; `heliograph data list` tells which data the others need.")] = TaskName.digits,
    backend: BackendOption = "law:santiago",
    shots: Annotated[int, typer.Option("--shots", min=1, help="Shots of one inner product.")] = 2000,
    images: Annotated[int | None, typer.Option("--images", min=1, help="Test images; by default those of the task.")] = None,
    wanted_loss: Annotated[float, typer.Option("--wanted-loss", min=0, max=1, help="Accuracy that the noise may cost, such as .005.")] = 0.005,
    opening: Annotated[OpeningName, typer.Option(help="Open one count an output by an aggregator, or every shot to Alice.")] = OpeningName.counted,
    check: Annotated[int | None, typer.Option("--check", min=0, help="Images to play gate by gate as well.")] = None,
    adapt: Annotated[bool, typer.Option("--adapt", help="Train anew, for the noise that this back-end leaves.")] = False,
    full: Annotated[bool, typer.Option("--full", help="As wide, and on as many images, as published; hours on a small machine.")] = False,
    further: Annotated[
        int | None, typer.Option("--further-epochs", min=1, metavar="N", help="Epochs after the shared ones, with noise and without; more narrow the gap.")
    ] = None,
    plots: Annotated[Path | None, typer.Option("--plots", metavar="DIR", help="Draw accuracy by epoch and confusion into this folder.")] = None,
    store: Annotated[Path | None, typer.Option("--store", metavar="DIR", help="Key stores: some images then go between machines under their key.")] = None,
    samples: Annotated[int | None, typer.Option("--samples", min=1, help="Images that do, with --store; 1 by default.")] = None,
    pair: Annotated[str | None, typer.Option("--pair", metavar="A-B", help="Alice and Bob; by default the first two parties of the stores.")] = None,
    aggregator: Annotated[str | None, typer.Option("--aggregator", metavar="NAME", help="Who counts, by default another party of the stores.")] = None,
    project: ProjectOption = None,
    timeout: TimeoutOption = None,
    job: Annotated[
        str | None, typer.Option("--job", metavar="JOB", help="Plan by the states of a job that was sent before; the back-end is its own, and nothing is sent.")
    ] = None,
    seed: SeedOption = 0,
    json_output: JsonOption = False,
) -> None:
    """Classify images by a network whose last layers are evaluated by oblivious transfer.

    The network is trained on first use and kept. Block, repetitions and scale are chosen from the measured error, and what it will take is said before it
    starts. Key is only computed, unless --store names stores: then some images go between Alice, Bob and the aggregator over sealed lines, and their key is
    spent and booked. Their states and draws are fresh: --seed does not settle them.

    A cloud that takes long is waited for no longer than --timeout; its states are used later with --job, and paid once.
    """
    with command(json_output) as out:
        from ..protocols.qot.characterise import open_states
        from ..protocols.qot.inference import infer as evaluate
        from ..protocols.qot.inference import make_plan
        from ..protocols.qot.tasks import find_task

        if plots is not None:
            _check_folder(plots, "--plots")
        # A wrong name is said before anything is trained.
        roles = _roles(store, samples, pair, aggregator, opening)
        out.if_interrupted = "What was trained and measured is kept. Run it again."
        again = f"qot infer {_given(ctx, 'backend', 'project', 'timeout', 'job', 'json_output')} --job".replace("  ", " ")
        if job is not None:
            _check_only(ctx, "--job", ("backend",))
            opened(project or HOME).ledger.job(job)
        where, chosen = None if job is not None else open_states(backend, project, patience=waiting(out, backend)), find_task(task.value, full=full)
        chosen = chosen if further is None else chosen.cut(aided=further)
        _tell_cloud(out, where is not None and where.cloud)
        data = chosen.load(seed)
        found = _trained(out, chosen, data, seed)
        data = data if images is None else data.tested_on(images)

        def planned(device: Characterised) -> Plan:
            return make_plan(found, data, device, shots, wanted_loss=wanted_loss, opening=opening.value, seed=seed)

        if where is not None:
            plan = _measured(out, backend, where, seed, planned, project, timeout, again)
        else:
            plan = planned(_come_back(out, str(job), project or HOME, timeout, again))
        if plan.device.job and (where is None or where.project is not None):
            out.if_interrupted = f"What was trained and measured is kept. Again: {to_come_back(plan.device.job, project, again)}"
        if adapt:
            found = _adapted(out, found, data, plan)
            plan = planned(plan.device)
        _tell_plan(out, plan)
        sealed = None if store is None else _sealed(out, store, roles, plan, data, samples or 1)
        with out.progress("Inferring", total=plan.prediction.images) as bar:
            result = evaluate(plan, data, seed=seed, check=check, progress=lambda done, _: bar.to(done))
        _tell(out, result)
        if plots is not None:
            from ..protocols.qot.plots import accuracy_figure, confusion_figure

            _draw(out, plots / f"{task.value}-accuracy.svg", accuracy_figure(found))
            _draw(out, plots / f"{task.value}-confusion.svg", confusion_figure(result))
        told = {**result.as_dict(), "sealed": None if sealed is None else sealed.as_dict()}
        out.result(told, simulated=True, security=result.statement if sealed is None else sealed.statement)


def _roles(store: Path | None, samples: int | None, pair: str | None, aggregator: str | None, opening: OpeningName) -> dict[Role, str]:
    from ..control.parties.lines import choose_roles

    if store is not None:
        return choose_roles(store, pair, aggregator, counted=opening is OpeningName.counted)
    for option, value in (("--samples", samples), ("--pair", pair), ("--aggregator", aggregator)):
        if value is not None:
            raise typer.BadParameter("it says how key of stores is used: name them with --store", param_hint=option)
    return {}


def _sealed(out: Output, store: Path, roles: dict[Role, str], plan: Plan, data: Images, n: int) -> SealedImages:
    """Let some images go between machines. All that is secret, Trent's states too, comes from the operating system: no seed gives it again."""
    from ..control.parties.lines import sealed_lines
    from ..protocols.qot.sealed_images import infer_sealed

    with sealed_lines(store, roles) as (keys, lines), out.progress("Between machines", total=1.0) as bar:
        found = infer_sealed(plan, data, n, lines, statements=keys.statements(), progress=lambda done, total: bar.to(done / total))
    drawn, foreseen = found.sealing.drawn_bits, found.sealing.predicted_bits
    out.table(f"Key spent on images between machines: {n} (bits)", ["pair", "foreseen", "spent"], [(one, foreseen[one], drawn[one]) for one in drawn])
    out.say(f"All {len(data.test):,} images would take {found.task_bits:,} bits of pads this way. Right among these: {found.correct:.0%}.")
    return found


def _trained(out: Output, task: QotTask, data: Images, seed: int) -> Trained:
    from ..protocols.qot.training import load, model_path, trained

    if (kept := load(task, seed)) is not None:
        return kept
    out.note(f"Training {task.name} on first use; the network is kept in {model_path(task, seed).parent}.")
    with out.progress(f"Training {task.name}", total=1.0) as bar:
        return trained(task, data, seed, progress=lambda done, total: bar.to(done / total))


def _adapted(out: Output, found: Trained, data: Images, plan: Plan) -> Trained:
    from ..protocols.qot.inference import noise_left
    from ..protocols.qot.training import adapted

    noise = noise_left(plan.device, plan.choice, plan.choice.knobs[0].shots)
    with out.progress(f"Training for an error of {noise.error:.3g}", total=1.0) as bar:
        return adapted(found, data, noise, progress=lambda done, total: bar.to(done / total))


def _measured(
    out: Output,
    name: str,
    backend: ProviderBackend,
    seed: int,
    plan: Callable[[Characterised], Plan],
    project: Path | None,
    timeout: float | None,
    again: str,
) -> Plan:
    """Measure the device and plan; measure once more, with more states, where the plan asks for an error that is better known."""
    from ..protocols.qot.inference import more_states

    device = _sent(out, backend, name, seed, project, timeout, words=again)
    found = plan(device)
    more = more_states(device, found.layers)
    if not more or backend.cloud:
        return found
    return plan(_sent(out, backend, name, seed, project, timeout, shots=device.shots + more, words=again))


def _given(ctx: typer.Context, *left_out: str) -> str:
    """Return the options that were given to a command, as they are written, but for some."""
    words: list[str] = []
    for one in ctx.command.params:
        source = ctx.get_parameter_source(one.name or "")
        if source is not None and source.name == "COMMANDLINE" and one.name not in left_out:
            value = ctx.params[one.name or ""]
            words += [one.opts[0], *([] if value is True else [quote(str(value))])]
    return " ".join(words)


def _tell_cloud(out: Output, cloud: bool) -> None:
    """Say what a cloud sees before anything goes there."""
    from ..protocols.qpu.notice import NOTICE

    if cloud:
        out.warn(NOTICE)


def _sent(
    out: Output,
    chosen: ProviderBackend,
    name: str,
    seed: int,
    project: Path | None,
    timeout: float | None,
    *,
    shots: int = STATES,
    circuit: Circuit = Circuit.paper,
    words: str = COME_BACK,
) -> Characterised:
    """Measure states, saying before the wait how to come back to them."""
    from ..protocols.qot.characterise import characterise

    def told(uuid: str) -> None:
        if not chosen.immediate:
            out.if_interrupted = goes_on(uuid, project, words)
            out.say(f"Job {uuid} is sent. To come back to it: {to_come_back(uuid, project, words)}")

    own = seed if chosen.simulated else None
    with coming_back(project, words):
        return characterise(name, shots, circuit=circuit.value, seed=own, backend=chosen, timeout=timeout, sent=told)


def _come_back(out: Output, job: str, project: Path, timeout: float | None, words: str = COME_BACK) -> Characterised:
    """Wait for the states of a job, or read them again."""
    from ..protocols.qot.characterise import finish

    home = opened(project)
    history = home.ledger.job(job)
    out.if_interrupted = goes_on(history.uuid, project, words)
    _tell_cloud(out, history.intent["cloud"] and not history.recorded)
    with coming_back(project, words), out.progress(f"Waiting for {history.uuid[:8]}", total=1) as bar:
        found = finish(history.uuid, home, timeout=timeout)
        bar.step()
    return found


def _check_only(ctx: typer.Context, option: str, others: Sequence[str]) -> None:
    """Refuse options that say again, or otherwise, what another one settles."""
    given = [name for name in others if (source := ctx.get_parameter_source(name)) is not None and source.name == "COMMANDLINE"]
    if given:
        raise typer.BadParameter(f"--{given[0]} is that of the job", param_hint=option)


def _tell_device(out: Output, found: Characterised) -> None:
    gates = "a law" if found.cx_count is None else f"{found.cx_count} two-qubit gates"
    out.say(f"{found.backend}, circuit {found.circuit} ({gates}), {found.shots:,} states")
    out.say(f"Error of a transfer {found.error:.4f}, 95 % interval {found.error_low:.4f} to {found.error_high:.4f}")
    out.table("Error by input", ["b1 b0 s", "error"], [(f"{n:03b}", value) for n, value in enumerate(found.per_input)])
    if found.job:
        out.say(f"Job {found.job}")


def _tell_sweep(out: Output, found: Sweep) -> None:
    rows = [(cx, error, row[-1], deviation[-1]) for cx, error, row, deviation in zip(*_columns(found), strict=True)]
    out.table(f"Inner product {found.product:g} at {found.shots[-1]:,} shots", ["CNOT error", "error of a transfer", "estimate", "sigma at most"], rows)


def _columns(found: Sweep) -> tuple[Any, ...]:
    return found.cx_errors, found.errors, found.estimates.tolist(), found.deviations.tolist()


def _tell_plan(out: Output, plan: Plan) -> None:
    ahead, choice = plan.prediction, plan.choice
    out.say(f"{plan.device.backend}: error of a transfer {plan.device.error:.4f} ({plan.device.error_low:.4f} to {plan.device.error_high:.4f})")
    rows = [
        (f"{layer.inputs} to {layer.outputs}", one.block, one.repetitions, one.shots, layer.scale, deviation)
        for layer, one, deviation in zip(plan.layers, choice.knobs, choice.deviations, strict=True)
    ]
    out.table("Secure layers", ["layer", "block", "repetitions", "shots", "S_w", "sigma of u.v at most"], rows)
    if not choice.reached:
        kept = f"{choice.held:.1%} on held-out images, {choice.target:.1%} was wanted"
        out.warn(f"so few shots keep {kept}: ask for more --shots, try --adapt, or take another back-end")
    foreseen = [
        ("images", ahead.images),
        ("transfers", ahead.transfers),
        ("states", ahead.states),
        ("key bits", ahead.key_bits),
        ("accuracy, on held-out images", f"{ahead.accuracy:.2%}"),
        ("time here, counts drawn", f"{ahead.seconds:.2g} s"),
        ("time here, every gate", f"{ahead.every_gate_s:.3g} s"),
        ("time on a device", f"{ahead.device_s / 3600:.3g} h"),
        ("cost of the states", "not known" if ahead.usd is None else f"{ahead.usd:.2f} USD"),
    ]
    out.table("What it will take", ["what", "how much"], foreseen)


def _tell(out: Output, result: Inference) -> None:
    task = result.plan.trained.task
    rows = [
        ("classical network", f"{result.classical_accuracy:.2%}"),
        ("trained with noise, evaluated without", f"{result.exact_accuracy:.2%}"),
        ("by transfers", f"{result.secure_accuracy:.2%}"),
    ]
    out.table(f"{task.name}: accuracy on {result.confusion.sum():,} test images", ["network", "accuracy"], rows)
    out.say(f"Data set {task.data}; {task.epochs + task.aided} epochs of either network.")
    if task.note:
        out.say(f"Smaller than published: {task.note}.")
    out.table("Confusion, by transfers", ["true", *task.classes], [(name, *row) for name, row in zip(task.classes, result.confusion.tolist(), strict=True)])
    if (checked := result.checked) is not None:
        out.say(f"Gate by gate: {checked.images} images, {checked.agree:.0%} in the class of exact evaluation, errors {checked.z_rms:.2f} of their bound.")
    out.say(f"{result.qot_count:,} transfers, {result.states_used:,} states, {result.key_bits:,} key bits computed, {result.seconds:.1f} s")


def _check_folder(path: Path, option: str) -> None:
    if not path.is_dir():
        raise ConfigError("there is no such folder", where=str(path), remedy=f"Make it, or name another for {option}.")


def _draw(out: Output, path: Path, figure: Figure) -> None:
    from ..control.reporting.plots import save

    try:
        save(figure, path)
    except OSError as error:
        raise StorageError(f"the figure cannot be written ({error.strerror})", where=str(path), remedy="Choose a folder of yours.") from error
    out.say(f"Drawn: {path}")
