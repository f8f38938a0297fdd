"""The crew of workers: who is free takes the next, and nobody idles while this process is busy."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import distributed
import pytest
from test_companies import wanted

from recursive_lth.running.errand import Brought, Errand
from recursive_lth.running.fit import Fitted
from recursive_lth.running.wanted import Company
from recursive_lth.running.workers import _Dask
from recursive_lth.training.engine import DENSE


class Future:
    """What comes of an errand once the test says so; a lost one is not done though waited for."""

    def __init__(self, errand: Errand) -> None:
        self.errand, self.is_done = errand, False
        self.key = errand.calls[0].job.name

    def done(self) -> bool:
        return self.is_done

    def result(self) -> Brought:
        fits = [Fitted(call.ticket, [], call.job.steps, 0, False) for call in self.errand.calls]
        return Brought(fits, {})


class Client:
    """A cluster of two workers of one thread each."""

    def __init__(self, threads: int = 2) -> None:
        self.given: list[Future] = []
        self.threads = {f"worker {n}": 1 for n in range(threads)}
        self.cancelled: list[Future] = []

    def subscribe_topic(self, topic: str, handler: Any) -> None:
        self.handler = handler

    def nthreads(self) -> dict[str, int]:
        return self.threads

    def submit(self, travel: Any, errand: Errand, **_: Any) -> Future:
        self.given.append(Future(errand))
        return self.given[-1]

    def cancel(self, futures: list[Future], **_: Any) -> None:
        self.cancelled += futures

    @contextmanager
    def as_current(self) -> Iterator[None]:
        yield


def companies(folder: Path, count: int) -> list[Company]:
    return [Company((one,), DENSE) for one in wanted(folder, count)]


def names(futures: list[Future]) -> list[str]:
    return [future.key for future in futures]


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What happens while the crew waits, call by call: a function, or an error."""
    events: list[Any] = []

    def wait(futures: list[Future], **_: Any) -> None:
        assert futures
        event = events.pop(0)
        if isinstance(event, Exception):
            raise event
        event()

    monkeypatch.setattr(distributed, "wait", wait)
    return events


def finishing(client: Client, number: int) -> Any:
    def finish() -> None:
        client.given[number].is_done = True

    return finish


@pytest.mark.parametrize("threads", [0, 1, 2, 9])
def test_an_errand_for_each_thread(threads: int, tmp_path: Path, waits: list[Any]) -> None:
    """The next is handed out as one comes back; without workers one waits for the first of them."""
    client = Client(threads)
    crew = _Dask(client)
    for company in companies(tmp_path, 4):
        crew.begin(company)
    at_once = min(4, max(1, threads))
    assert names(client.given) == [f"job-{n:02}" for n in range(at_once)]
    waits.append(finishing(client, 0))
    company, found = crew.next()
    assert company.members[0].job.name == "job-00"
    assert isinstance(found, list)
    assert len(client.given) == min(4, at_once + 1)
    crew.cancel()
    assert names(client.cancelled) == names(client.given)[1:]


def test_what_was_lost_is_waited_for_again(tmp_path: Path, waits: list[Any]) -> None:
    client = Client()
    crew = _Dask(client)
    crew.begin(companies(tmp_path, 1)[0])
    waits += [lambda: None, finishing(client, 0)]
    assert crew.next()[0].members[0].job.name == "job-00"
    assert not waits


def test_all_is_handed_out_before_this_process_is_busy(tmp_path: Path) -> None:
    client, stays = Client(), wanted(tmp_path, 5)[-1]
    crew = _Dask(client)
    for company in companies(tmp_path, 4):
        crew.begin(company)
    crew.begin(Company((replace(stays, bench=replace(stays.bench, source=None)),), DENSE))
    assert len(client.given) == 4
    company, found = crew.next()
    assert company.members[0].job.name == "job-04"
    assert isinstance(found, list)
    assert found[0].steps == 7


def test_news_of_what_is_back_is_old(tmp_path: Path, waits: list[Any]) -> None:
    """Epochs that are booked are not ahead as well."""
    client, told = Client(), list[float]()
    crew = _Dask(client)
    for company in companies(tmp_path, 2):
        meter = company.members[0].bench.meter
        meter.tell = lambda *, ahead=0.0, **_: told.append(ahead)  # type: ignore[method-assign]
        crew.begin(company)
    waits.append(finishing(client, 0))
    crew.next()
    client.handler((0, ("job-00", 5.0, {"loss": 1})))
    client.handler((0, ("job-01", 2.0, {"loss": 1})))
    waits += [TimeoutError(), finishing(client, 1)]
    crew.next()
    assert told == [2.0]
