"""Privacy amplification: goldens, FFT against definition, precision, bad input."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.core.errors import ParameterError, PrecisionError
from heliograph.postprocess import amplification
from heliograph.postprocess.amplification import amplify, amplify_direct


def _bits(name: bytes, n: int):
    packed = np.frombuffer(hashlib.shake_256(name).digest((n + 7) // 8), np.uint8).copy()
    if n % 8:
        packed[-1] &= (1 << n % 8) - 1
    return packed


def _packed(text: str):
    return np.packbits([int(bit) for bit in text], bitorder="little")


def _by_matrix(key, seed, n, m):
    """The definition with the matrix written out: T[i, j] = s[i - j + q - 1], result T k[0:q] + k[q:n]."""
    q = n - m
    k, s = np.unpackbits(key, count=n, bitorder="little").astype(int), np.unpackbits(seed, count=n - 1, bitorder="little").astype(int)
    matrix = s[np.arange(m)[:, None] - np.arange(q)[None, :] + q - 1]
    return np.packbits((matrix @ k[:q] + k[q:]) % 2, bitorder="little")


@pytest.mark.parametrize("hash_bits", [amplify, amplify_direct])
def test_the_printed_golden(hash_bits):
    found = hash_bits(_packed("1011001110001011"), 16, _packed("110100111010001"), 5)

    assert np.unpackbits(found, bitorder="little").tolist() == [0, 1, 0, 0, 1, 0, 0, 0]


@pytest.mark.parametrize("hash_bits", [amplify, amplify_direct])
def test_the_golden_of_4096_bits(hash_bits):
    found = hash_bits(_bits(b"heliograph/pa/key", 4096), 4096, _bits(b"heliograph/pa/seed", 4095), 1000)

    assert "".join(map(str, np.unpackbits(found, bitorder="little")[:16])) == "1010010111110111"
    assert hashlib.sha256(found.tobytes()).hexdigest() == "96070f029be9f0ade9fb3bca76cb5c392bbedbe164c4cd7081cd741e85958d20"


def test_the_golden_of_a_million_bits():
    n = 1048576

    found = amplify(_bits(b"heliograph/pa/key", n), n, _bits(b"heliograph/pa/seed", n - 1), 283115)

    assert hashlib.sha256(found.tobytes()).hexdigest() == "dab081bbf4f3ba970df99d246aac0ee614f901516eeeec14a03cc81f5fce96c6"


@given(st.integers(2, 700), st.data())
def test_transform_and_definition_agree_on_any_size(n, data):
    m = data.draw(st.one_of(st.just(1), st.just(n - 1), st.integers(1, n - 1)))
    key, seed = _bits(data.draw(st.binary(max_size=8)), n), _bits(b"seed" + data.draw(st.binary(max_size=8)), n - 1)

    found = amplify(key, n, seed, m)

    assert found.tobytes() == amplify_direct(key, n, seed, m).tobytes() == _by_matrix(key, seed, n, m).tobytes()


@given(st.integers(2, 300), st.data())
def test_the_hash_is_linear_in_the_key(n, data):
    m = data.draw(st.integers(1, n - 1))
    seed = _bits(b"s", n - 1)
    a, b = _bits(b"a", n), _bits(b"b", n)

    assert (amplify(a, n, seed, m) ^ amplify(b, n, seed, m)).tobytes() == amplify(a ^ b, n, seed, m).tobytes()


@pytest.mark.parametrize(
    ("where", "n", "key_bytes", "seed_bytes", "m"),
    [
        ("m", 16, 2, 2, 0),
        ("m", 16, 2, 2, 16),
        ("m", 16, 2, 2, -3),
        ("key", 16, 3, 2, 5),
        ("seed", 17, 3, 3, 5),
        ("seed", 16, 2, 1, 5),
    ],
)
def test_impossible_sizes_are_refused_by_name(where, n, key_bytes, seed_bytes, m):
    with pytest.raises(ParameterError) as caught:
        amplify(np.zeros(key_bytes, np.uint8), n, np.zeros(seed_bytes, np.uint8), m)

    assert caught.value.where == where


def test_a_seed_of_n_bits_is_refused():
    with pytest.raises(ParameterError, match="padding"):
        amplify(np.zeros(2, np.uint8), 16, np.full(2, 255, np.uint8), 5)


@pytest.mark.parametrize("worst", [0.25, 0.4, np.nan])
def test_a_rounding_error_of_a_quarter_gives_no_output(worst):
    with pytest.raises(PrecisionError):
        amplification._rounded(np.array([3.0, 5.0 + worst, 1.0]))


def test_a_small_rounding_error_is_rounded_away():
    assert amplification._rounded(np.array([3.01, 4.8])).tolist() == [3, 5]


def test_five_million_bits_agree_with_the_definition():
    n, m = 5_000_011, 1_200_001
    key, seed = _bits(b"a", n), _bits(b"b", n - 1)
    bits = np.unpackbits(key, count=n, bitorder="little")

    found = np.unpackbits(amplify(key, n, seed, m), count=m, bitorder="little")

    row, q = np.unpackbits(seed, count=n - 1, bitorder="little"), n - m
    for i in (0, 1, 777_777, m - 1):
        assert found[i] == (np.count_nonzero(row[i : i + q][::-1] & bits[:q]) + bits[q + i]) % 2
