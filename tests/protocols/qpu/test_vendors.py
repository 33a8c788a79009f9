"""What vendors' errors show: never a credential."""

import traceback

import pytest

from heliograph.core.errors import QpuError
from heliograph.protocols.qpu.vendors import vendor_errors

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
