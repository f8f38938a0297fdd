"""How time and memory grow with weights, density, population and generations.

    python experiments/benchmarks/exponents.py

Each curve is fitted by a power law over the upper half of its range, where fixed costs no longer
show; an exponent of 1 is in proportion. Claims: none is above 1.2, of time by generations, in which
networks grow, none above that of the multiply-adds that are trained.

- *weights*, 10^4 to 10^8: one training step of a perceptron of five equal hidden layers at batch
  64, dense and at 1 % sparse; selecting 1 %; transplanting through a widening by a tenth.
- *density*: a step of 784-1024-1024-10, batch 128, sparse whatever it costs, beside dense.
- *population*: a step of so many 64-64-32-10 as one program.
- *generations*: a whole run of recursive growth on digits, whose networks grow as it goes on: time,
  beside the multiply-adds that were trained, and the largest memory of the process. That jumps
  twice, by 170 and 120 megabytes: when the first network is large enough to train sparse, and the
  compiler is loaded, and when it is first measured below which density a company should be.

*Sparse* is what `training.engine=sparse` gives, here the compiled chain of all layers. The tickets
are given with their zeros: that memory does not shrink with density.

One thread. Times are medians of several turns, each of calls enough to take 20 ms, stored with
their quartiles (`spread`). Megabytes are the peak of one process each above what it had after a
small call of the same kind, to some tenths: from 10^5 weights on, below which there are no more.
Writes exponents.json and exponents.svg beside itself. Needs 5 GB of memory and five minutes.
"""

import argparse
import json
import math
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter
from typing import Any

import numpy as np
import torch
from engines import CPU, data, figure_on_paper, machine, member
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, NullFormatter
from scale import SETTINGS, perceptron

from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.zoo import mlp
from recursive_lth.config import Training
from recursive_lth.files import write_atomic, write_json
from recursive_lth.report.canvas import LIGHT, draw_svg
from recursive_lth.search.run import grow
from recursive_lth.shelf import load_experiment
from recursive_lth.training.engine import DENSE, Plan, can_be_sparse
from recursive_lth.training.plans import whole_chain
from recursive_lth.training.together import Member, alone, training_together

SIZES: dict[str, tuple[float, ...]] = {
    "weights": tuple(round(10 ** (e / 2)) for e in range(8, 17)),
    "density": (0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32),
    "population": (1, 2, 4, 8, 16, 32, 64),
}
LEAST_WEIGHTS = 100_000  # whose memory can be told
GENERATIONS = 24
TURNS = 7
TURN, SLOW = 0.02, 2.0  # seconds: of a turn at least, and of a call from which on two turns suffice
Run = Callable[[], object]
Curve = list[tuple[float, list[float]]]  # sizes, each with what its turns found


def sparse_plan(one: Member) -> Plan:
    """What `engine=sparse` gives a member all of whose layers have lost weights."""
    able = can_be_sparse(one.architecture)
    return whole_chain(one.architecture, one.recipe, CPU) or Plan(able)


def stepping(architecture: Architecture, density: float, batch: int, *, is_sparse: bool) -> Run:
    """A training step of one network."""
    recipe = Training(optimizer="adam", batch_size=batch)
    one = member(architecture, density, data((784,), 4 * batch, recipe), recipe, 0)
    loop = alone(one, sparse_plan(one) if is_sparse else DENSE)
    return lambda: next(loop)


def perceptron_step(weights: float, density: float) -> Run:
    """A step of one with about so many weights."""
    return stepping(perceptron(int(weights)), density, 64, is_sparse=density < 1)


def wide_step(density: float, *, is_sparse: bool) -> Run:
    """A step of 784-1024-1024-10."""
    return stepping(mlp((784,), 10, (1024, 1024)), density, 128, is_sparse=is_sparse)


def moving(setting: str, weights: float) -> Run:
    """A selection or a transplant, as `scale.py` has them."""
    return SETTINGS[setting](int(weights))[1]["ours"]


def together(count: float) -> Run:
    """A step of so many networks as one program."""
    recipe = Training(optimizer="adam", batch_size=32)
    sets = [data((64,), 512, recipe) for _ in range(4)]
    network = mlp((64,), 10, (64, 32))
    loop = training_together(
        [member(network, 1, sets[i % 4], recipe, i) for i in range(int(count))]
    )
    return lambda: next(loop)


WAYS: dict[str, dict[str, Callable[[float], Run]]] = {
    "weights": {
        "training step, dense": lambda weights: perceptron_step(weights, 1.0),
        "training step, 1 % sparse": lambda weights: perceptron_step(weights, 0.01),
        "selection of 1 %": lambda weights: moving("selection, 1 % remains", weights),
        "transplant, wider": lambda weights: moving("transplant, wider", weights),
    },
    "density": {
        "sparse": lambda density: wide_step(density, is_sparse=True),
        "dense": lambda density: wide_step(density, is_sparse=False),
    },
    "population": {"all together": together},
}


def seconds(run: Run) -> list[float]:
    """Seconds of a call in each of several turns, after a call that warms up."""
    run()
    took = [_timed(run, 1) for _ in range(2)]
    if max(took) >= SLOW:
        return took
    calls = max(1, math.ceil(TURN / min(took)))
    return [_timed(run, calls) for _ in range(TURNS)]


def _timed(run: Run, calls: int) -> float:
    began = perf_counter()
    for _ in range(calls):
        run()
    return (perf_counter() - began) / calls


def warm_up(axis: str, way: str) -> None:
    """A small call of the kind: what libraries and compiled code take with the first."""
    if axis == "density":
        stepping(perceptron(20_000), 0.01, 64, is_sparse=way == "sparse")()
    else:
        WAYS[axis][way]({"weights": 20_000, "population": 1}[axis])()


def peak(axis: str, way: str, size: float) -> float:
    """Megabytes that this fresh process takes for it, at most; libraries not counted."""
    warm_up(axis, way)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    run = WAYS[axis][way](size)
    run()
    run()
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def peak_elsewhere(axis: str, way: str, size: float) -> float:
    """`peak` in a process of its own."""
    done = subprocess.run(  # noqa: S603  this file, by its own path
        [sys.executable, __file__, "--peak", axis, way, str(size)],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return float(done.stdout)


def time_by(axis: str) -> dict[str, Curve]:
    """Seconds of each way at all sizes."""
    return {
        way: [(size, seconds(make(size))) for size in SIZES[axis]]
        for way, make in WAYS[axis].items()
    }


def memory_by(axis: str) -> dict[str, Curve]:
    """Megabytes of each way at all sizes that are large enough."""
    least = LEAST_WEIGHTS if axis == "weights" else 0
    sizes = [size for size in SIZES[axis] if size >= least]
    return {way: [(n, [peak_elsewhere(axis, way, n)]) for n in sizes] for way in WAYS[axis]}


def by_generation() -> dict[str, dict[str, Curve]]:
    """Time with multiply-adds, and this process's memory, against generations of one run."""
    experiment = load_experiment("grow_digits", [f"budget.generations={GENERATIONS}"])
    time, work, memory, began = Curve(), Curve(), Curve(), perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        for turn in grow(experiment, out=Path(folder), device="cpu"):
            if turn.generation:
                time.append((turn.generation, [perf_counter() - began]))
                work.append((turn.generation, [turn.training_cost / 1e9]))
                now = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
                memory.append((turn.generation, [now / 1024]))
    return {
        "seconds": {"seconds so far": time, "1e9 multiply-adds so far": work},
        "megabytes": {"largest so far": memory},
    }


def by_generation_elsewhere() -> dict[str, dict[str, Curve]]:
    """`by_generation` in a process of its own, whose memory is the run's alone."""
    done = subprocess.run(  # noqa: S603  this file, by its own path
        [sys.executable, __file__, "--generations"], check=True, capture_output=True, text=True
    )
    found: dict[str, dict[str, Curve]] = json.loads(done.stdout)
    return found


def measure() -> dict[str, dict[str, Any]]:
    """What each panel shows: each curve with its exponent.

    Memory comes first: a process starts with the peak of the one that started it.
    """
    generations = by_generation_elsewhere()
    memory = {f"megabytes by {axis}": memory_by(axis) for axis in WAYS}
    memory["megabytes by generations"] = generations["megabytes"]
    time = {f"seconds by {axis}": time_by(axis) for axis in WAYS}
    time["seconds by generations"] = generations["seconds"]
    return {
        title: {name: fitted(curve) for name, curve in curves.items()}
        for title, curves in (time | memory).items()
    }


def fitted(curve: Curve) -> dict[str, Any]:
    """Medians with their exponent, and with the quartiles of the turns where there are several."""
    medians = [(size, median(turns)) for size, turns in curve]
    found = {"exponent": round(exponent(medians), 3), "curve": medians}
    if min(len(turns) for _, turns in curve) < 2:
        return found
    quarters = [quantiles(turns, n=4, method="inclusive") for _, turns in curve]
    return found | {"spread": [(low, high) for low, _, high in quarters]}


def exponent(curve: Sequence[tuple[float, float]]) -> float:
    """The power law's exponent over the upper half of a curve, by least squares of logarithms."""
    upper = [(x, y) for x, y in curve[len(curve) // 2 :] if y > 0]
    return float(np.polyfit([math.log(x) for x, _ in upper], [math.log(y) for _, y in upper], 1)[0])


def figure_of(panels: dict[str, Any]) -> str:
    """Time above memory, on logarithmic axes, each curve with its exponent."""
    colours = [LIGHT[name] for name in ("accent", "test", "widen", "residual")]

    def paint_panel(axes: Axes, title: str, curves: dict[str, Any]) -> None:
        for colour, (name, found) in zip(colours, curves.items(), strict=False):
            x, y = zip(*found["curve"], strict=True)
            label = f"{name}: {found['exponent']:.2f}"
            axes.loglog(x, y, color=colour, marker="o", markersize=3.5, label=label)
            if "spread" in found:
                axes.fill_between(x, *zip(*found["spread"], strict=True), color=colour, alpha=0.2)
        axes.set_title(title)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(EngFormatter(sep=""))
            axis.set_minor_formatter(NullFormatter())
        axes.grid(visible=True, which="major")
        axes.legend(fontsize=9)

    def paint(figure: Figure) -> None:
        figure.set_layout_engine("constrained")
        grid = figure.subplots(2, 4).flat
        for axes, (title, curves) in zip(grid, panels.items(), strict=True):
            paint_panel(axes, title, curves)

    return figure_on_paper(draw_svg("how cost grows", 1380, 620, paint))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--generations", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--peak", nargs=3, metavar=("AXIS", "WAY", "SIZE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.peak:
        axis, way, size = arguments.peak
        print(peak(axis, way, float(size)))
        return
    if arguments.generations:
        print(json.dumps(by_generation()))
        return
    panels = measure()
    for title, curves in panels.items():
        print(title, {name: found["exponent"] for name, found in curves.items()})
    here = Path(__file__)
    write_json(here.with_suffix(".json"), {"machine": machine()} | panels)
    write_atomic(here.with_suffix(".svg"), figure_of(panels))


if __name__ == "__main__":
    main()
