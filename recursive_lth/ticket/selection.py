"""Selection: exactly so many of the lowest scores of several tensors, without sorting them.

The score at which the order is cut is found by partition (introselect), which is linear, on one
copy of the remaining scores; then all below it go, and of those equal to it the first by place.
"""

from collections.abc import Iterator, Sequence
from functools import reduce

import torch
from torch import Tensor

# Entries that are compared at a time. They stay in the cache, and are few enough for torch to leave
# them to one thread: with thousands of small steps, threads on a busy machine wait for one another.
CHUNK = 1 << 15


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
    lower = [_count_lower(mask, score, level) for mask, score in pairs]
    left = count - sum(map(min, free, lower))
    for pair, n, low in zip(pairs, free, lower, strict=True):
        if low <= n:
            left -= _clear(*pair, level, low + min(left, n - low)) - low
        elif n:  # its highest are not free: it has an order, and so a level, of its own
            _clear(*pair, _level([pair], [n], n, kind), n)


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


def _count_lower(mask: Tensor, score: Tensor, level: Tensor) -> int:
    """How many true entries score lower than the level."""
    return sum(
        int((keeps & (some.to(level.dtype) < level)).count_nonzero())
        for keeps, some in _chunks(mask, score)
    )


def _clear(mask: Tensor, score: Tensor, level: Tensor, count: int) -> int:
    """Make true entries false: all below the level, then those equal to it up to `count` in all.

    Returns how many that were.
    """
    left = count
    for keeps, some in _chunks(mask, score):
        gone = keeps & (some.to(level.dtype) < level)
        left -= int(gone.count_nonzero())
        keeps ^= gone
    for keeps, some in _chunks(mask, score):
        if not left:
            break
        gone = keeps & (some.to(level.dtype) == level)
        if int(gone.count_nonzero()) > left:
            gone[gone.nonzero().flatten()[left:]] = False
        left -= int(gone.count_nonzero())
        keeps ^= gone
    return count - left


def _chunks(mask: Tensor, score: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    return zip(mask.split(CHUNK), score.split(CHUNK), strict=True)
