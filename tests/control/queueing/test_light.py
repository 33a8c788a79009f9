"""Which light waits for a key, and which file a text means."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from heliograph.acquisition.patterns import Pattern
from heliograph.acquisition.sent import Sent, load_sent, save_sent
from heliograph.control.queueing.light import run_file, waiting_light, with_choice
from heliograph.control.topics import ParameterForm, ProcedureForm
from heliograph.core.errors import ParameterError

FIRST, SECOND, THIRD = "20261120T185138Z-1de1cf", "20261120T190000Z-00ff00", "20261120T191500Z-abcdef"
SIGNATURE = b"\x89HDF\r\n\x1a\n"


def keep(store: Path, run: str, user: str, *, whole: bool = True) -> Path:
    """Put a pattern there as an exchange does, at its end or at its beginning."""
    path = store / user / "patterns" / f"{run}-{user}.bin"
    save_sent(path, Sent(Pattern(np.zeros(8, np.uint8), np.zeros(8, np.uint8), "demo"), run, user, 0.1, 8, whole=whole))
    return path


@pytest.fixture
def bench(tmp_path: Path) -> tuple[Path, Path]:
    """A folder of runs and one of stores: light of A-B and of A-C waits, that of a third run was made into key."""
    runs, store = tmp_path / "runs", tmp_path / "store"
    runs.mkdir()
    for run, users in ((FIRST, "AB"), (SECOND, "CA"), (THIRD, "")):
        (runs / f"{run}-p0.h5").write_bytes(SIGNATURE)
        for user in users:
            keep(store, run, user)
    return runs, store


def test_light_waits_while_both_parties_keep_their_patterns_and_the_file_is_there(bench):
    runs, store = bench
    assert [(one.run, one.pair) for one in waiting_light(runs, store)] == [(FIRST, "A-B"), (SECOND, "A-C")]

    (store / "B" / "patterns" / f"{FIRST}-B.bin").unlink()
    (runs / f"{SECOND}-p0.h5").unlink()

    assert waiting_light(runs, store) == ()
    assert waiting_light(runs / "none", store / "none") == ()


def test_what_is_on_or_was_killed_before_its_end_is_not_offered(bench):
    runs, store = bench
    pattern = store / "A" / "patterns" / f"{SECOND}-A.bin"
    with ExitStack() as on:
        save_sent(pattern, load_sent(pattern), on=on)
        assert [one.run for one in waiting_light(runs, store)] == [FIRST]
    assert [one.run for one in waiting_light(runs, store)] == [FIRST, SECOND]
    keep(store, SECOND, "C", whole=False)
    assert [one.run for one in waiting_light(runs, store)] == [FIRST]
    (store / "B" / "patterns" / f"{FIRST}-B.bin").write_bytes(b"torn")
    assert waiting_light(runs, store) == ()


def test_a_run_is_named_by_its_path_from_anywhere_near_or_by_its_id(bench):
    runs, store = bench
    path = runs / f"{FIRST}-p0.h5"
    for text in (str(path), path.name, f"runs/{path.name}", f" {FIRST} "):
        assert run_file(text, runs, store) == path


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("/etc/passwd", "passwd is no run file"),
        ("nowhere.h5", "there is no such run file"),
        ("", "no such run file"),
        (THIRD, "no light of run"),
        ("..", "no such"),
        ("x" * 300, "no such run file"),
        ("a\0b", "no such run file"),
    ],
)
def test_what_gives_no_key_is_refused_before_it_is_queued(bench, text, told):
    with pytest.raises(ParameterError, match=told):
        run_file(text, *bench)


def test_a_file_that_may_not_be_read_is_refused(bench, monkeypatch):
    def closed(path: Path, *_: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", closed)
    with pytest.raises(ParameterError, match=r"cannot be read \(Permission denied\)"):
        run_file(FIRST, *bench)


def test_a_refusal_says_where_was_looked(bench):
    with pytest.raises(ParameterError) as caught:
        run_file("nowhere.h5", *bench)
    assert str(bench[0]) in caught.value.remedy


def test_the_form_of_the_distillation_lists_what_waits_the_latest_first(bench):
    asked = (ParameterForm("run", "Run file", "text", "", ""), ParameterForm("bound", "Bound", "choice", "", "kato", choices=("kato", "azuma")))
    forms = (ProcedureForm("Learn", "", "", "worker", asked), ProcedureForm("Distil", "", "", "worker", asked))

    learn, distil = with_choice(forms, waiting_light(*bench))

    assert learn is forms[0]
    assert distil.parameters[1] is asked[1]
    run = distil.parameters[0]
    assert (run.kind, run.default, run.labels) == ("choice", run.choices[0], (f"A-C: {SECOND}", f"A-B: {FIRST}"))
    assert run.choices == tuple(str(bench[0] / f"{one}-p0.h5") for one in (SECOND, FIRST))
    nothing = with_choice(forms, ())[1].parameters[0]
    assert (nothing.kind, nothing.label) == ("text", "Run file, no light waits")
