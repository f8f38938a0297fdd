"""What reading the panel will cost: what its measures train, and how long the watcher waits."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from recursive_lth.config import StudyExperiment
from recursive_lth.study.panel.measure import Measure
from recursive_lth.study.play import Ground, Stand, Trained, cost_of_step


@dataclass(frozen=True)
class ReadingCost:
    """Of one seed: the multiply-adds that measures train for, and passes through the data.

    `epochs` count as the meter does, those of measures that train nothing among them.
    """

    multiply_adds: int
    epochs: float


def reading_cost(
    ground: Ground, panel: Mapping[str, Measure], stands: Mapping[str, Stand], a_sample: int
) -> ReadingCost:
    """About what one seed takes: probes ask for multiply-adds, not steps, and so do we.

    `a_sample` is what the dense start network takes to train on one. Measures that want one
    training share it; arms that do are not known before they have run. Parents are trained once for
    all moments.
    """
    found = [
        _of_training(ground, panel, done, a_sample)
        for stand in stands.values()
        for done in trainings_read(ground.experiment, stand)
    ]
    return ReadingCost(
        sum(each.multiply_adds for each in found), sum(each.epochs for each in found)
    )


def trainings_read(experiment: StudyExperiment, stand: Stand) -> tuple[Trained, ...]:
    """The trainings of an arm that are read."""
    return stand.trainings[-1 if experiment.study.readings == "last" else 0 :]


def epochs_of_looking(ground: Ground, measures: Iterable[Measure]) -> float:
    """What measures compute besides their trainings, in passes through the training data."""
    passes = sum(measure.passes for measure in measures if not measure.fits_few)
    return passes * ground.experiment.study.samples / len(ground.bench.batches)


def _of_training(
    ground: Ground, panel: Mapping[str, Measure], done: Trained, a_sample: int
) -> ReadingCost:
    study, way = ground.experiment.study, ground.experiment.training
    taken: list[Sequence[Measure]] = [
        [
            measure
            for measure in panel.values()
            if measure.is_taken_at(moment) and (done.grown or not measure.trains_parent)
        ]
        for moment in study.moments
    ]
    bench = ground.bench_of(done.data, way)
    a_pass = bench.per_epoch(way) * cost_of_step(bench, done.before)
    thinner = a_sample * min(way.batch_size, len(bench.batches)) / cost_of_step(bench, done.before)
    spent, epochs = 0.0, 0.0
    for measures in taken:
        probes = [measure for measure in measures if measure.is_training]
        trains = {name: cost for probe in probes for name, cost in probe.trains.items()}
        few = max((probe.passes for probe in probes if probe.fits_few), default=0.0)
        lines = sum(probe.passes for probe in probes if not probe.fits_few)
        spent += sum(trains.values()) * ground.epoch_cost + (few + lines) * study.samples * a_sample
        epochs += sum(trains.values()) * ground.epoch_cost / a_pass + few * thinner
        epochs += epochs_of_looking(ground, measures)
    if done.grown and any(measure.trains_parent for measures in taken for measure in measures):
        own = ground.bench_of(done.data, done.recipe)
        spent += done.steps * cost_of_step(own, done.grown.parent.ticket)
        epochs += done.steps / own.per_epoch(done.recipe)
    return ReadingCost(round(spent), epochs)
