"""A whole study: checked and planned, its folder, its work, and what it decides at the end."""

import shutil
from collections.abc import Iterator
from pathlib import Path

from recursive_lth.config import StudyExperiment
from recursive_lth.running.check import check_names
from recursive_lth.running.chorus import Chorus
from recursive_lth.running.clock import Clock
from recursive_lth.running.machine import made_by
from recursive_lth.running.progress import Meter, Watch
from recursive_lth.running.run_folder import Resume, check_origin, opened, run_folder
from recursive_lth.running.stages import Stages
from recursive_lth.running.start import origin
from recursive_lth.running.supply import Supply
from recursive_lth.running.workers import crew_of, prepare
from recursive_lth.study.arms import arms_of
from recursive_lth.study.fairness import check_contrasts
from recursive_lth.study.panel.catalogue import panel_of
from recursive_lth.study.plan import Plan, data_of, plan_of
from recursive_lth.study.progress import StudyProgress
from recursive_lth.study.reading import Line
from recursive_lth.study.summary import summarise
from recursive_lth.study.work import Tools, Work
from recursive_lth.training import device as devices
from recursive_lth.training.choice import Choices


def planned(experiment: StudyExperiment, supply: Supply) -> Plan:
    """What a study will take, seed by seed. Raises `InputError` where it may not run as it is."""
    check_names(experiment, [])
    arms, panel = arms_of(experiment), panel_of(experiment.study.panel)
    plan = plan_of(experiment, arms, panel, supply)
    check_contrasts(experiment, arms, panel, plan)
    return plan


def study(
    experiment: StudyExperiment,
    *,
    data_dir: Path | None = None,
    out: Path = Path("runs"),
    device: str = "auto",
    resume: Resume = "auto",
    workers: str = "1",
    watch: Watch | None = None,
) -> Iterator[Line]:
    """A study: yield the line of each reading once it is on disk; verdicts follow at the end.

    A study that was stopped goes on where it stood, with the same bits; a finished one yields its
    stored lines and computes nothing. While it runs, PyTorch's number of threads is pinned.
    `workers` is how many processes train side by side, or a Dask scheduler's address: the results
    are the same bits. Test accuracies are reported; nothing is selected by them.

    Raises `InputError` where the experiment, data, device or folder cannot be used, where the arms
    of a contrast have unequal budgets, or differ in more factors than it names.
    """
    where = devices.choose(device)
    stored = run_folder(experiment, out)
    if resume != "never" and stored.is_finished:
        shutil.rmtree(stored.work, ignore_errors=True)
        yield from stored.lines()
        return
    supply, clock = Supply(data_dir, where), Clock()
    prepare(workers)
    with clock.inside("data"), devices.pinned(experiment.training.threads):
        plan = planned(experiment, supply)
    arms, panel = arms_of(experiment), panel_of(experiment.study.panel)
    with opened(experiment, out, resume) as folder:
        begins = [
            (arm.begin.start(experiment.start), plan.stands[name].trainings[0].before.architecture)
            for name, arm in arms.items()
            if arm.begin and not arm.like
        ]
        start = origin([(experiment.start, plan.architecture), *begins])
        content = supply.digest(data_of(experiment))
        check_origin(folder, {"data": content, **made_by(where.type), **start})
        meter = Meter(watch, [plan.epochs], StudyProgress())
        meter.is_in_turn = False
        stages, choices = Stages(folder.work / "stages"), Choices(folder.path / "engine.json")
        with devices.pinned(experiment.training.threads), crew_of(workers) as crew:
            tools = Tools(stages, meter, clock, choices, Chorus(crew), supply)
            yield from Work(experiment, arms, panel, plan, folder, tools).lines()
        summarise(folder, experiment, arms, panel, plan, where.type, clock)
        shutil.rmtree(folder.work, ignore_errors=True)
