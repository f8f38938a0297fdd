"""`recursive-lth grow`: the main job."""

import tomllib
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from recursive_lth import shelf
from recursive_lth.cli import options, screen
from recursive_lth.cli.progress import following
from recursive_lth.cli.show import as_json, print_tables
from recursive_lth.config import Experiment
from recursive_lth.config_file import experiment_to_toml
from recursive_lth.report.quantities import count, operations, percent
from recursive_lth.report.record import read_run
from recursive_lth.report.table import describe_growth

EXAMPLES = """Examples:
  recursive-lth grow
  recursive-lth grow grow_digits --seed 1 --set budget.generations=3
  recursive-lth grow my_experiment.toml --data my_data.npz --out results
  recursive-lth grow --dry-run
"""
Name = Annotated[str, Parameter(help="An experiment's name from `list`, or a FILE.toml.")]


def grow(
    experiment: Name = "grow_digits",
    /,
    *,
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
    """Search for deeper, better, smaller winning tickets by growing them recursively.

    The same command goes on where it was stopped; a finished run is shown, not run again.
    """
    chosen = shelf.load_experiment(
        experiment, _settings(settings, start, data, seed, engine, precision)
    )
    if dry_run:
        _print_plan(chosen, data_dir, out, json)
        return
    from recursive_lth import api

    with following(screen.console(stderr=True), is_quiet=quiet) as (watch, say):
        for generation in api.grow(
            chosen,
            data_dir=data_dir,
            out=out,
            device=device,
            resume=resume,
            workers=workers,
            watch=watch,
        ):
            say(found(generation.to_dict()))
    record = read_run(api.run_folder(chosen, out))
    if json:
        screen.print_json(as_json(record))
        return
    console = screen.console()
    print_tables(console, record)
    summary = record.summary or {}
    console.print(f"stopped because {summary['stopped_because']}")
    console.print(f"tickets  {record.folder / 'tickets'}")
    console.print(f"report   {record.folder / 'report.html'}")


def found(line: dict[str, Any]) -> str:
    """One line about a ticket just found."""
    numbers = f"{percent(line['val_accuracy'])}  {count(line['remaining_weights'])} weights"
    return (
        f"generation {line['generation']}: {describe_growth(line)}  {numbers}  "
        f"depth {line['depth']}  {line['verdict']}"
    )


def _settings(
    settings: list[str] | None,
    start: str | None,
    data: str | None,
    seed: int | None,
    engine: str | None = None,
    precision: str | None = None,
) -> list[str]:
    """All overrides in the order of their strength: --set, then the options with their own name."""
    given = {
        "start.architecture": start,
        "data.name": data,
        "seed": seed,
        "training.engine": engine,
        "training.precision": precision,
    }
    return [*options.own_widths(start), *(settings or []), *options.as_settings(given)]


def _print_plan(experiment: Experiment, data_dir: Path | None, out: Path, as_json: bool) -> None:
    """Print the resolved experiment and about what it costs; the text is TOML itself."""
    from recursive_lth import api
    from recursive_lth.config.ignored import check_ignored
    from recursive_lth.search.check import check_fit, check_names, check_pruning
    from recursive_lth.search.plan import plan, start_architecture
    from recursive_lth.training import datasets
    from recursive_lth.training.device import choose
    from recursive_lth.training.split import split

    check_names(experiment)
    check_pruning(experiment)
    check_ignored(experiment)
    dataset = datasets.load(experiment.data.name, data_dir)
    parts = split(dataset, experiment.data, experiment.seed, choose("cpu"))
    start = start_architecture(experiment, parts.sample_shape, parts.classes)
    check_fit(experiment, start, len(parts.train))
    cost = plan(experiment, parts.sample_shape, parts.classes, len(parts.train))
    folder = api.run_folder(experiment, out)
    text = experiment_to_toml(experiment)
    if as_json:
        screen.print_json({"folder": str(folder), "experiment": tomllib.loads(text), "plan": cost})
        return
    first = cost["start"]
    shares = {
        "at most {:g} in races": cost["race_epochs"],
        "{:g} to confirm tickets": cost["confirmation_epochs"],
    }
    told = ", ".join(words.format(epochs) for words, epochs in shares.items() if epochs)
    print(
        text,
        f"# starts as {first['architecture']}: depth {first['depth']}, "
        f"{count(first['weights'])} weights, {operations(first['multiply_adds'])} multiply-adds",
        f"# {cost['generations']} generations, about {cost['epochs']:g} epochs of "
        f"{cost['training_samples']} samples"
        f"{f' ({told})' if told else ''}, "
        f"{cost['training_steps']} steps, "
        f"{operations(cost['training_multiply_adds'])} multiply-adds",
        f"# folder {folder}",
        sep="\n",
    )
