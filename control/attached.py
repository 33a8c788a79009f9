"""A bench that another process owns, as a script sees it: the same names, the same errors, the same permits.

Reading works for everybody. The first call that changes something asks for control and keeps it until the bench is left; where somebody else has it, it raises
InstrumentLocked, which names the process.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from ..core.errors import BenchError, HeliographError, UnknownInstrument
from ..instruments.guard import safe
from ..instruments.role_adapter import not_settable
from ..instruments.roles import SafeReport, Scalar, WireCount
from ..instruments.station import Station
from .bench import Bench, Progress, shown
from .link import VERSION, Link, WatchdogLine
from .members import Members, members

if TYPE_CHECKING:
    from pymeasure.experiment import Procedure

    from ..acquisition.runs import Run

_WAIT_S = 0.25


class RemoteInstrument:
    """One instrument of another process: the members of its role, and nothing else."""

    def __init__(self, bench: AttachedBench, name: str, role: str) -> None:
        object.__setattr__(self, "_bench", bench)
        object.__setattr__(self, "_name", name)
        object.__setattr__(self, "_role", role)

    @property
    def role(self) -> str:
        """Return the role, such as `Laser`."""
        return str(self._role)

    @property
    def _members(self) -> Members:
        return members(self._role)

    def __dir__(self) -> list[str]:
        known = self._members
        return sorted({*known.readable, *known.methods, *known.streams})

    def __getattr__(self, member: str) -> Any:
        known = self._members
        if member in known.readable:
            return self._bench.link.ask("get", self._of(member), timeout_s=None)
        if member in known.methods:
            return partial(self._call, member)
        if member in known.streams:
            return partial(self._stream, member)
        raise AttributeError(f"{self._name}, which another process has open, has no {member!r} there")

    def __setattr__(self, member: str, value: Any) -> None:
        if member not in self._members.settable:
            raise not_settable(self._name, member, self._members.settable)
        self._bench.take_control()
        self._bench.link.ask("set", self._of(member) | {"value": value}, timeout_s=None)

    def _of(self, member: str) -> dict[str, Any]:
        return {"name": self._name, "member": member}

    def _call(self, member: str, *args: Any, **kwargs: Any) -> Any:
        if self._members.needs_control(member):
            self._bench.take_control()
        return self._bench.link.ask("call", self._of(member) | {"args": args, "kwargs": kwargs}, timeout_s=None)

    def _stream(self, member: str, *args: Any, **kwargs: Any) -> Generator[Any, None, None]:
        self._bench.take_control()
        stream = self._bench.link.ask("open", self._of(member) | {"args": args, "kwargs": kwargs}, timeout_s=None)
        return self._pieces(stream)

    def _pieces(self, stream: int) -> Generator[Any, None, None]:
        link = self._bench.link
        try:
            while piece := link.ask("next", {"stream": stream}, timeout_s=None):
                yield piece[0]
        finally:
            if not link.over:
                link.ask("close", {"stream": stream}, timeout_s=None)


class RemoteInstruments(Mapping[str, Any]):
    """The instruments of another process by name."""

    def __init__(self, bench: AttachedBench, station: Station, roles: Mapping[str, str]) -> None:
        self.station, self._bench = station, bench
        self._found = {name: RemoteInstrument(bench, name, role) for name, role in roles.items()}

    def __getitem__(self, name: str) -> RemoteInstrument:
        if name not in self._found:
            raise UnknownInstrument.of(name, self._found, where=str(self.station.path))
        return self._found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def snapshot(self) -> dict[str, dict[str, Scalar]]:
        """Read identity and settings of every instrument."""
        return dict(self._bench.link.ask("snapshot", timeout_s=None))

    def wire_counts(self) -> dict[str, WireCount]:
        """Return the bytes exchanged with every instrument since its owner opened it."""
        return dict(self._bench.link.ask("wire"))

    def arm(self) -> None:
        """Switch on bias and light in the safe order."""
        self._bench.arm()

    def make_safe(self) -> list[SafeReport]:
        """Bring everything into its safe state, and say for each how it went."""
        return list(self._bench.link.ask("safe", timeout_s=None))


class AttachedBench(Bench):
    """A bench of another process; a context manager, on whose way out a controller leaves it safe."""

    instruments: Any

    def __init__(self, station: Station, link: Link, folder: Path | None, greeting: Mapping[str, Any]) -> None:
        self.link, self.owner_pid = link, int(greeting["pid"])
        self._line: WatchdogLine | None = None
        self._controls = False
        instruments: Any = RemoteInstruments(self, station, greeting["roles"])
        super().__init__(station, instruments, folder if folder is not None else greeting["folder"])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            if error is not None and not isinstance(error, Exception):
                safe.note(error, self._safe_at_once())
            if self._controls and not self.link.over:
                self.link.ask("release", timeout_s=None)
        finally:
            if self._line is not None:
                self._line.close()
            self.link.close()

    def _safe_at_once(self) -> list[SafeReport]:
        """Have the bench made safe after Ctrl-C, by a connection of its own: requests of one wait for each other, and arming may be under way.

        Returns how it went; nothing without control, or where the owner does not say.
        """
        if not self._controls or self.link.over:
            return []
        with suppress(HeliographError):
            other = Link.to_owner(self.station.path)
            if other is not None:
                try:
                    other.ask("hello", {"version": VERSION})
                    return list(other.ask("safe"))
                finally:
                    other.close()
        return []

    def __repr__(self) -> str:
        return f"<AttachedBench {self.station.info.name}, {len(self)} instruments of process {self.owner_pid}>"

    def refuse_faults(self, faults: Sequence[object]) -> None:
        """Raise BenchError if there are any: they belong to a bench that is started here."""
        if faults:
            raise BenchError("a bench without these faults is open already", where=str(self.station.path), remedy="End its owner first.")

    def take_control(self) -> None:
        """Ask for control, and from then on tell the watchdog that somebody attends. Raises InstrumentLocked where another process has it."""
        if not self._controls:
            self.link.ask("control")
            self._controls = True
            self._attend()

    def _attend(self) -> None:
        """Send heartbeats to the watchdog that watches now, which may be another one than before."""
        if self._line is not None:
            self._line.close()
        self._line = WatchdogLine.of(self.station.path)
        if self._line is not None:
            self._line.attend()

    def arm(self) -> None:
        """Switch on bias and light in the safe order; the light is at its weakest then. Raises as in the owner's process."""
        self.take_control()
        self.link.ask("watch", timeout_s=None)
        self._attend()
        self.link.ask("arm", timeout_s=None)

    def reset(self) -> None:
        """Leave the tripped state, on your word that its cause is known. Raises Tripped if something is not confirmed safe."""
        self.take_control()
        self.link.ask("reset", timeout_s=None)

    def run(self, procedure: Procedure, *, progress: Progress | None = None, operator: str = "", purpose: str = "", seed: int | None = None) -> Run:
        """Have the owner run a procedure and return its run file, open for reading; what it found is `procedure.result`.

        Ctrl-C ends the run, which then says `aborted`.  Raises what the procedure raised there, RunAborted if somebody else ended it, ParameterError for a
        procedure of PyMeasure's that no installed package offers.
        """
        from ..acquisition.procedures.bridged import check_elsewhere, wrapped
        from ..acquisition.runs import Run

        ours = wrapped(procedure)
        check_elsewhere(ours)
        self.take_control()
        body = {
            "procedure": type(ours).__name__,
            "parameters": ours.parameter_values(),
            "carried": ours.carried(),
            "folder": self.folder.resolve(),
            "operator": operator,
            "purpose": purpose,
            "seed": seed,
        }
        job = self.link.ask("submit", body, timeout_s=None)
        with shown(type(ours).__name__, progress) as told:
            ended = self._followed(job, told)
        if ended["error"] is not None:
            raise ended["error"]
        ours.result = ended["result"]
        return Run.open(ended["path"])

    def _followed(self, job: int, told: Callable[[str, Any], None]) -> dict[str, Any]:
        said = 0
        try:
            while True:
                ended: dict[str, Any] = self.link.ask("follow", {"job": job, "since": said, "wait_s": _WAIT_S}, timeout_s=None)
                said = ended["said"]
                for topic, value in ended["emitted"]:
                    told(topic, value)
                if ended["over"]:
                    return ended
        except BaseException:
            if not self.link.over:
                self._end(job)
            raise

    def _end(self, job: int) -> None:
        """End a run and wait until its file is closed."""
        self.link.ask("abort", {"job": job})
        while not self.link.ask("follow", {"job": job, "since": 0, "wait_s": _WAIT_S}, timeout_s=None)["over"]:
            continue


def attach(station: Station, folder: Path | None = None) -> AttachedBench | None:
    """Return the bench of a station as another process owns it, None if nobody does. Raises BenchError if it was opened from another version of the file."""
    link = Link.to_owner(station.path)
    if link is None:
        return None
    try:
        greeting = link.ask("hello", {"version": VERSION})
        if greeting["sha256"] != station.sha256:
            raise BenchError("its owner opened it before the station file was changed", where=str(station.path), remedy="End the owner and start it again.")
    except BaseException:
        link.close()
        raise
    return AttachedBench(station, link, folder, greeting)
