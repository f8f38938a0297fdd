"""The inside of a training: its curve, what it keeps on the way, and its checkpoint."""

import math
from dataclasses import replace
from time import perf_counter
from typing import Any

import torch
from torch import Tensor

from recursive_lth.running.job import Bench, Job, Kept, Row, kept_groups, take_kept
from recursive_lth.running.stages import Checkpoint
from recursive_lth.ticket import masks as masking
from recursive_lth.ticket.moments import State
from recursive_lth.ticket.ticket import Ticket
from recursive_lth.training.evaluate import Evaluation, accuracy, evaluate
from recursive_lth.training.lens import Lens
from recursive_lth.training.loop import Step

SECONDS_BETWEEN_CHECKPOINTS = 60.0


class Inside:
    """What a training has gathered so far; picks up from its checkpoint where there is one.

    In company there is none.
    """

    def __init__(
        self, bench: Bench[Any], ticket: Ticket, job: Job, lens: Lens, *, is_alone: bool = True
    ) -> None:
        self.bench, self.ticket, self.job, self.lens = bench, ticket, job, lens
        found = bench.stages.load_checkpoint(job.name) if is_alone else None
        saved = found or Checkpoint(job.start, [], {})
        groups, device = dict(saved.groups), bench.batches.images.device
        self.step, self.rows = saved.step, list(saved.rows)
        self.weights = groups.pop("weights", dict(ticket.weights))
        self.kept = take_kept(groups)
        if job.start in job.keep_at:
            self.kept[job.start] = Kept(dict(ticket.weights), dict(job.state))
        self.best, self._best_at = groups.pop("best", {}), -1
        tally = groups.pop("tally", {})
        self.tally: dict[str, Tensor] | None = None
        if job.tallies:
            prunable = ticket.architecture.prunable
            empty = {name: torch.zeros_like(ticket.weights[name]) for name in prunable}
            self.tally = {name: t.to(device) for name, t in (tally or empty).items()}
        self.state: State = groups or dict(job.state)
        self._since, self._total = saved.step, torch.zeros((), device=device)
        self._saved_at = perf_counter()
        self._last: Step | None = None

    def add(self, step: Step, loss: Tensor | None = None) -> None:
        """Count a step, keep it where asked, and tell the watcher where it wants to know.

        `loss` is the sum over the steps since the last one that was added, if there are several.
        """
        self.step, self._last = step.number, step
        self._total += step.loss if loss is None else loss
        if step.number in self.job.keep_at:
            self.kept[step.number] = Kept(step.snapshot(), _on_cpu(step.state()))
        if self.bench.meter.is_due:
            self.bench.meter.tell(step=step.number, loss=float(step.loss), ahead=self._epochs)

    def look(self, step: Step) -> bool:
        """A row for the validation data at this step; false where the training has diverged."""
        read = self.lens.read(step.live, None)
        with self.bench.clock.inside("evaluation"):
            validation = self.bench.split.validation
            found = evaluate(self.ticket.architecture, read, validation, step.engine)
        mean = float(self._total) / (step.number - self._since)
        per_epoch = self.bench.per_epoch(self.job.recipe)
        row = {**self.job.labels, **_row(step, per_epoch, mean, found)}
        is_finite = row["val_loss"] is not None
        if self.job.keeps_best and is_finite and row["val_loss"] < self._least():
            self.best, self._best_at = step.snapshot(), step.number
        self.rows.append(row)
        self._since, self._total = step.number, torch.zeros_like(self._total)
        self.bench.meter.tell(step=step.number, val_accuracy=found.accuracy, ahead=self._epochs)
        return is_finite

    def save(self, step: Step) -> None:
        """Write a checkpoint at the end of an epoch, but not more often than once a minute."""
        if perf_counter() - self._saved_at <= SECONDS_BETWEEN_CHECKPOINTS:
            return
        groups = {"weights": step.snapshot(), **step.state()}
        groups |= {"best": self.best} if self.best else {}
        groups |= {"tally": self.tally} if self.tally else {}
        groups |= kept_groups(self.kept)
        with self.bench.clock.inside("saving"):
            checkpoint = Checkpoint(step.number, self.rows, groups)
            self.bench.stages.save_checkpoint(self.job.name, checkpoint)
        self._saved_at = perf_counter()

    def keep_end(self) -> None:
        """Keep weights and optimizer as they are now."""
        if self._last is not None:
            self.kept[self.step] = Kept(self._last.snapshot(), _on_cpu(self._last.state()))

    def tested(self) -> dict[str, float]:
        """Accuracies on the test data of the weights as they are now and of the best ones."""
        if self._last is None:
            return {}
        engine, test = self._last.engine, self.bench.split.test
        sides = {"end": self._last.live}
        if self.best and self._best_at != self._last.number:
            device = test.device
            sides["best"] = engine.pack({n: t.to(device) for n, t in self.best.items()})
        with self.bench.clock.inside("evaluation"):
            found = {
                side: accuracy(self.ticket.architecture, self.lens.read(live, None), test, engine)
                for side, live in sides.items()
            }
        if self.best:
            found.setdefault("best", found["end"])
        return found

    def trained(self) -> Ticket:
        """The ticket with the weights it has now."""
        if self._last is None:
            return self.ticket
        weights = masking.apply(self._last.snapshot(), self.ticket.masks)
        return replace(self.ticket, weights=weights)

    def total(self) -> dict[str, Tensor]:
        """What was tallied, on the CPU."""
        return {name: total.cpu() for name, total in (self.tally or {}).items()}

    @property
    def _epochs(self) -> float:
        return (self.step - self.job.start) / self.bench.per_epoch(self.job.recipe)

    def _least(self) -> float:
        return min(
            (r["val_loss"] for r in self.rows if r["val_loss"] is not None), default=math.inf
        )


def _on_cpu(state: State) -> State:
    return {kind: {name: t.cpu() for name, t in values.items()} for kind, values in state.items()}


def _row(step: Step, per_epoch: int, loss: float, evaluation: Evaluation) -> Row:
    """The numbers of a line of metrics.jsonl; losses that are not finite become null."""
    is_finite = math.isfinite(evaluation.loss) and math.isfinite(loss)
    return {
        "epoch": step.number / per_epoch,
        "step": step.number,
        "loss": loss if is_finite else None,
        "val_loss": evaluation.loss if is_finite else None,
        "val_accuracy": evaluation.accuracy,
        "val_calibrated_loss": evaluation.calibrated_loss if is_finite else None,
    }
