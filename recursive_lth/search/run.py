"""A whole run: resume, generations into the folder, test data once at the end, summary."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from recursive_lth.config import Experiment
from recursive_lth.config.ignored import check_ignored
from recursive_lth.errors import DamagedFileError
from recursive_lth.running.job import Bench, Row
from recursive_lth.running.progress import Watch
from recursive_lth.running.run_folder import Resume, RunFolder, check_origin, run_folder
from recursive_lth.running.stages import Stages
from recursive_lth.search.check import check_names, check_pruning
from recursive_lth.search.controller import generations, stop_reason
from recursive_lth.search.generation import Generation, read_lineage, write_lineage
from recursive_lth.search.policies.catalogue import policy_of, with_policy
from recursive_lth.search.policies.past import Policy
from recursive_lth.search.summary import summarise
from recursive_lth.search.workplace import at_work
from recursive_lth.ticket.ticket import Ticket, load_ticket
from recursive_lth.training import device as devices
from recursive_lth.training.datasets import load
from recursive_lth.training.evaluate import evaluate


def grow(
    experiment: Experiment,
    *,
    data_dir: Path | None = None,
    out: Path = Path("runs"),
    device: str = "auto",
    resume: Resume = "auto",
    workers: str = "1",
    watch: Watch | None = None,
    policy: Policy | None = None,
) -> Iterator[Generation]:
    """Recursive ticket growth: yield each generation once its ticket and line are on disk.

    A run that was stopped goes on where it stood, with the same bits; a finished one yields its
    stored generations and computes nothing. While it runs, PyTorch's number of threads is pinned
    to the experiment's. `policy` is one of the caller's own, in place of the experiment's, and is
    recorded by its name: a run that goes on needs the same again. `workers` is how many processes
    train candidates side by side, or a Dask scheduler's address: the results are the same bits. At
    the end every ticket is evaluated once on the test data and `summary.json` is written.

    Raises `InputError` where the experiment, data, device or folder cannot be used.
    """
    experiment = with_policy(experiment, policy)
    policy_of(experiment, policy)
    check_names(experiment)
    check_pruning(experiment)
    devices.choose(device)
    stored = run_folder(experiment, out)
    if resume != "never" and stored.is_finished:
        if stored.has_origin and Path(experiment.data.name).is_file():  # it may have changed
            check_origin(stored, {"data": load(experiment.data.name, data_dir).digest})
        shutil.rmtree(stored.work, ignore_errors=True)  # where a kill came before this
        yield from read_lineage(stored)
        return
    check_ignored(experiment)
    with at_work(
        experiment,
        data_dir=data_dir,
        out=out,
        device=device,
        resume=resume,
        workers=workers,
        watch=watch,
    ) as (folder, bench):
        lineage = read_lineage(folder)
        folder.cut_metrics("generation", len(lineage))
        yield from lineage
        for turn, ticket, rows in generations(
            bench, lineage, lambda digest: _load(folder, digest), policy=policy
        ):
            lineage.append(turn)
            with bench.clock.inside("saving"):
                _store(folder, bench.stages, lineage, ticket, rows)
            yield turn
        _finish(bench, folder, lineage)


def _load(folder: RunFolder, digest: str) -> Ticket:
    """A ticket of this run. Raises `DamagedFileError` where its file is gone or damaged."""
    path = folder.ticket(digest)
    if not path.exists():
        raise DamagedFileError(f"{path} is gone: restore it or start anew with --resume never")
    ticket = load_ticket(path)
    if ticket.digest != digest:
        raise DamagedFileError(f"{path} holds another ticket: restore it or use --resume never")
    return ticket


def _store(
    folder: RunFolder, stages: Stages, lineage: list[Generation], ticket: Ticket, rows: list[Row]
) -> None:
    """Ticket, curves, then the line that makes the generation count; last, its stages go."""
    ticket.save(folder.ticket(lineage[-1].digest))
    folder.add_metrics(rows)
    write_lineage(folder, lineage)
    stages.clear()


def _finish(bench: Bench[Experiment], folder: RunFolder, lineage: list[Generation]) -> None:
    """Report on the test data, once, what the validation data have selected."""
    with bench.clock.inside("evaluation"):
        tested = [
            replace(turn, test_accuracy=_test_accuracy(bench, folder, turn)) for turn in lineage
        ]
    write_lineage(folder, tested)
    summarise(folder, bench, tested, stop_reason(bench.experiment, lineage))
    shutil.rmtree(folder.work, ignore_errors=True)


def _test_accuracy(bench: Bench[Experiment], folder: RunFolder, turn: Generation) -> float:
    ticket = _load(folder, turn.digest)
    return evaluate(ticket.architecture, ticket.weights, bench.split.test).accuracy
