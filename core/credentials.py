"""Credentials that are known, and what is said without them: a provider's answer, an error, a warning or a line of a log may quote what it was sent."""

from __future__ import annotations

import html
import json
import logging
import os
import re
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import quote

Secrets = Callable[[], Iterable[str]]
Hidden = tuple[str, ...]

_NAMES = ("QISKIT_IBM_TOKEN", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
_STARS = "***"
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


@contextmanager
def unsaid(secrets: Secrets) -> Iterator[None]:
    """Keep credentials out of the warnings and the lines of the log that are written while the block runs, whoever writes them."""
    shown, made = warnings.showwarning, logging.getLogRecordFactory()

    def warned(message: Warning | str, *rest: Any, **more: Any) -> None:
        clean = without(str(message), hidden_of(secrets))
        shown(message if clean == str(message) else Warning(clean), *rest, **more)

    def recorded(*args: Any, **more: Any) -> logging.LogRecord:
        record = made(*args, **more)
        # What cannot be put together is for logging to complain of.
        with suppress(Exception):
            _clean_record(record, hidden_of(secrets))
        return record

    warnings.showwarning = warned
    logging.setLogRecordFactory(recorded)
    try:
        yield
    finally:
        warnings.showwarning = shown
        logging.setLogRecordFactory(made)


def _clean_record(record: logging.LogRecord, hidden: Hidden) -> None:
    text = record.getMessage()
    if (clean := without(text, hidden)) != text:
        record.msg, record.args = clean, None
    if record.exc_info and record.exc_info[1] is not None:
        hide_in(record.exc_info[1], hidden)
