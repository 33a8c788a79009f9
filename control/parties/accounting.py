"""What making a block of key cost: probabilities of failure, part by part, and every bit that was said in public, class by class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ...core.ledger import records
from ...core.statement import Provenance
from ...postprocess.finite_key import Epsilons
from .tables import Rows

DISCLOSED = {
    "bases": ("bases of the announced events", "no key bits"),
    "y_bits": ("Y bits", "no key bits"),
    "alice_parities": ("parities of frames in the key", "subtracted"),
    "bob_diffs": ("agreements with these parities", "not subtracted, see the leak rule"),
    "parities_of_dropped_frames": ("parities of dropped frames", "no key: frames dropped whole"),
    "verification": ("hashes of the corrected bits", "subtracted"),
    "tags": ("pads of the round tags", "paid by the store's pads"),
}
"""Classes of `Distilled.disclosed`: in words, and what became of them in the key length."""
_SUBTRACTED = "subtracted"
_PARTS = {
    "correction": "error correction: unequal keys",
    "amplification": "privacy amplification",
    "concentration": "two concentration bounds",
    "authentication": "authentication: forged tags",
}


def epsilon_parts(epsilons: Epsilons, forgery: float | None) -> dict[str, float]:
    """Return the parts of a block's failure probability (form `union`) and their sum.

    forgery: of the round tags, None where they prove nothing; so small a number that it vanishes in the sum.
    """
    named = {"correction": epsilons.correction, "amplification": epsilons.amplification, "concentration": 2 * epsilons.concentration}
    return {**named, "authentication": forgery or 0.0, "total": epsilons.total + (forgery or 0.0)}


def in_words(provenance: Provenance) -> str:
    """Return where key comes from, with the reasons: "simulated: ..."."""
    return provenance.label + (f": {'; '.join(provenance.reasons)}" if provenance.reasons else "")


def epsilon_rows(parts: Mapping[str, float]) -> Rows:
    """Return one row a part of the failure probability, and their sum; a part that is 0 was not there: a forgery is never impossible."""
    told = [(words, f"{parts[name]:.1e}" if parts[name] else "not authenticated") for name, words in _PARTS.items()]
    return ["part", "epsilon"], [*told, ("sum", f"{parts['total']:.1e}")]


def disclosed_rows(bits: Mapping[str, int]) -> Rows:
    """Return one row a class of bits that were said in public."""
    return ["class", "bits", "in the key length"], [(words, bits[name], fate) for name, (words, fate) in DISCLOSED.items()]


@dataclass(frozen=True, slots=True)
class Account:
    """What one party counted while making the key of a pair, summed over blocks.

    disclosed: bits said in public by both parties, by class.  epsilons: parts of the failure probability, and their sum.
    """

    party: str
    pair: str
    blocks: int
    disclosed: dict[str, int]
    epsilons: dict[str, float]

    @property
    def subtracted(self) -> int:
        """Return the disclosed bits by which the key is shorter."""
        return sum(self.disclosed[name] for name, (_, fate) in DISCLOSED.items() if fate == _SUBTRACTED)

    def as_dict(self) -> dict[str, Any]:
        """Return everything as `--json` prints it."""
        return {**asdict(self), "subtracted": self.subtracted}


def read_accounts(folder: Path) -> list[Account]:
    """Return what every party recorded of the key it made, by party and pair; blocks that came without such a record are not in it. Raises LedgerCorrupt."""
    found = []
    for path in sorted(Path(folder).glob("*/distillation.jsonl")):
        made = [record for record in records(path) if record["kind"] == "distilled" and "disclosed" in record]
        for pair in sorted({record["pair"] for record in made}):
            own = [record for record in made if record["pair"] == pair]
            bits = {name: sum(record["disclosed"].get(name, 0) for record in own) for name in DISCLOSED}
            parts = {name: sum(record["epsilons"][name] for record in own) for name in (*_PARTS, "total")}
            found.append(Account(path.parent.name, pair, len(own), bits, parts))
    return found


def account_rows(accounts: Sequence[Account]) -> Rows:
    """Return one row a party and pair: blocks, bits of every class, and those subtracted."""
    columns = ["party", "pair", "blocks", "bases", "Y bits", "parities", "agreements", "dropped", "hashes", "tag pads", "subtracted"]
    return columns, [(one.party, one.pair, one.blocks, *(one.disclosed[name] for name in DISCLOSED), one.subtracted) for one in accounts]
