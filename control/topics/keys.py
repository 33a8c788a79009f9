"""What is told of key: how a block comes about, and what the stores hold. Sizes, rates and names, never a bit."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from .common import Source


@dataclass(frozen=True, slots=True)
class BlockFigures:
    """One distilled block.  epsilons: by name.  gain: events a pulse.  provenance: `real` or `simulated`, with reasons.  y_bits: compared, 0 if unknown."""

    pair: str
    block: int
    run: str
    t: float
    seconds: float
    sifted_bits: int
    qber_x: float
    qber_y: float
    gain: float
    leak_bits: int
    f_ec: float | None
    key_bits: int
    key_rate_bps: float
    epsilons: dict[str, float]
    provenance: str
    y_bits: int = 0


@dataclass(frozen=True, slots=True)
class KeyProgress:
    """Where key exchange stands.

    stage: word.  progress: of the stage, 0 to 1.  events: announced so far in this block.  n_x: sifted bits in X so far, expected from the events while there
    is light.  n_needed: least number that gives a key, None where none would.  blocks: the latest last.  limits: error rates above which a rule of the
    station suspends the light, by metric: qber, qber_x, qber_y.
    """

    source: Source
    stage: Literal["idle", "light", "sifting", "correcting", "amplifying", "done", "failed"]
    pair: str = ""
    run: str = ""
    progress: float = 0.0
    events: int = 0
    n_x: float = 0.0
    n_needed: float | None = None
    why: str = ""
    blocks: tuple[BlockFigures, ...] = ()
    limits: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Debit:
    """Key that left a store.  key_id: empty where a purpose had many."""

    t: float
    pair: str
    party: str
    purpose: str
    bits: int
    key_id: str = ""


@dataclass(frozen=True, slots=True)
class StoreState:
    """One party's store towards one peer, bits.  reserve: below which the operator is warned."""

    pair: str
    party: str
    delivered: int
    spendable: int
    consumed: int
    authentication: int
    burned: int
    reserve: int
    epsilon: float
    provenance: str
    last_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StoreStates:
    """All stores of a folder, and the latest debits.  t: when they were read."""

    folder: str
    t: float
    stores: tuple[StoreState, ...]
    debits: tuple[Debit, ...] = ()
