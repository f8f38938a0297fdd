"""`recursive-lth prune`: classic tickets, their controls, and what they show."""

import tomllib
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from recursive_lth import shelf
from recursive_lth.cli import options, screen
from recursive_lth.cli.progress import PRUNE, following
from recursive_lth.cli.show import print_tickets, tickets_as_json
from recursive_lth.config import TicketExperiment
from recursive_lth.config_file import arms_of, experiment_to_toml
from recursive_lth.report.quantities import count, operations, percent
from recursive_lth.report.tickets_record import read_tickets
from recursive_lth.report.tickets_table import density as in_percent
from recursive_lth.report.tickets_table import name_variant

EXAMPLES = """Examples:
  recursive-lth prune
  recursive-lth prune prune_digits --score snip --score-at init --density 0.5 --density 0.1
  recursive-lth prune prune_digits --control reinit --control shuffled_mask --replicates 5
  recursive-lth prune lth_lenet_mnist --set training.epochs=4 --dry-run
"""
Name = Annotated[str, Parameter(help="An experiment's name from `list`, or a FILE.toml.")]


def _setting(name: str, help: str, **more: Any) -> Parameter:  # noqa: A002 (cyclopts' word)
    return Parameter(name=name, help=help, negative="", group="Settings, each short for a --set",
                     **more)  # fmt: skip


def prune(
    experiment: Name = "prune_digits",
    /,
    *,
    score: Annotated[
        str | None, _setting("--score", "What ranks weights: magnitude, snip, synflow, ...")
    ] = None,
    scope: Annotated[
        str | None, _setting("--scope", "global, per_layer, uniform_plus or erk.")
    ] = None,
    granularity: Annotated[
        str | None, _setting("--granularity", "weight, unit, or N:M such as 2:4.")
    ] = None,
    schedule: Annotated[
        str | None, _setting("--schedule", "iterative, one_shot, cubic or exponential.")
    ] = None,
    basis: Annotated[
        str | None, _setting("--basis", "identity, or dct to prune coefficients.")
    ] = None,
    rate: Annotated[
        float | None, _setting("--rate", "Share of the remaining weights that a level removes.")
    ] = None,
    target_density: Annotated[
        float | None, _setting("--target-density", "Stop where so much remains.")
    ] = None,
    density: Annotated[
        list[float] | None, _setting("--density", "The density of a level; repeatable, falling.")
    ] = None,
    score_at: Annotated[
        str | None, _setting("--score-at", "When weights are scored: end, init, 500it or 2ep.")
    ] = None,
    rewind: Annotated[
        str | None, _setting("--rewind", "none, fine_tune, init, 500it or 2ep.")
    ] = None,
    restore: Annotated[
        str | None, _setting("--restore", "What is rewound: weights, learning_rate or signs.")
    ] = None,
    control: Annotated[
        list[str] | None,
        _setting(
            "--control",
            "Trained beside each ticket; repeatable: reinit, shuffled_mask, "
            "shuffled_weights, signs, dense, small_dense.",
        ),
    ] = None,
    supermask: Annotated[
        str | None, _setting("--supermask", "edge_popup, bernoulli or reinforce.")
    ] = None,
    replicates: Annotated[
        int | None, _setting("--replicates", "How many seeds, from --seed on.")
    ] = None,
    epochs: Annotated[
        float | None, _setting("--epochs", "Epochs of the first, dense training.")
    ] = None,
    start: options.StartFrom = None,
    data: options.Data = None,
    data_dir: options.DataDir = None,
    out: options.Out = Path("runs"),
    seed: options.Seed = None,
    device: options.Device = "auto",
    engine: options.Engine = None,
    precision: options.Precision = None,
    settings: options.Settings = None,
    resume: options.Resume = "auto",
    workers: options.Workers = "1",
    dry_run: options.DryRun = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Find classic winning tickets, level by level, and hold them against their controls.

    The same command goes on where it was stopped; a finished run is shown, not run again.
    """
    given = {
        "pruning.score": score,
        "pruning.scope": scope,
        "pruning.granularity": granularity,
        "pruning.schedule": schedule,
        "pruning.basis": basis,
        "pruning.rate": rate,
        "pruning.target_density": target_density,
        "tickets.densities": density,
        "tickets.score_at": score_at,
        "pruning.rewind": rewind,
        "pruning.restore": restore,
        "tickets.controls": control,
        "supermask.method": supermask,
        "tickets.replicates": replicates,
        "training.epochs": epochs,
        "training.engine": engine,
        "training.precision": precision,
        "start.architecture": start,
        "data.name": data,
        "seed": seed,
    }
    chosen = shelf.load_ticket_experiment(
        experiment,
        [*options.own_widths(start), *(settings or []), *options.as_settings(given)],
    )
    if dry_run:
        _print_plan(chosen, data_dir, out, json)
        return
    from recursive_lth import api

    with following(screen.console(stderr=True), is_quiet=quiet, words=PRUNE) as (watch, say):
        for line in api.prune(
            chosen,
            data_dir=data_dir,
            out=out,
            device=device,
            resume=resume,
            workers=workers,
            watch=watch,
        ):
            say(found(line))
    record = read_tickets(api.run_folder(chosen, out))
    if json:
        screen.print_json(tickets_as_json(record))
        return
    console = screen.console()
    print_tickets(console, record)
    console.print(f"tickets  {record.folder / 'tickets'}")
    console.print(f"report   {record.folder / 'report.html'}")


def found(line: dict[str, Any]) -> str:
    """One line about a network just trained."""
    collapsed = "  a layer is empty" if line["is_collapsed"] else ""
    return (
        f"replicate {line['replicate']}  {line['arm']}  level {line['level']}  "
        f"{name_variant(line['variant'])}: {percent(line['val_accuracy'])}  "
        f"{count(line['remaining_weights'])} weights ({in_percent(line['density'])}){collapsed}"
    )


def _print_plan(
    experiment: TicketExperiment, data_dir: Path | None, out: Path, as_json: bool
) -> None:
    """Print the resolved experiment and about what it costs; the text is TOML itself."""
    from recursive_lth import api
    from recursive_lth.lottery.benches import Benches
    from recursive_lth.lottery.check import check_arm
    from recursive_lth.lottery.plan import plan
    from recursive_lth.training.device import choose

    arms, benches = arms_of(experiment), Benches(data_dir, choose("cpu"))
    for name, arm in arms.items():
        check_arm(name, arm, benches)
    cost = plan(
        arms,
        {name: benches.architecture(arm) for name, arm in arms.items()},
        {name: benches.samples(arm.data, arm.seed) for name, arm in arms.items()},
    )
    folder, text = api.run_folder(experiment, out), experiment_to_toml(experiment)
    if as_json:
        screen.print_json({"folder": str(folder), "experiment": tomllib.loads(text), "plan": cost})
        return
    print(text)
    for arm in cost["arms"]:
        print(
            f"# {arm['arm']}: {count(arm['weights'])} weights, {arm['levels']} levels, "
            f"{arm['replicates']} replicates, about {arm['epochs']:g} epochs"
        )
    print(
        f"# at most {cost['training_steps']} steps, "
        f"{operations(cost['training_multiply_adds'])} multiply-adds",
        f"# folder {folder}",
        sep="\n",
    )
