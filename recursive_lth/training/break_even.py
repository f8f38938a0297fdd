"""Companies: below which density layers train faster sparse, measured once and kept with the run.

Members are not measured each, as networks that train alone are: noise would tell apart those that
are nearly alike, and who is told apart does not go together. In their place stands a company of
LeNet-300-100s, timed dense and, at two densities, sparse. The time of a sparse step is very nearly
a straight line in density, and the break-even lies where that line meets the dense time.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.layer import Layer
from recursive_lth.architecture.zoo import mlp
from recursive_lth.config import Training
from recursive_lth.ticket.masks import masked_cost
from recursive_lth.training.choice import (
    MOST_DENSITY,
    Choices,
    large_and_thin,
    onednn_layers,
)
from recursive_lth.training.engine import Plan
from recursive_lth.training.lesson import MOST_SAMPLES
from recursive_lth.training.plans import noise, noisy, whole_chain
from recursive_lth.training.timing import fastest
from recursive_lth.training.together import Member, training_together

FEW = 4  # members of the company that is timed
DENSITIES = (0.1, 0.5)  # at which it is
MARGIN = 0.95  # of the dense time that sparse ones must stay below
MOST, GRID = 0.8, 20  # break-evens are found up to .8, in twentieths: most runs find the same
CPU = torch.device("cpu")
LENET = mlp((784,), 10, (300, 100))
TANH = LENET.edit({n: Layer("tanh", (n.removesuffix("_relu"),)) for n in ("fc1_relu", "fc2_relu")})
FLOATS = dict.fromkeys(LENET.tensors, torch.empty(0))  # what is asked of weights: their type


def sparse_together(
    architecture: Architecture,
    masks: Mapping[str, Tensor],
    recipe: Training,
    device: torch.device,
    choices: Choices,
) -> tuple[str, ...]:
    """The layers that are sparse where the network trains in company, by `choices`.

    All of a chain, where its whole density is below the break-even of chains, or else the large
    layers whose own is below that of layers. On a GPU companies are batched products, as yet
    without a measure.
    """
    if device.type != "cpu":
        return ()
    density = masked_cost(architecture, masks).density
    if density == 1 or not large_and_thin(architecture, masks, recipe, 1.0):
        return ()
    chain = whole_chain(architecture, recipe, device)
    if chain and density <= MOST and density <= break_even(recipe, choices, is_chain=True):
        return chain.sparse
    if not large_and_thin(architecture, masks, recipe, MOST_DENSITY):
        return ()
    most = min(MOST_DENSITY, break_even(recipe, choices, is_chain=False))
    return large_and_thin(architecture, masks, recipe, most)


def break_even(recipe: Training, choices: Choices, *, is_chain: bool) -> float:
    """The density at which sparse ones take `MARGIN` of the dense time, by `choices`."""
    samples = min(recipe.batch_size, MOST_SAMPLES)  # of larger ones the same is told
    recipe = replace(recipe, batch_size=samples)
    by_onednn = onednn_layers(LENET if is_chain else TANH, FLOATS, recipe, CPU, choices)
    key = (
        f"company of {FEW}, {'chains' if is_chain else 'layers'} at {DENSITIES}, "
        f"{samples} samples, {recipe.optimizer}{', clipped' * bool(recipe.clip_norm)}, "
        f"{torch.get_num_threads()} threads{', dense by oneDNN' * bool(by_onednn)}"
    )
    found = choices.times(key, lambda: _measure(recipe, by_onednn, is_chain=is_chain))
    dense, thin, thick = (float(found[f"{way}_us"]) for way in ("dense", "thin", "thick"))
    low, high = DENSITIES
    rise = max(thick - thin, 1e-9 * dense)  # if at all, noise has it fall
    density = low + (high - low) * (MARGIN * dense - thin) / rise
    return math.floor(GRID * min(MOST, max(0.0, density))) / GRID


def _measure(recipe: Training, by_onednn: Sequence[str], *, is_chain: bool) -> dict[str, float]:
    """Seconds of a step of a dense company, and of thinner and thicker sparse ones."""
    network, dense = LENET if is_chain else TANH, Plan((), tuple(by_onednn))
    sparse = whole_chain(network, recipe, CPU) or Plan(("fc1", "fc2"))
    thin, thick = (company(network, density, recipe) for density in DENSITIES)
    loops = {
        "dense": training_together(thick, dense),
        "thin": training_together(thin, sparse),
        "thick": training_together(thick, sparse),
    }
    return fastest({way: partial(next, loop) for way, loop in loops.items()})


def company(network: Architecture, density: float, recipe: Training) -> list[Member]:
    """Those that are timed: random masks, each its own, on noise."""
    data, draw, found = noise(network, recipe), torch.Generator().manual_seed(0), list[Member]()
    for seed in range(FEW):
        masks = {
            name: torch.rand(network.shape(name), generator=draw) < density
            for name in network.prunable
        }
        found.append(noisy(network, masks, data, recipe, seed))
    return found
