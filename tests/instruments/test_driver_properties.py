"""Every property that a driver defines, or overrides, is read or set in its test, where the words stand that go over the wire."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pymeasure.instruments import Channel, Instrument

from heliograph.instruments import idq, keysight, nkt, oz_optics, s_fifteen, single_quantum, thorlabs, thorlabs_apt

HERE = Path(__file__).parent
MODULES = {
    idq: "test_idq.py",
    keysight: "test_keysight.py",
    nkt: "test_nkt.py",
    oz_optics: "test_oz_optics.py",
    s_fifteen: "test_s_fifteen.py",
    single_quantum: "test_single_quantum.py",
    thorlabs: "test_thorlabs.py",
    thorlabs_apt: "test_thorlabs_apt.py",
}


def classes() -> dict[type, str]:
    """Return drivers and channels of this package with the file of their tests."""
    found: dict[type, str] = {}
    for module, file in MODULES.items():
        kinds = [kind for kind in vars(module).values() if isinstance(kind, type) and issubclass(kind, Instrument | Channel)]
        found |= {kind: file for kind in kinds if kind.__module__ == module.__name__}
    return found


def properties(kind: type) -> set[str]:
    return {name for name, member in vars(kind).items() if isinstance(member, property) and not name.startswith("_")}


def named(text: str) -> set[str]:
    """Return the words that stand in a test as an attribute or in quotes, as those of a table do."""
    return set(re.findall(r"\.(\w+)\b(?!\()", text)) | set(re.findall(r"\"(\w+)\"", text))


@pytest.mark.parametrize(("kind", "file"), classes().items())
def test_every_property_of_a_driver_is_in_its_test(kind: type, file: str) -> None:
    text = (HERE / file).read_text()

    assert "expected_protocol" in text
    assert properties(kind) - named(text) == set()


def test_every_module_with_a_driver_is_looked_at() -> None:
    drivers = [path.stem for path in Path(str(idq.__file__)).parent.glob("*.py") if re.search(r"\(.*\b(Instrument|_Original)\):", path.read_text())]

    assert {module.__name__.rpartition(".")[2] for module in MODULES} >= set(drivers)
    assert {kind.__name__ for kind in classes()} >= {"KoherasBasik", "SFifteenSPD", "SFifteenTDC", "WebSQ", "ID900", "TagInput", "ThorlabsMBX", "ThorlabsPM100"}
    assert all(properties(kind) for kind in (nkt.KoherasBasik, s_fifteen.SFifteenSPD, single_quantum.WebSQ, idq.TagInput, thorlabs.MbxModulator))
