import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.core.errors import BadReply, ValueOutOfRange
from heliograph.instruments.wire.values import OVERFLOW, finite


@pytest.mark.parametrize("value", ["warm", "", "1.5,2", True, False, None, [1.0], "1_0V"])
def test_what_is_no_number_is_a_bad_reply(value):
    with pytest.raises(BadReply, match="power") as caught:
        finite(value, "power")
    assert type(caught.value) is BadReply


@pytest.mark.parametrize("value", ["nan", "NAN", "9.9E37", "-9.9E+37", "inf", "1e999", float("nan"), 9.91e37])
def test_a_number_that_means_none_is_out_of_range(value):
    with pytest.raises(ValueOutOfRange, match="power"):
        finite(value, "power")


@given(st.floats(-9e37, 9e37))
def test_every_other_number_is_taken_as_it_is(value):
    assert finite(value, "x") == finite(repr(value), "x") == finite(np.float64(value), "x") == value
    assert OVERFLOW > 9e37


def test_whole_numbers_are_numbers():
    assert finite(3, "x") == finite(" +3 ", "x") == finite(np.int64(3), "x") == 3.0
