"""Can an experiment of ticket finding be run as it stands? Asked before anything is written."""

from dataclasses import replace

import torch

from recursive_lth.config import TicketExperiment, moment_step
from recursive_lth.errors import InputError
from recursive_lth.lottery.benches import Benches, target_data
from recursive_lth.lottery.check_ignored import check_controls, check_ignored
from recursive_lth.pruning.controls import CONTROLS
from recursive_lth.pruning.scores import NEEDS_TALLY
from recursive_lth.running import check
from recursive_lth.running.start import brings_weights, first_ticket
from recursive_lth.training.loop import steps_in
from recursive_lth.training.optimizer import OPTIMIZERS, at_last_rate


def check_arm(name: str, arm: TicketExperiment, benches: Benches) -> None:
    """Raise `InputError`, naming the arm and the cure, where it cannot be run."""
    try:
        _check_names(arm)
        _check_start(arm, benches)
        _check_moments(arm, benches)
        _check_continuing(arm)
        check_ignored(arm)
        check_controls(arm)
        _check_channels(arm, benches)
        _check_supermask(arm)
        _check_engine(arm)
        _check_transfer(arm, benches)
        for density in arm.tickets.densities or (arm.pruning.target_density,):
            goal = replace(arm.pruning, target_density=density)
            check.check_target(goal, benches.architecture(arm))
    except InputError as error:
        raise InputError(f"arm {name}: {error}") from None


def _check_names(arm: TicketExperiment) -> None:
    more: check.Wanted = [
        *((CONTROLS, name, "tickets.controls entry") for name in arm.tickets.controls)
    ]
    if arm.transfer.optimizer:
        more.append((OPTIMIZERS, arm.transfer.optimizer, "transfer.optimizer"))
    if arm.supermask.method:
        more.append((OPTIMIZERS, arm.supermask.optimizer, "supermask.optimizer"))
    check.check_names(arm, more)


def _check_start(arm: TicketExperiment, benches: Benches) -> None:
    if not brings_weights(arm.start):
        return
    data = benches.dataset(arm.data)
    first = first_ticket(arm.start, data.sample_shape, data.classes, torch.Generator())
    if first.cost.density < 1:
        raise InputError(
            f"{arm.start.architecture} keeps {first.cost.density:.1%} of its weights, and level 0 "
            'is dense: set start.weights="fresh" for its structure, or grow from it'
        )


def _check_moments(arm: TicketExperiment, benches: Benches) -> None:
    per_epoch, recipe = benches.per_epoch(arm), arm.training
    steps = steps_in(recipe.epochs, benches.samples(arm.data, arm.seed), recipe.batch_size)
    back = arm.pruning.rewind_step(per_epoch)
    check.check_moment("pruning.rewind", arm.pruning.rewind, back, steps)
    if back == steps and arm.pruning.epochs == 0:
        raise InputError(
            f"pruning.rewind={arm.pruning.rewind} is the last step, and with pruning.epochs=0 "
            "nothing would be left to train: name an earlier step, or set pruning.epochs"
        )
    if arm.tickets.score_at != "end":
        at = moment_step(arm.tickets.score_at, per_epoch)
        check.check_moment("tickets.score_at", arm.tickets.score_at, at, steps)
        if arm.pruning.score in NEEDS_TALLY:
            raise InputError(
                f"{arm.pruning.score} adds up a whole training: set tickets.score_at=end"
            )


def _check_continuing(arm: TicketExperiment) -> None:
    pruning, tickets = arm.pruning, arm.tickets
    if pruning.rewind == "fine_tune":
        at_last_rate(arm.training, 2)
        if pruning.epochs == 0:
            raise InputError("pruning.rewind=fine_tune needs pruning.epochs above 0")
    draws_last = tickets.score_at == "end" and not tickets.early_bird
    if pruning.rewind == "none" and pruning.epochs == 0 and draws_last:
        raise InputError(
            "pruning.rewind=none with pruning.epochs=0 leaves nothing to train: set "
            "pruning.epochs, or rewind"
        )
    if pruning.granularity == "unit" and pruning.pruned != "zero":
        raise InputError(
            "pruning.pruned fills the places of single weights, units leave none: set "
            "pruning.pruned=zero"
        )
    if tickets.early_bird and pruning.score in NEEDS_TALLY:
        raise InputError(
            f"tickets.early_bird draws masks on the way, {pruning.score} needs a whole training: "
            "choose another pruning.score, or set tickets.early_bird=0"
        )
    if pruning.basis != "identity" and pruning.granularity != "weight":
        raise InputError(
            f"in the basis {pruning.basis} single coefficients are cut: set "
            "pruning.granularity=weight"
        )


def _check_channels(arm: TicketExperiment, benches: Benches) -> None:
    if arm.tickets.early_bird and arm.pruning.granularity == "unit":
        layers = benches.architecture(arm).layers.values()
        if not any(layer.operation == "batchnorm" for layer in layers):
            raise InputError(
                "early-bird tickets of units are drawn by BatchNorm's scales, and this network has "
                "none: prune weights instead, or set tickets.early_bird=0"
            )


def _check_engine(arm: TicketExperiment) -> None:
    """Raise `InputError` where `sparse` is asked of what needs pruned weights too."""
    pruning = arm.pruning
    reasons = {
        f"pruning.basis={pruning.basis} mixes all of them": pruning.basis != "identity",
        f"pruning.pruned={pruning.pruned} lets them stand": pruning.pruned != "zero",
        f"pruning.score={pruning.score} adds them up": pruning.score in NEEDS_TALLY,
        "a supermask chooses among all of them": bool(arm.supermask.method),
    }
    for reason, holds in reasons.items():
        if holds and arm.training.engine == "sparse":
            raise InputError(
                f"training.engine=sparse knows no pruned weights, and {reason}: use auto or dense"
            )


def _check_supermask(arm: TicketExperiment) -> None:
    if not arm.supermask.method:
        return
    if not arm.tickets.densities:
        raise InputError("supermasks need tickets.densities: at which densities to look for them")
    if arm.pruning.scope == "global" or arm.pruning.granularity != "weight":
        raise InputError(
            "supermasks keep a share of single weights in each layer: set pruning.scope to "
            "per_layer, uniform_plus or erk, and pruning.granularity=weight"
        )
    if arm.pruning.basis != "identity" or arm.tickets.early_bird or arm.transfer.is_wanted:
        raise InputError("supermasks have no basis, early_bird or transfer: leave those out")
    if arm.tickets.controls or arm.tickets.score_at != "end":
        raise InputError(
            "a supermask is not trained, so it has no rivals that are, and no tickets.score_at: "
            "set tickets.controls=[], and tickets.weight_samples for its mask on other weights"
        )


def _check_transfer(arm: TicketExperiment, benches: Benches) -> None:
    if not arm.transfer.is_wanted:
        return
    here, there = benches.dataset(arm.data), benches.dataset(target_data(arm))
    if here.sample_shape != there.sample_shape or here.classes != there.classes:
        raise InputError(
            f"a ticket from {here.name} ({here.sample_shape}, {here.classes} classes) does not fit "
            f"{there.name} ({there.sample_shape}, {there.classes} classes): choose data of one "
            "shape, and as many transfer.classes"
        )
