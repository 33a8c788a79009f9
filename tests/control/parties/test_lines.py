"""Who plays which role among the parties of a folder, and their lines."""

import pytest

from heliograph.control.parties.lines import choose_roles, sealed_lines
from heliograph.control.parties.node import network
from heliograph.core.errors import ConfigError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("stores")
    with network(made, ["A", "B"]), network(made, ["C", "A"]):
        pass
    return made


def test_roles_follow_the_order_of_the_pair(folder):
    assert choose_roles(folder, None, None, counted=False) == {"alice": "A", "bob": "B"}
    assert choose_roles(folder, "B-A", None, counted=True) == {"alice": "B", "bob": "A", "aggregator": "C"}
    assert choose_roles(folder, "C-A", "B", counted=True) == {"alice": "C", "bob": "A", "aggregator": "B"}


@pytest.mark.parametrize(("pair", "aggregator", "said"), [("A-D", None, "D has"), ("A", None, "two parties"), ("A-B", "A", "third"), ("A-B", "E", "E has")])
def test_roles_that_cannot_be_filled_are_refused(folder, pair, aggregator, said):
    with pytest.raises(ConfigError, match=said):
        choose_roles(folder, pair, aggregator, counted=True)


def test_lines_join_the_parties_both_ways(folder):
    with sealed_lines(folder, {"alice": "A", "bob": "B"}) as (keys, lines):
        assert set(lines.tags) == {("A", "B"), ("B", "A")}
        assert dict(lines.names) == {"alice": "A", "bob": "B"}
        assert set(keys.parties) == set(lines.keys) == {"A", "B"}


def test_a_pair_without_a_store_is_named(folder):
    with (
        pytest.raises(ConfigError, match="pair B-C has no key store"),
        sealed_lines(folder, {"alice": "A", "bob": "B", "aggregator": "C"}),
    ):
        pass
