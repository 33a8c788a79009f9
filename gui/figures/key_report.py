"""A report of the key exchange in Markdown: blocks, stores and debits as they stand on the page."""

from __future__ import annotations

from collections.abc import Sequence

from ...control.topics import KeyProgress, StoreStates
from .. import words
from .blocks import percent
from .gauge import bits


def report(key: KeyProgress | None, stores: StoreStates | None, *, mode: str) -> str:
    """Return the report.  mode: of the bench, such as SIMULATED; it stands at the top, for a reader who did not see the bench."""
    made = max([one.t for one in key.blocks] if key is not None else [], default=0.0)
    source = " Figures of a replayed run." if key is not None and key.source == "replay" else ""
    parts = [f"# Key exchange\n\nBench: {mode or 'not known'}. Last block: {words.clock(made, date=True)}.{source}\n"]
    if key is not None and key.blocks:
        parts.append("## Blocks\n\n" + _blocks(key))
    if stores is not None:
        parts.append(f"## Key stores in {stores.folder}\n\n" + _stores(stores))
        parts.append("## Debits\n\n" + _debits(stores))
    return "\n".join(parts)


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [titles, ["---"] * len(titles), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |\n" for line in lines)


def _blocks(key: KeyProgress) -> str:
    titles = ["pair", "block", "run", "made", "QBER X", "QBER Y", "gain", "sifted", "leak", "f", "key", "rate", "epsilon", "provenance"]
    rows = [
        [
            one.pair, str(one.block), one.run, words.clock(one.t, date=True), percent(one.qber_x, one.sifted_bits), percent(one.qber_y, one.y_bits),
            words.percent(one.gain), bits(one.sifted_bits), bits(one.leak_bits), words.UNKNOWN if one.f_ec is None else f"{one.f_ec:.3f}", bits(one.key_bits),
            words.rate(one.key_rate_bps), ", ".join(f"{name} {value:.2g}" for name, value in one.epsilons.items()), one.provenance,
        ]
        for one in key.blocks
    ]  # fmt: skip
    return _table(titles, rows)


def _stores(stores: StoreStates) -> str:
    titles = ["pair", "party", "delivered", "spendable", "consumed", "tags", "burned", "reserve", "epsilon", "provenance"]
    rows = [
        [
            one.pair, one.party, *(bits(amount) for amount in (one.delivered, one.spendable, one.consumed, one.authentication, one.burned, one.reserve)),
            f"{one.epsilon:.2g}", one.provenance,
        ]
        for one in stores.stores
    ]  # fmt: skip
    return _table(titles, rows)


def _debits(stores: StoreStates) -> str:
    rows = [[words.clock(one.t, date=True), one.pair, one.party, bits(one.bits), one.purpose, one.key_id or "several"] for one in stores.debits]
    return _table(["time", "pair", "party", "bits", "purpose", "key id"], rows)
