"""Operators that add units to a width, or pixels to a kernel."""

from dataclasses import replace

from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.layer import CONVOLUTIONS, kernel_symbol
from recursive_lth.growth.sites import at
from recursive_lth.ticket.morph import NEW, Ancestry, Morph, morph


def widen(architecture: Architecture, *, place: float, ratio: float, label: str) -> Morph:
    """More units on the width symbol at `place`: `ratio` new ones for each old one, at least one.

    Every tensor that runs over the symbol widens with it: a whole residual stream alike, and a
    grouped convolution by whole groups. `label` is unused: no layer is added.
    """
    symbol, units, new = _more(architecture, place, ratio)
    after = architecture.edit(widths={symbol: units + new})
    return morph(architecture, after, {symbol: Ancestry(symbol, (*range(units), *(NEW,) * new))})


def split(architecture: Architecture, *, place: float, ratio: float, label: str) -> Morph:
    """Units on the width symbol at `place` that are copies of old ones (Net2WiderNet).

    As many as `widen` adds, copied in turn from the first (Chen et al. 2016, arXiv 1511.05641, draw
    them at random). Every tensor on the symbol copies the same units. `label` is unused.
    """
    symbol, units, new = _more(architecture, place, ratio)
    after = architecture.edit(widths={symbol: units + new})
    copies = tuple(i % units for i in range(new))
    return morph(architecture, after, {symbol: Ancestry(symbol, (*range(units), *copies))})


def enlarge_kernel(architecture: Architecture, *, place: float, ratio: float, label: str) -> Morph:
    """A rim of one pixel around the kernel of the convolution at `place`, and as much padding.

    3x3 becomes 5x5 and every output stays where it was. `ratio` and `label` are unused.
    """
    name = at(convolutions(architecture), place, "convolution")
    layer = architecture.layers[name]
    larger = replace(layer, kernel=layer.kernel + 2, padding=layer.padding + 1)
    own = kernel_symbol(name)
    rim = Ancestry(own, (NEW, *range(layer.kernel), NEW))
    return morph(architecture, architecture.edit({name: larger}), {own: rim})


def symbols(architecture: Architecture) -> tuple[str, ...]:
    """Width symbols that may grow, from input to output."""
    return architecture.free_symbols


def convolutions(architecture: Architecture) -> tuple[str, ...]:
    """All convolutions, from input to output."""
    order = architecture.order
    return tuple(n for n in order if architecture.layers[n].operation in CONVOLUTIONS)


def _more(architecture: Architecture, place: float, ratio: float) -> tuple[str, int, int]:
    """The symbol at a place, its units, and how many are to come."""
    symbol = at(symbols(architecture), place, "width symbol")
    units = architecture.widths[symbol]
    return symbol, units, max(1, round(ratio * units))
