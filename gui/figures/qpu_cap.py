"""A cap of what quantum jobs may cost, changed on purpose: typed with its unit, with a reason, by a button that is held."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from math import isclose

from PySide6.QtWidgets import QLineEdit, QVBoxLayout, QWidget

from ...control.topics import QpuJobs, QpuLimit
from ...core.errors import HeliographError, LimitError, ParameterError
from .. import words
from ..badges import Badge, plain
from ..desk import Desk
from ..flow import Flow
from ..guarded import guarded
from ..hold import HoldButton
from ..offering import offer
from ..quantity import parse
from .costs import quantity
from .start import operator

_ANSWER_S = 70.0
"""How long the ledger may take: another process may just be booking a job."""
_READ_BACK_S = 2.0
"""How long after the answer the change may take to be told; then it is asked for."""
_MOST_READ_BACK = 5
"""How often it is asked for; then what was told last stands."""
_ABOUT = "Hold for one second, by mouse or with Space: the new cap holds from the next job on, and the ledger says who changed it."
_WHOLE = ("shots", "jobs")
_TYPED = re.compile(r"\s*(\S*?\d)\s*([A-Za-z$]*)\s*")
_SAME = {"$": "usd", "seconds": "s", "shot": "shots", "job": "jobs"}


def parsed(text: str, limits: Sequence[QpuLimit]) -> tuple[QpuLimit, float]:
    """Return which cap is meant and its new value, of a text such as "20 USD". Raises ParameterError, LimitError for less than is spent."""
    found, units = _TYPED.fullmatch(text), [one.unit for one in limits]
    example = f"Type it as in 20 {units[0]}." if units else ""
    if found is None:
        raise ParameterError(f"{text.strip()!r} is no cap" if text.strip() else "no cap is typed", remedy=example)
    unit = _SAME.get(found[2].lower(), found[2].lower())
    limit = next((one for one in limits if one.unit.lower() == unit), None)
    if limit is None:
        raise ParameterError(f"{found[2]!r} is not one of {', '.join(units)}" if unit else f"unit missing: {', '.join(units)}", remedy=example)
    value = parse(found[1], "")
    if limit.name in _WHOLE and value != int(value):
        raise ParameterError(f"{words.exact(value)} {limit.unit} is no whole number")
    # A sum of prices may be off by its last bit.
    if value < limit.spent * (1 - 1e-12):
        raise LimitError(f"{_least(limit)} are spent or reserved already")
    if value == (limit.cap or 0.0):
        raise ParameterError(f"the cap is {quantity(value, limit.unit)} already")
    return limit, value


def _least(limit: QpuLimit) -> str:
    """Return what is spent, in as many digits as it takes: what is shown can be typed as the new cap."""
    in_cents = not limit.unit.isupper() or isclose(round(limit.spent, 2), limit.spent, rel_tol=1e-12)
    return quantity(limit.spent, limit.unit) if in_cents else f"{words.exact(limit.spent)} {limit.unit}"


class CapChange(QWidget):
    """What is spent of the caps, and the act that changes one. What is shown as accepted is what the project's ledger and settings say."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.desk = desk
        self._now: QpuJobs | None = None
        self._sent: tuple[str, float] | None = None
        self._answered: float | None = None
        self._reread = 0
        self.edit, self.why = QLineEdit(), QLineEdit()
        self.change = HoldButton("Change &it (hold)", "Change the cap")
        self.state, self.told = Badge("Cap", "idle"), plain(wrap=True)
        self._lay_out()
        self.edit.textEdited.connect(lambda _text: self._typed())
        self.why.textEdited.connect(lambda _text: self._typed())
        self.why.textEdited.connect(lambda _text: self._judge())
        self.edit.editingFinished.connect(self._judge)
        self.change.held.connect(self.ask)
        desk.ticked.connect(self._read_back)
        desk.control_changed.connect(self.enable)
        self.enable()

    def _lay_out(self) -> None:
        self.edit.setAccessibleName("New cap")
        self.edit.setPlaceholderText("such as 20 USD or 600 s")
        self.why.setAccessibleName("Reason of the change")
        self.why.setPlaceholderText("why, in a few words: it is kept in the ledger")
        self.why.setMaxLength(500)
        bar = QWidget()
        flow = Flow(bar)
        for widget in (plain("Ne&w cap", buddy=self.edit), self.edit, plain("&Reason", buddy=self.why), self.why, self.change, self.state):
            widget.setMinimumHeight(24)
            flow.addWidget(widget)
        self.state.hide()
        self.told.hide()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(bar)
        layout.addWidget(self.told)
        self.retheme()

    def retheme(self) -> None:
        """Keep room for what is to be typed, at another text size."""
        for field in (self.edit, self.why):
            field.setMinimumWidth(field.fontMetrics().horizontalAdvance(field.placeholderText()) + 24)

    # What is known

    @guarded
    def show_jobs(self, now: QpuJobs) -> None:
        """Take what the owner says of the caps."""
        if self._now is not None and self._now.project != now.project:
            # What comes of a change there, the journal says.
            self._sent = None
            self._say("", "")
        self._now = now
        if self._sent is not None and (accepted := self._cap(self._sent[0])) is not None and accepted.cap == self._sent[1]:
            self._sent = None
            self._say("good", f"{quantity(accepted.cap, accepted.unit)} accepted")
            self.edit.clear()
            self.why.clear()
        elif self._reread:
            self._overtaken()
        self.enable()

    def _overtaken(self) -> None:
        """Say that a change was written down, but is not what is told now that it was asked for: somebody else changed it since."""
        if self._sent is None:
            return
        limit, self._sent = self._cap(self._sent[0]), None
        now = "unknown" if limit is None else quantity(limit.cap or 0.0, limit.unit)
        self._say("", "", f"the change was written down, but the cap is {now} by now. heliograph qpu cap tells who changed it.")

    def _cap(self, name: str) -> QpuLimit | None:
        return next((one for one in self._now.limits if one.name == name), None) if self._now is not None else None

    def _typed(self) -> None:
        if self._sent is None:
            self._say("", "")
        self.enable()

    def _say(self, word: str, detail: str, complaint: str = "") -> None:
        self.state.setVisible(bool(word))
        if word:
            self.state.set_state(word, detail)
        self.told.setText(complaint)
        self.told.setAccessibleName(f"Cap: {complaint}" if complaint else "")
        self.told.setVisible(bool(complaint))

    def _judge(self) -> None:
        """Say what is wrong with what was typed; it stays there."""
        try:
            if self.edit.text().strip() and self._sent is None and self._now is not None:
                parsed(self.edit.text(), self._now.limits)
        except (ParameterError, LimitError) as error:
            self._say("", "", f"{error.message}. {error.remedy}".strip())

    def _why_not(self) -> str:
        if not self.desk.controls:
            return self.desk.view_only_why
        if self._now is None or not self._now.limits:
            return "no project is known; heliograph qpu jobs --tell STATION tells of one"
        if self._sent is not None:
            return "the change is being written down"
        try:
            parsed(self.edit.text(), self._now.limits)
        except (ParameterError, LimitError) as error:
            return f"{error.message}. {error.remedy}".strip().removesuffix(".")
        return "" if self.why.text().strip() else "no reason is typed"

    def enable(self) -> None:
        """Offer the change, or say why it cannot be asked for."""
        offer(self.change, self._why_not(), _ABOUT)

    # The act

    def ask(self) -> None:
        """Ask the owner to change the cap."""
        if self._now is None or self._why_not():
            return
        limit, value = parsed(self.edit.text(), self._now.limits)
        self._sent, self._answered, self._reread = (limit.name, value), None, 0
        self._say("pending", f"{quantity(value, limit.unit)} wanted, {quantity(limit.cap or 0.0, limit.unit)} accepted")
        self.enable()
        told = {"project": self._now.project, "limit": limit.name, "most": value, "was": limit.cap or 0.0, "why": self.why.text().strip()}
        self.desk.ask("qpu_cap", {**told, "operator": operator(self.desk)}, then=self._done, failed=self._refused, timeout_s=_ANSWER_S)

    def _done(self, _change: object) -> None:
        self._answered = time.monotonic()

    def _read_back(self) -> None:
        """Ask what the cap is, where it was changed and nobody has told of it."""
        if self._sent is not None and self._answered is not None and time.monotonic() - self._answered > _READ_BACK_S:
            if self._reread == _MOST_READ_BACK:
                self._overtaken()
                self.enable()
                return
            self._answered, self._reread = time.monotonic(), self._reread + 1
            self.desk.ask("reread", failed=lambda _: None)

    def _refused(self, error: HeliographError) -> None:
        self._sent = None
        self._say("", "", str(error))
        self.enable()
