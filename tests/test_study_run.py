"""Studies run: shared trainings, resuming, workers, measuring, and divergence."""

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from lottery_runs import spy_on_trainings
from search_runs import Stop, stopping
from studies import ARMS, CONTRASTS, content, in_folder, plan, run, small

from recursive_lth.errors import InputError
from recursive_lth.running import trainings
from recursive_lth.running.trainings import Trainings
from recursive_lth.study import work
from recursive_lth.study.progress import StudyProgress
from recursive_lth.study.run import study
from recursive_lth.ticket.ticket import load_ticket

PANEL = ("val_accuracy", "effective_rank", "update_ratio", "barrier_to_parent", "new_task_accuracy")
PROBED = f"study.panel={json.dumps(PANEL)}"
LIKE = {**ARMS, "shape": ("begin like=grown", "train 1")}
WHOLE = small(PROBED, "study.moments=[0.0,0.5,1.0]", arms=LIKE, contrasts=CONTRASTS)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """A study that nobody stopped: its folder's parent and its lines."""
    out = tmp_path_factory.mktemp("whole")
    return out, run(WHOLE, out)


def test_a_line_for_each_moment_that_is_read(whole: tuple[Path, list[dict[str, Any]]]) -> None:
    """Of the last training of each arm and seed, with what the plan foresaw."""
    out, lines = whole
    keys = [(x["seed"], x["arm"], x["training"], x["moment"]) for x in lines]
    assert sorted(keys) == sorted(
        (seed, arm, int(arm != "shape"), moment)
        for seed in (3, 4) for arm in LIKE for moment in (0.0, 0.5, 1.0)
    )  # fmt: skip
    foreseen = plan(WHOLE)
    assert in_folder(WHOLE, out, "readings.jsonl") == sorted(
        lines, key=lambda x: (x["seed"], list(LIKE).index(x["arm"]), x["moment"])
    )
    for line in lines:
        done = foreseen.stands[line["arm"]].trainings[-1]
        number, moment = line["training"], line["moment"]
        assert line["spent"] == foreseen.budget(line["arm"], number, moment)
        assert line["steps"] == round(moment * done.steps)
        assert line["remaining_weights"] == done.before.cost.remaining_weights
        assert line["move"] == LIKE[line["arm"]][-1]
        assert not line["is_diverged"]
        at = {"effective_rank", "new_task_accuracy"}
        at |= {"update_ratio", "barrier_to_parent"} if moment else set()
        at |= {"val_accuracy"} if moment == 1 else set()
        assert set(line["values"]) == at
        said = {name for name, value in line["values"].items() if isinstance(value, float)}
        assert said == at - (set() if line["arm"] == "grown" else {"barrier_to_parent"})


def test_what_a_study_leaves(whole: tuple[Path, list[dict[str, Any]]]) -> None:
    """A curve for each training, the last ticket of each arm, verdicts, a summary, no scraps."""
    out, lines = whole
    folder = out / WHOLE.folder_name
    curves = in_folder(WHOLE, out, "curves.jsonl")
    assert len(curves) == 2 * 7
    for curve in curves:
        ticket = load_ticket(folder / "tickets" / f"{curve['digest']}.safetensors")
        assert ticket.provenance == {"seed": curve["seed"], "arm": curve["arm"]}
        assert curve["curve"][0]["step"] == 0
        assert curve["curve"][-1]["spent"] == curve["spent"]
        assert [row["spent"] for row in curve["curve"]] == sorted(
            row["spent"] for row in curve["curve"]
        )
    ends = {(c["seed"], c["arm"]): c["curve"][-1] for c in curves}
    for line in lines:
        if line["moment"] == 1:
            end = ends[line["seed"], line["arm"]]
            assert line["values"]["val_accuracy"] == end["val_accuracy"]
    assert not (folder / "work").exists()
    verdicts = in_folder(WHOLE, out, "verdicts.json")["verdicts"]
    assert [v["name"] for v in verdicts] == ["pruning ages", "growth rejuvenates"]
    assert [v["factors"] for v in verdicts] == [["structure"]] * 2
    assert {v["verdict"] for v in verdicts} == {"undecided"}  # two seeds show nothing
    found = in_folder(WHOLE, out, "summary.json")
    assert found["verdicts"] == {v["name"]: v["verdict"] for v in verdicts}
    assert [arm["name"] for arm in found["arms"]][-1] == "shape"
    assert set(found["measures"]) == set(PANEL)


def test_seeds_and_arms_have_tickets_of_their_own(
    whole: tuple[Path, list[dict[str, Any]]],
) -> None:
    curves = in_folder(WHOLE, whole[0], "curves.jsonl")
    assert len({curve["digest"] for curve in curves}) == 2 * 4


def test_a_finished_study_computes_nothing(whole: tuple[Path, list[dict[str, Any]]]) -> None:
    out, lines = whole
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    with stopping(Trainings, "want", 0):
        again = run(WHOLE, out)
    assert sorted(map(json.dumps, again)) == sorted(map(json.dumps, lines))
    assert {p: p.stat().st_mtime_ns for p in out.rglob("*") if p.is_file()} == before


@pytest.mark.parametrize("last", ["train 0.5", "train 0.5 state=carry"])
def test_what_arms_share_is_trained_once(
    last: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of each seed the beginning, then one training an arm; also where one arm alone carries on."""
    seen = spy_on_trainings(monkeypatch)
    arms = {**ARMS, "other": ("train 0.5", "prune 0.5", last), "longer": ("train 0.7",)}
    run(small(arms=arms), tmp_path)
    names = [job.name for job, _, _ in seen]
    assert len(names) == len(set(names))
    is_new = last.endswith("carry")
    assert len(names) == 2 * (1 + 3 + is_new + 1)


def stops(attempt: int) -> Any:
    """Attempts die before their write number 3, 5, 8, 12, ... so that each comes a bit further."""
    return stopping(os, "replace", 2 + attempt * (attempt + 3) // 2)


def test_stopped_at_any_write_it_ends_in_the_same_bytes(
    tmp_path: Path, whole: tuple[Path, list[dict[str, Any]]]
) -> None:
    """Before and among stages, tickets, curves, readings, and verdicts."""
    seen = set()
    for attempt in range(40):
        with suppress(Stop), stops(attempt):
            run(WHOLE, tmp_path)
            break
        folder = tmp_path / WHOLE.folder_name
        seen |= {path.name for path in folder.iterdir()}
    else:
        raise AssertionError("it never came to an end")
    assert attempt >= 8
    assert {"readings.jsonl", "curves.jsonl"} <= seen
    assert content(WHOLE, tmp_path) == content(WHOLE, whole[0])


@pytest.mark.parametrize(
    ("module", "name", "few"), [(trainings, "store", 4), (Trainings, "next", 2)]
)
def test_stopped_in_every_training_it_ends_in_the_same_bytes(
    module: Any, name: str, few: int, tmp_path: Path, whole: tuple[Path, list[dict[str, Any]]]
) -> None:
    """What trained together is kept all or nothing, in the arms and in the probes."""
    for attempt in range(60):
        with suppress(Stop), stopping(module, name, 1 + attempt * few):
            run(WHOLE, tmp_path)
            break
    assert attempt >= 2
    assert content(WHOLE, tmp_path) == content(WHOLE, whole[0])


def test_stopped_by_its_watcher_and_by_its_reader(
    tmp_path: Path, whole: tuple[Path, list[dict[str, Any]]]
) -> None:
    """At the first news of each phase; then left after so many lines; told shares never fall."""
    heard, shares = set[str](), [0.0]

    def watch(now: StudyProgress) -> None:
        shares.append(now.done)
        if now.phase not in heard:
            heard.add(now.phase)
            raise Stop

    for _ in range(2):
        with pytest.raises(Stop):
            run(WHOLE, tmp_path, watch=watch)
    assert heard == {"arms", "panel"}
    for count in (1, 7, 20):
        lines = study(WHOLE, out=tmp_path, device="cpu")
        assert len([next(lines) for _ in range(count)]) == count
        lines.close()  # type: ignore[attr-defined]
    run(WHOLE, tmp_path, watch=watch)
    assert content(WHOLE, tmp_path) == content(WHOLE, whole[0])
    assert max(shares) <= 1


@pytest.mark.slow
def test_two_workers_find_the_same_bytes(
    tmp_path: Path, whole: tuple[Path, list[dict[str, Any]]]
) -> None:
    """Also what is trained on a task's data, and by probes."""
    run(WHOLE, tmp_path, workers="2")
    assert content(WHOLE, tmp_path) == content(WHOLE, whole[0])


@pytest.mark.parametrize("change", ['study.panel=["val_accuracy"]', "study.moments=[1.0]"])
def test_measuring_changes_nothing(
    change: str, tmp_path: Path, whole: tuple[Path, list[dict[str, Any]]]
) -> None:
    """With fewer measures or moments the curves and the last tickets are the same bits."""
    other = small(PROBED, "study.moments=[0.0,0.5,1.0]", change, arms=LIKE, contrasts=CONTRASTS)
    run(other, tmp_path)
    ours, theirs = content(other, tmp_path), content(WHOLE, whole[0])
    assert other.digest != WHOLE.digest
    for name in {*ours, *theirs} - {"readings.jsonl", "verdicts.json"}:
        assert ours[name] == theirs[name], name
    assert [v["effect"] for v in json.loads(ours["verdicts.json"])["verdicts"]] == [
        v["effect"] for v in json.loads(theirs["verdicts.json"])["verdicts"]
    ]


def test_seeds_that_do_not_fit_together_go_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each with its arms and its panel; a kill after the first leaves its lines as they are."""
    monkeypatch.setattr(work, "MOST_MEMORY", 1)
    experiment = small(PROBED, arms=ARMS, contrasts=CONTRASTS)
    lines = run(experiment, tmp_path / "whole")
    assert [line["seed"] for line in lines] == [3] * 6 + [4] * 6
    for count in (5, 6, 7):
        some = study(experiment, out=tmp_path / "left", device="cpu")
        found = [next(some) for _ in range(count)]
        assert all(line in lines for line in found)
        assert {line["seed"] for line in found[:6]} == {3}
        some.close()  # type: ignore[attr-defined]
    run(experiment, tmp_path / "left")
    assert content(experiment, tmp_path / "left") == content(experiment, tmp_path / "whole")


def test_a_ticket_that_has_changed_since_the_study_began_is_refused(tmp_path: Path) -> None:
    first = small(arms={"a": ("train 0.2",)})
    run(first, tmp_path)
    one, other = sorted((tmp_path / first.folder_name).glob("tickets/*"))
    path = tmp_path / "begin.safetensors"
    path.write_bytes(one.read_bytes())
    experiment = small(arms={"b": (f"begin '{path}'", "train 0.2")})
    with pytest.raises(Stop), stopping(Trainings, "want", 0):
        run(experiment, tmp_path)
    path.write_bytes(other.read_bytes())
    with pytest.raises(InputError, match="was begun with another start"):
        run(experiment, tmp_path)
    path.write_bytes(one.read_bytes())
    assert len(run(experiment, tmp_path)) == 4


def test_all_trainings_are_read_where_that_is_asked_for(tmp_path: Path) -> None:
    """The first of one arm against the first of another, at equal cost until then."""
    arms = {"a": ("train 1", "train 0.2"), "b": ("train 1 warmup=0.5", "train 0.2")}
    experiment = small('study.readings="all"', "study.moments=[1.0]", arms=arms,
                       contrasts=["x: a > b in val_accuracy of 0"])  # fmt: skip
    lines = run(experiment, tmp_path)
    assert len(lines) == 2 * 2 * 2
    (verdict,) = in_folder(experiment, tmp_path, "verdicts.json")["verdicts"]
    first = {(x["arm"], x["seed"]): x["values"]["val_accuracy"] for x in lines if not x["training"]}
    assert [(p["arm"], p["rival"]) for p in verdict["pairs"]] == [
        (first["a", seed], first["b", seed]) for seed in (3, 4)
    ]
    assert verdict["budget"] == {"arm": 426240, "rival": 426240}


def test_what_diverges_has_no_values_and_decides_nothing(tmp_path: Path) -> None:
    """Nor has what is trained after it; before it diverges an arm is read as ever."""
    arms = {
        "sound": ("train 0.5", "train 0.5"),
        "lost": ("train 0.5 optimizer=sgd learning_rate=1e30", "train 0.5"),
    }
    contrasts = ["x: lost < sound in val_accuracy"]
    panel = 'study.panel=["val_accuracy","weight_norm"]'
    settings = (panel, "study.seeds=5", 'study.readings="all"')
    experiment = small(*settings, arms=arms, contrasts=contrasts)
    lines = run(experiment, tmp_path)
    for line in lines:
        is_lost = line["arm"] == "lost" and (line["training"], line["moment"]) != (0, 0.0)
        assert line["is_diverged"] == is_lost
        assert {value is None for value in line["values"].values()} == {is_lost}
    assert json.loads((tmp_path / experiment.folder_name / "verdicts.json").read_text())
    (verdict,) = in_folder(experiment, tmp_path, "verdicts.json")["verdicts"]
    assert (verdict["verdict"], verdict["n"], verdict["missing"]) == ("undecided", 0, 5)
    assert all(c["is_diverged"] == (c["arm"] == "lost")
               for c in in_folder(experiment, tmp_path, "curves.jsonl"))  # fmt: skip
    for name in ("curves.jsonl", "readings.jsonl", "summary.json"):
        text = (tmp_path / experiment.folder_name / name).read_text("utf-8")
        assert "NaN" not in text
        assert "Infinity" not in text
