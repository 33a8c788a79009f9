"""The DD-100 driver, as its manual reads."""

import pytest
from pymeasure.test import expected_protocol

from heliograph.core.errors import BadReply, NotHomed, Rejected
from heliograph.instruments import oz_optics
from heliograph.instruments.oz_optics import OzDD100


def test_attenuation_is_set_and_read_back() -> None:
    with expected_protocol(OzDD100, [("A12.34", "Pos:4321\r\nDone\r\n"), ("D", "DPos:4321\r\nATTEN:12.34\r\nDone\r\n")]) as voa:
        voa.attenuation_db = 12.34
        assert voa.attenuation_db == 12.34


def test_a_reply_may_come_line_by_line_and_begin_with_the_rest_of_the_last() -> None:
    with expected_protocol(OzDD100, [("D", ""), (None, "DPos:4321"), (None, "ATTEN:12.34"), (None, "Done")]) as voa:
        assert voa.position == 4321


def test_an_echo_is_tolerated() -> None:
    with expected_protocol(OzDD100, [("A1.00", "A1.00\r\nPos:1\r\nDone\r\n")]) as voa:
        voa.attenuation_db = 1.0


def test_the_configuration_holds_the_range() -> None:
    reply = "IL:0.80\r\nMAX ATTEN:60.00\r\nSN:7\r\nDone\r\n\r\n"
    with expected_protocol(OzDD100, [("CD", reply)] * 3) as voa:
        assert voa.insertion_loss_db == 0.8
        assert voa.max_attenuation_db == 60.0
        assert voa.configuration()["SN"] == "7"


def test_a_move_may_take_as_many_timeouts_of_a_reply_as_the_slowest_does() -> None:
    with expected_protocol(OzDD100, []) as voa:
        assert voa.moving_s == oz_optics.MOVING * oz_optics.TIMEOUT_S


def test_homing_and_restart() -> None:
    with expected_protocol(OzDD100, [("H", "Pos:0\r\nDone\r\n"), ("RST", "Done\r\n")]) as voa:
        voa.home()
        voa.restart()


def test_a_unit_that_is_not_homed_says_so() -> None:
    with expected_protocol(OzDD100, [("A1.00", "Error: not homed\r\nDone\r\n"), ("D", "DPos:?\r\nATTEN:?\r\nDone\r\n")]) as voa:
        with pytest.raises(NotHomed):
            voa.attenuation_db = 1.0
        with pytest.raises(NotHomed):
            voa.attenuation_db  # noqa: B018


def test_a_refusal_is_rejected() -> None:
    with expected_protocol(OzDD100, [("A1.00", "Error: out of range\r\nDone\r\n")]) as voa, pytest.raises(Rejected, match="out of range"):
        voa.attenuation_db = 1.0


@pytest.mark.parametrize("reply", ["@#!\r\nDone\r\n", "ATTEN:x\r\nDone\r\n", "ATTEN:nan\r\nDone\r\n", "Done\r\n"])
def test_garbage_is_a_bad_reply(reply: str) -> None:
    with expected_protocol(OzDD100, [("D", reply)]) as voa, pytest.raises(BadReply):
        voa.attenuation_db  # noqa: B018


def test_an_impossible_attenuation_is_refused_before_anything_is_sent() -> None:
    with expected_protocol(OzDD100, []) as voa:
        for value in (60.1, -0.1, float("nan")):
            with pytest.raises(ValueError, match="range"):
                voa.attenuation_db = value
