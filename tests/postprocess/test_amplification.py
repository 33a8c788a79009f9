"""Privacy amplification: goldens, every way against the definition, precision, memory, bad input."""

import hashlib
import os
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.core.errors import ParameterError, PrecisionError
from heliograph.postprocess import _clmul, _toeplitz_fft, amplification
from heliograph.postprocess.amplification import amplify, amplify_direct

METHODS = ["fft", "fft-tiles", *(["clmul"] if _clmul.available() else [])]
MILLION = 1048576
GOLDEN_MILLION = "dab081bbf4f3ba970df99d246aac0ee614f901516eeeec14a03cc81f5fce96c6"


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


@pytest.mark.parametrize("method", METHODS)
def test_the_golden_of_a_million_bits(method):
    found = amplify(_bits(b"heliograph/pa/key", MILLION), MILLION, _bits(b"heliograph/pa/seed", MILLION - 1), 283115, method=method)

    assert hashlib.sha256(found.tobytes()).hexdigest() == GOLDEN_MILLION


@pytest.mark.parametrize("method", METHODS[:1] + METHODS[2:])
@given(st.integers(2, 700), st.data())
def test_every_way_agrees_with_the_definition_on_any_size(method, n, data):
    m = data.draw(st.one_of(st.just(1), st.just(n - 1), st.integers(1, n - 1)))
    key, seed = _bits(data.draw(st.binary(max_size=8)), n), _bits(b"seed" + data.draw(st.binary(max_size=8)), n - 1)

    found = amplify(key, n, seed, m, method=method)

    assert found.tobytes() == amplify_direct(key, n, seed, m).tobytes() == _by_matrix(key, seed, n, m).tobytes()


@given(st.integers(2, 2000), st.sampled_from([8, 16, 64, 256]), st.data())
def test_transforms_of_tiles_agree_with_the_definition(n, tile, data):
    m = data.draw(st.one_of(st.just(1), st.just(n - 1), st.integers(1, n - 1)))
    key, seed = _bits(b"k" + data.draw(st.binary(max_size=8)), n), _bits(b"s" + data.draw(st.binary(max_size=8)), n - 1)

    found = _toeplitz_fft.product_in_tiles(seed, key, n, m, tile) ^ amplification._last_bits(key, n, m)

    assert found.tobytes() == amplify_direct(key, n, seed, m).tobytes()


@pytest.mark.skipif(not _clmul.available(), reason="needs an x86 processor with PCLMULQDQ")
@settings(max_examples=60, deadline=None)
@given(st.integers(2, 40_000), st.data())
def test_word_products_agree_with_the_transform_over_several_tiles_and_halvings(n, data):
    m = data.draw(st.one_of(st.just(1), st.just(n - 1), st.integers(1, n - 1)))
    key, seed = _bits(b"k" + data.draw(st.binary(max_size=8)), n), _bits(b"s" + data.draw(st.binary(max_size=8)), n - 1)

    assert amplify(key, n, seed, m, method="clmul").tobytes() == amplify(key, n, seed, m, method="fft").tobytes()


@pytest.mark.skipif(not _clmul.available(), reason="needs an x86 processor with PCLMULQDQ")
def test_processors_with_the_narrow_instruction_alone_get_the_same_bits(tmp_path):
    program = f"""
import hashlib, numba, numpy
from heliograph.postprocess import _carryless
from heliograph.postprocess.amplification import amplify
from heliograph.postprocess.verification import polynomial_tag
key, seed = (numpy.frombuffer(hashlib.shake_256(b"heliograph/pa/" + name).digest({MILLION // 8}), numpy.uint8).copy() for name in (b"key", b"seed"))
seed[-1] &= 127
found = amplify(key, {MILLION}, seed, 283115, method="clmul")
print(_carryless.lanes(), hashlib.sha256(found.tobytes()).hexdigest(), hex(polynomial_tag(key[:512].copy(), 4096, 0x4CBFBFB942474972)))
"""
    ended = _with_features(program, tmp_path, "-avx512f", "-vpclmulqdq")

    assert ended.stdout.split() == ["1", GOLDEN_MILLION, "0x4c69be3f6fd49656"]


def test_without_the_instruction_the_transform_is_taken(tmp_path):
    program = """
from heliograph.core.errors import DependencyMissing
import numpy
from heliograph.postprocess.amplification import amplify
key, seed = numpy.array([0b11001101, 0b11010001], numpy.uint8), numpy.array([0b11001011, 0b00100010], numpy.uint8)
print(amplify(key, 16, seed, 5).tolist())
try:
    amplify(key, 16, seed, 5, method="clmul")
except DependencyMissing:
    print("refused")
"""
    ended = _with_features(program, tmp_path, "-pclmul")

    assert ended.stdout.split() == ["[18]", "refused"]


def _with_features(program, cache, *changes):
    """Run a program whose compiler is told that the processor lacks something."""
    from llvmlite.binding import get_host_cpu_features

    features = ",".join([get_host_cpu_features().flatten(), *changes])
    for change in changes:
        features = features.replace(f"+{change[1:]},", "")
    environment = {**os.environ, "NUMBA_CPU_FEATURES": features, "NUMBA_CACHE_DIR": str(cache)}
    ended = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert ended.returncode == 0, ended.stderr
    return ended


def test_large_keys_without_the_instruction_go_in_tiles(monkeypatch):
    monkeypatch.setattr(_clmul, "available", lambda: False)
    monkeypatch.setattr(amplification, "_LARGEST_TRANSFORM", 1000)
    monkeypatch.setattr(_toeplitz_fft, "product", lambda *_: pytest.fail("in one piece"))
    key, seed = _bits(b"a", 1001), _bits(b"b", 1000)

    assert amplify(key, 1001, seed, 300).tobytes() == amplify_direct(key, 1001, seed, 300).tobytes()


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("method", "megabytes"), [("clmul", 150), ("fft-tiles", 700)])
def test_a_hundred_million_bits_stay_within_a_stated_memory(method, megabytes):
    if method not in METHODS:
        pytest.skip("needs an x86 processor with PCLMULQDQ")
    n, m = 100_000_003, 27_000_001
    key, seed = _bits(b"a", n), _bits(b"b", n - 1)
    tracemalloc.start()
    try:
        found = np.unpackbits(amplify(key, n, seed, m, method=method), count=m, bitorder="little")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < megabytes * 1e6
    _assert_rows(found, key, seed, n, m)


@pytest.mark.slow
@pytest.mark.skipif(not _clmul.available(), reason="needs an x86 processor with PCLMULQDQ")
def test_two_hundred_million_bits_stay_within_300_megabytes():
    n, m = 200_000_000, 54_000_000
    key, seed = _bits(b"c", n), _bits(b"d", n - 1)
    tracemalloc.start()
    try:
        packed = amplify(key, n, seed, m)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 300e6
    _assert_rows(np.unpackbits(packed, count=m, bitorder="little"), key, seed, n, m)


def _assert_rows(found, key, seed, n, m):
    """Compare some final bits with their rows of the matrix."""
    bits, row, q = np.unpackbits(key, count=n, bitorder="little"), np.unpackbits(seed, count=n - 1, bitorder="little"), n - m
    for i in (0, 1, 777_777, m // 2, m - 1):
        assert found[i] == (np.count_nonzero(row[i : i + q][::-1] & bits[:q]) + bits[q + i]) % 2


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
        _toeplitz_fft.odd(np.array([3.0, 5.0 + worst, 1.0]))


def test_a_small_rounding_error_is_rounded_away():
    assert _toeplitz_fft.odd(np.array([3.01, 4.8, 6.1])).tolist() == [1, 1, 0]


@pytest.mark.parametrize("method", METHODS)
def test_five_million_bits_agree_with_the_definition(method):
    n, m = 5_000_011, 1_200_001
    key, seed = _bits(b"a", n), _bits(b"b", n - 1)

    found = np.unpackbits(amplify(key, n, seed, m, method=method), count=m, bitorder="little")

    _assert_rows(found, key, seed, n, m)
