"""The data of trainings, loaded, cut and laid out once for all that share them."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from recursive_lth.config import Data, Training
from recursive_lth.training.batches import Batches
from recursive_lth.training.datasets import Dataset, load
from recursive_lth.training.samples import Split
from recursive_lth.training.split import chosen, placed, split

MOST_MEMORY = 2_000_000_000  # bytes of training images that seeds side by side may hold


class Supply:
    """Data sets, splits and batches on one device, made at first need.

    Of the splits the `most` used last are kept, where a number is given.
    """

    def __init__(
        self, data_dir: Path | None, device: torch.device, *, most: int | None = None
    ) -> None:
        self.data_dir, self.device, self._most = data_dir, device, most
        self._datasets: dict[str, Dataset] = {}
        self._placed: dict[Any, Dataset] = {}
        self._splits: dict[tuple[Data, int], Split] = {}
        self._batches: dict[tuple[Any, ...], Batches] = {}

    def whole(self, data: Data) -> Dataset:
        """The data set with all of its classes."""
        if data.name not in self._datasets:
            self._datasets[data.name] = load(data.name, self.data_dir)
        return self._datasets[data.name]

    def digest(self, used: Iterable[Data]) -> str:
        """One SHA-256 for the content of all data sets that are used."""
        whole = {data.name: self.whole(data) for data in used}
        text = "".join(f"{name} {whole[name].digest}\n" for name in sorted(whole))
        return hashlib.sha256(text.encode()).hexdigest()

    def dataset(self, data: Data) -> Dataset:
        """The data set, with the classes and the size asked for."""
        return chosen(self.whole(data), data)

    def split(self, data: Data, seed: int) -> Split:
        """The parts of a data set, cut by seed, on the device."""
        found = self._splits.pop((data, seed), None)
        if found is None:
            whole = self.whole(data)
            found = split(whole, data, seed, self.device, shared=self._shared(data))
        self._splits[data, seed] = found
        while self._most is not None and len(self._splits) > self._most:
            self._drop(next(iter(self._splits)))
        return found

    def batches(self, data: Data, seed: int, recipe: Training) -> Batches:
        """The training part as a recipe draws from it."""
        key = (data, seed, recipe.shift, recipe.crop, recipe.flip)
        parts = self.split(data, seed)
        if key not in self._batches:
            self._batches[key] = Batches(parts.train, parts.black, recipe)
        return self._batches[key]

    def forget(self) -> None:
        """Free splits and batches, and what they share."""
        self._placed.clear()
        self._splits.clear()
        self._batches.clear()

    def _shared(self, data: Data) -> Dataset:
        """The data set on the device, with the classes and the size asked for."""
        key = data.name, data.classes, data.resize
        if key not in self._placed:
            self._placed[key] = placed(self.whole(data), data, self.device)
        return self._placed[key]

    def _drop(self, key: tuple[Data, int]) -> None:
        del self._splits[key]
        for laid in [laid for laid in self._batches if laid[:2] == key]:
            del self._batches[laid]
