"""The pure forward: torch's own module is its twin, and every transform of torch.func applies."""

import copy
import weakref

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import SEEDS, architectures, normal_weights, random_batch
from torch import Tensor, nn

from recursive_lth.architecture.graph import STATISTICS, Architecture
from recursive_lth.architecture.layer import Layer
from recursive_lth.architecture.module import module
from recursive_lth.architecture.network import Weights, network
from recursive_lth.architecture.zoo import ARCHITECTURES
from recursive_lth.errors import InputError

NORMED = architectures(has_norms=True)
SAMPLES = 5


def assert_close(found: Weights, expected: Weights) -> None:
    """The same names, and values to float64's accuracy; the order of sums may differ."""
    assert found.keys() == expected.keys()
    for name, tensor in found.items():
        torch.testing.assert_close(tensor, expected[name], rtol=1e-8, atol=1e-10, msg=name)


def squares(architecture: Architecture, weights: Weights, batch: Tensor) -> Tensor:
    """A loss that depends on every logit of a training forward."""
    return network(architecture)(weights, batch, training=True)[0].square().mean()


@given(architectures(), SEEDS)
def test_forward_is_that_of_the_module(architecture: Architecture, seed: int) -> None:
    """Twin: torch's own layers, evaluating; there are no statistics to hand back then."""
    weights, batch = normal_weights(architecture, seed), random_batch(architecture, SAMPLES, seed)
    logits, statistics = network(architecture)(weights, batch)
    assert statistics == {}
    assert_close({"y": logits}, {"y": module(architecture, weights).eval()(batch)})


@given(NORMED, SEEDS)
def test_training_forward_is_that_of_the_module(architecture: Architecture, seed: int) -> None:
    """Twin: torch's own layers, training; what they store is what the pure forward hands back."""
    weights, batch = normal_weights(architecture, seed), random_batch(architecture, SAMPLES, seed)
    twin = module(architecture, weights).train()
    logits, statistics = network(architecture)(weights, batch, training=True)
    assert_close({"y": logits}, {"y": twin(batch)})
    stored = {n: t for n, t in twin.state_dict().items() if n.endswith(STATISTICS)}
    assert stored
    assert_close(statistics, stored)


@given(NORMED, SEEDS, st.booleans())
def test_forward_changes_nothing(architecture: Architecture, seed: int, training: bool) -> None:
    """Weights, batch and torch's global generator are after the call what they were before."""
    weights, batch = normal_weights(architecture, seed), random_batch(architecture, SAMPLES, seed)
    kept, image, state = copy.deepcopy(weights), batch.clone(), torch.random.get_rng_state()
    first, statistics = network(architecture)(weights, batch, training=training)
    for tensor in (first, *statistics.values()):
        assert all(tensor.data_ptr() != w.data_ptr() for w in weights.values())
        tensor.detach().fill_(float("nan"))
    again, _ = network(architecture)(weights, batch, training=training)
    assert weights.keys() == kept.keys()
    assert all(torch.equal(weights[n], kept[n]) for n in kept)
    assert torch.equal(batch, image)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert bool(again.isfinite().all())


@given(NORMED, SEEDS)
def test_gradient_is_that_of_the_module(architecture: Architecture, seed: int) -> None:
    """torch.func.grad of the training forward is autograd's gradient through torch's layers."""
    weights, batch = normal_weights(architecture, seed), random_batch(architecture, SAMPLES, seed)
    found = torch.func.grad(lambda w: squares(architecture, w, batch))(weights)
    twin = module(architecture, weights).train()
    twin(batch).square().mean().backward()
    expected = {n: p.grad for n, p in twin.named_parameters() if p.grad is not None}
    assert set(expected) == set(architecture.trainable)
    assert_close({n: found[n] for n in architecture.trainable}, expected)
    for name in set(weights) - set(expected):
        assert not bool(found[name].any())  # running statistics have no part in a training loss


@given(NORMED, SEEDS)
@settings(max_examples=15)
def test_vmap_is_a_loop_over_tickets(architecture: Architecture, seed: int) -> None:
    """Stacked weights of three tickets give stacked logits, statistics and gradients."""
    batch = random_batch(architecture, SAMPLES, seed)
    tickets = [normal_weights(architecture, seed + i) for i in range(3)]
    stacked = {n: torch.stack([t[n] for t in tickets]) for n in architecture.tensors}
    forward = network(architecture)
    for training in (False, True):
        logits, statistics = torch.func.vmap(
            lambda w, mode=training: forward(w, batch, training=mode)
        )(stacked)
        assert bool(statistics) == training
        for i, ticket in enumerate(tickets):
            expected, own = forward(ticket, batch, training=training)
            assert_close({"y": logits[i]}, {"y": expected})
            assert_close({n: t[i] for n, t in statistics.items()}, own)
    gradient = torch.func.grad(lambda w: squares(architecture, w, batch))
    together = torch.func.vmap(gradient)(stacked)
    for i, ticket in enumerate(tickets):
        assert_close({n: t[i] for n, t in together.items()}, gradient(ticket))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mlp", "convnet", "resnet-20"])
@pytest.mark.filterwarnings("default")  # the compiler's own
def test_compiled_is_eager(name: str) -> None:
    """torch.compile takes the forward as one graph, training included, and gives its values."""
    architecture = ARCHITECTURES[name]((2, 8, 8), 3, (4, 5, 6))
    weights, batch = normal_weights(architecture, 0), random_batch(architecture, SAMPLES, 0)
    forward = network(architecture)
    compiled = torch.compile(forward, fullgraph=True)
    for training in (False, True):
        logits, statistics = compiled(weights, batch, training=training)
        expected, own = forward(weights, batch, training=training)
        assert_close({"y": logits}, {"y": expected})
        assert_close(statistics, own)


def reads_the_input(architecture: Architecture, name: str) -> bool:
    """True iff layer `name` reads the network's input, as it is or flattened."""
    source = architecture.layers[name].inputs[0]
    while architecture.layers[source].operation == "flatten":
        source = architecture.layers[source].inputs[0]
    return source == architecture.input


def assert_drops_hidden_inputs(architecture: Architecture, seed: int) -> None:
    """Twin: torch's module with a hook before each linear layer but those that read the input."""
    weights, batch = normal_weights(architecture, seed), random_batch(architecture, SAMPLES, seed)
    linear = [n for n, layer in architecture.layers.items() if layer.operation == "linear"]
    hidden = {n for n in linear if not reads_the_input(architecture, n)}
    twin, calls = module(architecture, weights).eval(), []

    def drop(tensor: Tensor) -> Tensor:
        calls.append(tensor.shape[1])
        return 2 * tensor + 1

    def before(_: nn.Module, inputs: tuple[Tensor]) -> Tensor:
        return 2 * inputs[0] + 1

    for name in hidden:
        twin.get_submodule(name).register_forward_pre_hook(before)
    logits, _ = network(architecture)(weights, batch, drop=drop)
    assert_close({"y": logits}, {"y": twin(batch)})
    assert calls == [
        architecture.shapes[architecture.layers[n].inputs[0]][0]
        for n in architecture.order
        if n in hidden
    ]


@given(architectures(), SEEDS)
def test_drop_is_for_what_hidden_linear_layers_read(architecture: Architecture, seed: int) -> None:
    """Dropout on the network's own input, or before a convolution, would be another recipe."""
    assert_drops_hidden_inputs(architecture, seed)


@pytest.mark.parametrize("is_hidden", [True, False])
def test_drop_sees_through_flattens(is_hidden: bool) -> None:
    """However often it is flattened, the input stays the input and a feature map hidden."""
    layers = {
        "in": Layer("input", width="in"),
        "conv": Layer("conv", ("in",), "conv" if is_hidden else "in"),
        "flat": Layer("flatten", ("conv" if is_hidden else "in",)),
        "again": Layer("flatten", ("flat",)),
        "out": Layer("linear", ("again",), "out"),
    }
    if not is_hidden:
        del layers["conv"]
    widths = {"in": 2, "conv": 3, "out": 2} if is_hidden else {"in": 2, "out": 2}
    assert_drops_hidden_inputs(Architecture(layers, widths, (2, 2)), 0)


def test_forward_lets_go_of_what_no_layer_reads_again() -> None:
    """Evaluation needs the activations on their way only: else a deep net fills the memory."""
    architecture = ARCHITECTURES["mlp"]((3,), 2, (4,) * 6)
    seen: list[weakref.ref[Tensor]] = []
    alive = []

    def drop(tensor: Tensor) -> Tensor:
        seen.append(weakref.ref(tensor))
        alive.append(sum(reference() is not None for reference in seen))
        return tensor

    with torch.no_grad():
        network(architecture)(normal_weights(architecture, 0), torch.ones(2, 3).double(), drop=drop)
    assert len(alive) == 6
    assert max(alive) == 1


def test_one_value_a_channel_cannot_train() -> None:
    """The variance of one value is no estimate (its unbiased form is 0/0): the layer is named."""
    architecture = ARCHITECTURES["convnet"]((1, 2, 2), 2, (3, 3))
    weights = normal_weights(architecture, 0)
    batch = random_batch(architecture, 1, 0)
    with pytest.raises(InputError, match="conv2_norm: BatchNorm needs at least 2 values"):
        network(architecture)(weights, batch, training=True)
    assert network(architecture)(weights, batch)[0].shape == (1, 2)


def test_a_missing_tensor_is_told() -> None:
    """A bias that is not there would silently be none."""
    architecture = ARCHITECTURES["mlp"]((3,), 2, (4,))
    weights, batch = normal_weights(architecture, 0), random_batch(architecture, 1, 0)
    for name in weights:
        lacking = {n: t for n, t in weights.items() if n != name}
        with pytest.raises(KeyError, match=name):
            network(architecture)(lacking, batch)


def test_equal_architectures_share_one_forward() -> None:
    """Otherwise torch.compile would compile the same structure again for every ticket."""
    build = ARCHITECTURES["mlp"]
    assert network(build((3,), 2, (4,))) is network(build((3,), 2, (4,)))
    assert network(build((3,), 2, (4,))) is not network(build((3,), 2, (5,)))


@given(architectures(), SEEDS, st.sampled_from([torch.float32, torch.float64]))
def test_module_holds_a_copy_to_the_bit(
    architecture: Architecture, seed: int, dtype: torch.dtype
) -> None:
    """Names, type and values are the weights', the storage is not, and nothing is drawn."""
    weights = {n: t.to(dtype) for n, t in normal_weights(architecture, seed).items()}
    kept, state = copy.deepcopy(weights), torch.random.get_rng_state()
    built = module(architecture, weights)
    assert torch.equal(torch.random.get_rng_state(), state)
    found = {n: t for n, t in built.state_dict().items() if not n.endswith("num_batches_tracked")}
    assert set(found) == set(weights)
    assert {n for n, _ in built.named_parameters()} == set(architecture.trainable)
    for name, tensor in found.items():
        assert tensor.dtype == dtype
        assert torch.equal(tensor, weights[name])
        tensor.fill_(9.0)
        assert torch.equal(weights[name], kept[name])


def test_module_is_an_ordinary_one() -> None:
    """It can be copied (as averaging weights does), and its layers are torch's own."""
    architecture = ARCHITECTURES["resnet-20"]((1, 4, 4), 2, (2, 2, 2))
    built = module(architecture, normal_weights(architecture, 0)).eval()
    batch = random_batch(architecture, 2, 0)
    assert torch.equal(copy.deepcopy(built)(batch), built(batch))
    assert isinstance(built.get_submodule("stem"), nn.Conv2d)
    assert isinstance(built.get_submodule("stem_norm"), nn.BatchNorm2d)


@pytest.mark.parametrize("flaw", ["missing", "unexpected", "shape"])
def test_module_refuses_weights_that_do_not_fit(flaw: str) -> None:
    """The tensor at fault is named."""
    architecture = ARCHITECTURES["mlp"]((3,), 2, (4,))
    weights = normal_weights(architecture, 0)
    bias = weights.pop("fc1.bias")
    if flaw == "unexpected":
        weights |= {"fc1.bias": bias, "fc1.bias_of_another": bias}
    if flaw == "shape":
        weights |= {"fc1.bias": bias[:3]}
    with pytest.raises(InputError, match=r"fc1\.bias"):
        module(architecture, weights)


@pytest.mark.parametrize(
    "name", ["forward", "training", "architecture", "block.type", "type.block"]
)
def test_module_names_a_layer_that_torch_cannot_hold(name: str) -> None:
    """A layer called like an attribute of nn.Module would hide it."""
    layers = {
        "in": Layer("input", width="in"),
        name: Layer("linear", ("in",), "h"),
        "out": Layer("linear", (name,), "out"),
    }
    architecture = Architecture(layers, {"in": 1, "h": 1, "out": 2})
    with pytest.raises(InputError, match=name):
        module(architecture, normal_weights(architecture, 0))
