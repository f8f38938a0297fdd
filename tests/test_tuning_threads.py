"""The proposal that a tuning makes after many trials, whatever the number of threads."""

from pathlib import Path
from shutil import copytree

import numpy as np
import torch
from optuna.samplers import RandomSampler
from optuna.study import create_study
from optuna.trial import FrozenTrial, create_trial
from tuning_desks import TWO, desk_in, small_tuning

from recursive_lth.config import TuningExperiment
from recursive_lth.training.device import pinned
from recursive_lth.tuning import queue
from recursive_lth.tuning.parameters import distributions

MANY = 300  # whose matrices are large enough for threads to share them


def finished(experiment: TuningExperiment) -> list[FrozenTrial]:
    """Trials drawn at random, best at three candidates and a density of .2, in noise."""
    study, space = create_study(sampler=RandomSampler(seed=0)), distributions(experiment)
    found = []
    for slot, noise in enumerate(np.random.default_rng(0).normal(0, 0.1, MANY)):
        params = study.ask(space).params
        count, density = params["growth.candidates"], params["pruning.target_density"]
        value = noise - np.log(density / 0.2) ** 2 - (count - 3) ** 2 / 10
        known = {queue.SLOT: slot}
        found.append(
            create_trial(params=params, distributions=space, value=value, user_attrs=known)
        )
    return found


def test_threads_do_not_move_a_proposal(tmp_path: Path) -> None:
    """One database, copied: the Gaussian process asks for the same under one thread and two."""
    settings = "tune.sampler=gp", "tune.objectives=['val_accuracy']", f"tune.trials={MANY + 1}"
    experiment, proposals = small_tuning(TWO, *settings), []
    (tmp_path / "1").mkdir()
    with desk_in(tmp_path / "1", experiment) as desk:
        desk.study.add_trials(finished(experiment))
    copytree(tmp_path / "1", tmp_path / "2")
    for threads in (1, 2):
        with pinned(threads), desk_in(tmp_path / str(threads), experiment) as desk:
            claim = queue.take(desk)
            assert torch.get_num_threads() == threads
        assert claim is not None
        proposals.append(claim.params)
    assert proposals[0] == proposals[1]
