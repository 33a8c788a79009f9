"""Importing the room costs little and reaches nothing."""

import subprocess
import sys

import pytest

CODE = """
import sys, time
heavy = {"pymeasure", "pyvisa", "serial", "usb", "zmq", "h5py", "scipy", "numba", "matplotlib", "pandas", "PySide6", "Swabian", "TimeTagger", "spcm"}
for name in heavy & BLOCKED:
    sys.modules[name] = None
seen = []
sys.addaudithook(lambda event, _: seen.append(event) if event.startswith("socket.") else None)
begin = time.process_time()
import heliograph.instruments
from heliograph.instruments import catalogue, roles
assert time.process_time() - begin < 1.0, time.process_time() - begin
assert heavy & BLOCKED or not heavy & sys.modules.keys(), heavy & sys.modules.keys()
assert not seen, seen
import socket
socket.socket().close()
assert "socket.__new__" in seen
"""


@pytest.mark.parametrize("blocked", ["set()", "{'zmq', 'Swabian', 'TimeTagger', 'spcm'}"])
def test_importing_the_instruments_takes_no_heavy_module_opens_no_socket_and_needs_no_vendor_s_library(blocked):
    code = CODE.replace("BLOCKED", blocked)
    ended = subprocess.run([sys.executable, "-W", "error", "-c", code], check=False, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
