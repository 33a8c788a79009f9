"""Key stores: a gauge for each party and pair, the numbers, and what was spent on what."""

from __future__ import annotations

from collections.abc import Iterable

from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QLineEdit, QVBoxLayout, QWidget

from ...control.topics import Debit, StoreState, StoreStates
from .. import words
from ..badges import Value, plain
from ..guarded import guarded
from ..tables import Cell, Column, Table
from ..wide_table import WideTable
from .areas import scrolled
from .gauge import PARTS, REST, Gauge, bits, told

_NUMBERS = ("delivered", "spendable", "consumed", "authentication", "burned", "reserve")
_WHOSE, _FROM = ("pair", "party"), ("provenance", "last keys")
_LONGEST_PURPOSE = 52


class Gauges(QWidget):
    """One line for each store: whose, how full, in words."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: dict[tuple[str, str], tuple[Gauge, Value]] = {}
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setColumnStretch(1, 1)
        self._grid.setRowStretch(1000, 1)

    @guarded
    def show_stores(self, now: StoreStates) -> None:
        """Show every store of the folder."""
        keys = [(one.pair, one.party) for one in now.stores]
        if list(self._lines) != keys:
            self._begin(keys)
        for store in now.stores:
            gauge, value = self._lines[store.pair, store.party]
            gauge.show_store(store)
            value.show_text(told(store))

    def _begin(self, keys: list[tuple[str, str]]) -> None:
        while self._grid.count():
            item = self._grid.takeAt(0)
            widget = item.widget() if item is not None else None
            if widget is not None:
                widget.hide()
                widget.deleteLater()
        self._lines = {}
        for at, (pair, party) in enumerate(keys):
            gauge, value = Gauge(), Value(f"Key of {pair} at {party}")
            value.setWordWrap(True)
            self._grid.addWidget(plain(f"{pair} at {party}"), 2 * at, 0)
            self._grid.addWidget(gauge, 2 * at, 1)
            self._grid.addWidget(value, 2 * at + 1, 0, 1, 2)
            self._lines[pair, party] = gauge, value


class Stores(QWidget):
    """Gauges above the table of all numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.gauges = Gauges()
        columns = [Column(one, number=one in (*_NUMBERS, "epsilon")) for one in (*_WHOSE, *_NUMBERS, "epsilon", *_FROM)]
        self.table = Table("Key stores", columns)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(plain("Bar: " + ", ".join(f"{name} ({pattern})" for name, _, pattern, _ in PARTS) + f", {REST}; line: reserve", wrap=True))
        layout.addWidget(scrolled(self.gauges), 3)
        layout.addWidget(self.table, 2)

    @guarded
    def show_stores(self, now: StoreStates) -> None:
        """Show every store of the folder."""
        self.gauges.show_stores(now)
        self.table.set_rows([_row(one) for one in now.stores], [(one.pair, one.party) for one in now.stores])


def _row(store: StoreState) -> list[str | Cell]:
    amounts = (store.delivered, store.spendable, store.consumed, store.authentication, store.burned, store.reserve)
    cells: list[str | Cell] = [Cell(bits(one), order=one) for one in amounts]
    return [store.pair, store.party, *cells, f"{store.epsilon:.2g}", Cell(store.provenance, word=store.provenance.split(":")[0]), " ".join(store.last_ids)]


class Debits(QWidget):
    """Key that left the stores, the latest first, with a filter over all columns."""

    def __init__(self) -> None:
        super().__init__()
        self.filter = QLineEdit()
        self.filter.setAccessibleName("Filter of the debits")
        self.filter.setPlaceholderText("key id, purpose, pair or party")
        self.filter.setClearButtonEnabled(True)
        self.filter.setMinimumHeight(24)
        columns: list[Column | str] = ["time", "pair", "party", Column("bits", number=True), Column("purpose", wide=True), "key id"]
        self.table = WideTable("Debits", columns, letters=_LONGEST_PURPOSE)
        self.shown = Value("Debits shown", "0")
        self.shown.setWordWrap(True)
        self._debits: tuple[Debit, ...] = ()
        self.filter.textChanged.connect(lambda _: self._fill())
        line = QHBoxLayout()
        line.addWidget(plain("&Filter", buddy=self.filter))
        line.addWidget(self.filter, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(line)
        layout.addWidget(self.shown)
        layout.addWidget(self.table, 1)

    @guarded
    def show_stores(self, now: StoreStates) -> None:
        """Show the debits of a folder."""
        if now.debits != self._debits:
            self._debits = now.debits
            self._fill()

    def _fill(self) -> None:
        wanted = self.filter.text().lower().split()
        kept = [one for one in self._debits if all(word in f"{one.pair} {one.party} {one.purpose} {one.key_id}".lower() for word in wanted)]
        kept.sort(key=lambda one: one.t, reverse=True)
        self.table.set_rows([_debit(one) for one in kept], kept)
        spent, booked = key_spent(kept), sum(one.bits for one in kept)
        twice = ", each booked by both parties" if booked == 2 * spent else ", counted once where both parties booked it" if booked > spent else ""
        of_key = f", {bits(spent)} of key{twice}" if kept else ""
        self.shown.show_text(f"{words.count(len(kept))} of {words.count(len(self._debits))} debits{of_key}")


def key_spent(debits: Iterable[Debit]) -> int:
    """Return the bits of key that were spent: both parties of a pair spend the same key, and each books it."""
    by: dict[str, dict[str, int]] = {}
    for one in debits:
        party = by.setdefault(one.pair, {})
        party[one.party] = party.get(one.party, 0) + one.bits
    return sum(max(parties.values()) for parties in by.values())


def _debit(one: Debit) -> list[str | Cell]:
    return [Cell(words.clock(one.t), order=one.t), one.pair, one.party, Cell(bits(one.bits), order=one.bits), one.purpose, one.key_id or "several"]
