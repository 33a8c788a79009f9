"""The owner is gone: what the window says of the safety of the bench, and what it no longer says."""

from __future__ import annotations

import time
from typing import Any

from heliograph.gui import access, words

from . import payloads
from .frames import tell


def record(**changes: Any) -> dict[str, Any]:
    reports = [{"name": "laser", "state": "CONFIRMED", "detail": "emission off"}, {"name": "snspd", "state": "CONFIRMED", "detail": "parked"}]
    return {"by": "watchdog", "cause": "the owner's pipe closed", "reports": reports, "time": time.time(), "owner": 4321, **changes}


def lose(window: Any, *records: Any) -> None:
    """Lose the owner of an armed bench; the guard finds the records one after the other, the last one for ever."""
    found = list(records)
    window.safety.guard.rescued = lambda: found.pop(0) if len(found) > 1 else found[0]
    tell(window, station=payloads.station_state(), safety=payloads.safety(state="ARMED", reports=[]))
    window.desk.set_connected(False)
    window.tick.tick()


def test_what_the_watchdog_did_is_told_though_its_record_comes_late(window: Any, qtbot: Any) -> None:
    told = record()
    lose(window, None, None, told)
    assert window.strip.safety.accessibleName().startswith("Safety: armed, last known 0.")

    qtbot.waitUntil(window.safe_panel.isVisible, timeout=3000)
    window.tick.tick()

    at = words.clock(told["time"])
    assert window.strip.owner.accessibleName() == f"Owner: lost, safety: safe, made safe by the watchdog at {at}, cause the owner's pipe closed"
    assert window.strip.safety.accessibleName() == f"Safety: safe, made safe by the watchdog at {at}, cause the owner's pipe closed"
    assert window.safe_panel.states() == {"laser": "confirmed", "snspd": "confirmed"}
    assert f"the watchdog made the bench safe at {at}" in window.notices.earlier[-1].text
    assert "Start the bench" in window.notices.earlier[-1].text


def test_the_record_of_an_earlier_loss_is_not_told(window: Any, qtbot: Any) -> None:
    lose(window, record(owner=17))

    qtbot.wait(700)
    window.tick.tick()

    assert not window.safe_panel.isVisible()
    assert window.strip.safety.accessibleName().startswith("Safety: armed, last known ")


def test_a_rescue_that_failed_says_so_and_what_to_do(window: Any, qtbot: Any) -> None:
    lose(window, record(reports=[{"name": "laser", "state": "FAILED", "detail": "no answer"}]))
    qtbot.waitUntil(window.safe_panel.isVisible, timeout=3000)
    window.tick.tick()

    assert window.strip.safety.word == "failed"
    assert "NOT SAFE" in window.strip.safety.accessibleName()
    assert "by hand" in window.notices.earlier[-1].text


def test_an_old_state_is_shown_with_its_age(window: Any) -> None:
    tell(window, station=payloads.station_state(), safety=payloads.safety(state="ARMED"))
    assert window.strip.safety.accessibleName() == "Safety: armed"

    for topic in window.desk._came:
        window.desk._came[topic] -= 75
    window.tick.tick()

    assert window.strip.safety.accessibleName() == "Safety: armed, last known 1 min 15 s ago, stale"


def test_the_owner_that_came_back_is_told_and_nothing_of_the_rescue_stays(window: Any, qtbot: Any) -> None:
    lose(window, record())
    qtbot.waitUntil(window.safe_panel.isVisible, timeout=3000)

    window.desk.set_connected(True)
    tell(window, safety=payloads.safety(state="SAFE", reports=[]))

    assert window.notices.earlier[-1].text.startswith("The bench is back at ")
    assert [one.remedy[:24] for one in window.notices.earlier if one.where == "bench"] == ["The bench is back since "] * (len(window.notices.earlier) - 1)
    assert window.strip.safety.accessibleName() == "Safety: safe"
    assert not window.strip.owner.isVisible()
    tell(window, safety=payloads.safety(state="ARMED", reports=[]))
    assert not window.safe_panel.isVisible()


def test_a_first_connection_is_no_news(window: Any) -> None:
    assert not [one for one in window.notices.earlier if "back" in one.text]


def test_the_safe_panel_goes_once_the_bench_is_armed_again(window: Any, qtbot: Any) -> None:
    tell(window, station=payloads.station_state(instruments=(payloads.laser_state(),)), safety=payloads.safety(state="ARMED"))
    window.safety.press()
    qtbot.waitUntil(lambda: window.safe_panel.states().get("laser") == "confirmed")
    window.tick.tick()
    # What was told before the press counts for nothing.
    assert window.safe_panel.isVisible()

    tell(window, safety=payloads.safety(state="SAFE"))
    assert window.safe_panel.isVisible()
    tell(window, safety=payloads.safety(state="ARMING"))

    assert not window.safe_panel.isVisible()


def test_a_safe_panel_beside_a_lost_owner_is_of_earlier(window: Any, qtbot: Any) -> None:
    tell(window, station=payloads.station_state(instruments=(payloads.laser_state(),)), safety=payloads.safety(state="SAFE"))
    window.safety.press()
    qtbot.waitUntil(lambda: window.safe_panel.states().get("laser") == "confirmed")

    window.desk.set_connected(False)
    window.tick.tick()

    assert any(text.startswith("Earlier: Made safe") for text in access.texts(window.safe_panel))
    assert any(text.startswith("laser: confirmed") and text.endswith("stale") for text in access.texts(window.safe_panel))
