"""The evidence that a score may look at, gathered from a run's training data."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Generator, Tensor

from recursive_lth.config import Pruning
from recursive_lth.growth.birth import Batch
from recursive_lth.pruning.evidence import Evidence
from recursive_lth.pruning.scores import NEEDS_DATA
from recursive_lth.running.job import Bench

CERTIFIED_SAMPLES = 64


def gather(
    bench: Bench[Any], pruning: Pruning, generator: Generator, tally: Mapping[str, Tensor]
) -> Evidence:
    """As many training samples as the score asks for, equally many of each class where possible."""
    if pruning.score not in NEEDS_DATA:
        return Evidence(generator, tally=tally)
    samples = bench.split.train
    chosen = balanced(samples.labels.cpu(), pruning.score_samples, generator)
    some = samples.at(chosen.to(samples.device))
    return Evidence(generator, some.images, some.labels, tally)


def few(bench: Bench[Any]) -> Batch:
    """The training samples that certificates and gradients of a growth are computed on."""
    some = bench.split.train.first(CERTIFIED_SAMPLES)
    return Batch(some.images.cpu(), some.labels.cpu())


def balanced(labels: Tensor, count: int, generator: Generator) -> Tensor:
    """Places of `count` samples (or all), drawn at random so that classes come in turn."""
    order = torch.randperm(len(labels), generator=generator)
    shuffled = labels[order]
    turn = torch.zeros_like(shuffled)
    for label in shuffled.unique():
        place = shuffled == label
        turn[place] = torch.arange(int(place.sum()))
    return order[turn.argsort(stable=True)[:count]]
