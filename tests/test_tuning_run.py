"""Whole tunings at a tiny budget: recalled, resumed, joined, refused; what a worker leaves."""

import json
import signal
from pathlib import Path
from threading import Thread
from types import FrameType
from typing import Any

import pytest
from tuning_desks import SWITCH, TWO, check_whole, small_tuning

from recursive_lth import api
from recursive_lth.config import TuningExperiment
from recursive_lth.errors import InputError
from recursive_lth.files import read_lines
from recursive_lth.running.progress import Progress
from recursive_lth.running.run_folder import run_folder
from recursive_lth.search import run as search_run
from recursive_lth.tuning import queue, trial
from recursive_lth.tuning.desk import Desk, parse_url, sqlite_url
from recursive_lth.tuning.study import opened

TINY = small_tuning(TWO)


def tune(experiment: TuningExperiment, out: Path, **options: Any) -> list[dict[str, Any]]:
    """All rows of a tuning in this process."""
    return list(api.tune(experiment, out=out, device="cpu", **options))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds one finished tuning."""
    out = tmp_path_factory.mktemp("tuned")
    assert [row["trial"] for row in tune(TINY, out)] == [0, 1, 2]
    return out


def test_a_finished_tuning_has_its_files_and_the_numbers_of_its_runs(finished: Path) -> None:
    """Objectives are those of the best ticket by validation; the cost is the whole run's."""
    folder = finished / TINY.folder_name
    assert {"experiment.toml", "study.db", "summary.json", "report.html", "trials"} <= {
        path.name for path in folder.iterdir()
    }
    summary = json.loads((folder / "summary.json").read_text("utf-8"))
    assert read_lines(folder / "trials.jsonl") == summary["trials"]
    for row in summary["trials"]:
        (one,) = row["runs"]
        inner = trial_folder(folder, one)
        lineage = read_lines(inner / "lineage.jsonl")
        won = [line for line in lineage if line["accepted"] and line["generation"] > 0]
        best = max(won, key=lambda line: (line["val_accuracy"], -line["val_calibrated_loss"]))
        assert row["objectives"] == {
            "val_accuracy": best["val_accuracy"],
            "remaining_weights": best["remaining_weights"],
            "training_cost": lineage[-1]["training_cost"],
        }
        assert one["test_accuracy"] == best["test_accuracy"]
    assert summary["best"] in summary["front"]


def trial_folder(folder: Path, one: dict[str, Any]) -> Path:
    """The folder of a trial's run."""
    return folder / str(one["folder"])


def test_a_finished_tuning_is_not_run_again(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (finished / TINY.folder_name / "summary.json").read_bytes()
    monkeypatch.setattr(queue, "take", None)
    assert [row["trial"] for row in tune(TINY, finished)] == [0, 1, 2]
    assert (finished / TINY.folder_name / "summary.json").read_bytes() == before


def test_never_sets_the_earlier_tuning_aside_with_its_study(tmp_path: Path) -> None:
    one = small_tuning(SWITCH, "tune.trials=1")
    url = sqlite_url(tmp_path)
    for storage in (None, url):
        first = tune(one, tmp_path, storage=storage)
        again = tune(one, tmp_path, storage=storage, resume="never")
        assert timeless(first) == timeless(again)
        assert first[0]["ended"] != again[0]["ended"]
        kept = tmp_path / f"{one.folder_name}.old-1"
        assert (kept / "summary.json").is_file()
        kept.rename(tmp_path / f"kept-{storage is None}")
        (tmp_path / one.folder_name).rename(tmp_path / f"done-{storage is None}")


def timeless(rows: list[dict[str, Any]]) -> list[Any]:
    """What a tuning found, without when and how fast."""
    return [(row["trial"], row["values"], row["objectives"], row["state"]) for row in rows]


def test_the_same_values_are_not_computed_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two choices and five trials: two runs, three recalled from their folders."""
    experiment = small_tuning(SWITCH, "tune.trials=5", "tune.sampler=random", "tune.seeds=2")
    begun = []
    real = search_run.grow

    def counted(inner: Any, **options: Any) -> Any:
        if not run_folder(inner, options["out"]).is_finished:
            begun.append(inner.folder_name)
        return real(inner, **options)

    monkeypatch.setattr(trial, "grow", counted)
    rows = tune(experiment, tmp_path)
    assert len(rows) == 5
    found = {row["values"]["growth.optimizer"]: row["objectives"] for row in rows}
    assert len(begun) == len(set(begun)) == 2 * len(found)
    assert all(row["objectives"] == found[row["values"]["growth.optimizer"]] for row in rows)
    for row in rows:
        seeds = [one["seed"] for one in row["runs"]]
        assert seeds == [0, 1]
        mean = sum(one["val_accuracy"] for one in row["runs"]) / 2
        assert row["objectives"]["val_accuracy"] == pytest.approx(mean)


class Interrupted:
    """A watch that stops the run at its nth call, as Ctrl-C would."""

    def __init__(self, calls: int) -> None:
        self.left = calls

    def __call__(self, place: Any) -> None:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


def test_stopped_and_resumed_it_ends_as_one_left_alone(finished: Path, tmp_path: Path) -> None:
    """Stops cost no trial and no proposal: the same values, the same numbers."""
    stops = 0
    for calls in (3, 8, 13, 10_000):
        try:
            tune(TINY, tmp_path, watch=Interrupted(calls))
            break
        except KeyboardInterrupt:
            stops += 1
    assert stops > 1
    rows = tune(TINY, tmp_path)
    assert timeless(rows) == timeless(tune(TINY, finished))
    assert sum(row["attempts"] - 1 for row in rows) == stops
    assert all(row["losses"] == 0 for row in rows)
    url = parse_url(sqlite_url(tmp_path / TINY.folder_name))
    with opened(url, TINY, {}, is_joining=True) as desk:
        check_whole(desk)


def test_a_stop_while_a_trial_is_taken_gives_it_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The signal comes when the database has the trial as ours and this process does not know."""
    take = queue.take

    def taking(desk: Desk) -> queue.Claim | None:
        claim = take(desk)
        signal.raise_signal(signal.SIGTERM)
        return claim

    def stop(number: int, frame: FrameType | None) -> None:
        raise SystemExit(number)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        with monkeypatch.context() as patched:
            patched.setattr(queue, "take", taking)
            with pytest.raises(SystemExit):
                tune(TINY, tmp_path)
    finally:
        signal.signal(signal.SIGTERM, before)
    rows = tune(TINY, tmp_path)
    assert rows[0]["attempts"] == 2
    assert all(row["losses"] == 0 for row in rows)


def test_others_join_without_the_folder_and_finish_without_a_coordinator(tmp_path: Path) -> None:
    """The database alone tells a worker what to run; the last one writes the summary."""
    url = sqlite_url(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        tune(TINY, tmp_path / "here", storage=url, watch=Interrupted(3))
    with pytest.raises(InputError, match=r"has its study in .*leave out|has its study in"):
        tune(TINY, tmp_path / "here", storage=sqlite_url(tmp_path / "here"))
    with pytest.raises(InputError, match="is no folder of a tuning"):
        list(api.work(tmp_path / "there" / TINY.folder_name, device="cpu"))
    far = tmp_path / "there" / TINY.folder_name
    rows = list(api.work(far, storage=url, device="cpu"))
    assert [row["trial"] for row in rows] == [0, 1, 2]
    assert (far / "report.html").is_file()
    assert timeless(tune(TINY, tmp_path / "here")) == timeless(rows)
    assert list(api.work(far, device="cpu")) == []


def test_a_coordinator_without_workers_waits_for_those_that_join(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        tune(TINY, tmp_path, watch=Interrupted(3))  # the study is there to join
    joined: list[dict[str, Any]] = []
    folder = tmp_path / TINY.folder_name
    other = Thread(target=lambda: joined.extend(api.work(folder, device="cpu")))
    other.start()
    told: list[Any] = []
    rows = tune(TINY, tmp_path, workers="0", watch=told.append)
    other.join(60)
    assert timeless(rows) == timeless(joined)
    assert [row["trial"] for row in rows] == [0, 1, 2]
    assert all(place.inner is None for place in told)


def test_progress_is_told_and_never_falls(tmp_path: Path) -> None:
    told: list[Any] = []
    tune(small_tuning(TWO, "tune.trials=2", "tune.seeds=2"), tmp_path, watch=told.append)
    assert {place.trial for place in told} == {0, 1}
    assert {place.run for place in told} <= {0, 1}
    assert all(isinstance(place.inner, Progress) for place in told)
    shares = [place.done for place in told]
    assert shares == sorted(shares)
    assert 0 < shares[-1] <= 1


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"workers": "-1"}, "--workers takes a number from 0 to 1024"),
        ({"heartbeat": 0}, "--heartbeat must be at least 1"),
        ({"resume": "must"}, "nothing to resume"),
        ({"storage": "mysql://me@there/db"}, "workers can share"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], expected: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=expected):
        tune(TINY, tmp_path, **options)


def test_two_coordinators_do_not_meet(tmp_path: Path) -> None:
    first = api.tune(TINY, out=tmp_path, device="cpu")
    next(first)
    with pytest.raises(InputError, match="join it with `recursive-lth worker"):
        tune(TINY, tmp_path)
    first.close()  # type: ignore[attr-defined]
    assert len(tune(TINY, tmp_path)) == 3
