"""Tunings small enough for tests, their desks, and workers that only pretend to train."""

import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from optuna.trial import TrialState
from sqlalchemy import text
from tiny import TINY

from recursive_lth import shelf
from recursive_lth.config import TuningExperiment
from recursive_lth.config_file import experiment_to_toml, read_toml
from recursive_lth.tuning import queue
from recursive_lth.tuning.desk import Desk, parse_url, sqlite_url
from recursive_lth.tuning.pulse import Pulse
from recursive_lth.tuning.study import opened
from recursive_lth.tuning.summary import rows
from recursive_lth.tuning_file import tuning_experiment_from

ORIGIN = {"device": "cpu"}
MOST_KILLS = 2  # of one trial: the third in a row at one place would be a quarantine
LONG_AGO = "2000-01-01 00:00:00"
SMALL = (
    *(f"base.{setting}" for setting in TINY),
    *("base.budget.generations=1", "tune.seeds=1", "tune.random_trials=2", "tune.trials=3"),
)


TWO = (
    'tune.parameters=[{key="growth.candidates", low=1, high=4}, '
    '{key="pruning.target_density", low=0.1, high=0.5, log=true}]'
)

SWITCH = 'tune.parameters=[{key="growth.optimizer", choices=["reset", "carry"]}]'


def small_tuning(*settings: str) -> TuningExperiment:
    """`tune_digits` at a tiny budget."""
    return shelf.load_tuning_experiment("tune_digits", [*SMALL, *settings])


@contextmanager
def desk_in(folder: Path, experiment: TuningExperiment, url: str | None = None) -> Iterator[Desk]:
    """The desk of an experiment in a folder's SQLite file, or in the database named."""
    with opened(parse_url(url or sqlite_url(folder)), experiment, ORIGIN, heartbeat=1) as desk:
        yield desk


def pretended(claim: queue.Claim) -> list[dict[str, Any]]:
    """Runs whose numbers depend on the trial's values alone."""
    density = float(claim.values.get("pruning.target_density", 0.3))
    return [
        {
            "seed": 0,
            "folder": f"trials/run-{density}",
            "ticket": "0" * 64,
            "generation": 1,
            "depth": 2,
            "test_accuracy": 0.9,
            "seconds": 1.0,
            "val_accuracy": 0.9 + 0.1 * density - 0.3 * density**2,
            "remaining_weights": round(3000 * density),
            "training_cost": 10**9 * (1 + claim.values.get("growth.candidates", 1)),
        }
    ]


def work_off(desk: Desk) -> list[int]:
    """Take and finish trials until none is left to take; the slots in the order they were taken."""
    taken = []
    while (claim := queue.take(desk)) is not None:
        taken.append(claim.slot)
        assert queue.finish(desk, claim, pretended(claim))
    return taken


def age(desk: Desk, *claims: queue.Claim) -> None:
    """Set back the last sign of life of these claims, or of all, beyond any grace."""
    some = [claim.trial._trial_id for claim in claims]
    with desk.storage.engine.begin() as connection:
        beats = connection.execute(text("SELECT trial_id FROM trial_heartbeats")).scalars().all()
        for trial in some or beats:
            connection.execute(
                text("UPDATE trial_heartbeats SET heartbeat = :then WHERE trial_id = :trial"),
                {"then": LONG_AGO, "trial": trial},
            )


def heartbeat(desk: Desk, claim: queue.Claim) -> str:
    """When the claim last gave a sign of life."""
    ask = text("SELECT heartbeat FROM trial_heartbeats WHERE trial_id = :trial")
    with desk.storage.engine.connect() as connection:
        return str(connection.execute(ask, {"trial": claim.trial._trial_id}).scalar())


def check_whole(desk: Desk) -> None:
    """The law of the queue: every slot once, ended, its attempts all with the same proposal."""
    wanted = desk.experiment.tune.trials
    found = queue.slots(desk)
    assert queue.is_finished(desk)
    assert list(found) == list(range(wanted))
    assert sum(len(attempts) for attempts in found.values()) == len(desk.study.get_trials())
    states = (TrialState.COMPLETE, TrialState.FAIL)
    keys = {parameter.key for parameter in desk.experiment.tune.parameters}
    for attempts in found.values():
        assert all(trial.state in states for trial in attempts)
        assert sum(trial.state == TrialState.COMPLETE for trial in attempts) <= 1
        whole = [trial.params for trial in attempts if trial.params.keys() == keys]
        assert whole.count(whole[-1]) == len(whole)  # a retry proposes what was lost


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


def pretend(folder: Path, url: str, seconds: float) -> None:
    """A worker that sleeps where others train, until the study is finished."""
    experiment = tuning_experiment_from(read_toml(folder / "experiment.toml"))
    with desk_in(folder, experiment, url) as desk:
        while not queue.is_finished(desk):
            claim = queue.take(desk)
            if claim is None:
                time.sleep(0.1)
                continue
            with Pulse(desk, claim) as pulse:
                for reached in range(1, 5):
                    time.sleep(seconds / 4)
                    pulse.check()
                    claim.trial.set_user_attr(queue.REACHED, reached)
            queue.finish(desk, claim, pretended(claim))


def write_experiment(folder: Path, experiment: TuningExperiment) -> None:
    """What `pretend` reads."""
    (folder / "experiment.toml").write_text(experiment_to_toml(experiment), "utf-8")


def main(arguments: Sequence[str]) -> None:
    """Folder, database, seconds of a trial."""
    pretend(Path(arguments[0]), arguments[1], float(arguments[2]))


if __name__ == "__main__":
    main(sys.argv[1:])
