"""Devices by name, and what is pinned while a run lasts."""

import pytest
import torch
from torch import Tensor

from recursive_lth.architecture.zoo import mlp
from recursive_lth.config import Training
from recursive_lth.errors import InputError
from recursive_lth.growth.fresh import fresh
from recursive_lth.training.batches import Batches
from recursive_lth.training.device import choose, flushed, pinned
from recursive_lth.training.loop import training
from recursive_lth.training.samples import Samples


def test_choose_takes_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """`auto` is a GPU where there is one and else the CPU; a name is taken at its word."""
    assert choose("cpu") == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose("auto") == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose("auto") == torch.device("cuda")


@pytest.mark.parametrize("name", ["", "gpu", "cpu:x", "cuda:99", "tpu", "a b"])
def test_a_missing_device_is_an_error(name: str) -> None:
    """One line that names it and the cure."""
    with pytest.raises(InputError, match="on this machine: use --device auto or cpu") as caught:
        choose(name)
    assert repr(name) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_device_without_memory_is_an_error() -> None:
    """`meta` tensors hold no numbers: nothing can be trained there."""
    with pytest.raises(InputError, match="no device 'meta'"):
        choose("meta")


def test_pinned_sets_and_sets_back() -> None:
    """Threads and cuDNN's choice hold inside, and what was before returns, also after an error."""
    cudnn = torch.backends.cudnn
    before = torch.get_num_threads(), cudnn.deterministic
    for threads in (1, 2):
        with pinned(threads):
            assert torch.get_num_threads() == threads
            assert cudnn.deterministic
        assert (torch.get_num_threads(), cudnn.deterministic) == before
    with pytest.raises(KeyError), pinned(2):
        raise KeyError
    assert (torch.get_num_threads(), cudnn.deterministic) == before


CAN_FLUSH = pytest.mark.skipif(
    not torch.set_flush_denormal(False), reason="this processor cannot flush"
)


def held(number: float) -> bool:
    """True iff a number too small to be normal is more than 0 where it is computed with."""
    return bool((torch.full((2,), number) * torch.tensor(0.5)).any())


@CAN_FLUSH
def test_flushed_ends_and_nests() -> None:
    """Numbers too small to be normal count as 0 inside, and not after it, whatever happens."""
    least_normal = torch.finfo(torch.float32).smallest_normal
    with pinned(1):
        assert held(least_normal)
        with flushed():
            assert not held(least_normal)
            with flushed():
                assert not held(least_normal)
            assert not held(least_normal)
            assert held(4 * least_normal)
        assert held(least_normal)
        with pytest.raises(KeyError), flushed():
            raise KeyError
        assert held(least_normal)
    with pinned(2), flushed():
        assert held(least_normal)  # the second thread would not know


@CAN_FLUSH
@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_no_weight_feels_what_is_flushed(optimizer: str) -> None:
    """A dead unit's moments die out, to the least numbers or flushed to 0; weights are the same."""
    architecture = mlp((4,), 3, (5,))
    generator = torch.Generator().manual_seed(0)
    weights = fresh(architecture, generator, "kaiming_normal")
    weights["fc1.bias"][0] = -1e3
    images, labels = torch.rand(64, 4, generator=generator), torch.arange(64) % 3
    recipe = Training(optimizer=optimizer, batch_size=16, learning_rate=0.01)
    data = Batches(Samples(images, labels), torch.zeros(1), recipe)
    masks = {n: torch.ones_like(weights[n], dtype=torch.bool) for n in architecture.prunable}
    kind = "momentum_buffer" if optimizer == "sgd" else "exp_avg"
    state = {kind: {name: torch.full_like(weights[name], 1e-3) for name in architecture.trainable}}
    if optimizer != "sgd":
        state["exp_avg_sq"] = {name: t.square() for name, t in state[kind].items()}
        state["step"] = {name: torch.tensor(1.0) for name in architecture.trainable}

    def trained() -> tuple[dict[str, Tensor], Tensor]:
        loop = training(architecture, weights, masks, data, recipe, steps=900, seed=1, state=state)
        *_, last = loop
        return last.snapshot(), last.state()[kind]["fc1.weight"][0]

    with pinned(1):
        plain, left = trained()
        with flushed():
            clean, gone = trained()
    assert 0 < float(left.abs().max()) < torch.finfo(torch.float32).smallest_normal
    assert not gone.any()
    assert all(torch.equal(plain[name], clean[name]) for name in plain)
