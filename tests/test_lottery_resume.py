"""Runs of ticket finding that are stopped go on to the same bits."""

import json
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from lottery_runs import run, small
from search_runs import Stop, stopping

from recursive_lth.lottery.run import prune
from recursive_lth.running import stages, trainings
from recursive_lth.running.run_folder import RunFolder
from recursive_lth.running.trainings import Trainings

CONTROLS = ("reinit", "shuffled_mask", "shuffled_weights", "signs", "dense", "small_dense")
ALL_CONTROLS = f"tickets.controls={json.dumps(CONTROLS)}"


@pytest.mark.parametrize(
    "settings",
    [
        ("pruning.granularity=unit", "pruning.scope=global", "start.hidden=[8]"),
        ("pruning.granularity=unit", "pruning.rewind=3it", "start.hidden=[12]"),
        ("pruning.granularity=2:4", "pruning.rounds=1"),
        ("pruning.schedule=cubic", "pruning.target_density=0.2", "pruning.rounds=3"),
        ("pruning.schedule=exponential", "pruning.target_density=0.2", "pruning.scope=erk"),
        ("pruning.scope=uniform_plus", "pruning.rewind=3it"),
        ("pruning.basis=dct", "pruning.rewind=3it"),
        ("pruning.pruned=initial", "pruning.scope=global"),
        ("pruning.pruned=initial_if_grown",),
        ("tickets.early_bird=0.9", "tickets.early_bird_queue=2", "tickets.look_every=2"),
        ("tickets.score_at=init", "pruning.score=synflow", "pruning.layer_floor=0"),
        ("tickets.score_at=3it", "pruning.rewind=none"),
    ],
    ids=lambda settings: settings[0],
)
def test_every_way_of_cutting_runs_and_resumes_to_the_same_bits(
    settings: tuple[str, ...], tmp_path: Path
) -> None:
    """Stopped before and in the middle of what is trained together, it ends with the same bits."""
    experiment = small(*settings, 'tickets.controls=["reinit"]')
    whole = run(experiment, tmp_path / "whole")
    with pytest.raises(Stop), stopping(Trainings, "want", 0):
        run(experiment, tmp_path / "stopped")
    for after in range(3):
        with suppress(Stop), stopping(trainings, "store", after):
            run(experiment, tmp_path / "stopped")
        with suppress(Stop), stopping(Trainings, "next", 1):
            run(experiment, tmp_path / "stopped")
    resumed = run(experiment, tmp_path / "stopped")
    timeless = [{k: v for k, v in line.items() if k != "seconds"} for line in stored(whole)]
    again = [{k: v for k, v in line.items() if k != "seconds"} for line in stored(resumed)]
    assert again == timeless
    assert len(whole) >= 3
    names = [{p.name for p in (tmp_path / x).rglob("*.safetensors")} for x in ("whole", "stopped")]
    assert names[0] == names[1]
    assert list(prune(experiment, out=tmp_path / "whole", device="cpu")) == stored(whole)


@pytest.mark.parametrize(
    ("place", "stops"),
    [((RunFolder, "write_lines"), range(12)), ((stages, "write_atomic"), range(1, 30, 2))],
    ids=["lines", "stages"],
)
def test_stopped_at_any_file_it_ends_with_the_same_bits(
    place: tuple[Any, str], stops: range, tmp_path: Path
) -> None:
    """Two arms that share a control, whose lines are written one after the other."""
    arms = {"a": ["pruning.score=magnitude"], "b": ["pruning.score=random"]}
    controls = 'tickets.controls=["small_dense","reinit"]'
    experiment = small("tickets.replicates=2", "pruning.rounds=1", controls, arms=arms)

    def found(name: str) -> tuple[Any, set[str]]:
        lines = prune(experiment, out=tmp_path / name, device="cpu")
        files = {path.name for path in (tmp_path / name).rglob("*.safetensors")}
        return [{k: v for k, v in x.items() if k != "seconds"} for x in lines], files

    run(experiment, tmp_path / "whole")
    expected = found("whole")
    assert len(expected[0]) == 2 * 2 * 4
    for stop in stops:
        with pytest.raises(Stop), stopping(*place, stop):
            run(experiment, tmp_path / f"{stop}")
        run(experiment, tmp_path / f"{stop}")
        assert found(f"{stop}") == expected


def stored(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Lines as a finished run stores them: level by level, a ticket before its controls."""
    return sorted(lines, key=lambda x: (x["replicate"], x["level"], x["variant"] != "ticket"))


def test_replicates_differ_and_resume(tmp_path: Path) -> None:
    """Each has its own seed; a run left in the middle of the second goes on there."""
    experiment = small("tickets.replicates=2", 'tickets.controls=["reinit"]')
    whole = stored(run(experiment, tmp_path / "whole"))
    assert [line["seed"] for line in whole] == [3] * 5 + [4] * 5
    assert whole[0]["digest"] != whole[5]["digest"]
    list(islice(prune(experiment, out=tmp_path / "left", device="cpu"), 7))
    resumed = stored(run(experiment, tmp_path / "left"))
    assert [line["digest"] for line in resumed] == [line["digest"] for line in whole]
    assert [x["test_accuracy"] for x in resumed] == [x["test_accuracy"] for x in whole]
