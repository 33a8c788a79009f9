"""One unit, several instruments."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from heliograph.core.errors import Disconnected
from heliograph.instruments.shared import SharedUnits


def test_the_first_opens_a_unit_and_the_last_closes_it() -> None:
    units, closed = SharedUnits[str](), list[str]()

    assert units.take("tty5", lambda: "unit") == ("unit", True)
    assert units.take("tty5", lambda: "another") == ("unit", False)
    units.give_back("tty5", closed.append)
    assert closed == []
    units.give_back("tty5", closed.append)
    assert closed == ["unit"]
    assert units.take("tty5", lambda: "reopened") == ("reopened", True)


def test_other_addresses_are_other_units() -> None:
    units = SharedUnits[str]()
    assert units.take("tty5", lambda: "five") == ("five", True)
    assert units.take("tty6", lambda: "six") == ("six", True)


def test_a_unit_that_does_not_open_is_nobodys() -> None:
    units = SharedUnits[str]()

    def refuse() -> str:
        raise Disconnected("nobody there")

    with pytest.raises(Disconnected):
        units.take("tty5", refuse)
    assert units.take("tty5", lambda: "unit") == ("unit", True)


def test_threads_that_come_at_once_get_the_same_unit() -> None:
    units, barrier = SharedUnits[object](), threading.Barrier(8)

    def take(_: int) -> tuple[object, bool]:
        barrier.wait()
        return units.take("tty5", object)

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(take, range(8)))

    assert len({id(unit) for unit, _ in found}) == 1
    assert sum(first for _, first in found) == 1
