"""Selection: exactly so many of the lowest scores of several tensors, without sorting them.

The score at which the order is cut is found by partition (introselect), which is linear, on one
copy of the remaining scores; then all below it go, and of those equal to it the first by place.
"""

from collections.abc import Iterator, Sequence
from functools import reduce

import torch
from torch import Tensor

CHUNK = 1 << 18  # entries that are compared at a time: few enough to stay in the cache


def has_nan(score: Tensor, mask: Tensor) -> bool:
    """True iff a score is NaN where the mask is true."""
    if not score.numel() or not bool(score.max().isnan()):  # a maximum hands NaN on
        return False
    return bool((score.isnan() & mask).any())


def clear_lowest(
    masks: Sequence[Tensor], scores: Sequence[Tensor], free: Sequence[int], count: int
) -> None:
    """Make the `count` true entries of lowest (score, number of the tensor, flat index) false.

    It changes the masks, which must be contiguous. Only the `free[i]` lowest true entries of mask i
    may go; there are at least `count` of them in all. Scores without NaN, of the masks' shapes.
    """
    if count < 1:
        return
    kind = _order_type(scores)
    pairs = [(m.view(-1), s.detach().flatten()) for m, s in zip(masks, scores, strict=True)]
    level = _level(pairs, free, count, kind)
    tallies = [_tally(mask, score, level) for mask, score in pairs]
    left = count - sum(min(n, lower) for n, (lower, _) in zip(free, tallies, strict=True))
    for pair, n, (lower, equal) in zip(pairs, free, tallies, strict=True):
        if n < lower:  # its highest are not free: it has an order, and so a level, of its own
            if n:
                _clear(*pair, _level([pair], [n], n, kind), n)
            continue
        ties = min(left, n - lower, equal)
        left -= ties
        _clear(*pair, level, lower + ties)


def _order_type(scores: Sequence[Tensor]) -> torch.dtype:
    """The type in which the scores are compared: the one that `torch.cat` would give them."""
    kind = reduce(torch.promote_types, [score.dtype for score in scores])
    return torch.float32 if kind == torch.bfloat16 else kind  # NumPy has no bfloat16


def _level(
    pairs: Sequence[tuple[Tensor, Tensor]], free: Sequence[int], count: int, kind: torch.dtype
) -> Tensor:
    """The score, without dimension, of the last of the `count` free entries that are lowest."""
    sizes = [int(mask.count_nonzero()) for mask, _ in pairs]
    values = torch.empty(sum(sizes), dtype=kind)
    parts = values.split(sizes)
    for (mask, score), part in zip(pairs, parts, strict=True):
        start = 0
        for keeps, some in _chunks(mask, score):
            found = some if bool(keeps.all()) else some[keeps]
            part[start : start + len(found)] = found
            start += len(found)
    highest = values.max()
    for part, n in zip(parts, free, strict=True):
        if n < len(part):
            part.numpy().partition(n)
            part[n:] = highest  # out of the way: `count` of the others are no higher
    values.numpy().partition(count - 1)
    return values[count - 1].clone()


def _tally(mask: Tensor, score: Tensor, level: Tensor) -> tuple[int, int]:
    """How many true entries score lower than the level, and how many equal to it."""
    lower = equal = 0
    for keeps, some in _chunks(mask, score):
        values = some.to(level.dtype)
        lower += int((keeps & (values < level)).count_nonzero())
        equal += int((keeps & (values == level)).count_nonzero())
    return lower, equal


def _clear(mask: Tensor, score: Tensor, level: Tensor, count: int) -> None:
    """Make `count` true entries false: those below the level and the first that are equal to it."""
    for keeps, some in _chunks(mask, score):
        gone = keeps & (some.to(level.dtype) < level)
        count -= int(gone.count_nonzero())
        keeps ^= gone
    for keeps, some in _chunks(mask, score):
        if not count:
            return
        gone = keeps & (some.to(level.dtype) == level)
        if int(gone.count_nonzero()) > count:
            gone[gone.nonzero().flatten()[count:]] = False
        count -= int(gone.count_nonzero())
        keeps ^= gone


def _chunks(mask: Tensor, score: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    return zip(mask.split(CHUNK), score.split(CHUNK), strict=True)
