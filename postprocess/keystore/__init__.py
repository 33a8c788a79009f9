"""The key store: a key bit is spent once.

Each party has one store a peer, an SQLite file with encrypted rows, a hash-chained audit and a rollback guard. `open_party` and `link` join the stores of two
parties inside this process; protocols see a `KeySource`.
"""

from .ledger import LinkLedger, Spending, read_ledger, read_ledgers
from .party import Link, PartyKeys, link, open_party
from .source import Hold, Key, KeyBlock, KeySource, pair_name
from .split import SplitPolicy
from .store import Injected, Lease

__all__ = [
    "Hold",
    "Injected",
    "Key",
    "KeyBlock",
    "KeySource",
    "Lease",
    "Link",
    "LinkLedger",
    "PartyKeys",
    "Spending",
    "SplitPolicy",
    "link",
    "open_party",
    "pair_name",
    "read_ledger",
    "read_ledgers",
]
