"""Random morphs of architectures, and a slow reading of where the entries of an axis come from."""

from dataclasses import replace

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.layer import CONVOLUTIONS, Axis, Layer, Row
from recursive_lth.ticket.morph import NEW, Ancestry, Morph, morph


def row_units(row: Row, architecture: Architecture) -> list[tuple[int, Axis, int, int]]:
    """Entry by entry along an axis: number of its segment, segment, unit, place within the unit."""
    return [
        (number, axis, unit, offset)
        for number, axis in enumerate(row)
        for unit in range(architecture.symbols[axis.symbol])
        for offset in range(axis.repeat)
    ]


def row_ancestors(change: Morph, name: str, dimension: int) -> list[int]:
    """For each entry along one axis after a change the entry before, or NEW; by walking.

    A segment comes from the one before of its ancestor's symbol and as many entries a unit: the
    second of two from the second.
    """
    before, after = (a.tensors[name][dimension] for a in (change.before, change.after))
    entries = row_units(before, change.before)
    parents = [Axis(change.origin[axis.symbol].symbol, axis.repeat) for axis in after]
    found = []
    for number, axis, unit, offset in row_units(after, change.after):
        parent = parents[number]
        alike = [i for i, segment in enumerate(before) if segment == parent]
        turn = parents[:number].count(parent)
        old = change.origin[axis.symbol].units[unit]
        if old == NEW or turn >= len(alike):
            found.append(NEW)
        else:
            found.append(entries.index((alike[turn], parent, old, offset)))
    return found


@st.composite
def unit_origins(draw: DrawFn, units: int, *, is_injective: bool) -> tuple[int, ...]:
    """A removal, reordering and widening (and, unless injective, a split) of `units` units."""
    if is_injective:
        old = draw(st.permutations(range(units)))[: draw(st.integers(0, units))]
    else:
        old = draw(st.lists(st.integers(0, units - 1), max_size=units + 2))
    new = draw(st.integers(0 if old else 1, 2))
    return tuple(draw(st.permutations([*old, *[NEW] * new])))


@st.composite
def morphs(
    draw: DrawFn, before: Architecture, tag: str = "new", *, is_injective: bool = True
) -> Morph:
    """A random change: units of any free symbol, a larger kernel, new layers, a symbol's name.

    `tag` begins the names of what is new and must be fresh.
    """
    after, changed = before, dict[str, Ancestry]()
    for symbol in before.free_symbols:
        if draw(st.booleans()):
            units = draw(unit_origins(before.widths[symbol], is_injective=is_injective))
            changed[symbol] = Ancestry(symbol, units)
            after = after.edit(widths={symbol: len(units)})
    convolutions = sorted(
        n for n, layer in before.layers.items() if layer.operation in CONVOLUTIONS
    )
    has_larger_kernel, has_insertion, has_new_name = (draw(st.booleans()) for _ in range(3))
    if convolutions and has_larger_kernel:
        name = draw(st.sampled_from(convolutions))
        layer = before.layers[name]
        wider = replace(layer, kernel=layer.kernel + 2, padding=layer.padding + 1)
        after = after.edit({name: wider})
        changed[f"{name}.kernel"] = Ancestry(f"{name}.kernel", (NEW, *range(layer.kernel), NEW))
    if has_insertion:
        after = draw(insertions(after, tag))
        if (own := f"{tag}.own") in after.widths:  # what read the old symbol reads this one now
            source = after.unit_rows[after.layers[f"{tag}.layer"].inputs[0]][0].symbol
            same = Ancestry(source, tuple(range(before.widths[source])))
            changed[own] = changed.get(source, same)
    if before.free_symbols and has_new_name:
        old = draw(st.sampled_from(before.free_symbols))
        units = tuple(range(before.widths[old]))
        changed[f"{tag}.name"] = Ancestry(old, changed.pop(old, Ancestry(old, units)).units)
        after = renamed(after, old, f"{tag}.name")
    return morph(before, after, changed)


def renamed(architecture: Architecture, old: str, new: str) -> Architecture:
    """The same network with symbol `old` called `new`."""
    layers = {
        n: replace(layer, width=new) if layer.width == old else layer
        for n, layer in architecture.layers.items()
    }
    widths = {new if s == old else s: n for s, n in architecture.widths.items()}
    return Architecture(layers, widths, architecture.spatial)


@st.composite
def insertions(draw: DrawFn, architecture: Architecture, tag: str) -> Architecture:
    """A norm, a layer on the old symbol or its own, a residual or a joined branch, somewhere."""
    places = [n for n in architecture.order if n not in {architecture.output, architecture.input}]
    place = draw(st.sampled_from(places or [architecture.input]))
    row, shape = architecture.unit_rows[place], architecture.shapes[place]
    end, widths = f"{tag}.end", {}
    readers = {
        n: replace(layer, inputs=tuple(end if i == place else i for i in layer.inputs))
        for n, layer in architecture.layers.items()
        if place in layer.inputs
    }
    weighted = Layer("linear", (place,), row[0].symbol, multiple=row[0].repeat)
    if len(shape) == 3:
        weighted = replace(weighted, operation="conv", kernel=3, padding=1)
    is_stream = len(row) == 1 and (len(shape) == 3 or row[0].repeat == 1)
    kinds = ["norm", *(["layer", "own", "branch"] if is_stream else [])]
    kinds += [] if _reaches(architecture, place, {"add", "groupconv"}) else ["concat"]
    match draw(st.sampled_from(kinds)):
        case "norm":
            added = {end: Layer("batchnorm", (place,))}
        case "concat":
            widths = {f"{tag}.units": draw(st.integers(1, 3))}
            added = {
                f"{tag}.side": replace(weighted, width=f"{tag}.units", multiple=1),
                end: Layer("concat", (place, f"{tag}.side")),
            }
        case "branch":
            widths = {f"{tag}.units": draw(st.integers(1, 3))}
            added = {
                f"{tag}.one": replace(weighted, width=f"{tag}.units", multiple=1),
                f"{tag}.two": replace(weighted, inputs=(f"{tag}.one",)),
                end: Layer("add", (place, f"{tag}.two")),
            }
        case kind:
            if kind == "own" and not _reaches(architecture, place, {"add"}):
                weighted = replace(weighted, width=f"{tag}.own")
                widths = {f"{tag}.own": architecture.widths[row[0].symbol]}
            added = {f"{tag}.layer": weighted, end: Layer("relu", (f"{tag}.layer",))}
    return architecture.edit({**readers, **added}, widths)


def _reaches(architecture: Architecture, place: str, operations: set[str]) -> bool:
    """True iff the units after `place` come to such a layer before another makes new ones."""
    following = [n for n, layer in architecture.layers.items() if place in layer.inputs]
    return any(
        architecture.layers[n].operation in operations
        or (not architecture.layers[n].width and _reaches(architecture, n, operations))
        for n in following
    )
