from __future__ import annotations

import logging
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.core.credentials import hidden_of, no_secrets, unsaid, without, without_in

TOKEN = 'tok+en/of="mine"'
HIDDEN = hidden_of(lambda: [TOKEN])


@pytest.mark.parametrize(
    "said",
    [TOKEN, "tok%2Ben/of%3D%22mine%22", "tok%2Ben%2Fof%3D%22mine%22", r"tok+en/of=\"mine\"", r"tok+en\/of=\"mine\"", "tok+en/of=&quot;mine&quot;"],
)
def test_a_credential_is_found_however_it_is_written(said):
    assert without(f"no key {said} here", HIDDEN) == "no key *** here"


def test_what_a_token_is_traded_for_is_known_by_its_shape():
    assert without("Bearer eyJhbGciOi.eyJzdWIiOiIx.c2lnbmF0dXJl-_x of eyJ", HIDDEN) == "Bearer *** of eyJ"


TOLD = st.recursive(st.none() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5), inner))


@given(TOLD)
def test_answers_without_a_credential_stay_as_they_are(told):
    assert without_in(told, HIDDEN) == told


def test_credentials_are_taken_out_of_names_and_values_of_answers():
    assert without_in({TOKEN: [1, {"a": f"x {TOKEN}"}], "b": None}, HIDDEN) == {"***": [1, {"a": "x ***"}], "b": None}


def test_the_environment_is_always_known(monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", TOKEN)

    assert without(TOKEN, hidden_of(no_secrets)) == "***"


def test_warnings_and_lines_of_the_log_do_not_tell(caplog):
    shown, made = warnings.showwarning, logging.getLogRecordFactory()
    with warnings.catch_warnings(record=True) as warned, unsaid(lambda: [TOKEN]):
        warnings.simplefilter("always")
        warnings.warn(f"bad {TOKEN}", stacklevel=1)
        warnings.warn("bad day", RuntimeWarning, stacklevel=1)
        try:
            raise ValueError(TOKEN)
        except ValueError:
            logging.getLogger("vendor").exception("with %s", TOKEN)
        logging.getLogger("vendor").warning("%d words", 2)

    assert [str(one.message) for one in warned] == ["bad ***", "bad day"]
    assert "with ***" in caplog.text
    assert "2 words" in caplog.text
    assert TOKEN not in caplog.text
    assert (warnings.showwarning, logging.getLogRecordFactory()) == (shown, made)
