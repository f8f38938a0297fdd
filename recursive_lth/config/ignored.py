"""Which settings of recursive growth are read under which others; what nothing reads is refused.

A setting stands for something only where others ask for it: `growth.race` where there are races.
Those others are its switches. What a file says yields to a switch that is laid over the file, so
that `--set growth.policy=never` runs any experiment; what is left is refused at the door of `grow`.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from recursive_lth.config.experiment import Experiment
from recursive_lth.errors import InputError

MODELS = ("tpe", "gp", "nsga2", "cmaes")  # policies that begin with random candidates
UNJUDGED = ("fixed", "never")  # policies that train no candidates
OWN = "python:"  # begins the name of a user's own policy, which may read anything


@dataclass(frozen=True)
class Switched:
    """When a setting is read, in words too, and the settings that decide it."""

    words: str
    switches: tuple[str, ...]
    is_read: Callable[[Experiment], bool]


def _grows(experiment: Experiment) -> bool:
    return experiment.growth.policy != "never"


def _judges(experiment: Experiment) -> bool:
    return experiment.growth.policy not in UNJUDGED


def _begins_at_random(experiment: Experiment) -> bool:
    policy = experiment.growth.policy
    return policy in MODELS or policy.startswith(OWN)


def _cuts(experiment: Experiment) -> bool:
    return _judges(experiment) and experiment.growth.rungs > 1


def _races(experiment: Experiment) -> bool:
    return _judges(experiment) and experiment.growth.replicates > 1


def _keeps(experiment: Experiment) -> bool:
    halves = _cuts(experiment) and experiment.growth.cut == "halving"
    return halves or _races(experiment)


def _of_trigger(*names: str) -> Switched:
    """Of a growing experiment whose training is ended by one of these."""
    return Switched(
        f"by growth.trigger={' or '.join(names)}",
        ("growth.trigger", "growth.policy"),
        lambda experiment: _grows(experiment) and experiment.growth.trigger in names,
    )


_GROWING = Switched("under any growth.policy but never", ("growth.policy",), _grows)
_JUDGING = Switched("under any growth.policy but fixed and never", ("growth.policy",), _judges)

SWITCHED: Mapping[str, Switched] = MappingProxyType(
    {
        **dict.fromkeys(
            (
                "growth.epochs",
                "growth.in_a_row",
                "growth.trigger",
                "training.shrink",
                "training.perturb",
                "pruning.quarantine",
                "pruning.spare_skeleton",
            ),
            _GROWING,
        ),
        **dict.fromkeys(
            (
                "growth.candidates",
                "growth.judge_epochs",
                "growth.rungs",
                "growth.together",
                "growth.replicates",
            ),
            _JUDGING,
        ),
        "growth.random_candidates": Switched(
            f"by growth.policy={', '.join(MODELS)}", ("growth.policy",), _begins_at_random
        ),
        "growth.cut": Switched(
            "with growth.rungs above 1", ("growth.rungs", "growth.policy"), _cuts
        ),
        "growth.spacing": Switched(
            "with growth.rungs above 1", ("growth.rungs", "growth.policy"), _cuts
        ),
        "growth.keep": Switched(
            "with growth.cut=halving and growth.rungs above 1, or with growth.replicates above 1",
            ("growth.cut", "growth.rungs", "growth.replicates", "growth.policy"),
            _keeps,
        ),
        "growth.race": Switched(
            "with growth.replicates above 1", ("growth.replicates", "growth.policy"), _races
        ),
        "growth.trigger_patience": _of_trigger(
            "plateau", "gain_per_cost", "mask_stability", "dormant"
        ),
        "growth.trigger_threshold": _of_trigger("plateau"),
        "growth.trigger_distance": _of_trigger("mask_stability"),
        "growth.trigger_share": _of_trigger("dormant"),
        "growth.warmup_epochs": Switched(
            "with growth.optimizer=carry_warmup",
            ("growth.optimizer", "growth.policy"),
            lambda experiment: _grows(experiment) and experiment.growth.optimizer == "carry_warmup",
        ),
        "acceptance.margin": Switched(
            "by acceptance.rule=margin, paper or paired",
            ("acceptance.rule",),
            lambda experiment: experiment.acceptance.rule != "front",
        ),
    }
)


def check_ignored(experiment: Experiment) -> None:
    """Raise `InputError`, naming key and cure, where a setting is no default and nothing reads it.

    >>> check_ignored(Experiment())
    """
    for key in _ignored(experiment):
        raise InputError(f"{key} would do nothing: it is read {SWITCHED[key].words}; leave it out")


def yielded(experiment: Experiment, settings: Iterable[str]) -> Experiment:
    """The experiment without what its file says and the settings laid over it have switched off.

    `settings` are like `growth.policy=never`. What they say themselves stays, read or not.
    """
    own = keys_of(settings)
    return without_ignored(
        experiment,
        {k for k, switched in SWITCHED.items() if k not in own and own & {*switched.switches}},
    )


def without_ignored(experiment: Experiment, keys: Collection[str]) -> Experiment:
    """The experiment with those of the keys that nothing reads put back to their defaults."""
    changes: dict[str, dict[str, Any]] = {}
    for key in _ignored(experiment):
        if key in keys:
            section, name = key.split(".")
            changes.setdefault(section, {})[name] = _default(experiment, key)
    sections = {s: replace(getattr(experiment, s), **values) for s, values in changes.items()}
    return replace(experiment, **sections)


def keys_of(settings: Iterable[str]) -> set[str]:
    """The keys that settings such as `growth.policy=never` set."""
    return {setting.partition("=")[0].strip() for setting in settings}


def _ignored(experiment: Experiment) -> list[str]:
    """The keys that are no defaults and that nothing reads."""
    return [
        key
        for key, switched in SWITCHED.items()
        if _value(experiment, key) != _default(experiment, key) and not switched.is_read(experiment)
    ]


def _value(experiment: Experiment, key: str) -> Any:
    section, name = key.split(".")
    return getattr(getattr(experiment, section), name)


def _default(experiment: Experiment, key: str) -> Any:
    section, name = key.split(".")
    return getattr(type(getattr(experiment, section))(), name)
