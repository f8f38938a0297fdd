"""Experiments of `tune` as TOML, and the `grow` experiment that a trial's values make of one."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from types import UnionType
from typing import Any, get_args, get_type_hints

from recursive_lth.config import Experiment, Parameter, TuningExperiment, nearest
from recursive_lth.config.ignored import keys_of, without_ignored, yielded
from recursive_lth.config_file import build, checked_values, convert, override, plain
from recursive_lth.errors import InputError

SPACE = "growth.space"


def tuning_experiment_from(data: Mapping[str, Any]) -> TuningExperiment:
    """The experiment of `tune` that plain TOML values describe; each of its keys is looked up."""
    experiment = build(TuningExperiment, checked_values(data, "tune"), "")
    keys = settable_keys()
    for parameter in experiment.tune.parameters:
        _check_key(parameter.key, keys)
        _check_values(parameter, keys[parameter.key])
    for setting in experiment.tune.set:
        _check_key(setting.partition("=")[0].strip(), keys)
    return experiment


def settable_keys() -> dict[str, Any]:
    """Every `section.key` of an experiment of `grow`, and the type of its value."""
    return {
        f"{section}.{f.name}": get_type_hints(kind)[f.name]
        for section, kind in get_type_hints(Experiment).items()
        if is_dataclass(kind)
        for f in fields(kind)
    }


def number_kind(key: str) -> type | None:
    """int or float, where that is what a key holds; None elsewhere."""
    kind = settable_keys()[key]
    kinds = get_args(kind) if isinstance(kind, UnionType) else (kind,)
    return next((k for k in kinds if k in (int, float)), None)


def _check_key(key: str, keys: Mapping[str, Any]) -> None:
    if key not in keys:
        raise InputError(f"tune: unknown key {key}: {nearest(key, keys)}")


def _check_values(parameter: Parameter, kind: Any) -> None:
    """Raise `InputError` where a value is not of the key's type."""
    for choice in parameter.choices:
        convert(kind, choice, f"tune.parameters {parameter.key}: each choice")
    if parameter.choices:
        return
    number = number_kind(parameter.key)
    if number is None:
        raise InputError(f"tune.parameters {parameter.key} is no number: give choices = [...]")
    for name in ("low", "high", "step"):
        bound = getattr(parameter, name)
        if number is int and bound is not None and bound != int(bound):
            raise InputError(
                f"tune.parameters {parameter.key} is a whole number, got {name} = {bound}"
            )


def tuned(experiment: TuningExperiment, values: Mapping[str, Any]) -> Experiment:
    """The `grow` experiment of a trial: the base, `tune.set` laid over it, then `values` by key.

    Its seed is the tuning's. What is laid over the base and nothing reads under these values is put
    back to its default, as is what they switch off in the base: trials that differ in nothing else
    are one run. Raises `InputError` where the values do not go together.
    """
    base = plain(experiment.base)
    wanted = _laid(base, experiment.tune.set, values)["growth"].get("space")
    if wanted != base["growth"]["space"]:
        spaces = {entry.name: entry.space for entry in experiment.spaces}
        base["space"] = plain(spaces[wanted])
    laid = _laid(base, experiment.tune.set, values)
    found = build(Experiment, {**laid, "seed": experiment.seed}, "")
    own = written(experiment) | set(values)
    return without_ignored(yielded(found, own), own)


def written(experiment: TuningExperiment) -> set[str]:
    """The keys that the tuning lays over its base or varies."""
    varied = {parameter.key for parameter in experiment.tune.parameters}
    return keys_of(experiment.tune.set) | varied


def _laid(
    base: Mapping[str, Any], settings: tuple[str, ...], values: Mapping[str, Any]
) -> dict[str, Any]:
    data = override(base, settings)
    for path, value in values.items():
        section, key = path.split(".")
        data[section][key] = value
    return data


def spaces_of(experiment: TuningExperiment) -> list[str]:
    """The names of the search spaces that trials may grow in, but for the base's own."""
    named = [override({}, [s])["growth"]["space"] for s in experiment.tune.set if _is_space(s)]
    for parameter in experiment.tune.parameters:
        if parameter.key == SPACE:
            named += [str(choice) for choice in parameter.choices]
    return [name for name in dict.fromkeys(named) if name != experiment.base.growth.space]


def _is_space(setting: str) -> bool:
    return setting.partition("=")[0].strip() == SPACE
