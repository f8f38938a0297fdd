"""Births of what is new: exact where exactness is claimed, and able to learn everywhere."""

from collections.abc import Mapping

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from strategies import SEEDS, architectures, random_batch
from test_grow import NETWORKS, lived_in, places, sprout_of
from torch import Tensor

from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.network import EPSILON, Weights, network
from recursive_lth.architecture.zoo import convnet, mlp, paper_convnet
from recursive_lth.config import GrowthStep, Training
from recursive_lth.errors import InputError
from recursive_lth.growth.initialise import INITIALISATIONS, is_preserving, resolve
from recursive_lth.growth.masks_of_new import BUDGETED, MASKS_OF_NEW
from recursive_lth.ticket.ticket import Ticket
from recursive_lth.ticket.transplant import inherited
from recursive_lth.training.batches import Batches
from recursive_lth.training.loop import training
from recursive_lth.training.split import Samples

ALL = [(operator, name) for operator, names in INITIALISATIONS.items() for name in names]
CLAIMED = [cell for cell in ALL if is_preserving(*cell)]
BOUNDS = {torch.float64: 1e-10, torch.float32: 1e-5}
UNPAID = [mask for mask in MASKS_OF_NEW if mask not in BUDGETED]


def run(
    ticket: Ticket, batch: Tensor, dtype: torch.dtype, *, is_training: bool
) -> tuple[Tensor, Weights]:
    """Logits and new statistics of a ticket in a precision."""
    weights = {name: tensor.to(dtype) for name, tensor in ticket.weights.items()}
    return network(ticket.architecture)(weights, batch.to(dtype), training=is_training)


def worst_change(before: Ticket, after: Ticket, batch: Tensor, dtype: torch.dtype) -> float:
    """The largest change in either mode of a logit, or of a running statistic of an old unit.

    Old units come first in every tensor, so a widened statistic begins with the old one.
    """
    worst = 0.0
    for is_training in (False, True):
        logits, statistics = run(before, batch, dtype, is_training=is_training)
        grown, after_statistics = run(after, batch, dtype, is_training=is_training)
        worst = max(worst, float((logits - grown).abs().max()))
        assert statistics.keys() <= after_statistics.keys()
        for name, value in statistics.items():
            old = after_statistics[name][: len(value)]
            worst = max(worst, float((old - value).abs().max()))
    return worst


@pytest.mark.parametrize("mask", UNPAID)
@pytest.mark.parametrize(("operator", "initialisation"), CLAIMED)
@pytest.mark.parametrize("kind", NETWORKS)
def test_claims_are_exact(kind: str, operator: str, initialisation: str, mask: str) -> None:
    """No logit and no statistic of an old unit moves in either mode, at any place.

    widen: new units are read with weight 0. deepen: relu(1 * x) = x where x = relu(.). residual:
    relu(x + 0) = x there. Only the order of sums may change, so what is left is rounding.
    """
    ticket = lived_in(NETWORKS[kind], 1)
    batch = random_batch(ticket.architecture, 16, 2)
    for place in places(ticket.architecture, operator):
        sprout = sprout_of(ticket, GrowthStep(operator, place, 0.4, initialisation, mask))
        assert sprout.certificate.claims_exact
        assert max(sprout.certificate.eval, sprout.certificate.train) <= BOUNDS[torch.float64]
        for dtype, bound in BOUNDS.items():
            assert worst_change(ticket, sprout.ticket, batch, dtype) <= bound


@given(architectures(), st.sampled_from(CLAIMED), st.sampled_from(UNPAID), SEEDS)
def test_claims_are_exact_in_random_architectures(
    architecture: Architecture, cell: tuple[str, str], mask: str, seed: int
) -> None:
    """The same wherever an operator can act: pools, flattens, streams, norms on features."""
    ticket = lived_in(architecture, seed)
    batch = random_batch(architecture, 8, seed)
    for place in places(architecture, cell[0]):
        sprout = sprout_of(ticket, GrowthStep(cell[0], place, 0.6, cell[1], mask), seed)
        assert worst_change(ticket, sprout.ticket, batch, torch.float64) <= BOUNDS[torch.float64]


@pytest.mark.parametrize(("operator", "initialisation"), [c for c in ALL if c not in CLAIMED])
@pytest.mark.parametrize("kind", NETWORKS)
def test_what_does_not_preserve_says_so(kind: str, operator: str, initialisation: str) -> None:
    """No claim, no error, and the certificate bears the change that is really there."""
    ticket = lived_in(NETWORKS[kind], 1)
    batch = random_batch(ticket.architecture, 8, 0)
    sprout = sprout_of(ticket, GrowthStep(operator, 0.5, 0.4, initialisation))
    certificate = sprout.certificate
    assert not certificate.claims_exact
    for is_training, told in ((False, certificate.eval), (True, certificate.train)):
        before, _ = run(ticket, batch, torch.float64, is_training=is_training)
        after, _ = run(sprout.ticket, batch, torch.float64, is_training=is_training)
        assert told == pytest.approx(float((before - after).abs().max()), rel=1e-9)
        assert told > 1e-4  # far above rounding
    assert certificate.samples == 8


@pytest.mark.parametrize("kind", ["convnet", "paper-convnet", "mlp"])
def test_the_papers_identity_doubles(kind: str) -> None:
    """A post-activation block of identities gives relu(x + x / (1 + eps)), near 2x, in eval mode.

    Each fresh norm divides by sqrt(1 + eps), and x >= 0 passes each ReLU. Behind the last site
    only pooling, means and one linear layer follow, all homogeneous, so logits - bias are
    multiplied by the same factor. A perceptron's block has no norm: exactly 2.
    """
    starts = {
        "convnet": convnet((3, 8, 8), 5, (4, 6)),
        "paper-convnet": paper_convnet((3, 16, 16), 5, ()),
        "mlp": mlp((1, 5, 5), 4, (7, 5)),
    }
    ticket = lived_in(starts[kind], 1)
    batch = random_batch(ticket.architecture, 8, 0)
    sprout = sprout_of(ticket, GrowthStep("residual", 1.0, 1.0, "identity_paper"))
    before, _ = run(ticket, batch, torch.float64, is_training=False)
    after, _ = run(sprout.ticket, batch, torch.float64, is_training=False)
    bias = ticket.weights["output.bias"].double()
    factor = 2.0 if kind == "mlp" else 1 + 1 / (1 + EPSILON)
    torch.testing.assert_close(after - bias, factor * (before - bias), rtol=1e-9, atol=1e-12)
    assert sprout.certificate.eval == pytest.approx(
        (factor - 1) * float((before - bias).abs().max()), rel=1e-9
    )
    in_training, _ = run(ticket, batch, torch.float64, is_training=True)
    grown, _ = run(sprout.ticket, batch, torch.float64, is_training=True)
    relative = float((grown - in_training).norm() / (in_training - bias).norm())
    assert relative > 0.3


def gradients(ticket: Ticket, batch: Tensor, labels: Tensor) -> Weights:
    """The gradient of the training loss at each trainable tensor, masks applied."""
    live = {n: t.double().requires_grad_() for n, t in ticket.weights.items()}
    names = ticket.architecture.trainable
    logits, _ = network(ticket.architecture)(live, batch, training=True)
    found = torch.autograd.grad(F.cross_entropy(logits, labels), [live[n] for n in names])
    return {
        n: g * ticket.masks[n] if n in ticket.masks else g
        for n, g in zip(names, found, strict=True)
    }


def new_entries(morph_inherited: Mapping[str, Tensor], ticket: Ticket) -> Weights:
    """For each trainable tensor with new entries that remain, where they are."""
    found = {}
    for name in ticket.architecture.trainable:
        place = ~morph_inherited[name]
        place &= ticket.masks.get(name, torch.ones_like(place))
        if bool(place.any()):
            found[name] = place
    return found


@pytest.mark.parametrize("mask", MASKS_OF_NEW)
@pytest.mark.parametrize(("operator", "initialisation"), ALL)
@pytest.mark.parametrize("kind", NETWORKS)
def test_new_units_learn(kind: str, operator: str, initialisation: str, mask: str) -> None:
    """After three real steps some new entry of every tensor has moved: nothing is born dead.

    One step moves what reads new units (or ends a branch); then gradient reaches what feeds them.
    """
    ticket = lived_in(NETWORKS[kind], 1)
    sprout = sprout_of(ticket, GrowthStep(operator, 0.0, 0.6, initialisation, mask))
    grown = sprout.ticket
    images = random_batch(ticket.architecture, 64, 3).float()
    labels = torch.arange(64) % ticket.architecture.classes
    batches = Batches(Samples(images, labels), torch.zeros(3), Training())
    recipe = Training(optimizer="sgd", learning_rate=0.1, momentum=0, batch_size=32)
    *_, step = training(
        grown.architecture, grown.weights, grown.masks, batches, recipe, steps=3, seed=0
    )
    places_of_new = new_entries(inherited(sprout.morph), grown)
    assert places_of_new
    for name, place in places_of_new.items():
        moved = step.weights[name].detach() != grown.weights[name]
        assert bool((moved & place).any()), name


@pytest.mark.parametrize("kind", NETWORKS)
def test_the_first_gradient(kind: str) -> None:
    """What a zero blocks at the first step follows from the chain rule.

    Units read with weight 0 get no gradient, their readers do. A branch whose last gamma (or last
    weight) is 0 passes none back: gamma and beta (or that weight and bias) alone receive some. An
    identity blocks nothing.
    """
    ticket = lived_in(NETWORKS[kind], 1)
    architecture = ticket.architecture
    batch = random_batch(architecture, 32, 3)
    labels = torch.arange(32) % architecture.classes
    for operator, initialisation in CLAIMED:
        sprout = sprout_of(ticket, GrowthStep(operator, 0.0, 1.0, initialisation))
        found = gradients(sprout.ticket, batch, labels)
        new = new_entries(inherited(sprout.morph), sprout.ticket)
        reached = {name for name, place in new.items() if bool((found[name][place] != 0).any())}
        if operator == "widen":
            symbol = architecture.free_symbols[0]
            rows = sprout.morph.after.tensors
            reads = {n for n in new if len(rows[n]) > 1 and rows[n][1][0].symbol == symbol}
            assert reached == reads
        elif operator == "residual":
            end = "g3_2" if kind == "mlp" else "g3_2_norm"
            assert reached == {f"{end}.weight", f"{end}.bias"}
        else:
            assert reached == set(new)


def test_resolve_and_claims() -> None:
    """Each operator's first is its preserving one; another's name falls back to it."""
    for operator, choices in INITIALISATIONS.items():
        first = next(iter(choices))
        assert resolve(operator, "preserving") == (first, choices[first])
        for name in choices:
            assert resolve(operator, name) == (name, choices[name])
            assert is_preserving(operator, name) == (name == first)
    assert resolve("widen", "identity_paper")[0] == "zero_out"
    with pytest.raises(InputError, match="unknown operator 'wide': did you mean 'widen'"):
        resolve("wide", "preserving")


@pytest.mark.parametrize("operator", INITIALISATIONS)
def test_the_word_preserving_claims_to_preserve(operator: str) -> None:
    """`preserving` stands for the operator's preserving one, so asking about it says true."""
    assert is_preserving(operator, "preserving")
