"""The fault matrix as data: which fault meets which driver, and what must come of it. `test_fault_matrix` runs it, `docs/fault_matrix_page.py` prints it.

A cell is a tuple: what the call gives, error classes or `right`, any of which will do; or a text, the reason why there is nothing to test.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

TIMEOUT_S = 0.1
"""Timeout of one reply in the test station."""
PERSISTENT = 40
"""Replies in a row that a fault falls on which outlasts every retry."""


@dataclass(frozen=True, slots=True)
class Row:
    """One fault.  what: in words.  kind, settings: as `mocks.faults.Fault`; by default it strikes until the query is over.  test: how it is run."""

    what: str
    kind: str
    settings: dict[str, Any] = field(default_factory=lambda: {"times": PERSISTENT})
    test: str = "query"


ONCE = {"times": 1}

ROWS: dict[str, Row] = {
    "one lost": Row("one reply lost", "timeout", ONCE),
    "ten lost": Row("ten replies in a row lost", "timeout", {"times": 10}),
    "lost": Row("every reply lost", "timeout"),
    "stale": Row("the reply comes with the next one", "stale", ONCE),
    "partial": Row("half a reply", "partial"),
    "trickle": Row("the reply comes byte by byte", "trickle"),
    "latency": Row("replies take ten times as long", "latency"),
    "terminator": Row("the reply does not end as it should", "terminator"),
    "garbage": Row("meaningless bytes", "garbage"),
    "crc": Row("wrong check sum", "crc"),
    "glued": Row("two replies in one read", "glued"),
    "unsolicited": Row("a message nobody asked for comes first", "unsolicited"),
    "nan": Row("NaN for a number", "nan"),
    "overflow": Row("9.9E37 for a number", "overflow"),
    "text": Row("a word for a number", "text"),
    "empty": Row("an empty reply", "empty"),
    "nack": Row("the device refuses", "nack"),
    "busy once": Row("the device is busy once", "busy", ONCE),
    "busy": Row("the device is always busy", "busy"),
    "error": Row("an entry in the error queue", "error-queue", ONCE, "errors"),
    "endless": Row("an error queue that never empties", "error-queue", {}, "errors"),
    "disconnect": Row("the connection ends", "disconnect", ONCE),
    "in block": Row("the connection ends inside a block", "disconnect-in-block", ONCE, "block"),
    "identity": Row("another device at opening", "identity", {}, "identity"),
    "changed": Row("another device after a reconnection", "identity", {}, "changed"),
    "restart": Row("the device was switched off and on", "power-cycle", ONCE, "restart"),
    "second": Row("a second master", "", {}, "second"),
}

DATAGRAM = "a ZMQ message arrives whole or not at all"
BINARY = "registers are binary numbers, which are always finite"
NO_BUSY = "the protocol knows no BUSY"
NO_QUEUE = "the protocol has no error queue"
NO_SUM = "the protocol has no check sum"
ASKED = "speaks only when asked"
NO_BYTES = "the vendor's library exchanges the bytes, and hands over tags"

Cell = tuple[str, ...] | str
RIGHT = ("right",)
LOST = ("Timeout",)
BAD = ("BadReply",)

FULL: dict[str, dict[str, Cell]] = {
    "OzDD100": {
        "one lost": LOST,
        "ten lost": LOST,
        "lost": LOST,
        "stale": LOST,
        "partial": ("Timeout", "BadReply"),
        "trickle": RIGHT,
        "latency": RIGHT,
        "terminator": ("Timeout", "BadReply"),
        "garbage": ("Timeout", "BadReply"),
        "crc": NO_SUM,
        "glued": BAD,
        "unsolicited": ASKED,
        "nan": BAD,
        "overflow": BAD,
        "text": BAD,
        "empty": BAD,
        "nack": ("Rejected",),
        "busy once": NO_BUSY,
        "busy": NO_BUSY,
        "error": NO_QUEUE,
        "endless": NO_QUEUE,
        "disconnect": ("Disconnected",),
        "in block": ("Disconnected",),
        "identity": ("WrongIdentity",),
        "changed": ("WrongIdentity",),
        "restart": ("NotHomed",),
        "second": ("InstrumentLocked",),
    },
    "KoherasBasik": {
        "one lost": RIGHT,
        "ten lost": RIGHT,
        "lost": LOST,
        "stale": RIGHT,
        "partial": LOST,
        "trickle": RIGHT,
        "latency": RIGHT,
        "terminator": LOST,
        "garbage": BAD,
        "crc": ("ChecksumError",),
        "glued": RIGHT,
        "unsolicited": RIGHT,
        "nan": BINARY,
        "overflow": BINARY,
        "text": BINARY,
        "empty": BAD,
        "nack": ("Rejected",),
        "busy once": RIGHT,
        "busy": ("Busy",),
        "error": NO_QUEUE,
        "endless": NO_QUEUE,
        "disconnect": ("Disconnected",),
        "in block": ("Disconnected",),
        "identity": ("WrongIdentity",),
        "changed": ("WrongIdentity",),
        "restart": RIGHT,
        "second": ("InstrumentLocked",),
    },
    "Keysight81160A": {
        "one lost": LOST,
        "ten lost": LOST,
        "lost": LOST,
        "stale": LOST,
        "partial": LOST,
        "trickle": RIGHT,
        "latency": RIGHT,
        "terminator": LOST,
        "garbage": BAD,
        "crc": NO_SUM,
        "glued": BAD,
        "unsolicited": ASKED,
        "nan": BAD,
        "overflow": BAD,
        "text": BAD,
        "empty": BAD,
        "nack": "refusals stand in the error queue",
        "busy once": NO_BUSY,
        "busy": NO_BUSY,
        "error": ("Rejected",),
        "endless": ("DeviceFault",),
        "disconnect": ("Disconnected",),
        "in block": ("Disconnected",),
        "identity": ("WrongIdentity",),
        "changed": ("WrongIdentity",),
        "restart": RIGHT,
        "second": ("InstrumentLocked",),
    },
    "WebSQ": {
        "one lost": LOST,
        "ten lost": LOST,
        "lost": LOST,
        "stale": LOST,
        "partial": LOST,
        "trickle": RIGHT,
        "latency": RIGHT,
        "terminator": RIGHT,
        "garbage": BAD,
        "crc": NO_SUM,
        "glued": RIGHT,
        "unsolicited": RIGHT,
        "nan": BAD,
        "overflow": BAD,
        "text": BAD,
        "empty": LOST,
        "nack": ("DeviceFault",),
        "busy once": NO_BUSY,
        "busy": NO_BUSY,
        "error": NO_QUEUE,
        "endless": NO_QUEUE,
        "disconnect": ("Disconnected",),
        "in block": ("Disconnected", "Timeout"),
        "identity": ("WrongIdentity",),
        "changed": ("WrongIdentity",),
        "restart": RIGHT,
        "second": ("InstrumentLocked",),
    },
    "ID900": {
        "one lost": LOST,
        "ten lost": LOST,
        "lost": LOST,
        "stale": LOST,
        "partial": DATAGRAM,
        "trickle": DATAGRAM,
        "latency": RIGHT,
        "terminator": DATAGRAM,
        "garbage": BAD,
        "crc": NO_SUM,
        "glued": DATAGRAM,
        "unsolicited": "a REQ socket takes one answer to its question and nothing else",
        "nan": BAD,
        "overflow": BAD,
        "text": BAD,
        "empty": BAD,
        "nack": ("Rejected",),
        "busy once": NO_BUSY,
        "busy": NO_BUSY,
        "error": NO_QUEUE,
        "endless": NO_QUEUE,
        "disconnect": "ZMQ connects again by itself; what was lost is a lost reply",
        "in block": DATAGRAM,
        "identity": ("WrongIdentity",),
        "changed": ("WrongIdentity",),
        "restart": RIGHT,
        "second": ("InstrumentLocked",),
    },
    "SwabianTagger": {
        "one lost": RIGHT,
        "ten lost": RIGHT,
        "lost": LOST,
        "stale": RIGHT,
        "partial": BAD,
        "trickle": RIGHT,
        "latency": RIGHT,
        "terminator": NO_BYTES,
        "garbage": BAD,
        "crc": NO_BYTES,
        "glued": ("NotMonotonic",),
        "unsolicited": NO_BYTES,
        "nan": BAD,
        "overflow": BAD,
        "text": BAD,
        "empty": RIGHT,
        "nack": ("Rejected",),
        "busy once": NO_BUSY,
        "busy": NO_BUSY,
        "error": NO_QUEUE,
        "endless": NO_QUEUE,
        "disconnect": ("Disconnected",),
        "in block": ("Disconnected",),
        "identity": ("Disconnected",),
        "changed": "the library opens no other device than the one of the serial number",
        "restart": ("Disconnected",),
        "second": ("InstrumentLocked",),
    },
}
"""Every row for one driver of each family of transports."""

SHORT_ROWS = ("lost", "stale", "garbage", "glued", "overflow", "disconnect")
GONE = ("Disconnected",)
_TEXT: dict[str, Cell] = {"lost": LOST, "stale": LOST, "garbage": BAD, "glued": BAD, "overflow": BAD, "disconnect": GONE}
SHORT: dict[str, dict[str, Cell]] = {
    "ThorlabsMBX": {**_TEXT, "garbage": LOST},
    "ThorlabsMBXVoa": {**_TEXT, "garbage": LOST},
    "ThorlabsPM100": _TEXT,
    "Mpc320": {**_TEXT, "garbage": ("Timeout", "BadReply"), "glued": RIGHT, "overflow": "positions are binary numbers, which are always finite"},
    "SFifteenSPD": _TEXT,
    "SFifteenTDC": {**_TEXT, "glued": RIGHT},
}
"""Six rows for every other driver."""

STREAM = {
    "timeout": ("StreamMismatch", "Timeout"),
    "partial": ("BadReply", "StreamMismatch"),
    "garbage": ("BadReply",),
    "glued": ("NotMonotonic",),
    "disconnect-in-block": ("BadReply", "StreamMismatch", "Timeout"),
}
"""The tag stream of an ID900: what a recording with a damaged message ends with."""

COUNTS: dict[str, tuple[str, ...]] = {
    "timeout": LOST,
    "partial": ("Timeout", "BadReply"),
    "garbage": BAD,
    "glued": RIGHT,
    "nan": BAD,
    "overflow": BAD,
    "disconnect": GONE,
    "disconnect-in-block": GONE,
}
"""The counts port of a WebSQ: what a count comes to."""
SERVICE: dict[str, tuple[str, ...]] = {
    "timeout": LOST,
    "stale": LOST,
    "garbage": BAD,
    "nack": ("Rejected",),
    "empty": BAD,
    "latency": RIGHT,
}
"""The data-link service of an ID900: what a recording comes to."""

FAMILIES = {
    "OzDD100": "serial text",
    "KoherasBasik": "framed binary",
    "Keysight81160A": "SCPI",
    "WebSQ": "JSON stream",
    "ID900": "ZMQ",
    "SwabianTagger": "vendor library",
}

_BENCH, _WORLD, _ATTACKED, _DRIVERS = (
    "tests/control/test_faults_on_the_bench.py",
    "tests/mocks/test_faults_world.py",
    "tests/cli/test_attacked_runs.py",
    "tests/mocks/test_lab_with_drivers.py",
)
WORLD: dict[str, tuple[str, str, str]] = {
    "laser-refuses": ("`Rejected` while arming, and the bench goes safe", _DRIVERS, "test_a_laser_that_refuses_is_told"),
    "tagger-port-closed": ("`Timeout` while connecting", _DRIVERS, "test_a_closed_tagger_port_is_told_in_time"),
    "detector-unplugged": ("no clicks; biased anew three times, then `Tripped`", _DRIVERS, "test_an_unplugged_detector_is_silent"),
    "tagger-overflow": ("a `Gap` with the missing tags, exactly; `Overflow`", _BENCH, "test_the_gaps_of_an_overflow_hold_exactly_the_tags_that_are_missing"),
    "laser-drift": ("count rates follow", _WORLD, "test_less_light_or_fewer_clicks_are_fewer_counts"),
    "mode-hop": ("count rates fall", _WORLD, "test_less_light_or_fewer_clicks_are_fewer_counts"),
    "emission-stuck": (
        "the laser is `FAILED`, everything else is read back dark",
        _BENCH,
        "test_light_that_does_not_stop_is_told_and_stopped_by_everything_else",
    ),
    "interlock-open": ("the bench trips, and emission is refused", _BENCH, "test_an_interlock_loop_that_opens_trips_the_bench"),
    "bias-drift": ("light between the pulses: the extinction worsens", _WORLD, "test_a_bias_that_drifts_lets_light_through_between_the_pulses"),
    "voa-stuck": ("`DeviceFault` when it is moved", _BENCH, "test_a_stuck_attenuator_is_told_when_it_is_moved"),
    "fibre-cut": ("counts and interference fall; no key of the block", _BENCH, "test_light_that_goes_bad_in_the_middle_of_a_block_makes_no_key"),
    "polarisation-jump": ("the visibility falls; no key of the block", _BENCH, "test_light_that_goes_bad_in_the_middle_of_a_block_makes_no_key"),
    "slip": ("error rates near one half; no key of the block", _BENCH, "test_light_that_goes_bad_in_the_middle_of_a_block_makes_no_key"),
    "dark": ("dark counts rise", _WORLD, "test_dark_counts_become_frequent_at_one_detector_only"),
    "latch": ("bias to zero and up again, at most three times", _BENCH, "test_a_nanowire_that_latches_is_biased_anew_and_counts_again"),
    "missed-tags": ("count rates fall; nobody counts what is missing", _WORLD, "test_less_light_or_fewer_clicks_are_fewer_counts"),
    "swapped-channels": ("`AlignmentError` by the public pattern, before the block", _BENCH, "test_swapped_cables_are_found_by_the_pattern_before_the_block"),
    "clock-lost": ("`ClockLost` ends the recording", _BENCH, "test_a_reference_that_goes_away_ends_the_recording"),
    "intercept-resend": (
        "a quarter of the intercepted bits are wrong: `AlignmentError`, or `NoKeyError` of the block",
        _ATTACKED,
        "test_a_third_of_the_pulses_intercepted_leaves_light_of_which_no_key_can_be_made",
    ),
    "blinding": (
        "dead-time violations: the run ends, the light is marked insecure; weak light trips the rate latch",
        _ATTACKED,
        "test_blinded_detectors_end_the_run_by_the_dead_time_they_do_not_have",
    ),
}
"""What comes of the faults that are built into a device or lie in the optical bench, and the test that shows it."""
