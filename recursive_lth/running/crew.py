"""Who does the trainings that are waited for: this process, or workers beside it."""

from collections.abc import Callable, Sequence
from typing import Protocol

from recursive_lth.errors import InputError
from recursive_lth.running.company import fit_company
from recursive_lth.running.fit import Fitted, fit
from recursive_lth.running.wanted import Company, Wanted, companies
from recursive_lth.training import device as devices

Keep = Callable[[Wanted, Fitted, bool], None]  # (what was wanted, what was found, was it alone)
Done = Callable[[Company, list[Fitted]], None]
Ended = Callable[[Company, int], None]  # (what has ended so many workers and found nothing, these)


class Crew(Protocol):
    """Trains companies and hands in each as soon as it is done or given up, in any order."""

    def __call__(self, some: Sequence[Company], done: Done, ended: Ended, /) -> None: ...


def here(some: Sequence[Company], done: Done, ended: Ended) -> None:
    """The crew of one: this process, one company after another. What ends it ends the run."""
    for company in some:
        done(company, fit_here(company))


def fit_here(company: Company) -> list[Fitted]:
    """What `fit` finds for each member, to rounding, found in this process."""
    one, *others = company.members
    with devices.pinned(one.job.recipe.threads):
        if others:
            return fit_company(company.members, company.plan)
        return [fit(one.bench, one.ticket, one.job, one.should_stop, plan=company.plan)]


def fit_all(wanted: Sequence[Wanted], keep: Keep, crew: Crew = here) -> list[Fitted]:
    """What `fit` finds for each, to rounding; those wanted twice are trained once.

    `keep` is called with each result as soon as it is there. A company that ends its workers beside
    others may only have stood near what did: it is tried again by itself, to the same bits. One
    that ends them by itself too is split, and its members are tried each alone. That and what comes
    of it is put down among the stages: a run that goes on does not try again. A training that ends
    its workers alone is given up where it may be; else `InputError` names it.
    """
    found: dict[str, Fitted] = {}
    whole = companies(wanted)
    alone = {company.members[0].job.name for company in whole if len(company.members) == 1}

    def done(company: Company, fits: list[Fitted]) -> None:
        for one, fitted in zip(company.members, fits, strict=True):
            keep(one, fitted, one.job.name in alone)
            found[one.job.name] = fitted

    doubtful = [company for company in whole if not _is_split(company)]
    if len(doubtful) > 1:
        doubtful = [company for company, _ in _ending(crew, doubtful, done)]
    for company in doubtful:
        for _, workers in _ending(crew, [company], done):
            if len(company.members) == 1:
                done(company, [_given_up(company.members[0], workers)])
                continue
            for one in company.members:
                one.bench.stages.suspect(one.job.name)
    for one in (one for company in whole if _is_split(company) for one in company.members):
        single = Company((one,), one.plan(is_alone=True))
        if known := one.bench.stages.ended(one.job.name):
            done(single, [_given_up(one, known)])
            continue
        for _, workers in _ending(crew, [single], done):
            done(single, [_given_up(one, workers)])
    return [found[each.job.name] for each in wanted]


def _ending(crew: Crew, some: Sequence[Company], done: Done) -> list[tuple[Company, int]]:
    """Have companies trained; those that ended their workers, and how many."""
    ending: list[tuple[Company, int]] = []
    crew(some, done, lambda company, workers: ending.append((company, workers)))
    return ending


def _is_split(company: Company) -> bool:
    """True iff a company of several has ended its workers, by itself, in this run."""
    suspects = [one.bench.stages.ended(one.job.name) is not None for one in company.members]
    return len(suspects) > 1 and any(suspects)


def _given_up(one: Wanted, workers: int) -> Fitted:
    """A training that came to nothing. Raises `InputError` where the run needs it."""
    if not one.may_fail:
        place = ", ".join(f"{key} {at}" for key, at in one.job.place.items() if at is not None)
        raise InputError(
            f"{one.job.name} ({place}) has killed {workers} workers, probably for want of memory: "
            "use fewer --workers, or a smaller network or batch"
        )
    one.bench.stages.suspect(one.job.name, workers)
    return Fitted(one.ticket, [], 0, 0, False, killed=workers)
