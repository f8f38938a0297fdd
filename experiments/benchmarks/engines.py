"""How fast tickets train: sparse against masked dense, and many at once against one by one.

    python experiments/benchmarks/engines.py

Whole training steps on random data: batches, forward, backward, optimizer. The rival is our own
dense loop, masked at every step, with PyTorch's fused optimizer. Ours is what `auto` takes for one
network, or for one of a company. Each ratio is of one process in which both take turns; medians of
9 turns, their quartiles and range. Writes engines.json and engines.svg beside itself, in about six
minutes on two cores.
"""

import argparse
import os
import platform
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter
from typing import Any

import torch
from matplotlib.figure import Figure

from recursive_lth import seeds
from recursive_lth.architecture.graph import Architecture
from recursive_lth.architecture.zoo import ARCHITECTURES, mlp
from recursive_lth.config import Training
from recursive_lth.files import write_atomic, write_json
from recursive_lth.growth.grow import seed_ticket
from recursive_lth.report.canvas import LIGHT, draw_svg
from recursive_lth.ticket.morph import birth
from recursive_lth.training.batches import Batches
from recursive_lth.training.break_even import sparse_together
from recursive_lth.training.choice import Choices, onednn_layers
from recursive_lth.training.device import pinned
from recursive_lth.training.engine import Plan
from recursive_lth.training.plans import measured_plan
from recursive_lth.training.samples import Samples
from recursive_lth.training.together import Member, alone, training_together

TURNS, CPU = 9, torch.device("cpu")
DENSITIES = (1.0, 0.7, 0.5, 0.4, 0.3, 0.2, 0.1, 0.036, 0.01)


def masks_of(architecture: Architecture, density: float, seed: int) -> dict[str, torch.Tensor]:
    """Random masks; the last layer keeps a tenth or more."""
    generator = seeds.generator(seed, "masks")
    last = architecture.prunable[-1]
    return {
        name: torch.rand(architecture.shape(name), generator=generator)
        < (max(density, 0.1) if name == last else density)
        for name in architecture.prunable
    }


def member(
    architecture: Architecture, density: float, batches: Batches, recipe: Training, seed: int
) -> Member:
    """A fresh network with random masks, to be trained without end."""
    ticket = seed_ticket(birth(architecture), seeds.generator(seed, "birth"), "kaiming_normal")
    masks = masks_of(architecture, density, seed)
    return Member(architecture, ticket.weights, masks, batches, recipe, 10**9, seed)


def data(shape: tuple[int, ...], samples: int, recipe: Training) -> Batches:
    """Random images with random labels."""
    images = torch.rand(samples, *shape)
    return Batches(Samples(images, torch.randint(0, 10, (samples,))), torch.zeros(1), recipe)


def turns(sides: dict[str, Callable[[], float]]) -> dict[str, list[float]]:
    """Seconds a step of each side, taking turns, now one first and now the other."""
    for advance in sides.values():
        advance()
    found: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(TURNS):
        for name in sorted(sides, reverse=turn % 2 > 0):
            found[name].append(sides[name]())
    return found


def stepping(loops: Sequence[Iterator[Any]], steps: int, per: int = 1) -> Callable[[], float]:
    """Seconds a step, of so many loops one after the other, or of one loop for `per` networks."""

    def advance() -> float:
        began = perf_counter()
        for loop in loops:
            for _ in range(steps):
                next(loop)
        return (perf_counter() - began) / steps / len(loops) / per

    return advance


def ratio(name: str, times: dict[str, list[float]], slow: str, fast: str) -> dict[str, Any]:
    """A row: medians in microseconds, and how many times as fast, with quartiles and range."""
    ratios = [a / b for a, b in zip(times[slow], times[fast], strict=True)]
    low, _, high = quantiles(ratios, n=4)
    row = {
        "what": name,
        "threads": torch.get_num_threads(),
        f"{slow}_us": round(1e6 * median(times[slow]), 1),
        f"{fast}_us": round(1e6 * median(times[fast]), 1),
        "ratio": round(median(ratios), 2),
        "least": round(min(ratios), 2),
        "most": round(max(ratios), 2),
        "quarter": round(low, 2),
        "three_quarters": round(high, 2),
        "ratios": [round(one, 3) for one in ratios],
    }
    print(row, flush=True)
    return row


def single(name: str, architecture: Architecture, batch: int, density: float, steps: int) -> Any:
    """One network, `auto` against dense."""
    recipe = Training(optimizer="adam", batch_size=batch)
    shape = architecture.shapes[architecture.input]
    one = member(architecture, density, data(shape, 4000, recipe), recipe, 0)
    plan = measured_plan(architecture, one.weights, one.masks, recipe, CPU, Choices())
    sides = {
        "dense": stepping([alone(one)], steps),
        "auto": stepping([alone(one, plan)], steps),
    }
    found = ratio(f"{name}, batch {batch}, {density:.1%}", turns(sides), "dense", "auto")
    told = {"sparse_layers": plan.sparse, "onednn_layers": plan.onednn}
    return found | {"density": density, "network": name, **told}


def many(
    name: str,
    shape: tuple[int, ...],
    widths: Sequence[tuple[int, ...]],
    batch: int,
    density: float,
    count: int,
) -> Any:
    """So many networks as one program, against the dense loop of one after another."""
    recipe = Training(optimizer="adam", batch_size=batch)
    sets = [data(shape, 4000, recipe) for _ in range(4)]
    members = [
        member(mlp(shape, 10, widths[i % len(widths)]), density, sets[i % 4], recipe, i)
        for i in range(count)
    ]
    plan, dense = company_plans(members[0])
    sides = {
        "dense": stepping([alone(one) for one in members[:4]], 20),
        "dense_together": stepping([training_together(members, dense)], 20, per=count),
        "together": stepping([training_together(members, plan)], 20, per=count),
    }
    times = turns(sides)
    found = ratio(f"{count} x {name}, {density:.1%}", times, "dense", "together")
    company = ratio(f"against a dense company: {name}", times, "dense_together", "together")
    told = {"count": count, "sparse_layers": plan.sparse, "company": company}
    return found | {"density": density, "network": name, **told}


def company_plans(one: Member) -> tuple[Plan, Plan]:
    """What `auto` takes for a company of such members, and what it would if nothing were sparse."""
    choices, network, recipe = Choices(), one.architecture, one.recipe
    thin = sparse_together(network, one.masks, recipe, CPU, choices)
    by_onednn = onednn_layers(network, one.weights, recipe, CPU, choices)
    return Plan.of(thin, by_onednn), Plan((), by_onednn)


def measure() -> list[Any]:
    """All rows, with one and with two threads."""
    rows = []
    for threads in (1, 2):
        with pinned(threads):
            rows += perceptrons()
    with pinned(2):
        for density in (0.5, 0.3, 0.1, 0.036, 0.01):
            for name in ("resnet-20", "vgg-16"):
                network = ARCHITECTURES[name]((3, 32, 32), 10, ())
                rows.append(single(name, network, 64, density, 1))
    return rows


def perceptrons() -> list[Any]:
    """The rows of perceptrons, alone and together. Runs put fewer together than these companies."""
    rows = []
    wide, lenet = mlp((784,), 10, (1024, 1024)), mlp((784,), 10, (300, 100))
    for density in DENSITIES:
        rows.append(single("784-1024-1024-10", wide, 128, density, 20))
        rows.append(single("LeNet-300-100", lenet, 60, density, 60))
        rows.append(many("LeNet-300-100", (784,), [(300, 100)], 60, density, 16))
    rows.append(many("64-64-32-10", (64,), [(64, 32)], 32, 1, 64))
    mixed = [(64, 32), (48, 24), (56, 32), (64, 20)]
    rows.append(many("64-64-32-10, mixed widths", (64,), mixed, 32, 1, 64))
    return rows


def figure_of(rows: Sequence[Any]) -> str:
    """Bars of ratios, with the middle half of their turns, two threads, network by network."""
    shown = [row for row in rows if row["threads"] == 2]
    kinds = list(dict.fromkeys(_kind(row) for row in shown))
    shown = sorted(shown, key=lambda row: kinds.index(_kind(row)))[::-1]

    def paint(figure: Figure) -> None:
        figure.set_layout_engine("constrained")
        axes = figure.subplots()
        for y, row in enumerate(shown):
            colour = LIGHT["accent" if row["ratio"] >= 1.03 else "muted"]
            axes.barh(y, row["ratio"], color=colour, alpha=0.55, height=0.62)
            half = [row["quarter"], row["three_quarters"]]
            axes.plot(half, [y, y], color=colour, linewidth=1.6)
            axes.text(max(half) + 0.15, y, f"{row['ratio']:.1f}", va="center", size=10)
        axes.axvline(1, color=LIGHT["ink"], linewidth=0.8)
        axes.margins(x=0.08)  # room for the longest bar's number
        axes.set_yticks(range(len(shown)), [row["what"] for row in shown])
        axes.grid(visible=False, axis="y")
        axes.grid(visible=True, axis="x")
        axes.set_title("Times as fast as masked dense training, two threads")
        axes.set_xlabel("whole steps, a network: medians of 9 turns, middle halves")

    return figure_on_paper(draw_svg("speed of engines", 860, 60 + 21 * len(shown), paint))


def _kind(row: Any) -> tuple[str, int]:
    return row["network"], row.get("count", 1)


def figure_on_paper(svg: str) -> str:
    """The figure before a light ground, for a page that may be dark."""
    begin = svg.index(">") + 1
    return f'{svg[:begin]}<rect width="100%" height="100%" fill="{LIGHT["paper"]}"/>{svg[begin:]}'


def machine() -> dict[str, Any]:
    """Processor, its model, cores and PyTorch, as results record them."""
    return {
        "processor": platform.machine(),
        "model": model_of(Path("/proc/cpuinfo")),
        "cores": os.cpu_count(),
        "torch": torch.__version__,
    }


def model_of(about: Path) -> str:
    """The processor's model as Linux tells it, elsewhere what Python knows of it."""
    lines = about.read_text("utf-8").splitlines() if about.exists() else []
    told = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(told, platform.processor())


def main() -> None:
    argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0]).parse_args()
    rows = measure()
    here = Path(__file__)
    write_json(here.with_suffix(".json"), {"machine": machine(), "rows": rows})
    write_atomic(here.with_suffix(".svg"), figure_of(rows))


if __name__ == "__main__":
    main()
