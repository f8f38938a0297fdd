"""Judging growths: short trainings of the same parent on the same batches in the same order.

The measure is temperature-calibrated validation loss, which ranks growths of one ticket alike
across seeds where accuracy does not. Not growing is always candidate 0. Candidates share the seed
of their birth too, so that two proposals that come to the same growth are one candidate.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from recursive_lth import seeds
from recursive_lth.config import Experiment, Growth, GrowthStep, pick
from recursive_lth.errors import InputError
from recursive_lth.growth.birth import Batch
from recursive_lth.growth.certificate import BrokenPromiseError
from recursive_lth.growth.compound import grow_any
from recursive_lth.growth.grow import Sprout
from recursive_lth.growth.optimizer import INHERIT, RESET
from recursive_lth.pruning.spare import spared
from recursive_lth.running.fit import Fitted, fit
from recursive_lth.running.job import Bench, Job, Row, rungs_of
from recursive_lth.search.constraints import sized
from recursive_lth.search.describe import describe_growth
from recursive_lth.search.generation import Candidate
from recursive_lth.search.objectives import preferred
from recursive_lth.search.policies.catalogue import policy_of
from recursive_lth.search.policies.gradient import ground_of
from recursive_lth.search.policies.past import Past, Policy, Proposal
from recursive_lth.ticket.moments import State
from recursive_lth.ticket.ticket import Ticket
from recursive_lth.training.loop import steps_in

CERTIFIED_SAMPLES = 64
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


@dataclass(frozen=True)
class _Tried:
    """One candidate: its sprout's digest, its ticket and optimizer after the short training."""

    sprout: str
    order: int  # among those trained
    ticket: Ticket
    candidate: Candidate
    certificate: dict[str, Any] | None
    rows: list[Row]
    state: State = field(default_factory=dict)


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
    training on without growth stays finite.
    """
    growth = bench.experiment.growth
    policy = policy_of(bench.experiment, own)
    ground = ground_of(parent, lambda step: _grow(bench, parent, step, generation), _few(bench))
    past = Past(bench.experiment, generation, earlier, [], ground)
    proposal = policy(past)
    if proposal is not None and proposal.is_final:
        sprout = _grow(bench, parent, proposal.step, generation)
        broken = sized(
            bench.experiment, replace(_blank(1), asked=asdict(proposal.step)), sprout.ticket
        )
        if broken.status == "infeasible":
            cost = sprout.multiply_adds + proposal.multiply_adds
            spent = replace(broken, training_cost=cost)
            nothing = Seedling(parent, None, None, (spent,), [], state or {})
            return replace(nothing, cost=spent.training_cost)
        begun = _handed_on(bench, state, sprout)
        told = describe_growth(parent, sprout, generation), asdict(sprout.certificate)
        cost = sprout.multiply_adds + proposal.multiply_adds
        return Seedling(sprout.ticket, *told, (), [], begun, cost)
    unchanged = sized(bench.experiment, _blank(0), parent)
    standing = _Tried(parent.digest, 0, parent, unchanged, None, [], state or {})
    tried = [_train(bench, standing, generation, lambda gains: False, [])]
    if tried[0].candidate.status == "failed":
        raise InputError(
            f"generation {generation} diverges even without growth: lower training.learning_rate"
        )
    while _wants_more(growth, tried):
        proposal = policy(replace(past, siblings=[t.candidate for t in tried]))
        if proposal is None:
            break
        tried.append(_try(bench, parent, state, generation, proposal, tried))
    best = preferred([t.candidate for t in tried], growth.objectives)
    winner = tried[best.number]
    candidates = tuple(
        replace(t.candidate, status="chosen") if t is winner else t.candidate for t in tried
    )
    rows = [row for t in tried for row in t.rows]
    chosen = winner.candidate.growth
    return Seedling(
        winner.ticket,
        dict(chosen) if chosen else None,
        winner.certificate,
        candidates,
        rows,
        winner.state,
        sum(c.training_cost for c in candidates),
    )


def _wants_more(growth: Growth, tried: Sequence[_Tried]) -> bool:
    """Until enough unlike growths are trained; a policy that only repeats itself is cut short."""
    proposed = len(tried) - 1
    return (
        _trained(tried) - 1 < growth.candidates
        and proposed < PROPOSALS_PER_CANDIDATE * growth.candidates
    )


def _trained(tried: Sequence[_Tried]) -> int:
    """How many candidates were trained, not growing among them."""
    return sum(t.candidate.training_steps > 0 for t in tried)


def _try(
    bench: Bench[Experiment],
    parent: Ticket,
    state: State | None,
    generation: int,
    proposal: Proposal,
    tried: Sequence[_Tried],
) -> _Tried:
    """A proposed growth, trained; or the numbers of an earlier candidate that it repeats."""
    blank = replace(_blank(len(tried)), asked=asdict(proposal.step))
    try:
        sprout = _grow(bench, parent, proposal.step, generation)
    except BrokenPromiseError:
        raise
    except InputError as error:
        known = replace(blank, reason=str(error), training_cost=proposal.multiply_adds)
        return _Tried("", 0, parent, known, None, [])
    cost = sprout.multiply_adds + proposal.multiply_adds
    blank = replace(sized(bench.experiment, blank, sprout.ticket), training_cost=cost)
    for other in tried[1:]:
        if other.sprout == sprout.ticket.digest:
            return _repeat(other, blank)
    if blank.status == "infeasible":
        return _Tried(sprout.ticket.digest, 0, parent, blank, None, [])
    begun = _Tried(
        sprout.ticket.digest,
        _trained(tried),
        sprout.ticket,
        replace(blank, growth=describe_growth(parent, sprout, generation)),
        asdict(sprout.certificate),
        [],
        _handed_on(bench, state, sprout),
    )
    return _train(bench, begun, generation, proposal.is_hopeless, tried[0].rows)


def _repeat(other: _Tried, blank: Candidate) -> _Tried:
    """The same growth once more, at no cost but that of its proposal and birth."""
    candidate = replace(
        other.candidate,
        number=blank.number,
        asked=blank.asked,
        status="repeated" if other.candidate.status == "judged" else other.candidate.status,
        training_cost=blank.training_cost,
        training_steps=0,
        reason=f"the same growth as candidate {other.candidate.number}",
    )
    return replace(other, candidate=candidate, rows=[])


def _train(
    bench: Bench[Experiment],
    begun: _Tried,
    generation: int,
    is_hopeless: Callable[[Sequence[float]], bool],
    standing: Sequence[Row],
) -> _Tried:
    """A candidate's short training as a stage; `standing` is the curve of not growing."""
    growth, number = bench.experiment.growth, begun.candidate.number
    name = f"{generation:04d}-judge-{number}"
    keeps_state = growth.optimizer != RESET
    stored = bench.stages.recall(name)
    state = bench.stages.recall_groups(name) if keeps_state else State()
    if stored is not None and state is not None:
        ticket, record = stored
        rungs = tuple(record["candidate"]["rungs"])
        candidate = Candidate(**record["candidate"] | {"rungs": rungs})
        return replace(begun, ticket=ticket, candidate=candidate, rows=record["rows"], state=state)
    recipe = bench.experiment.training
    labels = {"generation": generation, "phase": "judge", "candidate": number, "round": None}
    job = Job(
        name,
        recipe,
        steps_in(growth.judge_epochs, len(bench.batches), recipe.batch_size),
        seeds.derive(bench.experiment.seed, "generation", generation, "judge"),  # common to all
        labels=labels,
        place={"phase": "judge", "candidate": begun.order, "candidates": growth.candidates},
        marks=rungs_of(growth.judge_epochs, growth.rungs, bench, recipe),
        state=begun.state,
        keeps_end=keeps_state,
    )
    fitted = fit(bench, begun.ticket, job, lambda rows, _: is_hopeless(_gains(rows, standing)))
    candidate = _judged(begun.candidate, fitted, _gains(fitted.rows, standing or fitted.rows), job)
    state = next((kept.state for kept in fitted.kept.values()), State())
    with bench.clock.inside("saving"):
        record = {"candidate": asdict(candidate), "rows": fitted.rows}
        if keeps_state:
            bench.stages.store_groups(name, state)
        bench.stages.store(name, fitted.ticket, record)
    return replace(begun, ticket=fitted.ticket, candidate=candidate, rows=fitted.rows, state=state)


def _judged(candidate: Candidate, fitted: Fitted, gains: list[float], job: Job) -> Candidate:
    """The candidate with what its short training has shown."""
    cost = candidate.training_cost + fitted.cost
    spent = replace(candidate, training_cost=cost, training_steps=fitted.steps)
    if fitted.is_diverged:
        return replace(spent, reason="the short training diverged")
    last, is_whole = fitted.rows[-1], len(fitted.rows) == len(job.marks)
    return replace(
        spent,
        status="judged" if is_whole else "stopped",
        loss=last["val_calibrated_loss"],
        gain=gains[-1],
        accuracy=last["val_accuracy"],
        rungs=tuple(gains),
        epochs=last["epoch"],
        reason="" if is_whole else f"below the median gain at rung {len(gains)}",
    )


def _few(bench: Bench[Experiment]) -> Batch:
    """The samples that certificates and gradients are computed on."""
    few = bench.split.train
    return Batch(few.images[:CERTIFIED_SAMPLES].cpu(), few.labels[:CERTIFIED_SAMPLES].cpu())


def _grow(bench: Bench[Experiment], parent: Ticket, step: GrowthStep, generation: int) -> Sprout:
    seed = bench.experiment.seed
    with bench.clock.inside("growth"):
        return grow_any(
            parent,
            step,
            _few(bench),
            generation=generation,
            generator=seeds.generator(seed, "generation", generation, "birth"),  # common to all
            scheme=bench.experiment.start.initialisation,
            spared=spared(parent, bench.experiment.pruning, generation),
        )


def _handed_on(bench: Bench[Experiment], state: State | None, sprout: Sprout) -> State:
    """The optimizer's state that the training after a growth begins with."""
    growth, batch_size = bench.experiment.growth, bench.experiment.training.batch_size
    warmup = steps_in(growth.warmup_epochs, len(bench.batches), batch_size)
    return pick(INHERIT, growth.optimizer, "growth.optimizer")(state or {}, sprout, warmup)


def _gains(rows: Sequence[Row], standing: Sequence[Row]) -> list[float]:
    """At each rung, how much lower the calibrated loss is than that of not growing."""
    pairs = zip(rows, standing, strict=False)
    return [
        s["val_calibrated_loss"] - r["val_calibrated_loss"]
        for r, s in pairs
        if r["val_loss"] is not None
    ]


def _blank(number: int) -> Candidate:
    """A candidate of which nothing is known yet."""
    return Candidate(number, None, None, "failed", None, None, None, (), 0.0, 0, 0, "")
