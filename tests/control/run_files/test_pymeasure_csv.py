from __future__ import annotations

import importlib
import json
import os
import resource
import shutil
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymeasure.experiment import FloatParameter, IntegerParameter, Metadata, Parameter, Procedure, Results, VectorParameter
from pymeasure.experiment.parameters import PhysicalParameter

from heliograph.acquisition.runs import Run
from heliograph.control.run_files.catalogue import details, summaries
from heliograph.control.run_files.day_report import report
from heliograph.control.run_files.export import export
from heliograph.control.run_files.pymeasure_csv import PyMeasureCsv
from heliograph.control.run_files.pymeasure_import import ImportedRun, import_csv, procedure_class
from heliograph.control.run_files.replay import Replay
from heliograph.core.errors import ConfigError, DataError, ParameterError, StorageError

HEAD = "#Procedure: <my_sweeps.Sweep>\n#Parameters:\n#\tDelay Time: 0.2 s\n#\tLoop Iterations: 10\n#Data:\n"
COLUMNS = "Bias (µA),Counts\n"


class Sweep(Procedure):  # type: ignore[misc]
    """A procedure as users of PyMeasure write them, which would connect instruments when it is made."""

    iterations = IntegerParameter("Loop Iterations", default=10)
    delay = FloatParameter("Delay Time", units="s", default=0.2)
    field = VectorParameter("Field", length=2, units="mT", default=[1.0, 2.5])
    power = PhysicalParameter("Power", units="W", default=[1.0, 0.1])
    sample = Parameter("Sample µ", default="A: 5 µW, C:\\new\nsecond")
    began = Metadata("Start time", default="2019-05-07 14:30:05.250000+00:00")
    DATA_COLUMNS: ClassVar[list[str]] = ["Bias (µA)", "Counts", "Note / 2 (V)"]
    made: ClassVar[int] = 0

    def __init__(self, **kwargs: Any) -> None:
        Sweep.made += 1
        super().__init__(**kwargs)


def written(path: Path, rows: list[Mapping[str, float]]) -> Path:
    """Return a file written by PyMeasure itself."""
    procedure = Sweep()
    procedure.evaluate_metadata()
    results = Results(procedure, str(path))
    results.store_metadata()
    with path.open("a", encoding="utf-8") as file:
        file.writelines(results.format(row) + "\n" for row in rows)
    return path


def made(tmp_path: Path, text: str | bytes, name: str = "sweep.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def imported(tmp_path: Path, text: str, kind: type[Procedure] | None = None) -> ImportedRun:
    return import_csv(made(tmp_path, text), tmp_path / "runs", kind)


def read(path: Path) -> np.ndarray:
    with PyMeasureCsv(path) as source:
        return np.concatenate([np.empty((0, len(source.head.columns))), *source.rows()])


@settings(max_examples=25)
@given(rows=st.lists(st.tuples(*[st.floats()] * 3), max_size=5))
def test_what_pymeasure_wrote_is_read_to_the_last_bit(rows, tmp_path_factory):
    path = written(tmp_path_factory.mktemp("lab") / "a.csv", [dict(zip(Sweep.DATA_COLUMNS, row, strict=True)) for row in rows])

    np.testing.assert_array_equal(read(path), np.array(rows, float).reshape(-1, 3))


def test_a_file_becomes_a_run_that_says_where_it_comes_from(tmp_path):
    path = written(tmp_path / "DATA_1.csv", [{"Bias (µA)": k, "Counts": k * k} for k in range(4)])

    found = import_csv(path, tmp_path / "runs")

    with Run.open(found.run) as run:
        assert (run.procedure, run.origin, run.simulated, run.complete) == ("Sweep (CSV)", "imported", True, True)
        assert run.units == {"Sweep/Bias": "µA", "Sweep/Counts": "", "Sweep/Note _ 2": "V"}
        assert run["Sweep/Counts"].tolist() == [0, 1, 4, 9]
        assert np.isnan(run["Sweep/Note _ 2"]).all()
        assert run.parameters == {
            "Delay Time": "0.2 s",
            "Loop Iterations": "10",
            "Field": "[1.0,2.5] mT",
            "Power": "1 +/- 0.1 W (absolute)",
            "Sample µ": "A: 5 µW, C:\\new\\nsecond",
        }
        assert run.summary["metadata"] == {"Start time": "2019-05-07 14:30:05.250000+00:00"}
        assert run.start["time"] == "2019-05-07T14:30:05.250000+00:00"
        assert run.start["imported"] == {
            "file": "DATA_1.csv",
            "sha256": found.sha256,
            "procedure": f"{__name__}.Sweep",
            "begun_from": "told by 'Start time' in the file",
        }
        assert "(imported)" in run.plot().get_suptitle() + "".join(axes.get_title("left") + axes.get_title() for axes in run.plot().axes)
        assert "imported" in repr(run)
    assert (found.rows, found.new, found.notes) == (4, True, ())


def test_a_class_that_a_person_names_makes_numbers_of_parameters_and_is_not_called(tmp_path):
    path = written(tmp_path / "a.csv", [])
    before = Sweep.made

    found = import_csv(path, tmp_path / "runs", Sweep)

    with Run.open(found.run) as run:
        assert run.parameters == {
            "Delay Time (s)": 0.2,
            "Loop Iterations": 10,
            "Field (mT)": [1.0, 2.5],
            "Power": "1 +/- 0.1 W (absolute)",
            "Sample µ": "A: 5 µW, C:\\new\\nsecond",
        }
        assert run.start["imported"]["read_as"] == f"{__name__}:Sweep"
        assert ("warning", "import", found.notes[0]) in [event[1:] for event in run.events]
    assert found.notes == ("the procedure that was named does not read 'Power': kept as text",)
    assert Sweep.made == before


def test_numbers_that_json_has_not_stay_text(tmp_path):
    found = imported(tmp_path, "#Procedure: <a.B>\n#Parameters:\n#\tField: [nan,1.0] mT\n#\tDelay Time: inf s\n#Data:\nv\n", Sweep)

    with Run.open(found.run) as run:
        assert run.parameters == {"Field": "[nan,1.0] mT", "Delay Time": "inf s"}


def test_a_module_that_a_file_names_is_never_imported(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "evil_sweeps.py").write_text("import pathlib\npathlib.Path(__file__).with_name('done').touch()\nSweep = __import__('os').system\n")
    path = made(tmp_path, HEAD.replace("my_sweeps", "evil_sweeps") + COLUMNS + "1,2\n")

    for kind in (None, Sweep):
        import_csv(path, tmp_path / f"runs {kind}", kind)
    for strange in ("__import__('os').system('touch done')", "evil_sweeps", "os.system", "../x", "evil_sweeps.Sweep\x1b[2J"):
        import_csv(made(tmp_path, HEAD.replace("my_sweeps.Sweep", strange) + COLUMNS, "b.csv"), tmp_path / "runs")

    assert "evil_sweeps" not in sys.modules
    assert not (tmp_path / "done").exists()
    # It is a trap indeed: PyMeasure's own reader does import it.
    importlib.invalidate_caches()
    with pytest.raises(TypeError):
        Results.load(str(path))
    assert (tmp_path / "done").exists()


@pytest.mark.parametrize(
    ("text", "what", "where"),
    [
        ("", "the file is empty", ""),
        ("a,b\n1,2\n", "no file of PyMeasure", "line 1"),
        ("#Procedure: Sweep\na,b\n1,2\n", "no file of PyMeasure", "line 1"),
        (b"\x89HDF\r\n\x1a\n\xff\xfe", "no text in UTF-8", "line 1"),
        (HEAD, "the file ends before the names of the columns", "line 5"),
        (HEAD + "\n1,2\n", "there are no columns", "line 6"),
        (HEAD + "Bias (V),Cou", "the file ends within the names of the columns", "line 6"),
        (HEAD + "Bias (V);Counts\n1;2\n", "the columns are not written as PyMeasure does", "line 6"),
        (HEAD + "Bias (V)\tCounts\n", "the columns are not written as PyMeasure does", "line 6"),
        (HEAD + '"Bias (V)","Counts"\n', "the columns are not written as PyMeasure does", "line 6"),
        (HEAD + "1.0,2.0\n3.0,4.0\n", "there are numbers in place of the names", "line 6"),
        (HEAD + "a,a\n", "two columns have one name", "line 6"),
        (HEAD + "a,\n", "two columns have one name, or one has none", "line 6"),
        (HEAD + "a/b,a_b\n", "'a/b', 'a_b' cannot be told apart: in a run file, where `/` becomes `_`, they have the same name 'a_b'", "line 6"),
        (HEAD + "a/b (V),.. (V),. (A)\n", "'.. (V)', '. (A)': nothing, or dots alone, is no name", "line 6"),
        (HEAD.encode("utf-16"), "no text in UTF-8", "line 1"),
        (HEAD + ",".join(f"c{k}" for k in range(1001)) + "\n", "there are 1,001 columns", "line 6"),
        (HEAD + COLUMNS + "1,2\n3,on\n", "'on' in the column 'Counts' is no number", "line 8"),
        (HEAD + COLUMNS + "1,2\n3\n4,5\n", "the row has 1 values, there are 2 columns", "line 8"),
        (HEAD + COLUMNS + "1,2,3\n", "the row has 3 values, there are 2 columns", "line 7"),
        (HEAD + COLUMNS + "1,1_000\n", "'1_000' in the column 'Counts' is no number", "line 7"),
        (HEAD + COLUMNS + "1,\0\n", "is no number", "line 7"),
        (HEAD + COLUMNS.replace("µ", "\udcb5"), "no text in UTF-8", "line 6"),
        (HEAD + COLUMNS + "1" * (1 << 20), "the line is longer than 1 MiB", "line 7"),
        ("#Procedure: <a.B>\n" + "#\tx: 1\n" * 1001, "the head has more than 1,000 lines", "line 1001"),
        ("#Procedure: <a.B>\n" + f"#\tx: {'1' * 4000}\n" * 17, "the head, with the names of the columns, is longer than 64 KiB", "line 18"),
        (HEAD + "a" * (1 << 16) + "\n", "the head, with the names of the columns, is longer than 64 KiB", "line 6"),
        (f"#Procedure: <a.B>\n#\tx: {'1' * 4097}\n", "the entry has more than 4,096 characters", "line 2"),
    ],
)
def test_a_file_that_is_none_gives_one_error_with_its_line_and_leaves_nothing(tmp_path, text, what, where):
    path = made(tmp_path, text.encode(errors="surrogateescape") if isinstance(text, str) else text)

    with pytest.raises(DataError) as caught:
        import_csv(path, tmp_path / "runs")

    assert what in caught.value.message
    assert caught.value.where == (f"{path}, {where}" if where else str(path))
    assert caught.value.remedy
    assert not (tmp_path / "runs").exists() or list((tmp_path / "runs").iterdir()) == []


def test_what_is_no_ordinary_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")

    for path in (tmp_path, tmp_path / "pipe", tmp_path / "nothing.csv"):
        with pytest.raises(DataError) as caught:
            import_csv(path, tmp_path / "runs")
        assert caught.value.where == str(path)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a file that opens and cannot be read")
def test_a_file_that_cannot_be_read_is_at_fault_not_the_folder(tmp_path):
    unreadable = Path("/proc/self/mem")
    path = made(tmp_path, HEAD + COLUMNS + "1,2\n" * 50_000)

    for begin in (lambda: import_csv(unreadable, tmp_path / "runs"), lambda: PyMeasureCsv(unreadable)):
        with pytest.raises(DataError, match="/proc/self/mem: the file cannot be read"):
            begin()
    with PyMeasureCsv(path) as source, unreadable.open("rb", buffering=0) as broken:
        os.dup2(broken.fileno(), source._file.fileno())
        with pytest.raises(DataError, match=r"sweep\.csv: the file cannot be read"):
            list(source.rows())


def test_few_long_lines_are_read_in_pieces_too(tmp_path):
    path = made(tmp_path, HEAD + COLUMNS + f"1,2{' ' * 1_000_000}\n" * 34)

    with PyMeasureCsv(path) as source:
        assert [len(piece) for piece in source.rows()] == [17, 17]


def test_the_longest_head_fits_into_the_room_that_a_run_file_keeps_for_its_end(tmp_path):
    head = "#Procedure: <a.B>\n#Metadata:\n" + "".join(f"#\t{k}: {chr(27) * 800}\n" for k in range(80))

    found = imported(tmp_path, head + "v\n1\n")

    with Run.open(found.run) as run:
        assert 300_000 < len(json.dumps(run.summary)) < 400_000


def test_what_does_things_to_a_terminal_is_escaped(tmp_path):
    bell = "\x1b]0;owned\x07\u202e\x9b"
    path = made(tmp_path, f"#Procedure: <a.B{bell}>\n#Parameters:\n#\tp{bell}: v{bell}\u00a0V\n#Data:\nx{bell}\u00a0(V),y\n1,2\n", f"{bell}.csv")

    found = import_csv(path, tmp_path / "runs")

    plain = r"\x1b]0;owned\x07\u202e\x9b"
    with Run.open(found.run) as run:
        assert run.parameters == {f"p{plain}": f"v{plain} V"}
        assert list(run.layout.tables["PyMeasure"].items()) == [(f"x{plain}", "V"), ("y", "")]
        assert run.start["foreign"] == f"a.B{plain}, as the file says"
    (csv,) = export(Path(found.run), "csv", tmp_path)
    assert all(line.isprintable() for line in csv.read_text().splitlines())


def test_a_row_whose_writer_was_killed_is_left_out_and_named(tmp_path):
    found = imported(tmp_path, HEAD + COLUMNS + "1,2\n# sample was turned\n\n3,4\n5,6.2")

    assert found.rows == 2
    assert found.notes == (
        "the last line has no end and is left out: its last number may lack digits",
        "1 comments between the rows are left out",
    )
    with Run.open(found.run) as run:
        assert run["Sweep/Counts"].tolist() == [2, 4]
        assert [event[1:] for event in run.events] == [
            ("info", "import", "when it began: the file was last changed then; it tells no time itself"),
            *(("warning", "import", note) for note in found.notes),
        ]


def test_what_is_not_a_number_but_known_becomes_one(tmp_path):
    path = made(tmp_path, "\ufeff" + (HEAD + COLUMNS + "nan,None\n,True\n-inf, 1e400\n 1.5,False\n").replace("\n", "\r\n"))

    np.testing.assert_array_equal(read(path), [[np.nan, np.nan], [np.nan, 1.0], [-np.inf, np.inf], [1.5, 0.0]])


@settings(max_examples=60)
@given(lines=st.lists(st.text("0123456789.,-+eEnaifx_ #\tTrueNo\"'", max_size=12), max_size=4))
def test_rows_are_read_alike_fast_and_one_by_one_or_refused(lines, tmp_path_factory):
    path = made(tmp_path_factory.mktemp("lab"), HEAD + COLUMNS + "".join(f"{line}\n" for line in lines))

    try:
        with PyMeasureCsv(path) as source:
            (found, *_) = [*source.rows(), np.empty((0, 2))]
    except DataError:
        return
    with PyMeasureCsv(path) as source:
        rows = {k: line for k, line in enumerate(lines) if line.strip() and not line.startswith("#")}
        np.testing.assert_array_equal(found, source._one_by_one(rows))


def test_a_wrong_cell_is_named_by_its_line_behind_many_rows(tmp_path):
    rows = "".join(f"{k},{k}\n" for k in range(60_000))

    assert read(made(tmp_path, HEAD + COLUMNS + rows)).shape == (60_000, 2)
    with pytest.raises(DataError, match=r"line 60007: 'off'"):
        imported(tmp_path, HEAD + COLUMNS + rows + "1,off\n")
    assert list((tmp_path / "runs").iterdir()) == []


def test_a_file_is_imported_once_whatever_its_time_and_name(tmp_path):
    first = imported(tmp_path, HEAD + COLUMNS + "1,2\n")
    copy = made(tmp_path, HEAD + COLUMNS + "1,2\n", "copy.csv")
    os.utime(copy, (1.5e9, 1.5e9))

    again = import_csv(copy, tmp_path / "runs")

    assert (again.new, again.run, again.rows) == (False, first.run, None)
    assert again.begun == pytest.approx(first.begun)
    assert len(list((tmp_path / "runs").iterdir())) == 1


@pytest.mark.parametrize(
    ("entry", "begun", "told"),
    [
        ("Start time: 2019-05-07T14:30:05+02:00", 1557232205.0, "Start time"),
        ("Timestamp: 1557232205.5", 1557232205.5, "Timestamp"),
        ("Start time: 5 s", 1.5e9, ""),
        ("Start time: 10:11:12", 1.5e9, ""),
        ("Begun: 9999-12-31 23:59:59", 1.5e9, ""),
        ("Start time: 1e300", 1.5e9, ""),
        ("Start time: nan", 1.5e9, ""),
        ("Start time: 0001-01-01", 1.5e9, ""),
        ("Start: 1557232205", 1.5e9, ""),
    ],
)
def test_a_run_began_when_the_file_says_or_else_at_the_time_of_the_file(tmp_path, entry, begun, told):
    path = made(tmp_path, HEAD.replace("#Data:", f"#Metadata:\n#\t{entry}\n#Data:") + COLUMNS)
    os.utime(path, (1.5e9, 1.5e9))

    found = import_csv(path, tmp_path / "runs")

    assert found.begun == begun
    possible = "" if entry.startswith("Start:") else "possible "
    assert found.begun_from == (f"told by {told!r} in the file" if told else f"the file was last changed then; it tells no {possible}time itself")
    name, _, said = entry.partition(": ")
    warned = f"{name!r} says {said!r}, which is no possible date and time: that of the last change of the file was used"
    assert found.notes == ((warned,) if possible and not told else ())


def test_a_file_of_an_impossible_time_is_refused(tmp_path):
    path = made(tmp_path, HEAD + COLUMNS)
    os.utime(path, (-5, -5))

    with pytest.raises(DataError, match="touch"):
        import_csv(path, tmp_path / "runs")


def test_nothing_in_a_head_is_lost(tmp_path):
    text = "#Procedure: <a.B>\n# by Ada\n#Parameters:\n#\tx: 1\n#\tx: 2\n#\tempty:\n#Metadata:\n#\tT: 4.2 K\n#Data:\nv\n"

    with PyMeasureCsv(made(tmp_path, text)) as source:
        assert source.head.parameters == {"x": "1", "x (line 5)": "2", "empty": ""}
        assert source.head.metadata == {"line 2": " by Ada", "T": "4.2 K"}


def test_a_full_disk_leaves_nothing_and_says_so(tmp_path):
    path = made(tmp_path, HEAD + COLUMNS + "".join(f"{k},{k}\n" for k in range(100_000)))
    (tmp_path / "runs").mkdir()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    for most in (1000, (2 << 20) + 1000):
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
        try:
            with pytest.raises(StorageError, match="Nothing of this file was imported"):
                import_csv(path, tmp_path / "runs")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert list((tmp_path / "runs").iterdir()) == []


def test_what_a_killed_import_left_is_removed_by_the_next_one_not_what_a_live_one_writes(tmp_path):
    runs, seen = tmp_path / "runs", set[str]()
    path, other = made(tmp_path, HEAD + COLUMNS + "1,2\n"), made(tmp_path, HEAD + COLUMNS + "3,4\n", "other.csv")

    def told(_share: float) -> None:
        (alive,) = runs.glob(".import-*")
        # A copy is what a kill leaves: all that was there, and no process that holds it.
        shutil.copytree(alive, runs / ".import-killed")
        import_csv(other, runs)
        seen.update(place.name for place in runs.glob(".import-*"))
        assert seen == {alive.name}

    import_csv(path, runs, told=told)

    assert seen
    assert [place.suffix for place in runs.iterdir()] == [".h5", ".h5"]


def test_a_place_that_is_no_folder_is_refused(tmp_path):
    (tmp_path / "runs").write_text("")

    for folder in (tmp_path / "runs", tmp_path / "runs" / "of today"):
        with pytest.raises(StorageError, match="runs: this is a file, no folder"):
            import_csv(made(tmp_path, HEAD + COLUMNS), folder)


def test_a_file_that_grows_while_it_is_read_is_refused(tmp_path):
    path = made(tmp_path, HEAD + COLUMNS + "1,2\n" * 50_000)

    def told(_share: float) -> None:
        with path.open("a") as file:
            file.write("3,4\n")

    with pytest.raises(DataError, match="changed while it was read"):
        import_csv(path, tmp_path / "runs", told=told)
    assert list((tmp_path / "runs").iterdir()) == []


def test_imported_runs_are_listed_shown_exported_and_replayed_as_imported(tmp_path):
    found = imported(tmp_path, HEAD.replace("Sweep", "KeyExchange") + COLUMNS + "1,2\n3,4\n")

    (one,) = summaries(tmp_path / "runs", procedure="KeyExchange")
    assert (one.procedure, one.origin, one.seconds, one.purpose) == ("KeyExchange (CSV)", "imported", None, "imported from sweep.csv")
    told = details(Path(found.run))
    assert told.provenance.startswith(f"imported: it comes from sweep.csv, SHA-256 {found.sha256}")
    assert "simulated" not in told.provenance
    assert told.finals["scan"].rows.tolist() == [[1, 2], [3, 4]]
    (csv,) = export(Path(found.run), "csv", tmp_path)
    assert "# provenance: imported\n# because it comes from sweep.csv" in csv.read_text()
    assert csv.read_text().endswith("Bias (µA),Counts\n1.0,2.0\n3.0,4.0\n")
    export(Path(found.run), "png", tmp_path)
    heard: dict[str, Any] = {}
    replay = Replay(Path(found.run), heard.__setitem__)
    assert replay.wait(5.0)
    replay.close()
    assert heard["scan"].rows.tolist() == [[1, 2], [3, 4]]
    assert heard["scan"].over
    day = datetime.fromtimestamp(found.begun, UTC).astimezone().date().isoformat()
    assert "| KeyExchange (CSV) | done | - | 0 | imported |" in report(tmp_path / "runs", tmp_path / "store", day)


def test_a_file_without_rows_becomes_a_run_without_rows(tmp_path):
    found = imported(tmp_path, HEAD + COLUMNS)

    assert found.rows == 0
    assert details(Path(found.run)).arrays == (("Sweep/Bias", "µA", "0"), ("Sweep/Counts", "", "0"))


@pytest.mark.parametrize(
    ("name", "error"),
    [("sweeps", ParameterError), ("os:", ParameterError), ("../x:Y", ParameterError), ("no_such_module:X", ConfigError), ("os:path", ConfigError)],
)
def test_a_class_that_is_none_is_refused(name, error):
    with pytest.raises(error) as caught:
        procedure_class(name)

    assert caught.value.where == "--procedure"


def test_a_module_that_ends_the_program_is_an_error(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "unguarded_sweeps.py").write_text("import sys\nsys.exit()\n")

    with pytest.raises(ConfigError, match="__main__"):
        procedure_class("unguarded_sweeps:Sweep")


@pytest.mark.parametrize(
    ("code", "what", "remedy"),
    [
        ("x = (", r"its code failed \(SyntaxError: .*broken_sweeps.py, line 1", "Correct its module"),
        ("raise ValueError('no port')", r"its code failed \(ValueError: no port\)", "Correct its module"),
        ("import no_such_package", r"its code failed \(ModuleNotFoundError: .*no_such_package", "install what it needs"),
        ("x = 1", "its module has no such class", "Check the name"),
        (None, "there is no such module", "PYTHONPATH"),
    ],
)
def test_a_class_that_cannot_be_loaded_says_whose_fault_it_is(tmp_path, monkeypatch, code, what, remedy):
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "broken_sweeps", raising=False)
    if code is not None:
        (tmp_path / "broken_sweeps.py").write_text(code)
    importlib.invalidate_caches()

    with pytest.raises(ConfigError, match=what) as caught:
        procedure_class("broken_sweeps:Sweep")
    assert remedy in caught.value.remedy


def test_a_class_is_found_by_its_module_and_name():
    assert procedure_class("pymeasure.experiment:Procedure") is Procedure


@pytest.mark.slow
def test_a_million_rows_are_imported_in_seconds(tmp_path):
    rows = np.random.default_rng(1).normal(size=(1_000_000, 2))
    found = imported(tmp_path, HEAD + COLUMNS + "".join(f"{a},{b}\n" for a, b in rows.tolist()))

    with Run.open(found.run) as run:
        np.testing.assert_array_equal(run["Sweep/Bias"], rows[:, 0])
    export(Path(found.run), "png", tmp_path)
    assert details(Path(found.run)).finals["scan"].rows.shape[1] == 2
