"""The safe state of a bench, and the locks of its resources."""

import errno
import fcntl
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from heliograph.core.errors import InstrumentLocked, StorageError
from heliograph.instruments.guard import locks, safe
from heliograph.instruments.guard.locks import ResourceLock
from heliograph.instruments.roles import SafeReport


class Device:
    """Becomes safe after some failures; writes down when it was asked."""

    def __init__(self, name: str, step: int, log: list[str], *, failures: int = 0, error: Exception | None = None) -> None:
        self.name, self.safe_step = name, step
        self._log, self._failures, self._error = log, failures, error

    def to_safe(self) -> SafeReport:
        self._log.append(self.name)
        if self._error:
            raise self._error
        self._failures -= 1
        return SafeReport(self.name, "CONFIRMED" if self._failures < 0 else "SENT")


class Hanging(Device):
    release = threading.Event()

    def to_safe(self) -> SafeReport:
        self.release.wait(5.0)
        return SafeReport(self.name, "CONFIRMED")


def test_light_goes_out_first_whatever_the_order_of_the_station() -> None:
    log: list[str] = []

    reports = safe.make_safe([Device("detector", 4, log), Device("voa", 2, log), Device("laser", 1, log)])

    assert log == ["laser", "voa", "detector"]
    assert [report.state for report in reports] == ["CONFIRMED"] * 3


def test_a_device_is_asked_again_until_it_is_confirmed() -> None:
    log: list[str] = []

    assert safe.make_safe([Device("voa", 2, log, failures=3)])[0].state == "CONFIRMED"
    assert len(log) == 4


def test_a_failing_driver_stops_nothing_and_is_told() -> None:
    log: list[str] = []
    laser = Device("laser", 1, log, error=RuntimeError("bug"))

    reports = safe.make_safe([laser, Device("voa", 2, log)], deadline_s=1.0)

    assert [report.state for report in reports] == ["FAILED", "CONFIRMED"]
    assert "bug" in reports[0].detail
    assert log.count("laser") > 1


def test_a_hanging_device_delays_no_other_and_the_deadline_holds() -> None:
    log: list[str] = []
    begin = time.monotonic()

    reports = safe.make_safe([Hanging("laser", 1, log), Device("detector", 4, log)], deadline_s=1.0)

    # Whoever hangs here does so for 5 s; a busy machine takes some of the rest.
    assert time.monotonic() - begin < 4.0
    assert [report.state for report in reports] == ["FAILED", "CONFIRMED"]
    assert safe.summary(reports) == "laser FAILED (no answer within 1 s)"
    Hanging.release.set()


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HELIOGRAPH_RUNTIME_DIR", str(tmp_path))
    return tmp_path


def test_a_lock_names_its_holder_and_ends_when_given_back(runtime: Path) -> None:
    first = ResourceLock("laser", "ASRL1::INSTR")
    with pytest.raises(InstrumentLocked, match=rf"laser \(ASRL1::INSTR\): process {os.getpid()} holds"):
        ResourceLock("laser", "ASRL1::INSTR")
    other = ResourceLock("voa", "ASRL2::INSTR")

    first.release()
    first.release()

    ResourceLock("laser", "ASRL1::INSTR").release()
    other.release()


def test_a_lock_dies_with_its_process(runtime: Path) -> None:
    code = (
        "import time; from heliograph.instruments.guard.locks import ResourceLock; lock = ResourceLock('laser', 'ASRL1::INSTR');"
        "print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(InstrumentLocked, match=f"process {holder.pid} holds"):
            ResourceLock("laser", "ASRL1::INSTR")
        holder.kill()
        holder.wait()

    ResourceLock("laser", "ASRL1::INSTR").release()


def test_a_file_system_without_locks_is_told_and_keeps_no_file_open(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(_file: int, _operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuses)
    open_before = set(Path("/proc/self/fd").iterdir())

    with pytest.raises(StorageError, match="laser cannot be locked .No locks available"):
        ResourceLock("laser", "ASRL1::INSTR")

    # Files of tests before may be closed meanwhile, by the garbage collector.
    assert set(Path("/proc/self/fd").iterdir()) <= open_before


def test_sockets_are_for_this_user_only(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = locks.user_folder()
    assert folder.stat().st_mode & 0o077 == 0

    folder.chmod(0o755)
    with pytest.raises(StorageError, match="open to other users"):
        locks.user_folder()
    folder.chmod(0o700)
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    folder.rename(runtime / "heliograph-12345")
    with pytest.raises(StorageError, match="open to other users"):
        locks.user_folder()


def test_neither_folder_may_be_a_link(runtime: Path) -> None:
    (runtime / "elsewhere").mkdir(mode=0o700)
    for name, folder in ((f"heliograph-{os.getuid()}", locks.user_folder), ("heliograph-locks", locks.lock_folder)):
        (runtime / name).symlink_to(runtime / "elsewhere")
        with pytest.raises(StorageError, match="no folder"):
            folder()


def test_locks_are_for_all_users(runtime: Path) -> None:
    ResourceLock("laser", "ASRL1::INSTR").release()
    (lock,) = locks.lock_folder().iterdir()

    assert locks.lock_folder().stat().st_mode & 0o7777 == 0o1777
    assert lock.stat().st_mode & 0o777 == 0o666
    locks.lock_folder().chmod(0o700)
    with pytest.raises(StorageError, match="not open to all users"):
        ResourceLock("laser", "ASRL1::INSTR")


def test_one_session_sees_the_locks_of_another(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "from heliograph.instruments.guard import locks; print(locks.lock_folder(), locks.user_folder())"
    sessions = [{"XDG_RUNTIME_DIR": str(runtime), "TMPDIR": str(runtime)}, {"XDG_RUNTIME_DIR": "", "TMPDIR": ""}]
    kept = {name: value for name, value in os.environ.items() if name != locks.PLACE}

    seen = {subprocess.run([sys.executable, "-c", code], env={**kept, **session}, capture_output=True, check=True).stdout for session in sessions}

    assert len(seen) == 1


def test_one_port_has_one_lock_whatever_it_is_called(runtime: Path) -> None:
    device, link = runtime / "ttyUSB0", runtime / "usb-serial"
    device.touch()
    link.symlink_to(device)
    alike = [
        (f"ASRL{device}::INSTR", f"asrl{link}::instr"),
        ("TCPIP0::LOCALHOST::5025::SOCKET", "tcpip0::127.0.0.1::5025::socket"),
        ("TCPIP::bench::INSTR", "tcpip0::bench::inst0"),
        ("GPIB::5", "GPIB0::5::INSTR"),
        ("USB::0x1313::0x8078::P0001", "USB0::0x1313::0x8078::P0001::0::INSTR"),
        ("USB0::0x1313::0x8078::P0001::INSTR", "usb0::0X1313::0x8078::p0001::INSTR"),
        ("USB0::0x1313::0x8078::P0001::INSTR", "USB1::4883::32888::P0001::INSTR"),
        ("tcp://localhost:5025", "tcp://127.0.0.1:5025"),
        ("TCPIP::127.0.0.1::5025::SOCKET", "tcp://LOCALHOST:5025"),
        ("TCPIP0::10.0.0.5::5025::SOCKET", "TCPIP1::10.0.0.5::5025::SOCKET"),
        ("tcp://bench.localhost.:5025", "TCPIP::localhost::5025::SOCKET"),
    ]
    for one, other in alike:
        lock = ResourceLock("laser", one)
        with pytest.raises(InstrumentLocked):
            ResourceLock("laser", other)
        lock.release()
    apart = [
        ("station Ana/lab.toml", "station ana/lab.toml"),
        ("tcp://bench:5025", "tcp://127.0.0.1:5025"),
        ("tcp://10.0.0.5:5025", "tcp://10.0.0.5:5026"),
        ("GPIB0::5::INSTR", "GPIB1::5::INSTR"),
        ("USB::0x1313::0x8078::P0001", "USB::0x1313::0x8078::P0002"),
    ]
    assert all(locks.canonical(one) != locks.canonical(other) for one, other in apart)
