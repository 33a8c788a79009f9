"""Credentials that are known, and what is said without them: a provider's answer, an error, a warning or a line of a log may quote what it was sent."""

from __future__ import annotations

import html
import json
import logging
import os
import re
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import quote

Secrets = Callable[[], Iterable[str]]
Hidden = tuple[str, ...]

_NAMES = ("QISKIT_IBM_TOKEN", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
_STARS = "***"
_FRESH_S = 1.0
"""Credentials that were looked for so shortly ago are not looked for again."""
# What a token is exchanged for is nowhere on this machine to be compared with, but it has a shape: RFC 7519.
_JWT = re.compile(r"\beyJ[\w-]{4,}\.[\w-]{4,}(?:\.[\w-]*)?")


def no_secrets() -> tuple[str, ...]:
    """Return no credentials beyond those of the environment."""
    return ()


def hidden_of(secrets: Secrets) -> Hidden:
    """Return every credential that is known, as it is and as addresses, JSON and pages write it, the longest first."""
    found = {os.environ.get(name) for name in _NAMES}
    # Credentials that cannot be told must not take the place of the error in which they are looked for.
    with suppress(Exception):
        found |= set(secrets())
    return tuple(sorted({form for one in found if one for form in _forms(one)}, key=len, reverse=True))


def _forms(secret: str) -> Iterator[str]:
    in_json = json.dumps(secret)[1:-1]
    yield from (secret, quote(secret), quote(secret, safe=""), in_json, in_json.replace("/", "\\/"), html.escape(secret))


def without(text: str, hidden: Hidden) -> str:
    """Return a text with stars in the place of credentials."""
    for secret in hidden:
        text = text.replace(secret, _STARS)
    return _JWT.sub(_STARS, text)


def without_in(value: Any, hidden: Hidden) -> Any:
    """Return a value of JSON's types with stars in the place of credentials, in names and values."""
    if isinstance(value, str):
        return without(value, hidden)
    if isinstance(value, dict):
        return {without_in(name, hidden): without_in(one, hidden) for name, one in value.items()}
    return [without_in(one, hidden) for one in value] if isinstance(value, list | tuple) else value


def hide_in(error: BaseException, hidden: Hidden) -> None:
    """Take credentials out of an error and of all that a traceback shows with it."""
    seen: dict[int, BaseException] = {}
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen[id(one)] = one
        waiting += [one.__cause__, one.__context__, *(inner for inner in one.args if isinstance(inner, BaseException))]
    for one in reversed(seen.values()):
        _clean(one, hidden)


def _clean(error: BaseException, hidden: Hidden) -> None:
    args = tuple(_cleaned(argument, hidden) for argument in error.args)
    if args != error.args:
        error.args = args
    if notes := getattr(error, "__notes__", None):
        notes[:] = [_cleaned(note, hidden) for note in notes]
    # Some print what is in their fields, and an OSError has fields that are not in its dictionary.
    for name in (*vars(error), "strerror", "filename", "filename2"):
        value = getattr(error, name, None)
        if isinstance(value, str | bytes) and _cleaned(value, hidden) != value:
            with suppress(Exception):
                setattr(error, name, _cleaned(value, hidden))


def _cleaned(value: Any, hidden: Hidden) -> Any:
    """Return a value; its text without the credentials where it shows one."""
    shown = str(value)
    clean = without(shown, hidden)
    return value if clean == shown and without(repr(value), hidden) == repr(value) else clean


class _Inside:
    """One block of `unsaid` that runs: the credentials that were known to it, at any time."""

    def __init__(self, secrets: Secrets) -> None:
        self._secrets, self._until, self.hidden = secrets, 0.0, hidden_of(no_secrets)

    def look(self) -> None:
        """Ask for the credentials, which may be others by now; not for every line, for it reads files."""
        if time.monotonic() >= self._until:
            self.hidden = _joined([self.hidden, hidden_of(self._secrets)])
            # Only now, for another thread must not go on with less.
            self._until = time.monotonic() + _FRESH_S


_inside: list[_Inside] = []
_changing = threading.Lock()
_looking = threading.local()


def _joined(known: Iterable[Hidden]) -> Hidden:
    return tuple(sorted(set[str]().union(*known), key=len, reverse=True))


def _known() -> Hidden:
    """Return the credentials of all blocks that run."""
    running = tuple(_inside)
    # Looking for credentials may itself write to the log.
    if not getattr(_looking, "on", False):
        _looking.on = True
        try:
            for one in running:
                one.look()
        finally:
            _looking.on = False
    return _joined(one.hidden for one in running)


class _Wrapped:
    """Stands in the place of a function of all threads while any block of `unsaid` runs; later it passes on what it is given."""

    def __init__(self, former: Callable[..., Any]) -> None:
        self.former = former


class _Warned(_Wrapped):
    def __call__(self, message: Warning | str, *rest: Any, **more: Any) -> None:
        clean = without(str(message), _known()) if _inside else str(message)
        self.former(message if clean == str(message) else Warning(clean), *rest, **more)


class _Recorded(_Wrapped):
    def __call__(self, *args: Any, **more: Any) -> logging.LogRecord:
        record: logging.LogRecord = self.former(*args, **more)
        if _inside:
            # What cannot be put together is for logging to complain of.
            with suppress(Exception):
                _clean_record(record, _known())
        return record


def _ours(found: object) -> bool:
    return isinstance(found, _Wrapped)


def _bare(found: Any) -> Any:
    while isinstance(found, _Wrapped):
        found = found.former
    return found


@contextmanager
def unsaid(secrets: Secrets) -> Iterator[None]:
    """Keep credentials out of the warnings and the lines of the log that are written while the block runs, whoever writes them.

    Blocks of several threads may overlap: what stands in the way of warnings and log goes with the last of them.
    """
    one = _Inside(secrets)
    with _changing:
        _inside.append(one)
        if not _ours(shown := warnings.showwarning):
            warnings.showwarning = _Warned(shown)
        if not _ours(made := logging.getLogRecordFactory()):
            logging.setLogRecordFactory(_Recorded(made))
    try:
        yield
    finally:
        with _changing:
            _inside.remove(one)
            if not _inside:
                # Where somebody else put his own over ours, it is his to take away.
                warnings.showwarning = _bare(warnings.showwarning)
                logging.setLogRecordFactory(_bare(logging.getLogRecordFactory()))


def _clean_record(record: logging.LogRecord, hidden: Hidden) -> None:
    text = record.getMessage()
    if (clean := without(text, hidden)) != text:
        record.msg, record.args = clean, None
    if record.exc_info and record.exc_info[1] is not None:
        hide_in(record.exc_info[1], hidden)
