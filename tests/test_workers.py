"""Workers change nothing but the time: the same bits with one, two and four, and after kills."""

import gc
import os
import signal
from dataclasses import replace
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import dask
import pytest
import search_runs
from judged import first_ticket
from lottery_runs import small

from recursive_lth.config import TicketExperiment
from recursive_lth.errors import InputError
from recursive_lth.lottery.run import prune
from recursive_lth.running import workers as workers_module
from recursive_lth.running.fit import EndsAt
from recursive_lth.running.job import Job, Source
from recursive_lth.running.run_folder import run_folder
from recursive_lth.running.supply import Supply
from recursive_lth.running.wanted import Wanted
from recursive_lth.running.workers import crew_of
from recursive_lth.search.run import grow

SETTINGS = (
    "tickets.replicates=2",
    'tickets.controls=["reinit","shuffled_mask"]',
    "training.engine=dense",
)


def lines_of(experiment: TicketExperiment, out: Path, workers: str) -> list[dict[str, Any]]:
    """A run's lines as they are stored, but for seconds."""
    list(prune(experiment, out=out, device="cpu", workers=workers))
    stored = prune(experiment, out=out, device="cpu")
    return [{k: v for k, v in line.items() if k != "seconds"} for line in stored]


def test_two_workers_find_the_bits_of_one(tmp_path: Path) -> None:
    experiment = small(*SETTINGS)
    alone = lines_of(experiment, tmp_path / "one", "1")
    assert lines_of(experiment, tmp_path / "two", "2") == alone
    names = [{p.name for p in (tmp_path / x).rglob("*.safetensors")} for x in ("one", "two")]
    assert names[0] == names[1]


@pytest.mark.parametrize("workers", ["0", "two", "-1", "2.5", "1025", ""])
def test_what_is_no_number_of_workers_is_refused(workers: str) -> None:
    with pytest.raises(InputError, match="--workers takes a number"), crew_of(workers):
        pass


def test_an_address_where_nobody_answers_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers_module, "SECONDS_TO_ANSWER", 1)
    with pytest.raises(InputError, match="no Dask scheduler answers"), crew_of("tcp://127.0.0.1:9"):
        pass


def test_growth_finds_the_same_bits_with_two_workers(tmp_path: Path) -> None:
    """Lineage, curves and tickets, all but seconds."""
    experiment = search_runs.small("growth.candidates=4", "training.engine=dense")
    found = []
    for workers in ("1", "2"):
        out = tmp_path / workers
        turns = [t.to_dict() for t in grow(experiment, out=out, device="cpu", workers=workers)]
        folder = run_folder(experiment, out).path
        rows = (folder / "metrics.jsonl").read_text("utf-8")
        tickets = sorted(path.name for path in (folder / "tickets").iterdir())
        found.append(([turn | {"seconds": 0} for turn in turns], rows, tickets))
    assert found[0] == found[1]


def test_functions_of_this_process_stay_in_it(tmp_path: Path) -> None:
    """A rule that looks inside, a lens, or data from nowhere cannot travel; a step's number can."""
    bench = search_runs.bench_of(search_runs.small(), tmp_path)
    source = Source(bench.experiment, None, "cpu")
    job, ticket = Job("one", bench.experiment.training, 7, 0), first_ticket()
    there = replace(bench, source=source)
    assert Wanted(there, ticket, job).is_portable
    assert Wanted(there, ticket, job, EndsAt(3)).is_portable
    assert not Wanted(there, ticket, job, lambda rows, step: False).is_portable
    assert not Wanted(bench, ticket, job).is_portable


def test_workers_have_the_data_before_the_first_training(tmp_path: Path) -> None:
    """Each has loaded them while the coordinator was free for something else."""
    bench = search_runs.bench_of(search_runs.small(), tmp_path)
    source = Source(bench.experiment, None, "cpu")
    with crew_of("2", source, most=2) as crew:
        client = crew._client  # type: ignore[attr-defined]
        asked = [client.submit(_held, workers=[a], pure=False) for a in client.nthreads()]
        assert [one.result() for one in asked] == [1, 1]
        known = client.run(os.environ.get, "MALLOC_ARENA_MAX")
        assert set(known.values()) == {"1"}
    with crew_of("2", source, most=1) as crew:
        client = crew._client  # type: ignore[attr-defined]
        asked = [client.submit(_held, workers=[a], pure=False) for a in client.nthreads()]
        assert sorted(one.result() for one in asked) == [0, 1]


def _held() -> int:
    """How many sets of batches this worker holds; asked after what it was given before."""
    supplies = [one for one in gc.get_objects() if isinstance(one, Supply)]
    return sum(len(supply._batches) for supply in supplies)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs a kill that nobody can catch")
def test_a_killed_worker_comes_back_however_long_its_start_takes() -> None:
    """Longer than Dask waits, here a hundredth of a second, on a busy machine its 15."""
    impatient = dask.config.set({"distributed.deploy.lost-worker-timeout": "10ms"})
    with impatient, crew_of("2") as crew:
        client = crew._client  # type: ignore[attr-defined]
        before = client.run(os.getpid)
        os.kill(min(before.values()), signal.SIGKILL)
        deadline = monotonic() + 60
        while len(after := set(client.nthreads())) < 2 or after == set(before):
            assert monotonic() < deadline
            sleep(0.1)
        sleep(0.5)  # in which it would be given up
        assert len(client.nthreads()) == 2
