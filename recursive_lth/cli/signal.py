"""`recursive-lth signal`: does a short training rank growths as a long one does?"""

from pathlib import Path
from statistics import fmean, stdev
from typing import Annotated, Any

from cyclopts import Parameter
from rich.table import Table

from recursive_lth import shelf
from recursive_lth.cli import options, screen
from recursive_lth.cli.progress import following

EXAMPLES = """Examples:
  recursive-lth signal
  recursive-lth signal recursive_mnist --set growth.candidates=12 --set growth.replicates=4
  recursive-lth signal recursive_mnist --start TICKET.safetensors --workers 2
"""
Name = Annotated[str, Parameter(help="An experiment's name from `list`, or a FILE.toml.")]
WORDS = {
    "val_calibrated_loss": "calibrated loss",
    "val_loss": "loss",
    "val_accuracy": "accuracy",
}


def signal(
    experiment: Name = "signal_digits",
    /,
    *,
    start: options.StartFrom = None,
    data: options.Data = None,
    data_dir: options.DataDir = None,
    out: options.Out = Path("runs"),
    seed: options.Seed = None,
    device: options.Device = "auto",
    settings: options.Settings = None,
    resume: options.Resume = "auto",
    workers: options.Workers = "1",
    json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Measure how well short trainings rank growths of a ticket, before a search rests on them.

    Of the experiment are read: growth.candidates (how many growths), growth.judge_epochs (the short
    training), growth.rungs, spacing, cut and keep (where it is looked at, as a search would),
    growth.epochs (the long one), growth.replicates (seeds), and the space. The ticket is that
    given by --start, or the first that the experiment finds.
    """
    given = {"start.architecture": start, "data.name": data, "seed": seed}
    chosen = shelf.load_experiment(
        experiment,
        [*options.own_widths(start), *(settings or []), *options.as_settings(given)],
    )
    from recursive_lth.report.signal_drawing import write_signal
    from recursive_lth.search.signal import signal as find

    with following(screen.console(stderr=True), is_quiet=quiet) as (watch, _):
        found, folder = find(
            chosen,
            data_dir=data_dir,
            out=out,
            device=device,
            resume=resume,
            workers=workers,
            watch=watch,
        )
    figure = write_signal(folder, found)
    if json:
        screen.print_json(found | {"folder": str(folder)})
        return
    console = screen.console()
    console.print(_table(found))
    console.print(_advice(found))
    console.print(f"numbers  {folder / 'summary.json'}")
    console.print(f"figure   {figure}")


def _table(found: dict[str, Any]) -> Table:
    """Rank correlations at each rung: mean and spread."""
    table = Table(
        title=f"{len(found['growths'])} networks, {found['seeds']} seeds", title_justify="left"
    )
    for head in ("epochs", "measure", "between seeds", "with the long training"):
        table.add_column(head, justify="left" if head == "measure" else "right")
    for rung, epochs in enumerate(found["epochs"]):
        for measure, words in WORDS.items():
            numbers = found["measures"][measure]
            cells = [_spread(numbers[key][rung]) for key in ("between_seeds", "with_long")]
            table.add_row(f"{epochs:.3g}", words, *cells)
    return table


def _spread(values: list[float]) -> str:
    spread = f" ± {stdev(values):.2f}" if len(values) > 1 else ""
    return f"{fmean(values):.2f}{spread}"


def _advice(found: dict[str, Any]) -> str:
    """What a search should do, in words."""
    advice, numbers = found["advice"], found["measures"]["val_calibrated_loss"]
    epochs = found["epochs"][advice["rung"] - 1]
    seeds = advice["replicates"]
    trusted = (
        "one seed tells nothing of the ranking: train longer, or widen the space"
        if seeds is None
        else f"{seeds} seed{'s' * (seeds > 1)} make a ranking trusted (reliability .8)"
    )
    return (
        f"noise {numbers['noise']:.2g}, networks differ by {numbers['spread']:.2g}; "
        f"{epochs:.3g} epochs say nearly what {found['epochs'][-1]:.3g} do; {trusted}"
    )
