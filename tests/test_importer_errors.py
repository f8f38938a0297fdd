"""What cannot be imported is refused, naming where it stands, what it is, and what would help."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import prune
from torch.nn.utils.parametrizations import weight_norm

from recursive_lth import seeds
from recursive_lth.architecture.importer import from_module
from recursive_lth.errors import InputError

IMAGES = torch.randn(2, 4, 8, 8, generator=seeds.generator(0, "images"))


class Network(nn.Module):
    """Layers in front, any function of what they give, and a linear layer behind."""

    def __init__(self, function: Callable[..., Any], *layers: nn.Module, features: int = 4) -> None:
        super().__init__()
        self.front = nn.Sequential(*(layers or (nn.Conv2d(4, 4, 1),)))
        self.function = function
        self.head = nn.Linear(features, 3)

    def forward(self, x: Tensor) -> Any:
        return self.head(self.function(self.front(x)))


def mean(x: Tensor) -> Tensor:
    return x.mean((2, 3))


def pixel(x: Tensor) -> Tensor:
    return F.adaptive_avg_pool2d(x, 1)


def refused(module: nn.Module, words: str, batch: Tensor = IMAGES) -> None:
    with pytest.raises(InputError, match=words):
        from_module(module, batch)


LAYERS: list[tuple[nn.Module, str]] = [
    (nn.Conv2d(4, 4, (3, 1)), r"front.0: kernel_size must be the same number both ways"),
    (nn.Conv2d(4, 4, 3, stride=(1, 2)), "stride must be the same"),
    (nn.Conv2d(4, 4, 3, padding=(1, 0)), "padding must be the same"),
    (nn.Conv2d(4, 4, 3, dilation=2), "dilation must be 1"),
    (nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"), "padding_mode must be zeros"),
    (nn.BatchNorm2d(4, eps=1e-3), "front.0: eps must be 1e-05 as in our layers, got 0.001"),
    (nn.BatchNorm2d(4, momentum=0.01), "momentum must be 0.1"),
    (nn.BatchNorm2d(4, affine=False), "affine must be True"),
    (nn.BatchNorm2d(4, track_running_stats=False), "track_running_stats must be True"),
    (nn.LeakyReLU(0.2), "negative_slope must be 0.01"),
    (nn.GELU("tanh"), "approximate must be none"),
    (nn.MaxPool2d(3, ceil_mode=True), "ceil_mode must be False"),
    (nn.MaxPool2d(2, dilation=2), "dilation must be 1"),
    (nn.MaxPool2d((2, 1)), "kernel_size must be the same"),
    (nn.AvgPool2d(3, padding=1, count_include_pad=False), "count_include_pad must be True"),
    (nn.AvgPool2d(2, divisor_override=3), "divisor_override must be None"),
    (nn.AdaptiveAvgPool2d((2, 1)), "output_size must be the same"),
    (nn.AdaptiveAvgPool2d((None, 1)), "output_size must be the same"),
    (nn.LayerNorm(8), "front.0: LayerNorm is not among our layers: .* use BatchNorm"),
    (nn.GroupNorm(2, 4), "GroupNorm is not among our layers"),
    (nn.Softmax(1), "Softmax is not among our layers: the loss takes logits"),
    (nn.PReLU(), "use LeakyReLU"),
    (nn.ELU(), "use SiLU"),
    (nn.Conv2d(4, 4, 2, padding="same"), "needs an odd kernel"),
]


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize(("layer", "words"), LAYERS)
def test_layers(layer: nn.Module, words: str) -> None:
    refused(Network(mean, layer), words)


FUNCTIONS: list[tuple[Callable[[Tensor], Any], str]] = [
    (lambda x: mean(x * 2), r"in the outermost forward: mul\(\) is not among our operations"),
    (lambda x: mean(x + 1), r"add\(\) of the constant 1 is no layer: give a layer a bias"),
    (lambda x: mean(torch.add(x, x, alpha=2)), "alpha must be 1"),
    (lambda x: mean(x - x), r"sub\(\) is not among"),
    (lambda x: mean(torch.cat([x, x], 2)), "dim=1, got dim=2"),
    (lambda x: mean(torch.cat(x.chunk(2, 1), 1)), r"chunk\(\) gives several tensors"),
    (lambda x: mean(x[:, :, 0:1]), r"getitem\(\) is not among our operations: channels cannot"),
    (lambda x: mean(x.transpose(2, 3)), "cannot be parted, shuffled"),
    (lambda x: x.mean(3).mean(2), r"use dim=\(2, 3\)"),
    (lambda x: mean(x.view(x.size(0), 4, 4, 16)), "is no flattening of whole samples"),
    (lambda x: mean(F.layer_norm(x, (8, 8))), "widening changes its statistics"),
    (lambda x: mean(F.dropout(x)), "pass training=self.training"),
    (lambda x: mean(F.leaky_relu(x, 0.3)), "negative_slope must be 0.01"),
    (lambda x: mean(F.gelu(x, approximate="tanh")), "approximate must be none"),
    (lambda x: mean(F.max_pool2d(x, 2, ceil_mode=True)), "ceil_mode must be False"),
    (lambda x: mean(F.avg_pool2d(x, 3, 1, 1, False, False)), "count_include_pad must be True"),
    (lambda x: mean(x + x.mean((2, 3), keepdim=True)), "add of unlike shapes"),
    (lambda x: x.mean((2, 3), dtype=torch.float64), "dtype must be None"),
    (lambda x: mean(x) if x.sum() > 0 else mean(-x), "cannot be traced by torch.fx"),
    (lambda x: mean(sum(row for row in x)), "cannot be traced by torch.fx"),
    (lambda x: mean(torch.zeros(2, 4, 8, 8) + x), "is used outside a layer"),
    (lambda x: x[:, :, 0, 0], r"getitem\(\) .* behind a pool use .flatten\(1\)"),
    (lambda x: pixel(x)[0].flatten(), r"getitem\(\) is not among our operations"),
    (lambda x: pixel(x)[:1, :, 0, 0], r"getitem\(\) is not among our operations"),
    (lambda x: pixel(x)[:, -4:, 0, 0], r"getitem\(\) is not among our operations"),
    (lambda x: pixel(x)[:, [2, 1, 0, 3], 0, 0], r"getitem\(\) is not among our operations"),
    (lambda x: pixel(x)[:, :, 0, 0, None].squeeze(2), r"getitem\(\) is not among"),
    (lambda x: pixel(x).squeeze(0).flatten(1), r"squeeze\(\) of the samples' axis"),
    (lambda x: torch.squeeze(pixel(x), (-4, 3)).flatten(1), "samples' axis is no layer: to take"),
    (lambda x: F.avg_pool2d(x, (8, 8)).squeeze(3).transpose(1, 2).flatten(1), "cannot be parted"),
    (lambda x: F.avg_pool2d(x.mean((2, 3), True).squeeze(3), 1).flatten(1), r"use .flatten\(1\)"),
    (lambda x: mean(x.mul(2)), r"mul\(\) is not among our operations: gates"),
]


@pytest.mark.parametrize(("function", "words"), FUNCTIONS)
def test_functions(function: Callable[[Tensor], Any], words: str) -> None:
    refused(Network(function), words)


def test_depth_of_an_error_is_named() -> None:
    """The innermost submodule that cannot be traced is named, not only the outermost."""

    class Moody(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x if x.sum() > 0 else -x

    refused(Network(mean, nn.Conv2d(4, 4, 1), Moody()), "front.1 cannot be traced by torch.fx")


def test_layers_must_be_registered() -> None:
    hidden = nn.Conv2d(4, 4, 1)
    refused(Network(lambda x: mean(hidden(x))), "its forward calls a layer that is no part of it")


def test_layers_used_twice() -> None:
    same = nn.Conv2d(4, 4, 1)
    refused(Network(mean, same, nn.ReLU(), same), "front.0.weight|front.2.weight|are one parameter")

    class Twice(Network):
        def forward(self, x: Tensor) -> Any:
            return self.head(mean(self.front(self.front(x))))

    refused(Twice(mean), "front.0: is used twice: give each use a layer of its own")


def test_layers_that_give_several_tensors() -> None:
    network = Network(lambda pair: mean(pair[0]), nn.MaxPool2d(2, return_indices=True))
    refused(network, "front.0: return_indices must be False")


def test_tied_parameters() -> None:
    network = Network(mean, nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1))
    network.front[1].weight = network.front[0].weight
    refused(network, "front.1.weight and front.0.weight are one parameter")


def test_parameters_outside_layers() -> None:
    class Scaled(Network):
        def __init__(self) -> None:
            super().__init__(mean)
            self.shift = nn.Parameter(torch.zeros(4, 1, 1))

        def forward(self, x: Tensor) -> Any:
            return self.head(mean(self.front(x) + self.shift))

    refused(Scaled(), "shift is used outside a layer")


def test_layers_that_are_never_used() -> None:
    network = Network(mean)
    network.auxiliary = nn.Linear(3, 2)
    refused(network, "auxiliary.weight takes no part in the output: delete its layer")


def test_the_output_is_one_linear_layer() -> None:
    class Pair(Network):
        def forward(self, x: Tensor) -> Any:
            x = mean(self.front(x))
            return self.head(x), x

    refused(Pair(mean), "the module returns tuple, not one tensor of logits")
    words = "last layer must be nn.Linear, which makes the logits, got"
    refused(nn.Sequential(nn.Conv2d(4, 3, 8), nn.Flatten()), f"1: the {words} flatten")
    refused(nn.Sequential(Network(mean), nn.ReLU()), f"1: the {words} relu: leave away")
    refused(nn.Sequential(Network(mean), nn.LogSoftmax(1)), "LogSoftmax .*: the loss takes logits")


def test_forward_takes_one_tensor() -> None:
    class Two(Network):
        def forward(self, x: Tensor, y: Tensor | None = None) -> Any:
            return self.head(mean(self.front(x)))

    refused(Two(mean), "forward takes x, y: wrap it")


def test_training_computes_something_else() -> None:
    class Moody(Network):
        def forward(self, x: Tensor) -> Any:
            x = self.front(x)
            if self.training:
                x = F.relu(x)
            return self.head(mean(x))

    refused(Moody(mean), "in the outermost forward: computes other things in training")


def test_samples_are_counted_nowhere() -> None:
    """A forward that holds the number of samples of the example runs on no other."""
    refused(
        Network(lambda x: mean(x).view(2, -1)), r"does not run on a batch of shape \(3, 4, 8, 8"
    )


def test_what_tracing_does_not_see() -> None:
    """A hook acts on the module and not on its trace: the outputs differ, and that is an error.

    So does work in place on what is read elsewhere under another name: += is traced as +.
    """
    network = Network(mean)
    network.front[0].register_forward_hook(lambda module, inputs, out: out * 2)
    refused(network, "does not compute what the module does: outputs differ by")

    def aliased(x: Tensor) -> Tensor:
        y = x
        y += F.relu(x)
        return mean(x + y)

    refused(Network(aliased), "Operations in place")


def test_zeros_hide_nothing() -> None:
    """Behind a last scale of 0 a hook changes no output; with other weights it does."""
    norm = nn.BatchNorm2d(4)
    nn.init.zeros_(norm.weight)
    network = Network(mean, nn.Conv2d(4, 4, 1), norm)
    network.front[0].register_forward_hook(lambda module, inputs, out: out.abs())
    refused(network, "does not compute what the module does with other weights")


def test_parameters_that_are_computed() -> None:
    pruned = Network(mean)
    prune.l1_unstructured(pruned.front[0], "weight", amount=0.5)
    refused(pruned, "front.0: is pruned by torch.nn.utils.prune: call prune.remove")
    refused(Network(mean, weight_norm(nn.Conv2d(4, 4, 1))), "front.0: has a parametrization")
    lazy = nn.Sequential(nn.Flatten(), nn.LazyLinear(3))
    refused(lazy, "1.weight: has no shape yet: run the module once before")


def test_grouped_convolutions_that_cannot_share_a_stream() -> None:
    """Each group is a unit of its stream: so all that read it must have as many."""
    two = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1, groups=2), nn.Conv2d(4, 4, 1, groups=4)
    refused(Network(mean, *two), "front.1 in 2 groups, front.2 in 4 groups, front.0 as 4 channels")
    refused(Network(mean, nn.Conv2d(4, 4, 1, groups=2)), "input as 4 channels")

    class Joined(Network):
        def forward(self, x: Tensor) -> Any:
            y = self.front[0](x)
            return self.head(mean(self.front[1](torch.cat([x, y], 1))))

    layers = nn.Conv2d(4, 4, 1), nn.Conv2d(8, 4, 1, groups=2)
    refused(Joined(mean, *layers), "front.1: a grouped convolution reads streams that are joined")


def test_joined_streams_are_added_to_their_like_alone() -> None:
    class Joined(Network):
        def forward(self, x: Tensor) -> Any:
            both = torch.cat([self.front[0](x), self.front[1](x)], 1)
            return self.head(mean(both + self.front[2](x)))

    layers = nn.Conv2d(4, 1, 1), nn.Conv2d(4, 3, 1), nn.Conv2d(4, 4, 1)
    refused(Joined(mean, *layers), r"add: adds front.0 \(1\)\+front.1 \(3\) to front.2 \(4\)")


@pytest.mark.parametrize(
    ("batch", "words"),
    [
        (torch.zeros(2, 4, 8), "must be a batch"),
        (torch.zeros(2, 4, 8, 8, dtype=torch.int64), "of a float type, got torch.int64"),
        (torch.zeros(0, 4, 8, 8), "must have samples"),
        (torch.full((2, 4, 8, 8), torch.nan), "all of them finite"),
        (torch.zeros(2, 5, 8, 8), "does not run on a batch of shape"),
    ],
)
def test_examples(batch: Tensor, words: str) -> None:
    refused(Network(mean), words, batch)


def test_outputs_must_be_finite() -> None:
    network = Network(mean)
    nn.init.constant_(network.head.bias, torch.nan)
    refused(network, "outputs on example_input are not finite")
