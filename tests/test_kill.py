"""Killed at any moment and resumed, a run ends in the bytes of one that was left alone."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from search_runs import Stop, rows_of, run, small, stopping, timeless
from tiny import clean_environment

from recursive_lth import shelf
from recursive_lth.config_file import experiment_to_toml
from recursive_lth.running import inside, run_folder
from recursive_lth.running.progress import Progress
from recursive_lth.search.run import grow

KILLS = 20
LONG = (  # many stages of a quarter of a second
    "data.train_limit=0",
    "training.epochs=8",
    "training.shift=1",
    "pruning.epochs=8",
    "growth.policy=tpe",
    "growth.judge_epochs=8",
    "growth.epochs=8",
    "budget.generations=14",
)
OPENING = 3  # writes before anything new: experiment.toml, origin.json, metrics.jsonl cut
SMALL = small("budget.generations=2", "training.shift=1", "training.dropout=0.1")


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a run that nobody stopped."""
    return timeless(run(SMALL, tmp_path_factory.mktemp("alone")))


@pytest.fixture
def checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint at every epoch's end."""
    monkeypatch.setattr(inside, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)


def until_finished(
    out: Path, interrupted: Callable[[int], Any], *, at_most: int
) -> tuple[Path, int]:
    """The folder of the run, begun again after each stop, and how many stops there were."""
    for attempt in range(at_most):
        try:
            with interrupted(attempt):
                return run(SMALL, out), attempt
        except Stop:
            continue
    raise AssertionError("it never came to an end")


@pytest.mark.usefixtures("checkpoints")
def test_stopped_at_every_write_in_turn(tmp_path: Path, alone: dict[str, bytes]) -> None:
    """Attempts get one or two new files to their place, every tenth twelve, and then die.

    So tickets, records, checkpoints, curves, lines and summary are each once the last thing that
    came to be, or the first that did not. (Few alone would never end: a stage is two files, and
    what is trained together counts together.)
    """

    def interrupted(attempt: int) -> Any:
        opening = OPENING - (attempt > 0)  # the origin is written once
        return stopping(os, "replace", opening + (12 if attempt % 10 == 9 else 1 + attempt % 2))

    folder, stops = until_finished(tmp_path, interrupted, at_most=100)
    assert timeless(folder) == alone
    assert stops >= 20


@pytest.mark.usefixtures("checkpoints")
def test_stopped_in_every_line_of_the_curves(tmp_path: Path, alone: dict[str, bytes]) -> None:
    """Attempt n dies in its line n with half of it written."""

    def interrupted(attempt: int) -> Any:
        return stopping(run_folder, "append_line", attempt, is_torn=True)

    folder, stops = until_finished(tmp_path, interrupted, at_most=60)
    assert timeless(folder) == alone
    assert stops >= 6


def test_stopped_by_its_watcher_in_every_phase(tmp_path: Path, alone: dict[str, bytes]) -> None:
    """At the first news of each phase of each generation: attempt n hears n of them."""
    heard: set[tuple[int, str, int | None]] = set()

    def watch(now: Progress) -> None:
        moment = (now.generation, now.phase, now.candidate)
        if moment not in heard:
            heard.add(moment)
            raise Stop

    stops = 0
    while True:
        try:
            list(grow(SMALL, out=tmp_path, device="cpu", watch=watch))
            break
        except Stop:
            stops += 1
    assert stops == len(heard) >= 9
    assert timeless(next(tmp_path.glob("small-*"))) == alone


def command(experiment: Path, out: Path, *, has_checkpoints: bool) -> list[str]:
    """`grow` in a process of its own, at will with a checkpoint at every epoch's end."""
    arguments = ["grow", str(experiment), "--out", str(out), "--device", "cpu", "--quiet"]
    if not has_checkpoints:
        return [sys.executable, "-m", "recursive_lth", *arguments]
    code = (
        "import sys; from recursive_lth.running import inside; from recursive_lth.cli import main;"
        f"inside.SECONDS_BETWEEN_CHECKPOINTS = 0.0; sys.exit(main({arguments!r}))"
    )
    return [sys.executable, "-c", code]


@contextmanager
def process_of(arguments: list[str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is not left behind."""
    with subprocess.Popen(
        arguments, cwd=folder, env=clean_environment(), stdout=subprocess.DEVNULL
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for(is_there: Callable[[], bool], process: subprocess.Popen[bytes]) -> float:
    """The time at which a process has brought something about, or has ended."""
    while not is_there() and process.poll() is None:
        time.sleep(0.005)
    return time.perf_counter()


def is_opened(folder: Path) -> Callable[[], bool]:
    """Whether the run is opened once more: each attempt writes the experiment anew."""

    def written() -> int:
        path = folder / "experiment.toml"
        return path.stat().st_ino if path.exists() else 0

    before = written()
    return lambda: written() != before


@pytest.mark.slow
def test_killed_at_20_random_moments(tmp_path: Path) -> None:
    """SIGKILL, 20 times while it runs, at moments drawn over the time that the run takes.

    Every kill must hit a living process. An attempt lives, from the opening of its folder on, at
    most as long as a first ticket takes and two twentieths of the other work: so the kills spread
    over the whole run. Every second attempt writes checkpoints, which must not change a bit. A run
    that ends before 20 kills is compared, and another is begun.
    """
    experiment, path = small(*LONG), tmp_path / "long.toml"
    path.write_text(experiment_to_toml(experiment), "utf-8")
    assert shelf.load_experiment(path) == experiment
    name, draw = experiment.folder_name, random.Random(0)  # noqa: S311
    alone = tmp_path / "alone" / name
    with process_of(command(path, alone.parent, has_checkpoints=False), tmp_path) as process:
        opening = wait_for(is_opened(alone), process)
        start = wait_for((alone / "lineage.jsonl").exists, process) - opening
        assert process.wait() == 0
    work = time.perf_counter() - opening - start
    expected = timeless(alone)
    kills: list[int] = []  # lines of the lineage at each
    runs = 0
    while len(kills) < KILLS:
        runs += 1
        folder = tmp_path / f"run{runs}" / name
        for attempt in range(KILLS + 1):
            arguments = command(path, folder.parent, has_checkpoints=attempt % 2 == 1)
            opened = is_opened(folder)
            with process_of(arguments, tmp_path) as process:
                wait_for(opened, process)
                moment = draw.uniform(0, start + 2 * work / KILLS)
                try:
                    status = process.wait(moment if len(kills) < KILLS else None)
                except subprocess.TimeoutExpired:
                    process.kill()
                    assert process.wait() == -signal.SIGKILL
                    lineage = folder / "lineage.jsonl"
                    kills.append(len(rows_of(lineage)) if lineage.exists() else 0)
                    continue
            assert status == 0
            break
        assert timeless(folder) == expected
    assert len(kills) == KILLS
    assert len(set(kills)) >= 4, kills
    print(f"{KILLS} kills in {runs} runs of {start:.1f} + {work:.1f} s, at lines {kills}")
