"""Growth of a ticket: what it inherits stays, what is new is marked, and it all comes by seed."""

import math
from dataclasses import asdict, replace

import pytest
import torch
from strategies import exact_masks, random_samples

from recursive_lth import seeds
from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.zoo import convnet, mlp, paper_convnet, resnet_20
from recursive_lth.architecture.zoo.residual import resnet
from recursive_lth.config import GrowthStep
from recursive_lth.errors import InputError
from recursive_lth.growth.fresh import SCHEMES, fresh
from recursive_lth.growth.grow import Sprout, describe, grow, seed_ticket
from recursive_lth.growth.initialise import INITIALISATIONS, resolve
from recursive_lth.growth.masks_of_new import BUDGETED, MASKS_OF_NEW
from recursive_lth.growth.operators import OPERATORS, PLACES
from recursive_lth.ticket import masks as masking
from recursive_lth.ticket.morph import birth
from recursive_lth.ticket.ticket import Ticket

NETWORKS: dict[str, Architecture] = {
    "mlp": mlp((1, 5, 5), 4, (7, 5)),
    "convnet": convnet((3, 8, 8), 5, (4, 6)),
    "paper-convnet": paper_convnet((3, 16, 16), 5, ()),
    "resnet-20": resnet_20((3, 8, 8), 5, (3, 4, 5)),
}
# For laws of all births: each has a place in one of them, and no bottleneck is one channel wide,
# whose scale the norm behind it would take away.
SMALL: dict[str, Architecture] = {
    "mlp": mlp((1, 5, 5), 4, (8, 9)),
    "convnet": convnet((3, 8, 8), 5, (8, 9)),
    "resnet-8": resnet(8)((3, 8, 8), 5, (8, 9, 10)),
}
BIRTHS = [(operator, name) for operator, names in INITIALISATIONS.items() for name in names]
UNPAID = tuple(mask for mask in MASKS_OF_NEW if mask not in BUDGETED)
CELLS = [  # each birth with one mask in turn: all with all would say no more
    (*birth, tuple(MASKS_OF_NEW)[number % len(MASKS_OF_NEW)]) for number, birth in enumerate(BIRTHS)
]
UNDRAWN = {  # all that is new has a value that nothing is drawn for: 0, a one, or a copy
    ("split", "split_evenly"),
    ("deepen", "identity"),
    ("residual", "identity_paper"),
    ("branch", "zero_gamma"),
    ("skip", "zero_out"),
    ("skip_add", "zero_gamma"),
    ("stretch", "copied"),
    ("stretch", "interpolated"),
    ("enlarge_kernel", "zero_rim"),
    ("rewire", "regrow"),
    ("rewire", "rigl"),
}
UNDRAWN_MASKS = {"dense", "copied"}
NEW_WEIGHTS = OPERATORS.keys() - {"split", "rewire"}
pytestmark = pytest.mark.usefixtures("few_ascents")


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
    """The first of the small networks in which the operator has a place."""
    return next(network for network in SMALL.values() if PLACES[operator](network))


def sprout_of(ticket: Ticket, step: GrowthStep, seed: int = 0) -> Sprout:
    """The ticket grown by a step in generation 3, seen and certified on the same 8 inputs."""
    return grow(
        ticket,
        step,
        random_samples(ticket.architecture, 8, 0),
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


@pytest.mark.parametrize(
    ("operator", "initialisation", "mask"),
    sorted({*CELLS, *((*birth, mask) for birth in UNDRAWN for mask in UNDRAWN_MASKS)}),
)
def test_growth_depends_on_its_generator_alone(
    operator: str, initialisation: str, mask: str
) -> None:
    """The same seed gives the same digest whatever the global generator; another seed another.

    Unless nothing is drawn: neither a value that stays, nor which new weights there are.
    """
    ticket = lived_in(home(operator), 0)
    step = GrowthStep(operator, 0.0, 0.4, initialisation, mask, density=0.5)
    digests = []
    for seed, noise in ((0, 1), (0, 2), (1, 1)):
        torch.manual_seed(noise)
        digests.append(sprout_of(ticket, step, seed).ticket.digest)
    assert digests[0] == digests[1]
    has_drawn_mask = operator in NEW_WEIGHTS and mask not in UNDRAWN_MASKS
    is_drawn = (operator, initialisation) not in UNDRAWN or has_drawn_mask
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


@pytest.mark.parametrize(("operator", "initialisation"), BIRTHS)
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
