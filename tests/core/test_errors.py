import inspect

import pytest

from heliograph.core import errors
from heliograph.core.errors import HeliographError, InsufficientKey, LimitError, ParameterError

TREE = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, HeliographError)]
CODES = {0, 1, 3, 4, 5}


@pytest.mark.parametrize("kind", TREE, ids=lambda kind: kind.__name__)
def test_every_error_is_drawn_in_the_tree_and_documented(kind):
    assert kind.__name__ in (errors.__doc__ or "")
    assert kind.__doc__
    assert kind.exit_code in CODES


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("ConfigError", 3),
        ("LimitError", 3),
        ("RunFileError", 3),
        ("Timeout", 4),
        ("ChecksumError", 4),
        ("ArmRefused", 4),
        ("Overflow", 4),
        ("InsufficientKey", 5),
    ]
    + [(name, 1) for name in ("NoKeyError", "VerificationError", "RollbackSuspected", "RoundAborted", "LedgerCorrupt", "AlreadyDistilled")],
)
def test_an_error_ends_the_command_with_the_code_of_its_kind(name, code):
    assert getattr(errors, name).exit_code == code


def test_an_error_says_where_what_and_what_to_do():
    error = LimitError("25.00 dB asked, range 0.80 to 20.00 dB", where="voa_a", remedy="Nothing was sent.")

    assert str(error) == "voa_a: 25.00 dB asked, range 0.80 to 20.00 dB. Nothing was sent."
    assert error.as_dict() == {"type": "LimitError", "message": "25.00 dB asked, range 0.80 to 20.00 dB", "where": "voa_a", "remedy": "Nothing was sent."}


def test_an_error_without_place_and_remedy_is_its_message():
    assert str(HeliographError("the light went out")) == "the light went out"


def test_a_store_that_is_short_names_pair_need_and_stock():
    error = InsufficientKey("A-C", 73_728, 51_200, purpose="round 14")

    assert "round 14 needs 73,728 bits, 51,200 are available" in str(error)
    assert "No key was spent on any pair" in str(error)
    assert "--pairs A-C" in error.remedy


def test_an_impossible_parameter_is_also_a_value_error():
    with pytest.raises(ValueError, match="mu"):
        raise ParameterError("mu must be positive", where="mu")
