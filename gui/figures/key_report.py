"""A report of the key exchange: blocks, stores and debits as they stand on the page, as Markdown or HTML; or its blocks alone, in numbers, as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape

from ...control.topics import BlockFigures, KeyProgress, StoreStates
from .. import words
from .blocks import percent
from .gauge import bits

_TITLE = "Key exchange"
_STYLE = (
    "body { margin: 2em; font: 15px/1.5 sans-serif; color: #1d2430; background: #fff } table { border-collapse: collapse } "
    "th, td { border: 1px solid #b8c0cc; padding: .3em .6em; text-align: left }"
)
_COLUMNS = (
    "pair", "block", "run", "made_utc", "light_s", "sifted_bits", "qber_x", "qber_y", "y_bits", "gain", "leak_bits", "f_ec", "key_bits", "key_rate_bps",
    "epsilon", "provenance", "bench", "source",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Section:
    """One table of the report, in words."""

    heading: str
    titles: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def report(key: KeyProgress | None, stores: StoreStates | None, *, mode: str) -> str:
    """Return the report in Markdown.  mode: of the bench, such as SIMULATED; it stands at the top, for a reader who did not see the bench."""
    parts = [f"# {_TITLE}\n\n{_lead(key, mode)}\n"]
    parts += [f"## {one.heading}\n\n" + _markdown(one) for one in _sections(key, stores)]
    return "\n".join(parts)


def report_html(key: KeyProgress | None, stores: StoreStates | None, *, mode: str) -> str:
    """Return the report as a page of HTML that needs nothing else.  mode: as for `report`."""
    parts = [f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{_TITLE}, {escape(mode)}</title><style>{_STYLE}</style></head><body>']
    parts.append(f"<h1>{_TITLE}</h1>\n<p>{escape(_lead(key, mode))}</p>")
    parts += [f"<h2>{escape(one.heading)}</h2>\n{_table(one)}" for one in _sections(key, stores)]
    return "\n".join([*parts, "</body></html>\n"])


def report_csv(key: KeyProgress | None, *, mode: str) -> str:
    """Return the blocks as CSV, all digits of the numbers, shares and not percents, a column that says what the bench is.  mode: as for `report`."""
    written = io.StringIO()
    lines = csv.writer(written, lineterminator="\n")
    lines.writerow(_COLUMNS)
    for one in key.blocks if key is not None else ():
        made = datetime.fromtimestamp(one.t, UTC).isoformat(timespec="seconds")
        numbers = (one.seconds, one.sifted_bits, one.qber_x, one.qber_y, one.y_bits, one.gain, one.leak_bits, one.f_ec, one.key_bits, one.key_rate_bps)
        told = ["" if value is None else repr(value) for value in numbers]
        lines.writerow([one.pair, one.block, one.run, made, *told, repr(_total(one)), one.provenance, mode, key.source if key is not None else ""])
    return written.getvalue()


def _total(one: BlockFigures) -> float:
    return one.epsilons.get("total", sum(one.epsilons.values()))


def _lead(key: KeyProgress | None, mode: str) -> str:
    made = max([one.t for one in key.blocks] if key is not None else [], default=0.0)
    source = " Figures of a replayed run." if key is not None and key.source == "replay" else ""
    return f"Bench: {mode or 'not known'}. Last block: {words.clock(made, date=True)}.{source}"


def _sections(key: KeyProgress | None, stores: StoreStates | None) -> list[Section]:
    found = [_blocks(key)] if key is not None and key.blocks else []
    return [*found, _stores(stores), _debits(stores)] if stores is not None else found


def _markdown(one: Section) -> str:
    lines: list[Sequence[str]] = [one.titles, ["---"] * len(one.titles), *one.rows]
    return "".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |\n" for line in lines)


def _table(one: Section) -> str:
    heads = "".join(f"<th>{escape(title)}</th>" for title in one.titles)
    rows = "\n".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in one.rows)
    return f"<table>\n<tr>{heads}</tr>\n{rows}\n</table>"


def _blocks(key: KeyProgress) -> Section:
    titles = ("pair", "block", "run", "made", "QBER X", "QBER Y", "gain", "sifted", "leak", "f", "key", "rate", "epsilon", "provenance")
    rows = tuple(
        (
            one.pair, str(one.block), one.run, words.clock(one.t, date=True), percent(one.qber_x, one.sifted_bits), percent(one.qber_y, one.y_bits),
            words.percent(one.gain), bits(one.sifted_bits), bits(one.leak_bits), words.UNKNOWN if one.f_ec is None else f"{one.f_ec:.3f}", bits(one.key_bits),
            words.rate(one.key_rate_bps), ", ".join(f"{name} {value:.2g}" for name, value in one.epsilons.items()), one.provenance,
        )
        for one in key.blocks
    )  # fmt: skip
    return Section("Blocks", titles, rows)


def _stores(stores: StoreStates) -> Section:
    titles = ("pair", "party", "delivered", "spendable", "consumed", "authentication", "burned", "reserve", "epsilon", "provenance")
    rows = tuple(
        (
            one.pair, one.party, *(bits(amount) for amount in (one.delivered, one.spendable, one.consumed, one.authentication, one.burned, one.reserve)),
            f"{one.epsilon:.2g}", one.provenance,
        )
        for one in stores.stores
    )  # fmt: skip
    return Section(f"Key stores in {stores.folder}", titles, rows)


def _debits(stores: StoreStates) -> Section:
    rows = tuple((words.clock(one.t, date=True), one.pair, one.party, bits(one.bits), one.purpose, one.key_id or "several") for one in stores.debits)
    return Section("Debits", ("time", "pair", "party", "bits", "purpose", "key id"), rows)
