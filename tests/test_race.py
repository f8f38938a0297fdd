"""Races: noise estimated as it is, the beaten found at the rate promised, costs counted."""

import numpy as np
import pytest
from judged import DEEPEN, WIDEN, WIDER, Scripted
from numpy.typing import NDArray
from search_runs import tried

from recursive_lth.running.job import Job
from recursive_lth.search.judging import race as module
from recursive_lth.search.judging.race import LEVEL, Noise, by_noise, noise_of, wilcoxon
from recursive_lth.search.objectives import preferred


def races(
    count: int, runners: int, seeds: int, sigma: float, *, lead: float = 0.0
) -> NDArray[np.float64]:
    """Gains (races, runners, seeds): what runners are worth, what seeds do to all, and noise."""
    draw = np.random.default_rng(7)
    worth = np.zeros(runners)
    worth[0] = lead
    shared = draw.normal(0, 5 * sigma, (count, 1, seeds))
    return worth[None, :, None] + shared + draw.normal(0, sigma, (count, runners, seeds))


def test_noise_is_estimated_whatever_seeds_do_to_all() -> None:
    """The mean estimate over many races is the variance; degrees add up; lone runners tell none."""
    tables = races(4000, 4, 3, 0.2)
    found = [noise_of([table]) for table in tables]
    assert np.mean([noise.variance for noise in found]) == pytest.approx(0.04, rel=0.03)
    assert {noise.degrees for noise in found} == {6}
    pooled = noise_of(list(tables[:10]))
    assert pooled.degrees == 60
    assert pooled.variance == pytest.approx(np.mean([n.variance for n in found[:10]]))
    assert noise_of([tables[0][:1], tables[0][:, :1], np.zeros((0, 0))]) == Noise(0.0, 0)


def test_the_better_of_two_alike_is_sent_away_at_the_level() -> None:
    """Two runners of equal worth: the first is beaten in 5 % of races, as the second is."""
    tables = races(4000, 2, 4, 0.1)
    beaten = [by_noise(table, noise_of([table])) for table in tables]
    for row in (0, 1):
        share = np.mean([row in rows for rows in beaten])
        assert abs(share - LEVEL) < 4 * np.sqrt(LEVEL * (1 - LEVEL) / len(tables))


def test_what_lies_far_behind_is_beaten_and_the_leader_never() -> None:
    tables = races(200, 3, 3, 0.1, lead=2.0)
    for table in tables:
        assert by_noise(table, noise_of([table])) == {1, 2}
    assert by_noise(tables[0][:, :1], Noise(0.0, 0)) == frozenset()
    assert by_noise(tables[0][:, :1], Noise(0.01, 6)) == {1, 2}  # known from earlier races


def test_wilcoxon_needs_five_seeds() -> None:
    """Of n pairs all of one sign the least p is 2^-n: .0625 with four, .031 with five."""
    table = np.array([[1.0] * 5, [0.9, 0.8, 0.7, 0.6, 0.5]])
    assert wilcoxon(table[:, :4], Noise(0.0, 0)) == frozenset()
    assert wilcoxon(table, Noise(0.0, 0)) == {1}


def test_a_race_trains_the_leaders_anew_and_counts_it(judged: Scripted, trained: list[Job]) -> None:
    """Three growths, the better half of two and not growing under three seeds at most."""
    settings = ("growth.replicates=3", "growth.keep=0.6", "growth.rungs=1")
    seedling = judged(WIDEN, DEEPEN, WIDER, settings=settings)
    again = [job for job in trained if "again" in job.name]
    assert again
    assert len({job.seed for job in again}) == len({job.name.split("-")[-1] for job in again})
    assert {job.seed for job in again}.isdisjoint({job.seed for job in trained if job not in again})
    raced = [c for c in seedling.candidates if c.replicates]
    assert 2 <= len(raced) <= 3
    assert raced[0].number == 0
    assert set(raced[0].replicates) == {0.0}
    for candidate in raced:
        assert candidate.replicates[0] == candidate.rungs[-1]
        assert candidate.gain == pytest.approx(np.mean(candidate.replicates))
        turns = 1 + sum(job.labels["candidate"] == candidate.number for job in again)
        assert len(candidate.replicates) == turns
        assert candidate.training_steps == 14 * turns
    assert seedling.cost == sum(c.training_cost for c in seedling.candidates)


def test_who_has_not_run_to_the_end_cannot_win(
    judged: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Further seeds are bad for all runners, so that the one that stayed out looks best."""
    monkeypatch.setattr(module, "again", lambda bench, generation, runners, turn: [-9.0] * 2)
    settings = ("growth.replicates=3", "growth.keep=0.4", "growth.rungs=1")
    seedling = judged(WIDEN, DEEPEN, settings=settings)
    raced = [c for c in seedling.candidates if c.replicates]
    out = next(c for c in seedling.candidates if not c.replicates)
    assert len(raced) == 2
    assert (out.gain or 0.0) > max(c.gain or 0.0 for c in raced)
    assert out.status == "judged"
    assert next(c for c in raced if c.status == "chosen").gain == max(c.gain or 0.0 for c in raced)


def test_who_repeats_a_runner_bears_its_mean(
    judged: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would tell the policy of a gain that has not lasted; it is no runner of its own."""
    monkeypatch.setattr(module, "again", lambda bench, generation, runners, turn: [-9.0] * 2)
    seedling = judged(DEEPEN, DEEPEN, settings=("growth.replicates=3", "growth.rungs=1"))
    runner, twin = seedling.candidates[1:]
    assert (twin.status, twin.replicates) == ("repeated", ())
    assert twin.gain == runner.gain == pytest.approx((runner.rungs[-1] - 18) / 3)


def test_nor_can_who_was_sent_away() -> None:
    """Of two finalists, one sent away after two seeds, and one that stayed out."""
    gains = [(0.0, 0.0, 0.0), (0.010, 0.001, 0.001), (0.009, 0.001, 0.005), (0.008, 0.007), ()]
    mean = [float(np.mean(some)) if some else 0.0075 for some in gains]
    made = [tried(n, gain=mean[n], replicates=some) for n, some in enumerate(gains)]
    assert max(made, key=lambda one: one.gain or 0.0).number == 3
    assert preferred(made, ("gain",)).number == 2
