"""Operators that add a path beside an old one: branches and skip connections."""

from dataclasses import replace

from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.layer import Axis, Layer
from recursive_lth.growth.sites import (
    at,
    insert,
    is_image,
    reaches,
    sites,
    stream,
    weight_layer,
    weight_layers,
)
from recursive_lth.ticket.morph import Morph, morph

SINGLE = frozenset({"add", "groupconv"})  # what reads one stream of one symbol


def branch(architecture: Architecture, *, place: float, ratio: float, label: str) -> Morph:
    """A second weight layer beside the one at `place`, of the same input and shape, added to it.

    `ratio` is unused: it makes the same units.
    """
    beside = at(weight_layers(architecture), place, "weight layer")
    layers = {
        label: architecture.layers[beside],
        f"{label}_add": Layer("add", (beside, label)),
    }
    return morph(architecture, insert(architecture, beside, f"{label}_add", layers, {}), {})


def branch_concat(architecture: Architecture, *, place: float, ratio: float, label: str) -> Morph:
    """A second weight layer beside the one at `place`, joined to its units.

    It makes `ratio` units for each of the old layer's, at least one, and reads the same input: a
    1x1 convolution beside a larger one and 3x3 beside 1x1, where the old one keeps its pixels. Not
    beside layers whose units are added to others, or read by a grouped convolution.
    """
    beside = at(free_layers(architecture), place, "weight layer with free units")
    old = architecture.layers[beside]
    units = max(1, round(ratio * architecture.widths[old.width]))
    new = replace(old, width=label)
    if old.operation == "conv" and old.padding == old.kernel // 2 and old.kernel % 2:
        kernel = 3 if old.kernel == 1 else 1
        new = replace(new, kernel=kernel, padding=kernel // 2)
    layers = {label: new, f"{label}_concat": Layer("concat", (beside, label))}
    after = insert(architecture, beside, f"{label}_concat", layers, {label: units})
    return morph(architecture, after, {})


def skip(architecture: Architecture, *, place: float, ratio: float, label: str) -> Morph:
    """What an earlier activation gave, joined to the one at `place` (Huang et al. 2017, DenseNet).

    The earlier one is the nearest with as many pixels. No unit is new: those who read get new
    weights. `ratio` is unused.
    """
    site = at(joinable_sites(architecture), place, "activation to skip to")
    layers = {f"{label}_concat": Layer("concat", (site, pairs(architecture)[site]))}
    after = insert(architecture, site, f"{label}_concat", layers, {})
    return morph(architecture, after, {})


def skip_add(architecture: Architecture, *, place: float, ratio: float, label: str) -> Morph:
    """What an earlier activation gave, through a 1x1 projection, added to the one at `place`.

    The earlier one is the nearest with as many pixels. `ratio` is unused.
    """
    sources = pairs(architecture)
    site = at(tuple(sources), place, "activation to skip to")
    axis: Axis = stream(architecture, site)
    layers = {
        label: weight_layer(architecture, site, sources[site], axis, bias=False, kernel=1),
        f"{label}_add": Layer("add", (site, label)),
    }
    return morph(architecture, insert(architecture, site, f"{label}_add", layers, {}), {})


def free_layers(architecture: Architecture) -> tuple[str, ...]:
    """Weight layers whose units are neither added to others nor read group by group."""
    return tuple(
        name
        for name in weight_layers(architecture)
        if architecture.layers[name].width and not reaches(architecture, name, SINGLE)
    )


def joinable_sites(architecture: Architecture) -> tuple[str, ...]:
    """Activations that an earlier one can be joined to.

    Not where a stream of the earlier one's symbol is joined behind the activation already: the
    second of a symbol comes from the second before, so it would lose its weights to the new one.
    """
    return tuple(
        site
        for site, source in pairs(architecture).items()
        if not reaches(architecture, site, SINGLE)
        and not _is_joined_behind(architecture, site, stream(architecture, source).symbol)
    )


def _is_joined_behind(architecture: Architecture, name: str, symbol: str) -> bool:
    """True iff a concat lays units of the symbol behind those that leave a layer."""
    following = [name]
    while following:
        source = following.pop()
        for reader in architecture.graph.successors(source):
            layer = architecture.layers[reader]
            behind = layer.inputs[layer.inputs.index(source) + 1 :]
            if any(a.symbol == symbol for i in behind for a in architecture.unit_rows[i]):
                return True
            if not layer.width:
                following.append(reader)
    return False


def pairs(architecture: Architecture) -> dict[str, str]:
    """For each activation the nearest earlier one on a path to it, with as many pixels."""
    found: dict[str, str] = {}
    earlier: list[str] = []
    for site in sites(architecture):
        for source in reversed(earlier):
            same = architecture.shapes[source][1:] == architecture.shapes[site][1:]
            alike = is_image(architecture, source) == is_image(architecture, site)
            if same and alike and _leads(architecture, source, site):
                found[site] = source
                break
        earlier.append(site)
    return found


def _leads(architecture: Architecture, source: str, site: str) -> bool:
    """True iff there is a path from `source` to `site`, so that no cycle can come."""
    waiting = list(architecture.layers[site].inputs)
    seen = set(waiting)
    while waiting:
        name = waiting.pop()
        if name == source:
            return True
        new = set(architecture.layers[name].inputs) - seen
        seen |= new
        waiting.extend(new)
    return False
