"""Voices wait for each other's trainings; what trains together is what would train alone."""

from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from lottery_runs import run, small
from search_runs import Stop, stopping

from recursive_lth.config import TicketExperiment
from recursive_lth.lottery import run as prunes
from recursive_lth.lottery.run import prune
from recursive_lth.running import company, crew, wanted
from recursive_lth.running.chorus import Chorus
from recursive_lth.running.crew import Found, Here
from recursive_lth.running.stages import Stages
from recursive_lth.running.trainings import Trainings
from recursive_lth.running.wanted import Company

SETTINGS = ("tickets.replicates=3", 'tickets.controls=["reinit","shuffled_mask"]')


def by_place(lines: list[dict[str, Any]]) -> dict[tuple[Any, ...], dict[str, Any]]:
    return {(x["replicate"], x["arm"], x["level"], x["variant"]): x for x in lines}


def sizes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many members each population has, as they begin."""
    seen: list[int] = []
    original = company.fit_company

    def spied(members: Any, sparse: Any) -> Any:
        seen.append(len(members))
        return original(members, sparse)

    monkeypatch.setattr(crew, "fit_company", spied)
    return seen


@pytest.mark.parametrize("engine", ["dense", "sparse"])
def test_a_run_side_by_side_is_the_run_one_by_one(
    engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Same places, counts and costs; losses to float32's rounding after 14 steps."""
    experiment = small(*SETTINGS, f"training.engine={engine}")
    seen = sizes(monkeypatch)
    joint = by_place(run(experiment, tmp_path / "joint"))
    assert sorted(seen) == [3, 3, 3, 6, 6]  # tickets of levels 0, 1 and 2, rivals of 1 and 2
    monkeypatch.setattr(wanted, "MOST_WORK", 0)
    alone = by_place(run(experiment, tmp_path / "alone"))
    assert len(seen) == 5
    assert joint.keys() == alone.keys()
    for place, line in alone.items():
        for key in ("remaining_weights", "steps", "training_multiply_adds", "early_stop_step"):
            assert joint[place][key] == line[key]
        assert joint[place]["val_loss"] == pytest.approx(line["val_loss"], rel=1e-3)
        assert len(joint[place]["curve"]) == len(line["curve"])


class LastFirst(Here):
    """A crew that takes what has waited least."""

    def next(self) -> tuple[Company, Found]:
        self._waiting.rotate(1)
        return super().next()


@pytest.mark.parametrize("stops_after", [None, 2, 4, 5])
def test_who_is_done_first_changes_no_bit(
    stops_after: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Controls that lag behind all tickets, also in a run that was stopped, and in turn then."""
    experiment = small(*SETTINGS, "pruning.rounds=3")
    run(experiment, tmp_path / "in turn")
    monkeypatch.setattr(prunes, "crew_of", lambda workers: nullcontext(LastFirst()))
    if stops_after is not None:
        with pytest.raises(Stop), stopping(Trainings, "next", stops_after):
            run(experiment, tmp_path / "last first")
        if stops_after % 2:
            monkeypatch.undo()
    run(experiment, tmp_path / "last first")
    found = []
    for name in ("in turn", "last first"):
        stored = prune(experiment, out=tmp_path / name, device="cpu")
        lines = [{k: v for k, v in line.items() if k != "seconds"} for line in stored]
        found.append((lines, {path.name for path in (tmp_path / name).rglob("*.safetensors")}))
    assert found[0] == found[1]
    assert len(found[0][0]) == 3 * (4 + 3 * 2)


def test_lines_come_as_they_are_found_and_are_stored_in_order(tmp_path: Path) -> None:
    experiment: TicketExperiment = small(*SETTINGS)
    found = run(experiment, tmp_path)
    again = list(prune(experiment, out=tmp_path, device="cpu"))
    assert [x["level"] for x in found[:3]] == [0, 0, 0]
    assert [x["replicate"] for x in again] == sorted(x["replicate"] for x in found)
    assert [x["variant"] for x in again[1:4]] == ["ticket", "reinit", "shuffled_mask"]


def test_voices_take_turns_and_their_errors_are_heard() -> None:
    said: list[int] = []
    chorus = Chorus()
    voices = [chorus.add(partial(said.append, number)) for number in range(3)]
    assert list(chorus.run()) == [None]
    assert said == [0, 1, 2]
    assert [voice.is_done for voice in voices] == [True] * 3
    chorus.add(lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        list(chorus.run())


def test_what_was_stored_together_counts_together(tmp_path: Path) -> None:
    """Before it is confirmed nothing counts and all is dropped; from then on all does."""
    folder = tmp_path / "stages"
    folder.mkdir()
    for name in ("a.waits", "b.waits"):
        (folder / name).write_text("{}")
    Stages(folder)
    assert not list(folder.iterdir())
    for name in ("a.waits", "b.json"):
        (folder / name).write_text("{}")
    (folder / "confirmed").write_text('["a", "b"]')
    Stages(folder)
    assert {path.name for path in folder.iterdir()} == {"a.json", "b.json"}
