"""Signal before search: how well a short training ranks growths of one ticket.

Some growths of a ticket, and not growing, are each trained for a short while under several seeds,
looked at on several rungs, and for a long while under seeds of its own. Spearman's rank correlation
between two seeds says how far one short training can be trusted; that with the mean long training,
whether what it ranks is what counts. From both follow the rungs and replicates that a search needs.
"""

import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from recursive_lth import seeds
from recursive_lth.config import Experiment
from recursive_lth.errors import InputError
from recursive_lth.files import read_json, write_json
from recursive_lth.running.fit import Fitted
from recursive_lth.running.job import Bench, Job
from recursive_lth.running.progress import Watch
from recursive_lth.running.run_folder import Resume, run_folder
from recursive_lth.running.start import brings_weights, first_ticket
from recursive_lth.running.trainings import train_all
from recursive_lth.running.wanted import Wanted
from recursive_lth.search.check import check_names, check_pruning
from recursive_lth.search.controller import generations
from recursive_lth.search.judging.birth import Nursery
from recursive_lth.search.judging.cohort import marks_of
from recursive_lth.search.judging.course import Course
from recursive_lth.search.judging.race import Table, noise_of
from recursive_lth.search.policies.catalogue import POLICIES
from recursive_lth.search.policies.past import Past
from recursive_lth.search.workplace import at_work
from recursive_lth.ticket.ticket import Ticket
from recursive_lth.training.loop import steps_in

MEASURES = {"val_calibrated_loss": 1.0, "val_loss": 1.0, "val_accuracy": -1.0}  # sign: less is best
TRUSTED = 0.8  # reliability of a ranking that a search can rest on
NEARLY = 0.9  # of what the last rung says about the long training
PROPOSALS = 10  # for each growth that is wanted
GENERATION = 2  # the first that grows


@dataclass(frozen=True)
class Lengths:
    """Steps at the rungs of a short training, and of a long one."""

    rungs: tuple[int, ...]
    long: int


def parent_of(bench: Bench[Experiment]) -> Ticket:
    """The ticket whose growths are compared: the one to start from, or the first one found."""
    experiment, shape = bench.experiment, bench.split.sample_shape
    if brings_weights(experiment.start):
        generator = seeds.generator(experiment.seed, "generation", 0, "birth")
        return first_ticket(experiment.start, shape, bench.split.classes, generator)
    found: dict[str, Ticket] = {}
    for turn, ticket, _ in generations(bench, [], found.__getitem__):
        found[turn.digest] = ticket
        if turn.generation == 1:
            return ticket
    raise InputError("the run ends before its first ticket: raise budget.generations")


def measure(bench: Bench[Experiment], parent: Ticket) -> dict[str, Any]:
    """Growths, losses and accuracies of all trainings, rank correlations, and what they advise.

    Of the experiment are read `growth.candidates` (how many growths), `growth.judge_epochs` (the
    short training), `growth.rungs`, `growth.spacing`, `growth.cut` and `growth.keep` (where it is
    looked at: as a search would, though nothing is stopped), `growth.epochs` (the long one) and
    `growth.replicates` (seeds of both, at least 2). Raises `InputError` where fewer than three
    networks can be ranked.
    """
    growth, recipe = bench.experiment.growth, bench.experiment.training
    if growth.replicates < 2:
        raise InputError("a signal needs several seeds: --set growth.replicates=3")
    lengths = Lengths(
        marks_of(bench),
        steps_in(growth.epochs, len(bench.batches), recipe.batch_size),
    )
    courses = _growths(bench, parent)
    wanted = {
        (kind, seed, course.number): _wanted(bench, course, kind, seed, lengths)
        for kind in ("short", "long")
        for seed in range(growth.replicates)
        for course in courses
    }
    fits = dict(zip(wanted, train_all(list(wanted.values())), strict=True))
    kept = [
        c for c in courses if not any(f.is_diverged for k, f in fits.items() if k[2] == c.number)
    ]
    if len(kept) < 3:
        raise InputError(
            f"{len(kept)} networks are too few to be ranked: raise growth.candidates, widen the "
            "space or lower training.learning_rate"
        )
    rows = {measure: _tables(fits, kept, growth.replicates, measure) for measure in MEASURES}
    found = {measure: _correlations(*tables) for measure, tables in rows.items()}
    return {
        "parent": parent.digest,
        "steps": list(lengths.rungs),
        "long_steps": lengths.long,
        "epochs": [step / bench.per_epoch(recipe) for step in lengths.rungs],
        "long_epochs": growth.epochs,
        "seeds": growth.replicates,
        "growths": [course.candidate.growth for course in kept],
        "measures": {
            name: found[name] | {"short": short.tolist(), "long": long.tolist()}
            for name, (short, long) in rows.items()
        },
        "advice": advice(found["val_calibrated_loss"]),
        "training_cost": sum(fitted.cost for fitted in fits.values()),
    }


def _growths(bench: Bench[Experiment], parent: Ticket) -> list[Course]:
    """Not growing, and unlike growths drawn at random from the space."""
    growth = bench.experiment.growth
    nursery = Nursery(bench, parent, GENERATION, {})
    courses, number = [nursery.standing()], 1
    experiment = replace(bench.experiment, growth=replace(growth, policy="random", schedule=()))
    past = Past(experiment, GENERATION, [], [])
    tried = list(courses)
    while len(courses) <= growth.candidates and number <= PROPOSALS * growth.candidates:
        proposal = POLICIES["random"](replace(past, siblings=[c.candidate for c in tried]))
        if proposal is None:
            break
        tried.append(nursery.bear(proposal, number, courses))
        courses += [tried[-1]] if tried[-1].is_alive else []
        number += 1
    return courses


def _wanted(
    bench: Bench[Experiment], course: Course, kind: str, seed: int, lengths: Lengths
) -> Wanted:
    """One training; all networks of a kind and seed see the same batches."""
    growth, marks = bench.experiment.growth, lengths.rungs if kind == "short" else (lengths.long,)
    job = Job(
        f"{kind}-{seed}-{course.number}",
        bench.experiment.training,
        marks[-1],
        seeds.derive(bench.experiment.seed, "signal", kind, seed),
        place={"phase": kind, "candidate": course.order, "candidates": growth.candidates},
        marks=marks,
    )
    return Wanted(bench, course.born, job)


def _tables(
    fits: dict[tuple[str, int, int], Fitted], courses: Sequence[Course], count: int, measure: str
) -> tuple[Table, Table]:
    """Values (seeds, rungs, networks) of the short trainings and (seeds, networks) of the long."""
    short = [
        [[row[measure] for row in fits["short", seed, c.number].rows] for c in courses]
        for seed in range(count)
    ]
    long = [[fits["long", s, c.number].rows[-1][measure] for c in courses] for s in range(count)]
    sign = MEASURES[measure]
    return sign * np.array(short).transpose(0, 2, 1), sign * np.array(long)


def _correlations(short: Table, long: Table) -> dict[str, Any]:
    """Rank correlations at each rung, and how far noise reaches beside what networks differ by."""
    truth = long.mean(0)
    seeds_pairs = list(combinations(range(len(short)), 2))
    between = [[_rank(short[a, r], short[b, r]) for a, b in seeds_pairs]
               for r in range(short.shape[1])]  # fmt: skip
    with_long = [[_rank(one[r], truth) for one in short] for r in range(short.shape[1])]
    last = short[:, -1]
    return {
        "between_seeds": between,
        "with_long": with_long,
        "between_long": [_rank(long[a], long[b]) for a, b in seeds_pairs],
        "noise": math.sqrt(noise_of([last]).variance),
        "spread": float(last.mean(0).std(ddof=1)),
    }


def _rank(one: Table, other: Table) -> float:
    """Spearman's rank correlation; 0 where all are alike on one side."""
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return 0.0
    return float(spearmanr(one, other).statistic)


def advice(found: dict[str, Any]) -> dict[str, Any]:
    """The first rung that says nearly what the last does, and how many seeds make it trusted.

    The mean of k seeds ranks with reliability k r / (1 + (k - 1) r), where one ranks with r
    (Spearman 1910, Brown 1910); None where one seed tells nothing.

    >>> advice({"between_seeds": [[0.1], [0.5]], "with_long": [[0.2], [0.6]]})
    {'rung': 2, 'reliability': 0.5, 'replicates': 4}
    """
    means = [float(np.mean(values)) for values in found["with_long"]]
    rung = next(
        i for i, mean in enumerate(means) if mean >= NEARLY * means[-1] or mean >= means[-1]
    )
    reliability = float(np.mean(found["between_seeds"][-1]))
    seeds_needed = None
    if reliability > 0:
        ratio = TRUSTED * (1 - reliability) / (reliability * (1 - TRUSTED))
        seeds_needed = max(1, math.ceil(ratio - 1e-9))
    return {"rung": rung + 1, "reliability": reliability, "replicates": seeds_needed}


def signal(
    experiment: Experiment,
    *,
    data_dir: Path | None = None,
    out: Path = Path("runs"),
    device: str = "auto",
    resume: Resume = "auto",
    workers: str = "1",
    watch: Watch | None = None,
) -> tuple[dict[str, Any], Path]:
    """What `measure` finds for the experiment's ticket, and the folder with `summary.json` of it.

    The folder is `signals/signal-<name>-<digest>` in `out`; a stopped one goes on, a finished one
    is read. Raises `InputError` where the experiment, data, device or folder cannot be used.
    """
    experiment = replace(experiment, name=f"signal-{experiment.name}"[:64])
    check_names(experiment)
    check_pruning(experiment)
    stored = run_folder(experiment, out / "signals")
    if resume != "never" and stored.is_finished:
        return dict(read_json(stored.summary)), stored.path
    with at_work(
        experiment,
        data_dir=data_dir,
        out=out / "signals",
        device=device,
        resume=resume,
        workers=workers,
        watch=watch,
    ) as (folder, bench):
        found = measure(bench, parent_of(bench))
        found |= {"name": experiment.name, "data": experiment.data.name, "seed": experiment.seed}
        write_json(folder.summary, found)
        shutil.rmtree(folder.work, ignore_errors=True)
    return found, folder.path
