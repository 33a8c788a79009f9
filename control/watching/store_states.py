"""What the key stores hold, as the window is told: from the result of `heliograph keys show --json`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..topics import Debit, StoreState, StoreStates

RESERVE_BITS = 8192
"""Spendable key of a party towards its peer below which the operator is warned."""
MOST_DEBITS = 200
_IDS = 5


def store_states(told: Mapping[str, Any], t: float) -> StoreStates:
    """Return the stores, and the latest debits with the latest first.  told: the JSON result.  t: when it was read, Unix seconds."""
    books = told["stores"]
    debits = sorted((debit for book in books for debit in _debits(book)), key=lambda one: one.t, reverse=True)
    return StoreStates(str(told["store"]), t, tuple(_state(book) for book in books), tuple(debits[:MOST_DEBITS]))


def _state(book: Mapping[str, Any]) -> StoreState:
    ids = [key for debit in book["debits"] for key in debit["key_ids"]][-_IDS:]
    delivered, spendable, consumed, authentication, burned = (int(book[name]) for name in ("delivered", "spendable", "consumed", "authentication", "burned"))
    return StoreState(
        pair=str(book["pair"]),
        party=str(book["party"]),
        delivered=delivered,
        spendable=spendable,
        consumed=consumed,
        authentication=authentication,
        burned=burned,
        reserve=RESERVE_BITS,
        epsilon=float(book["epsilon"]),
        provenance=str(book["provenance"]),
        last_ids=tuple(ids),
    )


def _debits(book: Mapping[str, Any]) -> Iterator[Debit]:
    for one in book["debits"]:
        keys = one["key_ids"]
        yield Debit(float(one["t"]), str(book["pair"]), str(book["party"]), str(one["purpose"]), int(one["bits"]), keys[0] if len(keys) == 1 else "")


def merged(before: StoreStates | None, now: StoreStates) -> StoreStates:
    """Return all that is known of the stores of a folder where only some of them were read now."""
    if before is None:
        return now
    known = {(one.pair, one.party): one for one in (*before.stores, *now.stores)}
    read = {(one.pair, one.party) for one in now.stores}
    debits = sorted((*now.debits, *(one for one in before.debits if (one.pair, one.party) not in read)), key=lambda one: one.t, reverse=True)
    return StoreStates(before.folder, now.t, tuple(known.values()), tuple(debits[:MOST_DEBITS]))


def short_of_key(states: StoreStates, before: StoreStates | None) -> tuple[str, ...]:
    """Return in words which stores have come below their reserve since they were read before."""
    rich = {(one.pair, one.party) for one in before.stores if one.spendable >= one.reserve} if before is not None else set()
    return tuple(
        f"{one.party} has {one.spendable:,} bits of key left towards its peer in {one.pair}, less than the reserve of {one.reserve:,}"
        for one in states.stores
        if one.spendable < one.reserve and (one.pair, one.party) in rich
    )


def made_and_spent(states: StoreStates, before: StoreStates | None) -> tuple[str, ...]:
    """Return in words, pair by pair, how much key was added and spent since the stores were read before, nothing the first time."""
    if before is None:
        return ()
    known = {(one.pair, one.party): one for one in before.stores}
    changes: dict[str, tuple[int, int]] = {}
    for one in states.stores:
        was = known.get((one.pair, one.party))
        added, spent = one.delivered - (was.delivered if was else 0), one.consumed - (was.consumed if was else 0)
        changes[one.pair] = max(changes.get(one.pair, (0, 0)), (added, spent))
    return tuple(f"{pair}: {_changed(*change)}" for pair, change in changes.items() if change != (0, 0))


def _changed(added: int, spent: int) -> str:
    return ", ".join(f"{bits:,} bits of key {what}" for bits, what in ((added, "added"), (spent, "spent")) if bits)
