from __future__ import annotations

import logging
import warnings
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.core import credentials
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
            bad = ValueError(TOKEN)
            bad.add_note(f"said of {TOKEN}")
            raise bad
        except ValueError:
            logging.getLogger("vendor").exception("with %s", TOKEN)
        logging.getLogger("vendor").warning("%d words", 2)

    assert [str(one.message) for one in warned] == ["bad ***", "bad day"]
    assert "with ***" in caplog.text
    assert "said of ***" in caplog.text
    assert "2 words" in caplog.text
    assert TOKEN not in caplog.text
    assert (warnings.showwarning, logging.getLogRecordFactory()) == (shown, made)


def test_of_blocks_that_overlap_none_leaves_anything_behind(caplog):
    """Thread A goes in, B goes in, A goes out, B goes out."""
    shown, made = warnings.showwarning, logging.getLogRecordFactory()
    first, second = unsaid(lambda: ["first key"]), unsaid(lambda: ["second key"])
    first.__enter__()
    second.__enter__()
    logging.getLogger("vendor").warning("first key and second key")
    first.__exit__(None, None, None)
    logging.getLogger("vendor").warning("still second key")
    second.__exit__(None, None, None)

    assert [record.message for record in caplog.records] == ["*** and ***", "still ***"]
    assert (warnings.showwarning, logging.getLogRecordFactory()) == (shown, made)


def test_looking_for_credentials_may_write_to_the_log_itself(caplog):
    looked = []

    def telling():
        looked.append(1)
        logging.getLogger("vendor").debug("looking in the usual places")
        return [TOKEN]

    with caplog.at_level(logging.DEBUG, "vendor"), unsaid(telling):
        for _ in range(100):
            logging.getLogger("vendor").debug("sent %s", TOKEN)

    assert [record.message for record in caplog.records].count("sent ***") == 100
    assert TOKEN not in caplog.text
    assert len(looked) < 50


def test_a_credential_that_is_fetched_while_the_block_runs_is_hidden_and_the_former_one_too(caplog, monkeypatch):
    monkeypatch.setattr(credentials, "_FRESH_S", 0.0)
    known = ["former"]
    with unsaid(lambda: known):
        logging.getLogger("vendor").warning("former")
        known[0] = "fresh"
        logging.getLogger("vendor").warning("former, fresh")

    assert [record.message for record in caplog.records] == ["***", "***, ***"]


def test_what_somebody_put_over_it_meanwhile_stays(monkeypatch):
    monkeypatch.setattr(warnings, "showwarning", lambda *rest, **more: None)
    told = []
    with unsaid(lambda: [TOKEN]):
        ours = warnings.showwarning
        own: Any = lambda *rest, **more: (told.append(rest[0]), ours(*rest, **more))  # noqa: E731
        monkeypatch.setattr(warnings, "showwarning", own)
    assert warnings.showwarning is own
    with unsaid(lambda: [TOKEN]):
        warnings.showwarning(UserWarning(f"bad {TOKEN}"), UserWarning, "vendor.py", 1)
    assert warnings.showwarning is own
    assert [str(one) for one in told] == ["bad ***"]
