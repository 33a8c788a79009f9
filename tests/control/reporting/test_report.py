import re
from pathlib import Path

import pytest

from heliograph.control.reporting import plots, report
from heliograph.core.statement import Provenance, SecurityStatement


@pytest.fixture
def page(tmp_path: Path) -> str:
    statement = SecurityStatement(("keys <equal>",), ("ideal states",), 1e-10, 1234, Provenance(True, ("light comes from simulated instruments",)))
    bench = [report.Plot("errors", "Error rates.", plots.error_rates({"A-B": (0.01, 0.02)}))]
    keys = [report.Plot("budget", "Key budget.", plots.key_budget({"A-B": {"sifted": 10, "leak": 1, "key": 2}}))]
    learning = [report.Plot("accuracy", "Accuracy.", plots.accuracy([0.5, 0.9]))]
    table = report.Table("Pairs", ["pair", "bits"], [["A-B", "2 & more"]])
    written = report.Report("Run 7", "A lead.", [("Key", "2 bit")], bench, table, keys, learning, table, statement, [("run file", tmp_path / "x.h5")])
    report.write(written, tmp_path / "report.html")
    return (tmp_path / "report.html").read_text()


def test_every_plot_stands_in_the_page_as_svg(page: str):
    for name in ("errors", "budget", "accuracy"):
        assert re.search(rf'<figure id="plot-{name}".*?<svg.*?</svg>', page, re.DOTALL)


def test_nothing_is_fetched_from_elsewhere(page: str):
    assert not re.search(r'(src|href)="https?://', page.replace('xlink:href="http', ""))
    assert "<script" not in page


def test_ids_of_two_figures_never_clash(page: str):
    ids = re.findall(r'\bid="([^"]+)"', page)

    assert len(ids) == len(set(ids))


def test_text_is_escaped_and_simulated_data_is_called_so(page: str):
    assert "keys &lt;equal&gt;" in page
    assert "2 &amp; more" in page
    assert "Nothing on this page protects a secret" in page
