"""Exact selection and transplant at 100 million weights, in time and in memory.

    python experiments/benchmarks/scale.py

Claim: selecting exactly 1 % of 100 million weights is at least 3 times faster than
`torch.nn.utils.prune.global_unstructured` at no more than half its peak memory, and transplanting
100 million weights through a widening of every hidden layer takes at most 3 times a plain copy.

- *selection*: ten matrices of normal weights. Ours is the whole cut of `prune`: |w|, exactly so
  many of the lowest, weights under the new masks. Theirs is `L1Unstructured` on linear layers that
  hold the same tensors. Once the 1 % of largest size remains, once the 1 % of least size goes.
- *transplant*: a multilayer perceptron whose hidden layers all become 10 % wider (the new units
  behind the old), against `clone` of the weights before; and for comparison 10 % narrower, the
  units that go lying anywhere.

Times are of one process taking turns, medians with all turns; peak memory is that of a fresh
process for each case (`ru_maxrss`), less what it had before it began, in bytes for each weight.
Writes `scale.json` beside itself. Needs 7 GB of memory and some 10 minutes.
"""

import argparse
import json
import math
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter

import torch
from engines import machine
from torch import Tensor, nn
from torch.nn.utils import prune

from recursive_lth import seeds
from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.zoo import ARCHITECTURES
from recursive_lth.ticket.masks import Masks, apply, drop_lowest, remaining
from recursive_lth.ticket.morph import NEW, Ancestry, Morph, morph
from recursive_lth.ticket.transplant import transplant
from recursive_lth.training.device import pinned

LAYERS = 10
KEPT = {"1 % remains": 0.01, "1 % goes": 0.99}
Case = Callable[[], object]


def matrices(weights: int) -> dict[str, Tensor]:
    """Ten square matrices of about so many normal weights in all."""
    side = math.isqrt(weights // LAYERS)
    draw = seeds.generator(0, "weights")
    return {f"fc{i}": torch.randn(side, side, generator=draw) for i in range(LAYERS)}


def ours(weights: dict[str, Tensor], masks: Masks, count: int) -> tuple[Masks, object]:
    """Masks with `count` fewer, and the weights under them."""
    kept = drop_lowest(masks, {name: w.abs() for name, w in weights.items()}, count)
    return kept, apply(weights, kept)


def theirs(weights: dict[str, Tensor], count: int) -> list[nn.Linear]:
    """Linear layers of these very tensors, pruned globally."""
    layers = []
    for weight in weights.values():
        layer = nn.Linear(*weight.shape, bias=False, device="meta")
        layer.weight = nn.Parameter(weight)
        layers.append(layer)
    chosen = [(layer, "weight") for layer in layers]
    prune.global_unstructured(chosen, pruning_method=prune.L1Unstructured, amount=count)
    return layers


def check_same(weights: dict[str, Tensor], masks: Masks, count: int) -> None:
    """Both remove `count`, and differ only among weights of the size where the order is cut."""
    kept, _ = ours(weights, masks, count)
    other = [layer.weight_mask.bool() for layer in theirs(weights, count)]
    left = sum(mask.numel() for mask in masks.values()) - count
    if remaining(kept) != left or sum(int(mask.sum()) for mask in other) != left:
        raise SystemExit(f"not exactly {left} weights remain")
    sizes = [weights[n][kept[n] != mask].abs() for n, mask in zip(kept, other, strict=True)]
    if len(torch.cat(sizes).unique()) > 1:
        raise SystemExit("the two choose weights of unlike size")


def perceptron(weights: int) -> Architecture:
    """784-n-n-n-n-n-10 with about so many weights."""
    width = round((math.sqrt(794**2 + 16 * weights) - 794) / 8)
    return ARCHITECTURES["mlp"]((784,), 10, (width,) * 5)


def resized(before: Architecture, way: str) -> Morph:
    """Every hidden layer 10 % wider, or narrower by units that lie anywhere."""
    draw = seeds.generator(0, "units")
    origin = {}
    for symbol in before.free_symbols:
        n = before.widths[symbol]
        kept = torch.randperm(n, generator=draw)[: n - n // 10].sort().values.tolist()
        units = [*range(n), *[NEW] * (n // 10)] if way == "wider" else kept
        origin[symbol] = Ancestry(symbol, tuple(units))
    after = before.edit(widths={symbol: len(o.units) for symbol, o in origin.items()})
    return morph(before, after, origin)


def filled(architecture: Architecture, value: float) -> dict[str, Tensor]:
    """Tensors of one value, written, so that their memory is really there."""
    return {n: torch.full(architecture.shape(n), value) for n in architecture.tensors}


def selections(weights: int, kept: float) -> tuple[int, dict[str, Case]]:
    """Number of weights, and the two ways to select."""
    tensors = matrices(weights)
    masks = {n: torch.ones(t.shape, dtype=torch.bool) for n, t in tensors.items()}
    total = remaining(masks)
    count = total - round(kept * total)
    cases = {
        "ours": lambda: ours(tensors, masks, count),
        "torch": lambda: theirs(tensors, count),
        "check": lambda: check_same(tensors, masks, count),
    }
    return total, cases


def transplants(weights: int, way: str) -> tuple[int, dict[str, Case]]:
    """Number of weights before, and the two ways to move them."""
    before = perceptron(weights)
    change = resized(before, way)
    old, new = filled(before, 1.0), filled(change.after, 0.0)
    cases: dict[str, Case] = {
        "ours": lambda: transplant(old, change, new),
        "clone": lambda: {name: tensor.clone() for name, tensor in old.items()},
    }
    return sum(math.prod(before.shape(n)) for n in before.prunable), cases


SETTINGS: dict[str, Callable[[int], tuple[int, dict[str, Case]]]] = {
    **{f"selection, {n}": lambda w, kept=k: selections(w, kept) for n, k in KEPT.items()},
    **{f"transplant, {w}": lambda n, way=w: transplants(n, way) for w in ("wider", "narrower")},
}


def peak(setting: str, case: str, weights: int) -> float:
    """Bytes for each weight that the case takes above what it is given; of this very process."""
    _, small = SETTINGS[setting](20_000)
    small[case]()  # libraries and threads that come with the first call
    total, cases = SETTINGS[setting](weights)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    kept = cases[case]()
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    del kept
    return 1024 * (after - before) / total


def peak_elsewhere(setting: str, case: str, weights: int, threads: int) -> float:
    """`peak` in a process of its own."""
    told = ["--weights", str(weights), "--threads", str(threads), "--peak", setting, case]
    done = subprocess.run(  # noqa: S603  this file, by its own path
        [sys.executable, __file__, *told], check=True, capture_output=True, text=True
    )
    return float(done.stdout)


def timed(case: Case) -> float:
    began = perf_counter()
    kept = case()
    ended = perf_counter()
    del kept  # freeing is not timed
    return ended - began


def compare(setting: str, weights: int, turns: int, peaks: dict[str, float]) -> dict[str, object]:
    """One row: seconds of all turns, their medians' ratio and the peaks."""
    total, cases = SETTINGS[setting](weights)
    if "check" in cases:
        cases.pop("check")()
    ways = list(cases)
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for turn in range(turns + 1):
        for way, case in cases.items():
            took = timed(case)
            if turn:  # the first is warm-up
                seconds[way].append(took)
    mine, other = ways
    ratios = [b / a for a, b in zip(seconds[mine], seconds[other], strict=True)]
    return {
        "setting": setting,
        "weights": total,
        "against": other,
        "seconds": seconds,
        "median_seconds": {way: median(times) for way, times in seconds.items()},
        "median_speed_ratio": median(ratios),
        "peak_bytes_a_weight": peaks,
        "peak_ratio": peaks[mine] / peaks[other],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=int, default=100_000_000)
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--peak", nargs=2, metavar=("SETTING", "CASE"), help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    arguments = parser.parse_args()
    with pinned(arguments.threads):
        if arguments.peak:
            print(peak(*arguments.peak, arguments.weights))
            return
        # A process starts with the peak of the one that started it: first, while this is small.
        peaks = {
            setting: {
                case: peak_elsewhere(setting, case, arguments.weights, arguments.threads)
                for case in ("ours", "torch" if setting.startswith("selection") else "clone")
            }
            for setting in SETTINGS
        }
        rows = []
        for setting in SETTINGS:
            row = compare(setting, arguments.weights, arguments.turns, peaks[setting])
            rows.append(row)
            print(
                f"{setting:22} {row['median_seconds']} s, speed {row['median_speed_ratio']:.2f} "
                f"of {row['against']}; peak {row['peak_bytes_a_weight']} bytes a weight"
            )
    result = {"threads": arguments.threads, "machine": machine(), "rows": rows}
    arguments.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
