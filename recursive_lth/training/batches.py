"""Batches on the device: random shifts, crops and flips of a whole batch, no Python per sample."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import NamedTuple

import torch.nn.functional as F
from torch import Generator, Tensor, arange, index_select, randint, randperm, where
from torch import bool as boolean

from recursive_lth import seeds
from recursive_lth.config import Training
from recursive_lth.errors import InputError
from recursive_lth.training.samples import Samples

Batch = Callable[[Tensor, slice], Tensor]  # (rows of images, their places in the epoch) -> images


class Picked(NamedTuple):
    """Images (n, features), of which some `rows` (samples,), or (streams, samples), are meant."""

    images: Tensor
    rows: Tensor


class Batches:
    """The training samples, ready to be drawn from; build it once for many trainings.

    Plain images are drawn from the pool that they share with other parts, by their `rows` of it.
    With `shift` or `crop` images get a rim, black or reflected, and each batch takes one window a
    sample; with `flip` half of them are mirrored. The windows are a view (n, channels, y, x,
    height, width): nothing is stored twice.

    Raises `InputError` where augmentation is asked of flat features, or a crop exceeds the image.
    """

    def __init__(self, samples: Samples, black: Tensor, recipe: Training) -> None:
        self.labels = samples.labels
        self.reach = recipe.shift or recipe.crop
        self.is_flipping = recipe.flip
        self.images, self.rows = samples.pool, samples.rows
        if not self.is_augmented:
            return
        if samples.pool.dim() != 4:
            raise InputError(
                "training.shift, crop and flip need images, these are flat features: set "
                "training.shift=0, training.crop=0 and training.flip=false"
            )
        height, width = samples.pool.shape[2:]
        if self.reach >= min(height, width):
            raise InputError(
                f"training.shift and crop must be below the image's size {height} x {width}, "
                f"got {self.reach}"
            )
        padded = self.images if self.rows is None else self.images.index_select(0, self.rows)
        self.rows = None  # a copy that `samples` does not keep, as it would its `images`
        if recipe.crop:
            padded = F.pad(padded, (self.reach,) * 4, mode="reflect")
        elif recipe.shift:
            rows, columns = height + 2 * self.reach, width + 2 * self.reach
            rim = black.view(1, -1, 1, 1).repeat(len(samples), 1, rows, columns)
            inner = slice(self.reach, -self.reach)
            rim[:, :, inner, inner] = padded
            padded = rim
        self.windows = padded.unfold(2, height, 1).unfold(3, width, 1)

    @property
    def is_augmented(self) -> bool:
        """True iff batches differ from the images as they are."""
        return self.is_flipping or self.reach > 0

    def __len__(self) -> int:
        return len(self.labels)

    def fitting(self, recipe: Training) -> Training:
        """The recipe with a batch of all there are, where it asks for more."""
        return replace(recipe, batch_size=min(recipe.batch_size, len(self)))

    def stream(
        self, batch_size: int, seed: int, start: int, steps: int, *, into: Tensor | None = None
    ) -> Iterator[tuple[Tensor, Tensor, int]]:
        """Images, labels and number of the epoch of each step from `start` to `steps`.

        Order and augmentation of an epoch depend on `seed` and its number alone; an epoch drops its
        last, incomplete batch. With `into`, (samples, features), the images of every step are laid
        there, flat, over those of the step before.
        """
        flat, now = self.images.flatten(1), -1
        for rows, places, labels, epoch in self._order(batch_size, seed, start, steps):
            if epoch != now:
                batch, now = self.epoch(seeds.generator(seed, "augmentation", epoch)), epoch
            if into is None:
                yield batch(rows, places), labels, epoch
            elif self.is_augmented:
                into.copy_(batch(rows, places).flatten(1))
                yield into, labels, epoch
            else:
                yield index_select(flat, 0, rows, out=into), labels, epoch

    def picked(
        self, batch_size: int, seed: int, start: int, steps: int
    ) -> Iterator[tuple[Picked, Tensor, int]]:
        """The same batches as rows of flat images; plain ones stay where they are."""
        if not self.is_augmented:
            flat = self.images.flatten(1)
            for rows, _, labels, epoch in self._order(batch_size, seed, start, steps):
                yield Picked(flat, rows), labels, epoch
            return
        rows = arange(min(batch_size, len(self)), device=self.images.device)
        for images, labels, epoch in self.stream(batch_size, seed, start, steps):
            yield Picked(images.flatten(1), rows), labels, epoch

    def _order(
        self, batch_size: int, seed: int, start: int, steps: int
    ) -> Iterator[tuple[Tensor, slice, Tensor, int]]:
        """Rows of the images, their places in the epoch, labels and number of the epoch."""
        batch_size = min(batch_size, len(self))
        per_epoch, number = len(self) // batch_size, start
        while number < steps:
            epoch, first = divmod(number, per_epoch)
            order = randperm(len(self), generator=seeds.generator(seed, "order", epoch))
            order = order.to(self.images.device)
            labels = self.labels.index_select(0, order)
            if self.rows is not None:
                order = self.rows.index_select(0, order)
            last = min(per_epoch, first + steps - number)
            for i in range(first, last):
                places = slice(i * batch_size, (i + 1) * batch_size)
                yield order[places], places, labels[places], epoch
            number += last - first

    def epoch(self, generator: Generator) -> Batch:
        """Batches of one epoch; every draw is made here, one for each sample."""
        if not self.is_augmented:
            return lambda indices, _: self.images.index_select(0, indices)
        count, device = len(self), self.images.device
        y, x = randint(0, 2 * self.reach + 1, (2, count), generator=generator).to(device)
        mirrored = randint(0, 2, (count, 1, 1, 1), generator=generator, dtype=boolean).to(device)

        def batch(indices: Tensor, places: slice) -> Tensor:
            images = self.windows[indices, :, y[places], x[places]]
            return where(mirrored[places], images.flip(-1), images) if self.is_flipping else images

        return batch
