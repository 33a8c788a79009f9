"""What holds for every device, whatever comes over its wire."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.instruments.wire import id900, interbus
from heliograph.mocks.devices.awg81160a import Awg81160A
from heliograph.mocks.devices.base import Link
from heliograph.mocks.devices.basik import Basik
from heliograph.mocks.devices.dd100 import DD100
from heliograph.mocks.devices.id900 import Id900
from heliograph.mocks.devices.websq import WebSQ
from heliograph.mocks.layout import Layout
from heliograph.mocks.world import World

from .conftest import plain_bench

WORLD = World(Layout.of(plain_bench()))
LINKS: dict[str, Callable[[], Link]] = {
    "basik": lambda: Basik(WORLD, np.random.default_rng(0)).link(),
    "dd100": lambda: DD100(WORLD, "voa_in").link(),
    "awg": lambda: Awg81160A(WORLD, "awg_a").link(),
    "websq": lambda: WebSQ(WORLD).link(),
}
WORDS = [
    b":VOLT1",
    b"#",
    b"#15",
    b"?",
    b"\n",
    b" ",
    b"DATA1:DAC VOLATILE,",
    b"{",
    b"}",
    b'"command"',
    b"[",
    b"A",
    b"\r",
    b"H",
    b"1e9",
    b"-3",
    b"\r0\x01\xa1\x05",
]


@pytest.mark.parametrize("name", LINKS)
@given(st.lists(st.one_of(st.binary(max_size=20), st.sampled_from(WORDS)), max_size=12))
@settings(max_examples=60)
def test_no_bytes_break_a_device(name, pieces):
    link = LINKS[name]()
    for piece in pieces:
        for reply in link.feed(piece):
            assert reply.data
            assert 0.0 <= reply.delay_s < 1.0


@given(
    st.binary(max_size=6),
    st.sampled_from([*interbus.Kind]),
    st.one_of(st.sampled_from([*interbus.Register]), st.integers(0, 255)),
    st.sampled_from([interbus.BASIK_ADDRESS, interbus.FRAME_ADDRESS]),
)
def test_every_sound_telegram_is_answered_or_lost(data, kind, register, destination):
    frame = interbus.encode(interbus.Telegram(destination, 0xA2, kind, register, data))
    for reply in LINKS["basik"]().feed(frame):
        answer = interbus.decode(reply.data)
        assert (answer.destination, answer.source, answer.register) == (0xA2, destination, register)


PATHS = [
    "INPU1:ENAB",
    "INPU1:THRE",
    "INPU1:COUN",
    "INPU1:COUN:INTE",
    "DELA2:VALU",
    "REC:NUM",
    "REC:PWID",
    "REC:PLAY",
    "RAW1:SEND",
    "RAW1:ERRO",
    "TSCO1:FIR:LINK",
    "*IDN",
]


@given(st.lists(st.tuples(st.sampled_from(PATHS), st.sampled_from(["", "?", " ON", " -1", " 1e3", " nan", " INPU7", " 0", ";", ";:"]))), st.text(max_size=20))
@settings(max_examples=60)
def test_no_text_breaks_the_tagger(parts, noise):
    unit = Id900(WORLD, {1: "D1", 2: "D2", 3: "sync"})
    text = ";:".join(path + argument for path, argument in parts)
    assert isinstance(unit.control(text.encode() + noise.encode()), bytes)
    assert b"error" in unit.data_link(noise.encode() + b" " + text.encode())
    assert unit.control(b"*IDN?").startswith(b"ID Quantique")
    assert id900.parse_commands("*IDN?")[0].query
