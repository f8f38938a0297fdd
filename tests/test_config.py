"""Configuration: TOML gives back what was written, and every wrong key or value is named."""

import math
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, get_type_hints

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from recursive_lth.config import (
    Acceptance,
    Budget,
    Data,
    Experiment,
    Growth,
    GrowthStep,
    Pruning,
    Space,
    Start,
    Training,
    nearest,
    pick,
)
from recursive_lth.config_file import (
    experiment_from,
    experiment_to_toml,
    override,
    read_toml,
    space_from,
)
from recursive_lth.errors import InputError
from recursive_lth.files import canonical_json

words = st.text(min_size=1, max_size=12)
shares = st.floats(0.01, 0.9)
counts = st.integers(1, 10**6)
steps = st.builds(
    GrowthStep, operator=words, place=shares, ratio=shares, initialisation=words, mask=words
)
intervals = st.tuples(shares, shares).map(sorted).map(tuple)
name_lists = st.lists(words, min_size=1, max_size=3, unique=True).map(tuple)
growths = st.one_of(
    st.builds(
        Growth,
        policy=st.sampled_from(["tpe", "random"]),
        candidates=st.integers(1, 9),
        epochs=shares,
    ),
    st.builds(Growth, policy=st.just("fixed"), schedule=st.lists(steps, min_size=1).map(tuple)),
)
experiments = st.builds(
    Experiment,
    name=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", fullmatch=True),
    claim=st.text(),
    seed=st.integers(0, 2**63 - 1),
    data=st.builds(Data, name=words, validation_fraction=shares, train_limit=counts),
    start=st.builds(Start, architecture=words, hidden=st.lists(counts, max_size=3).map(tuple)),
    training=st.builds(
        Training,
        epochs=st.floats(1e-9, 1e9),
        learning_rate=shares,
        flip=st.booleans(),
        shift=st.integers(0, 64),
    ),
    pruning=st.builds(
        Pruning,
        rate=shares,
        output_rate=st.none() | shares,
        target_weights=counts,
        rewind=st.sampled_from(["none", "init", "500it"]),
    ),
    growth=growths,
    space=st.builds(Space, operator=name_lists, place=intervals, ratio=intervals),
    acceptance=st.builds(Acceptance, margin=shares),
    budget=st.builds(Budget, generations=counts, seconds=shares),
)


@given(experiments)
def test_toml_gives_back_the_same_experiment(experiment: Experiment) -> None:
    """Writing is exact: TOML's floats are binary64 in their shortest form, texts are escaped."""
    text = experiment_to_toml(experiment)
    back = experiment_from(tomllib.loads(text))
    assert back == experiment
    assert back.digest == experiment.digest
    assert experiment_to_toml(back) == text


@given(experiments)
def test_the_digest_depends_on_every_value_and_on_nothing_else(experiment: Experiment) -> None:
    other = replace(experiment, budget=replace(experiment.budget, generations=10**6 + 1))
    assert other.digest != experiment.digest
    assert replace(other, budget=experiment.budget).digest == experiment.digest


def test_an_empty_file_is_the_default_experiment() -> None:
    assert experiment_from({}) == Experiment()


def keys(kind: type = Experiment, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every dotted key of an experiment, sections left out."""
    for name, hint in get_type_hints(kind).items():
        if is_dataclass(hint):
            yield from keys(hint, (*path, name))  # type: ignore[arg-type]
        else:
            yield (*path, name)


KEYS = list(keys())


def nested(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    for key in reversed(path):
        value = {key: value}
    assert isinstance(value, dict)
    return value


def refusal(act: Callable[[], object]) -> str:
    """The one line with which an act is refused."""
    with pytest.raises(InputError) as caught:
        act()
    text = str(caught.value)
    assert text
    assert "\n" not in text
    return text


@pytest.mark.parametrize("path", KEYS, ids=".".join)
def test_a_wrong_type_is_refused_by_its_key(path: tuple[str, ...]) -> None:
    """No key takes a table: a text key names itself, and so does a number."""
    text = refusal(lambda: experiment_from(nested(path, {"nonsense": 1})))
    assert ".".join(path) in text


@pytest.mark.parametrize("path", KEYS, ids=".".join)
def test_a_misspelt_key_is_refused_with_the_right_one(path: tuple[str, ...]) -> None:
    *sections, key = path
    text = refusal(lambda: experiment_from(nested((*sections, f"{key}x"), 1)))
    assert ".".join((*sections, f"{key}x")) in text
    assert f"did you mean {key!r}?" in text


def test_a_true_is_no_number_and_a_number_is_no_truth() -> None:
    assert "seed" in refusal(lambda: experiment_from({"seed": True}))
    assert "training.flip" in refusal(lambda: experiment_from({"training": {"flip": 1}}))
    assert "training.epochs" in refusal(lambda: experiment_from({"training": {"epochs": False}}))


BAD_VALUES: dict[str, list[Any]] = {
    "name": ["", "a b", "../up", "-x"],
    "seed": [-1, 2**63],
    "data.validation_fraction": [0.0, 0.91, math.nan, -0.1],
    "data.train_limit": [-1],
    "start.hidden": [[0]],
    "training.epochs": [0.0, -1.0, math.nan],
    "training.learning_rate": [0.0, math.nan],
    "training.momentum": [1.0],
    "training.batch_size": [0],
    "training.warmup": [1.1],
    "training.label_smoothing": [1.0],
    "training.shrink": [0.0, 1.1],
    "training.threads": [0],
    "pruning.rate": [0.0, 1.0],
    "pruning.target_density": [1.1],
    "pruning.layer_floor": [-1],
    "pruning.rewind": ["500", "it", "-1it"],
    "growth.candidates": [0],
    "growth.rungs": [0],
    "growth.schedule": [[{"operator": "widen"}]],
    "space.operator": [[], ["widen", "widen"]],
    "space.initialisation": [[], ["preserving", "kaiming", "preserving"]],
    "space.mask": [[], ["dense", "dense"]],
    "space.place": [[0.5, 0.4], [0.0, 1.1]],
    "space.ratio": [[0.0, 0.5], [0.1, 17.0]],
    "acceptance.max_density": [0.0],
    "budget.generations": [0],
    "budget.patience": [-1],
}


@pytest.mark.parametrize(
    ("key", "value"), [(key, value) for key, values in BAD_VALUES.items() for value in values]
)
def test_a_value_outside_its_law_is_refused_by_its_key(key: str, value: Any) -> None:
    data: dict[str, Any] = {"pruning": {"rounds": 1}}
    section, _, name = key.rpartition(".")
    (data.setdefault(section, {}) if section else data)[name] = value
    assert key in refusal(lambda: experiment_from(data))


def test_keys_that_exclude_each_other_are_refused() -> None:
    assert "pruning" in refusal(lambda: experiment_from({"pruning": {"target_density": 0.0}}))
    both = {"shift": 1, "crop": 1}
    assert "training.crop" in refusal(lambda: experiment_from({"training": both}))
    assert "growth.schedule" in refusal(lambda: experiment_from({"growth": {"policy": "fixed"}}))
    assert "format" in refusal(lambda: experiment_from({"format": 999}))


def test_settings_are_laid_over_and_change_nothing_they_were_given() -> None:
    data = {"training": {"epochs": 3.0}}
    laid = override(data, ["training.epochs=5", "data.name=mnist", "claim=a b = c", "seed = 7"])
    assert laid == {
        "training": {"epochs": 5},
        "data": {"name": "mnist"},
        "claim": "a b = c",
        "seed": 7,
    }
    assert data == {"training": {"epochs": 3.0}}
    assert override({}, ["space.ratio=[0.1, 0.2]"]) == {"space": {"ratio": [0.1, 0.2]}}


@pytest.mark.parametrize("setting", ["seed", "=3", "a.b.c=3", "training.=3", ".epochs=3", ""])
def test_a_malformed_setting_is_refused(setting: str) -> None:
    assert repr(setting) in refusal(lambda: override({}, [setting]))


def test_a_setting_below_a_value_is_refused() -> None:
    assert "seed" in refusal(lambda: override({"seed": 1}, ["seed.more=2"]))


@given(st.builds(Space, operator=name_lists, place=intervals, ratio=intervals, mask=name_lists))
def test_a_space_survives_its_file(space: Space) -> None:
    table = {f.name: getattr(space, f.name) for f in fields(space)}
    assert space_from(tomllib.loads(tomli_w.dumps(table))) == space


def test_an_unreadable_file_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "broken.toml"
    assert str(path) in refusal(lambda: read_toml(path))
    path.write_text("seed = \n", "utf-8")
    assert "line 1" in refusal(lambda: read_toml(path))
    path.write_bytes(b"claim = '\xff'")
    assert str(path) in refusal(lambda: read_toml(path))
    assert str(tmp_path) in refusal(lambda: read_toml(tmp_path))


def test_a_registry_names_the_nearest_key() -> None:
    registry = {"magnitude": 1, "random": 2}
    assert pick(registry, "random", "score") == 2
    assert "did you mean 'magnitude'?" in refusal(lambda: pick(registry, "magnitud", "score"))
    assert nearest("zzz", registry) == "choose from magnitude, random"


def test_canonical_json_refuses_what_json_cannot_hold() -> None:
    with pytest.raises(ValueError, match="JSON"):
        canonical_json(math.inf)
