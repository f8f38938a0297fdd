"""Workers and coordinators killed at any moment: the same bytes in the end."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from lottery_runs import small as small_tickets
from search_runs import rows_of, small, timeless
from tiny import clean_environment

from recursive_lth.config import Experiment
from recursive_lth.config_file import experiment_to_toml
from recursive_lth.errors import InputError
from recursive_lth.lottery.run import prune
from recursive_lth.running import workers as workers_module
from recursive_lth.running.errand import Brought, Errand, perform
from recursive_lth.running.job import Job
from recursive_lth.search.run import grow

KILLS = 10  # of workers, and as many of coordinators
SETTINGS = (  # trainings of a second and more, so that a kill hits one
    "data.train_limit=0",
    "training.epochs=10",
    "training.shift=1",
    "training.engine=dense",
    "pruning.epochs=10",
    "growth.policy=gp",
    "growth.candidates=4",
    "growth.judge_epochs=40",
    "growth.epochs=10",
    "budget.generations=8",
)


@contextmanager
def running(path: Path, out: Path, workers: str) -> Iterator[subprocess.Popen[bytes]]:
    """`grow` in a process of its own, which ends with the block, its workers too."""
    arguments = ["grow", str(path), "--out", str(out), "--device", "cpu", "--workers", workers]
    with subprocess.Popen(
        [sys.executable, "-m", "recursive_lth", *arguments, "--quiet"],
        cwd=path.parent,
        env=clean_environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def children(parent: int) -> list[int]:
    """The workers of a process that still live: copies of what it has started to be copied."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            words = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            is_copied = "forkserver" in (entry / "cmdline").read_text()
        except OSError:
            continue
        if words[0] != "Z" and is_copied:
            parents[int(entry.name)] = int(words[1])
    return [one for one, its in parents.items() if parents.get(its) == parent]


def expected_of(experiment: Experiment, out: Path) -> dict[str, bytes]:
    """The files of the run that nobody disturbed, trained in this very process."""
    list(grow(experiment, out=out, device="cpu"))
    return timeless(out / experiment.folder_name)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="workers are found through /proc")
def test_ten_kills_of_workers_and_ten_of_the_coordinator(tmp_path: Path) -> None:
    """SIGKILL at random moments, in turn of a worker and of the coordinator, then to the end."""
    experiment, path = small(*SETTINGS), tmp_path / "long.toml"
    path.write_text(experiment_to_toml(experiment), "utf-8")
    expected = expected_of(experiment, tmp_path / "alone")
    draw, hit, stopped, runs = random.Random(1), 0, 0, 0  # noqa: S311
    lines = set()
    while hit < KILLS or stopped < KILLS:
        runs += 1
        out = tmp_path / f"run{runs}"
        folder = out / experiment.folder_name
        while True:
            with running(path, out, "2") as process:
                is_last = stopped == KILLS and hit == KILLS
                ends = time.monotonic() + (draw.uniform(5, 12) if stopped < KILLS else 1e6)
                while process.poll() is None and time.monotonic() < ends:
                    time.sleep(draw.uniform(0.5, 2.0))
                    crew = children(process.pid)
                    if crew and hit < KILLS:
                        os.kill(draw.choice(crew), signal.SIGKILL)
                        hit += 1
                if process.poll() is None:
                    process.kill()
                    process.wait()
                    stopped += 1
                    lineage = folder / "lineage.jsonl"
                    lines.add(len(rows_of(lineage)) if lineage.exists() else 0)
                    continue
                assert process.returncode == 0, process.stderr and process.stderr.read()
                break
        assert timeless(folder) == expected
        if is_last:
            break
    assert (hit, stopped) == (KILLS, KILLS)
    print(f"{hit} workers and {stopped} coordinators killed in {runs} runs, at lines {lines}")


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["2", "4", "cluster"])
def test_the_same_bytes_with_two_four_and_a_cluster(workers: str, tmp_path: Path) -> None:
    """Inline, two and four local workers, and a Dask scheduler by its address."""
    experiment = small(*SETTINGS, "budget.generations=4")
    expected = expected_of(experiment, tmp_path / "alone")
    out = tmp_path / "there"
    if workers != "cluster":
        list(grow(experiment, out=out, device="cpu", workers=workers))
    else:
        from distributed import LocalCluster

        with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster:
            list(grow(experiment, out=out, device="cpu", workers=cluster.scheduler_address))
    assert timeless(out / experiment.folder_name) == expected


def is_guilty(job: Job) -> bool:
    """Of a search candidate 2 of generation 2, of a `prune` what is re-initialised."""
    return job.name == "0002-judge-2-0" or job.place.get("variant") == "reinit"


def deadly(errand: Errand) -> Brought:
    """In place of `_travel`, in a worker: some trainings end it."""
    if any(is_guilty(call.job) for call in errand.calls):
        os.kill(os.getpid(), signal.SIGKILL)
    return perform(errand, lambda ahead, what: None)


@pytest.fixture
def deadly_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Local workers that some trainings end; a crew lets go of what has ended two."""
    monkeypatch.setattr(workers_module, "_travel", deadly)
    monkeypatch.setattr(workers_module, "MOST_KILLED", 1)


@pytest.mark.slow
@pytest.mark.usefixtures("deadly_workers")
def test_what_always_kills_its_worker_is_quarantined(tmp_path: Path) -> None:
    """One of three that train as one program: two others are trained alone, the run goes on.

    Six workers die: two of the company beside another, two of it by itself, two of the guilty one.
    """
    experiment = small("growth.candidates=3", "growth.rungs=1", "training.engine=dense", "seed=4")
    line = list(grow(experiment, out=tmp_path, device="cpu", workers="2"))
    candidates = line[2].candidates
    assert candidates[2].status == "failed"
    assert candidates[2].reason == "its training ended 2 workers"
    assert [c.status for c in candidates].count("chosen") == 1
    failed = {c.reason for c in candidates if c.status == "failed"}
    assert failed <= {candidates[2].reason, "the same growth as candidate 2"}
    assert len(line) == experiment.budget.generations + 1


@pytest.mark.slow
@pytest.mark.usefixtures("deadly_workers")
def test_a_training_that_prune_needs_stops_it(tmp_path: Path) -> None:
    """A control is no candidate: there is nothing in its place, so one line names it."""
    experiment = small_tickets('tickets.controls=["reinit"]', "training.engine=dense")
    with pytest.raises(InputError, match=r"\(.*reinit.*\) has killed 2 workers, probably"):
        list(prune(experiment, out=tmp_path, device="cpu", workers="2"))
