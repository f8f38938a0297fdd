"""Seeds: a name's draws depend on the root seed and the name alone."""

import hashlib
import os
import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recursive_lth.seeds import SEED_BITS, derive, generator

PATHS = st.lists(st.one_of(st.integers(), st.text(max_size=8)), max_size=4).map(tuple)


def test_derive_is_sha256_of_the_path() -> None:
    """The upper 63 of the first 64 bits of SHA-256 of the JSON list, worked out from the text."""
    digest = hashlib.sha256(b'[7,"generation",3,"initialise"]').hexdigest()
    assert derive(7, "generation", 3, "initialise") == int(digest[:16], 16) // 2


@given(st.integers(), PATHS, st.integers(), PATHS)
def test_derive_tells_paths_apart(
    root: int, names: tuple[str | int, ...], other: int, others: tuple[str | int, ...]
) -> None:
    """Equal paths give one seed in [0, 2**63); unlike ones collide with probability 2**-63."""
    seed = derive(root, *names)
    assert 0 <= seed < 2**SEED_BITS
    assert (seed == derive(other, *others)) == ((root, *names) == (other, *others))


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ((0, "ab"), (0, "a", "b")),
        ((0, 1), (0, "1")),
        ((0, "a", "b"), (0, "b", "a")),
        ((0, 12), (0, 1, 2)),
        ((1, 0), (0, 1)),
        ((0, "a"), (0,)),
        ((0, 'a","b'), (0, "a", "b")),
    ],
)
def test_derive_keeps_names_whole(one: tuple[int, str | int], two: tuple[int, str | int]) -> None:
    """JSON quotes strings and parts items, so no two lists of names share a text."""
    assert derive(*one) != derive(*two)


def test_derive_is_the_same_in_every_process() -> None:
    """`hash()` is salted per process, SHA-256 is not; deriving a seed does not import torch."""
    code = (
        "import sys; from recursive_lth.seeds import derive; "
        "print(derive(5, 'order', 2), 'torch' in sys.modules)"
    )
    for salt in ("1", "2"):
        environment = {
            **os.environ,
            "PYTHONHASHSEED": salt,
            "PYTHONPATH": os.pathsep.join(sys.path),
        }
        run = subprocess.run(
            [sys.executable, "-c", code],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        assert run.stdout.split() == [str(derive(5, "order", 2)), "False"]


def test_generators_do_not_move_one_another() -> None:
    """A named stream is the same whether others, or the global generator, draw in between."""
    alone = torch.rand(6, generator=generator(3, "a"))
    ours, other = generator(3, "a"), generator(3, "b")
    first = torch.rand(3, generator=ours)
    torch.rand(5, generator=other)
    torch.rand(5)
    assert torch.equal(torch.cat([first, torch.rand(3, generator=ours)]), alone)
    assert not torch.equal(torch.rand(6, generator=generator(3, "b")), alone)


def test_generator_leaves_the_global_one_alone() -> None:
    """Making and using a named generator draws nothing from torch's global one."""
    before = torch.random.get_rng_state()
    torch.rand(4, generator=generator(0, "x"))
    assert torch.equal(torch.random.get_rng_state(), before)
