"""Plans: how a network that trains alone is fastest, as one compiled chain or layer by layer.

Layers are measured one by one only where the chain as a whole does not gain. What is timed trains
on noise; companies, which `break_even` times, do too.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from recursive_lth.architecture.graph import Architecture
from recursive_lth.config import Training
from recursive_lth.ticket.masks import masked_cost
from recursive_lth.training.batches import Batches
from recursive_lth.training.chain import is_chain
from recursive_lth.training.choice import (
    CLEAR,
    Choices,
    large_and_thin,
    onednn_layers,
    sparse_layers,
)
from recursive_lth.training.engine import Plan, can_be_sparse
from recursive_lth.training.lesson import can_be_taught
from recursive_lth.training.loop import Step
from recursive_lth.training.samples import Samples
from recursive_lth.training.timing import STEPS, TURNS, fastest
from recursive_lth.training.together import Member, alone

MOST_ALONE = 0.6  # of all weights, above which no lone chain has been faster
MARGIN = 0.95  # of the dense step's time that a compiled one must stay below


def measured_plan(
    architecture: Architecture,
    weights: Mapping[str, Tensor],
    masks: Mapping[str, Tensor],
    recipe: Training,
    device: torch.device,
    choices: Choices,
) -> Plan:
    """What is fastest by `choices`, which measures what it does not know."""
    by_onednn = onednn_layers(architecture, weights, recipe, device, choices)
    dense = Plan((), by_onednn)
    chain = chain_plan(architecture, masks, recipe, device)
    if chain and _is_faster(architecture, masks, recipe, choices, chain, dense):
        return chain
    sparse = sparse_layers(architecture, masks, recipe, device, choices, by_onednn)
    return Plan.of(sparse, by_onednn)


def chain_plan(
    architecture: Architecture, masks: Mapping[str, Tensor], recipe: Training, device: torch.device
) -> Plan | None:
    """Every layer sparse, where a compiled step can train that and it may be worth measuring.

    Networks without a large layer stay as they are.
    """
    if masked_cost(architecture, masks).density > MOST_ALONE:
        return None
    if not large_and_thin(architecture, masks, recipe, 1.0):
        return None
    return whole_chain(architecture, recipe, device)


def whole_chain(architecture: Architecture, recipe: Training, device: torch.device) -> Plan | None:
    """Every layer sparse, where a compiled step can train that."""
    can_be = is_chain(architecture) and can_be_taught(recipe) and device.type == "cpu"
    return Plan(can_be_sparse(architecture)) if can_be else None


def _is_faster(
    architecture: Architecture,
    masks: Mapping[str, Tensor],
    recipe: Training,
    choices: Choices,
    chain: Plan,
    dense: Plan,
) -> bool:
    """True iff whole steps by the one plan take less time than by the other."""
    remain = [f"{tuple(m.shape)} of which {int(m.count_nonzero())} remain" for m in masks.values()]
    key = (
        f"chain {', '.join(remain)}, {recipe.batch_size} samples, {recipe.optimizer}, "
        f"{'clipped, ' * bool(recipe.clip_norm)}"
        f"{torch.get_num_threads()} threads{', dense by oneDNN' * bool(dense.onednn)}"
    )

    def measure() -> tuple[float, float]:
        plans = {"dense": dense, "chain": chain}
        ways = {way: stepping(architecture, masks, recipe, plan) for way, plan in plans.items()}
        found = fastest(ways, clear=CLEAR)
        return found["dense"], found["chain"]

    return choices.is_faster(key, "sparse", "dense", MARGIN, measure)


def stepping(
    architecture: Architecture, masks: Mapping[str, Tensor], recipe: Training, plan: Plan
) -> Callable[[], Step]:
    """One step of a training on noise after the other, on the CPU."""
    loop = alone(noisy(architecture, masks, noise(architecture, recipe), recipe), plan)
    return lambda: next(loop)


def noise(architecture: Architecture, recipe: Training) -> Batches:
    """One batch, of images that an architecture reads."""
    draw = torch.Generator().manual_seed(0)
    pixels = architecture.shapes[architecture.input]
    images = torch.rand(recipe.batch_size, *pixels, generator=draw)
    labels = torch.randint(0, architecture.classes, (recipe.batch_size,), generator=draw)
    return Batches(Samples(images, labels), torch.zeros(1), _plain(recipe))


def noisy(
    architecture: Architecture,
    masks: Mapping[str, Tensor],
    data: Batches,
    recipe: Training,
    seed: int = 0,
) -> Member:
    """A network of random weights, to be trained on noise for as many steps as are timed."""
    draw = torch.Generator().manual_seed(seed)
    weights = {
        n: torch.randn(architecture.shape(n), generator=draw) / 32 for n in architecture.tensors
    }
    return Member(architecture, weights, masks, data, _plain(recipe), TURNS * STEPS, seed)


def _plain(recipe: Training) -> Training:
    return replace(recipe, shift=0, crop=0, flip=False)
