"""Trainings on their way: formed into companies, handed to a crew, stored as each is done.

They come in waves. What is set free by a wave is gathered until all of the wave are done that
others follow from, so that companies depend on no clock; those from which nothing follows, as
controls, give the others something to do meanwhile. Companies are put down before they begin, so
that a run that goes on finds the same ones, and stored all or nothing.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import replace

from recursive_lth.errors import InputError
from recursive_lth.running.crew import Crew, Here
from recursive_lth.running.fit import Fitted
from recursive_lth.running.train import recall, store
from recursive_lth.running.wanted import Company, Wanted, companies, company_of


class Trainings:
    """What has been asked for and is not done.

    A company that ends its workers beside others may only have stood near what did: once nothing
    else is under way it is tried again by itself, to the same bits. One that ends them by itself
    too is split, and its members are tried each alone. That and what comes of it is put down among
    the stages: a run that goes on does not try again. A training that ends its workers alone is
    given up where it may be; else `InputError` names it.
    """

    def __init__(self, crew: Crew | None = None) -> None:
        self._crew = crew or Here()
        self._running = 0
        self._asked = set[str]()  # jobs under way
        self._leads = set[str]()  # those of them that others follow from
        self._held: dict[str, Wanted] = {}  # of the next wave; only while there are leads
        self._doubtful: deque[Company] = deque()  # wait until nothing else runs
        self._by_itself: Company | None = None  # nothing else has run beside it

    def __bool__(self) -> bool:
        return bool(self._running or self._doubtful)

    def want(self, freed: Sequence[Wanted]) -> None:
        """Ask for what a wave, or the part of it that is done, has set free.

        What is wanted twice is trained once, in the place of the first in order: who asked first
        is a matter of time. Call it each time that something is done.
        """
        for each in freed:
            name = each.job.name
            if name not in self._asked:
                self._held[name] = _merged(each, self._held.get(name, each))
            elif not each.is_aside:
                self._leads.add(name)
        self._ask(self._recorded())
        if self._held and not self._leads:
            new = companies(sorted(self._held.values(), key=_standing))
            new[0].members[0].bench.stages.add_companies([_names(company) for company in new])
            self._held = {}
            self._ask(new)

    def next(self) -> dict[str, Fitted]:
        """What the first company that is done has come to, by its jobs' names; it is stored."""
        while True:
            if not self._running:
                company = self._doubtful.popleft()
                if known := _ended_alone(company):
                    return self._keep(company, [_given_up(company.members[0], known)])
                self._begin(company)
            company, found = self._crew.next()
            self._running -= 1
            if not isinstance(found, int):
                return self._keep(company, found)
            if company is not self._by_itself:
                self._doubtful.append(company)
            elif len(company.members) == 1:
                return self._keep(company, [_given_up(company.members[0], found)])
            else:
                self._split(company)

    def _recorded(self) -> list[Company]:
        """Companies of what is held as an earlier process has formed them; it is held no longer."""
        told = next(iter(self._held.values())).bench.stages.companies() if self._held else []
        found = [[self._held.pop(name) for name in names if name in self._held] for names in told]
        return [company_of(members) for members in found if members]

    def _ask(self, some: Sequence[Company]) -> None:
        """Those first that others follow from, and of these the most work."""
        for company in sorted(some, key=lambda c: (c.members[0].is_aside, -c.work)):
            self._asked.update(_names(company))
            self._leads |= {one.job.name for one in company.members if not one.is_aside}
            if _is_suspect(company):
                self._split(company)
            else:
                self._begin(company)

    def _split(self, company: Company) -> None:
        """Have each member tried by itself, in this process and in any that goes on."""
        for one in company.members:
            if one.bench.stages.ended(one.job.name) is None:
                one.bench.stages.suspect(one.job.name)
            self._doubtful.append(company_of([one]))

    def _begin(self, company: Company) -> None:
        self._by_itself = None if self._running else company
        self._running += 1
        self._crew.begin(company)

    def _keep(self, company: Company, fits: Sequence[Fitted]) -> dict[str, Fitted]:
        """Store what a company has come to: all of it or, where the run is killed, nothing."""
        is_alone = len(company.members) == 1
        for one, fitted in zip(company.members, fits, strict=True):
            store(one.bench, one.job, fitted, is_alone=is_alone)
        company.members[0].bench.stages.confirm()
        found = dict(zip(_names(company), fits, strict=True))
        self._asked -= found.keys()
        self._leads -= found.keys()
        return found


def train_all(wanted: Sequence[Wanted]) -> list[Fitted]:
    """What `train` gives for each, to rounding: those that can go together do, on every worker.

    All wanted are of one run.
    """
    recalled = {each.job.name: recall(each.bench, each.job) for each in wanted}
    found = {name: fitted for name, fitted in recalled.items() if fitted}
    missing = [each for each in wanted if each.job.name not in found]
    if missing:
        trainings = Trainings(missing[0].bench.crew)
        trainings.want(missing)
        while trainings:
            found |= trainings.next()
    return [found[each.job.name] for each in wanted]


def _merged(one: Wanted, other: Wanted) -> Wanted:
    """What two ask for alike."""
    first = min(one, other, key=_standing)
    return replace(first, is_aside=one.is_aside and other.is_aside)


def _names(company: Company) -> list[str]:
    return [one.job.name for one in company.members]


def _standing(wanted: Wanted) -> tuple[str, ...]:
    """Where a training stands in its run, for an order that no resume changes."""
    return *(f"{value:>9}" for value in wanted.job.place.values()), wanted.job.name


def _is_suspect(company: Company) -> bool:
    """True iff it has ended its workers, by itself, in this run."""
    return any(one.bench.stages.ended(one.job.name) is not None for one in company.members)


def _ended_alone(company: Company) -> int | None:
    """How many workers a training is known to have ended alone."""
    one, *others = company.members
    return None if others else one.bench.stages.ended(one.job.name)


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
