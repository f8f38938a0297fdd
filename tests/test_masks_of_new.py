"""Masks of new weights: exact counts, bones that stay, and budgets that are paid by the weakest."""

import math
from dataclasses import replace

import pytest
import torch
from changes import row_ancestors
from hypothesis import given
from hypothesis import strategies as st
from strategies import SEEDS, architectures, exact_masks
from test_grow import BIRTHS, NETWORKS, SMALL, can_pay, home, lived_in, places, sprout_of
from torch import Tensor

from recursive_lth import seeds
from recursive_lth.architecture.cost import size
from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.zoo import mlp
from recursive_lth.config import GrowthStep
from recursive_lth.errors import InputError
from recursive_lth.growth.fresh import fresh
from recursive_lth.growth.grow import Sprout, seed_ticket
from recursive_lth.growth.masks_of_new import MASKS_OF_NEW, pay
from recursive_lth.growth.new_units import new_units
from recursive_lth.growth.operators import OPERATORS
from recursive_lth.ticket.masks import apply, counts, remaining
from recursive_lth.ticket.morph import NEW, Morph, birth
from recursive_lth.ticket.ticket import Ticket
from recursive_lth.ticket.transplant import inherited

UNPAYABLE = {("convnet", "residual"), ("convnet", "residual_pre")}  # larger than all there is
pytestmark = pytest.mark.usefixtures("few_ascents")


def sparse(architecture: Architecture, density: float, seed: int) -> Ticket:
    """A ticket with about this share of each tensor's weights, at least one."""
    sizes = {n: math.prod(architecture.shape(n)) for n in architecture.prunable}
    kept = {name: max(1, round(density * n)) for name, n in sizes.items()}
    masks = exact_masks(architecture, kept, seed)
    whole = seed_ticket(birth(architecture), seeds.generator(seed), "kaiming_normal")
    return replace(whole, masks=masks, weights=apply(whole.weights, masks))


def new_counts(sprout: Sprout) -> dict[str, tuple[int, int]]:
    """For each tensor how many new weights remain, and how many there are."""
    found = {}
    for name, has_ancestor in inherited(sprout.morph).items():
        if name in sprout.ticket.masks:
            new = ~has_ancestor
            found[name] = int((sprout.ticket.masks[name] & new).sum()), int(new.sum())
    return found


@pytest.mark.parametrize(("operator", "initialisation"), BIRTHS)
def test_dense_keeps_all_that_is_new(operator: str, initialisation: str) -> None:
    """Every new weight is there; how dense the parent is plays no part."""
    ticket = sparse(home(operator), 0.1, 0)
    for place in places(ticket.architecture, operator)[-1:]:
        sprout = sprout_of(ticket, GrowthStep(operator, place, 0.5, initialisation, "dense"))
        assert all(kept == whole for kept, whole in new_counts(sprout).values())


@pytest.mark.parametrize(("operator", "initialisation"), BIRTHS)
@pytest.mark.parametrize("network", SMALL)
def test_parent_density_counts_are_exact(network: str, operator: str, initialisation: str) -> None:
    """round(density * new) of each tensor's new weights, at least its ones (n of n * n) and one.

    The density is that of all the parent's weights together, whichever tensor is new. Pairs of
    mirrored units are whole, and an odd unit beside them has one weight.
    """
    ticket = sparse(SMALL[network], 0.3, 0)
    density = ticket.cost.density
    for place in places(ticket.architecture, operator)[::5]:
        step = GrowthStep(operator, place, 0.5, initialisation, "parent_density")
        sprout = sprout_of(ticket, step)
        for name, (kept, whole) in new_counts(sprout).items():
            bones = 0
            if initialisation in {"identity", "identity_paper"} and whole:
                bones = sprout.morph.after.shape(name)[0]
            if initialisation in {"mirror", "variance_transfer"} and whole:
                units = new_units(sprout.morph).count
                bones = whole // units * (units - units % 2) + units % 2
            assert kept == max(round(density * whole), bones, min(1, whole))


@given(architectures(), st.floats(0.05, 1), SEEDS)
def test_the_identity_keeps_its_bones(
    architecture: Architecture, density: float, seed: int
) -> None:
    """However sparse the parent, each unit of a new identity still hands on its own input."""
    ticket = sparse(architecture, density, seed)
    for place in places(architecture, "deepen"):
        step = GrowthStep("deepen", place, 1.0, "identity", "parent_density")
        sprout = sprout_of(ticket, step, seed)
        weight = sprout.ticket.weights["g3.weight"]
        centre = weight.flatten(2)[..., weight.shape[-1] ** 2 // 2] if weight.dim() > 2 else weight
        assert torch.equal(centre, torch.eye(len(weight)))
        mask = sprout.ticket.masks["g3.weight"]
        assert bool(mask[weight != 0].all())


def test_new_weights_are_drawn_at_random_and_evenly() -> None:
    """Over 400 seeds each of 20 new places is drawn 400 * 5 / 20 = 100 times, give or take.

    The number for one place is hypergeometric with deviation sqrt(400 * .25 * .75) = 8.7.
    """
    ticket = sparse(mlp((4,), 5, (4,)), 0.25, 0)
    change = OPERATORS["widen"](ticket.architecture, place=0.0, ratio=1.0, label="")
    drawn = torch.zeros(5, 8)
    for seed in range(400):
        masks = MASKS_OF_NEW["parent_density"](change, ticket.masks, {}, seeds.generator(seed), 1.0)
        drawn += masks["output.weight"]
    assert int(drawn[:, 4:].sum()) == 400 * 5
    assert float((drawn[:, 4:] - 100).abs().max()) < 5 * 8.7


@pytest.mark.parametrize(("operator", "initialisation"), BIRTHS)
@pytest.mark.parametrize("network", SMALL)
def test_constant_budget(network: str, operator: str, initialisation: str) -> None:
    """As many weights remain as before; new ones are those of `parent_density`, all still there.

    So exactly as many old ones went as new or revived ones came, and no old one that went is larger
    than an old one that stayed, save the last of a tensor. An exchange has nothing to pay.
    """
    ticket = lived_in(SMALL[network], 1)
    for place in places(ticket.architecture, operator)[:1]:
        step = GrowthStep(operator, place, 0.3, initialisation, "constant_budget")
        if (network, operator) in UNPAYABLE:
            assert not can_pay(ticket, step)
            continue
        sprout = sprout_of(ticket, step)
        free = sprout_of(ticket, replace(step, mask="parent_density"))
        assert remaining(sprout.ticket.masks) == remaining(ticket.masks)
        assert new_counts(sprout) == new_counts(free)
        if initialisation in {"rigl", "set"}:
            assert sprout.ticket.digest == free.ticket.digest
            assert sprout.certificate.after_budget == sprout.certificate.eval
        else:
            check_payment(sprout, free)


def is_copy(change: Morph, name: str) -> Tensor:
    """True where an entry's row or column has an ancestor that an earlier one has too."""
    found = torch.zeros(change.after.shape(name), dtype=torch.bool)
    if name in change.before.tensors:
        for dimension in (0, 1):
            sources = row_ancestors(change, name, dimension)
            for entry, source in enumerate(sources):
                if source != NEW and source in sources[:entry]:
                    found.select(dimension, entry).fill_(True)
    return found


def check_payment(sprout: Sprout, free: Sprout) -> None:
    """Compare a paid growth with the same one unpaid, weight by weight."""
    gone, stayed = [0.0], [math.inf]
    for name, has_ancestor in inherited(sprout.morph).items():
        if name not in sprout.ticket.masks:
            continue
        before, after = free.ticket.masks[name], sprout.ticket.masks[name]
        is_old = has_ancestor & ~sprout.revived.get(name, torch.zeros_like(before))
        is_old &= ~is_copy(sprout.morph, name)
        size = free.ticket.weights[name].abs()
        assert torch.equal(before[~is_old], after[~is_old])
        assert torch.equal(sprout.ticket.weights[name], free.ticket.weights[name] * after)
        gone += size[is_old & before & ~after].tolist()
        stayed += sorted(size[is_old & after].tolist())[:-1]
        if bool((is_old & before).any()):
            assert bool((is_old & after).any())
    assert len(gone) > 1
    assert max(gone) <= min(stayed)
    assert sprout.certificate.after_budget is not None
    assert sprout.certificate.after_budget > 1e-6
    assert free.certificate.after_budget is None
    if sprout.certificate.claims_exact:
        assert sprout.certificate.eval <= 1e-10


def what_is_new(change: Morph) -> dict[str, dict[str, Tensor]]:
    """What is new after a change; nothing pays last."""
    is_new = {name: ~place for name, place in inherited(change).items()}
    return {
        "is_new": is_new,
        "last": {name: torch.zeros_like(place) for name, place in is_new.items()},
    }


def one_to_eight() -> tuple[Morph, dict[str, Tensor], dict[str, Tensor]]:
    """A widening after which old |w| are 1 to 8 and new ones 0; all remain."""
    architecture = mlp((2,), 2, (2,))
    change = OPERATORS["widen"](architecture, place=0.0, ratio=1.0, label="")
    weights = {name: torch.zeros(change.after.shape(name)) for name in change.after.tensors}
    weights["fc1.weight"][:2] = torch.tensor([[5.0, -1.0], [7.0, 3.0]])
    weights["output.weight"][:, :2] = torch.tensor([[2.0, 8.0], [-4.0, 6.0]])
    masks = {n: torch.ones(change.after.shape(n), dtype=torch.bool) for n in change.after.prunable}
    return change, weights, masks


def test_the_spared_pay_last() -> None:
    """The two largest of eight old weights pay, with the next, where the six others are spared."""
    change, weights, masks = one_to_eight()
    last = {name: weights[name].abs() < 7 for name in masks}
    paid = pay(weights, masks, 16 - 3, is_new=what_is_new(change)["is_new"], last=last)
    assert paid["fc1.weight"].tolist() == [[True, False], [False, True], [True] * 2, [True] * 2]
    assert paid["output.weight"].tolist() == [[True, False, True, True], [True] * 4]


def test_the_weakest_pay_even_where_new_ones_are_weaker() -> None:
    """Old |w| are 1 to 8 and new ones 0: ties and zeros among the new do not save an old one."""
    change, weights, masks = one_to_eight()
    paid = pay(weights, masks, 16 - 3, **what_is_new(change))
    assert paid["fc1.weight"].tolist() == [[True, False], [True, False], [True] * 2, [True] * 2]
    assert paid["output.weight"].tolist() == [[False, True, True, True], [True] * 4]
    assert all(bool(mask.all()) for mask in masks.values())
    assert counts(pay(weights, masks, 99, **what_is_new(change))) == counts(masks)


def test_each_tensor_keeps_an_old_weight() -> None:
    """The floor holds in payment too: fc1, the weakest, keeps its strongest."""
    architecture = mlp((2,), 2, (2,))
    change = OPERATORS["widen"](architecture, place=0.0, ratio=1.0, label="")
    weights = {name: torch.ones(change.after.shape(name)) for name in change.after.tensors}
    weights["fc1.weight"] = torch.tensor([[0.1, 0.2], [0.4, 0.3], [1, 1], [1, 1]])
    masks = {n: torch.ones(change.after.shape(n), dtype=torch.bool) for n in change.after.prunable}
    paid = pay(weights, masks, 16 - 6, **what_is_new(change))
    assert paid["fc1.weight"][:2].tolist() == [[False, False], [True, False]]
    with pytest.raises(InputError, match="7 new weights costs more"):
        pay(weights, masks, 16 - 7, **what_is_new(change))


def test_a_new_part_of_a_tensor_is_never_empty() -> None:
    """At density 1/9 the two new weights of each tensor would be round(2/9) = 0; one is there."""
    architecture = mlp((2,), 2, (9,))
    masks = exact_masks(architecture, {"fc1.weight": 2, "output.weight": 2}, 0)
    change = OPERATORS["widen"](architecture, place=0.0, ratio=0.1, label="")
    grown = MASKS_OF_NEW["parent_density"](change, masks, {}, seeds.generator(0), 1.0)
    assert counts(grown) == {"fc1.weight": 3, "output.weight": 3}


@pytest.mark.parametrize(("network", "operator"), [("mlp", "widen"), ("convnet", "widen")])
def test_no_new_unit_is_born_dead(network: str, operator: str) -> None:
    """At a density of a hundredth each new unit still reads something and is read by something."""
    architecture = NETWORKS[network]
    sparse = {n: round(0.01 * size(architecture, n)) + 1 for n in architecture.prunable}
    masks = exact_masks(architecture, sparse, 0)
    for place in (0.0, 0.5, 1.0):
        change = OPERATORS[operator](architecture, place=place, ratio=0.5, label="")
        grown = MASKS_OF_NEW["parent_density"](change, masks, {}, seeds.generator(0), 1.0)
        (symbol,) = [s for s, ancestry in change.origin.items() if -1 in ancestry.units]
        fresh_units = torch.tensor(change.origin[symbol].units) == -1
        for name in change.after.prunable:
            for dimension, (axis,) in enumerate(change.after.tensors[name][:2]):
                if axis.symbol == symbol:
                    by_unit = grown[name].transpose(0, dimension).reshape(len(fresh_units), -1)
                    assert bool(by_unit.any(1)[fresh_units].all())


def test_a_dense_parent_has_dense_children() -> None:
    """At density 1 `parent_density` is `dense`, whatever is drawn."""
    architecture = NETWORKS["convnet"]
    whole = seed_ticket(birth(architecture), seeds.generator(0), "kaiming_normal")
    change = OPERATORS["residual"](architecture, place=0.5, ratio=1.0, label="g3")
    no_bones: dict[str, Tensor] = {}
    both = [
        MASKS_OF_NEW[name](change, whole.masks, no_bones, seeds.generator(1), 1.0)
        for name in ("dense", "parent_density")
    ]
    assert all(torch.equal(both[0][name], both[1][name]) for name in both[0])
    assert both[0].keys() == set(change.after.prunable)


def test_masks_and_values_draw_from_one_generator_in_turn() -> None:
    """Values come first, so a mask never moves the values that are drawn for the new weights."""
    ticket = sparse(NETWORKS["mlp"], 0.5, 0)
    sprouts = [
        sprout_of(ticket, GrowthStep("widen", 0.0, 1.0, "kaiming", mask)) for mask in MASKS_OF_NEW
    ]
    drawn = fresh(sprouts[0].morph.after, seeds.generator(0, "birth"), "kaiming_normal")
    for sprout in sprouts:
        mask = sprout.ticket.masks["fc1.weight"]
        new = sprout.ticket.weights["fc1.weight"][7:]
        assert torch.equal(new, drawn["fc1.weight"][7:] * mask[7:])
