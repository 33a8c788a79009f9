from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from heliograph.acquisition.runs import RunLayout, RunWriter
from heliograph.core.statement import Provenance, SecurityStatement
from heliograph.instruments.roles import Counts
from heliograph.instruments.station import Station, default_text
from heliograph.postprocess.keystore import KeyBlock, link, open_party


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A folder with one finished run of count rates, and one that was killed."""
    station = Station.parse(default_text(), Path("demo.toml"))
    for folder in (tmp_path / "runs", tmp_path / "killed"):
        run = RunWriter.create(folder, "CountRates", {"pair": "A-B"}, station, {}, layout=RunLayout(counts={"snspd": 2}), operator="Ada")
        for k in range(10):
            run.counts("snspd", Counts(k, np.array([100, 200]), 0.1))
        run.flush()
        if folder.name == "runs":
            run.close("done", {"d1_hz": 1000.0})
        else:
            # A copy, for this process writes the run still.
            shutil.copy(run.path, tmp_path / "runs" / run.path.name)
    return tmp_path / "runs"


def said(heliograph: Any, *words: str, code: int = 0) -> Any:
    ended = heliograph("runs", *words, "--json")
    assert ended.code == code
    return ended.json


def finished(runs: Path, heliograph: Any) -> str:
    (one,) = [one for one in said(heliograph, "list", "--out", str(runs))["runs"] if one["state"] == "done"]
    return str(one["run"])


def test_runs_are_listed_and_filtered(runs, heliograph):
    found = said(heliograph, "list", "--out", str(runs))

    assert sorted(one["state"] for one in found["runs"]) == ["done", "unfinished"]
    assert found["simulated"]
    assert said(heliograph, "list", "--out", str(runs), "--procedure", "Phase")["runs"] == []
    assert len(said(heliograph, "list", "--out", str(runs), "--text", "ada")["runs"]) == 2
    assert said(heliograph, "list", "--out", str(runs), "--day", "soon", code=3)["error"]["type"] == "ParameterError"
    assert said(heliograph, "list", "--out", str(runs / "no"), code=3)["error"]["where"].endswith("no")


def test_a_run_is_shown_exported_and_replayed(runs, heliograph, tmp_path):
    name = finished(runs, heliograph)

    shown = said(heliograph, "show", name, "--out", str(runs))
    assert shown["summary"]["numbers"] == {"d1_hz": 1000.0}
    assert shown["last"]["counts"]["rates_hz"] == [1000.0, 2000.0]
    (png,) = said(heliograph, "export", name, "--kind", "png", "--to", str(tmp_path), "--out", str(runs))["files"]
    assert Path(png).exists()
    assert said(heliograph, "export", name, "--to", str(tmp_path / "no" / "x.csv"), "--out", str(runs), code=3)["error"]["type"] == "ConfigError"
    replayed = said(heliograph, "replay", name, "--speed", "100", "--from", "0.55", "--out", str(runs))
    assert replayed["last"]["counts"]["rates_hz"] == [1000.0, 2000.0]
    assert replayed["duration_s"] == pytest.approx(1.0)
    assert said(heliograph, "show", "nothing", "--out", str(runs), code=3)["error"]["type"] == "RunFileError"


def test_people_read_tables_and_the_rates_of_a_replay(runs, heliograph):
    name = finished(runs, heliograph)

    listed, shown, replayed = (heliograph("runs", *words, "--out", runs) for words in (["list"], ["show", name], ["replay", name, "--speed", "100"]))

    assert "unfinished" in listed.out
    assert "snspd/counts" in shown.out
    assert "D1 1,000/s, D2 2,000/s" in replayed.out


@pytest.mark.parametrize(
    "words",
    [
        ("export", "last", "--to", "RUN"),
        ("export", "last", "--to", "s.toml"),
        ("export", "last", "--to", "a.png"),
        ("export", "last", "--kind", "png", "--to", "a.jpg"),
        ("export", "last", "--to", "no/"),
        ("export", "last", "--to", "store/a.csv"),
        ("report", "--to", "RUN"),
        ("report", "--to", "s.toml"),
        ("report", "--to", "store/a.md"),
    ],
)
def test_nothing_is_written_over_runs_stations_and_stores_nor_under_a_strange_name(runs, heliograph, tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "store").mkdir()
    (tmp_path / "s.toml").write_text("mine")
    one = next(runs.glob("*.h5"))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    said(heliograph, *(str(one) if word == "RUN" else word for word in words), "--force", "--out", str(runs), code=3)

    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("begin", ["-1", "1.1", "nan"])
def test_a_replay_begins_within_the_run(runs, heliograph, begin):
    assert said(heliograph, "replay", finished(runs, heliograph), "--from", begin, "--out", str(runs), code=3)["error"]["where"] == "--from"


def test_files_of_pymeasure_become_runs_that_every_command_knows(heliograph, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "old_sweeps.py").write_text(
        "from pymeasure.experiment import FloatParameter, Procedure\nclass Sweep(Procedure):\n    delay = FloatParameter('Delay Time', units='s')\n"
    )
    file, out = tmp_path / "DATA_1.csv", ("--out", str(tmp_path / "new" / "runs"))
    file.write_text("#Procedure: <no_such_module.Sweep>\n#Parameters:\n#\tDelay Time: 0.2 s\n#Data:\nt (s),V (V)\n0,1.5\n1,2.5\n2,")

    made = said(heliograph, "import", str(file), "--procedure", "old_sweeps:Sweep", *out)
    again = heliograph("runs", "import", file, *out)

    (one,) = made["imported"]
    assert (one["rows"], one["new"], one["procedure"]) == (2, True, "Sweep (CSV)")
    assert (again.code, again.out) == (0, f"{file} is there already: {one['run']}\n")
    shown = said(heliograph, "show", "last", *out)
    assert shown["parameters"] == {"Delay Time (s)": "0.2"}
    assert shown["provenance"].startswith("imported: it comes from DATA_1.csv, SHA-256 ")
    assert "imported" in heliograph("runs", "list", *out).out
    (csv,) = said(heliograph, "export", "last", "--to", str(tmp_path), *out)["files"]
    assert Path(csv).read_text().endswith("t (s),V (V)\n0.0,1.5\n1.0,2.5\n")
    assert "no times to replay" in said(heliograph, "replay", "last", *out, code=3)["error"]["message"]
    (listed,) = said(heliograph, "list", *out)["runs"]
    assert {one["origin"] for one in (made, listed, said(heliograph, "show", "last", *out))} == {"imported"}


def test_a_file_that_is_none_of_pymeasure_keeps_no_other_from_being_imported(runs, heliograph, tmp_path):
    good, bad, other = (tmp_path / f"{name}.csv" for name in "abc")
    good.write_text("#Procedure: <a.B>\n#Parameters:\n#Data:\nv\n1\n")
    other.write_text("#Procedure: <a.B>\n#Parameters:\n#Data:\nv\n2\n")
    bad.write_text("v;w\n1;2\n")
    before = len(list(runs.iterdir()))

    gone = tmp_path / "gone.csv"
    answer = said(heliograph, "import", str(good), str(bad), str(gone), str(other), "--out", str(runs), code=3)

    assert (answer["error"]["type"], answer["error"]["where"]) == ("DataError", f"{bad}, line 1")
    assert [one["file"] for one in answer["failed"]] == [str(bad), str(gone)]
    assert [one["file"] for one in answer["imported"]] == [str(good), str(other)]
    assert len(list(runs.iterdir())) == before + 2
    ended = heliograph("runs", "import", bad, gone, good, "--out", runs)
    assert ended.code == 3
    assert f"{bad}, line 1: this is no file of PyMeasure" in ended.err
    assert "2 of 3 files were not imported" in ended.err
    for words in (("--out", ""), ("--procedure", "")):
        assert said(heliograph, "import", str(good), *words, code=2)["error"]["type"] == "UsageError"
    assert said(heliograph, "import", str(good), "--out", str(bad), code=3)["error"]["message"] == "this is a file, no folder"
    assert said(heliograph, "import", str(good), "--procedure", "no_such:X", "--out", str(runs), code=3)["error"]["type"] == "ConfigError"


def test_what_cannot_be_read_is_listed_as_of_no_known_origin(runs, heliograph):
    os.mkfifo(runs / "pipe.h5")
    (runs / "gone.h5").symlink_to("/nowhere/at/all")

    listed = {one["run"]: (one["state"], one["origin"], one["why"]) for one in said(heliograph, "list", "--out", str(runs))["runs"]}

    assert listed["pipe"] == ("damaged", "unknown", "this is no ordinary file (a pipe)")
    assert listed["gone"] == ("damaged", "unknown", "this is no ordinary file (a link to nothing)")
    for words in (("show", "pipe"), ("export", "pipe", "--to", "."), ("replay", "gone"), ("salvage", str(runs / "pipe.h5"))):
        assert "no ordinary file" in said(heliograph, *words, "--out", str(runs), code=3)["error"]["message"]


def test_a_killed_run_is_salvaged_once(runs, heliograph):
    (killed,) = [one["run"] for one in said(heliograph, "list", "--out", str(runs))["runs"] if one["state"] == "unfinished"]

    made = said(heliograph, "salvage", killed, "--out", str(runs))["salvaged"]

    assert said(heliograph, "show", made, "--out", str(runs))["summary"]["state"] == "crash"
    assert said(heliograph, "salvage", finished(runs, heliograph), "--out", str(runs), code=3)["error"]["type"] == "RunFileError"


def test_a_day_is_summed_up_on_paper(runs, heliograph, tmp_path):
    text = said(heliograph, "report", "--out", str(runs), "--to", str(tmp_path / "today.md"))["text"]

    assert text.count("| CountRates |") == 2
    assert (tmp_path / "today.md").read_text() == text
    assert said(heliograph, "report", "--out", str(runs), "--day", "2001-01-01")["text"].startswith("# 2001-01-01")


def test_a_report_replaces_a_file_only_if_it_may_and_only_by_a_whole_one(runs, heliograph, tmp_path, full_disk):
    path = tmp_path / "today.md"
    path.write_text("mine")
    words = ("report", "--out", str(runs), "--to", str(path))

    assert said(heliograph, *words, code=3)["error"]["type"] == "FilesThere"
    with full_disk(50):
        assert said(heliograph, *words, "--force", code=3)["error"]["where"] == str(path)
    assert path.read_text() == "mine"
    assert said(heliograph, *words, "--force")["file"] == str(path)
    assert said(heliograph, "report", "--out", str(runs), "--day", "2001-01-01", "--to", str(tmp_path))["file"] == str(tmp_path / "2001-01-01.md")


@pytest.mark.parametrize("store", ["no", "runs", "s.toml"])
def test_a_store_that_was_named_and_is_none_is_told(runs, heliograph, tmp_path, store):
    (tmp_path / "s.toml").write_text("")

    assert said(heliograph, "report", "--out", str(runs), "--store", str(tmp_path / store), code=3)["error"]["message"] == "there are no key stores"


def test_a_report_says_whether_it_tells_of_simulated_data(runs, heliograph, tmp_path):
    """A day of simulated runs, a day without runs, and a store of simulated key: real data alone are called real."""
    assert said(heliograph, "report", "--out", str(runs))["simulated"] is True
    assert said(heliograph, "report", "--out", str(runs), "--day", "2001-01-01")["simulated"] is False

    station = Station.parse(default_text(), Path("lab.toml"))
    with RunWriter.create(tmp_path / "real", "CountRates", {}, station, {}, layout=RunLayout(counts={"snspd": 2}), simulated=False):
        pass
    assert said(heliograph, "report", "--out", str(tmp_path / "real"))["simulated"] is False

    store = tmp_path / "store"
    statement = SecurityStatement((), (), 3e-10, 0, Provenance(True, ("simulated light",)))
    with open_party(store, "A") as a, open_party(store, "B") as b, link(a, b) as made:
        made.ingest(*(KeyBlock("A-B", 0, np.arange(500, dtype=np.uint8), 4000, statement, statement.provenance) for _ in range(2)))
    assert said(heliograph, "report", "--out", str(tmp_path / "real"))["simulated"] is True
