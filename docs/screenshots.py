"""Writes the pictures of the window into docs/screenshots: `python docs/screenshots.py [FOLDER] [--bench FOLDER]`.

A window is driven by keys and mouse around a simulated bench: armed, a fringe, key of every pair, learning, and light again while the pictures are taken.
Each page is there in light and dark; pages.json has what a screen reader finds on it, the runs, and what was told. All of it is compared with what the commands
say about the same bench. A bench that is not heard of is an error, and leaves no picture; texts that say otherwise are listed, and the command fails.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

OUT = Path(__file__).parent / "screenshots"
THEMES = ("light", "dark")
SIZE = (1280, 800)
PAIRS = ("A-B", "A-C", "B-C")
LIGHT_S, ROUNDS, POINTS = 5.0, 8, 25
DISTIL = "Make key of it at once"
PICTURES_LIGHT_S = 3600.0
"""More than it takes; it is stopped early."""
SETTLE_MS, HEARD_S = 260, 5.0
FRESH_S = 1.0
STATION_S = 3.0
"""The station is told once a second; after so long it is old."""


ANA = """
import platform, pwd, socket
socket.gethostname = platform.node = lambda: "lab1"
pwd.getpwuid = lambda uid: pwd.struct_passwd(("ana", "x", uid, uid, "Ana", "/", "/bin/sh"))
"""
"""What Python runs as it starts: pictures and texts name nobody who took them."""


def be_ana(folder: Path) -> None:
    """Let this process, and those that it starts, be those of ana@lab1."""
    (folder / "sitecustomize.py").write_text(ANA)
    os.environ.update(LOGNAME="ana", PYTHONPATH=os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH")))))
    exec(compile(ANA, "sitecustomize.py", "exec"), {})  # noqa: S102  the lines above


@contextmanager
def window(settings: Path) -> Iterator[Any]:
    """Give a person in front of a new window."""
    from PySide6.QtCore import QSettings

    from heliograph.gui.app import application
    from heliograph.gui.desk import Desk
    from heliograph.gui.window import Window

    application()
    made = Window(Desk(settings=QSettings(str(settings), QSettings.Format.IniFormat)))
    made.set_theme("light")
    made.resize(*SIZE)
    made.show()
    made.activateWindow()
    try:
        yield _person().Day(made)
    finally:
        made.leave()


def _person() -> Any:
    """Return the module of the window's tests by which somebody goes through a day at the bench."""
    package = sys.modules.setdefault("window_tests", ModuleType("window_tests"))
    package.__path__ = [str(Path(__file__).parents[1] / "tests" / "gui")]
    return importlib.import_module("window_tests.rehearsal")


def rehearse(day: Any, *, points: int = POINTS, pairs: tuple[str, ...] = PAIRS, light_s: float = LIGHT_S, rounds: int = ROUNDS) -> dict[str, Any]:
    """Go through a day up to the moment of the pictures; return the job of each part, and the texts of the scan. A run of light is on then."""
    day.put_first_steps_away()
    day.arm()
    jobs = {"scan": day.scan(points)}
    day.person.until(lambda: any("Half-wave voltage" in text for text in day.window.page.texts()), "the result of the scan")
    scan = day.window.page.texts()
    for pair in pairs:
        jobs[pair] = day.exchange(pair, light_s)
    jobs["learning"] = day.learn(rounds)
    jobs["light"] = day.start("key", "Key exchange", Pair=pairs[0], Light=f"{PICTURES_LIGHT_S:g}", **{DISTIL: "False"})
    day.person.until(lambda: all(_fresh(day, topic) for topic in ("counts", "histogram", "coincidences", "key")), "light", 60.0)
    return {"jobs": jobs, "scan": scan}


def _fresh(day: Any, topic: str | None = None, within_s: float = FRESH_S) -> bool:
    age = day.desk.age_s(topic)
    return age is not None and age < within_s


def heard(day: Any) -> bool:
    """Say whether what the window shows is what the bench does now."""
    return day.desk.is_connected and _fresh(day) and _fresh(day, "station", STATION_S) and not day.window.page.is_stale


def wait_heard(day: Any, page: str) -> None:
    """Give a busy machine a moment to say the next word. Raises BenchError where none comes."""
    from heliograph.core.errors import BenchError

    try:
        day.person.until(lambda: heard(day), "a word of the bench", HEARD_S)
    except BenchError as error:
        raise BenchError("the bench is not heard of, so its picture would be an old one", where=page, remedy="Start it, and try again.") from error


def take(day: Any, out: Path, done: dict[str, Any], *, themes: tuple[str, ...] = THEMES) -> dict[str, Any]:
    """Take the pictures; return what pages.json will say. Raises BenchError while the bench is not heard of, or shows old data."""
    from PySide6.QtTest import QTest

    from heliograph.core.errors import BenchError

    out.mkdir(parents=True, exist_ok=True)
    jobs = done["jobs"]
    pages: dict[str, Any] = {}
    pictures: list[Path] = []
    try:
        for name in [page.NAME for page in day.window.pages]:
            prepare(day, name, jobs)
            for number, theme in enumerate(themes):
                day.window.set_theme(theme)
                QTest.qWait(SETTLE_MS)
                wait_heard(day, name)
                pictures.append(out / f"{name}-{theme}.png")
                day.window.grab().save(str(pictures[-1]), "PNG")
                if not number:
                    pages[name] = {"texts": day.window.page.texts(), "strip": _texts(day.window.strip), "told": told(day), "t": time.time()}
    except BenchError:
        for picture in pictures:
            picture.unlink()
        raise
    day.window.set_theme(themes[0])
    runs = {row.job: Path(row.path).name for row in day.desk.latest("queue").rows if row.path}
    return {**done, "runs": {name: runs[job].rsplit("-p", 1)[0] for name, job in jobs.items() if job in runs}, "pages": pages}


def end(day: Any, found: dict[str, Any]) -> None:
    """Stop the light, so that its run file is whole."""
    from heliograph.core.errors import BenchError

    row = next(one for one in day.desk.latest("queue").rows if one.job == found["jobs"]["light"])
    if row.state != "running":
        raise BenchError(f"the light of the pictures is {row.state}: {row.why}", where="queue")
    day.go("key")
    day.person.until(lambda: day.person.find("Stop early").isEnabled(), "leave to stop early")
    day.person.click("Stop early")
    day.wait_ended(found["jobs"]["light"])


def prepare(day: Any, name: str, jobs: dict[str, int]) -> None:
    """Go to a page, and show on it what its picture is about."""
    from PySide6.QtWidgets import QAbstractItemView

    day.go(name)
    if name == "log" and day.person.sees("Note"):
        day.person.click("Note")
        day.person.write("The fringe of A looks as yesterday.")
        day.person.click("Add the note")
    if name == "runs":
        day.person.until(lambda: day.person.find("Runs", QAbstractItemView).model().rowCount() > 0, "the list of runs")
        rows = {row.job: row.path for row in day.desk.latest("queue").rows}
        day.person.row("Runs", Path(rows[jobs["scan"]]).name.rsplit("-p", 1)[0])
        day.person.until(lambda: any("Half-wave voltage" in text for text in _texts(day.person.find("Details of the run"))), "the details of the run")


def _texts(widget: Any) -> list[str]:
    from heliograph.gui.access import texts

    return texts(widget)


def told(day: Any) -> dict[str, Any]:
    """Return numbers that the owner told last."""
    desk = day.desk
    key, learning, counts, scan = (desk.latest(topic) for topic in ("key", "learning", "counts", "scan"))
    block = key.blocks[-1] if key is not None and key.blocks else None
    figures = ("pair", "block", "qber_x", "qber_y", "gain", "leak_bits", "key_bits", "key_rate_bps", "sifted_bits", "y_bits", "run")
    return {
        "state": day.state,
        "run": counts.run if counts is not None else "",
        "rates_hz": dict(zip(counts.names, counts.rates_hz.tolist(), strict=True)) if counts is not None else {},
        "scan": dict(scan.result) if scan is not None else {},
        "block": {name: getattr(block, name) for name in figures} if block is not None else {},
        "spendable": {pair: day.spendable(pair) for pair in PAIRS},
        "learning": {"round": learning.round, "accuracy": float(learning.accuracy[-1]), "left": learning.rounds_left} if learning is not None else {},
    }


def says(command: list[str]) -> Any:
    """Return what a command of heliograph says under --json."""
    ended = subprocess.run([sys.executable, "-m", "heliograph", *command, "--json"], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    return json.loads(ended.stdout)


def problems(found: dict[str, Any], bench: Path) -> list[str]:
    """Return where texts differ from what the run files, the key stores and the journal say by themselves; nothing is what is wanted.

    found: what `take` returned, while nothing has spent key since.  bench: folder of the bench.
    """
    from heliograph.gui import words
    from heliograph.gui.figures.gauge import bits

    pages = found["pages"]
    wrong = [f"{name}: {text!r}" for name, page in pages.items() for text in (*page["strip"], *page["texts"]) if "stale" in text.split(", ") or text == "stale"]
    block = pages["key"]["told"]["block"]
    wanted: dict[str, list[str]] = {"key": [], "acquire": [], "learning": [], "bench": [], "runs": []}
    stores = says(["keys", "show", "--store", str(bench / "store")])["stores"]
    for one in stores:
        wanted["key"].append(f"{bits(one['spendable'])} spendable of {bits(one['delivered'])} delivered")
    delivered = {one["pair"]: one["delivered"] for one in stores if one["blocks"] == 1}
    wanted["key"] += [bits(delivered.get(block["pair"], block["key_bits"])), bits(block["leak_bits"]), words.percent(block["gain"]), block["run"]]
    distilled = [json.loads(line) for line in (bench / "store" / block["pair"][0] / "distillation.jsonl").read_text().splitlines()]
    last = next(one for one in reversed(distilled) if one["kind"] == "distilled" and one["pair"] == block["pair"])
    if (last["run_id"], last["disclosed"]["alice_parities"]) != (block["run"], block["leak_bits"]):
        wrong.append(f"key: the ledger of {block['pair']} says {last['disclosed']}, told was {block}")
    scan = says(["runs", "show", found["runs"]["scan"], "--out", str(bench / "runs")])["summary"]["numbers"]
    wanted["acquire"].append(found["runs"]["light"])
    half_wave = words.uncertain(scan["v_pi_v"], scan["v_pi_sigma_v"], "V")
    if not any(half_wave in one for one in found["scan"]):
        wrong.append(f"scan: {half_wave!r} is not there")
    light = says(["runs", "show", found["runs"]["light"], "--out", str(bench / "runs")])["last"]["counts"]
    for name, rate in zip(light["names"], light["rates_hz"], strict=True):
        shown = pages["acquire"]["told"]["rates_hz"][name]
        if not 0.9 * rate < shown < 1.1 * rate:
            wrong.append(f"acquire: {name} was shown with {shown:.0f} Hz, the run file has {rate:.0f} Hz")
    learning = pages["learning"]["told"]["learning"]
    wanted["learning"] += [words.percent(learning["accuracy"]), str(learning["round"])]
    wanted["bench"] += ["armed", "laser"]
    wanted["runs"] += [one["run"] for one in says(["runs", "list", "--out", str(bench / "runs")])["runs"] if one["state"] == "done"]
    wrong += [f"{name}: {text!r} is not there" for name, texts in wanted.items() for text in texts if not any(text in one for one in pages[name]["texts"])]
    wrong += [
        f"{name}: the strip does not say that the bench is simulated" for name, page in pages.items() if not any("simulated" in one for one in page["strip"])
    ]
    return wrong


def main() -> int:
    """Take the pictures, and compare."""
    parser = argparse.ArgumentParser(description="Take the pictures of the window.")
    parser.add_argument("out", nargs="?", type=Path, default=OUT)
    parser.add_argument("--bench", type=Path, help="folder of the simulated bench, by default one that is thrown away")
    asked = parser.parse_args()
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    with tempfile.TemporaryDirectory() as thrown_away:
        be_ana(Path(thrown_away))
        bench = asked.bench or Path(thrown_away) / "heliograph-demo"
        with window(Path(thrown_away) / "window.ini") as day:
            day.begin(bench)
            found = take(day, asked.out, rehearse(day))
            end(day, found)
        wrong = problems(found, bench)
    for line in wrong:
        sys.stderr.write(f"{line}\n")
    text = json.dumps(found, indent=1, ensure_ascii=False).replace(str(bench), "heliograph-demo")
    (asked.out / "pages.json").write_text(text + "\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
