"""Several threads at one driver: whole conversations, one after the other."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from pymeasure.adapters import FakeAdapter
from pymeasure.instruments import Channel, Instrument

from heliograph.instruments.guard import turns
from heliograph.instruments.guard.turns import OneAtATime


class Line(FakeAdapter):  # type: ignore[misc]
    """Notices when a second conversation begins in the middle of one."""

    def __init__(self) -> None:
        super().__init__()
        self.speaking = 0
        self.most = 0

    def converse(self) -> int:
        self.speaking += 1
        self.most = max(self.most, self.speaking)
        time.sleep(0.002)
        self.speaking -= 1
        return 7


class Part(Channel):  # type: ignore[misc]
    @property
    def level(self) -> int:
        return self.parent.adapter.converse()


class Device(Instrument):  # type: ignore[misc]
    waits = frozenset({"wait"})
    parts = Instrument.MultiChannelCreator(Part, (1, 2), prefix="part_")

    def __init__(self, line: Line) -> None:
        super().__init__(line, "device", includeSCPI=False)

    @property
    def state(self) -> int:
        return self.adapter.converse()

    @state.setter
    def state(self, value: int) -> None:
        self.adapter.converse()

    def ask_twice(self) -> int:
        return self.adapter.converse() + self.adapter.converse()

    def part(self, number: int) -> Part:
        return self.parts[number]

    def wait(self, over: threading.Event) -> bool:
        return over.wait(5.0)


def everything(device: Any) -> None:
    for _ in range(5):
        assert device.state == 7
        device.state = 3
        assert device.ask_twice() == 14
        assert device.part(1).level == device.parts[2].level == device.part_1.level == 7


def test_no_two_threads_speak_at_once_whatever_part_of_the_device_they_use():
    line = Line()
    shared = [OneAtATime(Device(line)), OneAtATime(Device(line))]
    threads = [threading.Thread(target=everything, args=(shared[k % 2],)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert line.most == 1


def test_without_turns_they_would():
    line = Line()
    device = Device(line)
    threads = [threading.Thread(target=everything, args=(device,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert line.most > 1


def test_what_only_waits_keeps_nobody_else_waiting():
    shared: Any = OneAtATime(Device(Line()))
    over = threading.Event()
    waiting = threading.Thread(target=shared.wait, args=(over,))
    waiting.start()

    assert shared.state == 7

    over.set()
    waiting.join()


def test_a_thread_that_is_interrupted_says_nothing_more_and_others_go_on():
    class Stop(BaseException):
        pass

    line = Line()
    shared: Any = OneAtATime(Device(line))
    turns.interrupt(threading.get_ident(), Stop)
    try:
        for act in (lambda: shared.state, lambda: setattr(shared, "state", 1), lambda: shared.ask_twice()):  # noqa: PLW0108
            with pytest.raises(Stop):
                act()
        assert line.most == 0
        other = threading.Thread(target=everything, args=(shared,))
        other.start()
        other.join()
        assert line.most == 1
    finally:
        turns.interrupt(threading.get_ident(), None)
    assert shared.state == 7
