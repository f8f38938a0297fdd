"""Policies: one battery over all of them, and what a model may learn from."""

import json
import os
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import TrialState
from search_runs import (
    SCHEDULE,
    SPACE,
    drawn,
    past_of,
    tried,
)
from strategies import SEEDS

from recursive_lth.config import Space
from recursive_lth.search.generation import Candidate, Status
from recursive_lth.search.policies.catalogue import POLICIES
from recursive_lth.search.policies.past import Past, Policy, Proposal
from recursive_lth.search.policies.told import STATES

# whose proposals depend on what became of the candidates, by Optuna's samplers
LEARNING = ("tpe", "gp", "cmaes", "nsga2")
DRAWING = (*LEARNING, "random", "qmc")
JUDGED = (*DRAWING, "greedy", "round_robin", "patience")
DIFFERENT = {  # proposals out of four moments: another seed, generation, number of siblings
    **dict.fromkeys(DRAWING, 4), "qmc": 3, "greedy": 2, "round_robin": 2, "patience": 1,
    "fixed": 2, "never": 1,
}  # fmt: skip


def through_json(past: Past) -> Past:
    """The same past after its candidates were written to the lineage and read again."""

    def again(candidate: Candidate) -> Candidate:
        row = json.loads(json.dumps(asdict(candidate)))
        return Candidate(**row | {"rungs": tuple(row["rungs"])})

    return replace(
        past,
        earlier=[[again(c) for c in generation] for generation in past.earlier],
        siblings=[again(c) for c in past.siblings],
    )


def told(proposal: Proposal | None) -> object:
    """What a policy proposes, without its function."""
    return proposal and (asdict(proposal.step), proposal.is_final)


def all_told() -> str:
    """The proposals of every policy at several moments, as JSON; called in another process too."""
    return json.dumps(
        {
            f"{policy} {seed} {siblings}": told(
                POLICIES[policy](past_of(policy, seed, 4, siblings))
            )
            for policy in POLICIES
            for seed in (0, 1)
            for siblings in (0, 3)
        }
    )


@pytest.mark.parametrize("policy", POLICIES)
def test_the_same_past_gives_the_same_proposal(policy: str) -> None:
    """Asked twice, built twice, or read from the lineage."""
    ask, past = POLICIES[policy], past_of(policy)
    assert told(ask(past)) == told(ask(past))
    assert told(ask(past)) == told(ask(past_of(policy)))
    assert told(ask(past)) == told(ask(through_json(past)))


def test_proposals_do_not_depend_on_the_process() -> None:
    """Another process, whose texts hash to other numbers, proposes the same."""
    here = Path(__file__).parent
    paths = os.pathsep.join((str(here), str(here.parent)))
    done = subprocess.run(
        [sys.executable, "-c", "import test_policy; print(test_policy.all_told())"],
        env=os.environ | {"PYTHONHASHSEED": "1", "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == json.loads(all_told())


def draws_only(ask: Policy) -> Policy:
    """The policy before its model guides."""

    def asked(past: Past) -> Proposal | None:
        growth = replace(past.experiment.growth, random_candidates=99)
        return ask(replace(past, experiment=replace(past.experiment, growth=growth)))

    return asked


@pytest.mark.parametrize("policy", POLICIES)
def test_seed_generation_and_number_move_what_is_drawn(policy: str) -> None:
    """Three other moments, three other draws, before a model guides and after it does.

    One sequence of `qmc` goes through all generations; rules do not draw, nor does the Gaussian
    process: where its model has one optimum, that is what it proposes.
    """
    ask = POLICIES[policy]
    if policy == "gp":
        ask = draws_only(ask)
    for known in (0, 3):  # siblings
        moments = [(0, 4, known), (1, 4, known), (0, 5, known), (0, 4, known + 1)]
        proposals = [ask(past_of(policy, *moment)) for moment in moments]
        assert len({json.dumps(told(p)) for p in proposals}) == DIFFERENT[policy]


@pytest.mark.parametrize("policy", POLICIES)
@given(
    st.lists(st.sampled_from(SPACE.operator), min_size=1, max_size=3, unique=True),
    st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted),
    st.tuples(st.floats(0.01, 16), st.floats(0.01, 16)).map(sorted),
    st.lists(st.sampled_from(SPACE.mask), min_size=1, max_size=3, unique=True),
    SEEDS,
)
def test_proposals_lie_inside_the_space(
    policy: str,
    operators: list[str],
    place: list[float],
    ratio: list[float],
    masks: list[str],
    seed: int,
) -> None:
    """Also where an interval is a point or a list has one entry; a fixed one is of the schedule."""
    space = Space(
        operator=tuple(operators),
        place=(place[0], place[1]),
        ratio=(ratio[0], ratio[1]),
        mask=tuple(masks),
    )
    proposal = POLICIES[policy](past_of(policy, seed, space=space))
    assert (proposal is None) == (policy == "never") or policy in {"patience", "greedy"}
    if proposal is None:
        return
    step = proposal.step
    if policy == "fixed":
        assert step in SCHEDULE
        return
    assert step.operator in space.operator
    assert space.place[0] <= step.place <= space.place[1]
    assert space.ratio[0] <= step.ratio <= space.ratio[1]
    assert step.initialisation == "preserving"
    assert step.mask in space.mask


def test_every_status_is_known_to_the_study() -> None:
    """What was measured to the end is complete, what was stopped is pruned, what broke failed."""
    assert set(STATES) == set(get_args(Status))
    complete = {status for status, state in STATES.items() if state == TrialState.COMPLETE}
    assert complete == {"chosen", "judged", "repeated", "infeasible"}
    past = past_of("tpe", siblings=0)
    strange = replace(tried(1), status="promoted")  # type: ignore[arg-type]
    with pytest.raises(KeyError, match="promoted"):
        POLICIES["tpe"](replace(past, siblings=[tried(0), strange]))


@pytest.mark.parametrize("policy", JUDGED)
@pytest.mark.parametrize("status", get_args(Status))
def test_a_past_of_one_status_alone_is_no_obstacle(policy: str, status: Status) -> None:
    """Nothing but failures, or nothing but stopped ones, and a generation without any growth."""
    gain = None if status in {"failed", "waiting", "infeasible"} else -0.5
    tries = [tried(n, status, gain) for n in range(1, 9)]
    past = replace(past_of(policy, space=Space()), earlier=[[tried(0), *tries]], siblings=[])
    assert POLICIES[policy](replace(past, earlier=[[tried(0)]])) is not None
    assert POLICIES[policy](past) is not None


def scaled(past: Past, units: list[float]) -> Past:
    """The past as if each generation had measured its gains in another unit."""

    def of(generation: list[Candidate], unit: float) -> list[Candidate]:
        return [
            replace(
                c,
                gain=None if c.gain is None else c.gain * unit,
                rungs=tuple(gain * unit for gain in c.rungs),
            )
            for c in generation
        ]

    generations = [*past.earlier, past.siblings]
    *earlier, siblings = [of(list(g), u) for g, u in zip(generations, units, strict=True)]
    return replace(past, earlier=earlier, siblings=siblings)


@pytest.mark.parametrize("policy", LEARNING)
def test_the_model_does_not_mind_a_generation_s_unit(policy: str) -> None:
    """Gains enter in units of their generation's largest, so powers of two change no proposal.

    Were they raw, the last generations (a hundred times smaller) would move up in rank and the
    proposals would change; that they can is shown by changing the order within a generation.
    """
    ask = POLICIES[policy]
    for seed in range(5):
        past = past_of(policy, seed)
        assert told(ask(past)) == told(ask(scaled(past, [1, 1, 2.0**-9, 2.0**9, 2.0**5])))
    turned = [told(ask(scaled(past_of(policy, s), [1, 1, -1, -1, 1]))) for s in range(5)]
    assert turned != [told(ask(past_of(policy, s))) for s in range(5)]


def test_nor_does_it_where_all_were_stopped() -> None:
    """Gains at the rungs are in the same unit: they rank the stopped ones of all generations."""
    for seed in range(10):
        past = past_of("tpe", seed, siblings=0)
        stopped = [
            [replace(c, status="stopped", rungs=c.rungs[:1], gain=c.rungs[0])
             for c in generation if c.rungs]
            for generation in past.earlier
        ]  # fmt: skip
        past = replace(past, earlier=stopped)
        units = [1, 1, 2.0**-9, 2.0**9, 1]
        assert told(POLICIES["tpe"](past)) == told(POLICIES["tpe"](scaled(past, units)))


@pytest.mark.parametrize("policy", sorted({*POLICIES} - {*LEARNING, "patience"}))
def test_the_others_learn_nothing(policy: str) -> None:
    past = past_of(policy)
    turned = scaled(past, [1, 1, -1, -1, -1])
    assert told(POLICIES[policy](past)) == told(POLICIES[policy](turned))


def test_the_model_finds_a_planted_operator() -> None:
    """`deepen` gained 1 and the others lost 1, in whatever unit: 40 asks of as many seeds.

    At random a third of 40 are `deepen`, 13 +- 3; a model must be far beyond.
    """
    counts = {}
    for policy in (*LEARNING, "random"):
        past = past_of(policy)
        planted = [
            [
                replace(
                    c, gain=2.0**-n * (1 if c.asked and c.asked["operator"] == "deepen" else -1)
                )
                for c in drawn(n, 8, 1.0, SPACE)
                if c.gain is not None
            ]
            for n in range(2, 6)
        ]
        asks = [
            POLICIES[policy](
                replace(past, experiment=replace(past.experiment, seed=seed), earlier=planted)
            )
            for seed in range(40)
        ]
        counts[policy] = sum(p is not None and p.step.operator == "deepen" for p in asks)
    assert 4 < counts["random"] < 23
    assert min(counts[policy] for policy in LEARNING) > 23, counts


def test_the_schedule_comes_in_turn_and_is_final() -> None:
    """Generation 2 is the first that grows; after the last step the first comes again."""
    places = []
    for generation in range(2, 9):
        proposal = POLICIES["fixed"](past_of("fixed", generation=generation))
        assert proposal is not None
        assert proposal.is_final
        places.append(proposal.step.place)
    assert places == [0.0, 0.5, 1.0, 0.0, 0.5, 1.0, 0.0]
