"""What is asked of a module and its example before either is run."""

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from recursive_lth.architecture.importing.modules import read_module
from recursive_lth.errors import InputError

FLOATS = (torch.float32, torch.float64)  # what a ticket holds and a certificate is computed in
MIXERS = (
    nn.MultiheadAttention, nn.Transformer, nn.TransformerEncoder, nn.TransformerDecoder,
    nn.TransformerEncoderLayer, nn.TransformerDecoderLayer, nn.RNNBase, nn.RNNCellBase,
)  # fmt: skip


def check_input(batch: Tensor) -> None:
    """Raise `InputError` unless a batch is one that our networks read."""
    if batch.dim() not in (2, 4) or not batch.is_floating_point():
        raise InputError(
            "example_input must be a batch (samples, features) or (samples, channels, height, "
            f"width) of a float type, got {batch.dtype} {tuple(batch.shape)}"
        )
    if not len(batch) or not bool(batch.isfinite().all()):
        raise InputError("example_input must have samples, all of them finite")


def check_module(module: nn.Module) -> None:
    """Raise `InputError` where a module is wrapped, or parameters are shared or computed.

    So too for layers that no tracing would name well, and for floats of half precision.
    """
    for path, inner in module.named_modules():
        _check_form(path, inner)
        _check_computed(path or "the module", inner)
    owners: dict[int, str] = {}
    for name, parameter in module.named_parameters(remove_duplicate=False):
        if nn.parameter.is_lazy(parameter):
            raise InputError(f"{name}: has no shape yet: run the module once before")
        other = owners.setdefault(id(parameter), name)
        if other != name:
            raise InputError(f"{name} and {other} are one parameter: give each its own")
    for name, tensor in module.state_dict().items():
        is_real = tensor.is_floating_point() or tensor.is_complex()
        if is_real and tensor.dtype not in FLOATS:
            raise InputError(
                f"{name} must be of torch.float32 or torch.float64, got {tensor.dtype}: call "
                "module.float() first"
            )
    home = getattr(type(module).forward, "__module__", "")
    if home.startswith("torch.nn.modules.") and not list(module.children()):
        read_module(module)
        raise InputError(
            f"the module is one layer, {type(module).__name__}, which has no name: wrap it as "
            "nn.Sequential(module)"
        )


def _check_form(path: str, inner: nn.Module) -> None:
    """Raise `InputError` where a module is compiled, or a kind that works along a sequence."""
    if isinstance(getattr(inner, "_orig_mod", None), nn.Module):
        wrapped = f"module.{path}._orig_mod" if path else "module._orig_mod"
        raise InputError(
            f"{path or 'the module'}: is made by torch.compile: take what it wraps, {wrapped}, "
            "in its place, and compile again afterwards"
        )
    if isinstance(inner, MIXERS):
        raise InputError(
            f"{path or 'the module'}: {type(inner).__name__} is not among our layers: attention "
            "and recurrent layers have no counterpart here. Replace it by nn.Linear or nn.Conv2d "
            "layers, or keep it outside: import the submodules without it each for itself, with "
            "what they read as example_input"
        )


def _check_computed(path: str, inner: nn.Module) -> None:
    """Raise `InputError` where a layer's parameters are computed from others."""
    buffers = dict(inner.named_buffers(recurse=False))
    for name, _ in inner.named_parameters(recurse=False):
        stem = name.removesuffix("_orig")
        if stem != name and f"{stem}_mask" in buffers:
            raise InputError(
                f"{path}: is pruned by torch.nn.utils.prune: call prune.remove(layer, {stem!r}) "
                "first; ticket_from_module takes the zeros with masks_from_zeros=True"
            )
        if stem != name and f"{stem}_u" in buffers:
            raise InputError(
                f"{path}: has a spectral norm: call "
                f"torch.nn.utils.remove_spectral_norm(layer, {stem!r}) first"
            )
    if parametrize.is_parametrized(inner):
        raise InputError(
            f"{path}: has a parametrization: call "
            "torch.nn.utils.parametrize.remove_parametrizations first"
        )
