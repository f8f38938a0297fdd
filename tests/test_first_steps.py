"""First steps of what is new: what a birth lets learn at once, and that nothing is born dead."""

import pytest
import torch
import torch.nn.functional as F
from strategies import random_batch
from test_grow import BIRTHS, CELLS, SMALL, can_pay, lived_in, places, sprout_of
from torch import Tensor

from recursive_lth.architecture.network import Weights, network
from recursive_lth.config import GrowthStep, Training
from recursive_lth.growth.birth import Birth
from recursive_lth.growth.grow import Sprout, new_places
from recursive_lth.growth.initialise import is_preserving
from recursive_lth.ticket.ticket import Ticket
from recursive_lth.training.batches import Batches
from recursive_lth.training.loop import training
from recursive_lth.training.samples import Samples

ROUNDING = 1e-12  # of a gradient: what silent units put out is some 1e-20
pytestmark = pytest.mark.usefixtures("few_ascents")


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


def new_entries(sprout: Sprout) -> Weights:
    """For each trainable tensor with new, copied or revived entries that remain, where they are."""
    masks, found = sprout.ticket.masks, {}
    is_new = new_places(sprout.morph, Birth({}, revived=sprout.revived))
    for name in sprout.ticket.architecture.trainable:
        place = is_new[name] & masks.get(name, torch.ones_like(is_new[name]))
        if bool(place.any()):
            found[name] = place
    return found


@pytest.mark.parametrize(("operator", "initialisation", "mask"), CELLS)
@pytest.mark.parametrize("kind", SMALL)
def test_new_units_learn(kind: str, operator: str, initialisation: str, mask: str) -> None:
    """After three real steps some new entry of every tensor has moved: nothing is born dead.

    One step moves what reads new units (or ends a branch); then gradient reaches what feeds them.
    """
    ticket = lived_in(SMALL[kind], 1)
    images = random_batch(ticket.architecture, 64, 3).float()
    labels = torch.arange(64) % ticket.architecture.classes
    batches = Batches(Samples(images, labels), torch.zeros(3), Training())
    recipe = Training(optimizer="sgd", learning_rate=0.1, momentum=0, batch_size=32)
    for place in places(ticket.architecture, operator)[:1]:
        step = GrowthStep(operator, place, 0.3, initialisation, mask, density=0.5)
        if not can_pay(ticket, step):  # a block may be larger than a small start
            continue
        sprout = sprout_of(ticket, step)
        grown = sprout.ticket
        *_, last = training(
            grown.architecture, grown.weights, grown.masks, batches, recipe, steps=3, seed=0
        )
        places_of_new = new_entries(sprout)
        assert places_of_new
        for name, place_of_new in places_of_new.items():
            has_moved = last.weights[name].detach() != grown.weights[name]
            assert bool((has_moved & place_of_new).any()), name


@pytest.mark.parametrize(
    ("operator", "initialisation"), [birth for birth in BIRTHS if is_preserving(*birth)]
)
@pytest.mark.parametrize("kind", SMALL)
def test_the_first_gradient(kind: str, operator: str, initialisation: str) -> None:
    """What a zero blocks at the first step follows from the chain rule.

    Units read with weight 0 get no gradient, the weights that read them do. A branch whose last
    gamma (or last weight) is 0 passes none back: what its last layer holds receives some. Units
    that read nothing, as GradMax's, get it in what they read, and hand nothing on that their
    readers could learn from. An identity, copies, pairs, a rim and returning weights block nothing.
    """
    ticket = lived_in(SMALL[kind], 1)
    batch = random_batch(ticket.architecture, 32, 3)
    labels = torch.arange(32) % ticket.architecture.classes
    for place in places(ticket.architecture, operator)[:1]:
        sprout = sprout_of(ticket, GrowthStep(operator, place, 0.25, initialisation))
        found, new = gradients(sprout.ticket, batch, labels), new_entries(sprout)
        reached = {n for n, where in new.items() if float(found[n][where].abs().max()) > ROUNDING}
        if initialisation == "zero_out":
            assert reached == reading(sprout, new)
        elif initialisation == "zero_gamma":
            assert reached == ending(sprout, new)
        elif initialisation.startswith("gradmax"):
            weights = {n for n in new if n in sprout.morph.after.prunable}
            assert reached & weights == weights - reading(sprout, new)
        else:
            assert reached == set(new)


def reading(sprout: Sprout, new: Weights) -> set[str]:
    """Old weight tensors whose new entries lie along the axis that is read."""
    return {
        name
        for name in new
        if name in sprout.morph.before.prunable
        and sprout.morph.after.shape(name)[1] > sprout.morph.before.shape(name)[1]
    }


def ending(sprout: Sprout, new: Weights) -> set[str]:
    """Tensors of the new layers that a new addition reads."""
    layers = sprout.morph.after.layers
    ends = {
        source
        for name in sprout.morph.new_layers
        if layers[name].operation == "add"
        for source in layers[name].inputs
    }
    return {name for name in new if name.rpartition(".")[0] in ends}
