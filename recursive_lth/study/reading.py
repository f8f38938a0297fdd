"""Reading the panel: every measure at every moment of a training, on tickets at rest.

It begins when all arms are trained, and nothing that is read goes back into them: with the panel
and without it they end in the same bits.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType
from typing import Any

from recursive_lth import seeds
from recursive_lth.config import Data
from recursive_lth.running.fit import Fitted
from recursive_lth.running.job import Job
from recursive_lth.running.train import train
from recursive_lth.study.learn import Learner, looks_of, stage_of
from recursive_lth.study.panel.measure import Measure
from recursive_lth.study.play import Ground, Trained, cost_of_step
from recursive_lth.study.reading_cost import epochs_of_looking
from recursive_lth.study.scene import Changes, Parent, Past, Scene
from recursive_lth.ticket import masks as masking
from recursive_lth.ticket.ticket import Ticket
from recursive_lth.training.samples import Split

Line = dict[str, Any]


@dataclass(frozen=True)
class Reader:
    """Reads measures off the trainings of one arm; `place` names arm and seed.

    `keeps_state` is as the arms of the study were trained: what is trained alike is shared.
    """

    ground: Ground
    panel: Mapping[str, Measure]
    place: Mapping[str, Any]
    known: Mapping[Any, Line]  # by seed, arm, training and moment: not read again
    keeps_state: bool

    def lines(self, trainings: Sequence[Trained], number: int, text: str) -> Iterator[Line]:
        """A line for each moment of a training at which something is to be read."""
        study, done = self.ground.experiment.study, trainings[number]
        for moment in study.moments:
            key = (*self.place.values(), number, moment)
            if key in self.known:
                yield self.known[key]
                continue
            self._tell(done)
            scene = self._scene(trainings, number, moment)
            taken = {n: m for n, m in self.panel.items() if m.is_taken_at(moment)}
            is_lost = _is_lost(trainings, number, moment)
            values = {n: None if is_lost else m.read(scene) for n, m in taken.items()}
            ticket = scene.ticket
            self.ground.bench.meter.trained(epochs_of_looking(self.ground, taken.values()))
            yield {
                **self.place,
                "training": done.number,
                "trainings": len(trainings),
                "moment": moment,
                "move": text,
                "task": done.move.on,
                "depth": ticket.architecture.depth,
                "parameters": ticket.cost.parameters,
                "remaining_weights": ticket.cost.remaining_weights,
                "density": ticket.cost.density,
                "multiply_adds": ticket.cost.remaining_multiply_adds,
                "spent": scene.spent[1],
                "steps": round(moment * done.steps),
                "is_diverged": is_lost,
                "values": values,
            }

    def _tell(self, done: Trained) -> None:
        """Tell the watcher which training is about to be read."""
        size = done.before.cost.remaining_weights, done.before.architecture.depth
        self.ground.bench.meter.tell(
            **self.place,
            training=done.number,
            val_accuracy=None,
            remaining_weights=size[0],
            depth=size[1],
        )

    def _scene(self, trainings: Sequence[Trained], number: int, moment: float) -> Scene:
        done = trainings[number]
        step = round(moment * done.steps)
        bench = self.ground.bench_of(done.data, done.recipe)
        until = done.spent_before + step * cost_of_step(bench, done.before)
        study = self.ground.experiment.study
        probe = Probe(self.ground, done, {**self.place, "training": done.number})
        return Scene(
            _at(done, step),
            done.before,
            moment,
            [row for row in done.curve if row["step"] <= step],
            (done.spent_before, until),
            self.ground.epoch_cost,
            bench.split,
            done.data,
            study.samples,
            study.target,
            done.tested if moment == 1 else None,
            self.ground.experiment.seed,
            probe,
            probe.parts,
            self.ground.bench.split,
            self._past(trainings[:number], done.data),
            self.ground.experiment.start.initialisation,
            self._parent(done, step),
        )

    def _parent(self, done: Trained, step: int) -> Parent | None:
        """What it has just grown from, to be trained for as many steps as it was itself.

        For all of them, and what it was after `step` is kept: of a schedule that is not the same as
        a training of fewer. Where an arm trains so that has not grown, that training is it.
        """
        grown = done.grown
        if grown is None:
            return None

        def learnt() -> Ticket | None:
            learner = Learner(str(self.place["arm"]), self.keeps_state)
            rival = learner(self.ground, grown.parent, done.move, steps=done.steps).trainings[-1]
            return None if rival.is_diverged else _at(rival, step)

        return Parent(grown.sprouts, learnt)

    def _past(self, earlier: Sequence[Trained], now: Data) -> tuple[Past, ...]:
        """What was learnt before of other data, each as its last training left it."""
        last = {done.data: done for done in earlier if done.data != now}
        return tuple(
            Past(
                self.ground.bench_of(data, done.recipe).split.validation,
                done.curve[-1]["val_accuracy"],
            )
            for data, done in last.items()
        )


@dataclass(frozen=True)
class Probe:
    """Trains a network for a measure, always by the study's own `[training]`.

    An arm's settings are no part of it: what a network can learn is asked of all in one way, else
    the probe of a strategy would tell of the strategy and not of the network that it has left.
    """

    ground: Ground
    done: Trained
    place: Mapping[str, Any]

    def __call__(
        self,
        name: str,
        ticket: Ticket,
        *,
        epochs: float,
        changes: Changes = MappingProxyType({}),
        order: int = 0,
        looks: int = 4,
    ) -> Fitted:
        """The ticket trained for so many epochs of the dense start network's cost.

        `changes` are laid over the data; `order` tells apart the batches of trainings of one name,
        which are the same for all arms of a seed.
        """
        data, recipe = self._data(changes), self.ground.experiment.training
        bench = self.ground.bench_of(data, recipe)
        steps = max(1, round(epochs * self.ground.epoch_cost / cost_of_step(bench, ticket)))
        job = Job(
            "",
            recipe,
            steps,
            seeds.derive(self.ground.experiment.seed, "probe", name, order),
            place=self.place,
            marks=looks_of(steps, looks),
        )
        return train(bench, ticket, replace(job, name=stage_of(bench, ticket, job, data)))

    def parts(self, changes: Changes) -> Split:
        """The data that it trains on with these changes."""
        return self.ground.bench_of(self._data(changes), self.ground.experiment.training).split

    def _data(self, changes: Changes) -> Data:
        return Data(**{**asdict(self.done.data), **changes})


def _is_lost(trainings: Sequence[Trained], number: int, moment: float) -> bool:
    """True iff the arm has diverged by then: before a training, in one of those before it."""
    if moment == 0:
        return number > 0 and trainings[number - 1].is_diverged
    return trainings[number].is_diverged


def _at(done: Trained, step: int) -> Ticket:
    """The network after so many steps."""
    if step in done.kept:
        weights = masking.apply(done.kept[step].weights, done.before.masks)
        return replace(done.before, weights=weights)
    return done.after if step == done.steps else done.before
