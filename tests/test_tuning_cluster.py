"""A tuning on a Dask cluster: every worker there runs trials, and one that is killed loses none."""

import os
import platform
import signal
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from sqlalchemy.engine import make_url
from tuning_desks import TWO, check_survived, small_tuning, victim

from recursive_lth import api
from recursive_lth.config import TuningExperiment
from recursive_lth.errors import InputError
from recursive_lth.tuning.cluster import Cluster, Leave, check_folder, check_shared, cluster
from recursive_lth.tuning.crew import STRIKES
from recursive_lth.tuning.desk import absolute, parse_url, sqlite_url
from recursive_lth.tuning.study import opened
from recursive_lth.tuning.summary import rows

LONGER = ("base.data.train_limit=400", "base.training.epochs=300", "base.growth.epochs=6")
SOME = small_tuning(  # trials of seconds, four looks of a coordinator's; proposed alike to all
    *(TWO, *LONGER, "tune.trials=3", "tune.sampler=random", "base.training.engine=dense")
)


def tune(experiment: TuningExperiment, out: Path, **options: Any) -> list[dict[str, Any]]:
    """All rows of a tuning."""
    return list(api.tune(experiment, out=out, device="cpu", **options))


def lasting(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What a tuning has found, whoever found it and however often it was tried."""
    keys = ("trial", "state", "values", "objectives")
    runs = [[{k: v for k, v in one.items() if k != "seconds"} for one in r["runs"]] for r in rows]
    found = [{k: row[k] for k in keys} | {"runs": r} for row, r in zip(rows, runs, strict=True)]
    return sorted(found, key=lambda row: row["trial"])


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A cluster of two workers of this machine, each with two threads."""
    from distributed import LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=2, dashboard_address=":0") as cluster:
        yield cluster.scheduler_address


def test_a_killed_worker_of_a_cluster_loses_no_trial(address: str, tmp_path: Path) -> None:
    """What is found, to the bit, is what one process finds that nobody disturbs."""
    expected = lasting(tune(SOME, tmp_path / "alone"))
    out = tmp_path / "there"
    found: list[dict[str, Any]] = []
    tuning = Thread(
        target=lambda: found.extend(tune(SOME, out, workers=address, heartbeat=1)), daemon=True
    )
    tuning.start()
    folder = out / SOME.folder_name
    while not (folder / "experiment.toml").exists():
        tuning.join(0.2)
    tuning.join(3)
    with opened(parse_url(sqlite_url(folder)), SOME, {}, is_joining=True) as desk:
        process, slot = victim(desk, Counter(), 60)
        assert process != os.getpid()
        os.kill(process, signal.SIGKILL)
        tuning.join(200)
        assert not tuning.is_alive()
        check_survived(desk, 1)
        assert [row["trial"] for row in rows(desk) if row["losses"]] == [slot]
    assert lasting(found) == expected
    assert (folder / "report.html").is_file()


def test_a_stop_of_the_coordinator_sends_the_workers_away(address: str, tmp_path: Path) -> None:
    """Their trials are given back, no loss is counted, and the same command goes on."""
    experiment = small_tuning(TWO, "tune.trials=3", *LONGER)

    def stop(place: Any) -> None:
        if place.running:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tune(experiment, tmp_path, workers=address, heartbeat=1, watch=stop)
    url = parse_url(sqlite_url(tmp_path / experiment.folder_name))
    with opened(url, experiment, {}, is_joining=True) as desk:
        states = [attempt.state.name for attempt in desk.study.get_trials()]
    assert "RUNNING" not in states
    found = tune(experiment, tmp_path, workers=address)
    assert [row["state"] for row in found] == ["complete"] * 3
    assert all(row["losses"] == 0 for row in found)


def test_a_worker_that_retires_gives_its_trial_back(tmp_path: Path) -> None:
    """As where a cluster is made smaller: nothing is lost, another goes on.

    Both trials last longer by far than their workers' starts may lie apart.
    """
    from distributed import Client, LocalCluster

    experiment = small_tuning(TWO, *LONGER, "tune.trials=2", "base.training.epochs=800")
    retired: list[str] = []
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster, set_as_default=False) as client,
    ):

        def retire(place: Any) -> None:
            if place.running == 2 and not retired:
                retired.append(min(client.nthreads()))
                client.retire_workers(retired, close_workers=True)

        found = tune(experiment, tmp_path, workers=cluster.scheduler_address, watch=retire)
    assert len(retired) == 1
    assert [row["state"] for row in found] == ["complete"] * 2
    assert sum(row["attempts"] for row in found) == 3
    assert all(row["losses"] == 0 for row in found)


def test_a_file_is_not_shared_with_another_machine(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refused by a worker that is asked, before anything is written."""
    monkeypatch.setattr(platform, "node", lambda: "elsewhere")
    with pytest.raises(InputError, match=r"cannot share a SQLite file with elsewhere: .*--storage"):
        tune(SOME, tmp_path, workers=address)
    assert list(tmp_path.iterdir()) == []


def test_a_database_is_shared_by_all() -> None:
    here = platform.node()
    check_shared(make_url("sqlite:////some/study.db"), here)
    check_shared(make_url("postgresql+psycopg://me@there/tuning"), "elsewhere")
    with pytest.raises(InputError, match="cannot share"):
        check_shared(make_url("sqlite:////some/study.db"), "elsewhere")


def test_addresses_hold_in_other_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert absolute(make_url("sqlite:///here.db")).database == f"{tmp_path}/here.db"
    there = make_url("postgresql+psycopg://me@there/tuning")
    assert absolute(there) == there


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="choose another folder with --out"):
        check_folder(tmp_path / "file" / "run")


@dataclass
class Task:
    """A future of the client below."""

    key: str
    status: str = "pending"
    error: BaseException | None = None

    def done(self) -> bool:
        return self.status != "pending"

    def exception(self) -> BaseException | None:
        return self.error


@dataclass
class Client:
    """A cluster whose workers come and go as a test says; `given` has each task by its worker."""

    there: set[str]
    given: list[tuple[str, Task]] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)

    def nthreads(self) -> dict[str, int]:
        return dict.fromkeys(self.there, 4)

    def submit(self, *work: Any, workers: list[str], pure: bool) -> Task:
        assert not pure
        task = Task(f"task-{len(self.given)}")
        (worker,) = workers
        self.given.append((worker, task))
        return task

    def cancel(self, tasks: list[Task], *, force: bool) -> None:
        self.cancelled += [task.key for task in tasks]


def idle(leave: Leave) -> None:
    """A worker's work; nobody does it here."""


def test_every_worker_has_one_task_and_who_is_new_gets_one() -> None:
    client = Client({"a", "b"})
    members = Cluster(client, idle)
    for there in ({"a", "b"}, {"a", "b"}, {"a"}, {"a", "c"}, {"a", "c"}):
        client.there = there
        members.tend(1)
    assert [worker for worker, _ in client.given] == ["a", "b", "c"]
    assert client.cancelled == ["task-1"]


def test_a_worker_that_cannot_join_stops_the_tuning_with_its_address() -> None:
    client = Client({"tcp://there:1"})
    members = Cluster(client, idle)
    members.tend(0)
    _, task = client.given[0]
    task.status, task.error = "error", InputError("begun with another data")
    with pytest.raises(InputError, match="worker at tcp://there:1 cannot run trials: begun with"):
        members.tend(0)


@pytest.mark.parametrize("kind", ["killed", "raised"])
def test_workers_that_end_are_not_replaced_for_ever(kind: str) -> None:
    """The last of so many strikes ends it; a trial that is taken in between forgives them all."""
    client = Client({"w0"})
    members = Cluster(client, idle)
    members.tend(0)

    def end_one(taken: int) -> None:
        if kind == "killed":
            client.there = {f"w{len(client.given)}"}
        else:
            client.given[-1][1].status, client.given[-1][1].error = "error", OSError("no disk")
        members.tend(taken)

    for taken in (0, 1):
        for _ in range(STRIKES - 1):
            end_one(taken)
    with pytest.raises(InputError, match=r"before they take a trial \((killed|OSError: no disk)\)"):
        end_one(1)


@pytest.mark.parametrize("error", [OSError("closed"), RuntimeError("ConnectionPool is closed")])
def test_a_scheduler_that_is_gone_is_told(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing that comes after hides it."""

    def gone(self: Client, *arguments: Any, **options: Any) -> dict[str, int]:
        raise error

    def tend_twice() -> None:
        with cluster(Client({"a"}), idle) as members:
            members.tend(0)
            monkeypatch.setattr(Client, "nthreads", gone)
            monkeypatch.setattr(Client, "cancel", gone)
            members.tend(0)

    with pytest.raises(InputError, match="scheduler is gone"):
        tend_twice()
