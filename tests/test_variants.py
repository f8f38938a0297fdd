"""Data made other than they are: what changes does, and nothing else."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from recursive_lth.config import Data
from recursive_lth.errors import InputError
from recursive_lth.training.datasets import Dataset, load
from recursive_lth.training.samples import Split
from recursive_lth.training.split import drawn, split

CPU = torch.device("cpu")
PLAIN = Data("digits")


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load("digits")


def parts_of(digits: Dataset, config: Data, seed: int = 3) -> Split:
    return split(digits, config, seed, CPU)


def all_parts(parts: Split) -> list[Tensor]:
    return [
        tensor
        for part in (parts.train, parts.validation, parts.test)
        for tensor in (part.images, part.labels)
    ]


def test_data_as_they_are_stay_so(digits: Dataset) -> None:
    """The defaults change nothing: images and labels are those of the set, at their places."""
    parts = parts_of(digits, PLAIN)
    places = drawn(digits.train_labels, PLAIN, 3)
    for part, place in zip((parts.train, parts.validation), places, strict=True):
        assert torch.equal(part.images, digits.train_images[place])
        assert torch.equal(part.labels, digits.train_labels[place])


@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_noise_spoils_its_share_of_the_training_labels_alone(digits: Dataset, share: float) -> None:
    """One in ten of those drawn keeps its label by chance; validation and test stay true."""
    plain = parts_of(digits, PLAIN)
    noisy = parts_of(digits, replace(PLAIN, label_noise=share))
    changed = int((plain.train.labels != noisy.train.labels).sum())
    drawn = round(share * len(plain.train))
    assert changed <= drawn
    assert abs(changed - 0.9 * drawn) < 4 * (0.09 * drawn) ** 0.5
    for one, other in zip(all_parts(plain)[2:], all_parts(noisy)[2:], strict=True):
        assert torch.equal(one, other)
    assert torch.equal(plain.train.images, noisy.train.images)


def test_permuted_labels_are_one_renaming_for_all_parts(digits: Dataset) -> None:
    plain, other = parts_of(digits, PLAIN), parts_of(digits, replace(PLAIN, labels="permuted"))
    pairs = set()
    for one, two in (
        (plain.train, other.train), (plain.validation, other.validation), (plain.test, other.test)
    ):  # fmt: skip
        pairs |= set(zip(one.labels.tolist(), two.labels.tolist(), strict=True))
    assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs}) == 10
    assert any(a != b for a, b in pairs)


def test_random_labels_say_nothing(digits: Dataset) -> None:
    """Each class of images has all labels about equally often: chi-squared far below its tail."""
    plain, other = parts_of(digits, PLAIN), parts_of(digits, replace(PLAIN, labels="random"))
    table = torch.zeros(10, 10)
    table.index_put_(
        (plain.train.labels, other.train.labels), torch.ones(len(plain.train)), accumulate=True
    )
    expected = table.sum(1, keepdim=True) * table.sum(0) / table.sum()
    assert float(((table - expected) ** 2 / expected).sum()) < 135  # 81 degrees, p = .0001
    assert not torch.equal(plain.test.labels, other.test.labels)


def test_rotation_turns_each_image_as_its_label_says(digits: Dataset) -> None:
    plain, other = parts_of(digits, PLAIN), parts_of(digits, replace(PLAIN, labels="rotation"))
    for image, turned, label in zip(
        plain.train.images[:50], other.train.images[:50], other.train.labels[:50], strict=True
    ):
        assert torch.equal(turned, image.rot90(int(label), (1, 2)))
    assert set(other.train.labels.tolist()) == {0, 1, 2, 3}


def test_permuted_pixels_are_one_order_for_all_parts_and_draws_differ(digits: Dataset) -> None:
    plain, other = parts_of(digits, PLAIN), parts_of(digits, replace(PLAIN, pixels="permuted"))
    order = {
        tuple(torch.equal(a, b) for b in plain.train.images.flatten(1).T).index(True)
        for a in other.train.images.flatten(1).T
    }
    assert len(order) > 50  # constant pixels are alike; the others find their place
    for one, two in zip(all_parts(plain)[::2], all_parts(other)[::2], strict=True):
        assert torch.allclose(one.flatten(1).sort().values, two.flatten(1).sort().values)
    again = parts_of(digits, replace(PLAIN, pixels="permuted", draw=1))
    assert not torch.equal(other.train.images, again.train.images)
    assert torch.equal(
        other.train.images, parts_of(digits, replace(PLAIN, pixels="permuted")).train.images
    )


@pytest.mark.parametrize(
    "change",
    [
        {"train_limit": 700}, {"classes": (0, 1, 2, 3, 4)}, {"classes": (7, 3), "train_limit": 90},
        {"pixels": "permuted", "train_limit": 300},
    ],
)  # fmt: skip
def test_no_part_teaches_what_validates_another(digits: Dataset, change: dict[str, Any]) -> None:
    """Of one seed: labels stand for the samples, numbered."""
    numbered = replace(digits, train_images=torch.arange(len(digits.train_labels))[:, None].float())
    whole = split(numbered, PLAIN, 3, CPU)
    known = replace(PLAIN, **{k: v for k, v in change.items() if k != "pixels"})
    part = split(numbered, known, 3, CPU)
    validating = set(whole.validation.images.flatten().tolist())
    assert not validating & set(part.train.images.flatten().tolist())
    assert set(part.validation.images.flatten().tolist()) <= validating
    limit = change.get("train_limit", 0)
    if limit:
        assert len(part.train) + len(part.validation) == limit
        assert len(part.validation) == round(0.1 * limit)
    else:
        assert len(part.train) + len(part.validation) == sum(
            int((digits.train_labels == label).sum()) for label in known.classes
        )


def test_blurring_keeps_the_coarse_and_takes_the_fine(digits: Dataset) -> None:
    plain, other = parts_of(digits, PLAIN), parts_of(digits, replace(PLAIN, pixels="blurred"))
    assert other.train.images.shape == plain.train.images.shape
    rough = (plain.train.images - plain.train.images.mean((2, 3), keepdim=True)).var()
    smooth = (other.train.images - other.train.images.mean((2, 3), keepdim=True)).var()
    assert 0 < smooth < rough / 2


def test_resizing_gives_the_size_asked_for(digits: Dataset) -> None:
    parts = parts_of(digits, replace(PLAIN, resize=12))
    assert parts.sample_shape == (1, 12, 12)
    assert parts.test.images.shape[1:] == (1, 12, 12)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"labels": "rotation"}, "needs images"),
        ({"pixels": "blurred"}, "needs images"),
        ({"resize": 4}, "needs images"),
    ],
)
def test_flat_features_have_no_pixels(digits: Dataset, change: dict[str, str], said: str) -> None:
    flat = replace(
        digits,
        train_images=digits.train_images.flatten(1),
        test_images=digits.test_images.flatten(1),
    )
    with pytest.raises(InputError, match=said):
        parts_of(flat, replace(PLAIN, **change))  # type: ignore[arg-type]
    assert parts_of(flat, replace(PLAIN, pixels="permuted")).sample_shape == (64,)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(InputError, match=r"data\.labels must be one of true, permuted"):
        Data(labels="permutated")
    with pytest.raises(InputError, match=r"set data\.labels=true"):
        Data(labels="random", label_noise=0.1)
    settings: tuple[dict[str, Any], ...] = (
        {},
        {"pixels": "blurred"},
        {"classes": (3, 5), "resize": 4},
    )
    for nothing in settings:
        with pytest.raises(InputError, match=r"data\.draw=2 .* leave it out, or set data\.labels"):
            Data(draw=2, **nothing)
    settings = ({"pixels": "permuted"}, {"labels": "rotation"}, {"label_noise": 0.1})
    for drawing in settings:
        assert Data(draw=2, **drawing).is_drawn
