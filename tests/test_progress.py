"""What a run tells its watcher: never backwards, never too often, and nothing without a watcher."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from search_runs import bench_of, small, whole

from recursive_lth.running import progress
from recursive_lth.running.progress import SECONDS_BETWEEN, Meter, Progress


def test_done_is_the_share_of_the_planned_epochs() -> None:
    """Planned 2 + 1 + 1 epochs: one trained is a quarter; a new generation has done all earlier."""
    told: list[Progress] = []
    meter = Meter(told.append, [2.0, 1.0, 1.0])
    meter.begin(0)
    meter.tell(ahead=1.0)
    meter.trained(2.0)
    meter.tell()
    meter.begin(2, generation=2)
    meter.tell(ahead=0.5)
    assert [now.done for now in told] == [0, 0.25, 0.5, 0.75, 0.875]
    assert {now.generations for now in told} == {2}
    assert [now.generation for now in told] == [0, 0, 0, 2, 2]


def test_a_generation_longer_than_planned_waits_for_the_next() -> None:
    """Done is clamped to the generation's share, so that later ones still move it."""
    told: list[Progress] = []
    meter = Meter(told.append, [1.0, 1.0])
    meter.begin(0)
    meter.trained(5.0)
    meter.tell(ahead=5.0)
    meter.begin(1)
    meter.tell(ahead=1.0)
    assert [now.done for now in told] == [0, 0.5, 0.5, 1]


EVENTS = st.lists(
    st.tuples(st.sampled_from(("begin", "trained", "tell")), st.floats(0, 3)), max_size=30
)


@given(st.lists(st.floats(0, 4), min_size=1, max_size=4), EVENTS)
def test_done_never_falls_and_stays_in_0_to_1(
    planned: list[float], events: list[tuple[str, float]]
) -> None:
    """Whatever happens in whatever order, also where nothing at all was planned."""
    told: list[Progress] = []
    meter = Meter(told.append, planned)
    generation = 0
    for event, epochs in events:
        if event == "begin":
            meter.begin(min(generation, len(planned) - 1))
            generation += 1
        elif event == "trained":
            meter.trained(epochs)
        else:
            meter.tell(ahead=epochs)
    done = [0.0, *(now.done for now in told), 1.0]
    assert done == sorted(done)


def test_a_telling_keeps_what_it_does_not_change() -> None:
    told: list[Progress] = []
    meter = Meter(told.append, [1.0])
    meter.tell(phase="judge", candidate=2, steps=10)
    meter.tell(loss=0.5)
    meter.tell(candidate=None)
    assert (told[1].phase, told[1].candidate, told[1].steps, told[1].loss) == ("judge", 2, 10, 0.5)
    assert (told[2].phase, told[2].candidate, told[2].loss) == ("judge", None, 0.5)


def test_news_are_due_at_most_five_times_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not before 0.2 s after the last telling, and never where nobody watches."""
    now = 100.0
    monkeypatch.setattr(progress, "perf_counter", lambda: now)
    meter, unwatched = Meter(lambda _: None, [1.0]), Meter(None, [1.0])
    assert meter.is_due
    meter.tell()
    assert not meter.is_due
    now += SECONDS_BETWEEN * 0.9
    assert not meter.is_due
    now += SECONDS_BETWEEN * 0.2
    assert meter.is_due
    assert not unwatched.is_due
    assert pytest.approx(0.2) == SECONDS_BETWEEN


def test_without_a_watcher_nothing_is_told() -> None:
    meter = Meter(None, [1.0])
    meter.tell(phase="train")
    meter.begin(0)
    assert meter.now == Progress(generations=0)


def test_progress_never_falls_and_names_every_phase(tmp_path: Path) -> None:
    """From 0 to at most 1; steps within a phase stay within its length."""
    told: list[Progress] = []
    whole(bench_of(small(), tmp_path, told.append))
    done = [now.done for now in told]
    assert done == sorted(done)
    assert done[0] == 0
    assert 0.8 < done[-1] <= 1
    assert {now.phase for now in told} == {"begin", "train", "judge", "grow", "prune"}
    assert all(0 <= now.step <= now.steps for now in told)
    assert {now.generation for now in told} == {0, 1, 2, 3}
    assert {now.candidate for now in told if now.phase == "judge"} >= {0, 1}
    assert all(now.candidate is None for now in told if now.phase in {"train", "grow", "prune"})
