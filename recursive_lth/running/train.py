"""A training as a stage of its run: recalled where it was done before a kill."""

from typing import Any

from torch import Tensor

from recursive_lth.running.fit import Fitted, Stop, fit
from recursive_lth.running.job import Bench, Job, kept_groups, take_kept
from recursive_lth.ticket.ticket import Ticket


def train(bench: Bench[Any], ticket: Ticket, job: Job, should_stop: Stop | None = None) -> Fitted:
    """`fit`, or what it found when this job was done before."""
    if found := recall(bench, job):
        return found
    if bench.perform is not None:
        done: Fitted = bench.perform(bench, ticket, job, should_stop)  # stored with the others
        return done
    fitted = fit(bench, ticket, job, should_stop)
    store(bench, job, fitted)
    return fitted


def store(bench: Bench[Any], job: Job, fitted: Fitted, *, is_alone: bool = True) -> None:
    """Finish a stage; one of several that count only together waits for `Stages.confirm`."""
    with bench.clock.inside("saving"):
        groups = _groups(fitted)
        if groups:
            bench.stages.store_groups(job.name, groups)
        record = {
            "rows": fitted.rows,
            "steps": fitted.steps,
            "cost": fitted.cost,
            "is_diverged": fitted.is_diverged,
            "groups": sorted(groups),
            "tested": fitted.tested,
            "seconds": fitted.seconds,
            "killed": fitted.killed,
        }
        bench.stages.store(job.name, fitted.ticket, record, is_alone=is_alone)


def recall(bench: Bench[Any], job: Job) -> Fitted | None:
    """What was found when this job was done before."""
    stored = bench.stages.recall(job.name)
    if stored is None:
        return None
    ticket, record = stored
    found = bench.stages.recall_groups(job.name) or {}
    if sorted(found) != record["groups"]:
        return None
    return Fitted(
        ticket,
        record["rows"],
        record["steps"],
        record["cost"],
        record["is_diverged"],
        take_kept(found),
        found.get("best", {}),
        found.get("tally", {}),
        record.get("tested", {}),
        record["seconds"],
        record.get("killed", 0),
    )


def _groups(fitted: Fitted) -> dict[str, dict[str, Tensor]]:
    """The tensors of a training besides its ticket."""
    groups = {"best": fitted.best, "tally": fitted.tally} | kept_groups(fitted.kept)
    return {name: values for name, values in groups.items() if values}
