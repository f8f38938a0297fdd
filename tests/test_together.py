"""Each member of a population ends as it would alone: weights, moments, losses, in float64."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import islice

import pytest
import torch
from strategies import exact_masks, normal_weights

from recursive_lth.architecture.draft import Draft
from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.layer import Layer
from recursive_lth.architecture.zoo import convnet, mlp
from recursive_lth.config import Training
from recursive_lth.growth.operators import OPERATORS
from recursive_lth.ticket import masks as masking
from recursive_lth.training.batches import Batches
from recursive_lth.training.engine import DENSE, Plan
from recursive_lth.training.loop import Step, training
from recursive_lth.training.samples import Samples
from recursive_lth.training.together import Member, training_together

STEPS = 20
RECIPES = {
    "momentum": Training(optimizer="sgd", learning_rate=0.02, weight_decay=0.01, schedule="cosine"),
    "adam, clipped": Training(optimizer="adam", learning_rate=0.003, clip_norm=0.1),
    "adamw, shifted": Training(optimizer="adamw", learning_rate=0.003, weight_decay=0.1, shift=1),
    "smoothed": Training(optimizer="adam", learning_rate=0.003, label_smoothing=0.2, warmup=0.3),
}
PLANS = [
    DENSE,
    Plan(("fc1",)),
    Plan(("fc1", "fc2", "output")),
    Plan((), ("fc1", "fc2", "output")),
    Plan(("fc2",), ("fc1", "output")),
    Plan(("fc1",), ("fc2",)),
]
WIDTHS = {"alike": [(7, 5)] * 3, "unlike": [(7, 5), (4, 9), (6, 6)]}


def residual(hidden: tuple[int, ...]) -> Architecture:
    """A perceptron with a residual block, whose stream is added to itself."""
    plain = mlp((1, 4, 4), 3, hidden)
    return OPERATORS["residual"](plain, place=0.0, ratio=1.0, label="g2").after


def member(architecture: Architecture, recipe: Training, seed: int, density: float) -> Member:
    """A network of its own weights, masks, batches and seed."""
    draw = torch.Generator().manual_seed(seed)
    shape, classes = architecture.shapes[architecture.input], architecture.classes
    images = torch.randn(40 + 3 * seed, *shape, generator=draw, dtype=torch.float64)
    labels = torch.randint(0, classes, (len(images),), generator=draw)
    recipe = replace(recipe, batch_size=8)
    kept = {
        name: max(1, round(density * mask.numel()))
        for name, mask in masking.dense(architecture).items()
    }
    masks = exact_masks(architecture, kept, seed)
    weights = {n: t.double() for n, t in normal_weights(architecture, seed).items()}
    data = Batches(Samples(images, labels), torch.zeros(1, dtype=torch.float64), recipe)
    return Member(
        architecture, masking.apply(weights, masks), masks, data, recipe, STEPS, 10 + seed
    )


def lone_loop(one: Member) -> Iterator[Step]:
    """The ordinary loop of a member."""
    return training(
        one.architecture,
        one.weights,
        one.masks,
        one.data,
        one.recipe,
        steps=one.steps,
        seed=one.seed,
        start=one.start,
        state=one.state,
    )


def alone(one: Member) -> Step:
    """What the ordinary loop makes of a member."""
    *_, last = lone_loop(one)
    return last


def check_equal(found: Step, expected: Step) -> None:
    assert (found.number, found.steps) == (expected.number, expected.steps)
    assert float((found.loss - expected.loss).abs()) < 1e-10
    assert found.weights.keys() == expected.weights.keys()
    for name, weight in expected.weights.items():
        assert float((found.weights[name] - weight).detach().abs().max()) < 1e-10
    one, other = found.state(), expected.state()
    assert one.keys() == other.keys()
    for kind, tensors in other.items():
        for name, tensor in tensors.items():
            assert float((one[kind][name] - tensor).abs().max()) < 1e-10


@pytest.mark.parametrize("plan", PLANS, ids=str)
@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("widths", WIDTHS)
def test_each_ends_as_it_would_alone(widths: str, name: str, plan: Plan) -> None:
    """Whatever the others are: densities, data, seeds and widths of their own."""
    members = [
        member(mlp((1, 4, 4), 3, hidden), RECIPES[name], seed, density)
        for seed, (hidden, density) in enumerate(zip(WIDTHS[widths], (0.3, 1, 0.6), strict=True))
    ]
    assert len({m.company for m in members}) == 1
    *_, last = training_together(members, plan)
    for number, one in enumerate(members):
        check_equal(last.of(number), alone(one))


@pytest.mark.parametrize(
    ("density", "plan"), [(1, DENSE), (0.036, Plan(("fc1", "fc2", "output")))], ids=str
)
@pytest.mark.parametrize("widths", [[(64, 32)], [(64, 32), (48, 24), (56, 32), (64, 20)]], ids=str)
def test_sixty_four_networks_for_digits(
    widths: list[tuple[int, ...]], density: float, plan: Plan
) -> None:
    """As many as are timed, and sparse ones, each against its lone twin."""
    members = [
        member(mlp((1, 8, 8), 10, widths[seed % len(widths)]), RECIPES["momentum"], seed, density)
        for seed in range(64)
    ]
    *_, last = training_together(members, plan)
    for number, one in enumerate(members):
        check_equal(last.of(number), alone(one))


RESIDUAL = [DENSE, Plan(("fc1", "g2_1", "g2_2")), Plan(("fc1",), ("g2_1",)), Plan((), ("g2_2",))]


@pytest.mark.parametrize("plan", RESIDUAL, ids=str)
def test_residual_streams_join(plan: Plan) -> None:
    members = [
        member(residual(hidden), RECIPES["momentum"], seed, 0.5)
        for seed, hidden in enumerate(((5, 4), (3, 6)))
    ]
    *_, last = training_together(members, plan)
    for number, one in enumerate(members):
        check_equal(last.of(number), alone(one))


def seen_twice(hidden: tuple[int, ...]) -> Architecture:
    """A perceptron whose images are read by a layer, by an activation, and by a sum with that."""
    draft = Draft((1, 4, 4), 3)
    flat = draft.plain("flatten", Layer("flatten", ("input",)))
    both = draft.plain("sum", Layer("add", (draft.relu("positive", flat), flat)))
    draft.linear("fc1", flat, "hidden", hidden[0])
    draft.linear("fc2", both, "hidden", hidden[0])
    return draft.finish(draft.plain("end", Layer("add", ("fc1", "fc2"))))


@pytest.mark.parametrize("plan", PLANS, ids=str)
@pytest.mark.parametrize("owners", [(0, 0, 0), (0, 1, 0, 0, 1), (1, 0)])
@pytest.mark.parametrize("build", [partial(mlp, (1, 4, 4), 3), residual, seen_twice])
def test_members_that_see_the_same_images(
    build: Callable[[tuple[int, ...]], Architecture],
    owners: tuple[int, ...],
    plan: Plan,
) -> None:
    """Of one seed and one set of data: they read one stream, and end as each would alone."""
    streams = [member(build((7, 5)), RECIPES["adam, clipped"], seed, 1) for seed in (0, 1)]
    members = []
    for seed, owner in enumerate(owners):
        one = member(build((7, 5)), RECIPES["adam, clipped"], seed, 0.5)
        members.append(replace(one, data=streams[owner].data, seed=streams[owner].seed))
    there = members[0].architecture.layers.keys()
    ours = Plan(*(tuple(n for n in names if n in there) for names in (plan.sparse, plan.onednn)))
    *_, last = training_together(members, ours)
    for number, one in enumerate(members):
        check_equal(last.of(number), alone(one))


def test_each_goes_on_with_its_optimizer() -> None:
    """From a later step, with the moments that each had there."""
    members = [
        member(mlp((1, 4, 4), 3, h), RECIPES["smoothed"], s, 0.5)
        for s, h in enumerate(WIDTHS["unlike"])
    ]
    *_, middle = islice(training_together(members, Plan(("fc1",), ("fc2",))), 7)
    begun = []
    for number, one in enumerate(members):
        step = middle.of(number)
        begun.append(replace(one, weights=step.snapshot(), state=step.state(), start=7))
    *_, last = training_together(begun, Plan(("fc2",), ("fc1", "output")))
    for number, one in enumerate(members):
        check_equal(last.of(number), alone(one))


@pytest.mark.parametrize("plan", PLANS, ids=str)
def test_a_members_engine_evaluates_it(plan: Plan) -> None:
    """What a step hands out is packed for its engine, whose forward gives the lone network's."""
    members = [member(mlp((1, 4, 4), 3, h), RECIPES["momentum"], s, 0.5)
               for s, h in enumerate(WIDTHS["unlike"])]  # fmt: skip
    first = next(training_together(members, plan))
    for number, one in enumerate(members):
        step, images = first.of(number), one.data.images[:5]
        found, _ = step.engine.forward(step.live, images)
        (expected_step,) = islice(
            training(one.architecture, one.weights, one.masks, one.data, one.recipe,
                     steps=STEPS, seed=one.seed), 1)  # fmt: skip
        expected, _ = expected_step.engine.forward(expected_step.live, images)
        assert float((found - expected).detach().abs().max()) < 1e-10


def test_who_stays_alone() -> None:
    """Convolutions, dropout and low precision; and nobody joins those of another recipe or end."""
    one = member(mlp((1, 4, 4), 3, (5, 4)), RECIPES["momentum"], 0, 1.0)
    assert one.company is not None
    for recipe in ({"dropout": 0.1}, {"precision": "bfloat16"}):
        assert replace(one, recipe=replace(one.recipe, **recipe)).company is None
    assert member(convnet((1, 4, 4), 3, (2,)), RECIPES["momentum"], 0, 1.0).company is None
    assert replace(one, steps=STEPS + 1).company != one.company
    assert replace(one, recipe=replace(one.recipe, learning_rate=0.5)).company != one.company
    deeper = member(mlp((1, 4, 4), 3, (5, 4, 4)), RECIPES["momentum"], 0, 1.0)
    assert deeper.company != one.company


@pytest.mark.parametrize("shape", [(1, 5, 5), (1, 2, 8), (2, 4, 4)])
def test_nobody_joins_those_who_see_other_images(shape: tuple[int, ...]) -> None:
    """Images of all streams lie in one tensor: larger, turned or deeper ones are no company."""
    one = member(mlp((1, 4, 4), 3, (5, 4)), RECIPES["momentum"], 0, 1.0)
    other = replace(one, architecture=mlp(shape, 3, (5, 4)))
    assert other.company is not None
    assert other.company != one.company
