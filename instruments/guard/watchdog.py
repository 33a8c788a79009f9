"""The watchdog: a process of its own that makes the bench safe when the bench's owner does not.

    python -m heliograph.instruments.guard.watchdog DRIVER ...

It is the owner's child in a session of its own, joined to it by two pipes of JSON lines, and has imported the drivers before anything shines. The owner's first
line is the plan: who it is, the station, the addresses. Then it beats. Anybody of the same user may ask for the safe state at the watchdog's Unix socket, also
in JSON lines: {"do": "safe"}, {"do": "status"}, {"do": "heartbeat"}. Whoever has sent a heartbeat attends the bench: its silence, or the end of its connection,
is a reason for the safe state, too.

A request goes to the owner first. An owner that does not answer, is silent, or has ended, is killed, which frees the ports, and the watchdog goes to the
devices itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from ...core.errors import HeliographError, InstrumentLocked
from .. import catalogue
from ..role_adapter import RoleAdapter
from ..roles import SafeReport
from ..station import Station
from .local_sockets import listen, peer_pid, unlisten
from .locks import ResourceLock
from .safe import DEADLINE_S, make_safe
from .watchdog_clients import MOST_CLIENTS, Client

BEAT_S = 0.25
SILENCE_S = 2.0
ACK_S = 0.3
"""How long the owner may take to say that it has heard a request."""
DONE_S = 2.5
"""How long it may take to carry one out."""
LAST_HAZARD = 5
"""Safe steps up to this one concern light, bias and drive; what comes later only records."""
_LOOK_S = 0.1
_CHUNK = 1 << 16


class Locks:
    """The locks of the addresses of one rescue; the parts of one unit stand at one address.

    dead: process whose locks do not count, because it has ended.
    """

    def __init__(self, dead: int) -> None:
        self._dead = dead
        self._held: dict[str, ResourceLock | None] = {}
        self._turn = threading.Lock()

    def take(self, name: str, address: str) -> None:
        """Take the lock of an address, unless it is held here already. Raises InstrumentLocked if a living process has it."""
        with self._turn:
            if address in self._held:
                return
            try:
                self._held[address] = ResourceLock(name, address)
            except InstrumentLocked as error:
                # A process that was forked off the dead one may still hold its lock, though it holds no device.
                if not self._dead or f"process {self._dead} " not in error.message:
                    raise
                self._held[address] = None

    def release(self) -> None:
        """Give all of them back."""
        for lock in self._held.values():
            if lock is not None:
                lock.release()
        self._held.clear()


class Unopened:
    """An instrument that is opened only to be made safe."""

    def __init__(self, station: Station, name: str, addresses: Mapping[str, str], locks: Locks) -> None:
        self._station, self.name, self._addresses, self._locks = station, name, addresses, locks
        self._open: RoleAdapter | None = None

    @property
    def safe_step(self) -> int:
        """Return the place in the order."""
        return catalogue.adapter_class(self._station.instruments[self.name].wire.driver).safe_step

    def to_safe(self) -> SafeReport:
        """Open the device, if it is not yet, make it safe and read back. Raises an InstrumentError if it does not open."""
        if self._open is None:
            for address in self._addresses.values():
                self._locks.take(self.name, address)
            configured = self._station.instruments[self.name]
            self._open = catalogue.open_instrument(self.name, configured, self._addresses, station=self._station.path.name)
            self._open.share()
        return self._open.to_safe()

    def close(self) -> None:
        """Close the device."""
        if self._open is not None:
            with contextlib.suppress(HeliographError, OSError):
                self._open.close()
            self._open = None


def rescue(station: Station, addresses: Mapping[str, Mapping[str, str]], *, dead: int = 0, deadline_s: float = DEADLINE_S) -> list[SafeReport]:
    """Open the devices of a station that can do harm, make them safe, read back, and close them; one report each, whatever happens to any of them.

    addresses: by instrument.  dead: process that had them open, and has ended.
    """
    locks = Locks(dead)
    devices = [Unopened(station, name, where, locks) for name, where in addresses.items()]
    hazards = [device for device in devices if device.safe_step <= LAST_HAZARD]
    try:
        return make_safe(hazards, deadline_s=deadline_s)
    finally:
        for device in hazards:
            device.close()
        locks.release()


@dataclass(slots=True)
class _Asked:
    """A request that the owner has not fulfilled yet."""

    number: int
    cause: str
    since: float
    heard: bool = False

    def overdue(self, now: float) -> bool:
        return now - self.since > (DONE_S if self.heard else ACK_S)


@dataclass(slots=True)
class Watchdog:
    """The state of the process.

    plan: the owner's first line.  to_owner: writes to it.
    """

    plan: dict[str, Any]
    to_owner: Callable[[dict[str, Any]], None]
    station: Station
    told: dict[str, Any] = field(default_factory=dict)
    _beat: float = field(default_factory=time.monotonic)
    _clients: dict[int, Client] = field(default_factory=dict)
    _asked: _Asked | None = None
    _number: int = 0
    _rest: bytes = b""
    _done: bool = False
    _poll: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)

    @classmethod
    def of(cls, plan: dict[str, Any], to_owner: Callable[[dict[str, Any]], None]) -> Watchdog:
        """Read the plan. Raises ConfigError for a station that is none."""
        station = Station.parse(plan["text"].encode(), Path(plan["station"]), today=date.fromisoformat(plan["today"]))
        return cls(plan, to_owner, station)

    @property
    def owner(self) -> int:
        """Return the owner's process."""
        return int(self.plan["pid"])

    def watch(self) -> None:
        """Watch until the owner says good-bye, or until the bench was made safe without it."""
        socket_path = Path(self.plan["socket"])
        listener = listen(socket_path)
        inode = socket_path.stat().st_ino
        pidfd = os.pidfd_open(self.owner) if hasattr(os, "pidfd_open") else -1
        self._poll.register(0, selectors.EVENT_READ, self._hear)
        self._poll.register(listener, selectors.EVENT_READ, lambda: self._accept(listener))
        if pidfd >= 0:
            self._poll.register(pidfd, selectors.EVENT_READ, lambda: self._act("the owner has ended"))
        self.to_owner({"ready": os.getpid()})
        self._beat = time.monotonic()
        try:
            while not self._done:
                for key, _ in self._poll.select(_LOOK_S):
                    if not self._done:
                        key.data()
                if not self._done:
                    self._look_at_clocks()
        finally:
            unlisten(socket_path, inode)

    def _look_at_clocks(self) -> None:
        now = time.monotonic()
        for client in self._clients.values():
            client.send()
        if self._asked is not None and self._asked.overdue(now):
            self._act(f"{self._asked.cause}; the owner did not answer")
        elif now - self._beat > SILENCE_S and self.told.get("state", "SAFE") != "SAFE":
            self._act(f"the owner has been silent for {now - self._beat:.1f} s")
        else:
            for client in list(self._clients.values()):
                if client.attends and not self.plan["unattended"] and now - client.attends > SILENCE_S:
                    client.attends = 0.0
                    self._ask(f"the controller (process {client.pid}) has been silent for {SILENCE_S:g} s")

    def _hear(self) -> None:
        """Read what the owner says."""
        piece = os.read(0, _CHUNK)
        if not piece:
            self._act("the owner's pipe closed")
            return
        *lines, self._rest = (self._rest + piece).split(b"\n")
        for line in lines:
            self._heard(json.loads(line))

    def _heard(self, said: dict[str, Any]) -> None:
        self._beat = time.monotonic()
        if "beat" in said:
            self.told = said["told"]
            self.to_owner({"beat": said["beat"]})
        elif "ack" in said and self._asked is not None and self._asked.number == said["ack"]:
            self._asked.heard = True
        elif "done" in said and self._asked is not None and self._asked.number == said["done"]:
            cause, self._asked = self._asked.cause, None
            self._answer({"by": "owner", "cause": cause, "reports": said["reports"]})
        elif "bye" in said:
            self._done = True

    def _accept(self, listener: socket.socket) -> None:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        # Whoever comes may want SAFE; one that neither attends nor waits goes instead.
        idle = next((one for one in self._clients.values() if not one.attends and not one.waiting), None)
        if len(self._clients) >= MOST_CLIENTS and idle is not None:
            self._leave(idle)
        client = Client(connection, peer_pid(connection))
        self._clients[connection.fileno()] = client
        self._poll.register(connection, selectors.EVENT_READ, lambda: self._serve(client))

    def _serve(self, client: Client) -> None:
        try:
            for request in client.requests():
                self._do(client, request)
        except EOFError:
            self._leave(client)

    def _leave(self, client: Client) -> None:
        self._poll.unregister(client.connection)
        del self._clients[client.connection.fileno()]
        client.connection.close()
        if client.attends and not self.plan["unattended"]:
            self._ask(f"the controller (process {client.pid}) is gone")

    def _do(self, client: Client, what: str | None) -> None:
        if what == "heartbeat":
            client.attends = time.monotonic()
        elif what == "leave":
            client.attends = 0.0
            client.say({"left": True})
        elif what == "safe":
            client.waiting = True
            self._ask(f"asked for by process {client.pid}")
        elif what == "status":
            client.say({"watchdog": os.getpid(), "owner": self.owner, "silent_s": round(time.monotonic() - self._beat, 3), "told": self.told})
        else:
            client.say({"error": "this is no request; there are safe, status, heartbeat and leave"})

    def _ask(self, cause: str) -> None:
        """Ask the owner for the safe state; a request that is under way is enough."""
        if self._asked is None:
            self._number += 1
            self._asked = _Asked(self._number, cause, time.monotonic())
            self.to_owner({"ask": self._number, "cause": cause})

    def _act(self, cause: str) -> None:
        """Kill the owner and make the bench safe."""
        kill(self.owner)
        # What was released for service is in somebody else's hands.
        mine = {name: where for name, where in self.plan["addresses"].items() if name not in self.told.get("released", ())}
        reports = rescue(self.station, mine, dead=self.owner)
        if any(report.state == "FAILED" for report in reports):
            reports = rescue(self.station, mine, dead=self.owner)
        told = {"by": "watchdog", "cause": cause, "reports": [asdict(report) for report in reports], "time": time.time(), "owner": self.owner}
        self._answer(told)
        self._done = True
        self._write_down(told)
        failed = [report for report in reports if report.state == "FAILED"]
        sys.stderr.write(f"heliograph: {cause}; the watchdog made the bench safe\n" if not failed else f"heliograph: {cause}; NOT SAFE: {failed}\n")

    def _write_down(self, told: Mapping[str, Any]) -> None:
        """Leave word for the next owner."""
        record = Path(self.plan["record"])
        try:
            fresh = record.with_name(f"{record.name}.new")
            fresh.write_text(json.dumps(told))
            fresh.replace(record)
        except OSError as error:
            sys.stderr.write(f"heliograph: the record of the rescue cannot be written: {error}\n")

    def _answer(self, told: Mapping[str, Any]) -> None:
        for client in self._clients.values():
            if client.waiting:
                client.waiting = False
                client.say(told)


def kill(pid: int, *, patience_s: float = 1.0) -> None:
    """Kill a process and wait until it has ended, for a second at most."""
    if not hasattr(os, "pidfd_open"):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        return
    with contextlib.suppress(ProcessLookupError):
        process = os.pidfd_open(pid)
        try:
            signal.pidfd_send_signal(process, signal.SIGKILL)
            with selectors.DefaultSelector() as ended:
                ended.register(process, selectors.EVENT_READ)
                ended.select(patience_s)
        finally:
            os.close(process)


def main(drivers: Sequence[str]) -> None:
    """Import the drivers, read the plan, and watch."""
    for driver in drivers:
        catalogue.adapter_class(driver)
    _warm()
    plan = json.loads(_first_line() or b"{}")
    # An owner that could not open its bench says good-bye at once, or nothing at all.
    if "station" in plan:
        Watchdog.of(plan, _say).watch()


def _first_line() -> bytes:
    """Read a line from the descriptor and nothing behind it, which is read from there later."""
    line = b""
    while not line.endswith(b"\n"):
        piece = os.read(0, 1)
        if not piece:
            return b""
        line += piece
    return line


def _warm() -> None:
    """Load PyVISA's backend, which it otherwise does when the first port opens."""
    import pyvisa

    pyvisa.ResourceManager("@py")


def _say(told: dict[str, Any]) -> None:
    # An owner that is gone is noticed by its own pipe.
    with contextlib.suppress(OSError):
        os.write(1, json.dumps(told).encode() + b"\n")


if __name__ == "__main__":
    main(sys.argv[1:])
