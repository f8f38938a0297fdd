"""summary.json of a run of ticket finding: its table, pairs, overlaps, pictures, and its cost."""

from collections.abc import Sequence
from typing import Any

from recursive_lth.config import TicketExperiment
from recursive_lth.files import write_json
from recursive_lth.lottery.aggregate import aggregate, pairs
from recursive_lth.lottery.compare import overlaps, pictures
from recursive_lth.running.clock import Clock
from recursive_lth.running.machine import machine, versions
from recursive_lth.running.run_folder import RunFolder
from recursive_lth.ticket.ticket import Ticket, load_ticket

FORMAT = 1


def summarise(
    folder: RunFolder,
    experiment: TicketExperiment,
    lines: Sequence[dict[str, Any]],
    device: str,
    clock: Clock,
) -> None:
    """Write the run's summary, which marks it as finished."""

    def load(digest: str) -> Ticket:
        return load_ticket(folder.ticket(digest))

    kept = [line for line in lines if line["digest"] and folder.ticket(line["digest"]).exists()]
    total = clock.total
    write_json(
        folder.summary,
        {
            "format": FORMAT,
            "command": "prune",
            "name": experiment.name,
            "digest": experiment.digest,
            "seed": experiment.seed,
            "claim": experiment.claim,
            "table": aggregate(lines),
            "pairs": pairs(lines),
            "overlap": overlaps(kept, load),
            "critical": [
                {"arm": line["arm"], "replicate": line["replicate"], **line["critical"]}
                for line in lines
                if line.get("critical")
            ],
            "pictures": pictures(kept, load),
            "cost": {
                "training_multiply_adds": sum(line["training_multiply_adds"] for line in lines),
                "training_steps": sum(line["steps"] for line in lines),
                "seconds": {"total": total, **clock.seconds},  # of the last process
            },
            "versions": versions(),
            "machine": machine(device, experiment.training.threads),
            "levels": list(lines),
        },
    )
