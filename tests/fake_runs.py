"""Runs' folders as `grow` would write them, with invented numbers: what the report reads."""

import hashlib
import json
from pathlib import Path
from typing import Any

from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.layer import WEIGHTED, Layer

Line = dict[str, Any]
CLAIM = "Growth <script>alert(1)</script> & pruning find smaller tickets."
EXPERIMENT = f"""
format = 1
name = "fake"
seed = 7
claim = '{CLAIM}'
[data]
name = "digits"
validation = 0.2
[network]
name = "mlp"
hidden = [64, 32]
[training]
epochs = 10.0
optimizer = "adamw"
learning_rate = 0.002
weight_decay = 0.01
label_smoothing = 0.05
[pruning]
score = "magnitude"
density = 0.2
[growth]
candidates = 8
operators = ["widen", "deepen", "residual"]
[growth.mask]
kind = "parent_density"
quarantine = 2
"""


def build_mlp(*sizes: int) -> Architecture:
    """An MLP over 8x8 images: hidden layers fc1, fc2, ... of these sizes, then 10 logits."""
    layers = {"image": Layer("input", width="pixels"), "flat": Layer("flatten", ("image",))}
    before = "flat"
    for number in range(1, len(sizes) + 1):
        layers[f"fc{number}"] = Layer("linear", (before,), width=f"h{number}")
        layers[f"relu{number}"] = Layer("relu", (f"fc{number}",))
        before = f"relu{number}"
    layers["logits"] = Layer("linear", (before,), width="classes")
    widths = {f"h{n}": size for n, size in enumerate(sizes, start=1)}
    return Architecture(layers, {"pixels": 1, "classes": 10, **widths}, (8, 8))


def build_resnet(blocks: int, *, size: int = 32, stages: int = 3, width: int = 16) -> Architecture:
    """A residual network: `blocks` blocks of two convolutions in each stage, as He et al. 2015."""
    layers = {"image": Layer("input", width="colours")}
    widths = {"colours": 3, "classes": 10}

    def add_convolution(name: str, source: str, symbol: str, kernel: int, stride: int) -> None:
        padding = kernel // 2
        layers[name] = Layer("conv", (source,), symbol, kernel, stride, padding, bias=False)
        layers[f"{name}_norm"] = Layer("batchnorm", (name,))

    add_convolution("stem", "image", "stage1", 3, 1)
    layers["stem_relu"] = Layer("relu", ("stem_norm",))
    before, widths["stage1"] = "stem_relu", width
    for stage in range(1, stages + 1):
        widths[f"stage{stage}"] = width * 2 ** (stage - 1)
        for block in range(1, blocks + 1):
            name = f"stage{stage}.block{block}"
            changes = stage > 1 and block == 1
            widths[f"{name}.inner"] = width * 2 ** (stage - 1)
            add_convolution(f"{name}.conv1", before, f"{name}.inner", 3, 1 + changes)
            layers[f"{name}.relu1"] = Layer("relu", (f"{name}.conv1_norm",))
            add_convolution(f"{name}.conv2", f"{name}.relu1", f"stage{stage}", 3, 1)
            if changes:
                add_convolution(f"{name}.shortcut", before, f"stage{stage}", 1, 2)
                before = f"{name}.shortcut_norm"
            layers[f"{name}.add"] = Layer("add", (f"{name}.conv2_norm", before))
            layers[f"{name}.relu2"] = Layer("relu", (f"{name}.add",))
            before = f"{name}.relu2"
    layers["pool"] = Layer("meanpool", (before,))
    layers["logits"] = Layer("linear", ("pool",), width="classes")
    return Architecture(layers, widths, (size, size))


def build_growth(operator: str, where: str, **changes: Any) -> Line:
    growth = {"operator": operator, "place": 0.5, "ratio": 1.3, "initialisation": "zero_out"}
    growth |= {"mask": "parent_density", "where": where, "new_layers": [], "new_units": {}}
    growth |= {"born_weights": 900, "left_weights": 0}
    return growth | changes


def build_line(
    generation: int,
    parent: Line | None,
    architecture: Architecture,
    growth: Line | None,
    density: float,
    accuracy: float,
    *,
    accepted: bool = True,
) -> Line:
    """One ticket of a lineage; every number that is not given follows from those that are."""
    prunable = [n for n in architecture.order if architecture.layers[n].operation in WEIGHTED]
    layers: dict[str, dict[str, int]] = {}
    for place, name in enumerate(prunable):
        weights = 1
        for size in architecture.shape(f"{name}.weight"):
            weights *= size
        kept = min(1.0, density * (0.7 + 0.9 * (place + 1) / len(prunable)))
        layers[name] = {"weights": weights, "remaining": round(weights * kept)}
    weights = sum(c["weights"] for c in layers.values())
    remaining = sum(c["remaining"] for c in layers.values())
    operator = growth["operator"] if growth else "none" if generation else "start"
    certificate = None
    if growth:
        exact = growth["initialisation"] != "random"
        certificate = {"operator": operator, "initialisation": growth["initialisation"]}
        certificate |= {"claims_exact": exact, "eval": 2.4e-6 if exact else 1.83, "samples": 256}
        certificate |= {"train": 3.1e-6 if exact else 2.02, "after_budget": 0.21}
        certificate |= {"loss_change": 0.0 if exact else -0.013, "new_gradient": 0.8}
        certificate |= {"next_step": 0.02, "reason": "" if exact else "random changes it"}
    return {
        "digest": hashlib.sha256(f"{generation} {operator} {accuracy}".encode()).hexdigest(),
        "parent": parent["digest"] if parent else "",
        "generation": generation,
        "operator": operator,
        "growth": growth,
        "depth": architecture.depth,
        "widths": dict(architecture.widths),
        "parameters": weights + 200,
        "remaining_parameters": remaining + 200,
        "weights": weights,
        "remaining_weights": remaining,
        "density": remaining / weights,
        "multiply_adds": weights * 40,
        "remaining_multiply_adds": remaining * 40,
        "val_accuracy": accuracy,
        "val_loss": 2 * (1 - accuracy),
        "val_calibrated_loss": 1.8 * (1 - accuracy),
        "temperature": 1.3,
        "test_accuracy": None,
        "accepted": accepted,
        "verdict": f"{'Within' if accepted else 'Below'} the tolerance of 0.50 points.",
        "training_cost": 4_100_000_000 * (generation + 1),
        "training_steps": 900 * (generation + 1),
        "seconds": 8.5 * (generation + 1),
        "certificate": certificate,
        "candidates": build_candidates(generation) if growth else [],
        "layers": layers,
        "architecture": architecture.to_dict(),
        "survivors": build_survivors(generation, parent, growth is not None, remaining),
    }


def build_survivors(
    generation: int, parent: Line | None, has_grown: bool, remaining: int
) -> dict[str, int]:
    """A third of a grown ticket's weights are its own; the rest is parted as the parent's were."""
    if parent is None:
        return {"0": remaining}
    own = remaining // 3 if has_grown else 0
    old, total = parent["survivors"], parent["remaining_weights"]
    found = {birth: number * (remaining - own) // total for birth, number in old.items()}
    found["0"] += remaining - own - sum(found.values())
    return found | ({str(generation): own} if own else {})


def build_candidates(generation: int) -> list[Line]:
    found: list[Line] = []
    for number in range(8):
        operator = ("deepen", "widen", "residual")[number % 3] if number else ""
        gain = 0.0 if number == 0 else 0.004 * ((number * 5 + generation * 3) % 7 - 3.2)
        status = "failed" if number == 5 else "stopped" if number == 6 else "judged"
        is_known = status != "failed"
        found.append(
            {
                "number": number,
                "growth": build_growth(operator, f"h{number}") if operator else None,
                "status": status,
                "loss": 0.3 - gain if is_known else None,
                "gain": gain if is_known else None,
                "accuracy": 0.95 if is_known else None,
                "epochs": 1.0,
                "training_cost": 10_000_000,
                "reason": "the loss is not finite" if not is_known else "",
            }
        )
    max((c for c in found if c["status"] == "judged"), key=lambda c: c["gain"])["status"] = "chosen"
    return found


def build_metrics(lines: list[Line]) -> list[Line]:
    points = []
    for line in lines:
        generation, goal = line["generation"], line["val_accuracy"]
        phases: list[tuple[str, int | None]] = [("train", None), ("prune", None)]
        if line["candidates"]:
            phases = [("judge", c["number"]) for c in line["candidates"] if c["gain"] is not None]
            phases += [("grow", None), ("prune", None)]
        for phase, candidate in phases:
            for step in range(20, 401 if candidate is None else 121, 20):
                gap = 0.6 * 0.5 ** (step / 50) if line["operator"] == "start" else 0.06 * 30 / step
                accuracy = goal - gap - 0.003 * ((candidate or 0) + (7 * step // 20) % 3)
                points.append(
                    {
                        "generation": generation,
                        "phase": phase,
                        "candidate": candidate,
                        "round": None if candidate is None else 0,
                        "epoch": step / 40,
                        "step": step,
                        "loss": 1.5 * (1 - accuracy),
                        "val_loss": 2 * (1 - accuracy),
                        "val_accuracy": accuracy,
                        "val_calibrated_loss": 1.8 * (1 - accuracy),
                    }
                )
    return points


def grow_mlp() -> list[Line]:
    """A lineage of eight tickets that widens, deepens, and is refused twice."""
    dense = build_line(0, None, build_mlp(64, 32), None, 1.0, 0.9612)
    first = build_line(1, dense, build_mlp(64, 32), None, 0.2, 0.9640)
    growth = build_growth("widen", "h2", new_units={"h2": 16})
    second = build_line(2, first, build_mlp(64, 48), growth, 0.17, 0.9703)
    growth = build_growth("deepen", "fc2", new_layers=["fc3"], new_units={"h3": 48})
    refused = build_line(3, second, build_mlp(64, 48, 48), growth, 0.13, 0.9601, accepted=False)
    growth = build_growth("deepen", "fc2", new_layers=["fc3"], new_units={"h3": 32},
                          initialisation="random")  # fmt: skip
    fourth = build_line(4, second, build_mlp(64, 48, 32), growth, 0.14, 0.9758)
    growth = build_growth("widen", "h1", new_units={"h1": 32})
    fifth = build_line(5, fourth, build_mlp(96, 48, 32), growth, 0.1, 0.9731, accepted=False)
    growth = build_growth("deepen", "fc3", new_layers=["fc4"], new_units={"h4": 32})
    sixth = build_line(6, fourth, build_mlp(64, 48, 32, 32), growth, 0.11, 0.9786)
    growth = build_growth("widen", "h3", new_units={"h3": 8})
    seventh = build_line(7, sixth, build_mlp(64, 48, 40, 32), growth, 0.08, 0.9781)
    return [dense, first, second, refused, fourth, fifth, sixth, seventh]


def grow_resnet() -> list[Line]:
    """A ResNet-20 without its last block that gets it back, then a wider inner convolution."""
    whole = build_resnet(3)
    last = "stage3.block3"
    layers = {n: layer for n, layer in whole.layers.items() if not n.startswith(last)}
    layers["pool"] = Layer("meanpool", ("stage3.block2.relu2",))
    widths = {s: n for s, n in whole.widths.items() if not s.startswith(last)}
    small = Architecture(layers, widths, whole.spatial)
    dense = build_line(0, None, small, None, 1.0, 0.9105)
    first = build_line(1, dense, small, None, 0.3, 0.9120)
    new = [n for n in whole.layers if n.startswith(last)]
    growth = build_growth("residual", "stage3.block2.relu2", new_layers=new)
    second = build_line(2, first, whole, growth, 0.25, 0.9177)
    wide = whole.edit(widths={"stage2.block1.inner": 48})
    growth = build_growth("widen", "stage2.block1.inner", new_units={"stage2.block1.inner": 16})
    return [dense, first, second, build_line(3, second, wide, growth, 0.2, 0.9201)]


def write_run(folder: Path, lines: list[Line], *, finished: bool = True) -> Path:
    """A run's folder with this lineage; the summary, if any, gives the tickets test accuracies."""
    folder.mkdir(parents=True)
    (folder / "experiment.toml").write_text(EXPERIMENT, "utf-8")
    (folder / "lineage.jsonl").write_text("".join(json.dumps(n) + "\n" for n in lines), "utf-8")
    points = "".join(json.dumps(point) + "\n" for point in build_metrics(lines))
    (folder / "metrics.jsonl").write_text(points, "utf-8")
    if finished:
        tickets = [n | {"test_accuracy": n["val_accuracy"] - 0.004} for n in lines]
        winning = [n for n in tickets if n["accepted"] and n["generation"] > 0]
        chosen = max(winning, key=lambda n: n["val_accuracy"])
        seconds = {"total": 127.4, "training": 101.0, "evaluation": 14.2, "data": 2.1}
        cost = {"training_multiply_adds": 48_300_000_000, "training_steps": 7200}
        summary = {
            "format": 1,
            "name": "fake",
            "digest": "0123456789ab" * 5 + "0123",
            "seed": 7,
            "claim": CLAIM,
            "stopped_because": "the last generation was reached",
            "tickets": tickets,
            "best": chosen["digest"],
            "front": [n["digest"] for n in lines if n["accepted"]][1:],
            "cost": cost | {"seconds": seconds},
            "versions": {"recursive_lth": "0.1.0", "python": "3.11.2", "torch": "2.8.0"},
            "machine": {"system": "Linux", "processor": "x86_64", "cores": 2, "device": "cpu"},
        }
        (folder / "summary.json").write_text(json.dumps(summary), "utf-8")
    return folder
