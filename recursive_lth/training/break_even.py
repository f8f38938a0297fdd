"""Companies: below which density large layers train faster sparse, measured once a run.

Members are not measured each, as networks that train alone are: noise would tell apart those that
are nearly alike, and who is told apart does not go together. In their place stands a company of
LeNet-300-100s, timed dense and, at two densities, sparse. The time of a sparse step is nearly a
straight line in density, and the break-even lies where that line meets the dense time.
"""

import math
from collections.abc import Iterator, Mapping

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
    stopwatch,
)
from recursive_lth.training.engine import Plan
from recursive_lth.training.plans import noise, noisy, whole_chain
from recursive_lth.training.together import Member, Round, training_together

FEW = 4  # members of the company that is timed
DENSITIES = (0.1, 0.4)  # at which it is
TURNS, TURN = 7, range(3)  # steps of a turn, of which the last counts
MARGIN = 0.95  # of the dense time that sparse ones must stay below
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
    layers whose own is below that of layers. None on a GPU, where batched products fill it.
    """
    if device.type != "cpu":
        return ()
    density = masked_cost(architecture, masks).density
    if density == 1 or not large_and_thin(architecture, masks, recipe, 1.0):
        return ()
    chain = whole_chain(architecture, recipe, device)
    if chain and density <= break_even(recipe, choices, is_chain=True):
        return chain.sparse
    if not large_and_thin(architecture, masks, recipe, MOST_DENSITY):
        return ()
    most = min(MOST_DENSITY, break_even(recipe, choices, is_chain=False))
    return large_and_thin(architecture, masks, recipe, most)


def break_even(recipe: Training, choices: Choices, *, is_chain: bool) -> float:
    """The density at which sparse ones take `MARGIN` of the dense time, by `choices`."""
    low, high = DENSITIES
    at_low, at_high = (_share(recipe, choices, d, is_chain=is_chain) for d in DENSITIES)
    if at_high <= at_low:  # noise: no line to follow
        return high if at_high <= MARGIN else 0.0
    return min(1.0, max(0.0, low + (high - low) * (MARGIN - at_low) / (at_high - at_low)))


def _share(recipe: Training, choices: Choices, density: float, *, is_chain: bool) -> float:
    """Of the dense time, what a sparse step takes at a density."""
    network = LENET if is_chain else TANH
    by_onednn = onednn_layers(network, FLOATS, recipe, CPU, choices)
    key = (
        f"company of {FEW}, {'chains' if is_chain else 'layers'} at {density}, "
        f"{recipe.batch_size} samples, {recipe.optimizer}, {torch.get_num_threads()} threads"
        f"{', dense by oneDNN' * bool(by_onednn)}"
    )

    def measure() -> tuple[float, float]:
        members = company(network, density, recipe)
        large = large_and_thin(network, members[0].masks, recipe, 1.0)
        sparse = whole_chain(network, recipe, CPU) or Plan.of(large, by_onednn)
        plans = Plan((), by_onednn), sparse
        return _least(*(training_together(members, plan) for plan in plans))

    slow, fast = choices.times(key, "sparse", "dense", measure)
    return 1.0 if fast is None else fast / slow


def company(network: Architecture, density: float, recipe: Training) -> list[Member]:
    """Those that are timed: random masks, each its own, on noise."""
    data, draw, found = noise(network, recipe), torch.Generator().manual_seed(0), list[Member]()
    for seed in range(FEW):
        masks = {
            name: torch.rand(network.shape(name), generator=draw) < density
            for name in network.prunable
        }
        found.append(noisy(network, masks, data, recipe, TURNS * len(TURN), seed))
    return found


def _least(usual: Iterator[Round], other: Iterator[Round]) -> tuple[float, float]:
    """Seconds of each one's fastest last step of a turn.

    Two pools of threads that change places every step get into each other's way.
    """
    now, found = stopwatch(CPU), [math.inf, math.inf]
    for _ in range(TURNS):
        for number, way in enumerate((usual, other)):
            for _ in TURN:
                began = now()
                next(way)
                took = now() - began
            found[number] = min(found[number], took)
    return found[0], found[1]
