"""Data made other than they are: noisy, permuted, random or rotated labels, other pixels and sizes.

What a network can still learn shows on data that it has not met: Zhang et al. (2017, arXiv
1611.03530) give random labels, Goodfellow et al. (2013, arXiv 1312.6211) permute pixels, Achille et
al. (2019, arXiv 1711.08856) blur images for a while.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from recursive_lth import seeds
from recursive_lth.config import Data
from recursive_lth.errors import InputError
from recursive_lth.training.datasets import Dataset
from recursive_lth.training.samples import Samples, Split

BLUR = 4  # pixels a side that become one

Change = Callable[[Samples, int, Generator], Samples]  # (part, classes, draws) -> part


def varied(parts: Split, config: Data, seed: int) -> Split:
    """The parts with what `config` changes about labels and pixels; noise spoils training alone.

    Raises `InputError` where images are turned or blurred that are flat, or turned and not square.
    """
    changed = {"train": parts.train, "validation": parts.validation, "test": parts.test}
    for kind, changes, name in (
        ("pixels", PIXELS, config.pixels), ("labels", LABELS, config.labels)
    ):  # fmt: skip
        for part, samples in changed.items():
            purpose = part if name in DRAWN_APART else ""
            generator = seeds.generator(seed, "data", kind, name, config.draw, purpose)
            changed[part] = changes[name](samples, parts.classes, generator)
    if config.label_noise:
        generator = seeds.generator(seed, "data", "label noise", config.draw)
        changed["train"] = noisy(changed["train"], parts.classes, config.label_noise, generator)
    return Split(
        changed["train"], changed["validation"], changed["test"], parts.classes, parts.black
    )


def resized(data: Dataset, side: int) -> Dataset:
    """The data set with images of `side` x `side` pixels, bilinear, without aliasing.

    Raises `InputError` where the samples are no images.
    """
    if data.train_images.dim() != 4:
        raise InputError(f"data.resize needs images, {data.name} has flat features: set it to 0")
    if data.sample_shape[1:] == (side, side):
        return data

    def to_size(images: Tensor) -> Tensor:
        return F.interpolate(images, (side, side), mode="bilinear", antialias=True)

    return replace(
        data, train_images=to_size(data.train_images), test_images=to_size(data.test_images)
    )


def noisy(samples: Samples, classes: int, share: float, generator: Generator) -> Samples:
    """Exactly round(share * n) labels are drawn anew among all classes, their own among them."""
    count = round(share * len(samples))
    places = torch.randperm(len(samples), generator=generator)[:count]
    drawn = torch.randint(0, classes, (count,), generator=generator)
    labels = samples.labels.clone()
    labels[places.to(labels.device)] = drawn.to(labels)
    return replace(samples, labels=labels)


def same(samples: Samples, classes: int, generator: Generator) -> Samples:
    """As they are."""
    return samples


def permuted_labels(samples: Samples, classes: int, generator: Generator) -> Samples:
    """Each class goes by the number of another, or by chance its own."""
    names = torch.randperm(classes, generator=generator).to(samples.labels)
    return replace(samples, labels=names[samples.labels])


def random_labels(samples: Samples, classes: int, generator: Generator) -> Samples:
    """Labels that say nothing of the images: nothing can be learnt but by heart."""
    drawn = torch.randint(0, classes, (len(samples),), generator=generator)
    return replace(samples, labels=drawn.to(samples.labels))


def rotated(samples: Samples, classes: int, generator: Generator) -> Samples:
    """Images turned by 0 to 3 quarters; how far is the label (Gidaris et al. 2018, 1803.07728)."""
    _need_images(samples, "data.labels=rotation")
    if samples.images.shape[2] != samples.images.shape[3] or classes < 4:
        raise InputError(
            "data.labels=rotation needs square images and four classes or more: use other data"
        )
    turns = torch.randint(0, 4, (len(samples),), generator=generator).to(samples.labels)
    images = samples.images.clone()
    for turn in range(1, 4):
        images[turns == turn] = samples.images[turns == turn].rot90(turn, (2, 3))
    return Samples(images, turns)


def permuted_pixels(samples: Samples, classes: int, generator: Generator) -> Samples:
    """Pixels in another order, channels together; features likewise."""
    flat = samples.images.flatten(2) if samples.images.dim() == 4 else samples.images
    order = torch.randperm(flat.shape[-1], generator=generator).to(flat.device)
    return replace(samples, pool=flat[..., order].view(samples.images.shape), rows=None)


def blurred(samples: Samples, classes: int, generator: Generator) -> Samples:
    """Images made `BLUR` times smaller a side and brought back (Achille et al. 2019)."""
    _need_images(samples, "data.pixels=blurred")
    height, width = samples.images.shape[2:]
    small = (max(1, height // BLUR), max(1, width // BLUR))
    coarse = F.interpolate(samples.images, small, mode="bilinear", antialias=True)
    images = F.interpolate(coarse, (height, width), mode="bilinear", align_corners=False)
    return replace(samples, pool=images, rows=None)


def _need_images(samples: Samples, setting: str) -> None:
    if samples.images.dim() != 4:
        raise InputError(f"{setting} needs images, these are flat features: leave it out")


DRAWN_APART = frozenset({"random", "rotation"})  # draws are one a sample, not one for all parts
LABELS: Mapping[str, Change] = MappingProxyType(
    {"true": same, "permuted": permuted_labels, "random": random_labels, "rotation": rotated}
)
PIXELS: Mapping[str, Change] = MappingProxyType(
    {"true": same, "permuted": permuted_pixels, "blurred": blurred}
)
