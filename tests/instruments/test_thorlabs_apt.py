"""The driver of the MPC320, as its protocol reads."""

from __future__ import annotations

import pytest
from pymeasure.test import expected_protocol

from heliograph.core.errors import BadReply, DeviceFault
from heliograph.instruments import thorlabs_apt
from heliograph.instruments.thorlabs_apt import Mpc320
from heliograph.instruments.wire import apt
from heliograph.instruments.wire.apt import HOST, UNIT, Bits, Id, Info, Message, Parameters, Status

HOMED = Bits.HOMED | Bits.ENABLED
STATUS_1 = bytes.fromhex("900401005001")
AT_85 = bytes.fromhex("91040e0081500100ad0200000000000000040080")
ARRIVED_AT_85 = bytes.fromhex("64040e0081500100ad0200000000000000040080")
PARAMETERS = bytes.fromhex("32050c00815000003200ad0228005100a100")


def status(mask: int, position: int, bits: int = HOMED, kind: Id = Id.STATUS) -> bytes:
    return apt.encode(Message(kind, data=Status(mask, position, 0, 0, bits).pack(), destination=HOST, source=UNIT))


def ask_status(mask: int) -> bytes:
    return apt.encode(Message(Id.REQUEST_STATUS, mask))


def test_a_paddle_is_sent_to_an_angle_and_asked_for_it() -> None:
    with expected_protocol(Mpc320, [(bytes.fromhex("53040600d0010100ad020000"), None), (STATUS_1, AT_85)]) as unit:
        unit.paddle_1.angle = 85
        assert unit.paddle_1.angle == 85.0


def test_the_status_of_every_paddle_is_asked_for_by_its_mask() -> None:
    with expected_protocol(Mpc320, [(ask_status(mask), status(mask, 100 * mask)) for mask in apt.MASKS]) as unit:
        assert [paddle.status for paddle in unit.paddles] == [Status(mask, 100 * mask, 0, 0, HOMED) for mask in (1, 2, 4)]


def test_thirty_degrees_land_on_the_nearest_count() -> None:
    with expected_protocol(Mpc320, [(bytes.fromhex("53040600d0010400f2000000"), None), (ask_status(4), status(4, 242))]) as unit:
        unit.paddle_3.angle = 30
        assert unit.paddle_3.angle == pytest.approx(30.0292, abs=5e-5)


def test_enabling_names_every_paddle_for_the_unit_disables_the_others() -> None:
    pairs = [(bytes.fromhex("100205015001"), None), (bytes.fromhex("100200015001"), None)]
    answers = [(ask_status(1), status(1, 0)), (ask_status(2), status(2, 0, Bits.HOMED)), (ask_status(4), status(4, 0))]
    with expected_protocol(Mpc320, [*pairs, *answers]) as unit:
        unit.enabled = (1, 3)
        unit.enabled = ()
        assert unit.enabled == {1, 3}


def test_homing_waits_for_the_paddle_s_own_message() -> None:
    homed_2, homed_1 = bytes.fromhex("440402000150"), bytes.fromhex("440401000150")
    with expected_protocol(Mpc320, [(bytes.fromhex("430401005001"), homed_2 + homed_1)]) as unit:
        unit.paddle_1.home()
        assert unit.unasked == 1


def test_what_comes_unasked_is_taken_from_the_stream() -> None:
    with expected_protocol(Mpc320, [(STATUS_1, ARRIVED_AT_85 + status(2, 7) + AT_85), (STATUS_1, AT_85)]) as unit:
        assert unit.paddle_1.position == 685
        assert unit.paddle_1.position == 685
        assert unit.unasked == 2


def test_a_jog_goes_either_way() -> None:
    with expected_protocol(Mpc320, [(bytes.fromhex("6a0402015001"), None), (bytes.fromhex("6a0402025001"), None)]) as unit:
        unit.paddle_2.jog()
        unit.paddle_2.jog(forward=False)


def test_a_stop_is_answered_by_where_the_paddle_stands() -> None:
    with expected_protocol(Mpc320, [(bytes.fromhex("650404015001"), status(4, 100, kind=Id.STOPPED))]) as unit:
        unit.paddle_3.stop()


def test_the_bits_of_the_status_have_names() -> None:
    moving = status(1, 5, Bits.ENABLED | Bits.MOVING_FORWARD)
    with expected_protocol(Mpc320, [(STATUS_1, moving)] * 3) as unit:
        assert unit.paddle_1.is_moving is True
        assert unit.paddle_1.is_homed is False
        assert unit.paddle_1.is_enabled is True


def test_waiting_ends_when_the_paddle_stands() -> None:
    moving = status(1, 5, HOMED | Bits.MOVING_REVERSE)
    with expected_protocol(Mpc320, [(STATUS_1, moving), (STATUS_1, moving), (STATUS_1, ARRIVED_AT_85 + AT_85)]) as unit:
        unit.paddle_1.wait()


def test_a_paddle_that_never_stands_still_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thorlabs_apt, "MOVING", 0.0)
    turning = [(STATUS_1, status(1, 5, HOMED | Bits.MOVING_REVERSE))]
    with expected_protocol(Mpc320, turning) as unit, pytest.raises(DeviceFault, match="mask 1"):
        unit.paddle_1.wait()


def test_one_parameter_is_set_and_the_others_stay() -> None:
    asked = bytes.fromhex("310500005001")
    with expected_protocol(Mpc320, [(asked, PARAMETERS), (asked, PARAMETERS), (bytes.fromhex("30050c00d00100001400ad0228005100a100"), None)]) as unit:
        assert unit.velocity == 50
        unit.velocity = 20


def test_home_angle_and_jog_steps_are_angles() -> None:
    asked, golden = bytes.fromhex("310500005001"), bytes.fromhex("30050c00d00100003200ad0228005100a100")
    other = apt.encode(Message(Id.PARAMETERS, data=Parameters(50, 0, (0, 0, 0)).pack(), destination=HOST, source=UNIT))
    half = apt.encode(Message(Id.PARAMETERS, data=Parameters(50, 685, (0, 0, 0)).pack(), destination=HOST, source=UNIT))
    step = apt.encode(Message(Id.SET_PARAMETERS, data=Parameters(50, 685, (0, 0, 0)).pack()))
    with expected_protocol(Mpc320, [(asked, other), (step, None), (asked, half), (golden, None), (asked, PARAMETERS), (asked, PARAMETERS)]) as unit:
        unit.home_angle = 85
        unit.jog_steps = (5, 10, 20)
        assert unit.home_angle == 85.0
        assert unit.jog_steps == pytest.approx((5, 10, 20), abs=0.06)


def test_the_information_of_a_unit() -> None:
    info = Info(38449564, "MPC320", 44, "1.0.7", "polariser")
    answer = apt.encode(Message(Id.INFO, data=info.pack(), destination=HOST, source=UNIT))
    with expected_protocol(Mpc320, [(bytes.fromhex("050000005001"), answer)]) as unit:
        assert unit.info() == info


def test_what_it_cannot_do_is_refused_before_anything_is_sent() -> None:
    with expected_protocol(Mpc320, []) as unit:
        for value in (-0.1, 170.1, float("nan")):
            with pytest.raises(ValueError, match="range"):
                unit.paddle_1.angle = value
        for name, wrong in (("velocity", 5), ("velocity", 101), ("home_angle", 171), ("jog_steps", (1, 2, 171)), ("enabled", (4,))):
            with pytest.raises(ValueError, match="range|set"):
                setattr(unit, name, wrong)


@pytest.mark.parametrize("answer", ["910404008150" + "01000000", "ffffffffffff", "91040e008150" + "01"])
def test_damage_is_a_bad_reply(answer: str) -> None:
    with expected_protocol(Mpc320, [(STATUS_1, bytes.fromhex(answer))]) as unit, pytest.raises(BadReply):
        unit.paddle_1.position  # noqa: B018
