"""Bias controller, power meter and paddles meet what can go wrong on a wire: one typed error in time, and the next query gets its own answer."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from heliograph.core.errors import Disconnected, InstrumentError, NotHomed, Timeout, WrongIdentity
from heliograph.instruments import catalogue
from heliograph.instruments.station import Station
from heliograph.instruments.wire.mbx import BiasMode
from heliograph.mocks.lab import Lab

TIMEOUT_S = 0.1
SPARE_S = 1.0
TEXT = (Path(__file__).parents[1] / "full_station.toml").read_text()
STATION = Station.parse(re.sub(r"^(\w+\.rules = \{) ", rf'\1 timeout = "{TIMEOUT_S} s", ', TEXT, flags=re.MULTILINE).encode(), Path("faults.toml"))


@dataclass(frozen=True)
class Subject:
    """prepare: sets distinct values.  first, second: two questions, with the answers that are right."""

    prepare: Callable[[Any], None]
    first: Callable[[Any], float]
    second: Callable[[Any], float]
    answers: tuple[float, float]


def _paddles(mpc: Any) -> None:
    if not mpc.homed:
        mpc.home()
    mpc.move(0, 85.0)
    mpc.move(2, 30.0)


def _bias(mbx: Any) -> None:
    mbx.bias_v = -2.5


def _wavelength(meter: Any) -> None:
    meter.wavelength_m = 1310e-9


SUBJECTS = {
    "mbx_2": Subject(_bias, lambda mbx: mbx.bias_v, lambda mbx: float(mbx.mode), (-2.5, float(BiasMode.MANUAL))),
    "meter": Subject(_wavelength, lambda meter: meter.wavelength_m, lambda meter: meter.range_w[1], (1310e-9, 3e-3)),
    "mpc": Subject(_paddles, lambda mpc: mpc.driver.paddle_1.angle, lambda mpc: mpc.driver.velocity, (85.0, 50.0)),
}


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    plain = STATION.plain()
    plain["instruments"] = {name: plain["instruments"][name] for name in SUBJECTS}
    lab = Lab(plain)
    with lab.in_thread():
        yield lab


@contextmanager
def opened(lab: Lab, name: str) -> Iterator[Any]:
    adapter = catalogue.open_instrument(name, STATION.instruments[name], lab.resources[name], station="faults.toml")
    try:
        SUBJECTS[name].prepare(adapter)
        yield adapter
    finally:
        lab.heal()
        adapter.close()


def recovers(lab: Lab, name: str, adapter: Any) -> None:
    """The next queries answer themselves."""
    lab.heal()
    subject = SUBJECTS[name]
    assert subject.second(adapter) == pytest.approx(subject.answers[1])
    assert subject.first(adapter) == pytest.approx(subject.answers[0])


@pytest.mark.parametrize("kind", ["timeout", "stale", "partial", "garbage"])
@pytest.mark.parametrize("name", SUBJECTS)
def test_a_reply_that_is_lost_late_or_damaged_is_a_typed_error_in_time(lab: Lab, name: str, kind: str) -> None:
    with opened(lab, name) as adapter:
        lab.inject(kind, name, times=1 if kind == "stale" else 40)
        begin = time.monotonic()

        with pytest.raises(InstrumentError) as caught:
            SUBJECTS[name].first(adapter)

        assert time.monotonic() - begin < TIMEOUT_S + SPARE_S
        assert name in caught.value.where
        recovers(lab, name, adapter)


@pytest.mark.parametrize("kind", ["trickle", "latency"])
@pytest.mark.parametrize("name", SUBJECTS)
def test_a_slow_reply_is_right(lab: Lab, name: str, kind: str) -> None:
    with opened(lab, name) as adapter:
        lab.inject(kind, name, times=40)
        assert SUBJECTS[name].first(adapter) == pytest.approx(SUBJECTS[name].answers[0])
        recovers(lab, name, adapter)


@pytest.mark.parametrize("name", SUBJECTS)
def test_a_lost_connection_is_told_and_opened_again_once(lab: Lab, name: str) -> None:
    with opened(lab, name) as adapter:
        adapter.check_identity()
        lab.inject("disconnect", name, times=1)
        with pytest.raises((Disconnected, Timeout)):
            SUBJECTS[name].first(adapter)
        recovers(lab, name, adapter)


@pytest.mark.parametrize("name", ["mbx_2", "meter"])
@pytest.mark.parametrize("kind", ["nan", "overflow", "text", "empty"])
def test_what_is_no_number_is_a_typed_error(lab: Lab, name: str, kind: str) -> None:
    with opened(lab, name) as adapter:
        lab.inject(kind, name, times=40)
        with pytest.raises(InstrumentError):
            SUBJECTS[name].first(adapter)
        recovers(lab, name, adapter)


@pytest.mark.parametrize("name", SUBJECTS)
def test_another_device_is_not_let_in(lab: Lab, name: str) -> None:
    with opened(lab, name) as adapter:
        lab.inject("identity", name)
        with pytest.raises(WrongIdentity):
            adapter.check_identity()
        recovers(lab, name, adapter)


def test_messages_that_come_unasked_are_consumed(lab: Lab) -> None:
    with opened(lab, "mpc") as mpc:
        before = mpc.driver.unasked
        lab.inject("unsolicited", "mpc", times=5)
        assert [SUBJECTS["mpc"].first(mpc) for _ in range(5)] == [pytest.approx(85.0)] * 5
        assert mpc.driver.unasked == before + 5
        recovers(lab, "mpc", mpc)


def test_settings_lost_in_a_power_cycle_are_seen_and_a_paddle_that_lost_its_place_is_not_homed(lab: Lab) -> None:
    with opened(lab, "mpc") as mpc, opened(lab, "meter") as meter, opened(lab, "mbx_2") as mbx:
        for name in SUBJECTS:
            lab.inject("power-cycle", name, times=1)
        for ask in (lambda: mpc.driver.velocity, lambda: meter.power_w, lambda: mbx.stable):
            with pytest.raises(Timeout):
                ask()
        with pytest.raises(NotHomed):
            mpc.move(0, 45.0)
        assert meter.wavelength_m == pytest.approx(1550e-9)
        assert mbx.mode is BiasMode.OFF
