"""Scripted devices on real transports: a pseudo-terminal, a TCP port, a ZMQ socket. Each is a few lines that speak the wire codecs."""

import json
import os
import select
import socket
import tempfile
import threading
import tty
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pytest
import zmq

from heliograph.instruments.wire import id900, interbus, oz, scpi, websq
from heliograph.instruments.wire.interbus import Kind, Register, Telegram


class Device(Protocol):
    def feed(self, piece: bytes) -> bytes: ...


class PtyServer:
    """A device on a pseudo-terminal."""

    def __init__(self, device: Device) -> None:
        self.master, self._slave = os.openpty()
        tty.setraw(self._slave)
        # By a name of its own that goes away with it: the terminal's number may be another device's the next moment.
        self._name = Path(tempfile.mkdtemp()) / "tty"
        self._name.symlink_to(os.ttyname(self._slave))
        self.resource = f"ASRL{self._name}::INSTR"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(device,), daemon=True)
        self._thread.start()

    def _run(self, device: Device) -> None:
        while not self._stop.is_set():
            if select.select([self.master], [], [], 0.005)[0]:
                os.write(self.master, device.feed(os.read(self.master, 4096)))

    def close(self) -> None:
        if not self._stop.is_set():
            self._stop.set()
            self._thread.join()
            self._name.unlink()
            self._name.parent.rmdir()
            os.close(self.master)
            os.close(self._slave)


class TcpServer:
    """A device on a TCP port; a new connection is taken after the old one died."""

    def __init__(self, device: Device, greeting: bytes = b"") -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._device, self._greeting, self._stop = device, greeting, threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        connections: list[socket.socket] = []
        while not self._stop.is_set():
            ready = select.select([self._listener, *connections], [], [], 0.005)[0]
            for one in ready:
                if one is self._listener:
                    connections.append(self._listener.accept()[0])
                    connections[-1].sendall(self._greeting)
                elif piece := self._received(one):
                    one.sendall(self._device.feed(piece))
                else:
                    connections.remove(one)
                    one.close()
        for one in [*connections, self._listener]:
            one.close()

    @staticmethod
    def _received(connection: socket.socket) -> bytes:
        try:
            return connection.recv(65536)
        except ConnectionError:
            return b""

    def close(self) -> None:
        self._stop.set()
        self._thread.join()


class ZmqServer:
    """A REP socket that answers strings."""

    def __init__(self, answer: Callable[[str], str | None]) -> None:
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.setsockopt(zmq.LINGER, 0)
        self.port = self._socket.bind_to_random_port("tcp://127.0.0.1")
        self._answer, self._stop = answer, threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            if self._socket.poll(5):
                *envelope, question = self._socket.recv_multipart()
                if (reply := self._answer(question.decode())) is not None:
                    self._socket.send_multipart([*envelope, reply.encode()])

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self._context.destroy(linger=0)


class Basik:
    def __init__(self) -> None:
        self.registers = {
            Register.TYPE: b"\x33",
            Register.SERIAL: b"K1\0",
            Register.EMISSION: b"\0",
            Register.POWER_SET: b"\0\0",
            Register.POWER: b"\xe8\x03",
            Register.STATUS: b"\0\0",
            Register.WAVELENGTH: bytes.fromhex("9087ec00"),
            Register.OFFSET: b"\0\0\0\0",
            Register.TEMPERATURE: b"\xfb\0",
        }
        self.obeys = True
        self.drop = 0
        self._frames = interbus.Assembler()

    def feed(self, piece: bytes) -> bytes:
        return b"".join(self._answer(interbus.decode(frame)) for frame in self._frames.feed(piece))

    def _answer(self, asked: Telegram) -> bytes:
        if self.drop > 0:
            self.drop -= 1
            return b""
        register = Register(asked.register)
        if asked.kind == Kind.WRITE:
            if register is Register.EMISSION and self.obeys:
                before = self.registers[Register.STATUS][0]
                self.registers[Register.STATUS] = bytes((before & 0xFE | asked.data[0], 0))
            if self.obeys:
                self.registers[register] = asked.data
            return interbus.encode(Telegram(asked.source, asked.destination, Kind.ACK, register))
        return interbus.encode(Telegram(asked.source, asked.destination, Kind.DATAGRAM, register, self.registers[register]))


class Dd100:
    def __init__(self) -> None:
        self.db, self.homed, self.mute = 3.0, True, 0
        self._reader = oz.CommandReader()

    def feed(self, piece: bytes) -> bytes:
        return b"".join(self._answer(command) for command in self._reader.feed(piece))

    def _answer(self, command: str) -> bytes:
        if self.mute > 0:
            self.mute -= 1
            return b""
        if command == "CD":
            return oz.encode_reply(["IL:0.80", "MAX ATTEN:60.00", "SN:D1"])
        if command == "H":
            self.homed = True
        elif command == "D":
            return oz.encode_reply(["DPos:1", f"ATTEN:{self.db:.2f}"] if self.homed else ["DPos:?", "ATTEN:?"])
        elif command.startswith("A"):
            if not self.homed:
                return oz.encode_reply(["Error: not homed"])
            self.db = float(command[1:])
        return oz.encode_reply(["Pos:1"])


class Awg:
    """Keeps what is set and gives it back; `late` answers are sent one question later."""

    def __init__(self) -> None:
        self.settings: dict[str, str] = {}
        self.blocks: dict[str, bytes] = {}
        self.mute = 0
        self.late = b""
        self.postpone = False
        self.commands: list[str] = []
        self._reader = scpi.CommandReader()

    def feed(self, piece: bytes) -> bytes:
        return b"".join(self._answer(command) for command in self._reader.feed(piece))

    def _answer(self, command: scpi.Command) -> bytes:
        self.commands.append(command.text)
        if command.block is not None:
            self.blocks[command.text] = command.block
            return b""
        head, _, value = command.text.partition(" ")
        if not head.endswith("?"):
            self.settings[head] = value
            return b""
        if self.mute > 0:
            self.mute -= 1
            return b""
        known = {"*IDN?": "Agilent Technologies,81160A,MY1,2.0", "SYST:ERR?": '+0,"No error"'}
        answer = (known.get(head) or self.settings.get(head[:-1], "0")).encode() + b"\n"
        if self.postpone:
            self.postpone, self.late = False, answer
            return b""
        late, self.late = self.late, b""
        return late + answer


class Snspd:
    def __init__(self) -> None:
        self.labels: dict[str, Any] = {
            "InptMeasurementPeriod": 100,
            "BiasCurrent": [0.0, 0.0],
            "TriggerLevel": [100.0, 90.0],
            "DetectorEnable": False,
            "NumberOfDetectors": 2,
        }
        self._decoder = websq.Decoder()

    def feed(self, piece: bytes) -> bytes:
        return b"".join(self._answer(item) for item in self._decoder.feed(piece))

    def _answer(self, item: dict[str, Any]) -> bytes:
        if item.get("request") == "BiasVoltage":
            return websq.encode_broadcast("BiasVoltage", [bias * 1e-3 for bias in self.labels["BiasCurrent"]])
        if "request" in item:
            return b"".join(websq.encode_broadcast(label, {"value": value, "min": 0}) for label, value in self.labels.items())
        self.labels[item["label"]] = item["value"]
        return websq.encode_broadcast(item["label"], item["value"])


class Counter:
    def feed(self, piece: bytes) -> bytes:
        return b""


class Tagger:
    """An ID900 with its data link: `batches[channel]` is a list of arrays of times, one a sub-acquisition."""

    def __init__(self) -> None:
        self.settings: dict[tuple[str, ...], str] = {}
        self.commands: list[str] = []
        self.batches: dict[int, list[Any]] = {ch: [np.arange(ch, dtype=np.int64) * 1000 + 10 * k for k in range(3)] for ch in (1, 2, 3)}
        self.lost, self.extra, self.playing, self.silent, self.older = 0, 0, False, False, False
        self.withhold = 0
        self._context = zmq.Context()
        self._streams: dict[str, tuple[int, Any]] = {}
        self._sent: dict[int, list[int]] = {}
        self._numbered = 0
        self.refuse_ports = 0
        self.control, self.datalink = ZmqServer(self._control), ZmqServer(self._service)

    def _control(self, message: str) -> str | None:
        self.commands.append(message)
        if self.silent:
            return None
        return "\n".join(self._one(command) for command in id900.parse_commands(message))

    def _one(self, command: id900.Command) -> str:
        match command.path:
            case ("*IDN",):
                return "ID Quantique,ID900,T1,1.12"
            case ("TSCO1", *_) if self.older:
                return "Error: undefined header"
            case ("REC", "STAG"):
                return "PLAYING" if self.playing else "STOPPED"
            case ("REC", "PLAY"):
                self._play()
            case ("REC", "STOP"):
                self.playing = False
            case (_, "ERRO"):
                return str(self.lost)
            case _ if command.query:
                unset = {"SYNC": "INT", "THRE": "0V", "VALU": "0TB", "ENAB": "OFF", "EDGE": "RISING"}
                return self.settings.get(command.path) or unset.get(command.path[-1], "NONE")
        self.settings[command.path] = command.argument
        return f"Value set to {command.argument}"

    def _play(self) -> None:
        self.playing = True
        self._sent = {channel: [] for channel in self.batches}
        number = self.settings["REC", "NUM"]
        for k in range(3 if number == "INF" else int(number)):
            for channel, stream in self._streams.values():
                if k < len(self.batches[channel]) - self.withhold:
                    stream.send(id900.encode_stamps(self.batches[channel][k]), zmq.NOBLOCK if k > 3 else 0)
                    self._sent[channel].append(len(self.batches[channel][k]))
        self.playing = number == "INF"

    def _service(self, message: str) -> str:
        self.commands.append(message)
        verb, options = id900.parse_request(message)
        if verb == "start-stream":
            if self.refuse_ports > 0:
                self.refuse_ports -= 1
                return '{"error": "port in use"}'
            for name in [name for name, (channel, _) in self._streams.items() if channel == int(options["channel"])]:
                self._streams.pop(name)[1].close(linger=0)
            self._numbered += 1
            stream = self._context.socket(zmq.PAIR)
            stream.setsockopt(zmq.SNDHWM, 100)
            try:
                stream.bind(f"tcp://127.0.0.1:{options['stream-port']}")
            except zmq.ZMQError:
                # It was free when it was chosen.
                stream.close(linger=0)
                return '{"error": "port in use"}'
            name = str(self._numbered)
            self._streams[name] = int(options["channel"]), stream
            return json.dumps({"id": name})
        channel, stream = self._streams[options["id"]]
        if verb == "stop":
            self._streams.pop(options["id"])[1].close(linger=0)
            return json.dumps({"id": options["id"]})
        sent = self._sent[channel]
        return json.dumps({"id": options["id"], "status": "RUNNING", "acquisitions_count": len(sent), "timestamps_count": sum(sent) + self.extra})

    def close(self) -> None:
        self.control.close()
        self.datalink.close()
        self._context.destroy(linger=0)


class Bench:
    """All devices of a station with one of each, running."""

    def __init__(self) -> None:
        self.laser, self.voa, self.awg, self.snspd, self.tagger = Basik(), Dd100(), Awg(), Snspd(), Tagger()
        self.laser_port, self.voa_port = PtyServer(self.laser), PtyServer(self.voa)
        self.awg_port, self.snspd_port = TcpServer(self.awg), TcpServer(self.snspd)
        self.counts_port = TcpServer(Counter(), b"1.5,1000,2000\n")

    def addresses(self, name: str) -> dict[str, str]:
        tcp = "tcp://127.0.0.1:{}".format
        return {
            "laser": {"resource": self.laser_port.resource},
            "voa": {"resource": self.voa_port.resource},
            "awg": {"resource": f"TCPIP::127.0.0.1::{self.awg_port.port}::SOCKET"},
            "snspd": {"resource": tcp(self.snspd_port.port), "counts": tcp(self.counts_port.port)},
            "tagger": {"resource": tcp(self.tagger.control.port), "datalink": tcp(self.tagger.datalink.port)},
        }[name]

    def close(self) -> None:
        for one in (self.laser_port, self.voa_port, self.awg_port, self.snspd_port, self.counts_port, self.tagger):
            one.close()


STATION = """
schema = 1
topology = "sagnac"
station = { name = "one of each" }
clock = { rep_rate = "100 MHz" }
[instruments]
tagger.wire = { role = "TagSource", driver = "ID900", resource = "tcp://x:1", datalink = "tcp://x:2", map = { D1 = 1, D2 = 2, sync = 3 } }
awg.wire = { role = "WaveformSource", driver = "Keysight81160A", resource = "TCPIP::x::1::SOCKET" }
awg.rules = { limits = { volts = ["-2.5 V", "2.5 V"] } }
snspd.wire = { role = "PhotonDetector", driver = "WebSQ", resource = "tcp://x:3", counts = "tcp://x:4", channels = [1, 2] }
snspd.rules = { simulated = true, limits = { bias = ["0 uA", "25 uA"], rate = "1 MHz", flux = "100 GHz" }, operate = { bias = "18 uA" } }
voa.wire = { role = "Attenuator", driver = "OzDD100", resource = "ASRL1::INSTR" }
voa.rules = { limits = { attenuation = ["0.8 dB", "20 dB"] } }
laser.wire = { role = "Laser", driver = "KoherasBasik", resource = "ASRL2::INSTR" }
laser.rules = { expect = { model = "0x33" }, limits = { power = ["0 mW", "15 mW"] }, operate = { power = "10 mW" } }
[optics]
pm_a = { kind = "PhaseModulator", source = "awg:1", v_pi = "5 V" }
user_a = { pm = "pm_a", voa = "voa", distance = "1000.5 m", loss = "2.80 dB" }
att_fixed = { loss = "60 dB", verified = 2026-11-01, valid_days = 36500 }
loop = { length = "6 km" }
site = { eta = [0.7, 0.8], dark = ["50 Hz", "50 Hz"] }
line = ["laser", "att_fixed", "bs"]
"""


@pytest.fixture
def bench(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setenv("HELIOGRAPH_RUNTIME_DIR", str(tmp_path))
    running = Bench()
    yield running
    running.close()


@pytest.fixture
def station_text() -> str:
    return STATION
