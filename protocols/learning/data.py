"""Loaders of the data sets: arrays of samples and labels, checked against published checksums."""

from __future__ import annotations

import hashlib
import io
import tarfile
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ...core.errors import DataChecksumError, DataError, DependencyMissing
from .catalogue import DataFile, DataSet, fetch, find, first_here, raw_bytes

DIGITS_SHA256 = "8f26b2bd9d135c256808f68f14fdabddde6d9c7f869ae419704b051f0f14b3b3"


@dataclass(frozen=True, slots=True)
class Samples:
    """Samples with labels.

    x: (n, D), any real type.  y: (n,), digits 0 to 9 as loaded, +1 for the first class and -1 for the second in a task.
    """

    x: NDArray[Any]
    y: NDArray[Any]

    def __len__(self) -> int:
        return len(self.y)

    def take(self, index: NDArray[np.int64]) -> Samples:
        """Return the samples of an index, in its order."""
        return Samples(self.x[index], self.y[index])


def load_digits() -> Samples:
    """Return scikit-learn's digits: x uint8 (1797, 64), values 0 to 16; y int64 (1797,).

    Raises `DependencyMissing` without scikit-learn and `DataChecksumError` where its copy is another one.
    """
    try:
        from sklearn import datasets
    except ImportError as error:
        raise DependencyMissing("the digits come with scikit-learn, which is not installed", where="data set digits", remedy="Install scikit-learn.") from error
    bunch = datasets.load_digits()
    x = np.asarray(bunch.data).astype(np.uint8)
    if hashlib.sha256(x.tobytes()).hexdigest() != DIGITS_SHA256:
        raise DataChecksumError("scikit-learn's digits are not the published ones", where="data set digits", remedy="Reinstall scikit-learn.")
    return Samples(x, np.asarray(bunch.target).astype(np.int64))


def load_mnist(part: Literal["train", "t10k"] = "t10k", *, download: bool = False) -> Samples:
    """Return MNIST as published: x uint8 (n, 784), y int64 (n,); n = 60,000 (train) or 10,000 (t10k).

    download: fetch it where it is missing.  Raises `DataMissing` or `DataChecksumError`.
    """
    if download:
        fetch("mnist")
    data = find("mnist")
    images, labels = (file for file in data.files if f"/{part}-" in file.path)
    x, y = _idx(data, images, 16), _idx(data, labels, 8)
    return Samples(x.reshape(len(y), -1), y.astype(np.int64))


def _idx(data: DataSet, file: DataFile, header: int) -> NDArray[np.uint8]:
    return np.frombuffer(raw_bytes(data, file), dtype=np.uint8, offset=header)


def load_cifar10(part: Literal["train", "test"] = "test") -> Samples:
    """Return CIFAR-10: x uint8 (n, 3, 32, 32), y int64 (n,), 0 to 9 in the published order.

    As published, 50,000 and 10,000 images, where the archive is here; else the subset of 10,000 and 2,000.  Raises `DataMissing` or `DataChecksumError`.
    """
    data = first_here("cifar10", "cifar10_subset")
    if data.name == "cifar10_subset":
        arrays = _npz(data)
        return Samples(np.ascontiguousarray(arrays[f"x_{part}"].transpose(0, 3, 1, 2)), arrays[f"y_{part}"].astype(np.int64))
    wanted = [f"data_batch_{n}.bin" for n in range(1, 6)] if part == "train" else ["test_batch.bin"]
    with tarfile.open(fileobj=io.BytesIO(raw_bytes(data, data.files[0])), mode="r:gz") as archive:
        batches = {name.rpartition("/")[2]: archive.extractfile(name) for name in archive.getnames() if name.endswith(".bin")}
        raw = b"".join(batch.read() for name in wanted if (batch := batches.get(name)) is not None)
    # A record is the label and then 1024 bytes of red, green and blue.
    records = np.frombuffer(raw, np.uint8).reshape(-1, 3073)
    return Samples(records[:, 1:].reshape(-1, 3, 32, 32), records[:, 0].astype(np.int64))


def load_medical_mnist() -> Samples:
    """Return Medical MNIST: x uint8 (n, 1, 64, 64), y int64 (n,), 0 to 5 in the order of the names of the kinds.

    As published, 58,954 images, where the archive is here; else the subset of 7,200.  Raises `DataMissing` or `DataChecksumError`.
    """
    data = first_here("mednist", "medmnist")
    if data.name == "medmnist":
        arrays = _npz(data)
        return Samples(arrays["x"][:, None], arrays["y"].astype(np.int64))
    return _radiographs(raw_bytes(data, data.files[0]))


def _radiographs(archive: bytes) -> Samples:
    """Return the images of an archive of folders, one a kind, in the order of their names."""
    from PIL import Image

    found = {}
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as folders:
        for entry in folders:
            *_, kind, name = "", "", *entry.name.split("/")
            if entry.isfile() and name.endswith(".jpeg") and not name.startswith(".") and (opened := folders.extractfile(entry)) is not None:
                found[kind, name] = np.asarray(Image.open(io.BytesIO(opened.read())).convert("L"))
    kinds = sorted({kind for kind, _ in found})
    order = sorted(found)
    return Samples(np.stack([found[one] for one in order])[:, None], np.array([kinds.index(kind) for kind, _ in order], np.int64))


def _npz(data: DataSet) -> dict[str, NDArray[Any]]:
    with np.load(io.BytesIO(raw_bytes(data, data.files[0])), allow_pickle=False) as arrays:
        return dict(arrays)


def shrink(x: NDArray[np.uint8], side: int = 16) -> NDArray[np.float64]:
    """Return square images (n, s s) scaled to [0, 1] and resized to side x side, bilinear with antialias: float64 (n, side side)."""
    import torch
    from torch.nn.functional import interpolate

    s = round(x.shape[1] ** 0.5)
    images = torch.from_numpy(x.astype(np.float64) / 255).reshape(-1, 1, s, s)
    small = interpolate(images, size=(side, side), mode="bilinear", align_corners=False, antialias=True)
    return np.asarray(small.reshape(len(x), -1).numpy(), dtype=np.float64)


def two_classes(samples: Samples, first: int, second: int) -> Samples:
    """Return the samples of two digits with labels +1 (first) and -1 (second). Raises `DataError` where one is absent or both are one."""
    if first == second or not {first, second} <= set(np.unique(samples.y).tolist()):
        raise DataError(f"the classes {first} and {second} cannot be told apart in this data set", where="classes", remedy="Name two different digits.")
    kept = samples.take(np.flatnonzero((samples.y == first) | (samples.y == second)))
    return Samples(kept.x, np.where(kept.y == first, 1.0, -1.0))
