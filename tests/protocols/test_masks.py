import hashlib
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.core.errors import ConfigError, ParameterError
from heliograph.protocols.aggregation.masks import key_bits, mask, pair_words, sum_words
from heliograph.protocols.aggregation.quantiser import safe_range, word_type
from heliograph.protocols.aggregation.variants import Pairwise, Plain, Quantised, aggregator

WEIGHTS = (0.5, 0.25, 0.25)
UPDATES = ((0.5, -0.25, 0.1, 0), (-0.5, 0.75, 0.2, 1e-6), (0.3, 0.3, -0.9, -0.4))


def golden_key(i: int, j: int) -> bytes:
    return hashlib.sha256(f"heliograph-golden|{i}|{j}|0".encode()).digest()[:8]


def golden_words(me: int) -> tuple[list, list]:
    above = [pair_words(golden_key(me, other), 4, 16) for other in range(me + 1, 3)]
    below = [pair_words(golden_key(other, me), 4, 16) for other in range(me)]
    return above, below


@pytest.mark.parametrize(
    ("me", "words", "upload"),
    [
        (0, (49475, 18414, 14767, 63139), "43e1ee371540a3f6"),
        (1, (58230, 10211, 31451, 52248), "76d3e33f418118cc"),
        (2, (23367, 36911, 19318, 15685), "e164c999a92e7830"),
    ],
)
def test_golden_masks_and_uploads_are_byte_exact(me, words, upload):
    above, below = golden_words(me)
    assert tuple(mask(above, below, 4, 16)) == words
    assert Pairwise(1.0, 16).upload(WEIGHTS[me] * np.array(UPDATES[me]), above, below).tobytes().hex() == upload


def summed(variant, updates, keys=None):
    """Return the sum that all clients' uploads make. keys: (earlier, later client) -> key bytes of the pair."""
    names, words = sorted(updates), {pair: pair_words(material, len(next(iter(updates.values()))), variant.q) for pair, material in (keys or {}).items()}
    uploads = [
        variant.upload(updates[me], [words[me, to] for to in names if (me, to) in words], [words[to, me] for to in names if (to, me) in words]) for me in names
    ]
    return variant.read(variant.total(uploads))


def test_golden_sum_is_exact():
    variant = Pairwise(1.0, 16)
    total = variant.total([variant.upload(WEIGHTS[me] * np.array(UPDATES[me]), *golden_words(me)) for me in range(3)])
    assert tuple(total) == (6554, 4506, 61439, 62259)
    assert variant.read(total) == pytest.approx([0.2000183111, 0.1375164037, -0.1250343333, -0.1000091555], rel=1e-6)


def test_delivery_example_of_three_clients():
    s01, s02, s12 = bytes((17, 200, 3)), bytes((255, 1, 128)), bytes((90, 90, 90))
    updates = np.array([(0.6, -0.9, 0.3), (0.1, 0.2, -0.5), (-0.4, 0.9, 0.7)]) / 3
    variant = Pairwise(1.0, 8)
    a, b, c = (pair_words(key, 3, 8) for key in (s01, s02, s12))
    uploads = [variant.upload(updates[0], [a, b], []), variant.upload(updates[1], [c], [a]), variant.upload(updates[2], [], [b, c])]
    assert [tuple(y) for y in uploads] == [(41, 163, 144), (77, 154, 66), (150, 203, 68)]
    assert tuple(variant.total(uploads)) == (12, 8, 22)


@settings(deadline=None)
@given(st.integers(3, 10), st.sampled_from([8, 16, 32]), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_the_masked_sum_equals_the_unmasked_one_word_for_word(clients, q, d, seed):
    rng = np.random.default_rng(seed)
    names = [f"c{i}" for i in range(clients)]
    updates = {name: rng.uniform(-1, 1, d) / clients for name in names}
    keys = {pair: rng.bytes(d * q // 8) for pair in combinations(sorted(names), 2)}
    alpha = safe_range(1.0, q, clients)
    assert np.array_equal(summed(Pairwise(alpha, q), updates, keys), summed(Quantised(alpha, q), updates))
    assert np.abs(summed(Quantised(alpha, q), updates) - summed(Plain(), updates)).max() <= clients * alpha / (2 ** (q - 1) - 1) / 2 * (1 + 1e-6)


@settings(deadline=None)
@given(st.integers(3, 8), st.sampled_from([8, 16, 32]), st.integers(0, 2**32 - 1))
def test_the_masks_of_a_round_sum_to_zero(clients, q, seed):
    rng = np.random.default_rng(seed)
    words = {pair: rng.integers(0, 2**q, 7).astype(word_type(q)) for pair in combinations(range(clients), 2)}
    masks = [mask([words[k, j] for j in range(k + 1, clients)], [words[j, k] for j in range(k)], 7, q) for k in range(clients)]
    assert not sum_words(masks, q).any()


def test_one_upload_is_uniform_whatever_the_update():
    from scipy.stats import chisquare

    rng = np.random.default_rng(5)
    variant, x = Pairwise(1.0, 16), np.full(500, 0.25)
    upload = b"".join(variant.upload(x, [pair_words(rng.bytes(1000), 500, 16)], [pair_words(rng.bytes(1000), 500, 16)]).tobytes() for _ in range(40))
    assert chisquare(np.bincount(np.frombuffer(upload, dtype=np.uint8), minlength=256)).pvalue > 1e-4


def test_one_flipped_key_bit_changes_the_sum():
    updates = {name: np.array([0.1, 0.2]) for name in "abc"}
    keys = {("a", "b"): b"1234", ("a", "c"): b"5678", ("b", "c"): b"9abc"}
    variant = Pairwise(1.0, 16)
    uploads = [variant.upload(updates["a"], [pair_words(b"1235", 2, 16), pair_words(b"5678", 2, 16)])]
    uploads += [variant.upload(updates["b"], [pair_words(b"9abc", 2, 16)], [pair_words(b"1234", 2, 16)])]
    uploads += [variant.upload(updates["c"], [], [pair_words(b"5678", 2, 16), pair_words(b"9abc", 2, 16)])]
    assert not np.array_equal(variant.read(variant.total(uploads)), summed(variant, updates, keys))


@pytest.mark.parametrize(("d", "q"), [(0, 16), (5, 12), (5, 4)])
def test_widths_and_sizes_that_cannot_be_masked_are_refused(d, q):
    with pytest.raises(ConfigError):
        key_bits(d, q)


def test_short_key_material_is_refused_and_the_tail_is_left_out():
    with pytest.raises(ParameterError):
        pair_words(b"123", 2, 16)
    assert tuple(pair_words(b"\x01\x00\x02\x00\xff", 2, 16)) == (1, 2)


def test_an_upload_without_any_mask_is_refused():
    with pytest.raises(ConfigError, match="in clear"):
        Pairwise(1.0, 16).upload(np.zeros(2))


def test_an_unknown_variant_is_refused():
    with pytest.raises(ConfigError, match="prg"):
        aggregator("prg", 1.0, 16)
