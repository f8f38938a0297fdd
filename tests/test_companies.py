"""Companies: who trains as one program, in parts that workers can share, the heaviest first."""

from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import search_runs
from judged import first_ticket

from recursive_lth.running import workers as workers_module
from recursive_lth.running.errand import Brought, Errand
from recursive_lth.running.fit import Fitted
from recursive_lth.running.job import Job, Source
from recursive_lth.running.wanted import MOST_MEMBERS, Company, Wanted, companies
from recursive_lth.training.engine import DENSE


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


def test_the_most_work_is_handed_out_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is free takes the largest that is left, so that no large one is left for the end."""
    lengths = (3, 50, 7, 50, 1)
    some = [
        Company((replace(one, job=replace(one.job, steps=steps)),), DENSE)
        for one, steps in zip(wanted(tmp_path, len(lengths)), lengths, strict=True)
    ]
    assert [company.work // some[4].work for company in some] == list(lengths)
    handed: list[int] = []

    class Client:
        def subscribe_topic(self, topic: str, handler: Any) -> None:
            pass

        def submit(self, travel: Any, errand: Errand, **_: Any) -> Future[Brought]:
            handed.append(errand.calls[0].job.steps)
            return Future()

    monkeypatch.setattr(workers_module._Dask, "_gather", lambda *_: None)
    done: list[list[Fitted]] = []
    crew = workers_module._Dask(Client())
    crew(some, lambda company, fits: done.append(fits), lambda company, workers: None)
    assert handed == [50, 50, 7, 3, 1]
    assert not done
