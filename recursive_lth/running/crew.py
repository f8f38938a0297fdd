"""Who does the trainings that are waited for: this process, or workers beside it."""

from collections import deque
from typing import Protocol

from recursive_lth.running.company import fit_company
from recursive_lth.running.fit import Fitted, fit
from recursive_lth.running.wanted import Company
from recursive_lth.training import device as devices

Found = list[Fitted] | int  # what each member came to; or how many workers they have ended


class Crew(Protocol):
    """Trains companies; whoever is free takes the one that has waited longest."""

    def begin(self, company: Company) -> None:
        """Take on one more."""
        ...

    def next(self) -> tuple[Company, Found]:
        """Wait for the first of those taken on that is done or given up."""
        ...


class Here:
    """The crew of one: this process, one company after another. What ends it ends the run."""

    def __init__(self) -> None:
        self._waiting: deque[Company] = deque()

    def begin(self, company: Company) -> None:
        """It waits its turn."""
        self._waiting.append(company)

    def next(self) -> tuple[Company, Found]:
        """Train the next."""
        company = self._waiting.popleft()
        return company, fit_here(company)


def fit_here(company: Company) -> list[Fitted]:
    """What `fit` finds for each member, to rounding, found in this process."""
    one, *others = company.members
    with devices.pinned(one.job.recipe.threads):
        if others:
            return fit_company(company.members, company.plan)
        return [fit(one.bench, one.ticket, one.job, one.should_stop, plan=company.plan)]
