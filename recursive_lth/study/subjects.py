"""A run or a ticket as a study: every network of it under the panel, before and after training.

Validation data are those that the run was selected by, not trained on: so there is one seed, the
run's, and a study of it tells what happened once and decides nothing.
"""

import shlex
from collections.abc import Sequence
from pathlib import Path

from recursive_lth.config import (
    Data,
    Experiment,
    Start,
    Study,
    StudyArm,
    StudyExperiment,
    Training,
    arm_of_generation,
)
from recursive_lth.config_file import any_experiment_from, arms_of, read_toml
from recursive_lth.errors import InputError
from recursive_lth.running.run_folder import RunFolder
from recursive_lth.study.moves import KEYED
from recursive_lth.ticket.ticket import load_ticket

LENGTH = 0.5  # of the training that shows how each still learns, in epochs of the start network


def study_of_run(folder: Path, *, length: float = LENGTH) -> StudyExperiment:
    """The panel along the lineage of a run of `grow`: an arm for each ticket of it.

    Raises `InputError` where the folder holds no such run, or no ticket yet.
    """
    experiment = any_experiment_from(read_toml(folder / "experiment.toml"))
    if not isinstance(experiment, Experiment):
        raise InputError(
            f"{folder} is a run of `{experiment.command}`: give a run of `grow`, or one of its "
            "tickets/*.safetensors"
        )
    run = RunFolder(folder)
    lines = run.lines()
    if not lines:
        raise InputError(f"{folder} has no ticket yet: let `grow` find one first")
    arms = [
        _arm(arm_of_generation(line["generation"]), run.ticket(line["digest"]), length)
        for line in lines
    ]
    return _study(f"along_{experiment.name}", experiment.data, experiment.start,
                  experiment.training, experiment.seed, arms)  # fmt: skip


def study_of_ticket(path: Path, *, data: str | None, length: float = LENGTH) -> StudyExperiment:
    """The panel on one ticket, on the data of the run around it, or those that are named.

    Raises `InputError` where the file is none, or neither says which data it reads.
    """
    found = load_ticket(path)
    around = path.resolve().parent.parent / "experiment.toml"
    arms = [_arm("ticket", path, length)]
    name = f"ticket_{found.digest[:12]}"
    if data is None and not around.is_file():
        raise InputError(f"{path} lies in no run's folder: name its data with --data")
    start = Start(str(path))
    if not around.is_file():
        return _study(name, Data(name=data or ""), start, Training(), 0, arms)
    experiment = any_experiment_from(read_toml(around))
    made, seed = found.provenance or {}, experiment.seed
    if not isinstance(experiment, (Experiment, StudyExperiment)):
        seed += int(made.get("replicate", 0))
        experiment = arms_of(experiment)[made["arm"]]
    own = Data(name=data) if data else experiment.data
    return _study(name, own, start, experiment.training, int(made.get("seed", seed)), arms)


def _arm(name: str, ticket: Path, length: float) -> StudyArm:
    """The arm that begins with a ticket, by the path that was given to it."""
    given = f"./{ticket}" if KEYED.match(str(ticket)) else str(ticket)
    return StudyArm(name, (f"begin {shlex.quote(given)}", f"train {length:g}"))


def _study(
    name: str,
    data: Data,
    start: Start,
    training: Training,
    seed: int,
    arms: Sequence[StudyArm],
) -> StudyExperiment:
    values = {key: getattr(training, key) for key in training.__dataclass_fields__}
    plain = Training(**{**values, "epochs": Training().epochs})
    claim = "What each network is like at rest, and how it still learns."
    study = Study(seeds=1)
    return StudyExperiment("study", name, claim, seed, data, start, plain, study, (), tuple(arms))
