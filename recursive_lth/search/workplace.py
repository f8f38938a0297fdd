"""What a run of recursive growth works with: its data, its folder, its crew."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from recursive_lth.config import Experiment
from recursive_lth.running.clock import Clock
from recursive_lth.running.job import Bench, Source
from recursive_lth.running.machine import made_by
from recursive_lth.running.progress import Meter, Watch
from recursive_lth.running.run_folder import Resume, RunFolder, check_origin, opened
from recursive_lth.running.stages import Stages
from recursive_lth.running.start import origin
from recursive_lth.running.supply import Supply
from recursive_lth.running.workers import crew_of, prepare
from recursive_lth.search.check import check_fit
from recursive_lth.search.plan import planned_epochs, start_architecture
from recursive_lth.training import device as devices
from recursive_lth.training.choice import Choices


@contextmanager
def at_work(
    experiment: Experiment,
    *,
    data_dir: Path | None,
    out: Path,
    device: str,
    resume: Resume,
    workers: str,
    watch: Watch | None,
) -> Iterator[tuple[RunFolder, Bench[Experiment]]]:
    """The run's folder, ours alone while the block runs, and its bench; threads are pinned.

    Raises `InputError` where the experiment, data, device, workers or folder cannot be used.
    """
    where, clock = devices.choose(device), Clock()
    prepare(workers)
    with clock.inside("data"):
        supply = Supply(data_dir, where)
        data = supply.whole(experiment.data)
        parts = supply.split(experiment.data, experiment.seed)
        batches = supply.batches(experiment.data, experiment.seed, experiment.training)
    architecture = start_architecture(experiment, parts.sample_shape, parts.classes)
    check_fit(experiment, architecture, len(parts.train))
    meter = Meter(watch, planned_epochs(experiment, architecture))
    with opened(experiment, out, resume) as folder:
        start = origin([(experiment.start, architecture)])
        check_origin(folder, {"data": data.digest, **made_by(where.type), **start})
        stages, choices = Stages(folder.work / "stages"), Choices(folder.path / "engine.json")
        source = Source(experiment, data_dir, str(where))
        bench = Bench(experiment, parts, batches, stages, meter, clock, choices, source=source)
        with (
            devices.pinned(experiment.training.threads),
            crew_of(workers, source, most=experiment.growth.together + 1) as crew,
        ):
            yield folder, replace(bench, crew=crew)
