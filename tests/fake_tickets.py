"""Lines of `prune` runs as the library writes them, with invented numbers."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Any

from recursive_lth.statistics import average

Line = dict[str, Any]
LENET = {"fc1": 235_200, "fc2": 30_000, "output": 1_000}
VGG = {f"conv{n}": 9 * a * b for n, (a, b) in enumerate(
    [(3, 16), (16, 32), (32, 64), (64, 64), (64, 64)], start=1)} | {"output": 640}  # fmt: skip
COLLAPSED = {"softmax": 2, "l1_norm": 2, "snip": 3, "random": 3, "magnitude": 3}  # from this level
ACCURACY = {"synflow": 0.93, "snip": 0.93, "grasp": 0.92, "taylor": 0.915, "lamp": 0.934,
            "magnitude": 0.931, "l1_norm": 0.93, "softmax": 0.92, "random": 0.9}  # fmt: skip


def noise(*of: object) -> float:
    """A number in [-1, 1) that is the same for the same arguments, on every machine."""
    digest = hashlib.sha256(repr(of).encode()).digest()
    return int.from_bytes(digest[:4], "big") / 2**31 - 1


def build_trained(
    replicate: int,
    level: int,
    variant: str,
    density: float,
    accuracy: float,
    *,
    arm: str = "ticket",
    sizes: Mapping[str, int] = LENET,
    empty: Sequence[str] = (),
    early: int = 2000,
) -> Line:
    """The line of one trained network; every number that is not given follows from those that are.

    Layers in `empty` have lost all their weights.
    """
    total = sum(sizes.values())
    raw = {name: 0.0 if name in empty else float(density ** (1 - 0.3 * number / len(sizes)))
           for number, name in enumerate(sizes)}  # fmt: skip
    scale = density * total / sum(sizes[name] * share for name, share in raw.items())
    layers = {
        name: {"weights": weights, "remaining": round(weights * min(1.0, scale * raw[name]))}
        for name, weights in sizes.items()
    }
    remaining = sum(cell["remaining"] for cell in layers.values())
    place = (replicate, arm, level, variant)
    return {
        "replicate": replicate,
        "seed": 7 + replicate,
        "arm": arm,
        "level": level,
        "variant": variant,
        "density": remaining / total,
        "remaining_weights": remaining,
        "weights": total,
        "depth": len(sizes),
        "multiply_adds": total,
        "remaining_multiply_adds": remaining,
        "layers": layers,
        "is_collapsed": bool(empty),
        "steps": 7328,
        "early_stop_step": 100 * round((early + 250 * noise("early", *place)) / 100),
        "val_accuracy": accuracy + 0.002 + 0.001 * noise("val", *place),
        "val_loss": 2 * (1 - accuracy),
        "val_calibrated_loss": 1.8 * (1 - accuracy),
        "test_accuracy": accuracy,
        "early_stop_test_accuracy": accuracy - 0.001,
        "test_samples": 10_000,
        "training_multiply_adds": 3 * remaining * 60 * 7328,
        "finding_multiply_adds": 3 * total * 60 * 7328 * (1 + level),
        "drawn_at": 7328,
        "curve": [{"step": 100, "val_loss": 0.3, "val_accuracy": 0.9}],
        "weight_samples": None,
        "is_diverged": False,
        "digest": hashlib.sha256(repr(place).encode()).hexdigest() if variant == "ticket" else "",
        "parent": "",
        "seconds": 12.5,
    }


def lose(density: float, *, at: float, steep: float) -> float:
    """The accuracy lost at a density: slight above `at`, half of all there, all below."""
    return 0.88 / (1 + math.pow(density / at, steep))


def run_with_controls(levels: int = 16, replicates: int = 3) -> list[Line]:
    """LeNet on MNIST: the ticket is at its best at 13 %, its controls decay from the start."""
    lines = []
    for replicate in range(replicates):
        for level in range(levels):
            density = 0.8**level
            better = 0.0035 * math.exp(-((math.log(density / 0.13) / 1.1) ** 2))
            for variant, gain, at, early in (
                ("ticket", better, 0.0018, 2300 - 90 * level if level < 11 else 500 + 90 * level),
                ("reinit", -0.0006 * level, 0.0035, 2300 + 260 * level),
                ("shuffled_mask", -0.0008 * level, 0.0060, 2300 + 310 * level),
            ):
                if level or variant == "ticket":
                    lost = lose(density, at=at, steep=1.75)
                    shift = 0.0006 * noise(replicate) + 0.0008 * noise(replicate, level, variant)
                    accuracy = round(0.9795 + gain - lost + shift, 4)
                    lines.append(build_trained(replicate, level, variant, density, accuracy,
                                               early=early))  # fmt: skip
    return lines


def run_with_arms() -> list[Line]:
    """Nine scores at three compressions of a VGG; most take a whole layer at some of them."""
    lines = []
    for replicate in range(3):
        for arm, known in ACCURACY.items():
            for level in range(4):
                is_empty = level >= COLLAPSED.get(arm, 9)
                alive = 0.934 - (0.934 - known) * level - 0.04 * max(0, level - 1) ** 1.5
                reached = 0.1 if is_empty else alive + 0.004 * noise(replicate, arm, level)
                empty = ["conv4"] if is_empty else []
                accuracy = round(0.934 if level == 0 else reached, 4)
                lines.append(build_trained(replicate, level, "ticket", 10.0**-level, accuracy,
                                           arm=arm, sizes=VGG, empty=empty))  # fmt: skip
    return lines


def critical_compressions() -> list[Line]:
    """Of each arm of `run_with_arms`, and replicate."""
    most = sum(VGG.values()) / len(VGG)
    found = []
    for arm in ACCURACY:
        for replicate in range(3):
            reach = most if arm in {"synflow", "lamp"} else 60 * 2 ** (3 * noise(arm, replicate))
            remaining = round(sum(VGG.values()) / reach)
            found.append({"arm": arm, "replicate": replicate, "remaining": remaining,
                          "density": 1 / reach, "compression": reach,
                          "maximal_compression": most})  # fmt: skip
    return found


def run_with_overlap() -> list[Line]:
    """Four importances on one network, six levels each."""
    return [
        build_trained(replicate, level, "ticket", 0.5**level,
                      0.71 - 0.01 * level - 0.004 * place + 0.004 * noise(replicate, arm, level),
                      arm=arm, sizes=VGG)
        for replicate in range(3)
        for place, arm in enumerate(("magnitude", "l1_norm", "l2_norm", "min_max"))
        for level in range(6)
    ]  # fmt: skip


def overlaps() -> list[Line]:
    """Of the arms of `run_with_overlap`: every two, and all four."""
    arms = ("magnitude", "l1_norm", "l2_norm", "min_max")
    groups = [[a, b] for i, a in enumerate(arms) for b in arms[i + 1 :]] + [list(arms)]

    def cell(level: int, place: int, group: Sequence[str]) -> Line:
        density, power = 0.5**level, 1 / len(group)
        base = max(0.02, density**power - 0.1 * place)
        values = [base + 0.01 * noise(level, place, *group, n) for n in range(3)]
        chance = density ** len(group) / (1 - (1 - density) ** len(group))
        return {"jaccard": average(values), "expected": average([chance] * 3)}

    return [
        {"level": level, "density": 0.5**level, "arms": group,
         "layers": {name: cell(level, place, group) for place, name in enumerate(VGG)},
         "total": cell(level, 3, group)}
        for level in range(1, 6)
        for group in groups
    ]  # fmt: skip


def run_with_transfer() -> list[Line]:
    """Two arms whose tickets are trained elsewhere too, beside controls; masks on fresh weights."""
    lines = []
    for replicate in range(3):
        for arm in ("other_digits", "sgd"):
            for level in range(5):
                some = ("ticket", "reinit", "transfer", "transfer_reinit") if level else ("ticket",)
                for place, variant in enumerate(some):
                    shift = 0.001 * noise(replicate, arm, level, variant)
                    accuracy = 0.985 - 0.002 * level - 0.003 * (place % 2) * level + shift
                    line = build_trained(replicate, level, variant, 0.5**level, accuracy, arm=arm)
                    samples = {"mean": 0.2 + 0.02 * level + shift, "sd": 0.03, "n": 5}
                    lines.append(line | {"weight_samples": samples if not place else None})
    return lines


def pictures(lines: Sequence[Line], *, size: int = 28) -> list[Line]:
    """What the first layer of each arm's first ticket keeps at each level: a blob, or a kernel."""
    found = []
    for line in lines:
        if line["variant"] == "ticket" and line["replicate"] == 0:
            share = line["density"]
            counts = [
                [_kept(share, y, x, size, line["arm"]) for x in range(size)] for y in range(size)
            ]
            found.append({"arm": line["arm"], "level": line["level"], "replicate": 0,
                          "layer": next(iter(line["layers"])), "height": size, "width": size,
                          "counts": counts, "outgoing": 300})  # fmt: skip
    return found


def _kept(share: float, y: int, x: int, size: int, arm: str) -> int:
    middle = (size - 1) / 2
    far = math.hypot(y - middle, x - middle) / size
    likely = share ** (1 + 3 * far * far) if share < 1 else 1.0
    return min(300, max(0, round(300 * likely * (1 + 0.2 * noise(y, x, arm) * (share < 1)))))
