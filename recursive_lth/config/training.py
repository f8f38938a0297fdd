"""What every run has: its data, the network it starts from, and how weights are trained."""

import math
from dataclasses import dataclass

from recursive_lth.config.checks import one_of, pick, within
from recursive_lth.errors import InputError

LABELS = ("true", "permuted", "random", "rotation")
PIXELS = ("true", "permuted", "blurred")


@dataclass(frozen=True)
class Data:
    """Which data: a known name, an .npz file; how much of the training part validates.

    What can be changed about them: `label_noise` is the share of training labels replaced by labels
    drawn at random; `labels` are `true`, `permuted` (each class goes by another's number),
    `random`, or `rotation` (by how many quarter turns an image was turned); `pixels` are `true`,
    `permuted` (alike in all images) or `blurred`. Draws depend on the seed and on `draw`. `resize`
    brings images to so many pixels a side; 0 leaves them.
    """

    name: str = "digits"
    validation_fraction: float = 0.1
    train_limit: int = 0  # use only so many training samples; 0 = all
    test_limit: int = 0
    classes: tuple[int, ...] = ()  # these classes alone, renumbered in this order; () = all
    label_noise: float = 0.0
    labels: str = "true"
    pixels: str = "true"
    draw: int = 0
    resize: int = 0

    def __post_init__(self) -> None:
        within("data.validation_fraction", self.validation_fraction, 0, 0.9, open_low=True)
        within("data.train_limit", self.train_limit, 0, math.inf)
        within("data.test_limit", self.test_limit, 0, math.inf)
        if len(set(self.classes)) != len(self.classes) or len(self.classes) == 1:
            raise InputError(f"data.classes needs two or more unlike, got {list(self.classes)}")
        within("data.label_noise", self.label_noise, 0, 1)
        one_of("data.labels", self.labels, LABELS)
        one_of("data.pixels", self.pixels, PIXELS)
        within("data.draw", self.draw, 0, math.inf)
        within("data.resize", self.resize, 0, 4096)
        if self.label_noise and self.labels != "true":
            raise InputError("data.label_noise spoils true labels: set data.labels=true")
        if self.draw and not self.is_drawn:
            raise InputError(
                f"data.draw={self.draw} numbers a draw, but nothing here is drawn: leave it out, "
                "or set data.labels, data.label_noise or data.pixels=permuted"
            )

    @property
    def is_drawn(self) -> bool:
        """True iff labels or pixels are changed by a draw."""
        return self.labels != "true" or self.pixels == "permuted" or self.label_noise > 0


@dataclass(frozen=True)
class Start:
    """The network that generation 0 trains; empty `hidden` means the architecture's own widths.

    `architecture` is one of the zoo, `torchvision:MODEL` or the file of a saved ticket. A ticket
    brings its own weights and masks; `weights="fresh"` takes its structure alone.
    """

    architecture: str = "mlp"
    hidden: tuple[int, ...] = ()
    initialisation: str = "kaiming_normal"
    weights: str = "own"

    def __post_init__(self) -> None:
        for units in self.hidden:
            within("start.hidden", units, 1, math.inf)
        if self.weights not in {"own", "fresh"}:
            raise InputError(f"start.weights must be own or fresh, got {self.weights!r}")


@dataclass(frozen=True)
class Training:
    """How weights are trained, wherever they are; `epochs` are those of generation 0."""

    epochs: float = 10.0
    optimizer: str = "adamw"
    learning_rate: float = 1e-3
    momentum: float = 0.9  # sgd only
    weight_decay: float = 0.0
    batch_size: int = 64
    schedule: str = "cosine"
    warmup: float = 0.0  # share of the steps with a linearly rising learning rate
    label_smoothing: float = 0.0
    dropout: float = 0.0
    clip_norm: float = 0.0  # largest gradient norm; 0 = no clipping
    shift: int = 0  # random shifts of up to so many pixels each way
    crop: int = 0  # random crops out of a reflecting rim of so many pixels
    flip: bool = False  # random left-right flips
    shrink: float = 1.0  # weights times this before a ticket grows (Ash & Adams 2020)
    perturb: float = 0.0  # fresh initial weights times this are added there
    threads: int = 1  # pinned, since the number of threads changes the last bits
    engine: str = "auto"  # dense, sparse (remaining weights alone), or what is faster
    precision: str = "float32"  # or bfloat16: of what layers compute; weights stay float32

    def __post_init__(self) -> None:
        within("training.epochs", self.epochs, 0, math.inf, open_low=True)
        within("training.learning_rate", self.learning_rate, 0, math.inf, open_low=True)
        within("training.momentum", self.momentum, 0, 0.9999)
        within("training.weight_decay", self.weight_decay, 0, math.inf)
        within("training.batch_size", self.batch_size, 1, math.inf)
        within("training.warmup", self.warmup, 0, 1)
        within("training.label_smoothing", self.label_smoothing, 0, 0.99)
        within("training.dropout", self.dropout, 0, 0.99)
        within("training.clip_norm", self.clip_norm, 0, math.inf)
        within("training.shift", self.shift, 0, 64)
        within("training.crop", self.crop, 0, 64)
        within("training.shrink", self.shrink, 0, 1, open_low=True)
        within("training.perturb", self.perturb, 0, math.inf)
        within("training.threads", self.threads, 1, 1024)
        pick(dict.fromkeys(("auto", "dense", "sparse")), self.engine, "training.engine")
        pick(dict.fromkeys(("float32", "bfloat16")), self.precision, "training.precision")
        if self.shift and self.crop:
            raise InputError("training.shift and training.crop exclude each other: set one to 0")

    @property
    def is_plain(self) -> bool:
        """True iff layers compute in full precision, and all that they are given."""
        return self.precision == "float32" and not self.dropout
