from __future__ import annotations

import sys

import pytest

from heliograph.core import plugins
from heliograph.core.errors import ConfigError


def test_nothing_of_another_package_is_imported_before_its_name_is_asked_for(foreign):
    foreign("acme", {"acme_drivers": "THING = 42"}, "[heliograph.instruments]\nThing = acme_drivers:THING\n")

    assert "Thing" in plugins.offered(plugins.INSTRUMENTS)
    assert "acme_drivers" not in sys.modules
    assert plugins.load(plugins.INSTRUMENTS, "Thing") == 42
    assert "acme_drivers" in sys.modules


def test_the_groups_are_apart(foreign):
    foreign("acme", {}, "[heliograph.mocks]\nThing = acme:x\n[heliograph.other]\nOther = acme:y\n")

    assert "Thing" in plugins.offered(plugins.MOCKS)
    assert "Thing" not in plugins.offered(plugins.INSTRUMENTS)
    assert "Other" not in plugins.offered(plugins.MOCKS)


@pytest.mark.parametrize("text", ["import no_such_library", "raise RuntimeError('no licence')", "x = = 1", "pass"])
def test_a_broken_package_is_named(foreign, text):
    foreign("acme", {"acme_drivers": text}, "[heliograph.instruments]\nThing = acme_drivers:THING\n")

    with pytest.raises(ConfigError, match=r"Thing of acme 0\.1 cannot be loaded") as caught:
        plugins.load(plugins.INSTRUMENTS, "Thing")
    assert "acme_drivers:THING" in caught.value.where
    assert "uninstall" in caught.value.remedy


def test_two_packages_that_offer_one_name_are_both_named(foreign):
    foreign("acme", {"acme_drivers": "THING = 1"}, "[heliograph.instruments]\nThing = acme_drivers:THING\nFine = acme_drivers:THING\n")
    foreign("bolt", {"bolt_drivers": "THING = 2"}, "[heliograph.instruments]\nThing = bolt_drivers:THING\n")

    with pytest.raises(ConfigError, match=r"acme 0\.1 and by bolt 0\.1"):
        plugins.load(plugins.INSTRUMENTS, "Thing")
    assert plugins.load(plugins.INSTRUMENTS, "Fine") == 1
