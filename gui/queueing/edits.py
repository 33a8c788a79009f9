"""Edits of the queue, each of which can be undone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from PySide6.QtGui import QUndoCommand

from ...control.topics import QueueRow
from ...core.errors import HeliographError
from .. import words
from ..desk import Desk
from . import rows

Act = Callable[[], None]


class Edits:
    """Asks the owner for edits, and keeps on the desk's stack how to undo those that it made.

    What is taken out and put in again gets another number; `job` leads from the old one to it. What was done on a bench that is gone cannot be undone.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._renamed: dict[int, int] = {}
        self.bench = 0
        desk.connected.connect(self._another)

    def _another(self, here: bool) -> None:
        if not here:
            self.bench += 1
            self._renamed.clear()

    def job(self, number: int) -> int:
        """Return the number by which a job goes now."""
        while number in self._renamed:
            number = self._renamed[number]
        return number

    # What the operator does

    def add(self, body: Mapping[str, Any], then: Callable[[int], None] | None = None, failed: Callable[[HeliographError], None] | None = None) -> None:
        """Put something at the end of the queue."""

        def queued(job: int) -> None:
            self._done(f"adding {body['procedure']}", lambda: self._take_out(job), lambda: self._put_in(job, body, None))
            if then is not None:
                then(job)

        self._desk.ask("enqueue", dict(body), then=queued, failed=failed)

    def remove(self, row: QueueRow) -> None:
        """Take something that waits out of the queue."""
        job, place, body = row.job, rows.place_of(self._desk.latest("queue"), row.job), rows.body_of(row)

        def taken(_row: QueueRow) -> None:
            self._done(f"removing {words.spoken(row.procedure)}", lambda: self._put_in(job, body, place), lambda: self._take_out(job))

        self._desk.ask("remove", {"job": job}, then=taken)

    def move(self, job: int, to: int) -> None:
        """Put something that waits at another place among those that wait."""
        before = rows.place_of(self._desk.latest("queue"), job)
        if before is None or before == to:
            return

        def moved(_reply: None) -> None:
            self._done("moving in the queue", lambda: self._move(job, before), lambda: self._move(job, to))

        self._desk.ask("move", {"job": job, "to": to}, then=moved)

    def edit(self, row: QueueRow, after: Mapping[str, str], then: Act, failed: Callable[[HeliographError], None]) -> None:
        """Give something that waits other parameters."""
        job, before = row.job, dict(row.parameters)

        def edited(_reply: None) -> None:
            self._done(f"editing {words.spoken(row.procedure)}", lambda: self._edit(job, before), lambda: self._edit(job, after))
            then()

        self._desk.ask("edit", {"job": job, "parameters": dict(after)}, then=edited, failed=failed)

    def duplicate(self, row: QueueRow) -> None:
        """Put something at the end of the queue once more."""
        body = rows.body_of(row)

        def queued(job: int) -> None:
            self._done(f"repeating {words.spoken(row.procedure)}", lambda: self._take_out(job), lambda: self._put_in(job, body, None))

        self._desk.ask("duplicate", {"job": row.job}, then=queued)

    # What undoing does

    def _done(self, text: str, undo: Act, redo: Act) -> None:
        self._desk.undo.push(_Edit(self, text, undo, redo))

    def _take_out(self, job: int) -> None:
        self._desk.ask("remove", {"job": self.job(job)})

    def _put_in(self, job: int, body: Mapping[str, Any], place: int | None) -> None:
        old = self.job(job)

        def queued(made: int) -> None:
            self._renamed[old] = made
            if place is not None:
                self._desk.ask("move", {"job": made, "to": place})

        self._desk.ask("enqueue", dict(body), then=queued)

    def _move(self, job: int, to: int) -> None:
        self._desk.ask("move", {"job": self.job(job), "to": to})

    def _edit(self, job: int, texts: Mapping[str, str]) -> None:
        self._desk.ask("edit", {"job": self.job(job), "parameters": dict(texts)})

    def too_late(self) -> None:
        """Say that an edit belongs to a queue that is no more."""
        self._desk.notice("That edit belongs to a bench that is gone: nothing was changed.")


class _Edit(QUndoCommand):
    """One edit that was made."""

    def __init__(self, edits: Edits, text: str, undo: Act, redo: Act) -> None:
        super().__init__(text)
        self._edits, self._bench, self._undo, self._redo = edits, edits.bench, undo, redo
        self._made = True

    def undo(self) -> None:
        """Ask for what was before."""
        self._act(self._undo)

    def redo(self) -> None:
        """Ask for it again; the first time it is made already."""
        if self._made:
            self._made = False
        else:
            self._act(self._redo)

    def _act(self, act: Act) -> None:
        if self._edits.bench == self._bench:
            act()
        else:
            self.setObsolete(True)
            self._edits.too_late()
