"""The simulated MPC320, message by message."""

from __future__ import annotations

import pytest

from heliograph.instruments.wire import apt
from heliograph.instruments.wire.apt import Bits, Id, Message, Parameters, Status
from heliograph.mocks.devices.mpc320 import Mpc320
from heliograph.mocks.layout import Layout
from heliograph.mocks.world import World

from .conftest import plain_bench

HOME_ANGLES = (85.0, 85.0, 85.0)


class Watched(World):
    """A world that remembers where the paddles were turned."""

    angles: tuple[float, ...] = ()

    def turn_paddles(self, name: str, angles_deg: tuple[float, ...]) -> None:
        self.angles = angles_deg
        super().turn_paddles(name, angles_deg)


@pytest.fixture
def world() -> Watched:
    return Watched(Layout.of(plain_bench()))


@pytest.fixture
def unit(world: Watched) -> Mpc320:
    return Mpc320(world, "mpc")


def say(unit: Mpc320, *messages: Message) -> list[Message]:
    raw = b"".join(apt.encode(message) for message in messages)
    return [apt.decode(reply.data) for reply in unit.link().feed(raw)]


def ready(unit: Mpc320) -> None:
    say(unit, Message(Id.ENABLE, 7, 1), *(Message(Id.HOME, mask) for mask in apt.MASKS))


def look(unit: Mpc320, mask: int = 1) -> Status:
    return Status.unpack(say(unit, Message(Id.REQUEST_STATUS, mask))[-1].data)


def test_the_golden_exchanges(unit: Mpc320) -> None:
    link = unit.link()

    def ask(raw: str) -> list[str]:
        return [reply.data.hex() for reply in link.feed(bytes.fromhex(raw))]

    assert ask("100205015001") == []
    assert ask("100207015001") == []
    assert ask("430401005001") == ["440401000150"]
    assert ask("53040600d0010100ad020000") == []
    assert [len(answer) for _ in range(2) for answer in ask("900401005001")] == [40, 40]
    assert ask("900401005001") == ["64040e0081500100ad0200000000000000040080", "91040e0081500100ad0200000000000000040080"]
    assert ask("900401005001") == ["91040e0081500100ad0200000000000000040080"]
    assert ask("30050c00d00100003200ad0228005100a100") == []
    assert ask("310500005001") == ["32050c00815000003200ad0228005100a100"]
    assert len(ask("050000005001")[0]) == 2 * (6 + 84)


def test_switched_on_it_stands_at_home_disabled_and_not_homed(unit: Mpc320, world: Watched) -> None:
    assert world.angles == HOME_ANGLES
    state = look(unit)
    assert (state.homed, state.enabled, state.moving) == (False, False, False)
    say(unit, apt.move(1, 100))
    assert world.angles == HOME_ANGLES
    assert say(unit, Message(Id.HOME, 1)) == []


def test_enabling_one_paddle_disables_the_others(unit: Mpc320, world: Watched) -> None:
    ready(unit)
    say(unit, Message(Id.ENABLE, 2, 1))
    assert [look(unit, mask).enabled for mask in apt.MASKS] == [False, True, False]
    say(unit, apt.move(1, 100), apt.move(2, 100))
    assert world.angles == pytest.approx((0.0, apt.degrees(100), 0.0))


def test_a_move_is_seen_under_way_and_its_end_is_told_once(unit: Mpc320) -> None:
    ready(unit)
    say(unit, apt.move(4, 1370))
    looks = [say(unit, Message(Id.REQUEST_STATUS, 4)) for _ in range(7)]
    states = [Status.unpack(answers[-1].data) for answers in looks]
    assert [state.position for state in states] == sorted(state.position for state in states)
    assert states[0].bits & Bits.MOVING_FORWARD
    assert states[-1].position == 1370
    assert sum(answer.id == Id.COMPLETED for answers in looks for answer in answers) == 1


def test_a_stop_leaves_the_paddle_where_it_is(unit: Mpc320, world: Watched) -> None:
    ready(unit)
    say(unit, apt.move(1, 1370))
    under_way = look(unit).position
    (stopped,) = say(unit, Message(Id.STOP, 1, 1))
    assert stopped.id == Id.STOPPED
    assert look(unit).position == under_way
    assert world.angles[0] == pytest.approx(apt.degrees(under_way))


def test_jogs_add_up_and_end_at_the_travel(unit: Mpc320, world: Watched) -> None:
    ready(unit)
    say(unit, Message(Id.JOG, 2, 1), Message(Id.JOG, 2, 1), Message(Id.JOG, 2, 2))
    assert world.angles[1] == pytest.approx(apt.degrees(81))
    say(unit, Message(Id.JOG, 2, 2), Message(Id.JOG, 2, 2))
    assert world.angles[1] == 0.0


def test_what_it_does_not_understand_it_ignores(unit: Mpc320) -> None:
    assert say(unit, Message(0x0777), Message(Id.REQUEST_STATUS, 3), Message(Id.JOG, 3, 1), apt.move(3, 10)) == []
    link = unit.link()
    assert link.feed(b"\xff" * 12) == []
    assert link.feed(apt.encode(Message(Id.REQUEST_INFO))) != []
    assert link.feed(apt.encode(Message(Id.MOVE, data=b"\x01"))) == []


def test_a_power_cycle_forgets_position_and_settings(unit: Mpc320, world: Watched) -> None:
    ready(unit)
    say(unit, Message(Id.SET_PARAMETERS, data=Parameters(20, 0, (1, 2, 3)).pack()))
    unit.power_cycle()
    assert not look(unit).homed
    assert world.angles == HOME_ANGLES
    (answer,) = say(unit, Message(Id.REQUEST_PARAMETERS))
    assert Parameters.unpack(answer.data).velocity == 50
