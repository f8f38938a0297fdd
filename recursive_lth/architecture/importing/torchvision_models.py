"""Structures of torchvision's own models, by name; their weights are not taken."""

from functools import lru_cache

import torch

from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.importer import from_module
from recursive_lth.architecture.layer import Shape
from recursive_lth.config import nearest
from recursive_lth.errors import InputError

CHANNELS = 3  # what torchvision's models read


@lru_cache(maxsize=8)  # the largest take seconds and a gigabyte
def torchvision_model(name: str, shape: Shape, classes: int) -> Architecture:
    """The structure of a model of torchvision's registry, on images of this shape.

    The model is built anew with `classes` logits. It reads three channels; where the data have
    another number its first layer is that of ours, for only the structure counts.

    Raises `InputError` where torchvision has no such classifier, data are no images, or the model
    is none of ours.
    """
    if len(shape) != 3:
        raise InputError(
            f"torchvision:{name} needs images (channels, height, width), got {shape}: use mlp"
        )
    try:
        from torchvision import models
    except (ImportError, RuntimeError) as error:
        raise InputError(
            f"torchvision:{name} needs torchvision, which does not import here ({error}): "
            "install the release that belongs to your torch"
        ) from None
    known = models.list_models(module=models)
    if name not in known:
        raise InputError(f"unknown torchvision model {name!r}: {nearest(name, known)}")
    with torch.random.fork_rng(devices=[]):  # its layers draw weights, which nobody reads
        module = models.get_model(name, weights=None, num_classes=classes)
    try:
        architecture, _ = from_module(module, torch.randn(
            2, CHANNELS, *shape[1:], generator=torch.Generator().manual_seed(0)
        ))  # fmt: skip
    except InputError as error:
        raise InputError(f"torchvision:{name} on images of {shape}: {error}") from None
    symbol = architecture.layers[architecture.input].width
    return architecture.edit(widths={symbol: shape[0]})
