"""Companies: who trains as one program, in parts that workers can share, the heaviest first."""

from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any, cast

import pytest
import search_runs
import torch
from judged import first_ticket
from lottery_runs import run, small
from test_device import CAN_FLUSH, held

from recursive_lth.running import wanted as wanted_module
from recursive_lth.running.crew import Found, fit_here
from recursive_lth.running.job import Job, Row, Source
from recursive_lth.running.trainings import Trainings, train_all
from recursive_lth.running.wanted import (
    LEAST_APART,
    MOST_ASIDE,
    MOST_MEMBERS,
    MOST_UNEVEN,
    Company,
    Wanted,
    companies,
    company_of,
)
from recursive_lth.training.loop import Step


def wanted(tmp_path: Path, count: int, steps: int = 7) -> list[Wanted]:
    """So many trainings of one kind, each of a name and a seed of its own."""
    bench = search_runs.bench_of(search_runs.small(), tmp_path)
    there = replace(bench, source=Source(bench.experiment, None, "cpu"))
    recipe, ticket = bench.experiment.training, first_ticket()
    return [Wanted(there, ticket, Job(f"job-{i:02}", recipe, steps, i)) for i in range(count)]


@pytest.mark.parametrize("count", [*range(1, 42), 64, 100])
def test_parts_are_few_even_in_number_and_alike(count: int, tmp_path: Path) -> None:
    """None too large, sizes differ by one at most, each job once, in order."""
    found = companies(wanted(tmp_path, count))
    sizes = [len(company.members) for company in found]
    names = [one.job.name for company in found for one in company.members]
    assert names == [f"job-{i:02}" for i in range(count)]
    assert max(sizes) <= MOST_MEMBERS
    assert max(sizes) - min(sizes) <= 1
    least = -(-count // MOST_MEMBERS)
    assert len(sizes) == (least if least == 1 else least + least % 2)


def test_heavy_ones_are_spread_where_there_is_nothing_else_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a second worker gains more than company; not where asides fill in, nor when too few."""
    monkeypatch.setattr(wanted_module, "MUCH_WORK", 1)
    some = wanted(tmp_path, 9)
    mixed = [replace(one, is_aside=number > 4) for number, one in enumerate(some)]
    asides = [replace(one, is_aside=True) for one in some]
    cases = (
        (some, [5, 4]),
        (some[:5], [3, 2]),
        (some[:3], [3]),
        (mixed, [5, 4]),
        (asides, [5, 4]),
    )
    for several, sizes in cases:
        assert [len(company.members) for company in companies(several)] == sizes
    assert len(some[:4]) == LEAST_APART


def beside(some: list[Wanted], wholes: tuple[int, ...], *, steps: int = 7) -> list[Wanted]:
    """Those and, of other recipes, so many of each."""
    kinds = [0] * (len(some) - sum(wholes))
    kinds += [kind for kind, size in enumerate(wholes, start=1) for _ in range(size)]

    def job(one: Wanted, kind: int) -> Job:
        recipe = replace(one.job.recipe, label_smoothing=kind / 10)
        return replace(one.job, recipe=recipe, steps=steps) if kind else one.job

    pairs = zip(some, kinds, strict=True)
    return [replace(one, job=job(one, kind)) for one, kind in pairs]


@pytest.mark.parametrize("wholes", [(), (1,), (2,), (8,), (2, 3), (8, 1, 5)])
@pytest.mark.parametrize("count", range(MOST_MEMBERS + 1, 2 * MOST_MEMBERS + 1))
def test_two_workers_have_as_much_to_do(
    count: int, wholes: tuple[int, ...], tmp_path: Path
) -> None:
    """No other cut in two leaves the busier less, a company taking its members' time and one more.

    The twin tries every cut, and gives each part and whole to either worker.
    """
    found = companies(beside(wanted(tmp_path, count + sum(wholes)), wholes))
    sizes = [len(company.members) for company in found]
    assert sizes[2:] == list(wholes)
    assert sum(sizes[:2]) == count
    most = MOST_MEMBERS + MOST_UNEVEN
    cuts = [[n, count - n, *wholes] for n in range(1, count) if max(n, count - n) <= most]
    assert busier(sizes) == min(busier(cut) for cut in cuts)


def test_a_half_is_larger_by_what_counts(tmp_path: Path) -> None:
    """Eight others shift the cut as far as it may go; not so short ones, nor such as stay here."""
    some = wanted(tmp_path, 23)
    long = beside(some, (8,))
    short = beside([replace(one, job=replace(one.job, steps=700)) for one in some], (8,))
    staying = [
        replace(one, bench=replace(one.bench, source=None)) if number >= 15 else one
        for number, one in enumerate(long)
    ]
    for several, sizes in ((long, [10, 5, 8]), (short, [8, 7, 8]), (staying, [8, 7, 8])):
        assert [len(company.members) for company in companies(several)] == sizes


def busier(sizes: list[int]) -> int:
    """What the worker with more to do has, where that is as little as can be."""
    times = [size + 1 for size in sizes]
    shares = [
        sum(time for time, is_mine in zip(times, mine, strict=True) if is_mine)
        for mine in product((False, True), repeat=len(times))
    ]
    return min(max(share, sum(times) - share) for share in shares)


def test_the_most_work_is_handed_out_first(tmp_path: Path) -> None:
    """Whoever is free takes the largest that is left, so that no large one is left for the end.

    What nothing follows from comes after what something may.
    """
    lengths = (3, 50, 7, 20, 90)
    some = [
        replace(one, job=replace(one.job, steps=steps), is_aside=steps in {20, 90})
        for one, steps in zip(wanted(tmp_path, len(lengths)), lengths, strict=True)
    ]
    begun: list[int] = []

    class Crew:
        def begin(self, company: Company) -> None:
            begun.append(company.members[0].job.steps)

    Trainings(cast("Any", Crew())).want(some)
    assert begun == [50, 7, 3, 90, 20]


def test_asides_go_in_larger_companies_and_not_with_others(tmp_path: Path) -> None:
    some = wanted(tmp_path, MOST_ASIDE + 3)
    some = [replace(one, is_aside=number >= 3) for number, one in enumerate(some)]
    assert [len(company.members) for company in companies(some)] == [3, MOST_ASIDE]
    more = [replace(one, is_aside=True) for one in wanted(tmp_path, MOST_ASIDE + 1)]
    assert [len(company.members) for company in companies(more)] == [7, 6]


class Chosen:
    """A crew that does what it is told to, in this process."""

    def __init__(self) -> None:
        self.begun: list[list[str]] = []
        self.under_way: list[Company] = []
        self.number = 0  # of the next to be done

    def begin(self, company: Company) -> None:
        self.begun.append([one.job.name for one in company.members])
        self.under_way.append(company)

    def next(self) -> tuple[Company, Found]:
        company = self.under_way.pop(self.number)
        return company, fit_here(company)


@pytest.mark.parametrize("first", [0, 1])
def test_a_wave_waits_for_what_others_follow_from_alone(first: int, tmp_path: Path) -> None:
    """Asides fill in; who goes together depends neither on who is done first nor on a restart."""
    some = [replace(one, is_aside=i in {2, 3, 4}) for i, one in enumerate(wanted(tmp_path, 8))]
    names = [one.job.name for one in some]
    wave, more, rest = some[:5], some[5:7], some[7:]
    crew = Chosen()
    trainings = Trainings(crew)
    trainings.want(wave)
    assert crew.begun == [names[:2], names[2:5]]
    trainings.want(more)  # as if a part of what leads on were done
    assert len(crew.begun) == 2
    later = Chosen()
    Trainings(later).want([*more, *wave])  # stopped here
    assert later.begun == crew.begun
    crew.number = first
    assert list(trainings.next()) == [names[:2], names[2:5]][first]
    trainings.want([])
    assert len(crew.begun) == 3 - first
    crew.number = 0
    if first:
        assert list(trainings.next()) == names[:2]
        trainings.want(rest)
        assert crew.begun[2:] == [names[5:]]
    else:
        assert crew.begun[2:] == [names[5:7]]


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (2, 0, 3, 1)])
def test_who_asks_first_does_not_matter(order: tuple[int, ...], tmp_path: Path) -> None:
    """One job is asked for from two places: it stands at the first of them."""
    some = [
        replace(one, job=replace(one.job, name=name, place={"at": at}))
        for one, name, at in zip(wanted(tmp_path, 4), "azbz", (1, 2, 3, 4), strict=True)
    ]
    some = [replace(one, is_aside=number == 3) for number, one in enumerate(some)]
    crew = Chosen()
    Trainings(crew).want([some[number] for number in order])
    assert crew.begun == [["a", "z", "b"]]


def test_a_lead_waits_for_what_an_aside_has_asked_for(tmp_path: Path) -> None:
    lead, other, later = wanted(tmp_path, 3)
    aside, crew = replace(other, is_aside=True), Chosen()
    trainings = Trainings(crew)
    trainings.want([lead, aside])
    trainings.want([other])  # under way already
    assert list(trainings.next()) == [lead.job.name]
    trainings.want([later])
    assert len(crew.begun) == 2
    assert list(trainings.next()) == [other.job.name]
    trainings.want([])
    assert crew.begun[2:] == [[later.job.name]]


def test_a_company_is_split_whole_or_not_at_all(tmp_path: Path) -> None:
    """Stopped between two suspects, with one of them done since, all others are tried alone."""
    some, crew = wanted(tmp_path, 3), Chosen()
    stages = some[0].bench.stages
    stages.add_companies([[one.job.name for one in some]])
    stages.suspect(some[0].job.name)
    trainings = Trainings(crew)
    trainings.want(some)
    assert list(trainings.next()) == [some[0].job.name]
    later = Chosen()
    train_all([replace(one, bench=replace(one.bench, crew=later)) for one in some])
    assert later.begun == [[some[1].job.name], [some[2].job.name]]


def test_arms_whose_images_differ_in_size(tmp_path: Path) -> None:
    """Both train to the end, in companies of their own; digits are of 8 x 8."""
    arms = {"small": [], "large": ["data.resize=12"]}
    experiment = small('tickets.controls=["reinit"]', "pruning.rounds=1", arms=arms)
    lines = run(experiment, tmp_path)
    levels = {(line["arm"], line["level"]) for line in lines}
    assert levels == set(product(("small", "large"), (0, 1)))


@CAN_FLUSH
def test_trainings_flush_and_nothing_after_them(tmp_path: Path) -> None:
    """Alone and in company, where one thread computes; also where one ends in an error."""
    least = torch.finfo(torch.float32).smallest_normal
    seen: list[bool] = []

    def look(rows: list[Row], step: Step) -> bool:
        seen.append(held(least))
        if step.number > 2:
            raise KeyError(step.number)
        return False

    some = [
        replace(one, should_stop=look, job=replace(one.job, marks=(2, 3)))
        for one in wanted(tmp_path, 2)
    ]
    for members in (some[:1], some):
        seen.clear()
        with pytest.raises(KeyError):
            fit_here(company_of(members))
        assert len(seen) > 1
        assert not any(seen)
        assert held(least)
