"""An optimizer's state through a structural change: moments, ages and factors of each entry.

A state is kind -> tensor name -> tensor. `momentum_buffer`, `exp_avg`, `exp_avg_sq` are moments of
the gradient and `step`, one number a tensor, counts updates: these are PyTorch's. The other kinds
are ours, of the weight's shape, and there only where entries differ:

- `age` (float32): updates that the entry has seen; then `step` is the oldest entry's.
- `gain`: what the gradient is multiplied by before the optimizer sees it.
- `rate`: what the optimizer's step of the entry is multiplied by.
- `warm`: the part, in [0, 1], of its rate that an entry has risen to; it rises by `rise` (one
  number a tensor) at each step.

**Copies.** Let a unit h be split into copies h_i = h whose shares s_i sum to 1, so that a reader's
weight w becomes w_i = s_i w. Nothing behind changes, and with delta = dL/d(w h):

- a leaving weight: dL/dw_i = delta h_i = g, that of the parent; its value is s_i of the parent's;
- what makes the copy (incoming weights, bias, gamma and beta of its norm, weights of a depthwise
  kernel): dL/dh_i = sum over readers of w_i delta = s_i dL/dh, so its gradient is s_i g; its value
  is the parent's.

An entry (i, j, ...) of a weight whose outputs and inputs are both split has therefore gradient
slope * g and value part * w, with slope = s_i of its output unit and part = s_j of its input
unit. First moments go with slope, second ones with slope^2: for c equal copies m/c and v/c^2
(Chen et al. 2016, arXiv 1511.05641, do not treat the optimizer). The part of coupled weight decay
in the moments is treated as gradient too.

**The parent's path.** The grown network stays the parent for ever if each entry stays part * w.
With gain = 1/slope the optimizer sees the parent's own gradient, so the parent's own moments are
the entry's, epsilon of Adam and coupled decay (of w / part) included; with rate = part the entry
makes its part of the parent's step. Decoupled decay multiplies, and parts decay as the whole does:
no rate for it. For SGD gain * rate is 1/s_i incoming (c times the rate) and s_i leaving; under Adam
the gain cancels save for epsilon. Clipping by the norm of all gradients is not followed: the
child's norm is another.
"""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from recursive_lth.errors import InputError
from recursive_lth.ticket.morph import Morph
from recursive_lth.ticket.transplant import inherited, transplant

State = dict[str, dict[str, Tensor]]
Kinds = Mapping[str, Mapping[str, Tensor]]
POWERS = {"momentum_buffer": 1, "exp_avg": 1, "exp_avg_sq": 2}  # of the gradient, in each moment
FACTORS = ("gain", "rate", "warm")
PER_ENTRY = frozenset({"age", *FACTORS})  # kinds that PyTorch's optimizers do not know


def move_state(
    state: Kinds,
    morph: Morph,
    *,
    shares: Mapping[str, Tensor] | None = None,
    reborn: Mapping[str, Tensor] | None = None,
    keeps_path: bool = False,
) -> State:
    """The state after a structural change: what is inherited moves, what is new starts at 0.

    `shares` gives for each symbol that was split the share of each of its units after, shape
    (units,), above 0; `reborn` marks inherited entries that begin anew, as weights that were
    pruned and return. Copies get moments of their own gradients, or with `keeps_path` the factors
    that keep them on the parent's path. New entries have age 0, so that an optimizer with a count
    for each corrects their bias as it would a fresh weight's. Raises `InputError` where a share is
    not above 0 or a tensor does not fit the morph.
    """
    shares, reborn = shares or {}, reborn or {}
    for symbol, share in shares.items():
        if not bool((share > 0).all()):
            raise InputError(f"shares of {symbol} must be above 0, got {float(share.min()):g}")
    moved: State = {}
    for kind, tensors in state.items():
        if kind in POWERS and tensors:
            moved[kind] = _carry(tensors, _known(tensors, morph), morph, reborn, 0)
        elif kind in FACTORS:
            moved[kind] = _carry(tensors, tensors, morph, reborn, 1)
        elif kind not in {"step", "age"}:
            moved[kind] = dict(tensors)
    if "step" in state:
        moved |= _ages(state, morph, reborn)
    slopes, parts = _of_copies(shares, morph, 0), _of_copies(shares, morph, 1)
    if keeps_path:
        gains = {name: 1 / slope for name, slope in slopes.items()}
        moved["gain"] = _times(moved.get("gain", {}), gains)
        moved["rate"] = _times(moved.get("rate", {}), parts)
    else:
        for kind in moved.keys() & POWERS.keys():
            scaled = {
                name: (moved[kind][name].double() * slope ** POWERS[kind]).to(moved[kind][name])
                for name, slope in slopes.items()
                if name in moved[kind]
            }
            moved[kind] = moved[kind] | scaled
    return _without_ones(moved)


def warm_up(state: Kinds, is_new: Mapping[str, Tensor], steps: int) -> State:
    """The state in which new entries rise to their rate over so many steps, in equal parts.

    At its k-th step an entry makes k / steps of its step. One that is still on its way up goes on
    at the new pace.
    """
    found = {kind: dict(tensors) for kind, tensors in state.items()}
    warm, rise = dict(found.get("warm", {})), dict(found.get("rise", {}))
    for name, places in is_new.items():
        if bool(places.any()):
            known = warm.get(name, torch.ones(places.shape))
            warm[name] = known.masked_fill(places.to(known.device), 0)
        if name in warm:
            rise[name] = torch.tensor(1 / max(1, steps))
    return found | {"warm": warm, "rise": rise} if warm else found


def newborn(morph: Morph, reborn: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """For each trainable tensor after a morph a bool tensor: does the entry begin anew?"""
    found = inherited(morph)
    return {n: ~found[n] | reborn.get(n, ~found[n]) for n in morph.after.trainable}


def _known(tensors: Iterable[str], morph: Morph) -> list[str]:
    """Tensors that have a state after: those that had one, and the new."""
    had = set(tensors)
    return [n for n in morph.after.trainable if n in had or n not in morph.before.tensors]


def _carry(
    tensors: Mapping[str, Tensor],
    names: Iterable[str],
    morph: Morph,
    reborn: Mapping[str, Tensor],
    fill: float,
) -> dict[str, Tensor]:
    like = next(iter(tensors.values()), torch.empty(0))
    new = {
        name: torch.full(morph.after.shape(name), fill, dtype=like.dtype, device=like.device)
        for name in names
        if name in morph.after.tensors
    }
    old = {name: tensor for name, tensor in tensors.items() if name in morph.before.tensors}
    moved = transplant(old, morph, new)
    return {n: t.masked_fill(reborn[n], fill) if n in reborn else t for n, t in moved.items()}


def _ages(state: Kinds, morph: Morph, reborn: Mapping[str, Tensor]) -> State:
    """Counts of updates: of a tensor, and of its entries where they are not all of one age."""
    counts, told = state["step"], state.get("age", {})
    old = {
        name: told[name].cpu()
        if name in told
        else torch.full(morph.before.shape(name), float(count), dtype=torch.float32)
        for name, count in counts.items()
    }
    moved = _carry(old, _known(counts, morph), morph, reborn, 0)
    uneven = {name: age for name, age in moved.items() if bool((age != age.flatten()[0]).any())}
    return {"step": {name: age.max() for name, age in moved.items()}, "age": uneven}


def _of_copies(shares: Mapping[str, Tensor], morph: Morph, dimension: int) -> dict[str, Tensor]:
    """For each trainable tensor with a split axis there, its shares, to be broadcast over it."""
    found = {}
    for name in morph.after.trainable:
        rows = morph.after.tensors[name]
        if len(rows) <= dimension or not any(axis.symbol in shares for axis in rows[dimension]):
            continue
        parts = [
            shares.get(axis.symbol, torch.ones(morph.after.symbols[axis.symbol]).double())
            .double()
            .repeat_interleave(axis.repeat)
            for axis in rows[dimension]
        ]
        shape = [-1 if d == dimension else 1 for d in range(len(rows))]
        found[name] = torch.cat(parts).view(shape).expand(morph.after.shape(name))
    return found


def _times(factors: Mapping[str, Tensor], more: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Factors times further ones, in float64; an optimizer takes them to its weights' type."""
    return dict(factors) | {
        name: factor * factors[name] if name in factors else factor.clone()
        for name, factor in more.items()
    }


def _without_ones(state: State) -> State:
    """The state without factors of 1 and kinds without tensors."""
    for kind in FACTORS:
        tensors = state.get(kind, {})
        state[kind] = {name: t for name, t in tensors.items() if bool((t != 1).any())}
    if "rise" in state:
        state["rise"] = {n: t for n, t in state["rise"].items() if n in state["warm"]}
    return {kind: tensors for kind, tensors in state.items() if tensors}
