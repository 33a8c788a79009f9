from __future__ import annotations

import json

import pytest

from heliograph.core.answers import answer
from heliograph.core.errors import AlreadyDistilled, BenchError, HeliographError, StorageError, kind_named

TOLD = {"type": "StorageError", "message": "the disk is full", "where": "/data", "remedy": "Make room."}


def test_a_result_is_the_object_on_the_last_line():
    assert answer('a line of a library\n{"bits": 7}\n', where="x", remedy="") == {"bits": 7}
    assert answer(b'{"bits": 7, "error": null}', where="x", remedy="")["bits"] == 7


def test_an_error_is_what_it_was_whatever_the_code():
    for code in (0, 3):
        with pytest.raises(StorageError, match="the disk is full") as caught:
            answer(json.dumps({"error": TOLD}), where="x", remedy="", code=code)
        assert caught.value.as_dict() == TOLD


def test_an_error_of_no_known_class_or_place_is_one_all_the_same():
    with pytest.raises(HeliographError) as caught:
        answer(json.dumps({"error": {"type": "OfTheFuture", "message": "new"}}), where="here", remedy="")
    assert (type(caught.value), caught.value.where) == (HeliographError, "here")


@pytest.mark.parametrize("said", [b"", b"\xff\xfe", b"[]", b"null", b"nonsense", b'{"error": 7}', b"{", b"[" * 100_000])
def test_what_is_no_answer_is_told_with_the_last_complaint(said):
    with pytest.raises(BenchError) as caught:
        answer(said, where="Learn", remedy="Look.", complaints=b"Traceback\nKilled \xff\n", who="its process")
    assert caught.value.message == "its process ended without a result that can be read: Killed \ufffd"
    assert (caught.value.where, caught.value.remedy) == ("Learn", "Look.")


def test_a_wrong_code_is_told_beside_a_result():
    with pytest.raises(BenchError, match="ended with code -9: gone"):
        answer(b'{"bits": 7}', where="x", remedy="", complaints="gone", code=-9)


def test_classes_are_found_by_their_names():
    assert kind_named("AlreadyDistilled") is AlreadyDistilled
    assert kind_named("HeliographError") is kind_named("ValueError") is kind_named("") is HeliographError
