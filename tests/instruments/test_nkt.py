"""The BASIK driver reads like its register table; telegrams stand as they go over the wire."""

import threading
from typing import Any

import pytest
from pymeasure.test import expected_protocol

from heliograph.core.errors import BadReply, Busy, ChecksumError, DeviceFault, Rejected
from heliograph.instruments.nkt import KoherasBasik
from heliograph.instruments.wire import interbus
from heliograph.instruments.wire.interbus import Kind, Register, Status, Telegram

pytestmark = pytest.mark.filterwarnings("ignore:Breaking on termination character:UserWarning")

Pair = tuple[bytes | None, bytes | None]


class Script:
    """Writes down what a BASIK would say, with the host address toggling from A1."""

    def __init__(self) -> None:
        self.host = 0xA2

    def ask(self, kind: Kind, register: Register, data: bytes = b"") -> bytes:
        self.host ^= 0x03
        return interbus.encode(Telegram(0x01, self.host, kind, register, data))

    def answer(self, kind: Kind, register: Register, data: bytes = b"") -> bytes:
        return interbus.encode(Telegram(self.host, 0x01, kind, register, data))

    def read(self, register: Register, data: bytes) -> Pair:
        return self.ask(Kind.READ, register), self.answer(Kind.DATAGRAM, register, data)

    def write(self, register: Register, data: bytes) -> Pair:
        return self.ask(Kind.WRITE, register, data), self.answer(Kind.ACK, register)


@pytest.fixture
def script() -> Script:
    return Script()


def test_golden_emission_is_read() -> None:
    with expected_protocol(KoherasBasik, [(bytes.fromhex("0d01a10430068f0a"), interbus.encode(Telegram(0xA1, 1, Kind.DATAGRAM, 0x30, b"\0")))]) as laser:
        assert laser.emission is False


def test_golden_emission_is_switched_on_and_read_back_from_the_other_address() -> None:
    pairs = [
        (bytes.fromhex("0d01a1053001c8d70a"), bytes.fromhex("0da1010330c8f20a")),
        (bytes.fromhex("0d01a204305fdf0a"), interbus.encode(Telegram(0xA2, 1, Kind.DATAGRAM, 0x30, b"\1"))),
    ]
    with expected_protocol(KoherasBasik, pairs) as laser:
        laser.emission = True


def test_golden_power_is_measured() -> None:
    ask = interbus.encode(Telegram(0x01, 0xA1, Kind.READ, 0x17))
    with expected_protocol(KoherasBasik, [(ask, bytes.fromhex("0da1010817e803e4910a"))]) as laser:
        assert laser.power_mw == 10.0


def test_golden_set_point_is_written_and_read_back() -> None:
    pairs = [
        (bytes.fromhex("0d01a10522dc0591990a"), interbus.encode(Telegram(0xA1, 1, Kind.ACK, 0x22))),
        (interbus.encode(Telegram(1, 0xA2, Kind.READ, 0x22)), interbus.encode(Telegram(0xA2, 1, Kind.DATAGRAM, 0x22, b"\xdc\x05"))),
    ]
    with expected_protocol(KoherasBasik, pairs) as laser:
        laser.power_setpoint_mw = 15.0


@pytest.mark.parametrize(
    ("attribute", "register", "data", "value"),
    [
        ("module_type", Register.TYPE, b"\x33", 0x33),
        ("power_setpoint_mw", Register.POWER_SET, b"\xdc\x05", 15.0),
        ("power_setpoint_dbm", Register.POWER_SET_DBM, b"\xe8\x03", 10.0),
        ("power_dbm", Register.POWER_DBM, b"\x18\xfc", -10.0),
        ("offset_setpoint_pm", Register.OFFSET_SET, b"\x82\x00", 13.0),
        ("offset_pm", Register.OFFSET, b"\x7e\xff\xff\xff", -13.0),
        ("offset_pm", Register.OFFSET, b"\x7e\xff", -13.0),
        ("wavelength_nm", Register.WAVELENGTH, bytes.fromhex("9087ec00"), 1550.12),
        ("temperature_degc", Register.TEMPERATURE, b"\xfb\x00", 25.1),
        ("supply_mv", Register.SUPPLY, b"\xe0\x2e", 12000.0),
        ("setup", Register.SETUP, b"\x00\x01", 256),
        ("status", Register.STATUS, b"\x03\x00", Status.EMISSION | Status.INTERLOCK_OFF),
        ("error_code", Register.ERROR, b"\x07", 7),
        ("serial_number", Register.SERIAL, b"K1234567\0", "K1234567"),
        ("user_text", Register.USER, b"table 2\0\0", "table 2"),
    ],
)
def test_every_register_is_read_in_its_unit(script: Script, attribute: str, register: Register, data: bytes, value: Any) -> None:
    with expected_protocol(KoherasBasik, [script.read(register, data)]) as laser:
        assert getattr(laser, attribute) == value


def test_settings_without_danger_are_written_once(script: Script) -> None:
    pairs = [script.write(Register.OFFSET_SET, b"\x7e\xff"), script.write(Register.SETUP, b"\x00\x01")]
    with expected_protocol(KoherasBasik, pairs) as laser:
        laser.offset_setpoint_pm = -13.0
        laser.setup = 256


def test_a_set_point_in_dbm_is_read_back(script: Script) -> None:
    with expected_protocol(KoherasBasik, [script.write(Register.POWER_SET_DBM, b"\xe8\x03"), script.read(Register.POWER_SET_DBM, b"\xe8\x03")]) as laser:
        laser.power_setpoint_dbm = 10.0


def test_a_laser_that_ignores_the_command_is_a_fault(script: Script) -> None:
    with (
        expected_protocol(KoherasBasik, [script.write(Register.EMISSION, b"\1"), script.read(Register.EMISSION, b"\0")]) as laser,
        pytest.raises(DeviceFault, match="reads back otherwise"),
    ):
        laser.emission = True


def test_a_refused_register_is_rejected_at_once(script: Script) -> None:
    pairs = [(script.ask(Kind.WRITE, Register.EMISSION, b"\1"), script.answer(Kind.NACK, Register.EMISSION))]
    with expected_protocol(KoherasBasik, pairs) as laser, pytest.raises(Rejected):
        laser.emission = True


@pytest.mark.parametrize("damage", [Kind.BUSY, Kind.CRC_ERROR, b"\x0d\xa1\x01\x08\x17\xe8\x03\xe4\x92\x0a", b"\x0d\x5e\x41\x0a", b"noise\x0a"])
def test_busy_and_damaged_answers_are_asked_again(script: Script, damage: Kind | bytes) -> None:
    first = script.ask(Kind.READ, Register.POWER)
    reply = damage if isinstance(damage, bytes) else script.answer(damage, Register.POWER)
    with expected_protocol(KoherasBasik, [(first, reply), script.read(Register.POWER, b"\xe8\x03")]) as laser:
        assert laser.power_mw == 10.0
        assert laser.resent == 1


def test_an_answer_to_an_earlier_request_is_read_past_and_nothing_is_resent(script: Script) -> None:
    asked = script.ask(Kind.READ, Register.POWER)
    late = interbus.encode(Telegram(script.host ^ 0x03, 1, Kind.DATAGRAM, Register.POWER, b"\x01\x00"))
    with expected_protocol(KoherasBasik, [(asked, late), (None, script.answer(Kind.DATAGRAM, Register.POWER, b"\xe8\x03"))]) as laser:
        assert laser.power_mw == 10.0
        assert (laser.resent, laser.discarded) == (0, 1)


@pytest.mark.parametrize(("kind", "error"), [(Kind.BUSY, Busy), (Kind.CRC_ERROR, ChecksumError)])
def test_after_ten_resends_the_call_fails_with_its_cause(script: Script, kind: Kind, error: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("heliograph.instruments.nkt.BUSY_PAUSE_S", 0.0)
    pairs = []
    for _ in range(11):
        asked = script.ask(Kind.READ, Register.POWER)
        pairs.append((asked, script.answer(kind, Register.POWER)))
    with expected_protocol(KoherasBasik, pairs) as laser, pytest.raises(error):
        laser.power_mw  # noqa: B018


def test_who_is_in_a_hurry_keeps_nobody_else_from_asking_again(script: Script) -> None:
    """On the way to the safe state one try must do; a run in another thread must survive a lost telegram meanwhile."""
    pairs = [(script.ask(Kind.READ, Register.POWER), script.answer(Kind.CRC_ERROR, Register.POWER)), script.read(Register.POWER, b"\xe8\x03")]
    with expected_protocol(KoherasBasik, pairs) as laser:
        inside, done = threading.Event(), threading.Event()

        def hurry() -> None:
            with laser.hurried():
                inside.set()
                done.wait(5.0)

        other = threading.Thread(target=hurry)
        other.start()
        assert inside.wait(5.0)
        assert laser.power_mw == 10.0
        done.set()
        other.join()
        assert laser.resent == 1

    again = Script()
    asked = again.ask(Kind.READ, Register.POWER)
    with expected_protocol(KoherasBasik, [(asked, again.answer(Kind.BUSY, Register.POWER))]) as laser, laser.hurried(), pytest.raises(Busy):
        laser.power_mw  # noqa: B018


def test_an_answer_of_the_wrong_type_is_never_taken(script: Script) -> None:
    pairs = []
    for _ in range(11):
        asked = script.ask(Kind.READ, Register.POWER)
        pairs.append((asked, script.answer(Kind.ACK, Register.POWER)))
    with expected_protocol(KoherasBasik, pairs) as laser, pytest.raises(BadReply):
        laser.power_mw  # noqa: B018


@pytest.mark.parametrize("power_mw", [-1.0, 700.0, float("nan"), float("inf")])
def test_an_impossible_power_is_refused_before_anything_is_sent(power_mw: float) -> None:
    with expected_protocol(KoherasBasik, []) as laser, pytest.raises(ValueError, match="range"):
        laser.power_setpoint_mw = power_mw
