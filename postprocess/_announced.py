"""What a site announced, read by parts as often as it is needed: an announcement of minutes is never held whole.

Whoever reads twice must read the same twice: the site writes the file, and what was sifted has to be what is compared with the other party.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

from ..acquisition.announcements import decode_chunks
from ..acquisition.events import Events
from ..acquisition.pattern_stream import PatternStream
from ..acquisition.patterns import Pattern
from ..acquisition.sifting import BitPlane, EventBits, Role, Viewer
from ..core.errors import AnnouncementError
from .verification import PolynomialTag

Parts = bytes | Iterable[bytes]
"""An announcement: whole, or something that gives its parts each time it is iterated; parts end where a number ends."""


class Announced:
    """One party's reading of an announcement. `view` comes first, then `tag`."""

    def __init__(self, parts: Parts) -> None:
        self._parts: Iterable[bytes] = (parts,) if isinstance(parts, bytes) else parts
        self._seen = b""

    def view(self, first_slot: int, n_slots: int, pattern: Pattern | PatternStream, offset: int, role: Role) -> EventBits:
        """Return the party's own bases and bits at the announced events of the block [first_slot, first_slot + n_slots).

        pattern, offset, role: as for `sifting.view`.  Raises AnnouncementError if the announcement is malformed or leaves the block.
        """
        digest = hashlib.sha256()
        viewer, basis, bit = Viewer(pattern, offset, role), BitPlane(), BitPlane()
        for events in self._events(first_slot, n_slots, digest):
            part = viewer.feed(events)
            basis.append(part.basis, part.n)
            bit.append(part.bit, part.n)
        self._seen = digest.digest()
        return EventBits(basis.packed(), bit.packed(), len(basis))

    def tag(self, key: int) -> str:
        """Return a universal hash (hex) of what was viewed, under a key of 64 bits drawn afterwards; "empty" where nothing was announced.

        Raises AnnouncementError if the announcement reads differently now.
        """
        digest, tag, empty = hashlib.sha256(), PolynomialTag(key), True
        for part in self._parts:
            digest.update(part)
            tag.update(part)
            empty = empty and not part
        if digest.digest() != self._seen:
            raise AnnouncementError("the announcement was changed while it was read", remedy="Acquire another run.")
        return "empty" if empty else f"{tag.value():016x}"

    def _events(self, first_slot: int, n_slots: int, digest: hashlib._Hash) -> Iterator[Events]:
        last, end, begun = first_slot, first_slot + n_slots, False
        for part in self._parts:
            digest.update(part)
            for events in decode_chunks(part, last, end - last):
                if begun and events.slot[0] == last:
                    raise AnnouncementError("a slot is announced twice", remedy="The block is aborted.")
                yield events
                last, begun = int(events.slot[-1]), True
