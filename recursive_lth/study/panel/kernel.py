"""The empirical neural tangent kernel: how alike a network's samples are to its learning."""

import torch
from torch import Tensor
from torch.func import grad, vmap

from recursive_lth.architecture.network import Weights, network
from recursive_lth.study.panel.landscape import Landscape

ROWS = 2**26  # entries of the gradients of samples that are held at once


def tangent_kernel(around: Landscape, *, most: int = ROWS) -> Tensor:
    """The kernel (n, n) of the samples, float64 on the CPU: gradients of logits, multiplied.

    K[i, j] is the mean over logits f of <df(i)/dw, df(j)/dw> (Jacot et al. 2018, arXiv 1806.07572;
    the mean over logits as `neural_tangents` takes it, Novak et al. 2022, arXiv 2206.08720), w all
    that remains and learns. In evaluation mode, as a training batch has no gradient of a sample.

    Costs n * classes backward passes of one sample; where the gradients of all samples have more
    than `most` entries they are made in blocks, and each block again for every block before it.
    """
    count = len(around.samples)
    size = max(1, most // len(around.point))
    blocks = [slice(i, i + size) for i in range(0, count, size)]
    total = around.point.new_zeros(count, count, dtype=torch.float64)
    for logit in range(around.architecture.classes):
        for i, block in enumerate(blocks):
            rows = _slopes(around, logit, block)
            for other in blocks[: i + 1]:
                others = rows if other == block else _slopes(around, logit, other)
                products = [one @ two.T for one, two in zip(rows, others, strict=True)]
                total[block, other] += torch.stack(products).sum(0)
    return (total.tril() + total.tril(-1).T).cpu() / around.architecture.classes


def _slopes(around: Landscape, logit: int, block: slice) -> list[Tensor]:
    """For each tensor that learns the gradients of one logit, (samples, entries), float64."""
    run, tensors = network(around.architecture), around.tensors(around.point)
    live = {name: tensors[name] for name in around.architecture.trainable}
    masks = around.tensors(around.is_live)

    def value(weights: Weights, image: Tensor) -> Tensor:
        return run(around.fixed | weights, image[None])[0][0, logit]

    images = around.samples.images[block].to(around.point.dtype)
    found = vmap(grad(value), in_dims=(None, 0))(live, images)
    return [(found[name] * masks[name]).flatten(1).double() for name in live]


def kernel_trace(kernel: Tensor) -> float:
    """The trace over the number of samples: the mean squared norm of a logit's gradient.

    How fast logits move at first, per unit of learning rate and of error. Squared logits per
    squared unit of weight.
    """
    return float(kernel.trace()) / len(kernel)


def kernel_condition(kernel: Tensor) -> float:
    """The largest eigenvalue over the smallest, at least 1; infinite where that is rounding.

    The rate of learning in the slowest direction against the fastest (Xiao et al. 2020,
    arXiv 1912.13053): the lower, the easier to train. It grows with the number of samples: compare
    at one number.
    """
    values = torch.linalg.eigvalsh(kernel)
    least, most = float(values[0]), float(values[-1])
    rounding = len(kernel) * torch.finfo(torch.float32).eps ** 2 * most  # gradients are squared
    return most / least if least > rounding else float("inf")


def kernel_alignment(kernel: Tensor, labels: Tensor) -> float | None:
    """How much the kernel is that of the labels, in [-1, 1]; None where one of them is constant.

    The cosine of K and Y, both centred, Y[i, j] = 1 where two samples have one label (Cristianini
    et al. 2001; centred after Cortes et al. 2012, arXiv 1203.0550, as Baratin et al. 2021,
    arXiv 2008.00938, measure tangent kernels: they align with the labels while a network trains).
    """
    there = labels.to(kernel.device)
    ours, theirs = _centred(kernel), _centred((there[:, None] == there[None]).to(kernel.dtype))
    sizes = [float(m.norm()) for m in (ours, theirs)]
    if min(sizes) <= torch.finfo(torch.float32).eps * float(kernel.norm()):
        return None
    return float((ours * theirs).sum()) / (sizes[0] * sizes[1])


def _centred(kernel: Tensor) -> Tensor:
    """The kernel of features from which their mean is taken."""
    return kernel - kernel.mean(0) - kernel.mean(1, keepdim=True) + kernel.mean()
