"""Light that waits for a key to be made of it: runs of key exchanges whose patterns both parties still keep. No run file is opened for it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from ...core.errors import ParameterError, RunFileError
from ..topics import ParameterForm, ProcedureForm
from .news import run_of

_HDF5 = b"\x89HDF\r\n\x1a\n"
_FILE = "{}-p0.h5"


@dataclass(frozen=True, slots=True)
class Light:
    """One run.  pair: such as `A-B`."""

    run: str
    pair: str
    path: Path


def waiting_light(runs: Path, store: Path) -> tuple[Light, ...]:
    """Return the runs of a folder whose light waits, the oldest first.  store: folder of the key stores, where each party keeps its patterns.

    Left out is an exchange that is on, and one that was killed before all of its light was sent: no key comes of either.
    """
    kept: dict[str, dict[str, Path]] = {}
    for path in store.glob("*/patterns/*.bin"):
        party = path.parent.parent.name
        kept.setdefault(path.name.removesuffix(f"-{party}.bin"), {})[party] = path
    pairs = {run: parties for run, parties in sorted(kept.items()) if len(parties) == 2}
    found = ((Light(run, "-".join(sorted(parties)), runs / _FILE.format(run)), parties.values()) for run, parties in pairs.items())
    return tuple(one for one, patterns in found if _is_file(one.path) and all(map(_waits, patterns)))


def _waits(pattern: Path) -> bool:
    from ...acquisition.sent import waits_for

    try:
        return waits_for(pattern) == "key"
    except RunFileError:
        return False


def run_file(text: str, runs: Path, store: Path) -> Path:
    """Return the run file that a text means: its path, also from the folder of the runs or the one above, or the id of the run.

    Raises ParameterError for what is none, or is one of a run whose light does not wait (any more).
    """
    where, wanted = f"Distil, run = {text!r}", text.strip()
    places = (Path(wanted), runs / wanted, runs.parent / wanted, runs / _FILE.format(wanted))
    path = next((one for one in places if wanted and _is_file(one)), None)
    if path is None:
        remedy = f"Looked for in {runs} and by its whole path. Give the file of a key exchange, or the id of its run."
        raise ParameterError("there is no such run file", where=where, remedy=remedy)
    try:
        with path.open("rb") as file:
            head = file.read(len(_HDF5))
    except OSError as error:
        raise ParameterError(f"{path.name} cannot be read ({error.strerror})", where=where, remedy="Check its rights, or give another file.") from error
    if head != _HDF5:
        raise ParameterError(f"{path.name} is no run file", where=where, remedy="Give the file of a key exchange.")
    run = run_of(path)
    if run and not any(store.glob(f"*/patterns/{run}-*.bin")):
        told = f"no light of run {run} waits: key was made of it before, or its patterns lie in another store"
        raise ParameterError(told, where=where, remedy=f"Choose a run whose patterns lie in {store}.")
    return path


def _is_file(path: Path) -> bool:
    """Say whether there is such a file; a name that is too long, or in a closed folder, is none."""
    try:
        return path.is_file()
    except OSError:
        return False


def with_choice(forms: Iterable[ProcedureForm], light: tuple[Light, ...]) -> tuple[ProcedureForm, ...]:
    """Return forms, that of the distillation with a list of the light that waits, the latest first; where none does, a file can be named."""
    return tuple(_chosen(form, light) if form.name == "Distil" else form for form in forms)


def _chosen(form: ProcedureForm, light: tuple[Light, ...]) -> ProcedureForm:
    latest = tuple(reversed(light))
    paths, labels = tuple(str(one.path) for one in latest), tuple(f"{one.pair}: {one.run}" for one in latest)

    def asked(one: ParameterForm) -> ParameterForm:
        if one.name != "run":
            return one
        if not light:
            return replace(one, label=f"{one.label}, no light waits")
        return replace(one, kind="choice", default=paths[0], choices=paths, labels=labels)

    return replace(form, parameters=tuple(asked(one) for one in form.parameters))
