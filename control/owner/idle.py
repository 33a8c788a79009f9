"""A bench that nobody commands is looked at all the same: an interlock that opens, an attenuator that is lost."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from ...core.errors import HeliographError
from .publishing import Topics

LOOK_S = 1.0
"""How often a bench that is armed is looked at while no run does."""

log = logging.getLogger(__name__)


def watch(look: Callable[[], None], closing: threading.Event, topics: Topics) -> None:
    """Look once a second until the bench is closing, whatever goes wrong; what goes wrong unexpectedly is told once."""
    told = ""
    while not closing.wait(LOOK_S):
        try:
            look()
        except HeliographError:
            # What it trips on it has told already.
            continue
        except Exception as error:
            # Whatever it was, the bench is looked at again a second later.
            log.exception("the armed bench could not be looked at")
            if repr(error) != told:
                told = repr(error)
                topics.event("error", "bench", f"the bench could not be looked at: {told}")
