"""Policies over a whole search: stopped and resumed, several asked at once, against slow twins."""

from dataclasses import asdict, replace
from pathlib import Path

import optuna
import pytest
import torch
from optuna.samplers import BaseSampler, CmaEsSampler, NSGAIISampler, QMCSampler, TPESampler
from search_runs import invented_ground, rows_of, run, small, timeless, tried
from test_policy import DRAWING, LEARNING, through_json

from recursive_lth import seeds
from recursive_lth.config import GrowthStep, Space
from recursive_lth.search.generation import Candidate
from recursive_lth.search.policies.catalogue import POLICIES
from recursive_lth.search.policies.models import sampler_seed
from recursive_lth.search.policies.past import Past
from recursive_lth.search.policies.told import distributions
from recursive_lth.training.device import pinned

SPACE = Space(operator=("widen", "deepen", "split"), mask=("dense", "erk"))
EACH, GENERATIONS = 6, 4


def empty(policy: str, seed: int = 0, *settings: str) -> Past:
    """A search that has not begun."""
    experiment = small(f"seed={seed}", f"growth.policy={policy}", *settings)
    return Past(replace(experiment, space=SPACE), 2, [[], []], [tried(0)], invented_ground())


def gain_of(step: GrowthStep) -> float:
    """Best at place .2 and ratio .15, and for `deepen`."""
    return 1 - (step.place - 0.2) ** 2 - (step.ratio - 0.15) ** 2 + (step.operator == "deepen")


def judged(number: int, step: GrowthStep) -> Candidate:
    """A candidate after its short training; every seventh fails."""
    if number % 7 == 6:
        return tried(number, "failed", None, asked=asdict(step))
    return tried(number, "judged", gain_of(step), asked=asdict(step))


def ask(past: Past) -> GrowthStep:
    proposal = POLICIES[past.experiment.growth.policy](past)
    assert proposal is not None
    return proposal.step


def next_generation(past: Past) -> Past:
    earlier = [*past.earlier, past.siblings]
    return replace(past, generation=past.generation + 1, earlier=earlier, siblings=[tried(0)])


def told(past: Past, step: GrowthStep) -> Past:
    return replace(past, siblings=[*past.siblings, judged(len(past.siblings), step)])


def searched(past: Past, generations: int = GENERATIONS) -> list[GrowthStep]:
    """All proposals of a search, each from the past as the lineage's file holds it."""
    steps = []
    for _ in range(generations):
        for _ in range(EACH):
            steps.append(ask(through_json(past)))
            past = told(past, steps[-1])
        past = next_generation(past)
    return steps


def samplers(policy: str, past: Past) -> BaseSampler:
    """The sampler of one proposal, written out once more."""
    seed, first = sampler_seed(past), past.experiment.growth.random_candidates
    if policy == "nsga2":
        return NSGAIISampler(seed=seed, population_size=first)
    names = TPESampler(seed=seed, n_startup_trials=first)
    return CmaEsSampler(
        seed=seed, n_startup_trials=first, independent_sampler=names,
        warn_independent_sampling=False,
    )  # fmt: skip


@pytest.mark.parametrize("policy", ["nsga2", "cmaes"])
def test_a_replay_is_the_study_that_was_never_taken_apart(policy: str) -> None:
    """One study lives through the whole search and is given a fresh sampler for each trial.

    Its trials carry their own generations and the optimizer; the policy has candidates alone.
    """
    past, study = empty(policy), optuna.create_study(direction="maximize")
    for _ in range(GENERATIONS * EACH):  # of one generation: its unit changes no ranks
        study.sampler = samplers(policy, past)
        trial, step = study.ask(distributions(past.experiment.space)), ask(past)
        assert step == GrowthStep(**trial.params)
        past = told(past, step)
        if past.siblings[-1].gain is None:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
        else:
            study.tell(trial, past.siblings[-1].gain)


@pytest.mark.filterwarnings("ignore:QMCSampler is experimental")
def test_qmc_is_one_sequence() -> None:
    """Optuna's own sampler, whose study is never taken apart, gives the same points."""
    seed = seeds.derive(5, "propose") % 2**32
    study = optuna.create_study(sampler=QMCSampler(scramble=True, seed=seed))
    space = dict(sorted(distributions(SPACE).items()))
    step = GrowthStep("widen", 0.5, 0.25)
    params = {name: asdict(step)[name] for name in space}
    study.add_trial(optuna.trial.create_trial(value=0.0, distributions=space, params=params))
    names = ("operator", "initialisation", "mask")
    for step in searched(empty("qmc", 5)):
        point = study.ask(space).params
        assert {n: asdict(step)[n] for n in names} == {n: point[n] for n in names}
        assert (step.place, step.ratio) == pytest.approx((point["place"], point["ratio"]))


@pytest.mark.parametrize("policy", [*DRAWING, "round_robin"])
def test_a_search_that_was_stopped_proposes_the_same(policy: str) -> None:
    """From the lineage's lines alone, at whatever candidate it was stopped."""
    past = empty(policy)
    for step in searched(past, 2)[: EACH + 3]:
        if len(past.siblings) > EACH:
            past = next_generation(past)
        again = through_json(past)
        assert ask(again) == ask(past) == step
        past = told(past, step)


@pytest.mark.parametrize("policy", [p for p in POLICIES if p not in {"fixed", "never"}])
def test_several_are_asked_for_before_any_is_trained(policy: str) -> None:
    """Each waits, and the next keeps away from it; asked once more, the same come again."""

    def asked(past: Past, count: int) -> list[GrowthStep]:
        steps = []
        for _ in range(count):
            steps.append(ask(past))
            number = len(past.siblings)
            blank = tried(number, "waiting", None, asked=asdict(steps[-1]), sizes={})
            past = replace(past, siblings=[*past.siblings, blank])
        return steps

    past = empty(policy)
    for _ in range(2 * EACH if policy in DRAWING else 0):  # so that a model guides
        past = told(past, ask(past))
    past = next_generation(past)
    steps = asked(past, 4)
    assert len(set(steps)) == 4
    assert asked(past, 4) == steps
    assert asked(through_json(past), 3) == steps[:3]


@pytest.mark.parametrize("policy", DRAWING)
def test_threads_do_not_move_a_proposal(policy: str) -> None:
    """After 400 candidates, whose matrices are large enough for threads to share them."""
    draw = empty("random")
    for _ in range(400):
        draw = told(draw, ask(draw))
    past, steps = replace(empty(policy), earlier=[draw.siblings]), []
    for threads in (1, 2):
        with pinned(threads):
            steps.append([ask(replace(past, generation=number)) for number in range(3)])
            assert torch.get_num_threads() == threads
    assert steps[0] == steps[1]


@pytest.mark.parametrize("policy", ["nsga2", "cmaes", "gp", "qmc"])
def test_a_run_that_was_stopped_goes_on_to_the_same_bytes(policy: str, tmp_path: Path) -> None:
    """Every file but the report; two candidates are drawn at random, so that a model guides."""
    settings = ["growth.candidates=3", "budget.generations=4"]
    settings += [] if policy == "qmc" else ["growth.random_candidates=2"]  # which has no model
    experiment = small(f"growth.policy={policy}", *settings)
    once = run(experiment, tmp_path / "once")
    run(experiment, tmp_path / "twice", generations=4)
    assert timeless(run(experiment, tmp_path / "twice")) == timeless(once)
    proposed = [c["asked"] for line in rows_of(once / "lineage.jsonl") for c in line["candidates"]]
    assert len(proposed) > 9


@pytest.mark.parametrize("policy", LEARNING)
def test_what_is_learnt_carries_over_to_the_next_generation(policy: str) -> None:
    """After 24 candidates proposals come closer to the planted best than `random` ones do."""
    misses = {}
    for name in (policy, "random"):
        found = [1.0 + 1 - gain_of(step) for seed in range(4)
                 for step in searched(empty(name, seed), 5)[-EACH:]]  # fmt: skip
        misses[name] = sum(found) / len(found)
    assert misses[policy] < 0.7 * misses["random"], misses
