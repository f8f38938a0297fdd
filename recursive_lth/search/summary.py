"""summary.json: what came out, what it cost, and on what machine."""

import os
import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from recursive_lth.files import write_json
from recursive_lth.search.fit import Bench
from recursive_lth.search.generation import Generation
from recursive_lth.search.lineage import best, front
from recursive_lth.search.run_folder import RunFolder

FORMAT = 1
PACKAGES = ("recursive-lth", "torch", "torchvision", "optuna", "numpy", "networkx", "safetensors")


def summarise(
    folder: RunFolder, bench: Bench, lineage: Sequence[Generation], stopped_because: str
) -> None:
    """Write the run's summary, which marks it as finished."""
    experiment, winner = bench.experiment, best(lineage)
    total = bench.clock.total
    write_json(
        folder.summary,
        {
            "format": FORMAT,
            "name": experiment.name,
            "digest": experiment.digest,
            "seed": experiment.seed,
            "claim": experiment.claim,
            "stopped_because": stopped_because,
            "best": winner.digest if winner else None,
            "front": [turn.digest for turn in front(lineage)],
            "cost": {
                "training_multiply_adds": lineage[-1].training_cost,
                "training_steps": lineage[-1].training_steps,
                # of the last process; what each generation took stands in its line
                "seconds": {"total": total, **bench.clock.seconds},
            },
            "versions": versions(),
            "machine": {
                "system": platform.platform(),
                "processor": platform.machine(),
                "cores": os.cpu_count(),
                "device": bench.split.train.images.device.type,
                "threads": experiment.training.threads,
            },
            "tickets": [turn.to_dict() for turn in lineage],
        },
    )


def versions() -> dict[str, Any]:
    """Versions of Python and of the packages that decide the bits; null where not installed."""
    found: dict[str, Any] = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found
