"""Data files of a user's: read as they are, or refused in one line where damaged or odd."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_datasets import arrays, refused, saved

from recursive_lth.errors import InputError
from recursive_lth.training.datasets import NPZ_KEYS, load


def idx(values: np.ndarray[Any, Any]) -> bytes:
    """The idx format of MNIST's own page: magic 0, 0, 8 (bytes), axes; sizes; values."""
    sizes = b"".join(n.to_bytes(4, "big") for n in values.shape)
    return bytes([0, 0, 8, values.ndim]) + sizes + values.astype(np.uint8).tobytes()


def small_mnist(folder: Path) -> dict[str, Path]:
    """A folder in MNIST's layout with six training and four test images."""
    content = arrays(shape=(28, 28))
    stems = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
    raw = folder / "MNIST" / "raw"
    raw.mkdir(parents=True)
    paths = {key: raw / f"{stem}-ubyte" for key, stem in zip(NPZ_KEYS, stems, strict=True)}
    for key, path in paths.items():
        path.write_bytes(idx(content[key]))
    return paths


def test_mnist_files_are_read_as_they_are(tmp_path: Path) -> None:
    """The same arrays as idx files and as .npz give the same tensors, bit for bit."""
    small_mnist(tmp_path)
    found, expected = load("mnist", tmp_path), load(saved(tmp_path, arrays(shape=(28, 28))))
    assert torch.equal(found.train_images, expected.train_images)
    assert torch.equal(found.test_images, expected.test_images)
    assert torch.equal(found.train_labels, expected.train_labels)


@pytest.mark.parametrize("key", NPZ_KEYS)
@pytest.mark.parametrize("length", [0, 7, -1])
def test_a_truncated_mnist_file_is_refused(tmp_path: Path, key: str, length: int) -> None:
    """Cut anywhere, a file is refused; the line names the folder and what to do."""
    path = small_mnist(tmp_path)[key]
    path.write_bytes(path.read_bytes()[:length])
    text = refused("mnist", tmp_path)
    assert str(tmp_path) in text
    assert "delete damaged ones" in text


@pytest.mark.parametrize(("place", "byte"), [(2, 0), (2, 10), (2, 9), (3, 0), (3, 9)])
def test_a_damaged_mnist_header_is_refused(tmp_path: Path, place: int, byte: int) -> None:
    """Byte 2 says the type and byte 3 the number of axes; nonsense there is damage like any."""
    path = small_mnist(tmp_path)["train_images"]
    content = bytearray(path.read_bytes())
    content[place] = byte
    path.write_bytes(content)
    assert str(tmp_path) in refused("mnist", tmp_path)


def test_mnist_files_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    """Six images and five labels are not a data set, though each file is whole."""
    small_mnist(tmp_path)["train_labels"].write_bytes(idx(np.arange(5)))
    assert str(tmp_path) in refused("mnist", tmp_path)


def test_files_that_are_no_npz_are_refused(tmp_path: Path) -> None:
    """No file, a folder, an empty or foreign file, and one cut at any length."""
    path = Path(saved(tmp_path, arrays()))
    whole = path.read_bytes()
    for content in (b"", b"hello", *(whole[:n] for n in range(1, len(whole), 29))):
        path.write_bytes(content)
        assert str(path) in refused(str(path))
    path.unlink()
    assert "no data file" in refused(str(path))
    path.mkdir()
    assert str(path) in refused(str(path))


@pytest.mark.parametrize("compressed", [False, True])
def test_an_npz_with_any_byte_changed_loads_or_is_refused(tmp_path: Path, compressed: bool) -> None:
    """No damage ends in another error than ours; most bytes are covered by the zip's checksums."""
    path = Path(saved(tmp_path, arrays(), compressed=compressed))
    whole, outcomes = path.read_bytes(), set()
    for place in range(0, len(whole), 2):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        try:
            outcomes.add(load(str(path)).classes)
        except InputError:
            outcomes.add(0)
    assert outcomes == {0, 3}


@pytest.mark.parametrize("dtype", [">f4", ">f8", ">i2", "longdouble"])
def test_npz_of_any_type_of_number_loads(tmp_path: Path, dtype: str) -> None:
    """The bytes' order, or more bits than float32 has, change no number: greys 0 to 255 fit all."""
    expected = load(saved(tmp_path, arrays(dtype="float32"))).train_images
    found = load(saved(tmp_path, arrays(dtype=dtype))).train_images
    assert torch.equal(found, expected)


@pytest.mark.parametrize("flaw", ["overflow", "no features", "npy", "mixed", "labels"])
def test_npz_that_float32_cannot_mean_is_refused(tmp_path: Path, flaw: str) -> None:
    """Numbers beyond float32, no numbers, another format, unlike scales, labels of no class."""
    content = arrays(dtype="float64")
    if flaw == "overflow":
        content["train_images"] *= 1e300
    elif flaw == "no features":
        content |= {"train_images": np.ones((6, 0)), "test_images": np.ones((4, 0))}
    elif flaw == "mixed":  # greys 0 to 255 here and 0 to 1 there
        content |= {"train_images": np.ones((6, 9), np.uint8)}
        content |= {"test_images": np.ones((4, 9), np.float32)}
    elif flaw == "labels":  # a network of 2^40 classes for six samples
        content["train_labels"][0] = 2**40
    path = Path(saved(tmp_path, content))
    if flaw == "npy":
        with path.open("wb") as file:
            np.save(file, content["train_images"])
    assert str(path) in refused(str(path))
