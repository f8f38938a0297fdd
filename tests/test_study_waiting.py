"""What a study's watcher waits for: readings have their share of the bar, idle trainings none."""

import json
from pathlib import Path

import pytest
from studies import ARMS, in_folder, plan, run, small

from recursive_lth.running.supply import MOST_MEMORY
from recursive_lth.study import work
from recursive_lth.study.progress import StudyProgress
from recursive_lth.study.run import study


def test_a_training_that_nobody_reads_is_not_made(tmp_path: Path) -> None:
    """With moment 0 alone: all values are those of a study that makes it, and budgets are less.

    An arm is trained where a move follows, for that decides the shape of another.
    """
    arms = {
        **ARMS,
        "cut": ("train 0.5", "prune 0.5"),
        "shape": ("begin like=cut", "remake reinit", "train 1"),
    }
    panel = 'study.panel=["effective_rank","new_task_accuracy","own_accuracy"]'
    contrasts = ["x: grown > untouched in effective_rank at 0"]
    short, long = (
        small(panel, moments, arms=arms, contrasts=contrasts)
        for moments in ("study.moments=[0.0]", "study.moments=[0.0,1.0]")
    )
    lines = run(short, tmp_path)
    assert {line["moment"] for line in lines} == {0.0}
    there = [{**line, "move": ""} for line in run(long, tmp_path) if line["moment"] == 0]
    assert sorted(map(json.dumps, there)) == sorted(
        json.dumps({**line, "move": ""}) for line in lines
    )
    ends = [{name: plan(study).stands[name] for name in arms} for study in (short, long)]
    for name in arms:
        less, more = (stands[name] for stands in ends)
        last = more.trainings[-1]
        is_made = name == "cut"
        assert less.spent == (last.spent if is_made else last.spent_before)
        assert less.trainings[-1].steps == (last.steps if is_made else 0)
    assert plan(short).multiply_adds < plan(long).multiply_adds
    found = in_folder(short, tmp_path, "verdicts.json")["verdicts"][0]
    assert found["budget"] == in_folder(long, tmp_path, "verdicts.json")["verdicts"][0]["budget"]
    made = [(row["arm"], row["training"]) for row in in_folder(short, tmp_path, "curves.jsonl")]
    assert sorted(set(made)) == [("cut", 0), ("grown", 0), ("pruned", 0), ("untouched", 0)]
    rows = {arm["name"]: arm for arm in in_folder(short, tmp_path, "summary.json")["arms"]}
    assert {name: rows[name]["budget"] for name in arms} == {
        name: ends[0][name].spent for name in arms
    }


@pytest.mark.parametrize(
    "panel",
    [
        ["hessian_trace", "largest_eigenvalue", "val_loss"],
        ["random_label_fit", "random_label_loss_against_fresh", "new_task_accuracy", "plasticity"],
        ["barrier_to_parent", "instability", "further_accuracy"],
    ],
)
def test_the_bar_has_room_for_the_panel(panel: list[str], tmp_path: Path) -> None:
    """It rises while measures are read, and is full at the end and not before.

    Sparse networks take more steps for the same cost, and random labels are of few samples. All
    readings are counted, and told with what is being read.
    """
    arms = {"cut": ("train 0.5", "prune 0.2", "grow widen", "train 0.5")}
    experiment = small(f"study.panel={json.dumps(panel)}", "study.seeds=3", arms=arms)
    told: list[StudyProgress] = []
    run(experiment, tmp_path, watch=told.append)
    reading = [place for place in told if place.phase == "panel"]
    assert reading[0].done < 0.8
    assert [place.done for place in reading] == sorted(place.done for place in reading)
    before = [place.done for place in reading if place.read < 5]
    assert before[-1] < 1
    assert reading[-1].done == pytest.approx(1, abs=0.08)  # 30 samples do not fill three batches
    assert (reading[-1].read, reading[-1].readings) == (6, 6)
    assert {(place.seed, place.arm, place.training) for place in reading[1:]} == {
        (seed, "cut", 1) for seed in (3, 4, 5)
    }


@pytest.mark.parametrize("most", [1, MOST_MEMORY])
@pytest.mark.parametrize("count", [2, 7, 14])
def test_what_is_read_counts_on_from_what_is_known(
    count: int, most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seeds one by one and side by side, left within one and between two: all of 18 at the end."""
    monkeypatch.setattr(work, "MOST_MEMORY", most)
    experiment = small("study.seeds=3")
    lines = study(experiment, out=tmp_path, device="cpu")
    assert len([next(lines) for _ in range(count)]) == count
    lines.close()  # type: ignore[attr-defined]
    told: list[StudyProgress] = []
    assert len(run(experiment, tmp_path, watch=told.append)) == 18
    reading = [place for place in told if place.phase == "panel"]
    assert reading[0].read == count
    assert [place.read for place in reading] == sorted(place.read for place in reading)
    assert (reading[-1].read, reading[-1].readings) == (18, 18)
