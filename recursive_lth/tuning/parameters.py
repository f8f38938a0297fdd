"""The parameters of a tuning in Optuna's terms, and back."""

import json
from collections.abc import Mapping
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from recursive_lth.config import Parameter, TuningExperiment
from recursive_lth.tuning_file import number_kind

Scalar = str | int | float | bool


def distributions(experiment: TuningExperiment) -> dict[str, BaseDistribution]:
    """What may be proposed, by key; flat: every trial has every parameter."""
    return {p.key: _distribution(p) for p in experiment.tune.parameters}


def _distribution(parameter: Parameter) -> BaseDistribution:
    if parameter.choices:
        return CategoricalDistribution([_encoded(choice) for choice in parameter.choices])
    low, high, step = parameter.low or 0.0, parameter.high or 0.0, parameter.step
    if number_kind(parameter.key) is int:
        return IntDistribution(int(low), int(high), log=parameter.log, step=int(step or 1))
    return FloatDistribution(low, high, log=parameter.log, step=step)


def decoded(experiment: TuningExperiment, params: Mapping[str, Any]) -> dict[str, Any]:
    """A trial's values as `tuned` takes them: lists where Optuna holds their text."""
    found = {}
    for parameter in experiment.tune.parameters:
        value = params[parameter.key]
        choices = {_encoded(choice): choice for choice in parameter.choices}
        found[parameter.key] = choices.get(value, value)
    return found


def _encoded(choice: object) -> Scalar:
    """A choice as Optuna stores it: plain values as they are, lists and tables as JSON."""
    return choice if isinstance(choice, Scalar) else json.dumps(choice)
