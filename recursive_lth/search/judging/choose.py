"""The choice of a generation's growth: ask, bear, train from rung to rung, race, choose.

The measure is temperature-calibrated validation loss, which ranks growths of one ticket alike
across seeds where accuracy does not. Not growing is always candidate 0. Candidates share the seed
of their birth too, so that two proposals that come to the same growth are one candidate.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from recursive_lth.config import Experiment, Growth
from recursive_lth.errors import InputError
from recursive_lth.running.job import Bench, Row
from recursive_lth.search.constraints import sized
from recursive_lth.search.generation import Candidate
from recursive_lth.search.judging.birth import Nursery, blank
from recursive_lth.search.judging.cohort import judge, keeps_state
from recursive_lth.search.judging.course import Course
from recursive_lth.search.judging.race import race
from recursive_lth.search.objectives import preferred
from recursive_lth.search.policies.catalogue import policy_of
from recursive_lth.search.policies.gradient import ground_of
from recursive_lth.search.policies.past import Past, Policy, Proposal
from recursive_lth.ticket.moments import State
from recursive_lth.ticket.ticket import Ticket

PROPOSALS_PER_CANDIDATE = 3  # a policy may repeat itself so often before it is cut short


@dataclass(frozen=True)
class Seedling:
    """The growth that goes on, after its short training if any, and how it was chosen."""

    ticket: Ticket
    growth: dict[str, Any] | None
    certificate: dict[str, Any] | None
    candidates: tuple[Candidate, ...]
    rows: list[Row]
    state: State = field(default_factory=dict)  # of its optimizer, where one is carried
    cost: int = 0  # multiply-adds spent on candidates and on births by gradients


def choose(
    bench: Bench[Experiment],
    parent: Ticket,
    generation: int,
    earlier: Sequence[Sequence[Candidate]],
    *,
    state: State | None = None,
    own: Policy | None = None,
) -> Seedling:
    """The best growth of `parent` that the policy finds, or `parent` itself trained on.

    `state` is that of the parent's optimizer, for `growth.optimizer` to hand on; `own` is a user's
    own policy. One whose proposal is final is obeyed without judging, unless the growth breaks a
    limit of the space: then the parent goes on as it is. Raises `InputError` where not even
    training on without growth stays finite, and where `own` returns no `Proposal` nor None.
    """
    policy = policy_of(bench.experiment, own)
    nursery = Nursery(bench, parent, generation, state or {})
    ground = ground_of(parent, nursery.grow, nursery.few)
    past = Past(bench.experiment, generation, earlier, [], ground)
    proposal = _answer(policy, past)
    if proposal is not None and proposal.is_final:
        return _obey(nursery, proposal)
    courses = [nursery.standing()]
    while (born := _ask(nursery, policy, past, courses)) or courses[0].is_alive:
        courses += born
        judge(bench, generation, courses)
    race(bench, generation, courses, earlier)
    return _choice(bench.experiment, courses)


def _answer(policy: Policy, past: Past) -> Proposal | None:
    """What the policy proposes. Raises `InputError` where a user's own returns anything else."""
    answer: object = policy(past)
    if answer is None or isinstance(answer, Proposal):
        return answer
    raise InputError(
        f"growth.policy {past.experiment.growth.policy} must return a Proposal or None, got "
        f"{type(answer).__name__}: return Proposal(GrowthStep(...)), or None for nothing more"
    )


def _obey(nursery: Nursery, proposal: Proposal) -> Seedling:
    """A final proposal, taken without judging unless it breaks a limit of the space."""
    sprout = nursery.grow(proposal.step)
    cost = sprout.multiply_adds + proposal.multiply_adds
    asked = replace(blank(1), asked=asdict(proposal.step), training_cost=cost)
    known = sized(nursery.bench.experiment, asked, sprout.ticket)
    if known.status == "infeasible":
        nothing = Seedling(nursery.parent, None, None, (known,), [], nursery.state)
        return replace(nothing, cost=cost)
    told, begun = nursery.described(sprout), nursery.handed_on(sprout)
    return Seedling(sprout.ticket, *told, (), [], begun, cost)


def _ask(nursery: Nursery, policy: Policy, past: Past, courses: Sequence[Course]) -> list[Course]:
    """The next cohort: what the policy proposes until `growth.together` are there to be trained."""
    growth, everyone = nursery.bench.experiment.growth, list(courses)
    while sum(c.is_alive and c.number > 0 for c in everyone) < growth.together:
        if not _wants_more(growth, everyone):
            break
        proposal = _answer(policy, replace(past, siblings=[c.candidate for c in everyone]))
        if proposal is None:
            break
        everyone.append(nursery.bear(proposal, len(everyone), everyone))
    return everyone[len(courses) :]


def _wants_more(growth: Growth, courses: Sequence[Course]) -> bool:
    """Until enough unlike growths are trained; a policy that only repeats itself is cut short."""
    proposed = len(courses) - 1
    return (
        sum(course.is_trained for course in courses) - 1 < growth.candidates
        and proposed < PROPOSALS_PER_CANDIDATE * growth.candidates
    )


def _choice(experiment: Experiment, courses: Sequence[Course]) -> Seedling:
    """The winner among those that were judged."""
    best = preferred([c.candidate for c in courses], experiment.growth.objectives)
    winner = courses[best.number]
    winner.candidate = replace(winner.candidate, status="chosen")
    candidates = tuple(course.candidate for course in courses)
    chosen = winner.candidate.growth
    return Seedling(
        winner.ticket,
        dict(chosen) if chosen else None,
        winner.certificate,
        candidates,
        [row for course in courses for row in course.rows],
        winner.state if keeps_state(experiment) else {},
        sum(c.training_cost for c in candidates),
    )
