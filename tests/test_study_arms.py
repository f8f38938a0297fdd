"""Arms: by which factors two lines of moves differ, by a table that was thought out by hand."""

import pytest
from studies import arm, small

from recursive_lth.study.arms import arms_of, differing_factors

START = ("train 3", "prune 0.2")
PAIRS: dict[str, tuple[tuple[str, ...], tuple[str, ...], set[str]]] = {
    "nothing": (("train 3",), ("train 3",), set()),
    "length is no factor": (("train 3", "train 1"), ("train 1", "train 3"), set()),
    "one training more": (("train 6",), ("train 3", "train 3"), {"strategy"}),
    "a cut": (("train 3", "train 3"), (*START, "train 3"), {"structure"}),
    "a cut and one training more": (("train 6",), (*START, "train 3"), {"structure", "strategy"}),
    "a cut later": ((*START, "train 3"), ("train 3", "train 3", "prune 0.2"), set()),
    "how deep a cut": (("prune 0.2", "train 1"), ("prune 0.3", "train 1"), {"structure"}),
    "by what a cut": (("prune 0.2", "train 1"), ("prune 0.2 score=random", "train 1"),
                      {"structure"}),
    "a growth": ((*START, "train 3"), (*START, "grow deepen", "train 3"), {"structure"}),
    "width against depth": ((*START, "grow widen", "train 3"), (*START, "grow deepen", "train 3"),
                            {"structure"}),
    "how it is born": ((*START, "grow deepen initialisation=identity", "train 3"),
                       (*START, "grow deepen initialisation=kaiming", "train 3"),
                       {"initialisation"}),
    "how and where it is born": (
        (*START, "grow deepen place=0.0 initialisation=identity", "train 3"),
        (*START, "grow deepen place=1.0 initialisation=kaiming", "train 3"),
        {"initialisation", "structure"}),
    "rewound": ((*START, "train 3"), (*START, "rewind", "train 3"), {"initialisation"}),
    "rewound to signs": ((*START, "rewind", "train 3"), (*START, "rewind signs", "train 3"),
                         {"initialisation"}),
    "rewound against grown": ((*START, "rewind", "train 3"), (*START, "grow deepen", "train 3"),
                              {"initialisation", "structure"}),
    "rewound and grown": ((*START, "train 3"), (*START, "rewind", "grow deepen", "train 3"),
                          {"initialisation", "structure"}),
    "remade": ((*START, "train 3"), (*START, "remake reinit", "train 3"), {"initialisation"}),
    "another remake": ((*START, "remake signs", "train 3"), (*START, "remake reinit", "train 3"),
                       {"initialisation"}),
    "mask against weights": ((*START, "remake shuffled_mask", "train 3"),
                             (*START, "remake reinit", "train 3"),
                             {"initialisation", "structure"}),
    "other data": (("train 1", "train 1"), ("train 1 on=noisy", "train 1"), {"data"}),
    "other data later": (("train 1 on=noisy", "train 1"), ("train 1", "train 1 on=noisy"), set()),
    "a way of training": (("train 1", "train 1"), ("train 1", "train 1 warmup=0.1"),
                          {"strategy"}),
    "two ways of training": (("train 1", "train 1 warmup=0.2"), ("train 1", "train 1 warmup=0.1"),
                             {"strategy"}),
    "the same way, written otherwise": (("train 1 warmup=0.1 clip_norm=1.0",),
                                        ("train 2 clip_norm=1.0 warmup=0.1",), set()),
    "counted otherwise": (("train 1",), ("train 1 by=epochs",), set()),
    "carried": (("train 1", "train 1"), ("train 1", "train 1 state=carry"), {"strategy"}),
    "data and way": (("train 1",), ("train 1 on=noisy warmup=0.1",), {"data", "strategy"}),
    "shrunk": (("train 1", "train 1"), ("train 1", "shrink_perturb 0.5 0.1", "train 1"),
               {"strategy"}),
    "remembered": (("train 1", "train 1"), ("train 1", "remember", "train 1"), {"strategy"}),
    "another start": (("train 1",), ("begin mlp hidden=[9]", "train 1"), {"structure"}),
    "another draw": (("train 1",), ("begin initialisation=glorot_normal", "train 1"),
                     {"initialisation"}),
    "another draw of another start": (
        ("begin mlp hidden=[9]", "train 1"),
        ("begin mlp hidden=[9] initialisation=glorot_normal", "train 1"),
        {"initialisation"}),
    "another start with another draw": (
        ("train 1",), ("begin mlp hidden=[9] initialisation=glorot_normal", "train 1"),
        {"initialisation", "structure"}),
}  # fmt: skip


@pytest.mark.parametrize("pair", PAIRS)
def test_by_what_two_arms_differ(pair: str) -> None:
    """Either way round, and none differs from itself."""
    one, other, wanted = PAIRS[pair]
    mine, theirs = arm(*one, "train 1"), arm(*other, "train 1")
    assert differing_factors(mine, theirs) == wanted
    assert differing_factors(theirs, mine) == wanted
    assert not differing_factors(mine, mine)
    assert not differing_factors(theirs, theirs)


def test_arms_come_after_those_they_begin_like() -> None:
    """As they are written otherwise."""
    like = ("begin like=late", "train 1")
    found = arms_of(small(arms={"b": like, "z": ("train 1",), "a": like, "late": ("train 1",)}))
    assert list(found) == ["z", "late", "b", "a"]
    assert [each.like for each in found.values()] == ["", "", "late", "late"]
    assert found["z"].texts == ("train 1",)
    assert found["b"].trainings == 1
