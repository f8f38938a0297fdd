"""Moves: what is read from a line, what is refused and how, and a study's way through TOML."""

import tomllib
from dataclasses import replace

import pytest
from studies import SMALL, arm, small

from recursive_lth.config import GrowthStep, Start, StudyExperiment, Training
from recursive_lth.config_file import experiment_to_toml, study_experiment_from
from recursive_lth.errors import InputError
from recursive_lth.study.arms import arms_of
from recursive_lth.study.moves import (
    ABOUT,
    FACTORS,
    VERBS,
    Begin,
    Grow,
    Move,
    Prune,
    Remake,
    Remember,
    Rewind,
    ShrinkPerturb,
    Train,
    factors_of,
    read_move,
)

READ: dict[str, Move] = {
    "begin mlp": Begin("mlp"),
    "begin mlp hidden=[300,100] initialisation=glorot_normal": Begin(
        "mlp", (300, 100), "glorot_normal"
    ),
    "begin like=grown": Begin(like="grown"),
    "begin '/data/a=b c/one.safetensors'": Begin("/data/a=b c/one.safetensors"),
    "train 3": Train(3.0),
    "train 0.5 by=epochs on=noisy state=carry": Train(0.5, "epochs", "noisy", "carry"),
    "train 3 learning_rate=1e-4 schedule=constant": Train(
        3.0, settings={"learning_rate": 1e-4, "schedule": "constant"}
    ),
    "prune 0.2": Prune(0.2),
    "prune 0.2 score=random scope=per_layer": Prune(0.2, "random", "per_layer"),
    "rewind": Rewind(),
    "rewind signs": Rewind("signs"),
    "remember": Remember(),
    "remake reinit": Remake("reinit"),
    "shrink_perturb 0.5 0.1": ShrinkPerturb(0.5, 0.1),
    "grow deepen": Grow(GrowthStep("deepen")),
    "grow widen place=0.5 ratio=0.3 initialisation=kaiming mask=random density=0.2": Grow(
        GrowthStep("widen", 0.5, 0.3, "kaiming", "random", 0.2)
    ),
}
OF_FACTORS = {
    "train 3": set(),
    "train 3 by=epochs": set(),
    "train 3 on=noisy": {"data"},
    "train 3 state=carry": {"strategy"},
    "train 3 on=noisy warmup=0.1": {"data", "strategy"},
    "begin mlp hidden=[3]": {"structure"},
    "begin like=other": {"structure"},
    "begin initialisation=glorot_normal": {"initialisation"},
    "begin mlp initialisation=glorot_normal": {"structure", "initialisation"},
    "prune 0.2": {"structure"},
    "grow widen": {"structure"},
    "rewind": {"initialisation"},
    "remake reinit": {"initialisation"},
    "remake shuffled_mask": {"structure"},
    "remake dense": {"structure"},
    "remember": {"strategy"},
    "shrink_perturb 0.5 0.1": {"strategy"},
}


@pytest.mark.parametrize("text", READ)
def test_every_verb_is_read(text: str) -> None:
    assert read_move(text) == READ[text]


def test_every_verb_is_tried_here_and_told() -> None:
    assert {text.split()[0] for text in READ} == set(VERBS)
    assert all(ABOUT[kind].endswith((".", "`")) for kind, _, _ in VERBS.values())


@pytest.mark.parametrize("text", OF_FACTORS)
def test_factors_of_a_move(text: str) -> None:
    found = factors_of(read_move(text))
    assert found == OF_FACTORS[text]
    assert found <= set(FACTORS)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "unknown verb ''"),
        ("trian 3", "unknown verb 'trian': did you mean 'train'"),
        ("train", "train needs length: Train for a cost"),
        ("shrink_perturb 0.5", "shrink_perturb needs shrink and perturb"),
        ("train 3 4", "'4' is one word too many"),
        ("rewind signs twice", "'twice' is one word too many"),
        ("train 'three", "No closing quotation"),
        ("train three", "length must be a number, got 'three'"),
        ("train 0", "length must be a finite number in"),
        ("train nan", "length must be a finite number in"),
        ("train 3 by=steps", "by must be one of cost, epochs, got 'steps'"),
        ("train 3 state=keep", "state must be one of reset, carry, got 'keep'"),
        ("train 3 learning_rat=1", "unknown key learning_rat: did you mean 'learning_rate'"),
        ("train 3 epochs=4", "unknown key epochs"),
        ("train 3 learning_rate=-1", "training.learning_rate must be a finite number"),
        ("train 3 learning_rate=fast", "learning_rate must be a number, got 'fast'"),
        ("train 3 warmup=0.1 warmup=0.2", "warmup is given twice"),
        ("train 3 length=4", "length is given twice"),
        ("train 3 optimizer=adamm", "unknown optimizer 'adamm': did you mean 'adam"),
        ("train 3 schedule=cosin", "unknown schedule 'cosin': did you mean 'cosine'"),
        ("train 3 on=nosy", "unknown task 'nosy': did you mean 'noisy'"),
        ("train 3 state=carry", "no state of adamw to carry on"),
        ("prune 1.5", "density must be a finite number in"),
        ("prune 0.2 rate=3", "unknown key rate"),
        ("prune 0.2 score=magnitud", "unknown score 'magnitud': did you mean 'magnitude'"),
        ("prune 0.2 scope=globe", "unknown scope 'globe': did you mean 'global'"),
        ("rewind weight", "restore must be one of weights, signs, got 'weight'"),
        ("remake reinitt", "unknown kind 'reinitt': did you mean 'reinit'"),
        ("shrink_perturb 0 0.1", "shrink must be a finite number in"),
        ("shrink_perturb 0.5 -1", "perturb must be a finite number in"),
        ("grow depen", "unknown operator 'depen': did you mean 'deepen'"),
        ("grow deepen places=0.5", "unknown key places: did you mean 'place'"),
        ("grow widen initialisation=identity", "unknown initialisation of widen 'identity'"),
        ("grow deepen mask=dens", "unknown mask 'dens': did you mean 'dense'"),
        ("grow deepen place=2", "place must be a finite number in"),
        ("begin mlp 300", "'300' is one word too many"),
        ("begin mlp hidden=300", "hidden must be a list, got 300"),
        ("begin mlp hidden=[0]", "start.hidden must be a finite number in"),
        ("begin initialisation=kaimin", "unknown initialisation 'kaimin'"),
        ("begin like=nobody", "unknown other arm 'nobody'"),
        ("begin mlp like=arm", "like= brings an architecture of its own"),
    ],
)
def test_what_is_wrong_is_told_with_arm_and_move(text: str, why: str) -> None:
    """The arm, the move as it was written, the word at fault, and the nearest that is known."""
    with pytest.raises(InputError) as found:
        arm(text, "train 1")
    assert str(found.value).startswith(f"arm arm: move {text!r}: "), found.value
    assert why in str(found.value)


def test_state_is_carried_only_from_the_same_optimizer() -> None:
    """Nothing is silently begun anew: after a rewind, a remake, another optimizer."""
    arm("train 1", "prune 0.5", "grow deepen", "shrink_perturb 0.5 0.1", "train 1 state=carry")
    for between in ("rewind", "remake reinit", "train 1 optimizer=sgd"):
        with pytest.raises(InputError, match="no state of adamw to carry on"):
            arm("train 1", between, "train 1 state=carry")


def test_only_the_first_move_begins() -> None:
    with pytest.raises(InputError, match=r"arm arm: move 'begin mlp': only the first"):
        arm("train 1", "begin mlp", "train 1")
    with pytest.raises(InputError, match=r"arm arm: no move trains: .*train 1"):
        arm("prune 0.5")
    with pytest.raises(InputError, match=r"arm c begins like b, which begins like a: name that"):
        arms_of(
            small(
                arms={
                    "a": ["train 1"],
                    **{x: [f"begin like={y}", "train 1"] for x, y in ("ba", "cb")},
                }
            )
        )


def test_begin_stands_in_for_the_start() -> None:
    """A file brings its own weights, also where the study's start takes a ticket's shape alone."""
    own = Start("vgg-11", (4, 4), "glorot_normal", "fresh")
    assert Begin(initialisation="torch_uniform").start(own) == Start(
        "vgg-11", (4, 4), "torch_uniform", "fresh"
    )
    assert Begin("mlp").start(own) == Start("mlp", (), "glorot_normal", "own")
    assert Begin("a.safetensors").start(own).weights == "own"
    assert Begin(hidden=(7,)).start(Start("mlp", (3,))) == Start("mlp", (7,))


def test_settings_are_laid_over_the_recipe() -> None:
    own = Training(learning_rate=0.3, batch_size=7)
    move = read_move("train 2 learning_rate=0.1 warmup=0.5")
    assert isinstance(move, Train)
    assert move.recipe(own) == Training(learning_rate=0.1, batch_size=7, warmup=0.5)


def test_a_study_goes_through_toml_and_back() -> None:
    experiment = small(
        "study.moments=[0.0,0.25,1.0]",
        arms={"a": ["train 1 on=noisy"], "b": ["begin like=a", "train 1"]},
        contrasts=["x: a > b in val_accuracy at 0.25"],
        tasks=[{"name": "noisy", "label_noise": 0.5, "classes": [0, 3]}],
    )
    text = experiment_to_toml(experiment)
    again = study_experiment_from(tomllib.loads(text))
    assert again == experiment
    assert again.digest == experiment.digest
    assert again.folder_name == f"small-{experiment.digest[:12]}"
    assert small("study.looks=3").digest != small().digest


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"study": {"sedes": 3}}, "unknown key study.sedes: did you mean 'seeds'"),
        ({"pruning": {}}, "unknown key pruning"),
        ({"arms": [{"name": "a", "move": []}]}, "unknown key arms[0].move: did you mean 'moves'"),
        ({"tasks": [{"name": "t", "noise": 1}]}, "unknown key tasks[0].noise"),
        ({"training": {"epochs": 3}}, "training.epochs is not read by a study"),
        ({"arms": []}, "a study needs at least one"),
        ({"arms": [{"name": "a", "moves": []}]}, "arm a: moves must name at least one"),
        ({"arms": [{"name": "a b", "moves": ["train 1"]}]}, "arms.name must be"),
        ({"arms": [{"name": "a", "moves": ["train 1"]}] * 2}, "a is there twice"),
        ({"tasks": [{"name": "t"}] * 2}, "t is there twice"),
        ({"tasks": [{"name": "t", "draw": -1}]}, "tasks.draw must be"),
        ({"study": {"moments": [1.0, 0.0]}}, "study.moments must rise"),
        ({"study": {"readings": "first"}}, "study.readings must be last or all"),
        ({"study": {"target": 0.0}}, "study.target must be"),
        ({"command": "prune"}, "experiment of `recursive-lth prune`"),
    ],
)
def test_what_is_wrong_in_the_file_is_told(changes: dict[str, object], why: str) -> None:
    with pytest.raises(InputError) as found:
        study_experiment_from({**SMALL, "arms": [{"name": "a", "moves": ["train 1"]}], **changes})
    assert why in str(found.value)


def test_a_study_of_one_arm_needs_nothing_else() -> None:
    found = study_experiment_from(
        {"command": "study", "arms": [{"name": "a", "moves": ["train 1"]}]}
    )
    assert isinstance(found, StudyExperiment)
    assert found.study.seeds == 5


def test_a_task_may_number_what_the_study_s_own_data_draw() -> None:
    """Another draw of the same noise."""
    tasks = ({"name": "again", "draw": 1},)
    experiment = small("data.label_noise=0.2", arms={"a": ["train 1 on=again"]}, tasks=tasks)
    (task,) = experiment.tasks
    assert task.of(experiment.data) == replace(experiment.data, draw=1)
