"""`heliograph learn`: federated learning masked with the keys of the stores."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..core.errors import ConfigError
from .keys import StoreOption
from .output import JsonOption, Output, command

if TYPE_CHECKING:
    from ..protocols.learning.tasks import Task
    from ..protocols.qunetqfl.result import LearningResult, RoundRecord

app = typer.Typer(no_args_is_help=True, help="Federated learning masked with quantum keys.")

Classes = Annotated[str, typer.Option(help="The two digits to tell apart.")]
Rounds = Annotated[int | None, typer.Option(min=1, help="Rounds; by default those of the task.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of split, start and training; masks never repeat.")]
Skewed = Annotated[bool, typer.Option("--non-iid", help="Give each client another mixture of the two classes.")]
Folder = Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Keep checkpoint and the clients' records here.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint in --out.")]


@app.command("digits")
def digits(
    store: StoreOption,
    classes: Classes = "3-9",
    rounds: Rounds = None,
    seed: Seed = 0,
    non_iid: Skewed = False,
    out_folder: Folder = None,
    resume: Resume = False,
    json_output: JsonOption = False,
) -> None:
    """Learn to tell two digits of the built-in data set apart."""
    with command(json_output) as out:
        from ..protocols.learning.tasks import digits_task

        _learn(out, digits_task(*_digits(classes)), store, rounds, seed, non_iid, out_folder, resume)


@app.command("mnist")
def mnist(
    store: StoreOption,
    classes: Classes = "3-9",
    rounds: Rounds = None,
    seed: Seed = 0,
    non_iid: Skewed = False,
    out_folder: Folder = None,
    resume: Resume = False,
    json_output: JsonOption = False,
) -> None:
    """Learn to tell two MNIST digits apart; `heliograph data fetch mnist` gets the data."""
    with command(json_output) as out:
        from ..protocols.learning.tasks import mnist_task

        _learn(out, mnist_task(*_digits(classes)), store, rounds, seed, non_iid, out_folder, resume)


def _digits(text: str) -> tuple[int, int]:
    parts = text.split("-")
    if len(parts) != 2 or not all(len(part) == 1 and part.isdigit() for part in parts) or parts[0] == parts[1]:
        raise typer.BadParameter(f"{text!r} is not two different digits such as 3-9", param_hint="--classes")
    return int(parts[0]), int(parts[1])


def _learn(out: Output, task: Task, store: Path, rounds: int | None, seed: int, non_iid: bool, folder: Path | None, resume: bool) -> None:
    from ..control.node import network, parties_in
    from ..protocols.qunetqfl.driver import Settings, learn

    parties = parties_in(store)
    if len(parties) < 3:
        raise ConfigError(
            f"the stores of {len(parties)} parties are here, three or more are needed", where=str(store), remedy="Run `heliograph demo`, or acquire key."
        )
    settings = Settings(rounds=rounds, seed=seed, iid=not non_iid)
    total = rounds or task.rounds
    with network(store, parties, existing=True) as keys, out.progress("Learning rounds", total=total) as bar:

        def told(_record: RoundRecord) -> None:
            bar.step()

        result = learn(task, keys.parties, settings, folder=folder, resume=resume, statements=keys.statements(), progress=told)
    _tell(out, result)


def _tell(out: Output, result: LearningResult) -> None:
    from ..control.tables import round_rows

    out.table(f"{result.task}, {len(result.clients)} clients", *round_rows(result))
    out.table("Key", ["pair", "planned", "spent", "burned"], [(use.pair, use.planned, use.spent, use.burned) for use in result.pairs])
    out.say(f"Final accuracy {result.final_accuracy:.1%}")
    found = {name: value for name, value in result.as_dict().items() if name not in ("simulated", "security")}
    out.result(found, simulated=result.statement.provenance.simulated, security=result.statement)
