from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zmq

from heliograph.core.errors import ConfigError
from heliograph.instruments.station import Station, default_text
from heliograph.instruments.wire import id900, interbus, websq
from heliograph.mocks.lab import Lab

from .conftest import plain_bench


@pytest.fixture
def lab() -> Iterator[dict]:
    with Lab(plain_bench()).in_thread() as resources:
        yield resources


def port(resource: str) -> int:
    return int(resource.replace("::", ":").split(":")[-2 if resource.endswith("SOCKET") else -1])


class Serial:
    """A client of a pty."""

    def __init__(self, resource: str) -> None:
        self.fd = os.open(resource.removeprefix("ASRL").removesuffix("::INSTR"), os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)

    def ask(self, data: bytes, end: bytes, seconds: float = 20.0) -> bytes:
        os.write(self.fd, data)
        found, deadline = b"", time.monotonic() + seconds
        while not found.endswith(end) and time.monotonic() < deadline:
            try:
                found += os.read(self.fd, 4096)
            except BlockingIOError:
                time.sleep(0.001)
        return found

    def close(self) -> None:
        os.close(self.fd)


def tcp(resource: str) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port(resource)), timeout=20.0)


class Request:
    def __init__(self, context: zmq.Context, resource: str) -> None:
        self.socket = context.socket(zmq.REQ)
        self.socket.setsockopt(zmq.RCVTIMEO, 20_000)
        self.socket.connect(resource)

    def __call__(self, text: str) -> str:
        self.socket.send_string(text)
        return self.socket.recv_string()


class Remembering(zmq.Context):
    """Keeps its sockets until the end of the test."""

    def socket(self, *args: Any, **kwargs: Any) -> Any:
        made = super().socket(*args, **kwargs)
        vars(self).setdefault("kept", []).append(made)
        return made


@pytest.fixture
def context() -> Iterator[zmq.Context]:
    context = Remembering()
    yield context
    context.destroy(0)


def test_every_device_answers_at_its_transport(lab, context):
    laser, voa = Serial(lab["laser"]["resource"]), Serial(lab["voa_in"]["resource"])
    request = interbus.encode(interbus.Telegram(1, 0xA1, interbus.Kind.READ, interbus.Register.TYPE))
    answer = laser.ask(request, b"\n", 2.0) or laser.ask(request, b"\n")
    assert interbus.decode(answer).data == bytes((interbus.BASIK_TYPE,))
    assert b"MAX ATTEN:60.00" in voa.ask(b"CD\r", b"Done\r\n\r\n")
    with tcp(lab["awg_a"]["resource"]) as awg:
        awg.sendall(b"*IDN?\n")
        assert b"81160A" in awg.recv(100)
    with tcp(lab["snspd"]["resource"]) as snspd:
        snspd.sendall(websq.encode(websq.LABEL_PROPERTIES))
        assert b"NumberOfDetectors" in snspd.recv(1000)
    assert "ID900" in Request(context, lab["tagger"]["resource"])("*IDN?")
    assert "error" in json.loads(Request(context, lab["tagger"]["datalink"])("status --id 5"))
    laser.close()
    voa.close()


def test_everything_listens_on_this_machine_only(lab):
    rows = [line.split() for line in Path("/proc/self/net/tcp").read_text().splitlines()[1:]]
    listening = {int(row[1].split(":")[1], 16): row[1].split(":")[0] for row in rows if row[3] == "0A"}
    named = {port(address) for entry in lab.values() for address in entry.values() if not address.startswith("ASRL")}
    assert named <= set(listening)
    assert {listening[p] for p in named} == {"0100007F"}


def test_a_new_client_is_served_after_the_old_one_died(lab):
    for _ in range(3):
        client = tcp(lab["awg_a"]["resource"])
        client.sendall(b":DATA1:DAC VOLATILE,#3100abc")
        client.close()
    with tcp(lab["awg_a"]["resource"]) as client:
        client.sendall(b"OUTP1?\n")
        assert client.recv(10) == b"0\n"
    for _ in range(2):
        voa = Serial(lab["voa_in"]["resource"])
        assert b"Done" in voa.ask(b"D\r", b"Done\r\n\r\n")
        voa.close()


class Tagger:
    """A bare client of the tagger, with one socket a channel."""

    def __init__(self, context: zmq.Context, resources: dict) -> None:
        self.control, self.link = (Request(context, resources["tagger"][kind]) for kind in ("resource", "datalink"))
        self.pairs, self.ids = {}, {}
        for n in (1, 2, 3):
            self.control(f"INPU{n}:ENAB ON;THRE -0.4V;:DELA{n}:LINK INPU{n};:TSCO{n}:FIR:LINK DELA{n};:RAW{n}:STOP:LINK TSCO{n};SEND ON")
            self.pairs[n] = pair = context.socket(zmq.PAIR)
            pair.setsockopt(zmq.RCVHWM, 4)
            pair.setsockopt(zmq.RCVTIMEO, 20_000)
            # Another process may take a port before the tagger does.
            while n not in self.ids:
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", 0))
                    free = probe.getsockname()[1]
                pair.connect(f"tcp://127.0.0.1:{free}")
                told = json.loads(self.link(id900.start_stream("127.0.0.1", n, free)))
                if "id" in told:
                    self.ids[n] = told["id"]
                else:
                    pair.disconnect(f"tcp://127.0.0.1:{free}")
        self.control("REC:ENAB ON")

    def record(self, number: int | str) -> None:
        self.control(f"REC:NUM {number};PWID 200000000000;PPER 200000040000;PLAY")

    def read(self, number: int) -> dict[int, list[bytes]]:
        rows = [[pair.recv() for pair in self.pairs.values()] for _ in range(number)]
        return {n: [row[k] for row in rows] for k, n in enumerate(self.pairs)}


def light_up(resources: dict) -> None:
    """Everything needed for clicks, through the ports, with one user's modulator on."""
    laser, write = Serial(resources["laser"]["resource"]), interbus.Kind.WRITE
    for _ in range(2):  # a request may get lost
        laser.ask(interbus.encode(interbus.Telegram(1, 0xA1, write, interbus.Register.EMISSION, b"\x01")), b"\n", 0.5)
    laser.close()
    for name, attenuation in {"voa_in": 33.61, "voa_a": 1.0, "voa_b": 1.0}.items():
        voa = Serial(resources[name]["resource"])
        voa.ask(b"H\r", b"Done\r\n\r\n")
        voa.ask(f"A{attenuation:.2f}\r".encode(), b"Done\r\n\r\n")
        voa.close()
    codes = np.zeros(10)
    codes[5] = 8191
    with tcp(resources["awg_im"]["resource"]) as awg:
        for n in (1, 2):
            block = b"#220" + codes.astype(">i2").tobytes()
            awg.sendall(f":FUNC{n} USER\n:FREQ{n} 1e8\n:VOLT{n} 5.0\n:DATA{n}:DAC VOLATILE,".encode() + block + f"OUTP{n} 1\n".encode())
        awg.sendall(b"SYST:ERR?\n")
        assert awg.recv(100).startswith(b"+0")
    with tcp(resources["snspd"]["resource"]) as snspd:
        snspd.sendall(websq.encode(websq.command("SetAllBiasCurrents", "BiasCurrent", [18.0, 18.0])))
        snspd.sendall(websq.encode(websq.command("DetectorEnable", "DetectorEnable", True)))
        while b"DetectorEnable" not in snspd.recv(1000):
            pass


def listening() -> set[tuple[str, str]]:
    """Return family and address, in hex as the system shows them, of every TCP socket of this process that listens."""
    own = set()
    for fd in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            own.add(str(fd.readlink()))
    found = set()
    for family in ("tcp", "tcp6"):
        for line in Path("/proc/net", family).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in own:
                found.add((family, fields[1]))
    return found


@pytest.mark.parametrize("name", ["", "full_station.toml", "avalanche_station.toml"])
def test_every_listener_of_a_bench_is_bound_to_this_machine_only(context, name):
    text = (Path(__file__).parents[1] / name).read_bytes() if name else default_text()
    before = listening()
    with Lab(Station.parse(text, Path("lab.toml")).plain()).in_thread() as resources:
        if "tagger" in resources:
            Tagger(context, resources).record(1)
        found = listening() - before

    # 127.0.0.1, its bytes the other way round.
    assert {address.partition(":")[0] for _, address in found} == {"0100007F"}
    assert {family for family, _ in found} == {"tcp"}
    addresses = [address for one in resources.values() for address in one.values()]
    ports = {int(address.partition(":")[2], 16) for _, address in found}
    named = {port(address) for address in addresses if not address.startswith("ASRL")}
    assert named <= ports
    # Beside them there is the stream of each channel that is recorded, and nothing else.
    assert len(ports - named) == (3 if "tagger" in resources else 0)
    assert all("127.0.0.1" in address or address.startswith("ASRL/") for address in addresses)


def test_same_seed_and_commands_give_the_same_tags_however_slowly_they_are_read(context):
    found = []
    for pause in (0.0, 0.05):
        with Lab(plain_bench()).in_thread() as resources:
            light_up(resources)
            tagger = Tagger(context, resources)
            tagger.record(5)
            messages: dict[int, list[bytes]] = {n: [] for n in tagger.pairs}
            for _ in range(5):
                time.sleep(pause)
                for n, pair in tagger.pairs.items():
                    messages[n].append(pair.recv())
            found.append(messages)
    assert found[0] == found[1]
    assert len(found[0][1][0]) / 8 == pytest.approx(0.2 * 990_000 * 0.971, rel=0.03)


def test_a_reader_that_waits_holds_bench_time_and_loses_nothing(context):
    plain = plain_bench()
    bench = Lab(plain)
    with bench.in_thread() as resources:
        light_up(resources)
        tagger = Tagger(context, resources)
        tagger.record("INF")
        tagger.read(1)
        held, deadline = -1, time.monotonic() + 20.0
        while bench.world.clock_ps != held and time.monotonic() < deadline:
            held = bench.world.clock_ps
            time.sleep(0.3)
        # It came to rest at what queues and sockets hold.
        assert held == bench.world.clock_ps < 10 * 10**12
        tagger.read(60)
        tagger.control("REC:STOP")
        assert bench.world.clock_ps > held


def test_a_recording_left_by_a_dead_client_can_be_stopped_and_repeated(context, lab):
    dead = Tagger(context, lab)
    dead.record("INF")
    dead.read(1)
    for pair in dead.pairs.values():
        pair.close(0)
    fresh = Tagger(context, lab)
    fresh.control("REC:STOP")
    fresh.record(2)
    assert [len(messages) for messages in fresh.read(2).values()] == [2, 2, 2]
    # It stops a moment after its last message.
    deadline = time.monotonic() + 20.0
    while fresh.control("REC:STAG?") != "STOPPED":
        assert time.monotonic() < deadline


def test_a_stream_port_in_use_is_refused(context, lab):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        answer = Request(context, lab["tagger"]["datalink"])(id900.start_stream("127.0.0.1", 1, other.getsockname()[1]))
    assert "error" in json.loads(answer)


def test_counts_are_pushed_while_somebody_listens(lab):
    light_up(lab)
    for _ in range(2):
        with tcp(lab["snspd"]["counts"]) as counts:
            t, clicks = websq.parse_counts(counts.makefile("rb").readline())
        assert t == 0.1
        assert clicks[0] == pytest.approx(99_000 * 0.97, rel=0.03)


def test_with_the_tagger_port_closed_nobody_answers(context):
    with Lab(plain_bench(), ["tagger-port-closed"]).in_thread() as resources:
        ask = Request(context, resources["tagger"]["resource"])
        ask.socket.setsockopt(zmq.RCVTIMEO, 200)
        with pytest.raises(zmq.Again):
            ask("*IDN?")


def test_an_unplugged_detector_gives_no_counts_and_no_tags(context):
    with Lab(plain_bench(), ["detector-unplugged"]).in_thread() as resources:
        light_up(resources)
        with tcp(resources["snspd"]["counts"]) as counts:
            assert websq.parse_counts(counts.makefile("rb").readline())[1][0] == 0
        tagger = Tagger(context, resources)
        tagger.record(1)
        messages = tagger.read(1)
        assert messages[1] == [b""]
        assert messages[3] != [b""]


@pytest.mark.parametrize("name", ["laser", "voa_in", "awg_a", "snspd", "tagger"])
def test_garbage_comes_from_the_named_instrument_only(context, name):
    with Lab(plain_bench(), [f"garbage:{name}"]).in_thread() as resources:
        other = Serial(resources["voa_b"]["resource"])
        assert b"Done" in other.ask(b"D\r", b"Done\r\n\r\n")
        other.close()
        resource = resources[name]["resource"]
        if name == "tagger":
            ask = Request(context, resource)
            ask.socket.send_string("*IDN?")
            answer = ask.socket.recv()
        elif resource.startswith("ASRL"):
            client = Serial(resource)
            answer = client.ask(b"D\r", b"\n")
            client.close()
        else:
            with tcp(resource) as stream:
                stream.sendall(b"*IDN?\n")
                answer = stream.recv(100)
        assert min(answer[:-2]) > 127


def test_an_instrument_without_simulator_is_refused_and_leaves_no_port_open():
    plain = plain_bench()
    plain["instruments"]["laser"]["wire"]["driver"] = "TSL570"
    with pytest.raises(ConfigError):
        Lab(plain).start()


@pytest.mark.parametrize("fault", ["no-such-fault", "garbage:nobody", "garbage"])
def test_a_fault_there_is_not_is_refused(fault):
    with pytest.raises(ConfigError):
        Lab(plain_bench(), [fault])


def test_counts_read_beside_a_recording_share_its_clock_and_change_no_tag(context):
    found = []
    for beside in (False, True):
        bench = Lab(plain_bench())
        with bench.in_thread() as resources:
            light_up(resources)
            tagger = Tagger(context, resources)
            counts = tcp(resources["snspd"]["counts"]) if beside else None
            tagger.record(5)
            found.append(tagger.read(5))
            if counts is not None:
                with counts, counts.makefile("rb") as lines:
                    times = [websq.parse_counts(lines.readline())[0] for _ in range(9)]
                assert times == pytest.approx([0.1 * k for k in range(1, 10)])
    assert found[0] == found[1]
