"""Which of two ways is faster, measured: calls or steps take turns, and meet the same day."""

import math
import os
from collections.abc import Callable, Mapping
from statistics import median
from time import perf_counter, thread_time

import torch

from recursive_lth.training.device import wait

TURNS, STEPS = 7, 3  # steps of a turn where whole trainings are timed


def in_turns(
    usual: Callable[[], object],
    other: Callable[[], object],
    device: torch.device,
    *,
    clear: float = math.inf,
) -> tuple[float, float]:
    """Median seconds of two calls that take turns, or of two turns where one is `clear` as fast."""
    now = stopwatch(device)
    times: tuple[list[float], list[float]] = ([], [])
    for turn in range(TURNS + 1):
        for run, seconds in zip((usual, other), times, strict=True):
            began = now()
            run()
            wait(device)
            if turn:  # the first warms up
                seconds.append(now() - began)
        if turn == 2 and not 1 / clear < median(times[0]) / median(times[1]) < clear:
            break
    return median(times[0]), median(times[1])


def fastest(
    ways: Mapping[str, Callable[[], object]], *, clear: float = math.inf
) -> dict[str, float]:
    """Seconds of steps on the CPU that take turns: of each the fastest, by name.

    A turn has several steps, of which the last counts: two pools of threads that change places at
    every step, PyTorch's and compiled code's, get into each other's way. Two turns are enough where
    one way is `clear` as fast as another.
    """
    now, found = stopwatch(torch.device("cpu")), dict.fromkeys(ways, math.inf)
    for turn in range(TURNS):
        for name, step in ways.items():
            for _ in range(STEPS):
                began = now()
                step()
                took = now() - began
            found[name] = min(found[name], took)
        if turn == 1 and max(found.values()) > clear * min(found.values()):
            break
    return found


def stopwatch(device: torch.device) -> Callable[[], float]:
    """Seconds: of a single thread on a CPU those it was given, for others may be at work beside."""
    is_lone = device.type == "cpu" and torch.get_num_threads() == 1
    return thread_time if is_lone and os.name == "posix" else perf_counter  # elsewhere it is coarse
