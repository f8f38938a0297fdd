"""Trainings that are waited for, and which of them can train as one program."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from recursive_lth.architecture.cost import cost, training_cost
from recursive_lth.running.engines import plan_of
from recursive_lth.running.fit import EndsAt, Stop
from recursive_lth.running.job import Bench, Job
from recursive_lth.ticket.ticket import Ticket
from recursive_lth.training.engine import Plan
from recursive_lth.training.together import Member

MOST_WORK = 17_000_000  # multiply-adds of a member's batch: above, products fill the machine
MOST_BY_ONEDNN = 40_000_000  # where it does a product for each member
MOST_MEMBERS = 8  # more gain little, and fewer companies than workers would leave some idle
MOST_ASIDE = 12  # of those that nothing follows from: nobody waits for them
MOST_UNEVEN = 2  # more in one of two halves, for what else the other's worker has to do
LEAST_APART = 4  # dense ones with much work each that are parted though they could go together
MUCH_WORK = 4_000_000  # multiply-adds of a batch from which company gains less than another worker


@dataclass(frozen=True)
class Wanted:
    """A training that somebody waits for: the arguments of `fit`, and if one can do without it."""

    bench: Bench[Any]
    ticket: Ticket
    job: Job
    should_stop: Stop | None = None
    may_fail: bool = False  # where it ends its workers the run goes on
    is_aside: bool = False  # nothing follows from it

    @property
    def member(self) -> Member:
        """It as one of a population."""
        bench, ticket, job = self.bench, self.ticket, self.job
        return Member(
            ticket.architecture,
            ticket.weights,
            ticket.masks,
            bench.batches,
            job.recipe,
            job.steps,
            job.seed,
            job.start,
            job.state,
        )

    def plan(self, *, is_alone: bool) -> Plan:
        """How its layers are computed, alone or in company."""
        return plan_of(self.bench, self.ticket, self.job, is_alone=is_alone)

    @property
    def work(self) -> int:
        """The multiply-adds of what is left to be trained."""
        cost = self.ticket.cost.remaining_multiply_adds
        recipe = self.bench.batches.fitting(self.job.recipe)
        return training_cost(cost, recipe.batch_size) * (self.job.steps - self.job.start)

    @property
    def is_portable(self) -> bool:
        """True iff another process can do it: functions of this one stay here."""
        stops = self.should_stop is None or isinstance(self.should_stop, EndsAt)
        return stops and self.job.lens is None and self.bench.source is not None


@dataclass(frozen=True)
class Company:
    """Trainings that go as one program, or a single one; its plan is decided."""

    members: tuple[Wanted, ...]
    plan: Plan

    @property
    def work(self) -> int:
        """The multiply-adds of what is left to be trained, to compare companies by."""
        return sum(one.work for one in self.members)


def companies(wanted: Sequence[Wanted]) -> list[Company]:
    """What is wanted, each once, in companies that are not too large and of about equal size.

    They depend on what is wanted and on the run's measures, not on who is there to do it: a
    company's bits are its own. Two workers shall have as much to do as each other; of more, one may
    wait for a half that is the larger for it.
    """
    single = {each.job.name: each for each in wanted}
    plans = {n: e.plan(is_alone=False) for n, e in single.items()} if len(single) > 1 else {}
    groups = _groups(single, plans)
    is_mixed = len({each.is_aside for each in single.values()}) > 1  # then asides fill in
    counts = [
        _count(some, is_spread=bool(plans) and not is_mixed and _are_heavy(some, plans))
        for some in groups
    ]
    wholes = [some for some, count in zip(groups, counts, strict=True) if count == 1]
    lean = 0.0 if is_mixed else _lean(wholes)
    found = []
    for members, count in zip(groups, counts, strict=True):
        parts = _parts(members, count, lean)
        found += [Company(tuple(part), _plan(part, plans)) for part in parts]
        if count == 2:
            lean = abs(lean - _load(parts[0]) + _load(parts[1]))
    return found


def company_of(members: Sequence[Wanted]) -> Company:
    """The company of these, who were found to go together."""
    several = members if len(members) > 1 else ()
    plans = {each.job.name: each.plan(is_alone=False) for each in several}
    return Company(tuple(members), _plan(members, plans))


def _plan(members: Sequence[Wanted], plans: Mapping[str, Plan]) -> Plan:
    """What members of the same sparse layers plan; oneDNN does what it would do for one of them."""
    if len(members) == 1:
        return members[0].plan(is_alone=True)
    ours = [plans[each.job.name] for each in members]
    names = dict.fromkeys(name for plan in ours for name in plan.onednn)
    return replace(ours[0], onednn=tuple(names))


def _groups(single: Mapping[str, Wanted], plans: Mapping[str, Plan]) -> list[list[Wanted]]:
    """Those who could train as one, by their jobs' names."""
    groups: dict[Any, list[Wanted]] = {}
    for name, each in single.items():
        kind = _kind(each, plans[name]) if plans else None
        company = name if kind is None else (kind, plans[name].sparse, each.is_aside)
        groups.setdefault(company, []).append(each)
    return list(groups.values())


def _kind(wanted: Wanted, plan: Plan) -> tuple[Any, ...] | None:
    """What those have in common who train as one; None for one that trains alone.

    One whose weights are read through a lens or tallied does, and one with so much work that
    company would slow it down.
    """
    ticket, job = wanted.ticket, wanted.job
    is_heavy = _computed(wanted, plan) > (MOST_BY_ONEDNN if plan.onednn else MOST_WORK)
    if is_heavy or job.lens or job.tallies or not ticket.is_plain:
        return None
    return wanted.member.company


def _computed(wanted: Wanted, plan: Plan) -> int:
    """Multiply-adds of a batch: a layer that is not sparse is computed zeros and all."""
    ticket, names = wanted.ticket, (f"{name}.weight" for name in plan.sparse)
    remaining = {name: int(ticket.masks[name].count_nonzero()) for name in names}
    batch_size = wanted.bench.batches.fitting(wanted.job.recipe).batch_size
    return cost(ticket.architecture, remaining).remaining_multiply_adds * batch_size


def _are_heavy(members: Sequence[Wanted], plans: Mapping[str, Plan]) -> bool:
    """True iff each is dense and has much work."""
    ours = [(each, plans[each.job.name]) for each in members]
    return all(not plan.sparse and _computed(each, plan) >= MUCH_WORK for each, plan in ours)


def _count(members: Sequence[Wanted], *, is_spread: bool) -> int:
    """How many parts: as few as may be, but of several an even number.

    Two workers shall have as much to do as each other, and who is there must not matter. They are
    several where they are to be spread, for there is nothing else to do meanwhile.
    """
    most = MOST_ASIDE if members[0].is_aside else MOST_MEMBERS
    count = -(-len(members) // most)
    if count > 1 or (is_spread and len(members) >= LEAST_APART):
        count += count % 2
    return count


def _load(members: Sequence[Wanted]) -> float:
    """What a company takes: its members' work, and one more's for what is the company's own."""
    return sum(one.work for one in members) * (1 + 1 / len(members))


def _lean(wholes: Sequence[Sequence[Wanted]]) -> float:
    """How much more one of two workers has to do with whole companies, the larger load first."""
    lean = 0.0
    for load in sorted((_load(some) for some in wholes if some[0].is_portable), reverse=True):
        lean = abs(lean - load)
    return lean


def _parts(members: Sequence[Wanted], count: int, lean: float) -> list[Sequence[Wanted]]:
    """So many parts, in order, whose sizes differ by at most one.

    But of two the first is larger by what the other's worker has to do besides.
    """
    ends = [round(i * len(members) / count) for i in range(count + 1)]
    if count == 2:
        each = sum(one.work for one in members) / len(members)
        most = MOST_ASIDE if members[0].is_aside else MOST_MEMBERS
        even = -(-len(members) // 2)
        uneven = round((len(members) + lean / max(1.0, each)) / 2)
        ends[1] = max(even, min(uneven, most + MOST_UNEVEN, len(members) - 1))
    return [members[low:high] for low, high in pairwise(ends)]
