"""What vendors' libraries say, in our words: missing ones, their errors, and which of them mean that nothing happened.

Errors are told by the names of their classes, so that nothing of a vendor is imported here. Everything that could be a credential is taken out of texts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from ...core.credentials import Hidden, Secrets, hidden_of, hide_in, no_secrets, unsaid, without
from ...core.errors import HeliographError, QpuAuthError, QpuCancelled, QpuConfigError, QpuError, QpuJobFailed, QpuQueueTimeout, QpuRateLimited, QpuUnavailable

_ACCOUNT = re.compile(r"(?<!\d)\d{12}(?!\d)")

AUTH = frozenset({"AccountNotFoundError", "IBMNotAuthorizedError", "NoCredentialsError", "PartialCredentialsError", "AccessDeniedException",
                  "UnrecognizedClientException", "ExpiredTokenException", "InvalidSignatureException", "CredentialRetrievalError"})  # fmt: skip
CONFIG = frozenset({"NoRegionError", "ValidationException", "IBMInputValueError", "TranspilerError", "ImportError", "RuntimeJobNotFound",
                    "ResourceNotFoundException", "QiskitBackendNotFoundError", "ParamValidationError", "AerError"})  # fmt: skip
LIMITED = frozenset({"ThrottlingException", "ServiceQuotaExceededException"})
DOWN = frozenset({"InternalServiceException", "EndpointConnectionError", "ConnectionError", "ConnectTimeoutError", "ReadTimeoutError", "ConnectionClosedError",
                  "HTTPClientError", "Timeout", "TimeoutError", "DeviceOfflineException", "DeviceRetiredException"})  # fmt: skip
FAILED = frozenset({"RuntimeJobFailureError", "RuntimeJobMaxTimeoutError"})
_OFF = frozenset({"DeviceOfflineException", "DeviceRetiredException"})


def vendor(module: str, package: str) -> Any:
    """Import a module of a vendor's library. Raises QpuConfigError naming the package to install."""
    try:
        return import_module(module)
    except ImportError as error:
        raise QpuConfigError(f"{module} cannot be imported ({error})", where=package, remedy=f"Install it: pip install {package}") from error


@contextmanager
def vendor_errors(where: str, *, uuid: str = "", secrets: Secrets = no_secrets) -> Iterator[None]:
    """Turn whatever a vendor's library raises inside the block into an error of ours with the vendor's as its cause.

    Neither it, nor a warning or a line of the log that is written meanwhile, shows a credential.
    """
    try:
        with unsaid(secrets):
            yield
    except HeliographError as error:
        # It may quote what was answered.
        hide_in(error, hidden_of(secrets))
        raise
    # Vendors raise what they like; nothing of it may leave this package under its own name.
    except Exception as error:
        hidden = hidden_of(secrets)
        hide_in(error, hidden)
        raise in_our_words(error, where, uuid, hidden) from error


def in_our_words(error: BaseException, where: str, uuid: str = "", hidden: Hidden = ()) -> QpuError:
    """Return the error of ours for one of a vendor's. hidden: what must not stand in it."""
    text, remedy = masked(without(f"{vendor_name(error)}: {error}", hidden)), "Read the provider's message."
    names, status = names_of(error), status_of(error)
    if "InvalidAccountError" in names:
        return QpuAuthError(f"the account was refused, or no network ({text})", where=where, remedy="Check the network first, then the saved account or token.")
    if names & AUTH or status in {401, 403}:
        return QpuAuthError(text, where=where, remedy="Give credentials to the vendor's own chain (environment or its account file), never to Heliograph.")
    if names & LIMITED or status == 429:
        return QpuRateLimited(text, where=where, remedy="Wait, or ask the provider for a higher quota.")
    if "RuntimeJobTimeoutError" in names:
        return QpuQueueTimeout(uuid, 0.0)
    if names & FAILED:
        return QpuJobFailed(uuid, text)
    if "RuntimeInvalidStateError" in names:
        return QpuCancelled(uuid)
    if names & CONFIG:
        return QpuConfigError(text, where=where, remedy=remedy)
    if names & DOWN or _server_side(error):
        return QpuUnavailable(text, where=where, remedy="Try again later; see the provider's status page.")
    return QpuError(text, where=where, remedy=remedy)


def transient(error: BaseException | None) -> bool:
    """Return whether a vendor's error may go away by itself: throttling, a server's own failure, a lost connection."""
    return error is not None and ("ThrottlingException" in names_of(error) or status_of(error) == 429 or unclear(error))


def unclear(error: BaseException | None) -> bool:
    """Return whether the provider may have done what was asked although this came back: no answer, or a failure on its side."""
    if error is None:
        return False
    names = names_of(error)
    return not names & _OFF and (bool(names & DOWN) or _server_side(error))


def conflict(error: BaseException | None) -> bool:
    """Return whether the job was in a state that does not allow the request."""
    return error is not None and bool(names_of(error) & {"ConflictException", "RuntimeInvalidStateError"})


def _server_side(error: BaseException) -> bool:
    status = status_of(error)
    if status is not None:
        return status >= 500
    return bool(names_of(error) & {"IBMApiError", "RequestsApiError", "IBMBackendApiError", "ApiIBMProtocolError"})


def names_of(error: BaseException) -> frozenset[str]:
    """Return the names an error goes by: its classes, the code inside a botocore answer, and the same of what it hides."""
    found: set[str] = set()
    for one in _chain(error):
        found |= {kind.__name__ for kind in type(one).__mro__} - {"Exception", "BaseException", "object"}
        found |= {str(_answer(one).get("Error", {}).get("Code", ""))}
    return frozenset(found)


def vendor_name(error: BaseException) -> str:
    """Return the name of an error as its vendor calls it."""
    return str(_answer(error).get("Error", {}).get("Code", "")) or type(error).__name__


def status_of(error: BaseException) -> int | None:
    """Return the HTTP status behind an error, None where there was no answer."""
    for one in _chain(error):
        status = _answer(one).get("ResponseMetadata", {}).get("HTTPStatusCode") or getattr(one, "status_code", None)
        if isinstance(status, int) and status > 0:
            return status
    return None


def _answer(error: BaseException) -> dict[str, Any]:
    answer = getattr(error, "response", None)
    return answer if isinstance(answer, dict) else {}


def _chain(error: BaseException) -> Iterator[BaseException]:
    one: BaseException | None = error
    for _ in range(8):
        if one is None:
            return
        yield one
        # IBM's client drops the status by raising `from None`; the context still has it. Other contexts may be failures from long before.
        one = one.__cause__ or (one.__context__ if one.__suppress_context__ else None)


def masked(text: str) -> str:
    """Return a text without AWS account numbers: groups of exactly twelve digits become stars."""
    return _ACCOUNT.sub("*" * 12, text)
