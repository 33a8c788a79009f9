"""ID Quantique ID900 and ID1000 time controllers, over ZMQ."""

from __future__ import annotations

import socket
from typing import Any

from pymeasure.instruments import Channel, Instrument
from pymeasure.instruments.validators import strict_discrete_set

from ..core.errors import BadReply, Rejected
from .links import told, where_of
from .roles import Edge
from .wire import id900, scpi


def _on(text: str) -> bool:
    word = text.strip().upper()
    if word not in ("ON", "OFF", "1", "0"):
        raise BadReply(f"{text[:40]!r} is neither ON nor OFF", remedy="Check the device.")
    return word in ("ON", "1")


def _word(text: str) -> str:
    word = text.strip().upper()
    if not word.isalpha():
        raise BadReply(f"{text[:40]!r} is no word", remedy="Check the device.")
    return word


def _edge(text: str) -> str:
    word = _word(text)
    if word not in ("RISING", "FALLING"):
        raise BadReply(f"{word[:40]!r} is no edge", remedy="Check the device.")
    return word


def _reference(text: str) -> str:
    word = _word(text)
    if not word.startswith(("INT", "EXT")):
        raise BadReply(f"{word[:40]!r} is no clock", remedy="Check the device.")
    return word


class TagInput(Channel):
    """One input, with its delay line, combiner and raw stream."""

    enabled = Instrument.control(
        "INPU{ch}:ENAB?", "INPU{ch}:ENAB %s", "Control whether the input is on (bool).", cast=str, get_process=_on, set_process=lambda on: "ON" if on else "OFF"
    )

    threshold_v = Instrument.control("INPU{ch}:THRE?", "INPU{ch}:THRE %gV", "Control the threshold (float, V, -2 to 2).", cast=str, get_process=id900.volts)

    edge = Instrument.control(
        "INPU{ch}:EDGE?",
        "INPU{ch}:EDGE %s",
        "Control the edge (str, RISING or FALLING).",
        cast=str,
        get_process=_edge,
        validator=strict_discrete_set,
        values=("RISING", "FALLING"),
    )

    delay_ps = Instrument.control("DELA{ch}:VALU?", "DELA{ch}:VALU %d", "Control the delay (int, ps).", cast=str, get_process=id900.integer)

    counter = Instrument.measurement("INPU{ch}:COUN?", "Measure the input's counter (int).", cast=str, get_process=id900.integer)

    lost = Instrument.measurement("RAW{ch}:ERRORS?", "Get the number of events lost by the raw stream (int).", cast=str, get_process=id900.integer)

    def ask(self, command: str, query_delay: float | None = None) -> str:
        """Send a question about this input and return its answer."""
        return str(self.parent.ask(self.insert_id(command)))

    def set_up(self, threshold_v: float, edge: Edge, delay_ps: int) -> None:
        """Switch the input on, DC coupled and unshaped, and lead it through delay line and combiner."""
        self.write(id900.input_command(self.id, threshold_v, edge))
        self.write(id900.delay_command(self.id, delay_ps))
        self.write(id900.combiner_command(self.id))

    def link_stream(self) -> None:
        """Lead the combiner into the raw stream, counted from the sub-acquisition's start."""
        self.write("RAW{ch}:REF:LINK NONE")
        self.write("RAW{ch}:STOP:LINK TSCO{ch}")

    def send(self, on: bool) -> None:
        """Let the raw stream flow, or stop it."""
        self.write(f"RAW{{ch}}:SEND {'ON' if on else 'OFF'}")

    def clear_lost(self) -> None:
        """Set the counter of lost events to zero."""
        self.write("RAW{ch}:ERRORS:CLEAR")


class ID900(Instrument):
    """ID Quantique ID900 time controller: ZMQ REQ 5555 for commands, REQ 6060 for the data-link service that serves the tag streams.

    Every message is answered; an answer beginning with `Error` is a refusal.  Wire format and the order of commands: `wire.id900`.
    datalink: adapter of the data-link service.
    """

    inputs = Instrument.MultiChannelCreator(TagInput, [1, 2, 3, 4], prefix="input_")

    def __init__(self, adapter: Any, name: str = "ID900", *, datalink: Any = None, **kwargs: Any) -> None:
        self.datalink = datalink
        super().__init__(adapter, name, includeSCPI=False, **kwargs)

    stage = Instrument.measurement("REC:STAGe?", "Get the stage of the recording (str).", cast=str, get_process=_word)

    reference = Instrument.measurement("DEVI:SYNC?", "Get the clock in use (str, INT or EXT).", cast=str, get_process=_reference)

    def ask(self, command: str, query_delay: float | None = None) -> str:
        """Send a question and return its answer; raises Rejected for a refusal."""
        return self._exchange(command)

    def write(self, command: str, **kwargs: Any) -> None:
        """Send a command and take its answer; raises Rejected for a refusal."""
        self._exchange(command)

    def _exchange(self, command: str) -> str:
        with told(where_of(self.adapter, self.name)):
            self.adapter.write(command)
            answer = str(self.adapter.read()).strip()
            if not answer.isascii() or not answer:
                raise BadReply(f"{command}: {answer[:40]!r} is no answer", remedy="Check that an ID900 is at this address.")
            if answer.lower().startswith("error"):
                raise Rejected(f"{command}: {answer}", remedy="The device does not allow this now, or its firmware does not know it.")
            return answer

    def identity(self) -> tuple[str, str, str, str]:
        """Get (vendor, model, serial, firmware)."""
        with told(where_of(self.adapter, self.name)):
            return scpi.identity_fields(self.ask("*IDN?"))

    def knows_combiners(self) -> bool:
        """Say whether the firmware has the commands this driver uses; older ones speak of `INPO` and `TSGE`."""
        try:
            self.ask("TSCO1:FIR:LINK?")
        except Rejected:
            return False
        return True

    def arm(self, sub_acquisitions: int | None, width_ps: int, period_ps: int) -> None:
        """Prepare a recording of so many sub-acquisitions (None: endless), each `width_ps` long, one every `period_ps`."""
        self.write("REC:TRIG:ARM:MODE MANUal")
        self.write("REC:ENABle ON")
        self.write("REC:STOP")
        self.write(f"REC:NUM {'INF' if sub_acquisitions is None else sub_acquisitions}")
        self.write(f"REC:PWID {width_ps};PPER {period_ps}")

    def play(self) -> None:
        """Begin the recording."""
        self.write("REC:PLAY")

    def halt(self) -> None:
        """End the recording."""
        self.write("REC:STOP")

    def service(self, request: str) -> dict[str, Any]:
        """Ask the data-link service; raises Rejected for its errors, Timeout if it is not there."""
        with told(where_of(self.datalink, self.name)):
            self.datalink.write(request)
            return id900.parse_answer(self.datalink.read())

    def start_stream(self, address: str, channel: int, port: int) -> str:
        """Ask for the stream of a channel on a port of the service's host; return its id."""
        return str(self.service(id900.start_stream(address, channel, port)).get("id", ""))

    def stream_counts(self, stream: str) -> tuple[int, int]:
        """Get (sub-acquisitions, stamps) that the service put on a stream."""
        answer = self.service(id900.stream_status(stream))
        return id900.integer(str(answer.get("acquisitions_count"))), id900.integer(str(answer.get("timestamps_count")))

    def stop_stream(self, stream: str) -> None:
        """Close a stream."""
        self.service(id900.stop_stream(stream))


def free_port() -> int:
    """Return a TCP port that nobody uses on this machine."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
