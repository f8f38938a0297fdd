"""A tuning's Optuna study: made or joined, with all that its workers must agree on."""

import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import optuna
from optuna.storages import RDBStorage
from sqlalchemy import text
from sqlalchemy.engine import URL

from recursive_lth.config import TuningExperiment
from recursive_lth.config_file import experiment_to_toml
from recursive_lth.errors import InputError
from recursive_lth.tuning.desk import GRACE, Desk, hidden, locked, opened_storage, quiet
from recursive_lth.tuning.objectives import OBJECTIVES
from recursive_lth.tuning_file import tuning_experiment_from

SECONDS = 10  # between two signs of life
EXPERIMENT, ORIGIN, HEARTBEAT = "experiment", "origin", "heartbeat"  # user attributes of a study


@contextmanager
def opened(
    url: URL,
    experiment: TuningExperiment,
    origin: Mapping[str, Any],
    *,
    heartbeat: int | None = None,
    is_joining: bool = False,
) -> Iterator[Desk]:
    """The desk of an experiment; its study is made where there is none, unless `is_joining`.

    `origin` is what changes the bits and is no part of the experiment: the data's content, the
    device, versions. Raises `InputError` where the study was begun under another, or with another
    `heartbeat` (in seconds).
    """
    with opened_storage(url) as storage:
        with locked(url):
            study = _study(storage, url, experiment, is_joining=is_joining)
            agreed = {
                EXPERIMENT: experiment_to_toml(experiment),
                ORIGIN: dict(origin),
                HEARTBEAT: heartbeat or SECONDS,
            }
            for key, value in agreed.items():
                if key not in study.user_attrs:
                    study.set_user_attr(key, value)
            kept = study.user_attrs
        if heartbeat not in (None, kept[HEARTBEAT]):
            raise InputError(
                f"{experiment.folder_name} was begun with --heartbeat {kept[HEARTBEAT]}: leave the "
                "option out"
            )
        _check_origin(experiment, kept[ORIGIN], origin)
        storage.heartbeat_interval = kept[HEARTBEAT]
        storage.grace_period = GRACE * kept[HEARTBEAT]
        yield Desk(url, storage, study, experiment, kept[HEARTBEAT])


def _study(
    storage: RDBStorage, url: URL, experiment: TuningExperiment, *, is_joining: bool
) -> optuna.Study:
    name = experiment.folder_name
    if is_joining:
        try:
            study = optuna.load_study(study_name=name, storage=storage)
        except KeyError:
            study = None
        if study is None or HEARTBEAT not in study.user_attrs:
            raise InputError(f"{hidden(url)} has no study {name}: begin it with `tune`")
        return study
    names = experiment.tune.objectives
    study = optuna.create_study(
        study_name=name,
        storage=storage,
        directions=[OBJECTIVES[name].direction for name in names],
        load_if_exists=True,
    )
    with quiet():
        study.set_metric_names(list(names))  # for readers such as optuna-dashboard
    return study


def _check_origin(
    experiment: TuningExperiment, begun: Mapping[str, Any], now: Mapping[str, Any]
) -> None:
    for key, value in now.items():
        if begun.get(key) != value:
            raise InputError(
                f"{experiment.folder_name} was begun with another {key} ({begun.get(key)}, now "
                f"{value}): all its workers need the same"
            )


def experiment_in(url: URL, name: str) -> TuningExperiment:
    """The experiment that a study of this name was begun with, for a worker without its folder."""
    with opened_storage(url) as storage:
        try:
            attributes = optuna.load_study(study_name=name, storage=storage).user_attrs
        except KeyError:
            attributes = {}
    if EXPERIMENT not in attributes:
        raise InputError(f"{hidden(url)} has no study {name}: begin it with `tune`")
    return tuning_experiment_from(tomllib.loads(attributes[EXPERIMENT]))


def set_aside(url: URL, name: str, new_name: str) -> None:
    """Rename a study of this name, if there is one, so that another can begin under its name."""
    with opened_storage(url) as storage, locked(url), storage.engine.begin() as connection:
        connection.execute(
            text("UPDATE studies SET study_name = :new WHERE study_name = :old"),
            {"new": new_name, "old": name},
        )
