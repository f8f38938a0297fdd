"""Barriers of known valleys, statistics as torch measures them, parents inside their children."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from new_unit_networks import dense_net
from slow_landscape import case
from strategies import random_batch, random_samples
from test_grow import BIRTHS, SMALL, lived_in, sprout_of
from torch import Tensor, nn

from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.module import module
from recursive_lth.config import GrowthStep
from recursive_lth.errors import InputError
from recursive_lth.growth.compound import grow_any
from recursive_lth.growth.grow import Sprout
from recursive_lth.growth.initialise import is_preserving
from recursive_lth.growth.masks_of_new import MASKS_OF_NEW
from recursive_lth.growth.operators import COMPOUNDS, PLACES
from recursive_lth.study.panel.barrier import (
    barrier,
    barrier_above_line,
    embedded,
    line_between,
)
from recursive_lth.study.panel.batch_statistics import reestimated
from recursive_lth.ticket import masks as masking
from recursive_lth.ticket.ticket import Ticket
from recursive_lth.training.evaluate import evaluate, logits_of
from recursive_lth.training.samples import Samples

CELLS = [  # each birth with one mask in turn
    (*birth, tuple(MASKS_OF_NEW)[(number + 1) % len(MASKS_OF_NEW)])
    for number, birth in enumerate(
        [
            *BIRTHS,
            *((operator, "variance_transfer") for operator in COMPOUNDS),
            ("residual_widen", "kaiming"),
            ("stretch_widen", "copied"),
        ]
    )
]
ENDS = st.tuples(st.floats(0, 5), st.floats(0, 5))
pytestmark = pytest.mark.usefixtures("few_ascents")


@given(ENDS, st.floats(0, 5), st.integers(2, 20))
def test_the_barrier_of_a_known_hill(ends: tuple[float, float], height: float, half: int) -> None:
    """A parabola of this height over the line between the ends: h 4 a (1 - a), highest at 1/2.

    Above the line exactly h; above the mean of the ends by h where they are level, at least h less
    half of what they differ by, and at least that half.
    """
    first, last = ends
    shares = [i / (2 * half) for i in range(2 * half + 1)]
    values = [first + (last - first) * a + height * 4 * a * (1 - a) for a in shares]
    assert barrier_above_line(values) == pytest.approx(height, abs=1e-9)
    level = barrier([v - (last - first) * a for v, a in zip(values, shares, strict=True)])
    assert level == pytest.approx(height, abs=1e-9)
    found = barrier(values)
    assert found is not None
    assert found >= max(abs(last - first) / 2, height) - 1e-9


def test_valleys_and_ends() -> None:
    """A valley between level ends is no barrier; a diverged end says nothing, a middle all."""
    assert barrier([0.0, 2.0, 1.0]) == 1.5
    assert barrier([1.0, 0.2, 1.0]) == 0
    assert barrier_above_line([1.0, 0.2, 1.0]) == 0
    for found in (barrier, barrier_above_line):
        assert found([math.inf, 1.0, 1.0]) is None
        assert found([1.0, 1.0, math.nan]) is None
        assert found([1.0, math.inf, 1.0]) == math.inf


def test_a_linear_model_has_no_barrier() -> None:
    """Its loss is convex in the weights: never above the line between the ends.

    Its mirror image is as far as can be: -w, where the loss at the middle is log of the classes.
    """
    given_case = case("linear")
    turned = {n: -t for n, t in given_case.weights.items()}
    line = line_between(
        given_case.architecture, given_case.weights, turned, given_case.samples, points=21
    )
    assert len(line.losses) == len(line.errors) == 21
    assert line.losses[10] == pytest.approx(math.log(3))
    assert barrier_above_line(line.losses) == pytest.approx(0, abs=1e-12)


def test_swapped_units_have_the_barrier_of_their_mean() -> None:
    """Two tanh units exchanged: one function at both ends, and at the middle that of the means.

    With units of opposite weights (w, v) and (-w, -v) the exchange is w -> -w, v -> -v: all of the
    first layer and of the second is 0 half way, where the logits are the biases, and the loss is
    known.
    """
    images = case("linear").samples.images
    architecture = dense_net("tanh", hidden=2, inputs=5)
    generator = torch.Generator().manual_seed(0)
    first = {
        n: torch.randn(architecture.shape(n), dtype=torch.float64, generator=generator)
        for n in architecture.tensors
    }
    first["one.weight"][1] = -first["one.weight"][0]
    first["one.bias"].zero_()
    first["two.weight"][:, 1] = -first["two.weight"][:, 0]
    second = first | {"one.weight": first["one.weight"].flip(0)}
    second["two.weight"] = first["two.weight"].flip(1)
    samples = Samples(images, torch.arange(len(images)) % 5)
    line = line_between(architecture, first, second, samples, points=3)
    assert line.losses[0] == pytest.approx(line.losses[2], rel=1e-12)
    flat = first | {n: 0 * first[n] for n in ("one.weight", "two.weight")}
    middle = evaluate(architecture, flat, samples)
    assert line.losses[1] == pytest.approx(middle.loss, rel=1e-12)
    expected = max(0.0, middle.loss - line.losses[0])
    assert barrier(line.losses) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", ["mlp", "resnet-8"])
def test_points_are_where_they_should_be(name: str) -> None:
    """Loss and error of each point as evaluated alone, statistics measured anew for each."""
    given_case, other = case(name, 1), case(name, 2)
    images = random_batch(given_case.architecture, 20, 3) if name == "resnet-8" else None
    line = line_between(
        given_case.architecture,
        given_case.weights,
        other.weights,
        given_case.samples,
        points=4,
        images=images,
    )
    for i, (loss, error) in enumerate(zip(line.losses, line.errors, strict=True)):
        a = i / 3
        weights = {n: (1 - a) * t + a * other.weights[n] for n, t in given_case.weights.items()}
        if images is not None:
            weights = slow_statistics(given_case.architecture, weights, [images])
        found = evaluate(given_case.architecture, weights, given_case.samples)
        assert loss == pytest.approx(found.loss, rel=1e-8)
        assert error == pytest.approx(1 - found.accuracy)


def slow_statistics(
    architecture: Architecture, weights: dict[str, Tensor], batches: list[Tensor]
) -> dict[str, Tensor]:
    """What torch's layers hold after these batches when they take plain means of all they saw."""
    net = module(architecture, weights).train()
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            layer.reset_running_stats()
            layer.momentum = None
    with torch.no_grad():
        for batch in batches:
            net(batch)
    known = net.state_dict()
    return {n: known[n] for n in architecture.tensors}


@pytest.mark.parametrize("samples", [7, 12])
def test_statistics_are_torchs(samples: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `momentum=None`, over batches of nearly one size; what was there does not count."""
    monkeypatch.setattr("recursive_lth.study.panel.batch_statistics.BATCH", 5)
    given_case = case("resnet-8")
    images = random_batch(given_case.architecture, samples, 1)
    found = reestimated(given_case.architecture, given_case.weights, images)
    batches = list(images.tensor_split(-(-samples // 5)))
    expected = slow_statistics(given_case.architecture, given_case.weights, batches)
    assert list(found) == list(given_case.weights)
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-8, atol=1e-10)


def test_errors_name_the_cure() -> None:
    given_case = case("resnet-8")
    ends = given_case.architecture, given_case.weights, given_case.weights, given_case.samples
    with pytest.raises(InputError, match="give training images"):
        line_between(*ends)
    with pytest.raises(InputError, match="points=1"):
        line_between(*ends, points=1)


def trained_on(ticket: Ticket, seed: int) -> dict[str, Tensor]:
    """Other values for all that learns, as a training of the parent alone would leave."""
    generator = torch.Generator().manual_seed(seed)
    moved = {
        n: t + 0.3 * torch.randn(t.shape, generator=generator)
        if n in ticket.architecture.trainable
        else t
        for n, t in ticket.weights.items()
    }
    return masking.apply(moved, ticket.masks)


@pytest.mark.parametrize(
    ("operator", "initialisation"), [birth for birth in BIRTHS if is_preserving(*birth)]
)
def test_an_embedded_parent_computes_what_it_did(operator: str, initialisation: str) -> None:
    """Function-preserving growths: the parent, trained on, has its logits in the child's shape.

    So the line from it to the child starts at the parent's own loss.
    """
    checked = 0
    for architecture in SMALL.values():
        if not PLACES[operator](architecture):
            continue
        parent = lived_in(architecture, 0)
        sprout = sprout_of(parent, GrowthStep(operator, 0.5, 0.5, initialisation))
        if not sprout.certificate.claims_exact:
            continue
        weights = {n: t.double() for n, t in trained_on(parent, 1).items()}
        child = sprout.ticket
        found = embedded(weights, sprout)
        assert all(t.dtype == child.weights[n].dtype for n, t in found.items())
        images = random_batch(architecture, 10, 2).float()
        theirs = logits_of(architecture, {n: t.float() for n, t in weights.items()}, images)
        ours = logits_of(child.architecture, found, images)
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3 * float(theirs.abs().max()))
        checked += 1
    assert checked


def grown(parent: Ticket, step: GrowthStep) -> Sprout:
    """The ticket grown by a step, with another mask where it cannot pay for what comes."""
    few, draws = random_samples(parent.architecture, 8, 0), torch.Generator().manual_seed(1)
    try:
        return grow_any(parent, step, few, generation=1, generator=draws)
    except InputError:
        return grown(parent, replace(step, mask="parent_density"))


@pytest.mark.parametrize(("operator", "initialisation", "mask"), CELLS)
def test_a_parent_embedded_as_it_was_is_the_newborn(
    operator: str, initialisation: str, mask: str
) -> None:
    """Bit by bit, whatever is born, shared out, scaled, revived, or paid for with old weights."""
    checked = 0
    for kind, architecture in SMALL.items():
        parts = COMPOUNDS.get(operator, (operator,))
        if not all(PLACES[part](architecture) for part in parts):
            continue
        parent = lived_in(architecture, 0)
        step = GrowthStep(operator, 0.5, 0.5, initialisation, mask)
        sprout = grown(parent, step)
        found = embedded(parent.weights, sprout)
        for name, tensor in sprout.ticket.weights.items():
            assert torch.equal(found[name], tensor), f"{kind} {name}"
        checked += 1
    assert checked


def test_no_barrier_between_a_parent_and_its_newborn_child() -> None:
    """Embedded at birth it is the child: one loss all the way, the parent's own."""
    parent = lived_in(SMALL["mlp"], 3)
    sprout = sprout_of(parent, GrowthStep("deepen", 0.5, 0.5, "identity"))
    batch = random_batch(parent.architecture, 10, 4).float()
    samples = Samples(batch, torch.arange(10) % 4)
    inside = embedded(parent.weights, sprout)
    line = line_between(sprout.ticket.architecture, inside, sprout.ticket.weights, samples)
    own = evaluate(parent.architecture, parent.weights, samples)
    assert line.losses == pytest.approx([own.loss] * 11, rel=1e-5)
    assert barrier(line.losses) == pytest.approx(0, abs=1e-5)
    assert barrier(line.errors) == 0
