from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from heliograph.instruments.wire import interbus
from heliograph.instruments.wire.interbus import Kind, Register, Telegram
from heliograph.mocks.devices.basik import Basik
from heliograph.mocks.layout import Layout
from heliograph.mocks.world import World

from .conftest import plain_bench


class Attentive(np.random.Generator):
    """Never lets a request get lost."""

    def random(self, *args: Any, **kwargs: Any) -> Any:
        return 1.0


@pytest.fixture
def world() -> World:
    return World(Layout.of(plain_bench()))


def laser(world: World, **more) -> Basik:
    return Basik(world, Attentive(np.random.PCG64()), **more)


def ask(device: Basik, text: str) -> str:
    return b"".join(reply.data for reply in device.link().feed(bytes.fromhex(text))).hex()


def exchange(device: Basik, kind: Kind, register: int, data: bytes = b"", destination: int = 1) -> Telegram:
    (reply,) = device.link().feed(interbus.encode(Telegram(destination, 0xA1, kind, register, data)))
    return interbus.decode(reply.data)


def test_golden_telegrams_are_answered(world):
    device = laser(world)
    assert ask(device, "0d01a1053001c8d70a") == "0da1010330c8f20a"
    assert world.laser.emission
    assert ask(device, "0d01a10522dc0591990a").startswith("0da1010322")
    assert world.emitted_w() == pytest.approx(15e-3)
    assert ask(device, "0d01a1053000d8f60a") == "0da1010330c8f20a"
    assert world.emitted_w() == 0.0


def test_power_wavelength_and_status_are_those_of_the_world(world):
    device = laser(world)
    assert interbus.unpack(Register.POWER, exchange(device, Kind.READ, Register.POWER).data) == 0.0
    exchange(device, Kind.WRITE, Register.EMISSION, b"\x01")
    assert interbus.unpack(Register.POWER, exchange(device, Kind.READ, Register.POWER).data) == 10.0
    assert ask(device, "0d01a10432") is not None
    assert interbus.unpack(Register.WAVELENGTH, exchange(device, Kind.READ, Register.WAVELENGTH).data) == 1550120.0
    assert interbus.unpack(Register.STATUS, exchange(device, Kind.READ, Register.STATUS).data) == 1.0
    exchange(device, Kind.WRITE, Register.OFFSET_SET, interbus.pack(Register.OFFSET_SET, -13.0))
    assert world.laser.wavelength_m == pytest.approx(1550.107e-9, abs=1e-15)


def test_every_register_of_the_table_can_be_read(world):
    device = laser(world)
    for register in interbus.SCALES:
        answer = exchange(device, Kind.READ, register)
        assert answer.kind == Kind.DATAGRAM
        interbus.unpack(register, answer.data)


@pytest.mark.parametrize(
    ("kind", "register", "data"),
    [
        (Kind.READ, 0x99, b""),
        (Kind.WRITE, Register.POWER, b"\x01\x00"),
        (Kind.WRITE, Register.EMISSION, b"\x02"),
        (Kind.WRITE, Register.POWER_SET, interbus.pack(Register.POWER_SET, 20.01)),
        (Kind.WRITE, Register.POWER_SET, b"\x01"),
    ],
)
def test_what_the_laser_cannot_do_is_refused_and_changes_nothing(world, kind, register, data):
    device = laser(world)
    before = world.laser
    assert exchange(device, kind, register, data).kind == Kind.NACK
    assert world.laser == before


def test_a_laser_that_refuses_never_emits(world):
    device = laser(world, refuses=True)
    assert exchange(device, Kind.WRITE, Register.EMISSION, b"\x01").kind == Kind.NACK
    assert exchange(device, Kind.WRITE, Register.EMISSION, b"\x00").kind == Kind.ACK
    assert world.emitted_w() == 0.0


def test_the_frame_answers_at_its_own_address_and_nobody_at_others(world):
    device = laser(world)
    assert exchange(device, Kind.READ, Register.TYPE, destination=interbus.FRAME_ADDRESS).data == bytes((interbus.FRAME_TYPE,))
    assert device.link().feed(interbus.encode(Telegram(0x05, 0xA1, Kind.READ, Register.TYPE))) == []


def test_a_damaged_telegram_is_answered_by_a_crc_error(world):
    frame = bytearray(bytes.fromhex("0d01a1053001c8d70a"))
    frame[-2] ^= 1
    (reply,) = laser(world).link().feed(bytes(frame))
    assert interbus.decode(reply.data).kind == Kind.CRC_ERROR
    assert not world.laser.emission


def test_bits_are_set_and_cleared(world):
    device = laser(world)
    exchange(device, Kind.SET_BITS, Register.SETUP, b"\x02\x00")
    assert exchange(device, Kind.READ, Register.SETUP).data == b"\x02\x01"
    exchange(device, Kind.CLEAR_BITS, Register.SETUP, b"\x00\x01")
    assert exchange(device, Kind.READ, Register.SETUP).data == b"\x02\x00"


def test_about_one_request_of_250_gets_lost(world):
    device = Basik(world, np.random.default_rng(1))
    link = device.link()
    request = interbus.encode(Telegram(1, 0xA1, Kind.READ, Register.STATUS))
    answered = sum(len(link.feed(request)) for _ in range(10_000))
    assert 10_000 - answered == pytest.approx(40, abs=5 * 6.3)


def test_any_split_of_the_stream_gives_the_same_answers(world):
    request = bytes.fromhex("0d01a10430068f0a") * 3
    link = laser(world).link()
    split = [reply.data for k in range(len(request)) for reply in link.feed(request[k : k + 1])]
    assert split == [reply.data for reply in laser(world).link().feed(request)]
    assert len(split) == 3
