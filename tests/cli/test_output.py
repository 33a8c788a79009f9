import errno
import json
import math
import os
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import typer

from heliograph.cli.output import command, plain
from heliograph.core import errors
from heliograph.core.statement import Provenance, SecurityStatement


@dataclass(frozen=True, slots=True)
class Point:
    x: float
    where: Path


def test_the_result_is_one_object_with_simulated_and_security(capsys):
    statement = SecurityStatement(("key",), ("ideal states",), 3e-10, 7, Provenance(True, ("demo",)))

    with command(True) as out:
        out.say("for people")
        out.table("Pairs", ["pair", "bits"], [("A-B", 5)])
        out.warn("careful")
        out.result({"bits": np.int64(5)}, simulated=True, security=statement)

    said = capsys.readouterr()
    assert json.loads(said.out) == {"bits": 5, "simulated": True, "security": statement.as_dict()}
    assert all(word in said.err for word in ("for people", "A-B", "warning: careful"))


def test_security_is_null_where_nothing_secret_is_made(capsys):
    with command(True) as out:
        out.result({})

    assert json.loads(capsys.readouterr().out) == {"simulated": False, "security": None}


def test_people_get_tables_and_no_json(capsys):
    with command(False) as out:
        out.table("Pairs [all]", ["pair", "bits", "qber", "ok"], [("A-[b]B[/b]", 1234567, 0.0123456, True)])
        out.result({"bits": 5})

    said = capsys.readouterr()
    assert all(word in said.out for word in ("Pairs [all]", "A-[b]B[/b]", "1,234,567", "0.01235", "yes"))
    assert "{" not in said.out


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.ConfigError("x", where="lab.toml", remedy="Mend it."), 3),
        (errors.VerificationError("x"), 1),
        (errors.Timeout("x", where="laser"), 4),
        (errors.InsufficientKey("A-C", 2, 1), 5),
        (OSError(errno.ENOSPC, "No space left on device", "run.h5"), 3),
        (OSError(errno.EFBIG, "File too large"), 3),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "lab.toml"), 3),
        (PermissionError(errno.EACCES, "Permission denied", "lab.toml"), 3),
        (KeyboardInterrupt(), 130),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else str(value),
)
@pytest.mark.parametrize("json_output", [True, False])
def test_an_error_becomes_one_block_and_its_exit_code(capsys, error, code, json_output):
    with pytest.raises(typer.Exit) as caught, command(json_output):
        raise error

    said = capsys.readouterr()
    assert caught.value.exit_code == code
    assert "Traceback" not in said.err
    if json_output:
        assert set(json.loads(said.out)["error"]) == {"type", "message", "where", "remedy"}
    else:
        assert said.out == ""
    assert said.err.startswith("error: ")


def test_a_full_disk_is_a_storage_error(capsys):
    with pytest.raises(typer.Exit), command(True):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/full/run.h5")

    error = json.loads(capsys.readouterr().out)["error"]
    assert error["type"] == "StorageError"
    assert error["where"] == "/full/run.h5"


def test_the_block_for_people_names_place_and_remedy(capsys):
    with pytest.raises(typer.Exit), command(False):
        raise errors.LimitError("[25] dB asked", where="voa_a", remedy="Nothing was sent.")

    assert capsys.readouterr().err.splitlines() == ["error: [25] dB asked", "  where:  voa_a", "  remedy: Nothing was sent."]


def test_an_error_after_the_result_takes_its_place(capsys):
    with pytest.raises(typer.Exit), command(True) as out:
        out.result({"bits": 5})
        raise errors.StorageError("full")

    assert list(json.loads(capsys.readouterr().out)) == ["error"]


def test_a_fault_of_ours_is_still_one_object_and_keeps_its_traceback(capsys):
    with pytest.raises(typer.Exit) as caught, command(True):
        raise ZeroDivisionError("division by zero")

    said = capsys.readouterr()
    assert caught.value.exit_code == 1
    assert json.loads(said.out)["error"]["type"] == "ZeroDivisionError"
    assert "Traceback" in said.err


def test_a_refused_result_is_printed_and_ends_with_1(capsys):
    with pytest.raises(typer.Exit) as caught, command(True) as out:
        out.result({"unmasked_equal": False}, exit_code=1)

    assert caught.value.exit_code == 1
    assert json.loads(capsys.readouterr().out)["unmasked_equal"] is False


def test_warnings_of_the_library_are_one_line_on_standard_error(capsys):
    with command(True) as out:
        warnings.simplefilter("always")
        warnings.warn("a torn last line was set aside", stacklevel=1)
        out.result({})

    assert capsys.readouterr().err == "warning: a torn last line was set aside\n"


def test_bars_may_be_nested_and_leave_no_trace_in_a_pipe(capsys):
    with command(True) as out:
        with out.progress("rounds", total=2) as outer:
            with out.progress("steps") as inner:
                inner.to(100)
            outer.step()
            outer.say("last round")
        with out.progress("again") as bar:
            bar.step()
        out.result({})

    assert json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("value", "printed"),
    [
        (np.float64(0.5), 0.5),
        (np.arange(3), [0, 1, 2]),
        (np.bool_(True), True),
        (math.inf, None),
        (np.array([1.0, math.nan]), [1.0, None]),
        ((1, "a"), [1, "a"]),
        ({1: None}, {"1": None}),
        (Point(1.0, Path("a/b")), {"x": 1.0, "where": "a/b"}),
    ],
)
def test_values_become_jsons_own(value, printed):
    assert plain(value) == printed


def test_a_secret_does_not_slip_into_a_result():
    with pytest.raises(TypeError):
        plain({"key": b"secret"})


def test_an_end_by_a_signal_is_one_object_too(capsys):
    with pytest.raises(SystemExit), command(True):
        raise SystemExit(143)

    ended = json.loads(capsys.readouterr().out)["error"]
    assert ended["type"] == "Interrupted"
    assert "143" in ended["message"]
    assert ended["remedy"]


def test_of_a_command_that_was_interrupted_or_failed_it_is_told_how_its_bench_was_left(capsys):
    left, failed, unforeseen = KeyboardInterrupt(), errors.Timeout("no reply"), ZeroDivisionError("division by zero")
    left.add_note("the bench was made safe")
    failed.add_note("not confirmed safe: laser FAILED")
    unforeseen.add_note("not confirmed safe: laser FAILED")

    for error, told in (
        (left, "interrupted; the bench was made safe"),
        (KeyboardInterrupt(), "interrupted"),
        (failed, "no reply; not confirmed safe: laser FAILED"),
        (unforeseen, "division by zero; not confirmed safe: laser FAILED"),
    ):
        with pytest.raises(typer.Exit), command(True):
            raise error
        assert json.loads(capsys.readouterr().out)["error"]["message"] == told


def test_nothing_that_a_terminal_takes_for_a_command_reaches_it(capsys):
    text = "\x1b[2Jred\x1b[31m\x9b31m\x07"
    with pytest.raises(typer.Exit), command(False) as out:
        out.say(text)
        out.warn(text)
        out.table("T", ["a"], [(text,)])
        raise errors.ConfigError(text, where=text, remedy=text)

    said = "".join(capsys.readouterr())
    assert said.count("red") == 6
    assert not {"\x1b", "\x9b", "\x07"} & set(said)
