"""ID Quantique ID900 time controller: SCPI-like text, and the settings of its inputs, delays and recorder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ...core.errors import BadReply
from ...instruments.wire import id900 as wire
from ..world import DETECTORS, PULSE_V, World
from .id900_recorder import Recorder, Route

CHANNELS = (1, 2, 3, 4)
_IDENTITY = "ID Quantique,ID900,ID26110001,1.13.2"


class Refused(Exception):
    """The device answers `Error: ...`."""


@dataclass(slots=True)
class Branch:
    """Text settings of one numbered branch such as INPU1, by path below it."""

    values: dict[str, str] = field(default_factory=dict)


_DEFAULTS: dict[str, dict[str, str]] = {
    "INPU": {"ENAB": "OFF", "THRE": "0.1V", "COUP": "DC", "EDGE": "RISING", "SELE": "UNSHAPED", "COUN:MODE": "CYCL", "COUN:INTE": "1000"},
    "STAR": {"ENAB": "OFF", "THRE": "0.1V", "COUP": "DC", "EDGE": "RISING", "SELE": "UNSHAPED"},
    "DELA": {"VALU": "0", "LINK": "NONE"},
    "TSCO": {"FIR:LINK": "NONE", "OPIN": "ONLYFIR", "OPOU": "ONLYFIR", "WIND:ENAB": "OFF"},
    "RAW": {"REF:LINK": "NONE", "STOP:LINK": "NONE", "SEND": "OFF"},
    "REC": {"TRIG:ARM:MODE": "MANU", "ENAB": "OFF", "NUM": "INF", "PWID": "1000000000000", "PPER": "1000000040000"},
    "DEVI": {"SYNC": "EXT", "RES:BWID": "1"},
}
_INTEGERS = {"DELA:VALU", "REC:PWID", "REC:PPER", "INPU:COUN:INTE"}
_READ_ONLY = {"DEVI:SYNC", "DEVI:RES:BWID"}
MAX_DELAY_PS = 1_000_000_000
MAX_INTEGER = 10**15


class Id900:
    """The controller.

    inputs: which bench signal (`D1`, `D2`, `sync`) stands at which input.  overflow: the buffer runs over in every recording.
    """

    def __init__(self, world: World, inputs: Mapping[int, str], *, overflow: bool = False) -> None:
        self._world = world
        self._inputs = dict(inputs)
        self._branches: dict[str, Branch] = {}
        self.recorder = Recorder(world, self._route, overflow=overflow)
        self._actions: dict[str, Callable[[int], str]] = {
            "REC:PLAY": lambda _n: self._play(),
            "REC:STOP": lambda _n: self._stop(),
            "RAW:ERRO:CLEA": self._clear_errors,
        }
        self._queries: dict[str, Callable[[int], str]] = {
            "*IDN": lambda _n: _IDENTITY,
            "REC:STAG": lambda _n: "PLAYING" if self.recorder.playing else "STOPPED",
            "DEVI:SYNC": lambda _n: "INT" if world.harm().clockless else "EXT",
            "RAW:ERRO": lambda n: str(self.recorder.lost.get(n, 0)),
            "INPU:COUN": self._count,
        }

    def power_cycle(self) -> None:
        """Switch the controller off and on: recordings and streams end, every setting is the one it comes with."""
        self.recorder.close()
        self._branches.clear()

    def control(self, message: bytes) -> bytes:
        """Return the answer to one message of the command port."""
        try:
            commands = wire.parse_commands(message.decode("ascii", "replace"))
        except BadReply as error:
            return f"Error: {error}".encode()
        return "\n".join(self._execute(command) for command in commands).encode()

    def data_link(self, message: bytes) -> bytes:
        """Return the answer to one request of the data-link service."""
        return self.recorder.request(message.decode("ascii", "replace"))

    def _execute(self, command: wire.Command) -> str:
        name, number = self._name(command.path)
        try:
            if command.query:
                return self._ask(name, number, command.path)
            return self._set(name, number, command.path, command.argument)
        except (Refused, BadReply) as error:
            return f"Error: {error}"

    @staticmethod
    def _name(path: wire.Path) -> tuple[str, int]:
        digits = "".join(c for c in path[0] if c.isdigit())
        return ":".join(node.rstrip("0123456789") for node in path), int(digits) if digits else 0

    def _branch(self, path: wire.Path) -> dict[str, str]:
        kind = path[0].rstrip("0123456789")
        number = path[0][len(kind) :]
        if kind not in _DEFAULTS or (kind in ("INPU", "DELA", "TSCO", "RAW") and number not in {str(c) for c in CHANNELS}):
            raise Refused(f"unknown command {':'.join(path)}")
        return self._branches.setdefault(path[0], Branch(dict(_DEFAULTS[kind]))).values

    def _ask(self, name: str, number: int, path: wire.Path) -> str:
        if name in self._queries:
            return self._queries[name](number)
        values, key = self._branch(path), name.partition(":")[2]
        if key not in values:
            raise Refused(f"unknown query {':'.join(path)}")
        return values[key]

    def _set(self, name: str, number: int, path: wire.Path, argument: str) -> str:
        if name in self._actions:
            return self._actions[name](number)
        values, key = self._branch(path), name.partition(":")[2]
        if key not in values or name in _READ_ONLY:
            raise Refused(f"unknown command {':'.join(path)}")
        if not argument:
            raise Refused(f"{':'.join(path)} needs a value")
        values[key] = self._checked(name, argument)
        if name == "RAW:SEND":
            self.recorder.send(number, values[key] == "ON")
        return f"Value set to {values[key]}"

    @staticmethod
    def _checked(name: str, argument: str) -> str:
        key = name.rpartition(":")[2]
        if name in _INTEGERS:
            return Id900._whole(name, wire.integer(argument))
        if name == "REC:NUM" and argument.upper() != "INF":
            return str(max(1, wire.integer(argument)))
        if key == "THRE":
            return f"{wire.volts(argument):g}V"
        if key in ("ENAB", "SEND") and argument.upper() not in ("ON", "OFF"):
            raise Refused(f"{argument[:20]} is neither ON nor OFF")
        if key == "EDGE" and argument.upper() not in ("RISING", "FALLING"):
            raise Refused(f"{argument[:20]} is no edge")
        return argument.upper()

    @staticmethod
    def _whole(name: str, value: int) -> str:
        low, high = (-MAX_DELAY_PS, MAX_DELAY_PS) if name == "DELA:VALU" else (1, MAX_INTEGER)
        if not low <= value <= high:
            raise Refused(f"{value} is out of range")
        return str(value)

    def _triggers(self, channel: int) -> bool:
        """Say whether pulses at an input cross its threshold; they are bipolar, so that either edge finds them."""
        values = self._branch((f"INPU{channel}",))
        return values["ENAB"] == "ON" and 0.0 < abs(wire.volts(values["THRE"])) < PULSE_V

    def _route(self, raw: int) -> Route | None:
        """Follow the links from a raw stream back to an input: RAW - TSCO - DELA - INPU."""
        combiner = self._branch((f"RAW{raw}",))["STOP:LINK"]
        delay = self._linked(combiner, "TSCO", "FIR:LINK")
        source = self._linked(delay, "DELA", "LINK")
        if not source.startswith("INPU") or not source[4:].isdigit():
            return None
        channel = int(source[4:])
        name = self._inputs.get(channel)
        if name is None or not self._triggers(channel):
            return None
        return Route(name, wire.integer(self._branch((delay,))["VALU"]))

    def _linked(self, branch: str, kind: str, key: str) -> str:
        return self._branch((branch,))[key] if branch.startswith(kind) else "NONE"

    def _play(self) -> str:
        values = self._branch(("REC",))
        width, period = wire.integer(values["PWID"]), wire.integer(values["PPER"])
        if values["ENAB"] != "ON":
            raise Refused("recording is not enabled")
        if period - width < wire.MIN_DEAD_PS:
            raise Refused(f"PPER must exceed PWID by {wire.MIN_DEAD_PS}")
        self.recorder.play(width, period, None if values["NUM"] == "INF" else int(values["NUM"]))
        return "Recording"

    def _stop(self) -> str:
        self.recorder.stop()
        return "Stopped"

    def _clear_errors(self, number: int) -> str:
        self.recorder.lost[number] = 0
        return "Cleared"

    def _count(self, channel: int) -> str:
        """Count at an input for its integration time (ms); bench time moves on by it."""
        name = self._inputs.get(channel)
        period_s = int(self._branch((f"INPU{channel}",))["COUN:INTE"]) * 1e-3
        if name is None or not self._triggers(channel):
            return "0"
        counts = dict(zip(DETECTORS, self._world.counts(self._world.next_epoch("counts"), 0, period_s), strict=True))
        edges = self._world.layout.rep_rate_hz / self._world.layout.sync_divider * period_s
        return str(counts.get(name, round(edges)))
