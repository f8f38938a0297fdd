"""Workers and coordinators killed at any moment: no trial stuck, none lost, none proposed twice."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from postgres_server import server
from tiny import clean_environment
from tuning_desks import TWO, check_whole, desk_in, small_tuning, write_experiment

from recursive_lth.config_file import experiment_to_toml
from recursive_lth.files import read_json
from recursive_lth.tuning import queue
from recursive_lth.tuning.desk import Desk, parse_url, sqlite_url
from recursive_lth.tuning.study import opened
from recursive_lth.tuning.summary import rows

MOST_KILLS = 2  # of one trial: the third in a row at one place would be a quarantine
LONG = (  # trials of some seconds
    *("base.data.train_limit=0", "base.training.epochs=15", "base.growth.epochs=8"),
    *("base.pruning.epochs=8", "base.growth.judge_epochs=3", "base.budget.generations=2"),
)


def victim(desk: Desk, hurt: Counter[int], patience: float) -> tuple[int, int]:
    """The process of a running attempt, and its slot, among those not hurt too often yet."""
    for _ in range(round(patience / 0.05)):
        for slot, attempts in queue.slots(desk).items():
            worker = attempts[-1].user_attrs.get(queue.WORKER, "")
            if queue.standing(attempts) == "running" and worker and hurt[slot] < MOST_KILLS:
                process = int(worker.rpartition(":")[2])
                if is_alive(process):
                    return process, slot
        time.sleep(0.05)
    raise AssertionError("nobody took a trial")


def is_alive(process: int) -> bool:
    """False for a process that is gone, or dead and not yet waited for."""
    try:
        status = Path(f"/proc/{process}/status").read_text("utf-8")
    except FileNotFoundError:
        return False
    return "State:\tZ" not in status


def check_survived(desk: Desk, kills: int) -> None:
    """Every trial complete, once, as it was first proposed, and no proposal made twice."""
    check_whole(desk)
    found = rows(desk)
    assert {row["state"] for row in found} == {"complete"}
    proposals = [tuple(row["values"].items()) for row in found]
    assert len(set(proposals)) == len(proposals)
    assert sum(row["attempts"] - 1 for row in found) >= kills


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
def place(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Callable[[], str | None]]:
    """What `--storage` is to be: nothing for SQLite, an address for PostgreSQL."""
    if request.param == "sqlite":
        yield lambda: None
        return
    with server() as url:
        yield lambda: url


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
@pytest.mark.parametrize("place", ["sqlite", "postgresql"], indirect=True)
def test_fifteen_kills_of_workers_and_coordinators(
    place: Callable[[], str | None], tmp_path: Path
) -> None:
    """The real thing: `tune --workers 2`, twelve workers killed and three coordinators."""
    experiment = small_tuning(TWO, "tune.trials=20", "tune.sampler=tpe", *LONG)
    file = tmp_path / "experiment.toml"
    file.write_text(experiment_to_toml(experiment), "utf-8")
    storage, draw = place(), random.Random(0)  # noqa: S311 (no secret)
    words = ["tune", str(file), "--workers", "2", "--heartbeat", "1", "--device", "cpu", "--quiet"]
    words += ["--out", str(tmp_path), *(["--storage", storage] if storage else [])]

    def begin() -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "recursive_lth", *words]
        return subprocess.Popen(command, env=clean_environment(), stdout=subprocess.DEVNULL)

    coordinator, hurt = begin(), Counter[int]()
    folder = tmp_path / experiment.folder_name
    url = parse_url(storage or sqlite_url(folder))
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
