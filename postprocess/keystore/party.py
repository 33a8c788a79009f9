"""One party's keys: its stores under DIR/<party>/, one a peer, and the links that join them to those of the others."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from ...core.entropy import OsRandom, RandomSource
from ...core.errors import HeliographError, KeyStoreError, ParameterError, ProvenanceError, StorageError, UnknownKey
from ...core.files import erase, write_private
from ..channel.in_process import Fault, pipe
from .allocation import Plan, free_bits, plans
from .cipher import kek_from_file
from .end import LinkEnd
from .ledger import LinkLedger, ledger_of, taken
from .schema import ProvenanceLabel, Side
from .source import Hold, Key, KeyBlock, pair_name
from .split import PROVISIONING_BYTES, SplitPolicy
from .store import Identity, Injected, Store
from .tags import StoreTags

_SECRET_MAGIC = b"HGSEC1"
_NAME = re.compile(r"[A-Za-z0-9_]{1,32}")


@dataclass(frozen=True, slots=True)
class StoreFiles:
    """Where the files of one store lie. secret: the pre-shared secret between provisioning and import; kek: only for stores that keep it in a file."""

    store: Path
    guard: Path
    kek: Path
    secret: Path


class PartyKeys:
    """The keys one party shares with others; implements KeySource. Stores are opened by `link`.

    folder: DIR; the stores lie in DIR/<party> (mode 0700).  provenance: of every store.  kek: the key-encryption key; stores of simulated key keep one of
    their own in a 0600 file beside the store unless it is given.  guards: folder of the guards, best on another volume; beside the stores by default.
    """

    def __init__(
        self,
        folder: Path,
        party: str,
        *,
        provenance: ProvenanceLabel = "simulated",
        kek: bytes | None = None,
        guards: Path | None = None,
        policy: SplitPolicy | None = None,
        injected: Injected | None = None,
    ) -> None:
        if not _NAME.fullmatch(party):
            raise ParameterError(f"{party!r} is not a name of letters, digits and underscores", where="party")
        if kek is None and provenance != "simulated":
            raise ParameterError(f"stores of {provenance} key need a key-encryption key", where="kek", remedy="Give a passphrase or a credential.")
        self.party = party
        self.provenance = provenance
        self.folder = Path(folder) / party
        self._guards = guards
        self._kek = kek
        self._policy = policy
        self._injected = injected
        self._links: dict[str, Link] = {}
        self._ends: dict[str, LinkEnd] = {}
        self._holds: dict[str, tuple[Hold, Plan]] = {}
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.folder.chmod(0o700)
        except OSError as error:
            raise StorageError(f"the folder cannot be made ({error.strerror})", where=str(self.folder), remedy="Choose another --store.") from error

    def files(self, peer: str) -> StoreFiles:
        """Return where the files of the store shared with a peer lie."""
        pair = pair_name(self.party, peer)
        beside = {kind: self.folder / f"{pair}.{kind}" for kind in ("sqlite", "guard", "kek", "secret")}
        guard = beside["guard"] if self._guards is None else self._guards / f"{self.party}-{pair}.guard"
        return StoreFiles(beside["sqlite"], guard, beside["kek"], beside["secret"])

    # KeySource

    def available_bits(self, peer: str) -> int:
        """Return the bits this party can still hold towards a peer."""
        with self._link(peer).lock:
            return free_bits(*self._free(peer))

    def affordable_holds(self, peer: str, bits: int) -> int:
        """Return how many holds of so many bits (positive) can still be made towards a peer: each takes whole chunks, of which the tail is burned."""
        with self._link(peer).lock:
            return plans(bits, *self._free(peer))

    def taken(self, peer: str) -> dict[str, int]:
        """Return the bits that ever left the store shared with a peer, by purpose; ends of chunks that nobody got are included."""
        with self._link(peer).lock:
            return taken(self._ends[peer].store.db.all)

    def hold(self, peer: str, bits: int, purpose: str) -> Hold:
        """Set bits aside for a purpose. Raises InsufficientKey; ParameterError if bits is not a positive multiple of 8 or the purpose is empty."""
        if bits <= 0 or bits % 8:
            raise ParameterError(f"{bits} is not a positive multiple of 8", where="bits")
        if not 0 < len(purpose) <= 200 or not purpose.isprintable():
            raise ParameterError("a purpose is one printable line", where="purpose")
        with self._link(peer).lock:
            plan = self._ends[peer].hold_plan(bits, *self._held(peer), purpose)
            hold = Hold(str(uuid.uuid4()), peer, bits, purpose)
            self._holds[hold.hold_id] = hold, plan
            return hold

    def release(self, hold: Hold) -> None:
        """Give a hold back unspent; a hold already fetched or released is left alone."""
        with self._link(hold.peer).lock:
            self._holds.pop(hold.hold_id, None)

    def fetch(self, hold: Hold) -> tuple[Key, ...]:
        """Spend a hold; the keys' bits sum to those of the hold.

        Raises KeyStoreError if the hold is spent, or the peer did not confirm (those keys are burned); StorageError if the store could not be written.
        """
        with self._link(hold.peer).lock:
            if hold.hold_id not in self._holds:
                raise KeyStoreError("the hold is spent or was released", where=f"hold for {hold.purpose}", remedy="Hold again.")
            _, plan = self._holds.pop(hold.hold_id)
            return self._ends[hold.peer].fetch(hold.bits, plan, hold.purpose)

    def fetch_by_id(self, peer: str, ids: tuple[str, ...], purpose: str) -> tuple[Key, ...]:
        """Return the keys a peer has fetched, in the order asked. Raises UnknownKey, and then none was touched."""
        if not ids:
            raise UnknownKey("no key id was given", where=f"pair {pair_name(self.party, peer)}")
        with self._link(peer).lock:
            return self._ends[peer].fetch_by_id(ids, purpose)

    # Blocks and records

    def ingest(self, block: KeyBlock) -> bool:
        """Lay down this party's half of a block; True if both halves are in the stores, False if the other party's has not come yet.

        Raises ProvenanceError, KeyStoreError if the block is not the next, DesyncError if the halves differ; then the block is burned at both ends.
        """
        peer = self._peer_of(block.pair)
        with self._link(peer).lock:
            return self._ends[peer].lay(block)

    def next_block(self, peer: str) -> int:
        """Return the number that the next block with a peer has to carry."""
        with self._link(peer).lock:
            return self._ends[peer].next_block

    def ledger(self, peer: str) -> LinkLedger:
        """Return the books of the store shared with a peer."""
        link, files = self._link(peer), self.files(peer)
        with link.lock:
            data, bulk = self._held(peer)
            return ledger_of(self._ends[peer].store.db.all, self.party, files.store, held_bits=free_bits(data, bulk), guard=files.guard)

    @property
    def peers(self) -> tuple[str, ...]:
        """Name the parties linked with this one."""
        return tuple(sorted(self._links))

    def close(self) -> None:
        """Close all links of this party, both ends of each."""
        for link in list(self._links.values()):
            link.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        # A failure to close must not hide what went wrong before; the next opening burns what is in doubt.
        with contextlib.suppress(*(() if error is None else (HeliographError,))):
            self.close()

    def _peer_of(self, pair: str) -> str:
        names = pair.split("-")
        if len(names) != 2 or self.party not in names or names != sorted(set(names)):
            raise ParameterError(f"{pair!r} is not a pair of party {self.party}", where="pair")
        return names[1 - names.index(self.party)]

    def join(self, link: Link, end: LinkEnd) -> None:
        """Take up a connected link; called by `link`."""
        self._links[end.peer], self._ends[end.peer] = link, end

    def forget(self, peer: str) -> None:
        """Give up the link with a peer and its holds; called when the link closes."""
        self._links.pop(peer, None)
        self._ends.pop(peer, None)
        self._holds = {key: value for key, value in list(self._holds.items()) if value[0].peer != peer}

    def _link(self, peer: str) -> Link:
        if peer not in self._links:
            raise KeyStoreError(f"no link with {peer}", where=f"party {self.party}", remedy="Link the two parties first.")
        return self._links[peer]

    def _held(self, peer: str) -> tuple[int, int]:
        plans = [plan for hold, plan in list(self._holds.values()) if hold.peer == peer]
        return sum(plan.data for plan in plans), sum(plan.bulk for plan in plans)

    def _free(self, peer: str) -> tuple[int, int]:
        (data, bulk), (data_held, bulk_held) = self._ends[peer].keys.free(), self._held(peer)
        return max(0, data - data_held), max(0, bulk - bulk_held)

    def open_end(self, peer: str) -> LinkEnd:
        """Open the store shared with a peer, importing a pre-shared secret if one waits; called by `link`. Raises what Store raises."""
        files = self.files(peer)
        if files.store.exists():
            erase(files.secret)
        elif files.secret.exists():
            self._import(files, peer)
        kek = kek_from_file(files.kek) if self._kek is None else self._kek
        store = Store(files.store, files.guard, kek, self.provenance, self._injected)
        return LinkEnd(store, self.party, peer, self._policy)

    def _import(self, files: StoreFiles, peer: str) -> None:
        raw = files.secret.read_bytes()
        start = len(_SECRET_MAGIC)
        if len(raw) != start + 16 + PROVISIONING_BYTES or not raw.startswith(_SECRET_MAGIC):
            raise KeyStoreError("this is not a pre-shared secret", where=str(files.secret), remedy="Remove it at both ends and provision again.")
        side: Side = "A" if self.party < peer else "B"
        identity = Identity(raw[start : start + 16], pair_name(self.party, peer), side, self.provenance)
        kek = kek_from_file(files.kek) if self._kek is None else self._kek
        files.guard.unlink(missing_ok=True)  # of a store that was removed
        Store.create(files.store, identity, raw[start + 16 :], kek, self._injected)
        erase(files.secret)


def open_party(
    folder: Path,
    party: str,
    *,
    provenance: ProvenanceLabel = "simulated",
    kek: bytes | None = None,
    guards: Path | None = None,
    policy: SplitPolicy | None = None,
    injected: Injected | None = None,
) -> PartyKeys:
    """Return the keys of one party in DIR `folder`; see PartyKeys. Nothing is opened before `link`."""
    return PartyKeys(folder, party, provenance=provenance, kek=kek, guards=guards, policy=policy, injected=injected)


class Link:
    """Two parties' stores joined inside this process, by frames only.

    Leaving the context, or `close`, reconciles once more and closes both stores.
    """

    def __init__(self, a: PartyKeys, b: PartyKeys, ends: tuple[LinkEnd, LinkEnd], fault: Fault | None) -> None:
        self.parties = a, b
        self.ends = ends
        self.fault = fault
        self.lock = threading.RLock()
        self.pair = pair_name(a.party, b.party)
        self._closed = False

    def connect(self) -> None:
        """Open a session, ending the one before. Raises what either end has against it."""
        with self.lock:
            for end, transport in zip(self.ends, pipe(self._transmit), strict=True):
                end.attach(transport)
            # The deeper reason is at the end that closed the connection.
            try:
                self.ends[0].connect()
            except KeyStoreError:
                if self.ends[1].failure is not None and self.ends[0].failure is None:
                    raise self.ends[1].failure from None
                raise
            self.ends[1].require_ready()

    def _transmit(self, end: int, data: bytes) -> list[bytes]:
        return [data] if self.fault is None else list(self.fault(end, data))

    def round_tags(self) -> tuple[StoreTags, StoreTags]:
        """Return what either end makes and checks the tags of its rounds with.

        Raises KeyStoreError if there are too few pads for a block, or the ends are not connected.
        """
        with self.lock:
            for end in self.ends:
                end.require_ready()
            tags = StoreTags(self.ends[0].store, self.lock), StoreTags(self.ends[1].store, self.lock)
            for one in tags:
                one.require()
            return tags

    def ingest(self, block_a: KeyBlock, block_b: KeyBlock) -> int:
        """Lay down both halves of a block (of the party named first, of the other) and return its number.

        Raises what `PartyKeys.ingest` raises; KeyStoreError if messages were lost, the block is burned at both ends then.
        """
        with self.lock:
            number = self.ends[0].next_block
            try:
                self.parties[1].ingest(block_b)
                complete = self.parties[0].ingest(block_a)
            except HeliographError:
                for end in self.ends:
                    end.withdraw()
                raise
            if complete and all(end.connected for end in self.ends):
                return number
            self.connect()
            if all(number in end.store.blocks_in("open") for end in self.ends):
                return number
            raise KeyStoreError(f"block {number} was lost on the way and burned", where=f"pair {self.pair}", remedy="Distil another run.")

    def close(self) -> None:
        """Reconcile, then close both stores cleanly. Raises StorageError if a store cannot be written; both are let go of all the same."""
        with self.lock:
            if self._closed:
                return
            self._closed = True
            for mine, theirs in (self.parties, self.parties[::-1]):
                mine.forget(theirs.party)
            if all(end.connected for end in self.ends):
                with contextlib.suppress(HeliographError):
                    self.ends[0].reconcile()
            with contextlib.ExitStack() as stack:
                for end in self.ends:
                    stack.callback(end.store.close)
                    stack.callback(end.drop)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with contextlib.suppress(*(() if error is None else (HeliographError,))):
            self.close()


def link(one: PartyKeys, two: PartyKeys, *, fault: Fault | None = None, source: RandomSource | None = None) -> Link:
    """Join two parties' stores, provisioning the link if it is new, and reconcile them.

    fault: decides what becomes of each message, for tests.  source: of the pre-shared secret; the operating system by default.
    Raises StoreLocked, RollbackSuspected, GuardMismatch, StoreCorrupt, ProvenanceError, StorageError, or KeyStoreError if one end's store is missing.
    """
    a, b = sorted((one, two), key=lambda keys: keys.party)
    if a.party == b.party or b.party in a.peers:
        raise ParameterError(f"{a.party} and {b.party} cannot be linked", where="parties", remedy="A link joins two parties, once.")
    if a.provenance != b.provenance:
        raise ProvenanceError(f"{a.party} keeps {a.provenance} key, {b.party} {b.provenance} key", where="link", remedy="Open both with one provenance.")
    with _alone(a.folder), _alone(b.folder):
        _provision(a, b, source or OsRandom())
        with contextlib.ExitStack() as undo:
            ends: list[LinkEnd] = []
            for mine, theirs in ((a, b), (b, a)):
                ends.append(mine.open_end(theirs.party))
                undo.callback(ends[-1].store.abandon)
            made = Link(a, b, (ends[0], ends[1]), fault)
            made.connect()
            a.join(made, made.ends[0])
            b.join(made, made.ends[1])
            undo.pop_all()
    return made


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait until no other process provisions or opens stores in this folder, and keep others waiting. Until a store exists its guard locks nothing."""
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


def _provision(a: PartyKeys, b: PartyKeys, source: RandomSource) -> None:
    """Leave a fresh secret beside each store to be; after a crash on the way it is done again."""
    files = a.files(b.party), b.files(a.party)
    if any(each.store.exists() for each in files):
        for party, each in zip((a, b), files, strict=True):
            if not each.store.exists() and not each.secret.exists():
                raise KeyStoreError(f"{party.party}'s store is missing", where=str(each.store), remedy="Remove the other end's store too to start anew.")
        return
    if all(each.secret.exists() for each in files):
        return
    if source.origin == "simulated" and a.provenance == "real":
        raise ProvenanceError("a seeded secret does not authenticate a real link", where="provisioning")
    secret = _SECRET_MAGIC + source.take(16 + PROVISIONING_BYTES)
    for each in files:
        try:
            write_private(each.secret, secret, secret=True)
        except OSError as error:
            raise StorageError(f"the link cannot be provisioned ({error.strerror})", where=str(each.secret), remedy="Free some disk space.") from error
