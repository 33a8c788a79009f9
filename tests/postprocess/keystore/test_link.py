"""Messages lost, altered, repeated: key may be lost, never served twice, and both ends agree again."""

from __future__ import annotations

import pytest

from heliograph.core.errors import DesyncError, FrameError, HeliographError, KeyStoreError, UnknownKey
from heliograph.postprocess.channel.frames import FrameReader, MessageType, Sender, encode
from heliograph.postprocess.channel.in_process import pipe


def types(data: bytes) -> MessageType:
    return MessageType(data[5])


class Faults:
    """Does something to the next message of a type."""

    def __init__(self) -> None:
        self.seen: list[MessageType] = []
        self.plan: dict[MessageType, str] = {}

    def __call__(self, end: int, data: bytes) -> list[bytes]:
        kind = types(data)
        self.seen.append(kind)
        match self.plan.pop(kind, ""):
            case "drop":
                return []
            case "twice":
                return [data, data]
            case "alter":
                return [data[:-3] + bytes([data[-3] ^ 1]) + data[-2:]]
            case _:
                return [data]


@pytest.fixture
def faulty(pair):
    pair.ingest(bits=200_000)
    pair.link.fault = pair.faults = Faults()
    return pair


def ids(keys):
    return tuple(key.key_id for key in keys)


@pytest.mark.parametrize("kind", [MessageType.KEY_OFFER, MessageType.KEY_ACK])
@pytest.mark.parametrize("fault", ["drop", "alter", "twice"])
def test_a_fetch_under_a_fault_serves_once_or_burns(faulty, chunks, kind, fault):
    before = faulty.a.available_bits("B")
    faulty.faults.plan = {kind: fault}

    try:
        keys = faulty.a.fetch(faulty.a.hold("B", 2560, "x"))
    except KeyStoreError:
        keys = ()
    faulty.link.connect()

    if keys and fault != "alter":
        assert faulty.b.fetch_by_id("A", ids(keys), "x") == keys
    assert faulty.a.available_bits("B") == before - 2560
    here, there = chunks(faulty.link)
    assert here == there
    after = faulty.a.fetch(faulty.a.hold("B", 2560, "y"))
    assert faulty.b.fetch_by_id("A", ids(after), "y") == after
    assert not set(ids(keys)) & set(ids(after))


def test_a_lost_answer_burns_the_key_at_both_ends(faulty):
    faulty.faults.plan = {MessageType.KEY_ACK: "drop"}

    with pytest.raises(KeyStoreError, match="did not confirm"):
        faulty.a.fetch(faulty.a.hold("B", 256, "x"))

    assert faulty.faults.seen[-1] is MessageType.KEY_CANCEL
    offered = faulty.link.ends[1].keys.offered()
    assert offered == []
    assert faulty.a.ledger("B").burned == faulty.b.ledger("A").burned > 0


def test_a_lost_cancel_is_made_up_at_the_next_connection(faulty):
    faulty.faults.plan = {MessageType.KEY_ACK: "drop", MessageType.KEY_CANCEL: "drop"}
    with pytest.raises(KeyStoreError):
        faulty.a.fetch(faulty.a.hold("B", 256, "x"))
    (lost,) = faulty.link.ends[1].keys.offered()

    faulty.link.connect()

    assert faulty.link.ends[1].keys.offered() == []
    with pytest.raises(UnknownKey):
        faulty.b.fetch_by_id("A", (lost,), "x")


@pytest.mark.parametrize("kind", [MessageType.BLOCK, MessageType.RECONCILE])
@pytest.mark.parametrize("fault", ["drop", "alter", "twice"])
@pytest.mark.parametrize("nth", [0, 1, 2])
def test_a_block_under_a_fault_is_at_both_ends_or_at_none(faulty, chunks, make_block, kind, fault, nth):
    count = {"left": nth}

    def hook(end: int, data: bytes) -> list[bytes]:
        if types(data) is kind:
            if count["left"] == 0:
                faulty.faults.plan = {kind: fault}
            count["left"] -= 1
        return faulty.faults(end, data)

    faulty.link.fault = hook
    try:
        number = faulty.link.ingest(make_block(seed=2, bits=200_000), make_block(seed=2, bits=200_000))
    except HeliographError:
        number = None
    faulty.link.fault = None
    faulty.link.connect()

    here, there = chunks(faulty.link)
    assert here == there
    for end in faulty.link.ends:
        if number is not None and fault != "alter":
            assert 2 in end.store.blocks_in("open")
        assert end.store.blocks_in("pending") == []
    assert faulty.a.next_block("B") == faulty.b.next_block("A") == 3
    assert faulty.ingest(seed=3) == 3


@pytest.mark.parametrize(
    ("kind", "fault"),
    [*((MessageType.HELLO, fault) for fault in ("drop", "alter", "twice")), *((MessageType.RECONCILE, fault) for fault in ("drop", "twice"))],
)
def test_a_connection_under_a_fault_fails_and_the_next_one_works(faulty, kind, fault):
    faulty.faults.plan = {kind: fault}

    with pytest.raises((FrameError, KeyStoreError)):
        faulty.link.connect()
        faulty.a.fetch(faulty.a.hold("B", 256, "x"))

    faulty.link.connect()
    keys = faulty.a.fetch(faulty.a.hold("B", 256, "x"))
    assert faulty.b.fetch_by_id("A", ids(keys), "x") == keys


def test_an_altered_account_of_blocks_burns_key_at_both_ends_alike(faulty, chunks):
    faulty.faults.plan = {MessageType.RECONCILE: "alter"}

    faulty.link.connect()

    here, there = chunks(faulty.link)
    assert here == there
    assert faulty.a.available_bits("B") == 0
    assert faulty.ingest() == 2


def test_a_dead_connection_serves_nothing_until_connected_again(faulty):
    faulty.link.ends[1].drop()
    before = faulty.a.available_bits("B")

    with pytest.raises(KeyStoreError, match="not connected"):
        faulty.a.fetch(faulty.a.hold("B", 256, "x"))
    with pytest.raises(KeyStoreError, match="not connected"):
        faulty.ingest()

    assert faulty.a.available_bits("B") == before
    faulty.link.connect()
    faulty.a.fetch(faulty.a.hold("B", 256, "x"))


def stranger(pair, session: int):
    """Put a scripted peer in the place of side A, past HELLO and RECONCILE as the real one spoke them."""
    mine, theirs = pipe()
    pair.link.ends[1].attach(theirs)
    return mine, Sender(session, 0), FrameReader()


def test_an_old_session_is_refused(faulty):
    raw: list[bytes] = []

    def listening(end: int, data: bytes) -> list[bytes]:
        raw.append(data)
        return [data]

    faulty.link.fault = listening
    faulty.link.connect()
    hello = raw[0]
    mine, _, _ = stranger(faulty, 0)

    mine.send(hello)

    assert isinstance(faulty.link.ends[1].failure, FrameError)
    assert "older session" in str(faulty.link.ends[1].failure)
    assert mine.receive() == b""


@pytest.mark.parametrize(
    ("kind", "header"),
    [
        (MessageType.HELLO, {}),
        (MessageType.HELLO, {"link": "00", "side": "A", "provenance": "simulated", "last": 0, "lease": 1, "seen": 0}),
        (MessageType.KEY_OFFER, {"keys": []}),
        (MessageType.BLOCK, {"b": 1}),
        (MessageType.PARITY, {}),
        (MessageType.RECONCILE, {"step": 2}),
    ],
)
def test_a_stranger_changes_nothing(faulty, chunks, kind, header):
    before = chunks(faulty.link)
    session = faulty.link.ends[1].store.db.get("session") + 1
    mine, sender, _ = stranger(faulty, session)

    mine.send(sender.frame(kind, header))

    assert faulty.link.ends[1].failure is not None
    assert not mine.open
    assert chunks(faulty.link) == before


MALFORMED = [
    [],
    [[]],
    [["x", 3, 0, 1, 8]],
    [["00000000-0000-4000-8000-000000000000", 3, 0, 1]],
    [["00000000-0000-4000-8000-000000000000", 3, -1, 1, 8]],
    [["00000000-0000-4000-8000-000000000000", 9, 0, 1, 8]],
    [["00000000-0000-4000-8000-000000000000", True, 0, 1, 8]],
    "keys",
]
REFUSED = [
    [["00000000-0000-4000-8000-000000000000", 1, 70, 1, 8]],
    [["00000000-0000-4000-8000-000000000000", 4, 0, 1, 8]],
    [["00000000-0000-4000-8000-000000000000", 3, 10**6, 1, 8]],
    [["00000000-0000-4000-8000-000000000000", 3, 10, 1, 264]],
    [["00000000-0000-4000-8000-000000000000", 3, 10, 2, 8]],
    [["00000000-0000-4000-8000-000000000000", 3, 10, 1, 8], ["00000000-0000-4000-8000-000000000000", 3, 11, 1, 8]],
    [["00000000-0000-4000-8000-000000000000", 3, 10, 1, 8], ["00000000-0000-4000-8000-000000000001", 3, 10, 1, 8]],
]


@pytest.mark.parametrize("offer", MALFORMED + REFUSED)
def test_an_offer_of_what_the_peer_may_not_allocate_is_refused_and_changes_nothing(faulty, chunks, offer):
    end = faulty.link.ends[0]
    before = chunks(faulty.link)

    end._send(MessageType.KEY_OFFER, {"keys": offer})

    assert chunks(faulty.link) == before
    assert faulty.link.ends[1].keys.offered() == []
    assert not any(end._acks.values())
    assert (faulty.link.ends[1].failure is not None) is (offer in MALFORMED)


@pytest.mark.parametrize("moved", [{2: -1, 3: 1}, {0: -2, 2: 1}, {5: -1}])
def test_an_altered_split_never_gives_the_same_bytes_to_both_sides(pair, make_block, chunks, moved):
    """The tag of a block is over its bytes. counts: of the pools auth, data, bulk of A and of B in turn."""

    def alter(_end: int, data: bytes) -> list[bytes]:
        (frame,) = reader.feed(data) if _end == 0 else (None,)
        if frame is not None and frame.type is MessageType.BLOCK:
            for pool, more in moved.items():
                frame.header["counts"][pool] += more
            return [encode(frame)]
        return [data]

    pair.reopen()
    reader = FrameReader()
    pair.link.fault = alter
    pair.link.connect()
    with pytest.raises(DesyncError, match="cut the block differently"):
        pair.link.ingest(make_block(bits=400_000), make_block(bits=400_000))

    pair.link.fault = None
    assert pair.ingest(seed=2) == 2
    here, there = chunks(pair.link)
    assert here == there
    assert len({plain for *_, plain in here}) == len(here)
