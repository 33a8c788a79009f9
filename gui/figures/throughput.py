"""What the recorder has taken: tags, their rate, gaps and what was missed in them."""

from __future__ import annotations

from ...control.topics import CountRates
from .. import words
from ..badges import Badge, Value, plain
from ..guarded import guarded
from .facts import Lines

_RUN = "Run"
_LINES = (_RUN, "Time in the run", "Tags recorded", "Tag rate", "Gaps", "Tags missed")


class Throughput(Lines):
    """The state of the recording in words."""

    def __init__(self) -> None:
        super().__init__("Recording")
        self.source = Badge("Data", "unknown")
        self._values = {name: Value(name) for name in _LINES}
        self.add_line("Data", self.source)
        for name, value in self._values.items():
            if name == _RUN:
                self.add_wide(plain(name))
                self.add_wide(value)
            else:
                self.add_line(name, value)

    def values(self) -> tuple[Value, ...]:
        """Return the labels that grey when they are old."""
        return tuple(self._values.values())

    @guarded
    def show_rates(self, now: CountRates) -> None:
        """Show what was recorded so far."""
        told = (now.run, words.duration(now.t_s), words.count(now.tags), words.scaled(now.tags_hz, "Hz"), words.count(now.gaps), words.count(now.missed))
        for value, text in zip(self._values.values(), told, strict=True):
            value.show_text(text)

    def forget(self) -> None:
        """Take the numbers away."""
        for value in self._values.values():
            value.show_text(words.UNKNOWN)

    @guarded
    def show_over(self) -> None:
        """Say that the run is over, whose figures these are: the owner may say them anew long afterwards."""
        self.source.set_state("done", "of the last run")

    @guarded
    def show_age(self, word: str, age_s: float | None) -> None:
        """Say whether the data are live, a replay or stale, and how old."""
        self.source.set_state(word, "" if age_s is None or word == "replay" else words.duration(age_s))
