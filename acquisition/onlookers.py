"""Those who look on while a run file is written: live figures, never the run itself."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from ._run_schema import RunLayout
from .timetags import SlotTiming

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..instruments.roles import Counts, TagBatch

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Opening:
    """What is known of a run before its first datum.

    start: the document at its beginning.  layout: its streams.  station_text: the station file as the run keeps it.
    """

    run_id: str
    start: Mapping[str, Any]
    layout: RunLayout
    station_text: bytes

    @property
    def procedure(self) -> str:
        """Return the name of the procedure."""
        return str(self.start["procedure"])

    @property
    def timing(self) -> SlotTiming | None:
        """Return the slot timing under which tags are recorded, None for a run without tags. Raises ParameterError for one that cannot be."""
        kept = self.start.get("timing")
        return None if kept is None else SlotTiming(**kept)


class Onlooker(Protocol):
    """Hears everything a run writes, in order, in the thread that writes."""

    def tags(self, source: str, batch: TagBatch) -> None:
        """Hear of a batch of tags."""

    def counts(self, detector: str, counts: Counts) -> None:
        """Hear of the counts of one period."""

    def table(self, name: str, rows: Mapping[str, NDArray[Any]]) -> None:
        """Hear of new rows of a table, by column."""

    def announced(self, meta: Mapping[str, Any]) -> None:
        """Hear of what goes with a part of the announcement."""

    def closed(self, reason: str, summary: Mapping[str, Any], why: str) -> None:
        """Hear that nothing more comes.  why: what ended the run early, else empty."""


class Onlookers(list[Onlooker]):
    """The onlookers of one run. One that fails is sent away: a figure never ends a run."""

    def tell(self, what: str, *words: Any) -> None:
        """Tell every onlooker something, by the name of its method."""
        for one in tuple(self):
            try:
                getattr(one, what)(*words)
            except Exception:
                # Whatever is wrong with a figure, the run goes on.
                log.exception("an onlooker of the run failed and is told nothing more")
                self.remove(one)
