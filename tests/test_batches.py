"""Batches: windows, mirrors and rims against a twin that moves one pixel at a time."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from recursive_lth import seeds
from recursive_lth.config import Training
from recursive_lth.errors import InputError
from recursive_lth.training.batches import Batches
from recursive_lth.training.samples import Samples

BLACK = torch.tensor([-0.7, 0.3])
Picture = list[list[list[float]]]  # channels, rows, columns


def samples(count: int, height: int = 5, width: int = 7, channels: int = 2) -> Samples:
    """Images in which every pixel has a value of its own, none of them black."""
    shape = (count, channels, height, width)
    images = torch.arange(1.0, 1 + count * channels * height * width).view(shape)
    return Samples(images, torch.arange(count))


def mirrored(index: int, size: int) -> int:
    """The place in [0, size) that a reflecting rim shows at `index`; the edge itself once only."""
    if index < 0:
        return -index
    return index if index < size else 2 * (size - 1) - index


def pixel(image: Picture, channel: int, row: int, column: int, recipe: Training) -> float:
    """What lies at a place in or beyond the image."""
    height, width = len(image[0]), len(image[0][0])
    if recipe.crop:
        return image[channel][mirrored(row, height)][mirrored(column, width)]
    if 0 <= row < height and 0 <= column < width:
        return image[channel][row][column]
    return float(BLACK[channel])


def window(image: Picture, down: int, right: int, flip: bool, recipe: Training) -> Picture:
    """The image as seen through a window moved by so many pixels, then mirrored or not."""
    height, width = len(image[0]), len(image[0][0])
    columns = range(width)[::-1] if flip else range(width)
    return [
        [[pixel(image, c, y + down, x + right, recipe) for x in columns] for y in range(height)]
        for c in range(len(image))
    ]


def draws(count: int, recipe: Training, seed: int) -> list[tuple[int, int, bool]]:
    """The moves of each place in an epoch: rows, columns, mirrored or not."""
    generator = seeds.generator(seed)
    reach = recipe.shift + recipe.crop
    moves = torch.randint(0, 2 * reach + 1, (2, count), generator=generator) - reach
    flips = torch.randint(0, 2, (count,), generator=generator).bool()
    return list(zip(moves[0].tolist(), moves[1].tolist(), flips.tolist(), strict=True))


@given(
    st.sampled_from(["shift", "crop", "none"]),
    st.integers(1, 4),
    st.booleans(),
    st.integers(0, 2**30),
    st.data(),
)
def test_every_pixel(kind: str, reach: int, flip: bool, seed: int, data: st.DataObject) -> None:
    """Each image is its own window over its own rim; order of the batch is that of the indices."""
    recipe = Training(flip=flip, **({} if kind == "none" else {kind: reach}))  # type: ignore[arg-type]
    whole = samples(6)
    batch = Batches(whole, BLACK, recipe).epoch(seeds.generator(seed))
    order = data.draw(st.permutations(range(6)))
    moves = draws(6, recipe, seed)
    for start in (0, 2, 4):
        found = batch(torch.tensor(order[start : start + 2]), slice(start, start + 2))
        assert found.shape == (2, 2, 5, 7)
        for image, index, place in zip(
            found, order[start : start + 2], (start, start + 1), strict=True
        ):
            down, right, is_mirrored = moves[place]
            picture: Picture = whole.images[index].tolist()
            expected = window(picture, down, right, is_mirrored and flip, recipe)
            assert torch.equal(image, torch.tensor(expected))


def test_without_augmentation_batches_are_the_images() -> None:
    """Images or flat features, in the order asked for, bit for bit."""
    flat = Samples(torch.arange(12.0).view(4, 3), torch.arange(4))
    for whole in (samples(4), flat):
        batches = Batches(whole, BLACK, Training())
        assert not batches.is_augmented
        assert len(batches) == 4
        assert batches.labels is whole.labels
        found = batches.epoch(seeds.generator(0))(torch.tensor([2, 0]), slice(0, 2))
        assert torch.equal(found, whole.images[[2, 0]])


def test_black_is_the_normalised_zero() -> None:
    """A raw image of zeros stays what it is however it is shifted: the rim has its colour."""
    images = BLACK.view(1, 2, 1, 1).expand(3, 2, 4, 4).contiguous()
    whole = Samples(images, torch.arange(3))
    batch = Batches(whole, BLACK, Training(shift=3)).epoch(seeds.generator(1))
    assert torch.equal(batch(torch.arange(3), slice(0, 3)), images)


def test_all_moves_are_equally_likely() -> None:
    """Of 5,000 draws each of 25 shifts has 200, deviation sqrt(200 * 24/25), and flips are even."""
    count = 5000
    whole = Samples(torch.zeros(count, 1, 5, 5), torch.zeros(count))
    whole.images[:, :, 2, 2] = 1
    whole.images[:, :, 2, 1] = 2  # left of it, unless mirrored
    batches = Batches(whole, torch.zeros(1), Training(shift=2, flip=True))
    found = batches.epoch(seeds.generator(0))(torch.arange(count), slice(0, count))
    places = (found[:, 0] == 1).flatten(1).int().argmax(1)
    assert float((places.bincount(minlength=25) - 200).abs().max()) < 5 * 13.9
    # seen in the inner columns only, where the neighbour cannot have left the image
    inner = found[(found == 2).flatten(1).any(1)]
    one, two = ((inner[:, 0] == value).flatten(1).int().argmax(1) for value in (1, 2))
    assert set((one - two).tolist()) == {1, -1}
    share = float((two < one).double().mean())
    assert abs(share - 0.5) < 5 * 0.5 / len(inner) ** 0.5


def test_each_epoch_draws_anew_from_its_generator_alone() -> None:
    """The same seed gives the same batch and another seed another; windows hold no second copy."""
    whole = samples(40)
    batches = Batches(whole, BLACK, Training(shift=2, flip=True))
    every, window_ = torch.arange(40), slice(0, 40)

    def drawn(seed: int) -> Tensor:
        return batches.epoch(seeds.generator(seed))(every, window_)

    assert torch.equal(drawn(0), drawn(0))
    assert not torch.equal(drawn(0), drawn(1))
    before = whole.images.clone()
    drawn(2).zero_()
    assert torch.equal(whole.images, before)
    rim = 40 * 2 * 9 * 11 * 4  # samples, channels, padded rows and columns, bytes
    assert batches.windows.untyped_storage().nbytes() == rim


@pytest.mark.parametrize("recipe", [Training(shift=1), Training(crop=1), Training(flip=True)])
def test_flat_features_refuse_augmentation(recipe: Training) -> None:
    """There is no left and right among features."""
    flat = Samples(torch.zeros(4, 3), torch.arange(4))
    with pytest.raises(InputError, match="need images, these are flat features"):
        Batches(flat, torch.zeros(1), recipe)


def test_a_crop_beyond_the_image_is_refused() -> None:
    """A reflecting rim shows each row once at most, so it is narrower than the image."""
    assert Batches(samples(2), BLACK, Training(crop=4)).is_augmented
    with pytest.raises(InputError, match=r"crop must be below the image's size 5 x 7, got 5"):
        Batches(samples(2), BLACK, Training(crop=5))
