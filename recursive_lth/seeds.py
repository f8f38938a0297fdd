"""Named random generators from one root seed, so that no consumer moves another's draws."""

import hashlib
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

SEED_BITS = 63


def derive(root: int, *names: str | int) -> int:
    """A seed in [0, 2**63) that depends on the root seed and the path of names alone.

    >>> derive(0, "generation", 3) == derive(0, "generation", 3) != derive(0, "generation", 4)
    True
    """
    text = json.dumps([root, *names], separators=(",", ":"))
    digest = hashlib.sha256(text.encode()).digest()
    return int.from_bytes(digest[:8], "big") >> (64 - SEED_BITS)


def generator(root: int, *names: str | int) -> "torch.Generator":
    """A CPU `torch.Generator` seeded by `derive`; the same draws on every device and process."""
    import torch

    return torch.Generator().manual_seed(derive(root, *names))
