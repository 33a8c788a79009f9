"""One self-contained HTML page about a run: tables, plots as inline SVG, and the security statement. It needs no network and no script."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from ...core.statement import SecurityStatement

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class Plot:
    """A figure of the page: `name` becomes its id, `caption` says what to see in it."""

    name: str
    caption: str
    figure: Figure


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the page, all cells ready as text."""

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Report:
    """What the page shows, top to bottom.

    facts: (label, value) of the summary.  files: (label, path).
    """

    title: str
    lead: str
    facts: Sequence[tuple[str, str]]
    bench: Sequence[Plot]
    pairs: Table
    keys: Sequence[Plot]
    learning: Sequence[Plot]
    rounds: Table
    statement: SecurityStatement
    files: Sequence[tuple[str, Path]]


def write(report: Report, path: Path) -> None:
    """Write the page; the file appears whole or not at all."""
    template = Template((Path(__file__).parent / "report.html").read_text(encoding="utf-8"))
    page = template.substitute(
        title=escape(report.title),
        lead=escape(report.lead),
        notice=_notice(report.statement),
        facts="".join(f"<div><dt>{escape(label)}</dt><dd>{escape(value)}</dd></div>" for label, value in report.facts),
        bench_figures=_figures(report.bench),
        pair_table=_table(report.pairs),
        key_figures=_figures(report.keys),
        learning_figures=_figures(report.learning),
        learning_table=_table(report.rounds),
        security=_statement(report.statement),
        files=_list([f"{escape(label)}: <code>{escape(str(where))}</code>" for label, where in report.files]),
    )
    partial = path.with_suffix(".partial")
    partial.write_text(page, encoding="utf-8")
    partial.replace(path)


def _figures(plots: Sequence[Plot]) -> str:
    return "".join(
        f'<figure id="plot-{escape(plot.name)}" role="img" aria-label="{escape(plot.caption)}">'
        f"{_svg(plot)}<figcaption>{escape(plot.caption)}</figcaption></figure>"
        for plot in plots
    )


def _svg(plot: Plot) -> str:
    """Return the figure as an SVG element whose ids do not clash with those of other figures."""
    import matplotlib as mpl

    text = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "path", "svg.hashsalt": plot.name}):
        plot.figure.savefig(text, format="svg", metadata={"Date": None})
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    return re.sub(r'(id="|url\(#|href="#)', rf"\g<1>{plot.name}-", svg)


def _table(table: Table) -> str:
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in table.header)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in table.rows)
    # The caption stands outside the box that scrolls on a narrow screen.
    caption = escape(table.caption)
    inside = f'<table aria-label="{caption}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    return f'<p class="caption">{caption}</p><div class="scroll" tabindex="0">{inside}</div>'


def _list(items: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{item}</li>" for item in items) + "</ul>"


def _notice(statement: SecurityStatement) -> str:
    if not statement.provenance.simulated:
        return ""
    reasons = "; ".join(statement.provenance.reasons)
    return f'<section class="notice"><h2>Simulated</h2>Nothing on this page protects a secret: {escape(reasons)}.</section>'


def _statement(statement: SecurityStatement) -> str:
    return (
        "<h3>Claims</h3>"
        + _list([escape(claim) for claim in statement.claims])
        + "<h3>Assumptions</h3>"
        + _list([escape(assumption) for assumption in statement.assumptions])
        + f"<p>Probability that a claim fails: at most {statement.epsilon:.2e}. Bits disclosed and already subtracted: {statement.leaked_bits:,}.</p>"
    )
