"""Devices by name, and what is pinned while a run lasts."""

import pytest
import torch

from recursive_lth.errors import InputError
from recursive_lth.training.device import choose, pinned


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
