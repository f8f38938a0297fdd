"""Training, validation and test samples on the device; validation is cut off by seed."""

from dataclasses import replace

import torch
from torch import Tensor

from recursive_lth import seeds
from recursive_lth.config import Data
from recursive_lth.errors import InputError
from recursive_lth.training.datasets import Dataset
from recursive_lth.training.samples import Samples, Split
from recursive_lth.training.variants import resized, varied


def of_classes(data: Dataset, classes: tuple[int, ...]) -> Dataset:
    """The samples of these classes alone, renumbered 0, 1, ... in the order given.

    Raises `InputError` where the data have no such class.
    """
    if unknown := [label for label in classes if not 0 <= label < data.classes]:
        raise InputError(
            f"data.classes names {unknown}, but {data.name} has the classes 0 to {data.classes - 1}"
        )
    number = torch.full((data.classes,), -1)
    number[list(classes)] = torch.arange(len(classes))
    train, test = number[data.train_labels], number[data.test_labels]
    return replace(
        data,
        train_images=data.train_images[train >= 0],
        train_labels=train[train >= 0],
        test_images=data.test_images[test >= 0],
        test_labels=test[test >= 0],
        classes=len(classes),
    )


def chosen(data: Dataset, config: Data) -> Dataset:
    """The data set with the classes and the size of image that are asked for."""
    data = of_classes(data, config.classes) if config.classes else data
    return resized(data, config.resize) if config.resize else data


def drawn(labels: Tensor, config: Data, seed: int) -> tuple[Tensor, Tensor]:
    """Places in the `chosen` training data: of those that teach, and of those that validate.

    Who validates is drawn by seed among all samples, whatever classes and limits are asked for: no
    part of the data teaches what validates another part of the same seed.
    """
    order = torch.randperm(len(labels), generator=seeds.generator(seed, "data", "validation split"))
    held = round(config.validation_fraction * len(order))
    train, validation = order[held:], order[:held]
    if config.classes:
        is_in = torch.isin(labels, torch.tensor(config.classes))
        place = is_in.cumsum(0) - 1
        train, validation = (place[part[is_in[part]]] for part in (train, validation))
    limit = config.train_limit
    if limit and limit < len(train) + len(validation):
        few = round(config.validation_fraction * limit)
        train, validation = train[: limit - few], validation[:few]
    return train, validation


def placed(data: Dataset, config: Data, device: torch.device) -> Dataset:
    """What is `chosen`, on a device: what splits by many seeds share."""
    found = chosen(data, config)
    images, tests = (
        part.to(device).contiguous() for part in (found.train_images, found.test_images)
    )
    return replace(found, train_images=images, test_images=tests)


def split(
    data: Dataset, config: Data, seed: int, device: torch.device, *, shared: Dataset | None = None
) -> Split:
    """Cut a validation part off the training part at random, by seed, on the device.

    `shared` is what `placed` gives, where that is at hand: its images are not copied.
    Raises `InputError` where a part would have fewer than 2 samples.
    """
    train, validation = drawn(data.train_labels, config, seed)
    data = placed(data, config, device) if shared is None else shared
    tested = torch.randperm(
        len(data.test_labels), generator=seeds.generator(seed, "data", "test part")
    )[: config.test_limit or None]
    if not config.test_limit:
        tested = tested.sort().values
    if min(len(train), len(validation), len(tested)) < 2:
        raise InputError(
            f"{data.name} leaves {len(train)} samples to train, {len(validation)} to validate and "
            f"{len(tested)} to test: each part needs 2; change data.train_limit, "
            "data.validation_fraction or data.test_limit"
        )

    def part(images: Tensor, labels: Tensor, rows: Tensor) -> Samples:
        return Samples(images, labels[rows].to(device), rows.to(device))

    parts = Split(
        part(data.train_images, data.train_labels, train),
        part(data.train_images, data.train_labels, validation),
        part(data.test_images, data.test_labels, tested) if config.test_limit else data.test,
        data.classes,
        data.black.to(device),
    )
    return varied(parts, config, seed)
