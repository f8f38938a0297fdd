"""One training of an arm as a job of its run: its name, its looks, and what it leaves."""

import hashlib
from dataclasses import asdict, dataclass, replace
from typing import Any

from recursive_lth import seeds
from recursive_lth.architecture.graph import Architecture
from recursive_lth.config import Data
from recursive_lth.files import canonical_json
from recursive_lth.running.fit import Fitted
from recursive_lth.running.job import Bench, Job
from recursive_lth.running.train import train
from recursive_lth.study.moves import Train
from recursive_lth.study.play import Ground, Row, Stand, Trained, cost_of_step, steps_of
from recursive_lth.ticket.moments import State
from recursive_lth.ticket.ticket import Ticket, digest_of
from recursive_lth.training.evaluate import evaluate
from recursive_lth.training.samples import Samples


@dataclass(frozen=True)
class Learner:
    """Trains the arms of a study: `play` calls it for each training of an arm named `arm`."""

    arm: str
    keeps_state: bool  # some later training carries it on

    def __call__(
        self, ground: Ground, stand: Stand, move: Train, *, steps: int | None = None
    ) -> Stand:
        """The arm after one training; one that has diverged leaves the ticket as it was.

        `steps` are as many as the move asks for, or others.
        """
        study, number = ground.experiment.study, len(stand.trainings)
        data, recipe = ground.task(move.on), move.recipe(ground.experiment.training)
        bench, ticket = ground.bench_of(data, recipe), stand.ticket
        steps = steps_of(ground, ticket, move) if steps is None else steps
        between = {round(moment * steps) for moment in study.moments} - {0, steps}
        job = Job(
            "",
            recipe,
            steps,
            seeds.derive(ground.experiment.seed, "training", number),
            place={"seed": ground.experiment.seed, "arm": self.arm, "training": number},
            marks=looks_of(steps, study.looks),
            state=stand.state if move.state == "carry" else {},
            keep_at=tuple(sorted(between)),
            keeps_end=self.keeps_state,
            tests=True,
        )
        fitted = train(bench, ticket, replace(job, name=stage_of(bench, ticket, job, data)))
        spent = stand.spent + fitted.cost
        state: State = {}
        if self.keeps_state and not fitted.is_diverged:
            state = fitted.kept[fitted.steps].state
        is_lost = fitted.is_diverged or any(earlier.is_diverged for earlier in stand.trainings)
        done = Trained(
            number,
            move,
            recipe,
            data,
            ticket,
            fitted.ticket,
            curve_of(bench, ticket, fitted, stand.spent),
            steps,
            {step: kept for step, kept in fitted.kept.items() if step in between},
            fitted.tested.get("end"),
            stand.spent,
            spent,
            is_lost,
            stand.grown,
        )
        return replace(
            stand,
            ticket=fitted.ticket,
            state=state,
            spent=spent,
            trainings=(*stand.trainings, done),
        )


def looks_of(steps: int, looks: int) -> tuple[int, ...]:
    """The steps after which a training looks at the validation data, evenly spread."""
    return tuple(sorted({max(1, round(steps * (i + 1) / looks)) for i in range(looks)}))


def curve_of(bench: Bench[Any], ticket: Ticket, fitted: Fitted, spent: int) -> tuple[Row, ...]:
    """What each look saw, the first before the first step, with what was spent until then."""
    a_step = cost_of_step(bench, ticket)
    rows = [_first_look(ticket.architecture, ticket, bench.split.validation), *fitted.rows]
    names = ("step", "loss", "val_loss", "val_calibrated_loss", "val_accuracy")
    return tuple(
        {**{name: row[name] for name in names}, "spent": spent + row["step"] * a_step}
        for row in rows
    )


def _first_look(architecture: Architecture, ticket: Ticket, validation: Samples) -> Row:
    found = evaluate(architecture, ticket.weights, validation)
    return {
        "step": 0,
        "loss": None,
        "val_loss": found.loss,
        "val_calibrated_loss": found.calibrated_loss,
        "val_accuracy": found.accuracy,
    }


def stage_of(bench: Bench[Any], ticket: Ticket, job: Job, data: Data) -> str:
    """A name that two trainings share iff everything that decides their bits is the same.

    So arms that begin alike share their trainings.
    """
    state = {f"{kind}/{n}": t for kind, ts in job.state.items() for n, t in ts.items()}
    inputs = {
        "ticket": replace(ticket, parent="", provenance=None).digest,
        "state": digest_of({}, {name: t.contiguous() for name, t in state.items()}),
        "data": asdict(data),
        "split": bench.experiment.seed,
        "recipe": asdict(job.recipe),
        "steps": job.steps,
        "seed": job.seed,
        "marks": job.marks,
        "keep_at": job.keep_at,
        "keeps_end": job.keeps_end,
    }
    return f"training-{hashlib.sha256(canonical_json(inputs).encode()).hexdigest()[:24]}"
