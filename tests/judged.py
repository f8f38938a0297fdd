"""Choices among scripted growths for tests."""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from search_runs import bench_of, small, whole

from recursive_lth.config import Experiment, GrowthStep
from recursive_lth.running import crew, wanted
from recursive_lth.running.fit import Fitted, fit
from recursive_lth.running.job import Bench, Job
from recursive_lth.search.judging import cohort
from recursive_lth.search.judging.choose import Seedling, choose
from recursive_lth.search.judging.cuts import Rung
from recursive_lth.search.policies.past import Past, Proposal
from recursive_lth.ticket.ticket import Ticket

WIDEN = GrowthStep("widen", 0.1, 0.5)
WIDER = GrowthStep("widen", 0.1, 1.0)
DEEPEN = GrowthStep("deepen", 0.1)
MELT = GrowthStep("melt")
Scripted = Callable[..., Seedling]


@lru_cache
def first_ticket(settings: tuple[str, ...] = ()) -> Ticket:
    """The first winning ticket of the small run: 178 of its 444 weights remain."""
    with TemporaryDirectory() as folder:
        bench = bench_of(small("budget.generations=1", *settings), Path(folder))
        return whole(bench)[-1][1]


@pytest.fixture
def judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scripted:
    """`choose` for the first winning ticket, with these proposals in turn and one cut."""

    def run(
        *steps: GrowthStep,
        settings: tuple[str, ...] = (),
        folder: str = "stages",
        is_final: bool = False,
        cut: Callable[[Rung], frozenset[int]] = lambda rung: frozenset(rung.merits),
    ) -> Seedling:
        def scripted(past: Past) -> Proposal | None:
            assert [c.number for c in past.siblings] == list(range(len(past.siblings)))
            place = max(0, len(past.siblings) - 1)
            return Proposal(steps[place], is_final) if place < len(steps) else None

        monkeypatch.setattr(cohort, "CUTS", {"median": cut})
        experiment = small("growth.policy=python:scripted", "growth.candidates=9", *settings)
        bench = bench_of(experiment, tmp_path / folder)
        return choose(bench, first_ticket(settings), 2, [], own=scripted)

    return run


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[Job]:
    """Every part of a short training that is begun, each alone."""
    jobs: list[Job] = []
    first_ticket()

    def spied(bench: Bench[Experiment], ticket: Ticket, job: Job, *more: Any, **how: Any) -> Fitted:
        jobs.append(job)
        return fit(bench, ticket, job, *more, **how)

    monkeypatch.setattr(wanted, "MOST_WORK", 0)
    monkeypatch.setattr(crew, "fit", spied)
    return jobs


def statuses(seedling: Seedling) -> list[str]:
    """What became of each candidate."""
    return [candidate.status for candidate in seedling.candidates]


def all_stop(rung: Rung) -> frozenset[int]:
    """A cut that lets nobody go on."""
    return frozenset()
