"""Lines between parties whose key stores lie in one folder, as protocols between three of them take them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ...core.errors import ConfigError
from ...postprocess.keystore.source import pair_name
from ...postprocess.keystore.tags import StoreTags
from .node import Network, network, parties_in

if TYPE_CHECKING:
    from ...protocols.qot.sealed_inference import Lines, Role


def choose_roles(folder: Path, pair: str | None, aggregator: str | None, *, counted: bool) -> dict[Role, str]:
    """Return who plays which role: Alice and Bob as the pair says, such as "A-B", and for counted openings somebody else who counts.

    pair, aggregator: None takes the first parties of the folder.  Raises ConfigError for parties that are not there, or are too few.
    """
    there = parties_in(folder)
    names = there[:2] if pair is None else pair.split("-")
    unknown = [name for name in (*names, *([aggregator] if aggregator else [])) if name not in there]
    if unknown or len(set(names)) != 2 or len(names) != 2:
        wanted = f"{', '.join(unknown)} has no key store here" if unknown else "two parties are needed, such as A-B"
        raise ConfigError(wanted, where=str(folder), remedy=f"There are: {', '.join(there) or 'none'}. Run `heliograph acquire key` and `heliograph distil`.")
    roles: dict[Role, str] = {"alice": names[0], "bob": names[1]}
    if not counted:
        return roles
    others = [name for name in there if name not in names]
    counter = aggregator or next(iter(others), None)
    if counter not in others:
        raise ConfigError("a counted opening needs a third party, who counts", where=str(folder), remedy="Name one with --aggregator, or take --opening shots.")
    return {**roles, "aggregator": counter}


@contextmanager
def sealed_lines(folder: Path, roles: Mapping[Role, str]) -> Iterator[tuple[Network, Lines]]:
    """Open the stores of the parties and yield them, and their lines. Raises ConfigError if two of them have no store in common, and what `network` raises."""
    from ...protocols.qot.sealed_inference import Lines

    names = list(roles.values())
    with network(folder, names, existing=True) as keys:
        pairs = [pair_name(a, b) for n, a in enumerate(names) for b in names[n + 1 :]]
        if missing := [pair for pair in pairs if pair not in keys.links]:
            remedy = f"Run `heliograph acquire key --pairs {missing[0]}` and distil it."
            raise ConfigError(f"pair {missing[0]} has no key store", where=str(folder), remedy=remedy)
        yield keys, Lines(roles, keys.parties, _tags(keys, pairs), time.time_ns())


def _tags(keys: Network, pairs: list[str]) -> dict[tuple[str, str], StoreTags]:
    found: dict[tuple[str, str], StoreTags] = {}
    for pair in pairs:
        (a, b), ends = pair.split("-"), keys.links[pair].round_tags()
        found |= {(a, b): ends[0], (b, a): ends[1]}
    return found
