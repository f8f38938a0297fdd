"""Every measure by name, with its unit, which side is better, its cost, and what it says.

Costs are rounded up: a forward pass is a third of a pass, a product with the Hessian two.
"""

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from recursive_lth.config import pick
from recursive_lth.study.panel import (
    confidence,
    distances,
    drift,
    kernel,
    memory,
    probes,
    rivals,
    speed,
    states,
)
from recursive_lth.study.panel.measure import Better, Kind, Measure, Read
from recursive_lth.study.panel.words import DEFAULT, MEASURE_WORDS
from recursive_lth.study.scene import Scene

FORWARD = 1 / 3
PER_SQUARE = "nats per weight squared"
LINE = 11 * FORWARD


def panel_of(names: Sequence[str]) -> dict[str, Measure]:
    """The measures of these names in the catalogue's order; `default` and `all` stand for sets.

    Raises `InputError` with the nearest where there is none of a name.
    """
    wanted: set[str] = set()
    for name in names:
        wanted |= SETS.get(name, {name})
    for name in sorted(wanted):
        pick({**PANEL, **SETS}, name, "measure")
    return {name: measure for name, measure in PANEL.items() if name in wanted}


def _finite(read: Read) -> Read:
    """The measure, None where it is not finite: no mean and no JSON has such a number."""

    def finite(scene: Scene) -> float | None:
        found = read(scene)
        return float(found) if found is not None and math.isfinite(found) else None

    return finite


def _with_fresh(trains: Mapping[str, float]) -> Mapping[str, float]:
    """These trainings, and as many of a fresh network."""
    return {**trains, **{f"{name}, fresh": epochs for name, epochs in trains.items()}}


CURVES: Mapping[str, tuple[Read, str, Better]] = MappingProxyType(
    {
        "cost_to_target": (speed.cost_to_target, "epochs", "less"),
        "steps_to_target": (speed.steps_to_target, "steps", "less"),
        "reaches_target": (speed.reaches_target, "share", "more"),
        "loss_area": (speed.loss_area, "nats", "less"),
        "accuracy_area": (speed.accuracy_area, "share", "more"),
        "early_stop_cost": (speed.early_stop_cost, "epochs", "less"),
        "start_accuracy": (speed.start_accuracy, "share", "more"),
        "val_accuracy": (speed.val_accuracy, "share", "more"),
        "val_loss": (speed.val_loss, "nats", "less"),
        "calibrated_loss": (speed.calibrated_loss, "nats", "less"),
        "test_accuracy": (speed.test_accuracy, "share", "more"),
    }
)
STATES: Mapping[str, tuple[Read, str, Better, float]] = MappingProxyType(
    {
        "dormant_share": (states.dormant, "share", "less", FORWARD),
        "effective_rank": (states.effective_rank, "directions", "more", FORWARD),
        "srank": (states.srank, "directions", "more", FORWARD),
        "overconfidence": (states.of_logits(confidence.over_confidence), "nats", "less", FORWARD),
        "temperature": (states.of_logits(confidence.temperature), "", "", FORWARD),
        "calibration_error": (
            states.of_logits(confidence.calibration_error), "share", "less", FORWARD
        ),
        "generalisation_gap": (states.loss_gap, "nats", "less", 2 * FORWARD),
        "accuracy_gap": (states.accuracy_gap, "share", "less", 2 * FORWARD),
        "own_accuracy": (memory.own_accuracy, "share", "more", FORWARD),
        "forgetting": (memory.forgetting, "share", "less", FORWARD),
        "gradient_norm": (states.gradient_norm, "nats per weight", "", 1.0),
        "gradient_flow": (states.gradient_flow, "nats per learning rate", "", 1.0),
        "gradient_ratio": (drift.in_all(states.gradient_to_weight), PER_SQUARE, "", 1.0),
        "gradient_ratio_oldest": (
            drift.in_generation(states.gradient_to_weight, is_last=False), PER_SQUARE, "", 1.0
        ),
        "gradient_ratio_youngest": (
            drift.in_generation(states.gradient_to_weight, is_last=True), PER_SQUARE, "", 1.0
        ),
        "weight_norm": (states.weight_norm, "", "", 0.0),
        "weight_distance": (drift.from_rewind(distances.relative_distance), "", "", 0.0),
        "sign_agreement": (drift.from_rewind(distances.sign_agreement), "share", "", 0.0),
        "weight_cosine": (drift.from_rewind(distances.cosine), "", "", 0.0),
        "largest_eigenvalue": (states.largest_eigenvalue, PER_SQUARE, "less", 100.0),
        "hessian_trace": (states.hessian_trace, PER_SQUARE, "less", 20.0),
        "sam_sharpness": (states.sam_sharpness, "nats", "less", 5 * FORWARD),
        "kernel_trace": (states.of_kernel(states.kernel_trace), "", "", 1.0),
        "kernel_condition": (states.of_kernel(states.kernel_condition), "", "less", 1.0),
        "kernel_alignment": (states.of_kernel(kernel.kernel_alignment), "", "", 1.0),
    }
)  # fmt: skip
CHANGES: Mapping[str, tuple[Read, str, Better, float]] = MappingProxyType(
    {
        "update_ratio": (drift.in_all(drift.update_ratio), "", "", 0.0),
        "update_ratio_first": (drift.in_layer(drift.update_ratio, is_last=False), "", "", 0.0),
        "update_ratio_last": (drift.in_layer(drift.update_ratio, is_last=True), "", "", 0.0),
        "update_ratio_oldest": (
            drift.in_generation(drift.update_ratio, is_last=False), "", "", 0.0
        ),
        "update_ratio_youngest": (
            drift.in_generation(drift.update_ratio, is_last=True), "", "", 0.0
        ),
        "barrier_from_start": (drift.barrier_from_start, "nats", "less", LINE),
        "barrier_to_parent": (rivals.barrier_to_parent, "nats", "less", LINE),
        "mask_hamming": (drift.mask_hamming, "share", "less", 0.0),
        "mask_jaccard": (drift.mask_jaccard, "share", "more", 0.0),
    }
)  # fmt: skip
TRAIN_PARENTS = frozenset({"barrier_to_parent"})
FRESH = rivals.against_fresh
SHORT, LONG = probes.SHORT, rivals.LONG
NEW_TASK, NEW_LABELS = {"new task": SHORT}, {"new labels": SHORT}
OWN, FURTHER = {"own data": SHORT}, {"further": LONG}
PROBES: Mapping[str, tuple[Read, str, Better, float, Mapping[str, float]]] = MappingProxyType(
    {
        "random_label_fit": (probes.random_label_fit, "share", "more", probes.PASSES, {}),
        "random_label_plasticity": (
            FRESH(probes.random_label_fit), "share", "more", 2 * probes.PASSES, {}
        ),
        "random_label_loss_area": (
            probes.random_label_loss_area, "nats", "less", probes.PASSES, {}
        ),
        "random_label_loss_against_fresh": (
            FRESH(probes.random_label_loss_area), "nats", "less", 2 * probes.PASSES, {}
        ),
        "new_task_accuracy": (probes.new_task_accuracy, "share", "more", 0.0, NEW_TASK),
        "new_task_loss_area": (probes.new_task_loss_area, "nats", "less", 0.0, NEW_TASK),
        "plasticity": (
            FRESH(probes.new_task_accuracy), "share", "more", 0.0, _with_fresh(NEW_TASK)
        ),
        "new_labels_accuracy": (probes.new_labels_accuracy, "share", "more", 0.0, NEW_LABELS),
        "new_labels_plasticity": (
            FRESH(probes.new_labels_accuracy), "share", "more", 0.0, _with_fresh(NEW_LABELS)
        ),
        "learning_loss_area": (probes.learning_loss_area, "nats", "less", 0.0, OWN),
        "learning_against_fresh": (
            FRESH(probes.learning_loss_area), "nats", "less", 0.0, _with_fresh(OWN)
        ),
        "further_accuracy": (rivals.further_accuracy, "share", "more", 0.0, FURTHER),
        "warm_start_gap": (rivals.warm_start_gap, "share", "less", 0.0, _with_fresh(FURTHER)),
        "shrink_perturb_gain": (
            rivals.shrink_perturb_gain, "share", "less", 0.0, {**FURTHER, "shaken": LONG}
        ),
        "instability": (
            probes.instability, "share", "less", LINE, {"one order": SHORT, "other order": SHORT}
        ),
    }
)  # fmt: skip


def _measure(
    name: str,
    kind: Kind,
    read: Read,
    unit: str,
    better: Better,
    passes: float = 0.0,
    trains: Mapping[str, float] = MappingProxyType({}),
) -> Measure:
    about, is_default = MEASURE_WORDS[name], name in DEFAULT
    trains_parent = name in TRAIN_PARENTS
    return Measure(
        _finite(read), unit, better, kind, about, passes, trains, is_default, trains_parent
    )


PANEL: Mapping[str, Measure] = MappingProxyType(
    {
        **{name: _measure(name, "curve", *row) for name, row in CURVES.items()},
        **{name: _measure(name, "state", *row) for name, row in STATES.items()},
        **{name: _measure(name, "change", *row) for name, row in CHANGES.items()},
        **{name: _measure(name, "probe", *row) for name, row in PROBES.items()},
    }
)
COUNTED_ON: Mapping[str, str] = MappingProxyType(  # accuracies come in steps of one sample
    {
        **dict.fromkeys(
            ("start_accuracy", "val_accuracy", "new_task_accuracy", "plasticity",
             "new_labels_accuracy", "new_labels_plasticity", "further_accuracy", "warm_start_gap",
             "shrink_perturb_gain"),
            "validation",
        ),
        "test_accuracy": "test",
        "own_accuracy": "own",
    }
)  # fmt: skip
SETS: Mapping[str, frozenset[str]] = MappingProxyType({"default": DEFAULT, "all": frozenset(PANEL)})
