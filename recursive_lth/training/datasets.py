"""Data sets by name or file, whole, as normalised tensors on the CPU.

Only this module imports torchvision and scikit-learn, and only when asked for their data.
"""

import hashlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from recursive_lth.config import nearest
from recursive_lth.errors import InputError
from recursive_lth.training.samples import Samples

Raw = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], np.ndarray[Any, Any], np.ndarray[Any, Any]]
NPZ_KEYS = ("train_images", "train_labels", "test_images", "test_labels")


@dataclass(frozen=True)
class Dataset:
    """Training and test part: images float32 (n, channels, height, width), or (n, features).

    Each channel, or each feature, is normalised by its mean and deviation in the training part; a
    constant one is only centred. `black` is the normalised value of 0, one a channel or feature.
    `digest` names the raw content.
    """

    name: str
    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    classes: int
    black: Tensor
    digest: str

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """(channels, height, width) or (features,)."""
        return tuple(self.train_images.shape[1:])

    @cached_property
    def test(self) -> Samples:
        """The test part, where the images lie: what turns them does so once for all seeds."""
        return Samples(self.test_images, self.test_labels.to(self.test_images.device))


def load(name: str, data_dir: Path | None = None) -> Dataset:
    """The data set of a known name, or of an .npz file with the four arrays NPZ_KEYS.

    Raises `InputError` naming the cure where it is unknown, missing, damaged or cannot be fetched.
    """
    if name.endswith(".npz"):
        return _dataset(Path(name).stem, _read_npz(Path(name)))
    if name not in DATASETS:
        raise InputError(f"unknown data set {name!r}: {nearest(name, DATASETS)}, or give FILE.npz")
    return _dataset(name, DATASETS[name](data_dir or DEFAULT_FOLDER))


def _dataset(name: str, raw: Raw) -> Dataset:
    train, train_labels, test, test_labels = raw
    digest = hashlib.sha256()
    for array in raw:
        digest.update(f"{array.dtype} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).data)
    scale = 255.0 if train.dtype == np.uint8 else 1.0
    images, held = (
        torch.from_numpy(np.ascontiguousarray(a)).to(torch.float32, copy=True).div_(scale)
        for a in (train, test)
    )
    dims = (0,) if images.dim() == 2 else (0, 2, 3)
    mean, deviation = images.mean(dims, keepdim=True), images.std(dims, keepdim=True)
    deviation = torch.where(deviation > 1e-6, deviation, 1.0)  # a constant one is only centred
    labels = torch.from_numpy(train_labels.astype(np.int64))
    held_labels = torch.from_numpy(test_labels.astype(np.int64))
    return Dataset(
        name,
        images.sub_(mean).div_(deviation),
        labels,
        held.sub_(mean).div_(deviation),
        held_labels,
        int(labels.max()) + 1,
        (-mean / deviation).flatten(),
        digest.hexdigest(),
    )


def _read_npz(path: Path) -> Raw:
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            missing = [key for key in NPZ_KEYS if key not in file]
            if missing:
                raise InputError(f"{path} lacks {', '.join(missing)}: save them with numpy.savez")
            arrays = [file[key] for key in NPZ_KEYS]
    except FileNotFoundError:
        raise InputError(f"no data file {path}: name it with --data") from None
    except InputError:
        raise
    except Exception as error:  # zipfile, zlib and numpy raise a dozen kinds on damaged files
        raise InputError(f"{path} is damaged or holds pickled objects: {error}") from None
    return _checked(path, arrays)


def _checked(path: Path, arrays: list[np.ndarray[Any, Any]]) -> Raw:
    """The arrays as uint8 or float32, grey images with a channel; `path` is where they come from.

    Raises `InputError` where they are no data set.
    """
    for part in (0, 2):
        images, labels = arrays[part], arrays[part + 1]
        if images.ndim == 3:
            arrays[part] = images = images[:, None]
        if images.ndim not in (2, 4) or images.dtype.kind not in "uif" or not images.size:
            raise InputError(
                f"{path}: {NPZ_KEYS[part]} must be numbers (n, features), (n, h, w) or "
                f"(n, channels, h, w), got {images.dtype} {images.shape}"
            )
        if images.dtype != np.uint8:
            with np.errstate(over="ignore"):
                arrays[part] = images = images.astype(np.float32)
            if not np.isfinite(images).all():
                raise InputError(
                    f"{path}: {NPZ_KEYS[part]} hold NaN or infinity, as float32: clean them first"
                )
        if labels.shape != images.shape[:1] or labels.dtype.kind not in "ui" or len(labels) < 2:
            raise InputError(
                f"{path}: {NPZ_KEYS[part + 1]} must be {len(images)} whole numbers, "
                f"got {labels.dtype} {labels.shape}"
            )
        if images.ndim == 4 and images.shape[3] in (1, 3, 4) and images.shape[1] > 4:
            raise InputError(
                f"{path}: {NPZ_KEYS[part]} look like (n, h, w, channels), {images.shape}: "
                "transpose them to (n, channels, h, w)"
            )
    present = np.unique(arrays[1])
    if len(present) < 2 or present[0] != 0 or present[-1] != len(present) - 1:
        raise InputError(
            f"{path}: training labels must number the classes 0, 1, 2 and so on, each with "
            f"samples; got {len(present)} classes from {present[0]} to {present[-1]}"
        )
    if int(arrays[3].min()) < 0 or int(arrays[3].max()) >= len(present):
        raise InputError(f"{path}: test labels must be 0 to {len(present) - 1}")
    if arrays[0].shape[1:] != arrays[2].shape[1:]:
        raise InputError(f"{path}: training and test images differ in shape")
    if arrays[0].dtype != arrays[2].dtype:
        raise InputError(f"{path}: one of training and test images is uint8, 0-255, one is not")
    return arrays[0], arrays[1], arrays[2], arrays[3]


def _digits(folder: Path) -> Raw:
    """UCI's optical digits, the 1,797 test ones (Alpaydin & Kaynak 1998), as scikit-learn has them.

    Every fifth is kept for testing; there is no official split.
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = (np.asarray(bunch.images) * 15.9375).astype(np.uint8)[:, None]
    labels = np.asarray(bunch.target)
    is_test = np.arange(len(labels)) % 5 == 4
    return images[~is_test], labels[~is_test], images[is_test], labels[is_test]


def _torchvision(kind: str) -> Callable[[Path], Raw]:
    def read(folder: Path) -> Raw:
        try:
            from torchvision import datasets
        except (ImportError, RuntimeError) as error:
            raise InputError(
                f"{kind} needs torchvision, which does not import here ({error}): "
                "install the release that belongs to your torch"
            ) from None
        missing = [p for p in (folder, folder / kind, folder / kind / "raw") if not p.exists()]
        try:
            folder.mkdir(parents=True, exist_ok=True)
            parts = [getattr(datasets, kind)(folder, train=t, download=True) for t in (True, False)]
        except Exception as error:  # torchvision asserts and indexes what damaged files say
            for path in reversed(missing):  # leave no empty folders of ours behind
                with suppress(OSError):
                    path.rmdir()
            reason = " ".join(str(error).split())[:160]
            raise InputError(
                f"cannot read or fetch {kind} in {folder} ({reason}): put the files there or name "
                "their folder with --data-dir; delete damaged ones"
            ) from None
        arrays = []
        for part in parts:
            pixels = np.asarray(part.data)
            pixels = pixels[:, None] if pixels.ndim == 3 else pixels.transpose(0, 3, 1, 2)
            arrays += [pixels, np.asarray(part.targets)]
        return _checked(folder, arrays)

    return read


DEFAULT_FOLDER = Path("data")
DATASETS: Mapping[str, Callable[[Path], Raw]] = MappingProxyType(
    {
        "digits": _digits,
        "mnist": _torchvision("MNIST"),
        "fashion-mnist": _torchvision("FashionMNIST"),
        "kmnist": _torchvision("KMNIST"),
        "cifar10": _torchvision("CIFAR10"),
        "cifar100": _torchvision("CIFAR100"),
    }
)
