"""The queue of a tuning's trials: who takes the next, what was lost, what is finished.

The database is the truth. A trial of the tuning is a *slot*, numbered from 0; each time a worker
takes it up is an Optuna trial, an *attempt*, of which every slot has one that counts: its last. All
that takes, mends and ends attempts happens under the desk's lock, so that a process that is killed
anywhere leaves something that the next one to hold the lock can tell for what it is.
"""

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import optuna
from optuna.storages import fail_stale_trials
from optuna.trial import FrozenTrial, TrialState, create_trial

from recursive_lth import seeds
from recursive_lth.training.device import pinned
from recursive_lth.tuning.desk import Desk, locked, quiet
from recursive_lth.tuning.objectives import values
from recursive_lth.tuning.parameters import decoded, distributions
from recursive_lth.tuning.samplers import SAMPLERS

# User attributes of an attempt.
SLOT, WORKER, REACHED, RUNS = "trial", "worker", "reached", "runs"
REASON = "reason"  # why it failed; a failed attempt without one was lost, and is tried again
ERROR, STOPPED = "error", "stopped"  # how it was lost: by an exception, by a user's signal
MOST_LOSSES = 3
LOST = "its worker was killed, or was out of reach"

Standing = Literal["waiting", "running", "complete", "failed", "quarantined", "lost"]
FINISHED = ("complete", "failed", "quarantined")
Attempts = Sequence[FrozenTrial]


@dataclass(frozen=True)
class Claim:
    """A trial that this process has taken: its slot, its values, and Optuna's handle on it."""

    slot: int
    values: Mapping[str, Any]
    params: Mapping[str, Any]
    trial: optuna.Trial


def slots(desk: Desk) -> dict[int, list[FrozenTrial]]:
    """Every slot's attempts, oldest first."""
    found: dict[int, list[FrozenTrial]] = {}
    for trial in sorted(desk.study.get_trials(deepcopy=False), key=lambda t: t.number):
        if SLOT in trial.user_attrs:
            found.setdefault(trial.user_attrs[SLOT], []).append(trial)
    return dict(sorted(found.items()))


def standing(attempts: Attempts) -> Standing:
    """What has become of a slot."""
    last = attempts[-1]
    if last.state == TrialState.COMPLETE:
        return "complete"
    if last.state == TrialState.WAITING:
        return "waiting"
    if last.state == TrialState.RUNNING:
        return "running"
    if REASON in last.user_attrs:
        return "failed"
    return "quarantined" if losses(attempts) >= MOST_LOSSES else "lost"


def losses(attempts: Attempts) -> int:
    """How often in a row a slot's attempts were lost without getting further than before.

    What a user has stopped, and what was lost before it began, does not count.
    """
    count, furthest = 0, -1
    for trial in attempts:
        known = trial.user_attrs
        if trial.state != TrialState.FAIL or WORKER not in known or STOPPED in known:
            continue
        reached = known.get(REACHED, 0)
        count = 1 if reached > furthest else count + 1
        furthest = max(furthest, reached)
    return count


def reason(attempts: Attempts) -> str:
    """Why a slot failed, in words; empty where it did not."""
    known = attempts[-1].user_attrs
    if standing(attempts) == "quarantined":
        return (
            f"quarantined: {MOST_LOSSES} times in a row it ended its worker at the same place "
            f"({known.get(ERROR, LOST)})"
        )
    return str(known.get(REASON, ""))


def is_finished(desk: Desk) -> bool:
    """True iff the study has its number of trials, all of them ended."""
    found = slots(desk)
    wanted = desk.experiment.tune.trials
    return len(found) >= wanted and all(standing(a) in FINISHED for a in found.values())


def take(desk: Desk) -> Claim | None:
    """The next trial, lost ones first, ours from now on; None where all are taken or finished.

    It is proposed by one thread, whatever the trainings use: from some two hundred trials on more
    threads would change last bits of a Gaussian process, and with them the proposal.
    """
    with locked(desk.url):
        mend(desk)
        found = slots(desk)
        if not any(standing(attempts) == "waiting" for attempts in found.values()):
            if len(found) >= desk.experiment.tune.trials:
                return None
            new = create_trial(state=TrialState.WAITING, user_attrs={SLOT: len(found)})
            desk.study.add_trial(new)
            found = slots(desk)
        queued = [a[-1] for a in found.values() if standing(a) == "waiting"]
        slot = min(queued, key=lambda trial: trial.number).user_attrs[SLOT]
        seed = seeds.derive(desk.experiment.seed, "tune", "trial", slot) % 2**32
        make_sampler = SAMPLERS[desk.experiment.tune.sampler]
        desk.study.sampler = make_sampler(seed, desk.experiment.tune.random_trials)
        with quiet(), pinned(threads=1):
            trial = desk.study.ask(distributions(desk.experiment))
        desk.storage.record_heartbeat(trial._trial_id)
        trial.set_user_attr(WORKER, f"{platform.node()}:{os.getpid()}")  # last: it is taken now
    return Claim(slot, decoded(desk.experiment, trial.params), trial.params, trial)


def mend(desk: Desk) -> None:
    """Fail what is no longer alive, and queue again what was lost. To be called under the lock.

    Running attempts without a worker's name were being taken when their taker was killed: no other
    can be at it, for we hold the lock.
    """
    with quiet():
        fail_stale_trials(desk.study)
    for trial in desk.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if WORKER not in trial.user_attrs:
            desk.study.tell(trial.number, state=TrialState.FAIL)
    for attempts in slots(desk).values():
        if standing(attempts) == "lost":
            _queue_again(desk, attempts[-1])


def _queue_again(desk: Desk, lost: FrozenTrial) -> None:
    """The same proposal once more, marked as Optuna marks a retry."""
    history = [*lost.system_attrs.get("retry_history", []), lost.number]
    retry = {"failed_trial": history[0], "retry_history": history}
    desk.study.add_trial(
        create_trial(
            state=TrialState.WAITING,
            params=lost.params,
            distributions=lost.distributions,
            user_attrs={SLOT: lost.user_attrs[SLOT]},
            system_attrs={**lost.system_attrs, **retry},
        )
    )


def is_ours(desk: Desk, claim: Claim) -> bool:
    """False once others took us for dead: the slot has another attempt then."""
    return desk.storage.get_trial(claim.trial._trial_id).state == TrialState.RUNNING


def finish(desk: Desk, claim: Claim, runs: Sequence[Mapping[str, Any]]) -> bool:
    """Report the runs of a trial; False where it is no longer ours."""
    found = values(desk.experiment.tune.objectives, runs)
    return _end(desk, claim, TrialState.COMPLETE, {RUNS: list(runs)}, found)


def fail(desk: Desk, claim: Claim, why: str) -> bool:
    """End a trial that cannot be run, with the reason; False where it is no longer ours."""
    return _end(desk, claim, TrialState.FAIL, {REASON: why})


def give_back(desk: Desk, claim: Claim, *, error: str = "") -> bool:
    """Leave a trial to whoever comes next: a user stopped it, or an error ended its worker."""
    return _end(desk, claim, TrialState.FAIL, {ERROR: error} if error else {STOPPED: True})


def _end(
    desk: Desk,
    claim: Claim,
    state: TrialState,
    attributes: Mapping[str, Any],
    found: list[float] | None = None,
) -> bool:
    with locked(desk.url):
        if not is_ours(desk, claim):
            return False
        for key, value in attributes.items():
            claim.trial.set_user_attr(key, value)
        desk.study.tell(claim.trial, found, state=state)
    return True
