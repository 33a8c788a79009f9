"""An owner that was left to others ends after the last of them."""

from __future__ import annotations

import contextlib
import json
import subprocess

import pytest

from heliograph.control.link import VERSION, Link
from heliograph.control.owner.last_one import GRACE_S, LastOne
from heliograph.instruments.station import default_text

from ..owned import quick


def test_it_ends_when_everybody_is_gone_for_a_while_and_nothing_is_done():
    now = 100.0
    clients = LastOne(lambda: now)
    clients.came("a")
    clients.ends = True
    assert not clients.has_gone(busy=False, dark=False)
    clients.went("a")

    assert not clients.has_gone(busy=False, dark=False)
    now += GRACE_S / 2
    clients.came("b")
    assert not clients.has_gone(busy=False, dark=False)
    clients.went("b")
    assert not clients.has_gone(busy=False, dark=False)
    now += GRACE_S / 2
    assert not clients.has_gone(busy=True, dark=False)
    assert not clients.has_gone(busy=False, dark=False)
    now += GRACE_S
    assert clients.has_gone(busy=False, dark=False)


def test_it_goes_on_alone_where_nobody_asked_for_its_end():
    now = 0.0
    clients = LastOne(lambda: now)
    clients.came("a")
    clients.went("a")
    now = 1e6

    assert not clients.has_gone(busy=False, dark=False)


def test_one_that_was_started_for_windows_ends_alone_once_the_bench_is_dark_and_nothing_is_left_to_do():
    now = 0.0
    clients = LastOne(lambda: now)
    clients.lent = True
    clients.came("window")
    now += 1e3
    assert not clients.has_gone(busy=False, dark=True)
    clients.went("window")

    for busy, dark in ((True, True), (False, False), (True, False)):
        assert not clients.has_gone(busy=busy, dark=dark)
        now += 1e3
        assert not clients.has_gone(busy=busy, dark=dark)
    assert not clients.has_gone(busy=False, dark=True)
    now += GRACE_S - 0.1
    assert not clients.has_gone(busy=False, dark=True)
    now += 0.2
    assert clients.has_gone(busy=False, dark=True)


@pytest.mark.slow
def test_the_owner_of_a_bench_ends_in_order_after_the_last_client(tmp_path):
    station = tmp_path / "station.toml"
    station.write_bytes(default_text())
    with subprocess.Popen(quick("bench", "own", "--station", str(station)), stdout=subprocess.PIPE, text=True) as owner:
        try:
            assert owner.stdout is not None
            assert json.loads(owner.stdout.readline())["pid"] == owner.pid
            first, other = Link.to_owner(station), Link.to_owner(station)
            assert first is not None
            assert other is not None
            with contextlib.closing(other):
                other.ask("hello", {"version": VERSION})
                with contextlib.closing(first):
                    first.ask("hello", {"version": VERSION})
                    first.ask("end_when_alone")
                assert other.ask("status")["state"] == "SAFE"
                assert owner.poll() is None

            assert owner.wait(GRACE_S + 20) == 0
        finally:
            owner.kill()
