import json
import os
import signal
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest


def test_help_lists_every_command_with_what_it_is_for(heliograph):
    ended = heliograph("--help")

    listed = ended.out.split("Commands:")[1].splitlines()
    assert ended.code == 0
    assert any(line.split()[:1] == ["doctor"] for line in listed)
    assert all(len(line.split()) > 2 for line in listed if line.strip())


def test_without_words_help_is_printed_and_it_is_a_usage_error(heliograph):
    ended = heliograph()

    assert ended.code == 2
    assert "Commands:" in ended.out + ended.err


def test_the_version_is_that_of_the_package(heliograph):
    assert heliograph("--version").out.strip() == version("heliograph")


@pytest.mark.parametrize("words", [["nope"], ["doctor", "--nope"], ["keyrate"]])
def test_wrong_usage_is_2_and_one_object_under_json(heliograph, words):
    said = heliograph(*words)
    scripted = heliograph(*words, "--json")

    assert said.code == scripted.code == 2
    assert "Error: " in said.err
    assert said.out == ""
    assert scripted.json["error"]["type"] == "UsageError"


@pytest.mark.parametrize("words", [["doctor"], ["bench", "safe"], ["acquire", "rates"]])
def test_wrong_usage_points_to_the_help_of_its_own_command(heliograph, words):
    assert f"heliograph {' '.join(words)} --help" in heliograph(*words, "--nope").err
    assert heliograph(*words, "--nope", "--json").json["error"]["remedy"] == f"Try `heliograph {' '.join(words)} --help`."


def test_a_command_runs_from_any_folder_and_as_a_module(tmp_path):
    ended = subprocess.run([sys.executable, "-m", "heliograph", "--version"], cwd=tmp_path, capture_output=True, text=True, check=True)

    assert ended.stdout.strip() == version("heliograph")


def test_a_reader_that_stops_reading_is_no_traceback(tmp_path):
    ended = subprocess.run(f"{sys.executable} -m heliograph doctor --json | true", shell=True, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert "Traceback" not in ended.stderr
    assert "BrokenPipe" not in ended.stderr


UNREAD = """
import sys
from heliograph.cli import app, main
from heliograph.cli.output import command

@app.command()
def report(json: bool = False, refused: bool = False):
    with command(json) as out:
        for number in range(3):
            out.table(f"Table {number}", ["n"], [[n] for n in range(1000)])
            out.say("more")
        out.note("to its end")
        out.result({"n": [0] * 100_000}, exit_code=1 if refused else 0)

main(["report", *sys.argv[1:]])
"""


@pytest.mark.parametrize(("words", "code"), [([], 0), (["--json"], 0), (["--refused"], 1)])
def test_a_reader_that_went_away_ends_the_output_and_nothing_else(words, code):
    with subprocess.Popen([sys.executable, "-c", UNREAD, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.close()
        _, err = process.communicate(timeout=60)

    assert process.returncode == code
    assert err.splitlines()[-1] == "to its end"
    assert "error:" not in err


def test_standard_output_on_a_full_disk_is_one_clear_error():
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run([sys.executable, "-m", "heliograph", "data", "list", "--json"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)

    assert ended.returncode == 3
    assert "error: nothing more can be written" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_closed_standard_output_is_no_traceback(tmp_path):
    words = f"{sys.executable} -m heliograph runs list --out {tmp_path} >&-"

    ended = subprocess.run(["sh", "-c", words], capture_output=True, text=True, check=False)

    assert (ended.returncode, ended.stderr) == (0, "")


WAITING = """
import sys, time
from heliograph.cli import app, main
from heliograph.cli.output import command

@app.command()
def wait(json: bool = True):
    with command(json):
        try:
            print("waiting", file=sys.stderr, flush=True)
            time.sleep(60)
        finally:
            print("safe", file=sys.stderr, flush=True)

main(["wait", *sys.argv[1:]])
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_whoever_ends_a_command_its_last_acts_are_done(number, code):
    with subprocess.Popen([sys.executable, "-c", WAITING], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "waiting\n"
        os.kill(process.pid, number)
        _, err = process.communicate(timeout=60)

    assert process.returncode == code
    assert "safe\n" in err
    assert "made safe" not in err, "it opened no bench"
    assert "Traceback" not in err


EARLY = """
import os, signal, sys

class Early:
    def find_spec(self, name, *_):
        if name == "heliograph.cli.runs":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Early())
from heliograph.cli import main
main(sys.argv[1:])
"""
BUILDING = """
import os, signal, sys, typer.main
from heliograph.cli import main

typer.main.get_command = lambda _: os.kill(os.getpid(), signal.SIGINT)
main(sys.argv[1:])
"""


@pytest.mark.parametrize("program", [EARLY, BUILDING])
@pytest.mark.parametrize("words", [["doctor"], ["doctor", "--json"]])
def test_ctrl_c_before_a_command_has_begun_is_no_traceback(program, words):
    ended = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, check=False)

    assert (ended.returncode, ended.stderr) == (130, "error: interrupted\n  remedy: Run it again.\n")
    assert [json.loads(line)["error"]["type"] for line in ended.stdout.splitlines()] == ["Interrupted"] * words.count("--json")
