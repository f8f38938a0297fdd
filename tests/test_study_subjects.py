"""Runs and tickets as subjects of a study: their data, seed and networks, and what is refused."""

from dataclasses import replace
from pathlib import Path

import pytest
from lottery_runs import run as run_prune
from lottery_runs import small as small_prune
from search_runs import rows_of
from search_runs import run as run_grow
from search_runs import small as small_grow
from studies import plan, run, small

from recursive_lth.config import StudyExperiment
from recursive_lth.config_file import (
    experiment_to_toml,
    override,
    plain,
    study_experiment_from,
)
from recursive_lth.errors import DamagedFileError, InputError
from recursive_lth.study.moves import Begin, read_move
from recursive_lth.study.subjects import study_of_run, study_of_ticket
from recursive_lth.ticket.ticket import load_ticket

GROWN = small_grow("budget.generations=2", "seed=5")
QUICK = ("study.samples=20", 'study.panel=["val_accuracy","effective_rank"]', "study.looks=1")


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small run of `grow`."""
    return run_grow(GROWN, tmp_path_factory.mktemp("grown"))


def quick(experiment: StudyExperiment) -> StudyExperiment:
    return study_experiment_from(override(plain(experiment), QUICK))


def test_a_run_has_an_arm_for_each_generation(grown: Path) -> None:
    """On the run's own split: one seed, and no training data among those it is judged by."""
    found, lineage = study_of_run(grown), rows_of(grown / "lineage.jsonl")
    assert found.name == "along_small"
    assert [arm.name for arm in found.arms] == [f"generation-{n:03d}" for n in range(3)]
    assert (found.seed, found.study.seeds, found.data) == (5, 1, GROWN.data)
    assert found.start == GROWN.start
    assert found.training == replace(GROWN.training, epochs=found.training.epochs)
    assert not found.study.contrasts
    for arm, line in zip(found.arms, lineage, strict=True):
        begin, training = arm.moves
        assert begin == f"begin {grown}/tickets/{line['digest']}.safetensors"
        assert training == "train 0.5"
    assert study_of_run(grown, length=2).arms[0].moves[1] == "train 2"
    assert study_experiment_from(plain(found)) == found


def test_the_networks_of_a_run_are_read_as_they_are(grown: Path, tmp_path: Path) -> None:
    """Before training each is the ticket to the last weight: its accuracy is that of the run."""
    found = quick(study_of_run(grown))
    lines, lineage = run(found, tmp_path), rows_of(grown / "lineage.jsonl")
    before = [line for line in lines if line["moment"] == 0]
    assert len(lines) == 2 * len(before) == 6
    assert [x["remaining_weights"] for x in before] == [x["remaining_weights"] for x in lineage]
    assert [x["depth"] for x in before] == [x["depth"] for x in lineage]
    starts = [row["curve"][0] for row in rows_of(tmp_path / found.folder_name / "curves.jsonl")]
    assert [x["val_accuracy"] for x in starts] == [x["val_accuracy"] for x in lineage]
    assert [x["val_loss"] for x in starts] == pytest.approx([x["val_loss"] for x in lineage])
    stands = plan(found).stands
    for line, stand in zip(lineage, stands.values(), strict=True):
        saved = load_ticket(grown / "tickets" / f"{line['digest']}.safetensors")
        begun = stand.trainings[0].before
        for name, born in saved.births.items():
            assert begun.births[name].equal(born)
            assert begun.weights[name].equal(saved.weights[name])


def test_tickets_are_read_with_their_weights_where_the_run_took_a_shape_alone(
    grown: Path, tmp_path: Path
) -> None:
    """A run that began with `weights="fresh"` of a ticket has trained tickets all the same."""
    first = rows_of(grown / "lineage.jsonl")[0]["digest"]
    path = grown / "tickets" / f"{first}.safetensors"
    again = small_grow(
        "budget.generations=1", "start.hidden=[]", f'start.architecture="{path}"',
        'start.weights="fresh"',
    )  # fmt: skip
    folder = run_grow(again, tmp_path)
    line = rows_of(folder / "lineage.jsonl")[0]
    begun = plan(study_of_run(folder)).stands["generation-000"].trainings[0].before
    saved = load_ticket(folder / "tickets" / f"{line['digest']}.safetensors")
    assert all(begun.weights[name].equal(saved.weights[name]) for name in saved.weights)


def test_a_ticket_in_a_run_of_grow_has_the_run_s_data(grown: Path, tmp_path: Path) -> None:
    digest = rows_of(grown / "lineage.jsonl")[-1]["digest"]
    path = grown / "tickets" / f"{digest}.safetensors"
    found = study_of_ticket(path, data=None)
    assert (found.seed, found.data) == (5, GROWN.data)
    assert found.training.learning_rate == GROWN.training.learning_rate
    assert [arm.name for arm in found.arms] == ["ticket"]
    lines = run(quick(found), tmp_path)
    assert [line["moment"] for line in lines] == [0, 1]
    assert lines[0]["remaining_weights"] == load_ticket(path).cost.remaining_weights
    assert study_of_ticket(path, data="mnist").data.name == "mnist"


def test_a_ticket_outside_of_any_run_needs_its_data(grown: Path, tmp_path: Path) -> None:
    digest = rows_of(grown / "lineage.jsonl")[-1]["digest"]
    path = load_ticket(grown / "tickets" / f"{digest}.safetensors").save(tmp_path / "x.safetensors")
    with pytest.raises(InputError, match=r"lies in no run's folder: name its data with --data"):
        study_of_ticket(path, data=None)
    found = study_of_ticket(path, data="digits")
    assert (found.seed, found.data.name, found.study.seeds) == (0, "digits", 1)
    assert plan(found).stands["ticket"].trainings[0].steps >= 1


@pytest.mark.parametrize("name", ["plain", "lr=0.1", "it's a ticket"])
def test_a_ticket_stands_there_as_it_was_given(
    name: str, grown: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its own path and no longer one, whatever there is in it."""
    digest = rows_of(grown / "lineage.jsonl")[-1]["digest"]
    saved = load_ticket(grown / "tickets" / f"{digest}.safetensors")
    saved.save(tmp_path / name / "x.safetensors")
    monkeypatch.chdir(tmp_path)
    path = Path(name) / "x.safetensors"
    found = study_of_ticket(path, data="digits")
    assert found.start.architecture == str(path)
    begin = read_move(found.arms[0].moves[0])
    assert isinstance(begin, Begin)
    assert Path(begin.architecture) == path
    assert str(tmp_path) not in experiment_to_toml(found)
    begun = plan(found).stands["ticket"].trainings[0].before
    assert begun.cost == saved.cost


def test_a_ticket_of_prune_has_the_data_and_seed_of_its_replicate(tmp_path: Path) -> None:
    arms = {"own": [], "other": ["training.learning_rate=0.01", "data.train_limit=100"]}
    experiment = small_prune("tickets.replicates=2", "pruning.rounds=1", arms=arms)
    lines = run_prune(experiment, tmp_path)
    folder = tmp_path / experiment.folder_name
    for line in lines:
        found = study_of_ticket(folder / "tickets" / f"{line['digest']}.safetensors", data=None)
        is_other = line["arm"] == "other"
        assert found.seed == line["seed"] == 3 + line["replicate"]
        assert found.data.train_limit == (100 if is_other else 150)
        assert found.training.learning_rate == (0.01 if is_other else 0.02)


def test_a_ticket_of_a_study_has_the_seed_that_it_was_found_by(tmp_path: Path) -> None:
    experiment = small(arms={"a": ("train 0.2",)})
    run(experiment, tmp_path)
    folder = tmp_path / experiment.folder_name
    for curve in rows_of(folder / "curves.jsonl"):
        path = folder / "tickets" / f"{curve['digest']}.safetensors"
        found = study_of_ticket(path, data=None)
        assert (found.seed, found.data) == (curve["seed"], experiment.data)


def test_what_is_no_subject_is_refused(grown: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no file"):
        study_of_run(tmp_path)
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "experiment.toml").write_bytes((grown / "experiment.toml").read_bytes())
    with pytest.raises(InputError, match=r"has no ticket yet: let `grow` find one first"):
        study_of_run(empty)
    experiment = small(arms={"a": ("train 0.2",)})
    run(experiment, tmp_path)
    with pytest.raises(InputError, match=r"is a run of `study`: give a run of `grow`"):
        study_of_run(tmp_path / experiment.folder_name)
    with pytest.raises(InputError, match="no ticket at"):
        study_of_ticket(tmp_path / "none.safetensors", data="digits")
    torn = tmp_path / "torn.safetensors"
    torn.write_bytes(b"torn")
    with pytest.raises(DamagedFileError, match="is damaged"):
        study_of_ticket(torn, data="digits")
