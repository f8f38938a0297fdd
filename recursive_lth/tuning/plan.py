"""About what a tuning will cost, before it starts."""

from typing import Any

from recursive_lth.config import TuningExperiment
from recursive_lth.search import plan as runs
from recursive_lth.training.datasets import Dataset
from recursive_lth.training.device import choose
from recursive_lth.training.split import split
from recursive_lth.tuning_file import tuned


def plan(experiment: TuningExperiment, dataset: Dataset) -> dict[str, Any]:
    """The cost of all trials, were each as dear as the base; their values make it less or more."""
    base = tuned(experiment, {})
    parts = split(dataset, base.data, base.seed, choose("cpu"))
    run = runs.plan(base, parts.sample_shape, parts.classes, len(parts.train))
    tune = experiment.tune
    return {
        "trials": tune.trials,
        "seeds": tune.seeds,
        "run": run,
        "training_multiply_adds": tune.trials * tune.seeds * run["training_multiply_adds"],
    }
