"""Workers and coordinators killed at any moment: no trial stuck, none lost, none proposed twice."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from postgres_server import server
from tiny import clean_environment
from tuning_desks import (
    TWO,
    check_survived,
    desk_in,
    small_tuning,
    victim,
    write_experiment,
)

from recursive_lth.config_file import experiment_to_toml
from recursive_lth.files import read_json
from recursive_lth.tuning.desk import parse_url, sqlite_url
from recursive_lth.tuning.study import opened

LONG = (  # trials of some seconds
    *("base.data.train_limit=0", "base.training.epochs=15", "base.growth.epochs=8"),
    *("base.pruning.epochs=8", "base.growth.judge_epochs=3", "base.budget.generations=2"),
)


def test_killed_workers_leave_nothing_behind(tmp_path: Path) -> None:
    """Three of them, each with a trial in hand, on SQLite; those that pretend to train."""
    experiment = small_tuning(TWO, "tune.trials=8", "tune.sampler=random")
    write_experiment(tmp_path, experiment)
    script = str(Path(__file__).with_name("tuning_desks.py"))
    command = [sys.executable, script, str(tmp_path), sqlite_url(tmp_path), "0.4"]

    def begin() -> subprocess.Popen[bytes]:
        return subprocess.Popen(command, env=clean_environment())

    with desk_in(tmp_path, experiment) as desk:
        crew, hurt = [begin(), begin()], Counter[int]()
        for _ in range(3):
            process, slot = victim(desk, hurt, 60)
            os.kill(process, signal.SIGKILL)
            hurt[slot] += 1
            crew = [w for w in crew if w.pid != process or w.wait(30) is None]
            crew.append(begin())
        assert [worker.wait(60) for worker in crew] == [0, 0]
        check_survived(desk, 3)


@pytest.fixture
def options(request: pytest.FixtureRequest) -> Iterator[list[str]]:
    """What tells `tune` where its study lies, and whose workers it has."""
    with ExitStack() as stack:
        if request.param == "postgresql":
            yield ["--workers", "2", "--storage", stack.enter_context(server())]
        elif request.param == "cluster":
            import dask
            from distributed import LocalCluster

            stack.enter_context(dask.config.set({"distributed.deploy.lost-worker-timeout": "1h"}))
            cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0")
            yield ["--workers", stack.enter_context(cluster).scheduler_address]
        else:
            yield ["--workers", "2"]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
@pytest.mark.parametrize("options", ["sqlite", "postgresql", "cluster"], indirect=True)
def test_fifteen_kills_of_workers_and_coordinators(options: list[str], tmp_path: Path) -> None:
    """The real thing: `tune` with two workers, twelve of them killed and three coordinators."""
    experiment = small_tuning(TWO, "tune.trials=20", "tune.sampler=tpe", *LONG)
    file = tmp_path / "experiment.toml"
    file.write_text(experiment_to_toml(experiment), "utf-8")
    draw = random.Random(0)  # noqa: S311 (no secret)
    words = ["tune", str(file), *options, "--heartbeat", "1", "--device", "cpu", "--quiet"]
    words += ["--out", str(tmp_path)]

    def begin() -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "recursive_lth", *words]
        return subprocess.Popen(command, env=clean_environment(), stdout=subprocess.DEVNULL)

    coordinator, hurt = begin(), Counter[int]()
    folder = tmp_path / experiment.folder_name
    url = parse_url(options[3] if "--storage" in options else sqlite_url(folder))
    wait_for(lambda: (folder / "experiment.toml").exists(), 120)
    time.sleep(5)  # until the study is there too
    with opened(url, experiment, {}, is_joining=True) as desk:
        for kill in range(15):
            time.sleep(draw.uniform(0, 3))
            process, slot = victim(desk, hurt, 120)
            if kill % 5 == 4:
                coordinator.kill()
                coordinator.wait()
                coordinator = begin()
            else:
                os.kill(process, signal.SIGKILL)
                hurt[slot] += 1
        assert coordinator.wait(400) == 0
        check_survived(desk, 12)
    assert (folder / "report.html").is_file()
    attempts = sum(row["attempts"] for row in read_json(folder / "summary.json")["trials"])
    print(f"{experiment.tune.trials} trials in {attempts} attempts, {sum(hurt.values())} killed")


def wait_for(is_there: Callable[[], bool], seconds: float) -> None:
    """Until something is there."""
    for _ in range(round(seconds / 0.2)):
        if is_there():
            return
        time.sleep(0.2)
    raise AssertionError("it did not come")
