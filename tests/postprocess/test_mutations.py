"""An error of one in leakage, length or seed is found: each is planted in a copy of the package, and the tests that ought to see it must fail there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from heliograph.postprocess import _clmul

ROOT = Path(__file__).parents[2]
ROOMS = ("core", "instruments", "acquisition", "postprocess")
TWO_PARTIES, FUSED = "reconciliation/test_two_parties.py", "reconciliation/test_fused.py"
PLANTED = [
    # leakage
    ("reconciliation/reference.py", "self._disclosed += parities", "self._disclosed += parities - 1", TWO_PARTIES),
    ("reconciliation/corrector.py", "self._heads[: self._items, 1].sum()", "self._heads[1 : self._items, 1].sum()", TWO_PARTIES),
    ("reconciliation/_fused_kernels.py", "disclosed += cursor[ASKED]", "disclosed += cursor[ASKED] - 1", FUSED),
    ("reconciliation/_fused_kernels.py", "disclosed = slots.cursors[0], 0", "disclosed = slots.cursors[0], 1", FUSED),
    ("leakage.py", "self.per_frame[frame] += count", "self.per_frame[frame] += count - 1", "test_distillation.py"),
    ("_party.py", "return parities if", "return parities - 1 if", "test_distillation.py"),
    ("_party.py", "HASH_BITS if kept.all()", "HASH_BITS - 1 if kept.all()", "test_distillation.py"),
    ("_party.py", "HASH_BITS * (1 + int(kept.sum()))", "HASH_BITS * int(kept.sum())", "test_distillation.py"),
    # length
    ("finite_key.py", "max(0, floor(unclipped))", "max(0, floor(unclipped) + 1)", "test_finite_key.py"),
    ("finite_key.py", '"leak": -float(leak_bits)', '"leak": 1.0 - leak_bits', "test_finite_key.py"),
    ("finite_key.py", "2.0 + 2.0 * log2(epsilons.amplification)", "3.0 + 2.0 * log2(epsilons.amplification)", "test_finite_key.py"),
    ("amplification.py", "divmod(n - m, 8)", "divmod(n - m - 1, 8)", "test_amplification.py"),
    ("verification.py", "return _finish(horner(words, key), n_bits, key)", "return _finish(horner(words, key), n_bits - 1, key)", "test_verification.py"),
    # seeds
    ("_toeplitz_clmul.py", "64 * columns * width - (q - 1))", "64 * columns * width - q)", "test_amplification.py"),
    ("_toeplitz_fft.py", "[key.size - 1 : key.size - 1 + m]", "[key.size : key.size + m]", "test_amplification.py"),
    ("_toeplitz_fft.py", "row * tile + key.size - tile, 2", "row * tile + key.size - tile - 1, 2", "test_amplification.py"),
    ("amplification.py", 'checked(seed_packed, n - 1, "seed")', 'checked(seed_packed, n, "seed")', "test_amplification.py"),
    ("distillation.py", "n_seed = self._n_key - 1", "n_seed = self._n_key", "test_distillation.py"),
    ("reconciliation/permutation.py", "bytes([index])", "bytes([index - 1])", "reconciliation/test_permutation.py"),
    ("reconciliation/permutation.py", '"<u8", words, 8 * words', '"<u8", words, 8 * words - 8', "reconciliation/test_permutation.py"),
]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A copy of the rooms that distil, and of their tests."""
    copy = tmp_path_factory.mktemp("planted") / "heliograph"
    (copy / "tests").mkdir(parents=True)
    for name in (*ROOMS, "tests/postprocess"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("__init__.py", "pyproject.toml", "tests/conftest.py"):
        shutil.copy2(ROOT / name, copy / name)
    return copy


def _tests_of(copy, name):
    """Run a file of tests in the copy; give its exit code (0: passed, 1: some failed) and what it said."""
    arguments = ["-q", "-x", "-p", "no:cacheprovider", "-p", "no:pytest-qt", f"tests/postprocess/{name}"]
    environment = {**os.environ, "PYTHONPATH": str(copy.parent), "PYTHONDONTWRITEBYTECODE": "1"}
    environment.pop("NUMBA_CACHE_DIR", None)
    ended = subprocess.run([sys.executable, "-m", "pytest", *arguments], cwd=copy, env=environment, capture_output=True, text=True, check=False, timeout=250)
    return ended.returncode, ended.stdout[-2000:] + ended.stderr[-2000:]


@pytest.mark.parametrize("name", sorted({planted[3] for planted in PLANTED}))
def test_nothing_fails_in_the_copy_as_it_is(copy, name):
    code, said = _tests_of(copy, name)

    assert code == 0, said


@pytest.mark.parametrize(("module", "right", "wrong", "name"), PLANTED)
def test_an_error_of_one_is_found(copy, module, right, wrong, name):
    if "clmul" in module and not _clmul.available():
        pytest.skip("needs an x86 processor with PCLMULQDQ")
    path = copy / "postprocess" / module
    text, stamp = path.read_text(), path.stat()
    assert text.count(right) == 1

    path.write_text(text.replace(right, wrong))
    try:
        code, said = _tests_of(copy, name)
    finally:
        path.write_text(text)
        os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))

    assert code == 1, said
    assert "AssertionError" in said or "Error" in said
