"""Trainings on their way: formed into companies, handed to a crew, stored as each is done.

They come in waves. What is set free by a wave is gathered until all of the wave are done that
others follow from, so that companies depend on no clock; those from which nothing follows, as
controls, give the others something to do meanwhile. Companies are put down before they begin, so
that a run that goes on finds the same ones, and stored all or nothing.
"""

from collections import deque
from collections.abc import Sequence

from recursive_lth.errors import InputError
from recursive_lth.running.crew import Crew, Here
from recursive_lth.running.fit import Fitted
from recursive_lth.running.job import Job
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
        self._leads = set[str]()  # jobs under way that others follow from
        self._held: list[Wanted] = []  # of the next wave
        self._doubtful: deque[Company] = deque()  # wait until nothing else runs
        self._by_itself: Company | None = None  # nothing else has run beside it

    def __bool__(self) -> bool:
        return bool(self._running or self._doubtful)

    def want(self, freed: Sequence[Wanted]) -> None:
        """Ask for what a wave, or the part of it that is done, has set free.

        What is wanted twice is trained once. Call it each time that something is done.
        """
        known, new = _put_down(freed)
        self._ask(known)
        self._held += new
        if self._held and not self._leads:
            self._ask(_formed(self._held))
            self._held = []

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
                for one in company.members:
                    one.bench.stages.suspect(one.job.name)
                self._doubtful.extendleft(reversed(_split(company)))

    def _ask(self, some: Sequence[Company]) -> None:
        """Those first that others follow from, and of these the most work."""
        for company in sorted(some, key=lambda c: (c.members[0].is_aside, -c.work)):
            self._leads |= {one.job.name for one in company.members if not one.is_aside}
            if _is_suspect(company):
                self._doubtful.extend(_split(company))
            else:
                self._begin(company)

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
        found = {o.job.name: fitted for o, fitted in zip(company.members, fits, strict=True)}
        self._leads -= found.keys()
        return found


def train_all(wanted: Sequence[Wanted]) -> list[Fitted]:
    """What `train` gives for each, to rounding: those that can go together do, on every worker.

    All wanted are of one run.
    """
    found = {each.job.name: recall(each.bench, each.job) for each in wanted}
    missing = [each for each in wanted if found[each.job.name] is None]
    if missing:
        trainings = Trainings(missing[0].bench.crew)
        trainings.want(missing)
        while trainings:
            found |= trainings.next()
    return [fitted for each in wanted if (fitted := found[each.job.name])]


def _put_down(wanted: Sequence[Wanted]) -> tuple[list[Company], list[Wanted]]:
    """Companies that an earlier process has formed, and what is in none."""
    left = {each.job.name: each for each in wanted}
    told = wanted[0].bench.stages.companies() if wanted else []
    known = [[left.pop(name) for name in names if name in left] for names in told]
    return [company_of(members) for members in known if members], list(left.values())


def _formed(wanted: Sequence[Wanted]) -> list[Company]:
    """New companies, put down before they begin."""
    found = companies(sorted(wanted, key=lambda each: _standing(each.job)))
    names = [[one.job.name for one in company.members] for company in found]
    wanted[0].bench.stages.add_companies(names)
    return found


def _standing(job: Job) -> tuple[str, ...]:
    """Where a training stands in its run, for an order that no resume changes."""
    return *(f"{value:>9}" for value in job.place.values()), job.name


def _is_suspect(company: Company) -> bool:
    """True iff it has ended its workers, by itself, in this run."""
    return any(one.bench.stages.ended(one.job.name) is not None for one in company.members)


def _split(company: Company) -> list[Company]:
    """Each member as a company of its own."""
    return [Company((one,), one.plan(is_alone=True)) for one in company.members]


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
