"""Births that copy: units that are split (Net2WiderNet), blocks that are stretched."""

import torch
from torch import Tensor

from recursive_lth.growth.birth import Birth, Division, Soil
from recursive_lth.growth.stretch import blocks
from recursive_lth.ticket.morph import NEW, Morph

UNEVEN = 0.4  # shares are drawn within 1 +- this before they are made to sum to 1


def split_evenly(morph: Morph, soil: Soil) -> Birth:
    """Each of a unit's c copies sends on 1/c of what it did: exact in both modes.

    Chen et al. (2016, arXiv 1511.05641). Copies stay alike for ever where nothing tells them
    apart, as dropout or unlike masks do.
    """
    return Birth(soil.fresh, divided=_divisions(morph, None))


def split_unevenly(morph: Morph, soil: Soil) -> Birth:
    """Like `split_evenly` with shares of random size that sum to 1: exact, and not symmetric.

    Copies then get unlike gradients. Chen et al. add noise instead, which is not exact.
    """
    return Birth(soil.fresh, divided=_divisions(morph, soil.generator))


def _divisions(morph: Morph, generator: torch.Generator | None) -> dict[str, Division]:
    """For each weight tensor that reads a split unit how its weights are shared out.

    The shares of a unit are the same in every tensor that reads it.
    """
    shares = {s: _shares(a.units, generator) for s, a in morph.origin.items() if _is_split(a.units)}
    found = {}
    for name in morph.after.prunable:
        row = morph.after.tensors[name][1]
        if not any(axis.symbol in shares for axis in row):
            continue
        groups, parts, start = [], [], 0
        for axis in row:
            units = torch.tensor(morph.origin[axis.symbol].units)
            if axis.symbol in shares:
                group = torch.where(units == NEW, len(units) + torch.arange(len(units)), units)
                group = torch.unique(group, return_inverse=True)[1]
                part = shares[axis.symbol]
            else:
                group, part = torch.arange(len(units)), torch.ones(len(units)).double()
            entries = group[:, None] * axis.repeat + torch.arange(axis.repeat)
            groups.append(entries.flatten() + start)
            parts.append(part.repeat_interleave(axis.repeat))
            start = int(groups[-1].max()) + 1
        found[name] = Division(torch.cat(groups), torch.cat(parts))
    return found


def _is_split(units: tuple[int, ...]) -> bool:
    """True iff an ancestor has several heirs."""
    old = [u for u in units if u != NEW]
    return len(set(old)) < len(old)


def _shares(units: tuple[int, ...], generator: torch.Generator | None) -> Tensor:
    """The part of each unit in what its ancestor sent on: equal, or drawn where a generator is."""
    drawn = torch.ones(len(units), dtype=torch.float64)
    if generator is not None:
        noise = torch.rand(drawn.shape, generator=generator, dtype=torch.float64)
        drawn += UNEVEN * (2 * noise - 1)
    sums: dict[int, float] = {}
    for unit, value in zip(units, drawn.tolist(), strict=True):
        sums[unit] = sums.get(unit, 0.0) + value
    return torch.tensor(
        [1.0 if u == NEW else v / sums[u] for u, v in zip(units, drawn.tolist(), strict=True)],
        dtype=torch.float64,
    )


def copied(morph: Morph, soil: Soil) -> Birth:
    """New layers have the weights and statistics of the layers they copy. Not preserving.

    Chen et al. (2021, arXiv 2103.16547); their masks come with mask rule `copied`.
    """
    values = dict(soil.fresh)
    for name, model in _models(morph).items():
        values[name] = soil.ticket.weights[model].clone()
    return Birth(values)


def interpolated(morph: Morph, soil: Soil) -> Birth:
    """New layers have the mean of the layers they copy and of those of the next block of one shape.

    Where no such block follows it is `copied` (Chen et al. 2021, arXiv 2103.16547, with weights of
    one half; the next block is the one that the copy is put before). Not preserving.
    """
    following = _following(morph)
    values, weights = dict(soil.fresh), soil.ticket.weights
    for name, model in _models(morph).items():
        layer, _, part = model.rpartition(".")
        other = weights[f"{following.get(layer, layer)}.{part}"]
        values[name] = (weights[model] + other) / 2
    return Birth(values)


def _models(morph: Morph) -> dict[str, str]:
    """For each tensor of a new layer that is a copy, the tensor before that it copies."""
    found = {}
    for name in morph.new_tensors:
        layer, _, part = name.rpartition(".")
        if layer in morph.models:
            found[name] = f"{morph.models[layer]}.{part}"
    return found


def _following(morph: Morph) -> dict[str, str]:
    """For each layer that is copied the layer in its place in the next block, if alike."""
    before = morph.before
    members = [list(m) for m in blocks(before).values()]
    old = [name for name in before.order if name in set(morph.models.values())]
    here = next((i for i, m in enumerate(members) if m == old), None)
    if here is None or here + 1 == len(members):
        return {}
    pairs = dict(zip(old, members[here + 1], strict=False))
    for name in before.tensors:
        layer, _, part = name.rpartition(".")
        if layer not in old:
            continue
        other = f"{pairs.get(layer)}.{part}"
        if other not in before.tensors or before.shape(other) != before.shape(name):
            return {}
    return pairs
