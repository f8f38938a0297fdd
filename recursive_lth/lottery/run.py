"""A whole run of ticket finding: replicates, arms, levels, controls; resume; summary."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from recursive_lth.config import TicketExperiment
from recursive_lth.config_file import arms_of
from recursive_lth.lottery.benches import Benches
from recursive_lth.lottery.check import check_arm
from recursive_lth.lottery.critical import critical_of
from recursive_lth.lottery.levels import TICKET, Level, Shared, levels, moments_of
from recursive_lth.lottery.plan import has_controls, levels_of, trainings_of
from recursive_lth.lottery.progress import LevelProgress
from recursive_lth.lottery.rivals import TRANSFER, rivals, run_rival, transfers
from recursive_lth.lottery.summary import summarise
from recursive_lth.lottery.supermasks import supermask_levels
from recursive_lth.lottery.trial import Line
from recursive_lth.lottery.weight_samples import sampled
from recursive_lth.pruning.scores import NEEDS_TALLY
from recursive_lth.running.chorus import Chorus, Voice, gather
from recursive_lth.running.clock import Clock
from recursive_lth.running.crew import Crew
from recursive_lth.running.job import Bench
from recursive_lth.running.machine import made_by
from recursive_lth.running.progress import Meter, Watch
from recursive_lth.running.run_folder import Resume, RunFolder, check_origin, opened, run_folder
from recursive_lth.running.stages import Stages
from recursive_lth.running.start import origin
from recursive_lth.running.supply import MOST_MEMORY
from recursive_lth.running.workers import crew_of, prepare
from recursive_lth.training import device as devices
from recursive_lth.training.choice import Choices
from recursive_lth.training.population import graph_of


def prune(
    experiment: TicketExperiment,
    *,
    data_dir: Path | None = None,
    out: Path = Path("runs"),
    device: str = "auto",
    resume: Resume = "auto",
    workers: str = "1",
    watch: Watch | None = None,
) -> Iterator[Line]:
    """Classic ticket finding: yield the line of each trained network once it is on disk.

    A run that was stopped goes on where it stood, with the same bits; a finished one yields its
    stored lines and computes nothing. While it runs, PyTorch's number of threads is pinned. Each
    network is evaluated on the test data once it is trained; nothing is selected by them.
    `workers` is how many processes train side by side, or a Dask scheduler's address: the results
    are the same bits.

    Raises `InputError` where the experiment, data, device or folder cannot be used.
    """
    arms = arms_of(experiment)
    where = devices.choose(device)
    benches = Benches(data_dir, where)
    stored = run_folder(experiment, out)
    if resume != "never" and stored.is_finished:
        if stored.has_origin and any(Path(arm.data.name).is_file() for arm in arms.values()):
            check_origin(stored, {"data": benches.digest(arms)})
        shutil.rmtree(stored.work, ignore_errors=True)
        yield from stored.lines()
        return
    prepare(workers)
    for name, arm in arms.items():
        check_arm(name, arm, benches)
    with opened(experiment, out, resume) as folder:
        start = origin((arm.start, benches.architecture(arm)) for arm in arms.values())
        check_origin(folder, {"data": benches.digest(arms), **made_by(where.type), **start})
        benches.choices = Choices(folder.path / "engine.json")
        with crew_of(workers) as crew:
            work = _Work(experiment, arms, benches, folder, watch, crew)
            yield from work.lines()
        summarise(folder, experiment, work.found, where.type, work.clock)
        shutil.rmtree(folder.work, ignore_errors=True)


class _Work:
    """The lines found so far, and what computes the next; lives as long as the run."""

    def __init__(
        self,
        experiment: TicketExperiment,
        arms: Mapping[str, TicketExperiment],
        benches: Benches,
        folder: RunFolder,
        watch: Watch | None,
        crew: Crew,
    ) -> None:
        self.arms, self.benches, self.folder, self.crew = arms, benches, folder, crew
        self.replicates = range(experiment.tickets.replicates)
        self.clock, self.stages = Clock(), Stages(folder.work / "stages")
        self.planned = {
            name: trainings_of(arm, benches.architecture(arm)) for name, arm in arms.items()
        }
        parts = [epochs for _ in self.replicates for name in arms for epochs in self.planned[name]]
        self.meter = Meter(watch, parts, LevelProgress())
        self.known = {_key(line): line for line in folder.lines()}
        self.found: list[Line] = []

    def lines(self) -> Iterator[Line]:
        """Every line; what an earlier process found is recalled."""
        for some in self._companies():
            todo = [r for r in some if not self._mark(r).exists()]
            for replicate in some:
                if replicate not in todo:
                    old = [line for line in self.known.values() if line["replicate"] == replicate]
                    self.found += old
                    yield from old
            for line in self._replicates(todo):
                self.found.append(line)
                self.folder.write_lines([*self.found, *self._ahead()])
                yield line
            self.found.sort(key=self._rank)
            self.folder.write_lines([*self.found, *self._ahead()])
            for replicate in todo:
                self._mark(replicate).touch()
            self.stages.clear()
            self.benches.forget()

    def _mark(self, replicate: int) -> Path:
        return self.folder.work / f"replicate-{replicate}.done"

    def _companies(self) -> list[list[int]]:
        """Replicates that are found side by side: one by one where their networks stay alone."""
        arms = list(self.arms.values())
        apart = any(graph_of(self.benches.architecture(arm)) is None for arm in arms)
        sizes = {arm.data: self.benches.dataset(arm.data).train_images.numel() for arm in arms}
        most = 1 if apart else max(1, MOST_MEMORY // (4 * sum(sizes.values())))
        numbers = list(self.replicates)
        return [numbers[i : i + most] for i in range(0, len(numbers), most)]

    def _rank(self, line: Line) -> tuple[int, int, int, int]:
        """Where a line stands in the file: by replicate, arm, level, and ticket before controls."""
        controls = self.arms[line["arm"]].tickets.controls
        moved = [TRANSFER, *(f"{TRANSFER}_{name}" for name in controls)]
        place = [TICKET, *controls, *moved].index(line["variant"])
        return line["replicate"], list(self.arms).index(line["arm"]), line["level"], place

    def _replicates(self, some: Sequence[int]) -> Iterator[Line]:
        """The lines of replicates, arms, and their controls, trained together where they can be."""
        chorus, found = Chorus(self.crew), list[list[Line | Voice]]()
        for replicate in some:
            for number, (name, arm) in enumerate(self.arms.items()):
                earlier = [*self.planned] * replicate + [*self.planned][:number]
                part = sum(len(self.planned[other]) for other in earlier)
                found.append([])
                lines = self._arm(replicate, name, arm, part, chorus)
                chorus.add(partial(gather, found[-1], lines))
        self.meter.is_in_turn = False
        threads = {arm.training.threads for arm in self.arms.values()}
        with devices.pinned(max(threads)):
            for _ in chorus.run():
                yield from _there(found)
        yield from _there(found)

    def _ahead(self) -> list[Line]:
        """Lines of an earlier process that this one has not come to yet: not to be lost again."""
        reached = {_key(line) for line in self.found}
        return [line for key, line in self.known.items() if key not in reached]

    def _arm(
        self, replicate: int, name: str, arm: TicketExperiment, part: int, chorus: Chorus
    ) -> Iterator[Line | Voice]:
        """The lines of one arm in one replicate; those of rivals are voices of their own."""
        architecture = self.benches.architecture(arm)
        arm = replace(arm, seed=arm.seed + replicate)
        place = {
            "replicate": replicate,
            "replicates": len(self.replicates),
            "seed": arm.seed,
            "arm": name,
            "levels": levels_of(arm, architecture),
        }
        find = supermask_levels if arm.supermask.method else levels
        bench = self.benches.bench(arm, self.stages, self.meter, self.clock)
        bench = replace(bench, perform=chorus.train)
        first: Level | None = None
        last: Level | None = None
        for level in find(bench, place, self._shared(arm, part)):
            first = first or level
            yield self._keep(bench, level, is_first=level is first)
            if last is not None and arm.tickets.keep == "last":
                self.folder.ticket(last.ticket.digest).unlink(missing_ok=True)
            last = level
            yield from self._beside(bench, level, first, chorus)

    def _keep(self, bench: Bench[TicketExperiment], level: Level, *, is_first: bool) -> Line:
        """The line of a level with what else was asked about it; its ticket's file is written."""
        tickets = bench.experiment.tickets
        line = dict(level.line)
        if is_first and tickets.critical_compression:
            line["critical"] = critical_of(bench, level)
        if tickets.weight_samples:
            line["weight_samples"] = sampled(bench, level)
        with self.clock.inside("saving"):
            level.ticket.save(self.folder.ticket(level.ticket.digest))
        return line

    def _beside(
        self, bench: Bench[TicketExperiment], level: Level, first: Level, chorus: Chorus
    ) -> Iterator[Line | Voice]:
        """Controls and transfers of a level, those on disk as they stand there."""
        arm, dense = bench.experiment, first.ticket.cost
        if level.line["is_diverged"] or not has_controls(arm, int(level.line["level"])):
            return
        trials = [(bench, trial) for trial in rivals(bench, level)]
        if arm.transfer.is_wanted:
            there = self.benches.target(arm, self.stages, self.meter, self.clock)
            there = replace(there, perform=chorus.train)
            trials += [(there, trial) for trial in transfers(bench, there, level)]
        for where, trial in trials:
            known = self.known.get(_key(trial.place))
            yield known or chorus.add(partial(run_rival, where, trial, dense), is_aside=True)

    def _shared(self, arm: TicketExperiment, part: int) -> Shared:
        """What level 0 keeps so that every arm that begins as this one can go on from it."""
        alike = [other for other in self.arms.values() if _beginning(other) == _beginning(arm)]
        moments: set[int] = set()
        for other in alike:
            per_epoch = self.benches.per_epoch(replace(other, seed=arm.seed))
            moments |= moments_of(other, per_epoch)
        tallies = any(other.pruning.score in NEEDS_TALLY for other in alike)
        return Shared(tuple(sorted(moments)), tallies, part)


def _beginning(arm: TicketExperiment) -> Any:
    """What decides the training of level 0."""
    return arm.data, arm.start, arm.training, arm.tickets.look_every, arm.pruning.basis


def _there(found: Sequence[list[Line | Voice]]) -> Iterator[Line]:
    """The lines that are there by now, of each arm in its order; they are taken away."""
    for items in found:
        while items and (isinstance(items[0], dict) or items[0].is_done):
            item = items.pop(0)
            yield item if isinstance(item, dict) else item.result


def _key(line: Mapping[str, Any]) -> tuple[Any, ...]:
    """Where a line stands in its run."""
    return line["replicate"], line["arm"], line["level"], line["variant"]
