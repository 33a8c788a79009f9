"""The WebSQ driver: a set counts when its own broadcast returns, a get when the label comes fresh."""

import json
import socket
import threading
from typing import Any

import pytest
from pymeasure.test import expected_protocol

from heliograph.core.errors import BadReply, DeviceFault, Timeout
from heliograph.instruments.single_quantum import WebSQ
from heliograph.instruments.socket_links import TcpLink
from heliograph.instruments.wire import websq

ASK = '{"request": "labelProps", "value": "None"}'
LABELS = {
    "NumberOfDetectors": 2,
    "InptMeasurementPeriod": 100,
    "BiasCurrent": [18.0, 17.5],
    "TriggerLevel": [100.0, 90.0],
    "DetectorEnable": True,
    "SerialNumber": "7",
}


FAULT = websq.encode_broadcast("ErrorMessage", "cryostat warm")


def everything(**changed: Any) -> bytes:
    """Return the answer to labelProps: one object per label, with bounds."""
    return b"".join(websq.encode_broadcast(label, {"value": value, "min": 0}) for label, value in {**LABELS, **changed}.items())


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("number_of_detectors", 2),
        ("period_ms", 100),
        ("biases_ua", [18.0, 17.5]),
        ("trigger_levels_mv", [100.0, 90.0]),
        ("enabled", True),
        ("serial_number", "7"),
    ],
)
def test_every_label_is_read_fresh(attribute: str, value: Any) -> None:
    with expected_protocol(WebSQ, [(ASK, everything())]) as detector:
        assert getattr(detector, attribute) == value


def test_the_software_version_is_read() -> None:
    with expected_protocol(WebSQ, [(ASK, everything(SoftwareVersion="2.6"))]) as detector:
        assert detector.software_version == "2.6"


@pytest.mark.parametrize(
    ("attribute", "value", "command"),
    [
        ("period_ms", 100, '{"command": "SetMeasurementPeriod", "label": "InptMeasurementPeriod", "value": 100}'),
        ("biases_ua", [18.0, 17.5], '{"command": "SetAllBiasCurrents", "label": "BiasCurrent", "value": [18.0, 17.5]}'),
        ("trigger_levels_mv", [100, 90], '{"command": "SetAllTriggerLevels", "label": "TriggerLevel", "value": [100.0, 90.0]}'),
        ("enabled", True, '{"command": "DetectorEnable", "label": "DetectorEnable", "value": true}'),
        ("enabled", False, '{"command": "DetectorEnable", "label": "DetectorEnable", "value": false}'),
    ],
)
def test_every_set_waits_for_its_own_broadcast(attribute: str, value: Any, command: str) -> None:
    asked = json.loads(command)
    reply = websq.encode_broadcast("BiasCurrent", [1.0, 1.0]) + websq.encode_broadcast(asked["label"], asked["value"])
    with expected_protocol(WebSQ, [(command, reply)]) as detector:
        setattr(detector, attribute, value)


def test_the_voltages_of_the_wires_are_asked_for_by_a_request_of_their_own() -> None:
    reply = websq.encode_broadcast("InptMeasurementPeriod", 100) + websq.encode_broadcast("BiasVoltage", [0.018, 1.8])
    with expected_protocol(WebSQ, [('{"request": "BiasVoltage", "value": "None"}', reply)]) as detector:
        assert detector.bias_voltages_v == [0.018, 1.8]


def test_a_broadcast_may_come_in_pieces_and_glued() -> None:
    command = '{"command": "DetectorEnable", "label": "DetectorEnable", "value": true}'
    pieces = [(command, b'{"label": "x", "value": 1}{"label": "Detec'), (None, b'torEnable", "value": true}\x17')]
    with expected_protocol(WebSQ, pieces) as detector:
        detector.enabled = True


def test_a_fault_label_is_raised() -> None:
    with (
        expected_protocol(WebSQ, [(ASK, FAULT)]) as detector,
        pytest.raises(DeviceFault, match="cryostat warm"),
    ):
        detector.enabled  # noqa: B018


def test_garbage_is_a_bad_reply() -> None:
    with expected_protocol(WebSQ, [(ASK, b"garbage")]) as detector, pytest.raises(BadReply):
        detector.enabled  # noqa: B018


def test_a_period_out_of_range_is_refused_before_anything_is_sent() -> None:
    with expected_protocol(WebSQ, []) as detector, pytest.raises(ValueError, match="range"):
        detector.period_ms = 9


def serve(*pieces: bytes) -> tuple[str, threading.Thread]:
    """Answer one connection with pieces, then keep it open until the other side closes."""
    listener = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        connection, _ = listener.accept()
        with connection, listener:
            for piece in pieces:
                connection.sendall(piece)
            while connection.recv(4096):
                pass

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return f"tcp://127.0.0.1:{listener.getsockname()[1]}", thread


def test_counts_are_the_first_line_of_a_fresh_connection() -> None:
    address, thread = serve(b"1.5,10", b"0,200\n2.5,1,2\n")
    command = '{"command": "SetMeasurementPeriod", "label": "InptMeasurementPeriod", "value": 100}'
    reply = websq.encode_broadcast("InptMeasurementPeriod", 100)

    with expected_protocol(WebSQ, [(command, reply)], counts_link=lambda: TcpLink(address, name="snspd counts")) as detector:
        assert detector.count(100) == (1.5, (100, 200))
        assert detector.counts_wire[1] >= len(b"1.5,100,200\n")
    thread.join(2)


def test_a_counts_port_that_says_nothing_is_a_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("heliograph.instruments.single_quantum.COUNTS_BUDGET_S", 0.05)
    address, thread = serve(b"1.5,1")
    command = '{"command": "SetMeasurementPeriod", "label": "InptMeasurementPeriod", "value": 10}'

    pairs = [(command, websq.encode_broadcast("InptMeasurementPeriod", 10))]
    with expected_protocol(WebSQ, pairs, counts_link=lambda: TcpLink(address, name="snspd counts")) as detector, pytest.raises(Timeout, match="snspd counts"):
        detector.count(10)
    thread.join(2)


def test_a_set_that_is_never_broadcast_is_a_timeout() -> None:
    address, thread = serve(websq.encode_broadcast("BiasCurrent", [0.0, 0.0]))
    link = TcpLink(address, name="snspd", timeout_s=0.1)
    detector = WebSQ(link, "snspd")

    with pytest.raises(Timeout, match="snspd"):
        detector.biases_ua = [18.0, 18.0]

    link.close()
    thread.join(2)
