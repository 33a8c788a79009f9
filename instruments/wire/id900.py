r"""Text and tag stream of the ID Quantique ID900/ID1000 time controller (ZMQ), and of its data-link service.

Control (REQ, port 5555): one string per message, one string back. ``;`` stays in the branch, ``;:`` returns to the root; several queries of one message
answer on several lines; a set answers text such as ``Value set to 1000``; a refused command answers a line that begins with ``Error``. Mnemonics count by
their first four letters, in any case. What the driver sends, in this order (n: channel, PS: whole picoseconds):

*open*       ``*IDN?`` -> ``ID Quantique,ID900,<serial>,<firmware>``; ``TSCO1:FIR:LINK?`` -> any text without ``Error`` (older firmware does not know it)

*configure* ``INPU{n}:ENAB ON;THRE -0.4V;COUP DC;EDGE FALLING;SELE UNSHAPED`` (or ``INPU{n}:ENAB OFF``); then when enabled ``DELA{n}:VALU PS;LINK INPU{n}``
and ``TSCO{n}:FIR:LINK DELA{n};OPIN ONLYFIR;OPOU ONLYFIR;WIND:ENAB OFF``. Read back: ``INPU{n}:THRE?`` -> ``-0.4V``, ``DELA{n}:VALU?`` -> ``1000`` or
``1000TB``, ``INPU{n}:ENAB?`` -> ``ON|OFF``. Snapshot: ``INPU{n}:EDGE?`` -> ``RISING|FALLING``, ``DEVI:SYNC?`` -> ``INT|EXT``.

*record* per channel ``RAW{n}:REF:LINK NONE``, ``RAW{n}:STOP:LINK TSCO{n}``; ``REC:TRIG:ARM:MODE MANUal``; ``REC:ENABle ON``; ``REC:STOP``; ``REC:NUM 25`` (or
``INF``); ``REC:PWID PS;PPER PS``; per channel ``RAW{n}:ERRORS:CLEAR``; per channel, on the data link, ``start-stream --address IP --channel n --stream-port
P`` -> ``{"id": "7"}``, the driver connecting a PAIR socket to ``tcp://<datalink host>:P`` where the service binds; per channel ``RAW{n}:SEND ON``;
``REC:PLAY``.

*stream*     message k of a channel is sub-acquisition k: packed uint64 little-endian picoseconds from its start, zero-length if it held no events. While a
message is late the driver asks ``REC:STAGe?`` once a second.

*stop*, complete or early: ``REC:STOP``; ``REC:STAGe?`` -> ``PLAYING`` or another word; per channel ``status --id 7`` -> ``{"id": "7", "status": "..",
"acquisitions_count": 25, "timestamps_count": 51234}`` (what was put on the stream), ``RAW{n}:SEND OFF``, ``RAW{n}:ERRORS?`` -> ``0`` (events lost); then per
channel ``RAW{n}:SEND OFF`` and ``stop --id 7`` -> ``{"id": "7"}``. A recording that failed sends ``REC:STOP`` and the last two only.

A data-link request that fails answers ``{"error": "text"}``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.errors import BadReply, Rejected
from .values import finite

Path = tuple[str, ...]
MIN_DEAD_PS = 40_000
MIN_WIDTH_PS = 200_000_000_000
MAX_STAMPS_PER_MESSAGE = 50_000_000
DEFAULT_STREAM_PORT = 4241

_NODE = re.compile(r"([A-Z*]+)(\d*)\Z")
_COMMANDS = """
    *IDN INPU:ENAB INPU:THRE INPU:COUP INPU:EDGE INPU:SELE INPU:COUN INPU:COUN:MODE INPU:COUN:INTE STAR:ENAB STAR:THRE STAR:COUP STAR:EDGE STAR:SELE
    DELA:VALU DELA:LINK TSCO:FIR:LINK TSCO:OPIN TSCO:OPOU TSCO:WIND:ENAB GEN:ENAB GEN:PPER GEN:PWID GEN:PNUM GEN:PLAY GEN:STOP GEN:TRIG:LINK
    HIST:REF:LINK HIST:STOP:LINK HIST:MIN HIST:BWID HIST:BCOU HIST:FLUS HIST:DATA RAW:REF:LINK RAW:STOP:LINK RAW:SEND RAW:ERRO RAW:ERRO:CLEA
    REC:TRIG:ARM:MODE REC:ENAB REC:STOP REC:PLAY REC:NUM REC:PWID REC:PPER REC:STAG DEVI:RES:BWID DEVI:SYNC
"""
_KNOWN = frozenset(tuple(path.split(":")) for path in _COMMANDS.split())


@dataclass(frozen=True, slots=True)
class Command:
    """One command: its path in short upper-case mnemonics such as ("INPU1", "THRE"), its argument text, and whether it asks."""

    path: Path
    argument: str
    query: bool


def mnemonic(node: str) -> str:
    """Return the short form of a node: the first four letters in upper case, and its number."""
    match = _NODE.match(node.strip().upper())
    if match is None:
        raise BadReply(f"{node[:20]!r} is no mnemonic")
    return match[1][:4] + match[2]


def is_known(path: Path) -> bool:
    """Say whether the device has a command of this path, whatever its numbers."""
    return tuple(node.rstrip("0123456789") for node in path) in _KNOWN


def parse_commands(message: str, known: Callable[[Path], bool] = is_known) -> list[Command]:
    """Return the commands of one message, each with its full path.

    A command behind ``;`` is looked for in the branch of the one before, then in the branches above it; behind ``;:`` at the root.  A command that the device
    does not have keeps the path it has in the nearest branch.  Raises BadReply for a malformed mnemonic.
    """
    commands: list[Command] = []
    branch: Path = ()
    for part in message.split(";"):
        text = part.strip()
        if not text:
            continue
        head, _, argument = text.partition(" ")
        query = head.endswith("?")
        nodes = tuple(mnemonic(node) for node in head.rstrip("?").lstrip(":").split(":"))
        path = nodes if head.startswith(":") else _resolve(branch, nodes, known)
        commands.append(Command(path, argument.strip(), query))
        branch = path[:-1]
    return commands


def _resolve(branch: Path, nodes: Path, known: Callable[[Path], bool]) -> Path:
    for depth in range(len(branch), -1, -1):
        if known(branch[:depth] + nodes):
            return branch[:depth] + nodes
    return branch + nodes


def integer(text: str) -> int:
    """Return an integer that may end in `TB` (time bins); raises BadReply for anything else."""
    try:
        return int(text.strip().removesuffix("TB").strip())
    except ValueError as error:
        raise BadReply(f"{text[:40]!r} is no integer") from error


def volts(text: str) -> float:
    """Return a voltage such as `-0.4V`; raises BadReply for anything else."""
    return finite(text.strip().upper().removesuffix("V"), "voltage")


def input_command(channel: int, threshold_v: float, edge: str) -> str:
    """Return the command that enables an input: DC coupled, unshaped, `edge` RISING or FALLING."""
    return f"INPU{channel}:ENAB ON;THRE {threshold_v:g}V;COUP DC;EDGE {edge};SELE UNSHAPED"


def delay_command(channel: int, delay_ps: int) -> str:
    """Return the command that delays an input."""
    return f"DELA{channel}:VALU {delay_ps};LINK INPU{channel}"


def combiner_command(channel: int) -> str:
    """Return the command that passes a delayed input on unfiltered."""
    return f"TSCO{channel}:FIR:LINK DELA{channel};OPIN ONLYFIR;OPOU ONLYFIR;WIND:ENAB OFF"


def encode_stamps(t_ps: NDArray[np.int64]) -> bytes:
    """Return times (int64 (n,), ps, not negative) as a message of the stream."""
    return np.ascontiguousarray(t_ps, dtype="<u8").tobytes()


def decode_stamps(message: bytes) -> NDArray[np.int64]:
    """Return the times (int64 (n,), ps) of one message; raises BadReply if bytes are missing or a time is impossible."""
    if len(message) % 8:
        raise BadReply(f"a message of {len(message)} bytes is no list of stamps")
    stamps = np.frombuffer(message, dtype="<i8").astype(np.int64)
    if stamps.size and int(stamps.min()) < 0:
        raise BadReply("a stamp is beyond 2^63 ps")
    return stamps


def start_stream(address: str, channel: int, port: int) -> str:
    """Return the data-link request that opens a stream."""
    return f"start-stream --address {address} --channel {channel} --stream-port {port}"


def stream_status(stream: str) -> str:
    """Return the data-link request for a stream's counters."""
    return f"status --id {stream}"


def stop_stream(stream: str) -> str:
    """Return the data-link request that closes a stream."""
    return f"stop --id {stream}"


def parse_request(text: str) -> tuple[str, dict[str, str]]:
    """Return (verb, options without dashes) of a data-link request; raises BadReply if options and values do not pair."""
    verb, *words = text.split()
    names, values = words[::2], words[1::2]
    if len(names) != len(values) or not all(name.startswith("--") for name in names):
        raise BadReply(f"{text[:60]!r} is no data-link request")
    return verb, {name[2:]: value for name, value in zip(names, values, strict=True)}


def parse_answer(text: str) -> dict[str, Any]:
    """Return the object a data-link request was answered with; raises BadReply for anything else, Rejected for an error."""
    try:
        answer = json.loads(text)
    except ValueError as error:
        raise BadReply(f"{text[:60]!r} is no data-link answer") from error
    if not isinstance(answer, dict):
        raise BadReply(f"{text[:60]!r} is no data-link answer")
    if "error" in answer:
        raise Rejected(f"the data link answered: {answer['error']}")
    return answer
