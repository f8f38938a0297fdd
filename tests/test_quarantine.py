"""Trainings that always end their workers are given up, and they alone."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import torch
from judged import first_ticket, statuses
from search_runs import Stop, bench_of, small

from recursive_lth.config import Experiment
from recursive_lth.errors import InputError
from recursive_lth.running.crew import Found, Here, fit_here
from recursive_lth.running.job import Bench, Job
from recursive_lth.running.trainings import train_all
from recursive_lth.running.wanted import MOST_MEMBERS, Company, Wanted
from recursive_lth.search.judging.choose import Seedling, choose

WORKERS = 4  # that a training ends before its crew lets go of it
COHORT = ("growth.candidates=3", "training.engine=dense", "seed=4")  # three unlike growths


@dataclass
class Deadly:
    """A crew whose workers die of some trainings; `tried` lists the names of each company."""

    kills: Callable[[str], bool]
    is_near: bool = False  # whoever is asked for beside others ends its workers too
    stops_after: int = 10**6
    tried: list[list[str]] = field(default_factory=list)
    under_way: list[Company] = field(default_factory=list)
    beside: int = 0  # the most that have been under way since there were none

    def begin(self, company: Company) -> None:
        self.under_way.append(company)
        self.beside = max(self.beside, len(self.under_way))

    def next(self) -> tuple[Company, Found]:
        if len(self.tried) == self.stops_after:
            raise Stop
        company, beside = self.under_way.pop(0), self.beside
        self.beside = self.beside if self.under_way else 0
        names = [one.job.name for one in company.members]
        self.tried.append(names)
        if any(map(self.kills, names)) or (self.is_near and beside > 1):
            return company, WORKERS
        return company, fit_here(company)


def of_candidate(number: int) -> Callable[[str], bool]:
    """Every training of one candidate kills."""
    return lambda name: name.startswith(f"0002-judge-{number}-")


def bench_at(folder: Path, *settings: str) -> Bench[Experiment]:
    return bench_of(small(*COHORT, *settings), folder)


def chosen(bench: Bench[Experiment], crew: Deadly) -> Seedling:
    return choose(replace(bench, crew=crew), first_ticket(), 2, [])


def test_a_deadly_candidate_fails_and_its_siblings_do_not(tmp_path: Path) -> None:
    """All others end where they end without it, to rounding, and one of them is chosen."""
    peaceful = choose(bench_at(tmp_path / "peace"), first_ticket(), 2, [])
    deadly = next(c.number for c in peaceful.candidates if c.status == "chosen")
    assert deadly  # the very one that would be chosen
    crew = Deadly(of_candidate(deadly))
    found = chosen(bench_at(tmp_path / "war"), crew)
    guilty = found.candidates[deadly]
    assert (guilty.status, guilty.reason) == ("failed", f"its training ended {WORKERS} workers")
    assert (guilty.training_steps, guilty.gain) == (0, None)
    assert statuses(found).count("chosen") == 1
    for before, after in zip(peaceful.candidates, found.candidates, strict=False):
        assert before.asked == after.asked
        if after.number != deadly and before.training_steps and after.training_steps:
            assert after.rungs[0] == pytest.approx(before.rungs[0], abs=1e-4)
    assert statuses(found)[: len(peaceful.candidates)].count("failed") == 1


def test_the_whole_company_is_tried_again_by_itself_then_each_alone(tmp_path: Path) -> None:
    """Candidates 0, 2 and 3 go as one program here, and 1 beside them."""
    crew = Deadly(of_candidate(2))
    chosen(bench_at(tmp_path, "growth.rungs=1"), crew)
    names = [[f"0002-judge-{n}-0" for n in numbers] for numbers in ((0, 2, 3), (1,))]
    assert crew.tried[:6] == [*names, names[0], *([name] for name in names[0])]


def test_a_company_beside_a_killer_keeps_its_bits(tmp_path: Path) -> None:
    """What is blamed for standing near is trained as it would have been, and nothing is split."""

    def found(folder: str, crew: Deadly | None) -> list[torch.Tensor]:
        bench = bench_at(tmp_path / folder)
        wanted = [
            Wanted(bench, first_ticket(), Job(f"job{n:02d}", bench.experiment.training, 7, n))
            for n in range(MOST_MEMBERS + 3)
        ]
        fits = train_all([replace(w, bench=replace(bench, crew=crew)) for w in wanted])
        assert not list((tmp_path / folder).glob("*.suspect"))
        return [tensor for one in fits for tensor in one.ticket.weights.values()]

    crew = Deadly(lambda name: False, is_near=True)
    for alone, near in zip(found("alone", None), found("near", crew), strict=True):
        assert torch.equal(alone, near)
    assert [len(names) for names in crew.tried] == [6, 5, 6, 5]


@pytest.mark.parametrize("stops_after", range(3, 8))
def test_a_run_that_goes_on_kills_no_more(tmp_path: Path, stops_after: int) -> None:
    """Stopped anywhere after the company was split, it comes to the same candidates and bits."""
    settings = ("growth.rungs=1",)
    once = chosen(bench_at(tmp_path / "once", *settings), Deadly(of_candidate(2)))
    folder, first = tmp_path / "twice", Deadly(of_candidate(2), stops_after=stops_after)
    try:
        chosen(bench_at(folder, *settings), first)
    except Stop:
        assert len(first.tried) == stops_after
    second = Deadly(of_candidate(2))
    again = chosen(bench_at(folder, *settings), second)
    assert again.candidates == once.candidates
    assert again.ticket.digest == once.ticket.digest
    assert all(len(names) == 1 or "0002-judge-2-0" not in names for names in second.tried)
    is_known = ["0002-judge-2-0"] in first.tried
    assert (["0002-judge-2-0"] in second.tried) != is_known


def test_the_verdict_holds_with_no_workers_at_all(tmp_path: Path) -> None:
    """What four workers died of is not tried in the run's own process."""
    crew = Deadly(of_candidate(2), stops_after=5)
    with pytest.raises(Stop):
        chosen(bench_at(tmp_path / "a", "growth.rungs=1", "growth.candidates=9"), crew)
    bench = bench_at(tmp_path / "a", "growth.rungs=1", "growth.candidates=9")
    found = choose(replace(bench, crew=Here()), first_ticket(), 2, [])
    assert found.candidates[2].reason == f"its training ended {WORKERS} workers"


def test_a_runner_that_kills_leaves_the_race(tmp_path: Path) -> None:
    settings = ("growth.replicates=3", "growth.keep=1", "growth.cut=none")
    crew = Deadly(lambda name: name == "0002-judge-1-again-1")
    found = chosen(bench_at(tmp_path, *settings), crew)
    assert found.candidates[1].status == "failed"
    assert found.candidates[1].reason == f"its training ended {WORKERS} workers"
    assert statuses(found).count("chosen") == 1
    assert not any("0002-judge-1-again-2" in names for names in crew.tried)


def test_not_growing_is_needed(tmp_path: Path) -> None:
    """All gains are over it: where it kills, the run stops, with one line that names it."""
    with pytest.raises(
        InputError, match=f"^0002-judge-0-0 .phase judge.* has killed {WORKERS} workers, prob"
    ):
        chosen(bench_at(tmp_path), Deadly(of_candidate(0)))


def test_a_training_that_a_run_needs_stops_it(tmp_path: Path) -> None:
    """Of two that go as one program the guilty one is named, and the other is not."""
    bench = bench_at(tmp_path)
    bench = replace(bench, crew=Deadly(lambda name: name == "replicate-1"))
    wanted = [
        Wanted(bench, first_ticket(), Job(f"replicate-{n}", bench.experiment.training, 7, n))
        for n in range(2)
    ]
    with pytest.raises(
        InputError, match=r"^replicate-1 .* has killed 4 workers.*use fewer --workers"
    ):
        train_all(wanted)
