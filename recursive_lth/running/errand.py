"""An errand: a company's trainings as plain values that another process can take along."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from threading import Lock
from time import perf_counter
from typing import Any

from recursive_lth.running.clock import Clock
from recursive_lth.running.crew import fit_here
from recursive_lth.running.fit import EndsAt, Fitted
from recursive_lth.running.job import Bench, Job, Source
from recursive_lth.running.stages import Stages
from recursive_lth.running.supply import Supply
from recursive_lth.running.wanted import MOST_ASIDE, MOST_UNEVEN, Company, Wanted
from recursive_lth.ticket.ticket import Ticket
from recursive_lth.training import device as devices
from recursive_lth.training.batches import Batches
from recursive_lth.training.engine import Plan
from recursive_lth.training.samples import Split

SECONDS_BETWEEN = 1.0
MOST_SPLITS = MOST_ASIDE + MOST_UNEVEN  # kept by a worker at a time: what a company reads
_LOADING = Lock()  # a worker of several threads has several errands

News = Callable[[float, dict[str, Any]], None]  # (epochs trained so far, what else is new)


@dataclass(frozen=True)
class Call:
    """One member of a company without what only its own process has."""

    source: Source[Any]
    ticket: Ticket
    job: Job
    should_stop: EndsAt | None


@dataclass(frozen=True)
class Errand:
    """A company to be trained elsewhere; checkpoints go to the folder `stages`."""

    calls: tuple[Call, ...]
    plan: Plan
    stages: Path


@dataclass(frozen=True)
class Brought:
    """What an errand has brought, in the order of its calls, and where its seconds went."""

    fits: list[Fitted]
    seconds: dict[str, float]


def errand_of(company: Company) -> Errand:
    """A company as an errand; all of its members must be portable."""
    calls = []
    for one in company.members:
        source, stop = one.bench.source, one.should_stop
        if source is None or not (stop is None or isinstance(stop, EndsAt)):
            raise ValueError(f"{one.job.name} cannot be trained by another process")
        calls.append(Call(source, one.ticket, one.job, stop))
    stages = company.members[0].bench.stages.folder.absolute()
    return Errand(tuple(calls), company.plan, stages)


def perform(errand: Errand, news: News) -> Brought:
    """Do the trainings of an errand here, to the same bits as where it comes from."""
    clock, relay = Clock(), Relay(news)
    stages = Stages(errand.stages, is_owner=False)
    with _LOADING:  # members of one seed must read one and the same set of batches
        members = tuple(_wanted(call, stages, relay, clock) for call in errand.calls)
    fits = fit_here(Company(members, errand.plan))
    return Brought(fits, clock.seconds)


def make_ready(source: Source[Any]) -> None:
    """Load here what trainings of this source will ask for, before they do."""
    with _LOADING:
        _data(source)


def _wanted(call: Call, stages: Stages, relay: "Relay", clock: Clock) -> Wanted:
    source = call.source
    parts, batches = _data(source)
    bench = Bench(source.experiment, parts, batches, stages, relay, clock, source=source)
    return Wanted(bench, call.ticket, call.job, call.should_stop)


def _data(source: Source[Any]) -> tuple[Split, Batches]:
    """The parts of a source's data, and the training part as its recipe draws from it."""
    experiment, supply = source.experiment, _supply(source.data_dir, source.device)
    parts = supply.split(experiment.data, experiment.seed)
    return parts, supply.batches(experiment.data, experiment.seed, experiment.training)


@lru_cache(maxsize=1)
def _supply(data_dir: Path | None, device: str) -> Supply:
    """The data of this process, which outlive an errand."""
    return Supply(data_dir, devices.choose(device), most=MOST_SPLITS)


@dataclass
class Relay:
    """Stands in for a run's meter in another process: what it is told goes on as news."""

    news: News
    trained_epochs: float = 0.0
    _told: float = field(default=0.0, repr=False)

    @property
    def is_due(self) -> bool:
        """True iff it is time for news."""
        return perf_counter() - self._told > SECONDS_BETWEEN

    def begin(self, part: int, **changes: Any) -> None:
        """A new part of a run starts: none of an errand's business."""

    def trained(self, epochs: float) -> None:
        """So many more epochs are done."""
        self.trained_epochs += epochs

    def tell(self, *, ahead: float = 0.0, **changes: Any) -> None:
        """Pass on what has changed, not too often."""
        if self.is_due:
            self._told = perf_counter()
            self.news(self.trained_epochs + ahead, changes)
