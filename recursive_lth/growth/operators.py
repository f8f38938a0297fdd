"""Operators: an architecture, a place and a ratio -> a Morph. They propose, and move nothing."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from recursive_lth.architecture.graph import Architecture
from recursive_lth.growth.depths import bottleneck, bottleneck_pre, deepen, residual, residual_pre
from recursive_lth.growth.paths import (
    branch,
    branch_concat,
    free_layers,
    joinable_sites,
    pairs,
    skip,
    skip_add,
)
from recursive_lth.growth.rewire import everywhere, rewire
from recursive_lth.growth.sites import sites, weight_layers
from recursive_lth.growth.stretch import blocks, stretch
from recursive_lth.growth.widths import convolutions, enlarge_kernel, split, symbols, widen
from recursive_lth.ticket.morph import Morph

Operator = Callable[..., Morph]  # (architecture, *, place, ratio, label)
Places = Callable[[Architecture], tuple[str, ...]]

OPERATORS: Mapping[str, Operator] = MappingProxyType(
    {
        "widen": widen,
        "split": split,
        "deepen": deepen,
        "residual": residual,
        "bottleneck": bottleneck,
        "residual_pre": residual_pre,
        "bottleneck_pre": bottleneck_pre,
        "branch": branch,
        "branch_concat": branch_concat,
        "skip": skip,
        "skip_add": skip_add,
        "stretch": stretch,
        "enlarge_kernel": enlarge_kernel,
        "rewire": rewire,
    }
)
PLACES: Mapping[str, Places] = MappingProxyType(  # what a place points to, input side first
    {
        "widen": symbols,
        "split": symbols,
        "deepen": sites,
        "residual": sites,
        "bottleneck": sites,
        "residual_pre": sites,
        "bottleneck_pre": sites,
        "branch": weight_layers,
        "branch_concat": free_layers,
        "skip": joinable_sites,
        "skip_add": lambda architecture: tuple(pairs(architecture)),
        "stretch": lambda architecture: tuple(blocks(architecture)),
        "enlarge_kernel": convolutions,
        "rewire": everywhere,
    }
)
COMPOUNDS: Mapping[str, tuple[str, ...]] = MappingProxyType(  # one after the other
    {
        "deepen_widen": ("deepen", "widen"),
        "residual_widen": ("residual", "widen"),
        "stretch_widen": ("stretch", "widen"),
    }
)
