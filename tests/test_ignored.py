"""Settings that nothing reads: each is refused, and would indeed have changed nothing."""

from pathlib import Path
from typing import Any

import pytest
from search_runs import bench_of, small, whole
from tuning_desks import small_tuning

from recursive_lth import shelf
from recursive_lth.config.ignored import SWITCHED, check_ignored
from recursive_lth.config_file import experiment_to_toml
from recursive_lth.errors import InputError
from recursive_lth.search.policies.catalogue import POLICIES
from recursive_lth.search.run import grow
from recursive_lth.tuning.check import check_tuning
from recursive_lth.tuning_file import tuned

NEVER, FIXED = "growth.policy=never", "growth.policy=fixed"
STEP = 'growth.schedule=[{operator="widen"}]'
HALVED = ("growth.cut=halving", "growth.rungs=2")
CASES: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {  # value, read, not read
    "growth.epochs": ("2", (), (NEVER,)),
    "growth.in_a_row": ("2", (), (NEVER,)),
    "growth.trigger": ("plateau", (), (NEVER,)),
    "training.shrink": ("0.5", (), (NEVER,)),
    "training.perturb": ("0.1", (), (NEVER,)),
    "pruning.quarantine": ("2", (), (NEVER,)),
    "pruning.spare_skeleton": ("true", (), (NEVER,)),
    "growth.candidates": ("3", (), (FIXED, STEP)),
    "growth.judge_epochs": ("1.5", (), (NEVER,)),
    "growth.rungs": ("3", (), (FIXED, STEP)),
    "growth.together": ("2", (), (NEVER,)),
    "growth.replicates": ("2", (), (FIXED, STEP)),
    "growth.random_candidates": ("2", ("growth.policy=tpe",), ("growth.policy=random",)),
    "growth.cut": ("halving", HALVED[1:], ("growth.rungs=1",)),
    "growth.spacing": ("0.4", HALVED[1:], ("growth.rungs=1",)),
    "growth.keep": ("0.7", HALVED, ("growth.cut=curve", "growth.rungs=3")),
    "growth.race": ("wilcoxon", ("growth.replicates=2",), ("growth.replicates=1",)),
    "growth.trigger_patience": ("1", ("growth.trigger=plateau",), ("growth.trigger=fixed",)),
    "growth.trigger_threshold": ("0.9", ("growth.trigger=plateau",), ("growth.trigger=dormant",)),
    "growth.trigger_distance": (
        "1.9",
        ("growth.trigger=mask_stability",),
        ("growth.trigger=plateau",),
    ),
    "growth.trigger_share": ("0.01", ("growth.trigger=dormant",), ("growth.trigger=plateau",)),
    "growth.warmup_epochs": ("2", ("growth.optimizer=carry_warmup",), ("growth.optimizer=carry",)),
    "acceptance.margin": ("0.3", ("acceptance.rule=paper",), ("acceptance.rule=front",)),
}


def test_every_switched_setting_has_its_case() -> None:
    assert set(CASES) == set(SWITCHED)


@pytest.mark.parametrize("key", CASES)
def test_a_setting_is_refused_iff_nothing_reads_it(key: str) -> None:
    value, is_read, is_not_read = CASES[key]
    check_ignored(small(f"{key}={value}", *is_read))
    with pytest.raises(
        InputError, match=f"^{key} would do nothing: it is read .*; leave it out$"
    ) as caught:
        check_ignored(small(f"{key}={value}", *is_not_read))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "settings",
    [
        ("growth.keep=0.7", "growth.replicates=3", "growth.cut=median"),
        ("growth.random_candidates=2", "growth.policy=python:mine"),
        ("acceptance.margin=0.3", "acceptance.rule=paired"),
    ],
)
def test_what_one_of_several_switches_reads_passes(settings: tuple[str, ...]) -> None:
    check_ignored(small(*settings))


def numbers(settings: tuple[str, ...], folder: Path) -> list[tuple[Any, ...]]:
    """What a run finds, without what it costs in names: its ticket by size and validation data."""
    return [
        (t.val_loss, t.remaining_weights, t.training_cost, t.accepted, t.growth, t.candidates)
        for t, _ in whole(bench_of(small("budget.generations=2", *settings), folder))
    ]


@pytest.mark.slow
@pytest.mark.parametrize("key", CASES)
def test_what_is_refused_would_have_changed_nothing(key: str, tmp_path: Path) -> None:
    """A whole run with the setting and one without find the same, to the bit."""
    value, _, settings = CASES[key]
    with_it = numbers((*settings, f"{key}={value}"), tmp_path / "with")
    assert numbers(settings, tmp_path / "without") == with_it


def test_a_run_is_refused_before_it_begins(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"growth\.race .* read with growth.replicates above 1; leave"
    ):
        next(grow(small("growth.race=wilcoxon"), out=tmp_path, device="cpu"))
    assert list(tmp_path.iterdir()) == []


def test_what_a_file_says_yields_to_what_is_laid_over_it() -> None:
    """An experiment of judged growth runs without growth; what a user says himself never yields."""
    found = shelf.load_experiment("grow_digits", [NEVER])
    check_ignored(found)
    assert found == shelf.load_experiment(
        "grow_digits", [NEVER, "growth.candidates=4", "growth.rungs=2", "growth.epochs=3"]
    )
    assert shelf.load_experiment("grow_digits").growth.judge_epochs == 15
    with pytest.raises(InputError, match=r"growth\.candidates .* under any .* but fixed and never"):
        check_ignored(shelf.load_experiment("grow_digits", [NEVER, "growth.candidates=9"]))


def test_what_a_file_says_and_never_reads_is_refused(tmp_path: Path) -> None:
    """No matter what else is laid over it."""
    path = tmp_path / "own.toml"
    path.write_text(experiment_to_toml(small()).replace("keep = 0.5", "keep = 0.7"), "utf-8")
    for settings in ([], ["seed=1"], ["training.epochs=2"]):
        with pytest.raises(InputError, match=r"growth\.keep would do nothing"):
            check_ignored(shelf.load_experiment(path, settings))
    check_ignored(shelf.load_experiment(path, ["growth.replicates=2"]))


@pytest.mark.parametrize("policy", POLICIES)
def test_shipped_experiments_ignore_nothing_under_any_policy(policy: str) -> None:
    for name, (command, _) in shelf.claims().items():
        if command != "grow":
            continue
        check_ignored(shelf.load_experiment(name))
        schedule = STEP if policy == "fixed" else "growth.schedule=[]"
        check_ignored(shelf.load_experiment(name, [f"growth.policy={policy}", schedule]))


CUTS = '{key="growth.cut", choices=["median", "halving"]}'
KEEPS = '{key="growth.keep", choices=[0.3, 0.7]}'


def test_what_only_some_trials_read_is_put_back_in_the_others() -> None:
    """Two trials that differ in nothing that is read are one run."""
    tuning = small_tuning("base.growth.rungs=2", f"tune.parameters=[{CUTS}, {KEEPS}]")
    check_tuning(tuning)
    runs = [
        tuned(tuning, {"growth.cut": cut, "growth.keep": keep})
        for cut in ("median", "halving")
        for keep in (0.3, 0.7)
    ]
    assert [run.growth.keep for run in runs] == [0.5, 0.5, 0.3, 0.7]
    assert runs[0] == runs[1]


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        (("base.growth.rungs=2", f"tune.parameters=[{KEEPS}]"), "growth.keep"),
        (("base.growth.race=wilcoxon", "base.growth.rungs=2"), "growth.race"),
    ],
)
def test_what_no_trial_reads_is_refused(settings: tuple[str, ...], key: str) -> None:
    with pytest.raises(InputError, match=f"tune: {key} would do nothing in any trial: it is read"):
        check_tuning(small_tuning(*settings))
