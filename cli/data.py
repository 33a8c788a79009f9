"""`heliograph data`: which data sets there are, and fetching them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from .output import JsonOption, command

if TYPE_CHECKING:
    from ..protocols.learning.catalogue import DataStatus

app = typer.Typer(no_args_is_help=True, help="Data sets to learn from.")


@app.command("list")
def listed(json_output: JsonOption = False) -> None:
    """List the data sets, their licences, and which of them are here."""
    with command(json_output) as out:
        from ..protocols.learning.catalogue import data_root, datasets

        found = datasets()
        rows = [(data.name, _state(data), data.content, data.licence) for data in found]
        out.table("Data sets", ["name", "state", "content", "licence"], rows)
        out.say(f"Folder: {data_root()} (set HELIOGRAPH_DATA for another)")
        out.result({"folder": data_root(), "data_sets": found})


def _state(data: DataStatus) -> str:
    if data.embedded:
        return "built in"
    if data.present:
        return "here"
    return "to fetch" if data.served else "by hand"


@app.command("fetch")
def fetch(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name from `heliograph data list`.")],
    json_output: JsonOption = False,
) -> None:
    """Download a data set.

    What is here already is checked against its published checksum and kept.
    """
    with command(json_output) as out:
        from ..protocols.learning import catalogue

        data = catalogue.find(name)
        sizes = {file.path: 0 for file in data.files}
        if sizes:
            out.note(f"{data.name}: at most {sum(file.limit for file in data.files) / 2**20:.0f} MiB into {catalogue.data_root()} (licence: {data.licence})")
        with out.progress(name, total=sum(file.limit for file in data.files)) as bar:

            def report(path: str, done: int) -> None:
                bar.step(done - sizes[path])
                sizes[path] = done

            paths = catalogue.fetch(name, report=report)
        for path in paths:
            out.say(f"checked: {path}")
        if not paths:
            out.say(f"{name} is built in: nothing to fetch")
        out.result({"name": name, "licence": data.licence, "files": paths})
