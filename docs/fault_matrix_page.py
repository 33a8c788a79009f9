"""Print docs/reference/fault-matrix.md from the cells that tests/instruments/test_fault_matrix.py runs: `python docs/fault_matrix_page.py`."""

from __future__ import annotations

import runpy
from pathlib import Path

from heliograph.mocks.fault_kinds import KINDS

ROOT = Path(__file__).resolve().parents[1]
CELLS = ROOT / "tests" / "instruments" / "fault_cells.py"

HEAD = """# The fault matrix

What a query comes to when something goes wrong between driver and device: every driver against every fault, on its real transport. The table is printed by
`python docs/fault_matrix_page.py` from the cells that the tests run (`tests/instruments/test_fault_matrix.py`), where a reply may take {timeout:g} s.

`right` means that the value is still right. Anything else is the error that the call raises, within its own budget and half a second; of two, either may
come. In every cell the next query then gets its own answer, and a laser, an attenuator, a generator or a detector still goes into its safe state, read back.
A number in brackets is the reason below why there is nothing to test.

"""


PORTS = {
    "COUNTS": ("The counts port of a WebSQ", "What a count comes to; the next one is true, and the detectors still go safe."),
    "SERVICE": ("The data-link service of an ID900", "What a recording comes to; the next one is whole."),
    "STREAM": (
        "The tag stream of an ID900",
        "What a recording ends with when a message is damaged; no batch ever holds part of one, and the next one is whole.",
    ),
}


def _table(columns: dict[str, dict[str, object]], titles: list[str], rows: dict[str, str], reasons: list[str]) -> list[str]:
    lines = ["| " + " | ".join(["fault", *titles]) + " |", "|---" * (len(titles) + 1) + "|"]
    for row, what in rows.items():
        shown = [_cell(column[row], reasons) for column in columns.values()]
        lines.append("| " + " | ".join([what, *shown]) + " |")
    return [*lines, ""]


def _cell(cell: object, reasons: list[str]) -> str:
    if isinstance(cell, tuple):
        return " or ".join(name if name == "right" else f"`{name}`" for name in cell)
    text = str(cell)
    if text not in reasons:
        reasons.append(text)
    return f"({reasons.index(text) + 1})"


def page() -> str:
    """Return the text of the page."""
    cells = runpy.run_path(str(CELLS))
    rows = {name: row.what for name, row in cells["ROWS"].items()}
    reasons: list[str] = []
    titles = [f"`{driver}`, {cells['FAMILIES'][driver]}" for driver in cells["FULL"]]
    lines = ["## One driver of each family of transports", "", *_table(cells["FULL"], titles, rows, reasons)]
    if cells["SHORT"]:
        short = {name: rows[name] for name in cells["SHORT_ROWS"]}
        lines += ["## Every other driver", "", *_table(cells["SHORT"], [f"`{driver}`" for driver in cells["SHORT"]], short, reasons)]
    world = [f"| `{kind}` | {seen} |" for kind, (seen, _, _) in cells["WORLD"].items()]
    lines += [
        "## Faults of devices and of the light",
        "",
        "What the bench makes of them while it works.",
        "",
        "| fault | what comes of it |",
        "|---|---|",
        *world,
        "",
    ]
    for port, (title, what) in PORTS.items():
        found = [f"| {KINDS[kind].what} | {_cell(cell, reasons)} |" for kind, cell in cells[port].items()]
        lines += [f"## {title}", "", what, "", "| fault | what comes of it |", "|---|---|", *found, ""]
    lines += ["## Why there is nothing to test", "", *(f"{number}. {reason[0].upper()}{reason[1:]}." for number, reason in enumerate(reasons, 1))]
    return HEAD.format(timeout=cells["TIMEOUT_S"]) + "\n".join(lines) + "\n"


if __name__ == "__main__":
    (ROOT / "docs" / "reference" / "fault-matrix.md").write_text(page())
