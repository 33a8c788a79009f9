"""The parties of a station in this process: their key stores, joined pair by pair, and the distillation of runs into them.

Each party has its own folder DIR/<party>: stores, patterns of runs not yet distilled, and the record of what it disclosed. What one party's machine is given
comes from its own folder and from the site's announcement, nothing else.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import IO, Any, Literal

from ...acquisition.runs import Run
from ...acquisition.sent import Sent, configuration, erase_sent, load_sent, waits_for
from ...core.entropy import Origin, OsRandom, RandomSource
from ...core.errors import AlreadyDistilled, RunFileError, StorageError
from ...core.files import room
from ...core.ledger import Ledger, records
from ...core.physics import transmission
from ...core.statement import Provenance, SecurityStatement
from ...instruments.station import Station
from ...instruments.station_checks import Y_SHARE
from ...postprocess.block import BlockSettings, Distilled
from ...postprocess.channel.frames import MessageType
from ...postprocess.distillation import Alice, Bob, run_in_process
from ...postprocess.finite_key import binary_entropy, kato_parameters, key_length
from ...postprocess.keystore.party import Link, PartyKeys, link, open_party
from ...postprocess.keystore.source import KeyBlock
from ...postprocess.parameters import PairBench, SlotShares, expected_counts
from ...postprocess.procedures.key_exchange import pattern_path
from ...postprocess.reconciliation.schedule import frame_bits_for
from ...postprocess.round_tags import RoundTags
from .accounting import epsilon_parts, in_words

Bound = Literal["azuma", "kato"]
Progress = Callable[[str, float], None]
"""Told what a distillation is doing, and how much of the whole is done, in percent."""
PAPER_F = {"A-B": 1.19131, "A-C": 1.18058}
"""f of error correction in the published rows (arXiv:2501.12709, Tables 1 and 7)."""
OTHER_F = 1.19284
"""f of the published third pair, which here stands for all others."""
MOST_SLOTS = 2**52
"""More slots than any run has: a year at 100 MHz."""
_ORIGINS: tuple[Origin, ...] = ("simulated", "os", "qrng")
"""Origins of random bits, the weakest first."""
SPARE_BYTES = 1 << 18
"""Free bytes that a distillation wants in each party's folder, besides those that the key may take."""
_TYPE_AT = 5
"""Place of the message type in a frame: behind length and version."""
_AT = {"sifted": 10.0, "corrected": 80.0, "laying down": 90.0}
"""Percent of a distillation that is done then, about."""


@dataclass(frozen=True, slots=True)
class PairKey:
    """What one run gave a pair.

    block: number of the key block in the stores.  seconds: of light.  sifted_bits: X bits.  leak_bits: parities subtracted.
    key_rate_bps: key over light time.  f_ec: leak over n_x h(E_x), None where nothing was wrong.
    disclosed: bits said in public, by class.  epsilons: parts of the failure probability, and their sum (see `accounting`).
    paper_f: f of error correction that the published row of the pair implies.  key_rate_bps_at_paper_leak: what the same counts would give with it.
    """

    pair: str
    run_id: str
    block: int
    seconds: float
    n_events: int
    sifted_bits: int
    qber_x: float
    qber_y: float
    leak_bits: int
    f_ec: float | None
    key_bits: int
    key_rate_bps: float
    paper_f: float
    key_rate_bps_at_paper_leak: float
    disclosed: dict[str, int]
    epsilons: dict[str, float]
    statement: SecurityStatement

    def as_dict(self) -> dict[str, Any]:
        """Return everything but the statement, as `--json` prints it."""
        return {name: getattr(self, name) for name in self.__slots__ if name != "statement"}


class Network:
    """Parties and their stores, every pair of them joined. Use `network` to open one."""

    def __init__(self, folder: Path, parties: dict[str, PartyKeys], links: dict[str, Link]) -> None:
        self.folder = folder
        self.parties = parties
        self.links = links

    def distil(
        self,
        run: Run,
        *,
        bound: Bound = "kato",
        source: RandomSource | None = None,
        tap: Callable[[int, bytes], None] | None = None,
        progress: Progress | None = None,
    ) -> PairKey:
        """Make key of a run of `KeyExchange` and lay it into both stores of its pair.

        bound: concentration inequality; the free parameters of `kato` come from what the station expects.
        source: of hash keys and seeds.  tap: sees every message between the two parties.  progress: told what goes on.
        Raises AlreadyDistilled, RunFileError, KeyStoreError if too few pads are left to authenticate it, StorageError if the disk may not hold the key, before
        a word is said, or the reason why there is no key. A run whose bases
        went out is never tried again, whatever came of it: its site could announce other events once it knows them, and parities of another seed would leak
        twice. Its patterns are erased.
        """
        meta = _announced(run, self.folder)
        pair, users = meta["pair"], meta["pair"].split("-")
        self._refuse_second_time(run, users)
        told = progress or (lambda _what, _percent: None)
        files = [pattern_path(self.folder, user, run.run_id) for user in users]
        sent = [load_sent(path, run_id=run.run_id, party=user) for path, user in zip(files, users, strict=True)]
        tags = self.links[pair].round_tags()
        settings = _settings(run, meta, sent, self.parties[users[0]].next_block(users[1]), bound)
        with ExitStack() as stack:
            rooms = [stack.enter_context(_room(self.folder / user, run)) for user in users]
            ledgers = [stack.enter_context(Ledger(self._ledger_path(user))) for user in users]
            noting = _Noting(ledgers, run.run_id, pair, tap)
            try:
                results = _machines(run, sent, settings, source or OsRandom(), tags, noting, told)
                told("Laying down key", _AT["laying down"])
                for kept in rooms:
                    kept.close()
                blocks = [KeyBlock(pair, settings.block, one.key, one.bits, one.statement, one.statement.provenance) for one in results]
                self.links[pair].ingest(blocks[0], blocks[1])
                for ledger, one in zip(ledgers, results, strict=True):
                    cost = {"disclosed": one.disclosed, "epsilons": epsilon_parts(settings.epsilons, one.forgery), "figures": _figures(run, settings, one)}
                    ledger.append("distilled", run_id=run.run_id, pair=pair, block=settings.block, bits=one.bits, **cost)
            except BaseException as error:
                if noting.noted:
                    _erase_noting(files, error)
                raise
        for path in files:
            erase_sent(path)
        return _pair_key(run, settings, results[0])

    def statements(self, made: Iterable[PairKey] = ()) -> list[SecurityStatement]:
        """Return what is claimed of the key in each pair's store, as far as the store remembers: its epsilon, and whether it is real.

        made: at most one key a pair that was distilled just now; its own statement then stands for its block, and the store speaks for the earlier ones.
        """
        fresh = {key.pair: key.statement for key in made}
        found = []
        for pair in self.links:
            a, b = pair.split("-")
            book = self.parties[a].ledger(b)
            epsilon = book.epsilon
            if (own := fresh.get(pair)) is not None:
                found.append(own)
                if book.blocks == 1:
                    continue
                epsilon = max(0.0, epsilon - own.epsilon)
            simulated = book.provenance != "real"
            reasons = (f"the store of pair {pair} holds {book.provenance} key",) if simulated else ()
            found.append(SecurityStatement((), (f"key of pair {pair} as stated when it was distilled",), epsilon, 0, Provenance(simulated, reasons)))
        return found

    def _refuse_second_time(self, run: Run, users: Sequence[str]) -> None:
        past = [record for user in users for record in self._past(user) if record.get("run_id") == run.run_id]
        if not past:
            return
        done = [record for record in past if record["kind"] == "distilled"]
        if done:
            what = f"already distilled: {done[0]['bits']:,} bits, key block {done[0]['block']} of pair {done[0]['pair']}"
        else:
            what = "its bases were disclosed by a distillation that did not finish; a second one would disclose more than is counted"
        refusal = AlreadyDistilled(what, where=str(run.path), remedy="Acquire another run.")
        # With pattern, announcement and what was said in public anyone makes the key; a process that died may have left them.
        _erase_noting([pattern_path(self.folder, user, run.run_id) for user in users], refusal)
        raise refusal

    def _past(self, party: str) -> Iterator[dict[str, Any]]:
        path = self._ledger_path(party)
        return records(path) if path.exists() else iter(())

    def _ledger_path(self, party: str) -> Path:
        return self.folder / party / "distillation.jsonl"


@contextmanager
def network(folder: str | Path, parties: Iterable[str], *, existing: bool = False) -> Iterator[Network]:
    """Open the stores of all pairs of these parties, provisioning those that are new, and close them at the end.

    folder: holds one folder a party.  existing: leave out pairs that have no store yet, instead.
    Raises KeyStoreError, ProvenanceError or StorageError.
    """
    folder = Path(folder)
    with ExitStack() as stack:
        keys = {party: stack.enter_context(open_party(folder, party)) for party in sorted(parties)}
        pairs = [(a, b) for a, b in itertools.combinations(keys, 2) if not existing or keys[a].files(b).store.exists()]
        links = {f"{a}-{b}": stack.enter_context(link(keys[a], keys[b])) for a, b in pairs}
        yield Network(folder, keys, links)


def parties_in(folder: Path) -> list[str]:
    """Name the parties that have a key store in a folder, sorted."""
    return sorted({path.parent.name for path in folder.glob("*/*.sqlite")})


def pair_of(run: Run, store: Path | None = None) -> str:
    """Return the pair that a run of `KeyExchange` served. Raises RunFileError for any other run.

    store: folder of key stores, where patterns of an exchange that was killed before it announced are erased: nothing will come of them.
    """
    return str(_announced(run, store)["pair"])


def _announced(run: Run, store: Path | None) -> dict[str, Any]:
    parts = run.announced().meta if run.procedure == "KeyExchange" else []
    # Only the last part says of which block the events are.
    if not parts or "pair" not in parts[-1]:
        refusal = RunFileError("this run announced no events", where=str(run.path), remedy="Give a finished run of `heliograph acquire key`.")
        if store is not None and run.procedure == "KeyExchange":
            _erase_left(store, run, refusal)
        raise refusal
    pairs = Station.parse(run.station_text, run.path).pairs
    match parts[-1]:
        case {"pair": str(pair), "first_slot": 0, "n_slots": int(slots)} if pair in pairs and type(slots) is int and 0 < slots < MOST_SLOTS:
            return parts[-1]
    raise RunFileError("what belongs to the announcement is malformed", where=str(run.path), remedy="Acquire another run.")


def _settings(run: Run, meta: dict[str, Any], sent: Sequence[Sent], block: int, bound: Bound) -> BlockSettings:
    """Return what the parties agree on: what they know themselves wherever the site could gain by lying, and the more careful word of the two.

    Raises RunFileError if the run file tells of another station than that for which the users drew their patterns: the site wrote it, and later.
    """
    drawn_for = configuration(run.station_text)
    if any(one.station not in ("", drawn_for) for one in sent):
        remedy = "Restore the run file from a copy, or acquire another run."
        raise RunFileError("the station in the run file is not that of the users, it was changed since", where=str(run.path), remedy=remedy)
    if not all(one.station for one in sent):
        # Files of earlier versions: whether the expected counts are older than the data nobody can say.
        bound = "azuma"
    station = Station.parse(run.station_text, run.path)
    pair = station.pairs[meta["pair"]]
    mu = (sent[0].mu, sent[1].mu)
    arm, site = float(transmission(pair.arm_loss_db)), station.optics.site
    dark = (site.dark_hz[0] * site.gate_s, site.dark_hz[1] * site.gate_s)
    slots = station.clock.pattern_slots
    shares = SlotShares.pattern(slots, round(Y_SHARE * slots), pair.yy_overlap)
    pulses = max(one.pulses for one in sent)
    # Kato's parameters come from what the users know before the announcement: a site that chooses the number of slots must not choose them.
    expected = expected_counts(PairBench(mu, (arm, arm), pair.error_x, pair.error_y, site.eta, dark), pulses, shares)
    return BlockSettings(
        pair=meta["pair"],
        block=block,
        # Pulses in slots of which the site says nothing were sent all the same.
        n_sent=max(pulses, meta["n_slots"]),
        mu=mu,
        bound=bound,
        kato=kato_parameters(expected.block(), mu) if bound == "kato" else None,
        q_est=pair.error_x,
        frame_bits=frame_bits_for(expected.n_x),
        first_slot=meta["first_slot"],
        p_x=1.0 - Y_SHARE,
        pattern_mode="qrng" if all(one.pattern.mode == "qrng" for one in sent) else "demo",
        pattern_randomness=_weakest(one.origin for one in sent),
        hardware=not run.simulated and all(one.hardware for one in sent),
        configuration=drawn_for,
        session=time.time_ns(),
    )


def _weakest(origins: Iterable[Origin]) -> Origin:
    found = set(origins)
    return next((weak for weak in _ORIGINS if weak in found), "simulated")


def _machines(
    run: Run,
    sent: Sequence[Sent],
    settings: BlockSettings,
    source: RandomSource,
    tags: tuple[RoundTags, RoundTags],
    tap: Callable[[int, bytes], None],
    told: Progress,
) -> tuple[Distilled, Distilled]:
    announcement = run.announced()
    # The generators were shifted so that both patterns begin in slot 0 of the frame.
    told("Sifting", 0.0)
    alice = Alice.of_pattern(sent[0].pattern, 0, announcement, settings, source, tags[0])
    told("Sifting", _AT["sifted"] / 2)
    bob = Bob.of_pattern(sent[1].pattern, 0, announcement, settings, source, tags[1])
    told("Sifting", _AT["sifted"])

    def watched(end: int, data: bytes) -> None:
        tap(end, data)
        if data[_TYPE_AT] == MessageType.PARITY:
            told("Correcting errors", _AT["sifted"] + (_AT["corrected"] - _AT["sifted"]) * bob.corrected_share)
        elif data[_TYPE_AT] == MessageType.PA_SEED:
            told("Amplifying privacy", _AT["corrected"])

    return run_in_process(alice, bob, watched)


class _Noting:
    """A tap that records, before the first bases go out, that secrets of this run go out. noted: whether they may have."""

    def __init__(self, ledgers: Sequence[Ledger], run_id: str, pair: str, tap: Callable[[int, bytes], None] | None) -> None:
        self.noted = False
        self._ledgers, self._run_id, self._pair, self._tap = ledgers, run_id, pair, tap

    def __call__(self, end: int, data: bytes) -> None:
        if not self.noted and data[_TYPE_AT] == MessageType.BASES:
            for ledger in self._ledgers:
                ledger.append("disclosed", run_id=self._run_id, pair=self._pair)
            self.noted = True
        if self._tap is not None:
            self._tap(end, data)


def _room(folder: Path, run: Run) -> IO[bytes]:
    """Keep the room that a run's key may take in a party's store, until the file that this returns is closed. Raises StorageError if it is not there."""
    # An event is a byte at least and a bit of key at most; a store takes four to six bytes for each of key, its log included.
    size = min(sum(part["n_bytes"] for part in run.announced().meta) // 2, 1 << 50) + SPARE_BYTES
    try:
        return room(folder, size, SPARE_BYTES)
    except OSError as error:
        what = f"{(size + SPARE_BYTES) / 1e6:,.1f} MB must be free for the key of this run ({error.strerror})"
        raise StorageError(what, where=str(folder), remedy="Free some space, then distil it: nothing was said of it yet.") from error


def _erase_noting(files: Iterable[Path], error: BaseException) -> None:
    """Erase patterns on the way out of a failure, which must not be hidden by another one."""
    for path in files:
        try:
            erase_sent(path)
        except StorageError as second:
            error.add_note(str(second))


def _erase_left(store: Path, run: Run, error: BaseException) -> None:
    """Erase what parties sent in a run that was killed before its end. Raises RunFileError, and leaves it, where their own files say otherwise.

    The run file is the site's, and may be a copy that was taken while the exchange was on: nothing is erased on its word.
    """
    if Path(run.run_id).name != run.run_id:
        return
    files = [pattern_path(store, folder.parent.name, run.run_id) for folder in sorted(store.glob("*/patterns"))]
    waiting = {waits_for(path) for path in files}
    if "run" in waiting:
        raise RunFileError("this run is still on", where=str(run.path), remedy="Wait until it has ended.") from error
    if "key" in waiting:
        what = "the end of the announcement is missing here, but the users sent all of their light; their patterns were left"
        remedy = f"Give the file that the exchange wrote, not an earlier copy. If there is none, erase {run.run_id}-*.bin in {store}: the bits are secret."
        raise RunFileError(what, where=str(run.path), remedy=remedy) from error
    _erase_noting(files, error)


def _seconds(run: Run, settings: BlockSettings) -> float:
    return settings.n_sent / Station.parse(run.station_text, run.path).clock.rep_rate_hz


def _figures(run: Run, settings: BlockSettings, result: Distilled) -> dict[str, Any]:
    """Return what was found of a block beside its key, for whoever looks at it later (`watching.earlier_key`)."""
    return {
        "seconds": _seconds(run, settings),
        "sifted_bits": result.counts.n_x,
        "qber_x": result.qber_x,
        "qber_y": result.qber_y,
        "gain": result.counts.n_events / settings.n_sent,
        "leak_bits": result.leak_bits,
        "f_ec": result.f_ec,
        "provenance": in_words(result.statement.provenance),
    }


def _pair_key(run: Run, settings: BlockSettings, result: Distilled) -> PairKey:
    seconds = _seconds(run, settings)
    paper_f = PAPER_F.get(settings.pair, OTHER_F)
    return PairKey(
        pair=settings.pair,
        run_id=run.run_id,
        block=settings.block,
        seconds=seconds,
        n_events=result.counts.n_events,
        sifted_bits=result.counts.n_x,
        qber_x=result.qber_x,
        qber_y=result.qber_y,
        leak_bits=result.leak_bits,
        f_ec=result.f_ec,
        key_bits=result.bits,
        key_rate_bps=result.bits / seconds,
        paper_f=paper_f,
        key_rate_bps_at_paper_leak=_bits_at(paper_f, settings, result) / seconds,
        disclosed=result.disclosed,
        epsilons=epsilon_parts(settings.epsilons, result.forgery),
        statement=result.statement,
    )


def _bits_at(f: float, settings: BlockSettings, result: Distilled) -> int:
    """Return the key that the same counts would give if error correction disclosed f times what it must."""
    return key_length(
        result.counts,
        settings.mu,
        ceil(f * result.n_x_surviving * binary_entropy(result.qber_x)),
        bound=settings.bound,
        epsilons=settings.epsilons,
        verify_bits=result.disclosed["verification"],
        n_x_surviving=result.n_x_surviving,
        kato=settings.kato,
    ).bits
