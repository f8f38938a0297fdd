"""`recursive-lth evaluate`: what a ticket is worth on the test split, and what it costs."""

from dataclasses import asdict
from itertools import groupby
from math import isfinite
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from recursive_lth.cli import options, screen
from recursive_lth.config import Data, Experiment, StudyExperiment
from recursive_lth.config_file import any_experiment_from, arms_of, read_toml
from recursive_lth.errors import InputError
from recursive_lth.report.latency import latency_table
from recursive_lth.report.quantities import UNKNOWN, count, operations, percent
from recursive_lth.report.table import Table

if TYPE_CHECKING:
    from torch import Tensor, nn

    from recursive_lth.ticket.ticket import Ticket
    from recursive_lth.training.datasets import Dataset

EXAMPLES = """Examples:
  recursive-lth evaluate runs/grow_digits-0123456789ab/tickets/0123.safetensors
  recursive-lth evaluate ticket.safetensors --data my_data.npz --json
  recursive-lth evaluate ticket.safetensors --data mnist --latency
"""
WARM_UP, REPEATS = 3, 15
TicketFile = Annotated[Path, Parameter(help="A .safetensors file in a run's tickets folder.")]


def evaluate(
    ticket: TicketFile,
    /,
    *,
    data: options.Data = None,
    data_dir: options.DataDir = None,
    device: options.Device = "auto",
    batch_size: options.BatchSize = 256,
    latency: options.Latency = False,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Evaluate a ticket: test accuracy, calibrated loss, costs, time for a batch.

    The calibrated loss is at the temperature that suits the test split itself best.

    Time is the median over 15 dense batches: PyTorch computes with the zeros of a mask too. With
    --latency the ticket is made compact and timed in every form, in turns; differences of logits
    are from the masked form.
    """
    from recursive_lth.ticket.ticket import load_ticket
    from recursive_lth.training import datasets
    from recursive_lth.training.device import choose
    from recursive_lth.training.evaluate import evaluate as measure
    from recursive_lth.training.latency import latencies
    from recursive_lth.training.split import chosen, split

    if batch_size < 1:
        raise InputError(f"--batch-size must be at least 1, got {batch_size}")
    found = load_ticket(ticket)
    config, seed = (Data(name=data), 0) if data else _data_of_run(ticket, found)
    dataset = datasets.load(config.name, data_dir)
    _check_fit(found, chosen(dataset, config))
    place = choose(device)
    samples = split(dataset, config, seed, place).test
    images = samples.images
    result = asdict(measure(found.architecture, found.readable(), samples))
    numbers: dict[str, Any] = {
        "ticket": str(ticket),
        "digest": found.digest,
        "data": config.name,
        "device": str(place),
        **{f"test_{key}": value if isfinite(value) else None for key, value in result.items()},
        **asdict(found.cost),
        "depth": found.architecture.depth,
        "batch_size": min(batch_size, len(images)),
        "seconds_per_batch": _latency(found.module().to(place), images[:batch_size]),
    }
    if latency:
        sizes = sorted({1, min(batch_size, len(images))})
        numbers["latency"] = [asdict(line) for line in latencies(found, images, sizes)]
    if json:
        screen.print_json(numbers)
    else:
        rows = [
            [key.replace("_", " ").replace("seconds", "time"), _in_words(key, value)]
            for key, value in numbers.items()
            if key != "latency"
        ]
        screen.print_table(screen.console(), "on the test split", Table(["", ""], rows))
        for size, lines in groupby(numbers.get("latency", ()), lambda line: line["batch_size"]):
            title = f"a batch of {size}, in turns"
            screen.print_table(screen.console(), title, latency_table(list(lines)))


def _data_of_run(ticket: Path, found: "Ticket") -> tuple[Data, int]:
    """The data section and the seed of the run around a ticket's file."""
    path = ticket.resolve().parent.parent / "experiment.toml"
    if not path.is_file():
        raise InputError(f"{ticket} lies in no run's folder: name its data with --data")
    experiment = any_experiment_from(read_toml(path))
    if isinstance(experiment, Experiment):
        return experiment.data, experiment.seed
    made = found.provenance or {}
    if isinstance(experiment, StudyExperiment):
        return experiment.data, int(made["seed"])
    return arms_of(experiment)[made["arm"]].data, experiment.seed + int(made["replicate"])


def _check_fit(ticket: "Ticket", dataset: "Dataset") -> None:
    """Raise unless the ticket takes such samples and knows as many classes."""
    shapes = ticket.architecture.shapes
    takes, gives = shapes[ticket.architecture.input], shapes[ticket.architecture.output]
    if tuple(takes) != dataset.sample_shape or gives[0] != dataset.classes:
        raise InputError(
            f"the ticket takes {tuple(takes)} and tells {gives[0]} classes, but {dataset.name} has "
            f"{dataset.sample_shape} and {dataset.classes}: name its own data with --data"
        )


def _latency(module: "nn.Module", batch: "Tensor") -> float:
    """Seconds that a forward pass of the batch takes, the median of several."""
    import torch

    from recursive_lth.training.device import wait

    module.eval()
    times = []
    with torch.inference_mode():
        for _ in range(WARM_UP + REPEATS):
            begin = perf_counter()
            module(batch)
            wait(batch.device)
            times.append(perf_counter() - begin)
    return median(times[WARM_UP:])


def _in_words(key: str, value: Any) -> str:
    if value is None:
        return UNKNOWN
    if key.endswith("accuracy"):
        return percent(value)
    if key.endswith("multiply_adds"):
        return operations(value)
    if key == "seconds_per_batch":
        return f"{1000 * value:.2f} ms"
    if isinstance(value, float):
        return f"{value:.4f}"
    return count(value) if isinstance(value, int) else str(value)
