"""What a study must find, a planted handicap, and what it must refuse, a planted confound."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from search_runs import stopping
from studies import in_folder, run, small

from recursive_lth.errors import InputError
from recursive_lth.running.supply import Supply
from recursive_lth.running.trainings import Trainings
from recursive_lth.study.run import planned


def test_a_planted_handicap_is_found_and_named(tmp_path: Path) -> None:
    """A learning rate thirty times too small; the claim the other way round is refuted."""
    arms = {"sound": ("train 3",), "slow": ("train 3 learning_rate=3e-4",)}
    contrasts = [
        "a handicap: slow < sound in val_accuracy",
        "no handicap: slow < sound in loss_area",
    ]
    experiment = small("study.seeds=5", arms=arms, contrasts=contrasts)
    run(experiment, tmp_path)
    found = in_folder(experiment, tmp_path, "verdicts.json")["verdicts"]
    assert [v["verdict"] for v in found] == ["supported", "refuted"]
    for verdict in found:
        assert verdict["factors"] == ["strategy"]
        assert (verdict["n"], verdict["missing"]) == (5, 0)
        assert verdict["budget"]["arm"] == verdict["budget"]["rival"]
        assert verdict["p_holm"] >= verdict["p"]
        assert verdict["p_exact"] == 2 / 32
        assert "supported" in found[0]["words"]
        assert "refuted" in found[1]["words"]


CONFOUNDED: dict[str, tuple[Sequence[str], dict[str, Sequence[str]], str, str]] = {
    "nothing": ((), {"a": ("train 1",), "b": ("train 1.0",)}, "a > b in val_accuracy",
                "'a' and 'b' make the same moves"),
    "budget": ((), {"a": ("train 1",), "b": ("train 2",)}, "a > b in val_accuracy",
               "unequal budgets: 'a' takes 426,240 multiply-adds and 'b' 852,480"),
    "budget by epochs": ((), {"a": ("prune 0.5", "train 1"), "b": ("train 1 by=epochs",),
                              "c": ("prune 0.5", "train 1 by=epochs")}, "b > c in val_accuracy",
                         "unequal budgets"),
    "budget until then": (('study.readings="all"',),
                          {"a": ("train 1", "train 2"), "b": ("train 2", "train 1")},
                          "a > b in val_accuracy of 0", "unequal budgets"),
    "budget of a score": ((), {"a": ("train 0.5", "prune 0.2 score=snip", "train 0.5"),
                               "b": ("train 0.5", "prune 0.2 score=magnitude", "train 0.5")},
                          "a > b in val_accuracy", "scores and births take 426,240 and 0: end"),
    "budget of a birth": (
        (), {"a": ("train 1", "grow widen initialisation=gradmax", "train 0.1"),
             "b": ("train 1", "grow widen initialisation=kaiming", "train 0.1")},
        "a > b in val_accuracy", "their trainings are equal, but scores and births take"),
    "two factors": ((), {"a": ("train 1",), "b": ("prune 0.5", "train 1 warmup=0.1")},
                    "a > b in val_accuracy",
                    "changes structure and strategy: let the arms differ in one factor"),
    "two factors of a growth": (
        (), {"a": ("grow deepen place=0.0 initialisation=kaiming", "train 1"),
             "b": ("grow deepen place=1.0 initialisation=identity", "train 1")},
        "a > b in val_accuracy", "changes initialisation and structure"),
    "another factor": ((), {"a": ("train 1",), "b": ("train 1 warmup=0.1",)},
                       "a > b in val_accuracy factors data", "changes strategy, not data"),
    "arm": ((), {"abc": ("train 1",), "b": ("train 1 warmup=0.1",)}, "abd > b in val_accuracy",
            "unknown arm 'abd': did you mean 'abc'"),
    "measure": ((), {"a": ("train 1",), "b": ("train 1 warmup=0.1",)}, "a > b in val_acuracy",
                "unknown measure 'val_acuracy': did you mean 'val_accuracy'"),
    "measure that is not read": ((), {"a": ("train 1",), "b": ("train 1 warmup=0.1",)},
                                 "a > b in effective_rank",
                                 "effective_rank is not read: add it to study.panel"),
    "moment": ((), {"a": ("train 1",), "b": ("train 1 warmup=0.1",)},
               "a > b in val_accuracy at 0.5", "nothing is read at 0.5: add it to study.moments"),
    "moment of a curve": ((), {"a": ("train 1",), "b": ("train 1 warmup=0.1",)},
                          "a > b in val_accuracy at 0", "says nothing at moment 0"),
    "training": ((), {"a": ("train 1", "train 1"), "b": ("train 1", "train 1 warmup=0.1")},
                 "a > b in val_accuracy of 0", "only the last of 2 trainings of 'a' is read"),
    "nothing yet": (('study.panel=["effective_rank"]',),
                    {"a": ("train 1", "train 1"), "b": ("train 1", "train 1 warmup=0.1")},
                    "a > b in effective_rank at 0", "both arms have done the same: compare them"),
}  # fmt: skip


def test_a_task_that_no_arm_trains_on_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="task unseen: no arm trains on it"):
        run(small(tasks=[{"name": "unseen", "label_noise": 0.5}]), tmp_path)


@pytest.mark.parametrize("confound", CONFOUNDED)
def test_a_planted_confound_is_refused_before_anything_trains(
    confound: str, tmp_path: Path
) -> None:
    settings, arms, line, why = CONFOUNDED[confound]
    experiment = small(*settings, arms=arms, contrasts=[f"x: {line}"])
    with stopping(Trainings, "want", 0), pytest.raises(InputError) as found:
        run(experiment, tmp_path)
    assert str(found.value).startswith("contrast 'x': ")
    assert why in str(found.value)
    assert not (tmp_path / experiment.folder_name).exists()


@pytest.mark.parametrize(
    ("arms", "line"),
    [
        ({"a": ("train 1",), "b": ("train 2",)}, "a > b in val_accuracy at unequal cost"),
        ({"a": ("train 1",), "b": ("prune 0.5", "train 1 warmup=0.1")},
         "a > b in val_accuracy factors structure+strategy"),
        ({"a": ("train 1", "prune 0.5", "train 1"), "b": ("train 1", "train 1 warmup=0.1")},
         "a > b in effective_rank at 0"),  # where only the cut is done
    ],
)  # fmt: skip
def test_a_confound_that_is_named_or_yet_to_come_may_run(
    arms: dict[str, Sequence[str]], line: str
) -> None:
    """The arms are planned, and nothing is refused."""
    panel = 'study.panel=["val_accuracy","effective_rank"]'
    experiment = small(panel, arms=arms, contrasts=[f"x: {line}"])
    found = planned(experiment, Supply(None, torch.device("cpu")))
    assert list(found.stands) == ["a", "b"]
