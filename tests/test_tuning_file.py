"""Experiments of `tune`: what they may vary, what is put into them, what a wrong one says."""

import tomllib
from itertools import combinations
from pathlib import Path

import pytest
from optuna.distributions import CategoricalDistribution
from tuning_desks import small_tuning

from recursive_lth import shelf
from recursive_lth.config import TuningExperiment
from recursive_lth.config_file import experiment_to_toml
from recursive_lth.errors import InputError
from recursive_lth.tuning.check import MOST_COMBINATIONS, check_tuning, combinations_of
from recursive_lth.tuning.parameters import decoded, distributions
from recursive_lth.tuning_file import settable_keys, tuned, tuning_experiment_from


def vary(*entries: str, settings: tuple[str, ...] = ()) -> TuningExperiment:
    """A small tuning of these parameters, each written as an inline table."""
    return small_tuning(f"tune.parameters=[{', '.join(entries)}]", *settings)


def test_what_is_written_reads_back_equal_and_needs_no_shelf(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The resolved file holds base and spaces: nothing is looked up when a run goes on."""
    experiment = vary('{key="growth.space", choices=["mlp", "mlp_wide"]}')
    text = experiment_to_toml(experiment)
    monkeypatch.setattr(shelf, "find", None)
    again = tuning_experiment_from(tomllib.loads(text))
    assert again == experiment
    assert again.digest == experiment.digest
    assert tuned(again, {"growth.space": "mlp_wide"}).space.operator


def test_a_trial_is_what_grow_makes_of_the_same_settings() -> None:
    """The slow twin: the base's file, its settings and the trial's, loaded by `grow` itself."""
    experiment = small_tuning("base.training.dropout=0.2", "seed=7")
    values = {"growth.candidates": 3, "space.operator": ["deepen"], "training.shrink": 0.5}
    twin = shelf.load_experiment(
        "grow_digits",
        [
            *experiment.tune.set,
            "growth.candidates=3",
            'space.operator=["deepen"]',
            "training.shrink=0.5",
            "seed=7",
        ],
    )
    assert tuned(experiment, values) == twin
    assert twin.training.dropout == 0.2


def test_a_space_by_name_comes_whole_and_single_keys_are_laid_over_it() -> None:
    experiment = vary(
        '{key="growth.space", choices=["mlp", "mlp_wide"]}',
        '{key="space.ratio", choices=[[0.1, 0.2], [0.2, 0.3]]}',
    )
    assert [entry.name for entry in experiment.spaces] == ["mlp_wide"]
    trial = tuned(experiment, {"growth.space": "mlp_wide", "space.ratio": [0.2, 0.3]})
    assert trial.space.operator == shelf.load_space("mlp_wide").operator
    assert trial.space.ratio == (0.2, 0.3)


def test_another_base_is_taken_from_the_shelf_or_from_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "inner.toml").write_text("name = 'inner'\n[training]\nepochs = 2\n", "utf-8")
    path = tmp_path / "outer.toml"
    path.write_text(
        'command = "tune"\n[tune]\nbase = "inner.toml"\n'
        '[[tune.parameters]]\nkey = "training.shift"\nlow = 0\nhigh = 2\n',
        "utf-8",
    )
    experiment = shelf.load_tuning_experiment(path)
    assert experiment.base.name == "inner"
    assert experiment.base.training.epochs == 2
    other = shelf.load_tuning_experiment(path, ["tune.base=grow_digits"])
    assert other.base.name == "grow_digits"
    assert other.digest != experiment.digest


@pytest.mark.parametrize("key", sorted(settable_keys()))
def test_every_key_of_an_experiment_can_vary(key: str) -> None:
    """Whatever `--set` takes is a parameter: its own value is accepted as a choice."""
    section, name = key.split(".")
    value = getattr(getattr(small_tuning().base, section), name)
    own = list(value) if isinstance(value, tuple) else 0.1 if value is None else value
    experiment = _with_choices(key, own)
    known = distributions(experiment)[key]
    assert isinstance(known, CategoricalDistribution)
    assert decoded(experiment, {key: known.choices[0]})[key] == _frozen(own)
    assert len(set(known.choices)) == 2


def _with_choices(key: str, own: object) -> TuningExperiment:
    """The key's own value and another of its type as choices, the first that is accepted."""
    for other in _others(own):
        parameter = {"key": key, "choices": [own, other]}
        try:
            return tuning_experiment_from({"command": "tune", "tune": {"parameters": [parameter]}})
        except InputError:
            continue
    raise AssertionError(f"{key} takes no choices")


def _others(value: object) -> list[object]:
    if isinstance(value, list):
        return [value[::-1], [*value, *value], [*value[:-1], 0.5], [1], ["x"], [{}]]
    if isinstance(value, bool):
        return [not value]
    return [value + 1 if isinstance(value, (int, float)) else f"{value}x"]


def _frozen(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ('{key="growth.polcy", choices=["tpe", "random"]}', "did you mean 'growth.policy'"),
        ('{key="seed", choices=[1, 2]}', "unknown key seed"),
        ('{key="growth.candidates", choices=["two", "three"]}', "must be a whole number"),
        ('{key="growth.candidates", low=1.5, high=3}', "is a whole number, got low = 1.5"),
        ('{key="growth.policy", low=1, high=3}', "is no number: give choices"),
        ('{key="growth.candidates", low=3, high=3}', "low must be below high"),
        ('{key="growth.candidates", low=1}', "both low and high"),
        ('{key="growth.candidates", choices=[1, 1]}', "two or more and unlike"),
        ('{key="growth.candidates", choices=[1, 2], low=1}', "not both"),
        ('{key="training.shrink", low=0.0, high=1, log=true}', "log needs low above 0"),
        ('{key="training.shrink", low=0.1, high=1, step=0.4}', "whole steps above low"),
        ('{key="training.shrink", lo=0.1, high=1}', "did you mean 'low'"),
        ('{key="growth.space", choices=["mlp", "mpl"]}', "did you mean 'mlp'"),
        ("{low=0.1, high=1}", "each needs a key"),
    ],
)
def test_a_wrong_parameter_is_refused_with_its_key(entry: str, expected: str) -> None:
    with pytest.raises(InputError) as caught:
        vary(entry)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        (['{key="growth.policy", choices=["tpe", "ranom"]}'], "did you mean 'random'"),
        (['{key="growth.policy", choices=["tpe", "fixed"]}'], "growth.schedule belongs to"),
        (['{key="pruning.rewind", choices=["none", "500000it"]}'], "500000it"),
        (['{key="training.shrink", low=0.5, high=1.5}'], "training.shrink"),
        (
            [
                '{key="training.shift", choices=[0, 1]}',
                '{key="training.crop", choices=[0, 1]}',
                '{key="training.flip", choices=[false, true]}',
            ],
            "training.shift=1 with training.crop=1 cannot be run",
        ),
    ],
)
def test_what_cannot_be_run_together_is_refused_at_the_door(
    entries: list[str], expected: str
) -> None:
    """The error names no more values than it takes to fail."""
    with pytest.raises(InputError) as caught:
        check_tuning(vary(*entries, settings=("base.training.shift=0",)))
    assert expected in str(caught.value)
    assert "cannot be run" in str(caught.value)


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("tune.sampler=tpee", "unknown tune.sampler 'tpee': did you mean 'tpe'"),
        ("tune.objectives=['val_acuracy']", "did you mean 'val_accuracy'"),
        ("tune.parameters=[]", "tune.parameters is empty"),
    ],
)
def test_unknown_names_are_refused(setting: str, expected: str) -> None:
    with pytest.raises(InputError) as caught:
        check_tuning(small_tuning(setting))
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("tune.trials=0", "tune.trials must be"),
        ("tune.objectives=[]", "tune.objectives needs one or more"),
        ("tune.set=['growth.polcy=tpe']", "did you mean 'growth.policy'"),
        ("base.growth.polcy=tpe", "did you mean 'growth.policy'"),
        ("tune.seed=3", "unknown key tune.seed: did you mean 'seeds'"),
        ("tune.base=grow_digit", "did you mean 'grow_digits'"),
        ("command=grow", "this is an experiment of `recursive-lth grow`"),
    ],
)
def test_wrong_settings_are_refused(setting: str, expected: str) -> None:
    with pytest.raises(InputError) as caught:
        small_tuning(setting)
    assert expected in str(caught.value)


def test_values_that_only_their_like_allow_are_not_refused() -> None:
    """A trial has a value of every parameter: what only the base forbids is no fault."""
    paired = [
        '{key="pruning.rewind", choices=["init", "1ep"]}',
        '{key="pruning.restore", choices=["weights", "signs"]}',
    ]
    check_tuning(vary(*paired, settings=("base.pruning.rewind=none",)))


def test_combinations_are_all_while_they_are_few_and_pairs_beyond() -> None:
    """Three switches have 8 combinations; nine switches 512, but each pair of values once."""
    keys = ["shift", "crop", "epochs", "dropout", "warmup", "perturb", "clip_norm", "momentum"]
    entries = [f'{{key="training.{key}", choices=[0, 1]}}' for key in [*keys, "batch_size"]]
    few = list(combinations_of(vary(*entries[:3]).tune.parameters))
    assert len({tuple(values.items()) for values in few}) == len(few) == 8
    many = list(combinations_of(vary(*entries).tune.parameters))
    assert MOST_COMBINATIONS < 2**9
    assert all(len(values) == 9 for values in many)
    pairs = {pair for values in many for pair in combinations(values.items(), 2)}
    assert len(pairs) == 36 * 4
