"""The verification hash: goldens, fast form against plain form, bad input."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.core.errors import ParameterError
from heliograph.postprocess.verification import multiply, polynomial_tag, polynomial_tag_plain

KEY = int.from_bytes(hashlib.shake_256(b"heliograph/verify/key").digest(8), "little")


def _bits(name: bytes, n: int):
    packed = np.frombuffer(hashlib.shake_256(name).digest((n + 7) // 8), np.uint8).copy()
    if n % 8:
        packed[-1] &= (1 << n % 8) - 1
    return packed


@pytest.mark.parametrize("tag", [polynomial_tag, polynomial_tag_plain])
def test_the_goldens(tag):
    assert KEY.to_bytes(8, "big").hex() == "4cbfbfb942474972"
    assert tag(_bits(b"heliograph/pa/key", 4096), 4096, KEY) == 0x4C69BE3F6FD49656
    assert tag(_bits(b"heliograph/pa/key", 100), 100, KEY) == 0xBB3664ECB4D345FF


@given(st.integers(1, 9000), st.integers(0, 2**64 - 1), st.binary(min_size=4, max_size=4))
def test_fast_and_plain_tags_are_equal(n, key, name):
    packed = _bits(name, n)

    assert polynomial_tag(packed, n, key) == polynomial_tag_plain(packed, n, key)


@given(st.integers(1, 3000), st.data())
def test_one_changed_bit_changes_the_tag(n, data):
    packed = _bits(b"x", n)
    bit = data.draw(st.integers(0, n - 1))
    other = packed.copy()
    other[bit >> 3] ^= 1 << (bit & 7)

    assert polynomial_tag(packed, n, KEY) != polynomial_tag(other, n, KEY)


def test_the_length_is_part_of_the_tag():
    zeros = np.zeros(8, np.uint8)

    assert polynomial_tag(zeros, 63, KEY) != polynomial_tag(zeros, 64, KEY)


@given(*[st.integers(0, 2**64 - 1)] * 3)
def test_the_product_is_that_of_a_field(a, b, c):
    assert multiply(a, b) == multiply(b, a)
    assert multiply(a, multiply(b, c)) == multiply(multiply(a, b), c)
    assert multiply(a, b ^ c) == multiply(a, b) ^ multiply(a, c)
    assert multiply(a, 1) == a


@pytest.mark.parametrize(
    ("where", "packed", "n", "key"),
    [
        ("packed", np.zeros(2, np.uint8), 17, 1),
        ("packed", np.zeros(3, np.uint8), 16, 1),
        ("packed", np.zeros(0, np.uint8), 0, 1),
        ("packed", np.full(2, 255, np.uint8), 15, 1),
        ("packed", np.zeros(2, np.int64), 16, 1),
        ("key", np.zeros(2, np.uint8), 16, -1),
        ("key", np.zeros(2, np.uint8), 16, 2**64),
        ("key", np.zeros(2, np.uint8), 16, 1.0),
    ],
)
def test_bad_input_is_refused_by_name(where, packed, n, key):
    with pytest.raises(ParameterError) as caught:
        polynomial_tag(packed, n, key)

    assert caught.value.where == where
