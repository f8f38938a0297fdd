"""Can a tuning be run as it stands? Asked before anything is written."""

from collections.abc import Callable, Iterator
from functools import cache
from itertools import combinations, product
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

from recursive_lth.architecture.layer import Shape
from recursive_lth.config import Data, Experiment, Parameter, TuningExperiment, pick
from recursive_lth.errors import InputError
from recursive_lth.search.check import check_fit, check_names, check_pruning
from recursive_lth.search.plan import start_architecture
from recursive_lth.training.datasets import Dataset, load
from recursive_lth.training.device import choose
from recursive_lth.training.split import split
from recursive_lth.tuning.objectives import OBJECTIVES
from recursive_lth.tuning.samplers import SAMPLERS
from recursive_lth.tuning_file import number_kind, tuned

MOST_COMBINATIONS = 256  # beyond, every pair of values is tried and not every combination


class Facts(NamedTuple):
    """What an experiment must fit: shape of a sample, classes, training samples."""

    shape: Shape
    classes: int
    samples: int


def check_tuning(experiment: TuningExperiment, data_dir: Path | None = None) -> Dataset:
    """The data of the base. Raises `InputError` where a trial of the tuning could not be run.

    Choices and the ends of intervals are tried in every combination, or where these are too many in
    every pair, the others being the base's.
    """
    tune = experiment.tune
    pick(SAMPLERS, tune.sampler, "tune.sampler")
    for name in tune.objectives:
        pick(OBJECTIVES, name, "tune.objectives")
    if not tune.parameters:
        raise InputError(
            'tune.parameters is empty: name what varies, [[tune.parameters]] key = "growth.policy"'
        )
    load_once = cache(lambda name: load(name, data_dir))

    @cache
    def facts(data: Data, seed: int) -> Facts:
        dataset = load_once(data.name)
        parts = split(dataset, data, seed, choose("cpu"))
        return Facts(dataset.sample_shape, parts.classes, len(parts.train))

    _check_run(tuned(experiment, {}), facts)
    for values in combinations_of(tune.parameters):
        try:
            _check_run(tuned(experiment, values), facts)
        except InputError as error:
            words = " with ".join(f"{key}={value!r}" for key, value in values.items())
            raise InputError(f"tune.parameters: {words} cannot be run: {error}") from None
    return load_once(tuned(experiment, {}).data.name)


def combinations_of(parameters: tuple[Parameter, ...]) -> Iterator[dict[str, Any]]:
    """Values to try before a run: single ones first, so that an error names few."""
    ends = {p.key: _ends(p) for p in parameters}
    for key, values in ends.items():
        yield from ({key: value} for value in values)
    for one, other in combinations(ends, 2):
        yield from ({one: a, other: b} for a, b in product(ends[one], ends[other]))
    if len(ends) > 2 and prod(map(len, ends.values())) <= MOST_COMBINATIONS:
        yield from (dict(zip(ends, values, strict=True)) for values in product(*ends.values()))


def _ends(parameter: Parameter) -> list[Any]:
    if parameter.choices:
        return list(parameter.choices)
    bounds = [parameter.low or 0.0, parameter.high or 0.0]
    return [int(bound) for bound in bounds] if number_kind(parameter.key) is int else bounds


def _check_run(experiment: Experiment, facts: Callable[[Data, int], Facts]) -> None:
    """What `grow` itself asks before it begins."""
    check_names(experiment)
    check_pruning(experiment)
    known = facts(experiment.data, experiment.seed)
    check_fit(experiment, start_architecture(experiment, known.shape, known.classes), known.samples)
