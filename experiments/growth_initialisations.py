"""How new units are born: growth under ten births, held against chance and against size.

    python experiments/growth_initialisations.py --data-dir data

Claim: at equal multiply-adds the birth of new units tells in what a grown network reaches. Each arm
runs growth_initialisations_mnist.toml and ..._cifar10.toml with seeds 0 to 4; what differs is the
birth alone. Controls: `kaiming` draws the new units at random; `large` trains the final network
from scratch and `small` the first one, each for as many multiply-adds as the dearest arm of its
seed (births by gradients included). Nothing is selected: every arm reports the test accuracy of its
last network. Writes growth_initialisations.md, .json and .svg beside itself, in about 40 minutes on
one core. Stopped, it goes on where it stood.
"""

import argparse
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from recursive_lth.architecture.cost import training_cost
from recursive_lth.config import Experiment, Growth
from recursive_lth.config_file import experiment_from, read_toml
from recursive_lth.files import read_json, write_atomic, write_json
from recursive_lth.report.canvas import LIGHT, draw_svg
from recursive_lth.report.quantities import operations
from recursive_lth.running.run_folder import run_folder
from recursive_lth.search.run import grow
from recursive_lth.statistics import interval

HERE = Path(__file__).parent
PARTS = ("growth_initialisations_mnist", "growth_initialisations_cifar10")
CHANCE = "kaiming"
BIRTHS = {  # initialisation -> operator
    CHANCE: "widen",
    "zero_out": "widen",
    "gradmax": "widen",
    "gradmax_optimised": "widen",
    "mirror": "widen",
    "variance_transfer": "widen",
    "tiny": "widen",
    "firefly": "widen",
    "split_evenly": "split",
    "split_unevenly": "split",
}
CONTROLS = ("small", "large")


def grown(base: Experiment, birth: str, seed: int) -> Experiment:
    """The experiment with every growth born in one way."""
    schedule = tuple(
        replace(step, operator=BIRTHS[birth], initialisation=birth) for step in base.growth.schedule
    )
    growth = replace(base.growth, schedule=schedule)
    return replace(base, name=f"{base.name}_{birth}", seed=seed, growth=growth)


def ungrown(
    base: Experiment, name: str, seed: int, hidden: Sequence[int], epochs: float
) -> Experiment:
    """A network that only trains, once."""
    return replace(
        base,
        name=f"{base.name}_{name}",
        seed=seed,
        start=replace(base.start, hidden=tuple(hidden)),
        training=replace(base.training, epochs=epochs),
        growth=Growth(policy="never"),
        budget=replace(base.budget, generations=1),
    )


def run(experiment: Experiment, data_dir: Path, out: Path) -> list[dict[str, Any]]:
    """The lineage of a run, with test accuracies."""
    for _ in grow(experiment, data_dir=data_dir, out=out):
        pass
    summary = read_json(run_folder(experiment, out).path / "summary.json")
    lineage: list[dict[str, Any]] = summary["tickets"]
    reached = lineage[-1]["test_accuracy"]
    print(f"{experiment.name} seed {experiment.seed}: {reached:.2%}", flush=True)
    return lineage


def one_seed(base: Experiment, seed: int, data_dir: Path, out: Path) -> dict[str, dict[str, Any]]:
    """The last ticket of every arm and control."""
    lines = {birth: run(grown(base, birth, seed), data_dir, out) for birth in BIRTHS}
    found = {birth: line[-1] for birth, line in lines.items()}
    dearest = max(ticket["training_cost"] for ticket in found.values())
    chance = lines[CHANCE]
    epochs = base.training.epochs + base.growth.epochs * len(base.growth.schedule)
    per_epoch = chance[-1]["training_steps"] / epochs
    for name, shape in (("small", chance[0]), ("large", chance[-1])):
        step = training_cost(shape["multiply_adds"], base.training.batch_size)
        hidden = tuple(shape["widths"].values())
        control = ungrown(base, name, seed, hidden, dearest / step / per_epoch)
        found[name] = run(control, data_dir, out)[-1]
    return found


def rows(tickets: Sequence[Mapping[str, Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """For each arm accuracy, cost, and the paired difference to chance and to the large network."""
    found = []
    for arm in (*BIRTHS, *CONTROLS):
        accuracies = {a: [100 * seed[a]["test_accuracy"] for seed in tickets] for a in tickets[0]}
        row: dict[str, Any] = {
            "arm": arm,
            "n": len(tickets),
            "accuracies": accuracies[arm],
            "accuracy": interval(accuracies[arm]),
            "training_cost": sum(seed[arm]["training_cost"] for seed in tickets) / len(tickets),
        }
        for rival in (CHANCE, "large"):
            pairs = zip(accuracies[arm], accuracies[rival], strict=True)
            row[f"against_{rival}"] = None if arm == rival else interval([a - b for a, b in pairs])
        found.append(row)
    return found


def words(found: Mapping[str, Any] | None) -> str:
    """A difference and its interval."""
    if found is None:
        return ""
    return f"{found['mean']:+.2f} ({found['low']:+.2f} to {found['high']:+.2f})"


def table(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """Markdown, best arm first."""
    head = ("birth", "n", "test accuracy, %", "minus kaiming, 95 %", "minus large, 95 %", "cost")
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for row in sorted(found, key=lambda row: -row["accuracy"]["mean"]):
        cells = (
            row["arm"],
            str(row["n"]),
            f"{row['accuracy']['mean']:.2f} ± {row['accuracy']['sd']:.2f}",
            words(row[f"against_{CHANCE}"]),
            words(row["against_large"]),
            operations(row["training_cost"]),
        )
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def paint(axes: Axes, title: str, found: Sequence[Mapping[str, Any]]) -> None:
    """Every seed a point, the mean a bar, best arm on top."""
    order = sorted(found, key=lambda row: row["accuracy"]["mean"])
    for y, row in enumerate(order):
        is_control = row["arm"] in (*CONTROLS, CHANCE)
        colour = LIGHT["muted" if is_control else "accent"]
        mean, low, high = (row["accuracy"][key] for key in ("mean", "low", "high"))
        axes.plot([low, high], [y, y], color=colour, linewidth=2.2, alpha=0.6)
        axes.plot(row["accuracies"], [y] * row["n"], "o", color=colour, markersize=3.5, alpha=0.5)
        axes.plot([mean], [y], "D", color=colour, markersize=7)
    axes.set_yticks(range(len(order)), [row["arm"].replace("_", " ") for row in order])
    axes.grid(visible=False, axis="y")
    axes.grid(visible=True, axis="x")
    axes.set_title(title)
    axes.set_xlabel("test accuracy, %: mean (diamond), seeds, 95 % interval of the mean")


def figure_of(found: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    def whole(figure: Figure) -> None:
        figure.set_layout_engine("constrained", w_pad=0.14, h_pad=0.1)
        panels = figure.subplots(1, len(found), squeeze=False)
        for axes, (name, part) in zip(panels.flat, found.items(), strict=True):
            paint(axes, name, part)

    svg = draw_svg("births of new units compared", 1040, 380, whole)
    paper = f'<rect width="100%" height="100%" fill="{LIGHT["paper"]}"/>'
    return re.sub(r"(<svg[^>]*>)", rf"\1{paper}", svg, count=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data-dir", type=Path, default=Path("data"))
    parser.add_argument("--out", type=Path, default=Path("runs"))
    parser.add_argument("--seeds", type=int, default=5)
    asked = parser.parse_args()
    found = {}
    for part in PARTS:
        base = experiment_from(read_toml(HERE / f"{part}.toml"))
        tickets = [one_seed(base, seed, asked.data_dir, asked.out) for seed in range(asked.seeds)]
        found[base.data.name] = rows(tickets)
    lines = ["# Births of new units compared", "", (__doc__ or "").split("\n\n")[2].strip(), ""]
    lines.append("![test accuracy of each birth](growth_initialisations.svg)")
    for name, arms in found.items():
        lines += ["", f"## {name}", "", *table(arms)]
    beside = HERE / "growth_initialisations"
    write_json(beside.with_suffix(".json"), found)
    write_atomic(beside.with_suffix(".svg"), figure_of(found))
    write_atomic(beside.with_suffix(".md"), "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
