"""One training of a ticket or a control inside a run, and the line that is written about it."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from recursive_lth.architecture.cost import Cost
from recursive_lth.architecture.network import Weights
from recursive_lth.config import TicketExperiment, Training
from recursive_lth.files import canonical_json
from recursive_lth.running.fit import Fitted, Stop
from recursive_lth.running.job import Bench, Job
from recursive_lth.running.train import train
from recursive_lth.ticket.masks import counts
from recursive_lth.ticket.moments import State
from recursive_lth.ticket.reading import Read
from recursive_lth.ticket.ticket import Ticket, digest_of
from recursive_lth.training.evaluate import accuracy, evaluate
from recursive_lth.training.lens import Lens
from recursive_lth.training.loop import steps_in

Line = dict[str, Any]
NOT_WRITTEN = ("replicates", "levels")  # of a job's place: they stand nowhere in its line


@dataclass(frozen=True)
class Trial:
    """A network about to be trained: where in the run, from which step to which, on what seed."""

    ticket: Ticket
    place: Mapping[str, Any]  # replicate, seed, arm, level, variant
    recipe: Training
    steps: int
    seed: int
    start: int = 0
    state: State | None = None
    rewound: State | None = None  # the optimizer that later levels go back to
    keep_at: tuple[int, ...] = ()
    tallies: bool = False
    stops_by: str = ""  # names what else may stop it, for it is then another training
    ends_at: int = 0  # a step before the last at which it stops; 0 = the last
    lens: Lens | None = None
    read_by: str = ""  # names the lens


def run_trial(
    bench: Bench[TicketExperiment], trial: Trial, should_stop: Stop | None = None
) -> Fitted:
    """Train it, or recall it: two trials that are alike are one training."""
    job = Job(
        stage_of(bench, trial),
        trial.recipe,
        trial.steps,
        trial.seed,
        place={key: value for key, value in trial.place.items() if key != "seed"},
        marks=marks_of(bench, trial.recipe, trial.steps),
        start=trial.start,
        state=trial.state or {},
        keep_at=trial.keep_at,
        keeps_best=True,
        keeps_end=bool(trial.stops_by),
        tallies=trial.tallies,
        is_restartable=not trial.stops_by,
        tests=trial.lens is None,
        lens=trial.lens,
    )
    return train(bench, trial.ticket, job, should_stop)


def marks_of(bench: Bench[TicketExperiment], recipe: Training, steps: int) -> tuple[int, ...]:
    """The steps at which the validation data are looked at."""
    every = bench.experiment.tickets.look_every or steps_in(
        1, len(bench.batches), recipe.batch_size
    )
    return tuple(range(every, steps + 1, every)) or (steps,)


def describe(
    bench: Bench[TicketExperiment],
    trial: Trial,
    fitted: Fitted,
    dense: Cost,
    *,
    spent_before: int,
) -> Line:
    """The line of levels.jsonl: what the network is, how it trained, how it does."""
    ticket = fitted.ticket
    final, tested = _final(bench, trial, fitted), _tested(bench, fitted)
    looked = [row for row in fitted.rows if row["val_loss"] is not None]
    least = min(looked, key=lambda row: (row["val_loss"], row["step"]), default=None)
    remaining = counts(ticket.masks)
    return {
        **{key: value for key, value in trial.place.items() if key not in NOT_WRITTEN},
        "density": ticket.cost.remaining_weights / dense.weights,
        "remaining_weights": ticket.cost.remaining_weights,
        "weights": dense.weights,
        "depth": ticket.architecture.depth,
        "multiply_adds": dense.multiply_adds,
        "remaining_multiply_adds": ticket.cost.remaining_multiply_adds,
        "layers": {
            name.removesuffix(".weight"): {
                "weights": ticket.masks[name].numel(),
                "remaining": remaining[name],
            }
            for name in ticket.architecture.prunable
        },
        "is_collapsed": min(remaining.values()) == 0,
        "steps": fitted.steps,
        "early_stop_step": least["step"] if least else 0,
        **final,
        "test_accuracy": tested["end"],
        "early_stop_test_accuracy": tested.get("best", tested["end"]),
        "test_samples": len(bench.split.test),
        "training_multiply_adds": fitted.cost,
        "finding_multiply_adds": spent_before + fitted.cost,
        "drawn_at": None,
        "curve": [
            {key: row[key] for key in ("step", "val_loss", "val_accuracy")} for row in fitted.rows
        ],
        "weight_samples": None,
        "is_diverged": fitted.is_diverged,
        "digest": ticket.digest,
        "parent": trial.ticket.digest,
        "seconds": fitted.seconds,
    }


def _final(bench: Bench[TicketExperiment], trial: Trial, fitted: Fitted) -> dict[str, Any]:
    """How the network does on the validation data: the last look says it, without a lens.

    Losses are None where the training has diverged, the plain one where there was none, too.
    """
    names = ("val_accuracy", "val_loss", "val_calibrated_loss")
    if fitted.rows and not fitted.is_diverged and trial.lens is None:
        return {name: fitted.rows[-1][name] for name in names}
    ticket, (read, weights) = fitted.ticket, _readable(bench, fitted.ticket.weights, fitted)
    with bench.clock.inside("evaluation"):
        found = evaluate(ticket.architecture, read(weights), bench.split.validation)
    loss = found.loss if fitted.rows and not fitted.is_diverged else None
    calibrated = None if fitted.is_diverged else found.calibrated_loss
    return dict(zip(names, (found.accuracy, loss, calibrated), strict=True))


def _tested(bench: Bench[TicketExperiment], fitted: Fitted) -> dict[str, float]:
    """Accuracy on the test data at the end, and of the best weights if there are others."""
    if fitted.tested:
        return fitted.tested
    sides = {"end": fitted.ticket.weights} | ({"best": fitted.best} if fitted.best else {})
    found = {}
    with bench.clock.inside("evaluation"):
        for side, tensors in sides.items():
            read, weights = _readable(bench, tensors, fitted)
            found[side] = accuracy(fitted.ticket.architecture, read(weights), bench.split.test)
    return found


def _readable(
    bench: Bench[TicketExperiment], weights: Weights, fitted: Fitted
) -> tuple[Read, Weights]:
    """What reads the ticket's tensors, and some of its weights, on the device of the data."""
    device = bench.split.device
    return fitted.ticket.reading(device), {n: t.to(device) for n, t in weights.items()}


def stage_of(bench: Bench[TicketExperiment], trial: Trial) -> str:
    """A name that two trainings share iff everything that decides their bits is the same."""
    state = {f"{kind}/{n}": t for kind, ts in (trial.state or {}).items() for n, t in ts.items()}
    inputs = {
        "ticket": replace(trial.ticket, parent="", provenance=None).digest,
        "state": digest_of({}, {name: t.contiguous() for name, t in state.items()}),
        "data": asdict(bench.experiment.data),
        "split": bench.experiment.seed,
        "recipe": asdict(trial.recipe),
        "steps": [trial.start, trial.steps],
        "seed": trial.seed,
        "marks": marks_of(bench, trial.recipe, trial.steps),
        "keep_at": trial.keep_at,
        "tallies": trial.tallies,
        "stops_by": trial.stops_by,
        **({"ends_at": trial.ends_at} if trial.ends_at else {}),
        "read_by": trial.read_by,
    }
    return f"training-{hashlib.sha256(canonical_json(inputs).encode()).hexdigest()[:24]}"
