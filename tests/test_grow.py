"""Growth of a ticket: what it inherits stays, what is new is marked, and it all comes by seed."""

import math
from collections.abc import Mapping
from dataclasses import asdict, replace

import pytest
import torch
from changes import row_ancestors
from hypothesis import given
from hypothesis import strategies as st
from strategies import SEEDS, architectures, exact_masks, random_samples
from torch import Tensor

from recursive_lth import seeds
from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.zoo import convnet, mlp, paper_convnet, resnet_20
from recursive_lth.config import GrowthStep
from recursive_lth.errors import InputError
from recursive_lth.growth.fresh import SCHEMES, fresh
from recursive_lth.growth.grow import Sprout, describe, grow, seed_ticket
from recursive_lth.growth.initialise import INITIALISATIONS, resolve
from recursive_lth.growth.masks_of_new import BUDGETED, MASKS_OF_NEW
from recursive_lth.growth.operators import OPERATORS, PLACES
from recursive_lth.ticket import masks as masking
from recursive_lth.ticket.morph import Morph, birth
from recursive_lth.ticket.ticket import Ticket
from recursive_lth.ticket.transplant import inherited, transplant

NETWORKS: dict[str, Architecture] = {
    "mlp": mlp((1, 5, 5), 4, (7, 5)),
    "convnet": convnet((3, 8, 8), 5, (4, 6)),
    "paper-convnet": paper_convnet((3, 16, 16), 5, ()),
    "resnet-20": resnet_20((3, 8, 8), 5, (3, 4, 5)),
}
CELLS = [
    (operator, initialisation, mask)
    for operator, choices in INITIALISATIONS.items()
    for initialisation in choices
    for mask in MASKS_OF_NEW
]


UNDRAWN = {"identity", "identity_paper", "split_evenly", "copied", "interpolated", "regrow", "rigl"}
NEW_WEIGHTS = OPERATORS.keys() - {"split", "rewire"}


def lived_in(architecture: Architecture, seed: int) -> Ticket:
    """A ticket as after some life: half of each tensor pruned, norms and biases no longer at birth.

    Float32, as every ticket of a run; logits are of order 1. Rewind values differ from the weights.
    """
    generator = seeds.generator(seed, "life")
    whole = seed_ticket(birth(architecture), generator, "kaiming_normal")
    half = {n: (math.prod(architecture.shape(n)) + 1) // 2 for n in architecture.prunable}
    masks = exact_masks(architecture, half, seed)
    weights = dict(whole.weights)
    for name, tensor in weights.items():
        if name not in masks:
            drawn = torch.rand(tensor.shape, generator=generator)
            is_scale = name.endswith(("running_var", "weight"))
            weights[name] = drawn + 0.5 if is_scale else drawn - 0.5
    rewound = fresh(architecture, generator, "kaiming_normal")
    return replace(whole, weights=masking.apply(weights, masks), masks=masks, rewind=rewound)


def places(architecture: Architecture, operator: str) -> list[float]:
    """One place for each thing that the operator can act on; where there is none it says so."""
    choices = PLACES[operator](architecture)
    if not choices:
        with pytest.raises(InputError, match="nothing can grow here: the network has no "):
            sprout_of(lived_in(architecture, 0), GrowthStep(operator, 0.5, 0.5))
    return [(i + 0.5) / len(choices) for i in range(len(choices))]


def home(operator: str) -> Architecture:
    """The first of the networks in which the operator has a place."""
    return next(network for network in NETWORKS.values() if PLACES[operator](network))


def sprout_of(ticket: Ticket, step: GrowthStep, seed: int = 0) -> Sprout:
    """The ticket grown by a step in generation 3, certified on 8 random inputs."""
    return grow(
        ticket,
        step,
        random_samples(ticket.architecture, 8, seed),
        generation=3,
        generator=seeds.generator(seed, "birth"),
    )


def can_pay(ticket: Ticket, step: GrowthStep) -> bool:
    """True iff no budget is asked for, or all old tensors together can lose as many as come.

    Each tensor keeps one; how many come does not depend on what is drawn.
    """
    if step.mask not in BUDGETED:
        return True
    unpaid = sprout_of(ticket, replace(step, mask="parent_density")).ticket.masks
    kept = masking.counts(ticket.masks).values()
    return masking.remaining(unpaid) - sum(kept) <= sum(max(0, n - 1) for n in kept)


def moved(tensors: Mapping[str, Tensor], change: Morph, name: str) -> Tensor:
    """One tensor after a growth, where it is inherited, and 0 elsewhere."""
    nothing = torch.zeros(change.after.shape(name), dtype=tensors[name].dtype)
    return transplant(tensors, change, {name: nothing})[name]


def is_divided(change: Morph, name: str) -> bool:
    """True iff units that are read have several heirs."""
    sources = row_ancestors(change, name, 1)
    return len(set(sources)) < len(sources)


def together(tensor: Tensor, change: Morph, name: str) -> Tensor:
    """What the copies along the input axis send on together, for the first of each unit made.

    In float64, in which sums of float32 of one binade are exact.
    """
    sources = torch.tensor(row_ancestors(change, name, 1))
    shape = (tensor.shape[0], change.before.shape(name)[1], *tensor.shape[2:])
    summed = torch.zeros(shape, dtype=torch.float64).index_add(1, sources, tensor.double())
    return summed[: change.before.shape(name)[0]].to(tensor.dtype)


def check_inheritance(ticket: Ticket, sprout: Sprout, mask: str) -> None:
    """All laws of what a growth may and may not touch: what was there is moved, and no more.

    Re-wiring alone revives and drops. Weights that leave split units are divided, and sum to what
    they were.
    """
    grown, change = sprout.ticket, sprout.morph
    operator, birth_name = sprout.step.operator, sprout.step.initialisation
    heirs = inherited(change)
    for name in change.before.tensors:
        is_old = heirs[name]
        masks = moved(ticket.masks, change, name) if name in ticket.masks else is_old
        mask_after = grown.masks.get(name, torch.ones_like(is_old))
        revived, dropped = is_old & mask_after & ~masks, is_old & masks & ~mask_after
        assert operator == "rewire" or not bool(revived.any())
        assert mask in BUDGETED or birth_name in {"rigl", "set"} or not bool(dropped.any())
        stays = is_old & ~revived
        if name in ticket.births:
            births = moved(ticket.births, change, name)
            assert torch.equal(grown.births[name], torch.where(stays, births, 3))
        rewound, weights = (moved(group, change, name) for group in (ticket.rewind, ticket.weights))
        if operator == "split" and name in change.after.prunable and is_divided(change, name):
            assert torch.equal(together(grown.rewind[name], change, name), ticket.rewind[name])
            if mask not in BUDGETED:
                assert torch.equal(
                    together(grown.weights[name], change, name), ticket.weights[name]
                )
            continue
        assert torch.equal(grown.rewind[name][stays], rewound[stays])
        assert torch.equal(grown.weights[name][stays], (weights * mask_after)[stays])
    for name in set(change.after.prunable) - set(ticket.masks):
        assert bool((grown.births[name] == 3).all())
    assert grown.parent == ticket.digest


@pytest.mark.parametrize(("operator", "initialisation", "mask"), CELLS)
@pytest.mark.parametrize("network", NETWORKS)
def test_inheritance(network: str, operator: str, initialisation: str, mask: str) -> None:
    """Old weights, rewind values, masks and births are as they were; new ones are born now."""
    ticket = lived_in(NETWORKS[network], 1)
    digest = ticket.digest
    for place in places(NETWORKS[network], operator)[::5]:
        step = GrowthStep(operator, place, 0.4, initialisation, mask)
        check_inheritance(ticket, sprout_of(ticket, step), mask)
    assert replace(ticket).digest == digest


@given(architectures(), st.sampled_from(CELLS), SEEDS)
def test_inheritance_in_random_architectures(
    architecture: Architecture, cell: tuple[str, str, str], seed: int
) -> None:
    """The same, wherever the operator can act; a budget too small for the new is refused."""
    operator, initialisation, mask = cell
    ticket = lived_in(architecture, seed)
    for place in places(architecture, operator):
        step = GrowthStep(operator, place, 0.4, initialisation, mask)
        if can_pay(ticket, step):
            check_inheritance(ticket, sprout_of(ticket, step, seed), mask)
        else:
            with pytest.raises(InputError, match="costs more than the ticket has"):
                sprout_of(ticket, step, seed)


def test_births_remember_generations() -> None:
    """Growing in generations 3 and 5 leaves weights born in 0, 3 and 5, each as many as came."""
    ticket = lived_in(NETWORKS["mlp"], 0)
    batch = random_samples(ticket.architecture, 4, 0)
    step = GrowthStep("widen", 0.0, 1.0)
    for generation in (3, 5):
        births = seeds.generator(generation)
        ticket = grow(ticket, step, batch, generation=generation, generator=births).ticket
    born = ticket.births["fc1.weight"]  # 7, then 14, then 28 units of 25 weights
    assert born.dtype == torch.int16
    assert born.flatten().bincount().tolist() == [7 * 25, 0, 0, 7 * 25, 0, 14 * 25]


@pytest.mark.parametrize(("operator", "initialisation", "mask"), CELLS)
def test_growth_depends_on_its_generator_alone(
    operator: str, initialisation: str, mask: str
) -> None:
    """The same seed gives the same digest whatever the global generator; another seed another."""
    ticket = lived_in(home(operator), 0)
    step = GrowthStep(operator, 0.0, 0.4, initialisation, mask)
    digests = []
    for seed, noise in ((0, 1), (0, 2), (1, 1)):
        torch.manual_seed(noise)
        digests.append(sprout_of(ticket, step, seed).ticket.digest)
    assert digests[0] == digests[1]
    is_drawn = initialisation not in UNDRAWN or (operator in NEW_WEIGHTS and mask != "dense")
    assert (digests[0] != digests[2]) == is_drawn


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_scheme_is_that_of_the_new_weights(scheme: str) -> None:
    """Incoming weights of new units are the entries that `fresh` draws first from the generator."""
    ticket = lived_in(NETWORKS["mlp"], 0)
    batch, step = random_samples(ticket.architecture, 4, 0), GrowthStep("widen", 0.0, 1.0)
    sprout = grow(ticket, step, batch, generation=3, generator=seeds.generator(0), scheme=scheme)
    drawn = fresh(sprout.morph.after, seeds.generator(0), scheme)
    assert torch.equal(sprout.ticket.weights["fc1.weight"][7:], drawn["fc1.weight"][7:])
    assert torch.equal(sprout.ticket.rewind["fc1.weight"][7:], drawn["fc1.weight"][7:])


def test_the_first_ticket_is_new_and_dense() -> None:
    """Generation 0, every mask true, rewind values those of birth, no parent."""
    architecture = NETWORKS["resnet-20"]
    ticket = seed_ticket(birth(architecture), seeds.generator(0), "glorot_normal")
    expected = fresh(architecture, seeds.generator(0), "glorot_normal")
    assert ticket.parent == ""
    assert ticket.cost.density == 1
    for name, tensor in expected.items():
        assert torch.equal(ticket.weights[name], tensor)
        assert torch.equal(ticket.rewind[name], tensor)
    assert all(not bool(born.any()) for born in ticket.births.values())


WHERE = {
    **dict.fromkeys(("widen", "split"), "fc1"),
    **dict.fromkeys(("deepen", "residual", "bottleneck", "residual_pre", "bottleneck_pre"), "g3"),
    **dict.fromkeys(("branch", "branch_concat", "skip_add"), "g3"),
    "skip": "fc2_relu",
    "stretch": "g3_s1b1_conv1",
    "enlarge_kernel": "conv1",
    "rewire": "everywhere",
}


@pytest.mark.parametrize(("operator", "initialisation"), {cell[:2]: 0 for cell in CELLS})
def test_the_lineage_says_what_grew(operator: str, initialisation: str) -> None:
    """The description names the growth, the layers and the number of units that came."""
    ticket = lived_in(home(operator), 0)
    step = GrowthStep(operator, 0.0, 0.5, initialisation)
    sprout = sprout_of(ticket, step)
    before, after = sprout.morph.before, sprout.morph.after
    assert describe(sprout.step, sprout.morph) == asdict(step) | {
        "where": WHERE[operator],
        "new_layers": [name for name in after.order if name not in before.layers],
        "new_units": {
            symbol: n - before.widths.get(symbol, 0)
            for symbol, n in after.widths.items()
            if operator != "deepen" and n != before.widths.get(symbol, 0)
        },
    }
    assert sprout.step == step


def test_the_step_bears_the_name_of_what_was_done() -> None:
    """`preserving`, and an initialisation of another operator, become the operator's own first."""
    ticket = lived_in(NETWORKS["mlp"], 0)
    for asked in ("preserving", "zero_gamma"):
        sprout = sprout_of(ticket, GrowthStep("deepen", 0.0, 0.4, asked))
        assert sprout.step.initialisation == sprout.certificate.initialisation == "identity"
        assert resolve("deepen", asked)[0] == "identity"


@pytest.mark.parametrize(
    ("step", "law"),
    [
        (GrowthStep("widden"), "unknown operator 'widden': did you mean 'widen'"),
        (GrowthStep("widen", mask="dens"), "unknown mask of new weights 'dens'.*'dense'"),
    ],
)
def test_unknown_names_are_errors(step: GrowthStep, law: str) -> None:
    """The error names the nearest name there is."""
    with pytest.raises(InputError, match=law):
        sprout_of(lived_in(NETWORKS["mlp"], 0), step)


def test_every_operator_has_an_initialisation() -> None:
    assert INITIALISATIONS.keys() == OPERATORS.keys()
