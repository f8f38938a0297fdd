"""Growth of a ticket: what it inherits stays, what is new is marked, and it all comes by seed."""

import math
from dataclasses import asdict, replace

import pytest
import torch
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
from recursive_lth.growth.operators import OPERATORS
from recursive_lth.growth.sites import sites
from recursive_lth.ticket import masks as masking
from recursive_lth.ticket.morph import birth
from recursive_lth.ticket.ticket import Ticket
from recursive_lth.ticket.transplant import inherited

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
    """One place for each symbol or activation that the operator can act on."""
    choices = architecture.free_symbols if operator == "widen" else sites(architecture)
    return [(i + 0.5) / len(choices) for i in range(len(choices))]


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


def check_inheritance(ticket: Ticket, sprout: Sprout, mask: str) -> None:
    """All laws of what a growth may and may not touch."""
    grown, change = sprout.ticket, sprout.morph
    has_ancestor = inherited(change)
    born: dict[str, Tensor] = grown.births
    for name in change.after.prunable:
        is_old = has_ancestor[name]
        assert bool((born[name][~is_old] == 3).all())
        if name not in ticket.masks:
            assert not bool(is_old.any())
            continue
        assert torch.equal(born[name][is_old], ticket.births[name].flatten())
        if mask not in BUDGETED:
            assert torch.equal(grown.masks[name][is_old], ticket.masks[name].flatten())
        else:
            assert not bool((grown.masks[name][is_old] & ~ticket.masks[name].flatten()).any())
    for name in change.before.tensors:
        is_old = has_ancestor[name]
        assert torch.equal(grown.rewind[name][is_old], ticket.rewind[name].flatten())
        if mask not in BUDGETED:
            assert torch.equal(grown.weights[name][is_old], ticket.weights[name].flatten())
    assert grown.parent == ticket.digest


@pytest.mark.parametrize(("operator", "initialisation", "mask"), CELLS)
@pytest.mark.parametrize("network", NETWORKS)
def test_inheritance(network: str, operator: str, initialisation: str, mask: str) -> None:
    """Old weights, rewind values, masks and births are as they were; the new are born in this one.

    Units keep their order and new ones come last, so the entries with an ancestor, read in flat
    order, are the old tensor read in flat order.
    """
    ticket = lived_in(NETWORKS[network], 1)
    digest = ticket.digest
    for place in places(NETWORKS[network], operator)[::3]:
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
    ticket = lived_in(NETWORKS["convnet"], 0)
    step = GrowthStep(operator, 0.0, 0.4, initialisation, mask)
    digests = []
    for seed, noise in ((0, 1), (0, 2), (1, 1)):
        torch.manual_seed(noise)
        digests.append(sprout_of(ticket, step, seed).ticket.digest)
    assert digests[0] == digests[1]
    is_drawn = initialisation not in {"identity", "identity_paper"} or mask != "dense"
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


@pytest.mark.parametrize(("operator", "initialisation", "mask"), CELLS)
def test_the_lineage_says_what_grew(operator: str, initialisation: str, mask: str) -> None:
    """The description names the growth, the layers and the number of units that came."""
    ticket = lived_in(NETWORKS["convnet"], 0)
    step = GrowthStep(operator, 0.0, 0.5, initialisation, mask)
    sprout = sprout_of(ticket, step)
    told = describe(sprout.step, sprout.morph)
    came = {
        "widen": {"where": "conv1", "new_layers": [], "new_units": {"conv1": 2}},
        "deepen": {"where": "g3", "new_layers": ["g3", "g3_relu"], "new_units": {}},
        "residual": {
            "where": "g3",
            "new_layers": [
                *("g3_1", "g3_1_norm", "g3_relu1", "g3_2", "g3_2_norm", "g3_add", "g3_relu2")
            ],
            "new_units": {"g3": 4},
        },
    }
    assert told == asdict(step) | came[operator]
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
