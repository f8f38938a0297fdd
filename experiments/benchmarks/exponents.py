"""How time and memory grow with weights, density, population and generations.

    python experiments/benchmarks/exponents.py

Claim: nothing grows faster than what it is made of. Each curve is fitted by a power law over the
upper half of its range, where fixed costs no longer show; an exponent of 1 is in proportion.

- *weights*, 10^4 to 10^8: one training step of a perceptron of five equal hidden layers at batch
  64, dense and at 1 % sparse; selecting 1 %; transplanting through a widening by a tenth; time, and
  peak memory above what the process had before.
- *density*: a step of 784-1024-1024-10, batch 128, sparse whatever it costs, beside dense.
- *population*: a step of so many 64-64-32-10 as one program.
- *generations*: a whole run of recursive growth on digits, whose networks grow as it goes on: time,
  beside the multiply-adds that were trained, and the largest memory of the process.

One thread, medians of several turns; peaks are of a process each. Writes exponents.json and
exponents.svg beside itself. Needs 5 GB of memory and some 15 minutes.
"""

import argparse
import json
import math
import os
import platform
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import torch
from engines import alone, data, figure_on_paper, member
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, NullFormatter
from scale import SETTINGS, perceptron

from recursive_lth.architecture.zoo import mlp
from recursive_lth.config import Training
from recursive_lth.files import write_atomic, write_json
from recursive_lth.report.canvas import LIGHT, draw_svg
from recursive_lth.search.run import grow
from recursive_lth.shelf import load_experiment
from recursive_lth.training.together import training_together

WEIGHTS = tuple(round(10 ** (e / 2)) for e in range(8, 17))
DENSITIES = (0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32)
MEMBERS = (1, 2, 4, 8, 16, 32, 64)
GENERATIONS = 24
TURNS = 7
Run = Callable[[], object]
Curve = list[tuple[float, float]]


def stepping(weights: int, density: float) -> Run:
    """A training step of a perceptron with about so many weights."""
    architecture, recipe = perceptron(weights), Training(optimizer="adam", batch_size=64)
    one = member(architecture, density, data((784,), 256, recipe), recipe, 0)
    hidden = architecture.prunable[:-1] if density < 1 else ()
    loop = alone(one, [name.removesuffix(".weight") for name in hidden])
    return lambda: next(loop)


def moving(setting: str, weights: int) -> Run:
    """A selection or a transplant, as `scale.py` has them."""
    return SETTINGS[setting](weights)[1]["ours"]


BY_WEIGHTS: dict[str, Callable[[int], Run]] = {
    "training step, dense": lambda weights: stepping(weights, 1.0),
    "training step, 1 % sparse": lambda weights: stepping(weights, 0.01),
    "selection of 1 %": lambda weights: moving("selection, 1 % remains", weights),
    "transplant, wider": lambda weights: moving("transplant, wider", weights),
}


def seconds(run: Run) -> float:
    """Median seconds of several calls after two that warm up; few calls where they are slow."""
    run()
    took = [_timed(run) for _ in range(2)]
    return median([_timed(run) for _ in range(TURNS)] if max(took) < 2 else took)


def _timed(run: Run) -> float:
    began = perf_counter()
    run()
    return perf_counter() - began


def peak(what: str, weights: int) -> float:
    """Megabytes that this fresh process takes for it, at most; libraries not counted."""
    small = BY_WEIGHTS[what](20_000)
    small()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    run = BY_WEIGHTS[what](weights)
    run()
    run()
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def peak_elsewhere(what: str, weights: int) -> float:
    """`peak` in a process of its own."""
    done = subprocess.run(  # noqa: S603  this file, by its own path
        [sys.executable, __file__, "--peak", what, str(weights)],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return float(done.stdout)


def by_weights() -> dict[str, dict[str, Curve]]:
    """Seconds and megabytes against the number of weights; memory first, while this is small."""
    memory = {
        what: [(n, peak_elsewhere(what, n)) for n in WEIGHTS if n >= 1_000_000]
        for what in BY_WEIGHTS
    }
    time = {what: [(n, seconds(make(n))) for n in WEIGHTS] for what, make in BY_WEIGHTS.items()}
    return {"seconds by weights": time, "megabytes by weights": memory}


def by_density() -> dict[str, Curve]:
    """Seconds of a step against density, and of the dense one."""
    wide, recipe = mlp((784,), 10, (1024, 1024)), Training(optimizer="adam", batch_size=128)
    batches, found = data((784,), 4000, recipe), dict[str, Curve]()
    for kind, layers in (("sparse", ("fc1", "fc2")), ("dense", ())):
        loops = [(d, alone(member(wide, d, batches, recipe, 0), layers)) for d in DENSITIES]
        found[kind] = [(d, seconds(lambda loop=loop: next(loop))) for d, loop in loops]
    return found


def by_population() -> dict[str, Curve]:
    """Seconds of a step against the number of networks trained as one."""
    recipe = Training(optimizer="adam", batch_size=32)
    sets = [data((64,), 2000, recipe) for _ in range(4)]
    found = []
    for count in MEMBERS:
        some = [member(mlp((64,), 10, (64, 32)), 1, sets[i % 4], recipe, i) for i in range(count)]
        loop = training_together(some)
        found.append((count, seconds(lambda loop=loop: [next(loop) for _ in range(20)]) / 20))
    return {"all together": found}


def by_generation() -> dict[str, dict[str, Curve]]:
    """Seconds, multiply-adds and this process's memory against generations of one run."""
    experiment = load_experiment("grow_digits", [f"budget.generations={GENERATIONS}"])
    time, work, memory, began = Curve(), Curve(), Curve(), perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        for turn in grow(experiment, out=Path(folder), device="cpu"):
            if turn.generation:
                time.append((turn.generation, perf_counter() - began))
                work.append((turn.generation, turn.training_cost / 1e9))
                now = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
                memory.append((turn.generation, now / 1024))
    return {
        "seconds by generations": {"seconds so far": time, "1e9 multiply-adds so far": work},
        "megabytes by generations": {"largest so far": memory},
    }


def by_generation_elsewhere() -> dict[str, dict[str, Curve]]:
    """`by_generation` in a process of its own, whose memory is the run's alone."""
    done = subprocess.run(  # noqa: S603  this file, by its own path
        [sys.executable, __file__, "--generations"], check=True, capture_output=True, text=True
    )
    found: dict[str, dict[str, Curve]] = json.loads(done.stdout)
    return found


def exponent(curve: Sequence[tuple[float, float]]) -> float:
    """The power law's exponent over the upper half of a curve, by least squares of logarithms."""
    upper = [(x, y) for x, y in curve[len(curve) // 2 :] if y > 0]
    return float(np.polyfit([math.log(x) for x, _ in upper], [math.log(y) for _, y in upper], 1)[0])


def figure_of(panels: dict[str, Any]) -> str:
    """One panel a quantity, on logarithmic axes, each curve with its exponent."""
    colours = [LIGHT[name] for name in ("accent", "test", "widen", "residual")]

    def paint_panel(axes: Axes, title: str, curves: dict[str, Any]) -> None:
        for colour, (name, found) in zip(colours, curves.items(), strict=False):
            x, y = zip(*found["curve"], strict=True)
            label = f"{name}: {found['exponent']:.2f}"
            axes.loglog(x, y, color=colour, marker="o", markersize=3.5, label=label)
        axes.set_title(title)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(EngFormatter(sep=""))
            axis.set_minor_formatter(NullFormatter())
        axes.grid(visible=True, which="major")
        axes.legend(fontsize=9)

    def paint(figure: Figure) -> None:
        figure.set_layout_engine("constrained")
        grid = figure.subplots(2, 3).flat
        for axes, (title, curves) in zip(grid, panels.items(), strict=True):
            paint_panel(axes, title, curves)

    return figure_on_paper(draw_svg("how cost grows", 1040, 620, paint))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--generations", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--peak", nargs=2, metavar=("WHAT", "WEIGHTS"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.peak:
        print(peak(arguments.peak[0], int(arguments.peak[1])))
        return
    if arguments.generations:
        print(json.dumps(by_generation()))
        return
    later = by_generation_elsewhere()  # a process starts with the peak of the one that started it
    measured = by_weights()
    measured["seconds by density"] = by_density()
    measured["seconds by population"] = by_population()
    measured |= later
    panels = {
        title: {n: {"exponent": round(exponent(c), 3), "curve": c} for n, c in curves.items()}
        for title, curves in measured.items()
    }
    for title, curves in panels.items():
        print(title, {name: found["exponent"] for name, found in curves.items()})
    machine = {"processor": platform.machine(), "cores": os.cpu_count(), "torch": torch.__version__}
    here = Path(__file__)
    write_json(here.with_suffix(".json"), json.loads(json.dumps({"machine": machine} | panels)))
    write_atomic(here.with_suffix(".svg"), figure_of(panels))


if __name__ == "__main__":
    main()
