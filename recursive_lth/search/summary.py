"""summary.json: what came out, what it cost, and on what machine."""

from collections.abc import Sequence

from recursive_lth.config import Experiment
from recursive_lth.files import write_json
from recursive_lth.running.job import Bench
from recursive_lth.running.machine import machine, versions
from recursive_lth.running.run_folder import RunFolder
from recursive_lth.search.generation import Generation
from recursive_lth.search.lineage import best, front

FORMAT = 1


def summarise(
    folder: RunFolder, bench: Bench[Experiment], lineage: Sequence[Generation], stopped_because: str
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
            "policy": experiment.growth.policy,
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
            "machine": machine(bench.split.device.type, experiment.training.threads),
            "tickets": [turn.to_dict() for turn in lineage],
        },
    )
