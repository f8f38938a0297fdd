"""Data sets: the real ones have their known numbers, files are read or refused in one line."""

import hashlib
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NoReturn
from urllib.error import URLError

import numpy as np
import pytest
import torch

from recursive_lth.errors import InputError
from recursive_lth.training.datasets import DATASETS, NPZ_KEYS, Dataset, load
from recursive_lth.training.samples import Samples

Arrays = dict[str, np.ndarray[Any, Any]]


@dataclass(frozen=True)
class Gist:
    """What tests need of a large data set: its numbers, and some hundreds of its samples."""

    shapes: tuple[tuple[int, ...], tuple[int, ...]]
    counts: tuple[list[int], list[int]]
    mean: list[float]
    deviation: list[float]
    black: list[float]
    lowest: list[float]
    few: Samples
    test: Samples
    classes: int


@lru_cache(maxsize=4)
def gist(name: str, folder: Path | None) -> Gist:
    """Load a data set once in a session and keep the little that is needed."""
    data = load(name, folder)
    images, dims = data.train_images, (0, 2, 3)
    return Gist(
        (tuple(images.shape), tuple(data.test_images.shape)),
        (data.train_labels.bincount().tolist(), data.test_labels.bincount().tolist()),
        images.mean(dims).tolist(),
        images.std(dims).tolist(),
        data.black.tolist(),
        images.amin(dims).tolist(),
        Samples(images[:512].clone(), data.train_labels[:512].clone()),
        Samples(data.test_images[:100].clone(), data.test_labels[:100].clone()),
        data.classes,
    )


def check_normalised(found: Gist, mean: list[float], deviation: list[float]) -> None:
    """(x - mean) / deviation of the training part: mean 0, deviation 1, black at -mean / dev."""
    assert found.mean == pytest.approx([0] * len(mean), abs=1e-3)
    assert found.deviation == pytest.approx([1] * len(mean), abs=1e-3)
    black = [-m / d for m, d in zip(mean, deviation, strict=True)]
    assert found.black == pytest.approx(black, abs=2e-3)
    assert found.lowest == pytest.approx(found.black, abs=1e-5)


def test_digits() -> None:
    """UCI's 1,797 digits of 8 x 8 in 17 greys: every fifth is kept for testing, 359 of them."""
    found = gist("digits", None)
    assert found.shapes == ((1438, 1, 8, 8), (359, 1, 8, 8))
    assert [sum(part) for part in found.counts] == [1438, 359]
    both = [a + b for a, b in zip(*found.counts, strict=True)]
    assert both == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    check_normalised(found, [0.3053], [0.3761])
    data = load("digits")
    assert data.sample_shape == (1, 8, 8)
    assert (data.train_images.dtype, data.train_labels.dtype) == (torch.float32, torch.int64)
    assert len(data.train_images.unique()) == 17
    assert load("digits").digest == data.digest


def test_mnist(real_data: Callable[[str], Path]) -> None:
    """60,000 and 10,000 images, LeCun's label counts, mean 0.1307 and deviation 0.3081."""
    found = gist("mnist", real_data("mnist"))
    assert found.shapes == ((60_000, 1, 28, 28), (10_000, 1, 28, 28))
    assert found.counts == (
        [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949],
        [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009],
    )
    check_normalised(found, [0.1307], [0.3081])
    assert found.few.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]


def test_cifar10(real_data: Callable[[str], Path]) -> None:
    """50,000 and 10,000 images, 5,000 and 1,000 a class, the channel statistics that all quote."""
    found = gist("cifar10", real_data("cifar10"))
    assert found.shapes == ((50_000, 3, 32, 32), (10_000, 3, 32, 32))
    assert found.counts == ([5000] * 10, [1000] * 10)
    check_normalised(found, [0.49140, 0.48216, 0.44653], [0.24703, 0.24349, 0.26159])
    assert found.few.labels[:5].tolist() == [6, 9, 9, 4, 1]  # frog, truck, truck, deer, car


def arrays(*, shape: tuple[int, ...] = (1, 3, 3), dtype: str = "uint8") -> Arrays:
    """Six training and four test samples of three classes."""
    drawn = np.random.default_rng(0).integers(0, 256, (10, *shape)).astype(dtype)
    labels = np.arange(10) % 3
    parts = drawn[:6], labels[:6], drawn[6:], labels[6:]
    return dict(zip(NPZ_KEYS, parts, strict=True))


def saved(folder: Path, content: Arrays, *, compressed: bool = False) -> str:
    """The path of an .npz file with these arrays."""
    path = folder / "own.npz"
    (np.savez_compressed if compressed else np.savez)(path, **content)  # type: ignore[arg-type]
    return str(path)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int64", "uint16", "float16", "float64"])
@pytest.mark.parametrize("shape", [(4,), (3, 5), (1, 3, 5), (3, 4, 4)])
@pytest.mark.parametrize("compressed", [False, True])
def test_npz(tmp_path: Path, shape: tuple[int, ...], dtype: str, compressed: bool) -> None:
    """Any numbers: (x - mean) / deviation by channel, or by feature; grey gets a channel.

    The twin computes both with numpy in float64 on the raw numbers: a common factor such as 255
    divides mean and deviation alike, so it cancels.
    """
    content = arrays(shape=shape, dtype=dtype)
    data = load(saved(tmp_path, content, compressed=compressed))
    whole = shape if len(shape) != 2 else (1, *shape)
    assert data.name == "own"
    assert data.classes == 3
    assert data.sample_shape == whole
    train = content["train_images"].astype(np.float64).reshape(6, *whole)
    test = content["test_images"].astype(np.float64).reshape(4, *whole)
    axes = (0,) if len(whole) == 1 else (0, 2, 3)
    mean = train.mean(axes, keepdims=True)
    deviation = train.std(axes, ddof=1, keepdims=True)
    for part, found in ((train, data.train_images), (test, data.test_images)):
        expected = torch.from_numpy((part - mean) / deviation).float()
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert data.black.tolist() == pytest.approx((-mean / deviation).flatten().tolist(), rel=1e-4)
    assert data.train_labels.tolist() == [0, 1, 2, 0, 1, 2]
    assert data.test_labels.tolist() == [0, 1, 2, 0]


def test_a_constant_channel_is_not_divided_by_zero(tmp_path: Path) -> None:
    """A channel that is the same everywhere becomes 0 everywhere."""
    content = arrays(shape=(2, 3, 3))
    for key in ("train_images", "test_images"):
        content[key][:, 1] = 7
    data = load(saved(tmp_path, content))
    assert not bool(data.train_images[:, 1].any())
    assert bool(data.test_images.isfinite().all())


def test_digest_is_that_of_the_content(tmp_path: Path) -> None:
    """One changed pixel, label, shape or type gives another digest; a copy the same."""

    def digest(content: Arrays) -> str:
        return load(saved(tmp_path, content)).digest

    base = digest(arrays())
    assert digest(arrays()) == base
    assert len(base) == len(hashlib.sha256().hexdigest())
    pixel, label = arrays(), arrays()
    pixel["test_images"][0, 0, 0, 0] ^= 1
    label["train_labels"][:2] = [1, 0]
    others = [pixel, label, arrays(dtype="int16"), arrays(shape=(1, 1, 9))]
    digests = {digest(content) for content in others}
    assert len(digests) == 4
    assert base not in digests


def refused(name: str, folder: Path | None = None) -> str:
    """The one line with which loading is refused."""
    with pytest.raises(InputError) as caught:
        load(name, folder)
    text = str(caught.value)
    assert "\n" not in text
    return text


FLAWS: dict[str, tuple[dict[str, Any], str]] = {
    "images are text": ({"train_images": np.array(["a"] * 6)}, "train_images must be numbers"),
    "images are complex": ({"test_images": np.ones((4, 1, 3, 3)) * 1j}, "test_images must be"),
    "images are bool": ({"train_images": np.ones((6, 9), dtype=bool)}, "train_images must be"),
    "images have 5 axes": ({"train_images": np.ones((6, 1, 1, 3, 3))}, "must be numbers"),
    "an image is NaN": ({"train_images": np.full((6, 1, 3, 3), np.nan)}, "NaN or infinity"),
    "an image is infinite": ({"test_images": np.full((4, 1, 3, 3), np.inf)}, "NaN or infinity"),
    "parts differ in shape": ({"test_images": np.ones((4, 1, 3, 4), np.uint8)}, "differ in shape"),
    "labels are NaN": ({"train_labels": np.full(6, np.nan)}, "train_labels must be 6 whole"),
    "labels are fractions": ({"test_labels": np.arange(4.0)}, "test_labels must be 4 whole"),
    "labels are too few": ({"train_labels": np.arange(5)}, "train_labels must be 6 whole"),
    "labels are one-hot": ({"train_labels": np.eye(6, dtype=int)}, "train_labels must be 6 whole"),
    "a label is negative": ({"train_labels": np.arange(6) - 1}, "must number the classes 0, 1, 2"),
    "a test label is unknown": ({"test_labels": np.arange(4)}, "labels must be 0 to 2"),
    "labels are objects": ({"train_labels": np.array([None] * 6)}, "pickled objects"),
    "images are objects": ({"test_images": np.array([None] * 4)}, "pickled objects"),
}


@pytest.mark.parametrize("flaw", FLAWS)
def test_npz_with_a_flaw_is_refused(tmp_path: Path, flaw: str) -> None:
    """Each law that the arrays break has its line, which names the file and the array."""
    change, law = FLAWS[flaw]
    path = saved(tmp_path, arrays() | change)
    text = refused(path)
    assert law in text
    assert path in text


@pytest.mark.parametrize("key", NPZ_KEYS)
def test_npz_with_a_missing_key_is_refused(tmp_path: Path, key: str) -> None:
    """The key is named."""
    content = arrays()
    del content[key]
    assert f"lacks {key}" in refused(saved(tmp_path, content))


def no_network(*_: object, **__: object) -> NoReturn:
    """Stands for `urlopen` where nothing can be reached."""
    raise URLError("no network in this test")


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist", "kmnist", "cifar10", "cifar100"])
def test_missing_data_without_network(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line names the folder and the option that names another."""
    monkeypatch.setattr(urllib.request, "urlopen", no_network)
    folder = tmp_path / "none"
    text = refused(name, folder)
    assert str(folder) in text
    assert "--data-dir" in text
    assert "no network" in text


def test_an_unknown_name_is_refused() -> None:
    """The nearest name is given, and that a file would do."""
    text = refused("minst")
    assert "did you mean 'mnist'" in text
    assert "FILE.npz" in text
    assert isinstance(load("digits"), Dataset)
    assert {"digits", "mnist", "cifar10"} <= DATASETS.keys()
