"""What vendors' errors show: never a credential."""

import traceback
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from botocore.credentials import Credentials as Fixed
from botocore.credentials import RefreshableCredentials
from botocore.exceptions import CredentialRetrievalError

from heliograph.core.errors import QpuAuthError, QpuError
from heliograph.protocols.qpu.braket import _secrets_of
from heliograph.protocols.qpu.vendors import names_of, status_of, unclear, vendor_errors

TOKEN = "tok+en/of=mine"


class MaxRetryError(Exception):
    """As urllib3's: the address is in the text."""


class Detailed(Exception):
    """As Qiskit's: the text is in a field."""

    def __init__(self, message):
        super().__init__()
        self.message = message

    def __str__(self):
        return repr(self.message)


@pytest.mark.parametrize(
    "error",
    [
        ConnectionError(MaxRetryError(f"https://ibm/jobs?token={TOKEN}")),
        ConnectionError(MaxRetryError("https://ibm/jobs?token=tok%2Ben%2Fof%3Dmine")),
        ConnectionError({"headers": {"Authorization": f"Bearer {TOKEN}"}}),
        ConnectionError(f"Bearer {TOKEN}".encode()),
        ConnectionError((1, [TOKEN])),
        OSError(5, f"no {TOKEN}", f"/{TOKEN}"),
        Detailed(f"no {TOKEN}"),
    ],
)
def test_no_argument_of_an_error_shows_a_token(error):
    with pytest.raises(QpuError) as caught, vendor_errors("ibm:x", secrets=lambda: [TOKEN]):
        raise error

    shown = "".join(traceback.format_exception(caught.value)) + repr(error) + repr(error.args)
    assert "***" in shown
    assert TOKEN not in shown
    assert "tok%2Ben" not in shown


def test_what_came_before_an_error_shows_no_token_either(monkeypatch):
    monkeypatch.setenv("QISKIT_IBM_TOKEN", TOKEN)

    def ask():
        try:
            raise MaxRetryError(f"https://ibm/jobs?token={TOKEN}")
        except MaxRetryError:
            # As requests does it: the context shows in the traceback.
            raise ConnectionError("no answer")  # noqa: B904

    with pytest.raises(QpuError) as caught, vendor_errors("ibm:x"):
        ask()

    assert TOKEN not in "".join(traceback.format_exception(caught.value))


def test_arguments_that_show_nothing_stay_as_they_are():
    error = ConnectionError(104, {"a": 1})

    with pytest.raises(QpuError), vendor_errors("ibm:x", secrets=lambda: [TOKEN]):
        raise error

    assert error.args == (104, {"a": 1})


def test_causes_that_go_round_in_a_circle_are_read_once_round_and_no_further():
    first, second = ConnectionError("one"), TimeoutError("two")
    first.__cause__, second.__cause__ = second, first

    assert {"ConnectionError", "TimeoutError"} <= names_of(first)
    assert status_of(first) is None
    assert unclear(first)


def of_a_role():
    """Credentials that expired; nobody gives new ones."""

    def refused():
        raise CredentialRetrievalError(provider="role", error_msg=f"no more for {TOKEN}")

    return RefreshableCredentials("AKIAROLE", TOKEN, "session-of-role", datetime.now(UTC) - timedelta(hours=1), refused, "assume-role")


def test_keys_of_a_role_that_expired_are_hidden_and_not_renewed_for_it():
    boto = SimpleNamespace(_session=SimpleNamespace(_credentials=of_a_role()))
    session = SimpleNamespace(boto_session=boto)

    assert set(_secrets_of(session)()) == {"AKIAROLE", TOKEN, "session-of-role"}
    with pytest.raises(QpuAuthError) as caught, vendor_errors("braket:x", secrets=_secrets_of(session)):
        boto._session._credentials.get_frozen_credentials()

    assert TOKEN not in "".join(traceback.format_exception(caught.value))


def test_keys_that_were_not_looked_for_yet_are_none():
    def session(credentials):
        return SimpleNamespace(boto_session=SimpleNamespace(_session=SimpleNamespace(_credentials=credentials)))

    assert _secrets_of(session(None))() == ()
    assert _secrets_of(session(Fixed("AKIAFIXED", TOKEN)))() == ("AKIAFIXED", TOKEN)


def test_secrets_that_cannot_be_told_do_not_take_the_place_of_the_error():
    def secrets():
        raise RuntimeError("no")

    with pytest.raises(QpuError, match="first"), vendor_errors("braket:x", secrets=secrets):
        raise ValueError("first")


def test_an_error_of_ours_that_quotes_an_answer_does_not_tell_either():
    with pytest.raises(QpuError) as caught, vendor_errors("ibm:x", secrets=lambda: [TOKEN]):
        raise QpuError(f"an unknown state {TOKEN}", where=TOKEN)

    assert str(caught.value) == "***: an unknown state ***"
