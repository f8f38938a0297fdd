"""Who does the trainings that are waited for: this process, or workers beside it."""

from collections.abc import Callable, Sequence
from typing import Protocol

from recursive_lth.running.company import fit_company
from recursive_lth.running.fit import Fitted, fit
from recursive_lth.running.wanted import Company, Wanted, companies
from recursive_lth.training import device as devices

Keep = Callable[[Wanted, Fitted, bool], None]  # (what was wanted, what was found, was it alone)
Done = Callable[[Company, list[Fitted]], None]


class Crew(Protocol):
    """Trains companies and hands in each as soon as it is done, in any order."""

    def __call__(self, some: Sequence[Company], done: Done, /) -> None: ...


def here(some: Sequence[Company], done: Done) -> None:
    """The crew of one: this process, one company after another."""
    for company in some:
        done(company, fit_here(company))


def fit_here(company: Company) -> list[Fitted]:
    """What `fit` finds for each member, to rounding, found in this process."""
    one, *others = company.members
    with devices.pinned(one.job.recipe.threads):
        if others:
            return fit_company(company.members, company.sparse)
        return [fit(one.bench, one.ticket, one.job, one.should_stop, sparse=company.sparse)]


def fit_all(wanted: Sequence[Wanted], keep: Keep, crew: Crew = here) -> list[Fitted]:
    """What `fit` finds for each, to rounding; those wanted twice are trained once.

    `keep` is called with each result as soon as it is there.
    """
    found: dict[str, Fitted] = {}

    def done(company: Company, fits: list[Fitted]) -> None:
        for one, fitted in zip(company.members, fits, strict=True):
            keep(one, fitted, len(fits) == 1)
            found[one.job.name] = fitted

    crew(companies(wanted), done)
    return [found[each.job.name] for each in wanted]
