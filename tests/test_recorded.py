"""Recorded steps do what steps do, or are given up. Here a tape plays by doing the step again."""

from collections.abc import Callable
from dataclasses import replace
from types import MappingProxyType

import pytest
import torch
from test_together import RECIPES, alone, lone_loop, member, residual
from torch import Tensor

from recursive_lth.architecture.zoo import ARCHITECTURES, mlp
from recursive_lth.config import Training
from recursive_lth.training import recorded
from recursive_lth.training.batches import Batches
from recursive_lth.training.descent import Descent
from recursive_lth.training.engine import Plan, planned_engine
from recursive_lth.training.lens import Lens
from recursive_lth.training.loop import Step, training
from recursive_lth.training.recorded import FIRST_STEPS, LEAST_STEPS, Played, Tape, tape_for
from recursive_lth.training.samples import Samples
from recursive_lth.training.together import Member, training_together

CPU = torch.device("cpu")
NETWORKS = {
    "mlp": mlp((1, 4, 4), 3, (7, 5)),
    "residual": residual((7, 5)),
    "conv-2": ARCHITECTURES["conv-2"]((1, 4, 4), 3, ()),
}


class Deck:
    """A tape that counts, and may do a step another number of times, or as it is recorded."""

    def __init__(self, *shape: int, times: int = 1, is_early: bool = False) -> None:
        self.shape, self.times, self.is_early = shape, times, is_early
        self.recordings = self.plays = 0

    def __call__(self, step: Callable[[], Tensor]) -> Played:
        self.recordings += 1
        losses = torch.zeros(self.shape, dtype=torch.float64)
        if self.is_early:
            losses.copy_(step())

        def play() -> None:
            self.plays += 1
            for _ in range(self.times):
                losses.copy_(step())

        return play, losses


def refused(step: Callable[[], Tensor]) -> Played:
    """What cannot be recorded says so half-way."""
    step()
    raise RuntimeError("operation not permitted when stream is capturing")


Put = Callable[[Tape | None], None]


@pytest.fixture
def put(monkeypatch: pytest.MonkeyPatch) -> Put:
    """Have trainings on the CPU recorded on a tape, however short they are."""
    monkeypatch.setattr(recorded, "LEAST_STEPS", FIRST_STEPS + 2)

    def to(tape: Tape | None) -> None:
        tapes = {"cpu": tape} if tape else {}
        monkeypatch.setattr(recorded, "TAPES", MappingProxyType(tapes))

    return to


def differ(one: Step, other: Step) -> float:
    """The largest difference of weights and moments."""
    pairs = [(one.weights[name], other.weights[name]) for name in other.weights]
    states = one.state(), other.state()
    assert states[0].keys() == states[1].keys()
    for kind, tensors in states[1].items():
        pairs += [(states[0][kind][name], tensor) for name, tensor in tensors.items()]
    return max(float((a - b).detach().abs().max()) for a, b in pairs)


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("kind", NETWORKS)
def test_a_recorded_training_is_the_one_that_is_not(kind: str, name: str, put: Put) -> None:
    """Bit for bit with the rate in a tensor, and to its rounding, 1e-8, with the rate as it is."""
    one = member(NETWORKS[kind], RECIPES[name], 1, 0.6)
    one = replace(one, weights={name: 0.1 * tensor for name, tensor in one.weights.items()})
    deck = Deck()
    put(deck)
    played = alone(one)
    assert (deck.recordings, deck.plays) == (1, one.steps - FIRST_STEPS)
    put(refused)
    with pytest.warns(UserWarning, match="not recorded"):
        assert differ(played, alone(one)) == 0
    put(None)
    plain = alone(one)
    assert differ(played, plain) < 1e-6
    assert float((played.loss - plain.loss).abs()) < 1e-6


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.filterwarnings("ignore:steps are done one by one")
def test_a_population_is_recorded_too(name: str, put: Put) -> None:
    """Of unequal widths and masks, each with its own images; all steps' losses are told."""
    members = [
        member(mlp((1, 4, 4), 3, hidden), RECIPES[name], seed, 0.6)
        for seed, hidden in enumerate([(7, 5), (4, 9), (6, 6)])
    ]
    deck, losses, lasts = Deck(len(members)), [], []
    for tape in (deck, refused, None):
        put(tape)
        told = []
        for now in training_together(members):
            told.append(now.losses)
            last = now
        losses.append(torch.stack(told))
        lasts.append([last.of(number) for number in range(len(members))])
    assert (deck.recordings, deck.plays) == (1, members[0].steps - FIRST_STEPS)
    assert torch.equal(losses[0], losses[1])
    assert float((losses[0] - losses[2]).abs().max()) < 1e-7
    for number in range(len(members)):
        assert differ(lasts[0][number], lasts[1][number]) == 0
        assert differ(lasts[0][number], lasts[2][number]) < 1e-7


@pytest.mark.parametrize(("times", "is_early"), [(0, False), (2, False), (0, True), (2, True)])
def test_a_tape_that_does_otherwise_is_given_up(times: int, is_early: bool, put: Put) -> None:
    """It is played once, to be looked at; the training goes on as if it had never been."""
    one = member(NETWORKS["mlp"], RECIPES["adam, clipped"], 1, 0.6)
    put(refused)
    with pytest.warns(UserWarning, match="not recorded: operation not permitted"):
        expected = alone(one)
    deck = Deck(times=times, is_early=is_early)
    put(deck)
    with pytest.warns(UserWarning, match="not recorded: it comes to other bits"):
        assert differ(alone(one), expected) == 0
    assert (deck.recordings, deck.plays) == (1, 1)


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("left", [2, 10])
def test_a_training_that_goes_on_comes_to_the_same_bits(left: int, name: str, put: Put) -> None:
    """Where it has fewer steps left than would be recorded, too: its rate lies in a tensor."""
    one = member(NETWORKS["mlp"], RECIPES[name], 1, 0.6)
    put(Deck())
    whole = alone(one)
    for step in lone_loop(one):
        if step.number == one.steps - left:
            break
    rest = replace(one, weights=step.snapshot(), state=step.state(), start=step.number)
    assert differ(alone(rest), whole) == 0


def test_what_is_read_of_a_population_holds_no_graph() -> None:
    """A step that is kept would keep nodes of the stream it was made on, and spoil a recording."""
    members = [member(NETWORKS["mlp"], RECIPES["momentum"], seed, 0.6) for seed in range(2)]
    now = next(training_together(members))
    live = now.of(1).live
    assert all(tensor.grad_fn is None and not tensor.requires_grad for tensor in live.values())


def test_what_is_not_the_same_at_every_step_is_not_recorded(put: Put) -> None:
    """Dropout, batch statistics, a lens, a tally, sparse layers, other precisions, few steps."""
    deck = Deck()
    put(deck)
    one = member(NETWORKS["mlp"], RECIPES["momentum"], 1, 0.6)

    def run(recipe: Training = one.recipe, steps: int = one.steps, **more: object) -> None:
        loop = training(
            one.architecture,
            one.weights,
            one.masks,
            one.data,
            recipe,
            steps=steps,
            seed=1,
            **more,  # type: ignore[arg-type]
        )
        assert len(list(loop)) == steps

    lens = Lens(one.architecture.trainable, lambda live, step: dict(live))
    sparse = planned_engine(one.architecture, one.masks, Plan(("fc1",)), CPU)
    tally = {"fc1.weight": torch.zeros_like(one.weights["fc1.weight"])}
    run(replace(one.recipe, dropout=0.1))
    run(steps=FIRST_STEPS + 1)
    run(lens=lens)
    run(tally=tally)
    run(engine=sparse)
    *_, _ = training_together([one, member(NETWORKS["mlp"], one.recipe, 2, 0.6)], Plan(("fc1",)))
    assert deck.recordings == 0
    run()
    assert deck.recordings == 1
    recipe, many = Training(), LEAST_STEPS
    assert tape_for([NETWORKS["mlp"]], recipe, many, CPU) is deck
    assert tape_for([NETWORKS["mlp"]], replace(recipe, precision="bfloat16"), many, CPU) is None
    assert tape_for([ARCHITECTURES["resnet-20"]((3, 8, 8), 10, ())], recipe, many, CPU) is None


def test_pytorch_is_told_of_a_recording() -> None:
    """Its Adam refuses to be recorded where that was not said before, and warns where it was."""
    weight = torch.zeros(2)
    descent = Descent(
        {"w": weight}, ["w"], {}, Training(optimizer="adam"), {}, {}, is_recorded=True
    )
    group = descent.optimizer.param_groups[0]
    with descent.recording():
        assert group["capturable"]
    assert not group["capturable"]
    descent.at(0.5)
    assert float(group["lr"]) == pytest.approx(0.5 * descent.recipe.learning_rate)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.parametrize("name", RECIPES)
def test_on_a_gpu_graphs_train_as_steps_do(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """To float32's rounding over 20 steps, alone and together; the graph is used."""
    monkeypatch.setattr(recorded, "LEAST_STEPS", FIRST_STEPS + 2)
    here = torch.device("cuda")
    plays: list[int] = []

    def watched(step: Callable[[], Tensor]) -> Played:
        play, losses = recorded.graph_tape(step)
        plays.append(0)

        def counted() -> None:
            plays[-1] += 1
            play()

        return counted, losses

    def on_gpu(seed: int) -> Member:
        one = member(NETWORKS["mlp"], RECIPES[name], seed, 0.6)
        samples = Samples(one.data.images.float().to(here), one.data.labels.to(here))
        data = Batches(samples, torch.zeros(1, device=here), one.recipe)
        return replace(one, data=data, weights={n: t.float() for n, t in one.weights.items()})

    members = [on_gpu(seed) for seed in range(3)]
    found = []
    for tapes in ({"cuda": watched}, {}):
        monkeypatch.setattr(recorded, "TAPES", MappingProxyType(tapes))
        *_, last = training_together(members)
        found.append([alone(members[0]), *(last.of(number) for number in range(3))])
    assert plays == [members[0].steps - FIRST_STEPS] * 2
    assert max(differ(one, other) for one, other in zip(*found, strict=True)) < 1e-4
