"""How many weights each round removes, and from which group of layers they compete."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from recursive_lth.architecture.cost import size
from recursive_lth.architecture.graph import Architecture
from recursive_lth.config import Pruning
from recursive_lth.errors import InputError
from recursive_lth.pruning.distribution import SHARES, layer_targets, least_of
from recursive_lth.ticket.masks import counts
from recursive_lth.ticket.ticket import Ticket

SCOPES: Mapping[str, str] = MappingProxyType(
    {
        "global": "all layers compete",
        "per_layer": "each layer loses its own share",
        "uniform_plus": "each layer its share, the first convolution none, the output at most 80 %",
        "erk": "each layer keeps more, the smaller it is (Erdos-Renyi kernel)",
    }
)


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

    Under the schedule `iterative` each group loses round(rate * remaining), at least one, as far as
    the layers' floors allow, and the last round stops exactly at the target; under the per-layer
    scope a target density is each layer's own. With a rate of its own the output layer is a group
    of its own under the global scope too (Frankle & Carbin 2019 prune it at half the rate). The
    other schedules fix how many weights remain after each round.
    """
    rounds = 1 if pruning.schedule == "one_shot" else pruning.rounds
    if rounds and done >= rounds:
        return ()
    kept = sum(counts(ticket.masks).values())
    goal = target(ticket.architecture, pruning)
    if pruning.schedule != "iterative":
        after = scheduled(pruning.schedule, kept, min(goal, kept), done=done, rounds=rounds)
        return toward(ticket, pruning, max(after, least_total(ticket, pruning)))
    if pruning.scope in SHARES:
        after = max(goal, kept - max(1, round(pruning.rate * kept)), least_total(ticket, pruning))
        return toward(ticket, pruning, after) if after < kept else ()
    groups = _groups(ticket, pruning)
    if not _has_own_targets(pruning):
        excess = max(0, kept - goal)
        if sum(group.remove for group in groups) > excess:
            shares = _apportion([group.remove for group in groups], excess)
            groups = [Group(g.names, share) for g, share in zip(groups, shares, strict=True)]
    return _not_empty(groups)


def least_total(ticket: Ticket, pruning: Pruning) -> int:
    """The fewest weights that floors and scope leave of a ticket."""
    kept = counts(ticket.masks)
    return sum(least_of(ticket.architecture, pruning.scope, kept, pruning.layer_floor).values())


def scheduled(schedule: str, kept: int, goal: int, *, done: int, rounds: int) -> int:
    """How many of `kept` weights remain after the next of `rounds` rounds towards `goal`.

    "cubic" is Zhu & Gupta (2017, arXiv 1710.01878): the excess falls as (1 - t / T)^3;
    "exponential" keeps the same fraction each round (Tanaka et al. 2020). Both are written as what
    follows from the round before, so that they go on from whatever is there.
    """
    left = rounds - done
    if schedule == "cubic":
        return goal + round((kept - goal) * ((left - 1) / left) ** 3)
    return goal if left == 1 else round(kept * (goal / kept) ** (1 / left))


def toward(ticket: Ticket, pruning: Pruning, keep: int) -> tuple[Group, ...]:
    """Removals, under the scope, after which exactly `keep` weights remain in all.

    Under the per-layer scope each layer gives the same share of what it has. Raises `InputError`
    where the layers' floors do not allow it, or more shall remain than there are.
    """
    architecture, kept = ticket.architecture, counts(ticket.masks)
    floors = {name: min(pruning.layer_floor, n) for name, n in kept.items()}
    whole = sum(kept.values())
    if not sum(floors.values()) <= keep <= whole:
        raise InputError(
            f"pruning cannot keep {keep} of {whole} weights while {len(kept)} layers each keep "
            f"{pruning.layer_floor}: change the density, or lower pruning.layer_floor"
        )
    if pruning.scope in SHARES:
        wanted = layer_targets(
            architecture, pruning.scope, keep, most=kept, floor=pruning.layer_floor
        )
        return _not_empty([Group((name,), kept[name] - n) for name, n in wanted.items()])
    if pruning.scope == "per_layer":
        free = [kept[name] - floors[name] for name in kept]
        shares = _apportion_within(list(kept.values()), whole - keep, free)
        return _not_empty([Group((name,), n) for name, n in zip(kept, shares, strict=True)])
    return _not_empty([Group(tuple(architecture.prunable), whole - keep)])


def _not_empty(groups: list[Group]) -> tuple[Group, ...]:
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


def _apportion_within(wishes: list[int], total: int, most: list[int]) -> list[int]:
    """As `_apportion`, none above its `most`: what is over is shared among the others."""
    shares = [0] * len(wishes)
    while (missing := total - sum(shares)) > 0:
        room = [w if share < m else 0 for w, share, m in zip(wishes, shares, most, strict=True)]
        more = _apportion(room, missing)
        shares = [min(m, share + n) for share, n, m in zip(shares, more, most, strict=True)]
    return shares
