"""How many weights each round removes, and from which group of layers they compete."""

from dataclasses import dataclass

from recursive_lth.architecture.cost import size
from recursive_lth.architecture.graph import Architecture
from recursive_lth.config import Pruning
from recursive_lth.ticket.masks import counts
from recursive_lth.ticket.ticket import Ticket

SCOPES = {"global": "all layers compete", "per_layer": "each layer loses its own share"}


@dataclass(frozen=True)
class Group:
    """Tensors whose weights compete with one another, and how many of them go."""

    names: tuple[str, ...]
    remove: int


def target(architecture: Architecture, pruning: Pruning) -> int:
    """How many weights shall remain in all at a generation's end; 0 where only rounds count."""
    if pruning.target_density and not pruning.target_weights:
        whole = sum(size(architecture, name) for name in architecture.prunable)
        return max(1, round(pruning.target_density * whole))
    return pruning.target_weights


def next_round(ticket: Ticket, pruning: Pruning, *, done: int) -> tuple[Group, ...]:
    """What the round after `done` rounds of a generation removes; () where it is finished.

    Each group loses round(rate * remaining), at least one, as far as the layers' floors allow. The
    last round stops exactly at the target; under the per-layer scope a target density is each
    layer's own. With a rate of its own the output layer is a group of its own under the global
    scope too (Frankle & Carbin 2019 prune it at half the rate).
    """
    if pruning.rounds and done >= pruning.rounds:
        return ()
    groups = _groups(ticket, pruning)
    if not _has_own_targets(pruning):
        kept = sum(counts(ticket.masks).values())
        excess = max(0, kept - target(ticket.architecture, pruning))
        if sum(group.remove for group in groups) > excess:
            shares = _apportion([group.remove for group in groups], excess)
            groups = [Group(g.names, share) for g, share in zip(groups, shares, strict=True)]
    return tuple(group for group in groups if group.remove > 0)


def _has_own_targets(pruning: Pruning) -> bool:
    """True iff each layer has a target of its own."""
    return (
        pruning.scope == "per_layer" and not pruning.target_weights and pruning.target_density > 0
    )


def _groups(ticket: Ticket, pruning: Pruning) -> list[Group]:
    """Every group with what it would lose at its rate."""
    architecture, kept = ticket.architecture, counts(ticket.masks)
    output = f"{architecture.output}.weight"
    members: list[tuple[str, ...]]
    if pruning.scope == "per_layer":
        members = [(name,) for name in architecture.prunable]
    elif pruning.output_rate is None:
        members = [tuple(architecture.prunable)]
    else:
        members = [tuple(n for n in architecture.prunable if n != output), (output,)]

    def least(name: str) -> int:
        if not _has_own_targets(pruning):
            return pruning.layer_floor
        return max(pruning.layer_floor, round(pruning.target_density * size(architecture, name)))

    groups = []
    for names in members:
        own = pruning.output_rate if names == (output,) else None
        rate = pruning.rate if own is None else own
        free = sum(max(0, kept[name] - least(name)) for name in names)
        share = round(rate * sum(kept[name] for name in names))
        groups.append(Group(names, min(free, max(share, int(rate > 0)))))
    return groups


def _apportion(wishes: list[int], total: int) -> list[int]:
    """Whole shares of `total` in proportion to `wishes`, by the largest remainder."""
    whole = sum(wishes)
    shares = [wish * total // whole for wish in wishes]
    by_remainder = sorted(range(len(wishes)), key=lambda i: (-(wishes[i] * total % whole), i))
    for i in by_remainder[: total - sum(shares)]:
        shares[i] += 1
    return shares
