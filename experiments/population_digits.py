"""Several lineages or one: how good a front of tickets each finds for the same cost, on digits.

    python experiments/population_digits.py

Question: does a population, which keeps the front of validation accuracy and remaining weights
alive and lets each of it grow in turn, cover more than a single lineage does? Every run has as many
multiply-adds. What is compared is the hypervolume of the tickets found within them: accuracy above
.8 times decades below the weights of the start network, on the validation data that select, and on
test data, which do not. Writes population_digits.json and .md beside itself.

Found: a population of six covers .009 (-.003 to .020) more than the lineage that is accepted by a
margin, and no more than a single lineage that is accepted by the front (.000, -.001 to .001). With
other last bits it had been .016 (.001 to .032) and -.002 (-.011 to .007). If anything pays it is
the rule, not that several live on.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

from recursive_lth.files import write_atomic, write_json
from recursive_lth.running.run_folder import run_folder
from recursive_lth.search.generation import Generation, read_lineage
from recursive_lth.search.lineage import START
from recursive_lth.search.population import hypervolume_of
from recursive_lth.search.run import grow
from recursive_lth.shelf import load_experiment
from recursive_lth.statistics import average, interval

FLOOR = 0.8  # least accuracy that counts
COMMON = (
    "data.validation_fraction=0.3",
    "growth.policy=random",
    "growth.candidates=2",
    "pruning.target_density=0.0",
    "pruning.rounds=1",
    "pruning.rate=0.35",
    "acceptance.max_density=1.0",
    "budget.generations=400",
)
ARMS = {
    "population of 6": ("acceptance.rule=front", "acceptance.population=6"),
    "population of 3": ("acceptance.rule=front", "acceptance.population=3"),
    "one lineage, front": ("acceptance.rule=front",),
    "one lineage, margin": ("acceptance.rule=margin", "acceptance.margin=0.015"),
}


def found_by(seed: int, rule: tuple[str, ...], budget: float, out: Path) -> list[Generation]:
    """The winning tickets of a run within its budget."""
    own = [f"seed={seed}", f"budget.multiply_adds={budget}"]
    default = [s for s in COMMON if not (s.startswith("acceptance.margin"))]
    experiment = load_experiment("grow_digits", [*default, *own, *rule])
    for _ in grow(experiment, out=out):
        pass
    return [
        line for line in read_lineage(run_folder(experiment, out))  # with test accuracies
        if line.accepted and line.operator != START and line.training_cost <= budget
    ]  # fmt: skip


def row_of(seed: int, name: str, tickets: list[Generation], ceiling: int) -> dict[str, Any]:
    """What one run came to."""
    sides = {
        "validation": [(t.val_accuracy, t.remaining_weights) for t in tickets],
        "test": [(float(t.test_accuracy or 0), t.remaining_weights) for t in tickets],
    }
    volumes = {side: hypervolume_of(points, (FLOOR, ceiling)) for side, points in sides.items()}
    best = max((t.val_accuracy for t in tickets), default=0.0)
    small = min((t.remaining_weights for t in tickets), default=ceiling)
    return {"seed": seed, "arm": name, **volumes, "tickets": len(tickets), "best": best,
            "smallest": small}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--budget", type=float, default=8e9)
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(arguments.seeds):
            runs = {
                n: found_by(seed, rule, arguments.budget, Path(folder)) for n, rule in ARMS.items()
            }
            ceiling = max(t.weights for tickets in runs.values() for t in tickets[:1])
            for name, tickets in runs.items():
                rows.append(row_of(seed, name, tickets, ceiling))
                print(rows[-1], flush=True)
    first = next(iter(ARMS))
    lines = [
        "| search | hypervolume, validation | test | tickets | best | smallest | less than first |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in ARMS:
        mine = [row for row in rows if row["arm"] == name]
        pairs = [a["validation"] - b["validation"] for a, b in
                 zip((r for r in rows if r["arm"] == first), mine, strict=True)]  # fmt: skip
        cells = [average(row[key] for row in mine) for key in ("validation", "test")]
        gap = interval(pairs)
        words = (
            "" if name == first else f"{gap['mean']:.3f} ({gap['low']:.3f} to {gap['high']:.3f})"
        )
        lines.append(
            f"| {name} | {cells[0]['mean']:.3f} ± {cells[0]['sd']:.3f} | {cells[1]['mean']:.3f} ± "
            f"{cells[1]['sd']:.3f} | {average(r['tickets'] for r in mine)['mean']:.0f} | "
            f"{average(r['best'] for r in mine)['mean']:.2%} | "
            f"{average(r['smallest'] for r in mine)['mean']:.0f} | {words} |"
        )
    print("\n".join(lines))
    here = Path(__file__)
    write_json(here.with_suffix(".json"), {**vars(arguments), "rows": rows})
    title = f"{arguments.seeds} seeds, {arguments.budget:.3g} multiply-adds a run, digits"
    write_atomic(here.with_suffix(".md"), "\n".join([title, "", *lines, ""]))


if __name__ == "__main__":
    main()
