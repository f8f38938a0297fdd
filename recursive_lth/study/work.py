"""The work of a study: some seeds at a time, first their arms, then the panel, and what is kept."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from recursive_lth.config import Data, StudyExperiment, Training
from recursive_lth.files import read_lines, write_lines
from recursive_lth.running.chorus import Chorus, gather
from recursive_lth.running.clock import Clock
from recursive_lth.running.job import Bench, Source
from recursive_lth.running.progress import Meter
from recursive_lth.running.run_folder import RunFolder
from recursive_lth.running.stages import Stages
from recursive_lth.running.supply import MOST_MEMORY, Supply
from recursive_lth.study.arms import Arm
from recursive_lth.study.learn import Learner
from recursive_lth.study.moves import Train
from recursive_lth.study.panel.measure import Measure
from recursive_lth.study.plan import Plan
from recursive_lth.study.play import Ground, Stand, play
from recursive_lth.study.reading import Line, Reader
from recursive_lth.study.reading_cost import trainings_read
from recursive_lth.ticket.ticket import Ticket
from recursive_lth.training.choice import Choices

CURVES = "curves.jsonl"
Key = tuple[int, str]  # seed and arm


@dataclass(frozen=True)
class Tools:
    """What the benches of a study share."""

    stages: Stages
    meter: Meter
    clock: Clock
    choices: Choices
    chorus: Chorus
    supply: Supply


@dataclass(frozen=True)
class Work:
    """What is there of a study, and what computes the rest; lives as long as the run."""

    experiment: StudyExperiment
    arms: Mapping[str, Arm]
    panel: Mapping[str, Measure]
    plan: Plan
    folder: RunFolder
    tools: Tools
    benches: dict[Any, Bench[Any]] = field(default_factory=dict)

    def lines(self) -> Iterator[Line]:
        """Every line, some seeds side by side at a time; those of seeds that are done as stored."""
        stored = self.folder.lines()
        found: list[Line] = []
        for seeds in self._side_by_side():
            todo = [seed for seed in seeds if not self._mark(seed).exists()]
            old = [line for line in stored if line["seed"] in set(seeds) - set(todo)]
            found += old
            yield from old
            if not todo:
                continue
            stands = self._trained(todo)
            known = {_key(line): line for line in stored if line["seed"] in todo}
            for line in self._read(stands, known, before=len(found)):
                found.append(line)
                self._write(found, stored)
                yield line
            for seed in todo:
                self._mark(seed).touch()
            self.tools.stages.clear()
            self.benches.clear()
            self.tools.supply.forget()

    def _mark(self, seed: int) -> Path:
        return self.folder.work / f"seed-{seed}.done"

    def _side_by_side(self) -> list[list[int]]:
        """Seeds that go at once: as many as their data leave room for."""
        first, count = self.experiment.seed, self.experiment.study.seeds
        most = max(1, MOST_MEMORY // max(1, self.plan.bytes_of_a_seed))
        numbers = list(range(first, first + count))
        return [numbers[i : i + most] for i in range(0, count, most)]

    def _write(self, lines: list[Line], stored: Sequence[Line]) -> None:
        """All lines so far in their order, with those of an earlier process yet to come again."""
        places = [arm.name for arm in self.experiment.arms]
        there = {_key(line) for line in lines}
        ahead = [line for line in stored if _key(line) not in there]

        def rank(line: Mapping[str, Any]) -> tuple[Any, ...]:
            seed, arm, training, moment = _key(line)
            return seed, places.index(arm), training, moment

        self.folder.write_lines(sorted([*lines, *ahead], key=rank))

    def _ground(self, seed: int) -> Ground:
        """What the arms of a seed share; benches are made at first need."""
        own = replace(self.experiment, seed=seed)
        return Ground(own, partial(self._bench, own), self.plan.epoch_cost)

    def _bench(self, own: StudyExperiment, data: Data, recipe: Training) -> Bench[Any]:
        key, tools = (own.seed, data, recipe), self.tools
        if key not in self.benches:
            there = replace(own, data=data, training=recipe)
            with tools.clock.inside("data"):
                parts = tools.supply.split(data, own.seed)
                batches = tools.supply.batches(data, own.seed, recipe)
            self.benches[key] = Bench(
                there,
                parts,
                batches,
                tools.stages,
                tools.meter,
                tools.clock,
                tools.choices,
                perform=tools.chorus.train,
                source=Source(there, tools.supply.data_dir, str(tools.supply.device)),
            )
        return self.benches[key]

    def _trained(self, seeds: Sequence[int]) -> dict[Key, Stand]:
        """Every arm of these seeds played to its end; those that begin like others come after."""
        self.tools.meter.tell(phase="arms", seeds=self.experiment.study.seeds)
        stands: dict[Key, Stand] = {}
        for is_later in (False, True):
            voices = {}
            for seed in seeds:
                ground, finals = self._ground(seed), _finals(stands, seed)
                for name, arm in self.arms.items():
                    if bool(arm.like) is is_later:
                        voice = partial(play, ground, arm, Learner(name, self._carries), finals)
                        voices[seed, name] = self.tools.chorus.add(voice)
            for _ in self.tools.chorus.run():
                pass
            stands |= {key: _signed(*key, voice.result) for key, voice in voices.items()}
        with self.tools.clock.inside("saving"):
            for stand in stands.values():
                stand.ticket.save(self.folder.ticket(stand.ticket.digest))
            self._write_curves(stands)
        return stands

    def _write_curves(self, stands: Mapping[Key, Stand]) -> None:
        """The curves of these seeds in place of what stood of them, the others as they are."""
        path, seeds = self.folder.path / CURVES, {seed for seed, _ in stands}
        rows = [row for row in read_lines(path, is_appended=False) if row["seed"] not in seeds]
        for (seed, name), stand in stands.items():
            for done, text in zip(stand.trainings, _texts(self.arms[name]), strict=True):
                if not done.curve:  # not made
                    continue
                place = {"seed": seed, "arm": name, "training": done.number, "move": text}
                more = {"task": done.move.on, "spent": done.spent, "is_diverged": done.is_diverged}
                rows.append({**place, **more, "digest": stand.ticket.digest, "curve": done.curve})
        write_lines(path, sorted(rows, key=lambda row: (row["seed"], row["arm"], row["training"])))

    def _read(
        self, stands: Mapping[Key, Stand], known: Mapping[Any, Line], *, before: int
    ) -> Iterator[Line]:
        """The panel read off all trainings that are to be read, `before` lines being done."""
        study, meter = self.experiment.study, self.tools.meter
        count = sum(len(trainings_read(self.experiment, s)) for s in self.plan.stands.values())
        readings = study.seeds * count * len(study.moments)
        meter.tell(phase="panel", readings=readings, read=before + len(known))
        found: list[list[Line]] = []
        for (seed, name), stand in stands.items():
            texts = _texts(self.arms[name])
            place = {"seed": seed, "arm": name}
            reader = Reader(self._ground(seed), self.panel, place, known, self._carries)
            for done in trainings_read(self.experiment, stand):
                found.append([])
                lines = reader.lines(stand.trainings, done.number, texts[done.number])
                self.tools.chorus.add(partial(gather, found[-1], self._told(lines, known)))
        for _ in self.tools.chorus.run():
            yield from _there(found)
        yield from _there(found)

    @property
    def _carries(self) -> bool:
        """True iff some arm carries an optimizer on: then all keep it, to share what they train."""
        moves = [move for arm in self.arms.values() for move in arm.moves]
        return any(isinstance(move, Train) and move.state == "carry" for move in moves)

    def _told(self, lines: Iterator[Line], known: Mapping[Any, Line]) -> Iterator[Line]:
        """The lines, each counted for the watcher that an earlier process has not read."""
        for line in lines:
            place: Any = self.tools.meter.now
            self.tools.meter.tell(read=place.read + (_key(line) not in known))
            yield line


def _signed(seed: int, arm: str, stand: Stand) -> Stand:
    """The arm's end, with where its ticket comes from."""
    return replace(stand, ticket=replace(stand.ticket, provenance={"seed": seed, "arm": arm}))


def _finals(stands: Mapping[Key, Stand], seed: int) -> dict[str, Ticket]:
    """The final tickets of a seed's arms so far."""
    return {name: stand.ticket for (other, name), stand in stands.items() if other == seed}


def _texts(arm: Arm) -> list[str]:
    """An arm's trainings as they were written."""
    return [t for m, t in zip(arm.moves, arm.texts, strict=True) if isinstance(m, Train)]


def _there(found: list[list[Line]]) -> Iterator[Line]:
    """What has been gathered and not been handed on yet."""
    for some in found:
        yield from some
        some.clear()


def _key(line: Mapping[str, Any]) -> tuple[Any, ...]:
    return line["seed"], line["arm"], line["training"], line["moment"]
