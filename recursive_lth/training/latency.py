"""How long a batch takes in each form of a ticket: measured side by side, in turns."""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median, quantiles
from time import perf_counter

import torch
from torch import Tensor

from recursive_lth.architecture.network import memory_format
from recursive_lth.pruning.compact import SAMPLES
from recursive_lth.ticket.ticket import Ticket
from recursive_lth.training.device import wait
from recursive_lth.training.forms import Form, forms, lightest

TURNS = 9
TURN_SECONDS = 0.01  # a turn repeats what takes less
MOST_REPEATS = 200


@dataclass(frozen=True)
class Latency:
    """The time of a forward pass in one form, and how it stands to others.

    `seconds` is the median of 9 turns, `low` and `high` their quartiles. `times_as_fast` is the
    median over turns of the dense form's time by this one's; `largest_change` the largest absolute
    difference of a logit from the masked form, None for the dense one, which is another function.
    Where a form cannot be had, `reason` says why and the rest is None.
    """

    form: str
    batch_size: int
    seconds: float | None = None
    low: float | None = None
    high: float | None = None
    times_as_fast: float | None = None
    parameters: int | None = None
    largest_change: float | None = None
    reason: str = ""


def latencies(ticket: Ticket, images: Tensor, sizes: Iterable[int]) -> list[Latency]:
    """For each batch size and each form the time that the first so many images take."""
    light = lightest(ticket, images[:SAMPLES])
    found = []
    for size in sizes:
        batch = images[:size].contiguous(memory_format=memory_format(ticket.architecture))
        with torch.no_grad():
            found += _measured(forms(ticket, light, batch), batch)
    return found


def _measured(ways: list[Form], batch: Tensor) -> list[Latency]:
    """All forms of one batch, one after the other in every turn."""
    able = [form for form in ways if form.logits is not None]
    logits = {form.name: form.logits() for form in able if form.logits}
    repeats = {form.name: _repeats(form, batch.device) for form in able}
    times: dict[str, list[float]] = {form.name: [] for form in able}
    for _ in range(TURNS):
        for form in able:
            spent = _seconds(form, repeats[form.name], batch.device)
            times[form.name].append(spent / repeats[form.name])
    found = []
    for form in ways:
        if form.logits is None:
            found.append(Latency(form.name, len(batch), reason=form.reason))
            continue
        mine = times[form.name]
        low, _, high = quantiles(mine, n=4)
        change = (logits[form.name] - logits["masked"]).abs().max()
        found.append(
            Latency(
                form.name,
                len(batch),
                seconds=median(mine),
                low=low,
                high=high,
                times_as_fast=median(a / b for a, b in zip(times["dense"], mine, strict=True)),
                parameters=form.parameters,
                largest_change=None if form.name == "dense" else float(change),
            )
        )
    return found


def _repeats(form: Form, device: torch.device) -> int:
    """How often a form runs in a turn, so that a turn is long enough to be told."""
    _seconds(form, 2, device)  # warms up
    return max(1, min(MOST_REPEATS, int(TURN_SECONDS / _seconds(form, 1, device))))


def _seconds(form: Form, repeats: int, device: torch.device) -> float:
    assert form.logits is not None  # noqa: S101 (only such are measured)
    began = perf_counter()
    for _ in range(repeats):
        form.logits()
    wait(device)
    return perf_counter() - began
