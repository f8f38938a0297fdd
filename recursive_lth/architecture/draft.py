"""Architectures in the making: layers laid one after the other, each naming what it reads."""

from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.layer import Layer, Shape


class Draft:
    """Layers laid one after the other; every method returns the name to read from next."""

    def __init__(self, shape: Shape, classes: int) -> None:
        self.layers: dict[str, Layer] = {"input": Layer("input", width="input")}
        self.widths = {"input": shape[0], "classes": classes}
        self.spatial = shape[1:]

    def conv(
        self, name: str, source: str, symbol: str, units: int, *, kernel: int = 3, stride: int = 1,
        padding: int | None = None, bias: bool = True,
    ) -> str:  # fmt: skip
        """A convolution, padded by half its kernel unless said otherwise."""
        self.widths[symbol] = units
        around = kernel // 2 if padding is None else padding
        self.layers[name] = Layer("conv", (source,), symbol, kernel, stride, around, bias)
        return name

    def depthwise(
        self, name: str, source: str, *, kernel: int = 3, stride: int = 1, bias: bool = True
    ) -> str:
        """One kernel for each channel that comes in, padded by half of it."""
        layer = Layer("groupconv", (source,), "", kernel, stride, kernel // 2, bias)
        return self.plain(name, layer)

    def linear(self, name: str, source: str, symbol: str, units: int) -> str:
        self.widths[symbol] = units
        self.layers[name] = Layer("linear", (source,), symbol)
        return name

    def plain(self, name: str, layer: Layer) -> str:
        self.layers[name] = layer
        return name

    def relu(self, name: str, source: str) -> str:
        return self.plain(name, Layer("relu", (source,)))

    def norm(self, name: str, source: str) -> str:
        return self.plain(name, Layer("batchnorm", (source,)))

    def pool(self, name: str, source: str) -> str:
        return self.plain(name, Layer("maxpool", (source,), kernel=2, stride=2))

    def finish(self, source: str) -> Architecture:
        self.layers["output"] = Layer("linear", (source,), "classes")
        return Architecture(self.layers, self.widths, self.spatial)


def dense_tail(draft: Draft, source: str, hidden: tuple[int, ...]) -> Architecture:
    for i, units in enumerate(hidden, start=1):
        source = draft.linear(f"fc{i}", source, f"fc{i}", units)
        source = draft.relu(f"fc{i}_relu", source)
    return draft.finish(source)
