"""Can a tuning be run as it stands? Asked before anything is written."""

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from itertools import combinations, product
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

from recursive_lth.architecture.layer import Shape
from recursive_lth.config import Data, Experiment, Parameter, TuningExperiment, pick
from recursive_lth.config.ignored import SWITCHED, check_ignored
from recursive_lth.errors import InputError
from recursive_lth.search.check import check_fit, check_names, check_pruning
from recursive_lth.search.plan import start_architecture
from recursive_lth.training.datasets import Dataset, load
from recursive_lth.training.device import choose
from recursive_lth.training.split import split
from recursive_lth.tuning.objectives import OBJECTIVES
from recursive_lth.tuning.samplers import SAMPLERS
from recursive_lth.tuning_file import number_kind, tuned, written

MOST_COMBINATIONS = 256  # beyond, every pair of values is tried and not every combination


class Facts(NamedTuple):
    """What an experiment must fit: shape of a sample, classes, training samples."""

    shape: Shape
    classes: int
    samples: int


def check_tuning(experiment: TuningExperiment, data_dir: Path | None = None) -> Dataset:
    """The data of the base. Raises `InputError` where a trial of the tuning could not be run.

    The base must be such a run itself. Choices and the ends of intervals are tried in every
    combination, or where these are too many in every pair. What the tuning sets or varies must be
    read in one of them at least.
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

    def why_not(values: Mapping[str, Any]) -> str:
        try:
            _check_run(tuned(experiment, values), facts)
        except InputError as error:
            return str(error)
        return ""

    _check_run(tuned(experiment, {}), facts)
    unread = written(experiment) & set(SWITCHED)
    for values in combinations_of(tune.parameters):
        if reason := why_not(values):
            at_fault = _fewest(values, lambda some: why_not(some) == reason)
            words = " with ".join(f"{key}={value!r}" for key, value in at_fault.items())
            raise InputError(f"tune.parameters: {words} cannot be run: {reason}")
        trial = tuned(experiment, values)
        unread = {key for key in unread if not SWITCHED[key].is_read(trial)}
    for key in sorted(unread):
        raise InputError(
            f"tune: {key} would do nothing in any trial: it is read {SWITCHED[key].words}; "
            "leave it out"
        )
    return load_once(tuned(experiment, {}).data.name)


def combinations_of(parameters: tuple[Parameter, ...]) -> Iterator[dict[str, Any]]:
    """Proposals to try before a run, each with a value for every parameter.

    All that choices and ends allow, or where they are too many, for every pair of values one
    proposal that has it.
    """
    ends = {p.key: _ends(p) for p in parameters}
    if prod(map(len, ends.values())) <= MOST_COMBINATIONS:
        yield from (dict(zip(ends, values, strict=True)) for values in product(*ends.values()))
        return
    first = {key: values[0] for key, values in ends.items()}
    for one, other in combinations(ends, 2):
        yield from (first | {one: a, other: b} for a, b in product(ends[one], ends[other]))


def _fewest(
    values: Mapping[str, Any], is_at_fault: Callable[[Mapping[str, Any]], bool]
) -> Mapping[str, Any]:
    """The one or two of the values that are at fault by themselves, else all of them."""
    for size in (1, 2):
        for keys in combinations(values, size):
            some = {key: values[key] for key in keys}
            if is_at_fault(some):
                return some
    return values


def _ends(parameter: Parameter) -> list[Any]:
    if parameter.choices:
        return list(parameter.choices)
    bounds = [parameter.low or 0.0, parameter.high or 0.0]
    return [int(bound) for bound in bounds] if number_kind(parameter.key) is int else bounds


def _check_run(experiment: Experiment, facts: Callable[[Data, int], Facts]) -> None:
    """What `grow` itself asks before it begins."""
    check_names(experiment)
    check_pruning(experiment)
    check_ignored(experiment)
    known = facts(experiment.data, experiment.seed)
    check_fit(experiment, start_architecture(experiment, known.shape, known.classes), known.samples)
