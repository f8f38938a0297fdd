"""A table over seeds from finished runs: the best small ticket of each, and its dense start.

    python experiments/collect.py --at-most 30000 --to experiments/recursive_mnist runs/*_mnist-*

Each run gives its ticket of best validation accuracy among those with at most so many remaining
weights; validation data select, test data report. Runs of one experiment with several seeds make a
row: mean and standard deviation (n - 1) over seeds. A dense start costs its own training, a chosen
ticket the whole run, since all of it was needed to choose. Writes `<to>.md` and `<to>.json`.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from recursive_lth.files import read_json
from recursive_lth.report.quantities import count, operations

COLUMNS = (
    "experiment",
    "network",
    "n",
    "seeds",
    "depth",
    "weights",
    "test accuracy",
    "multiply-adds",
)


def chosen(tickets: Sequence[dict[str, Any]], at_most: int) -> dict[str, Any] | None:
    """The accepted ticket of best validation accuracy with so many weights at most."""
    small = [t for t in tickets if t["accepted"] and t["remaining_weights"] <= at_most]
    return max(small, key=lambda t: (t["val_accuracy"], -t["val_calibrated_loss"]), default=None)


def row(
    name: str, network: str, seeds: list[int], tickets: list[dict[str, Any]], costs: list[int]
) -> dict[str, Any]:
    """Mean and spread of one kind of ticket over seeds, and the mean cost of finding it."""
    accuracies = [100 * t["test_accuracy"] for t in tickets]
    return {
        "experiment": name,
        "network": network,
        "n": len(tickets),
        "seeds": seeds,
        "depths": [t["depth"] for t in tickets],
        "weights": [t["remaining_weights"] for t in tickets],
        "test_accuracies": accuracies,
        "test_accuracy_mean": mean(accuracies),
        "test_accuracy_deviation": stdev(accuracies) if len(accuracies) > 1 else None,
        "training_multiply_adds": mean(costs),
    }


def as_cells(found: dict[str, Any]) -> tuple[str, ...]:
    """A row in words."""
    deviation = found["test_accuracy_deviation"]
    spread = "" if deviation is None else f" ± {deviation:.2f}"
    return (
        found["experiment"],
        found["network"],
        str(found["n"]),
        ", ".join(map(str, found["seeds"])),
        ", ".join(map(str, found["depths"])),
        count(round(mean(found["weights"]))),
        f"{found['test_accuracy_mean']:.2f}{spread} %",
        operations(found["training_multiply_adds"]),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--at-most", type=int, default=10**12)
    parser.add_argument("--to", type=Path, required=True)
    arguments = parser.parse_args()
    groups: dict[str, list[dict[str, Any]]] = {}
    for folder in arguments.runs:
        summary = read_json(folder / "summary.json")
        groups.setdefault(summary["name"], []).append(summary)
    rows = []
    for name, summaries in sorted(groups.items()):
        summaries.sort(key=lambda summary: summary["seed"])
        seeds = [summary["seed"] for summary in summaries]
        small = [chosen(summary["tickets"], arguments.at_most) for summary in summaries]
        starts = [s["tickets"][0] for s in summaries]
        rows.append(row(name, "dense start", seeds, starts, [t["training_cost"] for t in starts]))
        whole = [s["cost"]["training_multiply_adds"] for s in summaries]
        if all(small):
            rows.append(row(name, "best ticket", seeds, [t for t in small if t], whole))
    lines = [COLUMNS, tuple("---" for _ in COLUMNS), *map(as_cells, rows)]
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"
    arguments.to.with_suffix(".md").write_text(table)
    machine = {"versions": summaries[0]["versions"], "machine": summaries[0]["machine"]}
    arguments.to.with_suffix(".json").write_text(
        json.dumps({"rows": rows, **machine}, indent=1) + "\n"
    )
    print(table, end="")


if __name__ == "__main__":
    main()
