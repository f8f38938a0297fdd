"""A whole run: resumed, refused, finished, and the test data untouched until the end."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from search_runs import Stop, rows_of, run, small, stopping, timeless, write_data

from recursive_lth.errors import DamagedFileError, InputError
from recursive_lth.running.run_folder import run_folder
from recursive_lth.search import run as module
from recursive_lth.search.generation import read_lineage
from recursive_lth.ticket.ticket import load_ticket

SMALL = small("budget.generations=2")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run."""
    return run(SMALL, tmp_path_factory.mktemp("finished"))


@pytest.fixture
def begun(tmp_path: Path) -> Path:
    """The folder of the same run, stopped after generation 1."""
    return run(SMALL, tmp_path, generations=2)


def test_a_run_leaves_what_is_promised(finished: Path) -> None:
    """Nothing more, nothing transient, and every ticket of the lineage under its digest."""
    assert {p.name for p in finished.iterdir()} == {
        "experiment.toml",
        "lineage.jsonl",
        "metrics.jsonl",
        "origin.json",
        "summary.json",
        "tickets",
    }
    rows = rows_of(finished / "lineage.jsonl")
    assert [row["generation"] for row in rows] == [0, 1, 2]
    for row in rows:
        ticket = load_ticket(run_folder(SMALL, finished.parent).ticket(row["digest"]))
        assert ticket.digest == row["digest"]
        assert ticket.provenance == {"experiment": SMALL.digest, "generation": row["generation"]}
        assert 0 <= row["test_accuracy"] <= 1
    assert len(list((finished / "tickets").iterdir())) == 3


def test_curves_are_those_of_every_phase(finished: Path) -> None:
    """In order, each ending at its last step; the last row of a generation is its ticket's."""
    rows = rows_of(finished / "metrics.jsonl")
    phases = [(r["generation"], r["phase"], r["candidate"], r["round"]) for r in rows]
    assert list(dict.fromkeys(phases)) == [
        *((0, "train", None, None), (1, "prune", None, 1), (1, "prune", None, 2)),
        *((2, "judge", number, None) for number in (0, 1, 2)),
        *((2, "grow", None, None), (2, "prune", None, 1)),
    ]
    for turn in rows_of(finished / "lineage.jsonl"):
        last = [r for r in rows if r["generation"] == turn["generation"]][-1]
        for name in ("val_loss", "val_accuracy", "val_calibrated_loss"):
            assert last[name] == turn[name]


def test_a_generation_is_on_disk_when_it_is_yielded(tmp_path: Path) -> None:
    """Its line, its ticket and its curves; no test data yet, no summary."""
    folder = run_folder(SMALL, tmp_path)
    for number, turn in enumerate(module.grow(SMALL, out=tmp_path, device="cpu")):
        assert read_lineage(folder)[-1] == turn
        assert turn.generation == number
        assert turn.test_accuracy is None
        assert load_ticket(folder.ticket(turn.digest)).digest == turn.digest
        metrics = rows_of(folder.path / "metrics.jsonl")
        assert {row["generation"] for row in metrics} == set(range(number + 1))
        assert not folder.is_finished
    assert folder.is_finished


def test_the_same_seed_gives_the_same_bytes(finished: Path, tmp_path: Path) -> None:
    """Every file, times aside; nothing of this process's randomness gets in."""
    torch.manual_seed(9)
    assert timeless(run(SMALL, tmp_path)) == timeless(finished)


def test_another_seed_gives_another_run(finished: Path, tmp_path: Path) -> None:
    """Other validation samples, other weights, other growths: no ticket is the same."""
    other = run(replace(SMALL, seed=4), tmp_path)
    assert other.name != finished.name
    ours, theirs = (rows_of(f / "lineage.jsonl") for f in (finished, other))
    assert {row["digest"] for row in ours}.isdisjoint(row["digest"] for row in theirs)
    assert [row["val_loss"] for row in ours] != [row["val_loss"] for row in theirs]
    asked = [[c["asked"] for c in rows[2]["candidates"][1:]] for rows in (ours, theirs)]
    assert asked[0] != asked[1]


def test_a_finished_run_computes_nothing(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It reads its lineage: no data, no training, not a byte or a time changed; must agrees."""

    def never(*_: Any, **__: Any) -> None:
        raise AssertionError

    for name in ("load", "generations", "evaluate"):
        monkeypatch.setattr(module, name, never)
    before = {p: p.stat().st_mtime_ns for p in finished.rglob("*")}
    for _ in range(2):
        found = list(module.grow(SMALL, out=finished.parent, device="cpu", resume="must"))
        assert found == read_lineage(run_folder(SMALL, finished.parent))
    assert {p: p.stat().st_mtime_ns for p in finished.rglob("*")} == before


def test_a_stopped_run_goes_on_without_doing_it_again(begun: Path, finished: Path) -> None:
    """What was found is yielded first, as it was; files end the same."""
    before = read_lineage(run_folder(SMALL, begun.parent))
    turns = list(module.grow(SMALL, out=begun.parent, device="cpu", resume="must"))
    assert turns[:2] == before
    assert turns[2].seconds > 0
    assert timeless(begun) == timeless(finished)


def test_never_begins_anew_and_keeps_the_old(begun: Path, finished: Path) -> None:
    """A finished run too."""
    for number in (1, 2):
        old = timeless(begun)
        turns = list(module.grow(SMALL, out=begun.parent, device="cpu", resume="never"))
        assert [turn.generation for turn in turns] == [0, 1, 2]
        assert timeless(begun.with_name(f"{begun.name}.old-{number}")) == old
        assert timeless(begun) == timeless(finished)


def test_curves_a_stop_left_behind_come_once(begun: Path, finished: Path) -> None:
    """Rows of the generation that was at work, and a torn line."""
    row = rows_of(begun / "metrics.jsonl")[-1] | {"generation": 2}
    with (begun / "metrics.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n" + json.dumps(row)[:40])
    run(SMALL, begun.parent)
    assert timeless(begun) == timeless(finished)


@pytest.mark.parametrize("harm", ["cut", "turned"])
@pytest.mark.parametrize("generation", [0, 1])
def test_a_damaged_ticket_stops_the_run(harm: str, generation: int, begun: Path) -> None:
    """The parent's at once, another's at the latest when it is tested; no summary is written."""
    digest = rows_of(begun / "lineage.jsonl")[generation]["digest"]
    path = begun / "tickets" / f"{digest}.safetensors"
    content = path.read_bytes()
    turned = content[:-5] + bytes([content[-5] ^ 1]) + content[-4:]
    path.write_bytes(content[:-5] if harm == "cut" else turned)
    with pytest.raises(DamagedFileError, match=digest):
        run(SMALL, begun.parent)
    assert not (begun / "summary.json").exists()


def test_a_lost_ticket_stops_the_run(begun: Path) -> None:
    digest = rows_of(begun / "lineage.jsonl")[1]["digest"]
    (begun / "tickets" / f"{digest}.safetensors").unlink()
    with pytest.raises(DamagedFileError, match=rf"{digest}\.safetensors is gone"):
        run(SMALL, begun.parent)


def test_another_ticket_s_file_is_not_taken(begun: Path) -> None:
    """A sound file under a wrong name is damage: the lineage says which ticket it must be."""
    first, second = (row["digest"] for row in rows_of(begun / "lineage.jsonl"))
    tickets = begun / "tickets"
    content = (tickets / f"{first}.safetensors").read_bytes()
    (tickets / f"{second}.safetensors").write_bytes(content)
    with pytest.raises(DamagedFileError, match=second):
        run(SMALL, begun.parent)


def test_a_run_stopped_when_it_was_finished_is_cleared(tmp_path: Path) -> None:
    """Killed after its summary, before its transient files were gone: they go the next time."""
    with pytest.raises(Stop), stopping(shutil, "rmtree", 3):  # after one for each generation
        run(SMALL, tmp_path)
    assert (run_folder(SMALL, tmp_path).path / "summary.json").exists()
    assert not (run(SMALL, tmp_path) / "work").exists()


def test_other_data_are_refused(tmp_path: Path) -> None:
    """The digest of the data is held to, also when the run is finished; nothing is changed."""
    path = tmp_path / "data.npz"
    write_data(path, 0)
    experiment = small(f"data.name={json.dumps(str(path))}", "budget.generations=2")
    folder = run(experiment, tmp_path, generations=1)
    before = timeless(folder)
    write_data(path, 1)
    with pytest.raises(InputError, match=r"begun with another data .*--resume never"):
        run(experiment, tmp_path)
    assert timeless(folder) == before
    write_data(path, 0)
    assert len(rows_of(run(experiment, tmp_path) / "lineage.jsonl")) == 3
    write_data(path, 1)
    with pytest.raises(InputError, match=r"begun with another data"):
        run(experiment, tmp_path)


def test_another_torch_is_refused(begun: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its kernels may round otherwise."""
    monkeypatch.setattr(torch, "__version__", "0.0")
    with pytest.raises(InputError, match=r"begun with another torch \(.*, now 0\.0\)"):
        run(SMALL, begun.parent)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["growth.policy=tpee"], "did you mean 'tpe'"),
        (["data.name=digit"], "did you mean 'digits'"),
        (["pruning.rewind=22it"], "has only 21 steps"),
        (["data.train_limit=2"], "each part needs 2"),
    ],
)
def test_what_cannot_run_leaves_nothing_behind(
    settings: list[str], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        run(small(*settings), tmp_path / "runs")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_errors_come_before_anything_is_set_aside(begun: Path) -> None:
    """A wrong device with `never` leaves the earlier run where it is."""
    before = timeless(begun)
    with pytest.raises(InputError, match="no device"):
        list(module.grow(SMALL, out=begun.parent, device="abacus", resume="never"))
    assert timeless(begun) == before


def test_threads_are_pinned_while_it_runs_and_set_back(tmp_path: Path) -> None:
    """Another number of threads gives other bits."""
    experiment = small("budget.generations=1", "training.threads=2")
    before = torch.get_num_threads()
    seen = {torch.get_num_threads() for _ in module.grow(experiment, out=tmp_path, device="cpu")}
    assert seen == {2} != {before}
    assert torch.get_num_threads() == before


def test_a_watcher_may_stop_a_run(tmp_path: Path, finished: Path) -> None:
    """Its error comes through, the lock is let go, and the run goes on later."""
    heard: list[float] = []

    def watch(now: Any) -> None:
        heard.append(now.done)
        if now.generation == 1 and now.phase == "prune":
            raise Stop

    with pytest.raises(Stop):
        list(module.grow(SMALL, out=tmp_path, device="cpu", watch=watch))
    assert heard
    assert timeless(run(SMALL, tmp_path)) == timeless(finished)
