"""Morph: the architecture after a structural change, and the origin of each of its units.

Removing units is `(0, 2, 3)`; widening is `(0, 1, 2, -1, -1)`; a Net2Net split is
`(0, 1, 2, 1)`; a new layer has parameter names without an ancestor.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.layer import Axis
from recursive_lth.errors import InputError

NEW = -1


@dataclass(frozen=True)
class Ancestry:
    """Where the units of one symbol come from: `units[i]` of `symbol` before, or NEW.

    `symbol` is "" where all units are new.
    """

    symbol: str
    units: tuple[int, ...]


Origin = Mapping[str, Ancestry]


@dataclass(frozen=True)
class Morph:
    """A structural change: `before`, `after`, and for each symbol of `after` its ancestry.

    `models` names for a new layer that is a copy the layer before that it copies: a hint for its
    values and masks, which transplant does not read. The constructor checks that every symbol is
    covered and every ancestor exists, and leaves the symbol out of an ancestry whose units are all
    new, so that equal changes are equal morphs.
    """

    before: Architecture
    after: Architecture
    origin: Origin
    models: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        origin = {
            symbol: ancestry
            if any(u != NEW for u in ancestry.units)
            else Ancestry("", ancestry.units)
            for symbol, ancestry in self.origin.items()
        }
        object.__setattr__(self, "origin", MappingProxyType(origin))
        object.__setattr__(self, "models", MappingProxyType(dict(self.models)))
        for layer, model in self.models.items():
            if layer not in self.new_layers or model not in self.before.layers:
                raise InputError(f"{layer} cannot copy {model}: one is no new, one no old layer")
        if set(self.origin) != set(self.after.symbols):
            odd = sorted(set(self.origin) ^ set(self.after.symbols))
            raise InputError(f"origin must name exactly the symbols after; differ in {odd}")
        for symbol, ancestry in self.origin.items():
            if len(ancestry.units) != self.after.symbols[symbol]:
                raise InputError(
                    f"origin of {symbol} must name {self.after.symbols[symbol]} units, "
                    f"got {len(ancestry.units)}"
                )
            limit = self.before.symbols.get(ancestry.symbol, 0)
            if any(not NEW <= unit < limit for unit in ancestry.units):
                raise InputError(
                    f"origin of {symbol} names a unit that {ancestry.symbol or 'nothing'} lacks"
                )

    def __reduce__(self) -> tuple[Any, ...]:
        """Built anew when pickled or copied: a mapping proxy can be neither."""
        return Morph, (self.before, self.after, dict(self.origin), dict(self.models))

    @property
    def new_tensors(self) -> tuple[str, ...]:
        """Names of the tensors after that did not exist before."""
        return tuple(name for name in self.after.tensors if name not in self.before.tensors)

    @property
    def new_layers(self) -> tuple[str, ...]:
        """Names of the layers after that did not exist before, in the order they run."""
        return tuple(name for name in self.after.order if name not in self.before.layers)


def morph(
    before: Architecture,
    after: Architecture,
    changed: Origin,
    models: Mapping[str, str] | None = None,
) -> Morph:
    """A morph whose symbols come from their namesakes unit by unit, save those in `changed`.

    A symbol without a namesake that `changed` does not name is all new. Raises `InputError` where
    `changed` names a symbol that is not there, or lacks one that changed its size.
    """
    if unknown := sorted(set(changed) - set(after.symbols)):
        raise InputError(f"no symbols {unknown} after the change: it has {sorted(after.symbols)}")

    def ancestry(symbol: str) -> Ancestry:
        units = after.symbols[symbol]
        if symbol in changed:
            return changed[symbol]
        if symbol in before.symbols:
            if before.symbols[symbol] != units:
                raise InputError(
                    f"{symbol} goes from {before.symbols[symbol]} to {units} units: "
                    "name their ancestry"
                )
            return Ancestry(symbol, tuple(range(units)))
        return Ancestry("", (NEW,) * units)

    origin = {symbol: ancestry(symbol) for symbol in after.symbols}
    return Morph(before, after, origin, models or {})


def birth(architecture: Architecture) -> Morph:
    """The morph from nothing: every unit is new."""
    symbols = {s: Ancestry("", (NEW,) * n) for s, n in architecture.symbols.items()}
    return Morph(architecture, architecture, symbols)


def compose(first: Morph, second: Morph) -> Morph:
    """`first` and then `second` as one morph. Raises `InputError` where they do not meet.

    Composition of origins is exact for units; for weights it equals two transplants only where
    both origins are injective, since a split divides outgoing weights.
    """
    if first.after != second.before:
        raise InputError("cannot compose: the second morph does not start where the first ends")
    gone = set(first.before.tensors) - set(first.after.tensors)
    if back := sorted(gone & set(second.after.tensors)):
        raise InputError(f"cannot compose: {back} were removed and are new again, name them anew")
    for name in {*first.before.tensors} & {*first.after.tensors} & {*second.after.tensors}:
        _check_segments(name, first, second)

    def through(ancestry: Ancestry) -> Ancestry:
        if not ancestry.symbol:
            return ancestry
        earlier = first.origin[ancestry.symbol]
        units = tuple(earlier.units[u] if u != NEW else NEW for u in ancestry.units)
        return Ancestry(earlier.symbol, units)

    origin = {symbol: through(ancestry) for symbol, ancestry in second.origin.items()}
    models = {new: first.models.get(old, old) for new, old in second.models.items()}
    models = {**first.models, **models}
    return Morph(
        first.before,
        second.after,
        origin,
        {
            new: old
            for new, old in models.items()
            if old in first.before.layers and new in second.after.layers
        },
    )


def _check_segments(name: str, first: Morph, second: Morph) -> None:
    """Raise `InputError` where a tensor would lose a joined stream and take it up again."""
    for before, middle, after in zip(
        first.before.tensors[name],
        first.after.tensors[name],
        second.after.tensors[name],
        strict=True,
    ):
        for axis in after if len(after) > 1 else ():
            parent = second.origin[axis.symbol].symbol
            if not parent or Axis(parent, axis.repeat) in middle:
                continue
            if Axis(first.origin[parent].symbol, axis.repeat) in before:
                raise InputError(
                    f"cannot compose: {name} lost {parent} and takes it up again, name it anew"
                )
