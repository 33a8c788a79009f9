import gzip

import pytest


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HELIOGRAPH_DATA", str(tmp_path))
    return tmp_path


def test_data_sets_are_listed_with_licence_and_whether_they_are_here(heliograph, folder):
    ended = heliograph("data", "list", "--json")

    sets = {data["name"]: data for data in ended.json["data_sets"]}
    assert ended.code == 0
    assert sets["digits"]["embedded"] is True
    assert sets["mnist"]["present"] is False
    assert sets["mnist"]["licence"]
    assert ended.json["folder"] == str(folder)
    assert ended.json["security"] is None


def test_people_are_told_which_set_is_to_fetch(heliograph):
    said = heliograph("data", "list").out

    assert "built in" in said
    assert "to fetch" in said


def test_the_embedded_set_needs_no_fetching(heliograph):
    ended = heliograph("data", "fetch", "digits", "--json")

    assert ended.code == 0
    assert ended.json["files"] == []


def test_an_unknown_name_lists_those_there_are(heliograph):
    ended = heliograph("data", "fetch", "minst", "--json")

    assert ended.code == 3
    assert "mnist" in ended.json["error"]["remedy"]


def test_a_file_that_is_another_one_is_refused_and_left_alone(heliograph, folder):
    impostor = folder / "mnist" / "train-images-idx3-ubyte.gz"
    impostor.parent.mkdir()
    impostor.write_bytes(gzip.compress(b"not digits"))
    before = impostor.read_bytes()

    ended = heliograph("data", "fetch", "mnist", "--json")

    assert ended.code == 3
    assert ended.json["error"]["type"] == "DataChecksumError"
    assert ended.json["error"]["where"] == str(impostor)
    assert impostor.read_bytes() == before
