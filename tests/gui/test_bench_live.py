"""The page of the bench with a real owner of the simulated bench behind it, by keys and mouse only."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QSettings, Qt
from PySide6.QtWidgets import QLabel

from heliograph.gui.connection import Connection
from heliograph.gui.desk import Desk
from heliograph.gui.pages.acquire import Acquire
from heliograph.gui.pages.bench import Bench

from ..control.owned import owning
from .finding import control, press
from .finding import hold as hold_down

PATIENCE_MS = 20_000
HELD_MS = 1_150


class Live:
    """A page, its desk and its owner; `until` turns the clock of the window."""

    def __init__(self, qtbot, station, settings, kind=Bench):
        self.qtbot = qtbot
        self.desk = Desk(settings=settings, station=station)
        self.connection = Connection(station, self.desk.mailbox, self._stands)
        self.desk.line = self.connection
        self.page = kind(self.desk)
        self._drawn: dict[str, int] = {}
        qtbot.addWidget(self.page)
        self.page.resize(1280, 800)
        self.page.show()

    def _stands(self, standing):
        self.desk.later(lambda: self.desk.set_control(standing.controls, standing.why))

    def turn(self):
        self.desk.collect()
        for topic in sorted(self.page.TOPICS):
            if self.desk.version(topic) != self._drawn.get(topic, 0):
                self._drawn[topic] = self.desk.version(topic)
                self.page.redraw(topic, self.desk.latest(topic))

    def until(self, condition):
        def met():
            self.turn()
            return condition()

        self.qtbot.waitUntil(met, timeout=PATIENCE_MS)

    def state(self, name):
        return self.page.cards.grid.cards[name].badge.word

    def typed(self, name, text):
        field = control(self.page, name)
        field.setFocus()
        field.selectAll()
        self.qtbot.keyClicks(field, text)
        self.qtbot.keyClick(field, Qt.Key.Key_Return)

    def close(self):
        self.desk.close()
        self.connection.close()


@pytest.fixture(scope="module")
def station(tmp_path_factory):
    with owning(tmp_path_factory.mktemp("live")) as found:
        yield found


@pytest.fixture
def live(qtbot, appearance, station, tmp_path):
    made = Live(qtbot, station, QSettings(str(tmp_path / "window.ini"), QSettings.Format.IniFormat))
    yield made
    made.close()


def test_an_instrument_is_let_go_taken_back_and_homed(qtbot, live):
    page = live.page
    live.until(lambda: len(page.cards.grid.cards) == 12 and live.desk.controls and control(page, "Release voa_b for service").isEnabled())

    control(page, "Release voa_b for service").setFocus()
    qtbot.keyClick(control(page, "Release voa_b for service"), Qt.Key.Key_Space)
    live.until(lambda: live.state("voa_b") == "released")
    station = live.desk.latest("station")
    assert [one.cause for one in station.interlocks if not one.holds and "voa_b" in one.cause] == ["voa_b is released for service"]
    assert page.schematic.canvas.buttons["B"].told.state == "released"
    assert control(page, "voa_b, age: let go, not read").isVisible()

    hold_down(qtbot, page, "Arm", HELD_MS)
    live.until(page.arming.refusal.isVisible)
    assert "ArmRefused: " in page.arming.refusal.text()
    assert "voa_b is released for service. Take it back first." in page.arming.refusal.text()
    assert live.state("laser") == "safe"

    qtbot.keyClick(control(page, "Take voa_b back from service"), Qt.Key.Key_Space)
    live.until(lambda: live.state("voa_b") == "safe")
    live.until(page.cards.grid.cards["voa_b"].doing.isHidden)
    press(qtbot, page, "Home voa_b")
    assert control(page, "voa_b, act: pending, Home").isVisible()
    live.until(page.cards.grid.cards["voa_b"].doing.isHidden)
    live.until(lambda: live.state("voa_b") == "safe")


def test_a_delay_and_thresholds_are_set_on_the_page_of_the_rates(qtbot, appearance, station, tmp_path):
    live = Live(qtbot, station, QSettings(str(tmp_path / "window.ini"), QSettings.Format.IniFormat), Acquire)
    page = live.page
    page._docks["Inputs"].raise_()
    live.until(lambda: live.desk.controls and "tagger" in page.inputs.groups)

    for name, text, measured in (
        ("tagger Delay D2", "4 ns", "4.00 ns"),
        ("tagger Threshold D2", "-350 mV", "-350 mV"),
        ("snspd Threshold 1", "120 mV", "120 mV"),
    ):
        live.typed(f"{name}, wanted", text)
        live.until(lambda name=name, measured=measured: _shown(page, f"{name}, measured: {measured}"))
        live.until(lambda name=name, measured=measured: _shown(page, f"{name}, accepted: {measured}"))
    row = page.inputs.groups["snspd"].rows["Threshold 1"]
    live.typed("snspd Threshold 1, wanted", "3 V")
    live.until(row.complaint.isVisible)
    assert "TriggerLevel cannot be" in row.complaint.text()
    live.typed("snspd Threshold 1, wanted", "100 mV")
    live.until(lambda: _shown(page, "snspd Threshold 1, measured: 100 mV"))
    live.close()


def _shown(page, name):
    return any(one.accessibleName() == name and one.isVisible() for one in page.findChildren(QLabel))


def test_a_bench_is_armed_set_refused_and_made_safe(qtbot, live):
    page = live.page
    live.until(lambda: len(page.cards.grid.cards) == 12 and live.desk.controls and control(page, "Arm").isEnabled())
    buttons = page.schematic.canvas.buttons
    assert {button.told.light for name, button in buttons.items() if button.element.power_w is not None} == {"no light"}
    assert control(page, "laser, identity: NKT Photonics 0x33, K2611001").isVisible()

    hold_down(qtbot, page, "Arm", HELD_MS)
    live.until(lambda: live.state("laser") == "armed" and live.state("snspd") == "armed")
    live.until(lambda: [step.badge.word for step in page.arming.steps][:4] == ["done"] * 4)
    live.until(lambda: buttons["laser"].told.light == "light")
    assert buttons["laser"].told.values == ("10.0 dBm",)
    assert buttons["D1"].told.light == "no light", "behind every attenuator at its maximum less than a photon a second is left"

    live.typed("voa_a Attenuation, wanted", "59.2 dB")
    live.until(lambda: "loss 62.0 dB" in buttons["A"].told.values)
    assert not page.cards.grid.cards["voa_a"].rows["Attenuation"].pending

    live.typed("voa_in Attenuation, wanted", "20 dB")
    row = page.cards.grid.cards["voa_in"].rows["Attenuation"]
    live.until(row.complaint.isVisible)
    assert "one step opens by 1 dB at most. Use row 5 of Arming." in row.complaint.text()

    control(page, "Attenuator to lower").setCurrentText("voa_b")
    control(page, "Lower to, wanted").setText("57.5 dB")
    hold_down(qtbot, page, "Start: Attenuation down", HELD_MS)
    live.until(lambda: page.arming.steps[4].badge.word == "done")
    live.until(lambda: "voa_b 57.5 dB" in page.arming.steps[4].told.text())
    assert "snspd 1 " in page.arming.steps[4].told.text(), "counted after each step"

    press(qtbot, page, "Make laser safe")
    live.until(lambda: live.state("laser") == "safe" and buttons["laser"].told.light == "no light")
    assert live.desk.latest("safety")["controller"] is not None
