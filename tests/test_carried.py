"""A lineage whose optimizer is carried: through trainings, growth, pruning, kills, generations."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from search_runs import Stop, bench_of, run, small, stopping, timeless, whole

from recursive_lth.architecture.graph import Architecture
from recursive_lth.config import Experiment
from recursive_lth.errors import DamagedFileError, InputError
from recursive_lth.growth.grow import Sprout
from recursive_lth.growth.optimizer import INHERIT
from recursive_lth.running import fit as trained
from recursive_lth.running import inside
from recursive_lth.search.check import check_names
from recursive_lth.search.controller import generations
from recursive_lth.search.judging import birth
from recursive_lth.ticket.moments import State
from recursive_lth.ticket.ticket import Ticket
from recursive_lth.training.loop import training

CARRIED = ("growth.optimizer=carry", "budget.generations=2", "growth.rungs=1")
UNITS = ("pruning.granularity=unit", "pruning.scope=per_layer", "start.hidden=[8, 6]")
Begun = list[tuple[Architecture, State]]


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> Begun:
    """Every training's architecture, and the state of the optimizer that it began with."""
    seen: Begun = []
    original = training

    def spied(*arguments: Any, **options: Any) -> Any:
        seen.append((arguments[0], options["state"]))
        return original(*arguments, **options)

    monkeypatch.setattr(trained, "training", spied)
    return seen


def counts(state: State) -> set[float]:
    """The numbers of steps that tensors have seen."""
    return {float(step) for step in state["step"].values()}


def test_steps_add_up_through_a_lineage(tmp_path: Path, begun: Begun) -> None:
    """The oldest entries have seen every step that led to them: 7 steps an epoch.

    Generation 0 trains 3 epochs; in generation 1 each round of pruning 1; in generation 2 three
    candidates are judged for 2 epochs from the same state, and the chosen one trains on for 1.
    """
    turns = whole(bench_of(small(*CARRIED), tmp_path / "stages"))
    assert len(turns) == 3
    assert begun[0][1] == {}
    found = [max(counts(state)) for _, state in begun[1:]]
    rounds = next(i for i in range(1, len(found)) if found[i] == found[i - 1])  # judging begins
    assert found[:rounds] == [21.0 + 7 * i for i in range(rounds)]
    parent = found[rounds - 1]
    assert found[rounds - 1 : rounds + 2] == [parent] * 3
    assert found[rounds + 2 :] == [parent + 14 + 7 * i for i in range(len(found) - rounds - 2)]


def test_reset_keeps_nothing(tmp_path: Path, begun: Begun) -> None:
    """Every training begins afresh, and nothing more is written than ever."""
    whole(bench_of(small("budget.generations=2", "growth.rungs=1"), tmp_path / "stages"))
    assert all(state == {} for _, state in begun)
    assert not list(tmp_path.rglob("*passed-on*"))


@pytest.mark.parametrize("settings", [(), UNITS, ("training.optimizer=sgd",)])
@pytest.mark.parametrize("policy", sorted(INHERIT))
def test_every_policy_runs_a_lineage(
    policy: str, settings: tuple[str, ...], tmp_path: Path, begun: Begun
) -> None:
    """What is carried has the shapes of the ticket that it trains, whatever is grown and cut."""
    grown = small(
        *CARRIED,
        *settings,
        f"growth.optimizer={policy}",
        "growth.policy=fixed",
        "growth.schedule=[{operator='split', ratio=0.5, initialisation='split_unevenly'},"
        "{operator='widen', ratio=0.5}]",
        "budget.generations=3",
    )
    turns = whole(bench_of(grown, tmp_path / "stages"))
    assert len(turns) == 4
    kinds = set().union(*(state.keys() for _, state in begun))
    is_adam = "training.optimizer=sgd" not in settings
    assert ("age" in kinds) == (is_adam and policy != "reset")
    assert ("warm" in kinds) == (policy == "carry_warmup")
    assert ("gain" in kinds) == (policy == "carry_path")
    for architecture, state in begun:
        for kind in state.keys() - {"step", "rise"}:
            for name, tensor in state[kind].items():
                assert tuple(tensor.shape) == architecture.shape(name)


def test_rewound_weights_begin_with_a_fresh_optimizer(tmp_path: Path, begun: Begun) -> None:
    """Moments of the weights as they were are of no use; what is then trained is carried on."""
    rewound = small(*CARRIED, "pruning.rewind=init", "growth.policy=never")
    whole(bench_of(rewound, tmp_path / "stages"))
    assert len(begun) > 2
    assert all(state == {} for _, state in begun)


def test_a_growth_sees_its_parents_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The policy is asked once for each growth, with the state that the parent's training left."""
    asked: list[State] = []

    def spied(state: State, sprout: Sprout, warmup: int) -> State:
        assert warmup == 4  # half an epoch of 7 steps, rounded to even
        asked.append(state)
        return INHERIT["carry"](state, sprout, warmup)

    monkeypatch.setattr(birth, "INHERIT", {"carry": spied})
    bench = bench_of(small(*CARRIED), tmp_path / "stages")
    turns = whole(bench)
    parent = turns[1][1]
    assert len(asked) == 2
    for state in asked:
        for name, mask in parent.masks.items():
            assert state["exp_avg"][name].shape == mask.shape
            assert not bool(state["exp_avg"][name][~mask].any())
            assert bool(state["exp_avg"][name].any())


def test_killed_and_resumed_with_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped at writes in turn, as in test_kill.py: the bytes of a run left alone.

    A stage is three files here, so attempts get up to four.
    """
    monkeypatch.setattr(inside, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    experiment = small(*CARRIED, "growth.optimizer=carry_warmup")
    alone = timeless(run(experiment, tmp_path / "alone"))
    for attempt in range(150):
        opening = 3 - (attempt > 0)
        try:
            with stopping(os, "replace", opening + 1 + attempt % 4):
                run(experiment, tmp_path / "killed")
            break
        except Stop:
            continue
    folder = run(experiment, tmp_path / "killed")
    assert 15 <= attempt < 149
    assert timeless(folder) == alone
    assert not list(folder.rglob("*passed-on*"))


@pytest.mark.parametrize("is_gone", [True, False])
def test_a_lost_state_is_an_error(is_gone: bool, tmp_path: Path) -> None:
    """It cannot be computed again, and a fresh optimizer in its place would give other bits."""
    bench = bench_of(small(*CARRIED), tmp_path / "stages")
    found: dict[str, Ticket] = {}
    steps = generations(bench, [], found.__getitem__)
    turn, ticket, _ = next(steps)
    found[turn.digest] = ticket
    (path,) = tmp_path.rglob(f"{turn.digest}.safetensors")
    if is_gone:
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(DamagedFileError, match="gone or damaged: restore it or start anew"):
        next(steps)


def test_only_what_is_needed_is_kept(tmp_path: Path) -> None:
    """After a generation its own state and its parent's, which is dropped when the next begins."""
    bench = bench_of(small(*CARRIED), tmp_path / "stages")
    turns = whole(bench)
    left = {path.stem for path in (tmp_path / "stages-passed-on").iterdir()}
    assert left == {turn.digest for turn, _ in turns[-2:]}


def test_an_unknown_policy_names_the_nearest() -> None:
    experiment: Experiment = small("growth.optimizer=carry_warm")
    with pytest.raises(InputError, match="'carry_warm': did you mean"):
        check_names(experiment)


def test_states_survive_their_file(tmp_path: Path) -> None:
    """Kinds, names and bits, counts without axes included."""
    stages = bench_of(small(), tmp_path / "stages").stages
    state: State = {
        "step": {"fc1.weight": torch.tensor(3.0)},
        "age": {"fc1.weight": torch.arange(6.0).view(2, 3)},
    }
    stages.pass_on("digest", state)
    found = stages.passed_on("digest")
    assert found.keys() == state.keys()
    for kind, tensors in state.items():
        assert torch.equal(found[kind]["fc1.weight"], tensors["fc1.weight"])
