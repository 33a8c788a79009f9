"""Links to nothing, and what the room promises about its own code."""

import ast
import logging
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from heliograph import instruments
from heliograph.core.errors import ConfigError, Disconnected, Timeout
from heliograph.instruments import keysight, oz_optics
from heliograph.instruments.links import VisaLink
from heliograph.instruments.socket_links import TcpLink, ZmqLink, host_and_port


def test_a_forgotten_zmq_link_does_not_hold_the_process_up() -> None:
    """Collected in a cycle, its context no longer knows its socket and would wait for it for ever."""
    code = (
        "import gc\nfrom heliograph.instruments.socket_links import ZmqLink\n"
        "link = ZmqLink('tcp://127.0.0.1:9', name='tagger')\nlink.itself = link\ndel link\ngc.collect()\n"
    )

    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)


@pytest.mark.parametrize(
    ("kind", "address"), [(ZmqLink, "tcp://127.0.0.1:9"), (TcpLink, "tcp://127.0.0.1:9"), (VisaLink, "ASRL/dev/nowhere::INSTR"), (VisaLink, "nonsense")]
)
def test_links_that_come_and_go_or_never_open_leave_nothing_behind_in_the_log(kind: type[ZmqLink | TcpLink | VisaLink], address: str) -> None:
    """A run of count rates opens one for each count: an owner of the bench would grow all day."""
    held = []
    for _ in range(3):
        with suppress(Disconnected, ConfigError):
            kind(address, name="tagger")
        held.append(len(logging.getLogger("Adapter").handlers))

    assert held == [1] * 3


def test_a_serial_port_that_is_not_there_is_disconnected() -> None:
    with pytest.raises(Disconnected, match=r"voa_a \(ASRL/dev/nowhere::INSTR\)"):
        oz_optics.link("ASRL/dev/nowhere::INSTR", name="voa_a")


def test_a_tcp_port_that_nobody_serves_is_a_typed_error_soon() -> None:
    begin = time.monotonic()

    with pytest.raises((Disconnected, Timeout), match="awg_a"):
        keysight.Keysight81160A(keysight.link("TCPIP::127.0.0.1::9::SOCKET", name="awg_a")).identity()
    with pytest.raises(Disconnected, match="snspd"):
        TcpLink("tcp://127.0.0.1:9", name="snspd")

    assert time.monotonic() - begin < 4.0


def test_a_resource_string_that_is_none_is_a_typed_error() -> None:
    with pytest.raises((Disconnected, ConfigError), match="awg_a"):
        VisaLink("nonsense", name="awg_a")


def test_a_reply_that_trickles_byte_by_byte_is_still_right() -> None:
    def trickle() -> None:
        connection, _ = listener.accept()
        with connection:
            for _ in range(2):
                connection.recv(100)
                for byte in b"Agilent Technologies,81160A,MY1,2.0\n":
                    connection.sendall(bytes((byte,)))
                    time.sleep(0.002)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=trickle, daemon=True)
        thread.start()
        awg = keysight.Keysight81160A(keysight.link(f"TCPIP::127.0.0.1::{listener.getsockname()[1]}::SOCKET", name="awg"))
        for _ in range(2):
            assert awg.identity()[2:] == ("MY1", "2.0")
        thread.join(2)
        awg.adapter.close()


def test_a_line_cut_off_by_the_device_is_never_returned() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        link = VisaLink(f"TCPIP::127.0.0.1::{listener.getsockname()[1]}::SOCKET", name="awg", timeout_s=0.2)
        connection, _ = listener.accept()
        with connection:
            connection.sendall(b"12.3")

            with pytest.raises(Timeout, match="awg"):
                link.read()
        link.close()


@pytest.mark.parametrize("address", ["10.0.0.5", "tcp://10.0.0.5", "tcp://10.0.0.5:x", "udp://10.0.0.5:1", ""])
def test_an_address_that_is_none_is_a_configuration_error(address: str) -> None:
    with pytest.raises(ConfigError):
        host_and_port(address)
    with pytest.raises(ConfigError):
        ZmqLink(address, name="tagger")


def test_nothing_in_this_room_asks_whether_it_is_simulated() -> None:
    folder = Path(instruments.__file__).parent
    asked = []
    for file in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.If | ast.IfExp | ast.While | ast.Assert | ast.Match | ast.comprehension):
                test = getattr(node, "test", None) or getattr(node, "subject", None) or ast.Tuple(getattr(node, "ifs", []))
                asked += [file.name for part in ast.walk(test) if getattr(part, "attr", getattr(part, "id", "")) == "simulated"]

    assert asked == []
