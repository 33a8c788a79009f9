"""`heliograph learn`: federated learning masked with the keys of the stores."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..core.errors import ConfigError
from .bench import TellOption
from .keys import StoreOption
from .output import JsonOption, Output, command

if TYPE_CHECKING:
    from ..protocols.learning.tasks import Task
    from ..protocols.qunetqfl.driver import Settings
    from ..protocols.qunetqfl.result import LearningResult, RoundNews


class What(StrEnum):
    """The data set."""

    digits = "digits"
    mnist = "mnist"


def learn(
    what: Annotated[What, typer.Argument(help="The data: digits is built in, mnist is fetched by `heliograph data fetch mnist`.")],
    store: StoreOption,
    classes: Annotated[str, typer.Option(help="The two digits to tell apart.")] = "3-9",
    rounds: Annotated[int | None, typer.Option(min=1, help="Rounds; by default those of the task.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of split, start and training; masks never repeat.")] = 0,
    non_iid: Annotated[bool, typer.Option("--non-iid", help="Give each client another mixture of the two classes.")] = False,
    out_folder: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Keep checkpoint and the clients' records here.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint in --out.")] = False,
    tell: TellOption = None,
    json_output: JsonOption = False,
) -> None:
    """Learn to tell two digits apart, federated among the parties of the stores and masked with their keys.

    On SIGUSR1 it ends after the round that is on; with --out it can go on later.
    """
    with command(json_output) as out:
        from ..protocols.learning.tasks import digits_task, mnist_task
        from ..protocols.qunetqfl.driver import Settings

        task = (digits_task if what is What.digits else mnist_task)(*_digits(classes))
        _learn(out, task, store, Settings(rounds=rounds, seed=seed, iid=not non_iid), out_folder, resume, tell)


def _digits(text: str) -> tuple[int, int]:
    parts = text.split("-")
    if len(parts) != 2 or not all(len(part) == 1 and part.isdigit() for part in parts) or parts[0] == parts[1]:
        raise typer.BadParameter(f"{text!r} is not two different digits such as 3-9", param_hint="--classes")
    return int(parts[0]), int(parts[1])


def _learn(out: Output, task: Task, store: Path, settings: Settings, folder: Path | None, resume: bool, tell: Path | None) -> None:
    from ..control.parties.node import network, parties_in
    from ..control.parties.telling import LearningTelling, telling
    from ..control.queueing.rounds import ending_between_rounds
    from ..protocols.qunetqfl.driver import affordable_rounds, learn

    parties = parties_in(store)
    if len(parties) < 3:
        raise ConfigError(
            f"the stores of {len(parties)} parties are here ({', '.join(parties) or 'none'}), three or more are needed",
            where=str(store),
            remedy="Make key with each further party: exchange light between it and all the others, and distil that.",
        )
    total = settings.rounds or task.rounds
    with (
        ending_between_rounds() as ending,
        network(store, parties, existing=True) as keys,
        telling(tell, out.warn) as teller,
        out.progress("Learning rounds", total=total) as bar,
    ):
        bits = task.model().d * task.q
        pair, lasts = affordable_rounds(keys.parties, bits)
        if lasts < total:
            out.warn(f"pair {pair} has key for at most {lasts} of {total} rounds")

        statements = keys.statements()
        simulated = any(one.provenance.simulated for one in statements)
        story = LearningTelling(teller, task.name, total, tuple(parties), simulated, lambda: affordable_rounds(keys.parties, bits)[1])

        def told(news: RoundNews) -> None:
            bar.step()
            story.round(news)
            teller.stores(store, keys.parties, soon=news.record.round + 1 < total)

        with story.whole():
            result = learn(task, keys.parties, settings, folder=folder, resume=resume, statements=statements, watch=told, enough=ending.is_set)
            story.ended_early = len(result.rounds) < total
    _tell(out, result, total)


def _tell(out: Output, result: LearningResult, asked: int) -> None:
    from ..control.parties.tables import round_rows

    out.table(f"{result.task}, {len(result.clients)} clients", *round_rows(result))
    out.table("Key", ["pair", "planned", "spent", "burned"], [(use.pair, use.planned, use.spent, use.burned) for use in result.pairs])
    ended_early = len(result.rounds) < asked
    if ended_early:
        out.say(f"Ended after {len(result.rounds)} of {asked} rounds, as it was told to; --resume goes on from --out.")
    out.say(f"Final accuracy {result.final_accuracy:.1%}")
    found = {name: value for name, value in result.as_dict().items() if name not in ("simulated", "security")}
    out.result({**found, "ended_early": ended_early}, simulated=result.statement.provenance.simulated, security=result.statement)
