"""The drawing of the optical path: where elements stand, what is said at them, and that it can be used without a mouse."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication

from heliograph.control.topics import Element, Quantity
from heliograph.gui import schematic_layout, schematic_text, theme
from heliograph.gui.schematic import Schematic
from heliograph.gui.schematic_layout import draw, joined

from . import payloads
from .benches import line_of
from .finding import control, focused


@pytest.fixture
def schematic(qtbot, appearance):
    made = Schematic()
    qtbot.addWidget(made)
    made.resize(1300, 420)
    made.show()
    return made


def test_light_runs_from_the_laser_to_the_splitter_along_one_row_where_there_is_room():
    drawing = draw(line_of(), 20)

    row = [drawing.spots[name] for name in ("laser", "im1", "im2", "tap", "att_fixed", "voa_in", "circ", "bs")]

    assert len({spot.y for spot in row}) == 1
    assert [spot.x for spot in row] == sorted(spot.x for spot in row)


def test_a_narrow_page_turns_the_line_back_under_itself_and_keeps_the_site_together():
    drawing = draw(line_of("voa_mbx", "mpc"), 8)

    spots = drawing.spots

    assert drawing.width < draw(line_of("voa_mbx", "mpc"), 20).width
    assert spots["circ"].y == spots["bs"].y > spots["mpc"].y
    assert spots["bs"].x < spots["circ"].x, "the second row runs from right to left"
    assert spots["D1"].x == spots["circ"].x
    assert spots["D2"].x == spots["bs"].x


def test_the_loop_closes_beside_its_splitter_with_every_user_on_it():
    drawing = draw(line_of(), 20)

    (ring,) = [wire for wire in drawing.wires if wire.ring]

    assert ring.points[0][0] == ring.points[-1][0] == drawing.spots["bs"].x
    assert all(drawing.spots[name].y == ring.points[1][1] for name in "ABC")
    assert drawing.spots["loop"].y == ring.points[3][1]
    fibres = [wire for wire in drawing.wires if not wire.electrical]
    assert not [wire for wire in fibres if wire.target in "ABC"], "users are joined by the loop, not by lines of their own"


def test_light_that_comes_back_shares_the_line_it_went_out_on():
    drawing = draw(line_of(), 20)

    between = [wire for wire in drawing.wires if {wire.source, wire.target} == {"circ", "bs"}]

    assert len(between) == 1
    assert between[0].both


def test_detectors_hang_below_what_feeds_them_and_their_signals_are_no_light():
    drawing = draw(line_of(), 20)

    assert drawing.spots["D1"].x == drawing.spots["circ"].x
    assert drawing.spots["tagger"].y > drawing.spots["D1"].y > drawing.spots["circ"].y
    assert {("D1", "tagger"), ("D2", "tagger")} <= {(wire.source, wire.target) for wire in drawing.wires if wire.electrical}


def test_generators_stand_below_what_they_drive_and_those_of_users_inside_the_loop():
    drawing = draw(line_of(), 20)

    spots = drawing.spots

    assert spots["im1"].x < spots["awg_im"].x < spots["im2"].x
    assert spots["awg_im"].y > spots["im1"].y
    assert spots["awg_b"].x == spots["B"].x
    assert spots["B"].y < spots["awg_b"].y < spots["loop"].y
    assert {("awg_im", "im2"), ("awg_c", "C")} <= {(wire.source, wire.target) for wire in drawing.wires if wire.electrical}


def test_two_ports_of_one_circulator_are_one_element():
    there = (Element("circ:1-2", "circulator", ("bs",)), Element("bs", "splitter", ("circ:2-3",)), Element("circ:2-3", "circulator", ("D1", "gone")))

    found = joined((*there, Element("D1", "detector", ())))

    assert found["circ"].feeds == ("bs", "D1")
    assert found["bs"].feeds == ("circ",)


def test_users_that_feed_each_other_make_a_loop_too():
    drawing = draw(payloads.path_of_light(), 20)

    assert {"A", "B"} <= set(drawing.spots)
    assert [wire.ring for wire in drawing.wires].count(True) == 1


@st.composite
def _paths(draw_):
    kinds = st.sampled_from(["laser", "modulator", "attenuator", "tap", "circulator", "splitter", "loop", "user", "detector", "tagger", "generator", "etalon"])
    names = [f"e{number}" for number in range(draw_(st.integers(1, 12)))]
    return tuple(Element(name, draw_(kinds), tuple(draw_(st.sets(st.sampled_from(names), max_size=3)) - {name})) for name in names)


@settings(max_examples=60, deadline=None)
@given(_paths(), st.floats(1, 16))
def test_any_station_is_drawn_with_every_element_in_a_place_of_its_own(elements, columns):
    drawing = draw(elements, columns)

    assert set(drawing.spots) == set(joined(elements))
    places = [(spot.x, spot.y) for spot in drawing.spots.values()]
    assert all(abs(a[0] - b[0]) > 0.3 or abs(a[1] - b[1]) > 0.3 for a, b in combinations(places, 2))
    assert all(0 <= x <= drawing.width and 0 <= y <= drawing.height for x, y in places)
    assert all(wire.source in drawing.spots and wire.target in drawing.spots for wire in drawing.wires)


@pytest.mark.parametrize("width", [640, 1000, 1300, 1800])
@pytest.mark.parametrize("more", [(), ("voa_mbx", "mpc")])
def test_no_element_covers_another_and_no_text_is_cut(schematic, width, more):
    schematic.resize(width, 500)

    schematic.show_station(payloads.station_state(elements=line_of(*more)))
    QApplication.processEvents()

    canvas = schematic.canvas
    for one, other in combinations(canvas.buttons.values(), 2):
        assert not one.geometry().intersects(other.geometry()), f"{one.element.name} and {other.element.name}"
    for button in canvas.buttons.values():
        room = button.width() - (1.6 * canvas.scale.pad + canvas.scale.symbol_width(button.element.kind) if button.beside else 0)
        assert canvas.rect().contains(button.geometry()), button.element.name
        assert all(canvas.scale.metrics.horizontalAdvance(value) <= room for value in button.told.values)
        assert canvas.scale.bold_metrics.horizontalAdvance(schematic_text.label(button.element)) <= room


def test_live_values_stand_at_every_element(schematic):
    station = payloads.station_state(elements=line_of(), instruments=(payloads.detector_state(), payloads.laser_state()))
    meter = payloads.instrument_state(name="meter", role="PowerMeter", quantities=(payloads.quantity(label="Power", unit="W", measured=1.4e-6),))

    schematic.show_station(replace(station, instruments=(*station.instruments, meter)), payloads.count_rates())

    told = {name: button.told.values for name, button in schematic.canvas.buttons.items()}
    assert told["laser"] == ("-10.0 dBm",)
    assert told["voa_in"] == ("-10.0 dBm", "loss 3.0 dB")
    assert told["meter"][0] == "-28.5 dBm"
    assert told["D1"] == ("82.0 kHz", "0 A")
    assert told["tagger"] == ("83.2 ktag/s", "no gaps")


def test_dark_light_and_an_unknown_rate_are_said(schematic):
    elements = tuple(replace(one, power_w=0.0) for one in line_of())

    schematic.show_station(payloads.station_state(elements=elements), payloads.count_rates(rates_hz=np.array([np.nan, 1.0])))

    buttons = schematic.canvas.buttons
    assert buttons["laser"].told.values == ("dark",)
    assert {button.told.light for button in buttons.values() if button.element.power_w == 0.0} == {"no light"}
    assert "kHz" not in " ".join(buttons["D1"].told.values)


def test_where_a_power_is_not_known_there_is_light_if_what_feeds_it_is_lit():
    def path(power_w):
        one = [Element("laser", "laser", ("im",), (), None, power_w), Element("im", "modulator", ("voa",)), Element("voa", "attenuator", (), (), 3.0, None)]
        return schematic_text.light({element.name: element for element in one})

    assert path(0.01) == dict.fromkeys(("laser", "im", "voa"), "light")
    assert path(0.0) == dict.fromkeys(("laser", "im", "voa"), "no light")
    assert path(None) == dict.fromkeys(("laser", "im", "voa"), "not known")


def test_the_worst_instrument_of_an_element_gives_it_its_state():
    good, bad = payloads.instrument_state(name="awg_a"), payloads.instrument_state(name="voa_a", state="lost", why="no answer")
    user = Element("A", "user", (), ("awg_a", "voa_a"))

    found = schematic_text.told(user, {"awg_a": good, "voa_a": bad})

    assert found.state == "lost"
    assert "voa_a is lost, no answer, simulated" in found.spoken


def test_elements_are_found_by_name_and_chosen_by_enter(qtbot, schematic):
    schematic.show_station(payloads.station_state(elements=line_of()))
    chosen = []
    schematic.chosen.connect(chosen.append)
    first = control(schematic, "Drawing: voa_in, attenuator")

    first.setFocus()
    qtbot.keyClick(first, Qt.Key.Key_Return)

    assert [one.name for one in chosen] == ["voa_in"]
    assert "loss 3.0 dB" in first.accessibleDescription()


def test_arrow_keys_walk_along_the_light_and_down_to_the_detectors(qtbot, schematic):
    schematic.show_station(payloads.station_state(elements=line_of()))
    schematic.resize(1800, 500)
    seen = []
    control(schematic, "Drawing: laser, laser").setFocus()

    for key in (Qt.Key.Key_Right, Qt.Key.Key_Right, Qt.Key.Key_Right, Qt.Key.Key_Down, Qt.Key.Key_Up, Qt.Key.Key_Left):
        qtbot.keyClick(focused(), key)
        seen.append(focused().accessibleName().removeprefix("Drawing: ").partition(",")[0])

    assert seen == ["im1", "im2", "tap", "meter", "tap", "im2"]


def test_tab_visits_every_element_once_in_reading_order(qtbot, schematic):
    schematic.show_station(payloads.station_state(elements=line_of()))
    start = control(schematic, "Drawing: laser, laser")
    start.setFocus()
    seen = ["laser"]

    for _ in range(len(schematic.canvas.buttons) - 1):
        qtbot.keyClick(focused(), Qt.Key.Key_Tab)
        seen.append(focused().accessibleName().removeprefix("Drawing: ").partition(",")[0])

    assert seen == list(schematic.canvas.drawing.spots)


def test_what_is_stale_is_grey_and_says_so(schematic):
    schematic.show_station(payloads.station_state(elements=line_of()))
    before = schematic.grab().toImage()

    schematic.set_stale(True)
    QApplication.processEvents()

    assert schematic.grab().toImage() != before
    assert _count(schematic, theme.current().warning) == 0, "no line is drawn as lit"


def test_a_reading_that_is_old_says_so_and_so_does_what_rests_on_it(schematic):
    now = payloads.station_state(elements=line_of())
    read = tuple(replace(one, read_t=payloads.NOW, age_s=0.0, state="safe") for one in now.instruments)
    schematic.show_station(replace(now, instruments=read))
    assert not any(one.told.old for one in schematic.canvas.buttons.values())

    late = tuple(replace(one, age_s=75.0) if one.name == "laser" else one for one in read)
    schematic.show_station(replace(now, instruments=late))

    laser, after = schematic.canvas.buttons["laser"], schematic.canvas.buttons["tap"]
    assert laser.told.values[-1] == "stale 1 min"
    assert laser.accessibleDescription().startswith("stale, read 1 min 15 s before this")
    assert after.told.old
    assert after.accessibleDescription().startswith("stale, computed from old readings")


def test_lit_fibres_are_drawn_in_the_colour_of_light(schematic):
    schematic.show_station(payloads.station_state(elements=line_of()))
    lit = _count(schematic, theme.current().warning)

    schematic.show_station(payloads.station_state(elements=tuple(replace(one, power_w=0.0) for one in line_of())))
    dark = _count(schematic, theme.current().warning)

    assert lit > 10 * max(dark, 15)


@pytest.mark.parametrize("appearance", ["light", "dark", "contrast"], indirect=True)
def test_the_drawing_is_not_blank_in_any_theme(schematic):
    schematic.show_station(payloads.station_state(elements=line_of()))
    QApplication.processEvents()

    image = schematic.grab().toImage()

    assert image.pixelColor(2, 2).name().upper() == theme.current().ground.upper()
    assert len({image.pixelColor(x, y).name() for x in range(0, image.width(), 3) for y in range(0, image.height(), 3)}) >= 3


def test_only_what_changed_is_drawn_anew(schematic, monkeypatch):
    schematic.show_station(payloads.station_state(elements=line_of()))
    drawn = []
    monkeypatch.setattr(type(schematic.canvas), "update", lambda _self: drawn.append("canvas"))
    monkeypatch.setattr(type(schematic.canvas.buttons["D1"]), "update", lambda self: drawn.append(self.element.name))

    schematic.show_station(payloads.station_state(elements=line_of()))
    assert drawn == []

    schematic.show_station(payloads.station_state(elements=line_of()), payloads.count_rates())
    assert drawn == ["D1", "D2", "tagger"]


def test_a_station_without_elements_draws_nothing(schematic):
    schematic.show_station(payloads.station_state(elements=()))

    assert schematic_layout.draw((), 5).spots == {}
    assert schematic.canvas.buttons == {}


def _count(widget, colour):
    image = widget.grab().toImage()
    return sum(image.pixelColor(x, y).name().upper() == colour.upper() for x in range(0, image.width(), 5) for y in range(image.height()))


def test_each_detector_has_the_bias_of_its_own_channel():
    biases = (Quantity("Bias 1", "A", 2e-5), Quantity("Threshold 1", "V", 0.1), Quantity("Bias 2", "A", 0.0), Quantity("Threshold 2", "V", 0.1))
    snspd = replace(payloads.detector_state(), name="snspd", quantities=biases)

    shown = [schematic_text.told(Element(name, "detector", (), ("snspd",)), {"snspd": snspd}).values for name in ("D1", "D2", "D3")]

    assert shown == [("20.0 µA",), ("0 A",), ()]


def test_less_than_a_photon_a_second_is_no_light():
    elements = {"a": Element("a", "attenuator", ("b",), power_w=2.7e-27), "b": Element("b", "tap", ())}

    assert schematic_text.light(elements) == {"a": "no light", "b": "no light"}
    assert schematic_text.told(elements["a"], {}).values == ("dark",)
