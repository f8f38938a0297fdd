"""The public names, and a run from Python with its report at the end."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from tiny import TINY
from tuning_desks import SMALL

import recursive_lth
from recursive_lth import api
from recursive_lth.running.progress import Progress

LITTLE = ("data.train_limit=120", "data.test_limit=40", "training.batch_size=16")
PRUNED = (*LITTLE, "training.epochs=0.5", "pruning.rounds=1", "tickets.replicates=1")
STUDIED = (
    *LITTLE, "study.seeds=1", "study.panel=['loss_area']", "study.contrasts=[]",
    "arms=[{name='a', moves=['train 0.5']}]",
)  # fmt: skip


@pytest.mark.parametrize("name", recursive_lth.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(recursive_lth, name) is not None
    assert name in dir(recursive_lth)


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'prunes'"):
        _ = recursive_lth.prunes


@pytest.mark.parametrize(
    ("load", "name", "settings", "play"),
    [
        ("load_experiment", "grow_digits", TINY, "grow"),
        ("load_ticket_experiment", "prune_digits", PRUNED, "prune"),
        ("load_study_experiment", "study_digits", STUDIED, "run_study"),
        ("load_tuning_experiment", "tune_digits", SMALL, "tune"),
    ],
)
def test_folders_may_be_plain_strings(
    load: str, name: str, settings: Sequence[str], play: str, tmp_path: Path
) -> None:
    """Where runs go and where data lie; the run's folder is the same."""
    experiment = getattr(recursive_lth, load)(name, settings)
    run = getattr(recursive_lth, play)(experiment, out=str(tmp_path), data_dir=str(tmp_path))
    assert next(run)
    run.close()
    folder = recursive_lth.run_folder(experiment, str(tmp_path))
    assert folder == recursive_lth.run_folder(experiment, tmp_path)
    assert (folder / "experiment.toml").is_file()


def test_a_run_is_watched_and_its_report_is_there_when_it_ends(tmp_path: Path) -> None:
    """Progress never falls and ends at 1; a report that was deleted comes back, others stay."""
    experiment = recursive_lth.load_experiment("grow_digits", TINY)
    folder = recursive_lth.run_folder(experiment, tmp_path)
    seen: list[Progress] = []
    run = recursive_lth.grow(experiment, out=tmp_path, watch=seen.append)
    first = next(run)
    assert first.generation == 0
    assert not (folder / "report.html").exists()
    rest = list(run)
    assert [turn.generation for turn in rest] == [1, 2]
    done = [place.done for place in seen]
    assert done == sorted(done)
    assert done[-1] == pytest.approx(1)

    report = folder / "report.html"
    written = report.stat().st_mtime_ns
    assert list(api.grow(experiment, out=tmp_path)) == list(api.grow(experiment, out=tmp_path))
    assert report.stat().st_mtime_ns == written
    report.unlink()
    assert len(list(api.grow(experiment, out=str(tmp_path)))) == 3
    assert report.exists()
