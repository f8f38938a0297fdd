"""Policies by rule and by gradient, a user's own, and the words of all of them."""

from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path

import pytest
from search_runs import past_of, small, tried

from recursive_lth import api
from recursive_lth.architecture.zoo import mlp
from recursive_lth.config import GrowthStep, Space
from recursive_lth.errors import InputError
from recursive_lth.files import read_json
from recursive_lth.growth.gradient_gain import GradientGain
from recursive_lth.search.generation import Status
from recursive_lth.search.policies import evolution
from recursive_lth.search.policies.catalogue import POLICIES, check_policy
from recursive_lth.search.policies.past import Ground, Past, Proposal
from recursive_lth.search.policies.rules import THIRDS
from recursive_lth.search.policies.words import POLICY_WORDS
from recursive_lth.search.run import grow
from recursive_lth.shelf import load_experiment

TWO = Space(operator=("widen", "deepen"), ratio=(0.2, 0.4))


def test_every_policy_has_its_words() -> None:
    assert list(POLICY_WORDS) == list(POLICIES)


def test_round_robin_takes_operators_in_turn_and_spreads_places() -> None:
    """Through all generations: both at 0, both at 1/2, at 1/4, at 3/4; by the middle ratio."""
    past = replace(past_of("round_robin", space=TWO), earlier=[[tried(0)]], siblings=[tried(0)])
    found = []
    for number in range(1, 9):
        proposal = POLICIES["round_robin"](past)
        assert proposal is not None
        found.append((proposal.step.operator, proposal.step.place))
        assert proposal.step.ratio == pytest.approx(0.3)
        past = replace(past, siblings=[*past.siblings, tried(number, asked=asdict(proposal.step))])
        if number == 3:
            past = replace(past, earlier=[past.siblings], siblings=[tried(0)])
    assert found == [(o, p) for p in (0, 0.5, 0.25, 0.75) for o in ("widen", "deepen")]


def patient(*gains: float | None) -> list[tuple[str, float] | None]:
    """What patience proposes in turn, one a generation or more, if growths gain so much."""
    past = replace(past_of("patience", space=TWO), earlier=[], siblings=[tried(0)])
    asked: list[tuple[str, float] | None] = []
    for gain in gains:
        proposal = POLICIES["patience"](past)
        if proposal is None:
            asked.append(None)
            past = replace(past, earlier=[*past.earlier, past.siblings], siblings=[tried(0)])
            continue
        asked.append((proposal.step.operator, proposal.step.place))
        status: Status = "failed" if gain is None else "judged"
        one = tried(len(past.siblings), status, gain, asked=asdict(proposal.step))
        past = replace(past, siblings=[*past.siblings, one])
    return asked


def test_patience_repeats_what_pays() -> None:
    """The same arm for as long as its gain is above 0, one a generation; then the next arm."""
    first, second, third = (("widen", place) for place in THIRDS)
    assert patient(1.0, 9, 1.0, 9, -1.0, 0.5, 9, 0.5) == [
        first, None, first, None, first, second, None, second
    ]  # fmt: skip
    assert patient(None, 0.0, 1.0) == [first, second, third]
    assert patient(*[-1.0] * 7) == [
        *(("widen", place) for place in THIRDS), *(("deepen", place) for place in THIRDS), None
    ]  # fmt: skip


def test_patience_asks_for_the_next_while_one_waits() -> None:
    """And takes the first again in the next generation, where it has paid after all."""
    past = replace(past_of("patience", space=TWO), earlier=[], siblings=[tried(0)])
    steps = []
    for number in (1, 2):
        proposal = POLICIES["patience"](past)
        assert proposal is not None
        steps.append(proposal.step)
        one = tried(number, "waiting", None, asked=asdict(proposal.step))
        past = replace(past, siblings=[*past.siblings, one])
    done = [replace(c, status="judged", gain=1.0) for c in past.siblings[1:]]
    after = POLICIES["patience"](replace(past, earlier=[done], siblings=[tried(0)]))
    assert [step.place for step in steps] == list(THIRDS[:2])
    assert after is not None
    assert after.step == steps[0]


def weighed(gains: dict[tuple[str, int], float], count: int = 3) -> Past:
    """A past on a ground where a growth at place i of three gains so much; no other is possible."""

    def weigh(step: GrowthStep) -> GradientGain:
        key = step.operator, int(step.place * count)
        if key not in gains:
            raise InputError("no such place")
        assert (step.initialisation == "gradmax") == (step.operator == "widen")
        return GradientGain(10 * gains[key], 10, 7)

    past = replace(past_of("greedy", space=TWO), siblings=[tried(0)])
    return replace(past, ground=Ground(mlp((1, 2, 2), 2, (3,) * count), weigh))


def test_greedy_takes_the_largest_gain_of_each_operator_in_turn() -> None:
    """Per multiply-add; what cannot be made is left out, and at the end there is nothing."""
    gains = {("widen", 0): 1.0, ("widen", 2): 5.0, ("deepen", 0): 0.2, ("deepen", 1): 0.3}
    past, found, costs = weighed(gains), [], []
    for number in range(1, 6):
        proposal = POLICIES["greedy"](past)
        if proposal is None:
            break
        found.append((proposal.step.operator, int(proposal.step.place * 3)))
        costs.append(proposal.multiply_adds)
        assert not proposal.is_final
        past = replace(past, siblings=[*past.siblings, tried(number, asked=asdict(proposal.step))])
    assert found == [("widen", 2), ("deepen", 1), ("widen", 0), ("deepen", 0)]
    assert costs == [4 * 7, 0, 0, 0]


def test_greedy_stays_inside_the_interval_of_places() -> None:
    """An interval within one of three places leaves that one, at a place inside the interval."""
    past = weighed({(o, i): 1.0 for o in TWO.operator for i in range(3)})
    space = replace(TWO, place=(0.4, 0.45), initialisation=("preserving", "gradmax"))
    proposal = POLICIES["greedy"](replace(past, experiment=replace(past.experiment, space=space)))
    assert proposal is not None
    assert 0.4 <= proposal.step.place <= 0.45
    assert proposal.step.initialisation == "gradmax"


def deepest(past: Past) -> Proposal | None:
    """A user's own: one more layer at the output side, once a generation."""
    if any(c.asked for c in past.siblings):
        return None
    return Proposal(GrowthStep("deepen", 1.0))


def test_a_policy_of_your_own(tmp_path: Path) -> None:
    """It is recorded by name, and a run goes on with the same policy alone."""
    experiment = small("budget.generations=2")
    first = list(islice(api.grow(experiment, out=tmp_path, device="cpu", policy=deepest), 2))
    folder = api.run_folder(experiment, tmp_path, policy=deepest)
    assert 'policy = "python:deepest"' in (folder / "experiment.toml").read_text("utf-8")
    again = load_experiment(folder / "experiment.toml")
    with pytest.raises(InputError, match=r"give it again from Python, as grow\(.*policy=deepest"):
        list(api.grow(again, out=tmp_path, device="cpu"))
    turns = list(api.grow(experiment, out=tmp_path, device="cpu", policy=deepest))
    assert turns[:2] == first
    asked = [c.asked["operator"] for c in turns[2].candidates if c.asked]
    assert asked == ["deepen"]
    assert read_json(folder / "summary.json")["policy"] == "python:deepest"


@pytest.mark.parametrize("is_final", [True, False])
def test_what_finding_a_growth_has_cost_is_counted(is_final: bool, tmp_path: Path) -> None:
    """Two runs that differ in nothing else differ by it, once for each proposal."""

    def spent(price: int) -> int:
        def dear(past: Past) -> Proposal | None:
            if any(candidate.asked for candidate in past.siblings):
                return None
            return Proposal(GrowthStep("deepen"), is_final, multiply_adds=price)

        experiment = small("budget.generations=2")
        out = tmp_path / str(price)
        return list(grow(experiment, out=out, device="cpu", policy=dear))[-1].training_cost

    assert spent(1000) - spent(0) == 1000


@pytest.mark.parametrize("is_late", [False, True])
def test_a_policy_answers_with_a_proposal_or_none(is_late: bool, tmp_path: Path) -> None:
    """Whatever else it returns, at first or later, is said with its name and the cure."""

    def hasty(past: Past) -> Proposal | None:
        step = GrowthStep("deepen")
        if is_late and not any(candidate.asked for candidate in past.siblings):
            return Proposal(step)
        return step  # type: ignore[return-value]

    expected = r"python:hasty must return a Proposal or None, got GrowthStep: return Proposal\("
    with pytest.raises(InputError, match=expected):
        list(grow(small("budget.generations=2"), out=tmp_path, device="cpu", policy=hasty))


def test_a_lambda_is_no_policy() -> None:
    """All lambdas have one name, so that their runs could not be told apart."""
    with pytest.raises(InputError, match="write it with def"):
        list(grow(small(), policy=lambda past: None))


def test_cmaes_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evolution, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'recursive-lth\[cmaes\]'"):
        check_policy(small("growth.policy=cmaes"))


@pytest.mark.parametrize("policy", ["cmaes", "greedy", "round_robin", "patience", "never"])
def test_one_objective_is_not_several(policy: str) -> None:
    settings = f"growth.policy={policy}", 'growth.objectives=["gain", "weights"]'
    with pytest.raises(InputError, match="is after gain alone"):
        check_policy(small(*settings))
