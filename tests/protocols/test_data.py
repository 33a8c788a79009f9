import gzip
import hashlib
import io
import os
import socket
import tarfile
from dataclasses import replace
from urllib.error import URLError

import numpy as np
import pytest

from heliograph.core.errors import DataChecksumError, DataError, DataMissing, ParameterError, StorageError
from heliograph.protocols.learning import catalogue
from heliograph.protocols.learning.catalogue import DataFile, DataSet, datasets, fetch, raw_bytes
from heliograph.protocols.learning.data import load_cifar10, load_digits, load_medical_mnist, load_mnist, shrink, two_classes
from heliograph.protocols.learning.encoding import normalised

RAW = bytes(range(256)) * 8
FILE = DataFile("small/numbers.gz", "https://example.org/numbers.gz", hashlib.sha256(RAW).hexdigest(), len(RAW), 4096)
SMALL = DataSet("small", "numbers", "CC0", "digits", (FILE,))


class Answer(io.BytesIO):
    url = FILE.url

    def geturl(self):
        return self.url


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("HELIOGRAPH_DATA", str(tmp_path))
    monkeypatch.setitem(catalogue.CATALOGUE, "small", SMALL)

    def refuse(*_args, **_kwargs):
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    return tmp_path


def here(root, content):
    path = root / FILE.path
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return path


def serve(content):
    return lambda _url, timeout: Answer(content)


def test_digits_are_the_published_ones():
    digits = load_digits()
    assert np.bincount(digits.y).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert np.linalg.norm(digits.x[0].astype(float)) == pytest.approx(55.407581, abs=1e-6)
    amplitudes = normalised(digits.x[:1], 6)[0]
    assert (amplitudes.argmax(), amplitudes.max()) == (11, pytest.approx(0.270721, abs=1e-6))


@pytest.mark.skipif(not (catalogue.data_root() / "mnist").is_dir(), reason="MNIST is not under HELIOGRAPH_DATA")
def test_mnist_is_the_published_one_after_preprocessing():
    test = load_mnist()
    small = shrink(test.x[:1])
    amplitudes = normalised(small, 8)[0]
    assert len(test) == 10_000
    assert np.linalg.norm(small) == pytest.approx(3.682507, abs=1e-5)
    assert (amplitudes.argmax(), amplitudes.max()) == (215, pytest.approx(0.237961, abs=1e-5))
    assert np.sum(np.abs(amplitudes) > 1e-5) == 72


def test_missing_data_names_command_licence_and_stand_in_and_opens_no_socket(root):
    with pytest.raises(DataMissing) as missing:
        load_mnist()
    text = str(missing.value)
    assert "heliograph data fetch mnist" in text
    assert "CC BY-SA 3.0" in text
    assert "stand-in digits" in text
    assert str(root) in text


@pytest.mark.parametrize(
    "content", [b"", b"not gzip", gzip.compress(RAW)[:-20], gzip.compress(RAW[:-1]), gzip.compress(RAW + b"!"), gzip.compress(b"x" * 10**7)]
)
def test_a_damaged_cut_or_foreign_file_is_refused_and_left_alone(root, content):
    path = here(root, content)
    with pytest.raises(DataChecksumError, match="left alone"):
        raw_bytes(SMALL, FILE)
    with pytest.raises(DataChecksumError):
        fetch("small", open_url=serve(gzip.compress(RAW)))
    assert path.read_bytes() == content


def test_fetch_puts_a_checked_file_in_place_and_keeps_it(root):
    seen = []
    assert fetch("small", open_url=serve(gzip.compress(RAW)), report=lambda path, done: seen.append((path, done))) == (root / FILE.path,)
    assert raw_bytes(SMALL, FILE) == RAW
    assert seen[-1] == (FILE.path, len(gzip.compress(RAW)))
    fetch("small", open_url=lambda *_args, **_kwargs: pytest.fail("fetched twice"))
    assert [status.present for status in datasets() if status.name == "small"] == [True]


def insecure(_url, timeout):
    answer = Answer(gzip.compress(RAW))
    answer.url = "http://example.org/numbers.gz"
    return answer


def unreachable(_url, timeout):
    raise URLError("no route to host")


@pytest.mark.parametrize(
    ("open_url", "error"),
    [(serve(gzip.compress(RAW[::-1])), DataChecksumError), (serve(os.urandom(5000)), DataError), (insecure, DataError), (unreachable, DataMissing)],
)
def test_a_bad_download_leaves_nothing_behind(root, open_url, error):
    with pytest.raises(error):
        fetch("small", open_url=open_url)
    assert [path for path in root.rglob("*") if path.is_file()] == []


def test_only_https_is_fetched(root, monkeypatch):
    monkeypatch.setitem(catalogue.CATALOGUE, "small", replace(SMALL, files=(replace(FILE, url="http://example.org/x"),)))
    with pytest.raises(DataError, match="HTTPS"):
        fetch("small", open_url=serve(gzip.compress(RAW)))


def test_a_root_that_cannot_be_written_is_a_storage_error_and_reading_from_it_works(root, monkeypatch):
    here(root, gzip.compress(RAW)).chmod(0o400)
    assert raw_bytes(SMALL, FILE) == RAW
    blocked = root / "blocked"
    blocked.write_text("a file where the folder should be")
    monkeypatch.setenv("HELIOGRAPH_DATA", str(blocked))
    with pytest.raises(StorageError):
        fetch("small", open_url=serve(gzip.compress(RAW)))


def test_the_listing_knows_what_is_embedded(root):
    rows = {status.name: status for status in datasets()}
    assert rows["digits"].embedded
    assert rows["digits"].present
    assert not rows["mnist"].present
    assert rows["mnist"].folder == str(root / "mnist")


def test_an_unknown_data_set_is_refused():
    with pytest.raises(ParameterError, match="digits, mnist"):
        fetch("cifar")


@pytest.mark.parametrize("classes", [(3, 3), (3, 12)])
def test_classes_that_are_not_there_are_refused(classes):
    with pytest.raises(DataError):
        two_classes(load_digits(), *classes)


def test_cifar_is_read_from_the_published_archive(root, monkeypatch):
    rng = np.random.default_rng(1)
    batches = {f"data_batch_{n}.bin": rng.integers(0, 10, (3, 3073), np.uint8) for n in range(1, 6)} | {
        "test_batch.bin": rng.integers(0, 10, (2, 3073), np.uint8)
    }
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, records in sorted(batches.items(), reverse=True):
            entry = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            entry.size = records.nbytes
            archive.addfile(entry, io.BytesIO(records.tobytes()))
    raw = packed.getvalue()
    known = catalogue.CATALOGUE["cifar10"]
    file = replace(known.files[0], sha256=hashlib.sha256(raw).hexdigest(), size=len(raw))
    monkeypatch.setitem(catalogue.CATALOGUE, "cifar10", replace(known, files=(file,)))
    (root / "cifar10").mkdir()
    (root / file.path).write_bytes(raw)

    train, test = load_cifar10("train"), load_cifar10("test")

    assert train.x.shape == (15, 3, 32, 32)
    assert np.array_equal(train.x[3].ravel(), batches["data_batch_2.bin"][0, 1:])
    assert np.array_equal(test.y, batches["test_batch.bin"][:, 0])


def test_radiographs_are_read_from_their_archive_by_the_names_of_their_kinds(root, monkeypatch):
    """Two images a kind, light and dark; what lies beside them in the archive is passed over."""
    from PIL import Image

    kinds, packed = ("AbdomenCT", "BreastMRI", "CXR", "ChestCT", "Hand", "HeadCT"), io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for kind in reversed(kinds):
            for name in ("000001.jpeg", "000000.jpeg", "README.md"):
                image = io.BytesIO()
                Image.fromarray(np.full((64, 64), 20 * kinds.index(kind) + (100 if "1" in name else 0), np.uint8)).save(image, "JPEG")
                entry = tarfile.TarInfo(f"MedNIST/{kind}/{name}")
                entry.size = len(image.getvalue())
                archive.addfile(entry, io.BytesIO(image.getvalue()))
    with pytest.raises(DataMissing, match="heliograph data fetch mednist"):
        load_medical_mnist()
    known = catalogue.find("mednist")
    digest = hashlib.md5(packed.getvalue(), usedforsecurity=False).hexdigest()
    monkeypatch.setitem(catalogue.CATALOGUE, "mednist", replace(known, files=(replace(known.files[0], md5=digest),)))
    path = root / known.files[0].path
    path.parent.mkdir()
    path.write_bytes(packed.getvalue())

    found = load_medical_mnist()

    assert found.x.shape == (12, 1, 64, 64)
    assert found.y.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert np.abs(found.x.mean(axis=(1, 2, 3)) - [20 * (n // 2) + 100 * (n % 2) for n in range(12)]).max() < 2
    path.write_bytes(packed.getvalue()[:-1])
    with pytest.raises(DataChecksumError, match="MD5"):
        load_medical_mnist()


@pytest.mark.parametrize("name", ["medmnist", "cifar10_subset"])
def test_a_set_that_nobody_serves_says_where_it_comes_from(root, name):
    with pytest.raises(DataMissing, match=r"by hand.*github\.com"):
        fetch(name)
    with pytest.raises(DataMissing, match=r"by hand.*HELIOGRAPH_DATA"):
        raw_bytes(catalogue.find(name), catalogue.find(name).files[0])


def test_a_file_that_is_not_packed_is_checked_as_it_is(root, monkeypatch):
    monkeypatch.setitem(catalogue.CATALOGUE, "small", replace(SMALL, files=(replace(FILE, gzipped=False),)))

    here(root, RAW)
    assert raw_bytes(catalogue.find("small"), catalogue.find("small").files[0]) == RAW

    here(root, RAW[:-1] + b"x")
    with pytest.raises(DataChecksumError):
        raw_bytes(catalogue.find("small"), catalogue.find("small").files[0])
